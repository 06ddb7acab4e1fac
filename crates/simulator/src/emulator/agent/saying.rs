//! An answer on its way out: its texts, and its audio in bursts faster than it is heard.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sidetone_audio::SAMPLES_PER_MS;
use sidetone_audio::ulaw::SILENCE;

use crate::dice::Dice;
use crate::emulator::speak::coding::Coding;
use crate::voice;

/// What is said next.
#[derive(Debug)]
pub(super) enum Part {
    /// A text is made; its audio follows.
    Text(String),
    /// The first audio follows.
    Begun,
    Audio(Bytes),
    /// The last byte was sent.
    Done,
}

/// One answer that is being made and sent.
#[derive(Debug)]
pub(super) struct Saying {
    /// When what it answers had been said.
    asked_at: Instant,
    /// When its first text was made.
    made_at: Instant,
    /// When its first audio came.
    begun_at: Option<Instant>,
    texts: VecDeque<String>,
    audio: Bytes,
    coding: Coding,
    pace_percent: u32,
    /// When the next part is due.
    next_at: Instant,
    dice: Dice,
}

impl Saying {
    /// An answer of these texts, the first of which is made at `now`.
    pub(super) fn new(
        texts: VecDeque<String>,
        coding: Coding,
        pace_percent: u32,
        asked_at: Instant,
        now: Instant,
        dice: Dice,
    ) -> Self {
        Self {
            asked_at,
            made_at: now,
            texts,
            audio: Bytes::new(),
            coding,
            pace_percent,
            begun_at: None,
            next_at: now,
            dice,
        }
    }

    /// What its first audio has taken: making the text, speaking it, and both; in seconds.
    pub(super) fn latencies_secs(&self) -> (f64, f64, f64) {
        let begun_at = self.begun_at.unwrap_or(self.next_at);
        let between = |from, to: Instant| to.saturating_duration_since(from).as_secs_f64();
        (
            between(self.asked_at, self.made_at),
            between(self.made_at, begun_at),
            between(self.asked_at, begun_at),
        )
    }

    /// When the next part is due.
    pub(super) fn due(&self) -> Instant {
        self.next_at
    }

    /// The next part; asked for when it is due, and not after [`Part::Done`].
    pub(super) fn next(&mut self) -> Part {
        if !self.audio.is_empty() {
            if self.begun_at.is_none() {
                self.begun_at = Some(self.next_at);
                return Part::Begun;
            }
            let samples = self.dice.within(CHUNK_SAMPLES);
            let chunk = self.coding.bytes_in(Duration::from_micros(samples * 125));
            let chunk = self.audio.split_to(chunk.min(self.audio.len()));
            self.next_at += self.coding.duration_of(chunk.len()) * 100 / self.pace_percent;
            return Part::Audio(chunk);
        }
        let Some(text) = self.texts.pop_front() else {
            return Part::Done;
        };
        let mut spoken = voice::speak(&text).ulaw;
        if !self.texts.is_empty() {
            spoken.extend((0..BREATH_MS * SAMPLES_PER_MS).map(|_| SILENCE));
        }
        self.audio = self.coding.encode(&spoken).into();
        if self.begun_at.is_none() {
            self.next_at += Duration::from_millis(self.dice.within(FIRST_AUDIO_MS));
        }
        Part::Text(text)
    }
}

/// From a text to its first audio.
const FIRST_AUDIO_MS: std::ops::RangeInclusive<u64> = 80..=160;

/// Audio in a frame, in samples of a telephone: 40 to 400 ms, and no whole number of anything.
const CHUNK_SAMPLES: std::ops::RangeInclusive<u64> = 320..=3_200;

/// Between sentences.
const BREATH_MS: u64 = 420;
