//! How the caller follows what the other side of a bidirectional stream says: whose turn it is,
//! and whether the cue to interrupt has come.

use std::collections::VecDeque;
use std::time::Duration;

use super::{Interjection, Party, Turn};

/// How long the caller waits for a greeting.
const GREETED_WITHIN: Duration = Duration::from_secs(2);

/// How long the caller waits for an answer of somebody who is known to speak.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);

/// What the other side does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Other {
    /// No stream is there on which it could speak.
    Absent,
    /// Has not begun, or has finished.
    Silent,
    /// Speaks, or makes a pause in it.
    Speaking,
}

/// The caller's attention to the other side.
#[derive(Debug)]
pub(super) struct Attention {
    takes_turns: bool,
    interjections: VecDeque<Interjection>,
    other: Other,
    /// Whether the other side has spoken at all.
    is_known_to_speak: bool,
    /// Whether it has begun to speak since the caller last did.
    has_answered: bool,
    /// The words heard since then, lower case and bare.
    heard: Vec<String>,
}

impl Attention {
    pub(super) fn new(interjections: Vec<Interjection>, takes_turns: bool) -> Self {
        Self {
            takes_turns,
            interjections: interjections.into(),
            other: Other::Absent,
            is_known_to_speak: false,
            has_answered: false,
            heard: Vec::new(),
        }
    }

    pub(super) fn notice(&mut self, other: Other) {
        if other == Other::Speaking && self.other != Other::Speaking {
            self.is_known_to_speak = true;
            self.has_answered = true;
        }
        self.other = other;
    }

    /// The caller has heard a word.
    pub(super) fn hear(&mut self, word: &str) {
        self.heard.push(word.to_owned());
    }

    /// The caller has said something.
    pub(super) fn caller_spoke(&mut self) {
        self.has_answered = false;
        self.heard.clear();
    }

    /// What the caller throws in now, if its cue has come.
    pub(super) fn interjection(&mut self) -> Option<Turn> {
        let cued = self
            .interjections
            .pop_front_if(|interjection| interjection.after.has_come(&self.heard));
        cued.map(|interjection| Turn::say(Party::Caller, interjection.say))
    }

    /// Whether the caller, who last spoke so long ago, leaves the word to the other side.
    pub(super) fn is_others_turn(&self, silence: Duration) -> bool {
        if !self.takes_turns {
            return false;
        }
        let patience = if self.is_known_to_speak {
            ANSWERED_WITHIN
        } else {
            GREETED_WITHIN
        };
        match self.other {
            Other::Absent => false,
            Other::Silent => !self.has_answered && silence < patience,
            Other::Speaking => true,
        }
    }

    /// How long the caller who has nothing more to say waits for what the other side says.
    pub(super) fn waits_for(&self) -> Duration {
        let may_be_answered = self.takes_turns && self.is_known_to_speak && !self.has_answered;
        if self.other != Other::Absent && (may_be_answered || !self.interjections.is_empty()) {
            ANSWERED_WITHIN
        } else {
            Duration::ZERO
        }
    }

    /// Interjections whose cue has not come.
    pub(super) fn interjections_left(&self) -> usize {
        self.interjections.len()
    }
}
