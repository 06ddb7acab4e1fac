//! The telephone line of a call: what is on it in each 20 ms, in either direction.

use std::time::Duration;

use sidetone_audio::SAMPLES_PER_MS;
use sidetone_audio::ulaw::SILENCE;

use super::attention::{Attention, Other};
use super::conversation::{Callee, Conversation, Voicing};
use super::playback::Playback;
use super::stretch::{Stretch, Stretches};
use super::{Party, Turn};
use crate::voice::{Ear, Heard, SpokenWord};

/// Samples in a frame.
pub(super) const FRAME_SAMPLES: usize = 160;

/// How long a frame is.
pub(super) const FRAME: Duration = Duration::from_millis(20);

/// 20 ms of mu-law.
pub(super) type Frame = [u8; FRAME_SAMPLES];

/// A length of time in samples.
pub(super) fn samples(duration: Duration) -> u64 {
    let ms = u64::try_from(duration.as_millis()).unwrap_or(u64::MAX);
    ms.saturating_mul(SAMPLES_PER_MS)
}

/// Both directions of a call, 20 ms at a time. Positions are samples since the line was made.
#[derive(Debug)]
pub(super) struct Line {
    position: u64,
    conversation: Conversation,
    /// Whether the people have somebody to talk to. What is being said is said to its end even so.
    open: bool,
    /// Whether nobody begins to talk for the moment.
    held: bool,
    /// What `<Say>` says.
    announcement: Option<Voicing>,
    inbound: Frame,
    outbound: Frame,
    /// The words whose last sample is in the current frames.
    ended: Vec<(Party, SpokenWord)>,
    ear: Ear,
    made_out: Vec<Heard>,
    heard: Vec<SpokenWord>,
    stretches: Stretches,
    /// How long nobody has said anything.
    silence: Duration,
}

impl Line {
    pub(super) fn new(turns: Vec<Turn>, attention: Attention) -> Self {
        Self {
            position: 0,
            conversation: Conversation::new(turns, attention),
            open: false,
            held: false,
            announcement: None,
            inbound: [SILENCE; FRAME_SAMPLES],
            outbound: [SILENCE; FRAME_SAMPLES],
            ended: Vec::new(),
            ear: Ear::default(),
            made_out: Vec::new(),
            heard: Vec::new(),
            stretches: Stretches::default(),
            silence: Duration::ZERO,
        }
    }

    /// The conversation may begin, or go on, until a bidirectional stream
    /// [ends](Self::end_playback).
    pub(super) fn open(&mut self) {
        if !self.open {
            self.open = true;
            self.stir();
        }
    }

    /// Nobody begins to talk until the line is [`release`](Self::release)d.
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// The conversation goes on.
    pub(super) fn release(&mut self) {
        self.held = false;
    }

    pub(super) fn is_speaking(&self) -> bool {
        self.conversation.is_speaking() || self.is_announcing()
    }

    pub(super) fn announce(&mut self, text: &str) {
        self.announcement = Some(Voicing::speak(text, self.position));
        self.stir();
    }

    /// Plays a recording to the caller.
    pub(super) fn play(&mut self, ulaw: Vec<u8>) {
        self.announcement = Some(Voicing::play(ulaw.into(), self.position));
        self.stir();
    }

    /// Breaks off what is announced.
    pub(super) fn hush(&mut self) {
        self.announcement = None;
    }

    /// The callee has more to say.
    pub(super) fn add_turns(&mut self, turns: Vec<Turn>) {
        self.conversation.add(turns);
    }

    /// The callee is cut off.
    pub(super) fn drop_callee(&mut self) {
        self.conversation.drop_callee();
    }

    pub(super) fn is_announcing(&self) -> bool {
        self.announcement.is_some()
    }

    /// Something happened that counts as much as speech: silence begins anew.
    pub(super) fn stir(&mut self) {
        self.silence = Duration::ZERO;
    }

