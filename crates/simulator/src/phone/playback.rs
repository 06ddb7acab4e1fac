//! What a bidirectional stream plays into the call.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;
use sidetone_audio::SAMPLES_PER_MS;
use sidetone_audio::ulaw::SILENCE;

use super::line::Frame;

/// The queue of audio and marks that Twilio keeps for a bidirectional stream.
///
/// Audio is played at 8000 samples a second in the order it came; a mark comes back when all audio
/// sent before it was played, at once when there is none; a clear throws the audio away and
/// returns every mark, as if it had been played.
#[derive(Debug, Default)]
pub(super) struct Playback {
    audio: VecDeque<u8>,
    /// Marks and the count of samples after which each is due.
    marks: VecDeque<(u64, String)>,
    /// Samples received and not cleared.
    received: u64,
    /// Samples played.
    played: u64,
    /// How long before its playing each message came that was not told yet.
    ahead: Vec<Duration>,
    /// The clear that came last and was not told yet.
    clear: Option<Clear>,
}

/// A clear, and what it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Clear {
    /// When it came.
    pub(super) at: Timestamp,
    /// Samples thrown away.
    pub(super) discarded: u64,
}

/// The queue is full: Twilio's own bound is not known, this one keeps memory bounded.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("too much waits to be played already")]
pub(super) struct QueueFull;

impl Playback {
    /// Ten minutes.
    const MAX_SAMPLES: usize = 10 * 60 * 8_000;
    const MAX_MARKS: usize = 10_000;
    /// In 20 ms; more are not told.
    const MAX_ARRIVALS: usize = 100;

    /// Audio came, so long before the next 20 ms are played.
    pub(super) fn push_audio(
        &mut self,
        ulaw: &[u8],
        until_next: Duration,
    ) -> Result<(), QueueFull> {
        let waiting = self.audio.len();
        if waiting + ulaw.len() > Self::MAX_SAMPLES {
            return Err(QueueFull);
        }
        if self.ahead.len() < Self::MAX_ARRIVALS {
            let waiting_ms = waiting as u64 / SAMPLES_PER_MS;
            self.ahead
                .push(until_next + Duration::from_millis(waiting_ms));
        }
        self.audio.extend(ulaw);
        self.received += ulaw.len() as u64;
        Ok(())
    }

    pub(super) fn push_mark(&mut self, name: String) -> Result<(), QueueFull> {
        if self.marks.len() == Self::MAX_MARKS {
            return Err(QueueFull);
        }
        self.marks.push_back((self.received, name));
        Ok(())
    }

    /// Drops the audio; every mark is due now, which is `at`.
    pub(super) fn clear(&mut self, at: Timestamp) {
        let discarded = self.audio.len() as u64;
        // Of several within a frame, the first is the one that was heard.
        let clear = self.clear.get_or_insert(Clear { at, discarded: 0 });
        clear.discarded += discarded;
        self.ahead.clear();
        self.audio.clear();
        self.received = self.played;
        for (due, _) in &mut self.marks {
            *due = self.played;
        }
    }

    /// The clear that came since this was asked last.
    pub(super) fn take_clear(&mut self) -> Option<Clear> {
        self.clear.take()
    }

    /// Takes how long before its playing each message came since this was asked last.
    pub(super) fn take_ahead(&mut self) -> impl Iterator<Item = Duration> + '_ {
        self.ahead.drain(..)
    }

    /// Plays the next 20 ms.
    pub(super) fn fill(&mut self, frame: &mut Frame) {
        let count = frame.len().min(self.audio.len());
        for (sample, next) in frame.iter_mut().zip(self.audio.drain(..count)) {
            *sample = next;
        }
        frame[count..].fill(SILENCE);
        self.played += count as u64;
    }

    /// The next mark that is due, to be called until there is none.
    pub(super) fn due_mark(&mut self) -> Option<String> {
        let (due, _) = self.marks.front()?;
        if *due > self.played {
            return None;
        }
        self.marks.pop_front().map(|(_, name)| name)
    }

    pub(super) fn is_playing(&self) -> bool {
        !self.audio.is_empty()
    }

    /// Samples played so far.
    pub(super) fn played(&self) -> u64 {
        self.played
    }
}

