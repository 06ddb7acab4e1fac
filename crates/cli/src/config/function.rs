//! `[[profiles.NAME.functions]]`: what an agent can do.

use std::collections::BTreeMap;

use serde_json::Value as Json;
use sidetone_call::engine::Builtin;
use sidetone_deepgram::agent::settings::FunctionSpec;
use sidetone_gateway::config::{Function, Webhook, WebhookSecret};
use url::Url;

use super::agent::{Context, known};
use super::build::{bool, text, web_url};
use super::value::Value;
use super::{Path, Settings};

/// Keys of every function.
const COMMON: [&str; 4] = ["name", "description", "webhook", "builtin"];

/// Keys of a function that somebody else answers.
const OF_WEBHOOK: [&str; 4] = ["parameters", "secret", "idempotent", "defer_until_eot"];

/// The key of the built-in `transfer`.
const TARGETS: &str = "targets";

const TRANSFERS_ALONE: &str = "goes with builtin = \"transfer\" alone";

/// The longest name that models know.
const LONGEST_NAME: usize = 64;

/// A function: how the agent is told of it, and who answers it.
pub(super) struct Entry {
    /// Where it is set.
    pub(super) at: Path,
    pub(super) spec: FunctionSpec,
    pub(super) answers: Function,
}

/// Reads the list of functions.
pub(super) fn all(settings: &mut Settings, context: Context<'_>, at: &Path) -> Vec<Entry> {
    let is_no_list = settings
        .take(at)
        .is_some_and(|it| it.value != Value::List(Vec::new()))
        || !settings.children(at).is_empty();
    if is_no_list {
        settings.take_all(at);
        let origin = settings.origin(at);
        let what = format!("{at}: expected tables, each under a line [[{at}]]");
        settings.problem(&origin, what);
        return Vec::new();
    }
    let mut all: Vec<Entry> = Vec::new();
    for at in settings.items(at) {
        let Some(entry) = function(settings, context, at) else {
            continue;
        };
        if let Some(first) = all.iter().find(|other| other.spec.name == entry.spec.name) {
            let origin = settings.origin(&entry.at);
            let (at, name) = (&entry.at, &entry.spec.name);
            let what = format!("{at}: `{name}` is the name of {}, too", first.at);
            settings.problem(&origin, what);
        }
        all.push(entry);
    }
    all
}

/// Reads one function. Every problem is told before it is given up.
fn function(settings: &mut Settings, context: Context<'_>, at: Path) -> Option<Entry> {
    let keys = [COMMON.as_slice(), &OF_WEBHOOK, &[TARGETS]].concat();
    known(settings, &at, &keys);
    let is_there = |key: &str| settings.has(&at.join(key));
    let (spec, answers) = match (is_there("webhook"), is_there("builtin")) {
        (true, false) => webhook(settings, context, &at)?,
        (false, true) => own(settings, context, &at)?,
        (true, true) | (false, false) => {
            settings.take_all(&at);
            let wanted = "exactly one of webhook, builtin: who answers it";
            missing(settings, &at, wanted);
            return None;
        }
    };
    Some(Entry { at, spec, answers })
}

/// A function that Sidetone answers itself.
fn own(
    settings: &mut Settings,
    context: Context<'_>,
    at: &Path,
) -> Option<(FunctionSpec, Function)> {
    misplaced(settings, at, &OF_WEBHOOK, "goes with `webhook` alone");
    let given_name = settings.get(&at.join("name"), name);
    let description = settings.get(&at.join("description"), text);
    let builtin = builtin(settings, context, at)?;
    let name = match settings.has(&at.join("name")) {
        true => given_name?,
        false => settings.get(&at.join("builtin"), text)?,
    };
    Some((builtin.spec(&name, description), Function::Builtin(builtin)))
}

