//! How Deepgram hears on one connection, from the audio alone.
//!
//! As in its documentation: interims about once a second and a final at every pause or every few
//! seconds, whose window may end before that of the interim it follows, but not inside a word and
//! not inside a number. A number is written as one word, `word` and `punctuated_word` alike, which
//! is what smart formatting does and the harder case for who tells words by their times.

use sidetone_audio::SAMPLES_PER_MS;
use sidetone_deepgram::listen::message::{
    Alternative, Channel, ChannelIndex, Metadata, Results, ServerMessage, Word,
};

use super::dice::Dice;
use super::speech::{is_digit, length_of, text_of};

const SAMPLE_RATE: f64 = 8_000.0;
const SILENCE: u8 = sidetone_audio::ulaw::SILENCE;
/// Samples between two looks at what was heard: 10 ms.
const LOOK: u64 = 10 * SAMPLES_PER_MS;
/// Silence that ends an utterance.
const ENDPOINT: u64 = 400 * SAMPLES_PER_MS;
const INTERIM_INTERVAL: u64 = 1_000 * SAMPLES_PER_MS;

/// What one connection's recogniser is like.
#[derive(Clone, Copy, Debug)]
pub(super) struct Manner {
    pub(super) interims: bool,
    /// Each time of a word is told up to this much too early or too late, in samples.
    pub(super) jitter: u64,
    /// The first sounds of a connection are not heard, for so many samples.
    pub(super) deaf: u64,
    /// Whether numbers are written in one.
    pub(super) numerals: bool,
    /// Whether finals come late and tell little: no pause ends an utterance.
    pub(super) is_slow: bool,
}

impl Manner {
    pub(super) fn random(interims: bool, is_slow: bool, dice: &mut Dice) -> Self {
        Self {
            interims,
            is_slow,
            jitter: SAMPLES_PER_MS * dice.pick(&[0, 30, 100, 100]),
            deaf: SAMPLES_PER_MS * dice.pick(&[0, 0, 40, 180]),
            numerals: dice.percent(80),
        }
    }
}

/// The recogniser of one connection.
pub(super) struct Recogniser {
    ears: Vec<Ear>,
    manner: Manner,
    dice: Dice,
}

impl Recogniser {
    pub(super) fn new(channels: usize, manner: Manner, mut dice: Dice) -> Self {
        let ears = (0..channels).map(|_| Ear::new(manner, &mut dice)).collect();
        Self { ears, manner, dice }
    }

    /// Hears interleaved audio, and says what it makes of it, by channel.
    pub(super) fn hear(&mut self, audio: &[u8]) -> Vec<(usize, ServerMessage)> {
        let total = self.ears.len();
        assert_eq!(audio.len() % total, 0, "whole samples of every channel");
        let mut said = Vec::new();
        for frame in audio.chunks(LOOK as usize * total) {
            for (channel, ear) in self.ears.iter_mut().enumerate() {
                ear.hear(frame, channel, total, self.manner.deaf);
                let window = ear.result(self.manner, &mut self.dice);
                said.extend(window.map(|window| (channel, window.into_message(channel, total))));
            }
        }
        said
    }

    /// The last finals, and the message after them.
    pub(super) fn close(&mut self) -> (Vec<(usize, ServerMessage)>, ServerMessage) {
        let total = self.ears.len();
        let mut said = Vec::new();
        for (channel, ear) in self.ears.iter_mut().enumerate() {
            let last = ear.finalize(ear.now, true, self.manner, &mut self.dice);
            said.push((channel, last.into_message(channel, total)));
        }
        let metadata = Metadata {
            duration: self.ears[0].now as f64 / SAMPLE_RATE,
            channels: total as u32,
            ..Metadata::default()
        };
        (said, ServerMessage::Metadata(metadata))
    }
}

/// One channel of a connection, in samples since it opened.
struct Ear {
    now: u64,
    window_start: u64,
    /// How long the present window may become.
    longest: u64,
    next_interim: u64,
    /// Of the present window, the last one perhaps still going on.
    runs: Vec<Run>,
}

#[derive(Clone, Copy)]
struct Run {
    code: u8,
    start: u64,
    end: u64,
}

impl Run {
    /// Less than half a word is not understood.
    const fn is_understood(&self) -> bool {
        2 * (self.end - self.start) >= length_of(self.code)
    }
}

/// A result in the making.
struct Window {
    start: u64,
    end: u64,
    is_final: bool,
    speech_final: bool,
    words: Vec<Word>,
}

impl Ear {
    fn new(manner: Manner, dice: &mut Dice) -> Self {
        Self {
            now: 0,
            window_start: 0,
            longest: longest_window(manner, dice),
            next_interim: INTERIM_INTERVAL,
            runs: Vec::new(),
        }
    }

    fn hear(&mut self, frame: &[u8], channel: usize, total: usize, deaf: u64) {
        for &code in frame.iter().skip(channel).step_by(total) {
            let at = self.now;
            self.now += 1;
            if code == SILENCE || at < deaf {
                continue;
            }
            match self.runs.last_mut() {
                Some(run) if run.code == code && run.end == at => run.end = self.now,
                _ => self.runs.push(Run {
                    code,
                    start: at,
                    end: self.now,
                }),
            }
        }
    }

