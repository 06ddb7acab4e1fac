//! Who says what, and when.

use serde_json::json;
use sidetone_deepgram::agent::message::HistoryItem;

use super::super::*;
use super::line::{Line, secs, settings};
use crate::voice::speak;

#[test]
fn welcome_settings_greeting() {
    let mut line = Line::open(&[]);
    assert_eq!(line.told(), ["Welcome"]);
    line.text(&settings(
        &json!({ "greeting": "Hello there! How are you?" }),
    ));
    line.pass(secs(5));
    assert_eq!(
        line.told(),
        [
            "Welcome",
            "SettingsApplied",
            "agent: Hello there! How are you?",
            "AgentStartedSpeaking",
            "audio",
            "AgentAudioDone"
        ]
    );
    assert_eq!(line.heard(), "Hello there! How are you?");
}

#[test]
fn what_the_user_says_is_answered_a_sentence_at_a_time() {
    let mut line = Line::live(&settings(&json!({})));
    line.forget();
    line.say("Good morning. I am here.");
    assert_eq!(
        line.told(),
        [
            "UserStartedSpeaking",
            "user: Good morning. I am here.",
            "AgentThinking",
            "agent: You said: Good morning.",
            "AgentStartedSpeaking",
            "audio",
            "agent: I am here.",
            "audio",
            "AgentAudioDone"
        ]
    );
    assert_eq!(line.heard(), "You said: Good morning. I am here.");
}

#[test]
fn texts_are_echoed_and_latencies_told_one_by_one() {
    let mut line = Line::live(&settings(&json!({})));
    line.forget();
    line.say("Hello.");
    let messages = line.messages();
    let echoes: Vec<_> = messages
        .iter()
        .filter_map(|message| match message {
            ServerMessage::History(HistoryItem::Text { content, .. }) => Some(content.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(echoes, ["Hello.", "You said: Hello."]);
    let started = messages.iter().find_map(|message| match message {
        ServerMessage::AgentStartedSpeaking(latencies) => latencies.total_latency,
        _ => None,
    });
    let reported: Vec<f64> = messages
        .iter()
        .filter_map(|message| match message {
            ServerMessage::LatencyReport(report) => {
                let parts = [
                    report.ttt_text_latency,
                    report.tts_latency,
                    report.total_latency,
                ];
                let told: Vec<f64> = parts.into_iter().flatten().collect();
                assert_eq!(told.len(), 1);
                Some(told[0])
            }
            _ => None,
        })
        .collect();
    let [ttt, tts, total] = reported[..] else {
        panic!("{reported:?}")
    };
    assert_eq!(started, Some(total));
    assert!((ttt + tts - total).abs() < 0.001 && (0.2..0.6).contains(&total));

    let mut silent = settings(&json!({}));
    (silent["flags"]["history"], silent["experimental"]) = (json!(false), json!(false));
    let mut line = Line::live(&silent);
    line.say("Hello.");
    assert!(!line.messages().iter().any(|message| matches!(
        message,
        ServerMessage::History(_) | ServerMessage::AgentStartedSpeaking(_)
    )));
}

#[test]
fn audio_comes_in_bursts_of_varying_size_faster_than_it_is_heard() {
    let text = "This is a long answer and it takes a good while until all of it has been said.";
    let mut line = Line::open(&[]);
    line.text(&settings(&json!({ "greeting": text })));
    line.pass(secs(9));
    let frames: Vec<(Duration, usize)> = line
        .sent
        .iter()
        .filter_map(|(at, output)| match output {
            Output::Binary(audio) => Some((*at, audio.len())),
            _ => None,
        })
        .collect();
    let bytes: usize = frames.iter().map(|(_, bytes)| bytes).sum();
    let took = frames[frames.len() - 1].0 - frames[0].0;
    let spoken = Duration::from_millis(bytes as u64 / 8);
    assert!(took < spoken / 8, "{took:?} for {spoken:?}");
    assert!(
        frames.iter().any(|(_, bytes)| bytes % 160 != 0),
        "{frames:?}"
    );
}

#[test]
fn who_speaks_while_the_agent_speaks_is_listened_to() {
    let slow = &["agent-slow:ms=0,percent=100"];
    let mut line = Line::open(slow);
    line.text(&settings(&json!({
        "greeting": "I will now tell you a very long story about everything that there is."
    })));
    line.pass(Duration::from_millis(200));
    line.quiet(2_000);
    line.say("Stop.");
    assert_eq!(
        line.told(),
        [
            "Welcome",
            "SettingsApplied",
            "agent: I will now tell you a very long story about everything that there is.",
            "AgentStartedSpeaking",
            "audio",
            "UserStartedSpeaking",
            "user: Stop.",
            "AgentThinking",
            "agent: You said: Stop.",
            "AgentStartedSpeaking",
            "audio",
            "AgentAudioDone",
        ]
    );
    assert!(!line.heard().contains("everything"));
    assert!(line.heard().ends_with("You said: Stop."));
}

#[test]
fn injections_are_said_or_refused_by_who_speaks() {
    let inject = |behavior: &str| json!({ "type": "InjectAgentMessage", "message": "Still there?", "behavior": behavior });
    let mut line = Line::live(&settings(&json!({})));
    line.forget();
    line.text(&inject("default"));
    line.quiet(3_000);
    assert_eq!(line.heard(), "Still there?");

    // While the agent speaks, or what it said is still being played.
    line.forget();
    line.text(&inject("queue"));
    line.quiet(500);
    line.text(&inject("default"));
    let refusal = [
        "InjectionRefused",
        "warning INJECT_AGENT_MESSAGE_DURING_AGENT_SPEECH",
    ];
    assert!(line.told().ends_with(&refusal.map(str::to_owned)));
    line.text(&inject("queue"));
    line.quiet(3_000);
    assert_eq!(line.heard(), "Still there? Still there?");

    // While the user speaks.
    line.forget();
    line.audio(&speak("Hello").ulaw);
    line.text(&inject("queue"));
    let refusal = [
        "InjectionRefused",
        "warning INJECT_AGENT_MESSAGE_DURING_USER_SPEECH",
    ];
    assert!(line.told().ends_with(&refusal.map(str::to_owned)));
    line.text(&inject("interrupt"));
    line.quiet(400);
    assert_eq!(line.heard(), "Still there?");
}

#[test]
fn an_injected_text_of_the_user_is_answered() {
    let mut line = Line::live(&settings(&json!({})));
    line.forget();
    line.text(&json!({ "type": "InjectUserMessage", "content": "I pressed 1" }));
    line.quiet(2_000);
    assert_eq!(line.told()[..2], ["user: I pressed 1", "AgentThinking"]);
    assert_eq!(line.heard(), "You said: I pressed 1");
}
