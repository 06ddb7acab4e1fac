//! One channel's windows: when interims and finals are told, and what is in them.

use sidetone_audio::ulaw;
use sidetone_deepgram::listen::message::{
    self, ChannelIndex, Results, ResultsMetadata, ServerMessage, SpeechStarted, UtteranceEnd,
};
use sidetone_deepgram::listen::query::Query;

use super::mishearing::mishear;
use super::seconds;
use super::wording::{HeardWord, alternative};
use crate::dice::Dice;
use crate::emulator::flaws::HearingFlaws;
use crate::voice::{ANNOUNCED_WITHIN_SAMPLES, Ear, Heard, SpokenWord};

/// What one channel is heard for. Durations are in samples.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    rate_hz: u64,
    interims: bool,
    /// Silence that ends an utterance with `speech_final`; `None`: nothing does.
    endpointing: Option<u64>,
    utterance_end: Option<u64>,
    vad_events: bool,
    punctuate: bool,
}

impl Asked {
    pub(super) fn new(query: &Query, rate_hz: u64) -> Self {
        let samples = |ms: u32| u64::from(ms) * rate_hz / 1_000;
        Self {
            rate_hz,
            interims: query.interim_results,
            endpointing: query.endpointing_ms.map(samples),
            utterance_end: query.utterance_end_ms.map(samples),
            vad_events: query.vad_events,
            punctuate: query.punctuate,
        }
    }

    fn samples(&self, ms: u64) -> u64 {
        ms * self.rate_hz / 1_000
    }
}

/// One channel. Positions are in samples since the connection's first.
#[derive(Debug)]
pub(super) struct Channel {
    number: ChannelIndex,
    asked: Asked,
    flaws: HearingFlaws,
    made_by: ResultsMetadata,
    dice: Dice,
    ear: Ear,
    heard: Vec<Heard>,
    /// How much has been heard.
    position: u64,
    /// What is not final yet: it begins where the last final ended.
    window: Window,
    /// A word whose end is still to come.
    begun: Option<HeardWord>,
    /// While someone speaks: where sound was last heard.
    speaking: Option<u64>,
    next_interim: u64,
    /// End of the last final word, until `UtteranceEnd` is told of it.
    utterance: Option<u64>,
}

#[derive(Debug)]
struct Window {
    start: u64,
    /// Its whole words.
    words: Vec<HeardWord>,
    /// Where it has grown long enough for a final.
    full_at: u64,
}

/// Why a final is told.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// The window grew long enough.
    Full,
    /// Endpointing.
    Endpoint,
    /// `Finalize`.
    Asked,
    /// No more audio comes.
    End,
}

impl Channel {
    pub(super) fn new(
        number: ChannelIndex,
        asked: Asked,
        flaws: HearingFlaws,
        made_by: ResultsMetadata,
        mut dice: Dice,
    ) -> Self {
        let full_at = asked.samples(dice.within(FINAL_EVERY_MS));
        Self {
            number,
            asked,
            flaws,
            made_by,
            dice,
            ear: Ear::default(),
            heard: Vec::new(),
            position: 0,
            window: Window {
                start: 0,
                words: Vec::new(),
                full_at,
            },
            begun: None,
            speaking: None,
            next_interim: 0,
            utterance: None,
        }
    }

    pub(super) fn index(&self) -> u32 {
        self.number.index
    }

    /// Hears the next samples, a fraction of a second.
    pub(super) fn hear(&mut self, samples: &[u8], told: &mut Vec<ServerMessage>) {
        self.listen(samples);
        let utterance_ended = self.follow_speech(samples, told);
        if utterance_ended && self.asked.endpointing.is_some() {
            self.tell_final(Cause::Endpoint, self.settled(), told);
        } else if self.position >= self.window.full_at {
            let end = self.full_window_end();
            // While one endless word fills the window there is nothing to make final.
            if end >= self.window.start + self.asked.samples(SHORTEST_WINDOW_MS) {
                // The last interim of a long window shows more than its final will.
                self.tell_interim(told);
                self.tell_final(Cause::Full, end, told);
            }
        } else if self.position >= self.next_interim {
            self.tell_interim(told);
        }
        self.tell_utterance_end(told);
    }

    /// Tells what was heard as final, if anything was.
    pub(super) fn finalize(&mut self, told: &mut Vec<ServerMessage>) {
        if !self.window.words.is_empty() {
            self.tell_final(Cause::Asked, self.settled(), told);
        }
    }

