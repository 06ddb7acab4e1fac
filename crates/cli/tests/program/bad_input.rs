//! Streams that break the protocol: closed with a reason and counted, and nobody else notices.

use futures_util::SinkExt as _;
use sidetone_simulator::voice;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use crate::deepgram::{Recorder, emulated};
use crate::serve::{Serve, serve};
use crate::twilio::{Socket, Stream, call_sid, start_text, stream_sid};
use crate::watching::{call_until, metric, rejected, rejected_for};
use crate::web::{ended, get, types, words};

/// Something a stream may not say, the code it is closed with, and a word of the reason.
type Fault = (Message, u16, &'static str);

fn text(text: impl Into<String>) -> Message {
    Message::text(text.into())
}

fn not_utf8() -> Message {
    Message::Frame(Frame::message(
        vec![b'{', 0xC3, 0x28],
        OpCode::Data(Data::Text),
        true,
    ))
}

fn too_long() -> Message {
    text(format!(
        r#"{{"event":"media","padding":"{}"}}"#,
        "x".repeat(64 * 1024)
    ))
}

fn media(stream: u32, media: &str) -> Message {
    let stream = stream_sid(stream);
    text(format!(
        r#"{{"event":"media","sequenceNumber":"2","media":{media},"streamSid":"{stream}"}}"#
    ))
}

/// What is wrong at any time.
fn never_allowed() -> Vec<Fault> {
    vec![
        (Message::binary(vec![1, 2, 3]), 1003, "binary"),
        (Message::binary(Vec::new()), 1003, "binary"),
        (text("hello"), 1007, "JSON"),
        (text(""), 1007, "JSON"),
        (text(r#"{"event":"media""#), 1007, "JSON"),
        (not_utf8(), 1007, "UTF-8"),
        (text("[]"), 1008, "JSON object"),
        (text("7"), 1008, "JSON object"),
        (
            text(r#"{"event":"mark","event":"stop"}"#),
            1008,
            "JSON object",
        ),
        (text("{}"), 1008, "event"),
        (text(r#"{"event":7}"#), 1008, "event"),
        (
            text(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#),
            1008,
            "",
        ),
        (too_long(), 1009, "64 KiB"),
    ]
}

/// What is wrong before `start`, or is a wrong `start`.
fn wrong_start() -> Vec<Fault> {
    let good = start_text(1, 1, &["inbound"], "{}");
    let call = call_sid(1);
    let changed = |from: &str, to: &str| {
        assert!(good.contains(from), "{from}");
        text(good.replace(from, to))
    };
    vec![
        (
            media(1, r#"{"track":"inbound","timestamp":"5","payload":"/w=="}"#),
            1008,
            "start",
        ),
        (text(r#"{"event":"stop","stop":{}}"#), 1008, "start"),
        (text(r#"{"event":"start"}"#), 1008, "start"),
        (
            changed(&format!(r#""callSid":"{call}","#), ""),
            1008,
            "callSid",
        ),
        (changed(&call, "CA1"), 1008, "callSid"),
        (changed(r#"["inbound"]"#, "[]"), 1008, "tracks"),
        (changed(r#"["inbound"]"#, r#"["both"]"#), 1008, "tracks"),
        (changed("audio/x-mulaw", "audio/x-l16"), 1008, "mediaFormat"),
        (changed(":8000", ":16000"), 1008, "mediaFormat"),
        (
            changed(r#""customParameters":{}"#, r#""customParameters":7"#),
            1008,
            "customParameters",
        ),
    ]
}

/// What is wrong on a stream that has started on its inbound track.
fn wrong_when_started() -> Vec<Fault> {
    let payload = r#""payload":"/w==""#;
    vec![
        (text(start_text(1, 1, &["inbound"], "{}")), 1008, "start"),
        (
            media(
                1,
                &format!(r#"{{"track":"both","timestamp":"5",{payload}}}"#),
            ),
            1008,
            "track",
        ),
        (
            media(
                1,
                &format!(r#"{{"track":"outbound","timestamp":"5",{payload}}}"#),
            ),
            1008,
            "track",
        ),
        (
            media(
                1,
                &format!(r#"{{"track":"inbound","timestamp":"-5",{payload}}}"#),
            ),
            1008,
            "timestamp",
        ),
        (
            media(1, &format!(r#"{{"track":"inbound",{payload}}}"#)),
            1008,
            "timestamp",
        ),
        (
            media(1, r#"{"track":"inbound","timestamp":"5"}"#),
            1008,
            "payload",
        ),
        (
            media(1, r#"{"track":"inbound","timestamp":"5","payload":7}"#),
            1008,
            "payload",
        ),
        (media(1, "[]"), 1008, "media"),
        (
            media(
                9,
                &format!(r#"{{"track":"inbound","timestamp":"5",{payload}}}"#),
            ),
            1008,
            "streamSid",
        ),
    ]
}

/// Sends what may not be sent, and expects the close that it is answered with.
async fn check(serve: &Serve, socket: &mut Socket, (message, code, reason): Fault) {
    let before = rejected(serve).await;
    let shown = format!("{message:?}").chars().take(120).collect::<String>();
    socket.0.send(message).await.unwrap();
    let (found, words) = socket
        .closed()
        .await
        .unwrap_or_else(|| panic!("no Close for {shown}"));
    assert_eq!(found, code, "{words} for {shown}");
    assert!(
        words.contains(reason) && !words.is_empty(),
        "`{words}` for {shown}"
    );
    assert_eq!(rejected(serve).await, before + 1.0, "{shown}");
}

#[tokio::test]
async fn a_stream_that_breaks_the_protocol_is_closed_and_its_neighbour_is_heard() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let ws = serve.ws("/twilio");
    let speech =
        voice::speak("hello, I am calling about my order, and I have been waiting for a long time");
    let mut neighbour = Stream::start(&ws, 99, 99, &["inbound"]).await;
    let conversation = async {
        neighbour.play("inbound", 57, &speech.ulaw).await;
        neighbour.stop(99).await;
    };
    let faults = async {
        for fault in never_allowed().into_iter().chain(wrong_start()) {
            let mut stream = Stream::connected(&ws, 1).await;
            check(&serve, &mut stream.socket, fault).await;
        }
        for (call, fault) in (2..).zip(never_allowed().into_iter().chain(wrong_when_started())) {
            let mut stream = Stream::start(&ws, call, 1, &["inbound"]).await;
            check(&serve, &mut stream.socket, fault).await;
        }
    };
    tokio::join!(conversation, faults);
    assert_eq!(
        get(&serve, &format!("/api/v1/calls/{}", call_sid(1)))
            .await
            .0,
        404
    );
    let events = ended(&serve, &call_sid(99)).await;
    let said: Vec<&str> = speech.words.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(words(&events, "inbound"), said);
}

#[tokio::test]
async fn a_call_whose_stream_broke_the_protocol_ends_with_an_error() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.media("inbound", 57, &[7; 160]).await;
    stream.socket.send("nonsense").await;
    assert_eq!(stream.socket.closed().await.expect("a Close comes").0, 1007);
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "error");
    // What came before the fault was heard.
    recorder
        .until("its audio", |all| all.iter().any(|c| c.audio == [7; 160]))
        .await;
}

#[tokio::test]
async fn a_stream_that_does_not_start_in_time_is_closed() {
    let serve = serve()
        .toml("[limits]\nstart_timeout_secs = 1\n")
        .start()
        .await;
    let mut silent = Socket::connect(&serve.ws("/twilio"), &[]).await.unwrap();
    let mut connected = Stream::connected(&serve.ws("/media"), 1).await;
    // What is ignored is no start either.
    connected.socket.send(r#"{"event":"weather"}"#).await;
    for socket in [&mut silent, &mut connected.socket] {
        let (code, reason) = socket.closed().await.expect("a Close comes");
        assert_eq!((code, reason.as_str()), (1008, "no start within 1 s"));
    }
    assert_eq!(rejected_for(&serve, "start_timeout").await, 2.0);
}

#[tokio::test]
async fn one_undecodable_payload_is_counted_and_skipped() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.media("inbound", 57, &[1; 160]).await;
    let before = rejected(&serve).await;
    for payload in ["!!!!", "/w=", "/w==x", "é"] {
        let bad = format!(r#"{{"track":"inbound","timestamp":"77","payload":"{payload}"}}"#);
        stream.socket.0.send(media(1, &bad)).await.unwrap();
    }
    stream.media("inbound", 77, &[2; 160]).await;
    call_until(&serve, &call_sid(1), |call| {
        call["audio"]["inbound"]["frames"] == 2
    })
    .await;
    assert_eq!(rejected(&serve).await, before + 4.0);
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "stop");
    assert_eq!(
        recorder.connections()[0].audio,
        [[1; 160], [2; 160]].concat()
    );
    assert_eq!(metric(&serve, "sidetone_media_frames_total").await, 2.0);
}

#[tokio::test]
async fn events_and_fields_that_are_not_known_are_ignored() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = Stream::connected(&serve.ws("/twilio"), 1).await;
    stream
        .socket
        .send(r#"{"event":"weather","weather":{"sun":true}}"#)
        .await;
    let start = start_text(1, 1, &["inbound"], "{}");
    stream
        .socket
        .send(start.replacen('{', r#"{"edge":{"name":"dublin"},"#, 1))
        .await;
    stream.socket.send(r#"{"event":"weather"}"#).await;
    stream
        .socket
        .send(r#"{"event":"mark","mark":{"name":"nobody sent it"}}"#)
        .await;
    let extra = r#"{"track":"inbound","timestamp":"57","payload":"\/w==","codec":"pcmu"}"#;
    stream.socket.0.send(media(1, extra)).await.unwrap();
    stream
        .socket
        .0
        .send(Message::Ping(vec![1].into()))
        .await
        .unwrap();
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(types(&events), ["call.started", "call.ended"]);
    assert_eq!(events[1]["data"]["audio"]["inbound"]["frames"], 1);
    assert_eq!(recorder.connections()[0].audio, [0xFF]);
    assert_eq!(rejected(&serve).await, 0.0);
}

#[tokio::test]
async fn a_peer_that_talks_on_still_gets_to_read_why_it_was_closed() {
    let serve = serve().start().await;
    for first in [Message::binary(vec![0; 3]), too_long()] {
        let mut socket = Socket::connect(&serve.ws("/twilio"), &[]).await.unwrap();
        let expected = if first.is_binary() { 1003 } else { 1009 };
        socket.0.feed(first).await.unwrap();
        for _ in 0..40 {
            socket.0.feed(text("x".repeat(20_000))).await.unwrap();
        }
        socket.0.flush().await.unwrap();
        assert_eq!(socket.closed().await.expect("a Close comes").0, expected);
    }
}

#[tokio::test]
async fn a_message_in_pieces_is_taken_and_measured_as_one() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let piece = |bytes: &[u8], kind, is_last| {
        Message::Frame(Frame::message(bytes.to_vec(), OpCode::Data(kind), is_last))
    };
    let mut stream = Stream::connected(&serve.ws("/twilio"), 1).await;
    let start = start_text(1, 1, &["inbound"], "{}");
    let (head, tail) = start.as_bytes().split_at(100);
    stream
        .socket
        .0
        .send(piece(head, Data::Text, false))
        .await
        .unwrap();
    stream
        .socket
        .0
        .send(piece(tail, Data::Continue, true))
        .await
        .unwrap();
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    let half = [b' '; 40 * 1024];
    stream
        .socket
        .0
        .send(piece(&half, Data::Text, false))
        .await
        .unwrap();
    stream
        .socket
        .0
        .send(piece(&half, Data::Continue, true))
        .await
        .unwrap();
    assert_eq!(stream.socket.closed().await.expect("a Close comes").0, 1009);
}

#[tokio::test]
async fn a_message_of_exactly_64_kib_is_taken() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    call_until(&serve, &call_sid(1), |call| {
        call["provider"]["state"] == "connected"
    })
    .await;
    let bare = r#"{"event":"media","sequenceNumber":"2","streamSid":"","media":{"track":"inbound","timestamp":"5","payload":""}}"#;
    let room = 64 * 1024 - bare.len() - stream_sid(1).len();
    let payload = "/".repeat(room / 4 * 4);
    let message = bare
        .replace(
            r#""streamSid":"""#,
            &format!(r#""streamSid":"{}""#, stream_sid(1)),
        )
        .replace(r#""payload":"""#, &format!(r#""payload":"{payload}""#));
    let padding = " ".repeat(64 * 1024 - message.len());
    stream.socket.send(message + &padding).await;
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "stop");
    assert_eq!(
        events.last().unwrap()["data"]["audio"]["inbound"]["frames"],
        1
    );
}
