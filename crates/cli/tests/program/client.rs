//! `/client`: the subscriber protocol of the tutorials.

use std::time::Duration;

use serde_json::Value;

use crate::readers::{drain, look};
use crate::scripted::{Connection, METADATA, Scripted, results};
use crate::serve::{Serve, serve, soon};
use crate::twilio::{Socket, Stream, call_sid, start_text};
use crate::watching::{call_until, rejected_for};
use crate::web::ended;

async fn client(serve: &Serve) -> Socket {
    Socket::connect(&serve.ws("/client"), &[]).await.unwrap()
}

/// A client that has read the list of live calls and named one.
async fn subscriber(serve: &Serve, wanted: &str) -> Socket {
    let mut socket = client(serve).await;
    assert!(socket.text().await.unwrap().starts_with('['));
    socket.send(wanted).await;
    socket
}

/// A live call with its connection to Deepgram, on which nothing was said yet.
async fn live_call(serve: &Serve, deepgram: &Scripted, call: u32) -> (Stream, Connection) {
    let mut stream = Stream::start(&serve.ws("/twilio"), call, call, &["inbound"]).await;
    stream.media("inbound", 20, &[0x55; 160]).await;
    let connection = deepgram.accept().await;
    call_until(serve, &call_sid(call), |call| {
        call["provider"]["state"] == "connected"
    })
    .await;
    (stream, connection)
}

/// Waits until these clients have been given their call: what Deepgram says next, they all get.
async fn subscribed(deepgram: &mut Connection, readers: &mut [&mut Socket]) {
    // Whether a client has its call is only seen by what it gets, so something is said until then.
    let marker = r#"{"type":"Marker"}"#;
    for reader in readers {
        let first = async {
            loop {
                tokio::select! {
                    text = reader.text() => return text,
                    () = tokio::time::sleep(Duration::from_millis(20)) => {
                        deepgram.say(marker).await;
                    }
                }
            }
        };
        assert_eq!(soon("a subscription", first).await.as_deref(), Some(marker));
    }
}

/// The next text that is no marker.
async fn said(reader: &mut Socket) -> Option<String> {
    loop {
        match reader.text().await {
            Some(text) if text.contains("Marker") => {}
            other => return other,
        }
    }
}

#[tokio::test]
async fn a_client_is_told_the_sids_of_the_live_calls() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    assert_eq!(client(&serve).await.text().await.unwrap(), "[]");
    let (first, connection) = live_call(&serve, &deepgram, 1).await;
    let (_second, _connection) = live_call(&serve, &deepgram, 2).await;
    let sids = async || {
        let list = client(&serve).await.text().await.unwrap();
        let mut sids: Vec<String> = serde_json::from_str(&list).unwrap();
        sids.sort();
        sids
    };
    assert_eq!(sids().await, [call_sid(1), call_sid(2)]);
    tokio::join!(first.stop(1), connection.finish(&[METADATA]));
    ended(&serve, &call_sid(1)).await;
    assert_eq!(sids().await, [call_sid(2)]);
}

#[tokio::test]
async fn messages_come_byte_for_byte_until_the_call_ends() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (stream, mut connection) = live_call(&serve, &deepgram, 1).await;
    connection
        .say(r#"{"type":"SpeechStarted","channel":[0],"timestamp":0.1}"#)
        .await;
    let mut reader = subscriber(&serve, &format!(" \t{}\r\n", call_sid(1))).await;
    subscribed(&mut connection, &mut [&mut reader]).await;

    let spoken = [
        results(0, 0, 1000, "Hello there", false),
        results(0, 0, 1000, "Hello there.", true),
        // Spaces, escapes, unknown members, an order of its own: nobody may tidy that up.
        r#"{ "is_final":true ,"type" : "Results","channel":{"alternatives":[{"words":[{"word":"h\u00e9","start":1.0,"end":1.20,"confidence":1e0}],"transcript":"h\u00e9","confidence":0.50}]},"start":1.00,"duration":0.50,"new":[null,{}],"channel_index":[0,1]}"#.to_owned(),
        results(0, 1500, 2500, "", true),
        r#"{"type":"SpeechStarted","channel":[0],"timestamp":2.6}"#.to_owned(),
        r#"{"type":"UtteranceEnd","channel":[0,1],"last_word_end":1.2}"#.to_owned(),
        "{\"type\":\"SomethingNew\",\n \"text\":\"\u{1F600}\"}".to_owned(),
    ];
    for text in &spoken {
        connection.say(text.as_str()).await;
    }
    for text in &spoken {
        assert_eq!(said(&mut reader).await.as_ref(), Some(text));
    }
    let last = results(0, 2500, 3000, "bye", true);
    let (finished, ()) = tokio::join!(drain(&mut reader), async {
        stream.stop(1).await;
        connection.finish(&[&last, METADATA]).await;
    });
    assert_eq!(finished, (vec![last, METADATA.to_owned()], Some(1000)));
}

