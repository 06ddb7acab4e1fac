//! Calls: placing one, asking after it, giving it something else to do, ending it; and streams
//! that listen to it.

use serde::{Deserialize, Deserializer};

use super::{Request, VERSION_PATH, known};
use crate::form::{CallStatus, Direction, Form};
use crate::twiml::{CallEvent, Method, Parameter, Response, StreamTrack};
use crate::{AccountSid, CallSid, StreamSid};

/// A call to be placed.
#[derive(Clone, PartialEq, Eq)]
pub struct NewCall {
    /// Who is called, E.164.
    pub to: String,
    /// The number they see: one of the account's, or one that was verified.
    pub from: String,
    /// The voice webhook, asked by POST once the call is answered.
    pub url: String,
    /// Who is told, by POST, when the call is placed, rings, is answered and is over.
    pub status_callback: String,
    /// How long it may ring, at most 600; 60 by default.
    pub timeout_secs: Option<u32>,
    /// Whether it is found out if a machine answered.
    pub machine_detection: Option<MachineDetection>,
}

/// Finding out whether a person or a machine answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MachineDetection {
    /// What is waited for.
    pub mode: DetectionMode,
    /// Who is told, by POST, who answered. Without it the voice webhook is, but is asked only when
    /// that is known, seconds after the answer.
    pub status_callback: Option<String>,
}

/// How far the detection goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DetectionMode {
    /// It tells as soon as it knows.
    Enable,
    /// Of a machine it tells when its greeting is over and a message can be left.
    DetectMessageEnd,
}

impl DetectionMode {
    const fn name(self) -> &'static str {
        match self {
            Self::Enable => "Enable",
            Self::DetectMessageEnd => "DetectMessageEnd",
        }
    }
}

/// A unidirectional stream to be started on a call.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewStream {
    /// Where to, `wss`, without a query.
    pub url: String,
    /// What callbacks call it, and what it is stopped by.
    pub name: String,
    /// Which tracks.
    pub track: StreamTrack,
    /// Who is told, by POST, that it started, stopped or failed.
    pub status_callback: String,
    /// What its `start` message carries, at most 99.
    pub parameters: Vec<Parameter>,
}

/// A call as Twilio knows it. It runs a little behind: callbacks tell sooner.
#[derive(Clone, PartialEq, Eq, Deserialize)]
pub struct Call {
    /// Which.
    pub sid: CallSid,
    /// Where it is.
    #[serde(deserialize_with = "status")]
    pub status: CallStatus,
    /// The caller.
    #[serde(default, deserialize_with = "known")]
    pub from: Option<String>,
    /// The called.
    #[serde(default, deserialize_with = "known")]
    pub to: Option<String>,
    /// Which way it was set up.
    #[serde(default, deserialize_with = "direction")]
    pub direction: Option<Direction>,
}

/// A stream that was started or stopped over the API.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct CallStream {
    /// Which.
    pub sid: StreamSid,
    /// `in-progress` or `stopped`.
    pub status: String,
}

/// A document that is too long to be sent with a request.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the TwiML has {found} characters, at most {} can be sent",
    TwimlTooLong::MAX_CHARS
)]
pub struct TwimlTooLong {
    /// Its characters.
    pub found: usize,
}

impl TwimlTooLong {
    /// The most characters that Twilio takes with a request.
    pub const MAX_CHARS: usize = 4000;
}

impl Request<Call> {
    /// Places a call. Sent twice, it places two.
    pub fn create_call(account: &AccountSid, call: &NewCall) -> Self {
        let mut form = Form::default();
        form.push("To", &call.to);
        form.push("From", &call.from);
        form.push("Url", &call.url);
        form.push("Method", Method::Post.name());
        form.push("StatusCallback", &call.status_callback);
        form.push("StatusCallbackMethod", Method::Post.name());
        for event in [
            CallEvent::Initiated,
            CallEvent::Ringing,
            CallEvent::Answered,
            CallEvent::Completed,
        ] {
            form.push("StatusCallbackEvent", event.name());
        }
        if let Some(secs) = call.timeout_secs {
            form.push("Timeout", secs.to_string());
        }
        if let Some(detection) = &call.machine_detection {
            detection.push_to(&mut form);
        }
        Self::post_once(format!("{}.json", calls_path(account)), form)
    }

