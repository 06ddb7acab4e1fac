//! What a frame costs: from the text of a `media` message to what is sent to Deepgram, nothing is
//! allocated but the messages themselves.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted fails it")]

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use jiff::Timestamp;
use serde_json::json;
use sidetone_audio::Track;
use sidetone_call::engine::{
    Agent, Engine, Limits, LinkKey, Links, Listen, Output, Setup, StreamKey, StreamStart,
};
use sidetone_call::event::Watch;
use sidetone_deepgram::agent::settings::Settings;
use sidetone_deepgram::connection::Input;
use sidetone_twilio::stream::Incoming;

const FRAME: Duration = Duration::from_millis(20);
const FLUSH: Duration = Duration::from_millis(60);

/// A live call.
struct Line {
    engine: Engine,
    stream: StreamKey,
    now: Instant,
    wall: Timestamp,
    /// As the gateway does: one buffer for the payloads of all frames.
    audio: Vec<u8>,
    sent: u64,
    /// Levels.
    told: u64,
}

impl Line {
    /// One with its Deepgram connection open: which that is.
    fn listening() -> (Self, LinkKey, u32) {
        let mut line = Self::new(&Track::ALL, |setup| {
            setup.listen = Some(Listen {
                flush: FLUSH,
                interim_results: true,
                links: Links::Stereo,
            });
        });
        let (link, generation) = std::iter::from_fn(|| line.engine.poll_output())
            .find_map(|output| match output {
                Output::Connect {
                    link, generation, ..
                } => Some((link, generation)),
                _ => None,
            })
            .expect("a call that listens connects");
        line.hear(
            link,
            Input::Opened {
                generation,
                request_id: Some("request"),
            },
        );
        (line, link, generation)
    }

    /// One with an agent that hears the caller speak.
    fn conversing() -> Self {
        let mut line = Self::new(&[Track::Inbound], |setup| {
            setup.agent = Some(Agent {
                settings: Settings::from_agent(json!({})).unwrap(),
                functions: BTreeMap::new(),
                tells_dtmf: false,
                fallback_transfers: false,
            });
        });
        let generation = 1;
        line.converse(Input::Opened {
            generation,
            request_id: None,
        });
        for text in [
            r#"{"type":"Welcome","request_id":"request"}"#,
            r#"{"type":"SettingsApplied"}"#,
            // All the while; of whom Deepgram knows nothing it would be taken for deaf.
            r#"{"type":"UserStartedSpeaking"}"#,
        ] {
            line.converse(Input::Text { generation, text });
        }
        line
    }

    fn new(tracks: &[Track], change: impl FnOnce(&mut Setup)) -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "virtual time has to begin somewhere"
        )]
        let now = Instant::now();
        let wall = "2026-11-21T09:00:00Z".parse().unwrap();
        let mut setup = Setup {
            call_sid: "CA0123456789abcdef0123456789abcdef".parse().unwrap(),
            profile: "default".into(),
            former: None,
            listen: None,
            greeting: None,
            agent: None,
            limits: Limits {
                idle_timeout: Duration::from_secs(60),
                replay_window: Duration::from_secs(60),
                replay_rate: 1.25,
            },
            seed: 7,
        };
        change(&mut setup);
        let mut engine = Engine::new(setup, now, wall);
        let start = StreamStart {
            stream_sid: "MZ0123456789abcdef0123456789abcdef".parse().unwrap(),
            account_sid: "AC0123456789abcdef0123456789abcdef".parse().unwrap(),
            tracks: tracks.to_vec(),
            bidirectional: tracks == [Track::Inbound],
            from: None,
            to: None,
            direction: None,
            parameters: BTreeMap::new(),
        };
        let stream = engine.handle_stream(now, wall, start);
        Self {
            engine,
            stream,
            now,
            wall,
            audio: Vec::new(),
            sent: 0,
            told: 0,
        }
    }

    fn hear(&mut self, link: LinkKey, input: Input<'_>) {
        self.engine.handle_link(self.now, self.wall, link, input);
        self.drain();
    }

    fn converse(&mut self, input: Input<'_>) {
        self.engine.handle_agent(self.now, self.wall, input);
        self.drain();
    }

    /// Does what the gateway does with a text frame.
    fn take(&mut self, text: &str) {
        let Ok(Incoming::Media(media)) = Incoming::parse(text) else {
            panic!("not a media message: {text}");
        };
        let track = match media.track {
            sidetone_twilio::stream::MediaTrack::Inbound => Track::Inbound,
            sidetone_twilio::stream::MediaTrack::Outbound => Track::Outbound,
        };
        self.audio.clear();
        media.payload.decode_into(&mut self.audio).unwrap();
        self.engine.handle_media(
            self.now,
            self.stream,
            track,
            media.timestamp_ms,
            &self.audio,
        );
        self.drain();
    }

    fn pass(&mut self, time: Duration) {
        self.now += time;
        if self
            .engine
            .poll_timeout()
            .is_some_and(|due| due <= self.now)
        {
            self.engine.handle_timeout(self.now, self.wall);
            self.drain();
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.engine.poll_output() {
            match output {
                Output::SendAudio { .. } | Output::SendAgentAudio { .. } => self.sent += 1,
                Output::Show(_) => self.told += 1,
                Output::PingAgent { generation } => {
                    let pong = Input::Pong { generation };
                    self.engine.handle_agent(self.now, self.wall, pong);
                }
                _ => {}
            }
        }
    }
}

