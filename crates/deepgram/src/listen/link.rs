//! The listen link: one call's way to Deepgram, across as many connections as it takes.
//!
//! A value without sockets or clock. `handle` takes what happened and the time; `poll_output` is
//! drained until `None` after each `handle`; `poll_timeout` tells when `Input::Timeout` is due.
//!
//! Positions are *source positions*: samples per channel since the first audio given to the link,
//! across connections. A connection's own times (seconds since its opening) never leave the link.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use sidetone_audio::{Audio, Block};
//! use sidetone_deepgram::listen::link::{Config, Input, ListenLink, Output};
//!
//! let config = Config {
//!     channels: 1,
//!     interim_results: true,
//!     replay_window: Duration::from_secs(60),
//!     replay_rate: 1.25,
//!     seed: 1,
//! };
//! let now = Instant::now();
//! let mut link = ListenLink::new(config, now);
//! assert_eq!(link.poll_output(), Some(Output::Connect { generation: 1 }));
//!
//! // What is said meanwhile is kept, and sent when the connection is open.
//! link.handle(now, Input::Audio(Block { samples: 480, audio: Audio::Silence }));
//! assert_eq!(link.poll_output(), None);
//! link.handle(now, Input::Opened { generation: 1, request_id: None });
//! assert!(matches!(link.poll_output(), Some(Output::Event(_))));
//! assert!(matches!(link.poll_output(), Some(Output::SendAudio { generation: 1, .. })));
//! ```

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sidetone_audio::{Block, ulaw};

use self::clock::{duration_of, samples_in};
use self::connection::{Connection, Opening, Upkeep};
use self::hearing::Hearing;
use self::kept::Kept;
use self::retry::{Retry, is_passing};
pub use self::types::{Config, Event, Input, Output, Recovered, Transcript, Word};
use crate::error::one_line;
use crate::listen::message::{
    CLOSE_STREAM, ErrorMessage, KEEP_ALIVE, Results, ServerMessage, SpeechStarted, UtteranceEnd,
};
use crate::listen::times::{self, Cut};

mod clock;
mod connection;
mod hearing;
mod kept;
mod retry;
mod types;

/// One call's way to Deepgram.
///
/// Kinds of methods: [`handle`](Self::handle) changes the state and queues outputs;
/// [`poll_output`](Self::poll_output) must be drained to `None` after it, and
/// [`poll_timeout`](Self::poll_timeout) read anew then. After [`Event::Finished`] nothing counts
/// and nothing comes.
#[derive(Debug)]
pub struct ListenLink {
    config: Config,
    state: State,
    /// Of the newest connection asked for.
    generation: u32,
    kept: Kept,
    /// By channel.
    hearing: Vec<Hearing>,
    retry: Retry,
    was_open: bool,
    /// Since when there has been no connection, once one was lost or refused.
    lost_at: Option<Instant>,
    /// Up to where audio was sent on any connection.
    reached: u64,
    /// Audio sent again so far, in samples.
    replayed: u64,
    /// Connections in a row that took audio and told nothing new.
    fruitless: u32,
    ending: Option<Ending>,
    /// The last complaint, which is not repeated.
    warned: Option<String>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Connecting { deadline: Instant },
    Open(Box<Connection>),
    /// All was sent, and `CloseStream` after it: Deepgram owes its last finals.
    Finishing(Box<Connection>),
    /// Lost; another try at `retry_at`.
    Reconnecting { retry_at: Instant },
    /// Refused for good, which only someone's doing can change.
    Failed { retry_at: Instant },
    Closed,
}

/// The call is over, the link has to come to an end.
#[derive(Clone, Copy, Debug)]
struct Ending {
    deadline: Instant,
    last_deadline: Instant,
}

impl ListenLink {
    /// A link that asks for its first connection at once.
    ///
    /// # Panics
    /// When `config.channels` is neither 1 nor 2.
    pub fn new(config: Config, now: Instant) -> Self {
        assert!((1..=2).contains(&config.channels), "Deepgram hears one channel or two");
        let config = Config { replay_rate: config.replay_rate.max(1.0), ..config };
        let mut link = Self {
            state: State::Closed,
            generation: 0,
            kept: Kept::new(config.channels),
            hearing: (0..config.channels).map(|_| Hearing::default()).collect(),
            retry: Retry::new(config.seed),
            was_open: false,
            lost_at: None,
            reached: 0,
            replayed: 0,
            fruitless: 0,
            ending: None,
            warned: None,
            outputs: VecDeque::new(),
            config,
        };
        link.connect(now);
        link
    }