    /// Fetches a call.
    pub fn call(account: &AccountSid, call: &CallSid) -> Self {
        Self::get(call_path(account, call))
    }

    /// Ends a call, whether it is in progress, rings or is still to be placed.
    pub fn hang_up(account: &AccountSid, call: &CallSid) -> Self {
        let mut form = Form::default();
        form.push("Status", CallStatus::Completed.name());
        Self::post(call_path(account, call), form)
    }

    /// Has a call in progress go on with another document.
    ///
    /// What it is at is abandoned: a bidirectional stream stops, a leg that was dialled is
    /// dropped; streams that only listen go on. Sent twice, the document begins anew.
    ///
    /// # Errors
    /// When the document is too long.
    pub fn redirect(
        account: &AccountSid,
        call: &CallSid,
        document: &Response,
    ) -> Result<Self, TwimlTooLong> {
        let twiml = document.to_xml();
        let found = twiml.chars().count();
        if found > TwimlTooLong::MAX_CHARS {
            return Err(TwimlTooLong { found });
        }
        let mut form = Form::default();
        form.push("Twiml", twiml);
        Ok(Self::post_once(call_path(account, call), form))
    }
}

impl Request<CallStream> {
    /// Starts a stream that listens to a call in progress. Sent twice, it starts two.
    pub fn create_stream(account: &AccountSid, call: &CallSid, stream: &NewStream) -> Self {
        let mut form = Form::default();
        form.push("Url", &stream.url);
        form.push("Name", &stream.name);
        form.push("Track", stream.track.name());
        form.push("StatusCallback", &stream.status_callback);
        form.push("StatusCallbackMethod", Method::Post.name());
        for (number, parameter) in (1..).zip(&stream.parameters) {
            let Parameter { name, value } = parameter;
            form.push(format!("Parameter{number}.Name"), name);
            form.push(format!("Parameter{number}.Value"), value);
        }
        Self::post_once(streams_path(account, call, ""), form)
    }

    /// Stops a stream that listens to a call, which is given by its sid or its name.
    pub fn stop_stream(account: &AccountSid, call: &CallSid, stream: &str) -> Self {
        let mut form = Form::default();
        form.push("Status", "stopped");
        Self::post(streams_path(account, call, &format!("/{stream}")), form)
    }
}

fn calls_path(account: &AccountSid) -> String {
    format!("{VERSION_PATH}/Accounts/{account}/Calls")
}

fn call_path(account: &AccountSid, call: &CallSid) -> String {
    format!("{}/{call}.json", calls_path(account))
}

fn streams_path(account: &AccountSid, call: &CallSid, stream: &str) -> String {
    format!("{}/{call}/Streams{stream}.json", calls_path(account))
}

impl MachineDetection {
    fn push_to(&self, form: &mut Form) {
        form.push("MachineDetection", self.mode.name());
        if let Some(url) = &self.status_callback {
            form.push("AsyncAmd", "true");
            form.push("AsyncAmdStatusCallback", url);
            form.push("AsyncAmdStatusCallbackMethod", Method::Post.name());
        }
    }
}

/// Numbers are people's data and are not shown.
impl std::fmt::Debug for NewCall {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("NewCall")
            .field("url", &self.url)
            .field("status_callback", &self.status_callback)
            .field("timeout_secs", &self.timeout_secs)
            .field("machine_detection", &self.machine_detection)
            .finish_non_exhaustive()
    }
}

/// Numbers are people's data and are not shown.
impl std::fmt::Debug for Call {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Call")
            .field("sid", &self.sid)
            .field("status", &self.status)
            .field("direction", &self.direction)
            .finish_non_exhaustive()
    }
}

fn status<'de, D: Deserializer<'de>>(deserializer: D) -> Result<CallStatus, D::Error> {
    let name = String::deserialize(deserializer)?;
    Ok(CallStatus::from_name(&name))
}

fn direction<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Direction>, D::Error> {
    let name = known(deserializer)?;
    Ok(name.as_deref().map(Direction::from_name))
}

#[cfg(test)]
mod tests;
