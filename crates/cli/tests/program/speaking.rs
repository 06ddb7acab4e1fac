//! Saying something into a call: what the caller hears, and what is told of it.

use std::fs;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sidetone_simulator::emulator::{self, Emulator};
use sidetone_simulator::phone::{self, Options, Report};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::command::sidetone;
use crate::deepgram::emulated;
use crate::ordering::{order, order_of, refused};
use crate::serve::{Serve, serve, soon};
use crate::twilio::{Stream, call_sid};
use crate::watching::{call_until, end_reason, event};
use crate::web::{ended, events};

mod agent;

const GREETING: &str = "Hello, how are you today?";

const GREETED: &str = "[profiles.default.speak]\ngreeting = 'Hello, how are you today?'\n";

const SILENT: &str = "[profiles.default.speak]\n";

/// A phone call in which the caller says nothing and waits.
fn listening(serve: &Serve, n: u32, wait: Duration) -> JoinHandle<Report> {
    let mut options = Options::new(serve.http("/voice").parse().unwrap());
    options.call_sid = Some(call_sid(n).parse().unwrap());
    options.linger = wait;
    options.seed = n.into();
    tokio::spawn(async { phone::call(options).await.unwrap() })
}

fn heard(report: &Report) -> String {
    let words: Vec<&str> = report.heard.iter().map(|word| word.text.as_str()).collect();
    words.join(" ")
}

/// Says something, and gives its id.
async fn say(serve: &Serve, call: u32, body: Value) -> String {
    let (status, answer) = order_of(serve, call, "speak", body).await;
    assert_eq!(status, 202, "{answer}");
    answer["speak_id"].as_str().unwrap().to_owned()
}

async fn silence(serve: &Serve, call: u32) -> u16 {
    let path = format!("/api/v1/calls/{}/speak", call_sid(call));
    let request = reqwest::Client::new().delete(serve.http(&path));
    soon("silence", request.send())
        .await
        .unwrap()
        .status()
        .into()
}

/// What was told of a text: the types of its events, and the data of the last one.
fn told<'a>(events: &'a [Value], speak_id: &str) -> (Vec<&'a str>, &'a Value) {
    let of_it = |event: &&Value| event["data"]["speak_id"] == speak_id;
    let types = events.iter().filter(of_it);
    let types = types.map(|event| event["type"].as_str().unwrap()).collect();
    (types, &events.iter().rfind(of_it).unwrap()["data"])
}

#[tokio::test]
async fn the_caller_is_greeted_when_the_stream_starts() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).toml(GREETED).start().await;
    let report = listening(&serve, 1, Duration::from_secs(4)).await.unwrap();
    assert_eq!(heard(&report), GREETING);
    let events = ended(&serve, &call_sid(1)).await;
    let (types, last) = told(&events, "greeting");
    assert_eq!(types, ["speak.started", "speak.finished"]);
    assert_eq!(last["text"], GREETING);
    let played_ms = report.played_samples / 8;
    assert!(last["heard_ms"].as_u64().unwrap().abs_diff(played_ms) <= 20);
    assert!(report.alerts.is_empty(), "{:?}", report.alerts);
}

#[tokio::test]
async fn a_greeting_is_fetched_once_and_kept_where_nobody_else_may_read_it() {
    let emulator = emulated().await;
    let data = tempfile::tempdir().unwrap();
    let start = || {
        serve()
            .deepgram(emulator.url())
            .env("SIDETONE_DATA_DIR", data.path().to_str().unwrap())
            .toml(GREETED)
            .start()
    };
    let first = start().await;
    let kept = data.path().join("speak-cache");
    let is_kept = async {
        let finished = |name: std::ffi::OsString| name.to_str().unwrap().ends_with(".ulaw");
        while !fs::read_dir(&kept)
            .is_ok_and(|files| files.flatten().any(|file| finished(file.file_name())))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the greeting to be kept before any call", is_kept).await;
    check_private(&kept);
    drop(first);
    let again = start().await;
    // From now on Deepgram has nothing to say.
    emulator.stop().await;
    let report = listening(&again, 1, Duration::from_secs(4)).await.unwrap();
    assert_eq!(heard(&report), GREETING);
}

#[cfg(unix)]
fn check_private(folder: &Path) {
    use std::os::unix::fs::PermissionsExt;
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(folder), 0o700);
    for file in fs::read_dir(folder).unwrap() {
        assert_eq!(mode(&file.unwrap().path()), 0o600);
    }
}

