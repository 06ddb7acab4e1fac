//! A stream's way through a call: who may start one, what ends it, and what a second one does.

use futures_util::{SinkExt as _, StreamExt as _};
use sidetone_simulator::voice::{self, Speech};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;

use crate::deepgram::{Recorder, emulated};
use crate::requests::{call_status, stream_status, voice as webhook};
use crate::serve::{Serve, serve, soon};
use crate::twilio::{Socket, Stream, call_sid, stream_sid};
use crate::watching::{call_until, event, metric, rejected_for};
use crate::web::{ended, events, get, types, words};

const BOTH: [&str; 2] = ["inbound", "outbound"];

fn said(speech: &Speech) -> Vec<&str> {
    speech.words.iter().map(|word| word.word.as_str()).collect()
}

/// The reason in `call.ended`, once it is there.
async fn end_reason(serve: &Serve, call: u32) -> String {
    let events = ended(serve, &call_sid(call)).await;
    events.last().unwrap()["data"]["end_reason"]
        .as_str()
        .unwrap()
        .to_owned()
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
async fn a_callback_that_a_stream_stopped_ends_it_and_completed_ends_the_call() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let ws = serve.ws("/twilio");
    // No media came, so nothing speaks against the callbacks.
    let mut stopped = Stream::start(&ws, 1, 1, &["inbound"]).await;
    let mut completed = Stream::start(&ws, 2, 2, &["inbound"]).await;
    event(&serve, &call_sid(1), "call.started").await;
    event(&serve, &call_sid(2), "call.started").await;
    assert_eq!(
        stream_status(&serve, 1, 9, "stream-stopped")
            .post()
            .await
            .status,
        204
    );
    assert_eq!(
        stream_status(&serve, 2, 2, "stream-started")
            .post()
            .await
            .status,
        204
    );
    assert_eq!(
        stream_status(&serve, 1, 1, "stream-stopped")
            .post()
            .await
            .status,
        204
    );
    let status = call_status(&serve, 2, "completed").field("SipResponseCode", "200");
    assert_eq!(status.post().await.status, 204);
    assert!(stopped.socket.closed().await.is_some());
    assert!(completed.socket.closed().await.is_some());
    ended(&serve, &call_sid(1)).await;
    assert_eq!(end_reason(&serve, 2).await, "hangup");
    let events = events(&serve, &call_sid(2)).await;
    assert_eq!(
        types(&events),
        ["call.started", "call.status", "call.ended"]
    );
    assert_eq!(events[1]["data"]["status"], "completed");
    assert_eq!(events[1]["data"]["sip_code"], 200);
}

#[tokio::test]
async fn what_became_of_a_call_is_the_reason_of_its_end() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let outcomes = [
        ("busy", "busy"),
        ("no-answer", "no_answer"),
        ("failed", "failed"),
        ("canceled", "canceled"),
    ];
    let mut streams = Vec::new();
    for (call, (status, _)) in (1..).zip(outcomes) {
        streams.push(Stream::start(&serve.ws("/twilio"), call, call, &["inbound"]).await);
        event(&serve, &call_sid(call), "call.started").await;
        assert_eq!(call_status(&serve, call, status).post().await.status, 204);
    }
    for (call, (_, reason)) in (1..).zip(outcomes) {
        assert_eq!(end_reason(&serve, call).await, reason);
    }
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
async fn an_unproved_callback_is_not_believed_while_media_comes() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.play("inbound", 57, &[7; 320]).await;
    call_until(&serve, &call_sid(1), |c| {
        c["audio"]["inbound"]["frames"] == 2
    })
    .await;
    assert_eq!(call_status(&serve, 1, "completed").post().await.status, 204);
    assert_eq!(
        stream_status(&serve, 1, 1, "stream-stopped")
            .post()
            .await
            .status,
        204
    );
    assert_eq!(rejected_for(&serve, "unproved_callback").await, 2.0);
    stream.play("inbound", 97, &[8; 160]).await;
    recorder
        .until("later audio", |all| {
            all.iter().any(|c| c.audio.ends_with(&[8; 160]))
        })
        .await;
    stream.stop(1).await;
    assert_eq!(end_reason(&serve, 1).await, "stop");
}

#[tokio::test]
async fn callbacks_for_a_call_that_is_not_here_are_taken_in_silence() {
    let serve = serve().start().await;
    assert_eq!(call_status(&serve, 1, "completed").post().await.status, 204);
    assert_eq!(
        stream_status(&serve, 1, 1, "stream-stopped")
            .post()
            .await
            .status,
        204
    );
    assert_eq!(
        get(&serve, "/api/v1/calls").await.1["items"]
            .as_array()
            .unwrap()
            .len(),
        0
    );
}

