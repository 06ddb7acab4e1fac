//! A conversation with an agent, as the lines that the terminal keeps.

use serde_json::Value;
use sidetone_call::event::{
    AgentFunctionCalled, AgentStartedSpeaking, AgentTurn, EventData, FunctionEnd,
};
use sidetone_deepgram::agent::message::Role;

/// Where a turn was cut: the caller heard what stands before it.
const CUT: &str = "--";

/// Characters of a function's arguments, or of why it failed, that are shown.
const MOST_SHOWN: usize = 160;

/// Who or what a line is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Caller,
    Agent,
    Function,
}

impl Tag {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Caller => "CALLER",
            Self::Agent => "AGENT",
            Self::Function => "FUNCTION",
        }
    }
}

/// A line of the conversation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line {
    pub(super) tag: Tag,
    /// When it began, in call time.
    pub(super) at_ms: u64,
    pub(super) text: String,
    /// What is to be known of it beside its text.
    pub(super) note: Option<String>,
}

/// What has to be remembered of a conversation to show it.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// The newest answer that was begun.
    answer: Option<AgentStartedSpeaking>,
}

impl Turns {
    /// The line that an event is worth.
    pub(super) fn line(&mut self, event: &EventData) -> Option<Line> {
        match event {
            EventData::AgentStartedSpeaking(answer) => {
                self.answer = Some(*answer);
                None
            }
            EventData::AgentTurn(turn) => Some(self.turn(turn)),
            EventData::AgentFunctionCalled(call) => Some(function(call)),
            _ => None,
        }
    }

    fn turn(&self, turn: &AgentTurn) -> Line {
        let latency = self.answer.filter(|answer| answer.turn == turn.turn);
        let latency = latency.and_then(latency_note);
        let (text, cut) = match &turn.heard {
            Some(heard) if heard.interrupted => match heard.heard_text.as_str() {
                "" => (CUT.to_owned(), Some("interrupted before a word was heard")),
                heard => (format!("{heard} {CUT}"), Some("interrupted")),
            },
            Some(_) | None => (turn.text.clone(), None),
        };
        let notes: Vec<String> = cut.map(str::to_owned).into_iter().chain(latency).collect();
        Line {
            tag: match turn.role {
                Role::User => Tag::Caller,
                Role::Assistant => Tag::Agent,
            },
            at_ms: turn.at_ms,
            text,
            note: (!notes.is_empty()).then(|| notes.join("; ")),
        }
    }
}

/// How long an answer took: as the caller felt it when Deepgram tells that, else as we measured.
/// What answers nothing, such as a greeting, took no time.
fn latency_note(answer: AgentStartedSpeaking) -> Option<String> {
    let measured_ms = answer.latency_ms?;
    let total_ms = answer.total_latency_ms.unwrap_or(measured_ms);
    let parts = [
        ("thinking", answer.ttt_latency_ms),
        ("speech", answer.tts_latency_ms),
    ];
    let parts = parts.map(|(what, ms)| ms.map(|ms| format!("{what} {ms}")));
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    let parts = match parts.as_slice() {
        [] => String::new(),
        parts => format!(": {}", parts.join(", ")),
    };
    Some(format!("answered in {total_ms} ms{parts}"))
}

fn function(call: &AgentFunctionCalled) -> Line {
    let arguments = match &call.arguments {
        Value::Object(none) if none.is_empty() => String::new(),
        Value::String(text) => text.clone(),
        json => json.to_string(),
    };
    let outcome = match call.outcome {
        FunctionEnd::Ok => "ok",
        FunctionEnd::Failed => "failed",
        FunctionEnd::Cancelled => "cancelled",
    };
    let why = match (&call.result, call.outcome) {
        (Some(words), FunctionEnd::Failed) => format!(": {}", shortened(words)),
        _ => String::new(),
    };
    Line {
        tag: Tag::Function,
        at_ms: call.at_ms,
        text: format!(
            "{}({}) -> {outcome} in {} ms{why}",
            call.name,
            shortened(&arguments),
            call.duration_ms
        ),
        note: None,
    }
}

