//! How the link treats Deepgram: how fast it sends, how much it sends again, when it comes back,
//! and whether it gives a sign of life before Deepgram closes.

use std::ops::RangeInclusive;
use std::time::{Duration, Instant};

use sidetone_deepgram::listen::link::Config;
use sidetone_deepgram::listen::message::{CLOSE_STREAM, KEEP_ALIVE};

use super::call::{samples, time};
use crate::rig::ms;

/// What the link has done so far, and what it may do next. Positions are source positions.
pub(super) struct Conduct {
    config: Config,
    /// When the next connection may be asked for, and must be at the latest.
    next_try: RangeInclusive<Instant>,
    /// What the refusal that comes asks to wait.
    retry_after: Option<Duration>,
    /// Failures since the last connection that was good for something.
    failures: u32,
    connection: Option<Connection>,
    /// Up to where audio was sent on any connection.
    reached: u64,
    /// Samples sent that were sent before, had every connection lived.
    replayed: u64,
    /// Connections in a row that took audio and told nothing new.
    fruitless: u32,
    /// By channel, up to where finals have come.
    heard: Vec<u64>,
}

/// How a connection is sent its audio.
struct Connection {
    since: Instant,
    /// Where it begins and what waited there; `None` while it opens.
    start: Option<(u64, Duration)>,
    /// Samples of the call sent to it.
    sent: u64,
    has_had_audio: bool,
    /// When it was last sent what keeps it; `None` once it was asked to close.
    kept_at: Option<Instant>,
    /// From when to when sound was sent since the last message, without a long pause.
    unanswered: Option<(Instant, Instant)>,
    /// When it has to be given up, because nothing comes of it any more.
    dead_at: Option<Instant>,
    is_fruitful: bool,
}

impl Conduct {
    pub(super) fn new(config: Config, now: Instant) -> Self {
        Self {
            config,
            next_try: now..=now,
            retry_after: None,
            failures: 0,
            connection: None,
            reached: 0,
            replayed: 0,
            fruitless: 0,
            heard: vec![0; config.channels],
        }
    }

    /// A connection is asked for.
    pub(super) fn asked(&self, now: Instant) {
        assert!(self.next_try.contains(&now), "another try at its time");
    }

    /// While there is no connection, the link waits until `due`.
    pub(super) fn waits(&self, due: Instant) {
        assert!(due <= *self.next_try.end(), "another try in time");
    }

    /// A refusal is on its way that may pass.
    pub(super) const fn refused(&mut self, retry_after: Option<Duration>) {
        self.retry_after = retry_after;
    }

    /// Deepgram refused for good.
    pub(super) fn failed(&mut self, now: Instant) {
        let at = now + Duration::from_secs(30);
        self.next_try = at..=at;
    }

    /// A connection opens.
    pub(super) fn opens(&mut self, now: Instant) {
        self.connection = Some(Connection {
            since: now,
            start: None,
            sent: 0,
            has_had_audio: false,
            kept_at: Some(now),
            unanswered: None,
            dead_at: None,
            is_fruitful: false,
        });
    }

    /// It has opened when `given` samples of the call were there, of which `waiting` still wait;
    /// `gave_up` tells whether a gap came of it. Gives where it begins, and whether what lies
    /// before that was never sent or is given up.
    pub(super) fn opened(&mut self, given: u64, waiting: u64, gave_up: bool) -> (u64, bool) {
        let connection = self.connection.as_mut().expect("it opens");
        let from = given - waiting - connection.sent;
        let backlog = time(given - from);
        connection.start = Some((from, backlog));
        for heard in &mut self.heard {
            *heard = (*heard).max(from);
        }
        let before = self.reached;
        let again = before.saturating_sub(from);
        self.replayed += again;
        let budget = samples(Duration::from_secs(120)) + given / 4;
        assert!(self.replayed <= budget, "too much is sent again");
        let is_hopeless = self.fruitless >= 5;
        assert!(again == 0 || !is_hopeless, "sent again a sixth time");
        let fills_window = backlog + ms(60) >= self.config.replay_window;
        assert!(
            !gave_up || fills_window || is_hopeless || self.replayed == budget,
            "audio is given up without need"
        );
        self.reached = before.max(from + connection.sent);
        (from, gave_up || fills_window || from >= before)
    }

    /// Whether a connection is just opening.
    pub(super) fn is_opening(&self) -> bool {
        let connection = self.connection.as_ref();
        connection.is_some_and(|connection| connection.start.is_none())
    }

