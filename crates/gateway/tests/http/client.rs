//! `/client`, the subscriber protocol.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use crate::support::{CALL_SID, Deepgram, Phone, Running, config};
use crate::wire::{Socket, metric, metric_becomes};

const SUBSCRIBERS: &str = "sidetone_subscribers";

async fn a_live_call(gateway: &Running) -> Phone {
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone
        .start(
            &["inbound"],
            json!({"from": "+15550001", "to": "+15550002"}),
        )
        .await;
    gateway.call(CALL_SID).await;
    phone
}

/// Enough audio for the fake Deepgram to say something.
async fn speak(phone: &mut Phone) {
    for frame in 0..50 {
        phone.media("inbound", 57 + frame * 20, &[0x55; 160]).await;
    }
}

#[tokio::test]
async fn a_subscriber_sees_the_live_calls_and_gets_the_messages_of_one_until_it_ends() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let mut phone = a_live_call(&gateway).await;

    let mut client = Socket::open(gateway.address, "/client").await;
    assert_eq!(client.next().await.unwrap(), format!("[\"{CALL_SID}\"]"));
    client
        .0
        .send(Message::text(format!("  {CALL_SID}\n")))
        .await
        .unwrap();
    let mut by_number = Socket::open(gateway.address, "/client").await;
    by_number.next().await.unwrap();
    by_number.0.send(Message::text("+15550002")).await.unwrap();
    // What the phone says is only heard by those who have begun to read.
    client.is_heard().await;
    by_number.is_heard().await;
    assert_eq!(metric(gateway.address, SUBSCRIBERS).await, 2.0);

    speak(&mut phone).await;
    for client in [&mut client, &mut by_number] {
        let message: Value = serde_json::from_str(&client.next().await.unwrap()).unwrap();
        assert_eq!(message["type"], "Results");
        assert_eq!(
            message["channel"]["alternatives"][0]["transcript"],
            "hello there"
        );
    }
    phone.stop().await;
    for client in [&mut client, &mut by_number] {
        let end = loop {
            if let Err(code) = client.next().await {
                break code;
            }
        };
        assert_eq!(end, 1000);
    }
    metric_becomes(gateway.address, SUBSCRIBERS, 0.0).await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_latest_call_is_waited_for() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let mut client = Socket::open(gateway.address, "/client").await;
    assert_eq!(client.next().await.unwrap(), "[]");
    client.0.send(Message::text("latest")).await.unwrap();
    let mut phone = a_live_call(&gateway).await;
    phone.stop().await;
    let end = loop {
        if let Err(code) = client.next().await {
            break code;
        }
    };
    assert_eq!(end, 1000);
    gateway.stop().await;
}

#[tokio::test]
async fn a_call_that_does_not_come_is_waited_for_for_a_minute() {
    let gateway = Running::start(config("ws://127.0.0.1:9")).await;
    for name in ["latest", "+15550002"] {
        let mut client = Socket::open(gateway.address, "/client").await;
        client.next().await.unwrap();
        tokio::time::pause();
        let asked = Instant::now();
        client.0.send(Message::text(name)).await.unwrap();
        let code = loop {
            match client.0.next().await {
                Some(Ok(Message::Close(Some(close)))) => break close.code,
                Some(Ok(Message::Ping(_))) => {}
                other => panic!("{other:?}"),
            }
        };
        let waited = asked.elapsed().as_secs();
        tokio::time::resume();
        assert_eq!((code, waited), (CloseCode::Policy, 60), "{name}");
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_names_no_live_call_is_closed_with_a_reason() {
    let gateway = Running::start(config("ws://127.0.0.1:9")).await;
    for name in [CALL_SID, "CA1", "", "hello"] {
        let mut client = Socket::open(gateway.address, "/client").await;
        client.next().await.unwrap();
        client.0.send(Message::text(name)).await.unwrap();
        assert_eq!(client.next().await, Err(1008), "{name}");
    }
    let rejected = "sidetone_rejected_total{reason=\"unknown_call\"}";
    assert_eq!(metric(gateway.address, rejected).await, 4.0);
    gateway.stop().await;
}

#[tokio::test]
async fn a_subscriber_that_waits_is_let_go_when_the_gateway_ends() {
    let gateway = Running::start(config("ws://127.0.0.1:9")).await;
    let mut client = Socket::open(gateway.address, "/client").await;
    client.next().await.unwrap();
    client.0.send(Message::text("latest")).await.unwrap();
    metric_becomes(gateway.address, SUBSCRIBERS, 1.0).await;
    let (code, ()) = tokio::join!(client.next(), gateway.stop());
    assert_eq!(code, Err(1001));
}
