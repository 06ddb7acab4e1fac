//! How an agent takes its leave: it hangs up, connects the caller, presses keys, or is lost.

use serde_json::json;
use sidetone_call::engine::{Agent, Next, NotSaid, StreamEnd, StreamKey};
use sidetone_call::event::{EndReason, FunctionEnd, ProviderState};
use sidetone_deepgram::agent::message::Role;

use crate::agent::{agent_call, agent_call_with, with_agent, without_greeting};
use crate::line::{Line, ms, secs};

#[track_caller]
fn check_left(line: &mut Line, stream: StreamKey, next: Next, reason: EndReason) {
    assert_eq!(line.agent.nexts, [next]);
    assert_eq!(line.closed, [(stream, 1000)]);
    line.run_to_end();
    line.check_ended(reason);
    assert_eq!(line.agent.open, None);
}

#[test]
fn a_call_is_hung_up_when_the_farewell_that_follows_was_heard() {
    let (mut line, stream) = agent_call();
    line.agent_calls("f1", "hangup", "{}");
    let (id, told) = line.agent.answers()[0];
    assert_eq!(id, "f1");
    assert!(told.contains("goodbye"), "{told}");
    assert_eq!(line.functions(), [("f1", FunctionEnd::Ok)]);
    line.run(ms(2_500));
    line.agent_turn("Goodbye, and thank you for calling.", 4_000);
    line.run(ms(3_900));
    assert_eq!(line.closed, []);
    line.run(ms(200));
    assert_eq!(line.played, 32_000);
    check_left(&mut line, stream, Next::HangUp, EndReason::Hangup);
}

#[test]
fn a_farewell_that_is_being_said_is_heard_to_its_end() {
    let (mut line, stream) = agent_call();
    line.agent_turn("Goodbye, and thank you for calling.", 15_000);
    line.agent_calls("f1", "hangup", "{}");
    line.run(ms(14_900));
    assert_eq!(line.closed, []);
    line.run(ms(200));
    check_left(&mut line, stream, Next::HangUp, EndReason::Hangup);
}

#[test]
fn nobody_waits_for_a_farewell_that_does_not_come() {
    let (mut line, stream) = agent_call();
    line.agent_calls("f1", "hangup", "{}");
    line.run(ms(2_999));
    assert_eq!(line.closed, []);
    line.run(ms(1));
    check_left(&mut line, stream, Next::HangUp, EndReason::Hangup);
}

#[test]
fn nobody_waits_for_a_farewell_that_does_not_end() {
    // A text without audio, and a turn whose end is never told.
    for audio_ms in [0, 2_000] {
        let (mut line, stream) = agent_call();
        line.agent_calls("f1", "hangup", "{}");
        line.agent_text("Goodbye.");
        line.agent_sounds(0x2A, audio_ms);
        line.run(secs(9));
        assert_eq!(line.closed, []);
        line.run(secs(1));
        check_left(&mut line, stream, Next::HangUp, EndReason::Hangup);
    }
}

#[test]
fn a_caller_who_speaks_is_not_hung_up_on() {
    let (mut line, stream) = agent_call();
    line.agent_calls("f1", "hangup", "{}");
    line.agent_turn("Goodbye.", 2_000);
    line.run(ms(500));
    line.caller_speaks();
    line.caller_said("One more thing.");
    line.agent_turn("Yes?", 500);
    line.run(secs(20));
    assert_eq!((line.closed.len(), line.agent.nexts.len()), (0, 0));
    line.agent_calls("f2", "hangup", "{}");
    line.run(secs(3));
    check_left(&mut line, stream, Next::HangUp, EndReason::Hangup);
}

