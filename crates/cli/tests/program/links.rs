//! `listen.links`: one connection to Deepgram for both tracks, or one for each.

use serde_json::Value;
use sidetone_simulator::voice;

use crate::deepgram::{Recorder, emulated};
use crate::scripted::{Connection, METADATA, Scripted, results};
use crate::serve::serve;
use crate::twilio::{Stream, call_sid};
use crate::watching::{call_until, event};
use crate::web::{ended, types, words};

const BOTH: [&str; 2] = ["inbound", "outbound"];
const PER_TRACK: &str = "[profiles.default.listen]\nlinks = 'per_track'\n";

/// Plays both tracks at once, in frames of 20 ms.
async fn play_both(stream: &mut Stream, inbound: &[u8], outbound: &[u8]) {
    let mut due = tokio::time::interval(std::time::Duration::from_millis(20));
    for (n, (inbound, outbound)) in (0..).zip(inbound.chunks(160).zip(outbound.chunks(160))) {
        due.tick().await;
        stream.media("inbound", 20 + 20 * n, inbound).await;
        stream.media("outbound", 20 + 20 * n, outbound).await;
    }
}

#[tokio::test]
async fn each_track_is_heard_on_a_mono_connection_of_its_own() {
    let emulator = emulated().await;
    let serve = serve()
        .deepgram(emulator.url())
        .toml(PER_TRACK)
        .start()
        .await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &BOTH).await;
    let (caller, callee) = (
        voice::speak("hello, who is this"),
        voice::speak("the order desk"),
    );
    let length = caller.ulaw.len().max(callee.ulaw.len()) + 1_600;
    let padded = |ulaw: &[u8]| {
        let mut ulaw = ulaw.to_vec();
        ulaw.resize(length, 0xFF);
        ulaw
    };
    play_both(&mut stream, &padded(&caller.ulaw), &padded(&callee.ulaw)).await;
    stream.stop(1).await;

    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(words(&events, "inbound"), ["hello", "who", "is", "this"]);
    assert_eq!(words(&events, "outbound"), ["the", "order", "desk"]);
    let finals = events.iter();
    let finals = finals.filter(|event| event["type"] == "transcript.final");
    let channels: Vec<&Value> = finals.map(|event| &event["data"]["channel"]).collect();
    assert!(
        channels.iter().all(|channel| **channel == 0),
        "{channels:?}"
    );
    for (track, speech) in [("inbound", &caller), ("outbound", &callee)] {
        let heard = events
            .iter()
            .filter(|event| event["data"]["track"] == track)
            .filter_map(|event| event["data"]["words"].as_array())
            .flatten();
        for (heard, spoken) in heard.zip(&speech.words) {
            let start_ms = heard["start_ms"].as_u64().unwrap();
            assert!(start_ms.abs_diff(spoken.start / 8) <= 120, "{heard}");
        }
    }
}

#[tokio::test]
async fn several_languages_are_heard_track_by_track_whatever_is_set() {
    for links in ["", "links = 'stereo'\n"] {
        let recorder = Recorder::start().await;
        let serve = serve()
            .deepgram(&recorder.url)
            .toml(&format!(
                "[profiles.default.listen]\nlanguage = 'multi'\n{links}"
            ))
            .start()
            .await;
        let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &BOTH).await;
        play_both(&mut stream, &[7; 1_600], &[8; 1_600]).await;
        let connections = recorder
            .until("the audio of both tracks", |all| {
                all.len() == 2 && all.iter().all(|one| one.audio.len() >= 1_600)
            })
            .await;
        for connection in &connections {
            let target = &connection.target;
            assert!(target.contains("language=multi"), "{target}");
            assert!(!target.contains("channel"), "{target}");
            let first = connection.audio[0];
            assert!(connection.audio.iter().all(|code| *code == first));
        }
        assert_ne!(connections[0].audio[0], connections[1].audio[0]);
        stream.stop(1).await;
        ended(&serve, &call_sid(1)).await;
    }
}

#[tokio::test]
async fn a_lost_connection_of_one_track_does_not_disturb_the_other() {
    let deepgram = Scripted::start().await;
    let serve = serve()
        .deepgram(&deepgram.url)
        .toml(PER_TRACK)
        .start()
        .await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &BOTH).await;
    play_both(&mut stream, &[7; 8_000], &[8; 8_000]).await;
    let (one, other) = (deepgram.accept().await, deepgram.accept().await);
    let (mut inbound, mut outbound) = in_track_order(one, other).await;
    outbound.cut();
    event(&serve, &call_sid(1), "provider.disconnected").await;
    inbound.say(results(0, 0, 500, "one two", true)).await;
    event(&serve, &call_sid(1), "transcript.final").await;

    outbound = deepgram.accept().await;
    outbound.hear(8_000).await;
    outbound.say(results(0, 0, 500, "three", true)).await;
    let call = call_until(&serve, &call_sid(1), |call| {
        call["provider"]["state"] == "connected"
    })
    .await;
    assert_eq!(call["provider"]["reconnects"], 1);
    tokio::join!(
        stream.stop(1),
        inbound.finish(&[METADATA]),
        outbound.finish(&[METADATA])
    );

    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(words(&events, "inbound"), ["one", "two"]);
    assert_eq!(words(&events, "outbound"), ["three"]);
    let lost = types(&events);
    let lost = lost.iter().filter(|name| **name == "provider.disconnected");
    assert_eq!(lost.count(), 1, "{events:#?}");
}

/// Two connections, the one that is sent the inbound track first.
async fn in_track_order(mut one: Connection, mut other: Connection) -> (Connection, Connection) {
    let audio = one.audio().await.expect("audio");
    other.hear(160).await;
    if audio[0] == 7 {
        (one, other)
    } else {
        (other, one)
    }
}

#[tokio::test]
async fn how_tracks_are_shared_is_shown_and_checked() {
    let shown = async |toml: &str| {
        let (code, stdout, stderr) = serve().arg("--print-config").toml(toml).run().await;
        (code, stdout + &stderr)
    };
    let key = "profiles.default.listen.links";
    let multi = "[profiles.default.listen]\nlanguage = 'multi'\n";
    for (toml, expected) in [
        ("", format!("{key} = \"stereo\"  # default")),
        (multi, format!("{key} = \"per_track\"  # default")),
        (PER_TRACK, format!("{key} = \"per_track\"  # ")),
    ] {
        let (code, text) = shown(toml).await;
        assert_eq!(code, Some(0), "{text}");
        assert!(text.contains(&expected), "{text}");
    }
    let wrong = "[profiles.default.listen]\nlinks = 'mono'\n";
    let (code, _, text) = serve().toml(wrong).run().await;
    assert_eq!(code, Some(2));
    assert!(
        text.contains("`mono` does not fit: expected `stereo` or `per_track`"),
        "{text}"
    );
}
