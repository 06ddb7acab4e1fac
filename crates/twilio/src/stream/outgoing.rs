//! What Twilio is sent on a bidirectional stream: `media`, `mark` and `clear`.
//!
//! Twilio drops a message with an unexpected key, a missing one or another stream's sid, and
//! warns with 31951; so the writers add nothing and the reader accepts nothing more.

use std::borrow::Cow;

use serde::Deserialize;

use super::json::{Found, Quoted, push};
use super::{Payload, push_base64};
use crate::StreamSid;

/// A message to Twilio, borrowing from the text it was parsed from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outgoing<'a> {
    /// Audio of any length, to be played after what was sent before.
    Media {
        /// On which stream.
        stream_sid: Cow<'a, str>,
        /// The audio.
        payload: Payload<'a>,
    },
    /// A point in the audio, returned when playback comes to it.
    Mark {
        /// On which stream.
        stream_sid: Cow<'a, str>,
        /// Its name; need not be unique.
        name: Cow<'a, str>,
    },
    /// Drops the audio not yet played and returns all marks.
    Clear {
        /// On which stream.
        stream_sid: Cow<'a, str>,
    },
}

/// A message Twilio would not take: warning 31951.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("Twilio drops this message with warning 31951: {reason}")]
pub struct InvalidMessage {
    reason: String,
}

impl<'a> Outgoing<'a> {
    /// Reads one text frame as strictly as Twilio: exactly the keys of its event, no other.
    ///
    /// Whether the sid is that of the stream is for the caller to compare.
    pub fn parse(text: &'a str) -> Result<Self, InvalidMessage> {
        let message: Message<'a> = match serde_json::from_str(text) {
            Ok(Found::Object(message)) => message,
            Ok(other) => return Err(invalid(format!("{}, not an object", other.describe()))),
            Err(error) => return Err(invalid(error.to_string())),
        };
        let stream_sid = string(message.stream_sid, "streamSid")?;
        match (
            &*string(message.event, "event")?,
            message.media,
            message.mark,
        ) {
            ("media", Found::Object(media), Found::Missing) => {
                let payload = Payload(string(media.payload, "media.payload")?);
                Ok(Self::Media {
                    stream_sid,
                    payload,
                })
            }
            ("mark", Found::Missing, Found::Object(mark)) => Ok(Self::Mark {
                stream_sid,
                name: string(mark.name, "mark.name")?,
            }),
            ("clear", Found::Missing, Found::Missing) => Ok(Self::Clear { stream_sid }),
            (event @ ("media" | "mark" | "clear"), media, mark) => Err(invalid(format!(
                "event {event} with `media` {} and `mark` {}",
                media.describe(),
                mark.describe()
            ))),
            (event, ..) => Err(invalid(format!("unknown event {}", Quoted(event)))),
        }
    }

    /// The stream the message names.
    pub fn stream_sid(&self) -> &str {
        match self {
            Self::Media { stream_sid, .. }
            | Self::Mark { stream_sid, .. }
            | Self::Clear { stream_sid } => stream_sid,
        }
    }
}

/// Appends a `media` message. Allocates only when `out` has no room.
pub fn write_media(out: &mut String, stream_sid: &StreamSid, audio: &[u8]) {
    push(
        out,
        format_args!(r#"{{"event":"media","streamSid":"{stream_sid}","media":{{"payload":""#),
    );
    push_base64(out, audio);
    out.push_str(r#""}}"#);
}

/// Appends a `mark` message.
pub fn write_mark(out: &mut String, stream_sid: &StreamSid, name: &str) {
    let name = Quoted(name);
    push(
        out,
        format_args!(r#"{{"event":"mark","streamSid":"{stream_sid}","mark":{{"name":{name}}}}}"#),
    );
}

/// Appends a `clear` message.
pub fn write_clear(out: &mut String, stream_sid: &StreamSid) {
    push(
        out,
        format_args!(r#"{{"event":"clear","streamSid":"{stream_sid}"}}"#),
    );
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Message<'a> {
    #[serde(borrow, default)]
    event: Found<'a>,
    #[serde(borrow, default)]
    stream_sid: Found<'a>,
    #[serde(borrow, default)]
    media: Found<'a, MediaBody<'a>>,
    #[serde(borrow, default)]
    mark: Found<'a, MarkBody<'a>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MediaBody<'a> {
    #[serde(borrow, default)]
    payload: Found<'a>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MarkBody<'a> {
    #[serde(borrow, default)]
    name: Found<'a>,
}

fn string<'a>(found: Found<'a>, key: &str) -> Result<Cow<'a, str>, InvalidMessage> {
    match found {
        Found::Text(text) => Ok(text),
        other => Err(invalid(format!(
            "`{key}` is {}, expected a string",
            other.describe()
        ))),
    }
}

fn invalid(reason: String) -> InvalidMessage {
    InvalidMessage { reason }
}
