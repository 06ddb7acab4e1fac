//! How often a request for speech is made before it has failed.

use std::time::{Duration, Instant};

use crate::retry::{Retry, is_passing};

/// The attempts at one request.
///
/// What passes by itself (a limit, a server's fault, a connection that is not made or gives no
/// audio in time) is tried again after a random wait that grows from 250 ms to 5 s, or after what
/// Deepgram asks for. All of it takes [`AT_MOST`] from the first moment to the last: someone is
/// on the line and hears nothing meanwhile. Once audio of a request was played, it cannot be made
/// again: the same text would not give the same audio.
#[derive(Debug)]
pub struct Attempts {
    until: Instant,
    retry: Retry,
}

/// Why an attempt brought no audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Failure {
    /// Deepgram was not reached, the connection broke off, or [`Attempts::answer_by`] passed.
    Unanswered,
    /// Deepgram said no.
    Refused {
        /// HTTP status.
        status: u16,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
}

/// How long a request is tried.
pub const AT_MOST: Duration = Duration::from_secs(10);

impl Attempts {
    /// Begins now. The seed is for the waits, so that what failed together does not come back
    /// together.
    pub fn new(now: Instant, seed: u64) -> Self {
        Self {
            until: now + AT_MOST,
            retry: Retry::new(seed),
        }
    }

    /// When an attempt that begins now has failed unless its first audio has come; its end as
    /// well, unless more audio came in as long.
    ///
    /// Deepgram usually takes a few hundred milliseconds. An attempt gets 4 s, so that one that
    /// hangs leaves time for another.
    pub fn answer_by(&self, now: Instant) -> Instant {
        self.until.min(now + ATTEMPT_AT_MOST)
    }

    /// Counts an attempt that brought no audio: when to make the next, `None`: the request has
    /// failed.
    pub fn failed(&mut self, now: Instant, failure: Failure) -> Option<Instant> {
        let retry_after = match failure {
            Failure::Unanswered => None,
            Failure::Refused { status, .. } if !is_passing(status) => return None,
            Failure::Refused { retry_after, .. } => retry_after,
        };
        let again = now + self.retry.wait(retry_after);
        // A connection has to be made in what is left, and speech.
        (again + ATTEMPT_AT_LEAST <= self.until).then_some(again)
    }
}

const ATTEMPT_AT_MOST: Duration = Duration::from_secs(4);
const ATTEMPT_AT_LEAST: Duration = Duration::from_millis(500);

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(status: u16) -> Failure {
        Failure::Refused {
            status,
            retry_after: None,
        }
    }

    #[test]
    fn what_passes_by_itself_is_tried_for_ten_seconds() {
        for failure in [
            Failure::Unanswered,
            refused(408),
            refused(429),
            refused(503),
        ] {
            for seed in 0..200 {
                let began = Instant::now();
                let mut attempts = Attempts::new(began, seed);
                let (mut now, mut made) = (began, 1);
                while let Some(again) = attempts.failed(now, failure) {
                    assert!(again >= now && again < began + AT_MOST);
                    now = again;
                    made += 1;
                }
                assert!(made >= 4, "{made} attempts with seed {seed}");
            }
        }
    }

    #[test]
    fn what_does_not_pass_by_itself_fails_at_once() {
        let now = Instant::now();
        for status in [400, 401, 402, 403, 404, 405, 413, 415, 422] {
            assert_eq!(Attempts::new(now, 1).failed(now, refused(status)), None);
        }
    }

    #[test]
    fn deepgrams_own_wait_is_kept_to_if_there_is_time_for_it() {
        let now = Instant::now();
        let wait = |secs| Failure::Refused {
            status: 429,
            retry_after: Some(Duration::from_secs(secs)),
        };
        let mut attempts = Attempts::new(now, 7);
        let again = attempts.failed(now, wait(3)).unwrap();
        assert!(again >= now + Duration::from_secs(3));
        assert_eq!(attempts.failed(again, wait(7)), None);
        assert_eq!(Attempts::new(now, 7).failed(now, wait(60)), None);
    }

    #[test]
    fn an_attempt_that_hangs_leaves_time_for_another() {
        let now = Instant::now();
        let mut attempts = Attempts::new(now, 3);
        let first = attempts.answer_by(now);
        let again = attempts.failed(first, Failure::Unanswered).unwrap();
        assert!(again < now + Duration::from_secs(5));
        assert!(attempts.answer_by(again) > again + Duration::from_secs(3));
        assert_eq!(attempts.answer_by(now + AT_MOST), now + AT_MOST);
    }
}
