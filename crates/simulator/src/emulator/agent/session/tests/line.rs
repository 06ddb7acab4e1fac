//! A session on its own, and what the tests of it need.

use bytes::Bytes;
use serde_json::{Value, json};
use sidetone_audio::ulaw::SILENCE;
use sidetone_deepgram::agent::message::{FunctionCall, FunctionCallResponse, Role};

use super::super::*;
use crate::emulator::agent::record::Records;
use crate::voice::{Ear, Heard, speak};

/// A session and a clock that is moved by hand.
pub(super) struct Line {
    pub(super) session: Session,
    pub(super) now: Instant,
    opened: Instant,
    /// What was sent, with the time since the opening.
    pub(super) sent: Vec<(Duration, Output)>,
    pub(super) records: Records,
}

impl Line {
    pub(super) fn open(faults: &[&str]) -> Self {
        Self::scripted(json!({}), faults)
    }

    pub(super) fn scripted(script: Value, faults: &[&str]) -> Self {
        let faults = faults.iter().map(|text| text.parse().unwrap()).collect();
        let now = Instant::now();
        let records = Records::default();
        let session = Session::new(
            Some("id".to_owned()),
            Arc::new(serde_json::from_value(script).unwrap()),
            Faults::new(faults),
            records.open("id".to_owned(), now),
            5,
            now,
        );
        let mut line = Self {
            session,
            now,
            opened: now,
            sent: Vec::new(),
            records,
        };
        line.drain();
        line
    }

    /// A session whose Settings were applied and whose greeting, if any, was said.
    pub(super) fn live(settings: &Value) -> Self {
        let mut line = Self::open(&[]);
        line.apply(settings);
        line
    }

    pub(super) fn apply(&mut self, settings: &Value) {
        self.text(settings);
        self.pass(Duration::from_millis(200));
        self.quiet(3_000);
    }

    pub(super) fn drain(&mut self) {
        while let Some(output) = self.session.poll_output() {
            self.sent.push((self.now - self.opened, output));
        }
    }

    pub(super) fn handle(&mut self, input: Input<'_>) {
        self.session.handle(self.now, input);
        self.drain();
    }

    pub(super) fn text(&mut self, message: &Value) {
        self.handle(Input::Text(&message.to_string()));
    }

    /// Lets time pass without a word from the client.
    pub(super) fn pass(&mut self, duration: Duration) {
        let end = self.now + duration;
        while let Some(due) = self.session.poll_timeout().filter(|due| *due <= end) {
            self.now = self.now.max(due);
            self.handle(Input::Timeout);
        }
        self.now = end;
    }

    /// Audio as it comes from a telephone, 20 ms at a time.
    pub(super) fn audio(&mut self, audio: &[u8]) {
        for frame in audio.chunks(160) {
            self.pass(Duration::from_millis(20));
            self.handle(Input::Audio(Bytes::copy_from_slice(frame)));
        }
    }

    pub(super) fn quiet(&mut self, ms: usize) {
        self.audio(&vec![SILENCE; ms * 8]);
    }

    /// The user says something and waits for the answer.
    pub(super) fn say(&mut self, text: &str) {
        self.audio(&speak(text).ulaw);
        self.quiet(3_000);
    }

    pub(super) fn messages(&self) -> Vec<ServerMessage> {
        let texts = self.sent.iter().filter_map(|(_, output)| match output {
            Output::Text(text) => Some(ServerMessage::parse(text).unwrap()),
            _ => None,
        });
        texts.collect()
    }

    /// What was sent, in short, echoes and latencies aside.
    pub(super) fn told(&self) -> Vec<String> {
        let mut told: Vec<String> = Vec::new();
        for (_, output) in &self.sent {
            let short = match output {
                Output::Text(text) => match ServerMessage::parse(text).unwrap() {
                    ServerMessage::History(_) | ServerMessage::LatencyReport(_) => continue,
                    ServerMessage::ConversationText { role, content } => match role {
                        Role::User => format!("user: {content}"),
                        Role::Assistant => format!("agent: {content}"),
                    },
                    ServerMessage::FunctionCallRequest { functions } => {
                        let call = |call: &FunctionCall| format!("{}{}", call.name, call.arguments);
                        let calls: Vec<String> = functions.iter().map(call).collect();
                        format!("call {}", calls.join(" "))
                    }
                    ServerMessage::Warning(notice) => format!("warning {}", notice.code),
                    ServerMessage::Error(notice) => format!("error {}", notice.code),
                    _ => serde_json::from_str::<Value>(text).unwrap()["type"]
                        .as_str()
                        .unwrap()
                        .to_owned(),
                },
                Output::Binary(_) => "audio".to_owned(),
                Output::Close(close) => format!("close {}", close.code),
                Output::Break => "break".to_owned(),
                Output::Freeze => "freeze".to_owned(),
            };
            if short != "audio" || told.last().is_none_or(|last| last != "audio") {
                told.push(short);
            }
        }
        told
    }

    /// The words in the audio that was sent.
    pub(super) fn heard(&self) -> String {
        let (mut ear, mut heard) = (Ear::default(), Vec::new());
        for (_, output) in &self.sent {
            if let Output::Binary(audio) = output {
                ear.hear(audio, &mut heard);
            }
        }
        let words = heard.into_iter().filter_map(|heard| match heard {
            Heard::Word(word) => Some(word.text),
            Heard::Begun { .. } | Heard::Broken { .. } => None,
        });
        words.collect::<Vec<_>>().join(" ")
    }

    /// The calls of the last request.
    pub(super) fn called(&self) -> Vec<FunctionCall> {
        let last = self
            .messages()
            .into_iter()
            .rev()
            .find_map(|message| match message {
                ServerMessage::FunctionCallRequest { functions } => Some(functions),
                _ => None,
            });
        last.expect("a function was called")
    }

    pub(super) fn respond(&mut self, call: &FunctionCall, content: &str) {
        let message = ClientMessage::FunctionCallResponse(FunctionCallResponse {
            id: Some(call.id.clone()),
            name: call.name.clone(),
            content: content.to_owned(),
            thought_signature: None,
        });
        self.handle(Input::Text(&message.to_json()));
    }

    /// Forgets what was sent so far.
    pub(super) fn forget(&mut self) {
        self.sent.clear();
    }
}

/// Settings as Sidetone sends them, with this agent.
pub(super) fn settings(agent: &Value) -> Value {
    json!({
        "type": "Settings",
        "tags": ["sidetone", "CA1"],
        "experimental": true,
        "flags": { "history": true },
        "audio": {
            "input": { "encoding": "mulaw", "sample_rate": 8000 },
            "output": { "encoding": "mulaw", "sample_rate": 8000, "container": "none" },
        },
        "agent": agent,
    })
}

pub(super) fn think(functions: &Value) -> Value {
    json!({ "think": {
        "provider": { "type": "open_ai", "model": "gpt-4o-mini" },
        "prompt": "Be kind.",
        "functions": functions,
    } })
}

pub(super) fn lookup() -> Value {
    json!([{
        "name": "lookup_order",
        "parameters": { "type": "object", "properties": { "id": { "type": "string" } } },
    }])
}

pub(super) fn secs(secs: u64) -> Duration {
    Duration::from_secs(secs)
}
