//! The functions that the agent asks for.

use std::collections::BTreeMap;
use std::time::Instant;

use serde_json::{Value, json};
use sidetone_deepgram::agent::message::FunctionCall;

use super::super::clock::ms;
use super::super::{Function, FunctionKey, FunctionOutcome, Next, Output, ProviderText};
use super::builtin::{Builtin, Order};
use super::departure::Departure;
use super::{Conversing, Stage};
use crate::event::{AgentFunctionCalled, EventData, FunctionEnd};

/// The most functions that are open at once.
const MOST_OPEN: usize = 16;

/// The functions that there are, and the requests that are not answered.
#[derive(Debug)]
pub(super) struct Functions {
    known: BTreeMap<String, Function>,
    open: Vec<Open>,
    webhooks_asked: u32,
}

/// A request that is not answered.
#[derive(Debug)]
struct Open {
    id: String,
    name: String,
    arguments: Value,
    /// When it came, in call time.
    at_ms: u64,
    since: Instant,
    waits_for: WaitsFor,
}

/// What a request waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum WaitsFor {
    Webhook(FunctionKey),
    Keys,
    /// The stream, which is to come back once keys were pressed.
    Stream,
}

/// What came of beginning a function.
enum Begun {
    /// It is done: for the model.
    Done(String),
    Waits(WaitsFor),
}

impl Functions {
    pub(super) fn new(known: BTreeMap<String, Function>) -> Self {
        Self {
            known,
            open: Vec::new(),
            webhooks_asked: 0,
        }
    }

    pub(super) fn are_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Whether the agent will hear of one that is open before its stream is closed.
    pub(super) fn will_be_answered(&self) -> bool {
        let mut open = self.open.iter();
        open.any(|open| open.waits_for != WaitsFor::Stream)
    }

    fn take(&mut self, is_it: impl Fn(&Open) -> bool) -> Option<Open> {
        let index = self.open.iter().position(is_it)?;
        Some(self.open.remove(index))
    }
}

impl Conversing {
    /// The agent asks for a function. One of an id that is open already is no other.
    pub(super) fn request(&mut self, now: Instant, call: FunctionCall, stage: &mut Stage<'_>) {
        let FunctionCall {
            id,
            name,
            arguments: text,
            ..
        } = call;
        if self.functions.open.iter().any(|open| open.id == id) {
            return;
        }
        let parsed = match text.trim() {
            "" => Ok(json!({})),
            text => serde_json::from_str(text),
        };
        let begun = match &parsed {
            Ok(arguments) => self.begin(now, &id, &name, arguments, stage),
            Err(error) => Err(format!("the arguments are no JSON: {error}")),
        };
        let mut open = Open {
            id,
            name,
            arguments: parsed.unwrap_or(Value::String(text)),
            at_ms: stage.at_ms,
            since: now,
            waits_for: WaitsFor::Keys,
        };
        match begun {
            Ok(Begun::Done(told)) => self.answer(now, open, FunctionEnd::Ok, told, stage),
            Ok(Begun::Waits(waits_for)) => {
                open.waits_for = waits_for;
                self.functions.open.push(open);
            }
            Err(words) => self.answer(now, open, FunctionEnd::Failed, words, stage),
        }
    }

    /// Begins a function; what is wrong, in words, when it cannot be.
    fn begin(
        &mut self,
        now: Instant,
        id: &str,
        name: &str,
        arguments: &Value,
        stage: &mut Stage<'_>,
    ) -> Result<Begun, String> {
        if self.functions.open.len() == MOST_OPEN {
            return Err(format!("{MOST_OPEN} functions are being called already"));
        }
        match self.functions.known.get(name).cloned() {
            Some(Function::Builtin(builtin)) => self.obey(now, id, &builtin, arguments),
            Some(Function::Webhook) => {
                let function = FunctionKey(self.functions.webhooks_asked);
                self.functions.webhooks_asked += 1;
                stage.outputs.push_back(Output::CallFunction {
                    function,
                    id: id.to_owned(),
                    name: name.to_owned(),
                    arguments: ProviderText(arguments.to_string()),
                });
                Ok(Begun::Waits(WaitsFor::Webhook(function)))
            }
            None => Err(format!("there is no function named `{name}`")),
        }
    }

    /// Does what a built-in function is for, or begins to.
    fn obey(
        &mut self,
        now: Instant,
        id: &str,
        builtin: &Builtin,
        arguments: &Value,
    ) -> Result<Begun, String> {
        let done = match builtin.order(arguments)? {
            Order::HangUp => {
                self.depart(now, Next::HangUp, id)?;
                "The call ends as soon as you have said goodbye.".to_owned()
            }
            Order::Transfer { target, number } => {
                self.depart(now, Next::Dial(number), id)?;
                format!("The caller is connected with {target} as soon as you have said so.")
            }
            Order::Press(digits) => {
                self.depart(now, Next::Press(digits), id)?;
                return Ok(Begun::Waits(WaitsFor::Stream));
            }
            Order::Collect(until) => {
                if !self.keys.collect(now, id, until) {
                    return Err("keys are being collected already".to_owned());
                }
                return Ok(Begun::Waits(WaitsFor::Keys));
            }
        };
        Ok(Begun::Done(done))
    }

