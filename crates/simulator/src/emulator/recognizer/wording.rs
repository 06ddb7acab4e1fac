//! Heard words as Deepgram writes them.

use sidetone_deepgram::listen::message::{Alternative, Word};

use super::seconds;
use crate::voice::SpokenWord;

/// A word of a window.
#[derive(Clone, Debug)]
pub(super) struct HeardWord {
    pub(super) spoken: SpokenWord,
    pub(super) confidence: f64,
}

/// The one alternative of a window's words: punctuated, or bare and in lower case.
pub(super) fn alternative(words: &[HeardWord], punctuate: bool, rate_hz: u64) -> Alternative {
    let text = |word: &HeardWord| {
        if punctuate {
            word.spoken.text.clone()
        } else {
            word.spoken.word.clone()
        }
    };
    let total: f64 = words.iter().map(|word| word.confidence).sum();
    Alternative {
        transcript: words.iter().map(text).collect::<Vec<_>>().join(" "),
        confidence: if words.is_empty() {
            0.0
        } else {
            total / words.len() as f64
        },
        words: words
            .iter()
            .map(|heard| Word {
                word: heard.spoken.word.clone(),
                start: seconds(heard.spoken.start, rate_hz),
                end: seconds(heard.spoken.end, rate_hz),
                confidence: heard.confidence,
                punctuated_word: punctuate.then(|| heard.spoken.text.clone()),
                ..Word::default()
            })
            .collect(),
        ..Alternative::default()
    }
}
