//! Deepgram's voice agent on the virtual line: it takes what it is sent, and says what it is told
//! to say.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use bytes::Bytes;
use serde_json::{Value, json};
use sidetone_audio::Track;
use sidetone_call::engine::{
    Agent, Builtin, Function, FunctionKey, Next, Output, Setup, StreamKey,
};
use sidetone_call::event::{AgentFunctionCalled, AgentTurn, EventData, FunctionEnd};
use sidetone_deepgram::agent::settings::Settings;
use sidetone_deepgram::connection::Input;

use crate::line::{Line, ms};

/// What became of the connections to the agent.
#[derive(Default)]
pub(crate) struct AgentPeer {
    /// Refuses handshakes with this status.
    pub(crate) refuses: Option<u16>,
    pub(crate) connections: u32,
    pub(crate) closes: u32,
    /// The connection that is open.
    pub(crate) open: Option<u32>,
    /// The connection on which Settings were applied.
    pub(crate) live: Option<u32>,
    /// What will have been said, by when.
    pub(crate) replies: VecDeque<(Instant, u32, AgentReply)>,
    /// The messages it was sent.
    pub(crate) sent: Vec<Value>,
    /// The caller's audio.
    pub(crate) heard: Vec<u8>,
    /// What webhooks were asked: which request, which function, with what.
    pub(crate) calls: Vec<(FunctionKey, String, String)>,
    pub(crate) dropped: Vec<FunctionKey>,
    pub(crate) nexts: Vec<Next>,
}

#[derive(Clone, Copy)]
pub(crate) enum AgentReply {
    Welcome,
    Refuse(u16),
    Applied,
}

impl AgentPeer {
    /// Whether anything can be said.
    pub(crate) fn is_live(&self) -> bool {
        self.open.is_some() && self.open == self.live
    }

    /// Takes a message; whether it is Settings.
    pub(crate) fn takes(&mut self, text: &str) -> bool {
        let message: Value = serde_json::from_str(text).unwrap();
        let is_settings = message["type"] == "Settings";
        self.sent.push(message);
        is_settings
    }

    pub(crate) fn hears(&mut self, audio: &[u8]) {
        assert!((160..=800).contains(&audio.len()), "{}", audio.len());
        self.heard.extend_from_slice(audio);
    }

    /// The messages of a type, in order.
    pub(crate) fn sent_of(&self, kind: &str) -> Vec<&Value> {
        let sent = self.sent.iter();
        sent.filter(|message| message["type"] == kind).collect()
    }

    /// The answers to functions: id and content.
    pub(crate) fn answers(&self) -> Vec<(&str, &str)> {
        let answers = self.sent_of("FunctionCallResponse").into_iter();
        answers
            .map(|answer| {
                let text = |key: &str| answer[key].as_str().unwrap();
                (text("id"), text("content"))
            })
            .collect()
    }
}

impl Line {
    /// The agent says this on the connection that is open.
    pub(crate) fn agent_says(&mut self, message: &Value) {
        let generation = self.agent.open.unwrap();
        self.agent_sends(generation, &message.to_string());
    }

    fn agent_sends(&mut self, generation: u32, text: &str) {
        let input = Input::Text { generation, text };
        self.act(|engine, now, wall| engine.handle_agent(now, wall, input));
    }

    /// So much audio of the agent, each sample the same.
    pub(crate) fn agent_sounds(&mut self, sample: u8, audio_ms: usize) {
        let generation = self.agent.open.unwrap();
        let audio = Bytes::from(vec![sample; audio_ms * 8]);
        let audio = &audio;
        let input = Input::Binary { generation, audio };
        self.act(|engine, now, wall| engine.handle_agent(now, wall, input));
    }

    pub(crate) fn agent_text(&mut self, text: &str) {
        self.agent_says(
            &json!({ "type": "ConversationText", "role": "assistant", "content": text }),
        );
    }

    /// A whole turn of the agent comes, at once.
    pub(crate) fn agent_turn(&mut self, text: &str, audio_ms: usize) {
        self.agent_text(text);
        self.agent_sounds(0x2A, audio_ms);
        self.agent_done();
    }

    pub(crate) fn agent_done(&mut self) {
        self.agent_says(&json!({ "type": "AgentAudioDone" }));
    }

    /// The caller begins to speak, by Deepgram's account.
    pub(crate) fn caller_speaks(&mut self) {
        self.agent_says(&json!({ "type": "UserStartedSpeaking" }));
    }

    pub(crate) fn caller_said(&mut self, text: &str) {
        self.agent_says(&json!({ "type": "ConversationText", "role": "user", "content": text }));
    }

    /// The agent asks for a function of our side.
    pub(crate) fn agent_calls(&mut self, id: &str, name: &str, arguments: &str) {
        self.agent_says(&json!({ "type": "FunctionCallRequest", "functions": [{
            "id": id, "name": name, "arguments": arguments, "client_side": true,
        }] }));
    }

    /// The connection to the agent breaks.
    pub(crate) fn cut_agent(&mut self) {
        let generation = self.agent.open.take().unwrap();
        let input = Input::Closed {
            generation,
            code: None,
            reason: "connection reset",
        };
        self.act(|engine, now, wall| engine.handle_agent(now, wall, input));
    }

