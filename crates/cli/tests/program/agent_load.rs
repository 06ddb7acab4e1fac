//! How soon a call falls silent, and whether audio comes in time, with many calls at once.
//!
//! Gateway, emulator and phones are processes of their own. A test run makes a few calls and checks
//! what must hold on any machine; `cargo xtask soak agents` sets the number of calls in
//! `SIDETONE_CALLS_AT_ONCE`, and then what was measured is printed and held against the bounds.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use futures_util::future::join_all;
use jiff::Timestamp;
use serde_json::{Value, json};
use sidetone_simulator::phone::{self, Options};

use crate::command::{Outcome, sidetone};
use crate::emulated::Emulated;
use crate::serve::{Serve, serve, soon};
use crate::twilio::call_sid;
use crate::web::ended;

const STORY: &str = "I can see it here. It left our house on Friday and will be with you tomorrow. \
                     Thank you very much for your help.";

/// Audio is sent when 340 ms of it are left, and a phone plays in frames of 20 ms: more than this
/// is left by a phone that was held up itself.
const AHEAD_MS: f64 = 360.0;

/// From the cause of a clear to its coming to the phone, 99 of 100.
const CLEAR_WITHIN_MS: f64 = 10.0;

/// By how much audio comes later than the audio around it, 99 of 100.
const LATE_BY_MS: f64 = 20.0;

/// Between the starts of two calls.
const STAGGER: Duration = Duration::from_millis(20);

/// How many calls are measured, when they are.
fn measured_calls() -> Option<usize> {
    let asked = std::env::var("SIDETONE_CALLS_AT_ONCE").ok()?;
    Some(asked.parse().expect("SIDETONE_CALLS_AT_ONCE is a number"))
}

/// Values in ms, in order.
struct Spread(Vec<f64>);

impl Spread {
    fn of(values: impl IntoIterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.into_iter().collect();
        assert!(!values.is_empty(), "nothing was measured");
        values.sort_by(f64::total_cmp);
        Self(values)
    }

    fn percentile(&self, percent: usize) -> f64 {
        let index = (self.0.len() * percent).div_ceil(100);
        self.0[index.max(1) - 1]
    }
}

impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [p50, p90, p99, max] = [50, 90, 99, 100].map(|percent| self.percentile(percent));
        let count = self.0.len();
        write!(
            f,
            "p50 {p50:.1} ms, p90 {p90:.1} ms, p99 {p99:.1} ms, greatest {max:.1} ms of {count}"
        )
    }
}

fn ms_between(from: Timestamp, to: Timestamp) -> f64 {
    to.duration_since(from).as_secs_f64() * 1_000.0
}

/// A time of day of the emulator or a phone.
fn time(value: &Value) -> Timestamp {
    value.as_str().unwrap().parse().unwrap()
}