#[test]
fn a_hangup_that_is_taken_back_does_not_happen() {
    let (mut line, _) = agent_call();
    line.agent_calls("f1", "lookup", "{}");
    line.agent_calls("f2", "send_dtmf", r#"{"digits":"1"}"#);
    line.agent_says(&json!({ "type": "FunctionCallCancelled", "functions": [
        { "id": "f2", "name": "send_dtmf" },
    ] }));
    line.run(secs(20));
    assert_eq!(line.closed, []);
    assert_eq!(line.functions(), [("f2", FunctionEnd::Cancelled)]);
}

#[test]
fn a_farewell_waits_for_what_is_asked_beside_it() {
    let (mut line, stream) = agent_call();
    line.agent_calls("f1", "lookup", "{}");
    line.agent_calls("f2", "hangup", "{}");
    line.run(secs(6));
    assert_eq!(line.closed, []);
    let function = line.agent.calls[0].0;
    line.act(|engine, now, wall| {
        let outcome = sidetone_call::engine::FunctionOutcome::Ok("done".into());
        engine.handle_function(now, wall, function, outcome);
    });
    line.run(secs(2));
    line.agent_turn("All done. Goodbye.", 1_000);
    line.run(ms(1_100));
    assert_eq!(line.played, 8_000);
    check_left(&mut line, stream, Next::HangUp, EndReason::Hangup);
}

#[test]
fn a_caller_is_connected_with_a_target_by_its_name() {
    let (mut line, stream) = agent_call();
    line.agent_calls("f1", "transfer", r#"{"target":"sales"}"#);
    assert!(line.agent.answers()[0].1.contains("sales"));
    line.agent_calls("f2", "hangup", "{}");
    assert_eq!(
        line.agent.answers()[1].1,
        "the caller is about to be connected with somebody else"
    );
    line.agent_turn("I connect you with sales.", 2_000);
    line.run(ms(1_000));
    // Thanks that cut in do not keep the caller from being connected.
    line.caller_speaks();
    line.run(ms(10));
    let next = Next::Dial("+15551230003".into());
    check_left(&mut line, stream, next, EndReason::Transferred);
}

#[test]
fn keys_are_pressed_when_the_agent_has_finished_and_it_hears_of_it_when_the_stream_is_back() {
    let (mut line, first) = agent_call();
    line.agent_turn("I press one.", 2_000);
    line.agent_calls("f1", "send_dtmf", r#"{"digits":"1w2"}"#);
    line.run(ms(1_900));
    assert_eq!(line.closed, []);
    line.run(ms(200));
    assert_eq!(line.agent.nexts, [Next::Press("1w2".into())]);
    assert_eq!(line.closed, [(first, 1000)]);
    line.run(secs(6));
    assert_eq!(line.agent.answers(), []);
    let second = line.bidirectional();
    assert_eq!(line.agent.answers(), [("f1", "The keys were pressed.")]);
    assert_eq!(line.functions(), [("f1", FunctionEnd::Ok)]);
    assert_eq!((line.agent.connections, line.agent.closes), (1, 0));
    line.agent_turn("Done.", 400);
    line.run(secs(1));
    assert_eq!(line.turns().last(), Some(&(2, "assistant", "Done.", false)));
    line.end(second, StreamEnd::Stop);
    line.run(secs(2));
    line.check_ended(EndReason::Stop);
}

#[test]
fn keys_after_which_no_stream_comes_back_were_not_pressed() {
    let (mut line, _) = agent_call();
    line.agent_calls("f1", "send_dtmf", r#"{"digits":"1"}"#);
    line.run(secs(1));
    assert_eq!(line.closed.len(), 1);
    line.run_to_end();
    line.check_ended(EndReason::Stop);
    assert_eq!(line.functions(), [("f1", FunctionEnd::Failed)]);

    let (mut line, stream) = agent_call();
    line.agent_calls("f1", "send_dtmf", r#"{"digits":"1"}"#);
    line.end(stream, StreamEnd::Stop);
    assert_eq!(line.functions(), [("f1", FunctionEnd::Failed)]);
    line.run_to_end();
    assert_eq!(line.agent.nexts, []);
}

#[test]
fn an_agent_waits_for_its_stream_while_keys_are_pressed_that_somebody_else_ordered() {
    let (mut line, first) = agent_call();
    line.agent_turn("Hello!", 400);
    line.run(secs(1));
    line.act(|engine, now, _| engine.handle_keys_ordered(now, 4));
    line.run(ms(300));
    line.end(first, StreamEnd::Stop);
    line.run(secs(6));
    let second = line.bidirectional();
    line.agent_turn("There you are.", 400);
    line.run(secs(1));
    assert_eq!((line.agent.connections, line.agent.closes), (1, 0));
    assert_eq!(line.turns()[1], (2, "assistant", "There you are.", false));
    // The next time nobody is waited for any longer than usual.
    line.end(second, StreamEnd::Stop);
    line.run(secs(2));
    line.check_ended(EndReason::Stop);
}

fn lost_call(change: impl FnOnce(&mut Agent)) -> (Line, StreamKey) {
    let mut line = Line::with(|setup| {
        with_agent(setup);
        change(setup.agent.as_mut().unwrap());
    });
    line.agent.refuses = Some(401);
    let stream = line.bidirectional();
    (line, stream)
}

#[test]
fn an_agent_that_is_refused_leaves_the_call_to_the_fallback_at_once() {
    let (mut line, stream) = lost_call(|_| {});
    line.run(ms(50));
    let (code, detail) = line.warnings()[0];
    assert_eq!(code, "agent_lost");
    assert!(detail.contains("Invalid credentials."), "{detail}");
    check_left(&mut line, stream, Next::FallBack, EndReason::Error);
}

#[test]
fn a_fallback_that_transfers_is_a_transfer() {
    let (mut line, stream) = lost_call(|agent| agent.fallback_transfers = true);
    line.run(ms(50));
    check_left(&mut line, stream, Next::FallBack, EndReason::Transferred);
}

#[test]
fn the_last_words_of_an_agent_that_is_lost_are_heard_for_at_most_five_seconds() {
    for (audio_ms, left_after) in [(2_000, 2_000), (9_000, 5_000)] {
        let (mut line, stream) = agent_call();
        line.agent_text("What I wanted to say is this and that and more.");
        line.agent_sounds(0x2A, audio_ms);
        line.agent_says(&json!({
            "type": "Error", "code": "INVALID_SETTINGS", "description": "No such model.",
        }));
        assert_eq!(line.call().provider.state, ProviderState::Failed);
        line.run(ms(left_after - 100));
        assert_eq!(line.closed, []);
        line.run(ms(200));
        check_left(&mut line, stream, Next::FallBack, EndReason::Error);
        assert_eq!(line.turns().len(), 1);
    }
}

#[test]
fn an_agent_that_is_lost_while_it_takes_its_leave_still_does() {
    let (mut line, stream) = agent_call();
    line.agent_calls("f1", "hangup", "{}");
    line.agent_turn("Goodbye.", 1_000);
    line.agent.refuses = Some(403);
    line.cut_agent();
    line.run(ms(1_100));
    check_left(&mut line, stream, Next::HangUp, EndReason::Hangup);
}

#[test]
fn nothing_can_be_asked_of_an_agent_that_is_lost() {
    let (mut line, _) = agent_call();
    line.agent_turn("One two three four.", 3_000);
    line.agent.refuses = Some(403);
    line.cut_agent();
    line.run(secs(1));
    let injected =
        line.act(|engine, now, wall| engine.handle_inject(now, wall, Role::User, "Hi".into()));
    assert_eq!(injected, Err(NotSaid::AgentLost));
    line.run_to_end();
}

#[test]
fn an_agent_that_comes_back_in_time_is_not_lost() {
    let (mut line, _) = agent_call_with(|agent| {
        agent.settings = without_greeting();
        agent.fallback_transfers = true;
    });
    line.cut_agent();
    line.run(secs(30));
    assert_eq!(line.closed, []);
    assert_eq!(line.agent.connections, 2);
    assert_eq!(line.warnings(), []);
}