    /// Takes what happened at `now`; time never goes back.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Audio(block) => self.on_audio(block),
            Input::Opened { generation, request_id } => self.on_opened(now, generation, request_id),
            Input::Refused { generation, status, words, retry_after } => {
                if self.is_connecting(generation) {
                    self.on_refused(now, status, words, retry_after);
                }
            }
            Input::Text { generation, text } => self.on_text(now, generation, text),
            Input::Pong { generation } => {
                if let Some(connection) = self.connection_mut(generation) {
                    connection.pong_heard(now);
                }
            }
            Input::Closed { generation, code, reason } => {
                self.on_closed(now, generation, code, reason);
            }
            Input::Finish => self.on_finish(now),
            Input::Timeout => {}
        }
        self.advance(now);
    }

    /// What is to be done next; drain until `None` after each `handle`.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When `Input::Timeout` is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = match &self.state {
            State::Connecting { deadline, .. } => *deadline,
            State::Reconnecting { retry_at } | State::Failed { retry_at } => *retry_at,
            State::Finishing(connection) => connection.next_deadline(),
            State::Open(connection) => {
                let upkeep = connection.next_deadline();
                connection.next_audio().map_or(upkeep, |audio| audio.min(upkeep))
            }
            State::Closed => return None,
        };
        Some(self.ending.map_or(next, |ending| ending.deadline.min(next)))
    }

    /// The smallest source position that an event may still speak of, in samples.
    pub fn boundary(&self) -> u64 {
        self.hearing
            .iter()
            .map(Hearing::boundary)
            .min()
            .unwrap_or(0)
            .saturating_sub(samples_in(LOOKING_BACK))
    }

    /// Audio given to the link and not yet sent on an open connection.
    pub fn behind(&self) -> Duration {
        let next = match &self.state {
            State::Open(connection) | State::Finishing(connection) => connection.sent,
            State::Connecting { .. } | State::Reconnecting { .. } | State::Failed { .. } => {
                self.resume_at()
            }
            State::Closed => self.kept.end(),
        };
        duration_of(self.kept.end() - next)
    }

    fn on_audio(&mut self, block: Block) {
        if self.ending.is_some() || matches!(self.state, State::Closed) || block.samples == 0 {
            return;
        }
        self.kept.push(block);
        let window = self.kept.end().saturating_sub(samples_in(self.config.replay_window));
        // A connection that catches up still needs what it has not been sent; it gains on it.
        let spare = match &self.state {
            State::Open(connection) => connection.sent.min(window),
            _ => window,
        };
        self.kept.drop_before(spare);
    }

    fn on_opened(&mut self, now: Instant, generation: u32, request_id: Option<&str>) {
        if !self.is_connecting(generation) {
            return;
        }
        let (start, replayed) = self.replay_from();
        let recovered = self.lost_at.take().map(|lost| Recovered {
            replayed: duration_of(replayed),
            outage: now - lost,
        });
        self.replayed += replayed;
        let request_id = request_id.map(str::to_owned);
        self.event(Event::Connected { request_id: request_id.clone(), recovered });
        self.skip_to(start);
        for hearing in &mut self.hearing {
            hearing.reopen();
        }
        self.state = State::Open(Box::new(Connection::open(
            now,
            Opening {
                request_id,
                is_first: !self.was_open,
                start,
                backlog: self.kept.end() - start,
                replay_rate: self.config.replay_rate,
            },
        )));
        self.was_open = true;
        self.extend_ending(now);
    }

    fn on_refused(
        &mut self,
        now: Instant,
        status: u16,
        words: &str,
        retry_after: Option<Duration>,
    ) {
        if is_passing(status) {
            self.lose(now, &format!("refused with {status}: {words}"), retry_after);
            return;
        }
        self.lost_at.get_or_insert(now);
        self.state = State::Failed { retry_at: now + FAILED_RETRY };
        let words = one_line(words, MAX_REASON_CHARS);
        self.event(Event::Failed { status, words });
        if self.ending.is_some() {
            self.give_up();
        }
    }

    fn on_closed(&mut self, now: Instant, generation: u32, code: Option<u16>, reason: &str) {
        if self.current_generation() != Some(generation) {
            return;
        }
        let reason = match (code, reason) {
            (Some(code), "") => format!("closed with {code}"),
            (Some(code), reason) => format!("closed with {code}: {reason}"),
            (None, "") => "the connection broke".to_owned(),
            (None, reason) => reason.to_owned(),
        };
        self.lose(now, &reason, None);
    }

    fn on_finish(&mut self, now: Instant) {
        if self.ending.is_some() || matches!(self.state, State::Closed) {
            return;
        }
        self.ending = Some(Ending {
            deadline: now + self.time_to_finish(),
            last_deadline: now + LONGEST_FINISH,
        });
        match &self.state {
            State::Failed { .. } => self.give_up(),
            State::Connecting { .. } | State::Reconnecting { .. } if !self.is_something_unheard() => {
                self.finish();
            }
            _ => {}
        }
    }

    fn on_text(&mut self, now: Instant, generation: u32, text: &str) {
        let Some(connection) = self.connection_mut(generation) else { return };
        connection.message_heard(now);
        match ServerMessage::parse(text) {
            Ok(ServerMessage::Results(results)) => self.on_results(&results, text),
            Ok(ServerMessage::Metadata(_)) => self.on_metadata(now, text),
            Ok(ServerMessage::SpeechStarted(started)) => {
                self.pass_on(text);
                self.on_speech_started(&started);
            }
            Ok(ServerMessage::UtteranceEnd(ended)) => {
                self.pass_on(text);
                self.on_utterance_end(&ended);
            }
            Ok(ServerMessage::Error(complaint) | ServerMessage::Warning(complaint)) => {
                self.pass_on(text);
                self.on_complaint(&complaint);
            }
            Ok(
                ServerMessage::ConfigureSuccess(_)
                | ServerMessage::ConfigureFailure(_)
                | ServerMessage::Unknown { .. },
            ) => self.pass_on(text),
            // It may have been a final: only another connection can tell its words.
            Err(error) => self.replace(now, &error.to_string()),
        }
    }

    fn on_results(&mut self, results: &Results, text: &str) {
        let (State::Open(connection) | State::Finishing(connection)) = &mut self.state else {
            return;
        };
        let channel = usize::try_from(results.channel_index.index).unwrap_or(usize::MAX);
        let Some(hearing) = self.hearing.get_mut(channel) else { return };
        let heard = hearing.take(channel, results, |seconds| {
            connection.map.source(seconds).min(connection.sent)
        });
        if heard.advanced {
            connection.was_fruitful = true;
            self.fruitless = 0;
        }
        let message = match &heard.repeats {
            _ if connection.is_first => Some(text.to_owned()),
            Some(repeats) if repeats.transcript.is_empty() => None,
            repeats => {
                let cut = repeats.as_ref().map(|repeats| Cut {
                    taken_out: &repeats.taken_out,
                    transcript: &repeats.transcript,
                });
                let map = connection.map;
                times::rewrite(text, cut.as_ref(), |_, seconds| map.source_seconds(seconds))
            }
        };
        let message = message.map(|text| Event::Message { text });
        for event in message.into_iter().chain(heard.event) {
            self.event(event);
        }
        if heard.advanced {
            self.kept.release_before(self.resume_at());
        }
    }

    /// The last message of a connection. It is passed on when no other connection follows.
    fn on_metadata(&mut self, now: Instant, text: &str) {
        if !matches!(self.state, State::Finishing(_)) {
            return;
        }
        if self.hearing.iter().any(Hearing::expects_final) {
            self.replace(now, "Deepgram ended without its last finals");
            return;
        }
        self.event(Event::Message { text: text.to_owned() });
        self.finish();
    }

    fn on_speech_started(&mut self, started: &SpeechStarted) {
        let Some(at) = self.source(started.timestamp) else { return };
        let channel = usize::try_from(started.channel.index).unwrap_or(usize::MAX);
        let Some(hearing) = self.hearing.get_mut(channel) else { return };
        if hearing.speech_started(at) {
            self.event(Event::SpeechStarted { channel, at });
        }
    }

    fn on_utterance_end(&mut self, ended: &UtteranceEnd) {
        // Below zero: Deepgram knows of no word.
        let Some(at) = self.source(ended.last_word_end).filter(|_| ended.last_word_end >= 0.0) else {
            return;
        };
        let channel = usize::try_from(ended.channel.index).unwrap_or(usize::MAX);
        let Some(hearing) = self.hearing.get_mut(channel) else { return };
        if hearing.utterance_ended(at) {
            self.event(Event::UtteranceEnded { channel, at });
        }
    }

    fn on_complaint(&mut self, complaint: &ErrorMessage) {
        let said = complaint.description.as_ref().or(complaint.message.as_ref());
        let kind = complaint.variant.as_ref().or(complaint.code.as_ref());
        let detail = match (said, kind) {
            (Some(said), Some(kind)) => format!("{said} ({kind})"),
            (Some(words), None) | (None, Some(words)) => words.clone(),
            (None, None) => "Deepgram complained without words".to_owned(),
        };
        let detail = one_line(&detail, MAX_REASON_CHARS);
        if self.warned.as_ref() != Some(&detail) {
            self.warned = Some(detail.clone());
            self.event(Event::Warned { detail });
        }
    }

    /// Passes a message on, its times in source time unless the connection is the first.
    fn pass_on(&mut self, text: &str) {
        let (State::Open(connection) | State::Finishing(connection)) = &self.state else { return };
        let map = connection.map;
        let shifted = (!connection.is_first)
            .then(|| times::map_times(text, |_, seconds| map.source_seconds(seconds)))
            .flatten();
        self.event(Event::Message { text: shifted.unwrap_or_else(|| text.to_owned()) });
    }

    /// Does what has become due.
    fn advance(&mut self, now: Instant) {
        if self.ending.is_some_and(|ending| now >= ending.deadline) {
            self.give_up();
        }
        match &self.state {
            State::Connecting { deadline, .. } if now >= *deadline => {
                self.replace(now, "Deepgram did not answer the handshake within 10 s");
            }
            State::Reconnecting { retry_at } | State::Failed { retry_at } if now >= *retry_at => {
                self.connect(now);
            }
            State::Open(_) | State::Finishing(_) => {
                self.send_audio(now);
                self.keep_up(now);
            }
            State::Connecting { .. }
            | State::Reconnecting { .. }
            | State::Failed { .. }
            | State::Closed => {}
        }
    }

    /// Sends what waits and may go, and asks for the end when that was all.
    fn send_audio(&mut self, now: Instant) {
        let State::Open(connection) = &mut self.state else { return };
        let generation = self.generation;
        loop {
            let Some((audio, samples)) = self.kept.message_at(connection.sent) else {
                connection.caught_up();
                break;
            };
            if connection.next_audio().is_some_and(|due| now < due) {
                break;
            }
            connection.audio_sent(now, samples, ulaw::is_silent(&audio));
            self.outputs.push_back(Output::SendAudio { generation, audio });
        }
        self.reached = self.reached.max(connection.sent);
        if self.ending.is_some() && connection.sent == self.kept.end() {
            self.outputs.push_back(Output::SendText { generation, text: CLOSE_STREAM });
            connection.asked_to_close(now);
            let asked = std::mem::replace(&mut self.state, State::Closed);
            if let State::Open(connection) = asked {
                self.state = State::Finishing(connection);
            }
        }
    }

    /// Keeps the connection alive, or replaces it when it is not.
    fn keep_up(&mut self, now: Instant) {
        let (State::Open(connection) | State::Finishing(connection)) = &mut self.state else {
            return;
        };
        if let Some(reason) = connection.stall(now, self.config.interim_results) {
            self.replace(now, reason);
            return;
        }
        let generation = self.generation;
        while let Some(upkeep) = connection.upkeep(now) {
            self.outputs.push_back(match upkeep {
                Upkeep::Ping => Output::Ping { generation },
                Upkeep::KeepAlive => Output::SendText { generation, text: KEEP_ALIVE },
                Upkeep::Silence => {
                    connection.map.insert_lead(SILENT_FRAME);
                    let audio = kept::silence(self.kept.bytes(SILENT_FRAME));
                    Output::SendAudio { generation, audio }
                }
            });
        }
    }

    fn connect(&mut self, now: Instant) {
        self.generation += 1;
        let generation = self.generation;
        self.state = State::Connecting { deadline: now + CONNECT_TIMEOUT };
        self.outputs.push_back(Output::Connect { generation });
    }

    /// Drops the connection, or the try, and makes another.
    fn replace(&mut self, now: Instant, reason: &str) {
        self.close();
        self.lose(now, reason, None);
    }

    /// The connection is gone, or never came to be.
    fn lose(&mut self, now: Instant, reason: &str, retry_after: Option<Duration>) {
        let lost = match std::mem::replace(&mut self.state, State::Closed) {
            State::Open(connection) | State::Finishing(connection) => Some(connection),
            _ => None,
        };
        if self.ending.is_some() && !self.is_something_unheard() {
            self.finish();
            return;
        }
        if let Some(lost) = &lost {
            if lost.was_sound(now) {
                self.retry.reset();
            }
            if lost.has_sent_audio() && !lost.was_fruitful {
                self.fruitless = self.fruitless.saturating_add(1);
            }
            self.extend_ending(now);
        }
        self.lost_at.get_or_insert(now);
        self.state = State::Reconnecting { retry_at: now + self.retry.wait(retry_after) };
        self.event(Event::Disconnected {
            reason: one_line(reason, MAX_REASON_CHARS),
            attempt: self.retry.failures(),
            request_id: lost.and_then(|connection| connection.request_id),
        });
    }

    /// Where the next connection begins, and how much of it was sent before.
    fn replay_from(&self) -> (u64, u64) {
        let resume = self.resume_at();
        let budget = if self.fruitless >= FRUITLESS_CONNECTIONS {
            0
        } else {
            (samples_in(REPLAY_BUDGET) + self.kept.end() / 4).saturating_sub(self.replayed)
        };
        let replayed = self.reached.saturating_sub(resume);
        let allowed = replayed.min(budget);
        (resume + (replayed - allowed), allowed)
    }

    /// Gives up on hearing what lies before `start`, and says what is lost by that.
    fn skip_to(&mut self, start: u64) {
        for channel in 0..self.config.channels {
            self.tell_gap(channel, start);
        }
        for hearing in &mut self.hearing {
            if hearing.resume_at() < start {
                hearing.skip_to(start);
            }
        }
        self.kept.release_before(start);
    }

    /// Tells the sounds of `channel` before `end` that no final covers.
    fn tell_gap(&mut self, channel: usize, end: u64) {
        if let Some(lost) = self.unheard(channel, end) {
            self.event(Event::Gap { channel, at: lost.start, duration: lost.end - lost.start });
        }
    }

    /// Ends the link with what is not heard told as lost.
    fn give_up(&mut self) {
        for channel in 0..self.config.channels {
            self.tell_gap(channel, self.kept.end());
        }
        self.finish();
    }

    fn finish(&mut self) {
        if self.current_generation().is_some() {
            self.close();
        }
        self.state = State::Closed;
        self.ending = None;
        self.kept.release_before(u64::MAX);
        self.event(Event::Finished);
    }

    fn close(&mut self) {
        self.outputs.push_back(Output::Close { generation: self.generation });
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// A connection that was lost or has come late leaves more to do, or less time to do it, than
    /// there was when the call ended.
    fn extend_ending(&mut self, now: Instant) {
        let needed = now + self.time_to_finish();
        if let Some(ending) = &mut self.ending {
            ending.deadline = ending.deadline.max(needed).min(ending.last_deadline);
        }
    }

    /// How long sending what waits and hearing its finals may take.
    fn time_to_finish(&self) -> Duration {
        let sending = self.behind().div_f64(self.config.replay_rate);
        (sending + LAST_FINALS).min(LONGEST_FINISH)
    }

    /// Where a new connection would have to begin.
    fn resume_at(&self) -> u64 {
        let needed = self.hearing.iter().map(Hearing::resume_at).min().unwrap_or(0);
        needed.max(self.kept.start()).min(self.kept.end())
    }

    fn is_something_unheard(&self) -> bool {
        (0..self.config.channels).any(|channel| self.unheard(channel, self.kept.end()).is_some())
    }

    /// The sounds of `channel` up to `end` that no final covers.
    fn unheard(&self, channel: usize, end: u64) -> Option<std::ops::Range<u64>> {
        let boundary = self.hearing.get(channel)?.boundary();
        self.kept.loud(channel, &(boundary..end))
    }

    /// The source position of a time on the open connection.
    fn source(&self, seconds: f64) -> Option<u64> {
        let (State::Open(connection) | State::Finishing(connection)) = &self.state else {
            return None;
        };
        Some(connection.map.source(seconds).clamp(self.boundary(), connection.sent))
    }

    fn is_connecting(&self, generation: u32) -> bool {
        matches!(self.state, State::Connecting { .. }) && generation == self.generation
    }

    /// Of the connection that is open or being made.
    fn current_generation(&self) -> Option<u32> {
        match &self.state {
            State::Connecting { .. } | State::Open(_) | State::Finishing(_) => {
                Some(self.generation)
            }
            State::Reconnecting { .. } | State::Failed { .. } | State::Closed => None,
        }
    }

    fn connection_mut(&mut self, generation: u32) -> Option<&mut Connection> {
        match &mut self.state {
            State::Open(connection) | State::Finishing(connection) => {
                (generation == self.generation).then_some(connection)
            }
            _ => None,
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const FAILED_RETRY: Duration = Duration::from_secs(30);
/// For the finals after the last audio was sent.
const LAST_FINALS: Duration = Duration::from_secs(5);
const LONGEST_FINISH: Duration = Duration::from_secs(90);
/// A call may be replayed for this long, and a quarter of its own length.
const REPLAY_BUDGET: Duration = Duration::from_secs(120);
const FRUITLESS_CONNECTIONS: u32 = 5;
/// An utterance's end is told at most this long after the finals have passed it.
const LOOKING_BACK: Duration = Duration::from_secs(10);
/// 20 ms.
const SILENT_FRAME: u64 = 160;
const MAX_REASON_CHARS: usize = 300;
