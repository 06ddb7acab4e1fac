//! A media stream through the gateway, seen from both of its sides: a socket that says what Twilio
//! says, and a small Deepgram that notes what it is sent.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

mod support;

use std::time::Duration;

use serde_json::json;
use sidetone_call::event::{EndReason, EventData};
use support::{CALL_SID, Deepgram, Phone, Running, config, events_until_end};
use tokio_tungstenite::tungstenite::Message;

#[tokio::test]
async fn a_call_is_heard_and_its_end_is_written() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;

    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone
        .start(&["inbound"], json!({"from": "+15550001", "tenant": "t-42"}))
        .await;
    for frame in 0..50 {
        phone.media("inbound", 57 + frame * 20, &[0x55; 160]).await;
    }
    phone.stop().await;
    assert_eq!(phone.close_code().await, Some(1000));

    let events = events_until_end(&gateway, CALL_SID).await;
    let [
        EventData::CallStarted(started),
        ..,
        EventData::CallEnded(ended),
    ] = events.as_slice()
    else {
        panic!("{events:?}");
    };
    assert_eq!(started.from.as_deref(), Some("+15550001"));
    assert_eq!(started.custom_parameters.len(), 1);
    assert_eq!(ended.end_reason, Some(EndReason::Stop));
    assert_eq!(ended.audio.inbound.frames, 50);
    assert_eq!(ended.duration_ms, 1000);

    let heard = deepgram.connections().await;
    assert_eq!(heard.len(), 1);
    assert_eq!(heard[0].authorization, "Token test-key");
    assert!(
        heard[0].query.contains("encoding=mulaw&sample_rate=8000"),
        "{}",
        heard[0].query
    );
    assert!(heard[0].query.contains(CALL_SID), "{}", heard[0].query);
    assert_eq!(heard[0].audio, [0x55; 8000]);
    gateway.stop().await;
}

#[tokio::test]
async fn words_reach_readers_of_the_log_and_of_the_messages() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone.start(&["inbound"], json!({})).await;
    let call = gateway.call(CALL_SID).await;
    let mut messages = call.messages();
    for frame in 0..50 {
        phone.media("inbound", 57 + frame * 20, &[0x55; 160]).await;
    }
    // The fake says one final for the first half second of audio.
    let message = support::within(messages.next()).await;
    assert!(
        format!("{message:?}").contains("hello there"),
        "{message:?}"
    );
    phone.stop().await;

    let events = events_until_end(&gateway, CALL_SID).await;
    let finals: Vec<_> = events
        .iter()
        .filter_map(|event| match event {
            EventData::TranscriptFinal(transcript) => Some(transcript.text.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(finals, ["hello there"]);
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_not_the_protocol_closes_the_socket_with_its_code() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let media = json!({
        "event": "media", "streamSid": support::STREAM_SID, "sequenceNumber": "1",
        "media": {"track": "inbound", "chunk": "1", "timestamp": "5", "payload": "//8="},
    });
    let cases: [(&str, Message, u16); 7] = [
        ("binary", Message::Binary(vec![1, 2, 3].into()), 1003),
        ("not JSON", Message::text("hello"), 1007),
        ("no event", Message::text("{}"), 1008),
        ("media before start", Message::text(media.to_string()), 1008),
        (
            "start without fields",
            Message::text(r#"{"event":"start","start":{}}"#),
            1008,
        ),
        ("too big", Message::text("x".repeat(70_000)), 1009),
        ("far too big", Message::text("x".repeat(4_000_000)), 1009),
    ];
    for (name, message, code) in cases {
        let mut phone = Phone::dial(gateway.address, "/twilio").await;
        phone.connected().await;
        phone.send(message).await;
        assert_eq!(phone.close_code().await, Some(code), "{name}");
    }

    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone.start(&["inbound"], json!({})).await;
    phone.start(&["inbound"], json!({})).await;
    assert_eq!(phone.close_code().await, Some(1008), "second start");
    let events = events_until_end(&gateway, CALL_SID).await;
    let Some(EventData::CallEnded(ended)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(ended.end_reason, Some(EndReason::Error));
    gateway.stop().await;
}

#[tokio::test]
async fn one_undecodable_payload_is_skipped() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone.start(&["inbound"], json!({})).await;
    phone.media("inbound", 5, &[0x55; 160]).await;
    phone.payload("inbound", 25, "not base64!").await;
    phone.media("inbound", 45, &[0x56; 160]).await;
    phone.stop().await;
    let events = events_until_end(&gateway, CALL_SID).await;
    let Some(EventData::CallEnded(ended)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(ended.audio.inbound.frames, 2);
    gateway.stop().await;
}

#[tokio::test]
async fn a_stream_without_a_start_is_closed() {
    let deepgram = Deepgram::start().await;
    let mut config = config(&deepgram.url);
    config.limits.start_timeout = Duration::from_millis(50);
    let gateway = Running::start(config).await;
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    assert_eq!(phone.close_code().await, Some(1008));
    gateway.stop().await;
}

#[tokio::test]
async fn a_full_node_refuses_the_stream_of_a_call_without_a_place() {
    let deepgram = Deepgram::start().await;
    let mut config = config(&deepgram.url);
    config.limits.max_calls = 1;
    let gateway = Running::start(config).await;
    let mut first = Phone::dial(gateway.address, "/twilio").await;
    first.connected().await;
    first.start(&["inbound"], json!({})).await;
    let call = gateway.call(CALL_SID).await;

    let mut second = Phone::dial(gateway.address, "/twilio").await;
    second.call_sid = "CA00000000000000000000000000000002".to_owned();
    second.connected().await;
    second.start(&["inbound"], json!({})).await;
    assert_eq!(second.close_code().await, Some(1013));
    assert_eq!(gateway.calls.live().len(), 1);
    drop(first);
    drop(call);
    events_until_end(&gateway, CALL_SID).await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_that_ended_is_reopened_by_a_later_stream() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    for _ in 0..2 {
        let mut phone = Phone::dial(gateway.address, "/twilio").await;
        phone.connected().await;
        phone.start(&["inbound"], json!({})).await;
        phone.media("inbound", 5, &[0x55; 160]).await;
        phone.stop().await;
        assert_eq!(phone.close_code().await, Some(1000));
        support::within(gateway.no_live_call()).await;
    }
    let events = events_until_end(&gateway, CALL_SID).await;
    let names: Vec<_> = events.iter().map(EventData::type_name).collect();
    assert_eq!(
        names,
        ["call.started", "call.ended", "call.resumed", "call.ended"]
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_refused_handshake_is_told_in_deepgrams_words() {
    let deepgram = Deepgram::refusing().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone.start(&["inbound"], json!({})).await;
    phone.media("inbound", 5, &[0x55; 160]).await;
    let warning = support::within(gateway.event(CALL_SID, "warning")).await;
    assert!(
        format!("{warning:?}").contains("Invalid credentials."),
        "{warning:?}"
    );
    phone.stop().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_drain_ends_the_calls_that_are_still_live() {
    let deepgram = Deepgram::start().await;
    let mut config = config(&deepgram.url);
    config.drain = Duration::from_millis(50);
    let gateway = Running::start(config).await;
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone.start(&["inbound"], json!({})).await;
    phone.media("inbound", 5, &[0x55; 160]).await;
    let call = gateway.call(CALL_SID).await;
    gateway.stop().await;
    assert_eq!(call.snapshot().end_reason, Some(EndReason::Shutdown));
    assert!(phone.close_code().await.is_some());
}