    /// Moves on by 20 ms. `playback` is that of the bidirectional stream, if there is one.
    pub(super) fn advance(&mut self, callee: Callee, mut playback: Option<&mut Playback>) {
        self.inbound.fill(SILENCE);
        self.outbound.fill(SILENCE);
        self.ended.clear();
        let other = match &mut playback {
            None => Other::Absent,
            Some(playback) => self.other(playback),
        };
        self.conversation.attention().notice(other);
        let mut is_silent = true;
        if (self.open && !self.held) || self.conversation.is_speaking() {
            let Self {
                conversation,
                inbound,
                outbound,
                ended,
                ..
            } = self;
            conversation.advance(self.position, callee, inbound, outbound, ended);
            is_silent = ended.is_empty() && !conversation.is_speaking();
        }
        if let Some(announcement) = &mut self.announcement {
            is_silent = false;
            announcement.fill(&mut self.outbound, |word| {
                self.ended.push((Party::Callee, word));
            });
            self.announcement
                .take_if(|announcement| announcement.is_over());
        }
        if let Some(playback) = playback {
            is_silent &= !playback.is_playing();
            self.play_back(playback);
        }
        self.listen();
        self.position += FRAME_SAMPLES as u64;
        self.silence = if is_silent {
            self.silence + FRAME
        } else {
            Duration::ZERO
        };
    }

    /// What the other side does on the stream that has this to play.
    fn other(&mut self, playback: &mut Playback) -> Other {
        self.hear_clear(playback);
        if self.stretches.is_speaking() {
            Other::Speaking
        } else {
            Other::Silent
        }
    }

    /// Plays what a bidirectional stream has to play, if there is something.
    fn play_back(&mut self, playback: &mut Playback) {
        let before = playback.played();
        if playback.is_playing() {
            playback.fill(&mut self.outbound);
        }
        self.stretches
            .advance(self.position, playback.played() - before);
        playback
            .take_ahead()
            .for_each(|ahead| self.stretches.arrive(ahead));
    }

    fn hear_clear(&mut self, playback: &mut Playback) {
        if let Some(clear) = playback.take_clear() {
            self.stretches.clear(self.position, clear);
        }
    }

    /// Makes out the words on the outbound track.
    fn listen(&mut self) {
        self.ear.hear(&self.outbound, &mut self.made_out);
        for heard in self.made_out.drain(..) {
            if let Heard::Word(word) = heard {
                self.conversation.attention().hear(&word.word);
                self.stretches.hear(&word);
                self.heard.push(word);
            }
        }
    }

    /// The bidirectional stream is over, and this was left of what it had to play. Whoever was
    /// there is gone: the conversation waits until the line is [open](Self::open) again.
    pub(super) fn end_playback(&mut self, playback: &mut Playback) {
        self.open = false;
        self.hear_clear(playback);
        self.stretches.close();
        self.conversation.attention().notice(Other::Absent);
    }

    /// Where the next frames begin.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// What is on the line of `party`'s voice now.
    pub(super) fn frame(&self, party: Party) -> &Frame {
        match party {
            Party::Caller => &self.inbound,
            Party::Callee => &self.outbound,
        }
    }

    /// The words whose last sample is in the current frames.
    pub(super) fn ended(&self) -> &[(Party, SpokenWord)] {
        &self.ended
    }

    /// Takes the words the caller has heard whole.
    pub(super) fn take_heard(&mut self) -> impl Iterator<Item = SpokenWord> + '_ {
        self.heard.drain(..)
    }

    /// Takes the stretches that are over of what bidirectional streams let the caller hear.
    pub(super) fn take_stretches(&mut self) -> impl Iterator<Item = Stretch> + '_ {
        self.stretches.take()
    }

    /// Whether the caller has nothing more to wait for: all is said, if the callee stays where it
    /// is, and both sides were silent for `linger`, or as long as an answer is waited for.
    pub(super) fn is_over(&self, callee: Callee, linger: Duration) -> bool {
        self.all_said(callee) && self.silence >= linger.max(self.conversation.waits_for())
    }

    /// Whether the caller, who has said all, leaves the word to the other side.
    pub(super) fn is_others_turn(&self) -> bool {
        self.conversation.is_others_turn()
    }

    /// Whether there is somebody to talk to and the conversation is over, if the callee stays where
    /// it is.
    pub(super) fn all_said(&self, callee: Callee) -> bool {
        self.open && self.conversation.is_over(callee)
    }

    /// Turns not begun, and what was to be thrown in and was not.
    pub(super) fn left(&self) -> [usize; 2] {
        self.conversation.left()
    }
}

#[cfg(test)]
mod tests;
