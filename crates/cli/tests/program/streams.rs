//! A stream's way through a call: what ends it, what it is heard as, and what a
//! second one does.

use futures_util::{SinkExt as _, StreamExt as _};
use sidetone_simulator::voice::{self, Speech};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::deepgram::{Recorder, emulated};
use crate::serve::{serve, soon};
use crate::twilio::{Stream, call_sid, stream_sid};
use crate::watching::{call_until, end_reason, event, metric};
use crate::web::{ended, get, types, words};

const BOTH: [&str; 2] = ["inbound", "outbound"];

fn said(speech: &Speech) -> Vec<&str> {
    speech.words.iter().map(|word| word.word.as_str()).collect()
}

#[tokio::test]
async fn a_stream_ends_by_stop_by_its_close_or_by_losing_its_socket() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let ws = serve.ws("/twilio");
    let mut streams = Vec::new();
    for call in 1..=3 {
        let mut stream = Stream::start(&ws, call, call, &["inbound"]).await;
        stream.media("inbound", 57, &[7; 160]).await;
        call_until(&serve, &call_sid(call), |c| {
            c["audio"]["inbound"]["frames"] == 1
        })
        .await;
        streams.push(stream);
    }
    drop(streams.pop());
    streams.pop().unwrap().socket.0.close(None).await.unwrap();
    streams.pop().unwrap().stop(1).await;
    assert_eq!(end_reason(&serve, 1).await, "stop");
    assert_eq!(end_reason(&serve, 2).await, "disconnected");
    assert_eq!(end_reason(&serve, 3).await, "disconnected");
    assert_eq!(metric(&serve, "sidetone_calls_total").await, 3.0);
    assert_eq!(metric(&serve, "sidetone_calls_live").await, 0.0);
}

#[tokio::test]
async fn a_stop_is_answered_with_the_end_of_the_socket() {
    let serve = serve().start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.say_stop(1).await;
    let (code, _) = stream.socket.closed().await.expect("a Close comes");
    assert_eq!(code, 1000);
}

#[tokio::test]
async fn pings_and_closes_are_answered() {
    async fn ping(stream: &mut Stream, payload: &'static str) {
        stream
            .socket
            .0
            .send(Message::Ping(payload.into()))
            .await
            .unwrap();
        let answer = soon("the pong", stream.socket.0.next())
            .await
            .unwrap()
            .unwrap();
        assert_eq!(answer, Message::Pong(payload.into()));
    }
    let serve = serve().start().await;
    let mut stream = Stream::connected(&serve.ws("/twilio"), 1).await;
    ping(&mut stream, "before start").await;
    stream.say_start(1, &["inbound"], "{}").await;
    event(&serve, &call_sid(1), "call.started").await;
    ping(&mut stream, "after start").await;
    let farewell = CloseFrame {
        code: 1000.into(),
        reason: "over".into(),
    };
    stream
        .socket
        .0
        .send(Message::Close(Some(farewell)))
        .await
        .unwrap();
    assert_eq!(stream.socket.closed().await.expect("a Close comes").0, 1000);
}

#[tokio::test]
async fn a_stream_that_follows_within_two_seconds_keeps_the_call() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let (ws, hello, morning) = (
        serve.ws("/twilio"),
        voice::speak("hello"),
        voice::speak("good morning"),
    );
    let mut stream = Stream::start(&ws, 1, 1, &["inbound"]).await;
    stream.play("inbound", 57, &hello.ulaw).await;
    stream.stop(1).await;
    let mut stream = Stream::start(&ws, 1, 2, &["inbound"]).await;
    call_until(&serve, &call_sid(1), |call| {
        call["stream_sid"] == stream_sid(2)
    })
    .await;
    stream.play("inbound", 57, &morning.ulaw).await;
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(words(&events, "inbound"), ["hello", "good", "morning"]);
    let ends = types(&events)
        .into_iter()
        .filter(|t| t.starts_with("call."))
        .collect::<Vec<_>>();
    assert_eq!(ends, ["call.started", "call.ended"]);
    // The second stream's words stand after the first one's.
    let finals = events
        .iter()
        .filter(|event| event["type"] == "transcript.final");
    let starts: Vec<u64> = finals
        .flat_map(|event| event["data"]["words"].as_array().unwrap())
        .map(|word| word["start_ms"].as_u64().unwrap())
        .collect();
    assert!(
        starts.is_sorted() && starts[1] * 8 >= hello.ulaw.len() as u64,
        "{starts:?}"
    );
}

