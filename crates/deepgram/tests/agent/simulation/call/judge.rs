//! What the link may want, and what it has to tell.

use serde_json::Value;
use sidetone_deepgram::agent::link::{Event, Output};

use super::{Belief, Doing, Line};
use crate::rig::ms;
use crate::simulation::server::{Fate, Session};

impl Line {
    /// Takes what the link wants, and holds it against what it may want.
    pub(super) fn drain(&mut self) {
        self.events.clear();
        while let Some(output) = self.link.poll_output() {
            self.trace(|| format!("-> {output:?}"));
            match output {
                Output::Connect { generation } => self.dial(generation),
                Output::SendText { generation, text } => {
                    let message = serde_json::from_str(&text).expect("JSON is sent");
                    self.receive(generation, &message);
                }
                Output::SendAudio { generation, audio } => {
                    assert_eq!((generation, self.belief), (self.generation, Belief::Live));
                    assert!((160..=800).contains(&audio.len()));
                    let replayed = self.caller.is_heard(&audio, &mut self.session);
                    self.outcome.replayed += u64::from(replayed);
                    self.fed_at = self.now;
                }
                Output::Ping { generation } => {
                    assert_eq!((generation, self.belief), (self.generation, Belief::Live));
                    self.add(ms(20), Doing::Pong(generation));
                }
                Output::Close { generation } => {
                    assert_eq!(generation, self.generation);
                    assert!(!matches!(self.belief, Belief::Gone | Belief::Over));
                    self.lose();
                }
                Output::Event(event) => self.take(event),
            }
        }
        match self.belief {
            Belief::Live => {
                let deaf = self.deaf_since.map(|since| self.now - since);
                let deaf = deaf.filter(|_| self.outcome.silent == 0 && !self.is_mute);
                if let Some(deaf) = deaf.filter(|_| self.caller.has_spoken_to_the_deaf()) {
                    assert!(deaf < ms(86_000), "nobody has noticed for {deaf:?}");
                }
                let unfed = self.now - self.fed_at;
                assert!(
                    unfed <= ms(300),
                    "the agent has heard nothing for {unfed:?}"
                );
            }
            Belief::Over => assert_eq!(self.link.poll_timeout(), None),
            _ => assert!(self.now - self.down_since < ms(30_000), "it takes too long"),
        }
    }

    fn dial(&mut self, generation: u32) {
        assert_eq!(
            (self.belief, generation),
            (Belief::Gone, self.generation + 1)
        );
        if std::mem::take(&mut self.is_reconnect) {
            let now = self.now;
            self.reconnects
                .retain(|reconnect| now - *reconnect < ms(10_000));
            self.reconnects.push_back(now);
            assert!(self.reconnects.len() <= 3, "too many reconnects");
        } else if generation > 1 {
            self.outcome.renewals += 1;
        }
        self.generation = generation;
        self.belief = Belief::Dialing;
        self.fate = Fate::random(&mut self.dice);
        self.is_mute = false;
        self.deaf_since = None;
        self.session = Session::new(self.dice.fork());
        let fate = self.fate;
        self.trace(|| format!("{fate:?}"));
        let wait = self.dice.between(20, 400);
        self.add(ms(wait), Doing::Shake(generation));
    }

    fn receive(&mut self, generation: u32, message: &Value) {
        assert_eq!(generation, self.generation);
        match text(&message["type"]) {
            "Settings" => {
                assert_eq!(self.belief, Belief::Welcomed, "Settings follow Welcome");
                self.belief = Belief::Settling;
                self.check_settings(message);
                let wait = self.dice.between(1, 500);
                self.add(ms(wait), Doing::Apply(generation));
                return;
            }
            "FunctionCallResponse" => {
                let id = text(&message["id"]);
                let open = self.session.called.iter().position(|called| called == id);
                self.session
                    .called
                    .remove(open.expect("a function that waits for its answer"));
                self.outcome.answered += 1;
            }
            "InjectAgentMessage" => self.session.inject(text(&message["message"])),
            "InjectUserMessage" => {
                let content = text(&message["content"]);
                let unanswered = self.unanswered.as_ref();
                if unanswered.is_some_and(|(text, _)| text == content) {
                    self.outcome.asked_again += 1;
                }
                self.session.ask(content);
                self.asides.push(content.to_owned());
            }
            "UpdateSpeak" => self.session.confirm("SpeakUpdated"),
            "UpdateThink" => {
                assert_eq!(message["think"]["prompt"], self.prompt.as_str());
                self.session.confirm("ThinkUpdated");
            }
            "UpdatePrompt" => self.session.confirm("PromptUpdated"),
            "KeepAlive" => {}
            other => panic!("{other}"),
        }
        assert_eq!(self.belief, Belief::Live, "{message}");
    }

