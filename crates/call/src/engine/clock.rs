//! Call time: its unit and its arrival clock.

use std::time::{Duration, Instant};

use sidetone_audio::SAMPLES_PER_MS;
use sidetone_audio::time::samples;

/// Where call time stands by the clock on the wall of the call.
///
/// Call time 0 is the arrival of the call's first audio frame.
#[derive(Debug, Default)]
pub(super) struct Clock {
    /// A moment and its call time, in samples.
    anchor: Option<(Instant, u64)>,
}

impl Clock {
    /// A clock that already stands at `position` samples.
    pub(super) const fn at(now: Instant, position: u64) -> Self {
        Self {
            anchor: Some((now, position)),
        }
    }

    /// Call time of an arrival, in samples. The first one is 0.
    pub(super) fn arrival(&mut self, now: Instant) -> u64 {
        let anchor = self.anchor.get_or_insert((now, 0));
        anchor.1 + samples(now.saturating_duration_since(anchor.0))
    }

    /// Call time of `now`, in samples: 0 as long as no audio has come.
    pub(super) fn position(&self, now: Instant) -> u64 {
        self.anchor.map_or(0, |(then, at)| {
            at + samples(now.saturating_duration_since(then))
        })
    }
}

/// A length of time in milliseconds, rounded down.
pub(super) fn ms(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Samples in milliseconds, rounded to the nearest.
pub(super) const fn to_ms(samples: u64) -> u64 {
    samples.saturating_add(SAMPLES_PER_MS / 2) / SAMPLES_PER_MS
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliseconds_are_the_nearest() {
        assert_eq!(
            [48_559, 48_560, 48_563, 48_564].map(to_ms),
            [6_070, 6_070, 6_070, 6_071]
        );
        assert_eq!(to_ms(u64::MAX), u64::MAX / SAMPLES_PER_MS);
    }
}
