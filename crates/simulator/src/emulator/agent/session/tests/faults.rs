//! Accidents that were asked for.

use serde_json::json;

use super::super::*;
use super::line::{Line, lookup, secs, settings, think};
use crate::voice::speak;

#[test]
fn accidents_happen_at_their_stage() {
    for (fault, last) in [
        (
            "agent-drop:at=hearing",
            vec!["UserStartedSpeaking", "break"],
        ),
        (
            "agent-stall:at=speaking",
            vec!["AgentStartedSpeaking", "audio", "freeze"],
        ),
        ("agent-drop:at=pause", vec!["AgentAudioDone", "break"]),
        (
            "agent-close:at=thinking,code=1011",
            vec!["AgentThinking", "close 1011"],
        ),
        (
            "agent-error:at=calling,code=SERVER_GOING_AWAY",
            vec![
                r#"call lookup_order{"id":"4"}"#,
                "error SERVER_GOING_AWAY",
                "close 1011",
            ],
        ),
        (
            "agent-error:code=INVALID_SETTINGS",
            vec!["Welcome", "error INVALID_SETTINGS", "close 1011"],
        ),
        ("agent-no-settings-applied", vec!["Welcome"]),
        (
            "agent-error:code=FAILED_TO_THINK",
            vec!["AgentThinking", "error FAILED_TO_THINK"],
        ),
        (
            "agent-deaf:at=hearing",
            vec!["SettingsApplied", "UserStartedSpeaking"],
        ),
        ("agent-drop:after_ms=1000", vec!["SettingsApplied", "break"]),
    ] {
        let mut line = Line::open(&[fault]);
        line.text(&settings(&think(&lookup())));
        line.pass(secs(2));
        let talks = !line.session.is_over() && !fault.contains("no-settings");
        if talks {
            let text = if fault.contains("calling") {
                "Order four."
            } else {
                "Hello."
            };
            line.say(text);
        }
        let told = line.told();
        assert!(
            told.ends_with(
                &last
                    .iter()
                    .map(|told| (*told).to_owned())
                    .collect::<Vec<_>>()
            ),
            "{fault}: {told:?}"
        );
    }
}

#[test]
fn after_a_failure_to_think_the_session_goes_on() {
    let mut line = Line::open(&["agent-error:code=FAILED_TO_THINK"]);
    line.apply(&settings(&json!({})));
    line.say("Hello.");
    line.say("Again.");
    assert_eq!(line.heard(), "You said: Again.");
}

#[test]
fn late_audio_follows_the_users_first_word() {
    let mut line = Line::open(&["agent-late-audio:ms=900", "agent-slow:ms=0,percent=100"]);
    line.text(&settings(
        &json!({ "greeting": "This takes a while until it is all said." }),
    ));
    line.pass(Duration::from_millis(1_000));
    line.forget();
    line.audio(&speak("Stop.").ulaw);
    let late = line
        .sent
        .iter()
        .skip_while(|(_, output)| matches!(output, Output::Binary(_)));
    let bytes = late.map(|(_, output)| match output {
        Output::Binary(audio) => audio.len(),
        _ => 0,
    });
    assert_eq!(bytes.sum::<usize>(), 900 * 8);
}

#[test]
fn each_call_is_cancelled_and_made_again_on_request() {
    let mut line = Line::open(&["agent-cancelled-calls"]);
    line.apply(&settings(&think(&lookup())));
    line.forget();
    line.say("Order four.");
    let call = r#"call lookup_order{"id":"4"}"#;
    assert_eq!(line.told()[3..], [call, "FunctionCallCancelled", call]);
    let call = line.called().remove(0);
    line.respond(&call, "here");
    line.quiet(2_000);
    assert_eq!(line.heard(), "Order 4: here");
}

#[test]
fn one_message_is_broken_as_it_was_asked_for() {
    let mut line = Line::open(&["agent-malformed:form=garbage,at=thinking"]);
    line.apply(&settings(&json!({})));
    line.forget();
    line.handle(Input::Text(
        r#"{"type":"InjectUserMessage","content":"hello"}"#,
    ));
    line.quiet(2_000);
    let garbage = line
        .sent
        .iter()
        .filter(|(_, output)| matches!(output, Output::Text(text) if text.starts_with("<html>")));
    assert_eq!(garbage.count(), 1);
}

#[test]
fn a_session_can_be_struck_while_it_is_open() {
    let mut line = Line::live(&settings(&json!({})));
    let faults = Faults::new(vec!["agent-drop:call=CA1".parse().unwrap()]);
    line.session.strike(line.now, &faults);
    line.drain();
    assert_eq!(line.told().last().unwrap(), "break");
}

#[test]
fn a_fault_can_be_kept_to_some_calls() {
    for (fault, ends) in [
        ("agent-drop:call=CA1", true),
        ("agent-drop:call=CA2", false),
    ] {
        let mut line = Line::open(&[fault]);
        line.apply(&settings(&json!({})));
        line.quiet(3_000);
        assert_eq!(line.session.is_over(), ends, "{fault}");
    }
}
