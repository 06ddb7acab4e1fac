//! Changes of a running session.

use std::fmt;

use serde_json::{Map, Value};

use super::{Agent, Fault, Settings, check, entries, entries_mut};
use crate::agent::message::ClientMessage;

/// A change of a running session. What is absent stays as it is.
#[derive(Clone, Default, PartialEq)]
pub struct Update {
    /// Replaces the prompt.
    pub prompt: Option<String>,
    /// Replaces `agent.speak`: an object or an array.
    pub speak: Option<Value>,
    /// An object replaces those parts of `agent.think` that it names; an array replaces all of it.
    /// Prompt and functions stay where they are not named.
    pub think: Option<Value>,
}

impl Update {
    /// Whether this can be sent.
    ///
    /// # Errors
    /// All that is wrong; paths begin at the update: `speak.provider.model`.
    pub fn check(&self) -> Result<(), Vec<Fault>> {
        let mut faults = Vec::new();
        if let Some(think) = &self.think {
            faults.extend(check::think_update("think", think));
        }
        if let Some(speak) = &self.speak {
            faults.extend(check::speak("speak", speak));
        }
        if faults.is_empty() {
            Ok(())
        } else {
            Err(faults)
        }
    }

    /// Puts `newer` over it.
    fn merge(&mut self, newer: Self) {
        self.prompt = newer.prompt.or(self.prompt.take());
        self.speak = newer.speak.or(self.speak.take());
        self.think = newer.think.or(self.think.take());
    }

    fn messages(&self) -> Vec<ClientMessage> {
        let think = self
            .think
            .clone()
            .map(|think| ClientMessage::UpdateThink { think });
        let prompt = self
            .prompt
            .clone()
            .map(|prompt| ClientMessage::UpdatePrompt { prompt });
        let speak = self
            .speak
            .clone()
            .map(|speak| ClientMessage::UpdateSpeak { speak });
        think.into_iter().chain(prompt).chain(speak).collect()
    }
}

impl Settings {
    /// A change that sets what is set already; of a stored agent nothing is known.
    pub(in crate::agent) fn unchanged(&self) -> Option<Update> {
        let Agent::Inline(agent) = &self.agent else {
            return None;
        };
        let speak = Some(agent.get("speak")?.clone());
        Some(Update {
            speak,
            ..Update::default()
        })
    }

    /// Changes the document, and gives what tells the change to a session that runs by it.
    ///
    /// A new prompt takes a whole `UpdateThink`, since `UpdatePrompt` would only append. Of a
    /// stored agent the rest of `think` is not known: there `UpdatePrompt` has to do.
    pub(in crate::agent) fn update(&mut self, update: Update) -> Vec<ClientMessage> {
        let agent = match &mut self.agent {
            Agent::Inline(agent) => agent,
            Agent::Stored { update: kept, .. } => {
                let messages = update.messages();
                kept.merge(update);
                return messages;
            }
        };
        let mut messages = Vec::new();
        if update.prompt.is_some() || update.think.is_some() {
            let think = think_after(agent.get("think"), update.think, update.prompt.as_deref());
            agent.insert("think".to_owned(), think.clone());
            messages.push(ClientMessage::UpdateThink { think });
        }
        if let Some(speak) = update.speak {
            agent.insert("speak".to_owned(), speak.clone());
            messages.push(ClientMessage::UpdateSpeak { speak });
        }
        messages
    }

    /// What a new session has to be told of earlier updates, because its document does not say it.
    pub(in crate::agent) fn updates_to_repeat(&self) -> Vec<ClientMessage> {
        match &self.agent {
            Agent::Inline(_) => Vec::new(),
            Agent::Stored { update, .. } => update.messages(),
        }
    }
}

/// All of `think` as it is after a change.
fn think_after(current: Option<&Value>, change: Option<Value>, prompt: Option<&str>) -> Value {
    let first = entries(current).next().cloned().unwrap_or_default();
    let mut think = match change {
        None => current.cloned().unwrap_or_default(),
        Some(Value::Object(change)) => {
            let mut think = first;
            // An endpoint belongs to its provider.
            if change.contains_key("provider") {
                think.remove("endpoint");
            }
            think.extend(change);
            Value::Object(think)
        }
        Some(mut list) => {
            for entry in entries_mut(Some(&mut list)) {
                keep(entry, &first, "prompt");
                keep(entry, &first, "functions");
            }
            list
        }
    };
    if let Some(prompt) = prompt {
        for entry in entries_mut(Some(&mut think)) {
            entry.insert("prompt".to_owned(), prompt.into());
        }
    }
    think
}

fn keep(entry: &mut Map<String, Value>, from: &Map<String, Value>, key: &str) {
    if let Some(value) = from.get(key) {
        entry.entry(key).or_insert_with(|| value.clone());
    }
}

/// Without what it says.
impl fmt::Debug for Update {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Update")
            .field("prompt", &self.prompt.is_some())
            .field("speak", &self.speak.is_some())
            .field("think", &self.think.is_some())
            .finish()
    }
}
