//! A call on a virtual line: Twilio on one side, Deepgram on the other, the engine between, and
//! time that is only ever moved.

mod deepgram;
mod outcome;
mod twilio;

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sidetone_audio::Track;
use sidetone_call::engine::{
    Engine, FetchKey, Limits, LinkKey, Links, Listen, Note, Output, Setup, StreamKey,
};
use sidetone_call::event::{EventData, Transcript, VolatileData};
use sidetone_deepgram::connection::Input;

use crate::agent::AgentPeer;
use crate::deepgram::Connection;

const BOTH: [Track; 2] = Track::ALL;

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}

/// How Deepgram behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behaviour {
    /// From the handshake to its answer.
    pub(crate) handshake: Duration,
    /// Refuses handshakes with this status.
    pub(crate) refuses: Option<u16>,
    /// Answers `CloseStream`.
    pub(crate) closes: bool,
}

pub(crate) struct Line {
    engine: Engine,
    pub(crate) now: Instant,
    wall: Timestamp,
    started: Instant,
    pub(crate) deepgram: Behaviour,
    pub(crate) connections: BTreeMap<(LinkKey, u32), Connection>,
    /// What Deepgram will have done, by when.
    replies: VecDeque<(Instant, LinkKey, u32, Reply)>,
    /// By stream: the timestamp of its next frame.
    timestamps: BTreeMap<StreamKey, u64>,
    pub(crate) events: Vec<EventData>,
    /// By event: when it happened, in ms from the start of the test.
    pub(crate) times_ms: Vec<u64>,
    pub(crate) interims: Vec<(Track, Option<Transcript>)>,
    /// What only those get who ask for it, with when it was shown, in ms from the start of the test.
    pub(crate) shown: Vec<(u64, VolatileData)>,
    pub(crate) messages: Vec<String>,
    pub(crate) notes: Vec<Note>,
    pub(crate) pings: Vec<StreamKey>,
    pub(crate) closed: Vec<(StreamKey, u16)>,
    /// What Deepgram was asked to speak: which request, what, and whether it may be kept.
    pub(crate) fetches: Vec<(FetchKey, String, bool)>,
    pub(crate) dropped: Vec<FetchKey>,
    /// Samples sent to be played.
    pub(crate) played: usize,
    pub(crate) clears: usize,
    /// Until when the phone plays what it has.
    playing_until: Instant,
    /// Marks that come back, and when.
    echoes: VecDeque<(Instant, StreamKey, String)>,
    /// What was sent to be played since the last clear, and the names of events and clears, all in
    /// order.
    pub(crate) sounding: Vec<u8>,
    pub(crate) order: Vec<&'static str>,
    pub(crate) agent: AgentPeer,
    pub(crate) ended: bool,
}

#[derive(Debug)]
enum Reply {
    Open,
    Refuse(u16),
    Text(String),
    Close,
}

impl Line {
    pub(crate) fn new() -> Self {
        Self::with(|_| {})
    }