fn shortened(text: &str) -> String {
    let mut shown: String = text.chars().take(MOST_SHOWN).collect();
    if shown.len() < text.len() {
        shown.push('\u{2026}');
    }
    shown
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use sidetone_call::event::TurnHeard;

    use super::*;

    fn agents_turn(heard_text: &str, interrupted: bool) -> EventData {
        EventData::AgentTurn(AgentTurn {
            turn: 2,
            role: Role::Assistant,
            text: "It left our house on Friday.".to_owned(),
            at_ms: 6_200,
            heard: Some(TurnHeard {
                heard_text: heard_text.to_owned(),
                heard_ms: 900,
                interrupted,
            }),
        })
    }

    #[track_caller]
    fn check(turns: &mut Turns, event: &EventData, text: &str, note: Option<&str>) {
        let line = turns.line(event).unwrap();
        assert_eq!((line.text.as_str(), line.note.as_deref()), (text, note));
    }

    #[test]
    fn an_interrupted_turn_ends_where_the_caller_stopped_hearing() {
        let mut turns = Turns::default();
        let whole = "It left our house on Friday.";
        check(&mut turns, &agents_turn(whole, false), whole, None);
        let cut = agents_turn("It left our", true);
        check(&mut turns, &cut, "It left our --", Some("interrupted"));
        let unheard = agents_turn("", true);
        let note = "interrupted before a word was heard";
        check(&mut turns, &unheard, "--", Some(note));
    }

    #[test]
    fn a_turn_tells_how_long_its_answer_took() {
        let mut turns = Turns::default();
        let answer = |turn, total_latency_ms, ttt_latency_ms| {
            EventData::AgentStartedSpeaking(AgentStartedSpeaking {
                turn,
                total_latency_ms,
                tts_latency_ms: None,
                ttt_latency_ms,
                latency_ms: Some(640),
            })
        };
        let cut = agents_turn("It", true);
        assert_eq!(turns.line(&answer(2, Some(820), Some(400))), None);
        let note = "interrupted; answered in 820 ms: thinking 400";
        check(&mut turns, &cut, "It --", Some(note));
        turns.line(&answer(2, None, None));
        let note = "interrupted; answered in 640 ms";
        check(&mut turns, &cut, "It --", Some(note));
        turns.line(&answer(1, None, None));
        check(&mut turns, &cut, "It --", Some("interrupted"));
        let EventData::AgentStartedSpeaking(greeting) = answer(2, Some(90), Some(0)) else {
            unreachable!()
        };
        turns.line(&EventData::AgentStartedSpeaking(AgentStartedSpeaking {
            latency_ms: None,
            ..greeting
        }));
        check(&mut turns, &cut, "It --", Some("interrupted"));
    }

    #[test]
    fn a_function_is_shown_with_what_came_of_it() {
        let called = |arguments: Value, result: Option<&str>, outcome| {
            EventData::AgentFunctionCalled(Box::new(AgentFunctionCalled {
                id: "f1".to_owned(),
                name: "lookup_order".to_owned(),
                arguments,
                result: result.map(str::to_owned),
                at_ms: 6_000,
                duration_ms: 120,
                outcome,
            }))
        };
        let mut turns = Turns::default();
        let mut check = |event: &EventData, text| check(&mut turns, event, text, None);
        check(
            &called(json!({"id": "4719"}), Some("shipped"), FunctionEnd::Ok),
            "lookup_order({\"id\":\"4719\"}) -> ok in 120 ms",
        );
        let words = "orders answered 500";
        check(
            &called(json!("{id:"), Some(words), FunctionEnd::Failed),
            "lookup_order({id:) -> failed in 120 ms: orders answered 500",
        );
        check(
            &called(json!({}), None, FunctionEnd::Cancelled),
            "lookup_order() -> cancelled in 120 ms",
        );
        let long = called(json!("x".repeat(1_000)), None, FunctionEnd::Ok);
        let line = turns.line(&long).unwrap();
        assert!(line.text.len() < 250, "{}", line.text);
    }
}
