//! The agent link: one call's way to the voice agent, across as many sessions as it takes.
//!
//! A value without sockets or clock. Its methods take what happened and the time; `poll_output`
//! is drained until `None` after each of them; `poll_timeout` tells when `handle_timeout` is due.
//!
//! A session begins with `Welcome`, `Settings` and `SettingsApplied`; until then nothing else is
//! sent, and what the caller says is kept. A session that is lost is followed by another one that
//! is told the conversation so far, as the caller heard it, is asked for the answer that was owed,
//! and hears again what the lost one had heard and not put in text. One that takes audio, answers
//! pings and owes the caller something for too long counts as lost.
//!
//! ```
//! use std::time::Instant;
//!
//! use serde_json::json;
//! use sidetone_audio::{Audio, Block};
//! use sidetone_deepgram::agent::link::{AgentLink, Config, Event, Output};
//! use sidetone_deepgram::agent::settings::Settings;
//! use sidetone_deepgram::connection::Input;
//!
//! let settings = Settings::from_agent(json!({ "greeting": "Acme, hello!" })).expect("it is right");
//! let now = Instant::now();
//! let mut link = AgentLink::new(Config { settings, tags: vec![], seed: 1 }, now);
//! assert_eq!(link.poll_output(), Some(Output::Connect { generation: 1 }));
//!
//! // What is said meanwhile is kept, and sent when the session runs.
//! link.hear(now, Block { samples: 480, audio: Audio::Silence });
//! let generation = 1;
//! link.handle(now, Input::Opened { generation, request_id: None });
//! assert_eq!(link.poll_output(), None);
//! link.handle(now, Input::Text { generation, text: r#"{"type":"Welcome","request_id":"r"}"# });
//! let Some(Output::SendText { text, .. }) = link.poll_output() else { panic!("no Settings") };
//! assert!(text.contains("Acme, hello!"));
//! link.handle(now, Input::Text { generation, text: r#"{"type":"SettingsApplied"}"# });
//! assert!(matches!(link.poll_output(), Some(Output::Event(Event::Ready { .. }))));
//! assert!(matches!(link.poll_output(), Some(Output::SendAudio { audio, .. }) if audio.len() == 480));
//! ```

use std::collections::{BTreeSet, VecDeque};
use std::time::{Duration, Instant};

use sidetone_audio::time::duration;

use self::asides::Asides;
use self::conversation::Conversation;
use self::functions::Calls;
use self::gate::Gate;
use self::injections::Injections;
use self::kept::Kept;
use self::owed::{Due, Owed};
use self::session::Session;
pub use self::types::{Config, Event, Injection, Latencies, Output, Recovered, Said};
use self::unheard::Unheard;
use self::updates::Updates;
use crate::agent::message::{Behavior, ClientMessage, Role};
pub use crate::agent::settings::Update;
use crate::connection::Input;
use crate::error::{close_reason, one_line};
use crate::retry::{Retry, is_passing};

mod asides;
mod conversation;
mod debug;
mod feeding;
mod functions;
mod gate;
mod injections;
mod kept;
mod messages;
mod owed;
mod resuming;
mod session;
mod types;
mod unheard;
mod updates;

/// One call's way to the voice agent.
///
/// Every method but [`poll_output`](Self::poll_output) and [`poll_timeout`](Self::poll_timeout)
/// may change the state and queue outputs: drain `poll_output` to `None` after it and read
/// `poll_timeout` anew. Time never goes back. After [`Event::Lost`] and after
/// [`finish`](Self::finish) nothing counts and nothing comes.
#[derive(Debug)]
pub struct AgentLink {
    config: Config,
    state: State,
    /// Of the newest connection asked for.
    generation: u32,
    /// `None` while a session runs.
    down: Option<Down>,
    retry: Retry,
    /// When connections were made again, as far as it still counts.
    reconnects: VecDeque<Instant>,
    kept: Kept,
    unheard: Unheard,
    owed: Owed,
    conversation: Conversation,
    /// Whether the agent has said anything: then it greets no more.
    has_spoken: bool,
    calls: Calls,
    injections: Injections,
    asides: Asides,
    updates: Updates,
    is_idle: bool,
    is_speaking: bool,
    /// Kinds of messages that were told to be unknown.
    unknown: BTreeSet<String>,
    outputs: VecDeque<Output>,
}

