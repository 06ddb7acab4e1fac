//! How sessions begin, end, and follow each other.

use std::time::Duration;

use serde_json::{Value, json};
use sidetone_deepgram::agent::link::{AgentLink, Event, Output, Recovered, Update};
use sidetone_deepgram::agent::message::Role;
use sidetone_deepgram::agent::settings::Settings;
use sidetone_deepgram::connection::Input;

use crate::rig::{Rig, events, ms, sent, untimed};

const STORED: &str = "fc553ec9-5874-49ca-a47c-b670d525a4b1";

fn minutes(minutes: u64) -> Duration {
    Duration::from_secs(60 * minutes)
}

#[track_caller]
fn assert_lost(outputs: &[Output], reason: &str) {
    let events = events(outputs);
    let [Event::Lost { reason: told }] = events.as_slice() else {
        panic!("{events:?}");
    };
    assert_eq!(told, reason);
}

#[test]
fn welcome_then_settings_then_ready() {
    let mut rig = Rig::new();
    rig.inject(1, "Wait.");
    assert_eq!(rig.settle()["agent"]["greeting"], "Hi.");
    let outputs = rig.event("SettingsApplied");
    assert_eq!(
        outputs[0],
        Output::Event(Event::Ready {
            request_id: Some("r1".into()),
            recovered: None
        })
    );
    assert_eq!(
        sent(&outputs),
        [json!({ "type": "InjectAgentMessage", "message": "Wait.", "behavior": "queue" })]
    );
    assert_eq!(rig.event("SettingsApplied"), []);
    assert_eq!(rig.event("Welcome"), []);
}

#[test]
fn what_does_not_come_in_ten_seconds_is_tried_again() {
    let nothing: fn(&mut Rig) = |_| {};
    let no_welcome: fn(&mut Rig) = |rig| drop(rig.opened());
    let no_settings_applied: fn(&mut Rig) = |rig| drop(rig.settle());
    for (prepare, reason) in [
        (nothing, "no connection to Deepgram came about within 10 s"),
        (no_welcome, "Deepgram sent no Welcome within 10 s"),
        (
            no_settings_applied,
            "Deepgram did not apply the Settings within 10 s",
        ),
    ] {
        let mut rig = Rig::new();
        prepare(&mut rig);
        let outputs = untimed(rig.wait(ms(10_250)));
        let [
            Output::Close { generation: 1 },
            Output::Event(Event::Disconnected {
                reason: told,
                attempt: 1,
                ..
            }),
            Output::Connect { generation: 2 },
        ] = outputs.as_slice()
        else {
            panic!("{outputs:?}");
        };
        assert_eq!(told, reason);
    }
}

#[test]
fn a_line_that_answers_no_ping_is_left() {
    let mut rig = Rig::greeted();
    let outputs = untimed(rig.wait_with(ms(9_999), false));
    assert!(events(&outputs).is_empty());
    let outputs = untimed(rig.wait_with(ms(1), false));
    assert!(matches!(
        outputs.as_slice(),
        [
            Output::Close { generation: 1 },
            Output::Event(Event::Disconnected { .. })
        ]
    ));
    let mut rig = Rig::greeted();
    let outputs = untimed(rig.wait(minutes(5)));
    assert!(events(&outputs).is_empty(), "pongs are life enough");
}

#[test]
fn a_lost_session_goes_on_in_another_with_what_was_heard_and_no_greeting() {
    let mut rig = Rig::live();
    let outputs = rig.text(Role::Assistant, "Hi.");
    let [Event::AgentSaid { said: greeting, .. }] = events(&outputs)[..] else {
        panic!("{outputs:?}");
    };
    let greeting = *greeting;
    rig.text(Role::User, "What is on?");
    let outputs = rig.text(Role::Assistant, "Much is on.");
    let [Event::AgentSaid { said: first, .. }] = events(&outputs)[..] else {
        panic!("{outputs:?}");
    };
    let first = *first;
    let outputs = rig.text(Role::Assistant, "And more.");
    let [Event::AgentSaid { said: last, .. }] = events(&outputs)[..] else {
        panic!("{outputs:?}");
    };
    let last = *last;
    rig.link.heard(first, last, "Much is");
    rig.link.heard(greeting, greeting, "");

    let outputs = rig.closed();
    assert_eq!(
        events(&outputs),
        [&Event::Disconnected {
            reason: "closed with 1011".into(),
            attempt: 1,
            request_id: Some("r1".into())
        }]
    );
    rig.wait(ms(250));
    let agent = rig.settle()["agent"].clone();
    assert_eq!(agent.get("greeting"), None);
    assert_eq!(
        agent["context"]["messages"],
        json!([
            { "type": "History", "role": "user", "content": "What is on?" },
            { "type": "History", "role": "assistant", "content": "Much is" },
        ])
    );
    let outputs = rig.event("SettingsApplied");
    assert_eq!(
        events(&outputs),
        [&Event::Ready {
            request_id: Some("r2".into()),
            recovered: Some(Recovered {
                outage: ms(250),
                replayed: ms(0)
            })
        }]
    );
}

