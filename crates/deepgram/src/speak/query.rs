//! The query of a request for speech as Deepgram reads it: for an emulator.

use super::is_voice;
use crate::error::Refusal;

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The voice; `aura-asteria-en` when none was named.
    pub model: String,
    /// How the audio is to be coded; MP3 when nothing was said.
    pub encoding: Encoding,
    /// What is to be around the audio.
    pub container: Container,
    /// Hz.
    pub sample_rate: u32,
    /// Labels.
    pub tags: Vec<String>,
}

/// How audio is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Deepgram's own names")]
pub enum Encoding {
    Linear16,
    Mulaw,
    Alaw,
    Mp3,
    Opus,
    Flac,
    Aac,
}

/// What is around audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Container {
    /// Nothing, or what the coding itself has.
    None,
    /// A WAV header.
    Wav,
    /// Pages of Ogg.
    Ogg,
}

impl Query {
    /// Reads what follows the `?`. Unknown parameters are ignored.
    ///
    /// # Errors
    /// What Deepgram answers.
    pub fn parse(query: &str) -> Result<Self, Refusal> {
        let mut asked = Asked::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            asked.read(&name, &value)?;
        }
        if !is_voice(&asked.model) {
            return Err(Refusal::NO_SUCH_COMBINATION);
        }
        let format = asked.encoding.format();
        let container = asked.container.unwrap_or(format.container);
        if container != format.container && container != Container::None {
            return Err(unsupported("the container does not go with the encoding"));
        }
        let sample_rate = match asked.sample_rate {
            None => format.usual_hz,
            Some(_) if format.rates_hz.is_empty() => {
                return Err(unsupported("sample_rate is not applicable to the encoding"));
            }
            Some(rate) if format.rates_hz.contains(&rate) => rate,
            Some(_) => return Err(unsupported("the encoding has no such sample_rate")),
        };
        Ok(Self {
            model: asked.model,
            encoding: asked.encoding,
            container,
            sample_rate,
            tags: asked.tags,
        })
    }

    /// The content type of the answer.
    pub fn content_type(&self) -> String {
        let of_encoding = match (self.container, self.encoding) {
            (Container::Wav, _) => "audio/wav",
            (Container::Ogg, _) => "audio/ogg",
            (Container::None, Encoding::Linear16) => {
                return format!("audio/l16;rate={};channels=1", self.sample_rate);
            }
            (Container::None, Encoding::Mulaw) => "audio/basic",
            (Container::None, Encoding::Alaw) => "audio/x-alaw",
            (Container::None, Encoding::Mp3) => "audio/mpeg",
            (Container::None, Encoding::Opus) => "audio/opus",
            (Container::None, Encoding::Flac) => "audio/flac",
            (Container::None, Encoding::Aac) => "audio/aac",
        };
        of_encoding.to_owned()
    }
}

/// What is possible in an encoding.
struct Format {
    /// Unless another is asked for.
    container: Container,
    usual_hz: u32,
    /// Those that may be asked for.
    rates_hz: &'static [u32],
}

impl Encoding {
    const fn format(self) -> Format {
        let (container, usual_hz, rates_hz) = match self {
            Self::Linear16 => (Container::Wav, 24_000, LINEAR_HZ),
            Self::Mulaw | Self::Alaw => (Container::Wav, 8_000, G711_HZ),
            Self::Flac => (Container::None, 24_000, LINEAR_HZ),
            Self::Mp3 | Self::Aac => (Container::None, 22_050, FIXED_HZ),
            Self::Opus => (Container::Ogg, 48_000, FIXED_HZ),
        };
        Format {
            container,
            usual_hz,
            rates_hz,
        }
    }
}

/// What was said, unchecked.
struct Asked {
    model: String,
    encoding: Encoding,
    container: Option<Container>,
    sample_rate: Option<u32>,
    tags: Vec<String>,
}

