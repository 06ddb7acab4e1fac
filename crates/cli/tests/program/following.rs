//! Following a call while it goes on: nothing is missed, nothing comes twice.

use std::time::Duration;

use serde_json::Value;

use crate::deepgram::emulated;
use crate::events::{end, live_call, path, seqs};
use crate::readers::{EventStream, durable, event, members};
use crate::scripted::{METADATA, Scripted, results};
use crate::serve::{Serve, serve, soon};
use crate::twilio::{Socket, Stream, call_sid};
use crate::watching::metric;
use crate::web::{ended, events};

const TRANSCRIPT: [&str; 9] = [
    "channel",
    "confidence",
    "end_ms",
    "latency_ms",
    "speech_final",
    "start_ms",
    "text",
    "track",
    "words",
];

#[tokio::test]
async fn a_reader_beyond_the_end_waits_for_what_comes_after() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (stream, mut connection) = live_call(&serve, &deepgram).await;
    let mut socket = Socket::connect(&serve.ws(&path("?after=3")), &[])
        .await
        .unwrap();
    let mut sse = EventStream::open(&serve, &path(""), &[("last-event-id", "3")]).await;
    for n in 0..4 {
        connection
            .say(results(0, n * 300, (n + 1) * 300, "hello", true))
            .await;
    }
    assert_eq!(event(&mut socket).await.unwrap()["seq"], 4);
    assert_eq!(sse.event().await.unwrap()["seq"], 4);
    end(stream, connection).await;
    assert_eq!(event(&mut socket).await.unwrap()["seq"], 5);
    assert_eq!(event(&mut socket).await.unwrap()["type"], "call.ended");
    assert_eq!(socket.closed().await.unwrap().0, 1000);
}

#[tokio::test]
async fn interims_come_after_the_event_they_follow_and_end_with_their_final() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (stream, mut connection) = live_call(&serve, &deepgram).await;
    let mut socket = Socket::connect(&serve.ws(&path("")), &[]).await.unwrap();
    let mut sse = EventStream::open(&serve, &path(""), &[]).await;
    assert_eq!(event(&mut socket).await.unwrap()["type"], "call.started");
    assert_eq!(sse.event().await.unwrap()["type"], "call.started");

    for (text, last) in [("Hello", false), ("Hello there.", true), ("How", false)] {
        let start_ms = if text == "How" { 1000 } else { 0 };
        connection
            .say(results(0, start_ms, start_ms + 1000, text, last))
            .await;
        let told = event(&mut socket).await.unwrap();
        let frame = loop {
            let frame = sse.frame().await.unwrap();
            if frame.event().is_some() {
                break frame;
            }
        };
        assert_eq!(frame.event().unwrap(), told);
        assert_eq!(told["data"]["text"], text);
        assert_eq!(members(&told["data"]), TRANSCRIPT);
        if last {
            assert_eq!(told["type"], "transcript.final");
            assert_eq!(frame.field("id"), Some("2"));
        } else {
            assert_eq!(told["type"], "transcript.interim");
            assert_eq!(
                members(&told),
                ["after_seq", "at", "call_sid", "data", "type"]
            );
            assert_eq!(told["after_seq"], if text == "How" { 2 } else { 1 });
            assert_eq!(frame.field("id"), None, "{frame:?}");
        }
    }
    // Who comes now sees the interim that stands, and none that a final has replaced.
    let mut late = Socket::connect(&serve.ws(&path("?types=transcript.*")), &[])
        .await
        .unwrap();
    assert_eq!(event(&mut late).await.unwrap()["seq"], 2);
    assert_eq!(event(&mut late).await.unwrap()["data"]["text"], "How");
    let only_finals = path("?types=transcript.final,call.ended");
    let mut finals = Socket::connect(&serve.ws(&only_finals), &[]).await.unwrap();
    assert_eq!(event(&mut finals).await.unwrap()["seq"], 2);
    let last = results(0, 1000, 2000, "How are you?", true);
    let last_words = [last.as_str(), METADATA];
    tokio::join!(stream.stop(1), connection.finish(&last_words));
    assert_eq!(event(&mut finals).await.unwrap()["seq"], 3);
    assert_eq!(event(&mut finals).await.unwrap()["type"], "call.ended");
    let all = events(&serve, &call_sid(1)).await;
    assert_eq!(seqs(&all), [1, 2, 3, 4], "{all:#?}");
}

#[tokio::test]
async fn a_reader_that_breaks_off_anywhere_misses_and_repeats_nothing() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (stream, mut connection) = live_call(&serve, &deepgram).await;
    let speaking = async {
        for n in 0..150 {
            let (start_ms, text) = (n * 10, format!("word{n}"));
            connection
                .say(results(0, start_ms, start_ms + 10, &text, n % 3 != 0))
                .await;
            // So that readers come while it goes on, and not all after it.
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        end(stream, connection).await;
    };
    // Each reader breaks off after another number of items, on SSE and on WebSockets in turn.
    let reading = (1..=6).map(|stamina| {
        let serve = &serve;
        async move {
            let (mut read, mut after) = (Vec::<Value>::new(), 0);
            while read
                .last()
                .is_none_or(|event| event["type"] != "call.ended")
            {
                let items = if read.len().is_multiple_of(2) {
                    some_by_sse(serve, after, stamina).await
                } else {
                    some_by_websocket(serve, after, stamina).await
                };
                for item in items {
                    if let Some(seq) = item.get("seq") {
                        after = seq.as_u64().unwrap();
                    } else {
                        assert!(item["after_seq"].as_u64().unwrap() <= after, "{item}");
                    }
                    read.push(item);
                }
            }
            durable(read)
        }
    });
    let (all_read, ()) = tokio::join!(futures_util::future::join_all(reading), speaking);
    let all = ended(&serve, &call_sid(1)).await;
    assert!(seqs(&all).into_iter().eq(1..=102), "{:?}", seqs(&all));
    for read in all_read {
        assert_eq!(seqs(&read), seqs(&all));
        assert_eq!(read, all);
    }
}

