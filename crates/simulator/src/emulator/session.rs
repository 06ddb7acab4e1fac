//! One connection of `/v1/listen`: what comes in, when it is processed, and when the answers
//! leave.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sidetone_deepgram::listen::message::{
    ClientMessage, Close, ConfigureSuccess, ErrorMessage, Metadata, ServerMessage,
};
use sidetone_deepgram::listen::query::Query;

use super::faults::{Caller, Faults};
use super::flaws::{Ending, Flaws, Malformed, Moment};
use super::recognizer::{Identity, Recognizer};
use super::stream::{Input, NORMAL, Output, Stream, Timed};
use super::telling::Telling;
use crate::dice::Dice;

/// One connection.
///
/// Audio is processed in order and no faster than 1.25 times real time, as Deepgram does;
/// what is told of it leaves 200 to 400 ms later, in order.
pub(super) struct Session {
    caller: Caller,
    request_id: String,
    /// `None` once the stream is at its end.
    recognizer: Option<Recognizer>,
    dice: Dice,
    work: VecDeque<Timed<Work>>,
    waiting_audio_bytes: usize,
    /// When the audio taken so far will have been processed.
    free_at: Instant,
    outbox: VecDeque<Outgoing>,
    /// When the client is given up; `None` once it has said that it is done.
    idle_at: Option<Instant>,
    has_audio: bool,
    telling: Telling,
    /// More than the usual latency.
    slow_by: Duration,
    /// How far what is told of one channel may fall behind the rest.
    channels_apart_ms: u64,
    ending: Ending,
    /// What will happen, soonest first.
    moments: VecDeque<Timed<Moment>>,
    /// How the next final with words is broken.
    malformed: Option<Malformed>,
    /// Nothing is told any more.
    is_deaf: bool,
    now: Instant,
}

/// Something that waits to be sent.
#[derive(Debug)]
struct Outgoing {
    due: Instant,
    /// Only what has the same channel, or none, keeps its order.
    channel: Option<u32>,
    output: Output,
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
    pub(super) fn new(
        query: &Query,
        identity: Identity,
        flaws: &Flaws,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut dice = Dice::new(seed);
        let recognizer_seed = dice.within(0..=u64::MAX - 1);
        let mut session = Self {
            caller: Caller::of(query),
            request_id: identity.request_id.clone(),
            recognizer: Some(Recognizer::new(
                query,
                identity,
                flaws.hearing,
                recognizer_seed,
            )),
            dice,
            work: VecDeque::new(),
            waiting_audio_bytes: 0,
            free_at: now,
            outbox: VecDeque::new(),
            idle_at: Some(now + IDLE_LIMIT),
            has_audio: false,
            telling: Telling::new(flaws.telling),
            slow_by: flaws.slow_by,
            channels_apart_ms: flaws.channels_apart_ms,
            ending: flaws.ending,
            moments: VecDeque::new(),
            malformed: None,
            is_deaf: false,
            now,
        };
        session.expect(now, &flaws.moments);
        session
    }