    /// No more audio comes: a word that has no end yet will never have one.
    pub(super) fn finish(&mut self, told: &mut Vec<ServerMessage>) {
        self.tell_final(Cause::End, self.position, told);
    }

    fn listen(&mut self, samples: &[u8]) {
        self.ear.hear(samples, &mut self.heard);
        self.position += samples.len() as u64;
        for heard in self.heard.drain(..) {
            match heard {
                Heard::Begun { text, start, end } => {
                    let spoken = SpokenWord::written(text, start, end);
                    let confidence = self.dice.within(GUESSED_PER_MILLE) as f64 / 1_000.0;
                    self.begun = Some(HeardWord { spoken, confidence });
                }
                Heard::Word(spoken) => {
                    self.begun = None;
                    let confidence = self.dice.within(HEARD_PER_MILLE) as f64 / 1_000.0;
                    self.window.words.push(HeardWord { spoken, confidence });
                }
                Heard::Broken { .. } => self.begun = None,
            }
        }
    }

    /// Voice activity; answers whether an utterance has just ended.
    fn follow_speech(&mut self, samples: &[u8], told: &mut Vec<ServerMessage>) -> bool {
        let sounds = self.begun.is_some() || ulaw::level_dbov(samples) > FAINTEST_SPEECH_DBOV;
        match &mut self.speaking {
            None if sounds => {
                self.speaking = Some(self.position);
                let first_interim = self.asked.samples(self.dice.within(FIRST_INTERIM_MS));
                self.next_interim = self.next_interim.max(self.position + first_interim);
                if self.asked.vad_events {
                    let at = self.position - samples.len() as u64;
                    told.push(ServerMessage::SpeechStarted(SpeechStarted {
                        channel: self.number,
                        timestamp: seconds(at, self.asked.rate_hz),
                    }));
                }
            }
            Some(last_sound) if sounds => *last_sound = self.position,
            Some(last_sound) => {
                let silence = self.asked.endpointing.unwrap_or(0);
                let silence = silence.max(self.asked.samples(SHORTEST_PAUSE_MS));
                if self.position - *last_sound >= silence {
                    self.speaking = None;
                    return true;
                }
            }
            None => {}
        }
        false
    }

    /// The last position that no word straddles, known or still unannounced.
    fn settled(&self) -> u64 {
        let words_end = self
            .window
            .words
            .last()
            .map_or(self.window.start, |last| last.spoken.end);
        match &self.begun {
            Some(begun) => self.break_between(words_end, begun),
            None => words_end.max(self.position.saturating_sub(ANNOUNCED_WITHIN_SAMPLES)),
        }
    }

    /// Where a window that grew too long ends: in the middle of speech up to two words are left to
    /// the next, so that a final may end before the interim that preceded it.
    fn full_window_end(&mut self) -> u64 {
        match (self.dice.within(0..=2), self.window.words.as_slice()) {
            (1, [.., last, next]) | (2, [.., last, next, _]) if self.speaking.is_some() => {
                self.break_between(last.spoken.end, next)
            }
            _ => self.settled(),
        }
    }

    /// A position shortly before `next`, in the break that began at `from`.
    fn break_between(&self, from: u64, next: &HeardWord) -> u64 {
        let half = (next.spoken.start - from) / 2;
        next.spoken.start - half.min(self.asked.samples(MARGIN_MS))
    }

    /// Makes the window up to `end` final, in one piece unless a flaw cuts it.
    fn tell_final(&mut self, cause: Cause, end: u64, told: &mut Vec<ServerMessage>) {
        let first = self.window.words.first();
        if let Some(first) =
            first.filter(|first| self.flaws.empty_finals && first.spoken.end <= end)
        {
            let silence_end = self.break_between(self.window.start, first);
            self.tell_piece(Cause::Full, silence_end, told);
        }
        if let ([.., before, last], true) = (&self.window.words[..], self.flaws.short_finals) {
            let last_begins = self.break_between(before.spoken.end, last);
            if last_begins < end {
                self.tell_interim(told);
                self.tell_piece(Cause::Full, last_begins, told);
                if cause == Cause::Full {
                    return;
                }
            }
        }
        self.tell_piece(cause, end, told);
    }

