//! Samples, durations, and a connection's seconds.

use std::time::Duration;

/// Samples of a second of telephone audio, per channel.
const SAMPLE_RATE: f64 = 8_000.0;
const MICROS_PER_SAMPLE: u64 = 125;

pub(super) const fn duration_of(samples: u64) -> Duration {
    Duration::from_micros(samples.saturating_mul(MICROS_PER_SAMPLE))
}

pub(super) fn samples_in(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros() / u128::from(MICROS_PER_SAMPLE)).unwrap_or(u64::MAX)
}

/// Where the audio of one connection stands among all audio of the link.
#[derive(Clone, Copy, Debug)]
pub(super) struct TimeMap {
    /// Source position of the first sample sent.
    base: u64,
    /// Samples of silence sent before it that are no part of the call.
    lead: u64,
}

impl TimeMap {
    pub(super) const fn starting_at(base: u64) -> Self {
        Self { base, lead: 0 }
    }

    /// Notes `samples` of silence sent ahead of the call's own audio.
    pub(super) fn insert_lead(&mut self, samples: u64) {
        self.lead += samples;
    }

    /// The source position of a time on the connection, to the nearest sample.
    pub(super) fn source(&self, seconds: f64) -> u64 {
        self.base
            .saturating_add(samples(seconds).saturating_sub(self.lead))
    }

    /// The same in seconds.
    pub(super) fn source_seconds(&self, seconds: f64) -> f64 {
        self.base as f64 / SAMPLE_RATE + (seconds - self.lead as f64 / SAMPLE_RATE).max(0.0)
    }
}

#[expect(
    clippy::cast_possible_truncation,
    reason = "saturates, and a fraction is rounded away"
)]
fn samples(seconds: f64) -> u64 {
    (seconds * SAMPLE_RATE).round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_rounded_to_the_sample() {
        let map = TimeMap::starting_at(1_000);
        assert_eq!(map.source(5.99 + 1.98), 1_000 + 63_760);
        assert_eq!(map.source(-1.0), 1_000);
        assert_eq!(map.source(f64::INFINITY), u64::MAX);
        assert_eq!(map.source(f64::NAN), 1_000);
    }

    #[test]
    fn silence_sent_ahead_takes_no_time() {
        let mut map = TimeMap::starting_at(8_000);
        map.insert_lead(160);
        assert_eq!(map.source(0.01), 8_000);
        assert_eq!(map.source(1.02), 16_000);
        assert_eq!(map.source_seconds(1.02), 2.0);
        assert_eq!(map.source_seconds(0.01), 1.0);
    }
}
