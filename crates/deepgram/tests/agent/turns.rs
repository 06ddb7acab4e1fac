//! Turns: interruptions, functions, injected messages, latencies.

use bytes::Bytes;
use serde_json::json;
use sidetone_deepgram::agent::link::{Event, Injection, Latencies, Output};
use sidetone_deepgram::agent::message::{FunctionCall, Role};

use crate::rig::{Rig, events, ms, sent, untimed};

/// Whether audio counts that comes now.
fn is_heard(rig: &mut Rig) -> bool {
    let outputs = rig.speaks(b"audio");
    match events(&outputs)[..] {
        [] => false,
        [Event::Audio(audio)] => audio == &Bytes::from_static(b"audio"),
        _ => panic!("{outputs:?}"),
    }
}

fn interrupted() -> Rig {
    let mut rig = Rig::live();
    rig.text(Role::Assistant, "Hi.");
    assert!(is_heard(&mut rig));
    assert_eq!(
        rig.event("UserStartedSpeaking"),
        [Output::Event(Event::UserStartedSpeaking)]
    );
    assert!(!is_heard(&mut rig), "the gate is closed");
    assert_eq!(rig.event("AgentAudioDone"), []);
    rig
}

#[test]
fn late_audio_of_an_interrupted_answer_is_dropped_until_something_new_begins() {
    let openers = [
        json!({ "type": "ConversationText", "role": "user", "content": "x" }),
        json!({ "type": "ConversationText", "role": "assistant", "content": "x" }),
        json!({ "type": "AgentThinking", "content": "" }),
        json!({ "type": "AgentStartedSpeaking" }),
        json!({ "type": "FunctionCallRequest", "functions": [] }),
    ];
    for opener in openers {
        let mut rig = interrupted();
        rig.says(&opener);
        assert!(is_heard(&mut rig), "{opener}");
    }
    for other in ["EndOfTurn", "LatencyReport", "PromptUpdated", "Whatever"] {
        let mut rig = interrupted();
        rig.event(other);
        assert!(!is_heard(&mut rig), "{other}");
    }
}

#[test]
fn audio_after_a_second_of_quiet_is_new() {
    let mut rig = interrupted();
    for _ in 0..5 {
        rig.wait(ms(999));
        assert!(!is_heard(&mut rig), "late audio has no such pauses");
    }
    rig.wait(ms(1_000));
    assert!(is_heard(&mut rig));
    assert!(is_heard(&mut rig));
}

#[test]
fn an_answer_that_was_silenced_here_is_dropped_to_its_end() {
    let mut rig = Rig::live();
    rig.text(Role::Assistant, "One.");
    assert!(is_heard(&mut rig));
    rig.link.silence();
    assert!(!is_heard(&mut rig));
    assert_eq!(
        rig.text(Role::Assistant, "Two."),
        [],
        "it goes on with the same answer"
    );
    rig.wait(ms(2_000));
    assert!(!is_heard(&mut rig));
    assert_eq!(rig.event("AgentAudioDone"), []);
    assert_eq!(events(&rig.text(Role::Assistant, "Three.")).len(), 1);
    assert!(is_heard(&mut rig));
    assert_eq!(
        rig.event("AgentAudioDone"),
        [Output::Event(Event::AudioDone)]
    );

    rig.link.silence();
    assert!(is_heard(&mut rig), "nothing was on its way");
    rig.link.silence();
    rig.inject(7, "Instead.");
    rig.text(Role::Assistant, "Instead.");
    assert!(is_heard(&mut rig), "an injected message is another answer");
}

fn call(id: &str) -> serde_json::Value {
    json!({ "id": id, "name": "look", "arguments": "{\"n\":1}", "client_side": true })
}

fn request(calls: &[serde_json::Value]) -> serde_json::Value {
    json!({ "type": "FunctionCallRequest", "functions": calls })
}

