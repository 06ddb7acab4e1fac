//! Lengths of audio and lengths of time.

use std::time::Duration;

use crate::SAMPLES_PER_MS;

/// A length of time in samples, rounded down.
pub fn samples(duration: Duration) -> u64 {
    let micros = u64::try_from(duration.as_micros()).unwrap_or(u64::MAX / SAMPLES_PER_MS);
    micros.saturating_mul(SAMPLES_PER_MS) / 1_000
}

/// A number of samples as a length of time.
pub const fn duration(samples: u64) -> Duration {
    Duration::from_micros(samples.saturating_mul(1_000 / SAMPLES_PER_MS))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_and_durations_are_each_others_inverse() {
        for count in [0, 1, 7, 160, 48_559, 8_000 * 86_400] {
            assert_eq!(samples(duration(count)), count);
        }
        assert_eq!(samples(Duration::from_secs_f64(6.069_9)), 48_559);
    }
}
