//! How the words of a window are told by a recogniser with flaws.

use std::ops::Range;

use super::wording::HeardWord;
use crate::dice::Dice;
use crate::emulator::flaws::HearingFlaws;

/// The words of `window` as they are told; without flaws, as they were heard.
pub(super) fn mishear(
    words: &[HeardWord],
    window: Range<u64>,
    rate_hz: u64,
    flaws: HearingFlaws,
    dice: &mut Dice,
) -> Vec<HeardWord> {
    let samples = |ms: u64| ms * rate_hz / 1_000;
    let mut told = if flaws.merged_numerals {
        merge_numerals(words)
    } else {
        words.to_vec()
    };
    for word in &mut told {
        let spoken = &mut word.spoken;
        if flaws.clipped_onsets_ms > 0 {
            let clipped = dice.within(0..=samples(flaws.clipped_onsets_ms));
            // However little is left, it was made out.
            spoken.start += clipped.min((spoken.end - spoken.start) * 3 / 4);
        }
        if flaws.word_times_ms > 0 {
            let wrong = samples(flaws.word_times_ms);
            let mut off = |at: u64| {
                let off = (at + dice.within(0..=2 * wrong)).saturating_sub(wrong);
                off.clamp(window.start, window.end)
            };
            let (start, end) = (off(spoken.start), off(spoken.end));
            (spoken.start, spoken.end) = (start.min(end), start.max(end));
        }
    }
    told
}

/// Writes digits as figures and joins those between which there is nothing else, punctuation
/// included.
fn merge_numerals(words: &[HeardWord]) -> Vec<HeardWord> {
    let mut merged: Vec<HeardWord> = Vec::new();
    for heard in words {
        let digit = DIGITS.iter().position(|name| *name == heard.spoken.word);
        let Some(digit) = digit.and_then(|digit| char::from_digit(digit.try_into().ok()?, 10))
        else {
            merged.push(heard.clone());
            continue;
        };
        let after = heard.spoken.text.trim_start_matches(char::is_alphanumeric);
        let open = merged.last_mut().filter(|last| {
            let figures = |text: &str| text.chars().all(|c| c.is_ascii_digit());
            figures(&last.spoken.text)
        });
        if let Some(number) = open {
            number.spoken.word.push(digit);
            number.spoken.text.push(digit);
            number.spoken.text.push_str(after);
            number.spoken.end = heard.spoken.end;
        } else {
            let mut number = heard.clone();
            number.spoken.word = digit.to_string();
            number.spoken.text = format!("{digit}{after}");
            merged.push(number);
        }
    }
    merged
}

pub(in crate::emulator) const DIGITS: [&str; 10] = [
    "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::voice::speak;

    const RATE_HZ: u64 = 8_000;

    fn heard(text: &str) -> (Vec<HeardWord>, Range<u64>) {
        let speech = speak(text);
        let words = speech.words.into_iter().map(|spoken| HeardWord {
            spoken,
            confidence: 0.9,
        });
        (words.collect(), 0..speech.ulaw.len() as u64)
    }

    fn told(text: &str, flaws: HearingFlaws) -> Vec<HeardWord> {
        let (words, window) = heard(text);
        mishear(&words, window, RATE_HZ, flaws, &mut Dice::new(7))
    }

    #[test]
    fn digits_in_a_row_become_one_number() {
        let flaws = HearingFlaws {
            merged_numerals: true,
            ..HearingFlaws::default()
        };
        let told = told("It is four seven one nine, two zero three.", flaws);
        let texts: Vec<&str> = told.iter().map(|word| word.spoken.text.as_str()).collect();
        assert_eq!(texts, ["It", "is", "4719,", "203."]);
        assert_eq!(told[2].spoken.word, "4719");
        let (spoken, _) = heard("It is four seven one nine, two zero three.");
        assert_eq!(told[2].spoken.start, spoken[2].spoken.start);
        assert_eq!(told[2].spoken.end, spoken[5].spoken.end);
    }

    #[test]
    fn times_are_wrong_by_no_more_than_was_asked_for() {
        let text = "I am sorry to hear that, can you tell me the number?";
        let flaws = HearingFlaws {
            word_times_ms: 80,
            ..HearingFlaws::default()
        };
        let (spoken, window) = heard(text);
        let told = told(text, flaws);
        let mut wrong = 0;
        for (told, spoken) in told.iter().zip(&spoken) {
            let (told, spoken) = (&told.spoken, &spoken.spoken);
            assert!(window.contains(&told.start) && told.start <= told.end);
            for (told, spoken) in [(told.start, spoken.start), (told.end, spoken.end)] {
                assert!(told.abs_diff(spoken) <= 80 * RATE_HZ / 1_000);
                wrong = wrong.max(told.abs_diff(spoken));
            }
        }
        assert!(wrong > 40 * RATE_HZ / 1_000, "{wrong}");
    }

    #[test]
    fn onsets_are_clipped_and_ends_are_not() {
        let text = "I am sorry to hear that";
        let flaws = HearingFlaws {
            clipped_onsets_ms: 100,
            ..HearingFlaws::default()
        };
        let (spoken, _) = heard(text);
        let told = told(text, flaws);
        assert!(
            told.iter()
                .zip(&spoken)
                .any(|(told, spoken)| told.spoken.start > spoken.spoken.start)
        );
        for (told, spoken) in told.iter().zip(&spoken) {
            let clipped = told.spoken.start - spoken.spoken.start;
            assert!(clipped <= 100 * RATE_HZ / 1_000);
            assert!(told.spoken.start < told.spoken.end);
            assert_eq!(told.spoken.end, spoken.spoken.end);
        }
    }
}
