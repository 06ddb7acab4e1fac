//! What the agent was asked to say and has not begun to say.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use super::super::speaking::{Asked, MOST_WAITING};
use super::super::{NotSaid, Speech};
use crate::event::EventData;

/// How long the agent may say nothing at all before what waits has failed.
const PATIENCE: Duration = Duration::from_secs(10);

/// The messages that were injected, by number.
#[derive(Debug, Default)]
pub(super) struct Injections {
    made: u32,
    /// Texts of which events tell, in the order in which they were asked for.
    waiting: VecDeque<(u32, Asked)>,
    /// Those that are not to be heard if the agent says them after all.
    dropped: VecDeque<u32>,
    /// When the agent was last heard of.
    heard_at: Option<Instant>,
}

impl Injections {
    /// A number for one more.
    pub(super) fn next(&mut self) -> u32 {
        self.made += 1;
        self.made
    }

    /// Whether one more text may wait.
    pub(super) fn check_room(&self) -> Result<(), NotSaid> {
        if self.waiting.len() < MOST_WAITING {
            Ok(())
        } else {
            Err(NotSaid::TooMany)
        }
    }

    /// A text waits for its turn. Its number.
    pub(super) fn ask(&mut self, now: Instant, speech: Speech) -> u32 {
        let number = self.next();
        self.waiting.push_back((number, Asked::new(now, speech)));
        number
    }

    /// The agent says something.
    pub(super) fn agent_heard(&mut self, now: Instant) {
        self.heard_at = Some(now);
    }

    /// Takes the text of this number: it is being said, or refused.
    pub(super) fn take(&mut self, number: u32) -> Option<Asked> {
        let index = self.waiting.iter().position(|(it, _)| *it == number)?;
        self.waiting.remove(index).map(|(_, asked)| asked)
    }

    /// Whether this one is not to be heard.
    pub(super) fn is_dropped(&self, number: u32) -> bool {
        self.dropped.contains(&number)
    }

    /// Drops all that waits.
    pub(super) fn drop_all(&mut self, reason: &str) -> Vec<EventData> {
        let waiting = std::mem::take(&mut self.waiting);
        let dropped = waiting.into_iter().map(|(number, asked)| {
            self.note_dropped(number);
            asked.interrupted(0, String::new(), Some(reason))
        });
        dropped.collect()
    }

    /// Fails all that waits.
    pub(super) fn fail_all(&mut self, reason: &str) -> Vec<EventData> {
        let waiting = self.waiting.drain(..);
        waiting
            .map(|(_, asked)| asked.failed(0, String::new(), reason))
            .collect()
    }

    /// A text of which nothing has come for too long.
    pub(super) fn handle_timeout(&mut self, now: Instant) -> Option<EventData> {
        self.deadline().filter(|at| *at <= now)?;
        let (number, asked) = self.waiting.pop_front()?;
        self.note_dropped(number);
        let reason = "the agent has not said it within 10 s";
        Some(asked.failed(0, String::new(), reason))
    }

    /// When [`Injections::handle_timeout`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let (_, oldest) = self.waiting.front()?;
        let since = self.heard_at.map_or(oldest.turn, |at| at.max(oldest.turn));
        Some(since + PATIENCE)
    }

    pub(super) fn are_waiting(&self) -> bool {
        !self.waiting.is_empty()
    }

    fn note_dropped(&mut self, number: u32) {
        if self.dropped.len() == MOST_WAITING {
            self.dropped.pop_front();
        }
        self.dropped.push_back(number);
    }
}