    /// Has the stream closed once the agent has finished speaking.
    fn depart(&mut self, now: Instant, next: Next, function: &str) -> Result<(), String> {
        if self.turns.stream().is_none() {
            return Err("nobody is on the line at the moment".to_owned());
        }
        match &self.departure {
            None => {
                let (function, after) = (function.to_owned(), self.turns.begun());
                let mut departure = Departure::asked(now, next, function, after);
                departure.speaks_until(self.turns.play_until(now));
                self.departure = Some(departure);
                Ok(())
            }
            Some(departure) if departure.next == next => Ok(()),
            Some(departure) => Err(match departure.next {
                Next::Dial(_) => "the caller is about to be connected with somebody else",
                Next::Press(_) => "keys are about to be pressed",
                Next::HangUp | Next::FallBack => "the call is about to end",
            }
            .to_owned()),
        }
    }

    /// The agent does not want to know any more.
    pub(super) fn cancel(&mut self, now: Instant, id: &str, stage: &mut Stage<'_>) {
        self.departure
            .take_if(|departure| departure.is_asked_by(id));
        if let Some(open) = self.functions.take(|open| open.id == id) {
            self.abandon(now, open, stage);
        }
    }

    /// A webhook has answered, or has not. One that was dropped says nothing.
    pub(in super::super) fn called(
        &mut self,
        now: Instant,
        function: FunctionKey,
        outcome: FunctionOutcome,
        stage: &mut Stage<'_>,
    ) {
        let asked = WaitsFor::Webhook(function);
        let Some(open) = self.functions.take(|open| open.waits_for == asked) else {
            return;
        };
        match outcome {
            FunctionOutcome::Ok(told) => self.answer(now, open, FunctionEnd::Ok, told, stage),
            FunctionOutcome::Failed(words) => {
                self.answer(now, open, FunctionEnd::Failed, words, stage);
            }
        }
    }

    /// Keys were collected for the function of this id.
    pub(super) fn collected(
        &mut self,
        now: Instant,
        id: &str,
        digits: &str,
        ended_by: &str,
        stage: &mut Stage<'_>,
    ) {
        if let Some(open) = self.functions.take(|open| open.id == id) {
            let told = json!({ "digits": digits, "ended_by": ended_by }).to_string();
            self.answer(now, open, FunctionEnd::Ok, told, stage);
        }
    }

    /// What waited for the stream has its answer: keys were pressed, or `failure` says why not.
    pub(super) fn pressed(&mut self, now: Instant, failure: Option<&str>, stage: &mut Stage<'_>) {
        let (end, told) = match failure {
            None => (FunctionEnd::Ok, "The keys were pressed."),
            Some(failure) => (FunctionEnd::Failed, failure),
        };
        let waits = |open: &Open| open.waits_for == WaitsFor::Stream;
        while let Some(open) = self.functions.take(waits) {
            self.answer(now, open, end, told.to_owned(), stage);
        }
    }

    /// There is nobody any more who wants to know.
    pub(super) fn abandon_functions(&mut self, now: Instant, stage: &mut Stage<'_>) {
        self.pressed(
            now,
            Some("the call ended before the keys were pressed"),
            stage,
        );
        while let Some(open) = self.functions.take(|_| true) {
            self.abandon(now, open, stage);
        }
    }

    fn abandon(&mut self, now: Instant, open: Open, stage: &mut Stage<'_>) {
        match open.waits_for {
            WaitsFor::Webhook(function) => {
                stage.outputs.push_back(Output::DropFunction(function));
            }
            WaitsFor::Keys => self.keys.stop_collecting(&open.id),
            WaitsFor::Stream => {}
        }
        stage.tell(ended(now, open, FunctionEnd::Cancelled, None));
    }

    fn answer(
        &mut self,
        now: Instant,
        open: Open,
        end: FunctionEnd,
        told: String,
        stage: &mut Stage<'_>,
    ) {
        self.link.respond(now, &open.id, &told);
        if let Some(departure) = &mut self.departure {
            departure.expect_speech(now);
        }
        stage.tell(ended(now, open, end, Some(told)));
    }
}

fn ended(now: Instant, open: Open, outcome: FunctionEnd, result: Option<String>) -> EventData {
    EventData::AgentFunctionCalled(Box::new(AgentFunctionCalled {
        id: open.id,
        name: open.name,
        arguments: open.arguments,
        result,
        at_ms: open.at_ms,
        duration_ms: ms(now.saturating_duration_since(open.since)),
        outcome,
    }))
}
