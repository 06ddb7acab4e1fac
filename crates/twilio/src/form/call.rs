//! Call status callbacks.

use jiff::Timestamp;
use jiff::fmt::rfc2822;
use jiff::tz::TimeZone;

use super::{Form, FormError, VoiceRequest};

/// Where a call is: queued, initiated, ringing, in progress, then one of the ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CallStatus {
    /// Waiting to be placed.
    Queued,
    /// Placed. In callbacks only.
    Initiated,
    /// The other end rings.
    Ringing,
    /// Answered.
    InProgress,
    /// Was answered and is over.
    Completed,
    /// The other end is busy.
    Busy,
    /// Could not be placed.
    Failed,
    /// The other end did not answer.
    NoAnswer,
    /// Ended by us before it was answered.
    Canceled,
    /// A name that is not known here.
    Unknown(String),
}

impl CallStatus {
    /// Reads Twilio's name, as in `in-progress`.
    pub fn from_name(name: &str) -> Self {
        match name {
            "queued" => Self::Queued,
            "initiated" => Self::Initiated,
            "ringing" => Self::Ringing,
            "in-progress" => Self::InProgress,
            "completed" => Self::Completed,
            "busy" => Self::Busy,
            "failed" => Self::Failed,
            "no-answer" => Self::NoAnswer,
            "canceled" => Self::Canceled,
            other => Self::Unknown(other.into()),
        }
    }

    /// Twilio's name, as in `in-progress`.
    pub fn name(&self) -> &str {
        match self {
            Self::Queued => "queued",
            Self::Initiated => "initiated",
            Self::Ringing => "ringing",
            Self::InProgress => "in-progress",
            Self::Completed => "completed",
            Self::Busy => "busy",
            Self::Failed => "failed",
            Self::NoAnswer => "no-answer",
            Self::Canceled => "canceled",
            Self::Unknown(name) => name,
        }
    }

    /// Whether the call is over.
    pub fn is_final(&self) -> bool {
        match self {
            Self::Completed | Self::Busy | Self::Failed | Self::NoAnswer | Self::Canceled => true,
            Self::Queued
            | Self::Initiated
            | Self::Ringing
            | Self::InProgress
            | Self::Unknown(_) => false,
        }
    }
}

/// Twilio tells that a call's status changed. Order of arrival is not order of change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CallProgress {
    /// The call with its new status, as in a voice webhook.
    pub call: VoiceRequest,
    /// Counts the callbacks of the call from 0, in order of change.
    pub sequence_number: Option<u64>,
    /// When it changed, to the second.
    pub timestamp: Option<Timestamp>,
    /// How long the call was answered; when it is over.
    pub duration_secs: Option<u64>,
    /// What the network answered, as in 200, 404, 486; when it is over.
    pub sip_response_code: Option<u16>,
}

impl CallProgress {
    /// Reads a callback. Only the call's sid and its status must be there.
    pub fn from_form(form: &Form) -> Result<Self, FormError> {
        let call = VoiceRequest::from_form(form)?;
        let field = "CallStatus";
        form.value(field).ok_or(FormError::Missing { field })?;
        let timestamp = form
            .value("Timestamp")
            .and_then(|text| rfc2822::parse(text).ok());
        Ok(Self {
            call,
            sequence_number: form.hint("SequenceNumber"),
            timestamp: timestamp.map(|zoned| zoned.timestamp()),
            duration_secs: form.hint("CallDuration"),
            sip_response_code: form.hint("SipResponseCode"),
        })
    }

    /// Writes a callback: the fields of a voice webhook and its own.
    pub fn to_form(&self) -> Form {
        let mut form = self.call.to_form();
        form.push("CallbackSource", "call-progress-events");
        if let Some(number) = self.sequence_number {
            form.push("SequenceNumber", number.to_string());
        }
        if let Some(text) = self.timestamp.and_then(rfc2822_text) {
            form.push("Timestamp", text);
        }
        if let Some(secs) = self.duration_secs {
            form.push("CallDuration", secs.to_string());
            // Billed minutes.
            form.push("Duration", secs.div_ceil(60).to_string());
        }
        if let Some(code) = self.sip_response_code {
            form.push("SipResponseCode", code.to_string());
        }
        form
    }
}

/// `None` for years RFC 2822 cannot write.
fn rfc2822_text(timestamp: Timestamp) -> Option<String> {
    rfc2822::to_string(&timestamp.to_zoned(TimeZone::UTC)).ok()
}
