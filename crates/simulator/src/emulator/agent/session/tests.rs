mod faults;
mod functions;
mod line;
mod turns;

use bytes::Bytes;
use serde_json::json;
use sidetone_audio::ulaw::SILENCE;

use self::line::{Line, lookup, secs, settings, think};
use super::*;
use crate::voice::speak;

#[test]
fn the_order_of_the_protocol_is_kept() {
    let good = settings(&json!({}));
    for (messages, code) in [
        (
            vec![json!({ "type": "KeepAlive" })],
            "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS",
        ),
        (
            vec![json!({ "type": "Nonsense" })],
            "UNPARSABLE_CLIENT_MESSAGE",
        ),
        (vec![good.clone(), good.clone()], "SETTINGS_ALREADY_APPLIED"),
        (
            vec![
                good.clone(),
                json!({ "type": "InjectUserMessage", "content": "x" }),
            ],
            "UNPARSABLE_CLIENT_MESSAGE",
        ),
    ] {
        let mut line = Line::open(&[]);
        messages.iter().for_each(|message| line.text(message));
        line.pass(secs(1));
        let expected = ["Welcome", &format!("error {code}"), "close 1008"];
        assert_eq!(line.told(), expected, "{messages:?}");
    }
    let mut line = Line::open(&[]);
    line.audio(&[SILENCE; 160]);
    assert_eq!(line.told()[1], "error NON_SETTINGS_MESSAGE_BEFORE_SETTINGS");
    let mut line = Line::open(&[]);
    line.text(&good);
    line.handle(Input::Audio(Bytes::from_static(&[SILENCE; 160])));
    assert_eq!(line.told()[1], "error UNPARSABLE_CLIENT_MESSAGE");
    let mut line = Line::live(&good);
    line.handle(Input::Text("{"));
    assert_eq!(
        line.told()[2..],
        ["error UNPARSABLE_CLIENT_MESSAGE", "close 1008"]
    );
    let mut line = Line::live(&good);
    line.text(&good);
    assert_eq!(line.told()[2], "error SETTINGS_ALREADY_APPLIED");
}

#[test]
fn who_is_silent_for_ten_seconds_is_given_up_and_a_keep_alive_helps() {
    let mut line = Line::live(&settings(&json!({})));
    line.pass(Duration::from_millis(9_900));
    line.text(&json!({ "type": "KeepAlive" }));
    line.pass(Duration::from_millis(9_900));
    assert_eq!(line.told(), ["Welcome", "SettingsApplied"]);
    line.pass(secs(1));
    assert_eq!(
        line.told()[2..],
        ["error CLIENT_MESSAGE_TIMEOUT", "close 1008"]
    );

    let mut line = Line::open(&["agent-keep-alive-ignored"]);
    line.apply(&settings(&json!({})));
    line.pass(secs(8));
    line.text(&json!({ "type": "KeepAlive" }));
    line.pass(secs(3));
    assert_eq!(line.told()[2], "error CLIENT_MESSAGE_TIMEOUT");
}

#[test]
fn a_session_can_be_changed_while_it_lasts() {
    let mut line = Line::live(&settings(&think(&lookup())));
    line.say("What are your instructions?");
    assert_eq!(line.heard(), "My instructions are: Be kind.");

    line.forget();
    line.text(&json!({ "type": "UpdatePrompt", "prompt": "Be brief." }));
    line.say("Your instructions?");
    assert_eq!(line.heard(), "My instructions are: Be kind. Be brief.");

    line.forget();
    let mut other = think(&json!([]))["think"].clone();
    other["prompt"] = json!("Be rude.");
    line.text(&json!({ "type": "UpdateThink", "think": other }));
    line.say("Your instructions?");
    assert_eq!(line.heard(), "My instructions are: Be rude.");
    line.say("Order four.");
    assert!(line.heard().ends_with("You said: Order four."));

    line.forget();
    let voice = json!({ "provider": { "type": "deepgram", "model": "aura-2-zeus-en" } });
    line.text(&json!({ "type": "UpdateSpeak", "speak": voice }));
    let flux = json!({ "type": "deepgram", "version": "v2", "model": "flux-general-en" });
    line.text(&json!({ "type": "ForceEndTurn" }));
    line.text(&json!({ "type": "UpdateListen", "listen": { "provider": flux } }));
    assert_eq!(
        line.told(),
        [
            "SpeakUpdated",
            "warning FORCE_END_TURN_UNSUPPORTED",
            "ListenUpdated"
        ]
    );
    line.forget();
    line.audio(&speak("Hello").ulaw);
    line.text(&json!({ "type": "ForceEndTurn" }));
    assert_eq!(
        line.told()[..3],
        ["UserStartedSpeaking", "EndOfTurn", "user: Hello"]
    );
}

