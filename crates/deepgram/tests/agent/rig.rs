//! A link driven by hand: the clock moves only when told to.

use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use sidetone_audio::{Audio, Block};
use sidetone_deepgram::agent::link::{AgentLink, Config, Event, Injection, Output, Update};
use sidetone_deepgram::agent::message::{Role, ServerMessage};
use sidetone_deepgram::agent::settings::Settings;
use sidetone_deepgram::connection::Input;

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

pub(crate) struct Rig {
    pub(crate) link: AgentLink,
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    generation: u32,
}

impl Rig {
    /// A link that waits for its first connection.
    pub(crate) fn with(settings: Settings) -> Self {
        let now = Instant::now();
        let config = Config {
            settings,
            tags: vec!["sidetone".into()],
            seed: 7,
        };
        let mut link = AgentLink::new(config, now);
        assert_eq!(link.poll_output(), Some(Output::Connect { generation: 1 }));
        Self {
            link,
            now,
            start: now,
            generation: 1,
        }
    }

    pub(crate) fn new() -> Self {
        Self::with(Settings::from_agent(json!({ "greeting": "Hi." })).expect("it is right"))
    }

    /// A link whose first session runs.
    pub(crate) fn live() -> Self {
        let mut rig = Self::new();
        rig.settle();
        rig.apply();
        rig
    }

    /// A link whose session runs and has greeted, and owes nothing.
    pub(crate) fn greeted() -> Self {
        let mut rig = Self::live();
        rig.answer("Hi.");
        rig
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    /// Does something to the link, and takes what comes of it.
    pub(crate) fn take(&mut self, f: impl FnOnce(&mut AgentLink, Instant)) -> Vec<Output> {
        f(&mut self.link, self.now);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.link.poll_output()).collect();
        for output in &outputs {
            if let Output::Connect { generation } = output {
                assert_eq!(*generation, self.generation + 1, "generations count up");
                self.generation = *generation;
            }
        }
        if let Some(due) = self.link.poll_timeout() {
            assert!(due > self.now, "what is due was done");
        }
        outputs
    }

    pub(crate) fn give(&mut self, input: Input<'_>) -> Vec<Output> {
        self.take(|link, now| link.handle(now, input))
    }

    pub(crate) fn opened(&mut self) -> Vec<Output> {
        let generation = self.generation;
        self.give(Input::Opened {
            generation,
            request_id: Some("from the handshake"),
        })
    }

    pub(crate) fn closed(&mut self) -> Vec<Output> {
        let generation = self.generation;
        self.give(Input::Closed {
            generation,
            code: Some(1011),
            reason: "",
        })
    }

    pub(crate) fn refused(&mut self, status: u16) -> Vec<Output> {
        let generation = self.generation;
        self.give(Input::Refused {
            generation,
            status,
            words: "no",
            retry_after: None,
        })
    }

    pub(crate) fn says(&mut self, message: &Value) -> Vec<Output> {
        let generation = self.generation;
        let text = message.to_string();
        self.give(Input::Text {
            generation,
            text: &text,
        })
    }

    pub(crate) fn event(&mut self, kind: &str) -> Vec<Output> {
        self.says(&json!({ "type": kind }))
    }

    pub(crate) fn error(&mut self, code: &str) -> Vec<Output> {
        self.says(&json!({ "type": "Error", "code": code, "description": "Bad." }))
    }

    pub(crate) fn text(&mut self, role: Role, content: &str) -> Vec<Output> {
        let content = content.to_owned();
        let text = ServerMessage::ConversationText { role, content }.to_json();
        let generation = self.generation;
        self.give(Input::Text {
            generation,
            text: &text,
        })
    }

    /// The agent says all of this.
    pub(crate) fn answer(&mut self, content: &str) -> Vec<Output> {
        let mut outputs = self.text(Role::Assistant, content);
        outputs.extend(self.speaks(b"voice"));
        outputs.extend(self.event("AgentAudioDone"));
        outputs
    }

    pub(crate) fn speaks(&mut self, audio: &'static [u8]) -> Vec<Output> {
        let generation = self.generation;
        self.give(Input::Binary {
            generation,
            audio: &Bytes::from_static(audio),
        })
    }

