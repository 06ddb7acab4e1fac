//! What goes wrong between the phone and the gateway: every word that left the phone is heard
//! once, in order and at its time, and the call ends for the right reason.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::Value;
use sidetone_simulator::phone::{self, Fault, Options, Party, Report, Turn};

use crate::deepgram::emulated;
use crate::serve::{Serve, serve};
use crate::twilio::{TOKEN, call_sid};
use crate::web::{ended, words};

const PROFILE: &str =
    "[profiles.default.listen]\n[profiles.default.dial]\nnumber = '+15551230002'\n";

const SCRIPT: [(Party, &str); 4] = [
    (Party::Caller, "Hello, is anybody there?"),
    (Party::Callee, "Yes, how may I help you today?"),
    (Party::Caller, "My order has not come."),
    (Party::Callee, "It will be with you tomorrow, goodbye."),
];

/// Word times may be off by so much.
const TIME_TOLERANCE_MS: u64 = 120;

/// A fault, and what becomes of the call that has it.
#[derive(Clone, Copy)]
struct Case {
    fault: &'static str,
    /// Whether Twilio tells how the call ended.
    tells: bool,
    /// Whether the whole conversation leaves the phone.
    whole: bool,
    end_reason: &'static str,
    /// Reason and size of each `audio.gap`.
    gap: Option<(&'static str, u64)>,
}

const fn case(fault: &'static str, end_reason: &'static str) -> Case {
    Case {
        fault,
        tells: true,
        whole: true,
        end_reason,
        gap: None,
    }
}

impl Case {
    const fn untold(self) -> Self {
        Self {
            tells: false,
            ..self
        }
    }

    const fn cut_short(self) -> Self {
        Self {
            whole: false,
            ..self
        }
    }

    const fn gap(self, reason: &'static str, duration_ms: u64) -> Self {
        Self {
            gap: Some((reason, duration_ms)),
            ..self
        }
    }
}

const CASES: &[Case] = &[
    case("silent-gap:ms=1500", "stop").cut_short(),
    case("burst:frames=75", "stop"),
    case("burst:frames=140", "stop"),
    case("silence-suppression", "stop"),
    case("odd-frames", "stop"),
    case("odd-frames:bytes=7", "stop"),
    case("odd-frames:bytes=320", "stop"),
    case("odd-frames:bytes=999", "stop"),
    case("wobbling-timestamps", "stop"),
    case("jumping-timestamps:ms=60000,every_ms=1500", "stop").gap("clock", 60_000),
    case("absurd-timestamps", "stop").gap("clock", u64::MAX),
    case("broken-counters", "stop"),
    case("undocumented-fields", "stop"),
    case("late-handshake:ms=1500", "stop"),
    case("late-start", "stop"),
    case("parallel-forks", "stop"),
    case("stop-without-close", "stop"),
    case("stop-without-close:after_ms=2500", "stop").cut_short(),
    case("close-without-stop", "hangup"),
    case("close-without-stop", "disconnected").untold(),
    case("close-without-stop:code=1011,after_ms=2500", "disconnected").cut_short(),
    case("tcp-reset", "disconnected").untold(),
    case("tcp-reset:after_ms=2500", "disconnected").cut_short(),
    case("half-open", "hangup"),
    case("half-open:after_ms=2500", "idle_timeout")
        .untold()
        .cut_short(),
    case("stream-error:ms=3000,after_ms=2500", "stop").cut_short(),
    case("stopped-first", "stop"),
    case("completed-first", "stop"),
    case("answered-first", "stop"),
    case("doubled-callbacks", "stop"),
];

/// The call number `n`, with one fault.
async fn call(serve: &Serve, n: u32, fault: Fault, tells: bool) -> Report {
    let mut options = Options::new(serve.http("/voice").parse().unwrap());
    options.call_sid = Some(call_sid(n).parse().unwrap());
    options.auth_token = Some(TOKEN.into());
    options.status_callback = tells.then(|| serve.http("/twilio/call-status").parse().unwrap());
    options.turns = SCRIPT.map(|(party, text)| Turn::say(party, text)).into();
    options.ring = Duration::from_millis(100);
    options.linger = Duration::from_millis(800);
    options.faults = vec![fault];
    options.seed = n.into();
    phone::call(options).await.unwrap()
}

/// What the phone says it said on a track, and where.
fn spoken(report: &Report, party: Party) -> Vec<(String, u64)> {
    let of_party = report.spoken.iter().filter(|spoken| spoken.party == party);
    of_party
        .map(|spoken| (spoken.word.clone(), spoken.start_ms))
        .collect()
}

fn of_type<'a>(events: &'a [Value], event_type: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["type"] == event_type)
        .collect()
}

