//! When to try again.

use std::time::Duration;

/// Back-off with full jitter: the wait before try n is random between nothing and a ceiling that
/// doubles from 250 ms to 5 s, so that the calls of a process do not come back all at once.
#[derive(Debug)]
pub(crate) struct Retry {
    failures: u32,
    random: Random,
}

impl Retry {
    pub(crate) fn new(seed: u64) -> Self {
        Self {
            failures: 0,
            random: Random(seed),
        }
    }

    /// Counts a failure and says how long to wait. `retry_after` is what the server asked for; it
    /// is kept to, and only ever lengthened.
    pub(crate) fn wait(&mut self, retry_after: Option<Duration>) -> Duration {
        self.failures = self.failures.saturating_add(1);
        match retry_after {
            Some(asked) => asked.min(MOST_RETRY_AFTER) + self.jitter(FIRST_CEILING),
            None => {
                let doubled = 2_u32.saturating_pow(self.failures - 1);
                self.jitter(FIRST_CEILING.saturating_mul(doubled).min(LAST_CEILING))
            }
        }
    }

    /// Failures in a row.
    pub(crate) fn failures(&self) -> u32 {
        self.failures
    }

    pub(crate) fn reset(&mut self) {
        self.failures = 0;
    }

    fn jitter(&mut self, ceiling: Duration) -> Duration {
        ceiling.mul_f64(self.random.unit())
    }
}

/// Whether an answer may be different next time without anyone doing anything.
pub(crate) const fn is_passing(status: u16) -> bool {
    matches!(status, 408 | 429 | 500..)
}

/// SplitMix64: ample for jitter, and a seed replays it.
#[derive(Debug)]
struct Random(u64);

impl Random {
    /// 0 to 1, without 1.
    fn unit(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }
}

const FIRST_CEILING: Duration = Duration::from_millis(250);
const LAST_CEILING: Duration = Duration::from_secs(5);
const MOST_RETRY_AFTER: Duration = Duration::from_secs(60);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_five_seconds_and_are_spread() {
        let mut longest = [Duration::ZERO; 10];
        for seed in 0..200 {
            let mut retry = Retry::new(seed);
            for (n, longest) in (0..).zip(&mut longest) {
                let wait = retry.wait(None);
                assert!(wait <= Duration::from_millis(250 * 2_u64.pow(n)).min(LAST_CEILING));
                *longest = wait.max(*longest);
            }
        }
        assert!(
            longest[0] > Duration::from_millis(200),
            "spread over the whole range"
        );
        assert!(longest[9] > Duration::from_secs(4));
    }

    #[test]
    fn retry_after_is_kept_to_within_reason() {
        let mut retry = Retry::new(7);
        let asked = Duration::from_secs(3);
        assert!((asked..asked + FIRST_CEILING).contains(&retry.wait(Some(asked))));
        assert!(retry.wait(Some(Duration::MAX)) <= MOST_RETRY_AFTER + FIRST_CEILING);
        assert_eq!(retry.failures(), 2);
    }

    #[test]
    fn only_timeouts_limits_and_server_faults_pass_by_themselves() {
        assert!([408, 429, 500, 502, 503, 504].into_iter().all(is_passing));
        assert!(
            ![200, 301, 400, 401, 402, 403, 404, 405]
                .into_iter()
                .any(is_passing)
        );
    }
}
