//! Placing the frames of one stream's tracks on call time.

use crate::{LONGEST_FILL, SAMPLES_PER_MS, Track};

/// Why call time and the samples that arrived differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapReason {
    /// The carrier sent nothing for a while, and the arrival clock agrees.
    Carrier,
    /// The track's timestamps jumped and the arrival clock disagrees.
    Clock,
}

/// A stretch of a track for which no audio will ever come and that is not filled with silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gap {
    /// Where on call time it begins, in samples.
    pub at: u64,
    /// How long it is, in samples; for [`GapReason::Clock`] the size of the jump that was not
    /// believed, in either direction.
    pub duration: u64,
    /// Why.
    pub reason: GapReason,
}

/// Where a frame stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Placement {
    /// Call time of the frame's first sample, in samples.
    pub at: u64,
    /// Silence between the track's former end and `at` that is to be filled, in samples.
    pub hole: u64,
    /// The gap found before this frame, if it is one that is not filled.
    pub gap: Option<Gap>,
}

/// The timelines of one stream: its tracks share Twilio's timestamp origin.
///
/// Twilio's timestamps are clock readings and no sample counts: they wobble by a few ms and may
/// drift against the samples. So a frame stands where the track's samples end unless its
/// timestamp is more than 40 ms off; then the timestamp is believed, within reason. What comes of
/// drift and of single frames that are missing adds up to that: a frame whose timestamp follows
/// the former one's is let go on to 50 ms, so that the silence falls where something is missing
/// and not into the middle of a word.
///
/// | step from the samples | is | the frame stands |
/// |---|---|---|
/// | up to 40 ms | wobble | at the samples' end |
/// | up to 10 s ahead | a hole, to be filled | at its timestamp |
/// | more, and within 5 s of the arrival clock | a gap of the carrier | at its timestamp |
/// | more | a jump of the clock | at the track's end, and the clock is set by it |
/// | up to 10 s back | late or repeated audio | at its timestamp |
/// | further back | a jump of the clock | at the track's end, and the clock is set by it |
///
/// Any input is answered: positions saturate at 0 and `u64::MAX`. The size is fixed.
#[derive(Debug, Default)]
pub struct Timeline {
    clocks: [Option<Clock>; 2],
}

impl Timeline {
    /// Places a frame of `len` samples with Twilio's `timestamp_ms`.
    ///
    /// `arrival` is call time by the arrival clock, in samples: 0 for the first frame of the call.
    /// The first frame of a stream on any track stands at its `arrival`, and the other track is
    /// placed by the difference of timestamps.
    pub fn place(
        &mut self,
        track: Track,
        timestamp_ms: u64,
        len: usize,
        arrival: u64,
    ) -> Placement {
        let index = track.index();
        let mut clock = match self.clocks[index] {
            Some(clock) => clock,
            None => Clock::begin_at(self.beginning(timestamp_ms, arrival), timestamp_ms),
        };
        let placement = clock.place(timestamp_ms, arrival);
        clock.advance(timestamp_ms, placement.at, len);
        self.clocks[index] = Some(clock);
        placement
    }

    /// Call time of the end of the last audio on any track, in samples.
    pub fn end(&self) -> u64 {
        self.clocks
            .iter()
            .flatten()
            .map(|clock| clock.end)
            .max()
            .unwrap_or(0)
    }

    /// Where a track begins whose first frame has `timestamp_ms`.
    fn beginning(&self, timestamp_ms: u64, arrival: u64) -> u64 {
        let Some(other) = self.clocks.iter().flatten().next() else {
            return arrival;
        };
        let position = other.position(timestamp_ms);
        let near_other =
            other.start.saturating_sub(LONGEST_FILL)..=other.end.saturating_add(LONGEST_FILL);
        if near_other.contains(&position) || agrees(position, arrival) {
            position
        } else {
            arrival
        }
    }
}

/// The largest step that is wobble: 40 ms. Measured wobble is 1 to 2 ms; a lost frame is 20 ms.
const WOBBLE: u64 = 40 * SAMPLES_PER_MS;

