//! People who speak, and the audio that carries their words.
//!
//! A word is a run of one code: which code says which word it is and how long it takes to say, so
//! that a word that was cut, lost or sent twice is recognised as just that.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use sidetone_audio::{Audio, Block, SAMPLES_PER_MS, ulaw};

use super::dice::Dice;

/// Codes that are words: the last ten are the digits.
const WORDS: u8 = 100;
const FIRST_DIGIT: u8 = WORDS - 9;

/// Audio comes in blocks of 60 ms.
const BLOCK_SAMPLES: usize = 480;

/// What is said on one channel.
pub(super) struct Speech {
    codes: Vec<u8>,
    pub(super) words: Vec<SpokenWord>,
}

/// A word where it is spoken, in samples.
#[derive(Clone, Copy)]
pub(super) struct SpokenWord {
    pub(super) code: u8,
    pub(super) start: u64,
    pub(super) end: u64,
}

/// The word of a code.
pub(super) fn text_of(code: u8) -> String {
    if is_digit(code) {
        (code - FIRST_DIGIT).to_string()
    } else {
        format!("w{code}")
    }
}

/// The codes of a word as it is written: of a number, one for each digit.
pub(super) fn codes_of(text: &str) -> Vec<u8> {
    match text.strip_prefix('w') {
        Some(code) => vec![code.parse().expect("a word of this vocabulary")],
        None => text
            .bytes()
            .map(|digit| FIRST_DIGIT + digit - b'0')
            .collect(),
    }
}

pub(super) const fn is_digit(code: u8) -> bool {
    code >= FIRST_DIGIT && code <= WORDS
}

/// How long a word takes to say, in samples: 240 to 588 ms, more often little than much, since it
/// is short words that are hard to tell by their times.
pub(super) const fn length_of(code: u8) -> u64 {
    let any = code as u64 * 37 % 90;
    SAMPLES_PER_MS * (240 + any * any / 90 * 4)
}

impl Speech {
    /// Someone speaks for `length`: phrases, pauses, numbers, and some words twice.
    pub(super) fn random(length: Duration, dice: &mut Dice) -> Self {
        let length = length.as_millis() as u64 * SAMPLES_PER_MS;
        let mut codes = Vec::with_capacity(length as usize);
        let mut words: Vec<SpokenWord> = Vec::new();
        let mut digits_to_come = 0;
        loop {
            let pause_ms = match dice.below(100) {
                // Nobody speaks before the first frame.
                _ if words.is_empty() => 300,
                0..12 if digits_to_come == 0 => dice.between(500, 5_500),
                0..50 => 50,
                _ => dice.between(50, 200),
            };
            if digits_to_come == 0 && dice.percent(8) {
                digits_to_come = dice.between(2, 4);
            }
            let code = match words.last() {
                _ if digits_to_come > 0 => {
                    digits_to_come -= 1;
                    FIRST_DIGIT + dice.below(10) as u8
                }
                Some(last) if dice.percent(15) => last.code,
                _ => 1 + dice.below(u64::from(FIRST_DIGIT) - 1) as u8,
            };
            let start = codes.len() as u64 + pause_ms * SAMPLES_PER_MS;
            let end = start + length_of(code);
            if end > length {
                codes.resize(length as usize, ulaw::SILENCE);
                return Self { codes, words };
            }
            codes.resize(start as usize, ulaw::SILENCE);
            codes.resize(end as usize, code);
            words.push(SpokenWord { code, start, end });
        }
    }
}

/// The call's audio in blocks, all channels interleaved, and how much of it someone still holds.
pub(super) struct Source {
    speech: Vec<Speech>,
    position: usize,
    held: Arc<AtomicUsize>,
}

impl Source {
    pub(super) fn new(speech: Vec<Speech>) -> Self {
        Self {
            speech,
            position: 0,
            held: Arc::default(),
        }
    }

    /// Bytes of blocks that were not let go of.
    pub(super) fn held(&self) -> usize {
        self.held.load(Ordering::Relaxed)
    }
}

impl Iterator for Source {
    type Item = Block;

    fn next(&mut self) -> Option<Block> {
        let length = self.speech.first()?.codes.len();
        let start = self.position;
        let end = (start + BLOCK_SAMPLES).min(length);
        if start == end {
            return None;
        }
        self.position = end;
        let channels = self.speech.len();
        let mut frames = vec![0; (end - start) * channels];
        for (channel, speech) in self.speech.iter().enumerate() {
            let slots = frames.iter_mut().skip(channel).step_by(channels);
            for (slot, code) in slots.zip(&speech.codes[start..end]) {
                *slot = *code;
            }
        }
        let audio = if ulaw::is_silent(&frames) {
            Audio::Silence
        } else {
            Audio::Samples(Bytes::from_owner(Held::new(frames, &self.held)))
        };
        Some(Block {
            samples: (end - start) as u32,
            audio,
        })
    }
}

/// Bytes that are counted as long as they live.
struct Held {
    bytes: Vec<u8>,
    count: Arc<AtomicUsize>,
}

impl Held {
    fn new(bytes: Vec<u8>, count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(bytes.len(), Ordering::Relaxed);
        Self {
            bytes,
            count: Arc::clone(count),
        }
    }
}

impl AsRef<[u8]> for Held {
    fn as_ref(&self) -> &[u8] {
        &self.bytes
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        self.count.fetch_sub(self.bytes.len(), Ordering::Relaxed);
    }
}