    /// Makes the window up to `end` final, unless that is empty.
    fn tell_piece(&mut self, cause: Cause, end: u64, told: &mut Vec<ServerMessage>) {
        if end <= self.window.start {
            return;
        }
        let full_at = end + self.asked.samples(self.dice.within(FINAL_EVERY_MS));
        let final_words = self
            .window
            .words
            .partition_point(|word| word.spoken.end <= end);
        let words = self.window.words.split_off(final_words);
        let window = std::mem::replace(
            &mut self.window,
            Window {
                start: end,
                words,
                full_at,
            },
        );
        self.next_interim = self.position + self.asked.samples(self.dice.within(INTERIM_EVERY_MS));
        self.utterance = window
            .words
            .last()
            .map(|last| last.spoken.end)
            .or(self.utterance);
        let mut results = self.results(window.start, end, &window.words);
        results.is_final = true;
        results.speech_final = match cause {
            Cause::Full | Cause::End => false,
            Cause::Endpoint => true,
            Cause::Asked => self.begun.is_none(),
        };
        results.from_finalize = cause == Cause::Asked;
        told.push(ServerMessage::Results(results));
    }

    /// Tells the window so far, a word that has begun included, if there is any.
    fn tell_interim(&mut self, told: &mut Vec<ServerMessage>) {
        if !self.asked.interims {
            return;
        }
        let begun = self.begun.clone().map(|mut begun| {
            begun.spoken.end = begun.spoken.end.min(self.position);
            begun
        });
        let words: Vec<_> = self.window.words.iter().cloned().chain(begun).collect();
        if words.is_empty() {
            return;
        }
        self.next_interim = self.position + self.asked.samples(self.dice.within(INTERIM_EVERY_MS));
        let results = self.results(self.window.start, self.position, &words);
        told.push(ServerMessage::Results(results));
    }

    /// An utterance ends when nothing was heard for long enough after its last final word.
    fn tell_utterance_end(&mut self, told: &mut Vec<ServerMessage>) {
        let Some((last_word_end, silence)) = self.utterance.zip(self.asked.utterance_end) else {
            return;
        };
        let quiet = self.begun.is_none() && self.window.words.is_empty();
        if quiet && self.position >= last_word_end + silence {
            self.utterance = None;
            told.push(ServerMessage::UtteranceEnd(UtteranceEnd {
                channel: self.number,
                last_word_end: seconds(last_word_end, self.asked.rate_hz),
            }));
        }
    }

    /// An interim of this stretch.
    fn results(&mut self, start: u64, end: u64, words: &[HeardWord]) -> Results {
        let Asked {
            rate_hz, punctuate, ..
        } = self.asked;
        let words = mishear(words, start..end, rate_hz, self.flaws, &mut self.dice);
        Results {
            channel_index: self.number,
            duration: seconds(end - start, rate_hz),
            start: seconds(start, rate_hz),
            is_final: false,
            speech_final: false,
            channel: message::Channel {
                alternatives: vec![alternative(&words, punctuate, rate_hz)],
            },
            metadata: Some(self.made_by.clone()),
            from_finalize: false,
        }
    }
}

/// Without an endpoint a final comes every few seconds, in silence too.
const FINAL_EVERY_MS: std::ops::RangeInclusive<u64> = 3_000..=5_000;

/// A window that did not end with an utterance is at least so long.
const SHORTEST_WINDOW_MS: u64 = 500;

/// Interims come about once a second.
const INTERIM_EVERY_MS: std::ops::RangeInclusive<u64> = 900..=1_100;

/// From the beginning of speech to its first interim.
const FIRST_INTERIM_MS: std::ops::RangeInclusive<u64> = 500..=1_000;

/// Endpointing smooths over the breaks between words, whatever it is set to.
const SHORTEST_PAUSE_MS: u64 = 150;

/// Left between the end of a final and the word that begins after it.
const MARGIN_MS: u64 = 20;

/// What is softer counts as silence: recorded words are at about -20 dBov, comfort noise at -65.
const FAINTEST_SPEECH_DBOV: f32 = -50.0;

/// Confidence in a whole word.
const HEARD_PER_MILLE: std::ops::RangeInclusive<u64> = 930..=999;

/// Confidence in a word that has only begun.
const GUESSED_PER_MILLE: std::ops::RangeInclusive<u64> = 600..=900;
