//! The numbers on a stream's messages: sequence, chunk and timestamp.

use sidetone_twilio::stream::MediaTrack;

use crate::dice::Dice;
use crate::phone::Fault;
use crate::phone::line::samples;

/// Numbers messages, rightly unless a fault says otherwise.
#[derive(Debug)]
pub(super) struct Stamps {
    /// Of the last message.
    sequence_number: u64,
    inbound_chunk: u64,
    outbound_chunk: u64,
    counters_are_random: bool,
    wobble_ms: u64,
    jumps: Option<Jumps>,
    absurd_one_in: Option<u64>,
    dice: Dice,
}

/// A clock that jumps ahead and back again. Positions are those of the line.
#[derive(Debug)]
struct Jumps {
    by_ms: u64,
    every_samples: u64,
    /// No jump before that.
    next_after: Option<u64>,
    /// From where on the clock stands at the other place.
    turns_at: Option<u64>,
    is_ahead: bool,
}

impl Stamps {
    pub(super) fn new(faults: &[Fault], dice: Dice) -> Self {
        let mut stamps = Self {
            // The `start` message has the first.
            sequence_number: 1,
            inbound_chunk: 0,
            outbound_chunk: 0,
            counters_are_random: false,
            wobble_ms: 1,
            jumps: None,
            absurd_one_in: None,
            dice,
        };
        for fault in faults {
            match *fault {
                Fault::WobblingTimestamps { by_ms } => stamps.wobble_ms = by_ms,
                Fault::JumpingTimestamps { by_ms, every } => {
                    stamps.jumps = Some(Jumps {
                        by_ms,
                        every_samples: samples(every),
                        next_after: None,
                        turns_at: None,
                        is_ahead: false,
                    });
                }
                Fault::AbsurdTimestamps { one_in } => stamps.absurd_one_in = Some(one_in),
                Fault::BrokenCounters => stamps.counters_are_random = true,
                _ => {}
            }
        }
        stamps
    }

    /// One counter for all messages of the stream.
    pub(super) fn sequence_number(&mut self) -> u64 {
        self.sequence_number += 1;
        self.shown(self.sequence_number)
    }

    /// One counter for the media of each track.
    pub(super) fn chunk(&mut self, track: MediaTrack) -> u64 {
        let chunk = match track {
            MediaTrack::Inbound => &mut self.inbound_chunk,
            MediaTrack::Outbound => &mut self.outbound_chunk,
        };
        *chunk += 1;
        let chunk = *chunk;
        self.shown(chunk)
    }

    fn shown(&mut self, counter: u64) -> u64 {
        if self.counters_are_random {
            self.dice.within(0..=1_000_000)
        } else {
            counter
        }
    }

    /// Nobody says anything in the frames that begin at `position`.
    pub(super) fn pause_at(&mut self, position: u64) {
        let Some(jumps) = &mut self.jumps else { return };
        let next_after = *jumps
            .next_after
            .get_or_insert(position.saturating_add(jumps.every_samples));
        if position >= next_after && jumps.turns_at.is_none() {
            jumps.turns_at = Some(position);
            jumps.next_after = Some(position.saturating_add(jumps.every_samples));
        }
    }

    /// The timestamp of media that begins at line position `at`, `exact_ms` after the stream's
    /// origin.
    pub(super) fn timestamp_ms(&mut self, at: u64, exact_ms: u64) -> u64 {
        if let Some(one_in) = self.absurd_one_in
            && self.dice.within(1..=one_in) == 1
        {
            // Further off than a day, which is further than any two clocks of a call.
            return self.dice.within(1_000_000_000..=u64::MAX - 1);
        }
        // Timestamps are readings of a clock: steps of 19 to 21 ms, rarely more.
        let wobble_ms = self.dice.within(0..=2 * self.wobble_ms);
        let ahead_ms = self.jumps.as_mut().map_or(0, |jumps| jumps.ahead_ms(at));
        (exact_ms + ahead_ms + wobble_ms).saturating_sub(self.wobble_ms)
    }
}

impl Jumps {
    fn ahead_ms(&mut self, at: u64) -> u64 {
        if self.turns_at.take_if(|turns_at| *turns_at <= at).is_some() {
            self.is_ahead = !self.is_ahead;
        }
        if self.is_ahead { self.by_ms } else { 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamps(fault: &str) -> Stamps {
        Stamps::new(&[fault.parse().unwrap()], Dice::new(7))
    }

    /// The timestamps of frames of 20 ms, less what they should be.
    fn errors_ms(stamps: &mut Stamps, frames: u64, is_pause: impl Fn(u64) -> bool) -> Vec<i128> {
        let of_frame = |frame: u64| {
            let (position, exact_ms) = (frame * 160, 1_000 + frame * 20);
            if is_pause(frame) {
                stamps.pause_at(position);
            }
            i128::from(stamps.timestamp_ms(position, exact_ms)) - i128::from(exact_ms)
        };
        (0..frames).map(of_frame).collect()
    }

    #[test]
    fn timestamps_wobble_by_as_much_as_they_are_told() {
        let errors = errors_ms(&mut stamps("wobbling-timestamps:ms=19"), 1_000, |_| false);
        assert_eq!(errors.iter().min(), Some(&-19));
        assert_eq!(errors.iter().max(), Some(&19));
    }

    #[test]
    fn timestamps_jump_ahead_and_back_while_nobody_speaks() {
        let mut stamps = stamps("jumping-timestamps:ms=60000,every_ms=100");
        // The first pause is at frame 4, the clock turns in the first ones 100 ms after the last
        // turn.
        let is_pause = |frame| [4, 12, 13, 20].contains(&frame);
        let errors = errors_ms(&mut stamps, 30, is_pause);
        let is_ahead: Vec<bool> = errors.iter().map(|error| *error > 50_000).collect();
        let expected: Vec<bool> = (0..30).map(|frame| (12..20).contains(&frame)).collect();
        assert_eq!(is_ahead, expected);
    }

    #[test]
    fn absurd_timestamps_are_as_frequent_as_they_are_told_and_far_from_any_call() {
        let errors = errors_ms(&mut stamps("absurd-timestamps:one_in=10"), 1_000, |_| false);
        let absurd: Vec<&i128> = errors.iter().filter(|error| error.abs() > 1).collect();
        assert!((50..200).contains(&absurd.len()), "{}", absurd.len());
        assert!(
            absurd
                .iter()
                .all(|error| error.abs() > 24 * 60 * 60 * 1_000)
        );
    }

    #[test]
    fn broken_counters_do_not_count() {
        let mut stamps = stamps("broken-counters");
        let numbers: Vec<u64> = (0..10).map(|_| stamps.sequence_number()).collect();
        assert!(!numbers.is_sorted(), "{numbers:?}");
        let chunks: Vec<u64> = (0..10).map(|_| stamps.chunk(MediaTrack::Inbound)).collect();
        assert!(!chunks.is_sorted(), "{chunks:?}");
    }
}
