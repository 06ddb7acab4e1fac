//! Which audio leaves in which media message: 20 ms in each, unless a fault says otherwise.

use std::collections::VecDeque;
use std::time::Duration;

use sidetone_audio::ulaw::SILENCE;
use sidetone_twilio::stream::MediaTrack;

use crate::dice::Dice;
use crate::phone::Fault;
use crate::phone::line::{FRAME_SAMPLES, Frame, samples};

/// Takes frames from the line and gives them out as the pieces that become media messages.
///
/// Positions are those of the line, in samples.
#[derive(Debug)]
pub(super) struct Shaper {
    /// Position of the first frame that was taken.
    began: Option<u64>,
    /// Age at the last frame.
    age: u64,
    /// Ages of frames that are never sent.
    gap: Window,
    /// Ages at which nothing leaves.
    stall: Window,
    suppresses_silence: bool,
    sizes: Sizes,
    inbound: Feed,
    outbound: Feed,
}

/// A stretch of a stream's age, in samples.
#[derive(Clone, Copy, Debug, Default)]
struct Window {
    from: u64,
    to: u64,
}

impl Window {
    fn new(from: Duration, samples_long: u64) -> Self {
        let from = samples(from);
        Self {
            from,
            to: from.saturating_add(samples_long),
        }
    }

    fn contains(self, age: u64) -> bool {
        (self.from..self.to).contains(&age)
    }
}

/// How large the next piece is.
#[derive(Debug)]
enum Sizes {
    Fixed(usize),
    Random(Dice),
}

impl Sizes {
    fn next(&mut self) -> usize {
        match self {
            Self::Fixed(bytes) => *bytes,
            Self::Random(dice) => usize::try_from(dice.within(1..=999)).expect("it is below 1000"),
        }
    }
}

/// The audio of a track that waits to leave.
#[derive(Debug, Default)]
struct Feed {
    /// Where the first waiting sample stands.
    at: u64,
    waiting: VecDeque<u8>,
    /// Size of the next piece, once it is known.
    next_bytes: Option<usize>,
    /// What waits leaves as it is: nothing follows it directly.
    is_cut: bool,
}

impl Feed {
    fn end(&self) -> u64 {
        self.at + self.waiting.len() as u64
    }

    fn is_cut_off(&self) -> bool {
        self.is_cut && !self.waiting.is_empty()
    }

    /// Size of the piece that may leave now.
    fn ready_bytes(&mut self, sizes: &mut Sizes) -> Option<usize> {
        let wanted = *self.next_bytes.get_or_insert_with(|| sizes.next());
        if self.waiting.len() >= wanted {
            Some(wanted)
        } else {
            self.is_cut_off().then_some(self.waiting.len())
        }
    }
}

impl Shaper {
    pub(super) fn new(faults: &[Fault], dice: &mut Dice) -> Self {
        let mut shaper = Self {
            began: None,
            age: 0,
            gap: Window::default(),
            stall: Window::default(),
            suppresses_silence: false,
            sizes: Sizes::Fixed(FRAME_SAMPLES),
            inbound: Feed::default(),
            outbound: Feed::default(),
        };
        for fault in faults {
            match *fault {
                Fault::SilentGap { length, after } => {
                    shaper.gap = Window::new(after, samples(length));
                }
                Fault::Burst { frames, after } => {
                    // The last of the frames releases all.
                    let held_up = u64::from(frames.saturating_sub(1)) * FRAME_SAMPLES as u64;
                    shaper.stall = Window::new(after, held_up);
                }
                Fault::SilenceSuppression => shaper.suppresses_silence = true,
                Fault::OddFrames { bytes } => {
                    let random = Sizes::Random(dice.fork());
                    shaper.sizes = bytes.map_or(random, Sizes::Fixed);
                }
                _ => {}
            }
        }
        shaper
    }

    /// Takes a frame that begins at `position`.
    pub(super) fn take(&mut self, track: MediaTrack, position: u64, audio: &Frame) {
        self.age = position - *self.began.get_or_insert(position);
        let is_unsent = self.gap.contains(self.age)
            || self.suppresses_silence && audio.iter().all(|sample| *sample == SILENCE);
        let feed = self.feed_mut(track);
        if is_unsent {
            feed.is_cut = true;
            return;
        }
        if feed.waiting.is_empty() {
            feed.at = position;
            feed.is_cut = false;
        }
        feed.waiting.extend(audio);
    }

    /// Nothing follows any more: all that waits may leave.
    pub(super) fn finish(&mut self) {
        self.stall = Window::default();
        self.inbound.is_cut = true;
        self.outbound.is_cut = true;
    }

    /// Puts the next piece into `audio`, to be asked for until there is none; gives its track and
    /// where it begins.
    pub(super) fn next_piece(&mut self, audio: &mut Vec<u8>) -> Option<(MediaTrack, u64)> {
        // What is cut off does not wait: what comes after it stands somewhere else.
        let is_cut_off = self.inbound.is_cut_off() || self.outbound.is_cut_off();
        if self.stall.contains(self.age) && !is_cut_off {
            return None;
        }
        let inbound = self.inbound.ready_bytes(&mut self.sizes);
        let outbound = self.outbound.ready_bytes(&mut self.sizes);
        let inbound = inbound.map(|bytes| (self.inbound.at, MediaTrack::Inbound, bytes));
        let outbound = outbound.map(|bytes| (self.outbound.at, MediaTrack::Outbound, bytes));
        // What was said first leaves first, so that the tracks take turns.
        let (at, track, bytes) = inbound
            .into_iter()
            .chain(outbound)
            .min_by_key(|(at, ..)| *at)?;
        let feed = self.feed_mut(track);
        audio.clear();
        audio.extend(feed.waiting.drain(..bytes));
        feed.at += bytes as u64;
        feed.next_bytes = None;
        Some((track, at))
    }