#[tokio::test]
async fn texts_are_heard_in_order_and_the_call_goes_on() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).toml(SILENT).start().await;
    let phone = listening(&serve, 1, Duration::from_secs(3));
    event(&serve, &call_sid(1), "call.started").await;
    let first = say(&serve, 1, json!({"text": "Thank you, one moment."})).await;
    let second = say(&serve, 1, json!({"text": "It will be with you tomorrow."})).await;
    let report = phone.await.unwrap();
    assert_eq!(
        heard(&report),
        "Thank you, one moment. It will be with you tomorrow."
    );
    let events = ended(&serve, &call_sid(1)).await;
    for speak_id in [first, second] {
        let (types, last) = told(&events, &speak_id);
        assert_eq!(types, ["speak.started", "speak.finished"]);
        assert!(last["first_audio_ms"].as_u64().unwrap() < 5_000, "{last}");
        assert_eq!(last["reason"], Value::Null);
    }
}

#[tokio::test]
async fn a_silenced_call_hears_no_more_and_the_ledger_knows_what_was_heard() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).toml(SILENT).start().await;
    let phone = listening(&serve, 1, Duration::from_secs(4));
    event(&serve, &call_sid(1), "call.started").await;
    let text = "I can see it here. It left our house on Friday and will be with you tomorrow.";
    let speak_id = say(&serve, 1, json!({ "text": text })).await;
    let waits = say(&serve, 1, json!({"text": "This is not heard."})).await;
    event(&serve, &call_sid(1), "speak.started").await;
    tokio::time::sleep(Duration::from_millis(1_800)).await;
    assert_eq!(silence(&serve, 1).await, 204);
    let report = phone.await.unwrap();
    let events = ended(&serve, &call_sid(1)).await;
    let (types, last) = told(&events, &speak_id);
    assert_eq!(types, ["speak.started", "speak.interrupted"]);
    let heard_text = last["heard_text"].as_str().unwrap();
    assert!(text.starts_with(heard_text), "{heard_text}");
    let words = |text: &str| text.split_whitespace().count();
    let difference = words(heard_text).abs_diff(words(&heard(&report)));
    assert!(difference <= 1, "{heard_text} / {}", heard(&report));
    let played_ms = report.played_samples / 8;
    let heard_ms = last["heard_ms"].as_u64().unwrap();
    assert!(
        heard_ms.abs_diff(played_ms) <= 150,
        "{heard_ms} of {played_ms}"
    );
    let (types, last) = told(&events, &waits);
    assert_eq!(
        (types, &last["heard_ms"]),
        (vec!["speak.interrupted"], &json!(0))
    );
}

#[tokio::test]
async fn a_text_that_interrupts_is_said_at_once() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).toml(SILENT).start().await;
    let phone = listening(&serve, 1, Duration::from_secs(4));
    event(&serve, &call_sid(1), "call.started").await;
    let text = "I can see it here. It left our house on Friday and will be with you tomorrow.";
    let first = say(&serve, 1, json!({ "text": text })).await;
    event(&serve, &call_sid(1), "speak.started").await;
    let second = say(&serve, 1, json!({"text": "Goodbye.", "interrupt": true})).await;
    let report = phone.await.unwrap();
    assert!(heard(&report).ends_with("Goodbye."), "{}", heard(&report));
    assert!(!heard(&report).contains("tomorrow"));
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(
        told(&events, &first).0,
        ["speak.started", "speak.interrupted"]
    );
    assert_eq!(
        told(&events, &second).0,
        ["speak.started", "speak.finished"]
    );
}

#[tokio::test]
async fn a_long_text_is_heard_whole_and_without_a_seam() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).toml(SILENT).start().await;
    // More than a first piece holds.
    let text = "Thank you very much for your help. ".repeat(10);
    let phone = listening(&serve, 1, Duration::from_secs(3));
    event(&serve, &call_sid(1), "call.started").await;
    let speak_id = say(&serve, 1, json!({ "text": text })).await;
    let report = phone.await.unwrap();
    assert_eq!(heard(&report), text.trim());
    let events = ended(&serve, &call_sid(1)).await;
    let (_, last) = told(&events, &speak_id);
    let first_ms = report.heard.first().unwrap().start_ms;
    let last_ms = report.heard.last().unwrap().start_ms;
    let took_ms = last_ms - first_ms;
    assert!(
        took_ms <= last["heard_ms"].as_u64().unwrap(),
        "{took_ms}: {last}"
    );
}

