//! Where a call is in its life, and why it ends.

use std::time::{Duration, Instant};

use crate::event::EndReason;

/// How long a call whose last stream has ended waits for the next one; and how long a stream may
/// go on when Twilio has said that the call is over.
pub(super) const LINGER: Duration = Duration::from_secs(2);

/// Where the call is in its life.
#[derive(Clone, Copy, Debug)]
pub(super) enum Life {
    /// No stream has started.
    Pending,
    /// There is a stream.
    Streaming {
        /// What the call is said to have come to.
        told: Option<Told>,
    },
    /// The last stream has ended, and another one may come.
    Lingering { until: Instant, reason: EndReason },
    /// No other one is waited for; links still hear what there was.
    Finishing { reason: EndReason },
    /// All is said.
    Ended,
}

/// What a call is said to have come to while it has streams.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told {
    reason: EndReason,
    by: By,
    /// Until then streams may end by themselves.
    until: Instant,
}

/// Who says that a call is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum By {
    /// Twilio's callback.
    Twilio,
    /// Sidetone, which had it ended.
    Order,
}

impl Life {
    /// Whether the call has begun and is not over.
    pub(super) fn is_on(self) -> bool {
        !matches!(self, Self::Pending | Self::Ended)
    }

    /// A stream has started: whatever was said before, the call goes on.
    pub(super) fn stream_started(&mut self) {
        *self = Self::Streaming { told: None };
    }

    /// The last stream has ended, for `reason`.
    pub(super) fn last_stream_ended(&mut self, now: Instant, reason: EndReason) {
        *self = match *self {
            Self::Streaming { told: Some(told) } => Self::Finishing {
                reason: match told.by {
                    By::Twilio => combined(reason, told.reason),
                    By::Order => told.reason,
                },
            },
            _ => Self::Lingering {
                until: now + LINGER,
                reason,
            },
        };
    }

    /// Twilio said what the call came to.
    pub(super) fn told(&mut self, now: Instant, told: EndReason) {
        match self {
            Self::Streaming { told: said @ None } => {
                *said = Some(Told {
                    reason: told,
                    by: By::Twilio,
                    until: now + LINGER,
                });
            }
            Self::Lingering { reason, .. } => {
                *self = Self::Finishing {
                    reason: combined(*reason, told),
                };
            }
            Self::Finishing { reason } => *reason = combined(*reason, told),
            Self::Pending | Self::Streaming { told: Some(_) } | Self::Ended => {}
        }
    }

    /// Sidetone had the call ended: its streams end now, and no other one comes.
    pub(super) fn ordered(&mut self, now: Instant, reason: EndReason) {
        match self {
            Self::Streaming { told } => {
                *told = Some(Told {
                    reason,
                    by: By::Order,
                    until: now + LINGER,
                });
            }
            Self::Lingering { .. } => *self = Self::Finishing { reason },
            Self::Pending | Self::Finishing { .. } | Self::Ended => {}
        }
    }

    /// If another stream is waited for, it may come as late as this.
    pub(super) fn linger_until(&mut self, later: Instant) {
        if let Self::Lingering { until, .. } = self {
            *until = later.max(*until);
        }
    }

    /// No stream is waited for any more.
    pub(super) fn stop_lingering(&mut self) {
        if let Self::Lingering { reason, .. } = *self {
            *self = Self::Finishing { reason };
        }
    }

    /// When what the call waits for has come or is given up.
    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Streaming {
                told: Some(Told { until, .. }),
            }
            | Self::Lingering { until, .. } => Some(until),
            Self::Pending
            | Self::Streaming { told: None }
            | Self::Finishing { .. }
            | Self::Ended => None,
        }
    }
}

/// What a call came to, when Twilio's status says that it is over.
pub fn outcome(status: &str) -> Option<EndReason> {
    match status {
        "completed" => Some(EndReason::Hangup),
        "busy" => Some(EndReason::Busy),
        "no-answer" => Some(EndReason::NoAnswer),
        "failed" => Some(EndReason::Failed),
        "canceled" => Some(EndReason::Canceled),
        _ => None,
    }
}

/// Why a call ended whose last stream ended for one reason and of which Twilio told another. That
/// it was completed says the least: it follows every end.
fn combined(stream: EndReason, told: EndReason) -> EndReason {
    match (stream, told) {
        (EndReason::Disconnected, EndReason::Hangup) => EndReason::Hangup,
        (stream, EndReason::Hangup) => stream,
        (_, told) => told,
    }
}
