//! What goes wrong between the gateway and Deepgram: every word that was spoken is heard once, in
//! order and at its time, or a gap tells exactly which ones are missing.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use sidetone_simulator::emulator::{Emulator, Fault, Options};
use sidetone_simulator::phone::{self, Party, Report, Turn};
use sidetone_twilio::stream::MediaTrack;

use crate::serve::{Serve, serve};
use crate::twilio::call_sid;
use crate::web::ended;

/// About 14 seconds.
const SCRIPT: [(Party, &str); 4] = [
    (
        Party::Caller,
        "Hello, I am calling about my order, number four seven one nine.",
    ),
    (
        Party::Callee,
        "Thank you, let me see. It left our house on Friday.",
    ),
    (Party::Caller, "That is good news, when will it be here?"),
    (Party::Callee, "It will be with you tomorrow morning."),
];

/// No pause of a turn ends an utterance, so that much is not final yet whenever something happens.
const PROFILE: &str = "[profiles.default.listen]\ninterim_results = true\nsmart_format = true\n\
     endpointing = 500\nvad_events = true\nutterance_end_ms = 1000\n";

/// Word times may be off by so much by themselves.
const TIME_TOLERANCE_MS: u64 = 120;

/// What a fault may do to a call in which no word gets lost or doubled without being told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    /// Nothing at all.
    Unharmed,
    /// The connection is made again.
    Reconnected,
    /// Some words cannot be heard, and a gap says which.
    Gap,
    /// The same for what happens to be not final yet when the call ends, which may be nothing.
    GapAtTheEnd,
}

use Outcome::{Gap, GapAtTheEnd, Reconnected, Unharmed};

const CASES: &[(&str, Outcome)] = &[
    ("refuse:status=503,times=4", Reconnected),
    ("refuse:status=429,retry_after_secs=2", Reconnected),
    ("refuse:status=500", Reconnected),
    ("refuse:status=502", Reconnected),
    ("refuse:status=402,times=all", Gap),
    ("handshake-hang", Reconnected),
    ("no-request-id", Unharmed),
    ("drop", Reconnected),
    ("drop:after_ms=0,times=3", Reconnected),
    ("drop:after_ms=6000,times=all", Reconnected),
    ("stall:after_ms=5000", Reconnected),
    ("deaf:after_ms=1500", Reconnected),
    ("net0000", Reconnected),
    ("net0001:after_ms=9000", Reconnected),
    ("data0000", Reconnected),
    ("unasked-end", Reconnected),
    ("malformed", Reconnected),
    ("malformed:form=garbage", Reconnected),
    ("malformed:form=binary", Reconnected),
    ("close-without-finals", Reconnected),
    ("close-unanswered", GapAtTheEnd),
    ("late-messages", Unharmed),
    ("slow:ms=3000", Unharmed),
    ("reordered-channels", Unharmed),
    ("fragmented:bytes=7", Unharmed),
    ("huge-results", Unharmed),
    ("omitted-fields", Unharmed),
    ("unknown-fields", Unharmed),
    ("unknown-types", Unharmed),
    ("doubled-utterance-ends", Unharmed),
    ("empty-finals", Unharmed),
    ("short-finals", Unharmed),
    ("word-times:ms=80", Unharmed),
    ("clipped-onsets:ms=100", Unharmed),
    ("merged-numerals", Unharmed),
];

/// Faults whose own error comes to that of the times.
fn own_error_ms(fault: &Fault) -> u64 {
    match fault.name() {
        "word-times" => 80,
        "clipped-onsets" => 100,
        _ => 0,
    }
}

/// One call of many; both sides speak, and nobody waits for the last word to be heard.
async fn call(serve: &Serve, n: u32) -> Report {
    let mut options = phone::Options::new(serve.ws("/twilio").parse().unwrap());
    options.call_sid = Some(call_sid(n).parse().unwrap());
    options.tracks = vec![MediaTrack::Inbound, MediaTrack::Outbound];
    options.turns = SCRIPT.map(|(party, text)| Turn::say(party, text)).into();
    options.linger = Duration::ZERO;
    options.seed = n.into();
    phone::call(options).await.unwrap()
}

fn of_type<'a>(events: &'a [Value], event_type: &str) -> Vec<&'a Value> {
    let of_type = |event: &&Value| event["type"] == event_type;
    events.iter().filter(of_type).collect()
}

/// The `data` of a track's events of a type.
fn on_track<'a>(events: &'a [Value], event_type: &str, track: &str) -> Vec<&'a Value> {
    let data = of_type(events, event_type)
        .into_iter()
        .map(|event| &event["data"]);
    data.filter(|data| data["track"] == track).collect()
}

fn ms(value: &Value) -> u64 {
    value.as_u64().unwrap()
}

/// The words of a track's finals and where they begin. A number is the words of its figures, all
/// of them where the number begins.
fn heard(events: &[Value], track: &str) -> Vec<(String, u64)> {
    const FIGURES: [&str; 10] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ];
    let finals = on_track(events, "transcript.final", track).into_iter();
    let words = finals.flat_map(|data| data["words"].as_array().unwrap());
    let spelled = words.flat_map(|word| {
        let (text, start_ms) = (word["word"].as_str().unwrap(), ms(&word["start_ms"]));
        let figures = text.chars().map(|c| c.to_digit(10));
        let figures: Option<Vec<u32>> = figures.collect();
        let words = match figures {
            Some(figures) => figures
                .into_iter()
                .map(|figure| FIGURES[figure as usize].to_owned())
                .collect(),
            None => vec![text.to_owned()],
        };
        words.into_iter().map(move |word| (word, start_ms))
    });
    spelled.collect()
}

