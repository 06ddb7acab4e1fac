//! A text in pieces that Deepgram speaks one at a time.

use std::collections::VecDeque;
use std::ops::Range;

/// The longest text of one request, in characters as Deepgram counts them: Unicode scalar values.
pub const MOST_CHARS: usize = 2_000;

/// A part of a text that one request asks for: whole sentences, as far as they fit.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    text: String,
    sentences: Vec<Range<usize>>,
}

impl Piece {
    /// What to ask for; neither empty nor with white space around it.
    pub fn text(&self) -> &str {
        &self.text
    }

    /// Its sentences in order, at least one, without the white space between them.
    ///
    /// One that was too long for its piece comes in parts, as if each were a sentence.
    pub fn sentences(&self) -> impl ExactSizeIterator<Item = &str> {
        self.sentences
            .iter()
            .map(|at| slice(&self.text, at.clone()))
    }
}

/// Splits a text; what comes of white space alone is no piece.
///
/// Nothing is left out but the white space between pieces. A piece has at most [`MOST_CHARS`]
/// characters. Pieces end at the ends of sentences; a sentence longer than its piece may be is cut
/// behind a comma or the like, else between words, and a word only when it is too long itself.
///
/// Of a text longer than 20 seconds the first piece is short, one sentence or a few: Deepgram has
/// the first audio of a short text sooner. The other pieces are as long as may be, since a voice
/// keeps its tone within a request. But none is shorter than four seconds, even if a sentence has
/// to be cut for it: so the next piece, asked for when one begins to be played, is there when that
/// one is over, even if an attempt at it fails.
///
/// A full stop ends a sentence when white space and no lower-case letter follows. So an
/// abbreviation may end one, which makes no difference to what is heard.
pub fn split(text: &str) -> Vec<Piece> {
    let text = text.trim();
    let mut sentences = Sentences::of(text);
    let is_short = chars(text) <= FIRST_MOST_CHARS;
    let enough = if is_short { usize::MAX } else { LEAST_CHARS };
    let first = sentences.take(enough, FIRST_MOST_CHARS);
    let rest = std::iter::from_fn(|| sentences.take(usize::MAX, MOST_CHARS));
    first.into_iter().chain(rest).collect()
}

/// Four seconds at the usual 15 characters a second.
const LEAST_CHARS: usize = 60;

/// Twenty seconds.
const FIRST_MOST_CHARS: usize = 300;

/// The sentences of a text that are in no piece yet.
struct Sentences<'t> {
    text: &'t str,
    left: VecDeque<Range<usize>>,
}

impl<'t> Sentences<'t> {
    /// `text` has no white space around it.
    fn of(text: &'t str) -> Self {
        let mut left: VecDeque<Range<usize>> = VecDeque::new();
        let (mut start, mut word_start) = (0, 0);
        let mut is_speakable = false;
        for gap in gaps(text) {
            is_speakable |= has_letters(slice(text, word_start..gap.start));
            word_start = gap.end;
            // Dots and dashes alone belong to the sentence before or behind them.
            if is_speakable && ends_sentence(text, &gap) {
                left.push_back(start..gap.start);
                (start, is_speakable) = (gap.end, false);
            }
        }
        is_speakable |= has_letters(slice(text, word_start..text.len()));
        match left.back_mut() {
            Some(sentence) if !is_speakable => sentence.end = text.len(),
            _ if text.is_empty() => {}
            _ => left.push_back(start..text.len()),
        }
        Self { text, left }
    }