impl Asked {
    fn read(&mut self, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            "model" => value.clone_into(&mut self.model),
            "encoding" => {
                self.encoding = match value {
                    "linear16" => Encoding::Linear16,
                    "mulaw" => Encoding::Mulaw,
                    "alaw" => Encoding::Alaw,
                    "mp3" => Encoding::Mp3,
                    "opus" => Encoding::Opus,
                    "flac" => Encoding::Flac,
                    "aac" => Encoding::Aac,
                    _ => return Err(bad("encoding: unknown variant")),
                }
            }
            "container" => {
                self.container = Some(match value {
                    "none" => Container::None,
                    "wav" => Container::Wav,
                    "ogg" => Container::Ogg,
                    _ => return Err(bad("container: unknown variant")),
                });
            }
            "sample_rate" => {
                let rate = value.parse();
                self.sample_rate =
                    Some(rate.map_err(|_| bad("sample_rate: invalid digit found in string"))?);
            }
            "speed" => {
                let speed = value.parse().ok();
                if !speed.is_some_and(|speed| SPEEDS.contains(&speed)) {
                    return Err(bad("speed: expected 0.7 to 1.5"));
                }
            }
            "mip_opt_out" if !matches!(value, "true" | "false") => {
                return Err(bad(
                    "mip_opt_out: provided string was not `true` or `false`",
                ));
            }
            "tag" => self.tags.push(value.to_owned()),
            _ => {}
        }
        Ok(())
    }
}

impl Default for Asked {
    fn default() -> Self {
        Self {
            model: "aura-asteria-en".to_owned(),
            encoding: Encoding::Mp3,
            container: None,
            sample_rate: None,
            tags: Vec::new(),
        }
    }
}

fn bad(detail: &str) -> Refusal {
    Refusal::bad_query(detail)
}

fn unsupported(what: &str) -> Refusal {
    Refusal::unsupported_audio(what)
}

const SPEEDS: std::ops::RangeInclusive<f32> = 0.7..=1.5;

const LINEAR_HZ: &[u32] = &[8_000, 16_000, 24_000, 32_000, 48_000];
const G711_HZ: &[u32] = &[8_000, 16_000];
const FIXED_HZ: &[u32] = &[];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speak::params::Params;

    #[track_caller]
    fn check_refused(query: &str, words: &str) {
        let refusal = Query::parse(query).unwrap_err();
        assert_eq!(refusal.status, 400, "{query}");
        assert!(refusal.err_msg.contains(words), "{}", refusal.err_msg);
    }

    #[test]
    fn what_sidetone_asks_for_is_telephone_audio() {
        let query = Query::parse(&Params::new().query()).unwrap();
        assert_eq!(query.content_type(), "audio/basic");
        assert_eq!(
            query,
            Query {
                model: "aura-2-thalia-en".into(),
                encoding: Encoding::Mulaw,
                container: Container::None,
                sample_rate: 8_000,
                tags: vec!["sidetone".into()],
            }
        );
    }

    #[test]
    fn what_is_not_said_is_deepgrams_to_choose() {
        for (query, rate, content_type) in [
            ("", 22_050, "audio/mpeg"),
            ("encoding=mulaw", 8_000, "audio/wav"),
            ("encoding=alaw&container=none", 8_000, "audio/x-alaw"),
            ("encoding=linear16", 24_000, "audio/wav"),
            (
                "encoding=linear16&container=none&sample_rate=8000",
                8_000,
                "audio/l16;rate=8000;channels=1",
            ),
            ("encoding=opus", 48_000, "audio/ogg"),
            ("encoding=flac&unheard=of", 24_000, "audio/flac"),
            (
                "encoding=aac&speed=1.5&mip_opt_out=true",
                22_050,
                "audio/aac",
            ),
        ] {
            let read = Query::parse(query).unwrap();
            assert_eq!(read.sample_rate, rate, "{query}");
            assert_eq!(read.content_type(), content_type, "{query}");
        }
    }

    #[test]
    fn what_cannot_be_is_refused_in_deepgrams_words() {
        check_refused("model=aura-2-nobody-en", "No such model");
        check_refused("encoding=mulaw&sample_rate=24000", "Unsupported audio");
        check_refused("sample_rate=8000", "Unsupported audio");
        check_refused("encoding=mulaw&container=ogg", "Unsupported audio");
        for query in [
            "encoding=g711",
            "container=aiff",
            "sample_rate=8k",
            "speed=2",
            "speed=fast",
            "mip_opt_out=maybe",
        ] {
            check_refused(query, "Failed to deserialize query parameters");
        }
    }
}