    /// What will happen to it how long after `now`.
    fn expect(&mut self, now: Instant, moments: &[(Duration, Moment)]) {
        self.now = now;
        for (after, moment) in moments {
            let (due, item) = (now + *after, *moment);
            let later = self.moments.partition_point(|timed| timed.due <= due);
            self.moments.insert(later, Timed { due, item });
        }
        self.befall_due();
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
                    let recognizer = recognizer.take();
                    match (self.ending, recognizer) {
                        (Ending::InGoodOrder, Some(recognizer)) => recognizer.finish(&mut told),
                        (Ending::WithoutFinals, _) => self.outbox.clear(),
                        (Ending::InGoodOrder, None) | (Ending::Never, _) => {}
                    }
                    finished = self.ending != Ending::Never;
                }
                (Work::Audio(_) | Work::Finalize(_), None) => {}
            }
            for message in &told {
                self.tell(message);
            }
            if finished {
                self.post(Output::Close(NORMAL), None, Duration::ZERO);
            }
        }
    }

    fn befall_due(&mut self) {
        while let Some(timed) = self.moments.pop_front_if(|timed| timed.due <= self.now) {
            self.befall(timed.item);
        }
    }

    fn befall(&mut self, moment: Moment) {
        match moment {
            Moment::Drop => self.end_with(Output::Break),
            Moment::Stall => self.end_with(Output::Freeze),
            Moment::Close(close) => self.end_with(Output::Close(close)),
            Moment::End => {
                let request_id = self.request_id.clone();
                let nothing = ServerMessage::Metadata(Metadata {
                    request_id,
                    ..Metadata::default()
                });
                self.end_with(Output::Text(nothing.to_json()));
                self.post(Output::Close(NORMAL), None, Duration::ZERO);
            }
            Moment::Deafen => {
                self.outbox.clear();
                self.is_deaf = true;
            }
            Moment::Malform(how) => self.malformed = Some(how),
        }
    }

    /// Sends this at once instead of what waits, and hears nothing more.
    fn end_with(&mut self, output: Output) {
        // What happens to its socket shows of a deaf stream, too.
        self.is_deaf = false;
        self.stop_hearing();
        self.outbox.clear();
        self.post(output, None, Duration::ZERO);
    }

    fn stop_hearing(&mut self) {
        self.idle_at = None;
        self.recognizer = None;
        self.work.clear();
    }

    fn tell(&mut self, message: &ServerMessage) {
        let mut latency = Duration::from_millis(self.dice.within(LATENCY_MS)) + self.slow_by;
        let channel = channel_of(message).filter(|_| self.channels_apart_ms > 0);
        if channel.is_some() {
            latency += Duration::from_millis(self.dice.within(0..=self.channels_apart_ms));
        }
        if let Some(how) = self.malformed.take_if(|_| is_final_with_words(message)) {
            self.post(how.break_up(message.to_json()), channel, latency);
            return;
        }
        for text in self.telling.texts(message) {
            self.post(Output::Text(text), channel, latency);
        }
    }

    /// Sends after `latency`, and not before what was posted earlier of the same channel.
    fn post(&mut self, output: Output, channel: Option<u32>, latency: Duration) {
        if self.is_deaf {
            return;
        }
        let keeps_order =
            |earlier: &&Outgoing| [None, channel].contains(&earlier.channel) || channel.is_none();
        let earlier = self.outbox.iter().rev().find(keeps_order);
        let due = earlier
            .into_iter()
            .fold(self.now + latency, |due, earlier| due.max(earlier.due));
        let place = self.outbox.partition_point(|waiting| waiting.due <= due);
        let outgoing = Outgoing {
            due,
            channel,
            output,
        };
        self.outbox.insert(place, outgoing);
    }
}

impl Stream for Session {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        if self.idle_at.is_some() {
            match input {
                // So a client may say that it is done.
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
            self.stop_hearing();
            self.post(Output::Close(Close::NET_0001), None, Duration::ZERO);
        }
        self.befall_due();
    }

    fn poll_output(&mut self) -> Option<Output> {
        let due = self.outbox.front()?.due <= self.now;
        if due {
            self.outbox.pop_front().map(|outgoing| outgoing.output)
        } else {
            None
        }
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let work = self.work.front().map(|timed| timed.due);
        let outbox = self.outbox.front().map(|outgoing| outgoing.due);
        let moment = self.moments.front().map(|timed| timed.due);
        [work, outbox, moment, self.idle_at]
            .into_iter()
            .flatten()
            .min()
    }

    fn is_full(&self) -> bool {
        self.waiting_audio_bytes > MAX_WAITING_AUDIO_BYTES
            || self.work.len() + self.outbox.len() > MAX_WAITING
    }

    fn strike(&mut self, now: Instant, faults: &Faults) {
        let moments = faults.striking(&self.caller);
        self.expect(now, &moments);
    }
}

/// The channel that a message speaks of.
fn channel_of(message: &ServerMessage) -> Option<u32> {
    match message {
        ServerMessage::Results(results) => Some(results.channel_index.index),
        ServerMessage::SpeechStarted(started) => Some(started.channel.index),
        ServerMessage::UtteranceEnd(ended) => Some(ended.channel.index),
        ServerMessage::Metadata(_)
        | ServerMessage::Error(_)
        | ServerMessage::Warning(_)
        | ServerMessage::ConfigureSuccess(_)
        | ServerMessage::ConfigureFailure(_)
        | ServerMessage::Unknown { .. } => None,
    }
}

fn is_final_with_words(message: &ServerMessage) -> bool {
    match message {
        ServerMessage::Results(results) => results.is_final && results.heard().is_some(),
        _ => false,
    }
}

/// Without audio or text for so long, or without any audio at all, a connection is given up.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

/// How fast audio is processed, as a multiple of real time.
const PROCESSING_RATE: f64 = 1.25;

const LATENCY_MS: std::ops::RangeInclusive<u64> = 200..=400;

/// Two minutes of stereo mu-law.
const MAX_WAITING_AUDIO_BYTES: usize = 2 << 20;

/// Messages in and out.
const MAX_WAITING: usize = 10_000;

#[cfg(test)]
mod tests;
