//! Talking with an agent: what the caller hears, and what is told of it.

use std::time::Duration;

use serde_json::{Value, json};
use sidetone_simulator::emulator::{self, AgentScript, Emulator};
use sidetone_simulator::phone::{self, End, Options, Party, Report, Turn};
use tokio::task::JoinHandle;

use crate::deepgram::emulated;
use crate::ordering::{accepted, order_of, refused};
use crate::orders::Orders;
use crate::serve::{Serve, serve, soon};
use crate::twilio::call_sid;
use crate::watching::{end_reason, event};
use crate::web::ended;

mod demonstrations;
mod faults;
mod losses;
mod pages;

const GREETING: &str = "Hello! How may I help you today?";

const HELPDESK: &str = "[profiles.default.agent]\ngreeting = 'Hello! How may I help you today?'\n";

const STORY: &str = "I can see it here. It left our house on Friday and will be with you tomorrow.";

/// A gateway with an agent, and what else stands in its configuration.
async fn helpdesk(emulator: &Emulator, toml: &str) -> Serve {
    let serve = serve().deepgram(emulator.url()).toml(HELPDESK);
    serve.toml(toml).start().await
}

/// A caller who takes turns with the agent.
fn caller(serve: &Serve, n: u32, says: &[&str]) -> Options {
    let mut options = Options::new(serve.http("/voice").parse().unwrap());
    options.call_sid = Some(call_sid(n).parse().unwrap());
    options.turns = says
        .iter()
        .map(|text| Turn::say(Party::Caller, *text))
        .collect();
    options.takes_turns = true;
    options.linger = Duration::from_secs(5);
    options.seed = n.into();
    options
}

fn calling(options: Options) -> JoinHandle<Report> {
    tokio::spawn(async { phone::call(options).await.unwrap() })
}

async fn talk(serve: &Serve, says: &[&str]) -> Report {
    soon("the call", calling(caller(serve, 1, says)))
        .await
        .unwrap()
}

fn heard(report: &Report) -> String {
    let words: Vec<&str> = report.heard.iter().map(|word| word.text.as_str()).collect();
    words.join(" ")
}

/// A Deepgram whose agents follow a script.
async fn scripted(script: Value) -> Emulator {
    let options = emulator::Options {
        agent: serde_json::from_value::<AgentScript>(script).unwrap(),
        ..emulator::Options::default()
    };
    Emulator::start(options).await.unwrap()
}

/// A Deepgram with faults.
async fn faulty(faults: &[&str]) -> Emulator {
    let options = emulator::Options {
        faults: faults.iter().map(|fault| fault.parse().unwrap()).collect(),
        ..emulator::Options::default()
    };
    Emulator::start(options).await.unwrap()
}

/// What the emulated agents saw, the newest session first.
async fn sessions(emulator: &Emulator) -> Vec<Value> {
    let url = emulator.http_url().join("_emulator/agent").unwrap();
    let seen = reqwest::get(url).await.unwrap().text().await.unwrap();
    let seen: Value = serde_json::from_str(&seen).unwrap();
    seen["sessions"].as_array().unwrap().clone()
}

/// The data of all events of a type.
fn all<'a>(events: &'a [Value], event_type: &str) -> Vec<&'a Value> {
    let of_it = events.iter().filter(|event| event["type"] == event_type);
    of_it.map(|event| &event["data"]).collect()
}

/// The turns: whose, and what was said.
fn turns(events: &[Value]) -> Vec<(&str, &str)> {
    let turns = all(events, "agent.turn").into_iter();
    turns
        .map(|turn| {
            (
                turn["role"].as_str().unwrap(),
                turn["text"].as_str().unwrap(),
            )
        })
        .collect()
}

#[tokio::test]
async fn a_caller_talks_with_an_agent() {
    let emulator = emulated().await;
    let serve = helpdesk(&emulator, "").await;
    let report = talk(&serve, &["good morning"]).await;
    let heard = heard(&report);
    let rest = heard.strip_prefix(GREETING).expect(&heard);
    assert!(rest.to_lowercase().contains("good morning"), "{heard}");
    assert!(report.alerts.is_empty(), "{:?}", report.alerts);
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(all(&events, "agent.ready").len(), 1);
    let turns = turns(&events);
    assert_eq!(turns.len(), 3, "{turns:?}");
    assert_eq!(turns[0], ("assistant", GREETING));
    assert_eq!(turns[1].0, "user");
    assert_eq!(turns[2].0, "assistant");
    for turn in all(&events, "agent.turn") {
        if turn["role"] == "assistant" {
            assert_eq!(turn["heard_text"], turn["text"]);
            assert_eq!(turn["interrupted"], false);
        }
    }
    let started = all(&events, "agent.started_speaking");
    let answer = started.last().unwrap();
    assert_eq!(answer["turn"], 3);
    for latency in ["total_latency_ms", "latency_ms"] {
        assert!(answer[latency].as_u64().unwrap() < 5_000, "{answer}");
    }
}

