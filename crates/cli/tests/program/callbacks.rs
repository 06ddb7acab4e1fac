//! Status callbacks: what they end, what they tell, and when they are not believed.

use crate::deepgram::Recorder;
use crate::requests::{call_status, stream_status};
use crate::serve::serve;
use crate::twilio::{Stream, TOKEN, call_sid};
use crate::watching::{call_until, end_reason, event, rejected_for};
use crate::web::{ended, events, get, types};

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
    stream_status(&serve, 1, 9, "stream-stopped").taken().await;
    stream_status(&serve, 2, 2, "stream-started").taken().await;
    stream_status(&serve, 1, 1, "stream-stopped").taken().await;
    let status = call_status(&serve, 2, "completed").field("SipResponseCode", "200");
    status.taken().await;
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
async fn audio_that_arrived_before_the_callback_that_its_stream_stopped_is_heard() {
    const FRAMES: u64 = 1_500;
    let recorder = Recorder::start().await;
    let serve = serve()
        .deepgram(&recorder.url)
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .start()
        .await;
    let mut stream = Stream::signed(&serve.ws("/twilio"), 1).await;
    stream.say_start(1, &["inbound"], "{}").await;
    event(&serve, &call_sid(1), "call.started").await;
    stream.sound(FRAMES).await;
    let url = serve.http("/twilio/stream-status");
    let stopped = stream_status(&serve, 1, 1, "stream-stopped").signed(TOKEN, &url);
    stopped.taken().await;
    let call = call_until(&serve, &call_sid(1), |c| c["status"] == "ended").await;
    assert_eq!(call["end_reason"], "stop");
    assert_eq!(call["audio"]["inbound"]["frames"], FRAMES);
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
        call_status(&serve, call, status).taken().await;
    }
    for (call, (_, reason)) in (1..).zip(outcomes) {
        assert_eq!(end_reason(&serve, call).await, reason);
    }
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
    call_status(&serve, 1, "completed").taken().await;
    stream_status(&serve, 1, 1, "stream-stopped").taken().await;
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
    call_status(&serve, 1, "completed").taken().await;
    stream_status(&serve, 1, 1, "stream-stopped").taken().await;
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
        call_status(&serve, 1, status).taken().await;
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
