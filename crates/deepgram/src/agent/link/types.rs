//! What the link is told of its call, and what comes out.

use std::time::Duration;

use bytes::Bytes;

use crate::agent::message::{FunctionCall, Role};
use crate::agent::settings::Settings;

/// What the link needs to know of its call.
#[derive(Clone, Debug)]
pub struct Config {
    /// What the sessions are to be, with all texts rendered.
    pub settings: Settings,
    /// Words by which a session is found in Deepgram's own logs, beside those of the settings.
    pub tags: Vec<String>,
    /// Seed of the retry jitter.
    pub seed: u64,
}

/// Something that the agent is to say, or that it is to hear without anyone having said it.
#[derive(Clone, PartialEq, Eq)]
pub struct Injection {
    /// The caller's name for it: comes back in [`Event::AgentSaid`] or
    /// [`Event::InjectionRefused`].
    pub id: u32,
    /// Who is to say it.
    pub role: Role,
    /// The text.
    pub content: String,
    /// Whether it cuts in on what the agent is saying; else it comes after that. Of the
    /// assistant's only.
    pub interrupt: bool,
}

/// What is to be done.
#[derive(Clone, PartialEq)]
pub enum Output {
    /// Open a connection and report `Opened`, `Refused` or `Closed` with this generation.
    Connect {
        /// The new connection's number, counting from 1.
        generation: u32,
    },
    /// Send a text frame.
    SendText {
        /// Which connection.
        generation: u32,
        /// JSON. It may hold what people said, and what endpoints are to be told in secret.
        text: String,
    },
    /// Send a binary frame: the caller speaks.
    SendAudio {
        /// Which connection.
        generation: u32,
        /// mu-law, 160 to 800 bytes.
        audio: Bytes,
    },
    /// Send a WebSocket ping.
    Ping {
        /// Which connection.
        generation: u32,
    },
    /// Close this connection with 1000, or give up making it; nothing it still says counts.
    Close {
        /// Which connection.
        generation: u32,
    },
    /// Something the call should know.
    Event(Event),
}

/// What the call should know.
#[derive(Clone, PartialEq)]
pub enum Event {
    /// A session runs: the first one, the next one before the old one ended of age, or again.
    Ready {
        /// Deepgram's id of the session.
        request_id: Option<String>,
        /// When the session before it was lost, or could not be made.
        recovered: Option<Recovered>,
    },
    /// The session was lost or could not be made; another try follows.
    Disconnected {
        /// For people.
        reason: String,
        /// How many tries have failed in a row, from 1.
        attempt: u32,
        /// Of the session that was lost.
        request_id: Option<String>,
    },
    /// There is no agent any more, and there will be none. The last event.
    Lost {
        /// For people: Deepgram's own words when there are some.
        reason: String,
    },
    /// The caller speaks: what the agent says is void, at once.
    UserStartedSpeaking,
    /// What the caller said.
    UserSaid {
        /// The text.
        text: String,
    },
    /// The model is at work.
    Thinking,
    /// What the agent is about to say: mostly a sentence.
    AgentSaid {
        /// Names it in [`AgentLink::heard`](super::AgentLink::heard).
        said: Said,
        /// The text.
        text: String,
        /// The injected message that it is, or is a part of.
        injection: Option<u32>,
    },
    /// What the agent says; of an answer that was interrupted, nothing.
    Audio(Bytes),
    /// All of an answer has come.
    AudioDone,
    /// What is known by now of how long this answer took.
    Latencies(Latencies),
    /// The model calls functions of our side: each is to be answered by
    /// [`AgentLink::respond`](super::AgentLink::respond).
    FunctionsRequested(Vec<FunctionCall>),
    /// Requests that were told are revoked, by id.
    FunctionsCancelled(Vec<String>),
    /// An injected message will not be said.
    InjectionRefused {
        /// Which.
        id: u32,
        /// Deepgram's own words.
        words: String,
    },
    /// Deepgram complained; the session goes on.
    Warning {
        /// In capitals.
        code: String,
        /// Deepgram's own words.
        description: String,
    },
    /// A message that this version does not know; each kind is told once.
    Unknown {
        /// Its `type`.
        kind: String,
    },
}

/// Names a text of the agent. They count up as the texts come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Said(pub(super) u32);

/// What a reconnect cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// From the loss of one session to the next one.
    pub outage: Duration,
    /// The caller's audio that the lost session had been sent and the next one is sent again.
    pub replayed: Duration,
}

/// How long the agent took to answer; what Deepgram did not tell is `None`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Latencies {
    /// From the end of the caller's turn to the first audio.
    pub total: Option<Duration>,
    /// Of it, text to speech.
    pub tts: Option<Duration>,
    /// Of it, text to text: the model.
    pub ttt: Option<Duration>,
}
