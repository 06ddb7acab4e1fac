//! One running session: its clocks and its gate.

use std::time::{Duration, Instant};

use super::gate::Gate;
use super::types::Latencies;

/// A session whose `Settings` were applied.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) request_id: Option<String>,
    pub(super) gate: Gate,
    /// Whether an answer has begun to come and not ended.
    pub(super) is_answering: bool,
    /// Of the answer that comes.
    pub(super) latencies: Latencies,
    /// When a message, audio or a pong was heard last.
    last_heard: Instant,
    next_ping: Instant,
    /// When silence takes the place of the caller's audio.
    next_silence: Instant,
    /// While only silence is sent.
    next_keep_alive: Option<Instant>,
    /// From when on the next idle moment is the one for a new session.
    renew_from: Instant,
    renew_by: Instant,
}

/// What the session needs at this moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upkeep {
    Ping,
    /// 100 ms of it.
    Silence,
    KeepAlive,
}

impl Session {
    /// A session that runs from `now` on, on a connection that was `opened`.
    pub(super) fn new(
        now: Instant,
        opened: Instant,
        request_id: Option<String>,
        gate: Gate,
    ) -> Self {
        Self {
            request_id,
            gate,
            is_answering: false,
            latencies: Latencies::default(),
            last_heard: now,
            next_ping: now + PING_INTERVAL,
            next_silence: now + PAUSE,
            next_keep_alive: None,
            renew_from: opened + RENEW_FROM,
            renew_by: opened + RENEW_BY,
        }
    }

    pub(super) fn heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// The caller's own audio was sent.
    pub(super) fn fed(&mut self, now: Instant) {
        self.next_silence = now + PAUSE;
        self.next_keep_alive = None;
    }

    /// Deepgram says that the session gets old.
    pub(super) fn ages(&mut self, now: Instant) {
        self.renew_from = self.renew_from.min(now);
    }

    pub(super) fn is_deaf(&self, now: Instant) -> bool {
        now >= self.deaf_at()
    }

    /// When another session has to take its place, in a moment that is idle or not.
    pub(super) fn renewal(&self, is_idle: bool) -> Instant {
        if is_idle {
            self.renew_from
        } else {
            self.renew_by
        }
    }

    /// What is due, one thing at a time.
    pub(super) fn upkeep(&mut self, now: Instant) -> Option<Upkeep> {
        if now >= self.next_ping {
            self.next_ping = now + PING_INTERVAL;
            return Some(Upkeep::Ping);
        }
        if now >= self.next_silence {
            // After a timer that came late, silence goes on from here and makes up for nothing.
            let is_late = now.duration_since(self.next_silence) >= LATE;
            let due = if is_late { now } else { self.next_silence };
            self.next_silence = due + SILENCE;
            self.next_keep_alive
                .get_or_insert(now + KEEP_ALIVE_INTERVAL);
            return Some(Upkeep::Silence);
        }
        if self.next_keep_alive.is_some_and(|due| now >= due) {
            self.next_keep_alive = Some(now + KEEP_ALIVE_INTERVAL);
            return Some(Upkeep::KeepAlive);
        }
        None
    }

    /// The earliest deadline.
    pub(super) fn next_deadline(&self, is_idle: bool) -> Instant {
        let next = self
            .next_ping
            .min(self.deaf_at())
            .min(self.next_silence)
            .min(self.renewal(is_idle));
        self.next_keep_alive.map_or(next, |due| due.min(next))
    }

    fn deaf_at(&self) -> Instant {
        self.last_heard + DEAF_AFTER
    }
}

const PING_INTERVAL: Duration = Duration::from_secs(5);
const DEAF_AFTER: Duration = Duration::from_secs(10);
/// A caller's audio that is away for longer has silence in its place: Deepgram ends a session in
/// which nothing comes for 10 s, and KeepAlive alone was seen not to hold it.
const PAUSE: Duration = Duration::from_millis(200);
const SILENCE: Duration = Duration::from_millis(100);
const LATE: Duration = Duration::from_secs(1);
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(8);
/// Deepgram warns after 1 h 55 min and ends a session after two hours.
const RENEW_FROM: Duration = Duration::from_secs(114 * 60);
const RENEW_BY: Duration = Duration::from_secs(119 * 60);