    fn check_settings(&mut self, settings: &Value) {
        let agent = &settings["agent"];
        let greets = if self.is_stored {
            true
        } else {
            let prompt = text(&agent["think"]["prompt"]);
            if std::mem::take(&mut self.was_taken_back) {
                assert_ne!(prompt, self.prompt, "what was refused is not sent again");
                self.prompt = prompt.to_owned();
            }
            assert_eq!(prompt, self.prompt);
            let greets = agent.get("greeting").is_some();
            assert_eq!(greets, !self.has_spoken, "one greeting is enough");
            let messages = agent["context"]["messages"].as_array();
            let known: Vec<&str> = messages
                .into_iter()
                .flatten()
                .filter_map(|item| item["content"].as_str())
                .collect();
            let newest = self.told.len() - known.len();
            assert_eq!(known, self.told[newest..]);
            let is_full = messages.is_some_and(|messages| messages.len() == 200);
            assert!(newest == 0 || is_full, "all, or as much as there is room");
            for orphan in &self.orphans {
                let of_it =
                    |message: &&Value| message["function_calls"][0]["id"] == orphan.as_str();
                let record = messages.into_iter().flatten().find(of_it);
                let record = record.expect("what is being done is known");
                let response = text(&record["function_calls"][0]["response"]);
                assert!(response.contains("being done"), "{response}");
                self.outcome.under_way += 1;
            }
            greets
        };
        if let Some((_, sessions)) = &mut self.unanswered {
            *sessions += 1;
            // What is being done is answered first, and what was in vain twice is let be.
            if *sessions > 2 || !self.orphans.is_empty() {
                self.unanswered = None;
            }
        }
        if greets {
            self.session.greet(&mut self.counters);
            if self.has_spoken {
                self.void.insert(self.counters.answers);
            }
        }
    }

    /// Takes note of what is said in a session: whether the caller is owed an answer.
    pub(super) fn await_answer(&mut self, message: &Value) {
        let content = message["content"].as_str().unwrap_or_default();
        match text(&message["type"]) {
            "ConversationText" if self.asides.iter().any(|aside| aside == content) => {}
            "ConversationText" if content.starts_with("utterance") => {
                self.unanswered = Some((content.to_owned(), 0));
            }
            "Error" if message["code"] != "FAILED_TO_THINK" => {}
            "Welcome" | "SettingsApplied" | "AgentThinking" | "LatencyReport" | "Warning"
            | "Newer" | "SpeakUpdated" | "ThinkUpdated" | "PromptUpdated" => {}
            _ => self.unanswered = None,
        }
    }

    fn take(&mut self, event: Event) {
        assert_ne!(self.belief, Belief::Over, "{event:?}");
        match &event {
            Event::Ready { .. } => assert_eq!(self.belief, Belief::Live),
            Event::Disconnected { reason, .. } => {
                assert_eq!(self.belief, Belief::Gone);
                self.is_reconnect = true;
                if reason.contains("said nothing") {
                    self.outcome.silent += 1;
                    let silent = self.now - self.last_heard_of;
                    assert!(silent >= ms(10_000), "it said something {silent:?} ago");
                }
            }
            Event::Lost { .. } => {
                assert_eq!(self.belief, Belief::Gone);
                self.belief = Belief::Over;
                self.outcome.lost += 1;
            }
            Event::Warning { code, .. } if code == "INVALID_SETTINGS" => self.was_taken_back = true,
            Event::UserSaid { text } => {
                self.told.push(text.clone());
                self.caller.is_understood();
            }
            Event::Audio(_) => self.caller.is_answered(),
            Event::AgentSaid { text, said, .. } => {
                self.caller.is_answered();
                assert!(self.last_said < Some(*said), "names count up");
                self.last_said = Some(*said);
                self.has_spoken = true;
                self.told.push(text.clone());
            }
            _ => {}
        }
        self.events.push(event);
    }
}

fn text(value: &Value) -> &str {
    value.as_str().expect("a text is sent")
}
