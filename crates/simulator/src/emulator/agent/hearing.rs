//! Hears the user: where a turn begins and ends, and what was said in it.
//!
//! No clock: pauses are counted in samples, as the audio comes.

use sidetone_audio::SAMPLES_PER_MS;

use crate::voice::{Ear, Heard};

/// What was made out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Turn {
    /// The user begins to speak.
    Began,
    /// A short pause: so far the user said this.
    Paused(String),
    /// After such a pause the user speaks on.
    Resumed,
    /// The user has said this.
    Ended(String),
}

/// The ear of one session.
#[derive(Debug, Default)]
pub(super) struct Hearing {
    ear: Ear,
    heard: Vec<Heard>,
    /// Samples heard so far.
    position: u64,
    turn: Option<UnderWay>,
}

/// A turn that is not over.
#[derive(Debug)]
struct UnderWay {
    words: Vec<String>,
    /// A word has begun, and its end is still to come.
    in_word: bool,
    /// Where the last word ended.
    quiet_since: u64,
    paused: bool,
}

impl Hearing {
    /// Hears mu-law samples of any number.
    pub(super) fn hear(&mut self, samples: &[u8], told: &mut Vec<Turn>) {
        for step in samples.chunks(STEP_SAMPLES) {
            self.ear.hear(step, &mut self.heard);
            self.position += step.len() as u64;
            for heard in std::mem::take(&mut self.heard) {
                self.take(heard, told);
            }
            self.follow_pause(told);
        }
    }

    /// Ends the turn, if there is one.
    pub(super) fn end_turn(&mut self, told: &mut Vec<Turn>) {
        if let Some(turn) = self.turn.take() {
            told.push(Turn::Ended(turn.words.join(" ")));
        }
    }

    fn take(&mut self, heard: Heard, told: &mut Vec<Turn>) {
        match (heard, &mut self.turn) {
            (Heard::Begun { .. }, None) => {
                self.turn = Some(UnderWay {
                    words: Vec::new(),
                    in_word: true,
                    quiet_since: self.position,
                    paused: false,
                });
                told.push(Turn::Began);
            }
            (Heard::Begun { .. }, Some(turn)) => {
                turn.in_word = true;
                if std::mem::take(&mut turn.paused) {
                    told.push(Turn::Resumed);
                }
            }
            (Heard::Word(word), Some(turn)) => {
                turn.words.push(word.text);
                (turn.in_word, turn.quiet_since) = (false, word.end);
            }
            (Heard::Broken { .. }, Some(turn)) => {
                (turn.in_word, turn.quiet_since) = (false, self.position);
            }
            // Of a turn that was ended by force.
            (Heard::Word(_) | Heard::Broken { .. }, None) => {}
        }
    }

    fn follow_pause(&mut self, told: &mut Vec<Turn>) {
        let Some(turn) = self.turn.as_mut().filter(|turn| !turn.in_word) else {
            return;
        };
        let quiet = self.position - turn.quiet_since;
        if quiet >= END_OF_TURN_SAMPLES {
            self.end_turn(told);
        } else if quiet >= PAUSE_SAMPLES && !turn.paused {
            turn.paused = true;
            told.push(Turn::Paused(turn.words.join(" ")));
        }
    }
}

/// 20 ms.
const STEP_SAMPLES: usize = 160;

/// Longer than the pause after a comma.
const PAUSE_SAMPLES: u64 = 300 * SAMPLES_PER_MS;

/// Longer than the pause between sentences.
const END_OF_TURN_SAMPLES: u64 = 600 * SAMPLES_PER_MS;

#[cfg(test)]
mod tests {
    use sidetone_audio::ulaw::SILENCE;

    use super::*;
    use crate::voice::speak;

    /// What is made out of texts with pauses after them.
    fn heard(said: &[(&str, u64)]) -> Vec<Turn> {
        let mut hearing = Hearing::default();
        let mut told = Vec::new();
        for (text, pause_ms) in said {
            let mut audio = speak(text).ulaw;
            audio.extend((0..pause_ms * SAMPLES_PER_MS).map(|_| SILENCE));
            // Of any length.
            for piece in audio.chunks(333) {
                hearing.hear(piece, &mut told);
            }
        }
        told
    }

    #[test]
    fn a_turn_begins_with_a_word_and_ends_with_a_pause() {
        assert_eq!(
            heard(&[("Hello, it is me.", 700), ("Yes", 700)]),
            [
                Turn::Began,
                Turn::Paused("Hello, it is me.".to_owned()),
                Turn::Ended("Hello, it is me.".to_owned()),
                Turn::Began,
                Turn::Paused("Yes".to_owned()),
                Turn::Ended("Yes".to_owned()),
            ]
        );
    }

    #[test]
    fn who_pauses_and_speaks_on_has_one_turn() {
        assert_eq!(
            heard(&[("Order four.", 400), ("No, five.", 700)]),
            [
                Turn::Began,
                Turn::Paused("Order four.".to_owned()),
                Turn::Resumed,
                Turn::Paused("Order four. No, five.".to_owned()),
                Turn::Ended("Order four. No, five.".to_owned()),
            ]
        );
    }

    #[test]
    fn a_damaged_word_is_not_understood_and_is_speech_all_the_same() {
        let mut hearing = Hearing::default();
        let mut audio = speak("Hello").ulaw;
        let end = audio.len() - 100;
        audio[end] ^= 1;
        audio.extend([SILENCE; 8_000]);
        let mut told = Vec::new();
        hearing.hear(&audio, &mut told);
        assert_eq!(told.first(), Some(&Turn::Began));
        assert_eq!(told.last(), Some(&Turn::Ended(String::new())));
    }

    #[test]
    fn a_turn_can_be_ended_by_force() {
        let mut hearing = Hearing::default();
        let mut told = Vec::new();
        hearing.hear(&speak("Hello there").ulaw, &mut told);
        hearing.end_turn(&mut told);
        hearing.end_turn(&mut told);
        assert_eq!(told, [Turn::Began, Turn::Ended("Hello there".to_owned())]);
    }
}
