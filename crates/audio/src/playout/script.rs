//! Which words stand where in the audio of an utterance.

use std::ops::Range;

use super::pauses::Pauses;
use crate::SAMPLES_PER_MS;

/// The text of an utterance, in texts whose audio follows one another. Positions are samples of
/// the utterance.
///
/// Where a text begins is known, unless it came before all audio of the last: then it is a part of
/// that. Within a text, what stands between punctuation marks, a *phrase*, ends with the pause
/// nearest to where it would end if all were said at one pace; and a word stands in its phrase as
/// its letters do.
#[derive(Debug, Default)]
pub(super) struct Script {
    /// All texts, with a space between.
    text: String,
    texts: Vec<Text>,
}

#[derive(Clone, Copy, Debug)]
struct Text {
    /// Where its audio begins.
    at: u64,
    /// Where it begins in the script, in bytes.
    offset: usize,
}

impl Script {
    /// How long a letter takes, as long as nothing better is known: 15 are said in a second.
    const SAMPLES_PER_LETTER: u64 = 1_000 * SAMPLES_PER_MS / 15;

    /// Hardly a voice is faster than this: 22 letters in a second.
    const LEAST_PER_LETTER: u64 = 1_000 * SAMPLES_PER_MS / 22;

    /// Adds a text; its audio begins at `at`, or later when that of the last text is not complete.
    /// `at` is not before that of any other.
    pub(super) fn push(&mut self, at: u64, text: &str) {
        let text = text.trim();
        if text.is_empty() {
            return;
        }
        if !self.text.is_empty() {
            self.text.push(' ');
        }
        // One that comes before all audio of the last shares it: nobody knows where it begins.
        let is_said = |last: &Text| {
            let least = letters(&self.text[last.offset..]) * Self::LEAST_PER_LETTER;
            last.at < at && at - last.at >= least
        };
        if self.texts.last().is_none_or(is_said) {
            self.texts.push(Text {
                at,
                offset: self.text.len(),
            });
        }
        self.text.push_str(text);
    }

    /// Where the first text begins that begins after `position`.
    pub(super) fn next_beginning(&self, position: u64) -> Option<u64> {
        let next = self.texts.partition_point(|text| text.at <= position);
        self.texts.get(next).map(|text| text.at)
    }

    /// What was said of the text when `heard` samples were played: up to the last word that was
    /// half said.
    ///
    /// `received` is how much audio there is so far, `is_complete` whether that is all, and
    /// `pauses` are those in it.
    pub(super) fn heard(
        &self,
        heard: u64,
        received: u64,
        is_complete: bool,
        pauses: &Pauses,
    ) -> &str {
        let begun = self.texts.partition_point(|text| text.at < heard);
        let Some(current) = begun.checked_sub(1).map(|index| self.texts[index]) else {
            return "";
        };
        let (said, rest) = self.text.split_at(current.offset);
        let (text, end) = match self.texts.get(begun) {
            Some(next) => (&rest[..next.offset - current.offset], next.at),
            None if is_complete => (rest, received),
            None => {
                let estimate = letters(rest) * Self::pace(current.at, said);
                (rest, received.max(current.at + estimate))
            }
        };
        let said = current.offset + said_bytes(text, current.at..end, pauses, heard);
        self.text[..said].trim_end()
    }

    /// Samples for a letter, by the texts that took `samples`.
    fn pace(samples: u64, texts: &str) -> u64 {
        samples
            .checked_div(letters(texts))
            .unwrap_or(Self::SAMPLES_PER_LETTER)
    }
}

/// Where the last word of `text` ends, in bytes, whose middle comes before `heard` when the text
/// is said at `place`; 0 when there is none.
fn said_bytes(text: &str, place: Range<u64>, pauses: &Pauses, heard: u64) -> usize {
    let Range { mut start, mut end } = place;
    let mut within = Vec::new();
    for pause in pauses.iter().filter(|pause| pause.end > place.start) {
        if pause.start <= place.start {
            start = pause.end.min(end);
        } else if pause.end < place.end {
            within.push(pause);
        } else {
            end = pause.start.clamp(start, end);
            break;
        }
    }
    let (mut said, mut offset, mut left) = (0, 0, letters(text));
    for phrase in phrases(text) {
        let (beginning, taken) = (offset, letters(phrase));
        offset += phrase.len();
        if taken == 0 {
            continue;
        }
        let guess = start + (end - start) * taken / left;
        left -= taken;
        let pause = match left {
            0 => end..end,
            _ => nearest(&within, start, guess).unwrap_or(guess..guess),
        };
        let bytes = words_said(phrase, start..pause.start, heard);
        if bytes > 0 {
            said = beginning + bytes;
        }
        start = pause.end;
        if heard < start {
            break;
        }
    }
    said
}

/// The same for a phrase, in which letters are said at one pace.
fn words_said(phrase: &str, place: Range<u64>, heard: u64) -> usize {
    let Some(played) = heard.checked_sub(place.start) else {
        return 0;
    };
    let total = letters(phrase);
    let (mut said, mut offset, mut before) = (0, 0, 0);
    for piece in phrase.split_inclusive(char::is_whitespace) {
        let word = piece.trim_end();
        let twice_its_middle = 2 * before + letters(word);
        if twice_its_middle * (place.end - place.start) > 2 * total * played {
            break;
        }
        said = offset + word.len();
        offset += piece.len();
        before += letters(piece);
    }
    said
}

/// The pause after `start` that begins nearest to `guess`, unless it is further off than guesses
/// are: 750 ms, or a third of the way.
fn nearest(pauses: &[Range<u64>], start: u64, guess: u64) -> Option<Range<u64>> {
    const CLOSE: u64 = 750 * SAMPLES_PER_MS;

    let pause = pauses
        .iter()
        .filter(|pause| pause.start > start)
        .min_by_key(|pause| pause.start.abs_diff(guess))?;
    let is_close = pause.start.abs_diff(guess) <= CLOSE.max((guess - start) / 3);
    is_close.then(|| pause.clone())
}

/// Cuts `text` after each word that ends with a punctuation mark.
fn phrases(text: &str) -> impl Iterator<Item = &str> {
    let mut after_mark = false;
    text.split_inclusive(move |c: char| {
        let is_end = after_mark && c.is_whitespace();
        let is_mark = matches!(
            c,
            '.' | ',' | '!' | '?' | ';' | ':' | '-' | '\u{2013}'..='\u{2026}'
        );
        let is_closing = matches!(c, '"' | '\'' | ')' | ']');
        after_mark = is_mark || after_mark && is_closing;
        is_end
    })
}

/// How long a text takes to say, in letters: the end of a word counts as one, and a digit, which
/// is a word, as four.
fn letters(text: &str) -> u64 {
    let of_character = |c: char| match c {
        '0'..='9' => 4,
        c => u64::from(c.is_alphanumeric()),
    };
    text.split_whitespace()
        .map(|word| 1 + word.chars().map(of_character).sum::<u64>())
        .sum()
}