#[tokio::test]
async fn an_agent_falls_silent_when_the_caller_speaks_and_the_ledger_knows_what_was_heard() {
    let script = json!({ "rules": [
        { "hears": "order", "says": STORY },
        { "hears": "", "says": "Of course." },
    ] });
    let emulator = scripted(script).await;
    let serve = helpdesk(&emulator, "").await;
    let mut options = caller(&serve, 1, &["where is my order"]);
    options.interjections = vec!["It left our: wait a moment".parse().unwrap()];
    let report = soon("the call", calling(options)).await.unwrap();
    let events = ended(&serve, &call_sid(1)).await;
    let cut = all(&events, "agent.turn")
        .into_iter()
        .find(|turn| turn["text"] == STORY)
        .unwrap();
    assert_eq!(cut["interrupted"], true, "{cut}");
    let stretch = report
        .stretches
        .iter()
        .find(|stretch| stretch.clear.is_some());
    let stretch = stretch.expect("a clear came");
    let ledger = cut["heard_text"].as_str().unwrap();
    assert!(STORY.starts_with(ledger), "{ledger}");
    let difference = ledger
        .split_whitespace()
        .count()
        .abs_diff(stretch.words.len());
    assert!(difference <= 1, "{ledger} / {stretch:?}");
    let heard_ms = cut["heard_ms"].as_u64().unwrap();
    let played_ms = stretch.end_ms - stretch.start_ms;
    assert!(
        heard_ms.abs_diff(played_ms) <= 150,
        "{heard_ms} of {played_ms}"
    );
    let [interrupted] = all(&events, "agent.interrupted")[..] else {
        panic!("{events:?}")
    };
    assert_eq!(interrupted["turn"], cut["turn"]);
    assert_eq!(interrupted["heard_text"], cut["heard_text"]);
    let heard = heard(&report);
    assert!(heard.ends_with("Of course."), "{heard}");
    assert!(!heard.contains("tomorrow"), "{heard}");
}

