//! A recogniser that hears words in the audio itself.
//!
//! A word is a run of one code: which code says which word it is and how long it takes to say, so
//! that a word that was cut, lost or sent twice is recognised as just that.

use sidetone_deepgram::listen::message::{
    Alternative, Channel, ChannelIndex, Metadata, Results, ServerMessage, Word,
};

use crate::rig::samples;

/// Codes that are words.
pub(crate) const WORDS: u8 = 100;
const SILENCE: u8 = 0xFF;
const SAMPLE_RATE: f64 = 8_000.0;

/// What a code says.
pub(crate) fn text_of(code: u8) -> String {
    format!("w{code}")
}

/// How long it takes to say, in samples: 200 to 596 ms.
pub(crate) fn length_of(code: u8) -> u64 {
    samples(200 + u64::from(code) * 37 % 100 * 4)
}

/// How Deepgram hears on one connection.
pub(crate) struct Recogniser {
    ears: Vec<Ear>,
    interims: bool,
    dice: Dice,
}

impl Recogniser {
    pub(crate) fn new(channels: usize, interims: bool, dice: Dice) -> Self {
        let ears = (0..channels).map(|_| Ear::default()).collect();
        Self {
            ears,
            interims,
            dice,
        }
    }

    /// Hears interleaved audio, and says what it makes of it.
    pub(crate) fn hear(&mut self, audio: &[u8]) -> Vec<ServerMessage> {
        let total = self.ears.len();
        assert_eq!(audio.len() % total, 0, "whole samples of every channel");
        let mut said = Vec::new();
        for frame in audio.chunks(80 * total) {
            for (channel, ear) in self.ears.iter_mut().enumerate() {
                let codes: Vec<u8> = frame.iter().skip(channel).step_by(total).copied().collect();
                ear.hear(&codes);
                let heard = ear.result(self.interims, &mut self.dice);
                said.extend(heard.map(|window| window.into_message(channel, total)));
            }
        }
        said
    }

    /// The answer to `CloseStream`.
    pub(crate) fn close(&mut self) -> Vec<ServerMessage> {
        let total = self.ears.len();
        let mut said: Vec<ServerMessage> = Vec::new();
        for (channel, ear) in self.ears.iter_mut().enumerate() {
            let last = ear.finalize(ear.now, true, &mut self.dice);
            said.push(last.into_message(channel, total));
        }
        said.push(ServerMessage::Metadata(Metadata {
            duration: self.ears[0].now as f64 / SAMPLE_RATE,
            channels: total as u32,
            ..Metadata::default()
        }));
        said
    }
}

/// One channel of a connection, in samples since it opened.
#[derive(Default)]
struct Ear {
    now: u64,
    window_start: u64,
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
    fn is_understood(&self) -> bool {
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
    fn hear(&mut self, codes: &[u8]) {
        for run in codes.chunk_by(|a, b| a == b) {
            let (code, start) = (run[0], self.now);
            self.now += run.len() as u64;
            match self.runs.last_mut() {
                _ if code == SILENCE => {}
                Some(run) if run.code == code && run.end == start => run.end = self.now,
                _ => self.runs.push(Run {
                    code,
                    start,
                    end: self.now,
                }),
            }
        }
    }

    /// What is to be said now, if anything: called every 10 ms of audio.
    fn result(&mut self, interims: bool, dice: &mut Dice) -> Option<Window> {
        let quiet = self.now - self.runs.last().map_or(self.window_start, |run| run.end);
        let length = self.now - self.window_start;
        if !self.runs.is_empty() && quiet >= samples(400) {
            return Some(self.finalize(self.now, true, dice));
        }
        if length >= samples(4_000) {
            // The word that is going on belongs to the next window.
            let end = match self.runs.as_slice() {
                [.., before, last] if last.end == self.now => before.end.midpoint(last.start),
                [only] if only.end == self.now => only.start,
                _ => self.now,
            };
            return Some(self.finalize(end - end % 80, false, dice));
        }
        if interims && self.now >= self.next_interim {
            self.next_interim = self.now + samples(1_000);
            let words = self.words(u64::MAX, dice);
            let (start, end) = (self.window_start, self.now);
            return Some(Window {
                start,
                end,
                is_final: false,
                speech_final: false,
                words,
            });
        }
        None
    }

    fn finalize(&mut self, end: u64, speech_final: bool, dice: &mut Dice) -> Window {
        let words = self.words(end, dice);
        let start = std::mem::replace(&mut self.window_start, end);
        self.runs.retain(|run| run.start >= end);
        self.next_interim = self.now + samples(1_000);
        Window {
            start,
            end,
            is_final: true,
            speech_final,
            words,
        }
    }

    fn words(&self, end: u64, dice: &mut Dice) -> Vec<Word> {
        let heard = self
            .runs
            .iter()
            .filter(|run| run.start < end && run.is_understood());
        let words = heard.map(|run| {
            // The same word is told up to 100 ms earlier or later each time.
            let mut time = |at: u64| {
                let shift = dice.below(201) as f64 / 1_000.0 - 0.1;
                (at as f64 / SAMPLE_RATE + shift).max(0.0)
            };
            Word {
                word: text_of(run.code),
                start: time(run.start),
                end: time(run.end),
                confidence: 0.9,
                punctuated_word: Some(text_of(run.code)),
                ..Word::default()
            }
        });
        words.collect()
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

/// Chance that a seed repeats (xorshift64*).
#[derive(Clone)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// 0 to `limit`, without `limit`.
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % limit
    }

    pub(crate) fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    pub(crate) fn fork(&mut self) -> Self {
        Self::new(self.below(u64::MAX))
    }
}
