//! The listening side of the code.

use super::SpokenWord;
use super::code::{self, CHECK_SAMPLES, Header, SYNC, SYNC_SAMPLES};
use super::crc32::Crc32;

/// Hears the words that one channel's audio carries.
///
/// It takes samples in pieces of any size and keeps a few hundred bytes, whatever it hears.
/// Positions count the samples it was given.
#[derive(Debug)]
pub struct Ear {
    /// Samples heard so far.
    position: u64,
    /// The low bits of the last 64 samples, the newest in the lowest place.
    bits: u64,
    /// The last 64 samples, the newest last.
    recent: [u8; SYNC_SAMPLES as usize],
    word: Option<WordUnderWay>,
}

/// What an ear made out.
///
/// Each `Begun` is followed by `Word` or `Broken` with the same start, before anything else
/// begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Heard {
    /// A word has begun; what it is is known, its end is still to come.
    Begun {
        /// The word as written.
        text: String,
        /// First sample.
        start: u64,
        /// One past the last sample, if nothing breaks it.
        end: u64,
    },
    /// The word that had begun came whole.
    Word(SpokenWord),
    /// The word that had begun broke off: a sample was lost, repeated or changed.
    Broken {
        /// First sample.
        start: u64,
    },
}

impl Ear {
    /// Listens to the next samples; appends what it made out.
    pub fn hear(&mut self, ulaw: &[u8], heard: &mut Vec<Heard>) {
        let mut rest = ulaw;
        while !rest.is_empty() {
            let (run, after) = rest.split_at(self.take_run(rest));
            rest = after;
            self.remember(run);
            self.position += run.len() as u64;
            if self.bits == SYNC {
                heard.extend(self.word.take().and_then(WordUnderWay::break_off));
                self.word = Some(WordUnderWay::begin(self.position, &self.recent));
            } else if let Some(word) = &mut self.word {
                word.take(run);
            }
            while self
                .word
                .as_ref()
                .is_some_and(|word| word.decides_at == self.position)
            {
                self.word = self
                    .word
                    .take()
                    .and_then(|word| word.decide(self.bits, heard));
            }
        }
    }

    /// Reads low bits up to a sync or to where the word under way has something to decide;
    /// answers how many.
    fn take_run(&mut self, samples: &[u8]) -> usize {
        let room = self
            .word
            .as_ref()
            .map(|word| word.decides_at - self.position);
        let room = room
            .and_then(|room| usize::try_from(room).ok())
            .unwrap_or(usize::MAX);
        let mut bits = self.bits;
        let mut taken = 0;
        for &sample in samples.iter().take(room) {
            bits = bits << 1 | u64::from(sample & 1);
            taken += 1;
            if bits == SYNC {
                break;
            }
        }
        self.bits = bits;
        taken
    }

    fn remember(&mut self, run: &[u8]) {
        if let Some(last) = run.last_chunk() {
            self.recent = *last;
        } else {
            self.recent.rotate_left(run.len());
            let kept = self.recent.len() - run.len();
            self.recent[kept..].copy_from_slice(run);
        }
    }
}

impl Default for Ear {
    fn default() -> Self {
        Self {
            position: 0,
            bits: 0,
            recent: [0; SYNC_SAMPLES as usize],
            word: None,
        }
    }
}

/// A word from its sync on.
#[derive(Debug)]
struct WordUnderWay {
    start: u64,
    crc: Crc32,
    part: Part,
    /// Where the part is over.
    decides_at: u64,
}

#[derive(Debug)]
enum Part {
    /// The next byte of the header.
    Header { bytes: Vec<u8> },
    /// Low bits that mean nothing.
    Audio { text: String },
    /// The checksum.
    Check { text: String },
}

impl WordUnderWay {
    /// The word whose sync, these samples, ends at `position`.
    fn begin(position: u64, sync: &[u8; SYNC_SAMPLES as usize]) -> Self {
        let mut crc = Crc32::new();
        crc.update(sync);
        Self {
            start: position - u64::from(SYNC_SAMPLES),
            crc,
            part: Part::Header { bytes: Vec::new() },
            decides_at: position + 8,
        }
    }

    fn take(&mut self, run: &[u8]) {
        match self.part {
            Part::Header { .. } | Part::Audio { .. } => self.crc.update(run),
            Part::Check { .. } => run
                .iter()
                .for_each(|sample| self.crc.update(&[sample & !1])),
        }
    }

    /// What follows this part, which ends in these low bits; `None`: the word is over.
    fn decide(mut self, bits: u64, heard: &mut Vec<Heard>) -> Option<Self> {
        match self.part {
            Part::Header { mut bytes } => {
                let [.., byte] = bits.to_be_bytes();
                bytes.push(byte);
                match code::read_header(&bytes) {
                    Header::Damaged => return None,
                    Header::Partial => {
                        self.decides_at += 8;
                        self.part = Part::Header { bytes };
                    }
                    Header::Whole { samples, text } => {
                        let (start, end) = (self.start, self.start + u64::from(samples));
                        heard.push(Heard::Begun {
                            text: text.clone(),
                            start,
                            end,
                        });
                        self.decides_at = end - u64::from(CHECK_SAMPLES);
                        self.part = Part::Audio { text };
                    }
                }
            }
            Part::Audio { text } => {
                self.decides_at += u64::from(CHECK_SAMPLES);
                self.part = Part::Check { text };
            }
            Part::Check { text } => {
                let [.., a, b, c, d] = bits.to_be_bytes();
                let whole = self.crc.value() == u32::from_be_bytes([a, b, c, d]);
                let (start, end) = (self.start, self.decides_at);
                heard.push(if whole {
                    Heard::Word(SpokenWord::written(text, start, end))
                } else {
                    Heard::Broken { start }
                });
                return None;
            }
        }
        Some(self)
    }

    /// Another word begins before this one is over.
    fn break_off(self) -> Option<Heard> {
        match self.part {
            Part::Header { .. } => None,
            Part::Audio { .. } | Part::Check { .. } => Some(Heard::Broken { start: self.start }),
        }
    }
}
