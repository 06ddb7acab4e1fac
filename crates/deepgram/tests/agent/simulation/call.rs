//! A call in simulated time: a caller, a link, and the agent at its other end.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ops::AddAssign;
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use sidetone_deepgram::agent::link::{AgentLink, Config, Event, Injection, Output, Said, Update};
use sidetone_deepgram::agent::message::Role;
use sidetone_deepgram::agent::settings::Settings;
use sidetone_deepgram::connection::Input;

use self::caller::Caller;
use super::dice::Dice;
use super::server::{Counters, End, Fate, Session, Step};
use crate::rig::ms;

mod caller;
mod judge;

/// What a call came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    pub(super) sessions: u64,
    pub(super) renewals: u64,
    pub(super) lost: u64,
    /// Frames of the agent that no longer counted, and the others.
    pub(super) dropped: u64,
    pub(super) passed: u64,
    /// Functions that were answered, and that were revoked.
    pub(super) answered: u64,
    pub(super) void: u64,
    /// Injected messages that were said or refused.
    pub(super) injected: u64,
    /// Sessions that heard again what another one had heard.
    pub(super) replayed: u64,
    /// Texts of the caller that another session was asked to answer.
    pub(super) asked_again: u64,
    /// Functions of which another session was told that they were being done.
    pub(super) under_way: u64,
    /// Sessions that were left because they were silent.
    pub(super) silent: u64,
}

impl AddAssign for Outcome {
    fn add_assign(&mut self, other: Self) {
        self.sessions += other.sessions;
        self.renewals += other.renewals;
        self.lost += other.lost;
        self.dropped += other.dropped;
        self.passed += other.passed;
        self.answered += other.answered;
        self.void += other.void;
        self.injected += other.injected;
        self.replayed += other.replayed;
        self.asked_again += other.asked_again;
        self.under_way += other.under_way;
        self.silent += other.silent;
    }
}

/// What happens next. A number is the connection's.
enum Doing {
    Shake(u32),
    Welcome(u32),
    Apply(u32),
    Step(u32),
    End(u32, End),
    Pong(u32),
    Speak,
    Respond(String),
    Inject,
    Update,
    Silence,
    Idle,
    Finish,
}

/// What the link believes of its newest connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Belief {
    Gone,
    Dialing,
    /// Nothing may be sent.
    Open,
    /// `Settings` have to come at once.
    Welcomed,
    /// Nothing more may be sent.
    Settling,
    Live,
    /// After the end, or after the agent is lost for good.
    Over,
}

struct Line {
    dice: Dice,
    is_traced: bool,
    link: AgentLink,
    start: Instant,
    now: Instant,
    agenda: BTreeMap<(Instant, u64), Doing>,
    entries: u64,
    generation: u32,
    belief: Belief,
    fate: Fate,
    session: Session,
    is_mute: bool,
    deaf_since: Option<Instant>,
    counters: Counters,
    is_stored: bool,
    outcome: Outcome,
    /// Answers of the agent that no longer count.
    void: BTreeSet<u32>,
    has_spoken: bool,
    /// What the link told of the conversation, in order.
    told: Vec<String>,
    /// As it was set last, unless Deepgram did not take it.
    prompt: String,
    was_taken_back: bool,
    caller: Caller,
    fed_at: Instant,
    down_since: Instant,
    reconnects: VecDeque<Instant>,
    is_reconnect: bool,
    injections: u32,
    /// Functions that sessions called which are gone, and that are being done.
    orphans: BTreeSet<String>,
    /// What sessions were told as if the caller had said it.
    asides: Vec<String>,
    /// What the caller said last, until something comes of it, and how many sessions were to be
    /// asked for an answer.
    unanswered: Option<(String, u8)>,
    last_heard_of: Instant,
    /// What the last input came to.
    events: Vec<Event>,
    last_said: Option<Said>,
}

