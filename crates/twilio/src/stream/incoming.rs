//! What Twilio sends: `connected`, `start`, then `media`, `dtmf` and `mark`, at the end `stop`.
//!
//! Every number is a decimal string on the wire except those of `mediaFormat`. The writers keep
//! the order of keys that live streams showed; it differs from message to message.

mod fields;
mod write;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use serde::Deserialize;

use self::fields::{Envelope, Field, Rare, object, string, string_or_empty};
use super::json::Found;
use super::{MediaTrack, Payload};
use crate::{AccountSid, CallSid, StreamSid};

pub use self::write::{
    MediaFrame, write_connected, write_dtmf, write_mark, write_media, write_start, write_stop,
};

/// A message from Twilio, borrowing from the text it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Incoming<'a> {
    /// The first message of a stream. Nothing depends on its content, which is empty when absent.
    Connected {
        /// `Call`.
        protocol: Cow<'a, str>,
        /// `1.0.0`, in 2019 `0.2.0`.
        version: Cow<'a, str>,
    },
    /// The second message, exactly once: whose stream this is.
    Start(Start),
    /// Audio of one track.
    Media(Media<'a>),
    /// A key was pressed. Bidirectional streams only.
    Dtmf {
        /// Whose key; Twilio tells of the inbound track only.
        track: MediaTrack,
        /// `0` to `9`, `*`, `#`, `A` to `D`.
        digit: char,
    },
    /// Playback came to a mark, or a `clear` returned it. Bidirectional streams only.
    Mark {
        /// The name the mark was sent with.
        name: Cow<'a, str>,
    },
    /// The last message. There may be none.
    Stop {
        /// Whose stream ended, when said.
        account_sid: Option<AccountSid>,
        /// Whose stream ended, when said.
        call_sid: Option<CallSid>,
    },
    /// An event that is not known here and can be ignored.
    Unknown {
        /// Its name.
        event: Cow<'a, str>,
    },
}

/// What `start` says about a stream.
#[derive(Clone, PartialEq, Eq)]
pub struct Start {
    /// This stream.
    pub stream_sid: StreamSid,
    /// The call it belongs to.
    pub call_sid: CallSid,
    /// The account that owns the call.
    pub account_sid: AccountSid,
    /// The tracks it carries, at least one, none twice, in Twilio's order.
    pub tracks: Vec<MediaTrack>,
    /// The `<Parameter>`s of its `<Stream>`.
    pub custom_parameters: BTreeMap<String, String>,
}

/// The values of parameters may be secrets or callers' data, so only their names are shown.
impl fmt::Debug for Start {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&String> = self.custom_parameters.keys().collect();
        f.debug_struct("Start")
            .field("stream_sid", &self.stream_sid)
            .field("call_sid", &self.call_sid)
            .field("account_sid", &self.account_sid)
            .field("tracks", &self.tracks)
            .field("custom_parameters", &names)
            .finish()
    }
}

/// Audio of one track; usually 20 ms, but any length is legal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Media<'a> {
    /// Which stream.
    pub stream_sid: Cow<'a, str>,
    /// Which track.
    pub track: MediaTrack,
    /// A reading of Twilio's clock since the stream began. It does not begin at 0 and wobbles.
    pub timestamp_ms: u64,
    /// Counts the messages of the stream from 1, for `start`. A hint only.
    pub sequence_number: Option<u64>,
    /// Counts the media messages from 1, of one track or of both. A hint only.
    pub chunk: Option<u64>,
    /// The audio.
    pub payload: Payload<'a>,
}

/// A text frame that is no message of a media stream.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParseError {
    /// The text is not JSON.
    #[error("not JSON: {detail}")]
    NotJson {
        /// Where it breaks.
        detail: String,
    },
    /// The text is JSON, but not an object, or one with a key twice.
    #[error("a message is a JSON object and has each key once: {detail}")]
    NotAMessage {
        /// What the text is instead.
        detail: String,
    },
    /// The object does not say what it is.
    #[error("a message without the name of an `event`")]
    MissingEvent,
    /// A field that the event must have is missing or wrong.
    #[error("`{event}`: `{field}` is {found}, expected {expected}")]
    BadField {
        /// The event.
        event: &'static str,
        /// The field with its path, as in `media.track`.
        field: &'static str,
        /// What it holds, in words.
        found: String,
        /// What it must hold, in words.
        expected: &'static str,
    },
}

impl<'a> Incoming<'a> {
    /// Reads one text frame.
    ///
    /// A `media` message without escapes in its strings is read without any allocation. Unknown
    /// keys and events are accepted. Anything takes time and memory linear in the text.
    pub fn parse(text: &'a str) -> Result<Self, ParseError> {
        let envelope: Envelope<'a> = top_level(text)?;
        let Found::Text(event) = envelope.event else {
            return Err(ParseError::MissingEvent);
        };
        if event == "media" {
            let body = object(envelope.media, Field::new("media", "media"))?;
            let media = body.read(envelope.stream_sid, &envelope.sequence_number)?;
            return Ok(Self::Media(media));
        }
        let rare: Rare<'a> = top_level(text)?;
        match &*event {
            "connected" => Ok(Self::Connected {
                protocol: string_or_empty(rare.protocol),
                version: string_or_empty(rare.version),
            }),
            "start" => object(rare.start, Field::new("start", "start"))?
                .read()
                .map(Self::Start),
            "dtmf" => object(rare.dtmf, Field::new("dtmf", "dtmf"))?.read(),
            "mark" => {
                let body = object(rare.mark, Field::new("mark", "mark"))?;
                let name = string(body.name, Field::new("mark", "mark.name"))?;
                Ok(Self::Mark { name })
            }
            "stop" => {
                let sids = match rare.stop {
                    Found::Object(body) => (body.account_sid, body.call_sid),
                    _ => (Found::Missing, Found::Missing),
                };
                let account_sid = sids.0.as_text().and_then(|sid| sid.parse().ok());
                let call_sid = sids.1.as_text().and_then(|sid| sid.parse().ok());
                Ok(Self::Stop {
                    account_sid,
                    call_sid,
                })
            }
            _ => Ok(Self::Unknown { event }),
        }
    }
}

/// The text as one JSON object and nothing else.
fn top_level<'a, T: Deserialize<'a>>(text: &'a str) -> Result<T, ParseError> {
    match serde_json::from_str(text) {
        Ok(Found::Object(object)) => Ok(object),
        Ok(other) => Err(ParseError::NotAMessage {
            detail: other.describe(),
        }),
        Err(error) if error.is_data() => Err(ParseError::NotAMessage {
            detail: error.to_string(),
        }),
        Err(error) => Err(ParseError::NotJson {
            detail: error.to_string(),
        }),
    }
}
