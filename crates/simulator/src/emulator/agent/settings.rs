//! Settings as Deepgram takes them, or what it says of those that it does not.
//!
//! A document that cannot be what it has to be (a text where a number belongs, a field missing) is
//! `UNPARSABLE_CLIENT_MESSAGE`; one that can, and asks for what there is not, `INVALID_SETTINGS`.

mod providers;

use std::collections::BTreeSet;

use serde_json::{Map, Value, json};
use sidetone_deepgram::agent::message::{HistoryItem, Notice, Role};
use sidetone_deepgram::speak::query::Query;

use crate::emulator::speak::coding::Coding;
pub(super) use providers::{Listen, Speak};

/// What a session is to be.
#[derive(Debug)]
pub(super) struct Settings {
    pub(super) tags: Vec<String>,
    /// `AgentStartedSpeaking` is told.
    pub(super) experimental: bool,
    /// Texts and calls are echoed.
    pub(super) history: bool,
    /// Whether the emulator can hear the user: telephone mu-law.
    pub(super) hears: bool,
    pub(super) coding: Coding,
    pub(super) listen: Listen,
    pub(super) think: Think,
    pub(super) speak: Speak,
    pub(super) greeting: Option<String>,
    /// What the user said last in the conversation that is restored.
    pub(super) said_before: Option<String>,
}

/// How an agent thinks.
#[derive(Clone, Debug, Default)]
pub(super) struct Think {
    pub(super) prompt: String,
    pub(super) functions: Vec<Function>,
    /// The prompt is cut at Deepgram's limit.
    pub(super) is_cut: bool,
}

/// A function that may be called.
#[derive(Clone, Debug)]
pub(super) struct Function {
    pub(super) name: String,
    /// Called by the client, as it has no endpoint.
    pub(super) client_side: bool,
    pub(super) defer_until_eot: bool,
    /// JSON schema of its arguments.
    parameters: Value,
}

impl Function {
    /// The name of its first required parameter, else of its first, else `usual`.
    pub(super) fn first_parameter(&self, usual: &str) -> String {
        let required = self.parameters["required"][0].as_str();
        let properties = self.parameters["properties"].as_object();
        let first = properties.and_then(|properties| properties.keys().next());
        let first = required.or(first.map(String::as_str));
        first.unwrap_or(usual).to_owned()
    }

    /// What its first parameter may be, when its schema lists that.
    pub(super) fn allowed(&self) -> Vec<String> {
        let schema = &self.parameters["properties"][self.first_parameter("")];
        let values = schema["enum"].as_array().into_iter().flatten();
        values
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect()
    }
}

impl Settings {
    /// Reads the document of a `Settings`.
    pub(super) fn read(document: &Map<String, Value>) -> Result<Self, Notice> {
        let agent = match document.get("agent") {
            Some(Value::String(id)) if id == STORED_AGENT_ID => stored_agent(),
            Some(Value::String(id)) => {
                return Err(notice(
                    "INVALID_AGENT_ID",
                    &format!("No agent has the id {id}."),
                ));
            }
            Some(agent @ Value::Object(_)) => agent.clone(),
            _ => return Err(unparsable("agent", "an object or an agent's id")),
        };
        let audio = Field::of(document, "audio").object()?;
        let audio = audio.ok_or_else(|| unparsable("audio", "an object"))?;
        let flags = Field::of(document, "flags").object()?;
        let history = flags.map(|flags| Field::of(flags, "history").boolean());
        let agent = agent.as_object().expect("an agent is an object, by now");
        Ok(Self {
            tags: Field::of(document, "tags").texts()?,
            experimental: Field::of(document, "experimental")
                .boolean()?
                .unwrap_or(false),
            history: history.transpose()?.flatten().unwrap_or(true),
            hears: input(audio)?,
            coding: output(audio)?,
            listen: match agent.get("listen") {
                Some(listen) => Listen::read(listen)?,
                None => Listen::default(),
            },
            think: match agent.get("think") {
                Some(think) => Think::read(think)?,
                None => Think::default(),
            },
            speak: match agent.get("speak") {
                Some(speak) => Speak::read(speak)?,
                None => Speak::default(),
            },
            greeting: Field::of(agent, "greeting").text()?.map(str::to_owned),
            said_before: said_before(agent)?,
        })
    }
}

