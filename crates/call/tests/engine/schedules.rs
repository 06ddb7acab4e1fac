//! Whatever an agent, a caller and the connections do, in whatever order: each turn, each function
//! and each text comes to one end, and nothing that was interrupted is heard any more.

use std::collections::{BTreeMap, BTreeSet};

use proptest::collection::vec;
use proptest::prelude::*;
use sidetone_call::engine::{FunctionOutcome, Speech, StreamEnd, StreamKey};
use sidetone_call::event::EventData;
use sidetone_deepgram::agent::message::Role;

use crate::agent::agent_call_with;
use crate::line::{Line, ms};

#[derive(Clone, Copy, Debug)]
enum Step {
    Pass(u64),
    AgentSays { audio_ms: usize },
    AgentIsDone,
    CallerSpeaks { late_ms: usize },
    CallerSaid,
    Calls(&'static str),
    Answer { nth: usize, succeeds: bool },
    Cancel { nth: usize },
    Key(char),
    Speak { interrupt: bool },
    Refuse,
    Silence,
    StreamEnds,
    StreamStarts,
    Cut { refuses: Option<u16> },
}

fn step() -> impl Strategy<Value = Step> {
    let function = prop::sample::select(vec![
        "lookup",
        "hangup",
        "transfer",
        "send_dtmf",
        "collect_digits",
        "unheard_of",
    ]);
    let refuses = prop::option::weighted(0.2, prop::sample::select(vec![401, 503]));
    prop_oneof![
        6 => (0..3_000_u64).prop_map(Step::Pass),
        6 => (0..3_000_usize).prop_map(|audio_ms| Step::AgentSays { audio_ms }),
        3 => Just(Step::AgentIsDone),
        2 => (0..500_usize).prop_map(|late_ms| Step::CallerSpeaks { late_ms }),
        2 => Just(Step::CallerSaid),
        2 => function.prop_map(Step::Calls),
        2 => (0..4_usize, any::<bool>()).prop_map(|(nth, succeeds)| Step::Answer { nth, succeeds }),
        1 => (0..4_usize).prop_map(|nth| Step::Cancel { nth }),
        1 => prop::sample::select(vec!['1', '#']).prop_map(Step::Key),
        2 => any::<bool>().prop_map(|interrupt| Step::Speak { interrupt }),
        1 => Just(Step::Refuse),
        1 => Just(Step::Silence),
        1 => Just(Step::StreamEnds),
        2 => Just(Step::StreamStarts),
        1 => refuses.prop_map(|refuses| Step::Cut { refuses }),
    ]
}

/// A call, and what has been done to it.
struct Schedule {
    line: Line,
    stream: Option<StreamKey>,
    /// What the answer of the moment sounds like.
    sample: u8,
    /// What was interrupted sounded like this.
    void: BTreeSet<u8>,
    functions: usize,
    said: Vec<String>,
}

impl Schedule {
    fn new() -> Self {
        let (line, stream) = agent_call_with(|agent| agent.tells_dtmf = true);
        Self {
            line,
            stream: Some(stream),
            sample: 0,
            void: BTreeSet::new(),
            functions: 0,
            said: Vec::new(),
        }
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Pass(time) => self.line.run(ms(time)),
            Step::Key(key) => {
                if let Some(stream) = self.stream {
                    self.line.dtmf(stream, key);
                }
            }
            Step::Speak { interrupt } => self.speak(interrupt),
            Step::Silence => {
                self.interrupt();
                self.line.silence();
            }
            Step::Answer { nth, succeeds } => {
                if let Some((function, ..)) = self.line.agent.calls.get(nth) {
                    let function = *function;
                    let outcome = match succeeds {
                        true => FunctionOutcome::Ok("yes".into()),
                        false => FunctionOutcome::Failed("no".into()),
                    };
                    self.line.act(|engine, now, wall| {
                        engine.handle_function(now, wall, function, outcome);
                    });
                }
            }
            Step::StreamEnds => {
                if let Some(stream) = self.stream.take() {
                    self.interrupt();
                    self.line.end(stream, StreamEnd::Stop);
                }
            }
            Step::StreamStarts => {
                self.interrupt();
                self.stream = Some(self.line.bidirectional());
            }
            step if self.line.agent.is_live() => self.agent_step(step),
            _ => {}
        }
        let closed = &self.line.closed;
        self.stream
            .take_if(|stream| closed.iter().any(|(closed, _)| closed == stream));
        let is_void = |sample| self.void.contains(sample);
        let is_heard = self.line.sounding.iter().any(is_void);
        assert!(!is_heard, "what was interrupted is heard");
    }