fn array(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

/// What became of calls that all went well, as `call --json` tells it.
#[track_caller]
fn calls_of(outcome: &Outcome) -> Vec<Value> {
    assert_eq!(outcome.code, Some(0), "{}", outcome.stderr);
    let lines = outcome.stdout.lines();
    let calls: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for call in &calls {
        assert_eq!(call["alerts"], json!([]), "{call}");
    }
    calls
}

/// The stretches of a call that a clear ended.
fn cuts(call: &Value) -> Vec<&Value> {
    let stretches = array(&call["stretches"]).iter();
    stretches
        .filter(|stretch| !stretch["clear"].is_null())
        .collect()
}

fn cleared_at(cut: &Value) -> Timestamp {
    time(&cut["clear"]["at"])
}

/// How long before its playing each message of the stretches of calls came, in ms.
fn ahead_ms(calls: &[Value]) -> Vec<Vec<f64>> {
    let stretches = calls.iter().flat_map(|call| array(&call["stretches"]));
    let ahead_ms = stretches.map(|stretch| {
        let ahead_ms = array(&stretch["ahead_ms"]).iter();
        ahead_ms.map(|ahead| ahead.as_f64().unwrap()).collect()
    });
    ahead_ms
        .filter(|ahead: &Vec<f64>| !ahead.is_empty())
        .collect()
}

/// By how many ms each message of a stretch came later than it usually does. The first ones build
/// up what waits.
fn late_ms(ahead_ms: &[f64]) -> Vec<f64> {
    let usual = Spread::of(ahead_ms.iter().copied()).percentile(50);
    let usual = usual.min(AHEAD_MS);
    let is_building_up = |ahead: &&f64| **ahead < usual - LATE_BY_MS;
    let steady = ahead_ms.iter().skip_while(is_building_up);
    steady.map(|ahead| (usual - ahead).max(0.0)).collect()
}

/// When each session of the emulated agent noticed that the caller began to speak, by request id.
async fn speech_noticed(emulated: &Emulated) -> BTreeMap<String, Vec<Timestamp>> {
    let seen = agent(reqwest::Client::new().get(agent_url(emulated))).await;
    let sessions = array(&seen["sessions"]).iter();
    let noticed = sessions.map(|session| {
        let opened = time(&session["opened"]);
        let at = |line: &Value| {
            let after = Duration::from_secs_f64(line["ms"].as_f64().unwrap() / 1_000.0);
            opened + after
        };
        let is_it = |line: &&Value| line["message"]["type"] == "UserStartedSpeaking";
        let times = array(&session["messages"]).iter().filter(is_it).map(at);
        let request_id = session["request_id"].as_str().unwrap().to_owned();
        (request_id, times.collect())
    });
    noticed.collect()
}

fn agent_url(emulated: &Emulated) -> String {
    let deepgram = emulated.value("DEEPGRAM_URL");
    let (_, address) = deepgram.split_once("://").unwrap();
    format!("http://{}/_emulator/agent", address.trim_end_matches('/'))
}

async fn agent(request: reqwest::RequestBuilder) -> Value {
    let answer = soon("the emulated agent", request.send()).await.unwrap();
    assert!(answer.status().is_success());
    serde_json::from_str(&answer.text().await.unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn callers_who_interrupt_their_agents_are_heard_at_once() {
    let emulated = Emulated::start(&[]).await;
    let serve = serve()
        .deepgram(emulated.value("DEEPGRAM_URL"))
        .toml("[profiles.default.agent]\n")
        .start()
        .await;
    let script = json!({
        "greeting": STORY,
        "rules": [{ "hears": "wait", "says": STORY }, { "hears": "", "says": "Goodbye." }],
    });
    let post = reqwest::Client::new().post(agent_url(&emulated));
    agent(post.body(script.to_string())).await;

    let measured = measured_calls();
    let interruptions = if measured.is_some() { 5 } else { 2 };
    let calls = measured.unwrap_or(3).to_string();
    let voice = serve.http("/voice");
    let mut args = vec!["call", &voice, "--json", "--calls", &calls];
    for _ in 1..interruptions {
        args.extend(["--interrupt", "6: wait a moment"]);
    }
    args.extend(["--interrupt", "6: thank you"]);
    let calls = calls_of(&sidetone(args).run().await);

    let noticed = speech_noticed(&emulated).await;
    let mut clear_ms = Vec::new();
    for call in &calls {
        let call_sid = call["call_sid"].as_str().unwrap();
        let events = ended(&serve, call_sid).await;
        let cuts = cuts(call);
        assert_eq!(cuts.len(), interruptions, "{call}");
        check_ledger(&cuts, &events);
        let ready = events.iter().find(|event| event["type"] == "agent.ready");
        let request_id = ready.unwrap()["data"]["request_id"].as_str().unwrap();
        for cut in cuts {
            let cleared = cleared_at(cut);
            let before = noticed[request_id].iter().rfind(|at| **at <= cleared);
            clear_ms.push(ms_between(*before.expect("the caller was heard"), cleared));
        }
    }
    let clear_ms = Spread::of(clear_ms);
    if let Some(count) = measured {
        println!("{count} agent calls at once, {interruptions} interruptions each");
        let ahead_ms = ahead_ms(&calls);
        let late_ms = Spread::of(ahead_ms.iter().flat_map(|stretch| late_ms(stretch)));
        println!("clear after UserStartedSpeaking: {clear_ms}");
        println!(
            "audio before its playing:        {}",
            Spread::of(ahead_ms.concat())
        );
        println!("audio later than usual:          {late_ms}");
        assert!(clear_ms.percentile(99) <= CLEAR_WITHIN_MS);
        assert!(late_ms.percentile(99) <= LATE_BY_MS);
    }
}

/// Each interrupted turn was heard as far as the ledger says, to a word.
#[track_caller]
fn check_ledger(cuts: &[&Value], events: &[Value]) {
    let interrupted = events
        .iter()
        .filter(|event| event["type"] == "agent.interrupted");
    let interrupted: Vec<&Value> = interrupted.map(|event| &event["data"]).collect();
    assert_eq!(interrupted.len(), cuts.len());
    for (cut, told) in cuts.iter().zip(interrupted) {
        let ledger = told["heard_text"].as_str().unwrap().split_whitespace();
        let heard = array(&cut["words"]).len();
        assert!(ledger.count().abs_diff(heard) <= 1, "{told}: {cut}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_silenced_falls_silent_at_once() {
    let emulated = Emulated::start(&[]).await;
    let greeting = format!("[profiles.default.speak]\ngreeting = '{STORY}'\n");
    let serve = serve()
        .deepgram(emulated.value("DEEPGRAM_URL"))
        .toml(&greeting)
        .start()
        .await;
    let measured = measured_calls();
    let client = reqwest::Client::new();
    let calls = 1..=measured.unwrap_or(3);
    let silenced = join_all(calls.map(|n| silenced(&serve, &client, n))).await;
    let clear_ms = Spread::of(silenced);
    if let Some(count) = measured {
        println!("{count} calls at once, each silenced");
        println!("clear after DELETE: {clear_ms}");
        assert!(clear_ms.percentile(99) <= CLEAR_WITHIN_MS);
    }
}

/// Silences a call while it is being greeted; how many ms after that was asked for the clear came.
async fn silenced(serve: &Serve, client: &reqwest::Client, n: usize) -> f64 {
    let number = u32::try_from(n).unwrap();
    tokio::time::sleep(STAGGER * number).await;
    let mut options = Options::new(serve.http("/voice").parse().unwrap());
    options.call_sid = Some(call_sid(number).parse().unwrap());
    options.seed = number.into();
    // The first calls wait for the greeting to be fetched.
    options.linger = Duration::from_secs(5);
    let exchange = options.exchange.clone();
    let phone = tokio::spawn(phone::call(options));
    let greeted = async {
        while exchange.calls().iter().all(|call| call.heard.len() < 3) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the greeting", greeted).await;
    let path = format!("/api/v1/calls/{}/speak", call_sid(number));
    let request = client.delete(serve.http(&path));
    let asked = Timestamp::now();
    let answer = soon("the silence", request.send()).await;
    assert_eq!(answer.unwrap().status(), 204);
    let report = soon("the end of the call", phone).await.unwrap().unwrap();
    let [stretch] = &report.stretches[..] else {
        panic!("{report:?}")
    };
    let clear = stretch.clear.as_ref().expect("it was cut short");
    assert!(asked <= clear.at, "{report:?}");
    ms_between(asked, clear.at)
}
