//! What of the agent's audio still counts.

use std::time::{Duration, Instant};

/// Lets the agent's audio pass, or not: what was on its way when the agent was interrupted is not
/// heard by anyone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Gate {
    Open,
    /// The caller speaks. Deepgram stops by itself, so whatever follows the last late audio is new.
    Interrupted {
        /// When audio came last, or the caller began to speak.
        quiet_since: Instant,
    },
    /// The answer that comes is not wanted, but Deepgram does not know it: all of it is dropped,
    /// to its end.
    Muted,
}

impl Gate {
    /// Whether audio that comes at `now` counts.
    pub(super) fn lets_pass(&mut self, now: Instant) -> bool {
        match self {
            Self::Open => true,
            Self::Muted => false,
            Self::Interrupted { quiet_since } if now.duration_since(*quiet_since) >= QUIET => {
                *self = Self::Open;
                true
            }
            Self::Interrupted { quiet_since } => {
                *quiet_since = now;
                false
            }
        }
    }
}

/// Late audio follows the audio before it sooner than this.
const QUIET: Duration = Duration::from_secs(1);