#[test]
fn an_update_that_does_not_fit_ends_the_session() {
    let mut line = Line::live(&settings(&json!({})));
    let voice = json!({ "provider": { "type": "deepgram", "model": "nova-3" } });
    line.text(&json!({ "type": "UpdateSpeak", "speak": voice }));
    assert_eq!(line.told()[2..], ["error INVALID_SETTINGS", "close 1008"]);
}

#[test]
fn a_conversation_that_goes_on_elsewhere_is_known() {
    let mut line = Line::live(&settings(&json!({
        "context": { "messages": [
            { "type": "History", "role": "user", "content": "I like tea." },
            { "type": "History", "role": "assistant", "content": "Good." },
            { "type": "History", "function_calls": [] },
        ] },
    })));
    line.say("What did I say?");
    assert_eq!(line.heard(), "Before, you said: I like tea.");
}

#[test]
fn a_session_has_its_longest_length_and_is_warned_of_it() {
    let mut line = Line::live(&settings(&json!({})));
    for _ in 0..(2 * 60 * 12) {
        line.pass(secs(5));
        line.text(&json!({ "type": "KeepAlive" }));
    }
    let at = |short: &str| {
        let index = line.told().iter().position(|told| told == short).unwrap();
        line.sent[index].0.as_secs()
    };
    assert_eq!(at("warning MAXIMUM_SESSION_LENGTH_APPROACHING"), 115 * 60);
    assert_eq!(at("error MAXIMUM_SESSION_LENGTH_REACHED"), 120 * 60);

    let mut line = Line::open(&["agent-session-length:ms=2400"]);
    line.apply(&settings(&json!({})));
    assert_eq!(
        line.told()[2..],
        [
            "warning MAXIMUM_SESSION_LENGTH_APPROACHING",
            "error MAXIMUM_SESSION_LENGTH_REACHED",
            "close 1000"
        ]
    );
}

#[test]
fn a_record_tells_what_was_said_when_and_hides_secrets() {
    let mut agent = think(&json!([]));
    agent["think"]["endpoint"] = json!({
        "url": "https://example.com",
        "headers": { "authorization": "Bearer hidden" },
    });
    let mut line = Line::live(&settings(&agent));
    line.say("Hello.");
    drop(line.session);
    let told = line.records.to_json();
    let session = &told[0];
    assert!(!told.to_string().contains("hidden"), "{told}");
    assert_eq!(session["ended"], "left by the client");
    assert_eq!(session["settings"]["tags"], json!(["sidetone", "CA1"]));
    let messages = session["messages"].as_array().unwrap();
    let kinds: Vec<_> = messages
        .iter()
        .map(|line| {
            (
                line["from"].as_str().unwrap(),
                line["message"]["type"].as_str(),
            )
        })
        .collect();
    assert_eq!(
        kinds[..4],
        [
            ("server", Some("Welcome")),
            ("client", Some("Settings")),
            ("server", Some("SettingsApplied")),
            ("client", None),
        ]
    );
    let audio = messages
        .iter()
        .find(|line| line["from"] == "server" && line["message"].is_null());
    let audio = audio.unwrap();
    assert!(audio["last_ms"].as_f64().unwrap() >= audio["ms"].as_f64().unwrap());
}