#[tokio::test]
async fn a_function_is_asked_of_its_webhook_which_can_tell_who_asks() {
    let orders = Orders::start(&[(200, r#"{"status":"on its way"}"#)]).await;
    let emulator = emulated().await;
    let toml = orders.function("default");
    let serve = helpdesk(&emulator, &toml).await;
    let report = talk(&serve, &["where is my order four seven one nine"]).await;
    assert!(heard(&report).contains("on its way"), "{}", heard(&report));
    let questions = orders.questions();
    let [question] = questions.as_slice() else {
        panic!("{questions:?}")
    };
    assert!(question.is_signed(), "{question:?}");
    let body = question.json();
    assert_eq!(body["arguments"], json!({ "id": "4719" }));
    assert_eq!(body["function"]["name"], "lookup_order");
    assert_eq!(body["call"]["call_sid"], call_sid(1));
    assert_eq!(body["call"]["from"], "+14155550123");
    assert_eq!(body["call"]["profile"], "default");
    let events = ended(&serve, &call_sid(1)).await;
    let [called] = all(&events, "agent.function_called")[..] else {
        panic!("{events:?}")
    };
    assert_eq!(called["name"], "lookup_order");
    assert_eq!(called["arguments"], json!({ "id": "4719" }));
    assert_eq!(called["outcome"], "ok");
    assert!(called["duration_ms"].as_u64().unwrap() < 5_000, "{called}");
}

#[tokio::test]
async fn a_function_that_fails_is_told_to_the_agent_in_words() {
    let orders = Orders::start(&[(500, "database password is hunter2")]).await;
    let emulator = emulated().await;
    let toml = orders.function("default");
    let serve = helpdesk(&emulator, &toml).await;
    let report = talk(&serve, &["where is my order four seven one nine"]).await;
    assert_eq!(orders.questions().len(), 1, "it may not be asked twice");
    let events = ended(&serve, &call_sid(1)).await;
    let [called] = all(&events, "agent.function_called")[..] else {
        panic!("{events:?}")
    };
    assert_eq!(called["outcome"], "failed");
    let words = called["result"].as_str().unwrap();
    assert!(
        words.contains("500") && !words.contains("hunter2"),
        "{words}"
    );
    assert!(heard(&report).contains("500"), "{}", heard(&report));
}

#[tokio::test]
async fn a_function_that_may_be_called_again_is_when_its_failure_passes() {
    let orders = Orders::start(&[(503, ""), (200, "shipped")]).await;
    let emulator = emulated().await;
    let toml = orders.function("default") + "idempotent = true\n";
    let serve = helpdesk(&emulator, &toml).await;
    let report = talk(&serve, &["where is my order four seven one nine"]).await;
    assert!(heard(&report).contains("shipped"), "{}", heard(&report));
    let questions = orders.questions();
    let ids: Vec<&str> = questions.iter().map(|it| it.header("webhook-id")).collect();
    assert_eq!((ids.len(), ids.first()), (2, ids.last()));
}

#[tokio::test]
async fn when_the_goodbye_has_been_heard_the_agent_hangs_up() {
    let emulator = emulated().await;
    let toml = "[[profiles.default.functions]]\nbuiltin = 'hangup'\n";
    let serve = helpdesk(&emulator, toml).await;
    let mut options = caller(&serve, 1, &["goodbye"]);
    options.linger = Duration::from_secs(30);
    let report = soon("the call", calling(options)).await.unwrap();
    assert_eq!(report.end, End::DocumentHungUp);
    assert!(heard(&report).ends_with("Goodbye."), "{}", heard(&report));
    assert_eq!(end_reason(&serve, 1).await, "hangup");
}

#[tokio::test]
async fn an_agent_transfers_to_a_number_that_it_knows_by_name_alone() {
    let emulator = emulated().await;
    let toml = "[[profiles.default.functions]]\nbuiltin = 'transfer'\n\
         targets = { sales = '+15551230003' }\n";
    let serve = helpdesk(&emulator, toml).await;
    let mut options = caller(&serve, 1, &["transfer me to sales"]);
    options
        .turns
        .push(Turn::say(Party::Callee, "sales department, good day"));
    options.linger = Duration::from_secs(12);
    let report = soon("the call", calling(options)).await.unwrap();
    let notes = report.notes.join("\n");
    assert!(notes.contains("+15551230003"), "{notes}");
    assert!(heard(&report).ends_with("good day"), "{}", heard(&report));
    assert_eq!(end_reason(&serve, 1).await, "transferred");
    let [session] = &sessions(&emulator).await[..] else {
        panic!("one session")
    };
    let settings = session["settings"].to_string();
    assert!(settings.contains("sales"), "{settings}");
    assert!(!settings.contains("15551230003"), "{settings}");
}

#[tokio::test]
async fn what_a_running_agent_is_told_counts_from_then_on() {
    let emulator = emulated().await;
    let serve = helpdesk(&emulator, "").await;
    let mut options = caller(&serve, 1, &[]);
    options.turns = vec![Turn {
        pause: Duration::from_secs(2),
        ..Turn::say(Party::Caller, "what are your instructions")
    }];
    let phone = calling(options);
    event(&serve, &call_sid(1), "agent.ready").await;
    let path = format!("/api/v1/calls/{}/agent", call_sid(1));
    let patch = async |body: Value| {
        let request = reqwest::Client::new()
            .patch(serve.http(&path))
            .body(body.to_string());
        soon("the patch", request.send())
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(patch(json!({ "prompt": "You are a pirate." })).await, 200);
    assert_eq!(patch(json!({})).await, 400);
    assert_eq!(patch(json!({ "speak": { "provider": 5 } })).await, 400);
    let heard = heard(&phone.await.unwrap()).to_lowercase();
    assert!(heard.contains("you are a pirate"), "{heard}");
    assert!(!heard.contains("customer service"), "{heard}");
}

#[tokio::test]
async fn an_agent_says_what_it_is_given_and_answers_what_nobody_said() {
    let emulator = emulated().await;
    let serve = helpdesk(&emulator, "").await;
    let mut options = caller(&serve, 1, &[]);
    options.linger = Duration::from_secs(12);
    let phone = calling(options);
    let greeted = event(&serve, &call_sid(1), "agent.turn").await;
    assert_eq!(greeted["data"]["text"], GREETING);
    let inject = |role: &str, content: &str| {
        let body = json!({ "role": role, "content": content });
        accepted(&serve, 1, "agent/inject", body)
    };
    inject("agent", "Are you still there?").await;
    inject("user", "good morning").await;
    let wrong = (400, "invalid_request");
    refused(
        &serve,
        1,
        "agent/inject",
        json!({ "role": "nobody", "content": "a" }),
        wrong,
    )
    .await;
    let (status, spoken) = order_of(
        &serve,
        1,
        "speak",
        json!({ "text": "Your order is on its way." }),
    )
    .await;
    assert_eq!(status, 202, "{spoken}");
    let finished = event(&serve, &call_sid(1), "speak.finished").await;
    assert_eq!(finished["data"]["speak_id"], spoken["speak_id"]);
    assert_eq!(finished["data"]["heard_text"], "Your order is on its way.");
    let heard = heard(&phone.await.unwrap());
    for said in [
        "Are you still there?",
        "good morning",
        "Your order is on its way.",
    ] {
        assert!(heard.contains(said), "{said} in {heard}");
    }
}

#[tokio::test]
async fn an_agent_is_told_which_keys_are_pressed() {
    let emulator = emulated().await;
    let toml = "[profiles.default]\ntell_dtmf = true\n";
    let serve = helpdesk(&emulator, toml).await;
    let mut options = caller(&serve, 1, &["good morning"]);
    options.dtmf = "42".to_owned();
    soon("the call", calling(options)).await.unwrap();
    let events = ended(&serve, &call_sid(1)).await;
    let turns = turns(&events);
    let told = turns.iter().filter(|(role, _)| *role == "user").nth(1);
    let (_, text) = told.unwrap_or_else(|| panic!("{turns:?}"));
    assert!(text.contains("42") || text.contains("4 2"), "{text}");
}

#[tokio::test]
async fn an_agent_takes_the_keys_that_it_asks_for() {
    let emulator = emulated().await;
    let toml = "[[profiles.default.functions]]\nbuiltin = 'collect_digits'\n";
    let serve = helpdesk(&emulator, toml).await;
    let mut options = caller(&serve, 1, &["take my code"]);
    options.dtmf = "4711#".to_owned();
    soon("the call", calling(options)).await.unwrap();
    let events = ended(&serve, &call_sid(1)).await;
    let [called] = all(&events, "agent.function_called")[..] else {
        panic!("{events:?}")
    };
    let result: Value = serde_json::from_str(called["result"].as_str().unwrap()).unwrap();
    assert_eq!(result, json!({ "digits": "4711", "ended_by": "finish_on" }));
}

#[tokio::test]
async fn an_agent_that_has_pressed_keys_is_there_again_with_the_stream() {
    let emulator = emulated().await;
    let toml = "[[profiles.default.functions]]\nbuiltin = 'send_dtmf'\n";
    let serve = helpdesk(&emulator, toml).await;
    let report = talk(&serve, &["press four two"]).await;
    assert_eq!(report.digits, "42");
    assert_eq!(report.streams.len(), 2);
    // The agent says so once it has the stream again.
    let heard = heard(&report);
    assert!(heard.ends_with("The keys were pressed."), "{heard}");
    let sessions = sessions(&emulator).await;
    assert_eq!(sessions.len(), 1, "the conversation goes on: {sessions:?}");
}

#[tokio::test]
async fn the_terminal_has_a_line_for_each_turn_and_each_function() {
    let orders = Orders::start(&[(200, STORY)]).await;
    let emulator = emulated().await;
    let toml = orders.function("default");
    let serve = helpdesk(&emulator, &toml).await;
    let mut options = caller(&serve, 1, &["where is my order four seven one nine"]);
    options.interjections = vec!["It left our: wait".parse().unwrap()];
    soon("the call", calling(options)).await.unwrap();
    let sid = call_sid(1);
    let greeting = serve.stdout.wait_for(GREETING).await;
    assert!(
        greeting.starts_with(&format!("[AGENT] {sid} 00:0")),
        "{greeting}"
    );
    let asked = serve.stdout.wait_for(&format!("[CALLER] {sid} ")).await;
    assert!(asked.contains("order"), "{asked}");
    let function = serve.stdout.wait_for(&format!("[FUNCTION] {sid} ")).await;
    assert!(
        function.contains(r#"lookup_order({"id":"4719"}) -> ok in "#),
        "{function}"
    );
    let cut = serve
        .stdout
        .wait_for(" -- (interrupted; answered in ")
        .await;
    assert!(!cut.contains("tomorrow"), "{cut}");
    let log = serve.stderr.all().join("\n");
    assert!(!log.contains("Friday") && !log.contains("4719"), "{log}");
}

#[tokio::test]
async fn no_agent_is_left_talking_when_its_call_is_over() {
    let emulator = emulated().await;
    let serve = helpdesk(&emulator, "").await;
    let mut options = caller(&serve, 1, &[]);
    options.linger = Duration::from_millis(500);
    soon("the call", calling(options)).await.unwrap();
    ended(&serve, &call_sid(1)).await;
    let over = async {
        while sessions(&emulator)
            .await
            .iter()
            .any(|session| session["ended"].is_null())
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the agent's session to end", over).await;
}