    /// Brings the newest connection to where `Settings` were sent, and gives them.
    pub(crate) fn settle(&mut self) -> Value {
        assert_eq!(self.opened(), [], "nothing is said before Welcome");
        let request_id = format!("r{}", self.generation);
        let outputs = self.says(&json!({ "type": "Welcome", "request_id": request_id }));
        let [Output::SendText { generation, text }] = outputs.as_slice() else {
            panic!("{outputs:?}");
        };
        assert_eq!(*generation, self.generation);
        serde_json::from_str(text).expect("JSON is sent")
    }

    /// Has the settings applied, and gives what follows.
    pub(crate) fn apply(&mut self) -> Vec<Output> {
        let mut outputs = self.event("SettingsApplied");
        let ready = outputs.remove(0);
        assert!(
            matches!(ready, Output::Event(Event::Ready { .. })),
            "{ready:?}"
        );
        outputs
    }

    /// The session is lost and another one runs; gives its settings.
    pub(crate) fn reconnect(&mut self) -> Value {
        self.closed();
        self.wait(ms(250));
        let settings = self.settle();
        self.apply();
        settings
    }

    /// Lets time pass; every timeout comes when it is due, every ping is answered.
    pub(crate) fn wait(&mut self, time: Duration) -> Vec<(Duration, Output)> {
        self.wait_with(time, true)
    }

    pub(crate) fn wait_with(&mut self, time: Duration, pong: bool) -> Vec<(Duration, Output)> {
        let until = self.now + time;
        let mut outputs = Vec::new();
        while let Some(due) = self.link.poll_timeout().filter(|due| *due <= until) {
            self.now = due;
            let mut came = self.take(AgentLink::handle_timeout);
            if pong
                && came
                    .iter()
                    .any(|output| matches!(output, Output::Ping { .. }))
            {
                let generation = self.generation;
                came.extend(self.give(Input::Pong { generation }));
            }
            outputs.extend(came.into_iter().map(|output| (due - self.start, output)));
        }
        self.now = until;
        outputs
    }

    pub(crate) fn hear(&mut self, codes: &[u8]) -> Vec<Output> {
        let block = Block {
            samples: codes.len() as u32,
            audio: Audio::Samples(Bytes::copy_from_slice(codes)),
        };
        self.take(|link, now| link.hear(now, block))
    }

    pub(crate) fn hear_silence(&mut self, samples: u32) -> Vec<Output> {
        let audio = Audio::Silence;
        self.take(|link, now| link.hear(now, Block { samples, audio }))
    }

    pub(crate) fn inject(&mut self, id: u32, content: &str) -> Vec<Output> {
        let injection = Injection {
            id,
            role: Role::Assistant,
            content: content.into(),
            interrupt: false,
        };
        self.take(|link, now| link.inject(now, injection))
    }

    pub(crate) fn update(&mut self, update: Update) -> Vec<Output> {
        self.take(|link, now| link.update(now, update))
    }

    pub(crate) fn respond(&mut self, id: &str, content: &str) -> Vec<Output> {
        self.take(|link, now| link.respond(now, id, content))
    }
}

/// The messages sent, in order.
pub(crate) fn sent(outputs: &[Output]) -> Vec<Value> {
    let texts = outputs.iter().filter_map(|output| match output {
        Output::SendText { text, .. } => Some(serde_json::from_str(text).expect("JSON is sent")),
        _ => None,
    });
    texts.collect()
}

/// The audio sent, in order and in one.
pub(crate) fn heard_by_deepgram(outputs: &[Output]) -> Vec<u8> {
    let pieces = outputs.iter().filter_map(|output| match output {
        Output::SendAudio { audio, .. } => {
            assert!((160..=800).contains(&audio.len()), "{} bytes", audio.len());
            Some(audio.to_vec())
        }
        _ => None,
    });
    pieces.flatten().collect()
}

/// The events among outputs.
pub(crate) fn events(outputs: &[Output]) -> Vec<&Event> {
    let events = outputs.iter().filter_map(|output| match output {
        Output::Event(event) => Some(event),
        _ => None,
    });
    events.collect()
}

/// The outputs without their times.
pub(crate) fn untimed(outputs: Vec<(Duration, Output)>) -> Vec<Output> {
    outputs.into_iter().map(|(_, output)| output).collect()
}
