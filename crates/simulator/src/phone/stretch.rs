//! What a bidirectional stream lets the caller hear, stretch by stretch.

use std::time::Duration;

use super::line::samples;
use super::playback::Clear;
use crate::voice::SpokenWord;

/// Pauses of less than this belong to what is said.
const PAUSE: Duration = Duration::from_millis(700);

/// Messages of a stretch whose coming is told: some ten minutes of those that Sidetone sends.
const MAX_ARRIVALS: usize = 10_000;

/// What was played with short pauses only, and no clear in it. Positions are the line's.
#[derive(Debug)]
pub(super) struct Stretch {
    pub(super) start: u64,
    /// End of the last audio.
    pub(super) end: u64,
    /// How long before its playing each message came.
    pub(super) ahead: Vec<Duration>,
    /// The words heard whole.
    pub(super) words: Vec<SpokenWord>,
    /// What cut it short.
    pub(super) clear: Option<Clear>,
}

impl Stretch {
    fn begin(at: u64) -> Self {
        Self {
            start: at,
            end: at,
            ahead: Vec::new(),
            words: Vec::new(),
            clear: None,
        }
    }
}

/// Cuts what is played into stretches.
#[derive(Debug, Default)]
pub(super) struct Stretches {
    open: Option<Stretch>,
    over: Vec<Stretch>,
}

impl Stretches {
    /// What was waiting to be played at position `at` was thrown away.
    pub(super) fn clear(&mut self, at: u64, clear: Clear) {
        let open = self.open.take();
        // A clear to which nothing was lost is not heard.
        let begun = (clear.discarded > 0).then(|| Stretch::begin(at));
        self.over.extend(open.or(begun).map(|stretch| Stretch {
            clear: Some(clear),
            ..stretch
        }));
    }

    /// Of the 20 ms from position `at` on, the first `played` samples were played.
    pub(super) fn advance(&mut self, at: u64, played: u64) {
        if played > 0 {
            let stretch = self.open.get_or_insert_with(|| Stretch::begin(at));
            stretch.end = at + played;
        }
        let is_over = |stretch: &Stretch| at >= stretch.end + samples(PAUSE);
        if self.open.as_ref().is_some_and(is_over) {
            self.close();
        }
    }

    /// A message came so long before its playing.
    pub(super) fn arrive(&mut self, ahead: Duration) {
        if let Some(stretch) = &mut self.open
            && stretch.ahead.len() < MAX_ARRIVALS
        {
            stretch.ahead.push(ahead);
        }
    }

    /// A word was heard.
    pub(super) fn hear(&mut self, word: &SpokenWord) {
        if let Some(stretch) = &mut self.open {
            stretch.words.push(word.clone());
        }
    }

    /// Nothing is played any more.
    pub(super) fn close(&mut self) {
        self.over.extend(self.open.take());
    }

    /// Whether something is said, or a short pause made in it.
    pub(super) fn is_speaking(&self) -> bool {
        self.open.is_some()
    }

    /// Takes those that are over.
    pub(super) fn take(&mut self) -> impl Iterator<Item = Stretch> + '_ {
        self.over.drain(..)
    }
}
