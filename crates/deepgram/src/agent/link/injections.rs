//! Messages that were injected and not said yet.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use super::types::Injection;
use crate::agent::message::Role;

/// Injected messages in their order: those to be sent, and those that wait for what becomes of
/// them.
#[derive(Debug, Default)]
pub(super) struct Injections {
    waiting: VecDeque<Waiting>,
}

struct Waiting {
    since: Instant,
    injection: Injection,
    /// What of its words was not said yet; `None` as long as it was not sent.
    unsaid: Option<String>,
}

impl Injections {
    pub(super) fn push(&mut self, now: Instant, injection: Injection) {
        self.waiting.push_back(Waiting {
            since: now,
            injection,
            unsaid: None,
        });
        if self.waiting.len() > MOST_WAITING {
            self.waiting.pop_front();
        }
    }

    /// The next one to send, which from then on counts as sent. What is too old is let go: nobody
    /// waits for it any more.
    pub(super) fn next(&mut self, now: Instant) -> Option<Injection> {
        self.waiting.retain(|waiting| {
            let is_users = waiting.injection.role == Role::User;
            let patience = if waiting.unsaid.is_some() || is_users {
                LONG_PATIENCE
            } else {
                PATIENCE
            };
            now.duration_since(waiting.since) < patience
        });
        let next = self
            .waiting
            .iter_mut()
            .find(|waiting| waiting.unsaid.is_none())?;
        next.unsaid = Some(words(&next.injection.content));
        Some(next.injection.clone())
    }

    /// Whether this text is an injected message, or the next part of one: which.
    pub(super) fn said(&mut self, role: Role, content: &str) -> Option<u32> {
        let said = words(content);
        if said.is_empty() {
            return None;
        }
        let index = self.waiting.iter_mut().position(|waiting| {
            waiting.injection.role == role
                && waiting
                    .unsaid
                    .as_mut()
                    .is_some_and(|unsaid| take_from(unsaid, &said))
        })?;
        let waiting = self.waiting.get(index)?;
        let id = waiting.injection.id;
        if waiting.unsaid.as_deref() == Some("") {
            self.waiting.remove(index);
        }
        Some(id)
    }

    /// Deepgram refused one and does not say which: the oldest that waits.
    pub(super) fn refused(&mut self) -> Option<u32> {
        let index = self
            .waiting
            .iter()
            .position(|waiting| waiting.unsaid.is_some())?;
        Some(self.waiting.remove(index)?.injection.id)
    }

    /// The session they were sent to is gone: what it has not begun to say, another one may.
    pub(super) fn forsaken(&mut self) {
        self.waiting.retain_mut(|waiting| {
            let unsaid = waiting.unsaid.take();
            unsaid.is_none_or(|unsaid| unsaid == words(&waiting.injection.content))
        });
    }
}

/// Takes `said` from the front of `unsaid`, whole words only.
fn take_from(unsaid: &mut String, said: &str) -> bool {
    let rest = match unsaid.strip_prefix(said) {
        Some("") => Some(""),
        Some(rest) => rest.strip_prefix(' '),
        None => None,
    };
    let rest = rest.map(str::to_owned);
    let is_taken = rest.is_some();
    *unsaid = rest.unwrap_or_else(|| std::mem::take(unsaid));
    is_taken
}

/// A text with one space between its words.
pub(super) fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Without the words.
impl fmt::Debug for Waiting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Waiting")
            .field("injection", &self.injection)
            .field("is_sent", &self.unsaid.is_some())
            .finish_non_exhaustive()
    }
}

const MOST_WAITING: usize = 100;
/// Who asked is told by then that it was not said.
const PATIENCE: Duration = Duration::from_secs(10);
/// What was sent may be queued behind a long answer. What the caller is to have said may have been
/// sent to a session that was deaf, and is worth an answer still.
const LONG_PATIENCE: Duration = Duration::from_secs(60);
