//! One utterance of a playout.

use super::pauses::Pauses;
use super::script::Script;
use super::{FRAME, Output, Utterance};

/// An utterance. Positions are those of the clock.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) utterance: Utterance,
    /// Position of its first sample.
    pub(super) start: u64,
    /// Samples received.
    pub(super) received: u64,
    /// Position of the end of its last frame; `None` while it is open.
    pub(super) end: Option<u64>,
    pub(super) is_started: bool,
    /// Whether it broke off before all of its text was said.
    pub(super) is_broken: bool,
    script: Script,
    pauses: Pauses,
}

impl Entry {
    /// One that has no audio yet.
    pub(super) fn new(utterance: Utterance, start: u64) -> Self {
        Self {
            utterance,
            start,
            received: 0,
            end: None,
            is_started: false,
            is_broken: false,
            script: Script::default(),
            pauses: Pauses::default(),
        }
    }

    /// The text of what is received next; returns the position of that.
    pub(super) fn say(&mut self, text: &str) -> u64 {
        self.script.push(self.received, text);
        self.start + self.received
    }

    pub(super) fn receive(&mut self, audio: &[u8]) {
        self.received += audio.len() as u64;
        self.pauses.push(audio);
    }

    /// The next place after `sent` that deserves a mark: a text's beginning, or the end.
    pub(super) fn next_boundary(&self, sent: u64) -> Option<u64> {
        let text = self
            .script
            .next_beginning(sent.saturating_sub(self.start))
            .map(|beginning| self.start + beginning.next_multiple_of(FRAME as u64));
        text.into_iter()
            .chain(self.end)
            .filter(|boundary| *boundary > sent)
            .min()
    }

    /// How much of it was heard, in samples, when playing has come to `position`.
    pub(super) fn heard(&self, position: u64) -> u64 {
        position.saturating_sub(self.start).min(self.received)
    }

    pub(super) fn heard_text(&self, heard: u64) -> &str {
        let is_complete = self.end.is_some() && !self.is_broken;
        self.script
            .heard(heard, self.received, is_complete, &self.pauses)
    }

    /// How it ends when all that there is of it was played.
    pub(super) fn finished(&self) -> Output {
        if self.is_broken {
            return self.interrupted(self.received);
        }
        Output::Finished {
            utterance: self.utterance,
            heard: self.received,
        }
    }

    /// How it ends when playing ends at `position`.
    pub(super) fn settled(&self, position: u64) -> Output {
        if self.end.is_some_and(|end| end <= position) {
            return self.finished();
        }
        self.interrupted(self.heard(position))
    }

    fn interrupted(&self, heard: u64) -> Output {
        Output::Interrupted {
            utterance: self.utterance,
            heard,
            text: self.heard_text(heard).to_owned(),
            discarded: self.received - heard,
        }
    }
}
