//! A call's events over the API: a page, Server-Sent Events, a WebSocket.

use serde_json::{Value, json};

use crate::support::{CALL_SID, Deepgram, Phone, Running, config};
use crate::wire::{EventStream, Socket, get, request};

fn events_of(query: &str) -> String {
    format!("/api/v1/calls/{CALL_SID}/events{query}")
}

/// A call on which the fake Deepgram has said its one final.
async fn a_call_that_was_heard(gateway: &Running) -> Phone {
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone
        .start(
            &["inbound"],
            json!({"from": "+15550001", "to": "+15550002"}),
        )
        .await;
    for frame in 0..50 {
        phone.media("inbound", 57 + frame * 20, &[0x55; 160]).await;
    }
    gateway.event(CALL_SID, "transcript.final").await;
    phone
}

fn seqs(events: &[Value]) -> Vec<u64> {
    events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn calls_are_listed_and_shown() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let mut phone = a_call_that_was_heard(&gateway).await;
    let one = get(gateway.address, &format!("/api/v1/calls/{CALL_SID}")).await;
    assert_eq!(one.header("content-type"), Some("application/json"));
    assert_eq!(one.json()["status"], "live");
    assert_eq!(one.json()["last_text"], "hello there");
    for (query, count) in [
        ("", 1),
        ("?status=live&from=%2B15550001&limit=1", 1),
        ("?to=+15550002", 1),
        ("?status=ended", 0),
        ("?from=%2B1999", 0),
    ] {
        let list = get(gateway.address, &format!("/api/v1/calls{query}"))
            .await
            .json();
        assert_eq!(list["items"].as_array().unwrap().len(), count, "{query}");
        assert_eq!(list["next_cursor"], Value::Null, "{query}");
    }
    phone.stop().await;
    gateway.no_live_call().await;
    let ended = get(gateway.address, "/api/v1/calls?status=ended")
        .await
        .json();
    assert_eq!(ended["items"][0]["end_reason"], "stop");
    gateway.stop().await;
}

#[tokio::test]
async fn a_page_holds_the_events_in_order_and_the_next_page_goes_on() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let mut phone = a_call_that_was_heard(&gateway).await;
    phone.stop().await;
    gateway.no_live_call().await;

    let all = get(gateway.address, &events_of("")).await.json();
    let all = all["items"].as_array().unwrap();
    assert_eq!(seqs(all), (1..=all.len() as u64).collect::<Vec<_>>());
    assert_eq!(all[0]["type"], "call.started");
    assert_eq!(all.last().unwrap()["type"], "call.ended");

    let (mut paged, mut cursor) = (Vec::new(), String::new());
    loop {
        let page = get(gateway.address, &events_of(&format!("?limit=1{cursor}")))
            .await
            .json();
        paged.extend(page["items"].as_array().unwrap().clone());
        let Some(next) = page["next_cursor"].as_str() else {
            break;
        };
        cursor = format!("&cursor={next}");
    }
    assert_eq!(&paged, all);

    let finals = get(gateway.address, &events_of("?types=transcript.*"))
        .await
        .json();
    assert_eq!(finals["items"].as_array().unwrap().len(), 1);
    assert_eq!(finals["items"][0]["data"]["text"], "hello there");
    assert_eq!(finals["next_cursor"], Value::Null);
    let after = get(gateway.address, &events_of("?after=1")).await.json();
    assert_eq!(after["items"][0]["seq"], 2);
    let beyond = get(gateway.address, &events_of("?after=1000")).await.json();
    assert_eq!(beyond, json!({"items": [], "next_cursor": null}));
    gateway.stop().await;
}

#[tokio::test]
async fn parameters_that_are_wrong_are_refused_in_every_form() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let phone = a_call_that_was_heard(&gateway).await;
    for query in ["?after=-1", "?after=x", "?types=nothing", "?types=a,,b"] {
        for accept in ["application/json", "text/event-stream"] {
            let headers = [("Accept", accept)];
            let answer = request(gateway.address, "GET", &events_of(query), &headers, "").await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (400, "invalid_request")
            );
        }
        let refused = Socket::try_open(gateway.address, &events_of(query), &[])
            .await
            .err();
        assert_eq!(refused, Some(400), "{query}");
    }
    let unknown = events_of("").replace(CALL_SID, &CALL_SID.replace('1', "2"));
    assert_eq!(
        Socket::try_open(gateway.address, &unknown, &[]).await.err(),
        Some(404)
    );
    drop(phone);
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_stream_of_events_has_the_past_then_the_present_and_ends_with_the_call() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let mut phone = a_call_that_was_heard(&gateway).await;
    let mut stream = EventStream::open(gateway.address, &events_of(""), "").await;
    assert_eq!(stream.frame().await.as_deref(), Some("retry: 1000"));
    phone.stop().await;
    let events = stream.events_until_end().await;
    assert_eq!(seqs(&events), (1..=events.len() as u64).collect::<Vec<_>>());
    assert_eq!(events.last().unwrap()["type"], "call.ended");

    let last_seq = events.len() as u64;
    let headers = format!("Last-Event-ID: {}\r\nConnection: close\r\n", last_seq - 1);
    let mut resumed = EventStream::open(gateway.address, &events_of("?after=1"), &headers).await;
    resumed.frame().await.unwrap();
    assert_eq!(seqs(&resumed.events_until_end().await), [last_seq]);

    let id = last_seq.to_string();
    let headers = [
        ("Accept", "text/event-stream"),
        ("Last-Event-ID", id.as_str()),
    ];
    let over = request(gateway.address, "GET", &events_of(""), &headers, "").await;
    assert_eq!(over.status, 204);
    gateway.stop().await;
}

#[tokio::test]
async fn a_socket_of_events_has_the_wanted_ones_and_closes_with_the_call() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let mut phone = a_call_that_was_heard(&gateway).await;
    let target = events_of("?types=transcript.final,call.*");
    let mut socket = Socket::open(gateway.address, &target).await;
    let mut types = Vec::new();
    let code = loop {
        match socket.next().await {
            Ok(text) => {
                let event: Value = serde_json::from_str(&text).unwrap();
                types.push(event["type"].as_str().unwrap().to_owned());
                if types.len() == 2 {
                    phone.stop().await;
                }
            }
            Err(code) => break code,
        }
    };
    assert_eq!(types, ["call.started", "transcript.final", "call.ended"]);
    assert_eq!(code, 1000);

    let mut late = Socket::open(gateway.address, &events_of("?after=1000")).await;
    assert_eq!(late.next().await, Err(1000));
    gateway.stop().await;
}

#[tokio::test]
async fn a_browser_offers_its_token_as_a_protocol_and_gets_the_name_back() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let phone = a_call_that_was_heard(&gateway).await;
    let protocols = [("Sec-WebSocket-Protocol", "bearer, some-token")];
    // tungstenite fails when the answer names no protocol that was offered.
    assert!(
        Socket::try_open(gateway.address, &events_of(""), &protocols)
            .await
            .is_ok()
    );
    drop(phone);
    gateway.no_live_call().await;
    gateway.stop().await;
}
