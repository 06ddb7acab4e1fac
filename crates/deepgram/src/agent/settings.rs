//! A `Settings` document that Sidetone can send: read, completed, checked.

use std::fmt;

use serde_json::{Map, Value, json};

pub use self::update::Update;
use crate::agent::message::{ClientMessage, HistoryItem, ServerMessage};

mod check;
mod defaults;
mod update;

/// What is wrong with a document, and where.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path} {what}")]
pub struct Fault {
    /// Such as `think[1].provider.model`; empty for the document itself.
    pub path: String,
    /// The rest of the sentence: what is wrong, and what is allowed.
    pub what: String,
}

/// A function that the model may call, and that the client answers.
#[derive(Clone, Debug, PartialEq)]
pub struct FunctionSpec {
    /// 1 to 64 letters, digits, `_` or `-`.
    pub name: String,
    /// For the model: when to call it and what it does.
    pub description: Option<String>,
    /// JSON schema of an object: the arguments.
    pub parameters: Value,
    /// Whether it is called only when it is sure that the user's turn is over: for what cannot be
    /// taken back.
    pub defer_until_eot: bool,
}

/// What a voice-agent session is to be: a whole `Settings` document.
///
/// Audio is always mu-law at 8 kHz both ways, without a container; the agent tells when it starts
/// to speak, and echoes its history. Everything else is as given, or Sidetone's default where
/// nothing was given. What this version does not know passes.
#[derive(Clone, PartialEq)]
pub struct Settings {
    /// All but `agent`.
    session: Map<String, Value>,
    agent: Agent,
}

#[derive(Clone, PartialEq)]
enum Agent {
    Inline(Map<String, Value>),
    /// Kept at Deepgram under an id. Its parts are not known here, so changes of a running
    /// session are kept apart, to be made again in the next one.
    Stored {
        id: String,
        update: Update,
    },
}

impl Settings {
    /// Reads the `agent` of a document: an object, or the id (UUID) of an agent stored at
    /// Deepgram. A part of an object that is absent gets its default; an empty greeting is none.
    ///
    /// # Errors
    /// All that is wrong; paths begin at the agent object.
    pub fn from_agent(agent: Value) -> Result<Self, Vec<Fault>> {
        Self::read(Map::new(), agent, "")
    }

    /// Reads a whole document. What Sidetone sets itself is replaced, the agent is completed as by
    /// [`from_agent`](Self::from_agent).
    ///
    /// # Errors
    /// All that is wrong; paths begin at the document.
    pub fn from_document(document: Value) -> Result<Self, Vec<Fault>> {
        let Value::Object(mut session) = document else {
            return Err(vec![Fault {
                path: String::new(),
                what: "the document must be an object, the `Settings` of Deepgram's voice agent"
                    .to_owned(),
            }]);
        };
        let mut faults = check::session(&session);
        session.remove("type");
        match session.remove("agent") {
            None => faults.push(Fault {
                path: "agent".to_owned(),
                what: "is missing: it holds listen, think and speak".to_owned(),
            }),
            Some(agent) => match Self::read(session, agent, "agent") {
                Ok(settings) if faults.is_empty() => return Ok(settings),
                Ok(_) => {}
                Err(more) => faults.extend(more),
            },
        }
        Err(faults)
    }

    /// Adds a function of the client's side; one of the same name is replaced. Of several models
    /// that stand in for each other, each gets it.
    ///
    /// # Errors
    /// When the function cannot be, or the agent is stored at Deepgram, with its functions.
    pub fn add_function(&mut self, function: FunctionSpec) -> Result<(), Fault> {
        let Agent::Inline(agent) = &mut self.agent else {
            return Err(Fault {
                path: "functions".to_owned(),
                what: "cannot be added to an agent that is stored at Deepgram by its id: declare \
                       them there, or write the agent out here"
                    .to_owned(),
            });
        };
        let name = function.name.clone();
        let function = function.into_value();
        if let Some(fault) = check::function(&format!("functions.{name}"), &function).pop() {
            return Err(fault);
        }
        for think in entries_mut(agent.get_mut("think")) {
            let functions = think.entry("functions").or_insert_with(|| json!([]));
            if let Value::Array(functions) = functions {
                functions.retain(|other| other["name"] != name.as_str());
                functions.push(function.clone());
            }
        }
        Ok(())
    }

