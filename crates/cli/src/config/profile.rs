//! `[profiles.NAME]` and `[numbers]`: what happens on a call.

use std::collections::BTreeMap;
use std::time::Duration;

use sidetone_deepgram::listen::params::Params;
use sidetone_deepgram::speak;
use sidetone_gateway::config::{Announce, Dial, Links, Listen, Overflow, Profile, Speak, Then};

use super::agent::{self, Context};
use super::build::{text, whole};
use super::keys::closest;
use super::value::Value;
use super::{Path, Settings, not_yet};

/// Names that are routes below `/voice` and `/twilio`.
const RESERVED: [&str; 3] = ["stream-status", "call-status", "next"];

/// What a profile may hold.
const PARTS: [&str; 12] = [
    "announce",
    "announce_voice",
    "announce_language",
    "recording",
    "listen",
    "dial",
    "overflow",
    "agent",
    "functions",
    "tell_dtmf",
    "fallback",
    "speak",
];

/// What a profile sets of Deepgram's parameters unless a file says otherwise.
const DEFAULTS: [&str; 4] = ["model", "language", "interim_results", "smart_format"];

/// Keys of `listen` that are not parameters of Deepgram's.
const SIDETONES_OWN: [&str; 2] = ["flush_ms", "links"];

/// Values of `listen.links`.
const STEREO: &str = "stereo";
const PER_TRACK: &str = "per_track";

/// Values of `speak.then`.
const STAY: &str = "stay";
const HANG_UP: &str = "hangup";

/// Said by the built-in profile `hello`.
const HELLO: &str = "Hello, how are you today?";

/// Builds every profile, the built-in ones included until a file defines their name.
pub(super) fn profiles(settings: &mut Settings, context: Context<'_>) -> BTreeMap<String, Profile> {
    let all = Path::parse("profiles");
    settings.take(&all);
    built_in(settings, &all);
    let mut profiles = BTreeMap::new();
    for name in settings.children(&all) {
        let at = all.join(&name);
        let route = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || c == '-' || c == '_');
        if !route || RESERVED.contains(&name.as_str()) {
            let origin = settings.origin(&at);
            settings.problem(
                &origin,
                format!(
                    "{at}: this is no name for a profile: use letters, digits, - and _, and not \
                     one of {}",
                    RESERVED.join(", ")
                ),
            );
        }
        let profile = profile(settings, context, &at);
        profiles.insert(name, profile);
    }
    profiles
}

/// Reads `[numbers]`: called number to profile.
pub(super) fn numbers(
    settings: &mut Settings,
    profiles: &BTreeMap<String, Profile>,
) -> BTreeMap<String, String> {
    let all = Path::parse("numbers");
    settings.take(&all);
    let mut numbers = BTreeMap::new();
    for number in settings.children(&all) {
        let at = all.join(&number);
        let names = profiles
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        let profile = settings.get(&at, |value| {
            let name = value.text()?;
            if profiles.contains_key(&name) {
                Ok(name)
            } else {
                Err(format!("the name of a profile: {names}"))
            }
        });
        if let Some(profile) = profile {
            numbers.insert(number, profile);
        }
    }
    numbers
}

fn built_in(settings: &mut Settings, all: &Path) {
    let default = all.join("default");
    if !settings.in_file(&default) {
        settings.default(default.join("listen"), Value::Table(BTreeMap::new()));
        if !settings.has(&default.join("dial")) {
            settings.default(
                default.join("dial").join("pause_secs"),
                Value::Integer(3600),
            );
        }
    }
    let agent = all.join(agent::PROFILE);
    if !settings.in_file(&agent) {
        settings.default(agent.join("agent"), Value::Table(BTreeMap::new()));
    }
    let hello = all.join("hello");
    if !settings.in_file(&hello) {
        let greeting = hello.join("speak").join("greeting");
        settings.default(greeting, Value::Text(HELLO.to_owned()));
    }
}

fn profile(settings: &mut Settings, context: Context<'_>, at: &Path) -> Profile {
    settings.take(at);
    for part in settings.children(at) {
        if !PARTS.contains(&part.as_str()) {
            let path = at.join(&part);
            let origin = settings.origin(&path);
            let remedy = closest(&part, PARTS).map_or_else(
                || format!("a profile has: {}", PARTS.join(", ")),
                |near| format!("did you mean `{near}`?"),
            );
            settings.problem(
                &origin,
                format!("{path}: unknown part of a profile; {remedy}"),
            );
            settings.take_all(&path);
        }
    }
    not_yet::recording(settings, &at.join("recording"));
    let talks = settings.has(&at.join("agent"));
    let speak = speak(settings, &at.join("speak"));
    if talks && speak.is_some() {
        let origin = settings.origin(&at.join("speak"));
        settings.problem(&origin, format!("{at}: agent and speak exclude each other"));
    }
    Profile {
        announce: announce(settings, at),
        listen: listen(settings, &at.join("listen")),
        dial: dial(settings, &at.join("dial")),
        overflow: overflow(settings, &at.join("overflow")),
        bidirectional: talks || speak.is_some(),
        speak,
        agent: agent::agent(settings, context, at),
    }
}

fn announce(settings: &mut Settings, at: &Path) -> Option<Announce> {
    let voice = settings.get(&at.join("announce_voice"), text);
    let language = settings.get(&at.join("announce_language"), text);
    let text = settings.get(&at.join("announce"), text)?;
    Some(Announce {
        text,
        voice,
        language,
    })
}