#[test]
fn a_function_is_answered_once_with_its_signature() {
    let mut rig = Rig::live();
    let mut signed = call("b");
    signed["thought_signature"] = json!("s");
    let mut theirs = call("c");
    theirs["client_side"] = json!(false);
    let outputs = rig.says(&request(&[call("a"), signed, theirs]));
    let [Event::FunctionsRequested(calls)] = events(&outputs)[..] else {
        panic!("{outputs:?}");
    };
    let ids: Vec<&str> = calls
        .iter()
        .map(|FunctionCall { id, .. }| id.as_str())
        .collect();
    assert_eq!(ids, ["a", "b"], "the other one is Deepgram's to call");
    assert_eq!(
        sent(&rig.respond("b", "two")),
        [json!({
            "type": "FunctionCallResponse", "id": "b", "name": "look", "content": "two",
            "thought_signature": "s",
        })]
    );
    assert_eq!(sent(&rig.respond("a", "one")).len(), 1);
    assert_eq!(rig.respond("a", "again"), []);
    assert_eq!(rig.respond("nobody's", "x"), []);
    rig.says(
        &json!({ "type": "FunctionCallResponse", "id": "c", "name": "look", "content": "three" }),
    );

    let record = |id: &str, client_side: bool, response: &str| {
        json!({ "type": "History", "function_calls": [{
            "id": id, "name": "look", "client_side": client_side, "arguments": "{\"n\":1}", "response": response,
        }] })
    };
    rig.says(&record("a", true, "an echo"));
    rig.says(&record("d", false, "four"));
    assert_eq!(
        rig.reconnect()["agent"]["context"]["messages"],
        json!([
            record("b", true, "two"),
            record("a", true, "one"),
            record("c", false, "three"),
            record("d", false, "four"),
        ])
    );
}

#[test]
fn a_function_that_was_revoked_or_outlived_its_session_is_not_answered_but_remembered() {
    let mut rig = Rig::live();
    rig.says(&request(&[call("a"), call("b")]));
    let cancelled = json!({ "type": "FunctionCallCancelled", "functions": [{ "id": "a", "name": "look" }, { "id": "x" }] });
    assert_eq!(
        rig.says(&cancelled),
        [Output::Event(Event::FunctionsCancelled(vec!["a".into()]))]
    );
    assert_eq!(rig.says(&cancelled), []);
    assert_eq!(rig.respond("a", "done all the same"), []);
    rig.closed();
    assert_eq!(rig.respond("b", "too late"), []);
    rig.wait(ms(250));
    let messages = rig.settle()["agent"]["context"]["messages"].clone();
    let responses: Vec<_> = messages
        .as_array()
        .unwrap()
        .iter()
        .map(|item| item["function_calls"][0]["response"].clone())
        .collect();
    assert_eq!(responses, ["done all the same", "too late"]);
}

#[test]
fn an_injected_message_is_known_when_it_is_said_also_in_parts() {
    let mut rig = Rig::live();
    rig.inject(1, "Still  there?");
    rig.inject(2, "We close at nine. Good night.");
    let said = |outputs: Vec<Output>| match events(&outputs)[..] {
        [Event::AgentSaid { injection, .. }] => *injection,
        _ => panic!("{outputs:?}"),
    };
    assert_eq!(said(rig.text(Role::Assistant, "Something else.")), None);
    assert_eq!(
        said(rig.text(Role::Assistant, "We close at nine.")),
        Some(2)
    );
    assert_eq!(said(rig.text(Role::Assistant, "Good night.")), Some(2));
    assert_eq!(said(rig.text(Role::Assistant, "Good night.")), None);
    assert_eq!(said(rig.text(Role::Assistant, "Still there?")), Some(1));
}

#[test]
fn a_refusal_goes_to_the_oldest_that_waits() {
    let mut rig = Rig::live();
    for (id, text) in [(1, "One."), (2, "Two."), (3, "Three.")] {
        rig.inject(id, text);
    }
    rig.text(Role::Assistant, "One.");
    let refused = rig.says(&json!({ "type": "InjectionRefused", "message": "No." }));
    let expected = |id, words: &str| {
        [Output::Event(Event::InjectionRefused {
            id,
            words: words.into(),
        })]
    };
    assert_eq!(refused, expected(2, "No."));
    assert_eq!(
        rig.event("InjectionRefused"),
        expected(3, "someone was speaking")
    );
    assert_eq!(rig.event("InjectionRefused"), []);
}

#[test]
fn what_the_user_is_to_have_said_and_what_cuts_in_are_messages_of_their_own() {
    let mut rig = Rig::live();
    let inject = |rig: &mut Rig, role, interrupt| {
        let injection = Injection {
            id: 1,
            role,
            content: "x".into(),
            interrupt,
        };
        sent(&rig.take(|link, now| link.inject(now, injection)))
    };
    assert_eq!(
        inject(&mut rig, Role::User, false),
        [json!({ "type": "InjectUserMessage", "content": "x" })]
    );
    assert_eq!(
        inject(&mut rig, Role::Assistant, true),
        [json!({ "type": "InjectAgentMessage", "message": "x", "behavior": "interrupt" })]
    );
}

