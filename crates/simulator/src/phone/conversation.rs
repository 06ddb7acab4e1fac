//! Who says what, one turn after the other.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::Bytes;

use super::attention::Attention;
use super::line::{FRAME, Frame};
use super::{Party, Turn};
use crate::voice::{SpokenWord, speak};

/// Whether the callee can be heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Callee {
    /// Is not on the phone and will not be.
    Absent,
    /// May still come to the phone.
    Expected,
    /// Is on the phone.
    Present,
}

/// A turn that is being said.
#[derive(Debug)]
struct Speaking {
    party: Party,
    voicing: Voicing,
    /// What the other party's voice has at the same time.
    meanwhile: Option<Voicing>,
}

impl Speaking {
    fn of(turn: Turn, at: u64) -> Self {
        Self {
            party: turn.party,
            meanwhile: turn.meanwhile.map(|rest| Voicing::play(rest, at)),
            voicing: match turn.audio {
                Some(rest) => Voicing::play(rest, at),
                None => Voicing::speak(&turn.text, at),
            },
        }
    }

    fn is_over(&self) -> bool {
        self.voicing.is_over() && self.meanwhile.as_ref().is_none_or(Voicing::is_over)
    }
}

/// The turns of a call: each is said when its time has come and its party is on the phone; what is
/// thrown in, when its cue has come.
#[derive(Debug)]
pub(super) struct Conversation {
    turns: VecDeque<Turn>,
    attention: Attention,
    speaking: Option<Speaking>,
    /// Since the last turn ended, or since the conversation began.
    silence: Duration,
}

impl Conversation {
    pub(super) fn new(turns: Vec<Turn>, attention: Attention) -> Self {
        Self {
            turns: turns.into(),
            attention,
            speaking: None,
            silence: Duration::ZERO,
        }
    }

    /// Speaks for 20 ms into the frame of whoever speaks. `at` is the position of these frames,
    /// `ended` gets the words whose last sample is in them.
    pub(super) fn advance(
        &mut self,
        at: u64,
        callee: Callee,
        inbound: &mut Frame,
        outbound: &mut Frame,
        ended: &mut Vec<(Party, SpokenWord)>,
    ) {
        if self.speaking.is_none() {
            let next = self.attention.interjection();
            let next = next.or_else(|| self.next_turn(callee));
            self.speaking = next.map(|turn| Speaking::of(turn, at));
        }
        let Some(speaking) = &mut self.speaking else {
            self.silence += FRAME;
            return;
        };
        let party = speaking.party;
        let (frame, other) = match party {
            Party::Caller => (inbound, outbound),
            Party::Callee => (outbound, inbound),
        };
        speaking
            .voicing
            .fill(frame, |word| ended.push((party, word)));
        if let Some(meanwhile) = &mut speaking.meanwhile {
            // A recording, of which no words are known.
            meanwhile.fill(other, |_| {});
        }
        if speaking.is_over() {
            if party == Party::Caller {
                self.attention.caller_spoke();
            }
            self.speaking = None;
            self.silence = Duration::ZERO;
        }
    }

    /// What the caller hears and makes of it.
    pub(super) fn attention(&mut self) -> &mut Attention {
        &mut self.attention
    }

    fn next_turn(&mut self, callee: Callee) -> Option<Turn> {
        self.turns.pop_front_if(|turn| {
            let may_begin = match (turn.party, &turn.meanwhile) {
                (Party::Caller, None) => !self.attention.is_others_turn(self.silence),
                // A recording of both waits for the callee, if one is to come.
                (Party::Caller, Some(_)) => callee != Callee::Expected,
                (Party::Callee, _) => callee == Callee::Present,
            };
            may_begin && self.silence >= turn.pause
        })
    }

    /// Further turns, after those there are.
    pub(super) fn add(&mut self, turns: Vec<Turn>) {
        self.turns.extend(turns);
    }

    /// The callee is not on the phone any more, not even in the middle of a word.
    pub(super) fn drop_callee(&mut self) {
        self.speaking
            .take_if(|speaking| speaking.party == Party::Callee);
    }

    /// Whether nothing will be said any more, if the callee stays where it is.
    pub(super) fn is_over(&self, callee: Callee) -> bool {
        self.speaking.is_none()
            && self
                .turns
                .front()
                .is_none_or(|turn| turn.party == Party::Callee && callee == Callee::Absent)
    }

    pub(super) fn is_speaking(&self) -> bool {
        self.speaking.is_some()
    }

    /// Whether the caller, who has nothing more to say, leaves the word to the other side.
    pub(super) fn is_others_turn(&self) -> bool {
        self.attention.is_others_turn(self.silence)
    }

    /// How long the caller, who has nothing more to say, waits for the other side.
    pub(super) fn waits_for(&self) -> Duration {
        self.attention.waits_for()
    }

    /// Turns not begun, and what was to be thrown in and was not.
    pub(super) fn left(&self) -> [usize; 2] {
        [self.turns.len(), self.attention.interjections_left()]
    }
}

/// Audio that is being said, and where its words stand on the line.
#[derive(Debug)]
pub(super) struct Voicing {
    rest: Bytes,
    /// Position of the first sample of `rest`.
    at: u64,
    /// The words not yet ended, by position.
    words: VecDeque<SpokenWord>,
}

impl Voicing {
    /// Plays a recording, from position `at`.
    pub(super) fn play(rest: Bytes, at: u64) -> Self {
        Self {
            rest,
            at,
            words: VecDeque::new(),
        }
    }

    /// Speaks a text, from position `at`.
    pub(super) fn speak(text: &str, at: u64) -> Self {
        let speech = speak(text);
        let placed = |word: SpokenWord| SpokenWord {
            start: at + word.start,
            end: at + word.end,
            ..word
        };
        Self {
            rest: speech.ulaw.into(),
            at,
            words: speech.words.into_iter().map(placed).collect(),
        }
    }

    /// Says the next samples at the beginning of `frame`, and tells the words that end in it.
    pub(super) fn fill(&mut self, frame: &mut Frame, mut ended: impl FnMut(SpokenWord)) {
        let said = self.rest.split_to(self.rest.len().min(frame.len()));
        frame[..said.len()].copy_from_slice(&said);
        self.at += said.len() as u64;
        while let Some(word) = self.words.pop_front_if(|word| word.end <= self.at) {
            ended(word);
        }
    }

    pub(super) fn is_over(&self) -> bool {
        self.rest.is_empty()
    }
}
