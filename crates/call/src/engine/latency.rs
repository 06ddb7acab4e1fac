//! How long a call's words are under way.

use std::collections::VecDeque;

use sidetone_audio::SAMPLES_PER_MS;

/// When the audio of a track arrived, by its call position; all in samples of call time.
///
/// Frames arrive as regularly as they were spoken, but for a network's jitter and jumps. So not
/// every arrival is kept, only where it shifts against the position by more than 10 ms.
#[derive(Debug, Default)]
pub(super) struct Arrivals {
    /// From this position on, frames end so much after (or before) their arrival.
    shifts: VecDeque<(u64, i64)>,
}

impl Arrivals {
    const TOLERANCE: u64 = 10 * SAMPLES_PER_MS;
    /// Finals speak of the last seconds; the oldest shifts are forgotten.
    const MAX_SHIFTS: usize = 256;

    /// A frame at `start..end` has arrived. Late audio, which stands before what was noted
    /// already, is not noted.
    pub(super) fn note(&mut self, start: u64, end: u64, arrival: u64) {
        let shift = arrival.wrapping_sub(end).cast_signed();
        if let Some(&(from, last)) = self.shifts.back()
            && (start < from || shift.abs_diff(last) <= Self::TOLERANCE)
        {
            return;
        }
        if self.shifts.len() == Self::MAX_SHIFTS {
            self.shifts.pop_front();
        }
        self.shifts.push_back((start, shift));
    }

    /// The time from the arrival of the frame that ends at or holds `position` to `now`.
    /// `None` before the first frame.
    pub(super) fn since(&self, position: u64, now: u64) -> Option<u64> {
        let after = self.shifts.partition_point(|&(from, _)| from < position);
        let (_, shift) = self.shifts.get(after.saturating_sub(1))?;
        Some(now.saturating_sub(position.saturating_add_signed(*shift)))
    }
}

/// The distribution of latencies, in a histogram whose buckets grow with what they count: 16 to
/// each doubling, so a quantile is right to 6 %.
#[derive(Debug)]
pub(super) struct Latencies {
    buckets: [u32; Self::BUCKETS],
}

impl Latencies {
    /// Buckets to a doubling.
    const STEPS: u64 = 16;
    /// Up to 262 s; what takes longer counts as that.
    const BUCKETS: usize = 240;

    pub(super) fn record(&mut self, latency_ms: u64) {
        let bucket = &mut self.buckets[Self::bucket(latency_ms)];
        *bucket = bucket.saturating_add(1);
    }

    /// The latency that this share of all does not exceed; `None` when there are none.
    pub(super) fn quantile_ms(&self, percent: u64) -> Option<u64> {
        let total: u64 = self.buckets.iter().copied().map(u64::from).sum();
        let rank = (total * percent).div_ceil(100).max(1);
        let mut count = 0;
        let bucket = self.buckets.iter().position(|&bucket| {
            count += u64::from(bucket);
            count >= rank
        })?;
        Some(Self::upper_ms(bucket))
    }

    /// The first 16 buckets hold one value each; then each doubling has 16.
    fn bucket(latency_ms: u64) -> usize {
        let doublings = latency_ms
            .checked_ilog2()
            .unwrap_or(0)
            .saturating_sub(Self::STEPS.ilog2());
        let bucket = Self::STEPS * u64::from(doublings) + (latency_ms >> doublings);
        usize::try_from(bucket)
            .unwrap_or(usize::MAX)
            .min(Self::BUCKETS - 1)
    }

    /// The largest value of a bucket.
    fn upper_ms(bucket: usize) -> u64 {
        let bucket = bucket as u64;
        let doublings = (bucket / Self::STEPS).saturating_sub(1);
        ((bucket - Self::STEPS * doublings + 1) << doublings) - 1
    }
}

impl Default for Latencies {
    fn default() -> Self {
        Self {
            buckets: [0; Self::BUCKETS],
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const FRAME: u64 = 160;

    #[test]
    fn latency_counts_from_the_arrival_of_the_frame_that_holds_the_position() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.since(0, 0), None);
        for frame in 0..10 {
            // The last five come 100 ms late.
            let late = if frame < 5 { 0 } else { 800 };
            arrivals.note(frame * FRAME, (frame + 1) * FRAME, frame * FRAME + late);
        }
        // The fifth frame came at 640, the sixth at 800 + 800.
        assert_eq!(arrivals.since(5 * FRAME, 10_000), Some(10_000 - 640));
        assert_eq!(arrivals.since(6 * FRAME, 10_000), Some(10_000 - 1_600));
        assert_eq!(
            arrivals.since(0, 10_000),
            Some(10_000),
            "the first frame came at 0"
        );
    }

    #[test]
    fn steady_arrival_costs_one_entry_and_chaos_a_bounded_number() {
        let mut arrivals = Arrivals::default();
        for frame in 0..10_000 {
            arrivals.note(
                frame * FRAME,
                (frame + 1) * FRAME,
                frame * FRAME + frame % 3 * 16,
            );
        }
        assert_eq!(arrivals.shifts.len(), 1);
        for frame in 10_000..20_000 {
            arrivals.note(
                frame * FRAME,
                (frame + 1) * FRAME,
                frame * FRAME + frame % 2 * 8_000,
            );
        }
        assert_eq!(arrivals.shifts.len(), Arrivals::MAX_SHIFTS);
    }

    #[test]
    fn small_latencies_are_counted_exactly() {
        let mut latencies = Latencies::default();
        assert_eq!(latencies.quantile_ms(50), None);
        for latency_ms in 1..=10 {
            latencies.record(latency_ms);
        }
        assert_eq!(latencies.quantile_ms(50), Some(5));
        assert_eq!(latencies.quantile_ms(99), Some(10));
    }

    proptest! {
        #[test]
        fn a_quantile_is_right_to_six_percent(latency_ms in 0..262_000_u64) {
            let mut latencies = Latencies::default();
            latencies.record(latency_ms);
            let told = latencies.quantile_ms(50).unwrap();
            prop_assert!(told >= latency_ms && told - latency_ms <= latency_ms / 16, "{}", told);
        }
    }

    #[test]
    fn endless_latencies_fall_into_the_last_bucket() {
        let mut latencies = Latencies::default();
        latencies.record(u64::MAX);
        assert_eq!(latencies.quantile_ms(50), Some(262_143));
    }
}