#[tokio::test]
async fn a_stream_after_the_end_reopens_the_call() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let (ws, hello, morning) = (
        serve.ws("/twilio"),
        voice::speak("hello"),
        voice::speak("good morning"),
    );
    let mut stream = Stream::start(&ws, 1, 1, &["inbound"]).await;
    stream.play("inbound", 57, &hello.ulaw).await;
    stream.stop(1).await;
    let former = ended(&serve, &call_sid(1)).await;

    let mut stream = Stream::start(&ws, 1, 2, &["inbound"]).await;
    let resumed = event(&serve, &call_sid(1), "call.resumed").await;
    assert_eq!(resumed["seq"], former.len() + 1);
    assert_eq!(resumed["data"]["status"], "live");
    assert_eq!(resumed["data"]["ended_at"], serde_json::Value::Null);
    assert_eq!(resumed["data"]["end_reason"], serde_json::Value::Null);
    assert_eq!(
        resumed["data"]["started_at"],
        former[0]["data"]["started_at"]
    );
    let (_, call) = get(&serve, &format!("/api/v1/calls/{}", call_sid(1))).await;
    assert_eq!(call["status"], "live");
    stream.play("inbound", 57, &morning.ulaw).await;
    stream.stop(1).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "ended").await;

    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(words(&events, "inbound"), ["hello", "good", "morning"]);
    let seqs: Vec<u64> = events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
    let ends = types(&events)
        .into_iter()
        .filter(|t| t.starts_with("call."))
        .collect::<Vec<_>>();
    assert_eq!(
        ends,
        ["call.started", "call.ended", "call.resumed", "call.ended"]
    );
    let frames = |speech: &Speech| speech.ulaw.len().div_ceil(160) as u64;
    let counted = &events.last().unwrap()["data"]["audio"]["inbound"]["frames"];
    assert_eq!(*counted, frames(&hello) + frames(&morning));
}

#[tokio::test]
async fn both_tracks_of_one_stream_are_heard_apart() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &BOTH).await;
    let (caller, callee) = (
        voice::speak("hello my friend"),
        voice::speak("good morning sir"),
    );
    let mut due = tokio::time::interval(std::time::Duration::from_millis(20));
    let mut tracks = [caller.ulaw.chunks(160), callee.ulaw.chunks(160)];
    for timestamp in (57..).step_by(20) {
        due.tick().await;
        let frames = tracks.each_mut().map(Iterator::next);
        if frames == [None, None] {
            break;
        }
        for (track, frame) in BOTH.into_iter().zip(frames) {
            if let Some(frame) = frame {
                stream.media(track, timestamp, frame).await;
            }
        }
    }
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(words(&events, "inbound"), said(&caller));
    assert_eq!(words(&events, "outbound"), said(&callee));
    for event in events
        .iter()
        .filter(|event| event["type"] == "transcript.final")
    {
        let channel = u64::from(event["data"]["track"] == "outbound");
        assert_eq!(event["data"]["channel"], channel, "{event}");
    }
    let call = &events.last().unwrap()["data"];
    assert_eq!(call["tracks"], serde_json::json!(BOTH));
    assert_eq!(call["audio"]["inbound"]["gap_ms"], 0);
}

