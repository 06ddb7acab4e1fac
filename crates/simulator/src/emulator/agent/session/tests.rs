mod line;

use bytes::Bytes;
use serde_json::json;
use sidetone_audio::ulaw::SILENCE;
use sidetone_deepgram::agent::message::{FunctionCall, HistoryItem};

use self::line::{Line, lookup, secs, settings, think};
use super::*;
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