fn listen(settings: &mut Settings, at: &Path) -> Option<Listen> {
    if !settings.has(at) {
        return None;
    }
    // An empty table says that the part is on.
    settings.take(at);
    let flush_at = at.join("flush_ms");
    settings.default(flush_at.clone(), Value::Integer(60));
    let flush_ms = settings.get(&flush_at, |value| whole(value, 20, 500));
    let flush_ms = flush_ms.unwrap_or(60);
    let mut params = Params::default_profile();
    for name in DEFAULTS {
        if let [value] = params.values(name) {
            let text = || Value::Text(value.clone());
            settings.default(
                at.join(name),
                value.parse().map_or_else(|_| text(), Value::Bool),
            );
        }
    }
    parameters(settings, at, &SIDETONES_OWN, |name, values| {
        params.set(name, values)
    });
    if let Err(error) = params.check() {
        let origin = settings.origin(at);
        settings.problem(&origin, format!("{at}: {error}"));
    }
    let links = links(settings, &at.join("links"), &params);
    let flush = Duration::from_millis(flush_ms as u64);
    Some(Listen {
        params,
        flush,
        links,
    })
}

fn speak(settings: &mut Settings, at: &Path) -> Option<Speak> {
    if !settings.has(at) {
        return None;
    }
    settings.take(at);
    let greeting = settings.get(&at.join("greeting"), |value| {
        Some(value.text()?)
            .filter(|text| !text.trim().is_empty())
            .ok_or_else(|| "a sentence; leave it out for none".to_owned())
    });
    let then_at = at.join("then");
    settings.default(then_at.clone(), Value::Text(STAY.to_owned()));
    let then = settings.get(&then_at, |value| match value.text()?.as_str() {
        STAY => Ok(Then::Stay),
        HANG_UP => Ok(Then::HangUp),
        _ => Err(format!("`{STAY}` or `{HANG_UP}`")),
    });
    let mut params = speak::params::Params::new();
    let model = Value::Text(params.model().to_owned());
    settings.default(at.join("model"), model);
    parameters(settings, at, &["greeting", "then"], |name, values| {
        params.set(name, values)
    });
    if let Err(error) = params.check() {
        let origin = settings.origin(at);
        settings.problem(&origin, format!("{at}: {error}"));
    }
    Some(Speak {
        params,
        greeting,
        then: then.unwrap_or_default(),
    })
}

/// Sets Deepgram's parameters: all that stand in a table but for Sidetone's own keys.
fn parameters<E: ToString>(
    settings: &mut Settings,
    at: &Path,
    own: &[&str],
    mut set: impl FnMut(&str, &[&str]) -> Result<(), E>,
) {
    for name in settings.children(at) {
        if own.contains(&name.as_str()) {
            continue;
        }
        let path = at.join(&name);
        let Some(setting) = settings.take(&path) else {
            settings.take_all(&path);
            let origin = settings.origin(&path);
            settings.problem(&origin, format!("{path}: expected a value, not a table"));
            continue;
        };
        let values = setting.value.parameters().map_err(str::to_owned);
        let result = values.and_then(|values| {
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            set(&name, &values).map_err(|error| error.to_string())
        });
        if let Err(what) = result {
            settings.problem(&setting.origin, format!("{path}: {what}"));
        }
    }
}

fn links(settings: &mut Settings, at: &Path, params: &Params) -> Links {
    let multilingual = params.language() == Some("multi");
    let default = if multilingual { PER_TRACK } else { STEREO };
    settings.default(at.clone(), Value::Text(default.to_owned()));
    let links = settings.get(at, |value| match value.text()?.as_str() {
        STEREO => Ok(Links::Stereo),
        PER_TRACK => Ok(Links::PerTrack),
        _ => Err(format!("`{STEREO}` or `{PER_TRACK}`")),
    });
    links.unwrap_or_default()
}

fn dial(settings: &mut Settings, at: &Path) -> Option<Dial> {
    let number = settings.get(&at.join("number"), text).map(Dial::Number);
    let say = settings.get(&at.join("say"), text).map(Dial::Say);
    let pause = settings
        .get(&at.join("pause_secs"), |value| whole(value, 1, 14_400))
        .and_then(|secs| u32::try_from(secs).ok())
        .map(Dial::PauseSecs);
    one_of(
        settings,
        at,
        "number, say, pause_secs",
        [number, say, pause],
    )
}

fn overflow(settings: &mut Settings, at: &Path) -> Option<Overflow> {
    let say = settings.get(&at.join("say"), text).map(Overflow::Say);
    let number = settings.get(&at.join("number"), text).map(Overflow::Number);
    one_of(settings, at, "say, number", [say, number])
}

/// Exactly one of the choices, when the table is there at all.
fn one_of<T, const N: usize>(
    settings: &mut Settings,
    at: &Path,
    choices: &str,
    given: [Option<T>; N],
) -> Option<T> {
    let mut given: Vec<T> = given.into_iter().flatten().collect();
    if settings.has(at) && (given.len() != 1 || settings.children(at).len() > 1) {
        let origin = settings.origin(at);
        settings.problem(&origin, format!("{at}: expected exactly one of {choices}"));
    }
    given.pop()
}
