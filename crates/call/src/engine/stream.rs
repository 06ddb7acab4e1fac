//! A stream that lives: what it may bring, and whether anyone is still there.

use std::time::{Duration, Instant};

use sidetone_audio::{Timeline, Track};

use super::StreamKey;

/// A stream of which no message came for this long is pinged, and again after as long.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// A media stream that has started and not ended.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) key: StreamKey,
    pub(super) tracks: Vec<Track>,
    pub(super) timeline: Timeline,
    idle_timeout: Duration,
    ping_at: Instant,
    dead_at: Instant,
}

/// What a silent stream needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Nothing,
    Ping,
    Dead,
}

impl Stream {
    pub(super) fn new(
        now: Instant,
        key: StreamKey,
        tracks: Vec<Track>,
        idle_timeout: Duration,
    ) -> Self {
        Self {
            key,
            tracks,
            timeline: Timeline::default(),
            idle_timeout,
            ping_at: now + PING_INTERVAL,
            dead_at: now + idle_timeout,
        }
    }

    /// Something came from it.
    pub(super) fn heard(&mut self, now: Instant) {
        self.ping_at = now + PING_INTERVAL;
        self.dead_at = now + self.idle_timeout;
    }

    pub(super) fn check(&mut self, now: Instant) -> Check {
        if now >= self.dead_at {
            Check::Dead
        } else if now >= self.ping_at {
            self.ping_at = now + PING_INTERVAL;
            Check::Ping
        } else {
            Check::Nothing
        }
    }

    /// When [`Stream::check`] is due.
    pub(super) fn deadline(&self) -> Instant {
        self.ping_at.min(self.dead_at)
    }
}
