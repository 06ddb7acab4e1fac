//! What is said into the call.

use std::collections::VecDeque;
use std::time::Instant;

use sidetone_audio::SAMPLES_PER_MS;
use sidetone_audio::playout::{self, Playout, Utterance};
use sidetone_deepgram::speak::pieces::{Piece, split};

use super::clock::ms;
use super::{FetchKey, Fetched, NotSaid, Output, ProviderText, Speech, StreamKey};
use crate::event::{EventData, Speak};

/// Texts that wait to be said, at most.
pub(super) const MOST_WAITING: usize = 100;

/// All that is said into one bidirectional stream, one text after the other.
///
/// A text is fetched in pieces. The next piece, be it of the same text or of the one after it, is
/// asked for while enough audio waits to bridge the time until it comes.
#[derive(Debug)]
pub(super) struct Speaking {
    pub(super) stream: StreamKey,
    playout: Playout,
    /// Those that are not settled, in the order in which they are said.
    texts: VecDeque<Text>,
    fetch: Option<Fetch>,
}

/// A text that is to be said.
#[derive(Debug)]
struct Text {
    asked: Asked,
    /// The pieces that were not asked for yet.
    pieces: VecDeque<Piece>,
    /// `None` until its first piece was asked for.
    utterance: Option<Utterance>,
}

/// What was asked to be said, and what is told of it.
#[derive(Debug)]
pub(super) struct Asked {
    speech: Speech,
    /// When it was asked for, or when what stood before it was settled.
    pub(super) turn: Instant,
    /// From its turn to its first audio.
    first_audio_ms: Option<u64>,
}

/// A piece that was asked for.
#[derive(Debug)]
struct Fetch {
    key: FetchKey,
    utterance: Utterance,
    /// What it says, until its first audio has come.
    says: Option<Piece>,
}

impl Asked {
    pub(super) const fn new(now: Instant, speech: Speech) -> Self {
        Self {
            speech,
            turn: now,
            first_audio_ms: None,
        }
    }

    /// Its first audio was sent.
    pub(super) fn started(&mut self, now: Instant) -> EventData {
        self.first_audio_ms = Some(ms(now.saturating_duration_since(self.turn)));
        EventData::SpeakStarted(self.told(0, String::new(), None))
    }

    /// All of it was heard: so many samples.
    pub(super) fn finished(self, heard: u64) -> EventData {
        let all = self.speech.text.clone();
        EventData::SpeakFinished(self.told(heard, all, None))
    }

    /// It was cut short.
    pub(super) fn interrupted(
        &self,
        heard: u64,
        heard_text: String,
        reason: Option<&str>,
    ) -> EventData {
        EventData::SpeakInterrupted(self.told(heard, heard_text, reason))
    }

    /// It cannot be said, or not to its end.
    pub(super) fn failed(&self, heard: u64, heard_text: String, reason: &str) -> EventData {
        EventData::SpeakFailed(self.told(heard, heard_text, Some(reason)))
    }

    fn told(&self, heard: u64, heard_text: String, reason: Option<&str>) -> Speak {
        Speak {
            speak_id: self.speech.id.clone(),
            text: self.speech.text.clone(),
            heard_ms: heard / SAMPLES_PER_MS,
            heard_text,
            first_audio_ms: self.first_audio_ms,
            reason: reason.map(str::to_owned),
        }
    }
}

impl Speaking {
    pub(super) fn new(stream: StreamKey) -> Self {
        Self {
            stream,
            playout: Playout::default(),
            texts: VecDeque::new(),
            fetch: None,
        }
    }

    /// Something is to be said, after all else or instead of it.
    pub(super) fn say(
        &mut self,
        now: Instant,
        speech: Speech,
        does: &mut Does<'_>,
    ) -> Result<(), NotSaid> {
        let pieces = VecDeque::from(split(&speech.text));
        if pieces.is_empty() {
            return Err(NotSaid::Empty);
        }
        if speech.interrupt {
            self.stop(now, "interrupted by another text", does);
        } else if self.texts.len() == MOST_WAITING {
            return Err(NotSaid::TooMany);
        }
        self.texts.push_back(Text {
            asked: Asked::new(now, speech),
            pieces,
            utterance: None,
        });
        self.go_on(now, does);
        Ok(())
    }

    /// Silences the call now; what waits is not said, either.
    pub(super) fn stop(&mut self, now: Instant, reason: &str, does: &mut Does<'_>) {
        if let Some(fetch) = self.fetch.take() {
            does.outputs.push_back(Output::DropFetch(fetch.key));
        }
        self.playout.stop(now);
        self.carry_out(now, Some(reason), does);
        for text in self.texts.drain(..) {
            does.tell(text.asked.interrupted(0, String::new(), Some(reason)));
        }
    }