    /// Audio goes out, when `given` samples of the call are there: not too fast. A frame of
    /// silence that is no part of the call comes when there is nothing else.
    pub(super) fn audio_sent(&mut self, now: Instant, samples: u64, is_silent: bool, given: u64) {
        let connection = self.connection.as_mut().expect("it is open");
        connection.has_had_audio = true;
        connection.kept_at = Some(now);
        let unanswered = connection.unanswered;
        if let Some((first, last)) = unanswered {
            let patience = if self.config.interim_results { 10 } else { 20 };
            assert!(last - first < Duration::from_secs(patience), "no answer");
        }
        if !is_silent {
            let flows = unanswered.filter(|(_, last)| now - *last < PAUSE_IN_SPEECH);
            connection.unanswered = Some((flows.map_or(now, |(first, _)| first), now));
        }
        let elapsed = now - connection.since;
        let most = match connection.start {
            Some((from, _)) if from + connection.sent == given => return,
            None => SMALL_BACKLOG,
            Some((_, backlog)) if backlog < SMALL_BACKLOG => backlog + elapsed,
            Some(_) => elapsed.mul_f64(self.config.replay_rate) + ms(250),
        };
        connection.sent += samples;
        // And the block that has just come.
        assert!(
            time(connection.sent) <= most + ms(60),
            "faster than the replay rate"
        );
        if let Some((from, _)) = connection.start {
            self.reached = self.reached.max(from + connection.sent);
        }
    }

    /// A text goes out. `KeepAlive` keeps only a connection that has had audio.
    pub(super) fn text_sent(&mut self, now: Instant, text: &str) {
        let connection = self.connection.as_mut().expect("it is open");
        if text == CLOSE_STREAM {
            connection.kept_at = None;
            connection.dead_at = connection.dead_at.map(|_| now + DEAF_AFTER_CLOSE);
        } else if text == KEEP_ALIVE && connection.has_had_audio {
            connection.kept_at = Some(now);
        }
    }

    /// A message of any kind came on the newest connection.
    pub(super) const fn answered(&mut self) {
        if let Some(connection) = &mut self.connection {
            connection.unanswered = None;
        }
    }

    /// A final came.
    pub(super) fn heard(&mut self, channel: usize, end: u64) {
        if end > self.heard[channel] {
            self.heard[channel] = end;
            self.fruitless = 0;
            let connection = self.connection.as_mut().expect("someone told it");
            connection.is_fruitful = true;
        }
    }

    /// The connection gives no sign of life from now on.
    pub(super) fn goes_deaf(&mut self, now: Instant) {
        if let Some(connection) = &mut self.connection {
            let patience = connection.kept_at.map_or(DEAF_AFTER_CLOSE, |_| DEAF_AFTER);
            connection.dead_at = Some(now + patience);
        }
    }

    /// The connection is gone, or could not be made: the `attempt`th time in a row, it is said.
    pub(super) fn lost(&mut self, now: Instant, attempt: u32) {
        if let Some(lost) = self.connection.take() {
            if lost.is_fruitful || now - lost.since >= LONG_LIFE {
                self.failures = 0;
            }
            if lost.sent > 0 && !lost.is_fruitful {
                self.fruitless += 1;
            }
        }
        self.failures += 1;
        assert_eq!(attempt, self.failures, "failures in a row");
        let ceiling = ms(250) * 2_u32.saturating_pow(attempt - 1);
        self.next_try = match self.retry_after.take() {
            Some(asked) => now + asked..=now + asked + ms(250),
            None => now..=now + ceiling.min(ms(5_000)),
        };
    }

    /// The link has finished.
    pub(super) fn ends(&mut self) {
        self.connection = None;
    }

    /// Time has come to `now`.
    pub(super) fn check(&self, now: Instant) {
        let Some(connection) = &self.connection else {
            return;
        };
        let is_kept = |at: Instant| now < at + Duration::from_secs(10);
        assert!(connection.kept_at.is_none_or(is_kept), "Deepgram closes");
        let is_alive = |dead_at: Instant| now <= dead_at;
        assert!(connection.dead_at.is_none_or(is_alive), "it is deaf");
    }

    /// What the connection has just been sent as it opened.
    pub(super) fn sent_at_once(&self, now: Instant) -> Duration {
        let connection = self.connection.as_ref();
        let just_opened = connection.filter(|connection| connection.since == now);
        just_opened.map_or(Duration::ZERO, |connection| time(connection.sent))
    }
}

/// What is less may be sent at once.
const SMALL_BACKLOG: Duration = Duration::from_secs(1);
const PAUSE_IN_SPEECH: Duration = Duration::from_secs(5);
const LONG_LIFE: Duration = Duration::from_secs(10);
const DEAF_AFTER: Duration = Duration::from_secs(10);
const DEAF_AFTER_CLOSE: Duration = Duration::from_secs(4);
