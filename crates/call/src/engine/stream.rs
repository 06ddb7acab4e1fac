//! A stream that lives: what it may bring, and whether anyone is still there.

use std::time::{Duration, Instant};

use sidetone_audio::{Timeline, Track};

use super::StreamKey;

/// A stream of which no message came for this long is pinged, and again after as long.
const PING_INTERVAL: Duration = Duration::from_secs(15);

/// A stream that Twilio's callback says has stopped ends when nothing came of it for this long:
/// the callback overtakes the stream's last frames, and those are still to be heard.
const REST: Duration = Duration::from_millis(100);

/// However much still comes, it ends this long after the callback.
const REST_AT_MOST: Duration = Duration::from_secs(2);

/// A media stream that has started and not ended.
#[derive(Debug)]
pub(super) struct Stream {
    pub(super) key: StreamKey,
    pub(super) tracks: Vec<Track>,
    pub(super) timeline: Timeline,
    idle_timeout: Duration,
    ping_at: Instant,
    dead_at: Instant,
    stopping: Option<Stopping>,
}

/// A stream that is said to have stopped.
#[derive(Clone, Copy, Debug)]
struct Stopping {
    /// When it ends if nothing more comes.
    rest_at: Instant,
    /// When it ends in any case.
    latest: Instant,
}

/// What a silent stream needs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Check {
    Nothing,
    Ping,
    Dead,
    Stopped,
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
            stopping: None,
        }
    }

    /// Something came from it.
    pub(super) fn heard(&mut self, now: Instant) {
        self.ping_at = now + PING_INTERVAL;
        self.dead_at = now + self.idle_timeout;
        if let Some(stopping) = &mut self.stopping {
            stopping.rest_at = stopping.latest.min(now + REST);
        }
    }

    /// Twilio's callback says that it has stopped.
    pub(super) fn stopped(&mut self, now: Instant) {
        self.stopping.get_or_insert(Stopping {
            rest_at: now + REST,
            latest: now + REST_AT_MOST,
        });
    }

    pub(super) fn check(&mut self, now: Instant) -> Check {
        if self
            .stopping
            .is_some_and(|stopping| now >= stopping.rest_at)
        {
            Check::Stopped
        } else if now >= self.dead_at {
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
        let idle_at = self.ping_at.min(self.dead_at);
        self.stopping
            .map_or(idle_at, |stopping| idle_at.min(stopping.rest_at))
    }
}