#[derive(Debug)]
enum State {
    Connecting {
        deadline: Instant,
    },
    /// Open: Deepgram owes `Welcome`.
    Welcoming {
        opened: Instant,
        request_id: Option<String>,
        deadline: Instant,
    },
    /// `Settings` were sent: Deepgram owes `SettingsApplied`.
    Settling {
        opened: Instant,
        request_id: Option<String>,
        deadline: Instant,
    },
    Live(Box<Session>),
    Reconnecting {
        retry_at: Instant,
    },
    /// Finished, or lost for good.
    Closed,
}

/// A time without a session.
#[derive(Clone, Copy, Debug)]
struct Down {
    since: Instant,
    /// Whether something went wrong; the first session and the renewal of one that is old take
    /// their time as well.
    is_outage: bool,
    /// How much of the caller's audio is sent again.
    replayed: Duration,
}

impl Down {
    fn recovered(self, now: Instant) -> Option<Recovered> {
        self.is_outage.then(|| Recovered {
            outage: now.duration_since(self.since),
            replayed: self.replayed,
        })
    }
}

impl AgentLink {
    /// A link that asks for its first connection at once.
    pub fn new(config: Config, now: Instant) -> Self {
        let mut link = Self {
            state: State::Closed,
            generation: 0,
            down: Some(Down {
                since: now,
                is_outage: false,
                replayed: Duration::ZERO,
            }),
            retry: Retry::new(config.seed),
            reconnects: VecDeque::new(),
            kept: Kept::default(),
            unheard: Unheard::default(),
            owed: Owed::new(now),
            conversation: Conversation::default(),
            has_spoken: false,
            calls: Calls::default(),
            injections: Injections::default(),
            asides: Asides::default(),
            updates: Updates::default(),
            is_idle: false,
            is_speaking: false,
            unknown: BTreeSet::new(),
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
            Input::Binary { generation, audio } => self.on_audio(now, generation, audio),
            Input::Pong { generation } => {
                if self.generation == generation
                    && let State::Live(session) = &mut self.state
                {
                    session.heard(now);
                }
            }
            Input::Closed {
                generation,
                code,
                reason,
            } => self.on_closed(now, generation, code, reason),
        }
        self.advance(now);
    }

    /// A deadline told by [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// Has something said. Until a session runs it is kept, for at most 10 s: after that nobody
    /// waits for it. What the caller is to have said is kept for a minute.
    pub fn inject(&mut self, now: Instant, injection: Injection) {
        if !matches!(self.state, State::Closed) {
            self.injections.push(now, injection);
            self.send_injections(now);
        }
        self.advance(now);
    }

    /// Changes the session that runs, and all that come after it. A change that Deepgram refuses
    /// is taken back, at the price of another session.
    pub fn update(&mut self, now: Instant, update: Update) {
        if !matches!(self.state, State::Closed) {
            self.change(update);
        }
        self.advance(now);
    }

    fn change(&mut self, update: Update) {
        let before = self.config.settings.clone();
        let messages = self.config.settings.update(update);
        if messages.is_empty() {
            return;
        }
        self.updates.begun(before);
        match &self.state {
            State::Live(_) => {
                self.updates.sent(messages.len());
                for message in messages {
                    self.send(&message);
                }
            }
            State::Settling { .. } => self.updates.keep(messages),
            State::Connecting { .. }
            | State::Welcoming { .. }
            | State::Reconnecting { .. }
            | State::Closed => {}
        }
    }

    /// Someone on our side silenced the agent, which Deepgram does not know: the rest of the
    /// answer that comes is dropped.
    pub fn silence(&mut self) {
        if let State::Live(session) = &mut self.state
            && session.is_answering
        {
            session.gate = Gate::Muted;
        }
    }

    /// Tells what the caller really heard of the agent's texts from `first` to `last`: that is what
    /// a later session is told in their place.
    pub fn heard(&mut self, first: Said, last: Said, text: &str) {
        self.conversation.heard(first, last, text);
    }

    /// Tells whether nobody is speaking and nothing is being played: the moment to begin a new
    /// session when the old one nears its limit of two hours.
    pub fn set_idle(&mut self, now: Instant, idle: bool) {
        self.is_idle = idle;
        self.advance(now);
    }

    /// Tells whether the agent is being heard: what is loud meanwhile may be its echo.
    pub const fn set_speaking(&mut self, speaking: bool) {
        self.is_speaking = speaking;
    }

