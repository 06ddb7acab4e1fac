//! How the agent takes its leave of the stream.

use std::time::{Duration, Instant};

use super::super::Next;

/// How long the agent has to begin what it says as a farewell.
const TO_BEGIN: Duration = Duration::from_secs(3);

/// The same before keys are pressed: the agent waits for these, and says nothing new.
const TO_BEGIN_BEFORE_KEYS: Duration = Duration::from_secs(1);

/// How long a text may be without audio.
const TO_SPEAK: Duration = Duration::from_secs(10);

/// How long nothing may be heard of a farewell that does not end.
const TO_END: Duration = Duration::from_secs(5);

/// What was begun when the agent was lost is played for so long.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// The stream is to be closed as soon as the agent has finished speaking.
#[derive(Debug)]
pub(super) struct Departure {
    pub(super) next: Next,
    /// The id of the function that asked for it.
    function: Option<String>,
    /// Turns that began before it.
    after: u32,
    /// Whether a turn that came after it is over.
    is_followed: bool,
    /// When it is due if nothing is said.
    quiet_at: Instant,
    /// When it is due whatever is going on.
    latest: Instant,
}

impl Departure {
    /// One that a function asked for when `after` turns had begun.
    pub(super) fn asked(now: Instant, next: Next, function: String, after: u32) -> Self {
        let to_begin = match next {
            Next::Press(_) => TO_BEGIN_BEFORE_KEYS,
            Next::HangUp | Next::Dial(_) | Next::FallBack => TO_BEGIN,
        };
        Self {
            next,
            function: Some(function),
            after,
            is_followed: false,
            quiet_at: now + to_begin,
            latest: now + TO_SPEAK,
        }
    }

    /// The agent is lost.
    pub(super) fn of_lost(now: Instant) -> Self {
        Self {
            next: Next::FallBack,
            function: None,
            after: 0,
            is_followed: false,
            quiet_at: now,
            latest: now + LAST_WORDS,
        }
    }

    /// The agent is lost: nothing more is said.
    pub(super) fn hasten(&mut self, now: Instant) {
        self.quiet_at = now;
        self.latest = self.latest.min(now + LAST_WORDS);
    }

    pub(super) fn is_asked_by(&self, function: &str) -> bool {
        self.function.as_deref() == Some(function)
    }

    /// Something gives reason to believe that the agent will speak.
    pub(super) fn expect_speech(&mut self, now: Instant) {
        self.quiet_at = self.quiet_at.max(now + TO_BEGIN);
        self.latest = self.latest.max(now + TO_SPEAK);
    }

    /// What has come will have been played by `end`.
    pub(super) fn speaks_until(&mut self, end: Instant) {
        self.latest = self.latest.max(end + TO_END);
    }

    /// A turn is settled.
    pub(super) fn settled(&mut self, turn: u32) {
        self.is_followed |= turn > self.after;
    }

    /// Whether the time has come, when nothing is being said any more or something is.
    pub(super) fn is_due(&self, now: Instant, is_quiet: bool) -> bool {
        now >= self.latest || is_quiet && (self.is_followed || now >= self.quiet_at)
    }

    /// When it is due if nothing happens meanwhile.
    pub(super) fn deadline(&self, is_quiet: bool) -> Instant {
        if is_quiet {
            self.quiet_at.min(self.latest)
        } else {
            self.latest
        }
    }
}
