//! What reaches Deepgram of a stream's audio: every byte once, silence where none came, in small
//! messages.

use std::time::Duration;

use serde_json::Value;
use sidetone_simulator::voice;

use crate::deepgram::{Gate, Recorded, Recorder, emulated};
use crate::serve::{Serve, serve};
use crate::twilio::{Stream, call_sid};
use crate::watching::{call_until, event, metric};
use crate::web::{ended, words};

const BOTH: [&str; 2] = ["inbound", "outbound"];

/// Most bytes of a message to Deepgram: 250 ms of one track.
const QUARTER_SECOND: usize = 2000;

/// What Deepgram was sent on its one connection, once that is at its end.
async fn sent(recorder: &Recorder) -> Recorded {
    let is_over = |all: &[Recorded]| {
        all.iter()
            .any(|c| c.texts.iter().any(|text| text.contains("CloseStream")))
    };
    let mut connections = recorder.until("the end of the audio", is_over).await;
    assert_eq!(connections.len(), 1);
    connections.remove(0)
}

/// Plays frames of (timestamp, samples, byte) on the one track of a call: the call's events, once
/// it was seen that this came out, as stretches of (samples, byte).
async fn check_relayed(frames: &[(u64, usize, u8)], expected: &[(usize, u8)]) -> Vec<Value> {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = connected(&serve, &["inbound"]).await;
    for (timestamp_ms, samples, byte) in frames {
        stream
            .media("inbound", *timestamp_ms, &vec![*byte; *samples])
            .await;
    }
    stream.stop(1).await;
    check(&sent(&recorder).await.audio, expected);
    ended(&serve, &call_sid(1)).await
}

/// A stream whose call has its connection to Deepgram: its audio is sent as it comes.
async fn connected(serve: &Serve, tracks: &[&str]) -> Stream {
    let stream = Stream::start(&serve.ws("/twilio"), 1, 1, tracks).await;
    call_until(serve, &call_sid(1), |call| {
        call["provider"]["state"] == "connected"
    })
    .await;
    stream
}

/// Audio of stretches of (samples, byte).
fn stretches(stretches: &[(usize, u8)]) -> Vec<u8> {
    stretches
        .iter()
        .flat_map(|(samples, byte)| vec![*byte; *samples])
        .collect()
}

/// The same audio, told in a form a person can compare.
fn told(audio: &[u8]) -> Vec<(usize, u8)> {
    audio
        .chunk_by(|a, b| a == b)
        .map(|run| (run.len(), run[0]))
        .collect()
}

#[track_caller]
fn check(found: &[u8], expected: &[(usize, u8)]) {
    assert_eq!(told(found), told(&stretches(expected)));
}

#[tokio::test]
async fn a_step_of_up_to_40_ms_is_wobble_and_a_longer_one_is_silence() {
    let frames = [
        (5, 160, 1),
        (26, 160, 2),
        (43, 160, 3),
        (105, 80, 4),
        (215, 160, 5),
    ];
    let events = check_relayed(
        &frames,
        &[
            (160, 1),
            (160, 2),
            (160, 3),
            (80, 4),
            (1120, 0xFF),
            (160, 5),
        ],
    )
    .await;
    let call = &events.last().unwrap()["data"];
    assert_eq!(call["audio"]["inbound"]["gap_ms"], 140);
    assert_eq!(call["audio"]["inbound"]["frames"], 5);
    assert_eq!(call["duration_ms"], 230);
}

#[tokio::test]
async fn ten_seconds_without_frames_are_ten_seconds_of_silence() {
    check_relayed(
        &[(57, 160, 1), (10_077, 160, 2)],
        &[(160, 1), (80_000, 0xFF), (160, 2)],
    )
    .await;
}

#[tokio::test]
async fn late_audio_is_sent_late_and_later_holes_are_the_shorter_for_it() {
    let frames = [
        (5, 1600, 1),
        (105, 160, 2),
        (205, 160, 3),
        (325, 160, 4),
        (325, 160, 5),
        (345, 160, 6),
    ];
    check_relayed(
        &frames,
        &[
            (1600, 1),
            (160, 2),
            (160, 3),
            (640, 0xFF),
            (160, 4),
            (160, 5),
            (160, 6),
        ],
    )
    .await;
}

