//! The listen link: one call's way to Deepgram, across as many connections as it takes.
//!
//! A value without sockets or clock. Its methods take what happened and the time; `poll_output`
//! is drained until `None` after each of them; `poll_timeout` tells when `handle_timeout` is due.
//!
//! Positions are *source positions*: samples per channel since the first audio given to the link,
//! across connections. A connection's own times (seconds since its opening) never leave the link.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use sidetone_audio::{Audio, Block};
//! use sidetone_deepgram::connection::Input;
//! use sidetone_deepgram::listen::link::{Config, ListenLink, Output};
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
//! link.hear(now, Block { samples: 480, audio: Audio::Silence });
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
use self::progress::{Progress, Unheard};
pub use self::types::{Config, Event, Output, Recovered, Transcript, Word};
use crate::connection::Input;
use crate::error::{close_reason, one_line};
use crate::listen::message::{CLOSE_STREAM, KEEP_ALIVE};
use crate::retry::{Retry, is_passing};

mod clock;
mod connection;
mod debug;
mod hearing;
mod kept;
mod messages;
mod progress;
mod types;

/// One call's way to Deepgram.
///
/// Every method that takes `&mut self` but [`poll_output`](Self::poll_output) may change the state
/// and queue outputs: drain `poll_output` to `None` after it and read
/// [`poll_timeout`](Self::poll_timeout) anew. Time never goes back. After [`Event::Finished`]
/// nothing counts and nothing comes.
#[derive(Debug)]
pub struct ListenLink {
    config: Config,
    state: State,
    /// Of the newest connection asked for.
    generation: u32,
    progress: Progress,
    retry: Retry,
    was_open: bool,
    /// Since when there has been no connection, once one was lost or refused.
    lost_at: Option<Instant>,
    ending: Option<Ending>,
    /// The last complaint, which is not repeated.
    warned: Option<String>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Connecting {
        deadline: Instant,
    },
    Open(Box<Connection>),
    /// All was sent, and `CloseStream` after it: Deepgram owes its last finals.
    Finishing(Box<Connection>),
    /// Lost; another try at `retry_at`.
    Reconnecting {
        retry_at: Instant,
    },
    /// Refused for good, which only someone's doing can change.
    Failed {
        retry_at: Instant,
    },
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
        assert!(
            (1..=2).contains(&config.channels),
            "Deepgram hears one channel or two"
        );
        let config = Config {
            replay_rate: config.replay_rate.max(1.0),
            ..config
        };
        let mut link = Self {
            state: State::Closed,
            generation: 0,
            progress: Progress::new(config.channels),
            retry: Retry::new(config.seed),
            was_open: false,
            lost_at: None,
            ending: None,
            warned: None,
            outputs: VecDeque::new(),
            config,
        };
        link.connect(now);
        link
    }

    /// Takes what happened to a connection at `now`.
    pub fn handle(&mut self, now: Instant, input: Input<'_>) {
        match input {
            Input::Opened {
                generation,
                request_id,
            } => self.on_opened(now, generation, request_id),
            Input::Refused {
                generation,
                status,
                words,
                retry_after,
            } => {
                if self.is_connecting(generation) {
                    self.on_refused(now, status, words, retry_after);
                }
            }
            Input::Text { generation, text } => self.on_text(now, generation, text),
            Input::Binary { generation, .. } => self.on_binary(now, generation),
            Input::Pong { generation } => {
                if let Some(connection) = self.connection_mut(generation) {
                    connection.pong_heard(now);
                }
            }
            Input::Closed {
                generation,
                code,
                reason,
            } => {
                self.on_closed(now, generation, code, reason);
            }
        }
        self.advance(now);
    }

    /// Takes more audio of the call, in order. Ignored after [`finish`](Self::finish).
    pub fn hear(&mut self, now: Instant, block: Block) {
        if self.ending.is_none() && !matches!(self.state, State::Closed) && block.samples > 0 {
            let unsent = match &self.state {
                State::Open(connection) => Some(connection.sent),
                _ => None,
            };
            self.progress.push(block, self.config.replay_window, unsent);
        }
        self.advance(now);
    }

    /// The call ended: sends what waits, asks for the last finals, waits for them.
    pub fn finish(&mut self, now: Instant) {
        if self.ending.is_none() && !matches!(self.state, State::Closed) {
            self.begin_ending(now);
        }
        self.advance(now);
    }

    /// A deadline told by [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// What is to be done next; drain until `None` after each other method.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = match &self.state {
            State::Connecting { deadline, .. } => *deadline,
            State::Reconnecting { retry_at } | State::Failed { retry_at } => *retry_at,
            State::Finishing(connection) => connection.next_deadline(),
            State::Open(connection) => {
                let upkeep = connection.next_deadline();
                connection
                    .next_audio()
                    .map_or(upkeep, |audio| audio.min(upkeep))
            }
            State::Closed => return None,
        };
        Some(self.ending.map_or(next, |ending| ending.deadline.min(next)))
    }

    /// The smallest source position that an event may still speak of, in samples.
    pub fn boundary(&self) -> u64 {
        self.progress
            .boundary()
            .saturating_sub(samples_in(LOOKING_BACK))
    }

    /// Audio given to the link and not yet sent on an open connection.
    pub fn behind(&self) -> Duration {
        let next = match &self.state {
            State::Open(connection) | State::Finishing(connection) => connection.sent,
            State::Connecting { .. } | State::Reconnecting { .. } | State::Failed { .. } => {
                self.progress.resume_at()
            }
            State::Closed => self.progress.end(),
        };
        duration_of(self.progress.end() - next)
    }

    fn on_opened(&mut self, now: Instant, generation: u32, request_id: Option<&str>) {
        if !self.is_connecting(generation) {
            return;
        }
        let start = self.progress.begin();
        let recovered = self.lost_at.take().map(|lost| Recovered {
            replayed: duration_of(start.replayed),
            outage: now - lost,
        });
        let request_id = request_id.map(str::to_owned);
        self.event(Event::Connected {
            request_id: request_id.clone(),
            recovered,
        });
        self.tell_gaps(start.lost);
        self.state = State::Open(Box::new(Connection::open(
            now,
            Opening {
                request_id,
                is_first: !self.was_open,
                start: start.position,
                backlog: self.progress.end() - start.position,
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
        self.state = State::Failed {
            retry_at: now + FAILED_RETRY,
        };
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
        self.lose(now, &close_reason(code, reason), None);
    }

    /// It may have been a final: only another connection can tell its words.
    fn on_binary(&mut self, now: Instant, generation: u32) {
        if self.connection_mut(generation).is_some() {
            self.replace(now, "Deepgram sent a binary message");
        }
    }

    fn begin_ending(&mut self, now: Instant) {
        self.ending = Some(Ending {
            deadline: now + self.time_to_finish(),
            last_deadline: now + LONGEST_FINISH,
        });
        match &self.state {
            State::Failed { .. } => self.give_up(),
            // What came before the first connection is sent, be it silence.
            State::Connecting { .. } if !self.was_open && self.progress.end() > 0 => {}
            State::Connecting { .. } | State::Reconnecting { .. } if !self.has_unheard() => {
                self.end();
            }
            _ => {}
        }
    }

    /// Does what has become due.
    fn advance(&mut self, now: Instant) {
        if self.ending.is_some_and(|ending| now >= ending.deadline) {
            self.give_up();
        }
        match &self.state {
            State::Connecting { deadline, .. } if now >= *deadline => {
                self.replace(now, "no connection to Deepgram came about within 45 s");
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
        let State::Open(connection) = &mut self.state else {
            return;
        };
        let generation = self.generation;
        loop {
            let Some((audio, samples)) = self.progress.message_at(connection.sent) else {
                connection.caught_up();
                break;
            };
            if connection.next_audio().is_some_and(|due| now < due) {
                break;
            }
            connection.audio_sent(now, samples, ulaw::is_silent(&audio));
            self.outputs
                .push_back(Output::SendAudio { generation, audio });
        }
        self.progress.sent(connection.sent);
        if self.ending.is_some() && connection.sent == self.progress.end() {
            self.outputs.push_back(Output::SendText {
                generation,
                text: CLOSE_STREAM,
            });
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
                Upkeep::KeepAlive => Output::SendText {
                    generation,
                    text: KEEP_ALIVE,
                },
                Upkeep::Silence => {
                    connection.map.insert_lead(SILENT_FRAME);
                    let audio = kept::silence(self.progress.bytes(SILENT_FRAME));
                    Output::SendAudio { generation, audio }
                }
            });
        }
    }

    fn connect(&mut self, now: Instant) {
        self.generation += 1;
        let generation = self.generation;
        self.state = State::Connecting {
            deadline: now + CONNECT_TIMEOUT,
        };
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
        if self.ending.is_some() && !self.has_unheard() {
            self.end();
            return;
        }
        if let Some(lost) = &lost {
            if lost.was_sound(now) {
                self.retry.reset();
            }
            if lost.has_sent_audio() && !lost.was_fruitful {
                self.progress.fruitless();
            }
        }
        self.withdraw_interims();
        self.lost_at.get_or_insert(now);
        self.state = State::Reconnecting {
            retry_at: now + self.retry.wait(retry_after),
        };
        if lost.is_some() {
            self.extend_ending(now);
        }
        self.event(Event::Disconnected {
            reason: one_line(reason, MAX_REASON_CHARS),
            attempt: self.retry.failures(),
            request_id: lost.and_then(|connection| connection.request_id),
        });
    }

    /// Ends the link with what is not heard told as lost.
    fn give_up(&mut self) {
        let lost = self.progress.unheard(self.progress.end());
        self.tell_gaps(lost);
        self.end();
    }

    fn end(&mut self) {
        if self.current_generation().is_some() {
            self.close();
        }
        self.state = State::Closed;
        self.ending = None;
        self.withdraw_interims();
        self.progress.forget();
        self.event(Event::Finished);
    }

    fn close(&mut self) {
        self.outputs.push_back(Output::Close {
            generation: self.generation,
        });
    }

    /// No final will come of what was told last on a connection that is gone.
    fn withdraw_interims(&mut self) {
        for channel in self.progress.withdraw_interims() {
            self.event(Event::InterimWithdrawn { channel });
        }
    }

    fn tell_gaps(&mut self, lost: Vec<Unheard>) {
        for Unheard { channel, span } in lost {
            self.event(Event::Gap {
                channel,
                at: span.start,
                duration: span.end - span.start,
            });
        }
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

    fn has_unheard(&self) -> bool {
        !self.progress.unheard(self.progress.end()).is_empty()
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

/// Who owns the sockets has given a handshake up long before: this is for one that is forgotten.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(45);
const FAILED_RETRY: Duration = Duration::from_secs(30);
/// For the finals after the last audio was sent.
const LAST_FINALS: Duration = Duration::from_secs(5);
const LONGEST_FINISH: Duration = Duration::from_secs(90);
/// An utterance's end is told at most this long after the finals have passed it.
const LOOKING_BACK: Duration = Duration::from_secs(10);
/// 20 ms.
const SILENT_FRAME: u64 = 160;
const MAX_REASON_CHARS: usize = 300;