#[cfg(test)]
mod ledger;
#[cfg(test)]
mod tests {
    use super::*;
    use crate::phone::line::FRAME_SAMPLES;

    fn due_marks(playback: &mut Playback) -> Vec<String> {
        std::iter::from_fn(|| playback.due_mark()).collect()
    }

    fn push(playback: &mut Playback, ulaw: &[u8]) -> Result<(), QueueFull> {
        playback.push_audio(ulaw, Duration::ZERO)
    }

    fn next_frame(playback: &mut Playback) -> Frame {
        let mut frame = [0; FRAME_SAMPLES];
        playback.fill(&mut frame);
        frame
    }

    #[test]
    fn audio_is_played_in_order_whatever_the_sizes_it_came_in() {
        let mut playback = Playback::default();
        push(&mut playback, &[1; 100]).unwrap();
        push(&mut playback, &[2; 70]).unwrap();
        let first = next_frame(&mut playback);
        assert_eq!((first[99], first[100], first[159]), (1, 2, 2));
        let second = next_frame(&mut playback);
        assert_eq!((second[9], second[10]), (2, SILENCE));
        assert_eq!(playback.played(), 170);
    }

    #[test]
    fn a_mark_comes_back_when_the_audio_before_it_was_played() {
        let mut playback = Playback::default();
        push(&mut playback, &[1; 161]).unwrap();
        playback.push_mark("end".into()).unwrap();
        next_frame(&mut playback);
        assert!(due_marks(&mut playback).is_empty());
        next_frame(&mut playback);
        assert_eq!(due_marks(&mut playback), ["end"]);
    }

    #[test]
    fn a_mark_to_an_empty_queue_comes_back_at_once() {
        let mut playback = Playback::default();
        playback.push_mark("now".into()).unwrap();
        assert_eq!(due_marks(&mut playback), ["now"]);
    }

    #[test]
    fn a_clear_returns_every_mark_in_order_and_plays_nothing_more() {
        let mut playback = Playback::default();
        for name in ["one", "two"] {
            push(&mut playback, &[1; 1_600]).unwrap();
            playback.push_mark(name.into()).unwrap();
        }
        next_frame(&mut playback);
        let at = Timestamp::UNIX_EPOCH;
        playback.clear(at);
        playback.clear(at + Duration::from_millis(1));
        let discarded = 3_040;
        assert_eq!(playback.take_clear(), Some(Clear { at, discarded }));
        assert_eq!(playback.take_clear(), None);
        assert_eq!(due_marks(&mut playback), ["one", "two"]);
        assert_eq!(next_frame(&mut playback), [SILENCE; FRAME_SAMPLES]);
        assert_eq!(playback.played(), 160);

        push(&mut playback, &[3; 160]).unwrap();
        playback.push_mark("after".into()).unwrap();
        assert!(due_marks(&mut playback).is_empty());
        next_frame(&mut playback);
        assert_eq!(due_marks(&mut playback), ["after"]);
    }

    #[test]
    fn the_queue_is_bounded() {
        let mut playback = Playback::default();
        push(&mut playback, &vec![1; Playback::MAX_SAMPLES]).unwrap();
        assert_eq!(push(&mut playback, &[1]), Err(QueueFull));
    }

    #[test]
    fn how_long_before_its_playing_a_message_came_is_told_once() {
        let mut playback = Playback::default();
        let ms = Duration::from_millis;
        playback.push_audio(&[1; 480], ms(7)).unwrap();
        playback.push_audio(&[1; 160], ms(3)).unwrap();
        assert_eq!(playback.take_ahead().collect::<Vec<_>>(), [ms(7), ms(63)]);
        assert_eq!(playback.take_ahead().count(), 0);
    }
}
