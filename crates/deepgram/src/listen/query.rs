//! The query of a `/v1/listen` handshake as Deepgram reads it: for an emulator.

use crate::error::Refusal;
use crate::listen::params::{Family, model_family};
use crate::params::is_language;

/// What a client asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Query {
    /// The model; `base` when none was named.
    pub model: String,
    /// The language; `en` when none was named.
    pub language: String,
    /// How the audio is coded; `None`: it comes in a container.
    pub encoding: Option<Encoding>,
    /// Hz; told whenever the encoding is a raw one.
    pub sample_rate: Option<u32>,
    /// Interleaved channels, at least 1.
    pub channels: u32,
    /// Whether each channel is heard by itself.
    pub multichannel: bool,
    /// Whether interims are wanted.
    pub interim_results: bool,
    /// Silence after which an utterance counts as ended; `None`: never.
    pub endpointing_ms: Option<u32>,
    /// Silence between words after which `UtteranceEnd` is sent; `None`: never.
    pub utterance_end_ms: Option<u32>,
    /// Whether `SpeechStarted` is wanted.
    pub vad_events: bool,
    /// Whether words are punctuated: asked for by itself or implied by smart formatting.
    pub punctuate: bool,
    /// Whether numbers, dates and the like are formatted.
    pub smart_format: bool,
    /// Whether words carry a speaker.
    pub diarize: bool,
    /// Words to listen for.
    pub keyterms: Vec<String>,
    /// Labels.
    pub tags: Vec<String>,
    /// What the client wants echoed: keys and values.
    pub extra: Vec<(String, String)>,
}

/// How raw audio is coded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "Deepgram's own names")]
pub enum Encoding {
    Linear16,
    Linear32,
    Flac,
    Alaw,
    Mulaw,
    AmrNb,
    AmrWb,
    Opus,
    OggOpus,
    Speex,
    G729,
}

impl Encoding {
    /// Bytes of one sample of one channel, where that is a fixed number.
    pub const fn bytes_per_sample(self) -> Option<u32> {
        match self {
            Self::Alaw | Self::Mulaw => Some(1),
            Self::Linear16 => Some(2),
            Self::Linear32 => Some(4),
            Self::Flac
            | Self::AmrNb
            | Self::AmrWb
            | Self::Opus
            | Self::OggOpus
            | Self::Speex
            | Self::G729 => None,
        }
    }

    fn named(name: &str) -> Option<Self> {
        ENCODINGS
            .iter()
            .find(|(known, _)| *known == name)
            .map(|(_, encoding)| *encoding)
    }

    /// Whether the stream itself tells its sample rate.
    const fn tells_sample_rate(self) -> bool {
        matches!(self, Self::Flac | Self::OggOpus)
    }
}