/// A frame whose timestamp is no further from where the former one's leads goes on with it: 10 ms,
/// half a frame.
const JITTER: u64 = 10 * SAMPLES_PER_MS;

/// How far the arrival clock may be off and still bear out a timestamp: 5 s.
const AGREEMENT: u64 = 5_000 * SAMPLES_PER_MS;

/// Whether the arrival clock bears out `position`.
fn agrees(position: u64, arrival: u64) -> bool {
    position.abs_diff(arrival) <= AGREEMENT
}

/// One track's way from timestamps to call time. Positions are call time in samples.
#[derive(Clone, Copy, Debug)]
struct Clock {
    /// Call time of timestamp 0. It may lie before the call, and further off than `u64` reaches
    /// when a timestamp is absurd.
    zero: i128,
    /// Where the track's first frame stood.
    start: u64,
    /// Where the last frame ended: behind `end` while audio comes late.
    cursor: u64,
    /// The furthest end of any frame.
    end: u64,
    /// Where the timestamp of the last frame leads: that of a frame which follows it.
    next: i128,
}

impl Clock {
    fn begin_at(at: u64, timestamp_ms: u64) -> Self {
        Self {
            zero: zero(at, timestamp_ms),
            start: at,
            cursor: at,
            end: at,
            next: at.into(),
        }
    }

    fn place(&mut self, timestamp_ms: u64, arrival: u64) -> Placement {
        // The step is measured from before the call, too, so that a clock that jumped back to
        // there does not pass for audio that is a little late.
        let exact = self.exact_position(timestamp_ms);
        let step_from =
            |end: u64| u64::try_from((exact - i128::from(end)).unsigned_abs()).unwrap_or(u64::MAX);
        // Late audio must not turn what is current into a hole, nor the other way round: a frame
        // continues whichever end it is nearer to.
        let expected = if step_from(self.end) <= step_from(self.cursor) {
            self.end
        } else {
            self.cursor
        };
        let step = step_from(expected);
        let goes_on = exact.abs_diff(self.next) <= JITTER.into();
        let tolerance = if goes_on { WOBBLE + JITTER } else { WOBBLE };
        let position = in_call(exact);
        if step <= tolerance {
            Placement {
                at: expected,
                hole: 0,
                gap: None,
            }
        } else if step <= LONGEST_FILL {
            Placement {
                at: position,
                hole: position.saturating_sub(self.end),
                gap: None,
            }
        } else if position > self.end && agrees(position, arrival) {
            let gap = Gap {
                at: self.end,
                duration: step,
                reason: GapReason::Carrier,
            };
            Placement {
                at: position,
                hole: 0,
                gap: Some(gap),
            }
        } else {
            self.zero = zero(self.end, timestamp_ms);
            let gap = Gap {
                at: self.end,
                duration: step,
                reason: GapReason::Clock,
            };
            Placement {
                at: self.end,
                hole: 0,
                gap: Some(gap),
            }
        }
    }

    fn advance(&mut self, timestamp_ms: u64, at: u64, len: usize) {
        self.cursor = at.saturating_add(len as u64);
        self.end = self.end.max(self.cursor);
        self.next = self.exact_position(timestamp_ms) + len as i128;
    }

    /// Where `timestamp_ms` stands by this clock.
    fn position(&self, timestamp_ms: u64) -> u64 {
        in_call(self.exact_position(timestamp_ms))
    }

    /// The same, be it before the call or further off than `u64` reaches.
    fn exact_position(&self, timestamp_ms: u64) -> i128 {
        self.zero + samples(timestamp_ms)
    }
}

/// The nearest position there is.
fn in_call(position: i128) -> u64 {
    u64::try_from(position.max(0)).unwrap_or(u64::MAX)
}

/// The call time of timestamp 0 when `timestamp_ms` stands at `at`.
fn zero(at: u64, timestamp_ms: u64) -> i128 {
    i128::from(at) - samples(timestamp_ms)
}

fn samples(timestamp_ms: u64) -> i128 {
    i128::from(timestamp_ms) * i128::from(SAMPLES_PER_MS)
}

#[cfg(test)]
mod tests;