async fn some_by_sse(serve: &Serve, after: u64, count: usize) -> Vec<Value> {
    let after = after.to_string();
    let mut stream = EventStream::open(serve, &path(""), &[("last-event-id", &after)]).await;
    let mut items = Vec::new();
    while items.len() < count
        && let Some(item) = stream.event().await
    {
        items.push(item);
    }
    items
}

async fn some_by_websocket(serve: &Serve, after: u64, count: usize) -> Vec<Value> {
    let path = path(&format!("?after={after}"));
    let mut socket = Socket::connect(&serve.ws(&path), &[]).await.unwrap();
    let mut items = Vec::new();
    while items.len() < count
        && let Some(item) = event(&mut socket).await
    {
        items.push(item);
    }
    items
}

#[tokio::test]
async fn a_history_longer_than_memory_keeps_is_read_whole() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (stream, mut connection) = live_call(&serve, &deepgram).await;
    let mut early = Socket::connect(&serve.ws(&path("")), &[]).await.unwrap();
    for n in 0..1500 {
        connection
            .say(results(0, n, n + 1, &format!("word{n}"), true))
            .await;
    }
    let whole = |read: &[Value]| seqs(&durable(read.to_vec())).into_iter().eq(1..=1501);
    let mut read = Vec::new();
    while read.len() < 1501 {
        read.push(event(&mut early).await.unwrap());
    }
    assert!(whole(&read));
    let mut late = Socket::connect(&serve.ws(&path("")), &[]).await.unwrap();
    let mut sse = EventStream::open(&serve, &path(""), &[]).await;
    let (mut by_websocket, mut by_sse) = (Vec::new(), Vec::new());
    while by_websocket.len() < 1501 {
        by_websocket.push(event(&mut late).await.unwrap());
        by_sse.push(sse.event().await.unwrap());
    }
    assert!(whole(&by_websocket) && whole(&by_sse));
    assert_eq!(by_websocket, by_sse);
    end(stream, connection).await;
    assert_eq!(sse.event().await.unwrap()["type"], "call.ended");
    assert_eq!(sse.event().await, None);
}

#[tokio::test]
async fn a_reader_that_is_behind_gets_every_event_and_only_the_newest_interim() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (stream, mut connection) = live_call(&serve, &deepgram).await;
    let mut asleep = Socket::connect(&serve.ws(&path("")), &[]).await.unwrap();
    let mut awake = Socket::connect(&serve.ws(&path("")), &[]).await.unwrap();
    assert_eq!(event(&mut awake).await.unwrap()["seq"], 1);
    // Together more than the sockets' buffers of both ends.
    let long = "x".repeat(200_000);
    for n in 0..60 {
        let text = if n % 10 == 9 {
            format!("word{n}")
        } else {
            format!("{n}{long}")
        };
        connection
            .say(results(0, n * 30, (n + 1) * 30, &text, n % 10 == 9))
            .await;
        assert_eq!(event(&mut awake).await.unwrap()["data"]["text"], text);
    }
    let (mut finals, mut interims) = (Vec::new(), 0);
    while finals.len() < 7 {
        let item = event(&mut asleep).await.unwrap();
        if item.get("seq").is_some() {
            finals.push(item);
        } else {
            interims += 1;
        }
    }
    assert_eq!(seqs(&finals), [1, 2, 3, 4, 5, 6, 7]);
    assert!(
        interims < 54,
        "it got every interim, so it never was behind"
    );
    assert!(metric(&serve, "sidetone_subscriber_interims_skipped_total").await > 0.0);
    end(stream, connection).await;
}

#[tokio::test]
async fn latency_is_counted_from_the_arrival_of_the_words() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let speech = sidetone_simulator::voice::speak("thank you");
    let end_ms = stream.play("inbound", 20, &speech.ulaw).await;
    stream.play("inbound", end_ms, &[0xFF; 8000]).await;
    stream.stop(1).await;
    let all = ended(&serve, &call_sid(1)).await;
    let latencies: Vec<u64> = all
        .iter()
        .filter(|event| event["type"] == "transcript.final")
        .map(|event| event["data"]["latency_ms"].as_u64().unwrap())
        .collect();
    assert!(!latencies.is_empty());
    // The emulator takes 200 to 400 ms; a machine that is busy adds to it.
    assert!(
        latencies.iter().all(|ms| (100..10_000).contains(ms)),
        "{latencies:?}"
    );
}

#[tokio::test]
async fn a_stream_of_events_that_is_quiet_says_so_by_comments() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (stream, mut connection) = live_call(&serve, &deepgram).await;
    let mut sse = EventStream::open(&serve, &path(""), &[]).await;
    let comment = async {
        loop {
            let frame = sse.frame().await.unwrap();
            if frame.field("").is_some() {
                return frame;
            }
        }
    };
    // Deepgram has to stay for as long; what it is sent is of no interest.
    let listening = async {
        loop {
            connection.hear(1).await;
        }
    };
    tokio::select! {
        frame = soon("a comment", comment) => assert_eq!(frame.0.len(), 1, "{frame:?}"),
        () = listening => {}
    }
    drop(stream);
}
