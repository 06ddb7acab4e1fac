//! A call is heard: the way of the audio, both sides, from the first frame to the last word.

use sidetone_simulator::voice;

use crate::deepgram::{Recorder, emulated};
use crate::serve::serve;
use crate::twilio::{Stream, call_sid};
use crate::web::{ended, types, words};

const BOTH: [&str; 2] = ["inbound", "outbound"];

#[tokio::test]
async fn what_a_caller_says_is_transcribed_with_its_times() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let speech = voice::speak("hello, I am calling about my order");
    stream.play("inbound", 57, &speech.ulaw).await;
    stream.stop(1).await;

    let events = ended(&serve, &call_sid(1)).await;
    let said: Vec<&str> = speech.words.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(words(&events, "inbound"), said);
    assert_eq!(types(&events).first(), Some(&"call.started"));
    let seqs: Vec<u64> = events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect();
    assert!(seqs.iter().copied().eq(1..=seqs.len() as u64), "{seqs:?}");
    let heard = events
        .iter()
        .filter(|event| event["type"] == "transcript.final")
        .flat_map(|event| event["data"]["words"].as_array().unwrap());
    for (heard, spoken) in heard.zip(&speech.words) {
        let start_ms = heard["start_ms"].as_u64().unwrap();
        assert!(
            start_ms.abs_diff(spoken.start / 8) <= 120,
            "{heard} was spoken at {spoken:?}"
        );
    }
}

#[tokio::test]
async fn every_byte_reaches_deepgram_once_whatever_its_frame_size() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let audio: Vec<u8> = (0..8000u32).map(|i| (i % 100) as u8).collect();
    let (mut rest, mut timestamp) = (&audio[..], 5);
    for size in [1, 320, 999, 160, 7, 1600].into_iter().cycle() {
        let (frame, tail) = rest.split_at(size.min(rest.len()));
        stream.media("inbound", timestamp, frame).await;
        timestamp += frame.len() as u64 / 8;
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    stream.stop(1).await;
    let connections = recorder
        .until("CloseStream", |all| all.iter().any(|c| !c.texts.is_empty()))
        .await;
    assert_eq!(connections.len(), 1);
    assert_eq!(connections[0].audio, audio);
    assert!(
        connections[0].sizes.iter().all(|size| *size <= 2000),
        "{:?}",
        connections[0].sizes
    );
    assert!(
        connections[0]
            .target
            .contains("encoding=mulaw&sample_rate=8000")
    );
    assert!(!connections[0].target.contains("multichannel"));
    assert_eq!(connections[0].authorization, "Token test-key");
}

#[tokio::test]
async fn a_caller_who_speaks_while_it_rings_is_heard() {
    let recorder = Recorder::start().await;
    let serve = serve().deepgram(&recorder.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &BOTH).await;
    stream.play("inbound", 57, &[7; 1600]).await;
    let seen = recorder
        .until("audio before the other track", |all| {
            all.iter()
                .any(|c| c.audio.iter().filter(|byte| **byte == 7).count() >= 1000)
        })
        .await;
    assert!(
        seen[0].target.contains("channels=2&multichannel=true"),
        "{}",
        seen[0].target
    );
    assert!(seen[0].audio.chunks_exact(2).all(|pair| pair[1] == 0xFF));
    stream.stop(1).await;
}