    fn agent_step(&mut self, step: Step) {
        let line = &mut self.line;
        match step {
            Step::AgentSays { audio_ms } => {
                line.agent_text("So it is said.");
                self.sound(self.sample, audio_ms);
            }
            Step::AgentIsDone => line.agent_done(),
            Step::CallerSpeaks { late_ms } => {
                let late = self.sample;
                self.interrupt();
                self.line.caller_speaks();
                self.sound(late, late_ms);
            }
            Step::CallerSaid => line.caller_said("Is it?"),
            Step::Calls(name) => {
                let arguments = match name {
                    "transfer" => r#"{"target":"sales"}"#,
                    "send_dtmf" => r#"{"digits":"12"}"#,
                    _ => "{}",
                };
                line.agent_calls(&format!("f{}", self.functions), name, arguments);
                self.functions += 1;
            }
            Step::Cancel { nth } => {
                let id = format!("f{nth}");
                line.agent_says(&serde_json::json!({
                    "type": "FunctionCallCancelled",
                    "functions": [{ "id": id, "name": "any" }],
                }));
            }
            Step::Refuse => line.agent_says(&serde_json::json!({ "type": "InjectionRefused" })),
            Step::Cut { refuses } => {
                line.agent.refuses = refuses;
                line.cut_agent();
            }
            Step::Pass(_)
            | Step::Key(_)
            | Step::Speak { .. }
            | Step::Silence
            | Step::Answer { .. }
            | Step::StreamEnds
            | Step::StreamStarts => unreachable!("done without the agent"),
        }
    }

    /// Audio of the agent, if what was done just now has left the agent there.
    fn sound(&mut self, sample: u8, audio_ms: usize) {
        if self.line.agent.is_live() {
            self.line.agent_sounds(sample, audio_ms);
        }
    }

    fn speak(&mut self, interrupt: bool) {
        let id = format!("s{}", self.said.len());
        let speech = Speech {
            id: id.clone(),
            text: "So it is said.".into(),
            model: None,
            interrupt,
            keep: false,
            then_hang_up: false,
        };
        if self.line.speak(speech).is_ok() {
            self.said.push(id);
            if interrupt {
                self.interrupt();
            }
        }
    }

    /// What is being said is void from now on; what comes next sounds different.
    fn interrupt(&mut self) {
        self.void.insert(self.sample);
        self.sample += 1;
        self.line.sounding.clear();
    }

    /// Ends the call and checks what came of everything.
    fn check(mut self) {
        if let Some(stream) = self.stream.take() {
            self.line.end(stream, StreamEnd::Stop);
        }
        self.line.run_to_end();
        assert_eq!(self.line.agent.open, None, "an agent is left behind");
        self.check_turns();

        let mut ends: Vec<String> = self.line.functions().iter().map(|it| it.0.into()).collect();
        ends.sort();
        let mut asked: Vec<_> = (0..self.functions).map(|n| format!("f{n}")).collect();
        asked.sort();
        assert_eq!(ends, asked, "each function ends once");

        let spoken = self.line.events.iter().filter_map(|event| match event {
            EventData::SpeakFinished(speak)
            | EventData::SpeakInterrupted(speak)
            | EventData::SpeakFailed(speak) => Some(speak.speak_id.clone()),
            _ => None,
        });
        let mut spoken: Vec<_> = spoken.collect();
        spoken.sort();
        self.said.sort();
        assert_eq!(spoken, self.said, "each text ends once");
    }

    fn check_turns(&self) {
        let turns = self.line.agent_turns();
        let mut numbers: Vec<_> = turns.iter().map(|turn| turn.turn).collect();
        numbers.sort_unstable();
        let all: Vec<_> = (1..).take(turns.len()).collect();
        assert_eq!(numbers, all, "each turn is told once");

        let mut cut = BTreeMap::new();
        for event in &self.line.events {
            match event {
                EventData::AgentInterrupted(interrupted) => {
                    assert_eq!(cut.insert(interrupted.turn, interrupted.heard_ms), None);
                }
                EventData::AgentStartedSpeaking(started) => {
                    assert!(numbers.contains(&started.turn), "it is never settled");
                }
                _ => {}
            }
        }
        for turn in turns {
            let heard = turn.heard.as_ref();
            assert_eq!(turn.role == Role::Assistant, heard.is_some());
            let heard_ms = heard.filter(|it| it.interrupted).map(|it| it.heard_ms);
            assert_eq!(cut.get(&turn.turn).copied(), heard_ms);
            if let Some(heard) = heard {
                assert!(turn.text.starts_with(&heard.heard_text));
            }
        }
    }
}

proptest! {
    #[test]
    fn everything_that_begins_in_a_conversation_ends_once(steps in vec(step(), 1..60)) {
        let mut schedule = Schedule::new();
        for step in steps {
            if schedule.line.ended {
                break;
            }
            schedule.step(step);
        }
        schedule.check();
    }
}