#[tokio::test]
async fn one_stream_for_each_track_makes_one_call() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let ws = serve.ws("/twilio");
    let (caller, callee) = (
        voice::speak("hello my friend"),
        voice::speak("good morning sir"),
    );
    let mut inbound = Stream::start(&ws, 1, 1, &["inbound"]).await;
    let mut outbound = Stream::start(&ws, 1, 2, &["outbound"]).await;
    tokio::join!(
        inbound.play("inbound", 57, &caller.ulaw),
        outbound.play("outbound", 99, &callee.ulaw),
    );
    inbound.stop(1).await;
    outbound.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(words(&events, "inbound"), said(&caller));
    assert_eq!(words(&events, "outbound"), said(&callee));
    assert_eq!(
        events.last().unwrap()["data"]["tracks"],
        serde_json::json!(BOTH)
    );
    let ends = types(&events)
        .into_iter()
        .filter(|t| t.starts_with("call."))
        .collect::<Vec<_>>();
    assert_eq!(ends, ["call.started", "call.ended"]);
}

#[tokio::test]
async fn of_parallel_forks_the_newest_has_the_track() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let (ws, call) = (serve.ws("/twilio"), call_sid(1));
    let frames =
        |wanted: u64| move |call: &serde_json::Value| call["audio"]["inbound"]["frames"] == wanted;
    let mut old = Stream::start(&ws, 1, 1, &["inbound"]).await;
    old.media("inbound", 57, &[1; 160]).await;
    call_until(&serve, &call, frames(1)).await;
    let mut new = Stream::start(&ws, 1, 2, &["inbound"]).await;
    call_until(&serve, &call, |call| call["stream_sid"] == stream_sid(2)).await;
    new.media("inbound", 5, &[2; 160]).await;
    call_until(&serve, &call, frames(2)).await;
    // Counted, not relayed.
    old.media("inbound", 77, &[1; 160]).await;
    call_until(&serve, &call, frames(3)).await;
    // When the newest ends, the track is the older one's again.
    new.say_stop(1).await;
    assert!(new.socket.closed().await.is_some());
    old.media("inbound", 97, &[3; 160]).await;
    call_until(&serve, &call, frames(4)).await;
    old.stop(1).await;
    let events = ended(&serve, &call).await;
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "stop");
    let sent: Vec<u8> = recorder
        .connections()
        .iter()
        .flat_map(|c| c.audio.clone())
        .collect();
    let count = |byte: u8| sent.iter().filter(|sent| **sent == byte).count();
    assert_eq!((count(1), count(2), count(3)), (160, 160, 160));
}

#[tokio::test]
async fn a_stream_of_which_nothing_is_heard_is_dead() {
    let recorder = Recorder::start().await;
    let toml = "[limits]\nidle_timeout_secs = 1\n";
    let serve = serve().toml(toml).deepgram(&recorder.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.media("inbound", 57, &[7; 160]).await;
    assert!(stream.socket.closed().await.is_some());
    assert_eq!(end_reason(&serve, 1).await, "idle_timeout");
}

#[tokio::test]
async fn a_call_without_audio_begins_and_ends_like_any_other() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let stream = Stream::start(&serve.ws("/twilio"), 1, 1, &BOTH).await;
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(types(&events), ["call.started", "call.ended"]);
    let call = &events[1]["data"];
    assert_eq!(call["duration_ms"], 0);
    assert_eq!(call["end_reason"], "stop");
    assert_eq!(call["last_text"], serde_json::Value::Null);
    assert_eq!(call["provider"]["state"], "closed");
}

#[tokio::test]
async fn keys_pressed_on_a_bidirectional_stream_are_events() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio/agent"), 1, 1, &["inbound"]).await;
    let sid = stream_sid(1);
    for digit in ["5", "#"] {
        let dtmf = format!(
            r#"{{"event":"dtmf","streamSid":"{sid}","sequenceNumber":"5","dtmf":{{"track":"inbound_track","digit":"{digit}"}}}}"#
        );
        stream.socket.send(dtmf).await;
    }
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(
        types(&events),
        ["call.started", "dtmf", "dtmf", "call.ended"]
    );
    assert_eq!(
        events[1]["data"],
        serde_json::json!({"track": "inbound", "digit": "5"})
    );
    assert_eq!(
        events[2]["data"],
        serde_json::json!({"track": "inbound", "digit": "#"})
    );
}