#[tokio::test]
async fn what_cannot_be_said_fails_with_deepgrams_words() {
    let emulator = speaking_with("speak-refuse:status=402,times=all").await;
    let serve = serve().deepgram(emulator.url()).toml(SILENT).start().await;
    let phone = listening(&serve, 1, Duration::from_secs(3));
    event(&serve, &call_sid(1), "call.started").await;
    let speak_id = say(&serve, 1, json!({"text": "Hello."})).await;
    let failed = event(&serve, &call_sid(1), "speak.failed").await;
    assert_eq!(failed["data"]["speak_id"], speak_id.as_str());
    let reason = failed["data"]["reason"].as_str().unwrap();
    assert!(reason.to_lowercase().contains("credit"), "{reason}");
    assert_eq!(heard(&phone.await.unwrap()), "");
}

/// A Deepgram that does something wrong while it speaks.
async fn speaking_with(fault: &str) -> Emulator {
    let options = emulator::Options {
        faults: vec![fault.parse().unwrap()],
        ..emulator::Options::default()
    };
    Emulator::start(options).await.unwrap()
}

#[tokio::test]
async fn what_goes_wrong_for_a_while_delays_the_words_and_loses_none() {
    let faults = [
        "speak-refuse:status=429,times=2",
        "speak-refuse:status=503,retry_after_secs=1",
        "speak-stall:after_ms=0",
        "speak-slow:ms=500,percent=150",
        "speak-header",
    ];
    let calls = faults.map(async |fault| {
        let emulator = speaking_with(fault).await;
        let serve = serve().deepgram(emulator.url()).toml(SILENT).start().await;
        let phone = listening(&serve, 1, Duration::from_secs(8));
        event(&serve, &call_sid(1), "call.started").await;
        let speak_id = say(&serve, 1, json!({"text": "Thank you, goodbye."})).await;
        assert_eq!(
            heard(&phone.await.unwrap()),
            "Thank you, goodbye.",
            "{fault}"
        );
        let events = ended(&serve, &call_sid(1)).await;
        assert_eq!(
            told(&events, &speak_id).0,
            ["speak.started", "speak.finished"],
            "{fault}"
        );
    });
    join_all(calls).await;
}