    /// Takes what the engine wants of the agent.
    pub(crate) fn agent_output(&mut self, output: Output) {
        match output {
            Output::ConnectAgent { generation } => {
                let reply = match self.agent.refuses {
                    Some(status) => AgentReply::Refuse(status),
                    None => AgentReply::Welcome,
                };
                self.agent.connections += 1;
                self.agent_will_reply(self.deepgram.handshake, generation, reply);
            }
            Output::SendAgentText { generation, text } => {
                assert_eq!(Some(generation), self.agent.open, "{}", text.0);
                if self.agent.takes(&text.0) {
                    self.agent_will_reply(ms(10), generation, AgentReply::Applied);
                }
            }
            Output::SendAgentAudio { generation, audio } => {
                assert_eq!(Some(generation), self.agent.open);
                self.agent.hears(&audio);
            }
            Output::PingAgent { generation } => {
                let input = Input::Pong { generation };
                self.act(|engine, now, wall| engine.handle_agent(now, wall, input));
            }
            Output::CloseAgent { generation } => {
                self.agent.open.take_if(|open| *open == generation);
                self.agent.replies.retain(|(_, of, _)| *of != generation);
                self.agent.closes += 1;
            }
            Output::CallFunction {
                function,
                name,
                arguments,
                ..
            } => self.agent.calls.push((function, name, arguments.0)),
            Output::DropFunction(function) => self.agent.dropped.push(function),
            Output::Next(next) => self.agent.nexts.push(next),
            other => panic!("nothing of the agent's: {other:?}"),
        }
    }

    fn agent_will_reply(&mut self, after: Duration, generation: u32, reply: AgentReply) {
        let at = self.now + after;
        self.agent.replies.push_back((at, generation, reply));
    }

    pub(crate) fn agent_replies(&mut self, generation: u32, reply: AgentReply) {
        match reply {
            AgentReply::Refuse(status) => {
                let input = Input::Refused {
                    generation,
                    status,
                    words: "Invalid credentials.",
                    retry_after: None,
                };
                self.act(|engine, now, wall| engine.handle_agent(now, wall, input));
            }
            AgentReply::Welcome => {
                self.agent.open = Some(generation);
                let input = Input::Opened {
                    generation,
                    request_id: None,
                };
                self.act(|engine, now, wall| engine.handle_agent(now, wall, input));
                self.agent_sends(generation, r#"{"type":"Welcome","request_id":"req-a"}"#);
            }
            AgentReply::Applied if self.agent.open == Some(generation) => {
                self.agent.live = Some(generation);
                self.agent_sends(generation, r#"{"type":"SettingsApplied"}"#);
            }
            AgentReply::Applied => {}
        }
    }

    /// The turns that are over: number, whose, what was heard (or said), and whether it was cut.
    pub(crate) fn turns(&self) -> Vec<(u32, &'static str, &str, bool)> {
        let turns = self.agent_turns().into_iter();
        turns
            .map(|turn| match &turn.heard {
                None => (turn.turn, "user", turn.text.as_str(), false),
                Some(heard) => {
                    let text = heard.heard_text.as_str();
                    (turn.turn, "assistant", text, heard.interrupted)
                }
            })
            .collect()
    }

    pub(crate) fn agent_turns(&self) -> Vec<&AgentTurn> {
        let turns = self.events.iter().filter_map(|event| match event {
            EventData::AgentTurn(turn) => Some(turn),
            _ => None,
        });
        turns.collect()
    }

    /// The functions that came to their end: id and how.
    pub(crate) fn functions(&self) -> Vec<(&str, FunctionEnd)> {
        let called = self.functions_called().into_iter();
        called.map(|it| (it.id.as_str(), it.outcome)).collect()
    }

    pub(crate) fn functions_called(&self) -> Vec<&AgentFunctionCalled> {
        let called = self.events.iter().filter_map(|event| match event {
            EventData::AgentFunctionCalled(called) => Some(&**called),
            _ => None,
        });
        called.collect()
    }

    pub(crate) fn warnings(&self) -> Vec<(&str, &str)> {
        let warnings = self.events.iter().filter_map(|event| match event {
            EventData::Warning(warning) => Some((warning.code, warning.detail.as_str())),
            _ => None,
        });
        warnings.collect()
    }

    /// A bidirectional stream starts.
    pub(crate) fn bidirectional(&mut self) -> StreamKey {
        self.stream_with(&[Track::Inbound], |start| start.bidirectional = true)
    }
}

/// A call with an agent that does everything, and nothing but the agent.
pub(crate) fn with_agent(setup: &mut Setup) {
    let builtin = |builtin| Function::Builtin(builtin);
    let targets = BTreeMap::from([("sales".to_owned(), "+15551230003".to_owned())]);
    let functions = [
        ("hangup", builtin(Builtin::HangUp)),
        ("transfer", builtin(Builtin::Transfer { targets })),
        ("send_dtmf", builtin(Builtin::SendDtmf)),
        ("collect_digits", builtin(Builtin::CollectDigits)),
        ("lookup", Function::Webhook),
    ];
    setup.listen = None;
    setup.agent = Some(Agent {
        settings: Settings::from_agent(json!({})).unwrap(),
        functions: functions.map(|(name, it)| (name.to_owned(), it)).into(),
        tells_dtmf: false,
        fallback_transfers: false,
    });
}

/// An agent that waits for the caller to speak.
pub(crate) fn without_greeting() -> Settings {
    Settings::from_agent(json!({ "greeting": "" })).unwrap()
}

/// A call with an agent that is live and has said nothing yet.
pub(crate) fn agent_call() -> (Line, StreamKey) {
    agent_call_with(|_| {})
}

pub(crate) fn agent_call_with(change: impl FnOnce(&mut Agent)) -> (Line, StreamKey) {
    let mut line = Line::with(|setup| {
        with_agent(setup);
        change(setup.agent.as_mut().unwrap());
    });
    let stream = line.bidirectional();
    line.run(ms(100));
    assert!(line.event_names().contains(&"agent.ready"), "it is live");
    (line, stream)
}