impl Think {
    /// Reads `think`: an object, or a list of them in the order in which they are tried.
    pub(super) fn read(think: &Value) -> Result<Self, Notice> {
        let all = one_or_more(think, "think")?;
        for think in &all {
            providers::check_think(think)?;
        }
        let first = all[0];
        let mut prompt = Field::of(first, "prompt")
            .text()?
            .unwrap_or_default()
            .to_owned();
        let is_cut = prompt.chars().count() > LONGEST_PROMPT;
        if is_cut {
            prompt = prompt.chars().take(LONGEST_PROMPT).collect();
        }
        let functions: Vec<Function> = match first.get("functions") {
            None | Some(Value::Null) => Vec::new(),
            Some(Value::Array(functions)) => functions
                .iter()
                .map(Function::read)
                .collect::<Result<_, _>>()?,
            Some(_) => return Err(unparsable("think.functions", "a list")),
        };
        let mut names = BTreeSet::new();
        for Function { name, .. } in &functions {
            if !names.insert(name) {
                return Err(invalid(&format!("Function {name} is declared twice.")));
            }
        }
        Ok(Self {
            prompt,
            functions,
            is_cut,
        })
    }
}

impl Function {
    fn read(function: &Value) -> Result<Self, Notice> {
        let function = function
            .as_object()
            .ok_or_else(|| unparsable("think.functions", "a list of objects"))?;
        let name = Field::of(function, "name").text()?.unwrap_or_default();
        if name.is_empty() {
            return Err(unparsable("think.functions.name", "a text"));
        }
        Field::of(function, "description").text()?;
        let parameters = Field::of(function, "parameters").object()?;
        let endpoint = Field::of(function, "endpoint").object()?;
        if endpoint.is_some_and(|endpoint| !endpoint.contains_key("url")) {
            return Err(unparsable("think.functions.endpoint.url", "a URL"));
        }
        let defer = Field::of(function, "defer_until_eot").boolean()?;
        Ok(Self {
            name: name.to_owned(),
            client_side: endpoint.is_none(),
            defer_until_eot: defer.unwrap_or(false),
            parameters: parameters.cloned().map_or(Value::Null, Value::Object),
        })
    }
}

/// An object, or the objects of a list of at least one.
fn one_or_more<'a>(value: &'a Value, path: &str) -> Result<Vec<&'a Map<String, Value>>, Notice> {
    let all = value
        .as_array()
        .map_or(std::slice::from_ref(value), Vec::as_slice);
    let objects: Option<Vec<_>> = all.iter().map(Value::as_object).collect();
    let objects = objects.filter(|objects| !objects.is_empty());
    objects.ok_or_else(|| unparsable(path, "an object, or a list of them"))
}

/// Whether what the user says can be heard.
fn input(audio: &Map<String, Value>) -> Result<bool, Notice> {
    let Some(input) = Field::of(audio, "input").object()? else {
        return Ok(false);
    };
    let encoding = Field::of(input, "encoding").text()?;
    let encoding = encoding.ok_or_else(|| unparsable("audio.input.encoding", "a text"))?;
    let rate = input.get("sample_rate").and_then(Value::as_u64);
    let rate = rate.ok_or_else(|| unparsable("audio.input.sample_rate", "a number"))?;
    if !INPUT_ENCODINGS.contains(&encoding) {
        return Err(unparsable("audio.input.encoding", "a known encoding"));
    }
    Ok((encoding, rate) == ("mulaw", 8_000))
}

fn output(audio: &Map<String, Value>) -> Result<Coding, Notice> {
    let none = Map::new();
    let output = Field::of(audio, "output").object()?.unwrap_or(&none);
    let encoding = Field::of(output, "encoding").text()?.unwrap_or("linear16");
    let container = Field::of(output, "container").text()?.unwrap_or("none");
    let mut asked = format!("encoding={encoding}&container={container}");
    if let Some(rate) = output.get("sample_rate") {
        asked = format!("{asked}&sample_rate={rate}");
    }
    let query = Query::parse(&asked).map_err(|refusal| invalid(&refusal.err_msg))?;
    let coding = Coding::of(&query).filter(|_| container == "none");
    coding.ok_or_else(|| invalid("The emulator speaks mulaw and linear16, without a container."))
}

