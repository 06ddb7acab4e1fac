//! Whether what was told is what was said.

use std::ops::Range;

use sidetone_audio::SAMPLES_PER_MS;
use sidetone_deepgram::listen::link::{Transcript, Word};

use super::speech::{Speech, SpokenWord, codes_of};

/// What the link itself may add to the error of a time: 1 ms, for rounding.
const LINK_ERROR: u64 = SAMPLES_PER_MS;

/// What is known of the connection that tells something.
#[derive(Clone, Copy)]
pub(super) struct Hearing {
    /// How wrong its recogniser's times may be, in samples.
    pub(super) jitter: u64,
    /// Before this source position it heard nothing, so a word seems to begin here at the earliest.
    pub(super) begins: u64,
}

/// Compares the words of one channel with what is told of them.
pub(super) struct Judge {
    words: Vec<SpokenWord>,
    /// By word: whether a final told it.
    is_told: Vec<bool>,
    /// How many words lie before the next one that may be told.
    done: usize,
    /// Whether an interim is shown that no final has followed.
    is_shown: bool,
    gaps: Vec<Range<u64>>,
    /// Where a recogniser had to begin without a run-up, which is nobody's fault.
    unclear: Vec<Range<u64>>,
    /// The words of finals, and those of final messages for `/client`.
    told: Vec<String>,
    passed_on: Vec<String>,
}

impl Judge {
    pub(super) fn new(speech: &Speech) -> Self {
        Self {
            is_told: vec![false; speech.words.len()],
            words: speech.words.clone(),
            done: 0,
            is_shown: false,
            gaps: Vec::new(),
            unclear: Vec::new(),
            told: Vec::new(),
            passed_on: Vec::new(),
        }
    }

    /// Takes a transcript: each word of it was spoken, about there, and is not final yet.
    pub(super) fn hear(&mut self, transcript: &Transcript, hearing: Hearing) {
        let mut done = self.done;
        for word in &transcript.words {
            let spoken = self.spoken(done, word, transcript.is_final, hearing);
            let Some(spoken) = spoken else {
                panic!(
                    "{} from {} to {} ms is told twice, in the wrong place, or out of order",
                    word.word,
                    word.start / SAMPLES_PER_MS,
                    word.end / SAMPLES_PER_MS
                );
            };
            done = spoken.end;
            if transcript.is_final {
                self.is_told[spoken].fill(true);
                self.told.push(word.word.clone());
            }
        }
        self.is_shown = !transcript.is_final;
        if transcript.is_final {
            self.done = done;
        }
    }

    /// Nothing is heard since the last final.
    pub(super) const fn hear_nothing(&mut self) {
        self.is_shown = false;
    }

    /// The connection is gone, and with it what it had only begun to tell.
    pub(super) fn lose_connection(&self) {
        assert!(!self.is_shown, "an interim of a dead connection is shown");
    }

    /// Takes the words of a final message for `/client`.
    pub(super) fn pass_on(&mut self, words: impl Iterator<Item = String>) {
        self.passed_on.extend(words);
    }

    /// A gap is told. Of audio that is no longer kept, the link need not know where its first sound
    /// was that no final told; where the last one was, it knows.
    pub(super) fn gap(&mut self, span: Range<u64>) {
        let ends = |word: &SpokenWord| (word.start..word.end).contains(&(span.end - 1));
        assert!(self.words.iter().any(ends), "a gap that ends in silence");
        let again = |gap: &Range<u64>| overlap(gap, &span);
        assert!(!self.gaps.iter().any(again), "a gap is told twice");
        self.gaps.push(span);
    }

    /// A connection begins here, and its recogniser hears nothing of this.
    pub(super) fn begin(&mut self, unclear: Range<u64>) {
        self.unclear.push(unclear);
    }

    /// What is left to be said when the link has finished. Gives how many words a gap excuses.
    pub(super) fn conclude(&self) -> usize {
        assert_eq!(
            self.told, self.passed_on,
            "finals and /client tell the same"
        );
        let mut missing = 0;
        for (word, is_told) in self.words.iter().zip(&self.is_told) {
            let span = word.start..word.end;
            let is_excused = |gap: &Range<u64>| overlap(gap, &span);
            let is_whole = |gap: &Range<u64>| gap.start <= word.start && word.end <= gap.end;
            if *is_told {
                assert!(
                    !self.gaps.iter().any(is_whole),
                    "a word that was told is no gap: {}",
                    describe(word)
                );
            } else {
                let mut excuses = self.gaps.iter().chain(&self.unclear);
                assert!(
                    excuses.any(is_excused),
                    "a word is missing without a gap: {}",
                    describe(word)
                );
                missing += 1;
            }
        }
        missing
    }

    /// Which spoken words from the `next` on a word is: several when it is a number.
    ///
    /// Words end at least 290 ms apart, so an end that is right to 101 ms says which one is meant
    /// even when it is said twice. An interim's word may be still going on.
    fn spoken(
        &self,
        next: usize,
        word: &Word,
        is_final: bool,
        Hearing { jitter, begins }: Hearing,
    ) -> Option<Range<usize>> {
        let codes = codes_of(&word.word);
        let tolerance = jitter + LINK_ERROR;
        let is_it = |said: &[SpokenWord]| {
            let (first, last) = (said[0], said[said.len() - 1]);
            said.iter()
                .map(|spoken| spoken.code)
                .eq(codes.iter().copied())
                && first.start <= word.start + tolerance
                && word.start <= first.start.max(begins) + tolerance
                && word.end <= last.end + tolerance
                && (!is_final || last.end <= word.end + tolerance)
        };
        let found = self.words[next..].windows(codes.len()).position(is_it)?;
        Some(next + found..next + found + codes.len())
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> bool {
    a.start < b.end && b.start < a.end
}

fn describe(word: &SpokenWord) -> String {
    format!(
        "{} from {} to {} ms",
        super::speech::text_of(word.code),
        word.start / SAMPLES_PER_MS,
        word.end / SAMPLES_PER_MS
    )
}
