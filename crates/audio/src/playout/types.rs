//! What a playout tells.

use bytes::Bytes;

/// Names an utterance: one thing that is said from its beginning to its end, or until it is
/// interrupted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Utterance(pub(super) u32);

/// What is to be done, or what has come to be known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Output {
    /// Send this audio: whole frames, 20 to 100 ms.
    Media(Bytes),
    /// Send a mark of this name, and tell its echo to [`Playout::handle_echo`](super::Playout::handle_echo).
    Mark(String),
    /// Send a clear.
    Clear,
    /// The first audio of an utterance was sent.
    Started {
        /// Which.
        utterance: Utterance,
    },
    /// An utterance was heard to its end.
    Finished {
        /// Which.
        utterance: Utterance,
        /// Its length, in samples; 0 for one that had no audio.
        heard: u64,
    },
    /// An utterance was cut short, be it before it was begun, or broke off.
    Interrupted {
        /// Which.
        utterance: Utterance,
        /// How much of it was heard, in samples.
        heard: u64,
        /// What was heard of its text, to the nearest word.
        text: String,
        /// How much audio of it was received and not heard, in samples.
        discarded: u64,
    },
}

/// What has been heard of the utterance that is being played.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Heard<'a> {
    /// Which.
    pub utterance: Utterance,
    /// How much of its audio, in samples.
    pub samples: u64,
    /// How much of its text, to the nearest word.
    pub text: &'a str,
}

/// More audio waits to be sent than is kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("four minutes of audio wait to be said already")]
pub struct Full;