impl Query {
    /// Reads what follows the `?`. Unknown parameters are ignored, as Deepgram does.
    ///
    /// # Errors
    /// What Deepgram answers the handshake with.
    pub fn parse(query: &str) -> Result<Self, Refusal> {
        let mut asked = Self::default();
        let mut old = Old::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            asked.read(&mut old, &name, &value)?;
        }
        asked.check(&old)?;
        asked.punctuate |= asked.smart_format;
        Ok(asked)
    }

    fn read(&mut self, old: &mut Old, name: &str, value: &str) -> Result<(), Refusal> {
        match name {
            "model" => value.clone_into(&mut self.model),
            "language" => value.clone_into(&mut self.language),
            "encoding" => {
                let encoding =
                    Encoding::named(value).ok_or_else(|| bad(name, "unknown variant"))?;
                self.encoding = Some(encoding);
            }
            "sample_rate" => self.sample_rate = Some(number(name, value, 1, 192_000)?),
            "channels" => self.channels = number(name, value, 1, 20)?,
            "multichannel" => self.multichannel = boolean(name, value)?,
            "interim_results" => self.interim_results = boolean(name, value)?,
            "endpointing" => {
                self.endpointing_ms = match value {
                    "true" => Some(DEFAULT_ENDPOINTING_MS),
                    "false" => None,
                    ms => Some(number(name, ms, 0, u32::MAX)?),
                }
            }
            "utterance_end_ms" => self.utterance_end_ms = Some(number(name, value, 1_000, 5_000)?),
            "vad_events" => self.vad_events = boolean(name, value)?,
            "punctuate" => self.punctuate = boolean(name, value)?,
            "smart_format" => self.smart_format = boolean(name, value)?,
            "diarize" => {
                self.diarize |= boolean(name, value)?;
                old.diarize = true;
            }
            "diarize_model" => match value {
                "latest" | "v1" => {
                    self.diarize = true;
                    old.diarize_model = true;
                }
                _ => return Err(bad(name, "expected `latest` or `v1`")),
            },
            "keyterm" => self.keyterms.push(value.to_owned()),
            "keywords" => old.keywords = true,
            "tag" => self.tags.push(value.to_owned()),
            "extra" => {
                let (key, value) = value
                    .split_once(':')
                    .ok_or_else(|| bad(name, "expected `key:value`"))?;
                self.extra.push((key.to_owned(), value.to_owned()));
            }
            "no_delay" | "numerals" | "profanity_filter" | "filler_words" | "dictation"
            | "detect_entities" | "mip_opt_out" | "sentiment" => {
                boolean(name, value)?;
            }
            "summarize" if value != "false" => return Err(Refusal::SUMMARIZE_LIVE),
            "topics" | "intents" if value != "false" => return Err(Refusal::BATCH_FEATURE),
            _ => {}
        }
        Ok(())
    }

    fn check(&self, old: &Old) -> Result<(), Refusal> {
        if !is_language(&self.language) {
            return Err(Refusal::NO_SUCH_COMBINATION);
        }
        match model_family(&self.model) {
            Family::Flux => return Err(Refusal::NO_SUCH_COMBINATION),
            Family::Nova3 if old.keywords => return Err(Refusal::KEYWORDS_WITH_NOVA_3),
            Family::Older if !self.keyterms.is_empty() => {
                return Err(bad("keyterm", "only supported for Nova-3"));
            }
            Family::Other if !is_custom_model(&self.model) => {
                return Err(Refusal::MODEL_NOT_ALLOWED);
            }
            Family::Nova3 | Family::Older | Family::Other => {}
        }
        if self.sample_rate.is_none() && self.encoding.is_some_and(|e| !e.tells_sample_rate()) {
            return Err(bad("sample_rate", "required with this encoding"));
        }
        if self.utterance_end_ms.is_some() && !self.interim_results {
            return Err(bad("utterance_end_ms", "requires interim_results=true"));
        }
        if old.diarize && old.diarize_model {
            return Err(Refusal::DIARIZE_TWICE);
        }
        Ok(())
    }
}

impl Default for Query {
    fn default() -> Self {
        Self {
            model: "base".to_owned(),
            language: "en".to_owned(),
            encoding: None,
            sample_rate: None,
            channels: 1,
            multichannel: false,
            interim_results: false,
            endpointing_ms: Some(DEFAULT_ENDPOINTING_MS),
            utterance_end_ms: None,
            vad_events: false,
            punctuate: false,
            smart_format: false,
            diarize: false,
            keyterms: Vec::new(),
            tags: Vec::new(),
            extra: Vec::new(),
        }
    }
}

/// Parameters that matter for the checks alone.
#[derive(Default)]
struct Old {
    keywords: bool,
    diarize: bool,
    diarize_model: bool,
}

/// `custom`, or the UUID of a model trained for the project.
fn is_custom_model(model: &str) -> bool {
    model == "custom"
        || (model.len() == 36
            && model.bytes().enumerate().all(|(i, b)| match i {
                8 | 13 | 18 | 23 => b == b'-',
                _ => b.is_ascii_hexdigit(),
            }))
}

fn boolean(name: &str, value: &str) -> Result<bool, Refusal> {
    value
        .parse()
        .map_err(|_| bad(name, "provided string was not `true` or `false`"))
}