#[tokio::test]
async fn after_a_reconnect_times_are_of_the_call_and_nothing_final_comes_again() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.sound(5).await;
    let mut first = deepgram.accept().await;
    first.hear(8000).await;
    let mut reader = subscriber(&serve, &call_sid(1)).await;
    subscribed(&mut first, &mut [&mut reader]).await;
    let one_two = results(0, 0, 600, "one two", true);
    first.say(one_two.as_str()).await;
    assert_eq!(said(&mut reader).await, Some(one_two));
    first.cut();

    let mut second = deepgram.accept().await;
    let call = call_until(&serve, &call_sid(1), |call| {
        call["provider"]["reconnects"] == 1
    })
    .await;
    // The connection's own time began where its audio begins.
    let base_ms = 1000 - call["provider"]["replayed_ms"].as_u64().unwrap();
    second
        .hear(8 * (1000 - usize::try_from(base_ms).unwrap()))
        .await;
    // What was final already, what is new, and what is both.
    second.say(results(0, 0, 600 - base_ms, "two", true)).await;
    second
        .say(results(0, 600 - base_ms, 800 - base_ms, "three", false))
        .await;
    let interim: Value = serde_json::from_str(&said(&mut reader).await.unwrap()).unwrap();
    let expected = results(0, 600, 800, "three", false);
    assert_eq!(
        rounded(interim),
        serde_json::from_str::<Value>(&expected).unwrap()
    );
    second
        .say(results(
            0,
            600 - base_ms,
            1000 - base_ms,
            "three four",
            true,
        ))
        .await;
    let last: Value = serde_json::from_str(&said(&mut reader).await.unwrap()).unwrap();
    let expected = results(0, 600, 1000, "three four", true);
    assert_eq!(
        rounded(last),
        serde_json::from_str::<Value>(&expected).unwrap()
    );

    let ((texts, code), ()) = tokio::join!(drain(&mut reader), async {
        stream.stop(1).await;
        second.finish(&[METADATA]).await;
    });
    assert_eq!((texts.len(), code), (1, Some(1000)), "{texts:?}");
    assert!(texts[0].contains(r#""type":"Metadata""#), "{texts:?}");
}

/// A message whose times are rounded to milliseconds.
fn rounded(mut message: Value) -> Value {
    fn round(at: &mut Value) {
        if let Some(secs) = at.as_f64() {
            *at = ((secs * 1000.0).round() / 1000.0).into();
        }
    }
    round(&mut message["start"]);
    round(&mut message["duration"]);
    for word in message["channel"]["alternatives"][0]["words"]
        .as_array_mut()
        .unwrap()
    {
        round(&mut word["start"]);
        round(&mut word["end"]);
    }
    message
}

#[tokio::test]
async fn latest_is_the_newest_live_call() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (_first, mut older) = live_call(&serve, &deepgram, 1).await;
    let (_second, mut newer) = live_call(&serve, &deepgram, 2).await;
    let mut reader = subscriber(&serve, "latest").await;
    subscribed(&mut newer, &mut [&mut reader]).await;
    older.say(r#"{"type":"Older"}"#).await;
    newer.say(r#"{"type":"Newer"}"#).await;
    assert_eq!(said(&mut reader).await.unwrap(), r#"{"type":"Newer"}"#);
}

#[tokio::test]
async fn latest_and_numbers_are_waited_for() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let mut latest = subscriber(&serve, "latest\n").await;
    let mut caller = subscriber(&serve, "+14155550123").await;
    let mut called = subscriber(&serve, " +15005550006 ").await;
    let mut other = subscriber(&serve, "+15005550009").await;

    let mut stream = Stream::connected(&serve.ws("/twilio"), 1).await;
    let numbers = r#"{"from":"+14155550123","to":"+15005550006"}"#;
    stream.say_start(1, &["inbound"], numbers).await;
    let mut connection = deepgram.accept().await;
    let readers = &mut [&mut latest, &mut caller, &mut called];
    subscribed(&mut connection, readers).await;
    let (drained, ()) = tokio::join!(
        async {
            (
                drain(&mut latest).await,
                drain(&mut caller).await,
                drain(&mut called).await,
            )
        },
        async {
            stream.stop(1).await;
            connection.finish(&[METADATA]).await;
        }
    );
    for (texts, code) in [drained.0, drained.1, drained.2] {
        assert_eq!(texts.last().map(String::as_str), Some(METADATA));
        assert_eq!(code, Some(1000));
    }
    // This one waits on; the gateway's end is the end of its wait.
    other.0.close(None).await.unwrap();
}

#[tokio::test]
async fn of_the_calls_of_a_number_the_newest_live_one_is_read() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let mut calls = Vec::new();
    for call in 1..=3 {
        let mut stream = Stream::connected(&serve.ws("/twilio"), call).await;
        stream
            .say_start(call, &["inbound"], r#"{"to":"+15005550006"}"#)
            .await;
        stream.media("inbound", 20, &[0x55; 160]).await;
        calls.push((stream, deepgram.accept().await));
    }
    let (newest, connection) = calls.pop().unwrap();
    tokio::join!(newest.stop(3), connection.finish(&[METADATA]));
    ended(&serve, &call_sid(3)).await;
    let mut reader = subscriber(&serve, "+15005550006").await;
    let (_stream, wanted) = &mut calls[1];
    subscribed(wanted, &mut [&mut reader]).await;
}

#[tokio::test]
async fn a_number_that_is_withheld_by_one_call_finds_the_call_that_has_it() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let mut stream = Stream::connected(&serve.ws("/twilio"), 1).await;
    stream
        .say_start(1, &["inbound"], r#"{"from":"+14155550123"}"#)
        .await;
    let mut wanted = deepgram.accept().await;
    let (_newer, _connection) = live_call(&serve, &deepgram, 2).await;
    let mut reader = subscriber(&serve, "+14155550123").await;
    subscribed(&mut wanted, &mut [&mut reader]).await;
}

#[tokio::test]
async fn what_is_no_live_call_is_refused_with_a_reason() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (stream, connection) = live_call(&serve, &deepgram, 2).await;
    tokio::join!(stream.stop(2), connection.finish(&[METADATA]));
    ended(&serve, &call_sid(2)).await;

    let (unknown, over) = (call_sid(1), call_sid(2));
    for named in [unknown.as_str(), &over, "", "hello", "14155550123", "{}"] {
        let (code, reason) = subscriber(&serve, named).await.closed().await.unwrap();
        assert_eq!(code, 1008, "{named}");
        assert!(!reason.is_empty(), "{named}");
    }
    assert!(rejected_for(&serve, "unknown_call").await >= 6.0);
}

#[tokio::test]
async fn a_client_that_names_no_call_within_ten_seconds_is_closed() {
    let serve = serve().start().await;
    let mut silent = client(&serve).await;
    assert_eq!(silent.text().await.unwrap(), "[]");
    let (code, reason) = silent.closed().await.unwrap();
    assert_eq!(code, 1008);
    assert!(!reason.is_empty());
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_nobody_else_notices() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (stream, mut connection) = live_call(&serve, &deepgram, 1).await;
    let mut asleep = subscriber(&serve, &call_sid(1)).await;
    let mut awake = subscriber(&serve, "latest").await;
    subscribed(&mut connection, &mut [&mut asleep, &mut awake]).await;

    // More than the sockets' buffers of both ends and the 4 MB that may wait.
    let padding = "x".repeat(1 << 20);
    for n in 0..24 {
        let long = format!(r#"{{"type":"Long","n":{n},"padding":"{padding}"}}"#);
        connection.say(long.as_str()).await;
        let got = said(&mut awake).await.unwrap();
        assert!(got == long, "message {n} is another");
    }
    let (texts, code) = drain(&mut asleep).await;
    assert_eq!(code, Some(1013));
    let got = texts.iter().filter(|text| text.contains("Long")).count();
    assert!(got < 24, "it got all, so nothing ever waited");

    let (finished, ()) = tokio::join!(drain(&mut awake), async {
        stream.stop(1).await;
        connection.finish(&[METADATA]).await;
    });
    assert_eq!(finished, (vec![METADATA.to_owned()], Some(1000)));
    assert_eq!(rejected_for(&serve, "subscriber_lagged").await, 1.0);
}

#[tokio::test]
async fn a_request_that_is_no_websocket_is_told_so() {
    let serve = serve().start().await;
    let answer = look(&serve, "/client").await;
    assert_eq!(answer.status, 426, "{answer:?}");
    assert_eq!(answer.header("upgrade"), "websocket");
}

#[tokio::test]
async fn what_a_client_says_later_is_ignored() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (_stream, mut connection) = live_call(&serve, &deepgram, 1).await;
    let mut reader = subscriber(&serve, &call_sid(1)).await;
    subscribed(&mut connection, &mut [&mut reader]).await;
    reader.send(call_sid(9)).await;
    reader.send(start_text(9, 9, &["inbound"], "{}")).await;
    connection.say(r#"{"type":"Next"}"#).await;
    assert_eq!(said(&mut reader).await.unwrap(), r#"{"type":"Next"}"#);
}
