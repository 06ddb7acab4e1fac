//! What the link is told of its call, and what comes out.

use std::time::Duration;

use bytes::Bytes;

/// What the link needs to know of its call.
#[derive(Clone, Copy, Debug)]
pub struct Config {
    /// 1 or 2.
    pub channels: usize,
    /// Whether Deepgram was asked for interims (decides how long silence of results is a stall).
    pub interim_results: bool,
    /// Audio kept for replay, at most.
    pub replay_window: Duration,
    /// How fast kept audio is sent again, as a multiple of real time; less than 1 counts as 1.
    pub replay_rate: f64,
    /// Seed of the retry jitter.
    pub seed: u64,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Output {
    /// Open a connection and report `Opened`, `Refused` or `Closed` with this generation.
    Connect {
        /// The new connection's number, counting from 1.
        generation: u32,
    },
    /// Send a binary frame of interleaved audio.
    SendAudio {
        /// Which connection.
        generation: u32,
        /// At most 250 ms.
        audio: Bytes,
    },
    /// Send a text frame.
    SendText {
        /// Which connection.
        generation: u32,
        /// `KeepAlive` or `CloseStream` as JSON.
        text: &'static str,
    },
    /// Send a WebSocket ping.
    Ping {
        /// Which connection.
        generation: u32,
    },
    /// Drop this connection now; nothing it still says counts.
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
    /// A connection is open (the first one, or again).
    Connected {
        /// Deepgram's request id.
        request_id: Option<String>,
        /// `None` when nothing went wrong before; else what the outage cost.
        recovered: Option<Recovered>,
    },
    /// The connection was lost or could not be made; another try follows.
    Disconnected {
        /// For people.
        reason: String,
        /// How many tries have failed in a row, from 1.
        attempt: u32,
        /// Of the connection that was lost.
        request_id: Option<String>,
    },
    /// Deepgram will not take this call (bad key, no credit …); tried again every 30 s.
    Failed {
        /// The HTTP status.
        status: u16,
        /// Deepgram's own words.
        words: String,
    },
    /// An interim or a final with words.
    Transcript(Transcript),
    /// A final without words: it moves the boundary, and an interim it covers is void.
    EmptyFinal {
        /// Which channel.
        channel: usize,
        /// Up to where nothing more will be heard, in samples.
        end: u64,
    },
    /// What the last interim told is heard no longer, or its connection is gone: it is void. What
    /// was really said is told again when it is heard again.
    InterimWithdrawn {
        /// Which channel.
        channel: usize,
    },
    /// `SpeechStarted`.
    SpeechStarted {
        /// Which channel.
        channel: usize,
        /// Where, in samples.
        at: u64,
    },
    /// `UtteranceEnd`.
    UtteranceEnded {
        /// Which channel.
        channel: usize,
        /// End of the last word, in samples.
        at: u64,
    },
    /// A message of Deepgram for `/client`: byte for byte on the first connection, with times
    /// shifted to source time (seconds) and repeated words taken out on later ones.
    Message {
        /// The JSON text.
        text: String,
    },
    /// Audio that Deepgram could have heard is lost.
    Gap {
        /// Which channel.
        channel: usize,
        /// Where it begins, in samples.
        at: u64,
        /// How long, in samples.
        duration: u64,
    },
    /// Deepgram complained (`Error`, `Warning`) in words.
    Warned {
        /// Its words.
        detail: String,
    },
    /// All is sent and heard (or the wait for it is over): the link is closed. The last event.
    Finished,
}

/// What Deepgram heard on one channel.
#[derive(Clone, PartialEq)]
pub struct Transcript {
    /// Deepgram's channel index.
    pub channel: usize,
    /// Whether this will not change any more.
    pub is_final: bool,
    /// Whether endpointing saw the end of the utterance.
    pub speech_final: bool,
    /// Where the window begins, in samples.
    pub start: u64,
    /// Where it ends, in samples.
    pub end: u64,
    /// The text; never empty in an event.
    pub text: String,
    /// 0 to 1.
    pub confidence: f64,
    /// Its words.
    pub words: Vec<Word>,
}

/// A word with its source positions.
#[derive(Clone, PartialEq)]
pub struct Word {
    /// The bare word.
    pub word: String,
    /// The word as it reads in the text, punctuated.
    pub text: String,
    /// Where it begins, in samples.
    pub start: u64,
    /// Where it ends, in samples.
    pub end: u64,
    /// 0 to 1.
    pub confidence: f64,
    /// With diarization: which speaker.
    pub speaker: Option<u32>,
}

/// What a reconnect cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Recovered {
    /// How much audio is sent again.
    pub replayed: Duration,
    /// From the loss to the new connection.
    pub outage: Duration,
}