    /// The call is over, or does without its agent.
    pub fn finish(&mut self) {
        self.close();
        self.end();
    }

    /// What is to be done next; drain until `None` after each other method.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let next = match &self.state {
            State::Connecting { deadline }
            | State::Welcoming { deadline, .. }
            | State::Settling { deadline, .. } => *deadline,
            State::Reconnecting { retry_at } => *retry_at,
            State::Live(session) => {
                let next = session.next_deadline(self.may_renew());
                let owed = self.owed.deadline(self.calls.is_any_open());
                owed.map_or(next, |owed| owed.min(next))
            }
            State::Closed => return None,
        };
        Some(
            self.down
                .map_or(next, |down| next.min(down.since + LONGEST_OUTAGE)),
        )
    }

    fn on_opened(&mut self, now: Instant, generation: u32, request_id: Option<&str>) {
        if self.is_connecting(generation) {
            self.state = State::Welcoming {
                opened: now,
                request_id: request_id.map(str::to_owned),
                deadline: now + WELCOME_TIMEOUT,
            };
        }
    }

    fn on_refused(
        &mut self,
        now: Instant,
        status: u16,
        words: &str,
        retry_after: Option<Duration>,
    ) {
        let reason = format!("refused with {status}: {words}");
        if is_passing(status) {
            self.lose(now, &reason, retry_after);
        } else {
            self.give_up(&reason);
        }
    }

    fn on_closed(&mut self, now: Instant, generation: u32, code: Option<u16>, reason: &str) {
        if self.current_generation() != Some(generation) {
            return;
        }
        self.lose(now, &close_reason(code, reason), None);
    }

    /// Does what has become due.
    fn advance(&mut self, now: Instant) {
        let is_too_long = |down: Down| now >= down.since + LONGEST_OUTAGE;
        if self.down.is_some_and(is_too_long) && !matches!(self.state, State::Closed) {
            self.close();
            self.give_up("no session with Deepgram's voice agent came about within 30 s");
            return;
        }
        match &self.state {
            State::Connecting { deadline } if now >= *deadline => {
                self.replace(now, "no connection to Deepgram came about within 10 s");
            }
            State::Welcoming { deadline, .. } if now >= *deadline => {
                self.replace(now, "Deepgram sent no Welcome within 10 s");
            }
            State::Settling { deadline, .. } if now >= *deadline => {
                self.replace(now, "Deepgram did not apply the Settings within 10 s");
            }
            State::Reconnecting { retry_at } if now >= *retry_at => self.connect(now),
            State::Live(session) if session.is_deaf(now) => {
                self.replace(now, "Deepgram does not even answer pings any more");
            }
            State::Live(session) if now >= session.renewal(self.may_renew()) => self.renew(now),
            State::Live(_) => match self.owed.due(now, self.calls.is_any_open()) {
                Some(Due::Replace(reason)) => self.replace(now, &reason),
                Some(Due::GiveUp(reason)) => {
                    self.close();
                    self.give_up(&reason);
                }
                Some(Due::Ask) => {
                    self.ask_for_sign();
                    self.keep_up(now);
                }
                None => self.keep_up(now),
            },
            State::Connecting { .. }
            | State::Welcoming { .. }
            | State::Settling { .. }
            | State::Reconnecting { .. }
            | State::Closed => {}
        }
    }

    /// A change that changes nothing: a session that lives confirms it.
    fn ask_for_sign(&mut self) {
        if let Some(update) = self.config.settings.unchanged() {
            self.change(update);
        }
    }

    /// Sends the messages that wait, if a session runs.
    fn send_injections(&mut self, now: Instant) {
        if !matches!(self.state, State::Live(_)) {
            return;
        }
        while let Some(injection) = self.injections.next(now) {
            let Injection {
                role,
                content,
                interrupt,
                ..
            } = injection;
            if role == Role::User {
                self.owed.answer(now);
            }
            self.send(&match role {
                Role::User => ClientMessage::InjectUserMessage { content },
                Role::Assistant => ClientMessage::InjectAgentMessage {
                    message: content,
                    behavior: Some(if interrupt {
                        Behavior::Interrupt
                    } else {
                        Behavior::Queue
                    }),
                },
            });
        }
    }

    fn connect(&mut self, now: Instant) {
        self.generation += 1;
        self.state = State::Connecting {
            deadline: now + CONNECT_TIMEOUT,
        };
        self.outputs.push_back(Output::Connect {
            generation: self.generation,
        });
    }

    /// Begins another session before the old one ends of age.
    fn renew(&mut self, now: Instant) {
        self.close();
        let replayed = self.forsake();
        self.down = Some(Down {
            since: now,
            is_outage: false,
            replayed,
        });
        self.connect(now);
    }

    /// Drops the connection, or the try, and makes another.
    fn replace(&mut self, now: Instant, reason: &str) {
        self.close();
        self.lose(now, reason, None);
    }

    /// The connection is gone, or never came to be.
    fn lose(&mut self, now: Instant, reason: &str, retry_after: Option<Duration>) {
        let request_id = match &mut self.state {
            State::Welcoming { request_id, .. } | State::Settling { request_id, .. } => {
                request_id.take()
            }
            State::Live(session) => session.request_id.take(),
            State::Connecting { .. } | State::Reconnecting { .. } | State::Closed => None,
        };
        let replayed = self.forsake();
        let down = self.down.get_or_insert(Down {
            since: now,
            is_outage: true,
            replayed,
        });
        down.is_outage = true;
        let patience_ends = down.since + LONGEST_OUTAGE;
        let retry_at = now + self.retry.wait(retry_after);
        self.reconnects
            .retain(|reconnect| retry_at.duration_since(*reconnect) < RECONNECT_WINDOW);
        if self.reconnects.len() >= MOST_RECONNECTS || retry_at >= patience_ends {
            self.give_up(reason);
            return;
        }
        self.reconnects.push_back(retry_at);
        self.state = State::Reconnecting { retry_at };
        self.event(Event::Disconnected {
            reason: one_line(reason, MAX_REASON_CHARS),
            attempt: self.retry.failures(),
            request_id,
        });
    }

    /// What the session was asked and what it has asked comes to nothing. How much of the caller
    /// another one is to hear again.
    fn forsake(&mut self) -> Duration {
        for left in self.calls.forsaken() {
            self.conversation.called(left);
        }
        self.injections.forsaken();
        self.asides.forsaken();
        self.updates.forsaken();
        let unheard = self.unheard.take();
        let replayed = duration(unheard.len() as u64);
        self.kept.precede(unheard);
        replayed
    }

    /// There will be no agent any more.
    fn give_up(&mut self, reason: &str) {
        self.end();
        self.event(Event::Lost {
            reason: one_line(reason, MAX_REASON_CHARS),
        });
    }

    fn end(&mut self) {
        self.state = State::Closed;
        self.down = None;
        self.kept = Kept::default();
        self.unheard.clear();
    }

    /// Closes the connection, if there is one or one is being made.
    fn close(&mut self) {
        if let Some(generation) = self.current_generation() {
            self.outputs.push_back(Output::Close { generation });
        }
    }

    fn send(&mut self, message: &ClientMessage) {
        self.outputs.push_back(Output::SendText {
            generation: self.generation,
            text: message.to_json(),
        });
    }

    fn event(&mut self, event: Event) {
        self.outputs.push_back(Output::Event(event));
    }

    /// Whether a new session would cut nobody off.
    fn may_renew(&self) -> bool {
        self.is_idle && !self.calls.is_any_open()
    }

    fn is_connecting(&self, generation: u32) -> bool {
        matches!(self.state, State::Connecting { .. }) && generation == self.generation
    }

    /// Of the connection that is open or being made.
    fn current_generation(&self) -> Option<u32> {
        match &self.state {
            State::Connecting { .. }
            | State::Welcoming { .. }
            | State::Settling { .. }
            | State::Live(_) => Some(self.generation),
            State::Reconnecting { .. } | State::Closed => None,
        }
    }
}

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);
const WELCOME_TIMEOUT: Duration = Duration::from_secs(10);
const SETTINGS_TIMEOUT: Duration = Duration::from_secs(10);
/// Someone waits at the phone: after this much silence they are better told so.
const LONGEST_OUTAGE: Duration = Duration::from_secs(30);
/// So many connections in this time that came to nothing are enough.
const MOST_RECONNECTS: usize = 3;
const RECONNECT_WINDOW: Duration = Duration::from_secs(10);
const MAX_REASON_CHARS: usize = 300;
