//! Status callbacks of streams.

use jiff::Timestamp;

use super::{Form, FormError};
use crate::{AccountSid, CallSid, StreamSid};

/// Twilio tells that a stream started, stopped or failed.
///
/// It may come after the first media of a stream that started, and before or after the socket of
/// one that stopped is closed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StreamStatus {
    /// Whose.
    pub account_sid: Option<AccountSid>,
    /// The call.
    pub call_sid: CallSid,
    /// The stream.
    pub stream_sid: StreamSid,
    /// The `name` of its `<Stream>`; Twilio puts the sid for a stream without one.
    pub stream_name: Option<String>,
    /// What happened.
    pub event: StreamEvent,
    /// When.
    pub timestamp: Option<Timestamp>,
}

/// What happened to a stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StreamEvent {
    /// Its socket is open.
    Started,
    /// It is over.
    Stopped,
    /// It could not be opened, or broke.
    Error {
        /// Twilio's words, which may be empty.
        message: String,
    },
    /// A name that is not known here.
    Unknown(String),
}

impl StreamEvent {
    /// Twilio's name, as in `stream-started`.
    pub fn name(&self) -> &str {
        match self {
            Self::Started => "stream-started",
            Self::Stopped => "stream-stopped",
            Self::Error { .. } => "stream-error",
            Self::Unknown(name) => name,
        }
    }
}

impl StreamStatus {
    /// Reads a callback. Call, stream and event must be there.
    pub fn from_form(form: &Form) -> Result<Self, FormError> {
        let field = "StreamEvent";
        let event = match form.value(field).ok_or(FormError::Missing { field })? {
            "stream-started" => StreamEvent::Started,
            "stream-stopped" => StreamEvent::Stopped,
            "stream-error" => StreamEvent::Error {
                message: form.text("StreamError").unwrap_or_default(),
            },
            other => StreamEvent::Unknown(other.into()),
        };
        Ok(Self {
            account_sid: form.hint("AccountSid"),
            call_sid: form.sid("CallSid")?,
            stream_sid: form.sid("StreamSid")?,
            stream_name: form.text("StreamName"),
            event,
            timestamp: form.hint("Timestamp"),
        })
    }

    /// Writes a callback. A stream without a name gets its sid as one; times have nanoseconds.
    pub fn to_form(&self) -> Form {
        let mut form = Form::default();
        form.push(
            "AccountSid",
            self.account_sid.as_ref().map_or("", AccountSid::as_str),
        );
        form.push("CallSid", self.call_sid.as_str());
        form.push("StreamSid", self.stream_sid.as_str());
        form.push(
            "StreamName",
            self.stream_name
                .as_deref()
                .unwrap_or(self.stream_sid.as_str()),
        );
        form.push("StreamEvent", self.event.name());
        if let StreamEvent::Error { message } = &self.event {
            form.push("StreamError", message);
        }
        if let Some(timestamp) = self.timestamp {
            form.push("Timestamp", format!("{timestamp:.9}"));
        }
        form
    }
}
