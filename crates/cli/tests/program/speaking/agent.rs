//! Saying something into a call with an agent: it says it, unless it is silenced.

use std::time::Duration;

use serde_json::{Value, json};
use sidetone_simulator::phone::{self, CallRecord, Exchange, Options, Party, Report, Turn};
use tokio::task::JoinHandle;

use super::{heard, say, silence, told};
use crate::deepgram::emulated;
use crate::serve::{Serve, serve, soon};
use crate::twilio::call_sid;
use crate::watching::event;
use crate::web::{ended, events};

const HELPDESK: &str = "[profiles.default.agent]\ngreeting = 'Hello!'\n";

const STORY: &str = "I can see it here. It left our house on Friday and will be with you tomorrow.";

/// A caller who listens to the agent, and what can be seen of it meanwhile.
struct Caller {
    exchange: Exchange,
    phone: JoinHandle<Report>,
}

impl Caller {
    /// Says these once nothing was heard for a while.
    fn of(serve: &Serve, says: &[&str]) -> Self {
        let exchange = Exchange::default();
        let mut options = Options::new(serve.http("/voice").parse().unwrap());
        options.call_sid = Some(call_sid(1).parse().unwrap());
        options.exchange = exchange.clone();
        options.turns = says
            .iter()
            .map(|text| Turn::say(Party::Caller, *text))
            .collect();
        options.takes_turns = true;
        options.linger = Duration::from_secs(5);
        let phone = tokio::spawn(async { phone::call(options).await.unwrap() });
        Self { exchange, phone }
    }

    /// Waits until it has heard this.
    async fn hears(&self, words: &str) {
        let hears = |call: &CallRecord| {
            let heard: Vec<&str> = call.heard.iter().map(|word| &*word.text).collect();
            heard.join(" ").contains(words)
        };
        let waiting = async {
            while !self.exchange.calls().iter().any(hears) {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        };
        soon(words, waiting).await;
    }

    async fn report(self) -> Report {
        soon("the call", self.phone).await.unwrap()
    }
}

/// The data of the events of a type.
fn all<'a>(events: &'a [Value], event_type: &str) -> Vec<&'a Value> {
    let of_it = events.iter().filter(|event| event["type"] == event_type);
    of_it.map(|event| &event["data"]).collect()
}

/// The agent's turn with this text.
#[track_caller]
fn turn<'a>(events: &'a [Value], text: &str) -> &'a Value {
    let turns = all(events, "agent.turn").into_iter();
    let mut of_it = turns.filter(|turn| turn["text"] == text);
    of_it.next().unwrap_or_else(|| panic!("{text}: {events:?}"))
}

#[tokio::test]
async fn a_silenced_agent_stops_at_once_and_says_nothing_of_what_waits() {
    let emulator = emulated().await;
    let serve = serve()
        .deepgram(emulator.url())
        .toml(HELPDESK)
        .start()
        .await;
    let caller = Caller::of(&serve, &["good morning"]);
    event(&serve, &call_sid(1), "agent.turn").await;
    let story = say(&serve, 1, json!({ "text": STORY })).await;
    let waits = say(&serve, 1, json!({ "text": "This is not heard." })).await;
    caller.hears("It left").await;
    assert_eq!(silence(&serve, 1).await, 204);
    let report = caller.report().await;

    // Nothing of it came any more, and the conversation goes on.
    let words = heard(&report);
    assert!(
        !words.contains("tomorrow") && !words.contains("not heard"),
        "{words}"
    );
    let answer = words.to_lowercase();
    assert!(answer.ends_with("good morning"), "{words}");
    let mut stretches = report.stretches.iter();
    let cut = stretches.find(|stretch| stretch.clear.is_some()).unwrap();

    let events = ended(&serve, &call_sid(1)).await;
    let (types, last) = told(&events, &story);
    assert_eq!(types, ["speak.started", "speak.interrupted"]);
    let ledger = last["heard_text"].as_str().unwrap();
    assert!(STORY.starts_with(ledger), "{ledger}");
    let heard_words = cut.words.len() - usize::from(cut.words[0].text == "Hello!");
    let told_words = ledger.split_whitespace().count();
    assert!(told_words.abs_diff(heard_words) <= 1, "{ledger} / {cut:?}");
    let (types, last) = told(&events, &waits);
    assert_eq!(types, ["speak.interrupted"]);
    assert_eq!(
        (&last["heard_ms"], &last["heard_text"]),
        (&json!(0), &json!(""))
    );

    let turn = turn(&events, STORY);
    assert_eq!(turn["interrupted"], true, "{turn}");
    let interrupted = all(&events, "agent.interrupted");
    for key in ["turn", "heard_text", "heard_ms"] {
        assert_eq!(interrupted[0][key], turn[key]);
    }
    assert_eq!(turn["heard_text"], ledger);
}

#[tokio::test]
async fn a_text_that_interrupts_an_agent_is_said_instead() {
    let emulator = emulated().await;
    let serve = serve()
        .deepgram(emulator.url())
        .toml(HELPDESK)
        .start()
        .await;
    let caller = Caller::of(&serve, &[]);
    event(&serve, &call_sid(1), "agent.turn").await;
    let story = say(&serve, 1, json!({ "text": STORY })).await;
    caller.hears("It left").await;
    let instead = json!({ "text": "One moment, please.", "interrupt": true });
    let instead = say(&serve, 1, instead).await;
    let report = caller.report().await;

    let words = heard(&report);
    assert!(words.ends_with("One moment, please."), "{words}");
    assert!(!words.contains("tomorrow"), "{words}");
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(
        told(&events, &story).0,
        ["speak.started", "speak.interrupted"]
    );
    let (types, last) = told(&events, &instead);
    assert_eq!(types, ["speak.started", "speak.finished"]);
    assert_eq!(last["heard_text"], "One moment, please.");
    assert_eq!(turn(&events, STORY)["interrupted"], true);
    assert_eq!(turn(&events, "One moment, please.")["interrupted"], false);
}

#[tokio::test]
async fn silence_where_nothing_is_said_changes_nothing() {
    let emulator = emulated().await;
    let serve = serve()
        .deepgram(emulator.url())
        .toml(HELPDESK)
        .start()
        .await;
    let caller = Caller::of(&serve, &[]);
    event(&serve, &call_sid(1), "agent.turn").await;
    let before = events(&serve, &call_sid(1)).await;
    assert_eq!(silence(&serve, 1).await, 204);
    let spoken = say(&serve, 1, json!({ "text": "Goodbye." })).await;
    let report = caller.report().await;
    assert_eq!(heard(&report), "Hello! Goodbye.");
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(events[before.len()]["type"], "agent.started_speaking");
    assert_eq!(
        told(&events, &spoken).0,
        ["speak.started", "speak.finished"]
    );
    assert_eq!(all(&events, "agent.interrupted"), [] as [&Value; 0]);
}
