//! `demo --speak`: a call that is greeted, told something, and silenced half-way.

use std::collections::VecDeque;
use std::fmt;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};
use sidetone_call::event::{EventData, Speak};
use sidetone_call::log::{Cursor, Item, Read};
use sidetone_gateway::calls::{CallHandle, Calls};
use sidetone_gateway::outbound;
use sidetone_simulator::phone::{self, Party, Report, Turn};
use sidetone_twilio::CallSid;
use tokio::time::{sleep, timeout};
use url::Url;

use super::ledger::{Ledger, Told};
use crate::terminal::Terminal;
use crate::words;

/// What the call is greeted with.
pub(super) const GREETING: &str = "Hello, this is the service desk. How may I help you today?";

const QUESTION: &str = "Good morning, I am calling about my order.";

const ANSWER: &str = "Thank you. It left our house on Friday and will be with you tomorrow.";

/// Long enough to be cut short.
const STORY: &str = "Now I would like to tell you how your order was made, from the first day to \
                     the last. It was a Monday, and it was a good day for us. We had a number of \
                     people here who had not been here before, and they wanted to know everything.";

const GOODBYE: &str = "Very well. Have a good day, goodbye.";

/// How much of the story is heard before it is stopped.
const PATIENCE: Duration = Duration::from_millis(2_600);

/// Each step of the call is done within this.
const STEP_TIMEOUT: Duration = Duration::from_secs(30);

/// Makes the call and compares what was heard with what the ledger says was heard.
pub(super) async fn call(
    address: SocketAddr,
    calls: &Arc<Calls>,
    terminal: Option<&Terminal>,
    mut options: phone::Options,
) -> anyhow::Result<Outcome> {
    let call_sid = options
        .call_sid
        .clone()
        .context("the demo's own call sid")?;
    options.turns = vec![Turn {
        pause: Duration::from_secs(5),
        ..Turn::say(Party::Caller, QUESTION)
    }];
    options.linger = Duration::from_secs(60);
    let phone = tokio::spawn(phone::call(options));
    let told = direct(address, calls, terminal, &call_sid).await;
    if told.is_err() {
        phone.abort();
    }
    let told = told?;
    let report = timeout(STEP_TIMEOUT, phone).await;
    let report = report.context("the caller was not hung up on")?;
    let report = report.context("the simulated phone")?;
    Ok(Outcome::of(
        &told,
        &report.context("the simulated call failed")?,
    ))
}

/// Has everything said, and gives what the events told of it.
async fn direct(
    address: SocketAddr,
    calls: &Arc<Calls>,
    terminal: Option<&Terminal>,
    call_sid: &CallSid,
) -> anyhow::Result<Vec<Speak>> {
    let api = Api::new(address, call_sid)?;
    let mut events = Events::of(calls, call_sid).await?;
    let mut told = Vec::new();
    let settled = async |events: &mut Events| -> anyhow::Result<Speak> {
        let speak = events.settled().await?;
        if let Some(terminal) = terminal {
            terminal.print(shown(&speak)).await;
        }
        Ok(speak)
    };
    told.push(settled(&mut events).await?);
    events.heard(QUESTION).await?;

    api.say(ANSWER).await?;
    told.push(settled(&mut events).await?);

    api.say(STORY).await?;
    events.started().await?;
    sleep(PATIENCE).await;
    api.silence().await?;
    told.push(settled(&mut events).await?);

    api.say(GOODBYE).await?;
    told.push(settled(&mut events).await?);
    api.hang_up().await?;
    Ok(told)
}

fn shown(speak: &Speak) -> String {
    let secs = Duration::from_millis(speak.heard_ms).as_secs_f64();
    match &speak.reason {
        None => format!("[SAID]    {secs:.1} s  {}", speak.text),
        Some(reason) => format!("[CUT]     {secs:.1} s  {} ... ({reason})", speak.heard_text),
    }
}

/// The API, as a program would use it.
struct Api {
    client: reqwest::Client,
    call: Url,
}

impl Api {
    fn new(address: SocketAddr, call_sid: &CallSid) -> anyhow::Result<Self> {
        let call: Url = format!("http://{address}/api/v1/calls/{call_sid}/").parse()?;
        let client = outbound::client(&call).timeout(STEP_TIMEOUT).build()?;
        Ok(Self { client, call })
    }

    async fn say(&self, text: &str) -> anyhow::Result<()> {
        let body = json!({ "text": text }).to_string();
        self.send(self.client.post(self.call.join("speak")?).body(body))
            .await
    }

