//! What becomes of a caller whose agent is lost, for a moment or for good.

use std::time::Duration;

use serde_json::json;
use sidetone_simulator::emulator::{self, Emulator};
use sidetone_simulator::phone::{End, Party, Turn};

use super::{GREETING, all, caller, calling, faulty, heard, helpdesk, sessions, talk, turns};
use crate::serve::soon;
use crate::twilio::call_sid;
use crate::watching::end_reason;
use crate::web::{ended, events};

#[tokio::test]
async fn a_caller_whose_agent_is_refused_gets_the_fallback() {
    let emulator = faulty(&["agent-refuse:status=401,times=all"]).await;
    let toml = "[profiles.default.fallback]\nsay = 'One moment, I connect you.'\n\
         number = '+15551230004'\n";
    let serve = helpdesk(&emulator, toml).await;
    let mut options = caller(&serve, 1, &[]);
    options
        .turns
        .push(Turn::say(Party::Callee, "a person is here"));
    let report = soon("the call", calling(options)).await.unwrap();
    let heard = heard(&report);
    assert_eq!(heard, "One moment, I connect you. a person is here");
    assert_eq!(end_reason(&serve, 1).await, "transferred");
    let events = events(&serve, &call_sid(1)).await;
    let warnings = all(&events, "warning");
    let lost = warnings
        .iter()
        .find(|warning| warning["code"] == "agent_lost");
    let detail = lost.unwrap()["detail"].as_str().unwrap();
    assert!(detail.contains("401"), "{detail}");
}

#[tokio::test]
async fn without_a_number_the_fallback_says_its_sentence_and_hangs_up() {
    let emulator = faulty(&["agent-error:code=INVALID_SETTINGS,at=settings,times=all"]).await;
    let serve = helpdesk(&emulator, "").await;
    let mut options = caller(&serve, 1, &[]);
    options.linger = Duration::from_secs(30);
    let report = soon("the call", calling(options)).await.unwrap();
    assert_eq!(report.end, End::DocumentHungUp);
    assert!(heard(&report).contains("sorry"), "{}", heard(&report));
    assert_eq!(end_reason(&serve, 1).await, "error");
}

#[tokio::test]
async fn a_caller_whose_agent_is_lost_for_good_is_not_left_in_silence() {
    let emulator = faulty(&["agent-drop:after_ms=400,times=all"]).await;
    let serve = helpdesk(&emulator, "").await;
    let mut options = caller(&serve, 1, &[]);
    options.linger = Duration::from_secs(30);
    let report = soon("the call", calling(options)).await.unwrap();
    assert_eq!(report.end, End::DocumentHungUp);
    assert!(
        heard(&report).ends_with("technical problem."),
        "{}",
        heard(&report)
    );
    assert_eq!(end_reason(&serve, 1).await, "error");
}

#[tokio::test]
async fn an_agent_that_is_cut_off_goes_on_with_the_conversation() {
    let emulator = faulty(&["agent-drop:at=pause,after_ms=2500"]).await;
    let serve = helpdesk(&emulator, "").await;
    let report = talk(&serve, &["good morning", "what did I say before"]).await;
    let heard = heard(&report);
    assert_eq!(heard.matches(GREETING).count(), 1, "{heard}");
    let events = ended(&serve, &call_sid(1)).await;
    let lost = all(&events, "provider.disconnected");
    assert_eq!(lost[0]["service"], "agent", "{lost:?}");
    assert!(!all(&events, "provider.reconnected").is_empty());
    let sessions = sessions(&emulator).await;
    assert!(sessions.len() >= 2, "{sessions:?}");
    let messages = &sessions[0]["settings"]["agent"]["context"]["messages"];
    assert_eq!(messages[0]["content"], GREETING, "{messages}");
}

#[tokio::test]
async fn what_the_caller_said_before_the_loss_is_answered_after_it() {
    let emulator = faulty(&["agent-drop:at=thinking"]).await;
    let serve = helpdesk(&emulator, "").await;
    let report = talk(&serve, &["good morning"]).await;
    let heard = heard(&report).to_lowercase();
    assert_eq!(heard.matches("good morning").count(), 1, "{heard}");
    let events = ended(&serve, &call_sid(1)).await;
    let turns = turns(&events);
    assert_eq!(turns.len(), 3, "the caller said it once: {turns:?}");
}

#[tokio::test]
async fn what_the_caller_says_into_a_dying_session_is_heard_by_the_next() {
    let emulator = faulty(&["agent-drop:at=hearing"]).await;
    let serve = helpdesk(&emulator, "").await;
    let report = talk(&serve, &["good morning to all of you"]).await;
    let heard = heard(&report).to_lowercase();
    assert!(heard.contains("good morning to all of you"), "{heard}");
    let events = ended(&serve, &call_sid(1)).await;
    let back = all(&events, "provider.reconnected");
    assert!(back[0]["replayed_ms"].as_u64().unwrap() > 0, "{back:?}");
}

#[tokio::test]
async fn what_was_done_for_a_lost_session_is_known_to_the_next() {
    let script = json!({ "rules": [
        { "hears": "take my code", "calls": { "name": "collect_digits" } },
        { "hears": "what came of it", "says": "I have your code." },
    ] });
    let options = emulator::Options {
        agent: serde_json::from_value(script).unwrap(),
        faults: vec!["agent-drop:at=calling".parse().unwrap()],
        ..emulator::Options::default()
    };
    let emulator = Emulator::start(options).await.unwrap();
    let toml = "[[profiles.default.functions]]\nbuiltin = 'collect_digits'\n";
    let serve = helpdesk(&emulator, toml).await;
    let mut options = caller(&serve, 1, &["take my code"]);
    options.dtmf = "4711#".to_owned();
    let report = soon("the call", calling(options)).await.unwrap();
    let heard = heard(&report);
    assert!(heard.contains("I have your code."), "{heard}");
    let events = ended(&serve, &call_sid(1)).await;
    let [called] = all(&events, "agent.function_called")[..] else {
        panic!("{events:?}")
    };
    assert_eq!(called["outcome"], "ok");
    let newest = &sessions(&emulator).await[0]["settings"];
    assert!(newest.to_string().contains("being done"), "{newest}");
}