#[test]
fn a_greeting_that_nobody_heard_is_given_by_the_next_session() {
    let mut rig = Rig::live();
    assert_eq!(rig.reconnect()["agent"]["greeting"], "Hi.");
}

#[test]
fn the_conversation_is_kept_in_bounded_room() {
    let mut rig = Rig::live();
    for n in 0..300 {
        rig.text(Role::User, &format!("{n} {}", "x".repeat(400)));
    }
    rig.event("UserStartedSpeaking");
    let messages = rig.reconnect()["agent"]["context"]["messages"].clone();
    let messages = messages.as_array().unwrap();
    let bytes: usize = messages
        .iter()
        .map(|m| m["content"].as_str().unwrap().len())
        .sum();
    assert!((60_000..=65_536).contains(&bytes), "{bytes}");
    assert!(
        messages.last().unwrap()["content"]
            .as_str()
            .unwrap()
            .starts_with("299 ")
    );

    let mut rig = Rig::live();
    for n in 0..300 {
        rig.text(Role::User, &n.to_string());
    }
    rig.event("UserStartedSpeaking");
    let messages = rig.reconnect()["agent"]["context"]["messages"].clone();
    assert_eq!(messages.as_array().unwrap().len(), 200);
}

#[test]
fn a_stored_agent_does_not_greet_twice() {
    let mut rig = Rig::with(Settings::from_agent(json!(STORED)).unwrap());
    rig.settle();
    rig.apply();
    assert_eq!(events(&rig.text(Role::Assistant, "Hi."))[..].len(), 1);
    assert_eq!(events(&rig.speaks(b"hi")).len(), 1);
    assert_eq!(rig.reconnect()["agent"], STORED);
    for outputs in [
        rig.text(Role::Assistant, "Hi."),
        rig.speaks(b"hi"),
        untimed(rig.wait(ms(100))),
        rig.speaks(b"hi"),
        rig.event("AgentAudioDone"),
    ] {
        assert_eq!(events(&outputs), [] as [&Event; 0]);
    }
    assert_eq!(
        events(&rig.text(Role::Assistant, "Still here."))[..].len(),
        1
    );
    assert_eq!(events(&rig.speaks(b"still here")).len(), 1);
}

#[test]
fn a_refusal_that_will_not_pass_is_the_end_at_once() {
    for status in [400, 401, 402, 403, 404] {
        let mut rig = Rig::new();
        assert_lost(&rig.refused(status), &format!("refused with {status}: no"));
        assert_eq!(rig.link.poll_timeout(), None);
    }
}

#[test]
fn settings_that_deepgram_does_not_take_are_the_end_at_once() {
    for code in [
        "INVALID_SETTINGS",
        "UNPARSABLE_CLIENT_MESSAGE",
        "USER_AUDIO_FORMAT",
        "INVALID_AGENT_ID",
    ] {
        let mut rig = Rig::new();
        rig.settle();
        let outputs = rig.error(code);
        assert_eq!(outputs[0], Output::Close { generation: 1 });
        assert_lost(&outputs, &format!("Bad. ({code})"));
        assert_eq!(rig.hear(&[1; 480]), []);
        assert_eq!(rig.link.poll_timeout(), None);
    }
}

#[test]
fn other_errors_begin_another_session() {
    for code in [
        "INTERNAL_SERVER_ERROR",
        "CLIENT_MESSAGE_TIMEOUT",
        "NON_EXISTENT_FUNCTION_CALLED",
        "MAXIMUM_SESSION_LENGTH_REACHED",
    ] {
        let mut rig = Rig::live();
        let outputs = rig.error(code);
        assert_eq!(outputs[0], Output::Close { generation: 1 });
        assert!(matches!(events(&outputs)[..], [Event::Disconnected { .. }]));
        assert!(matches!(
            untimed(rig.wait(ms(250)))[..],
            [Output::Connect { generation: 2 }]
        ));
    }
}