    pub(crate) fn with(change: impl FnOnce(&mut Setup)) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "virtual time has to begin somewhere"
        )]
        let now = Instant::now();
        let wall = "2026-11-21T09:00:00Z".parse().unwrap();
        let mut setup = setup();
        change(&mut setup);
        Self {
            engine: Engine::new(setup, now, wall),
            now,
            wall,
            started: now,
            deepgram: Behaviour {
                handshake: ms(50),
                refuses: None,
                closes: true,
            },
            connections: BTreeMap::new(),
            replies: VecDeque::new(),
            timestamps: BTreeMap::new(),
            events: Vec::new(),
            times_ms: Vec::new(),
            interims: Vec::new(),
            shown: Vec::new(),
            messages: Vec::new(),
            notes: Vec::new(),
            pings: Vec::new(),
            closed: Vec::new(),
            fetches: Vec::new(),
            dropped: Vec::new(),
            played: 0,
            clears: 0,
            playing_until: now,
            echoes: VecDeque::new(),
            sounding: Vec::new(),
            order: Vec::new(),
            agent: AgentPeer::default(),
            ended: false,
        }
    }

    /// The same call on a new engine, some time after its end.
    pub(crate) fn reopen(self, later: Duration) -> Self {
        assert!(self.ended);
        let former = Box::new(self.engine.call().clone());
        let mut line = Self::new();
        line.wall = self.wall + signed(later);
        let setup = Setup {
            former: Some(former),
            ..setup()
        };
        line.engine = Engine::new(setup, line.now, line.wall);
        line
    }

    /// Lets time pass, and what is due happen.
    pub(crate) fn run(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let reply = self.replies.front().map(|(at, ..)| *at);
            let timeout = self.engine.poll_timeout();
            let echo = self.echoes.front().map(|(at, ..)| *at);
            let agent = self.agent.replies.front().map(|(at, ..)| *at);
            let due = reply.into_iter().chain(timeout).chain(echo).chain(agent);
            match due.min() {
                Some(at) if at <= until => {
                    self.set_now(at.max(self.now));
                    if echo.is_some_and(|at| at <= self.now) {
                        let (_, stream, mark) = self.echoes.pop_front().unwrap();
                        self.engine.handle_mark(self.now, self.wall, stream, &mark);
                        self.drain();
                    } else if agent.is_some_and(|at| at <= self.now) {
                        let (_, generation, reply) = self.agent.replies.pop_front().unwrap();
                        self.agent_replies(generation, reply);
                    } else if reply.is_some_and(|at| at <= self.now) {
                        let (_, link, generation, reply) = self.replies.pop_front().unwrap();
                        self.reply(link, generation, &reply);
                    } else {
                        self.engine.handle_timeout(self.now, self.wall);
                        self.drain();
                    }
                }
                _ => break,
            }
        }
        self.set_now(until);
    }

    /// Runs until the call has ended; panics when that takes more than two minutes.
    pub(crate) fn run_to_end(&mut self) {
        for _ in 0..1_200 {
            if self.ended {
                assert_eq!(
                    self.engine.poll_timeout(),
                    None,
                    "nothing is due after the end"
                );
                return;
            }
            self.run(ms(100));
        }
        panic!("the call does not end: {:?}", self.engine);
    }

    fn set_now(&mut self, now: Instant) {
        self.wall += signed(now - self.now);
        self.now = now;
    }

    fn reply(&mut self, link: LinkKey, generation: u32, reply: &Reply) {
        let open = self
            .connections
            .get(&(link, generation))
            .is_some_and(|it| it.is_open);
        let input = match reply {
            Reply::Open if open => Input::Opened {
                generation,
                request_id: Some("req"),
            },
            Reply::Refuse(status) => Input::Refused {
                generation,
                status: *status,
                words: "Invalid credentials.",
                retry_after: None,
            },
            Reply::Text(text) if open => Input::Text { generation, text },
            Reply::Close if open => Input::Closed {
                generation,
                code: Some(1000),
                reason: "",
            },
            Reply::Open | Reply::Text(_) | Reply::Close => return,
        };
        self.engine.handle_link(self.now, self.wall, link, input);
        self.drain();
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            assert!(!self.ended, "after the end: {output:?}");
            match output {
                Output::Connect {
                    link,
                    generation,
                    channels,
                } => {
                    let at = self.now + self.deepgram.handshake;
                    let reply = match self.deepgram.refuses {
                        Some(status) => Reply::Refuse(status),
                        None => {
                            self.connections
                                .insert((link, generation), Connection::new(channels));
                            Reply::Open
                        }
                    };
                    self.replies.push_back((at, link, generation, reply));
                }
                Output::SendAudio {
                    link,
                    generation,
                    audio,
                } => {
                    self.connections
                        .get_mut(&(link, generation))
                        .unwrap()
                        .hear(&audio);
                }
                Output::SendText {
                    link,
                    generation,
                    text,
                } => {
                    let connection = self.connections.get_mut(&(link, generation)).unwrap();
                    connection.texts.push(text);
                    if text.contains("CloseStream") && self.deepgram.closes {
                        let at = self.now + ms(100);
                        for text in connection.results(true) {
                            self.replies
                                .push_back((at, link, generation, Reply::Text(text)));
                        }
                        let last = Reply::Text(connection.metadata());
                        self.replies.push_back((at, link, generation, last));
                        self.replies.push_back((at, link, generation, Reply::Close));
                    }
                }
                Output::PingLink { link, generation } => {
                    // The pong: at once, as nothing else waits in virtual time.
                    let input = Input::Pong { generation };
                    self.engine.handle_link(self.now, self.wall, link, input);
                }
                Output::CloseLink { link, generation } => {
                    if let Some(connection) = self.connections.get_mut(&(link, generation)) {
                        connection.is_open = false;
                    }
                }
                Output::Fetch {
                    fetch, text, keep, ..
                } => self.fetches.push((fetch, text.0, keep)),
                Output::DropFetch(fetch) => self.dropped.push(fetch),
                Output::Play { audio, .. } => {
                    self.played += audio.len();
                    self.sounding.extend_from_slice(&audio);
                    let length = Duration::from_micros(audio.len() as u64 * 125);
                    self.playing_until = self.playing_until.max(self.now) + length;
                }
                Output::Mark { stream, name } => {
                    let at = self.playing_until.max(self.now);
                    self.echoes.push_back((at, stream, name));
                }
                Output::Clear(_) => {
                    self.clears += 1;
                    self.order.push("clear");
                    self.sounding.clear();
                    self.playing_until = self.now;
                    self.echoes.iter_mut().for_each(|(at, ..)| *at = self.now);
                }
                Output::PingStream(stream) => self.pings.push(stream),
                Output::CloseStream { stream, code, .. } => self.closed.push((stream, code)),
                Output::Event(data) => {
                    self.times_ms.push(self.time_ms());
                    self.order.push(data.type_name());
                    self.events.push(data);
                }
                Output::Show(VolatileData::TranscriptInterim(transcript)) => {
                    self.interims.push((transcript.track, Some(*transcript)));
                }
                Output::Show(data) => {
                    self.order.push(data.type_name());
                    self.shown.push((self.time_ms(), data));
                }
                Output::WithdrawInterim(track) => self.interims.push((track, None)),
                Output::Message(text) => self.messages.push(text.0),
                Output::Note(note) => self.notes.push(note),
                Output::Ended => self.ended = true,
                of_agent => self.agent_output(of_agent),
            }
        }
    }

    fn time_ms(&self) -> u64 {
        let since = self.now - self.started;
        u64::try_from(since.as_millis()).unwrap()
    }
}

/// A call with one stream of both tracks whose link is open.
pub(crate) fn stereo_call() -> (Line, StreamKey) {
    let mut line = Line::new();
    let stream = line.stream(&BOTH);
    line.run(ms(50));
    (line, stream)
}

fn setup() -> Setup {
    Setup {
        call_sid: "CA0123456789abcdef0123456789abcdef".parse().unwrap(),
        profile: "default".into(),
        former: None,
        listen: Some(Listen {
            flush: ms(60),
            interim_results: true,
            links: Links::Stereo,
        }),
        limits: Limits {
            idle_timeout: secs(60),
            replay_window: secs(60),
            replay_rate: 1.25,
        },
        greeting: None,
        agent: None,
        seed: 7,
    }
}

fn signed(duration: Duration) -> SignedDuration {
    duration.try_into().unwrap()
}
