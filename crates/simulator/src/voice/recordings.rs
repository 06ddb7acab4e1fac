//! The recorded vocabulary, and how words that are not in it are said.
//!
//! `fixtures/voice/README.md` tells where the recordings come from.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::code::comfort_noise;

/// The audio of a bare, lower-case word.
pub(super) fn pronounce(word: &str) -> Vec<u8> {
    if let Some(recording) = RECORDINGS.get(word) {
        return recording.to_vec();
    }
    let mut audio = Vec::new();
    for part in word
        .split(|c: char| !c.is_alphanumeric())
        .filter(|part| !part.is_empty())
    {
        match RECORDINGS.get(part) {
            Some(recording) => say(recording, &mut audio),
            None => part.chars().for_each(|c| spell(c, &mut audio)),
        }
    }
    audio
}

/// A letter's or a digit's name; what has none is a breath.
fn spell(c: char, audio: &mut Vec<u8>) {
    let mut capital = [0; 4];
    let name = match c.to_digit(10) {
        Some(digit) => DIGITS[digit as usize],
        None => c.to_ascii_uppercase().encode_utf8(&mut capital),
    };
    match RECORDINGS.get(name) {
        Some(recording) => say(recording, audio),
        None => audio.extend(comfort_noise(BREATH_SAMPLES)),
    }
}

/// Appends a recording, set off from what was said before.
fn say(recording: &[u8], audio: &mut Vec<u8>) {
    if !audio.is_empty() {
        audio.extend(comfort_noise(BREAK_SAMPLES));
    }
    audio.extend(recording);
}

/// By name: words in lower case, letters in capitals.
static RECORDINGS: LazyLock<HashMap<&str, &[u8]>> = LazyLock::new(|| {
    let mut packed = &include_bytes!("../../../../fixtures/voice/words.ulaw")[..];
    let index = include_str!("../../../../fixtures/voice/words.index");
    let recordings = index.lines().map(|line| {
        let (name, samples) = line.split_once(' ').expect("an index line is NAME SAMPLES");
        let samples = samples.parse().expect("an index line ends in a count");
        (
            name,
            packed
                .split_off(..samples)
                .expect("the packed file holds what its index says"),
        )
    });
    recordings.collect()
});

const DIGITS: [&str; 10] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];

/// 30 ms between the letters of a spelled word.
const BREAK_SAMPLES: usize = 240;

/// 100 ms for a sign that cannot be spelled.
const BREATH_SAMPLES: usize = 800;
