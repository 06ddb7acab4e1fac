//! What the engine is told.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use sidetone_audio::Track;
use sidetone_deepgram::agent::settings::Settings;
use sidetone_twilio::{AccountSid, CallSid, StreamSid};

use super::Builtin;
use crate::event::{Call, EndReason};

/// What the engine is told about the call before its first stream.
#[derive(Clone, Debug)]
pub struct Setup {
    /// Which call.
    pub call_sid: CallSid,
    /// Its profile's name.
    pub profile: String,
    /// The call as it ended, when this is a call that is reopened.
    pub former: Option<Box<Call>>,
    /// Hear it? `None`: no listen link.
    pub listen: Option<Listen>,
    /// What its first stream is greeted with, when it is bidirectional and there is no agent.
    pub greeting: Option<Speech>,
    /// Who talks on its bidirectional streams.
    pub agent: Option<Agent>,
    /// The limits that concern a call.
    pub limits: Limits,
    /// Seed of all that is random.
    pub seed: u64,
}

/// How a call is heard.
#[derive(Clone, Debug)]
pub struct Listen {
    /// Between two sends of audio, 20 to 500 ms.
    pub flush: Duration,
    /// Whether interims were asked for.
    pub interim_results: bool,
    /// How a stream of two tracks is shared among links.
    pub links: Links,
}

/// How the tracks of a stream are shared among listen links.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Links {
    /// One link hears all tracks: one connection, of which each track is a channel.
    #[default]
    Stereo,
    /// Each track has a link of its own: a mono connection, channel 0.
    PerTrack,
}

/// Who talks with the caller.
#[derive(Clone, Debug)]
pub struct Agent {
    /// What Deepgram is to be told, with all texts rendered and all functions in it.
    pub settings: Settings,
    /// How the functions are answered that Deepgram does not call itself, by name.
    pub functions: BTreeMap<String, Function>,
    /// Whether the agent is told of the keys that the caller presses.
    pub tells_dtmf: bool,
    /// Whether [`Next::FallBack`](super::Next::FallBack) connects the call with somebody else.
    pub fallback_transfers: bool,
}

/// How a function is answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Function {
    /// By the call itself.
    Builtin(Builtin),
    /// By a webhook, which [`Output::CallFunction`](super::Output::CallFunction) asks for.
    Webhook,
}

/// What came of [`Output::CallFunction`](super::Output::CallFunction).
#[derive(Clone, PartialEq, Eq)]
pub enum FunctionOutcome {
    /// The webhook's answer, for the model.
    Ok(String),
    /// What went wrong, in words for the model and for people.
    Failed(String),
}

/// It holds what is told of people, so its `Debug` does not show that.
impl fmt::Debug for FunctionOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Ok(_) => "Ok",
            Self::Failed(_) => "Failed",
        })
    }
}

/// The limits that concern a call.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// A stream of which nothing was heard, not even a pong, is dead after this.
    pub idle_timeout: Duration,
    /// Audio kept for replay.
    pub replay_window: Duration,
    /// Speed of replay and of the backlog at the end, as a multiple of real time.
    pub replay_rate: f64,
}

/// A stream that has said `start`.
#[derive(Clone)]
pub struct StreamStart {
    /// Which stream.
    pub stream_sid: StreamSid,
    /// Whose.
    pub account_sid: AccountSid,
    /// Its tracks, at least one.
    pub tracks: Vec<Track>,
    /// Whether audio can be sent back.
    pub bidirectional: bool,
    /// Caller, from the webhook or the stream's parameters.
    pub from: Option<String>,
    /// Called.
    pub to: Option<String>,
    /// `inbound`, `outbound-api`.
    pub direction: Option<String>,
    /// Parameters less Sidetone's own.
    pub parameters: BTreeMap<String, String>,
}

impl fmt::Debug for StreamStart {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StreamStart")
            .field("stream_sid", &self.stream_sid)
            .field("account_sid", &self.account_sid)
            .field("tracks", &self.tracks)
            .field("bidirectional", &self.bidirectional)
            .finish_non_exhaustive()
    }
}

/// Names a stream inside its call's engine: the n-th that started.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct StreamKey(pub u32);

/// How a stream ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StreamEnd {
    /// Twilio's `stop` message.
    Stop,
    /// Its socket closed or broke.
    Disconnected,
    /// Sidetone closed it for a protocol fault.
    Refused,
}

impl StreamEnd {
    /// Why the call ends when this was its last stream.
    pub(super) const fn reason(self) -> EndReason {
        match self {
            Self::Stop => EndReason::Stop,
            Self::Disconnected => EndReason::Disconnected,
            Self::Refused => EndReason::Error,
        }
    }
}

/// Something that is to be said into the call.
#[derive(Clone, PartialEq, Eq)]
pub struct Speech {
    /// Names it in events.
    pub id: String,
    /// What.
    pub text: String,
    /// The voice, when it is not the profile's; an agent has its own.
    pub model: Option<String>,
    /// Whether it is said at once, instead of all that is being said or waits.
    pub interrupt: bool,
    /// Whether its audio may be kept for other calls: of a text of the configuration.
    pub keep: bool,
    /// Whether the call is hung up when it was heard; not by an agent.
    pub then_hang_up: bool,
}

/// It holds what is said to people, so its `Debug` does not show that.
impl fmt::Debug for Speech {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speech")
            .field("id", &self.id)
            .finish_non_exhaustive()
    }
}

/// Why something is not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum NotSaid {
    /// There is no stream to say it into.
    #[error("the call has no bidirectional stream")]
    NotBidirectional,
    /// There is nothing to say.
    #[error("the text is empty")]
    Empty,
    /// Too much waits already.
    #[error("100 texts wait to be said already")]
    TooMany,
    /// Only an agent can be told this.
    #[error("the call has no agent")]
    NoAgent,
    /// Its agent is lost.
    #[error("the call's agent is lost")]
    AgentLost,
}

/// What came of [`Output::Fetch`](super::Output::Fetch).
#[derive(Clone, Copy)]
pub enum Fetched<'a> {
    /// Mu-law audio, in order.
    Audio(&'a [u8]),
    /// That was all.
    End,
    /// It failed, or broke off: for people.
    Failed(&'a str),
}
