//! `demo --agent`: a conversation with an agent, who is interrupted, looks something up, and says
//! goodbye.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, anyhow};
use serde_json::{Value, json};
use sidetone_call::engine::Builtin;
use sidetone_call::event::{AgentTurn, EventData, FunctionEnd};
use sidetone_deepgram::agent::settings::{FunctionSpec, Settings};
use sidetone_gateway::calls::Calls;
use sidetone_gateway::config::{Agent, Function, Profile, Webhook, WebhookSecret};
use sidetone_simulator::emulator::{AgentCall, AgentRule, AgentScript};
use sidetone_simulator::phone::{self, Cue, End, Interjection, Party, Report, Turn};
use tokio::time::timeout;
use url::Url;

use super::ledger::{Ledger, Told};
use super::orders;

/// What the call is greeted with.
const GREETING: &str = "Hello, this is the service desk. How may I help you today?";

const LOOKUP: &str = "lookup_order";
const HANGUP: &str = "hangup";

const QUESTION: &str = "Good morning, where is my order four seven one nine?";

/// Long enough to be interrupted.
const STORY: &str = "I can see it here. It left our house on {result.left} and will be with you \
                     {result.due}. Now I would like to tell you how it was made, from the first \
                     day to the last. It was a good day for us, and we had a number of people \
                     here who had not been here before.";

/// Where the caller has heard enough.
const CUE: &str = "from the first day";

const INTERRUPTION: &str = "Thank you, that is all I want to know.";

const ANSWER: &str = "Very well. Is there anything else I can do for you?";

const GOODBYE: &str = "No, thank you. Goodbye.";

const FAREWELL: &str = "Thank you for calling. Have a good day, goodbye.";

/// The whole call is done within this.
const PATIENCE: Duration = Duration::from_secs(90);

/// What the emulated model does.
pub(super) fn script() -> AgentScript {
    let rule = |hears: &str, calls, says: &str| AgentRule {
        hears: hears.to_owned(),
        says: Some(says.to_owned()),
        calls,
        ..AgentRule::default()
    };
    let call = |name: &str, arguments: Value| AgentCall {
        name: name.to_owned(),
        arguments: arguments.as_object().cloned().unwrap_or_default(),
    };
    let lookup = call(LOOKUP, json!({ "id": "{order}" }));
    AgentScript {
        greeting: None,
        rules: vec![
            rule("my order {order}", vec![lookup], STORY),
            rule("that is all", Vec::new(), ANSWER),
            rule("goodbye", vec![call(HANGUP, json!({}))], FAREWELL),
        ],
    }
}

/// A profile with an agent who asks `orders` for orders.
pub(super) fn profile(orders: &Url) -> anyhow::Result<Profile> {
    let agent = json!({
        "greeting": GREETING,
        "think": { "prompt": "You are the service desk. Look orders up before you speak of them." },
    });
    let mut settings =
        Settings::from_agent(agent).map_err(|faults| anyhow!("the demo's agent: {faults:?}"))?;
    let lookup = FunctionSpec {
        name: LOOKUP.to_owned(),
        description: Some("Finds an order by its number".to_owned()),
        parameters: json!({
            "type": "object",
            "properties": { "id": { "type": "string" } },
            "required": ["id"],
        }),
        defer_until_eot: false,
    };
    let secret = WebhookSecret::parse(orders::SECRET).map_err(|error| anyhow!(error))?;
    let webhook = Webhook::new(orders.clone(), &lookup.parameters, Some(secret), true)
        .map_err(|error| anyhow!(error))?;
    settings.add_function(lookup)?;
    settings.add_function(Builtin::HangUp.spec(HANGUP, None))?;
    let functions = [
        (LOOKUP, Function::Webhook(webhook)),
        (HANGUP, Function::Builtin(Builtin::HangUp)),
    ];
    let functions = functions.map(|(name, function)| (name.to_owned(), function));
    Ok(Profile {
        agent: Some(Agent {
            functions: BTreeMap::from(functions),
            ..Agent::new(settings)
        }),
        bidirectional: true,
        ..Profile::default()
    })
}

/// Makes the call and compares what was heard with what the ledger says was heard.
pub(super) async fn call(
    calls: &Arc<Calls>,
    orders: &orders::Orders,
    mut options: phone::Options,
) -> anyhow::Result<Outcome> {
    options.turns = [QUESTION, GOODBYE]
        .map(|text| Turn::say(Party::Caller, text))
        .to_vec();
    options.interjections = vec![Interjection {
        after: Cue::Phrase(CUE.to_owned()),
        say: INTERRUPTION.to_owned(),
    }];
    options.takes_turns = true;
    options.linger = PATIENCE;
    let report = timeout(PATIENCE, phone::call(options)).await;
    let report = report.context("the agent did not hang up")?;
    let report = report.context("the simulated call failed")?;
    let events = super::events_of(calls, &report.call_sid).await?;
    Ok(Outcome::of(&events, &report, orders.found()))
}

/// What came of the conversation.
pub(super) struct Outcome {
    ledger: Ledger,
    /// Functions that did what they are for, by name.
    functions: Vec<String>,
    /// Requests to the webhook whose signature held.
    signed: usize,
    is_hung_up: bool,
    /// From the end of what the caller said to the answer.
    latencies_ms: Vec<u64>,
}

impl Outcome {
    fn of(events: &[EventData], report: &Report, signed: usize) -> Self {
        let (mut turns, mut functions, mut latencies_ms) = (Vec::new(), Vec::new(), Vec::new());
        for event in events {
            match event {
                EventData::AgentTurn(turn) => turns.extend(told(turn)),
                EventData::AgentFunctionCalled(call) if call.outcome == FunctionEnd::Ok => {
                    functions.push(call.name.clone());
                }
                // A greeting answers nothing.
                EventData::AgentStartedSpeaking(answer) if answer.latency_ms.is_some() => {
                    latencies_ms.extend(answer.total_latency_ms.or(answer.latency_ms));
                }
                _ => {}
            }
        }
        Self {
            ledger: Ledger::of(turns, report),
            functions,
            signed,
            is_hung_up: report.end == End::DocumentHungUp,
            latencies_ms,
        }
    }

    /// Whether the caller heard what the ledger says, and the agent did what it is there for.
    pub(super) fn is_right(&self) -> bool {
        self.ledger.is_right()
            && self.functions == [LOOKUP, HANGUP]
            && self.signed == 1
            && self.is_hung_up
    }

    pub(super) fn json(&self) -> Value {
        let mut summary = self.ledger.json();
        summary["functions"] = json!(self.functions);
        summary["signed_requests"] = json!(self.signed);
        summary["hung_up"] = json!(self.is_hung_up);
        summary["latency_ms"] = json!(self.latencies_ms);
        summary
    }
}

/// A turn of the agent.
fn told(turn: &AgentTurn) -> Option<Told<'_>> {
    let heard = turn.heard.as_ref()?;
    Some(Told {
        text: &turn.text,
        heard: &heard.heard_text,
        is_cut: heard.interrupted,
    })
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "\n{}", self.ledger)?;
        let functions = self.functions.len();
        writeln!(f, "Functions called         {functions:>6}")?;
        writeln!(f, "Signatures that held     {:>6}", self.signed)?;
        let slowest = self.latencies_ms.iter().max();
        let slowest = slowest.unwrap_or(&0);
        writeln!(f, "Answered in              {slowest:>6} ms at the slowest")?;
        let end = match self.is_hung_up {
            true => "by the agent, once its goodbye was heard",
            false => "not by the agent",
        };
        write!(f, "Ended                    {end}")
    }
}