/// Every word that left the phone was heard once, in order and at its time, but for those that lie
/// in a gap.
fn check_words(fault: &Fault, report: &Report, events: &[Value]) {
    let tolerance_ms = TIME_TOLERANCE_MS + own_error_ms(fault);
    for (party, track) in [(Party::Caller, "inbound"), (Party::Callee, "outbound")] {
        let gaps = on_track(events, "audio.gap", track);
        let is_missing = |start_ms: u64| {
            gaps.iter().any(|gap| {
                let begins = ms(&gap["at_ms"]);
                let ends = begins + ms(&gap["duration_ms"]);
                (begins..ends).contains(&(start_ms + TIME_TOLERANCE_MS))
            })
        };
        let spoken: Vec<(&str, u64)> = report
            .spoken
            .iter()
            .filter(|spoken| spoken.party == party && !is_missing(spoken.start_ms))
            .map(|spoken| (spoken.word.as_str(), spoken.start_ms))
            .collect();
        let heard = heard(events, track);
        let said: Vec<&str> = spoken.iter().map(|(word, _)| *word).collect();
        let transcribed: Vec<&str> = heard.iter().map(|(word, _)| word.as_str()).collect();
        // What the phone could not send in time, and what the gateway filled in.
        let audio = &events.last().unwrap()["data"]["audio"];
        let streams = &report.streams;
        assert_eq!(
            transcribed, said,
            "{fault}, {track}: {gaps:?} {audio} {streams:?}"
        );
        for ((word, start_ms), (_, heard_ms)) in spoken.iter().zip(&heard) {
            let is_figure = fault.name() == "merged-numerals" && heard_ms < start_ms;
            assert!(
                is_figure || heard_ms.abs_diff(*start_ms) <= tolerance_ms,
                "{fault}: `{word}` was said at {start_ms} and heard at {heard_ms}"
            );
        }
    }
}

fn check(fault: &Fault, outcome: Outcome, report: &Report, events: &[Value]) {
    let words: usize = SCRIPT
        .iter()
        .map(|(_, text)| text.split_whitespace().count())
        .sum();
    assert_eq!(report.spoken.len(), words, "{fault}");
    check_words(fault, report, events);

    let call = &events.last().unwrap()["data"];
    assert_eq!(call["end_reason"], "stop", "{fault}");
    let gaps = of_type(events, "audio.gap");
    if outcome != GapAtTheEnd {
        assert_eq!(!gaps.is_empty(), outcome == Gap, "{fault}: {gaps:?}");
    }
    for gap in gaps {
        assert_eq!(gap["data"]["reason"], "provider", "{fault}");
    }
    let lost = of_type(events, "provider.disconnected");
    assert_eq!(
        !lost.is_empty(),
        outcome == Reconnected,
        "{fault}: {lost:?}"
    );
    if outcome == Unharmed {
        assert_eq!(of_type(events, "warning").len(), 0, "{fault}");
    }
    for track in ["inbound", "outbound"] {
        let ends = on_track(events, "utterance.ended", track);
        let ends: Vec<u64> = ends.iter().map(|data| ms(&data["at_ms"])).collect();
        assert!(ends.is_sorted_by(|a, b| a < b), "{fault}: {ends:?}");
    }
}

/// An emulator where each case's fault is kept to the call of its number.
async fn emulator() -> Emulator {
    let faults = (1..).zip(CASES).map(|(n, (fault, _))| {
        let separator = if fault.contains(':') { ',' } else { ':' };
        let kept = format!("{fault}{separator}call={}", call_sid(n));
        kept.parse().unwrap()
    });
    let options = Options {
        faults: faults.collect(),
        seed: 11,
        ..Options::default()
    };
    Emulator::start(options).await.unwrap()
}

#[tokio::test]
async fn whatever_deepgram_does_each_word_is_heard_once_or_told_as_missing() {
    let emulator = emulator().await;
    let serve = serve().deepgram(emulator.url()).toml(PROFILE).start().await;
    let calls = (1..).zip(CASES).map(|(n, (fault, outcome))| {
        let serve = &serve;
        async move {
            let report = call(serve, n).await;
            let events = ended(serve, &call_sid(n)).await;
            (fault.parse::<Fault>().unwrap(), *outcome, report, events)
        }
    });
    for (fault, outcome, report, events) in join_all(calls).await {
        check(&fault, outcome, &report, &events);
    }
}

#[test]
fn every_fault_of_live_transcription_has_its_case() {
    // The others have their tests beside what they concern.
    let of_others = |name: &str| {
        let services = ["agent-", "speak-", "twilio-"];
        services.iter().any(|service| name.starts_with(service))
    };
    for entry in Fault::LIST.iter().filter(|entry| !of_others(entry.name)) {
        let is_named = |fault: &str| fault.parse::<Fault>().unwrap().name() == entry.name;
        assert!(
            CASES.iter().any(|(fault, _)| is_named(fault)),
            "{}",
            entry.name
        );
    }
}