fn number(name: &str, value: &str, least: u32, most: u32) -> Result<u32, Refusal> {
    let number = value
        .parse()
        .map_err(|_| bad(name, "invalid digit found in string"))?;
    if (least..=most).contains(&number) {
        Ok(number)
    } else {
        Err(bad(name, &format!("expected {least} to {most}")))
    }
}

fn bad(name: &str, detail: &str) -> Refusal {
    Refusal::bad_query(&format!("{name}: {detail}"))
}

/// Deepgram's silence before `speech_final`, unless told.
const DEFAULT_ENDPOINTING_MS: u32 = 10;

const ENCODINGS: &[(&str, Encoding)] = &[
    ("linear16", Encoding::Linear16),
    ("linear32", Encoding::Linear32),
    ("flac", Encoding::Flac),
    ("alaw", Encoding::Alaw),
    ("mulaw", Encoding::Mulaw),
    ("amr-nb", Encoding::AmrNb),
    ("amr-wb", Encoding::AmrWb),
    ("opus", Encoding::Opus),
    ("ogg-opus", Encoding::OggOpus),
    ("speex", Encoding::Speex),
    ("g729", Encoding::G729),
];

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(query: &str) -> (u16, &'static str) {
        let refusal = Query::parse(query).unwrap_err();
        (refusal.status, refusal.err_code)
    }

    #[test]
    fn a_telephone_leg_is_understood() {
        let query = Query::parse(
            "model=nova-3&encoding=mulaw&sample_rate=8000&channels=2&multichannel=true\
             &interim_results=true&endpointing=300&utterance_end_ms=1000&vad_events=true\
             &smart_format=true&tag=a&tag=b&extra=call_sid%3ACA1&keyterm=two+words&alternatives=1",
        )
        .unwrap();
        assert_eq!(
            query,
            Query {
                model: "nova-3".into(),
                encoding: Some(Encoding::Mulaw),
                sample_rate: Some(8_000),
                channels: 2,
                multichannel: true,
                interim_results: true,
                endpointing_ms: Some(300),
                utterance_end_ms: Some(1_000),
                vad_events: true,
                punctuate: true,
                smart_format: true,
                keyterms: vec!["two words".into()],
                tags: vec!["a".into(), "b".into()],
                extra: vec![("call_sid".into(), "CA1".into())],
                ..Query::default()
            }
        );
    }

    #[test]
    fn an_empty_query_means_deepgrams_defaults() {
        let query = Query::parse("").unwrap();
        assert_eq!(
            (query.model.as_str(), query.language.as_str()),
            ("base", "en")
        );
        assert_eq!((query.channels, query.endpointing_ms), (1, Some(10)));
        assert_eq!(
            Query::parse("endpointing=false").unwrap().endpointing_ms,
            None
        );
    }

    #[test]
    fn what_deepgram_refuses_is_refused_with_its_status_and_code() {
        for query in [
            "interim_results=yes",
            "channels=0",
            "channels=two",
            "encoding=mp3&sample_rate=8000",
            "encoding=mulaw",
            "utterance_end_ms=500&interim_results=true",
            "utterance_end_ms=1000",
            "model=nova-3&keywords=hello:2",
            "model=nova-2&keyterm=hello",
            "diarize=true&diarize_model=latest",
            "diarize_model=v2",
            "extra=nocolon",
            "summarize=true",
        ] {
            assert_eq!(refused(query), (400, "INVALID_QUERY_PARAMETER"), "{query}");
        }
        assert_eq!(
            refused("model=nova-3&language=english"),
            (400, "Bad Request")
        );
        assert_eq!(refused("model=flux-general-en"), (400, "Bad Request"));
        assert_eq!(refused("model=nova-4"), (403, "INSUFFICIENT_PERMISSIONS"));
        assert_eq!(
            refused("topics=true"),
            (403, "UNAUTHORIZED_FEATURES_REQUESTED")
        );
        assert!(Query::parse("model=0dc0f1a8-9c05-4a73-8a6c-2f3a3d1d0f77").is_ok());
    }
}
