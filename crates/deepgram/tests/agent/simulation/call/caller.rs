//! The caller: what they say, and what of it Deepgram hears.

use std::ops::Range;
use std::time::Duration;

use sidetone_audio::{Audio, Block, ulaw};

use crate::rig::ms;
use crate::simulation::dice::Dice;
use crate::simulation::server::Session;

/// Somebody who says one thing after another, each sample of it another code.
#[derive(Default)]
pub(super) struct Caller {
    /// Samples that were said, pauses aside, and of those the ones that Deepgram heard.
    said: u64,
    heard: u64,
    utterances: Vec<Range<u64>>,
    /// Where the session that runs began to hear; `None` as long as it has heard nothing.
    heard_from: Option<u64>,
    /// What such a session has heard of which it is not known yet where it belongs.
    unplaced: Vec<u8>,
    /// Up to where there is a text, or an answer.
    settled: u64,
    is_being_answered: bool,
    /// Utterances that the session that runs was let notice, by number.
    noticed: usize,
    /// Where the newest deaf session was when it became so.
    deaf_from: u64,
    /// How long nobody heard anything before the session that runs.
    outage: Duration,
}

impl Caller {
    /// What is said or not said next, and for how long that takes.
    pub(super) fn speak(&mut self, dice: &mut Dice) -> (Block, Duration) {
        let samples = dice.pick(&[160, 160, 160, 240, 320, 480, 90, 801]);
        if self.is_silent() && dice.percent(3) {
            self.utterances
                .push(self.said..self.said + dice.between(1_000, 24_000));
        }
        let mut codes = vec![ulaw::SILENCE; samples as usize];
        if !self.is_silent() {
            for silence in &mut codes {
                *silence = code(self.said);
                self.said += 1;
                if self.is_silent() {
                    break;
                }
            }
        }
        let block = Block {
            samples: samples as u32,
            audio: Audio::Samples(codes.into()),
        };
        let is_away = self.is_silent() && dice.percent(1);
        let away = if is_away { dice.between(100, 5_000) } else { 0 };
        (block, ms(samples / 8 + away))
    }

    /// Another session begins after so long.
    pub(super) fn meets_another(&mut self, outage: Duration) {
        self.heard_from = None;
        self.unplaced.clear();
        self.is_being_answered = false;
        self.noticed = 0;
        self.outage = outage;
    }

    /// Deepgram is sent this. Whether a session hears by it what another one had heard.
    pub(super) fn is_heard(&mut self, audio: &[u8], session: &mut Session) -> bool {
        let heard: Vec<u8> = audio
            .iter()
            .copied()
            .filter(|code| !ulaw::is_silence(*code))
            .collect();
        if heard.is_empty() {
            return false;
        }
        let before = self.heard;
        let mut is_replay = false;
        self.unplaced.extend(heard);
        if self.heard_from.is_none() {
            let Some(from) = self.place() else {
                return false;
            };
            (self.heard_from, self.heard) = (Some(from), from);
            is_replay = from < before;
        }
        for heard in std::mem::take(&mut self.unplaced) {
            assert_eq!(heard, code(self.heard), "in order and whole");
            self.heard += 1;
        }
        self.tell(session);
        is_replay
    }

    /// Where a session begins to hear: where there is neither text nor answer. Of what was said for
    /// so long that it is not kept whole, somewhere later, as soon as that can be made out.
    fn place(&self) -> Option<u64> {
        // With the pauses between.
        let is_kept_whole = self.heard - self.settled < 14_000 && self.outage < ms(19_000);
        if is_kept_whole {
            return Some(self.settled);
        }
        let is_there = |at: &u64| {
            (*at..)
                .zip(&self.unplaced)
                .all(|(at, heard)| code(at) == *heard)
        };
        let found = || (self.settled..=self.heard).find(is_there);
        let from = (self.unplaced.len() >= 64).then(found)?;
        Some(from.expect("it was said, and has neither text nor answer"))
    }

    /// What was sent so far has a text.
    pub(super) fn is_understood(&mut self) {
        self.settled = self.heard;
    }

    /// The agent says something that is heard.
    pub(super) fn is_answered(&mut self) {
        if !std::mem::replace(&mut self.is_being_answered, true) {
            self.settled = self.heard;
        }
    }

    /// Whether an answer has begun to come.
    pub(super) fn is_being_answered(&self) -> bool {
        self.is_being_answered
    }

    /// The agent has finished, or is interrupted.
    pub(super) fn answer_ended(&mut self) {
        self.is_being_answered = false;
    }

    /// From now on Deepgram says nothing.
    pub(super) fn meets_deafness(&mut self) {
        self.deaf_from = self.heard;
    }

    /// Whether a session that said nothing all the while has heard enough to be asked for a sign.
    pub(super) fn has_spoken_to_the_deaf(&self) -> bool {
        self.heard >= self.deaf_from + 8_000
    }

    /// How many samples were said and not sent.
    pub(super) fn unsent(&self) -> u64 {
        self.said - self.heard
    }

    fn is_silent(&self) -> bool {
        self.utterances
            .last()
            .is_none_or(|last| last.end <= self.said)
    }

    /// Lets the session notice what it has heard the beginning of, and what it has heard whole.
    fn tell(&mut self, session: &mut Session) {
        let from = self.heard_from.unwrap_or(self.heard);
        let first = self
            .utterances
            .partition_point(|samples| samples.start < from);
        let first = self.noticed.max(first);
        let unnoticed = self.utterances.iter().skip(first);
        let noticed = |samples: &&Range<u64>| samples.start + NOTICED <= self.heard;
        let noticed = first + unnoticed.take_while(noticed).count();
        (first..noticed).for_each(|utterance| session.begins(utterance));
        self.noticed = noticed;
        session.heard(
            self.utterances
                .partition_point(|samples| samples.end <= self.heard),
        );
    }
}

/// 100 ms.
const NOTICED: u64 = 800;

/// The code that the caller says at a place: never soft, and rarely that of a place nearby.
fn code(at: u64) -> u8 {
    let mixed = at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    ((mixed ^ (mixed >> 29)).wrapping_mul(0xBF58_476D_1CE4_E5B9) >> 59) as u8
}