    /// The stretch of a track that waits to leave.
    pub(super) fn waiting(&self, track: MediaTrack) -> std::ops::Range<u64> {
        let feed = match track {
            MediaTrack::Inbound => &self.inbound,
            MediaTrack::Outbound => &self.outbound,
        };
        feed.at..feed.end()
    }

    fn feed_mut(&mut self, track: MediaTrack) -> &mut Feed {
        match track {
            MediaTrack::Inbound => &mut self.inbound,
            MediaTrack::Outbound => &mut self.outbound,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pieces by the frame in which they left: track, position, bytes.
    type Left = Vec<(u64, MediaTrack, u64, usize)>;

    /// Puts `frames` of both tracks in; those that `is_silent` says are digital silence. No
    /// sample of the others is.
    fn run(fault: &str, frames: u64, is_silent: impl Fn(u64) -> bool) -> Left {
        let mut shaper = Shaper::new(&[fault.parse().unwrap()], &mut Dice::new(7));
        let mut left = Left::new();
        let mut audio = Vec::new();
        let mut take_what_leaves = |shaper: &mut Shaper, frame| {
            while let Some((track, at)) = shaper.next_piece(&mut audio) {
                left.push((frame, track, at, audio.len()));
                let sample = |at: u64| u8::try_from(at % 100).unwrap();
                let is_its_own = |(sample_at, byte): (u64, &u8)| {
                    *byte == sample(sample_at) || is_silent(sample_at / 160)
                };
                assert!((at..).zip(&audio).all(is_its_own), "{fault}: {at}");
            }
        };
        for frame in 0..frames {
            let position = frame * 160;
            let mut said = [SILENCE; FRAME_SAMPLES];
            if !is_silent(frame) {
                for (at, byte) in (position..).zip(&mut said) {
                    *byte = u8::try_from(at % 100).unwrap();
                }
            }
            for track in [MediaTrack::Inbound, MediaTrack::Outbound] {
                shaper.take(track, position, &said);
            }
            take_what_leaves(&mut shaper, frame);
        }
        shaper.finish();
        take_what_leaves(&mut shaper, frames);
        left
    }

    fn positions(left: &Left, track: MediaTrack) -> Vec<u64> {
        let pieces = left.iter().filter(|(_, of, ..)| *of == track);
        pieces
            .flat_map(|(_, _, at, bytes)| *at..*at + *bytes as u64)
            .collect()
    }

    #[test]
    fn frames_leave_as_they_come_with_the_tracks_in_turn() {
        let left = run("broken-counters", 3, |_| false);
        let expected: Left = (0..3)
            .flat_map(|frame| {
                [MediaTrack::Inbound, MediaTrack::Outbound]
                    .map(|track| (frame, track, frame * 160, 160))
            })
            .collect();
        assert_eq!(left, expected);
    }

    #[test]
    fn in_a_silent_gap_nothing_leaves_and_what_is_said_is_lost() {
        let left = run("silent-gap:ms=60,after_ms=40", 10, |_| false);
        for track in [MediaTrack::Inbound, MediaTrack::Outbound] {
            let expected: Vec<u64> = (0..320).chain(800..1_600).collect();
            assert_eq!(positions(&left, track), expected);
        }
    }

    #[test]
    fn a_burst_leaves_all_at_once_and_loses_nothing() {
        let left = run("burst:frames=4,after_ms=40", 10, |_| false);
        let in_frame = |frame| left.iter().filter(|(of, ..)| *of == frame).count();
        let counts: Vec<usize> = (0..10).map(in_frame).collect();
        assert_eq!(counts, [2, 2, 0, 0, 0, 8, 2, 2, 2, 2]);
        assert!(
            positions(&left, MediaTrack::Inbound)
                .into_iter()
                .eq(0..1_600)
        );
    }

    #[test]
    fn suppressed_silence_is_skipped_and_nothing_else() {
        let left = run("silence-suppression", 6, |frame| (2..4).contains(&frame));
        let expected: Vec<u64> = (0..320).chain(640..960).collect();
        assert_eq!(positions(&left, MediaTrack::Outbound), expected);
    }

    #[test]
    fn odd_frames_hold_every_sample_once_and_in_order() {
        for fault in ["odd-frames", "odd-frames:bytes=1", "odd-frames:bytes=999"] {
            let left = run(fault, 100, |_| false);
            for track in [MediaTrack::Inbound, MediaTrack::Outbound] {
                assert!(positions(&left, track).into_iter().eq(0..16_000), "{fault}");
            }
            let sizes = left.iter().map(|(.., bytes)| *bytes);
            assert!(sizes.clone().all(|bytes| (1..=999).contains(&bytes)));
            assert!(sizes.clone().any(|bytes| bytes != 160), "{fault}");
        }
    }

    #[test]
    fn what_is_cut_off_by_a_gap_leaves_before_it() {
        let mut shaper = Shaper::new(
            &["odd-frames:bytes=999", "silent-gap:ms=20,after_ms=40"]
                .map(|fault| fault.parse().unwrap()),
            &mut Dice::new(7),
        );
        let mut audio = Vec::new();
        let mut left = Vec::new();
        for frame in 0..3 {
            shaper.take(MediaTrack::Inbound, frame * 160, &[1; FRAME_SAMPLES]);
            while let Some((_, at)) = shaper.next_piece(&mut audio) {
                left.push((frame, at, audio.len()));
            }
        }
        assert_eq!(left, [(2, 0, 320)]);
    }
}
