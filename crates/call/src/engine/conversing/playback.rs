//! How far the turn is that is being played.

use std::time::{Duration, Instant};

use sidetone_audio::SAMPLES_PER_MS;

use super::turns::{Heard, Turns};
use crate::event::AgentPlayback;

/// Between two looks.
const EVERY: Duration = Duration::from_millis(200);

/// What is shown of the turns while they are heard, to those who ask for it.
#[derive(Debug, Default)]
pub(super) struct Playback {
    /// When to look next; `None` while nothing is being said, or nobody asks.
    due: Option<Instant>,
    /// What was shown last: of which turn how many samples.
    shown: (u32, u64),
}

impl Playback {
    /// What is to be shown now. Due whenever something has happened.
    pub(super) fn poll(
        &mut self,
        now: Instant,
        is_watched: bool,
        turns: &Turns,
    ) -> Option<AgentPlayback> {
        if !is_watched || turns.are_settled() {
            self.due = None;
            return None;
        }
        if self.due.is_some_and(|at| at > now) {
            return None;
        }
        self.due = Some(now + EVERY);
        let (turn, heard) = turns.heard(now)?;
        let (shown_turn, shown) = self.shown;
        // Once an echo tells better, less may have been heard than was believed.
        let has_gone_on = turn != shown_turn || heard.samples > shown;
        has_gone_on.then(|| self.show(turn, heard.samples, heard.text))?
    }

    /// The last of a turn, of which it is known what was heard.
    pub(super) fn last(&mut self, turn: u32, heard: &Heard) -> Option<AgentPlayback> {
        self.show(turn, heard.samples, &heard.text)
    }

    /// When to poll.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn show(&mut self, turn: u32, heard: u64, text: &str) -> Option<AgentPlayback> {
        let is_news = heard > 0 && self.shown != (turn, heard);
        is_news.then(|| {
            self.shown = (turn, heard);
            AgentPlayback {
                turn,
                heard_ms: heard / SAMPLES_PER_MS,
                heard_text: text.to_owned(),
            }
        })
    }
}