pub(super) fn run(seed: u64, is_traced: bool) -> Outcome {
    let mut dice = Dice::new(seed);
    let start = Instant::now();
    let is_stored = dice.percent(20);
    let agent = if is_stored {
        json!("fc553ec9-5874-49ca-a47c-b670d525a4b1")
    } else {
        json!({ "greeting": "Hi.", "think": { "prompt": "prompt 0" } })
    };
    let config = Config {
        settings: Settings::from_agent(agent).expect("it is right"),
        tags: Vec::new(),
        seed,
    };
    let longest = dice.pick(&[10_000, 20_000, 40_000, 40_000, 100_000]);
    let end = start + ms(dice.between(3_000, longest));
    let mut line = Line {
        link: AgentLink::new(config, start),
        dice,
        is_traced,
        start,
        now: start,
        agenda: BTreeMap::new(),
        entries: 0,
        generation: 0,
        belief: Belief::Gone,
        fate: Fate::Reset,
        session: Session::new(Dice::new(seed)),
        is_mute: false,
        deaf_since: None,
        counters: Counters::default(),
        is_stored,
        outcome: Outcome::default(),
        void: BTreeSet::new(),
        has_spoken: false,
        told: Vec::new(),
        prompt: "prompt 0".into(),
        was_taken_back: false,
        caller: Caller::default(),
        fed_at: start,
        down_since: start,
        reconnects: VecDeque::new(),
        is_reconnect: false,
        injections: 0,
        orphans: BTreeSet::new(),
        asides: Vec::new(),
        unanswered: None,
        last_heard_of: start,
        events: Vec::new(),
        last_said: None,
    };
    line.drain();
    line.add(Duration::ZERO, Doing::Speak);
    for doing in [Doing::Inject, Doing::Update, Doing::Silence, Doing::Idle] {
        line.add_soon(doing);
    }
    line.add(end - start, Doing::Finish);
    line.run();
    line.outcome
}

impl Line {
    fn run(&mut self) {
        let mut after_the_end = 100;
        while after_the_end > 0 {
            let next = self.agenda.first_key_value().map(|((at, _), _)| *at);
            let due = self.link.poll_timeout();
            if let Some(due) = due.filter(|due| next.is_none_or(|next| *due <= next)) {
                self.now = due;
                self.link.handle_timeout(due);
                self.drain();
                assert!(self.link.poll_timeout() > Some(due) || self.belief == Belief::Over);
                continue;
            }
            let Some(((at, _), doing)) = self.agenda.pop_first() else {
                break;
            };
            self.now = at;
            if self.belief == Belief::Over {
                after_the_end -= 1;
            }
            self.happen(doing);
        }
        assert_eq!(self.belief, Belief::Over, "the call came to its end");
    }

    fn happen(&mut self, doing: Doing) {
        match doing {
            Doing::Shake(generation) if generation == self.generation => self.shake(),
            Doing::Welcome(generation) if generation == self.generation => {
                match self.fate {
                    Fate::Breaks(1) => return self.break_off(),
                    Fate::Hangs(1) => return,
                    _ => {}
                }
                if self.belief == Belief::Open {
                    self.belief = Belief::Welcomed;
                }
                self.say(&json!({ "type": "Welcome", "request_id": "r" }));
                assert!(matches!(
                    self.belief,
                    Belief::Settling | Belief::Over | Belief::Gone
                ));
            }
            Doing::Apply(generation) if generation == self.generation => self.apply(),
            Doing::Step(generation) if self.is_up(generation) => self.step(),
            Doing::End(generation, end) if generation == self.generation => match end {
                End::Drop => self.break_off(),
                End::Error(code) => self.say(&json!({ "type": "Error", "code": code })),
                End::Mute => self.is_mute = true,
                End::Deaf => {
                    self.deaf_since = Some(self.now);
                    self.caller.meets_deafness();
                }
            },
            Doing::Pong(generation) if self.is_up(generation) => {
                self.link.handle(self.now, Input::Pong { generation });
                self.drain();
            }
            Doing::Shake(_) | Doing::Welcome(_) | Doing::Apply(_) | Doing::Step(_) => {}
            Doing::End(..) | Doing::Pong(_) => {}
            Doing::Speak => self.speak(),
            Doing::Respond(id) => self.respond(&id),
            Doing::Inject => self.inject(),
            Doing::Update => self.update(),
            Doing::Silence => {
                let answer = self.session.answering();
                if let Some(answer) = answer.filter(|_| self.caller.is_being_answered()) {
                    self.void.insert(answer);
                }
                self.link.silence();
                self.drain();
                self.add_soon(Doing::Silence);
            }
            Doing::Idle => {
                let idle = self.dice.percent(50);
                self.link.set_idle(self.now, idle);
                self.drain();
                self.add_soon(Doing::Idle);
            }
            Doing::Finish => {
                if self.belief != Belief::Over {
                    self.link.finish();
                    let was_up = !matches!(self.belief, Belief::Gone);
                    let closed = self.link.poll_output().is_some_and(|output| {
                        matches!(output, Output::Close { generation } if generation == self.generation)
                    });
                    assert_eq!(closed, was_up, "what is up is closed");
                    self.belief = Belief::Over;
                }
                self.drain();
            }
        }
    }

