//! What an operator sees: health, readiness, metrics, the log, the end of the process.

use std::collections::{BTreeMap, BTreeSet};

use sidetone_simulator::voice;

use crate::deepgram::emulated;
use crate::readers::{EventStream, ask, drain, look};
use crate::requests::voice as webhook;
use crate::scripted::{METADATA, Scripted, results};
use crate::serve::{Serve, serve, soon};
use crate::twilio::{Socket, Stream, call_sid};
use crate::watching::{call_until, metric};
use crate::web::{ended, events, types};

const OPENMETRICS: &str = "application/openmetrics-text; version=1.0.0";

/// What the contract names, with its type.
const METRICS: [(&str, &str); 10] = [
    ("sidetone_calls_live", "gauge"),
    ("sidetone_calls_total", "counter"),
    ("sidetone_media_frames_total", "counter"),
    ("sidetone_audio_gap_seconds_total", "counter"),
    ("sidetone_provider_reconnects_total", "counter"),
    ("sidetone_replayed_seconds_total", "counter"),
    ("sidetone_transcript_latency_seconds", "histogram"),
    ("sidetone_subscribers", "gauge"),
    ("sidetone_subscriber_interims_skipped_total", "counter"),
    ("sidetone_rejected_total", "counter"),
];

/// Waits until `/readyz` answers as wanted.
async fn ready_until(serve: &Serve, status: u16, reason: &str) {
    let waiting = async {
        loop {
            let answer = look(serve, "/readyz").await;
            if answer.status == status && answer.text.contains(reason) {
                return;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon(reason, waiting).await;
}

#[tokio::test]
async fn a_fresh_process_is_healthy_and_ready() {
    let serve = serve().start().await;
    for path in ["/healthz", "/readyz"] {
        assert_eq!(look(&serve, path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn a_full_node_is_not_ready_until_a_call_ends() {
    let deepgram = Scripted::start().await;
    let serve = serve()
        .deepgram(&deepgram.url)
        .toml("[limits]\nmax_calls = 2\n")
        .start()
        .await;
    let first = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    ready_until(&serve, 200, "").await;
    // The place that an answered webhook holds counts.
    assert_eq!(webhook(&serve, "/voice", 2).post().await.status, 200);
    ready_until(&serve, 503, "full").await;
    assert_eq!(look(&serve, "/healthz").await.status, 200);
    first.stop(1).await;
    ready_until(&serve, 200, "").await;
}

#[tokio::test]
async fn metrics_exist_from_the_start_in_the_format_that_was_asked_for() {
    let serve = serve().start().await;
    let prometheus = look(&serve, "/metrics").await;
    assert!(
        prometheus.header("content-type").starts_with("text/plain"),
        "{prometheus:?}"
    );
    let families = well_formed(&prometheus.text, false);
    for (name, kind) in METRICS {
        assert_eq!(families.get(name).map(String::as_str), Some(kind), "{name}");
    }
    let header = [("accept", OPENMETRICS)];
    let openmetrics = ask(&serve, reqwest::Method::GET, "/metrics", &header).await;
    let content_type = openmetrics.header("content-type");
    assert!(content_type.starts_with(OPENMETRICS), "{content_type}");
    assert!(openmetrics.text.ends_with("# EOF\n"));
    let families = well_formed(&openmetrics.text, true);
    for (name, kind) in METRICS {
        let family = name.strip_suffix("_total").unwrap_or(name);
        assert_eq!(
            families.get(family).map(String::as_str),
            Some(kind),
            "{family}"
        );
    }
    for name in [
        "sidetone_calls_live",
        "sidetone_audio_gap_seconds_total",
        "sidetone_provider_reconnects_total",
        "sidetone_replayed_seconds_total",
        "sidetone_subscribers",
        "sidetone_subscriber_interims_skipped_total",
        "sidetone_transcript_latency_seconds_count",
        "sidetone_transcript_latency_seconds_sum",
    ] {
        let sample = prometheus
            .text
            .lines()
            .find(|line| line.split(' ').next() == Some(name));
        assert!(matches!(sample, Some(line) if line.ends_with(" 0") || line.ends_with(" 0.0")));
    }
    for track in ["inbound", "outbound"] {
        let sample = format!("sidetone_media_frames_total{{track=\"{track}\"}} 0\n");
        assert!(prometheus.text.contains(&sample), "{sample}");
    }
}

/// Checks the text as a scraper would, and gives the families with their types.
fn well_formed(text: &str, openmetrics: bool) -> BTreeMap<String, String> {
    let (mut families, mut samples) = (BTreeMap::new(), BTreeSet::new());
    let mut current = String::new();
    for line in text.lines().filter(|line| *line != "# EOF") {
        if let Some(metadata) = line.strip_prefix("# ") {
            let mut parts = metadata.splitn(3, ' ');
            let (keyword, name) = (parts.next().unwrap(), parts.next().unwrap());
            let rest = parts.next().unwrap_or_default();
            match keyword {
                "HELP" => assert!(!rest.is_empty(), "{line}"),
                "TYPE" => {
                    let before = families.insert(name.to_owned(), rest.to_owned());
                    assert_eq!(before, None, "a family stands in one place: {line}");
                }
                "UNIT" if openmetrics => {}
                _ => panic!("{line}"),
            }
            current = name.to_owned();
            continue;
        }
        let (series, value) = line.rsplit_once(' ').unwrap();
        assert!(value.parse::<f64>().is_ok(), "{line}");
        assert!(
            samples.insert(series.to_owned()),
            "{line} stands there twice"
        );
        let name = series.split('{').next().unwrap();
        let suffix = name
            .strip_prefix(&current)
            .unwrap_or_else(|| panic!("{line} is astray"));
        let allowed: &[&str] = match (families[&current].as_str(), openmetrics) {
            ("counter", true) => &["_total", "_created"],
            ("histogram", _) => &["_bucket", "_sum", "_count"],
            _ => &[""],
        };
        assert!(allowed.contains(&suffix), "{line}");
    }
    families
}

#[tokio::test]
async fn metrics_count_what_happens() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    for n in 0..20 {
        stream.media("inbound", 20 + 20 * n, &[0x55; 160]).await;
    }
    stream.media("inbound", 1_420, &[0x55; 160]).await;
    let mut connection = deepgram.accept().await;
    connection.say(results(0, 0, 400, "hello", true)).await;
    let mut reader = EventStream::open(&serve, &format!("{}/events", call_path(1)), &[]).await;
    while reader.event().await.unwrap()["type"] != "transcript.final" {}
    assert_eq!(metric(&serve, "sidetone_calls_live").await, 1.0);
    assert_eq!(metric(&serve, "sidetone_subscribers").await, 1.0);
    assert_eq!(metric(&serve, "sidetone_media_frames_total").await, 21.0);
    assert_eq!(
        metric(&serve, "sidetone_transcript_latency_seconds_count").await,
        1.0
    );
    drop(reader);
    tokio::join!(stream.stop(1), connection.finish(&[METADATA]));
    ended(&serve, &call_sid(1)).await;
    let settled = async {
        while metric(&serve, "sidetone_subscribers").await != 0.0
            || metric(&serve, "sidetone_calls_live").await != 0.0
        {
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
    };
    soon("the gauges to fall", settled).await;
    let text = look(&serve, "/metrics").await.text;
    assert!(
        text.contains("sidetone_calls_total{end_reason=\"stop\"} 1\n"),
        "{text}"
    );
}

fn call_path(call: u32) -> String {
    format!("/api/v1/calls/{}", call_sid(call))
}

#[tokio::test]
async fn the_log_follows_a_call_and_closes_it_with_one_line() {
    let emulator = emulated().await;
    let mut serve = serve().deepgram(emulator.url()).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let speech = voice::speak("thank you very much");
    stream.play("inbound", 20, &speech.ulaw).await;
    stream.stop(1).await;
    ended(&serve, &call_sid(1)).await;

    let sid = call_sid(1);
    let closing = serve.stderr.wait_for(&format!("Call {sid} ended")).await;
    let line = &closing[closing.find("Call CA").unwrap()..];
    let rest = line
        .strip_prefix(&format!("Call {sid} ended (stop): 0:0"))
        .unwrap();
    let parts: Vec<&str> = rest.split(", ").collect();
    assert!(parts[0].parse::<u8>().is_ok(), "{line}");
    assert_eq!(parts[1..4], ["4 words", "0 lost", "0 reconnects"], "{line}");
    let latency = parts[4]
        .strip_prefix("latency p50 ")
        .unwrap()
        .strip_suffix(" ms")
        .unwrap();
    assert!(latency.parse::<u32>().is_ok(), "{line}");
    assert_eq!(parts.len(), 5, "{line}");

    let log: Vec<String> = serve
        .stderr
        .all()
        .into_iter()
        .filter(|l| l.contains(&sid))
        .collect();
    let place = |text: &str| {
        let found = log
            .iter()
            .position(|line| line.to_lowercase().contains(text));
        found.unwrap_or_else(|| panic!("no `{text}` in {log:#?}"))
    };
    assert!(place("stream") < place("first audio"), "{log:#?}");
    assert!(
        place("connecting to deepgram") < place("connected to deepgram"),
        "{log:#?}"
    );
    assert!(
        log[place("connected to deepgram")].contains("request_id"),
        "{log:#?}"
    );
    assert!(log.iter().all(|line| line.contains(" INFO ")), "{log:#?}");
    assert!(
        log.iter().all(|line| !line.contains("test-key")),
        "{log:#?}"
    );
    serve.terminate();
    assert_eq!(serve.ended().await, Some(0));
}

#[tokio::test]
async fn the_log_says_when_nothing_is_answered_and_when_nothing_is_said() {
    // It takes the connection and never says a word.
    let scripted = Scripted::start().await;
    let serve = serve().deepgram(&scripted.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let _silent = scripted.accept().await;
    stream.sound(60).await;
    for told in ["10 s of speech without a result.", "No audio for 5 s."] {
        let line = serve.stderr.wait_for(told).await;
        assert!(
            line.contains("INFO") && line.contains(&call_sid(1)),
            "{line}"
        );
    }
}

#[tokio::test]
async fn the_first_signal_lets_live_calls_end_by_themselves() {
    let emulator = emulated().await;
    let mut serve = serve().deepgram(emulator.url()).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let speech = voice::speak("good morning");
    stream.media("inbound", 0, &[0xFF; 160]).await;
    call_until(&serve, &call_sid(1), |call| {
        call["provider"]["state"] == "connected"
    })
    .await;
    let mut waiting = Stream::connected(&serve.ws("/twilio"), 2).await;
    assert_eq!(webhook(&serve, "/voice", 3).post().await.status, 200);
    let mut reader = EventStream::open(&serve, &format!("{}/events", call_path(1)), &[]).await;

    serve.terminate();
    ready_until(&serve, 503, "draining").await;
    assert_eq!(look(&serve, "/healthz").await.status, 200);
    waiting.say_start(2, &["inbound"], "{}").await;
    assert_eq!(waiting.socket.closed().await.unwrap().0, 1013);
    let overflow = webhook(&serve, "/voice", 4).post().await;
    assert!(!overflow.twiml().contains("<Stream"), "{overflow:?}");

    stream.play("inbound", 20, &speech.ulaw).await;
    stream.stop(1).await;
    let mut seen = Vec::new();
    while let Some(event) = reader.event().await {
        seen.push(event);
    }
    let last = seen.last().unwrap();
    assert_eq!(last["type"], "call.ended");
    assert_eq!(last["data"]["end_reason"], "stop");
    assert_eq!(crate::web::words(&seen, "inbound"), ["good", "morning"]);
    assert_eq!(serve.ended().await, Some(0));
    let stderr = serve.stderr.all().join("\n");
    assert!(stderr.contains("2 words"), "{stderr}");
}

#[tokio::test]
async fn calls_that_outlast_the_drain_are_ended_cleanly() {
    let deepgram = Scripted::start().await;
    let mut serve = serve()
        .deepgram(&deepgram.url)
        .toml("[server]\ndrain_secs = 1\n")
        .start()
        .await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    for n in 0..10 {
        stream.media("inbound", 20 + 20 * n, &[0x55; 160]).await;
    }
    let connection = deepgram.accept().await;
    call_until(&serve, &call_sid(1), |call| {
        call["provider"]["state"] == "connected"
    })
    .await;
    let path = format!("{}/events", call_path(1));
    let mut reader = Socket::connect(&serve.ws(&path), &[]).await.unwrap();
    serve.terminate();

    // Its last words are heard to the end.
    let goodbye = results(0, 0, 200, "goodbye", true);
    let last_words = [goodbye.as_str(), METADATA];
    let (drained, ()) = tokio::join!(drain(&mut reader), connection.finish(&last_words));
    let told: Vec<serde_json::Value> = drained
        .0
        .iter()
        .map(|text| serde_json::from_str(text).unwrap())
        .collect();
    assert_eq!(
        types(&told),
        ["call.started", "transcript.final", "call.ended"]
    );
    assert_eq!(told[2]["data"]["end_reason"], "shutdown");
    assert_eq!(told[2]["data"]["status"], "ended");
    assert_eq!(drained.1, Some(1000));
    assert!(
        stream.socket.closed().await.is_some(),
        "Twilio's socket is closed too"
    );
    assert_eq!(serve.ended().await, Some(0));
    let closing = serve.stderr.wait_for("ended (shutdown)").await;
    assert!(closing.contains(&call_sid(1)), "{closing}");
    assert_eq!(serve.stdout.all().len(), 1, "the last final is on stdout");
}

#[tokio::test]
async fn a_second_signal_ends_at_once() {
    let deepgram = Scripted::start().await;
    let mut serve = serve()
        .deepgram(&deepgram.url)
        .toml("[server]\ndrain_secs = 3600\n")
        .start()
        .await;
    let _stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    serve.terminate();
    ready_until(&serve, 503, "draining").await;
    assert_eq!(
        events(&serve, &call_sid(1)).await.len(),
        1,
        "the call is still on"
    );
    serve.terminate();
    // The drain time is an hour; the wait for the end is not.
    serve.ended().await;
    let closing = serve.stderr.wait_for("ended (shutdown)").await;
    assert!(closing.contains(&call_sid(1)), "{closing}");
}

#[tokio::test]
async fn without_calls_a_signal_ends_it_at_once_and_well() {
    for signal in ["-TERM", "-INT"] {
        let mut serve = serve().start().await;
        let pid = serve.pid().to_string();
        let sent = std::process::Command::new("kill")
            .args([signal, &pid])
            .status();
        assert!(sent.unwrap().success());
        assert_eq!(serve.ended().await, Some(0), "{signal}");
        assert_eq!(serve.stdout.all(), Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_log_can_be_json() {
    let mut serve = serve_json().await;
    serve.terminate();
    assert_eq!(serve.ended().await, Some(0));
    for line in serve.stderr.all() {
        let entry: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert!(
            entry["message"].is_string() && entry["level"].is_string(),
            "{line}"
        );
    }
}

async fn serve_json() -> Serve {
    serve().env("SIDETONE_LOG_FORMAT", "json").start().await
}