    /// The next piece: sentences until there are `enough` characters, and never more than `most`.
    fn take(&mut self, enough: usize, most: usize) -> Option<Piece> {
        let first = self.left.pop_front()?;
        let start = first.start;
        let mut sentences = vec![self.cut(first, most)];
        let mut end = sentences.first()?.end;
        while let Some(next) = self.left.front().cloned() {
            let so_far = chars(slice(self.text, start..end));
            let room = most.saturating_sub(chars(slice(self.text, start..next.start)));
            let fits = chars(slice(self.text, next.clone())) <= room;
            if so_far >= enough || room == 0 || (!fits && so_far >= LEAST_CHARS) {
                break;
            }
            self.left.pop_front();
            let next = self.cut(next, room);
            end = next.end;
            sentences.push(next);
        }
        let within = |at: Range<usize>| at.start - start..at.end - start;
        Some(Piece {
            text: slice(self.text, start..end).to_owned(),
            sentences: sentences.into_iter().map(within).collect(),
        })
    }

    /// The sentence, or as much of it as `most` characters hold (not none); the rest is left for
    /// later.
    fn cut(&mut self, sentence: Range<usize>, most: usize) -> Range<usize> {
        let text = slice(self.text, sentence.clone());
        let Some((room, _)) = text.char_indices().nth(most) else {
            return sentence;
        };
        let ends_clause = |gap: &&Range<usize>| {
            gap.start > room / 2 && slice(text, 0..gap.start).ends_with(CLAUSE_ENDS)
        };
        // One character more, so that a gap right behind what fits is seen.
        let gaps = gaps(slice(text, 0..text.ceil_char_boundary(room + 1)));
        let gap = gaps.iter().rfind(ends_clause).or(gaps.last());
        let at = sentence.start + gap.map_or(room, |gap| gap.start);
        let rest = slice(self.text, at..sentence.end).trim_start();
        self.left
            .push_front(sentence.end - rest.len()..sentence.end);
        sentence.start..at
    }
}

/// Where a text may be cut without cutting a word: at white space, and after a full stop of a
/// script that has no white space.
fn gaps(text: &str) -> Vec<Range<usize>> {
    let mut gaps: Vec<Range<usize>> = Vec::new();
    let mut after_wide_stop = false;
    for (at, c) in text.char_indices() {
        let end = at + c.len_utf8();
        if c.is_whitespace() {
            match gaps.last_mut() {
                Some(gap) if gap.end == at => gap.end = end,
                _ => gaps.push(at..end),
            }
        } else if after_wide_stop && !WIDE_STOPS.contains(&c) && !CLOSINGS.contains(&c) {
            gaps.push(at..at);
        }
        after_wide_stop = WIDE_STOPS.contains(&c) || (after_wide_stop && CLOSINGS.contains(&c));
    }
    gaps
}

fn ends_sentence(text: &str, gap: &Range<usize>) -> bool {
    let before = slice(text, 0..gap.start).trim_end_matches(CLOSINGS);
    let after = slice(text, gap.end..text.len()).trim_start_matches(OPENINGS);
    let goes_on = after.starts_with(char::is_lowercase);
    let blank_line = slice(text, gap.clone()).matches('\n').count() > 1;
    blank_line || before.ends_with(WIDE_STOPS) || (before.ends_with(STOPS) && !goes_on)
}

fn has_letters(text: &str) -> bool {
    text.contains(char::is_alphanumeric)
}

fn chars(text: &str) -> usize {
    text.chars().count()
}

fn slice(text: &str, at: Range<usize>) -> &str {
    text.get(at).expect("all places lie between characters")
}

const STOPS: &[char] = &['.', '!', '?', '\u{2026}'];

/// Those of Japanese and Chinese.
const WIDE_STOPS: &[char] = &['\u{3002}', '\u{FF01}', '\u{FF1F}'];

/// What may stand between a full stop and the white space behind it.
const CLOSINGS: &[char] = &[
    '"', '\'', ')', ']', '\u{2019}', '\u{201D}', '\u{BB}', '\u{300D}', '\u{300F}', '\u{FF09}',
];

/// What may stand before the first letter of a sentence.
const OPENINGS: &[char] = &['"', '\'', '(', '[', '\u{2018}', '\u{201C}', '\u{AB}'];

const CLAUSE_ENDS: &[char] = &[',', ';', ':', '\u{2013}', '\u{2014}'];

#[cfg(test)]
mod tests;