/// A function that somebody else answers.
fn webhook(
    settings: &mut Settings,
    context: Context<'_>,
    at: &Path,
) -> Option<(FunctionSpec, Function)> {
    misplaced(settings, at, &[TARGETS], TRANSFERS_ALONE);
    let name = required(settings, at, "name", "by which the agent calls it", name);
    let use_of_it = "what it does, and when it is to be called";
    let description = required(settings, at, "description", use_of_it, text);
    let url = settings.get(&at.join("webhook"), requests_url);
    let idempotent = settings.get(&at.join("idempotent"), bool);
    let defer_until_eot = settings.get(&at.join("defer_until_eot"), bool);
    let secret_at = at.join("secret");
    let secret = settings.get(&secret_at, secret);
    let is_signed = settings.has(&secret_at) || context.secret.is_some();
    if !is_signed {
        let origin = settings.origin(&at.join("webhook"));
        let what = format!(
            "{at}.webhook: is called without a signature: set {secret_at} or webhooks.secret"
        );
        settings.warn(&origin, what);
    }
    let parameters_at = at.join("parameters");
    let Some(parameters) = settings.json(&parameters_at) else {
        let wanted = "parameters: what it is called with, as a JSON schema; for nothing: \
                      parameters = { type = \"object\" }";
        missing(settings, at, wanted);
        return None;
    };
    let secret = secret.or_else(|| context.secret.cloned());
    let webhook = match Webhook::new(url?, &parameters, secret, idempotent.unwrap_or_default()) {
        Ok(webhook) if is_object(&parameters) => webhook,
        Ok(_) => {
            let origin = settings.origin(&parameters_at);
            let what = format!("{parameters_at}: expected a schema with type = \"object\"");
            settings.problem(&origin, what);
            return None;
        }
        Err(what) => {
            let origin = settings.origin(&parameters_at);
            settings.problem(&origin, format!("{parameters_at}: {what}"));
            return None;
        }
    };
    let spec = FunctionSpec {
        name: name?,
        description: Some(description?),
        parameters,
        defer_until_eot: defer_until_eot.unwrap_or_default(),
    };
    Some((spec, Function::Webhook(webhook)))
}

/// Models give arguments as an object, always.
fn is_object(parameters: &Json) -> bool {
    parameters.get("type").is_some_and(|kind| kind == "object")
}

fn builtin(settings: &mut Settings, context: Context<'_>, at: &Path) -> Option<Builtin> {
    let targets_at = at.join(TARGETS);
    let has_targets = settings.has(&targets_at);
    let targets = targets(settings, context, &targets_at);
    let builtin = settings.get(&at.join("builtin"), |value| match value.text()?.as_str() {
        "hangup" => Ok(Builtin::HangUp),
        "transfer" => Ok(Builtin::Transfer { targets }),
        "send_dtmf" => Ok(Builtin::SendDtmf),
        "collect_digits" => Ok(Builtin::CollectDigits),
        _ => Err("one of hangup, transfer, send_dtmf, collect_digits".to_owned()),
    })?;
    match &builtin {
        Builtin::Transfer { .. } if !has_targets => {
            let wanted = "targets: names the agent may choose, each with its number, as in \
                          targets = { sales = \"+15551230003\" }";
            missing(settings, at, wanted);
        }
        Builtin::Transfer { .. } => {}
        Builtin::HangUp | Builtin::SendDtmf | Builtin::CollectDigits => {
            misplaced(settings, at, &[TARGETS], TRANSFERS_ALONE);
        }
    }
    Some(builtin)
}

fn targets(settings: &mut Settings, context: Context<'_>, at: &Path) -> BTreeMap<String, String> {
    if settings.take(at).is_some() {
        let origin = settings.origin(at);
        let what =
            format!("{at}: expected names with numbers, as in {{ sales = \"+15551230003\" }}");
        settings.problem(&origin, what);
    }
    let mut targets = BTreeMap::new();
    for name in settings.children(at) {
        let number = settings.get(&at.join(&name), |value| context.number(value));
        targets.extend(number.map(|number| (name, number)));
    }
    targets
}

fn name(value: &Value) -> Result<String, String> {
    let name = value.text()?;
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    fits.then_some(name)
        .ok_or_else(|| format!("1 to {LONGEST_NAME} letters, digits, _ and -"))
}

/// Where requests go to. It may have a query; its user would be shown.
fn requests_url(value: &Value) -> Result<Url, String> {
    let is_http = |url: &Url| matches!(url.scheme(), "http" | "https");
    let url = web_url(value).ok().filter(is_http);
    url.ok_or_else(|| "a URL that begins with https:// or http://, without a user".to_owned())
}

/// What signs requests.
pub(super) fn secret(value: &Value) -> Result<WebhookSecret, String> {
    let secret = WebhookSecret::parse(&value.text()?);
    secret.map_err(|_| "`whsec_` and base64 after it".to_owned())
}

/// What has to be there.
fn required<T>(
    settings: &mut Settings,
    at: &Path,
    key: &str,
    what: &str,
    read: impl FnOnce(&Value) -> Result<T, String>,
) -> Option<T> {
    let path = at.join(key);
    if !settings.has(&path) {
        missing(settings, at, &format!("{key}: {what}"));
    }
    settings.get(&path, read)
}

/// Says that something has to be there.
fn missing(settings: &mut Settings, at: &Path, wanted: &str) {
    let origin = settings.origin(at);
    settings.problem(&origin, format!("{at}: expected {wanted}"));
}

/// Refuses keys that are known and mean nothing here.
fn misplaced(settings: &mut Settings, at: &Path, keys: &[&str], why: &str) {
    for path in keys.iter().map(|key| at.join(key)) {
        if settings.has(&path) {
            settings.take_all(&path);
            let origin = settings.origin(&path);
            settings.problem(&origin, format!("{path}: {why}"));
        }
    }
}