    /// The functions that the client is to answer: those without an endpoint.
    pub fn functions(&self) -> Vec<FunctionSpec> {
        let mut functions: Vec<FunctionSpec> = Vec::new();
        let Agent::Inline(agent) = &self.agent else {
            return functions;
        };
        let declared = entries(agent.get("think"))
            .filter_map(|think| think.get("functions")?.as_array())
            .flatten();
        for function in declared.filter(|function| function.get("endpoint").is_none()) {
            let function = FunctionSpec::from_value(function);
            if functions.iter().all(|known| known.name != function.name) {
                functions.push(function);
            }
        }
        functions
    }

    /// Gives every text that may be a template to `f`, with its path from the agent object on
    /// (`think.prompt`), and puts what `f` gives back in its place. Functions, endpoints and types
    /// of providers hold none; of a stored agent nothing is known.
    ///
    /// # Errors
    /// The first of `f`.
    pub fn map_texts<E>(
        &mut self,
        mut f: impl FnMut(&str, &str) -> Result<Option<String>, E>,
    ) -> Result<(), E> {
        match &mut self.agent {
            Agent::Inline(agent) => map_texts(agent, "", &mut f),
            Agent::Stored { .. } => Ok(()),
        }
    }

    /// Whether the agent is one stored at Deepgram.
    pub fn is_stored(&self) -> bool {
        matches!(self.agent, Agent::Stored { .. })
    }

    /// Whether a session begins with a greeting, as far as is known: of a stored agent it is not.
    pub(super) fn greets(&self) -> bool {
        match &self.agent {
            Agent::Inline(agent) => agent.contains_key("greeting"),
            Agent::Stored { .. } => false,
        }
    }

    fn read(mut session: Map<String, Value>, agent: Value, path: &str) -> Result<Self, Vec<Fault>> {
        let agent = match agent {
            Value::Object(mut agent) => {
                defaults::complete(&mut agent);
                let faults = check::agent(path, &agent);
                if !faults.is_empty() {
                    return Err(faults);
                }
                if agent.get("greeting").is_some_and(|greeting| greeting == "") {
                    agent.remove("greeting");
                }
                Agent::Inline(agent)
            }
            Value::String(id) if check::is_uuid(&id) => Agent::Stored {
                id,
                update: Update::default(),
            },
            _ => {
                return Err(vec![Fault {
                    path: path.to_owned(),
                    what: "must be an object, or the id (a UUID) of an agent stored at Deepgram"
                        .to_owned(),
                }]);
            }
        };
        session.insert(
            "audio".to_owned(),
            json!({
                "input": { "encoding": "mulaw", "sample_rate": 8000 },
                "output": { "encoding": "mulaw", "sample_rate": 8000, "container": "none" },
            }),
        );
        session.insert("experimental".to_owned(), true.into());
        session.insert("flags".to_owned(), json!({ "history": true }));
        Ok(Self { session, agent })
    }

    /// The message that begins a session: with `tags` beside its own, and with what was said
    /// before in a session that goes on with it. A greeting is spoken only if `greets`; that of a
    /// stored agent nobody can hold back here.
    pub(super) fn message(
        &self,
        tags: &[String],
        conversation: impl IntoIterator<Item = HistoryItem>,
        greets: bool,
    ) -> ClientMessage {
        let mut document = self.session.clone();
        if let Value::Array(all) = document.entry("tags").or_insert_with(|| json!([])) {
            for tag in tags {
                if all.iter().all(|known| known != tag) {
                    all.push(tag.as_str().into());
                }
            }
        }
        let agent = match &self.agent {
            Agent::Stored { id, .. } => Value::String(id.clone()),
            Agent::Inline(agent) => {
                let mut agent = agent.clone();
                if !greets {
                    agent.remove("greeting");
                }
                remember(&mut agent, conversation.into_iter());
                Value::Object(agent)
            }
        };
        document.insert("agent".to_owned(), agent);
        ClientMessage::Settings(document)
    }
}