#[tokio::test]
async fn what_twilio_says_of_a_call_is_an_event_once() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    event(&serve, &call_sid(1), "call.started").await;
    for status in ["ringing", "in-progress", "in-progress"] {
        assert_eq!(call_status(&serve, 1, status).post().await.status, 204);
    }
    let answered = event(&serve, &call_sid(1), "call.answered").await;
    assert_eq!(answered["data"]["sip_code"], serde_json::Value::Null);
    let events = events(&serve, &call_sid(1)).await;
    assert_eq!(
        types(&events),
        ["call.started", "call.ringing", "call.answered"]
    );
    drop(stream);
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
async fn the_profile_of_a_stream_is_its_paths_else_its_parameters_else_its_numbers() {
    let toml = "[profiles.desk.listen]\n[profiles.shop.listen]\n[profiles.night.listen]\n\
                [numbers]\n\"+15005550006\" = \"shop\"\n";
    let serve = serve()
        .toml(toml)
        .arg("--profile")
        .arg("night")
        .start()
        .await;
    let of_shop = r#"{"to":"+15005550006","tenant":"t-42"}"#;
    let of_desk = r#"{"to":"+15005550006","profile":"desk"}"#;
    for (call, (path, parameters, expected)) in (1..).zip([
        ("/twilio/desk", of_shop, "desk"),
        ("/twilio/shop", of_desk, "shop"),
        ("/twilio", of_desk, "desk"),
        ("/twilio", of_shop, "shop"),
        ("/twilio", "{}", "night"),
        ("/media", of_desk, "default"),
    ]) {
        let mut stream = Stream::connected(&serve.ws(path), call).await;
        stream.say_start(call, &["inbound"], parameters).await;
        let found = call_until(&serve, &call_sid(call), |_| true).await;
        assert_eq!(found["profile"], expected, "{path} {parameters}");
        if parameters == of_shop {
            assert_eq!(found["to"], "+15005550006");
            assert_eq!(found["custom_parameters"]["tenant"], "t-42");
        }
    }
    let mut stream = Stream::connected(&serve.ws("/twilio"), 9).await;
    stream
        .say_start(9, &["inbound"], r#"{"profile":"nobody"}"#)
        .await;
    let (code, reason) = stream.socket.closed().await.expect("a Close comes");
    assert_eq!(code, 1008);
    assert!(reason.contains("nobody"), "{reason}");
    let line = serve.stderr.wait_for("nobody").await;
    assert!(line.contains("desk") && line.contains("night"), "{line}");
}

#[tokio::test]
async fn a_stream_of_another_account_is_refused_when_ours_is_known() {
    let ours = "AC000000000000000000000000000000ff";
    let serve = serve().env("TWILIO_ACCOUNT_SID", ours).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let (code, reason) = stream.socket.closed().await.expect("a Close comes");
    assert_eq!(code, 1008);
    assert!(reason.contains("accountSid"), "{reason}");
    assert_eq!(
        get(&serve, &format!("/api/v1/calls/{}", call_sid(1)))
            .await
            .0,
        404
    );
    assert_eq!(rejected_for(&serve, "foreign_account").await, 1.0);
}

#[tokio::test]
async fn a_call_that_was_answered_here_must_show_its_proof() {
    let serve = serve().start().await;
    let ws = serve.ws("/twilio");
    let auth = webhook(&serve, "/voice", 1)
        .post()
        .await
        .parameter("auth")
        .unwrap()
        .to_owned();
    let other = webhook(&serve, "/voice", 2)
        .post()
        .await
        .parameter("auth")
        .unwrap()
        .to_owned();
    for wrong in [
        "{}".to_owned(),
        format!(r#"{{"auth":"{other}"}}"#),
        r#"{"auth":"x"}"#.to_owned(),
    ] {
        let mut stream = Stream::connected(&ws, 1).await;
        stream.say_start(1, &["inbound"], &wrong).await;
        assert_eq!(
            stream.socket.closed().await.expect("a Close comes").0,
            1008,
            "{wrong}"
        );
    }
    assert_eq!(rejected_for(&serve, "stream_auth").await, 3.0);
    let right = format!(r#"{{"auth":"{auth}","tenant":"t-42"}}"#);
    let mut stream = Stream::connected(&ws, 1).await;
    stream.say_start(1, &["inbound"], &right).await;
    let call = call_until(&serve, &call_sid(1), |_| true).await;
    assert_eq!(
        call["custom_parameters"],
        serde_json::json!({"tenant": "t-42"})
    );
    // What the webhook said of the call is known, whatever the stream says.
    assert_eq!(call["from"], crate::requests::FROM);
    assert_eq!(call["to"], crate::requests::TO);

    // A further stream of the call has to show it as well.
    let mut further = Stream::connected(&ws, 3).await;
    further.say_start(1, &["inbound"], "{}").await;
    assert_eq!(
        further.socket.closed().await.expect("a Close comes").0,
        1008
    );
    let mut further = Stream::connected(&ws, 4).await;
    further.say_start(1, &["inbound"], &right).await;
    call_until(&serve, &call_sid(1), |call| {
        call["stream_sid"] == stream_sid(4)
    })
    .await;
}

#[tokio::test]
async fn beyond_the_most_calls_a_stream_is_told_to_try_again_later() {
    let recorder = Recorder::start().await;
    let serve = serve()
        .toml("[limits]\nmax_calls = 1\n")
        .deepgram(&recorder.url)
        .start()
        .await;
    let ws = serve.ws("/twilio");
    let live = Stream::start(&ws, 1, 1, &["inbound"]).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    let mut second = Stream::start(&ws, 2, 2, &["inbound"]).await;
    assert_eq!(second.socket.closed().await.expect("a Close comes").0, 1013);
    assert_eq!(
        get(&serve, &format!("/api/v1/calls/{}", call_sid(2)))
            .await
            .0,
        404
    );
    // A further stream of the live call needs no place.
    let further = Stream::start(&ws, 1, 3, &["outbound"]).await;
    call_until(&serve, &call_sid(1), |call| {
        call["stream_sid"] == stream_sid(3)
    })
    .await;
    live.stop(1).await;
    further.stop(1).await;
    ended(&serve, &call_sid(1)).await;
    let _next = Stream::start(&ws, 4, 4, &["inbound"]).await;
    call_until(&serve, &call_sid(4), |call| call["status"] == "live").await;
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

#[tokio::test]
async fn a_handshake_that_is_none_is_told_so() {
    let serve = serve().start().await;
    let (status, problem) = get(&serve, "/twilio").await;
    assert_eq!(status, 426, "{problem}");
    assert_eq!(get(&serve, "/media").await.0, 426);
    let socket = Socket::connect(&serve.ws("/twilio/default"), &[]).await;
    assert!(socket.is_ok());
}