#[tokio::test]
async fn digital_silence_that_arrives_is_relayed_like_any_audio() {
    let frames = [
        (5, 160, 0xFF),
        (25, 160, 0x7F),
        (45, 160, 0xFE),
        (65, 160, 0x7E),
        (85, 160, 1),
    ];
    check_relayed(
        &frames,
        &[(160, 0xFF), (160, 0x7F), (160, 0xFE), (160, 0x7E), (160, 1)],
    )
    .await;
}

#[tokio::test]
async fn frames_of_any_size_are_sent_in_messages_of_at_most_250_ms() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = connected(&serve, &["inbound"]).await;
    let audio: Vec<u8> = (0..48_000u32).map(|i| (i % 113) as u8).collect();
    stream.media("inbound", 5, &audio).await;
    stream.media("inbound", 6005, &[]).await;
    stream.media("inbound", 6005, &[7]).await;
    stream.stop(1).await;
    let sent = sent(&recorder).await;
    assert_eq!(sent.audio.len(), audio.len() + 1);
    assert!(sent.audio.starts_with(&audio));
    assert!(
        sent.sizes
            .iter()
            .all(|size| (1..=QUARTER_SECOND).contains(size)),
        "{:?}",
        sent.sizes
    );
}

#[tokio::test]
async fn two_tracks_are_interleaved_and_the_shorter_one_is_padded() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = connected(&serve, &BOTH).await;
    stream.media("outbound", 57, &[2; 800]).await;
    stream.media("inbound", 57, &[1; 24_000]).await;
    stream.media("outbound", 157, &[3; 999]).await;
    stream.stop(1).await;
    let sent = sent(&recorder).await;
    assert_eq!(sent.audio.len() % 2, 0);
    let arrived = |index: usize| {
        let channel = sent.audio.iter().skip(index).step_by(2);
        told(
            &channel
                .copied()
                .filter(|byte| *byte != 0xFF)
                .collect::<Vec<_>>(),
        )
    };
    assert_eq!(arrived(0), [(24_000, 1)]);
    assert_eq!(arrived(1), [(800, 2), (999, 3)]);
    assert!(
        sent.sizes.iter().all(|size| *size <= 2 * QUARTER_SECOND),
        "{:?}",
        sent.sizes
    );
}

#[tokio::test]
async fn a_track_that_falls_silent_holds_the_other_up_for_300_ms_only() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = connected(&serve, &BOTH).await;
    stream.media("outbound", 57, &[2; 160]).await;
    stream.play("inbound", 57, &[1; 4000]).await;
    // All of it, and nobody has said stop.
    let all_of_it = |all: &[Recorded]| {
        all.iter()
            .any(|c| c.audio.iter().filter(|byte| **byte == 1).count() == 4000)
    };
    recorder.until("the other track's audio", all_of_it).await;
    stream.stop(1).await;
    let sent = sent(&recorder).await;
    assert_eq!(sent.audio.iter().filter(|byte| **byte == 2).count(), 160);
}

#[tokio::test]
async fn a_clock_that_jumps_moves_no_audio_and_is_told() {
    let hour = 3_600_000;
    let frames = [
        (57, 160, 1),
        (hour + 77, 160, 2),
        (hour + 97, 160, 3),
        (117, 160, 4),
    ];
    let events = check_relayed(&frames, &[(160, 1), (160, 2), (160, 3), (160, 4)]).await;
    let gaps: Vec<_> = events
        .iter()
        .filter(|e| e["type"] == "audio.gap")
        .map(|e| &e["data"])
        .collect();
    let gap = |at_ms, duration_ms: u64| {
        serde_json::json!({
            "track": "inbound", "at_ms": at_ms, "duration_ms": duration_ms, "reason": "clock",
        })
    };
    assert_eq!(gaps, [&gap(20, hour), &gap(60, hour)]);
    let call = &events.last().unwrap()["data"];
    assert_eq!(call["duration_ms"], 80);
    assert_eq!(call["audio"]["inbound"]["gap_ms"], 0);
}

