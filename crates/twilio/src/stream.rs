//! The messages of a media stream: one JSON object per WebSocket text frame.
//!
//! [`Incoming`] is what Twilio sends, [`Outgoing`] what it is sent. Both are read here, and the
//! modules [`incoming`] and [`outgoing`] write them. Reading what Twilio sends is strict where a
//! wrong value would harm (audio, identifiers, formats) and tolerant of what is new; reading what
//! Twilio is sent is as strict as Twilio, which drops a message with an unexpected key.
//!
//! Audio is always base64 of headerless G.711 mu-law, 8000 Hz, mono.

pub mod incoming;
mod json;
pub mod outgoing;

use std::borrow::Cow;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

pub use incoming::{Incoming, Media, MediaFrame, ParseError, Start};
pub use outgoing::{InvalidMessage, Outgoing};

/// A direction of a call, seen from the person on this leg, as `media` and `start` name it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum MediaTrack {
    /// What the person on this leg says.
    Inbound,
    /// What that person hears.
    Outbound,
}

impl MediaTrack {
    /// The track called `inbound` or `outbound`.
    pub fn from_name(name: &str) -> Option<Self> {
        match name {
            "inbound" => Some(Self::Inbound),
            "outbound" => Some(Self::Outbound),
            _ => None,
        }
    }

    /// `inbound` or `outbound`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }
}

/// Audio as it travels: base64, standard alphabet, padded.
#[derive(Clone, PartialEq, Eq)]
pub struct Payload<'a>(Cow<'a, str>);

impl Payload<'_> {
    /// The base64 text, unchecked.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Appends the audio to `out` and returns how many bytes it has, which may be none.
    ///
    /// Allocates only when `out` has no room. On an error `out` is as it was.
    pub fn decode_into(&self, out: &mut Vec<u8>) -> Result<usize, PayloadError> {
        let start = out.len();
        match STANDARD.decode_vec(self.as_str(), out) {
            Ok(()) => Ok(out.len().saturating_sub(start)),
            Err(source) => {
                out.truncate(start);
                Err(PayloadError { source })
            }
        }
    }
}

/// The audio is what people say and is not shown.
impl fmt::Debug for Payload<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Payload({} base64 characters)", self.0.len())
    }
}

/// A `media` payload that is not base64: its audio is lost, the stream is not.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the media payload is not base64")]
pub struct PayloadError {
    source: base64::DecodeError,
}

/// Appends `audio` as base64, without a buffer in between.
fn push_base64(out: &mut String, audio: &[u8]) {
    STANDARD.encode_string(audio, out);
}

#[cfg(test)]
mod tests;
