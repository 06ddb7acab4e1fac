//! One open connection: what it has been sent, what it owes us, and its clocks.

use std::time::{Duration, Instant};

use super::clock::{TimeMap, duration_of};

/// A connection that is open.
#[derive(Debug)]
pub(super) struct Connection {
    pub(super) request_id: Option<String>,
    /// Whether it is the call's first: its messages are passed on as they are.
    pub(super) is_first: bool,
    pub(super) map: TimeMap,
    /// Source position of what is to be sent next.
    pub(super) sent: u64,
    /// Whether a final told something new.
    pub(super) was_fruitful: bool,
    start: u64,
    opened: Instant,
    closing: bool,
    /// How a backlog is sent; `None` once caught up.
    pace: Option<Pace>,
    /// When audio or a KeepAlive was last sent; `None` before the first audio.
    last_sent: Option<Instant>,
    /// When a message or a pong was last heard.
    last_heard: Instant,
    next_ping: Instant,
    unanswered: Option<Unanswered>,
}

/// Sending a backlog no faster than `rate` times real time.
#[derive(Clone, Copy, Debug)]
struct Pace {
    since: Instant,
    from: u64,
    rate: f64,
}

/// Sound that was sent since the last message.
#[derive(Clone, Copy, Debug)]
struct Unanswered {
    first: Instant,
    last: Instant,
}

/// What the connection needs at this moment besides the call's audio.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Upkeep {
    Ping,
    KeepAlive,
    /// A frame of silence, so that Deepgram has audio at all.
    Silence,
}

/// What a connection is opened with.
pub(super) struct Opening {
    pub(super) request_id: Option<String>,
    pub(super) is_first: bool,
    /// Source position of the first sample to be sent.
    pub(super) start: u64,
    /// Audio that waits.
    pub(super) backlog: u64,
    pub(super) replay_rate: f64,
}

impl Connection {
    pub(super) fn open(now: Instant, opening: Opening) -> Self {
        let Opening {
            request_id,
            is_first,
            start,
            backlog,
            replay_rate,
        } = opening;
        let pace = Pace {
            since: now,
            from: start,
            rate: replay_rate,
        };
        Self {
            request_id,
            is_first,
            map: TimeMap::starting_at(start),
            sent: start,
            was_fruitful: false,
            start,
            opened: now,
            closing: false,
            pace: (duration_of(backlog) >= SMALL_BACKLOG).then_some(pace),
            last_sent: None,
            last_heard: now,
            next_ping: now + PING_INTERVAL,
            unanswered: None,
        }
    }

    /// When the next audio may be sent; `None`: as it comes.
    pub(super) fn next_audio(&self) -> Option<Instant> {
        self.pace.map(|pace| {
            let ahead = duration_of(self.sent - pace.from);
            pace.since + ahead.div_f64(pace.rate)
        })
    }

    pub(super) fn audio_sent(&mut self, now: Instant, samples: u64, is_silent: bool) {
        self.sent += samples;
        self.last_sent = Some(now);
        if !is_silent {
            let flows = self
                .unanswered
                .filter(|sound| now - sound.last < PAUSE_IN_SPEECH);
            let first = flows.map_or(now, |sound| sound.first);
            self.unanswered = Some(Unanswered { first, last: now });
        }
    }

    /// All there is was sent: from now on audio is sent as it comes.
    pub(super) fn caught_up(&mut self) {
        self.pace = None;
    }

    pub(super) fn has_sent_audio(&self) -> bool {
        self.sent > self.start
    }

    pub(super) fn message_heard(&mut self, now: Instant) {
        self.last_heard = now;
        self.unanswered = None;
    }

    pub(super) fn pong_heard(&mut self, now: Instant) {
        self.last_heard = now;
    }

    /// `CloseStream` was sent. From here on life is looked for more eagerly: on a dead line the
    /// last words have to be told on another one, and someone waits for them.
    pub(super) fn asked_to_close(&mut self, now: Instant) {
        self.closing = true;
        self.last_heard = now;
        self.next_ping = now;
    }

    /// Whether this connection was good enough to count as a new beginning for the back-off. One
    /// that only complained was not, however often it is made again.
    pub(super) fn was_sound(&self, now: Instant) -> bool {
        self.was_fruitful || now - self.opened >= LONG_LIFE
    }

    /// Why the connection has to be replaced, when it has to.
    pub(super) fn stall(&self, now: Instant, interims: bool) -> Option<&'static str> {
        let patience = if interims {
            PATIENCE_WITH_INTERIMS
        } else {
            PATIENCE_WITH_FINALS
        };
        if now >= self.deaf_at() {
            return Some("Deepgram does not even answer pings any more");
        }
        self.unanswered
            .filter(|sound| sound.last - sound.first >= patience)
            .map(|_| "Deepgram takes audio but no longer answers")
    }

    /// What is due, one thing at a time.
    pub(super) fn upkeep(&mut self, now: Instant) -> Option<Upkeep> {
        if now >= self.next_ping {
            self.next_ping = now
                + if self.closing {
                    PING_INTERVAL_AFTER_CLOSE
                } else {
                    PING_INTERVAL
                };
            return Some(Upkeep::Ping);
        }
        if self.closing || now < self.next_sign_of_life() {
            return None;
        }
        let upkeep = if self.last_sent.is_some() {
            Upkeep::KeepAlive
        } else {
            Upkeep::Silence
        };
        self.last_sent = Some(now);
        Some(upkeep)
    }

    /// The earliest deadline, sending aside.
    pub(super) fn next_deadline(&self) -> Instant {
        let watch = self.next_ping.min(self.deaf_at());
        if self.closing {
            watch
        } else {
            watch.min(self.next_sign_of_life())
        }
    }

    fn deaf_at(&self) -> Instant {
        self.last_heard
            + if self.closing {
                DEAF_AFTER_CLOSE
            } else {
                DEAF_AFTER
            }
    }

    fn next_sign_of_life(&self) -> Instant {
        self.last_sent.map_or(self.opened + SILENT_START, |last| {
            last + KEEP_ALIVE_INTERVAL
        })
    }
}

/// Deepgram closes after 10 s without audio or text.
const KEEP_ALIVE_INTERVAL: Duration = Duration::from_secs(4);
/// KeepAlive alone does not keep a connection: it must have had audio.
const SILENT_START: Duration = Duration::from_secs(3);
const PING_INTERVAL: Duration = Duration::from_secs(5);
const DEAF_AFTER: Duration = Duration::from_secs(10);
const DEAF_AFTER_CLOSE: Duration = Duration::from_secs(4);
/// So that one who answers is heard of before it counts as deaf.
const PING_INTERVAL_AFTER_CLOSE: Duration = Duration::from_secs(2);
const PATIENCE_WITH_INTERIMS: Duration = Duration::from_secs(10);
const PATIENCE_WITH_FINALS: Duration = Duration::from_secs(20);
/// Sound after a longer pause waits for its answer anew.
const PAUSE_IN_SPEECH: Duration = Duration::from_secs(5);
/// A backlog below this is sent at once.
const SMALL_BACKLOG: Duration = Duration::from_secs(1);
const LONG_LIFE: Duration = Duration::from_secs(10);