fn said_before(agent: &Map<String, Value>) -> Result<Option<String>, Notice> {
    let path = "agent.context.messages";
    let Some(context) = Field::of(agent, "context").object()? else {
        return Ok(None);
    };
    let messages = match context.get("messages") {
        None | Some(Value::Null) => return Ok(None),
        Some(Value::Array(messages)) => messages,
        Some(_) => return Err(unparsable(path, "a list")),
    };
    let mut last = None;
    for message in messages {
        let is_history = message["type"] == "History";
        let item = serde_json::from_value(message.clone())
            .ok()
            .filter(|_| is_history);
        match item.ok_or_else(|| unparsable(path, "a list of History"))? {
            HistoryItem::Text {
                role: Role::User,
                content,
            } => last = Some(content),
            HistoryItem::Text { .. } | HistoryItem::FunctionCalls { .. } => {}
        }
    }
    Ok(last)
}

/// A field of an object, which may be absent or null.
struct Field<'a> {
    name: &'a str,
    value: Option<&'a Value>,
}

impl<'a> Field<'a> {
    fn of(object: &'a Map<String, Value>, name: &'a str) -> Self {
        let value = object.get(name).filter(|value| !value.is_null());
        Self { name, value }
    }

    fn read<T>(
        self,
        expected: &str,
        read: impl Fn(&'a Value) -> Option<T>,
    ) -> Result<Option<T>, Notice> {
        let Self { name, value } = self;
        let read = |value| read(value).ok_or_else(|| unparsable(name, expected));
        value.map(read).transpose()
    }

    fn text(self) -> Result<Option<&'a str>, Notice> {
        self.read("a text", Value::as_str)
    }

    fn boolean(self) -> Result<Option<bool>, Notice> {
        self.read("true or false", Value::as_bool)
    }

    fn number(self) -> Result<Option<f64>, Notice> {
        self.read("a number", Value::as_f64)
    }

    fn object(self) -> Result<Option<&'a Map<String, Value>>, Notice> {
        self.read("an object", Value::as_object)
    }

    fn texts(self) -> Result<Vec<String>, Notice> {
        let texts = |value: &Value| {
            let items = value.as_array()?.iter();
            items.map(|item| item.as_str().map(str::to_owned)).collect()
        };
        Ok(self.read("a list of texts", texts)?.unwrap_or_default())
    }
}

pub(super) fn notice(code: &str, description: &str) -> Notice {
    Notice {
        code: code.to_owned(),
        description: description.to_owned(),
    }
}

fn unparsable(path: &str, expected: &str) -> Notice {
    let description = format!("Error parsing client message: {path}: expected {expected}.");
    notice("UNPARSABLE_CLIENT_MESSAGE", &description)
}

fn invalid(description: &str) -> Notice {
    notice("INVALID_SETTINGS", description)
}

/// The one agent that is stored.
fn stored_agent() -> Value {
    json!({
        "listen": { "provider": { "type": "deepgram", "model": "nova-3" } },
        "think": {
            "provider": { "type": "open_ai", "model": "gpt-4o-mini" },
            "prompt": "You are stored at Deepgram.",
        },
        "speak": { "provider": { "type": "deepgram", "model": "aura-2-thalia-en" } },
        "greeting": "Hello from a stored agent.",
    })
}

/// The id of the one agent that is stored: it says "Hello from a stored agent."
pub const STORED_AGENT_ID: &str = "7d0d3f7e-5b0a-4a53-9d1c-2f6a8c1e4b90";

const INPUT_ENCODINGS: [&str; 11] = [
    "linear16", "linear32", "flac", "alaw", "mulaw", "amr-nb", "amr-wb", "opus", "ogg-opus",
    "speex", "g729",
];

/// Characters of a prompt for a model that Deepgram manages.
const LONGEST_PROMPT: usize = 25_000;

#[cfg(test)]
mod tests;