#[test]
fn a_failed_thought_leaves_the_session_as_it_is() {
    let mut rig = Rig::live();
    let outputs = rig.error("FAILED_TO_THINK");
    let expected = Event::Warning {
        code: "FAILED_TO_THINK".into(),
        description: "Bad.".into(),
    };
    assert_eq!(outputs, [Output::Event(expected)]);
    assert_eq!(events(&rig.text(Role::User, "Hello?")).len(), 1);
    assert!(matches!(
        events(&rig.closed())[..],
        [Event::Disconnected { .. }]
    ));
}

#[test]
fn three_reconnects_in_ten_seconds_are_enough() {
    let mut rig = Rig::new();
    for attempt in 1..=3 {
        let outputs = rig.refused(503);
        assert!(
            matches!(events(&outputs)[..], [Event::Disconnected { attempt: told, .. }] if *told == attempt)
        );
        let outputs = untimed(rig.wait(ms(1_000)));
        assert!(matches!(outputs[..], [Output::Connect { .. }]));
    }
    assert_lost(&rig.refused(503), "refused with 503: no");

    let mut rig = Rig::live();
    for _ in 0..10 {
        rig.wait(ms(3_500));
        rig.reconnect();
    }
    rig.wait(ms(8_000));
    rig.reconnect();
}

#[test]
fn after_thirty_seconds_without_a_session_there_is_no_agent() {
    let mut rig = Rig::new();
    let outputs = rig.wait(ms(60_000));
    let (at, last) = outputs.last().unwrap();
    assert_eq!(*at, ms(30_000));
    assert_lost(
        std::slice::from_ref(last),
        "no session with Deepgram's voice agent came about within 30 s",
    );

    let mut rig = Rig::new();
    let outputs = rig.give(Input::Refused {
        generation: 1,
        status: 429,
        words: "later",
        retry_after: Some(ms(40_000)),
    });
    assert_lost(&outputs, "refused with 429: later");
}

#[test]
fn what_an_old_connection_says_does_not_count() {
    let mut rig = Rig::live();
    rig.reconnect();
    let text = r#"{"type":"UserStartedSpeaking"}"#;
    assert_eq!(
        rig.give(Input::Text {
            generation: 1,
            text
        }),
        []
    );
    let audio = bytes::Bytes::from_static(b"x");
    assert_eq!(
        rig.give(Input::Binary {
            generation: 1,
            audio: &audio
        }),
        []
    );
    assert_eq!(
        rig.give(Input::Closed {
            generation: 1,
            code: None,
            reason: ""
        }),
        []
    );
}

#[test]
fn an_old_session_is_renewed_in_an_idle_moment() {
    let mut rig = Rig::greeted();
    rig.wait(minutes(60));
    let warning = json!({ "type": "Warning", "code": "MAXIMUM_SESSION_LENGTH_APPROACHING" });
    assert_eq!(rig.says(&warning), []);
    assert_eq!(rig.generation(), 1, "someone speaks");
    let outputs = rig.take(|link, now| link.set_idle(now, true));
    assert_eq!(
        outputs,
        [
            Output::Close { generation: 1 },
            Output::Connect { generation: 2 }
        ]
    );
    rig.hear(&[1; 480]);
    let settings = rig.settle();
    assert_eq!(settings["agent"].get("greeting"), None);
    assert_eq!(
        settings["agent"]["context"]["messages"][0]["content"],
        "Hi."
    );
    let outputs = rig.event("SettingsApplied");
    assert!(matches!(
        outputs[..],
        [
            Output::Event(Event::Ready {
                recovered: None,
                ..
            }),
            Output::SendAudio { .. }
        ]
    ));
}

#[test]
fn a_session_is_renewed_by_age_at_the_latest_moment() {
    let mut rig = Rig::greeted();
    rig.wait(minutes(119) - ms(1));
    assert_eq!(rig.generation(), 1);
    rig.wait(ms(1));
    assert_eq!(rig.generation(), 2);

    let mut rig = Rig::greeted();
    rig.take(|link, now| link.set_idle(now, true));
    rig.wait(minutes(114) - ms(1));
    assert_eq!(rig.generation(), 1);
    rig.wait(ms(1));
    assert_eq!(rig.generation(), 2, "an idle one before Deepgram warns");
}

