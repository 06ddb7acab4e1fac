//! Speech that can be heard by people and by the emulated Deepgram.
//!
//! People hear recorded words, 8 kHz mu-law. The emulated Deepgram hears what the low bits of the
//! same samples carry: each word's audio holds its text and a checksum over every sample of it
//! (see `code`). So a word is heard when all its audio arrived unchanged and in order, and not
//! otherwise; what it is and where its first sample stands is then known to the bit.
//!
//! ```
//! use sidetone_simulator::voice::{Ear, Heard, speak};
//!
//! let speech = speak("Hello, Sidetone!");
//! let mut heard = Vec::new();
//! Ear::default().hear(&speech.ulaw, &mut heard);
//! let whole: Vec<_> = heard
//!     .into_iter()
//!     .filter_map(|heard| if let Heard::Word(word) = heard { Some(word) } else { None })
//!     .collect();
//! assert_eq!(whole, speech.words);
//! ```

mod code;
mod crc32;
mod ear;
mod recordings;
mod text;

use sidetone_audio::ulaw::SILENCE;

pub(crate) use code::ANNOUNCED_WITHIN_SAMPLES;
pub use ear::{Ear, Heard};
pub(crate) use text::bare;

/// A word and where it stands in its audio, in samples.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SpokenWord {
    /// The word, lower case, without punctuation around it.
    pub word: String,
    /// The word as written, punctuation included.
    pub text: String,
    /// First sample.
    pub start: u64,
    /// One past the last sample.
    pub end: u64,
}

impl SpokenWord {
    /// The word that is written as `text`.
    pub(crate) fn written(text: String, start: u64, end: u64) -> Self {
        Self {
            word: text::bare(&text),
            text,
            start,
            end,
        }
    }
}

/// Spoken text.
#[derive(Clone, Debug)]
pub struct Speech {
    /// 8 kHz mu-law: from the first sample of the first word to the last of the last.
    pub ulaw: Vec<u8>,
    /// Its words, in order.
    pub words: Vec<SpokenWord>,
}

/// Speaks a text at a natural pace.
///
/// A word is what stands between white space; it is said from the vocabulary, else part by part
/// (`twenty-one`), else letter by letter and digit by digit, and is one word all the same. One of
/// more than 64 bytes is said as several. Between words is digital silence, longer after
/// punctuation; a text without letters and digits gives no audio. The same text gives the same
/// samples.
pub fn speak(text: &str) -> Speech {
    let mut speech = Speech {
        ulaw: Vec::new(),
        words: Vec::new(),
    };
    let mut pause_samples = 0;
    for written in text.split_whitespace().flat_map(text::chunks) {
        let word = text::bare(written);
        if !word.is_empty() {
            speech.ulaw.extend((0..pause_samples).map(|_| SILENCE));
            let start = speech.ulaw.len();
            let mut audio = recordings::pronounce(&word);
            code::carry(&mut audio, written);
            speech.ulaw.append(&mut audio);
            let end = speech.ulaw.len() as u64;
            speech
                .words
                .push(SpokenWord::written(written.to_owned(), start as u64, end));
        }
        pause_samples = text::pause_after(written);
    }
    speech
}

#[cfg(test)]
mod tests;
