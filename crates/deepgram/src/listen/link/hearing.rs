//! What has been heard of one channel, and what of a new result was heard before.

use std::time::Duration;

use super::clock::samples_in;
use super::types::{Event, Transcript, Word};
use crate::listen::message::Results;
use crate::listen::times::Cut;

/// One channel's progress across connections.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    /// End of the last final: what lies before it will not be heard again.
    boundary: u64,
    /// The boundary when the present connection opened.
    boundary_at_opening: u64,
    last_word: Option<FinalWord>,
    /// Whether words of an interim still wait for their final.
    expects_final: bool,
    speech_started: Option<u64>,
    utterance_ended: Option<u64>,
}

/// The last word of the last final.
#[derive(Debug)]
struct FinalWord {
    bare: String,
    middle: u64,
}

/// What a result comes to.
pub(super) struct Heard {
    /// What the call is told; an interim without words only takes back the one before it.
    pub(super) event: Option<Event>,
    /// Whether the boundary moved.
    pub(super) advanced: bool,
    /// What to take out of the message, when words in it were heard before.
    pub(super) cut: Option<Cut>,
}

impl Hearing {
    pub(super) fn boundary(&self) -> u64 {
        self.boundary
    }

    pub(super) fn expects_final(&self) -> bool {
        self.expects_final
    }

    /// Where a new connection has to begin for this channel: a little before the boundary, since
    /// a recogniser needs a run-up, but not so early that the last final word is whole again. That
    /// word's times may be off, and leave less of a run-up than the next word can do with.
    pub(super) fn resume_at(&self) -> u64 {
        let before = |run_up| self.boundary.saturating_sub(samples_in(run_up));
        let middle = self.last_word.as_ref().map_or(0, |word| word.middle);
        before(RUN_UP).max(middle.min(before(LEAST_RUN_UP)))
    }

    /// A new connection begins at `position`. What was not heard before it never will be.
    pub(super) fn begin(&mut self, position: u64) {
        if self.resume_at() < position {
            self.boundary = self.boundary.max(position);
        }
        self.boundary_at_opening = self.boundary;
    }

    /// Takes back what an interim told; false when there is nothing to take back.
    pub(super) fn withdraw_interim(&mut self) -> bool {
        std::mem::take(&mut self.expects_final)
    }

    /// Takes a result; `source` maps its seconds to source positions.
    pub(super) fn take(
        &mut self,
        channel: usize,
        results: &Results,
        source: impl Fn(f64) -> u64,
    ) -> Heard {
        let start = source(results.start);
        let end = source(results.start + results.duration).max(start);
        let mut words = words(results, &source);
        let mut text = results
            .heard()
            .map_or_else(String::new, |best| best.transcript.clone());

        let reaches_back = self.reaches_back(start);
        let cut = reaches_back
            .then(|| self.take_out(&mut words, &text, end))
            .flatten();
        if let Some(cut) = &cut {
            cut.transcript.clone_into(&mut text);
        }

        let start = if reaches_back {
            start.max(self.boundary)
        } else {
            start
        };
        let advanced = results.is_final && end > self.boundary;
        if results.is_final {
            self.boundary = self.boundary.max(end);
            if let Some(last) = words.last() {
                self.last_word = Some(FinalWord {
                    bare: bare(&last.word),
                    middle: middle(last),
                });
            }
        }
        let was_told = std::mem::replace(
            &mut self.expects_final,
            !results.is_final && !text.is_empty(),
        );

        let event = match (results.is_final, text.is_empty()) {
            (true, true) => Some(Event::EmptyFinal {
                channel,
                end: self.boundary,
            }),
            (false, true) => was_told.then_some(Event::InterimWithdrawn { channel }),
            (is_final, false) => Some(Event::Transcript(Transcript {
                channel,
                is_final,
                speech_final: results.speech_final,
                start,
                end: end.max(start),
                text,
                confidence: results.heard().map_or(0.0, |best| best.confidence),
                words,
            })),
        };
        Heard {
            event,
            advanced,
            cut,
        }
    }

