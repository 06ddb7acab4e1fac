//! What a caller hears whenever something goes wrong on the way to the agent.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use sidetone_simulator::emulator::Fault;
use sidetone_simulator::phone::Report;
use tokio::time::timeout;

use super::{GREETING, all, caller, calling, faulty, heard, helpdesk};
use crate::twilio::call_sid;
use crate::web::ended;

/// What a fault comes to.
#[derive(Clone, Copy, Debug)]
enum Outcome {
    /// The caller notices nothing, but perhaps a wait.
    Answered,
    /// The session is lost, and another one goes on with the conversation.
    Resumed,
    /// Another session takes the place of one that is old: between two turns, or when it must.
    Renewed,
    /// The caller hears the profile's fallback.
    FallsBack,
}

const LONGEST_CALL: Duration = Duration::from_secs(75);

/// Each fault, what it comes to, and how many seconds the caller waits for an answer at most.
const CASES: &[(&str, Outcome, u64)] = &[
    ("agent-refuse:status=503,times=1", Outcome::Resumed, 5),
    ("agent-refuse:status=403,times=all", Outcome::FallsBack, 5),
    ("agent-handshake-hang:times=1", Outcome::Resumed, 15),
    ("agent-no-welcome:times=1", Outcome::Resumed, 15),
    ("agent-no-settings-applied:times=1", Outcome::Resumed, 15),
    ("agent-drop:at=settings", Outcome::Resumed, 5),
    ("agent-drop:at=speaking,after_ms=300", Outcome::Resumed, 5),
    ("agent-drop:at=hearing", Outcome::Resumed, 5),
    ("agent-drop:at=thinking", Outcome::Resumed, 5),
    ("agent-drop:at=settings,times=all", Outcome::FallsBack, 15),
    ("agent-stall:at=hearing", Outcome::Resumed, 20),
    ("agent-deaf:at=settings", Outcome::Resumed, 20),
    ("agent-deaf:at=settings,times=all", Outcome::FallsBack, 40),
    ("agent-deaf:at=hearing", Outcome::Resumed, 20),
    ("agent-deaf:at=hearing,times=all", Outcome::FallsBack, 45),
    ("agent-deaf:at=thinking", Outcome::Resumed, 25),
    ("agent-deaf:at=thinking,times=all", Outcome::FallsBack, 45),
    ("agent-close:code=1011,at=pause", Outcome::Resumed, 5),
    ("agent-error:at=thinking", Outcome::Resumed, 5),
    (
        "agent-error:code=FAILED_TO_THINK,at=thinking",
        Outcome::Answered,
        5,
    ),
    (
        "agent-error:code=FAILED_TO_SPEAK,at=speaking",
        Outcome::Resumed,
        5,
    ),
    (
        "agent-error:code=SERVER_GOING_AWAY,at=pause",
        Outcome::Resumed,
        5,
    ),
    (
        "agent-error:code=INVALID_SETTINGS,at=settings,times=all",
        Outcome::FallsBack,
        5,
    ),
    ("agent-warning:at=thinking", Outcome::Answered, 5),
    ("agent-malformed:at=thinking", Outcome::Answered, 5),
    ("agent-session-length:ms=9000,times=1", Outcome::Renewed, 10),
    ("agent-slow:ms=1500,percent=150", Outcome::Answered, 5),
    ("agent-late-audio", Outcome::Answered, 5),
    ("agent-cancelled-calls", Outcome::Answered, 5),
    ("agent-keep-alive-ignored", Outcome::Answered, 5),
    ("agent-injections-refused", Outcome::Answered, 5),
    ("agent-unknown-messages", Outcome::Answered, 5),
    ("agent-latency-strings", Outcome::Answered, 5),
];

#[tokio::test]
async fn whatever_happens_to_the_agent_the_caller_is_answered_or_led_elsewhere() {
    let calls = CASES.iter().map(|&(fault, outcome, patience)| async move {
        let emulator = faulty(&[fault]).await;
        let serve = helpdesk(&emulator, "").await;
        let mut options = caller(&serve, 1, &["good morning", "what did I say before"]);
        options.linger = Duration::from_secs(patience);
        let report = timeout(LONGEST_CALL, calling(options)).await;
        let report = report.expect(fault).unwrap();
        let events = ended(&serve, &call_sid(1)).await;
        check(fault, outcome, &report, &events);
    });
    join_all(calls).await;
}

fn check(fault: &str, outcome: Outcome, report: &Report, events: &[Value]) {
    let heard = heard(report);
    let what = || format!("{fault}: {heard}\n{events:#?}");
    assert!(heard.matches(GREETING).count() <= 1, "{}", what());
    let is_answered = heard.to_lowercase().contains("you said");
    let lost = all(events, "provider.disconnected");
    let has_fallen_back = heard.ends_with("technical problem.");
    let warned = all(events, "warning");
    let is_told_lost = warned.iter().any(|it| it["code"] == "agent_lost");
    assert_eq!(is_told_lost, has_fallen_back, "{}", what());
    match outcome {
        Outcome::Answered => assert!(is_answered && lost.is_empty(), "{}", what()),
        Outcome::Resumed => {
            let back = all(events, "provider.reconnected");
            assert!(!lost.is_empty() && !back.is_empty(), "{}", what());
            assert!(lost.iter().all(|it| it["service"] == "agent"), "{}", what());
            assert!(is_answered, "{}", what());
        }
        Outcome::Renewed => assert!(is_answered, "{}", what()),
        Outcome::FallsBack => assert!(has_fallen_back, "{}", what()),
    }
    assert!(report.alerts.is_empty(), "{}", what());
    for turn in all(events, "agent.turn") {
        let is_agents = turn["role"] == "assistant";
        assert_eq!(turn.get("heard_text").is_some(), is_agents, "{}", what());
    }
}

#[test]
fn every_fault_of_an_agent_has_its_case() {
    let of_agents = Fault::LIST.iter().map(|entry| entry.name);
    for name in of_agents.filter(|name| name.starts_with("agent-")) {
        let is_named = |fault: &str| fault.parse::<Fault>().unwrap().name() == name;
        assert!(CASES.iter().any(|(fault, ..)| is_named(fault)), "{name}");
    }
}