/// Adds `conversation` to `agent.context.messages`.
fn remember(agent: &mut Map<String, Value>, conversation: impl Iterator<Item = HistoryItem>) {
    let items = conversation.map(|item| {
        serde_json::to_value(ServerMessage::History(item)).expect("strings always serialize")
    });
    let mut items = items.peekable();
    if items.peek().is_none() {
        return;
    }
    let context = agent.entry("context").or_insert_with(|| json!({}));
    if let Value::Object(context) = context
        && let Value::Array(messages) = context.entry("messages").or_insert_with(|| json!([]))
    {
        messages.extend(items);
    }
}

/// Without prompts, keys of endpoints and everything else that a document may hold.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<String> = self.functions().into_iter().map(|f| f.name).collect();
        f.debug_struct("Settings")
            .field("is_stored", &self.is_stored())
            .field("functions", &names)
            .finish_non_exhaustive()
    }
}

impl FunctionSpec {
    fn from_value(function: &Value) -> Self {
        let text = |key: &str| Some(function.get(key)?.as_str()?.to_owned());
        Self {
            name: text("name").unwrap_or_default(),
            description: text("description"),
            parameters: function.get("parameters").cloned().unwrap_or_default(),
            defer_until_eot: function.get("defer_until_eot") == Some(&Value::Bool(true)),
        }
    }

    fn into_value(self) -> Value {
        let mut function = json!({ "name": self.name, "parameters": self.parameters });
        if let Value::Object(function) = &mut function {
            let description = self.description.map(Value::String);
            function.extend(description.map(|text| ("description".to_owned(), text)));
            if self.defer_until_eot {
                function.insert("defer_until_eot".to_owned(), true.into());
            }
        }
        function
    }
}

/// The objects of a part that is one, or a list of those that stand in for each other.
fn entries(part: Option<&Value>) -> impl Iterator<Item = &Map<String, Value>> {
    let list = match part {
        Some(Value::Array(list)) => list.as_slice(),
        Some(one) => std::slice::from_ref(one),
        None => &[],
    };
    list.iter().filter_map(Value::as_object)
}

/// The same, to be changed.
fn entries_mut(part: Option<&mut Value>) -> impl Iterator<Item = &mut Map<String, Value>> {
    let list = match part {
        Some(Value::Array(list)) => list.as_mut_slice(),
        Some(one) => std::slice::from_mut(one),
        None => &mut [],
    };
    list.iter_mut().filter_map(Value::as_object_mut)
}

fn map_texts<E>(
    object: &mut Map<String, Value>,
    path: &str,
    f: &mut impl FnMut(&str, &str) -> Result<Option<String>, E>,
) -> Result<(), E> {
    let is_provider = path.ends_with("provider");
    for (key, value) in object {
        let holds_none = matches!(key.as_str(), "functions" | "endpoint")
            || (is_provider && key.as_str() == "type");
        if !holds_none {
            map_text(value, &check::join(path, key), f)?;
        }
    }
    Ok(())
}

fn map_text<E>(
    value: &mut Value,
    path: &str,
    f: &mut impl FnMut(&str, &str) -> Result<Option<String>, E>,
) -> Result<(), E> {
    match value {
        Value::String(text) => {
            if let Some(mapped) = f(path, text)? {
                *text = mapped;
            }
            Ok(())
        }
        Value::Array(items) => items
            .iter_mut()
            .enumerate()
            .try_for_each(|(n, item)| map_text(item, &check::item(path, n), f)),
        Value::Object(object) => map_texts(object, path, f),
        Value::Null | Value::Bool(_) | Value::Number(_) => Ok(()),
    }
}