    /// Something came of what was asked for. One that was dropped says nothing.
    pub(super) fn fetched(
        &mut self,
        now: Instant,
        key: FetchKey,
        fetched: Fetched<'_>,
        does: &mut Does<'_>,
    ) {
        let Some(fetch) = self.fetch.as_mut().filter(|fetch| fetch.key == key) else {
            return;
        };
        let utterance = fetch.utterance;
        match fetched {
            Fetched::Audio(audio) => {
                if let Some(piece) = fetch.says.take() {
                    self.playout.say(now, utterance, piece.text());
                }
                if let Err(full) = self.playout.push(now, utterance, audio) {
                    does.outputs.push_back(Output::DropFetch(key));
                    self.fail(now, utterance, &full.to_string(), does);
                }
            }
            Fetched::End => {
                self.fetch = None;
                let text = self
                    .texts
                    .iter()
                    .find(|text| text.utterance == Some(utterance));
                if text.is_none_or(|text| text.pieces.is_empty()) {
                    self.playout.end(now, utterance);
                }
            }
            Fetched::Failed(reason) => self.fail(now, utterance, reason, does),
        }
        self.go_on(now, does);
    }

    /// A mark came back.
    pub(super) fn echo(&mut self, now: Instant, mark: &str, does: &mut Does<'_>) {
        self.playout.handle_echo(now, mark);
        self.go_on(now, does);
    }

    pub(super) fn handle_timeout(&mut self, now: Instant, does: &mut Does<'_>) {
        self.playout.handle_timeout(now);
        self.go_on(now, does);
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.playout.poll_timeout()
    }

    /// The text cannot be said, or not to its end. What was received of it is still played.
    fn fail(&mut self, now: Instant, utterance: Utterance, reason: &str, does: &mut Does<'_>) {
        self.fetch = None;
        let heard = self.playout.heard(now);
        let heard = heard.filter(|heard| heard.utterance == utterance);
        let heard = heard.map_or((0, String::new()), |heard| {
            (heard.samples, heard.text.to_owned())
        });
        if let Some(text) = self.take(now, utterance) {
            does.tell(text.asked.failed(heard.0, heard.1, reason));
            does.hangs_up |= text.asked.speech.then_hang_up;
        }
        self.playout.end(now, utterance);
    }

    /// Does what the ledger says, and asks for what is to be said next.
    fn go_on(&mut self, now: Instant, does: &mut Does<'_>) {
        self.carry_out(now, None, does);
        if self.fetch.is_none() && self.playout.wants_audio() {
            self.fetch_next(now, does);
            self.carry_out(now, None, does);
        }
    }

    fn fetch_next(&mut self, now: Instant, does: &mut Does<'_>) {
        let Some(text) = self.texts.iter_mut().find(|text| !text.pieces.is_empty()) else {
            return;
        };
        let Some(piece) = text.pieces.pop_front() else {
            return;
        };
        let utterance = *text
            .utterance
            .get_or_insert_with(|| self.playout.begin(now));
        let key = does.next_fetch();
        does.outputs.push_back(Output::Fetch {
            fetch: key,
            text: ProviderText(piece.text().to_owned()),
            model: text.asked.speech.model.clone(),
            keep: text.asked.speech.keep,
        });
        self.fetch = Some(Fetch {
            key,
            utterance,
            says: Some(piece),
        });
    }

    /// `reason` is why what is cut short is.
    fn carry_out(&mut self, now: Instant, reason: Option<&str>, does: &mut Does<'_>) {
        let stream = self.stream;
        while let Some(output) = self.playout.poll_output() {
            match output {
                playout::Output::Media(audio) => {
                    does.outputs.push_back(Output::Play { stream, audio });
                }
                playout::Output::Mark(name) => {
                    does.outputs.push_back(Output::Mark { stream, name });
                }
                playout::Output::Clear => does.outputs.push_back(Output::Clear(stream)),
                playout::Output::Started { utterance } => {
                    let mut texts = self.texts.iter_mut();
                    if let Some(text) = texts.find(|text| text.utterance == Some(utterance)) {
                        does.tell(text.asked.started(now));
                    }
                }
                playout::Output::Finished { utterance, heard } => {
                    if let Some(text) = self.take(now, utterance) {
                        does.hangs_up |= text.asked.speech.then_hang_up;
                        does.tell(text.asked.finished(heard));
                    }
                }
                playout::Output::Interrupted {
                    utterance,
                    heard,
                    text: heard_text,
                    ..
                } => {
                    if let Some(text) = self.take(now, utterance) {
                        does.tell(text.asked.interrupted(heard, heard_text, reason));
                    }
                }
            }
        }
    }

    /// Takes a text that is settled away. The next one has its turn now.
    fn take(&mut self, now: Instant, utterance: Utterance) -> Option<Text> {
        let is_it = |text: &Text| text.utterance == Some(utterance);
        let index = self.texts.iter().position(is_it)?;
        if let Some(next) = self.texts.get_mut(index + 1) {
            next.asked.turn = now;
        }
        self.texts.remove(index)
    }
}

/// What speaking has done.
pub(super) struct Does<'a> {
    pub(super) outputs: &'a mut VecDeque<Output>,
    pub(super) fetches: &'a mut u32,
    /// Whether what was said last was a farewell.
    pub(super) hangs_up: bool,
}

impl Does<'_> {
    fn tell(&mut self, data: EventData) {
        self.outputs.push_back(Output::Event(data));
    }

    fn next_fetch(&mut self) -> FetchKey {
        let key = FetchKey(*self.fetches);
        *self.fetches += 1;
        key
    }
}
