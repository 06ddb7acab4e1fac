//! The keys that the caller presses.

use std::time::{Duration, Instant};

use super::builtin::Collect;

/// Keys that follow one another within this time are told as one message.
const TOGETHER: Duration = Duration::from_millis(1_500);

/// The most keys in one message.
const MOST_TOGETHER: usize = 60;

/// The keys that wait to be told, and those that are collected for a function.
#[derive(Debug)]
pub(super) struct Keys {
    /// Whether those that are not collected are told to the agent.
    are_told: bool,
    untold: String,
    tell_at: Option<Instant>,
    collecting: Option<Collecting>,
}

/// A function that waits for keys.
#[derive(Debug)]
struct Collecting {
    /// Its id.
    function: String,
    until: Collect,
    digits: String,
    timeout_at: Instant,
}

/// What came of keys.
#[derive(Debug, PartialEq)]
pub(super) enum Entered {
    /// For the agent, as if the caller had said so.
    Message(String),
    /// For the function of this id.
    Collected {
        function: String,
        digits: String,
        ended_by: &'static str,
    },
}

impl Keys {
    pub(super) fn new(are_told: bool) -> Self {
        Self {
            are_told,
            untold: String::new(),
            tell_at: None,
            collecting: None,
        }
    }

    /// Keys are collected from now on. False when they already are.
    pub(super) fn collect(&mut self, now: Instant, function: &str, until: Collect) -> bool {
        if self.collecting.is_some() {
            return false;
        }
        self.collecting = Some(Collecting {
            function: function.to_owned(),
            until,
            digits: String::new(),
            timeout_at: now + until.timeout,
        });
        true
    }

    /// The function of this id wants no keys any more.
    pub(super) fn stop_collecting(&mut self, function: &str) {
        self.collecting
            .take_if(|collecting| collecting.function == function);
    }

    /// Nobody is to be told of the keys that wait.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.are_told);
    }

    /// A key was pressed.
    pub(super) fn press(&mut self, now: Instant, key: char) -> Option<Entered> {
        if let Some(collecting) = &mut self.collecting {
            if collecting.until.finish_on == Some(key) {
                return self.collected("finish_on");
            }
            collecting.digits.push(key);
            collecting.timeout_at = now + collecting.until.timeout;
            if collecting.digits.len() == collecting.until.max_digits {
                return self.collected("max_digits");
            }
        } else if self.are_told {
            self.untold.push(key);
            self.tell_at = Some(now + TOGETHER);
            if self.untold.len() == MOST_TOGETHER {
                return self.message();
            }
        }
        None
    }

    /// What is due. The caller has as long for a key as was told, from when nothing is said any
    /// more: `quiet_at`.
    pub(super) fn handle_timeout(&mut self, now: Instant, quiet_at: Instant) -> Option<Entered> {
        if self.tell_at.is_some_and(|at| at <= now) {
            return self.message();
        }
        let collecting = self.collecting.as_mut()?;
        if now < collecting.timeout_at {
            return None;
        }
        if quiet_at > now {
            collecting.timeout_at = quiet_at + collecting.until.timeout;
            return None;
        }
        self.collected("timeout")
    }

    /// When [`Keys::handle_timeout`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let timeout_at = self.collecting.as_ref().map(|it| it.timeout_at);
        self.tell_at.into_iter().chain(timeout_at).min()
    }

    fn message(&mut self) -> Option<Entered> {
        self.tell_at = None;
        let keys = std::mem::take(&mut self.untold);
        Some(Entered::Message(format!("I pressed {keys}")))
    }

    fn collected(&mut self, ended_by: &'static str) -> Option<Entered> {
        let Collecting {
            function, digits, ..
        } = self.collecting.take()?;
        Some(Entered::Collected {
            function,
            digits,
            ended_by,
        })
    }
}
