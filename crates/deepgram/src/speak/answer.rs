//! An answer with audio.

use bytes::{Bytes, BytesMut};

use self::container::{Audio, Found};
use crate::error::one_line;

mod container;

/// An answer with status 200: its head, and the state of reading its body.
#[derive(Debug)]
pub struct Answer {
    /// `dg-request-id`, by which Deepgram's logs have it.
    pub request_id: Option<String>,
    /// `dg-model-name`: the voice.
    pub model: Option<String>,
    /// `dg-char-count`: what is billed.
    pub char_count: Option<u64>,
    reading: Reading,
}

/// Why an answer has no audio for a telephone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NotTelephoneAudio {
    /// By its head, it is something else.
    #[error("Deepgram answered with `{0}` instead of mu-law audio")]
    ContentType(String),
    /// By its first bytes, it is something else.
    #[error("Deepgram answered with {0} instead of mu-law audio")]
    Container(&'static str),
    /// A WAV file of another coding.
    #[error(
        "Deepgram answered with a WAV file of format {tag}, {channels} channels and {rate_hz} Hz \
         instead of mu-law, one channel and 8000 Hz"
    )]
    Format {
        /// `wFormatTag`.
        tag: u16,
        /// Channels.
        channels: u16,
        /// Samples a second.
        rate_hz: u32,
    },
    /// A WAV file whose header makes no sense.
    #[error("Deepgram answered with a damaged WAV file instead of mu-law audio")]
    Damaged,
}

#[derive(Debug)]
enum Reading {
    /// The body's beginning, as long as it may be a header.
    Beginning(BytesMut),
    /// Codes, so many when that is known.
    Codes(Option<u64>),
}

impl Answer {
    /// Reads the head; `header` gives the value of a header by its name in lower case.
    ///
    /// # Errors
    /// When the answer is said to be no audio, or none of a coding like ours. Which content type
    /// mu-law has is not told anywhere, so that unknown ones are taken.
    pub fn read<'h>(
        header: impl Fn(&'static str) -> Option<&'h str>,
    ) -> Result<Self, NotTelephoneAudio> {
        let content_type = header("content-type").unwrap_or_default();
        let lower = content_type.to_ascii_lowercase();
        if OTHER_CONTENT.iter().any(|other| lower.contains(other)) {
            let content_type = one_line(content_type, MAX_NAME_CHARS);
            return Err(NotTelephoneAudio::ContentType(content_type));
        }
        let name = |name| header(name).map(|value| one_line(value, MAX_NAME_CHARS));
        Ok(Self {
            request_id: name("dg-request-id"),
            model: name("dg-model-name"),
            char_count: header("dg-char-count").and_then(|count| count.trim().parse().ok()),
            reading: Reading::Beginning(BytesMut::new()),
        })
    }

    /// The mu-law codes, 8000 a second, in the next bytes of the body, however they are cut.
    ///
    /// A WAV header, which Deepgram sends when `container=none` was not heard, is taken off with
    /// what stands behind the audio. Nothing is copied but the body's first bytes.
    ///
    /// # Errors
    /// When the body turns out to be no telephone audio; what follows is none, either.
    pub fn codes(&mut self, bytes: Bytes) -> Result<Bytes, NotTelephoneAudio> {
        match &mut self.reading {
            Reading::Codes(None) => Ok(bytes),
            Reading::Codes(Some(left)) => {
                let wanted = usize::try_from(*left).unwrap_or(usize::MAX);
                let codes = bytes.slice(..wanted.min(bytes.len()));
                *left = left.saturating_sub(codes.len() as u64);
                Ok(codes)
            }
            Reading::Beginning(held) => {
                held.extend_from_slice(&bytes);
                match container::find(held)? {
                    Found::NotYet => Ok(Bytes::new()),
                    Found::Audio(Audio { at, bytes }) => {
                        let mut begun = std::mem::take(held).freeze();
                        self.reading = Reading::Codes(bytes);
                        // The rest may have an end of its own.
                        let codes = begun.split_off(at.min(begun.len()));
                        self.codes(codes)
                    }
                }
            }
        }
    }
}

/// Parts of content types that are no mu-law.
const OTHER_CONTENT: &[&str] = &[
    "json", "text/", "mpeg", "mp3", "ogg", "opus", "flac", "aac", "l16", "alaw",
];

const MAX_NAME_CHARS: usize = 100;

#[cfg(test)]
mod tests;