#[test]
fn after_the_end_nothing_is_sent() {
    let states: [fn() -> Rig; 4] = [
        Rig::new,
        || {
            let mut rig = Rig::new();
            rig.settle();
            rig
        },
        Rig::live,
        || {
            let mut rig = Rig::live();
            rig.closed();
            rig
        },
    ];
    for (n, state) in states.into_iter().enumerate() {
        let mut rig = state();
        let outputs = rig.take(|link, _| link.finish());
        let was_up = n < 3;
        assert_eq!(
            outputs,
            if was_up {
                vec![Output::Close { generation: 1 }]
            } else {
                vec![]
            }
        );
        assert_eq!(rig.link.poll_timeout(), None);
        let prompt = Some("x".into());
        for outputs in [
            rig.hear(&[1; 480]),
            rig.inject(1, "x"),
            rig.update(Update {
                prompt,
                ..Update::default()
            }),
            rig.respond("f", "x"),
            rig.event("SettingsApplied"),
            rig.error("INVALID_SETTINGS"),
            rig.closed(),
            rig.take(AgentLink::handle_timeout),
            rig.take(|link, _| link.finish()),
        ] {
            assert_eq!(outputs, []);
        }
    }
}

fn prompt(text: &str) -> Update {
    Update {
        prompt: Some(text.into()),
        ..Update::default()
    }
}

#[test]
fn an_update_repeats_all_of_think_and_outlives_the_session() {
    let mut settings = json!({ "think": { "functions": [{ "name": "f", "description": "d", "parameters": {} }] } });
    let mut rig = Rig::with(Settings::from_agent(settings.take()).unwrap());
    rig.settle();
    rig.apply();
    let speak = json!({ "provider": { "type": "deepgram", "model": "aura-2-zeus-en" } });
    let outputs = rig.update(Update {
        prompt: Some("Be brief.".into()),
        speak: Some(speak.clone()),
        think: Some(json!({ "provider": { "type": "open_ai", "model": "gpt-5" } })),
    });
    let think = json!({
        "prompt": "Be brief.",
        "provider": { "type": "open_ai", "model": "gpt-5" },
        "functions": [{ "name": "f", "description": "d", "parameters": {} }],
    });
    assert_eq!(
        sent(&outputs),
        [
            json!({ "type": "UpdateThink", "think": think }),
            json!({ "type": "UpdateSpeak", "speak": speak }),
        ]
    );
    let agent = rig.reconnect()["agent"].clone();
    assert_eq!((&agent["think"], &agent["speak"]), (&think, &speak));
}

#[test]
fn an_update_before_the_settings_are_applied_is_in_them_or_follows_them() {
    let mut rig = Rig::new();
    assert_eq!(rig.update(prompt("One.")), []);
    assert_eq!(rig.settle()["agent"]["think"]["prompt"], "One.");
    assert_eq!(rig.update(prompt("Two.")), []);
    assert_eq!(rig.update(prompt("Three.")), []);
    let sent = sent(&rig.apply());
    let prompts: Vec<&Value> = sent
        .iter()
        .map(|message| &message["think"]["prompt"])
        .collect();
    assert_eq!(prompts, ["Three."]);
}

#[test]
fn an_update_of_a_stored_agent_is_told_to_every_session() {
    let mut rig = Rig::with(Settings::from_agent(json!(STORED)).unwrap());
    rig.settle();
    assert_eq!(rig.update(prompt("Be brief.")), []);
    let update = json!({ "type": "UpdatePrompt", "prompt": "Be brief." });
    assert_eq!(sent(&rig.apply()), std::slice::from_ref(&update));
    rig.closed();
    rig.wait(ms(250));
    rig.settle();
    assert_eq!(sent(&rig.apply()), [update]);
}

#[test]
fn an_update_that_deepgram_refuses_is_taken_back() {
    let mut rig = Rig::live();
    rig.update(prompt("Good."));
    rig.event("ThinkUpdated");
    rig.update(prompt("Bad."));
    let outputs = rig.error("UNPARSABLE_CLIENT_MESSAGE");
    assert!(matches!(
        events(&outputs)[..],
        [Event::Warning { .. }, Event::Disconnected { .. }]
    ));
    rig.wait(ms(250));
    assert_eq!(rig.settle()["agent"]["think"]["prompt"], "Good.");
    rig.apply();
    assert_lost(
        &rig.error("UNPARSABLE_CLIENT_MESSAGE"),
        "Bad. (UNPARSABLE_CLIENT_MESSAGE)",
    );
}
