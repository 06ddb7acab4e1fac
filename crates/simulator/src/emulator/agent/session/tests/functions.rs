//! Functions that the agent calls.

use serde_json::json;
use sidetone_deepgram::agent::message::{FunctionCall, HistoryItem};

use super::super::*;
use super::line::{Line, lookup, settings, think};
use crate::voice::speak;

#[test]
fn a_function_is_called_and_its_answer_is_said() {
    let mut line = Line::live(&settings(&think(&lookup())));
    line.forget();
    line.say("My order is four seven one.");
    assert_eq!(
        line.told(),
        [
            "UserStartedSpeaking",
            "user: My order is four seven one.",
            "AgentThinking",
            r#"call lookup_order{"id":"471"}"#,
        ]
    );
    let call = line.called().remove(0);
    assert!(call.client_side);
    line.respond(&call, r#"{"status":"on its way"}"#);
    line.quiet(2_000);
    assert_eq!(line.heard(), "Order 471: status on its way");
    assert!(line.messages().iter().any(|message| matches!(
        message,
        ServerMessage::History(HistoryItem::FunctionCalls { function_calls })
            if function_calls[0].response.contains("on its way")
    )));
}

#[test]
fn an_answer_to_no_call_is_warned_of() {
    let mut line = Line::live(&settings(&think(&lookup())));
    line.say("Order four.");
    let call = line.called().remove(0);
    line.forget();
    for wrong in [
        FunctionCall {
            id: "other".to_owned(),
            ..call.clone()
        },
        FunctionCall {
            name: "other".to_owned(),
            ..call
        },
    ] {
        line.respond(&wrong, "x");
    }
    let warning = "warning FUNCTION_CALL_FAILED";
    assert_eq!(line.told(), [warning, warning]);
    line.text(&json!({ "type": "FunctionCallResponse", "name": "lookup_order", "content": "" }));
    assert_eq!(line.told()[2], "error UNPARSABLE_CLIENT_MESSAGE");
}

#[test]
fn a_speculative_call_is_cancelled_when_the_user_speaks_on() {
    let script = json!({ "rules": [{
        "hears": "order {id}",
        "calls": { "name": "lookup_order", "arguments": { "id": "{id}" } },
        "speculative": true,
    }] });
    let mut line = Line::scripted(script, &[]);
    line.apply(&settings(&think(&lookup())));
    line.forget();
    // The pause between the sentences is long enough to begin, and too short to be sure.
    line.audio(&speak("Order four. Seven.").ulaw);
    let cancelled = line.called().remove(0);
    line.quiet(700);
    assert_eq!(
        line.told(),
        [
            "UserStartedSpeaking",
            r#"call lookup_order{"id":"4"}"#,
            "FunctionCallCancelled",
            "UserStartedSpeaking",
            r#"call lookup_order{"id":"47"}"#,
            "user: Order four. Seven.",
        ]
    );
    // The late answer to the first comes to nothing.
    line.respond(&cancelled, "wrong");
    let call = line.called().remove(0);
    line.respond(&call, "right");
    line.quiet(2_000);
    assert_eq!(line.heard(), "right");
    assert!(!line.told().iter().any(|told| told.starts_with("warning")));
}

#[test]
fn a_function_that_may_not_be_revoked_waits_for_the_end_of_the_turn() {
    let script = json!({ "rules": [{
        "hears": "bye",
        "calls": { "name": "hangup" },
        "speculative": true,
    }] });
    let mut line = Line::scripted(script, &[]);
    line.apply(&settings(&think(
        &json!([{ "name": "hangup", "defer_until_eot": true }]),
    )));
    line.forget();
    line.say("Bye.");
    assert_eq!(
        line.told()[1..4],
        ["user: Bye.", "AgentThinking", "call hangup{}"]
    );
}

#[test]
fn a_function_that_is_not_declared_ends_the_session() {
    let script = json!({ "rules": [{ "hears": "", "calls": { "name": "made_up" } }] });
    let mut line = Line::scripted(script, &[]);
    line.apply(&settings(&json!({})));
    line.say("Hello.");
    let told = line.told();
    let last = &told[told.len() - 2..];
    assert_eq!(last, ["error NON_EXISTENT_FUNCTION_CALLED", "close 1011"]);
}

#[test]
fn functions_with_an_endpoint_are_deepgrams_to_call() {
    let functions = json!([{ "name": "lookup", "endpoint": { "url": "https://example.com" } }]);
    let mut line = Line::live(&settings(&think(&functions)));
    line.forget();
    line.say("Order four.");
    assert_eq!(
        line.told()[3..5],
        [r#"call lookup{"id":"4"}"#, "FunctionCallResponse"]
    );
    assert!(!line.called()[0].client_side);
    assert!(line.heard().starts_with("Order 4:"));
}
