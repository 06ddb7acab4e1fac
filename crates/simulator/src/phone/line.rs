//! The telephone line of a call: what is on it in each 20 ms, in either direction.

use std::time::Duration;

use sidetone_audio::SAMPLES_PER_MS;
use sidetone_audio::ulaw::SILENCE;

use super::conversation::{Callee, Conversation, Voicing};
use super::playback::Playback;
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
    /// Whether the caller has begun to listen and to talk.
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
    /// How long nobody has said anything.
    silence: Duration,
}

impl Line {
    pub(super) fn new(turns: Vec<Turn>) -> Self {
        Self {
            position: 0,
            conversation: Conversation::new(turns),
            open: false,
            held: false,
            announcement: None,
            inbound: [SILENCE; FRAME_SAMPLES],
            outbound: [SILENCE; FRAME_SAMPLES],
            ended: Vec::new(),
            ear: Ear::default(),
            made_out: Vec::new(),
            silence: Duration::ZERO,
        }
    }

    /// The conversation may begin. Once it has, it goes on whatever becomes of the streams.
    pub(super) fn open(&mut self) {
        self.open = true;
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
    pub(super) fn advance(&mut self, callee: Callee, playback: Option<&mut Playback>) {
        self.inbound.fill(SILENCE);
        self.outbound.fill(SILENCE);
        self.ended.clear();
        let mut is_silent = true;
        if self.open && (!self.held || self.conversation.is_speaking()) {
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
        if let Some(playback) = playback.filter(|playback| playback.is_playing()) {
            is_silent = false;
            playback.fill(&mut self.outbound);
        }
        self.ear.hear(&self.outbound, &mut self.made_out);
        self.position += FRAME_SAMPLES as u64;
        self.silence = if is_silent {
            self.silence + FRAME
        } else {
            Duration::ZERO
        };
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
        self.made_out.drain(..).filter_map(|heard| match heard {
            Heard::Word(word) => Some(word),
            Heard::Begun { .. } | Heard::Broken { .. } => None,
        })
    }

    /// Whether the caller has nothing more to wait for: all is said, if the callee stays where it
    /// is, and both sides were silent for `linger`.
    pub(super) fn is_over(&self, callee: Callee, linger: Duration) -> bool {
        self.all_said(callee) && self.silence >= linger
    }

    /// Whether the conversation has begun and is over, if the callee stays where it is.
    pub(super) fn all_said(&self, callee: Callee) -> bool {
        self.open && self.conversation.is_over(callee)
    }

    /// Turns not begun.
    pub(super) fn turns_left(&self) -> usize {
        self.conversation.turns_left()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::speak;

    /// Moves the line on by `frames`, and gives what was on it and which words ended.
    fn advance(line: &mut Line, callee: Callee, frames: usize) -> [Vec<u8>; 2] {
        let mut audio = [Vec::new(), Vec::new()];
        for _ in 0..frames {
            line.advance(callee, None);
            audio[0].extend(line.frame(Party::Caller));
            audio[1].extend(line.frame(Party::Callee));
        }
        audio
    }

    fn is_silent(audio: &[u8]) -> bool {
        audio.iter().all(|sample| *sample == SILENCE)
    }

    #[test]
    fn nobody_speaks_before_the_line_is_open() {
        let mut line = Line::new(vec![Turn::say(Party::Caller, "Hello")]);
        let [inbound, outbound] = advance(&mut line, Callee::Present, 100);
        assert!(is_silent(&inbound) && is_silent(&outbound));
    }

    #[test]
    fn a_turn_begins_its_pause_after_the_former_one_ended() {
        let first = Turn {
            pause: Duration::ZERO,
            ..Turn::say(Party::Caller, "Hello")
        };
        let second = Turn {
            pause: Duration::from_millis(100),
            ..first.clone()
        };
        let mut line = Line::new(vec![first, second]);
        line.open();
        let [inbound, _] = advance(&mut line, Callee::Absent, 200);

        let hello = speak("Hello").ulaw;
        assert_eq!(inbound[..hello.len()], hello);
        let frames_of_first = hello.len().div_ceil(FRAME_SAMPLES);
        let second_at = (frames_of_first + 5) * FRAME_SAMPLES;
        assert!(is_silent(&inbound[hello.len()..second_at]));
        assert_eq!(inbound[second_at..second_at + hello.len()], hello);
        assert!(is_silent(&inbound[second_at + hello.len()..]));
    }

    #[test]
    fn the_callee_speaks_once_answered_and_the_caller_waits_for_that() {
        let mut line = Line::new(vec![
            Turn::say(Party::Callee, "Hello"),
            Turn::say(Party::Caller, "Hello"),
        ]);
        line.open();
        let [inbound, outbound] = advance(&mut line, Callee::Expected, 100);
        assert!(is_silent(&inbound) && is_silent(&outbound));
        assert!(!line.all_said(Callee::Expected));
        let [inbound, outbound] = advance(&mut line, Callee::Present, 200);
        assert_eq!(outbound[..8_000], *{
            let mut said = speak("Hello").ulaw;
            said.resize(8_000, SILENCE);
            said
        });
        assert!(!is_silent(&inbound));
        assert!(line.all_said(Callee::Present));
    }

    #[test]
    fn who_waits_for_a_callee_that_never_comes_hangs_up() {
        let mut line = Line::new(vec![Turn::say(Party::Callee, "Hello")]);
        line.open();
        advance(&mut line, Callee::Absent, 50);
        assert!(line.is_over(Callee::Absent, Duration::from_secs(1)));
        assert!(!line.is_over(Callee::Absent, Duration::from_secs(2)));
        assert_eq!(line.turns_left(), 1);
    }

    #[test]
    fn the_words_that_ended_are_told_with_their_place_on_the_line() {
        let mut line = Line::new(vec![Turn::say(Party::Caller, "Good morning")]);
        advance(&mut line, Callee::Absent, 3);
        line.open();
        let mut ended = Vec::new();
        let mut inbound = vec![SILENCE; 3 * FRAME_SAMPLES];
        for _ in 0..150 {
            line.advance(Callee::Absent, None);
            inbound.extend(line.frame(Party::Caller));
            ended.extend(line.ended().iter().map(|(_, word)| word.clone()));
            assert!(ended.last().is_none_or(|word| word.end <= line.position()));
        }
        let mut heard = Vec::new();
        Ear::default().hear(&inbound, &mut heard);
        heard.retain(|heard| matches!(heard, Heard::Word(_)));
        assert_eq!(
            heard,
            ended.into_iter().map(Heard::Word).collect::<Vec<_>>()
        );
        assert_eq!(heard.len(), 2);
    }

    #[test]
    fn an_announcement_is_heard_by_the_caller() {
        let mut line = Line::new(Vec::new());
        line.announce("Good morning");
        advance(&mut line, Callee::Absent, 150);
        assert!(!line.is_announcing());
        let heard: Vec<String> = line.take_heard().map(|word| word.word).collect();
        assert_eq!(heard, ["good", "morning"]);
    }
}
