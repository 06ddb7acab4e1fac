//! One connection of `/v1/listen`: what comes in, when it is processed, and when the answers
//! leave.
//!
//! A value without sockets or clock. `handle` takes what happened and the time; `poll_output` is
//! drained until `None` after each `handle`; `poll_timeout` tells when `Input::Timeout` is due.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sidetone_deepgram::listen::message::{
    ClientMessage, Close, ConfigureSuccess, ErrorMessage, ServerMessage,
};
use sidetone_deepgram::listen::query::Query;

use super::recognizer::{Identity, Recognizer};
use crate::dice::Dice;

/// What happened.
#[derive(Debug)]
pub(super) enum Input<'a> {
    /// A binary frame; an empty one ends the stream.
    Audio(Bytes),
    /// A text frame.
    Text(&'a str),
    /// The deadline told by `poll_timeout` has come.
    Timeout,
}

/// What is to be sent.
#[derive(Debug, PartialEq)]
pub(super) enum Output {
    /// A text frame.
    Text(String),
    /// The close frame; nothing follows it.
    Close(Close),
}

/// One connection.
///
/// Audio is processed in order and no faster than 1.25 times real time, as Deepgram does;
/// what is told of it leaves 200 to 400 ms later, in order.
pub(super) struct Session {
    request_id: String,
    /// `None` once the stream is at its end.
    recognizer: Option<Recognizer>,
    dice: Dice,
    work: VecDeque<Timed<Work>>,
    waiting_audio_bytes: usize,
    /// When the audio taken so far will have been processed.
    free_at: Instant,
    outbox: VecDeque<Timed<Output>>,
    /// When the client is given up; `None` once it has said that it is done.
    idle_at: Option<Instant>,
    has_audio: bool,
    now: Instant,
}

#[derive(Debug)]
struct Timed<T> {
    due: Instant,
    item: T,
}

/// What is done when its turn has come.
#[derive(Debug)]
enum Work {
    Audio(Bytes),
    Finalize(Option<u32>),
    Finish,
}

impl Session {
    /// A connection opened at `now`.
    pub(super) fn new(query: &Query, identity: Identity, seed: u64, now: Instant) -> Self {
        let mut dice = Dice::new(seed);
        let recognizer_seed = dice.within(0..=u64::MAX - 1);
        Self {
            request_id: identity.request_id.clone(),
            recognizer: Some(Recognizer::new(query, identity, recognizer_seed)),
            dice,
            work: VecDeque::new(),
            waiting_audio_bytes: 0,
            free_at: now,
            outbox: VecDeque::new(),
            idle_at: Some(now + IDLE_LIMIT),
            has_audio: false,
            now,
        }
    }