/// A Deepgram that takes its time, and counts those who wait at the same time: now, and at most.
async fn busy_deepgram() -> (String, Arc<Mutex<(u32, u32)>>) {
    let counts = Arc::new(Mutex::new((0, 0)));
    let counting = Arc::clone(&counts);
    let speak = axum::routing::post(move || async move {
        {
            let mut counts = counting.lock().unwrap();
            counts.0 += 1;
            counts.1 = counts.0.max(counts.1);
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
        counting.lock().unwrap().0 -= 1;
        ([("content-type", "audio/basic")], vec![0x2A; 800])
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let router = axum::Router::new().route("/v1/speak", speak);
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    (url, counts)
}

#[tokio::test]
async fn no_more_texts_are_spoken_at_once_than_the_plan_allows() {
    let (url, counts) = busy_deepgram().await;
    let serve = serve()
        .deepgram(url)
        .toml("[deepgram]\nmax_speak = 2\n")
        .toml(SILENT)
        .start()
        .await;
    let calls = (1..=6).map(|n| {
        let serve = &serve;
        async move {
            let phone = listening(serve, n, Duration::from_secs(4));
            event(serve, &call_sid(n), "call.started").await;
            let id = say(serve, n, json!({ "text": "hello" })).await;
            phone.await.unwrap();
            let events = ended(serve, &call_sid(n)).await;
            let (types, _) = told(&events, &id);
            assert_eq!(types, ["speak.started", "speak.finished"]);
        }
    });
    join_all(calls).await;
    assert_eq!(*counts.lock().unwrap(), (0, 2));
}

#[tokio::test]
async fn speech_that_breaks_off_is_heard_that_far_and_told_as_failed() {
    let emulator = speaking_with("speak-cut:after_ms=900").await;
    let serve = serve().deepgram(emulator.url()).toml(SILENT).start().await;
    let phone = listening(&serve, 1, Duration::from_secs(3));
    event(&serve, &call_sid(1), "call.started").await;
    let text = "Thank you very much for your help.";
    let speak_id = say(&serve, 1, json!({ "text": text })).await;
    let next = say(&serve, 1, json!({"text": "Goodbye."})).await;
    let heard = heard(&phone.await.unwrap());
    let (broken, rest) = heard.split_once(" Goodbye.").unwrap();
    assert!(text.starts_with(broken) && rest.is_empty(), "{heard}");
    let events = ended(&serve, &call_sid(1)).await;
    let (types, last) = told(&events, &speak_id);
    assert_eq!(types.last(), Some(&"speak.failed"));
    assert!(
        last["reason"].as_str().unwrap().contains("broke off"),
        "{last}"
    );
    assert_eq!(told(&events, &next).0, ["speak.started", "speak.finished"]);
}

#[tokio::test]
async fn after_a_farewell_the_call_is_hung_up() {
    let emulator = emulated().await;
    let profile = format!("{GREETED}then = 'hangup'\n");
    let serve = serve()
        .deepgram(emulator.url())
        .toml(&profile)
        .start()
        .await;
    let report = listening(&serve, 1, Duration::from_secs(60)).await.unwrap();
    assert_eq!(heard(&report), GREETING);
    assert_eq!(end_reason(&serve, 1).await, "hangup");
}

#[tokio::test]
async fn what_is_wrong_to_ask_for_is_refused_and_nothing_is_said() {
    let emulator = emulated().await;
    let profiles = format!("{SILENT}[profiles.ear.listen]\n");
    let serve = serve()
        .deepgram(emulator.url())
        .toml(&profiles)
        .start()
        .await;
    let speaking = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let _listening = Stream::start(&serve.ws("/twilio/ear"), 2, 2, &["inbound", "outbound"]).await;
    for call in [1, 2] {
        event(&serve, &call_sid(call), "call.started").await;
    }
    let hello = json!({"text": "Hello."});
    refused(
        &serve,
        2,
        "speak",
        hello.clone(),
        (409, "not_bidirectional"),
    )
    .await;
    refused(&serve, 3, "speak", hello.clone(), (404, "call_not_found")).await;
    for (body, names) in [
        (json!({}), "text"),
        (json!({"text": ""}), "text"),
        (json!({"text": " \n"}), "text"),
        (json!({"text": 5}), "string"),
        (json!({"text": "a".repeat(20_001)}), "20000"),
        (json!({"text": "Hello.", "volume": 3}), "volume"),
        (json!({"text": "Hello.", "model": "flux-thing"}), "flux"),
        (json!(["Hello."]), "object"),
    ] {
        let detail = refused(&serve, 1, "speak", body, (400, "invalid_request")).await;
        assert!(detail.contains(names), "{names}: {detail}");
    }
    assert_eq!(order(&serve, "/calls/latest/speak", &hello).await.0, 404);
    speaking.stop(1).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "ended").await;
    refused(&serve, 1, "speak", hello, (409, "call_ended")).await;
    assert_eq!(silence(&serve, 1).await, 409);
    let types = events(&serve, &call_sid(1)).await;
    assert!(
        types
            .iter()
            .all(|event| !event["type"].as_str().unwrap().starts_with("speak."))
    );
}

#[tokio::test]
async fn the_page_for_who_comes_from_a_speech_script_is_true() {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/from-speech.md");
    let page = fs::read_to_string(page).unwrap();
    let block = |kind: &str| {
        let (_, after) = page.split_once(&format!("```{kind}\n")).unwrap();
        after.split("```").next().unwrap().to_owned()
    };
    let emulator = emulated().await;
    let serve = serve()
        .deepgram(emulator.url())
        .toml(&block("toml"))
        .start()
        .await;
    let command = block("sh");
    let command = command.trim().strip_prefix("sidetone ").unwrap();
    let (before, expected) = command.split_once("--expect ").unwrap();
    let (stream, expected) = (serve.ws("/twilio"), expected.trim_matches('"'));
    let args: Vec<&str> = before.split_whitespace().collect();
    assert!(args[1].ends_with("/twilio"), "{args:?}");
    let outcome = sidetone([args[0], &stream, "--expect", expected])
        .run()
        .await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    // Whatever the page says of the voice holds.
    assert!(block("toml").contains("aura-asteria-en"));
}

#[tokio::test]
async fn the_demonstration_of_speech_proves_itself() {
    let outcome = sidetone(["demo", "--speak", "--json"]).run().await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert!(
        summary["words"]["heard"].as_u64().unwrap() > 30,
        "{summary}"
    );
    assert_eq!(summary["cuts"], 1);
}