    /// Whether speech that starts at `at` is news. A replay tells again what was told.
    pub(super) fn speech_started(&mut self, at: u64) -> bool {
        is_news(&mut self.speech_started, at)
    }

    /// Whether an utterance that ended at `at` is news.
    pub(super) fn utterance_ended(&mut self, at: u64) -> bool {
        is_news(&mut self.utterance_ended, at)
    }

    /// Whether a window that starts at `start` overlaps what is final.
    ///
    /// On one connection windows follow each other, and a word may be told to begin a little
    /// before its window; so only a window that clearly starts early repeats something.
    fn reaches_back(&self, start: u64) -> bool {
        start < self.boundary_at_opening
            || start.saturating_add(samples_in(WINDOW_TOLERANCE)) < self.boundary
    }

    /// Takes the words that are final already out of `words`; `None` when there are none.
    fn take_out(&self, words: &mut Vec<Word>, text: &str, end: u64) -> Option<Cut> {
        if words.is_empty() {
            let repeated = !text.is_empty() && end <= self.boundary;
            return repeated.then(|| Cut {
                taken_out: Vec::new(),
                transcript: String::new(),
            });
        }
        let taken_out: Vec<bool> = words.iter().map(|word| self.is_repeat(word)).collect();
        if !taken_out.contains(&true) {
            return None;
        }
        let mut flags = taken_out.iter();
        words.retain(|_| flags.next() == Some(&false));
        let texts: Vec<&str> = words.iter().map(|word| word.text.as_str()).collect();
        Some(Cut {
            transcript: texts.join(" "),
            taken_out,
        })
    }

    /// A word is a repeat when its middle lies before the boundary; or when it straddles the
    /// boundary, ends about there, and reads like the last final word or the end of it: cut in two
    /// by the start of the connection, the rest of that word is heard once more, and of a number
    /// that is written in one, its last digits. Said twice by the speaker, the second one ends
    /// later.
    fn is_repeat(&self, word: &Word) -> bool {
        let about_there = samples_in(WORD_TOLERANCE + WINDOW_TOLERANCE);
        let is_rest_of_last_word = || {
            word.start < self.boundary
                && word.end <= self.boundary.saturating_add(about_there)
                && self
                    .last_word
                    .as_ref()
                    .is_some_and(|last| last.bare.ends_with(&bare(&word.word)))
        };
        middle(word) < self.boundary || is_rest_of_last_word()
    }
}

fn words(results: &Results, source: impl Fn(f64) -> u64) -> Vec<Word> {
    let heard = results.heard().map_or(&[][..], |best| &best.words);
    let words = heard.iter().map(|word| {
        let start = source(word.start);
        Word {
            word: word.word.clone(),
            text: word.punctuated_word.as_ref().unwrap_or(&word.word).clone(),
            start,
            end: source(word.end).max(start),
            confidence: word.confidence,
            speaker: word.speaker,
        }
    });
    words.collect()
}

fn middle(word: &Word) -> u64 {
    word.start.midpoint(word.end)
}

/// A word without case and punctuation.
fn bare(word: &str) -> String {
    word.chars()
        .filter(|c| c.is_alphanumeric())
        .flat_map(char::to_lowercase)
        .collect()
}

fn is_news(last: &mut Option<u64>, at: u64) -> bool {
    let news = last.is_none_or(|last| at > last.saturating_add(samples_in(SAME_MOMENT)));
    if news {
        *last = Some(at);
    }
    news
}

/// What a recogniser needs of the audio before a word to hear its onset.
pub(super) const RUN_UP: Duration = Duration::from_millis(300);
/// Less is too little for a word that follows at once.
const LEAST_RUN_UP: Duration = Duration::from_millis(100);
/// Windows are told in hundredths of a second.
const WINDOW_TOLERANCE: Duration = Duration::from_millis(20);
/// The times of a word differ by up to this from one hearing to the next.
const WORD_TOLERANCE: Duration = Duration::from_millis(100);
/// Two hearings of the same audio differ by less.
const SAME_MOMENT: Duration = Duration::from_millis(200);