    /// The handshake comes to something.
    fn shake(&mut self) {
        let generation = self.generation;
        match self.fate {
            Fate::Hangs(0) => {}
            Fate::Reset => self.break_off(),
            Fate::Refused(status) => {
                if self.belief == Belief::Dialing {
                    self.belief = Belief::Gone;
                }
                let retry_after = (status == 429).then_some(ms(1_000));
                let words = "no";
                self.link.handle(
                    self.now,
                    Input::Refused {
                        generation,
                        status,
                        words,
                        retry_after,
                    },
                );
                self.drain();
                if matches!(status, 401 | 402) {
                    assert_eq!(self.belief, Belief::Over, "it will not pass");
                }
            }
            _ => {
                if self.belief == Belief::Dialing {
                    self.belief = Belief::Open;
                }
                let request_id = None;
                self.link.handle(
                    self.now,
                    Input::Opened {
                        generation,
                        request_id,
                    },
                );
                self.drain();
                let wait = self.dice.between(1, 300);
                self.add(ms(wait), Doing::Welcome(generation));
            }
        }
    }

    /// The agent answers `Settings`.
    fn apply(&mut self) {
        let generation = self.generation;
        let (life, end) = match self.fate {
            Fate::Breaks(_) => return self.break_off(),
            Fate::Hangs(_) => return,
            Fate::Rejected(code) => return self.say(&json!({ "type": "Error", "code": code })),
            Fate::Lives(life, end) => (life, end),
            Fate::Refused(_) | Fate::Reset => unreachable!("it was never open"),
        };
        if self.belief == Belief::Settling {
            self.belief = Belief::Live;
            self.fed_at = self.now;
            self.outcome.sessions += 1;
        }
        self.caller.meets_another(self.now - self.down_since);
        let asked_before = self.outcome.asked_again;
        self.say(&json!({ "type": "SettingsApplied" }));
        if self.belief == Belief::Live {
            assert!(self.caller.unsent() < 160, "what was kept was sent");
            let asked = self.outcome.asked_again - asked_before;
            assert!(
                self.unanswered.is_none() || asked == 1,
                "an answer is asked for"
            );
        }
        self.add(life, Doing::End(generation, end));
        self.add(ms(1), Doing::Step(generation));
    }

    fn step(&mut self) {
        if self.deaf_since.is_some() {
            return;
        }
        let (step, pause) = self.session.step(&mut self.counters);
        let generation = self.generation;
        match step {
            Step::Say(message) => {
                if message["type"] == "UserStartedSpeaking" {
                    self.void.extend(1..=self.counters.answers);
                }
                if message["type"] == "AgentAudioDone" || message["type"] == "UserStartedSpeaking" {
                    self.caller.answer_ended();
                }
                self.say_and_check(&message);
            }
            Step::Wait => {}
            Step::Audio(answer) => {
                self.last_heard_of = self.now;
                self.unanswered = None;
                self.trace(|| format!("audio of answer {answer}"));
                let audio = Bytes::copy_from_slice(&answer.to_be_bytes());
                self.link.handle(
                    self.now,
                    Input::Binary {
                        generation,
                        audio: &audio,
                    },
                );
                self.drain();
                if self.void.contains(&answer) {
                    assert_eq!(self.events, [], "answer {answer} was interrupted");
                    self.outcome.dropped += 1;
                } else {
                    assert_eq!(self.events, [Event::Audio(audio)]);
                    self.has_spoken = true;
                    self.outcome.passed += 1;
                }
            }
            Step::Call(ids) => {
                self.unanswered = None;
                let functions: Vec<Value> = ids
                    .iter()
                    .map(|id| json!({ "id": id, "name": "f", "arguments": "{}", "client_side": true }))
                    .collect();
                self.say(&json!({ "type": "FunctionCallRequest", "functions": functions }));
                for id in ids {
                    for _ in 0..self.dice.between(1, 2) {
                        let wait = self.dice.between(1, 4_000);
                        self.add(ms(wait), Doing::Respond(id.clone()));
                    }
                }
            }
            Step::Cancel(id) => {
                let functions = [json!({ "id": id })];
                self.say(&json!({ "type": "FunctionCallCancelled", "functions": functions }));
                assert_eq!(self.events, [Event::FunctionsCancelled(vec![id])]);
                self.outcome.void += 1;
            }
        }
        self.add(pause, Doing::Step(generation));
    }