#[test]
fn an_injected_message_that_was_not_said_goes_to_the_next_session_unless_it_is_old() {
    let mut rig = Rig::live();
    rig.inject(1, "Old.");
    rig.wait(ms(9_000));
    rig.inject(2, "Said. In part.");
    rig.inject(3, "New.");
    rig.text(Role::Assistant, "Said.");
    rig.wait(ms(1_000));
    rig.closed();
    rig.wait(ms(250));
    rig.settle();
    assert_eq!(
        sent(&rig.apply()),
        [json!({ "type": "InjectAgentMessage", "message": "New.", "behavior": "queue" })]
    );
}

#[test]
fn latencies_come_together_from_whatever_tells_them() {
    let mut rig = Rig::live();
    let latencies = |total, tts, ttt| {
        vec![Output::Event(Event::Latencies(Latencies {
            total: Some(ms(total)).filter(|t| !t.is_zero()),
            tts: Some(ms(tts)).filter(|t| !t.is_zero()),
            ttt: Some(ms(ttt)).filter(|t| !t.is_zero()),
        }))]
    };
    let report = |rig: &mut Rig, key: &str, value: serde_json::Value| {
        rig.says(&json!({ "type": "LatencyReport", key: value }))
    };
    assert_eq!(
        report(&mut rig, "ttt_token_latency", json!(0.5)),
        latencies(0, 0, 500)
    );
    assert_eq!(
        report(&mut rig, "ttt_text_latency", json!("0.6")),
        latencies(0, 0, 600)
    );
    assert_eq!(report(&mut rig, "stt_latency", json!(0.1)), []);
    for nonsense in [json!(-1), json!("soon"), json!(1e300), json!(null)] {
        assert_eq!(report(&mut rig, "tts_latency", nonsense), []);
    }
    let started =
        json!({ "type": "AgentStartedSpeaking", "total_latency": "1.25", "tts_latency": 0.25 });
    assert_eq!(rig.says(&started), latencies(1_250, 250, 600));
    rig.text(Role::User, "Next.");
    assert_eq!(
        report(&mut rig, "total_latency", json!(0.75)),
        latencies(750, 0, 0)
    );
}

#[test]
fn what_is_unknown_is_told_once() {
    let mut rig = Rig::live();
    let unknown = |kind: &str| [Output::Event(Event::Unknown { kind: kind.into() })];
    assert_eq!(rig.event("Newer"), unknown("Newer"));
    assert_eq!(rig.event("Newer"), []);
    assert_eq!(
        rig.event("ConversationText"),
        unknown("ConversationText"),
        "without a role"
    );
    assert_eq!(rig.says(&json!([])), unknown("a message without a type"));
    let outputs: Vec<Output> = (0..1_000)
        .flat_map(|n| rig.event(&format!("T{n}")))
        .collect();
    assert!(outputs.len() < 32);
}

#[test]
fn warnings_are_passed_on_also_before_the_settings_are_applied() {
    let mut rig = Rig::new();
    rig.settle();
    let warning = json!({ "type": "Warning", "code": "PROMPT_TOO_LONG", "description": "Cut." });
    assert_eq!(
        rig.says(&warning),
        [Output::Event(Event::Warning {
            code: "PROMPT_TOO_LONG".into(),
            description: "Cut.".into()
        })]
    );
}

#[test]
fn nothing_that_was_said_shows_in_a_log() {
    let mut rig = Rig::live();
    rig.inject(1, "secret words");
    let mut shown = String::new();
    for outputs in [
        rig.text(Role::Assistant, "secret words"),
        rig.text(Role::User, "secret words"),
        rig.says(&request(&[
            json!({ "id": "a", "name": "f", "arguments": "secret words" }),
        ])),
        rig.respond("a", "secret words"),
        rig.hear(&[b's'; 160]),
        untimed(rig.wait(ms(500))),
    ] {
        shown.push_str(&format!("{outputs:?}"));
    }
    shown.push_str(&format!("{:?}", rig.link));
    assert!(
        !shown.contains("secret") && !shown.contains("ssss"),
        "{shown}"
    );
}