/// Every word that left was heard once, in order and at its time.
#[track_caller]
fn check_words(fault: &str, report: &Report, events: &[Value]) {
    for (party, track) in [(Party::Caller, "inbound"), (Party::Callee, "outbound")] {
        let spoken = spoken(report, party);
        let said: Vec<&str> = spoken.iter().map(|(word, _)| word.as_str()).collect();
        // What the phone could not send in time, and what the gateway filled in.
        let audio = &events.last().unwrap()["data"]["audio"];
        let streams = &report.streams;
        assert_eq!(
            words(events, track),
            said,
            "{fault}: {track}: {audio} {streams:?}"
        );
        let heard_ms = of_type(events, "transcript.final")
            .into_iter()
            .filter(|event| event["data"]["track"] == track)
            .flat_map(|event| event["data"]["words"].as_array().unwrap())
            .map(|word| word["start_ms"].as_u64().unwrap());
        for (heard_ms, (word, start_ms)) in heard_ms.zip(&spoken) {
            assert!(
                heard_ms.abs_diff(*start_ms) <= TIME_TOLERANCE_MS,
                "{fault}: `{word}` was said at {start_ms} and heard at {heard_ms}"
            );
        }
    }
}

#[track_caller]
fn check(case: Case, report: &Report, events: &[Value]) {
    let fault = case.fault;
    check_words(fault, report, events);
    let said = SCRIPT
        .iter()
        .map(|(_, text)| text.split_whitespace().count());
    let (said, left): (usize, _) = (said.sum(), report.spoken.len());
    assert_eq!(
        left == said,
        case.whole,
        "{fault}: {left} of {said} words left"
    );
    assert!(left > 0, "{fault}");

    let ends = of_type(events, "call.ended");
    assert_eq!(ends.len(), 1, "{fault}");
    assert_eq!(ends[0]["data"]["end_reason"], case.end_reason, "{fault}");
    let gaps = of_type(events, "audio.gap");
    assert_eq!(!gaps.is_empty(), case.gap.is_some(), "{fault}: {gaps:?}");
    for gap in gaps {
        let (reason, duration_ms) = case.gap.unwrap();
        assert_eq!(gap["data"]["reason"], reason, "{fault}");
        let found = gap["data"]["duration_ms"].as_u64().unwrap();
        let fits = duration_ms == u64::MAX || found.abs_diff(duration_ms) <= 40;
        assert!(fits, "{fault}: {gap}");
    }
}

#[tokio::test]
async fn whatever_the_phone_does_each_word_that_left_it_is_heard_once() {
    let emulator = emulated().await;
    let serve = serve()
        .deepgram(emulator.url())
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .arg("--set")
        .arg("limits.idle_timeout_secs=3")
        .toml(PROFILE)
        .start()
        .await;
    let calls = (1..).zip(CASES).map(|(n, case)| {
        let (serve, fault) = (&serve, case.fault.parse().unwrap());
        async move {
            let report = call(serve, n, fault, case.tells).await;
            (case, report, ended(serve, &call_sid(n)).await)
        }
    });
    for (case, report, events) in join_all(calls).await {
        check(*case, &report, &events);
        match case.fault {
            "doubled-callbacks" => {
                let told = of_type(&events, "call.status");
                assert!(told.len() <= 1, "{told:?}");
            }
            "answered-first" => {
                assert_eq!(events[0]["type"], "call.started");
            }
            "parallel-forks" => assert_eq!(report.streams.len(), 2),
            "odd-frames:bytes=7" => {
                let frames = &events.last().unwrap()["data"]["audio"]["inbound"]["frames"];
                assert!(frames.as_u64().unwrap() > 10_000, "{frames}");
            }
            _ => {}
        }
    }
}

#[tokio::test]
async fn every_fault_of_the_phone_has_its_case() {
    for entry in Fault::LIST {
        let mut names = CASES.iter().map(|case| case.fault.split(':').next());
        let has_case = names.any(|name| name == Some(entry.name));
        assert!(has_case, "{}", entry.name);
    }
}

#[tokio::test]
async fn a_silence_of_the_carrier_longer_than_ten_seconds_is_a_gap_of_that_length() {
    let emulator = emulated().await;
    let serve = serve()
        .deepgram(emulator.url())
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .toml(PROFILE)
        .start()
        .await;
    let mut options = Options::new(serve.http("/voice").parse().unwrap());
    options.call_sid = Some(call_sid(1).parse().unwrap());
    options.auth_token = Some(TOKEN.into());
    options.ring = Duration::from_millis(100);
    options.linger = Duration::from_millis(800);
    let late = Turn {
        pause: Duration::from_millis(11_000),
        ..Turn::say(Party::Callee, "Yes, how may I help you?")
    };
    options.turns = vec![Turn::say(Party::Caller, "Hello?"), late];
    options.faults = vec!["silent-gap:ms=10200,after_ms=1200".parse().unwrap()];
    let report = phone::call(options).await.unwrap();
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(report.spoken.len(), 7);
    check_words("silent-gap", &report, &events);
    for track in ["inbound", "outbound"] {
        let of_track = |event: &&&Value| event["data"]["track"] == track;
        let gaps = of_type(&events, "audio.gap");
        let gaps: Vec<&&Value> = gaps.iter().filter(of_track).collect();
        assert_eq!(gaps.len(), 1, "{gaps:?}");
        let gap = &gaps[0]["data"];
        assert_eq!(gap["reason"], "carrier");
        for (field, expected_ms) in [("duration_ms", 10_200), ("at_ms", 1_200)] {
            let found = gap[field].as_u64().unwrap();
            assert!(found.abs_diff(expected_ms) <= 60, "{gap}");
        }
        assert_eq!(
            events.last().unwrap()["data"]["audio"][track]["gap_ms"],
            gap["duration_ms"]
        );
    }
}
