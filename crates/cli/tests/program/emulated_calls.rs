//! Call control against the emulated Twilio, whose simulated people answer, hear and hang up.

use std::time::Duration;

use serde_json::{Value, json};
use sidetone_simulator::emulator::{Emulator, Options, TwilioAccount};
use sidetone_simulator::phone::{self, End, Exchange, Party, Subscriber, Turn};

use crate::emulated::NUMBER;
use crate::ordering::order;
use crate::serve::{Serve, serve, soon};
use crate::watching::{call_until, event};
use crate::web::{ended, get, words};

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const PERSON: &str = "+15551230002";

const PROFILES: &str = r#"
[profiles.talk]
speak = {}
[profiles.talk.listen]
[profiles.ear.listen]
[profiles.ear.dial]
pause_secs = 90
"#;

/// A gateway whose Deepgram and Twilio are emulated, and the calls of that Twilio.
async fn emulated() -> (Emulator, Exchange, Serve) {
    let exchange = Exchange::default();
    let options = Options {
        exchange: exchange.clone(),
        ..Options::default()
    };
    let emulator = Emulator::start(options).await.unwrap();
    let serve = serve()
        .deepgram(emulator.url())
        .env("TWILIO_API_URL", emulator.http_url())
        .env("TWILIO_ACCOUNT_SID", ACCOUNT)
        .env("TWILIO_AUTH_TOKEN", "emulated")
        .toml(PROFILES)
        .start()
        .await;
    (emulator, exchange, serve)
}

async fn place(serve: &Serve, to: &str, profile: &str) -> String {
    let placing = json!({"to": to, "from": NUMBER, "profile": profile});
    let (status, call) = order(serve, "/calls", &placing).await;
    assert_eq!(
        (status, &call["status"]),
        (201, &json!("pending")),
        "{call}"
    );
    call["call_sid"].as_str().unwrap().to_owned()
}

async fn accepted_of(serve: &Serve, call_sid: &str, what: &str, body: Value) {
    let path = format!("/calls/{call_sid}/{what}");
    assert_eq!(order(serve, &path, &body).await, (202, json!({})), "{what}");
}

fn of_the_call(events: &[Value]) -> Vec<&str> {
    let types = events.iter().map(|event| event["type"].as_str().unwrap());
    types.filter(|name| name.starts_with("call.")).collect()
}

/// A call to the gateway from a phone that says something and then waits.
fn phone(serve: &Serve, exchange: &Exchange, profile: &str) -> phone::Options {
    let url = serve.http(&format!("/voice/{profile}"));
    phone::Options {
        turns: vec![Turn::say(Party::Caller, "hello there")],
        auth_token: Some(TwilioAccount::default().auth_token),
        exchange: exchange.clone(),
        linger: Duration::from_secs(6),
        ..phone::Options::new(url.parse().unwrap())
    }
}

/// The only call that is live, once it is.
async fn only_live(serve: &Serve) -> String {
    let waiting = async {
        loop {
            let (_, page) = get(serve, "/api/v1/calls?status=live").await;
            if let Some(call_sid) = page["items"][0]["call_sid"].as_str() {
                return call_sid.to_owned();
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("a live call", waiting).await
}

#[tokio::test]
async fn a_placed_call_is_answered_heard_and_hung_up() {
    let (_emulator, _exchange, serve) = emulated().await;
    let call_sid = place(&serve, PERSON, "ear").await;
    event(&serve, &call_sid, "transcript.final").await;
    accepted_of(&serve, &call_sid, "hangup", Value::Null).await;
    let events = ended(&serve, &call_sid).await;
    assert_eq!(
        of_the_call(&events)[..4],
        [
            "call.started",
            "call.status",
            "call.ringing",
            "call.answered"
        ]
    );
    let call = &events.last().unwrap()["data"];
    assert_eq!(call["end_reason"], "hangup");
    assert_eq!(
        (&call["to"], &call["from"]),
        (&json!(PERSON), &json!(NUMBER))
    );
    assert!(!words(&events, "inbound").is_empty());
}

#[tokio::test]
async fn a_line_that_is_busy_or_dead_ends_the_call_with_its_reason() {
    let (_emulator, _exchange, serve) = emulated().await;
    for (to, reason) in [("+15551230486", "busy"), ("+15551230404", "failed")] {
        let call_sid = place(&serve, to, "ear").await;
        let events = ended(&serve, &call_sid).await;
        let call = &events.last().unwrap()["data"];
        assert_eq!(call["end_reason"], reason, "{events:?}");
        assert_eq!(events[0]["type"], "call.started");
    }
}

#[tokio::test]
async fn keys_are_pressed_and_the_stream_of_a_placed_call_comes_back() {
    let (_emulator, _exchange, serve) = emulated().await;
    let call_sid = place(&serve, PERSON, "talk").await;
    let live = call_until(&serve, &call_sid, |call| call["status"] == "live").await;
    let first = live["stream_sid"].clone();
    event(&serve, &call_sid, "transcript.final").await;
    accepted_of(&serve, &call_sid, "dtmf", json!({"digits": "12"})).await;
    let is_back = |call: &Value| call["stream_sid"] != first && call["status"] == "live";
    call_until(&serve, &call_sid, is_back).await;
    accepted_of(&serve, &call_sid, "hangup", Value::Null).await;
    let events = ended(&serve, &call_sid).await;
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "hangup");
}

#[tokio::test]
async fn a_caller_is_transferred_and_talks_to_somebody_else() {
    let (_emulator, exchange, serve) = emulated().await;
    exchange.set_subscribers(vec![Subscriber {
        number: Some(PERSON.to_owned()),
        says: vec!["this is sales speaking".to_owned()],
        ..Subscriber::default()
    }]);
    let calling = phone::call(phone(&serve, &exchange, "talk"));
    let ordering = async {
        let call_sid = only_live(&serve).await;
        event(&serve, &call_sid, "transcript.final").await;
        accepted_of(&serve, &call_sid, "transfer", json!({"to": PERSON})).await;
        ended(&serve, &call_sid).await
    };
    let (report, events) = tokio::join!(calling, ordering);
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "transferred");
    let report = report.unwrap();
    let heard: Vec<&str> = report.heard.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(
        heard,
        ["this", "is", "sales", "speaking"],
        "{:?}",
        report.notes
    );
}

#[tokio::test]
async fn a_caller_is_hung_up_on() {
    let (_emulator, exchange, serve) = emulated().await;
    let calling = phone::call(phone(&serve, &exchange, "ear"));
    let ordering = async {
        let call_sid = only_live(&serve).await;
        event(&serve, &call_sid, "transcript.final").await;
        accepted_of(&serve, &call_sid, "hangup", Value::Null).await;
        ended(&serve, &call_sid).await
    };
    let (report, events) = tokio::join!(calling, ordering);
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "hangup");
    assert!(!matches!(report.unwrap().end, End::CallerHungUp));
}
