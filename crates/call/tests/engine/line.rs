//! A call on a virtual line: Twilio on one side, Deepgram on the other, the engine between, and
//! time that is only ever moved.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use sidetone_audio::Track;
use sidetone_call::Call;
use sidetone_call::engine::{
    Engine, FetchKey, Fetched, Limits, LinkKey, Links, Listen, NotSaid, Note, Output, Setup,
    Speech, StreamEnd, StreamKey, StreamStart,
};
use sidetone_call::event::{EndReason, EventData, Transcript};
use sidetone_deepgram::connection::Input;

use crate::agent::AgentPeer;
use crate::deepgram::{Connection, SILENCE};

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

    // Twilio.

    pub(crate) fn stream(&mut self, tracks: &[Track]) -> StreamKey {
        self.stream_with(tracks, |_| {})
    }

    pub(crate) fn stream_with(
        &mut self,
        tracks: &[Track],
        change: impl FnOnce(&mut StreamStart),
    ) -> StreamKey {
        let number = self.timestamps.len();
        let mut start = StreamStart {
            stream_sid: format!("MZ{number:032x}").parse().unwrap(),
            account_sid: "AC0123456789abcdef0123456789abcdef".parse().unwrap(),
            tracks: tracks.to_vec(),
            bidirectional: false,
            from: Some("+15551230001".into()),
            to: Some("+15551230002".into()),
            direction: Some("inbound".into()),
            parameters: BTreeMap::new(),
        };
        change(&mut start);
        let key = self.engine.handle_stream(self.now, self.wall, start);
        // Twilio's first timestamp is not 0.
        self.timestamps.insert(key, 102);
        self.drain();
        key
    }

    /// Plays tracks in real time: a letter is 100 ms of that word, `.` is 100 ms of silence, a
    /// blank 100 ms in which no frame comes.
    pub(crate) fn play(&mut self, stream: StreamKey, tracks: &[(Track, &str)]) {
        self.play_all(&[(stream, tracks)]);
    }

    pub(crate) fn play_all(&mut self, streams: &[(StreamKey, &[(Track, &str)])]) {
        let longest = |tracks: &[(Track, &str)]| tracks.iter().map(|(_, s)| s.len()).max().unwrap();
        let steps = streams
            .iter()
            .map(|(_, tracks)| longest(tracks))
            .max()
            .unwrap();
        for frame in 0..steps * 5 {
            for (stream, tracks) in streams {
                for (track, script) in *tracks {
                    match script.as_bytes().get(frame / 5) {
                        None | Some(b' ') => {}
                        Some(b'.') => self.frame(*stream, *track, &[SILENCE; 160]),
                        Some(&word) => self.frame(*stream, *track, &[word; 160]),
                    }
                }
                *self.timestamps.get_mut(stream).unwrap() += 20;
            }
            self.run(ms(20));
        }
    }

    /// A frame at the stream's current timestamp.
    pub(crate) fn frame(&mut self, stream: StreamKey, track: Track, payload: &[u8]) {
        let timestamp = self.timestamps[&stream];
        self.engine
            .handle_media(self.now, stream, track, timestamp, payload);
        self.drain();
    }

    /// The stream's clock jumps, and no time passes.
    pub(crate) fn jump(&mut self, stream: StreamKey, by: Duration) {
        *self.timestamps.get_mut(&stream).unwrap() += u64::try_from(by.as_millis()).unwrap();
    }

    pub(crate) fn dtmf(&mut self, stream: StreamKey, digit: char) {
        self.engine.handle_dtmf(self.now, stream, digit);
        self.drain();
    }

    pub(crate) fn pong(&mut self, stream: StreamKey) {
        self.engine.handle_sign_of_life(self.now, stream);
        self.drain();
    }

    pub(crate) fn end(&mut self, stream: StreamKey, end: StreamEnd) {
        self.engine
            .handle_stream_end(self.now, self.wall, stream, end);
        self.drain();
    }

    pub(crate) fn stopped(&mut self, stream: StreamKey) {
        self.engine.handle_stream_stopped(self.now, stream);
        self.drain();
    }

    pub(crate) fn status(&mut self, status: &str) {
        self.engine
            .handle_call_status(self.now, self.wall, status, None);
        self.drain();
    }

    pub(crate) fn expect_end(&mut self, reason: Option<EndReason>) {
        self.engine.handle_end_expected(reason);
    }

    pub(crate) fn order_end(&mut self, reason: EndReason) {
        self.engine.handle_ordered_end(self.now, self.wall, reason);
        self.drain();
    }

    pub(crate) fn speak(&mut self, speech: Speech) -> Result<(), NotSaid> {
        let taken = self.engine.handle_speak(self.now, speech);
        self.drain();
        taken
    }

    pub(crate) fn silence(&mut self) {
        self.engine.handle_silence(self.now);
        self.drain();
    }

    /// Something comes of the newest request for speech.
    pub(crate) fn fetched(&mut self, fetched: Fetched<'_>) {
        let fetch = self.fetches.last().unwrap().0;
        self.engine
            .handle_fetched(self.now, self.wall, fetch, fetched);
        self.drain();
    }

    /// Has something done to the engine, as the gateway does.
    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Engine, Instant, Timestamp) -> T) -> T {
        let done = act(&mut self.engine, self.now, self.wall);
        self.drain();
        done
    }

    pub(crate) fn shut_down(&mut self) {
        self.engine.handle_shutdown(self.now, self.wall);
        self.drain();
    }

    // Deepgram.

    /// Deepgram says what it has heard on every open connection.
    pub(crate) fn results(&mut self, is_final: bool) {
        for (link, generation) in self.open_connections() {
            let connection = self.connections.get_mut(&(link, generation)).unwrap();
            for text in connection.results(is_final) {
                self.says(link, generation, &text);
            }
        }
    }

    /// Deepgram says this on its newest connection.
    pub(crate) fn says_now(&mut self, text: &str) {
        let (&(link, generation), _) = self.connections.last_key_value().unwrap();
        self.says(link, generation, text);
    }

    /// Every connection to Deepgram breaks.
    pub(crate) fn cut(&mut self) {
        for (link, _) in self.open_connections() {
            self.cut_link(link);
        }
    }

    /// The connection of one link breaks.
    pub(crate) fn cut_link(&mut self, cut: LinkKey) {
        let open = self.open_connections();
        let (link, generation) = open.into_iter().find(|(link, _)| *link == cut).unwrap();
        let connection = self.connections.get_mut(&(link, generation)).unwrap();
        connection.is_open = false;
        let input = Input::Closed {
            generation,
            code: None,
            reason: "connection reset",
        };
        self.engine.handle_link(self.now, self.wall, link, input);
        self.drain();
    }

    fn open_connections(&self) -> Vec<(LinkKey, u32)> {
        let open = self
            .connections
            .iter()
            .filter(|(_, connection)| connection.is_open);
        open.map(|(key, _)| *key).collect()
    }

    fn says(&mut self, link: LinkKey, generation: u32, text: &str) {
        let input = Input::Text { generation, text };
        self.engine.handle_link(self.now, self.wall, link, input);
        self.drain();
    }

    // Time.

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
                    let at = self.now - self.started;
                    self.times_ms.push(u64::try_from(at.as_millis()).unwrap());
                    self.order.push(data.type_name());
                    self.events.push(data);
                }
                Output::Interim { track, transcript } => {
                    self.interims
                        .push((track, transcript.map(|transcript| *transcript)));
                }
                Output::Message(text) => self.messages.push(text.0),
                Output::Note(note) => self.notes.push(note),
                Output::Ended => self.ended = true,
                of_agent => self.agent_output(of_agent),
            }
        }
    }

    // What became of it.

    pub(crate) fn call(&self) -> &Call {
        self.engine.call()
    }

    pub(crate) fn summary(&self) -> sidetone_call::engine::Summary {
        self.engine.summary()
    }

    /// The engine as a log would show it.
    pub(crate) fn debug(&self) -> String {
        format!("{:?}", self.engine)
    }

    /// The names of the events so far, in order.
    pub(crate) fn event_names(&self) -> Vec<&'static str> {
        self.events.iter().map(EventData::type_name).collect()
    }

    pub(crate) fn finals(&self) -> Vec<&Transcript> {
        let finals = self.events.iter().filter_map(|data| match data {
            EventData::TranscriptFinal(transcript) => Some(&**transcript),
            _ => None,
        });
        finals.collect()
    }

    /// The final words of a track, each with where it begins: `a@100 b@400`.
    #[track_caller]
    pub(crate) fn check_words(&self, track: Track, expect: &str) {
        let finals = self
            .finals()
            .into_iter()
            .filter(|transcript| transcript.track == track);
        let words = finals.flat_map(|transcript| &transcript.words);
        let words: Vec<_> = words
            .map(|word| format!("{}@{}", word.word, word.start_ms))
            .collect();
        assert_eq!(words.join(" "), expect);
    }

    #[track_caller]
    pub(crate) fn check_ended(&self, reason: EndReason) {
        assert!(self.ended, "still on: {:?}", self.engine);
        let Some(EventData::CallEnded(call)) = self.events.last() else {
            panic!("call.ended is not the last event: {:?}", self.event_names())
        };
        assert_eq!(call.end_reason, Some(reason));
        assert_eq!(&**call, self.engine.call());
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