    /// What is to be said now, if anything.
    fn result(&mut self, manner: Manner, dice: &mut Dice) -> Option<Window> {
        let quiet = self.now - self.runs.last().map_or(self.window_start, |run| run.end);
        if !self.runs.is_empty() && quiet >= ENDPOINT && !manner.is_slow {
            return Some(self.finalize(self.now, true, manner, dice));
        }
        if self.now - self.window_start >= self.longest
            && let Some(end) = self.cut(quiet, manner, dice)
        {
            return Some(self.finalize(end, false, manner, dice));
        }
        if manner.interims && self.now >= self.next_interim {
            self.next_interim = self.now + INTERIM_INTERVAL;
            let manner = Manner {
                numerals: manner.numerals && dice.percent(50),
                ..manner
            };
            return Some(Window {
                start: self.window_start,
                end: self.now,
                is_final: false,
                speech_final: false,
                words: self.words(u64::MAX, manner, dice),
            });
        }
        None
    }

    /// Where a window that has become long may end: in a pause, mostly the newest one. `None`
    /// while a number is spoken. Before a word whose onset was not heard there is none.
    fn cut(&self, quiet: u64, manner: Manner, dice: &mut Dice) -> Option<u64> {
        let between = self.runs.windows(2).filter_map(|pair| {
            let number = is_digit(pair[0].code) && is_digit(pair[1].code);
            (!number).then(|| pair[0].end.midpoint(pair[1].start))
        });
        let before = match self.runs.first() {
            Some(first) => (first.start > manner.deaf).then_some(first.start),
            None => Some(self.now),
        };
        let after = self
            .runs
            .last()
            .is_some_and(|last| quiet > 0 && !is_digit(last.code))
            .then_some(self.now);
        let cuts: Vec<u64> = before
            .into_iter()
            .chain(between)
            .chain(after)
            .map(|at| at - at % LOOK)
            .filter(|&at| at > self.window_start)
            .collect();
        if manner.is_slow {
            return cuts.get(1).copied();
        }
        if dice.percent(30) && !cuts.is_empty() {
            return Some(dice.pick(&cuts));
        }
        cuts.last().copied()
    }

    fn finalize(
        &mut self,
        end: u64,
        speech_final: bool,
        manner: Manner,
        dice: &mut Dice,
    ) -> Window {
        let words = self.words(end, manner, dice);
        let start = std::mem::replace(&mut self.window_start, end);
        self.runs.retain(|run| run.start >= end);
        self.next_interim = self.now + INTERIM_INTERVAL;
        self.longest = longest_window(manner, dice);
        Window {
            start,
            end,
            is_final: true,
            speech_final,
            words,
        }
    }

    fn words(&self, end: u64, manner: Manner, dice: &mut Dice) -> Vec<Word> {
        let heard = self
            .runs
            .iter()
            .filter(|run| run.start < end && run.is_understood());
        let mut words: Vec<Word> = Vec::new();
        let mut last_run: Option<Run> = None;
        for run in heard {
            let goes_on = manner.numerals
                && is_digit(run.code)
                && last_run
                    .is_some_and(|last| is_digit(last.code) && run.start - last.end < ENDPOINT);
            last_run = Some(*run);
            let mut time = |at: u64| {
                // The extremes are where rules fail, so they come often.
                let shift = match dice.below(4) {
                    0 => 0,
                    1 => 2 * manner.jitter,
                    _ => dice.between(0, 2 * manner.jitter),
                };
                (at + shift).saturating_sub(manner.jitter) as f64 / SAMPLE_RATE
            };
            let (start, end) = (time(run.start), time(run.end));
            match words.last_mut().filter(|_| goes_on) {
                Some(number) => {
                    number.word.push_str(&text_of(run.code));
                    number.end = end.max(number.start);
                }
                None => words.push(Word {
                    word: text_of(run.code),
                    start,
                    end: end.max(start),
                    confidence: 0.9,
                    ..Word::default()
                }),
            }
        }
        for word in &mut words {
            word.punctuated_word = Some(word.word.clone());
        }
        words
    }
}

fn longest_window(manner: Manner, dice: &mut Dice) -> u64 {
    SAMPLES_PER_MS
        * if manner.is_slow {
            dice.between(20_000, 40_000)
        } else {
            dice.between(1_000, 8_000)
        }
}

impl Window {
    fn into_message(self, channel: usize, total: usize) -> ServerMessage {
        let texts: Vec<&str> = self.words.iter().map(|word| word.word.as_str()).collect();
        let best = Alternative {
            transcript: texts.join(" "),
            confidence: 0.9,
            words: self.words,
            languages: Vec::new(),
        };
        ServerMessage::Results(Results {
            channel_index: ChannelIndex {
                index: channel as u32,
                total: total as u32,
            },
            duration: (self.end - self.start) as f64 / SAMPLE_RATE,
            start: self.start as f64 / SAMPLE_RATE,
            is_final: self.is_final,
            speech_final: self.speech_final,
            channel: Channel {
                alternatives: vec![best],
            },
            metadata: None,
            from_finalize: false,
        })
    }
}