    async fn silence(&self) -> anyhow::Result<()> {
        self.send(self.client.delete(self.call.join("speak")?))
            .await
    }

    async fn hang_up(&self) -> anyhow::Result<()> {
        self.send(self.client.post(self.call.join("hangup")?)).await
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> anyhow::Result<()> {
        let response = request.send().await.context("the gateway's API")?;
        let status = response.status();
        ensure!(
            status.is_success(),
            "the gateway's API answered {status}: {}",
            response.text().await.unwrap_or_default()
        );
        Ok(())
    }
}

/// The events of the call, as they come.
struct Events {
    handle: Arc<CallHandle>,
    cursor: Cursor,
    waiting: VecDeque<EventData>,
}

impl Events {
    async fn of(calls: &Arc<Calls>, call_sid: &CallSid) -> anyhow::Result<Self> {
        let mut changed = calls.changed();
        let begun = async {
            loop {
                if let Some(handle) = calls.get(call_sid) {
                    return Ok(handle);
                }
                changed.changed().await.context("the gateway has stopped")?;
            }
        };
        let handle: anyhow::Result<_> = timeout(STEP_TIMEOUT, begun)
            .await
            .context("the call did not begin")?;
        Ok(Self {
            handle: handle?,
            cursor: Cursor::default(),
            waiting: VecDeque::new(),
        })
    }

    /// What the next speech that is settled came to.
    async fn settled(&mut self) -> anyhow::Result<Speak> {
        self.until("what was said to be heard", |event| match event {
            EventData::SpeakFinished(speak)
            | EventData::SpeakInterrupted(speak)
            | EventData::SpeakFailed(speak) => Some(speak.clone()),
            _ => None,
        })
        .await
    }

    async fn started(&mut self) -> anyhow::Result<()> {
        self.until("speech to start", |event| {
            matches!(event, EventData::SpeakStarted(_)).then_some(())
        })
        .await
    }

    /// Waits until the caller was heard to say the last word of a text.
    async fn heard(&mut self, text: &str) -> anyhow::Result<()> {
        let last = words::bare(text).pop().unwrap_or_default();
        self.until("the caller to be heard", |event| match event {
            EventData::TranscriptFinal(told) => told
                .words
                .iter()
                .any(|word| word.word == last)
                .then_some(()),
            _ => None,
        })
        .await
    }

    async fn until<T>(
        &mut self,
        what: &str,
        wanted: impl Fn(&EventData) -> Option<T>,
    ) -> anyhow::Result<T> {
        let found = timeout(STEP_TIMEOUT, async {
            loop {
                if let Some(found) = wanted(&self.next().await?) {
                    return Ok(found);
                }
            }
        });
        found.await.with_context(|| format!("waited for {what}"))?
    }

    async fn next(&mut self) -> anyhow::Result<EventData> {
        let mut changed = self.handle.changed();
        loop {
            if let Some(event) = self.waiting.pop_front() {
                return Ok(event);
            }
            match self.handle.read(&mut self.cursor, 100) {
                Read::Items { items, .. } => {
                    let events = items.into_iter().filter_map(|item| match item {
                        Item::Event(entry) => Some(entry.event.data.clone()),
                        Item::Volatile(_) => None,
                    });
                    self.waiting.extend(events);
                }
                Read::Waiting => changed.changed().await.context("the gateway has stopped")?,
                Read::Behind { .. } | Read::Ended => bail!("the call has ended"),
            }
        }
    }
}

/// What was heard, and how long the caller waited for it.
pub(super) struct Outcome {
    ledger: Ledger,
    first_audio_ms: Vec<u64>,
}

impl Outcome {
    fn of(told: &[Speak], report: &Report) -> Self {
        let texts = told.iter().map(|speak| Told {
            text: &speak.text,
            heard: &speak.heard_text,
            is_cut: speak.reason.is_some(),
        });
        let first_audio_ms = told.iter().filter_map(|speak| speak.first_audio_ms);
        Self {
            ledger: Ledger::of(texts, report),
            first_audio_ms: first_audio_ms.collect(),
        }
    }

    /// Whether the caller heard what the ledger says.
    pub(super) fn is_right(&self) -> bool {
        self.ledger.is_right()
    }

    pub(super) fn json(&self) -> Value {
        let mut summary = self.ledger.json();
        summary["first_audio_ms"] = json!(self.first_audio_ms);
        summary
    }
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slowest = self.first_audio_ms.iter().max();
        write!(
            f,
            "\n{}\nFirst audio              {:>6} ms at the slowest",
            self.ledger,
            slowest.unwrap_or(&0)
        )
    }
}
