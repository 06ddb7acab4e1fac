//! What was said and heard, as it is told: in ms of call time.

use std::time::Duration;

use sidetone_audio::SAMPLES_PER_MS;

use super::Call;
use crate::phone::stream::Fate;
use crate::phone::{Clear, HeardWord, Spoken, Stretch};
use crate::voice::SpokenWord;

impl Call {
    pub(super) fn record_words(&mut self) {
        self.unsettled.extend(self.line.ended().iter().cloned());
        self.settle_words();
        let origin = self.origin;
        for word in self.line.take_heard() {
            let heard = heard_word(origin, word);
            self.entry.update(|call| call.heard.push(heard));
        }
        self.record_stretches();
    }

    pub(super) fn record_stretches(&mut self) {
        let origin = self.origin;
        for stretch in self.line.take_stretches() {
            let words = stretch.words.into_iter();
            let stretch = Stretch {
                start_ms: to_ms(origin, stretch.start),
                end_ms: to_ms(origin, stretch.end),
                ahead_ms: stretch.ahead.iter().map(whole_ms).collect(),
                words: words.map(|word| heard_word(origin, word)).collect(),
                clear: stretch.clear.map(|clear| Clear {
                    at: clear.at,
                    discarded_ms: clear.discarded / SAMPLES_PER_MS,
                }),
            };
            self.entry.update(|call| call.stretches.push(stretch));
        }
    }

    /// Records the words that have left, and forgets those that never will.
    pub(super) fn settle_words(&mut self) {
        let origin = self.origin;
        let sent_at = std::time::Instant::now();
        self.unsettled.retain(|(party, word)| {
            let fates = self
                .streams
                .iter()
                .map(|stream| stream.side.fate(*party, word));
            let is_carried = fates.clone().any(|fate| fate == Fate::Carried);
            if is_carried {
                let spoken = Spoken {
                    party: *party,
                    word: word.word.clone(),
                    start_ms: to_ms(origin, word.start),
                    end_ms: to_ms(origin, word.end),
                    sent_at,
                };
                self.entry.update(|call| call.spoken.push(spoken));
            }
            !is_carried && fates.clone().any(|fate| fate == Fate::Waiting)
        });
    }
}

/// A position of the line as call time, which begins at `origin` and is 0 before.
fn to_ms(origin: Option<u64>, position: u64) -> u64 {
    let since_origin = origin.map_or(0, |origin| position.saturating_sub(origin));
    since_origin / SAMPLES_PER_MS
}

fn whole_ms(time: &Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

fn heard_word(origin: Option<u64>, word: SpokenWord) -> HeardWord {
    HeardWord {
        start_ms: to_ms(origin, word.start),
        end_ms: to_ms(origin, word.end),
        word: word.word,
        text: word.text,
    }
}