    /// Takes what happened at `now`; time never goes back.
    pub(super) fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        if self.idle_at.is_some() {
            match input {
                Input::Audio(audio) if audio.is_empty() => self.take_end(),
                Input::Audio(audio) => self.take_audio(audio),
                Input::Text(text) => self.take_text(text),
                Input::Timeout => {}
            }
        }
        self.process_due();
        if self.is_full() {
            // It is not the client's silence: nothing it says is read.
            self.idle_at = self.idle_at.map(|_| now + IDLE_LIMIT);
        }
        if self.idle_at.is_some_and(|idle_at| idle_at <= now) {
            self.idle_at = None;
            self.recognizer = None;
            self.work.clear();
            self.post(Output::Close(Close::NET_0001), Duration::ZERO);
        }
    }

    /// What is to be sent now; drain until `None` after each `handle`.
    pub(super) fn poll_output(&mut self) -> Option<Output> {
        let due = self.outbox.front()?.due <= self.now;
        if due {
            self.outbox.pop_front().map(|timed| timed.item)
        } else {
            None
        }
    }

    /// When `Input::Timeout` is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let work = self.work.front().map(|timed| timed.due);
        let outbox = self.outbox.front().map(|timed| timed.due);
        [work, outbox, self.idle_at].into_iter().flatten().min()
    }

    /// Whether so much waits to be processed or sent that the client has to wait.
    pub(super) fn is_full(&self) -> bool {
        self.waiting_audio_bytes > MAX_WAITING_AUDIO_BYTES
            || self.work.len() + self.outbox.len() > MAX_WAITING
    }

    fn take_audio(&mut self, audio: Bytes) {
        // Keep-alives keep a connection only once it has had audio.
        self.has_audio = true;
        self.idle_at = Some(self.now + IDLE_LIMIT);
        self.waiting_audio_bytes += audio.len();
        self.queue(Work::Audio(audio));
    }

    fn take_text(&mut self, text: &str) {
        if self.has_audio {
            self.idle_at = Some(self.now + IDLE_LIMIT);
        }
        match ClientMessage::parse(text) {
            Ok(ClientMessage::KeepAlive) => {}
            Ok(ClientMessage::Finalize { channel }) => self.queue(Work::Finalize(channel)),
            Ok(ClientMessage::CloseStream) => self.take_end(),
            Ok(ClientMessage::Configure { keyterms, .. }) => {
                let request_id = self.request_id.clone();
                self.tell(&ServerMessage::ConfigureSuccess(ConfigureSuccess {
                    request_id,
                    keyterms,
                }));
            }
            Err(_) => self.tell(&ServerMessage::Error(ErrorMessage::schema_error(text))),
        }
    }

    fn take_end(&mut self) {
        self.idle_at = None;
        self.queue(Work::Finish);
    }

    /// Puts work in its turn: not before what came earlier has been processed.
    fn queue(&mut self, item: Work) {
        let due = self.now.max(self.free_at);
        self.free_at = due;
        if let (Work::Audio(audio), Some(recognizer)) = (&item, &self.recognizer) {
            let audio_secs = recognizer.duration_secs(audio.len());
            self.free_at += Duration::from_secs_f64(audio_secs / PROCESSING_RATE);
        }
        self.work.push_back(Timed { due, item });
    }

    fn process_due(&mut self) {
        while self.work.front().is_some_and(|timed| timed.due <= self.now) {
            let Some(Timed { item, .. }) = self.work.pop_front() else {
                break;
            };
            let mut told = Vec::new();
            let mut finished = false;
            match (item, &mut self.recognizer) {
                (Work::Audio(audio), Some(recognizer)) => {
                    self.waiting_audio_bytes -= audio.len();
                    recognizer.hear(&audio, &mut told);
                }
                (Work::Finalize(channel), Some(recognizer)) => {
                    recognizer.finalize(channel, &mut told);
                }
                (Work::Finish, recognizer) => {
                    if let Some(recognizer) = recognizer.take() {
                        recognizer.finish(&mut told);
                    }
                    finished = true;
                }
                (Work::Audio(_) | Work::Finalize(_), None) => {}
            }
            for message in &told {
                self.tell(message);
            }
            if finished {
                self.post(Output::Close(NORMAL), Duration::ZERO);
            }
        }
    }

    fn tell(&mut self, message: &ServerMessage) {
        let latency = Duration::from_millis(self.dice.within(LATENCY_MS));
        self.post(Output::Text(message.to_json()), latency);
    }

    /// Sends after `latency`, and not before what was posted earlier.
    fn post(&mut self, item: Output, latency: Duration) {
        let earlier = self.outbox.back().map(|timed| timed.due);
        let due = earlier.into_iter().fold(self.now + latency, Instant::max);
        self.outbox.push_back(Timed { due, item });
    }
}

/// Without audio or text for so long, or without any audio at all, a connection is given up.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// How fast audio is processed, as a multiple of real time.
const PROCESSING_RATE: f64 = 1.25;

const LATENCY_MS: std::ops::RangeInclusive<u64> = 200..=400;

const NORMAL: Close = Close {
    code: 1000,
    reason: "",
};

/// Two minutes of stereo mu-law.
const MAX_WAITING_AUDIO_BYTES: usize = 2 << 20;

/// Messages in and out.
const MAX_WAITING: usize = 10_000;

#[cfg(test)]
mod tests;