#[tokio::test]
async fn a_gap_that_the_arrival_clock_bears_out_is_told_and_not_filled() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.media("inbound", 57, &[1; 160]).await;
    call_until(&serve, &call_sid(1), |call| {
        call["audio"]["inbound"]["frames"] == 1
    })
    .await;
    // More than 10 s by the timestamps, and by the arrival clock within 5 s of them.
    tokio::time::sleep(Duration::from_millis(5400)).await;
    stream.media("inbound", 10_157, &[2; 160]).await;
    let gap = event(&serve, &call_sid(1), "audio.gap").await;
    let expected = serde_json::json!({
        "track": "inbound", "at_ms": 20, "duration_ms": 10_080, "reason": "carrier",
    });
    assert_eq!(gap["data"], expected);
    stream.stop(1).await;
    let audio = sent(&recorder).await.audio;
    let arrived: Vec<_> = told(&audio)
        .into_iter()
        .filter(|(_, byte)| *byte != 0xFF)
        .collect();
    assert_eq!(arrived, [(160, 1), (160, 2)]);
    assert!(
        audio.len() < 8000,
        "{} samples were sent for 40 ms of audio",
        audio.len()
    );
    let events = ended(&serve, &call_sid(1)).await;
    let call = &events.last().unwrap()["data"];
    assert_eq!(call["duration_ms"], 10_120);
    assert_eq!(call["audio"]["inbound"]["gap_ms"], 10_080);
    assert_eq!(
        metric(&serve, "sidetone_audio_gap_seconds_total").await,
        10.08
    );
}

#[tokio::test]
async fn what_is_said_while_deepgram_is_still_being_connected_is_heard() {
    let emulator = emulated().await;
    let gate = Gate::before(emulator.url().socket_addrs(|| None).unwrap()[0]).await;
    let serve = serve().deepgram(&gate.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let (before, after) = (
        voice::speak("hello my friend"),
        voice::speak("good morning"),
    );
    let next = stream.play("inbound", 57, &before.ulaw).await;
    gate.open();
    stream.play("inbound", next + 500, &after.ulaw).await;
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(
        words(&events, "inbound"),
        ["hello", "my", "friend", "good", "morning"]
    );
}

#[tokio::test]
async fn a_call_that_ends_before_deepgram_is_connected_is_heard_to_the_end() {
    let emulator = emulated().await;
    let gate = Gate::before(emulator.url().socket_addrs(|| None).unwrap()[0]).await;
    let serve = serve().deepgram(&gate.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream
        .play("inbound", 57, &voice::speak("hello my friend").ulaw)
        .await;
    stream.say_stop(1).await;
    assert!(stream.socket.closed().await.is_some());
    gate.open();
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(words(&events, "inbound"), ["hello", "my", "friend"]);
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "stop");
}

#[tokio::test]
async fn what_was_kept_meanwhile_leaves_in_messages_of_at_most_250_ms() {
    let recorder = Recorder::start().await;
    let address = recorder.url.trim_start_matches("ws://").parse().unwrap();
    let gate = Gate::before(address).await;
    let serve = serve().deepgram(&gate.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let audio: Vec<u8> = (0..24_000u32).map(|i| (i % 113) as u8).collect();
    for (frame, timestamp) in audio.chunks(160).zip((57..).step_by(20)) {
        stream.media("inbound", timestamp, frame).await;
    }
    call_until(&serve, &call_sid(1), |call| {
        call["audio"]["inbound"]["frames"] == 150
    })
    .await;
    gate.open();
    stream.stop(1).await;
    let sent = sent(&recorder).await;
    assert_eq!(sent.audio, audio);
    assert!(
        sent.sizes
            .iter()
            .all(|size| (1..=QUARTER_SECOND).contains(size)),
        "{:?}",
        sent.sizes
    );
}
