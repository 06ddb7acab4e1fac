//! A caller who takes turns with what a bidirectional stream says, and one who does not.

use serde_json::Value;

use crate::command::{Outcome, sidetone};
use crate::deepgram::emulated;
use crate::serve::{Serve, serve, soon};
use crate::watching::event;
use crate::web::{ended, get};

const STORY: &str = "I can see it here. It left our house on Friday and will be with you tomorrow.";

/// The object that `--json` printed.
#[track_caller]
fn object(outcome: &Outcome) -> Value {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    serde_json::from_str(&outcome.stdout).unwrap_or_else(|_| panic!("{outcome:?}"))
}

fn texts(words: &Value) -> Vec<&str> {
    let words = words.as_array().unwrap().iter();
    words.map(|word| word["text"].as_str().unwrap()).collect()
}

/// The sid of the only call, once it is live.
async fn live_call(serve: &Serve) -> String {
    let call = async {
        loop {
            let (_, page) = get(serve, "/api/v1/calls?status=live").await;
            match page["items"][0]["call_sid"].as_str() {
                Some(call_sid) => return call_sid.to_owned(),
                None => tokio::time::sleep(std::time::Duration::from_millis(20)).await,
            }
        }
    };
    soon("a live call", call).await
}

#[tokio::test]
async fn the_caller_says_something_once_the_greeting_was_heard() {
    let emulator = emulated().await;
    let profile = "[profiles.default.speak]\ngreeting = 'Hello. How are you today?'\n";
    let serve = serve().deepgram(emulator.url()).toml(profile).start().await;
    let voice = serve.http("/voice");
    let outcome = sidetone(["call", &voice, "--say", "good morning", "--json"]);
    let call = object(&outcome.run().await);
    let greeting = &call["stretches"][0];
    let heard = ["Hello.", "How", "are", "you", "today?"];
    assert_eq!(texts(&greeting["words"]), heard, "{call}");
    assert_eq!(greeting["clear"], Value::Null);
    let greeted_ms = greeting["end_ms"].as_u64().unwrap();
    let spoke_ms = call["spoken"][0]["start_ms"].as_u64().unwrap();
    assert!((650..=800).contains(&(spoke_ms - greeted_ms)), "{call}");
}

#[tokio::test]
async fn a_caller_who_interrupts_hears_what_the_ledger_says_and_when_it_stopped() {
    let emulator = emulated().await;
    let profile =
        format!("[profiles.default.listen]\n[profiles.default.speak]\ngreeting = '{STORY}'\n");
    let serve = serve()
        .deepgram(emulator.url())
        .toml(&profile)
        .start()
        .await;
    let voice = serve.http("/voice");
    let args = [
        "call",
        &voice,
        "--interrupt",
        "see it here: one moment",
        "--json",
    ];
    let interrupted = async {
        let call_sid = live_call(&serve).await;
        event(&serve, &call_sid, "transcript.final").await;
        let path = format!("/api/v1/calls/{call_sid}/speak");
        let asked_at = jiff::Timestamp::now();
        let request = reqwest::Client::new().delete(serve.http(&path));
        let answer = soon("the silence", request.send()).await.unwrap();
        assert_eq!(answer.status(), 204);
        (ended(&serve, &call_sid).await, asked_at)
    };
    let (outcome, (events, asked_at)) = tokio::join!(sidetone(args).run(), interrupted);
    let call = object(&outcome);
    let said = call["spoken"][0]["start_ms"].as_u64().unwrap();
    let cue = &call["heard"][4];
    assert_eq!(cue["text"], "here.", "{call}");
    let after_cue_ms = said - cue["end_ms"].as_u64().unwrap();
    assert!(after_cue_ms <= 40, "{call}");

    let cut = &call["stretches"][0];
    let cleared_at: jiff::Timestamp = cut["clear"]["at"].as_str().unwrap().parse().unwrap();
    assert!(asked_at < cleared_at, "{cut}");
    assert!(
        cut["clear"]["discarded_ms"].as_u64().unwrap() <= 500,
        "{cut}"
    );
    let told = events
        .iter()
        .find(|event| event["type"] == "speak.interrupted");
    let ledger = told.unwrap()["data"]["heard_text"].as_str().unwrap();
    let ledger: Vec<&str> = ledger.split_whitespace().collect();
    let heard = texts(&cut["words"]);
    assert!(
        heard.len().abs_diff(ledger.len()) <= 1,
        "{heard:?} {ledger:?}"
    );
    assert!(heard.len() < count(STORY), "{cut}");
    assert_eq!(call["heard"], cut["words"]);
}

fn count(text: &str) -> usize {
    text.split_whitespace().count()
}

#[tokio::test]
async fn what_is_no_interjection_is_refused_with_an_example() {
    for (text, words) in [
        ("wait", "AFTER: TEXT"),
        ("0: wait", "a number of words from 1"),
        ("5:", "what the caller says"),
    ] {
        let args = ["call", "http://127.0.0.1:9/voice", "--interrupt", text];
        let outcome = sidetone(args).run().await;
        assert_eq!(outcome.code, Some(2), "{outcome:?}");
        assert!(outcome.stderr.contains(words), "{outcome:?}");
    }
}