/// Both tracks' messages of so many moments, 20 ms apart.
fn messages(count: usize) -> Vec<[String; 2]> {
    let payload = BASE64_STANDARD.encode([0x20; 160]);
    let message = |track: &str, number: usize| {
        let (sequence, timestamp) = (2 * number + 2, 57 + 20 * number);
        format!(
            r#"{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"{track}","chunk":"{number}","timestamp":"{timestamp}","payload":"{payload}"}},"streamSid":"MZ0123456789abcdef0123456789abcdef"}}"#
        )
    };
    (0..count)
        .map(|number| [message("inbound", number), message("outbound", number)])
        .collect()
}

#[test]
fn a_frame_allocates_nothing_but_the_message_that_leaves_with_it() {
    let (mut line, link, generation) = Line::listening();
    let mut allocations = 0;
    let mut sent_before = 0;
    for (number, pair) in messages(WARM_UP + MEASURED).iter().enumerate() {
        if number == WARM_UP {
            (allocations, sent_before) = (0, line.sent);
        }
        if number % 100 == 0 {
            // Or the connection would be taken for deaf.
            let text = r#"{"type":"SpeechStarted","channel":[0,2],"timestamp":0.0}"#;
            line.hear(link, Input::Text { generation, text });
        }
        allocations += measure(|| {
            line.pass(FRAME);
            pair.iter().for_each(|text| line.take(text));
        })
        .count_total;
    }
    let sent = line.sent - sent_before;
    assert!(sent >= 150, "audio goes out all the while: {sent} messages");
    // A message is a buffer and the count of who shares it; the audio kept for a reconnect has its
    // buffer doubled now and then.
    assert!(
        allocations <= 2 * sent + 4,
        "{allocations} allocations for {} frames and {sent} messages",
        2 * MEASURED
    );
}

#[test]
fn a_frame_for_an_agent_allocates_nothing_but_the_message_that_leaves_with_it() {
    let mut line = Line::conversing();
    let mut allocations = 0;
    let mut sent_before = 0;
    for (number, [inbound, _]) in messages(WARM_UP + MEASURED).iter().enumerate() {
        if number == WARM_UP {
            (allocations, sent_before) = (0, line.sent);
        }
        allocations += measure(|| {
            line.pass(FRAME);
            line.take(inbound);
        })
        .count_total;
    }
    let sent = line.sent - sent_before;
    assert!(sent >= 240, "audio goes out all the while: {sent} messages");
    assert!(
        allocations <= 2 * sent + 4,
        "{allocations} allocations for {MEASURED} frames and {sent} messages"
    );
}

#[test]
fn a_frame_whose_level_is_told_allocates_nothing_more() {
    let mut line = Line::conversing();
    let levels = Watch {
        levels: true,
        playback: false,
    };
    line.engine.handle_watch(line.now, levels);
    let mut allocations = 0;
    let (mut sent_before, mut told_before) = (0, 0);
    for (number, [inbound, _]) in messages(WARM_UP + MEASURED).iter().enumerate() {
        if number == WARM_UP {
            (allocations, sent_before, told_before) = (0, line.sent, line.told);
        }
        allocations += measure(|| {
            line.pass(FRAME);
            line.take(inbound);
        })
        .count_total;
    }
    let (sent, told) = (line.sent - sent_before, line.told - told_before);
    assert!(told >= 70, "{told} levels in ten seconds");
    assert!(
        allocations <= 2 * sent + 4,
        "{allocations} allocations for {MEASURED} frames, {sent} messages and {told} levels"
    );
}

/// Buffers grow to their size once.
const WARM_UP: usize = 500;

/// Ten seconds.
const MEASURED: usize = 500;
