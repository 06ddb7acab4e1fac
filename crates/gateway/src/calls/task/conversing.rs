//! The agent's side of a call's task: what it is told, and the functions that others answer for it.

use std::collections::{BTreeMap, BTreeSet};
use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use sidetone_call::engine::{self, FunctionKey, FunctionOutcome, StreamStart};
use sidetone_deepgram::agent::settings::Settings;
use sidetone_twilio::CallSid;
use tracing::warn;

use super::{CallTask, Now};
use crate::calls::functions::FunctionCall;
use crate::config::{self, Function, template};

/// A function that is being called.
pub(super) struct FunctionRun {
    key: FunctionKey,
    outcome: Pin<Box<dyn Future<Output = FunctionOutcome> + Send>>,
}

impl CallTask {
    /// Takes at most one outcome; true when there was one.
    pub(super) fn poll_functions(&mut self, cx: &mut Context<'_>) -> bool {
        for index in 0..self.functions.len() {
            if let Poll::Ready(outcome) = self.functions[index].outcome.as_mut().poll(cx) {
                let FunctionRun { key, .. } = self.functions.swap_remove(index);
                let now = Now::read();
                self.engine
                    .handle_function(now.std(), now.wall, key, outcome);
                return true;
            }
        }
        false
    }

    /// Asks a webhook of the profile.
    pub(super) fn call_function(
        &mut self,
        key: FunctionKey,
        id: &str,
        name: &str,
        arguments: &str,
    ) {
        let profile = self.services.config.profiles.get(&self.profile);
        let agent = profile.and_then(|profile| profile.agent.as_ref());
        let Some(Function::Webhook(webhook)) = agent.and_then(|agent| agent.functions.get(name))
        else {
            unreachable!("the engine asks for the webhooks that it was told of")
        };
        let call = FunctionCall {
            call: self.engine.call(),
            id,
            name,
            arguments,
        };
        let outcome = Box::pin(self.services.functions.call(webhook, &call));
        self.functions.push(FunctionRun { key, outcome });
    }

    pub(super) fn drop_function(&mut self, key: FunctionKey) {
        self.functions.retain(|function| function.key != key);
    }
}

/// The agent of a profile for the call that this stream begins.
pub(super) fn agent_for(
    agent: &config::Agent,
    profile: &str,
    call_sid: &CallSid,
    start: &StreamStart,
) -> engine::Agent {
    let functions = agent.functions.iter().map(|(name, function)| {
        let function = match function {
            Function::Builtin(builtin) => engine::Function::Builtin(builtin.clone()),
            Function::Webhook(_) => engine::Function::Webhook,
        };
        (name.clone(), function)
    });
    engine::Agent {
        settings: rendered(&agent.settings, profile, call_sid, start),
        functions: functions.collect(),
        tells_dtmf: agent.tells_dtmf,
        fallback_transfers: agent.fallback.number.is_some(),
    }
}

/// The settings with their texts filled in.
fn rendered(
    settings: &Settings,
    profile: &str,
    call_sid: &CallSid,
    start: &StreamStart,
) -> Settings {
    let variables = Arc::new(variables(profile, start));
    let mut rendered = settings.clone();
    let mut undefined = BTreeSet::new();
    let Ok(()) = rendered.map_texts(|path, text| {
        let text = template::render(text, &variables).map(|mut rendered| {
            undefined.append(&mut rendered.undefined);
            rendered.text
        });
        let text = text.unwrap_or_else(|reason| {
            warn!(%call_sid, profile, text = path, reason, "A text of the agent is left empty.");
            String::new()
        });
        Ok::<_, Infallible>(Some(text))
    });
    if !undefined.is_empty() {
        let variables = undefined.into_iter().collect::<Vec<_>>().join(", ");
        warn!(%call_sid, profile, variables, "The agent's texts use what this call does not have.");
    }
    rendered
}

/// What a text may name. A parameter does not stand in for what the call itself is.
fn variables(profile: &str, start: &StreamStart) -> BTreeMap<String, String> {
    let mut variables = start.parameters.clone();
    let own = [
        ("profile", Some(profile)),
        ("from", start.from.as_deref()),
        ("to", start.to.as_deref()),
        ("direction", start.direction.as_deref()),
    ];
    for (name, value) in own {
        variables.remove(name);
        variables.extend(value.map(|value| (name.to_owned(), value.to_owned())));
    }
    variables
}
