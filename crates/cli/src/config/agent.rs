//! `[profiles.NAME.agent]` and what belongs to it: whom a caller talks with.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::Path as FilePath;

use sidetone_deepgram::agent::settings::Settings as Document;
use sidetone_gateway::config::{Agent, Fallback, Twilio, WebhookSecret, template};

use super::build::{bool, phone_number, text};
use super::document::{self, Place};
use super::keys::closest;
use super::value::{Origin, Setting, Value};
use super::{Inputs, Path, Problem, Settings, function};

/// The built-in profile, which `--agent` gives its prompt.
pub(super) const PROFILE: &str = "agent";

/// Where its prompt stands.
const PROMPT: &str = "profiles.agent.agent.think.prompt";

/// Parts of a profile that mean nothing without its agent.
const BESIDE: [&str; 3] = ["functions", "tell_dtmf", "fallback"];

/// What an agent's settings are read with.
#[derive(Clone, Copy, Debug)]
pub(super) struct Context<'a> {
    /// The working folder.
    pub(super) folder: &'a FilePath,
    /// Who says which numbers may be dialled.
    pub(super) twilio: Option<&'a Twilio>,
    /// Signs the requests of functions that have no secret of their own.
    pub(super) secret: Option<&'a WebhookSecret>,
}

/// The text of `--agent FILE`, as the prompt of the built-in profile.
pub(super) fn prompt(inputs: &Inputs, problems: &mut Vec<Problem>) -> Option<(Path, Setting)> {
    let file = inputs.agent.as_ref()?;
    match prompt_text(&inputs.folder, file) {
        Ok(text) => {
            let (path, line) = (file.clone(), 1);
            let (value, origin) = (Value::Text(text), Origin::File { path, line });
            Some((Path::parse(PROMPT), Setting { value, origin }))
        }
        Err(what) => {
            let origin = Origin::Flag("--agent".to_owned());
            problems.push(Problem::at(&origin, format!("{} {what}", file.display())));
            None
        }
    }
}

fn prompt_text(folder: &FilePath, file: &FilePath) -> Result<String, String> {
    let bytes = std::fs::read(folder.join(file));
    let bytes = bytes.map_err(|error| format!("cannot be read: {error}"))?;
    let text = String::from_utf8(bytes).map_err(|_| "is no UTF-8 text")?;
    match text.trim() {
        "" => Err("is empty: write into it who the agent is and what it is to do".to_owned()),
        prompt => Ok(prompt.to_owned()),
    }
}

/// Reads the agent of the profile at `at`, with all that belongs to it.
pub(super) fn agent(settings: &mut Settings, context: Context<'_>, at: &Path) -> Option<Agent> {
    let is_there = settings.has(&at.join("agent"));
    let functions = function::all(settings, context, &at.join("functions"));
    let tells_dtmf = settings.get(&at.join("tell_dtmf"), bool);
    let fallback = fallback(settings, context, &at.join("fallback"));
    if !is_there {
        for part in BESIDE.map(|part| at.join(part)) {
            if let Some(origin) = settings.set_at(&part) {
                let what = format!("{part}: is for an agent, and {at} has none");
                settings.problem(&origin, what);
            }
        }
        return None;
    }
    let (mut document, place) = document::read(settings, context.folder, &at.join("agent"))?;
    warn_of_unanswered(settings, &document, &place, &functions, at);
    let mut by_name = BTreeMap::new();
    for function in functions {
        let name = function.spec.name.clone();
        if let Err(fault) = document.add_function(function.spec) {
            let origin = settings.origin(&function.at);
            settings.problem(&origin, format!("{}: {}", function.at, fault.what));
        }
        by_name.insert(name, function.answers);
    }
    texts(settings, &mut document, &place);
    Some(Agent {
        settings: document,
        functions: by_name,
        tells_dtmf: tells_dtmf.unwrap_or_default(),
        fallback,
    })
}

/// Warns of functions that the document declares, and that nobody answers.
fn warn_of_unanswered(
    settings: &mut Settings,
    document: &Document,
    place: &Place,
    answered: &[function::Entry],
    at: &Path,
) {
    let is_answered = |name: &str| answered.iter().any(|entry| entry.spec.name == name);
    for declared in document.functions() {
        let name = declared.name;
        if !is_answered(&name) {
            let (origin, path) = place.of_agent("think.functions", settings);
            let what = format!(
                "{path}: `{name}` has no endpoint, and nothing in {at}.functions answers it: the \
                 agent is told that it does not exist"
            );
            settings.warn(&origin, what);
        }
    }
}

/// Checks the texts of a document that are templates, and lists those that are not set.
fn texts(settings: &mut Settings, document: &mut Document, place: &Place) {
    let Ok(()) = document.map_texts(|path, text| {
        let (origin, path) = place.of_agent(path, settings);
        if let Err(what) = template::check(text) {
            settings.problem(&origin, format!("{path}: {what}"));
        } else if let Place::Settings(_) = place {
            settings.default(path, Value::Text(text.to_owned()));
        }
        Ok::<_, Infallible>(None)
    });
}

fn fallback(settings: &mut Settings, context: Context<'_>, at: &Path) -> Fallback {
    known(settings, at, &["say", "number"]);
    Fallback {
        say: settings.get(&at.join("say"), text),
        number: settings.get(&at.join("number"), |value| context.number(value)),
    }
}

impl Context<'_> {
    /// A number that may be dialled.
    pub(super) fn number(self, value: &Value) -> Result<String, String> {
        let number = phone_number(&value.text()?)?;
        let allowed = self
            .twilio
            .and_then(|twilio| twilio.allow_destinations.as_ref());
        match allowed {
            Some(prefixes) if !prefixes.iter().any(|prefix| number.starts_with(prefix)) => {
                let prefixes = prefixes.join(", ");
                Err(format!(
                    "a number that twilio.allow_destinations allows: {prefixes}"
                ))
            }
            _ => Ok(number),
        }
    }
}

/// Refuses the keys of a table that are not known.
pub(super) fn known(settings: &mut Settings, at: &Path, keys: &[&str]) {
    for key in settings.children(at) {
        if !keys.contains(&key.as_str()) {
            let path = at.join(&key);
            settings.take_all(&path);
            let origin = settings.origin(&path);
            let remedy = closest(&key, keys.iter().copied()).map_or_else(
                || format!("here is room for {}", keys.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            settings.problem(&origin, format!("{path}: unknown key; {remedy}"));
        }
    }
}
