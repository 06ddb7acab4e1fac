//! The functions that an agent asks for.

use serde_json::json;
use sidetone_audio::Track;
use sidetone_call::engine::{FunctionOutcome, StreamEnd};
use sidetone_call::event::FunctionEnd;

use crate::agent::agent_call;
use crate::line::{Line, ms, secs};

/// The webhook that was asked last has answered, or failed.
fn answer(line: &mut Line, nth: usize, outcome: FunctionOutcome) {
    let function = line.agent.calls[nth].0;
    line.act(|engine, now, wall| engine.handle_function(now, wall, function, outcome));
}

#[test]
fn a_webhook_is_asked_and_the_agent_told_what_it_answers() {
    let (mut line, _) = agent_call();
    line.agent_calls("f1", "lookup", r#"{"id":"42"}"#);
    let (_, name, arguments) = &line.agent.calls[0];
    assert_eq!(
        (name.as_str(), arguments.as_str()),
        ("lookup", r#"{"id":"42"}"#)
    );
    line.run(ms(700));
    answer(&mut line, 0, FunctionOutcome::Ok("shipped".into()));
    assert_eq!(line.agent.answers(), [("f1", "shipped")]);
    let called = line.functions_called()[0];
    assert_eq!(
        (called.id.as_str(), called.outcome),
        ("f1", FunctionEnd::Ok)
    );
    assert_eq!(called.arguments, json!({ "id": "42" }));
    assert_eq!(called.result.as_deref(), Some("shipped"));
    assert_eq!((called.name.as_str(), called.duration_ms), ("lookup", 700));
}

#[test]
fn functions_run_side_by_side_and_fail_in_words() {
    let (mut line, _) = agent_call();
    line.agent_calls("f1", "lookup", "{}");
    line.agent_calls("f2", "lookup", "{}");
    answer(
        &mut line,
        1,
        FunctionOutcome::Failed("the shop is closed".into()),
    );
    answer(&mut line, 0, FunctionOutcome::Ok("yes".into()));
    // An answer that comes twice is none.
    answer(&mut line, 0, FunctionOutcome::Ok("no".into()));
    assert_eq!(
        line.agent.answers(),
        [("f2", "the shop is closed"), ("f1", "yes")]
    );
    assert_eq!(
        line.functions(),
        [("f2", FunctionEnd::Failed), ("f1", FunctionEnd::Ok)]
    );
}

#[test]
fn what_cannot_be_called_is_answered_at_once() {
    let (mut line, _) = agent_call();
    line.agent_calls("f1", "make_coffee", "{}");
    line.agent_calls("f2", "lookup", "{id: 42");
    line.agent_calls("f3", "transfer", r#"{"target":"+15550009999"}"#);
    line.agent_calls("f4", "send_dtmf", r#"{"digits":"call me"}"#);
    assert_eq!(line.agent.calls, []);
    let told: Vec<_> = line.agent.answers().iter().map(|told| told.1).collect();
    assert_eq!(told[0], "there is no function named `make_coffee`");
    assert!(
        told[1].starts_with("the arguments are no JSON"),
        "{}",
        told[1]
    );
    assert_eq!(told[2], "`target` is one of: sales");
    assert!(told[3].contains("0123456789*#w"), "{}", told[3]);
    let called = line.functions_called();
    assert!(called.iter().all(|it| it.outcome == FunctionEnd::Failed));
    assert_eq!(called[1].arguments, json!("{id: 42"));
}

#[test]
fn a_function_that_is_taken_back_is_not_answered() {
    let (mut line, _) = agent_call();
    line.agent_calls("f1", "lookup", "{}");
    line.agent_calls("f2", "collect_digits", "{}");
    line.agent_says(&json!({ "type": "FunctionCallCancelled", "functions": [
        { "id": "f1", "name": "lookup" }, { "id": "f2", "name": "collect_digits" },
    ] }));
    assert_eq!(line.agent.dropped, [line.agent.calls[0].0]);
    answer(&mut line, 0, FunctionOutcome::Ok("late".into()));
    line.run(secs(30));
    assert_eq!(line.agent.answers(), []);
    assert_eq!(
        line.functions(),
        [
            ("f1", FunctionEnd::Cancelled),
            ("f2", FunctionEnd::Cancelled)
        ]
    );
}

#[test]
fn sixteen_functions_may_be_open() {
    let (mut line, _) = agent_call();
    for n in 0..17 {
        line.agent_calls(&format!("f{n}"), "lookup", "{}");
    }
    assert_eq!(line.agent.calls.len(), 16);
    assert_eq!(
        line.agent.answers(),
        [("f16", "16 functions are being called already")]
    );
}

#[test]
fn functions_that_are_open_when_the_call_ends_are_cancelled_before_its_last_event() {
    let (mut line, stream) = agent_call();
    line.agent_calls("f1", "lookup", "{}");
    line.agent_calls("f2", "collect_digits", "{}");
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
    assert_eq!(
        line.functions(),
        [
            ("f1", FunctionEnd::Cancelled),
            ("f2", FunctionEnd::Cancelled)
        ]
    );
    assert_eq!(line.agent.dropped.len(), 1);
    assert_eq!(line.event_names().last(), Some(&"call.ended"));
}

fn collects(line: &mut Line, arguments: &str) {
    line.agent_calls("f1", "collect_digits", arguments);
    assert_eq!(line.agent.answers(), []);
}

#[track_caller]
fn check_collected(line: &Line, digits: &str, ended_by: &str) {
    let told = json!({ "digits": digits, "ended_by": ended_by }).to_string();
    assert_eq!(line.agent.answers(), [("f1", told.as_str())]);
}

#[test]
fn keys_are_collected_until_the_one_that_finishes() {
    let (mut line, stream) = agent_call();
    collects(&mut line, "");
    for key in "123#4".chars() {
        line.dtmf(stream, key);
        line.run(secs(3));
    }
    check_collected(&line, "123", "finish_on");
    let keys = line
        .event_names()
        .iter()
        .filter(|name| **name == "dtmf")
        .count();
    assert_eq!(keys, 5);
}

#[test]
fn keys_are_collected_until_there_are_enough() {
    let (mut line, stream) = agent_call();
    collects(&mut line, r#"{"max_digits":2,"finish_on":""}"#);
    for key in "#*3".chars() {
        line.dtmf(stream, key);
    }
    check_collected(&line, "#*", "max_digits");
}

#[test]
fn keys_are_waited_for_from_the_last_one_and_from_the_end_of_the_agents_words() {
    let (mut line, stream) = agent_call();
    line.agent_turn("Please enter your number.", 4_000);
    collects(&mut line, r#"{"timeout_secs":3}"#);
    line.run(secs(6));
    line.dtmf(stream, '7');
    line.run(ms(2_999));
    assert_eq!(line.agent.answers(), []);
    line.run(ms(1));
    check_collected(&line, "7", "timeout");
}

#[test]
fn keys_are_collected_for_one_function_at_a_time_and_told_to_nobody_else() {
    let (mut line, stream) = crate::agent::agent_call_with(|agent| agent.tells_dtmf = true);
    collects(&mut line, "{}");
    line.agent_calls("f2", "collect_digits", "{}");
    assert_eq!(
        line.agent.answers(),
        [("f2", "keys are being collected already")]
    );
    line.dtmf(stream, '1');
    line.dtmf(stream, '#');
    line.run(secs(2));
    assert_eq!(line.agent.sent_of("InjectUserMessage").len(), 0);
    assert_eq!(line.functions()[1], ("f1", FunctionEnd::Ok));
}

#[test]
fn an_answer_that_comes_after_the_connection_was_made_anew_is_part_of_the_conversation() {
    let (mut line, _) = agent_call();
    line.caller_said("Where is my order?");
    line.agent_calls("f1", "lookup", r#"{"id":"42"}"#);
    line.cut_agent();
    line.run(secs(1));
    answer(&mut line, 0, FunctionOutcome::Ok("shipped".into()));
    assert_eq!(line.agent.answers(), [], "the session that asked is gone");
    assert_eq!(line.functions(), [("f1", FunctionEnd::Ok)]);
    line.cut_agent();
    line.run(secs(1));
    let settings = line.agent.sent_of("Settings");
    let context = settings[2]["agent"]["context"].to_string();
    assert!(context.contains("shipped"), "{context}");
}

#[test]
fn a_caller_is_heard_by_the_agent_while_it_waits() {
    let (mut line, stream) = agent_call();
    line.agent_calls("f1", "lookup", "{}");
    line.play(stream, &[(Track::Inbound, "abc")]);
    line.run(ms(40));
    for word in *b"abc" {
        assert_eq!(
            line.agent.heard.iter().filter(|it| **it == word).count(),
            800
        );
    }
}
