//! What the engine wants done.

use std::fmt;

use bytes::Bytes;
use sidetone_audio::Track;

use super::StreamKey;
use crate::event::{EventData, VolatileData};

/// What is to be done.
#[derive(Debug)]
pub enum Output {
    /// Open a connection to Deepgram.
    Connect {
        /// For which link.
        link: LinkKey,
        /// The connection's number.
        generation: u32,
        /// How many channels it hears; the rest of the query is the profile's.
        channels: usize,
    },
    /// Send a binary frame to Deepgram.
    SendAudio {
        /// Which link.
        link: LinkKey,
        /// Which connection.
        generation: u32,
        /// The frame.
        audio: Bytes,
    },
    /// Send a text frame to Deepgram.
    SendText {
        /// Which link.
        link: LinkKey,
        /// Which connection.
        generation: u32,
        /// The message.
        text: &'static str,
    },
    /// Ping Deepgram.
    PingLink {
        /// Which link.
        link: LinkKey,
        /// Which connection.
        generation: u32,
    },
    /// Drop a connection to Deepgram.
    CloseLink {
        /// Which link.
        link: LinkKey,
        /// Which connection.
        generation: u32,
    },
    /// Ask Deepgram to speak, and tell what comes of it by
    /// [`Engine::handle_fetched`](super::Engine::handle_fetched).
    Fetch {
        /// Which request.
        fetch: FetchKey,
        /// What to speak: no more than Deepgram takes at once.
        text: ProviderText,
        /// The voice, when it is not the profile's.
        model: Option<String>,
        /// Whether the audio may be kept for other calls.
        keep: bool,
    },
    /// What was asked for is not wanted any more.
    DropFetch(FetchKey),
    /// Open a connection to Deepgram's voice agent.
    ConnectAgent {
        /// The connection's number.
        generation: u32,
    },
    /// Send a text frame to the agent.
    SendAgentText {
        /// On which connection.
        generation: u32,
        /// The message.
        text: ProviderText,
    },
    /// Send the caller's audio to the agent.
    SendAgentAudio {
        /// On which connection.
        generation: u32,
        /// Mu-law.
        audio: Bytes,
    },
    /// Ping the agent.
    PingAgent {
        /// On which connection.
        generation: u32,
    },
    /// Close a connection to the agent, with 1000.
    CloseAgent {
        /// Which connection.
        generation: u32,
    },
    /// Ask a webhook what the agent wants to know, and tell what comes of it by
    /// [`Engine::handle_function`](super::Engine::handle_function).
    CallFunction {
        /// Which request.
        function: FunctionKey,
        /// Deepgram's id of it.
        id: String,
        /// The name of the function.
        name: String,
        /// JSON; not checked against the function's schema.
        arguments: ProviderText,
    },
    /// What was asked of a webhook is not wanted any more.
    DropFunction(FunctionKey),
    /// What Twilio is to be told when it asks what comes after the stream. The stream's
    /// [`CloseStream`](Self::CloseStream) follows.
    Next(Next),
    /// Send audio on a bidirectional stream.
    Play {
        /// Which stream.
        stream: StreamKey,
        /// Mu-law, whole frames.
        audio: Bytes,
    },
    /// Send a mark.
    Mark {
        /// On which stream.
        stream: StreamKey,
        /// Its name.
        name: String,
    },
    /// Send a clear, before anything else.
    Clear(StreamKey),
    /// Ping Twilio on a stream that is silent.
    PingStream(StreamKey),
    /// Close a stream's socket. The engine has done with the stream.
    CloseStream {
        /// Which stream.
        stream: StreamKey,
        /// WebSocket close code.
        code: u16,
        /// Why.
        reason: &'static str,
    },
    /// Write a durable event. [`Engine::call`](super::Engine::call) is the call as of this event,
    /// as long as it is asked before the next `handle_*`.
    Event(EventData),
    /// Show this: of its kind, the newest counts.
    Show(VolatileData),
    /// What was shown as this track's interim holds no longer.
    WithdrawInterim(Track),
    /// A text message of Deepgram for `/client`, times in call time after the first connection.
    Message(ProviderText),
    /// A fact for the log and the metrics.
    Note(Note),
    /// The call is over: `call.ended` was the last event. The last output.
    Ended,
}

/// Names a listen link inside its call's engine: the n-th that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct LinkKey(pub u32);

/// Names a request for speech inside its call's engine: the n-th that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FetchKey(pub u32);

/// Names a request to a webhook inside its call's engine: the n-th that was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct FunctionKey(pub u32);

/// What Twilio is to do with a call once its bidirectional stream has ended.
#[derive(Clone, PartialEq, Eq)]
pub enum Next {
    /// End it.
    HangUp,
    /// Connect it with this number, E.164.
    Dial(String),
    /// Press these keys, then open the same stream again.
    Press(String),
    /// What the profile provides for an agent that is lost.
    FallBack,
}

/// Numbers and keys are people's data and are not shown.
impl fmt::Debug for Next {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::HangUp => "HangUp",
            Self::Dial(_) => "Dial",
            Self::Press(_) => "Press",
            Self::FallBack => "FallBack",
        })
    }
}

/// A text of or for the provider. It holds what people said, so its `Debug` does not show it.
#[derive(Clone, PartialEq, Eq)]
pub struct ProviderText(pub String);

impl fmt::Debug for ProviderText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.0.len())
    }
}

/// Facts for the log line and the metrics that are not events.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A connection to Deepgram is being made.
    LinkConnecting,
    /// It is open.
    LinkConnected {
        /// Deepgram's id.
        request_id: Option<String>,
    },
    /// The first audio of a track.
    FirstAudio(Track),
    /// 5 s without audio on a track that had some.
    NoAudio(Track),
    /// 10 s of speech on a track without any message of Deepgram.
    NoResult,
    /// The agent sent messages of a kind that Sidetone does not know. Told once for each kind.
    UnknownAgentMessage {
        /// Its `type`.
        kind: String,
    },
}

/// What the closing log line of a call says. Of a call that was reopened, it tells what happened
/// since.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Summary {
    /// Words of all finals and of what was heard of an agent; of the caller's turns, too, where no
    /// finals tell them.
    pub words: u64,
    /// Audio that reached Sidetone and not Deepgram (0 is the promise).
    pub lost_ms: u64,
    /// Connections made after an outage.
    pub reconnects: u32,
    /// Audio sent again.
    pub replayed_ms: u64,
    /// Median of the finals' latency.
    pub latency_p50_ms: Option<u64>,
    /// The latency that 99 of 100 finals do not exceed.
    pub latency_p99_ms: Option<u64>,
}
