//! The voice agent.

use sidetone_deepgram::agent::message::{ClientMessage, Role, ServerMessage};

use crate::capture;

#[test]
fn every_message_is_known_and_written_as_it_was_read() {
    for line in capture("agent-messages.ndjson") {
        let written = if line.dir == "in" {
            let message = ServerMessage::parse(&line.text).unwrap();
            assert!(!matches!(message, ServerMessage::Unknown { .. }));
            message.to_json()
        } else {
            let message = ClientMessage::parse(&line.text).unwrap();
            assert!(!matches!(message, ClientMessage::Unknown { .. }));
            message.to_json()
        };
        assert_eq!(written, line.text);
    }
}

#[test]
fn messages_that_differ_from_the_documented_shape_are_understood() {
    let messages: Vec<ServerMessage> = capture("agent-tolerance.ndjson")
        .iter()
        .map(|line| ServerMessage::parse(&line.text).unwrap())
        .collect();
    let [
        ServerMessage::Welcome { request_id },
        ServerMessage::ConversationText { role, .. },
        ServerMessage::AgentThinking { .. },
        ServerMessage::FunctionCallRequest { functions },
        ServerMessage::AgentStartedSpeaking(started),
        ServerMessage::LatencyReport(report),
        ServerMessage::InjectionRefused { message: None },
        ServerMessage::Error(error),
        ServerMessage::Unknown { kind },
    ] = messages.as_slice()
    else {
        panic!("{messages:?}")
    };
    assert!(request_id.is_some());
    assert_eq!(*role, Role::User);
    assert_eq!(functions[0].arguments, r#"{"city":"Oslo"}"#);
    assert!(functions[0].client_side);
    assert_eq!(
        (
            started.total_latency,
            started.tts_latency,
            started.ttt_latency
        ),
        (Some(1.23), Some(0.11), None)
    );
    assert_eq!(report.ttt_text_latency, None);
    assert_eq!(
        (error.code.as_str(), error.description.as_str()),
        ("INTERNAL_SERVER_ERROR", "")
    );
    assert_eq!(kind, "FrustrationDetected");
}

#[test]
fn what_is_no_message_is_an_error_that_names_its_type() {
    for (text, kind) in [
        ("", None),
        ("[]", None),
        (r#"{"type":7}"#, None),
        (
            r#"{"type":"ConversationText","role":"nobody","content":""}"#,
            Some("ConversationText"),
        ),
        (
            r#"{"type":"FunctionCallRequest","functions":[{"name":"no id"}]}"#,
            Some("FunctionCallRequest"),
        ),
    ] {
        let error = ServerMessage::parse(text).unwrap_err();
        assert_eq!(error.kind.as_deref(), kind, "{text}");
    }
    for text in [
        "KeepAlive",
        r#"{"type":"UpdateThink"}"#,
        r#"{"type":"InjectUserMessage"}"#,
    ] {
        assert!(ClientMessage::parse(text).is_err(), "{text}");
    }
}

#[test]
fn no_message_shows_in_a_log_what_people_said_or_set() {
    for line in capture("agent-messages.ndjson") {
        let shown = if line.dir == "in" {
            format!("{:?}", ServerMessage::parse(&line.text).unwrap())
        } else {
            format!("{:?}", ClientMessage::parse(&line.text).unwrap())
        };
        for private in [
            "Hello!",
            "weather in",
            "Oslo",
            "found",
            "Still there",
            "pressed",
            "Be brief",
            "customer",
        ] {
            assert!(!shown.contains(private), "{shown}");
        }
    }
}