    /// Says something, and looks at what the link tells of it.
    fn say_and_check(&mut self, message: &Value) {
        let answering = self.session.answering();
        self.say(message);
        let content = message["content"].as_str().unwrap_or_default();
        match (message["type"].as_str(), self.events.as_slice()) {
            (Some("ConversationText"), []) => {
                let is_void = answering.is_some_and(|answer| self.void.contains(&answer));
                let is_aside = self.asides.iter().any(|aside| aside == content);
                let is_users = message["role"] == "user";
                assert!(if is_users { is_aside } else { is_void }, "{message}");
            }
            (Some("ConversationText"), [Event::UserSaid { text }]) => assert_eq!(text, content),
            (
                Some("ConversationText"),
                [
                    Event::AgentSaid {
                        text, injection, ..
                    },
                ],
            ) => {
                assert_eq!(text, content);
                let meant = content.strip_prefix("injected ");
                assert_eq!(*injection, meant.map(|id| id.parse().expect("its number")));
                self.outcome.injected += u64::from(injection.is_some());
            }
            (Some("InjectionRefused"), [Event::InjectionRefused { id, words }]) => {
                assert_eq!(*words, format!("injected {id}"), "the one that was meant");
                self.outcome.injected += 1;
            }
            (Some("ConversationText" | "InjectionRefused"), other) => panic!("{other:?}"),
            _ => {}
        }
    }

    fn respond(&mut self, id: &str) {
        let open = self.session.called.iter().position(|called| called == id);
        let open = open.filter(|_| self.belief == Belief::Live);
        let before = self.outcome.answered;
        let notes = self.asides.len();
        // What is asked for then is an answer to that.
        self.unanswered = None;
        self.link.respond(self.now, id, "done");
        self.drain();
        if self.orphans.remove(id) && self.belief == Belief::Live {
            let note = &self.asides[notes..];
            assert!(matches!(note, [note] if note.contains("done")), "{note:?}");
        }
        let answered = self.outcome.answered - before;
        assert_eq!(
            answered,
            u64::from(open.is_some()),
            "{id} is answered when it is open"
        );
    }

    fn speak(&mut self) {
        let (block, pause) = self.caller.speak(&mut self.dice);
        self.link.hear(self.now, block);
        self.drain();
        self.add(pause, Doing::Speak);
    }

    fn inject(&mut self) {
        self.injections += 1;
        let injection = Injection {
            id: self.injections,
            role: Role::Assistant,
            content: format!("injected {}", self.injections),
            interrupt: self.dice.percent(50),
        };
        self.link.inject(self.now, injection);
        self.drain();
        self.add_soon(Doing::Inject);
    }

    fn update(&mut self) {
        if self.belief != Belief::Over {
            self.prompt = format!("prompt at {:?}", self.now - self.start);
            self.was_taken_back = false;
        }
        let prompt = Some(self.prompt.clone());
        let update = Update {
            prompt,
            ..Update::default()
        };
        self.link.update(self.now, update);
        self.drain();
        self.add_soon(Doing::Update);
    }

    fn break_off(&mut self) {
        let generation = self.generation;
        if !matches!(self.belief, Belief::Over) {
            self.lose();
        }
        self.link.handle(
            self.now,
            Input::Closed {
                generation,
                code: None,
                reason: "",
            },
        );
        self.drain();
    }

    fn say(&mut self, message: &Value) {
        self.last_heard_of = self.now;
        self.trace(|| format!("<- {message}"));
        self.await_answer(message);
        let text = message.to_string();
        self.link.handle(
            self.now,
            Input::Text {
                generation: self.generation,
                text: &text,
            },
        );
        self.drain();
    }

    /// The link knows that its connection is gone.
    fn lose(&mut self) {
        if self.belief == Belief::Live {
            self.down_since = self.now;
        }
        self.orphans.extend(self.session.called.drain(..));
        self.belief = Belief::Gone;
    }

    /// Whether the agent at the other end of this connection does anything.
    fn is_up(&self, generation: u32) -> bool {
        generation == self.generation && self.belief == Belief::Live && !self.is_mute
    }

    fn add_soon(&mut self, doing: Doing) {
        let wait = self.dice.between(100, 8_000);
        self.add(ms(wait), doing);
    }

    fn add(&mut self, wait: Duration, doing: Doing) {
        self.entries += 1;
        self.agenda.insert((self.now + wait, self.entries), doing);
    }

    fn trace(&self, line: impl FnOnce() -> String) {
        if self.is_traced {
            println!("{:>9.3} {}", (self.now - self.start).as_secs_f64(), line());
        }
    }
}
