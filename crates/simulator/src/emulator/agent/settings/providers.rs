//! Who listens, thinks and speaks.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};
use sidetone_deepgram::agent::message::Notice;

use super::{Field, invalid, one_or_more, unparsable};

/// How an agent listens.
#[derive(Clone, Debug, Default)]
pub(in crate::emulator::agent) struct Listen {
    provider: Map<String, Value>,
}

impl Listen {
    /// Reads `listen`.
    pub(in crate::emulator::agent) fn read(listen: &Value) -> Result<Self, Notice> {
        Self::default().updated(listen)
    }

    /// With what an `UpdateListen` changes; what it leaves out stays.
    pub(in crate::emulator::agent) fn updated(&self, listen: &Value) -> Result<Self, Notice> {
        let listen = listen
            .as_object()
            .ok_or_else(|| unparsable("listen", "an object"))?;
        let Some(changes) = Field::of(listen, "provider").object()? else {
            return Ok(self.clone());
        };
        let mut provider = self.provider.clone();
        provider.extend(changes.clone());
        if Field::of(&provider, "type").text()? != Some("deepgram") {
            return Err(unparsable("listen.provider.type", "deepgram"));
        }
        Field::of(&provider, "keyterms").texts()?;
        let model = Field::of(&provider, "model").text()?;
        match Field::of(&provider, "version").text()? {
            None | Some("v1") => {
                if model.is_some_and(is_flux) {
                    return Err(invalid(
                        "The listening model needs the provider's version v2.",
                    ));
                }
            }
            Some("v2") => {
                if !model.is_some_and(is_flux) {
                    return Err(invalid(
                        "Version v2 of the listening provider has flux models.",
                    ));
                }
                in_range(&provider, "eot_threshold", 0.5..=1.0)?;
                in_range(&provider, "eager_eot_threshold", 0.3..=0.9)?;
                in_range(&provider, "eot_timeout_ms", 500.0..=60_000.0)?;
            }
            Some(_) => return Err(unparsable("listen.provider.version", "v1 or v2")),
        }
        Ok(Self { provider })
    }

    /// Whether Flux listens, which knows of turns.
    pub(in crate::emulator::agent) fn is_flux(&self) -> bool {
        self.provider.get("version").and_then(Value::as_str) == Some("v2")
    }
}

/// Checks one way to think.
pub(super) fn check_think(think: &Map<String, Value>) -> Result<(), Notice> {
    let provider = provider(think, "think")?;
    let kind = Field::of(provider, "type").text()?.unwrap_or_default();
    if !THINKERS.contains(&kind) {
        return Err(unparsable("think.provider.type", "a known provider"));
    }
    if Field::of(provider, "model")
        .text()?
        .is_none_or(str::is_empty)
    {
        return Err(unparsable("think.provider.model", "a text"));
    }
    let hottest = if kind == "anthropic" { 1.0 } else { 2.0 };
    in_range(provider, "temperature", 0.0..=hottest)?;
    let endpoint = endpoint(think, "think")?;
    if ["groq", "aws_bedrock"].contains(&kind) && !endpoint {
        return Err(invalid(&format!(
            "think.provider {kind} needs an endpoint."
        )));
    }
    Ok(())
}

/// How an agent speaks.
#[derive(Clone, Debug, Default)]
pub(in crate::emulator::agent) struct Speak {
    /// Shows only once it tries to.
    pub(in crate::emulator::agent) fails: bool,
}

impl Speak {
    /// Reads `speak`: an object, or a list of them in the order in which they are tried.
    pub(in crate::emulator::agent) fn read(speak: &Value) -> Result<Self, Notice> {
        let all = one_or_more(speak, "speak")?;
        let each: Vec<Self> = all
            .into_iter()
            .map(Self::read_one)
            .collect::<Result<_, _>>()?;
        let fails = each.iter().all(|speak| speak.fails);
        Ok(Self { fails })
    }

    fn read_one(speak: &Map<String, Value>) -> Result<Self, Notice> {
        let provider = provider(speak, "speak")?;
        let has_endpoint = endpoint(speak, "speak")?;
        let kind = Field::of(provider, "type").text()?.unwrap_or_default();
        if !SPEAKERS.contains(&kind) {
            return Err(unparsable("speak.provider.type", "a known provider"));
        }
        if kind != "deepgram" {
            if !has_endpoint {
                return Err(invalid(&format!(
                    "speak.provider {kind} needs an endpoint."
                )));
            }
            return Ok(Self::default());
        }
        if provider.contains_key("language") {
            return Err(unparsable("speak.provider", "no field `language`"));
        }
        if provider
            .get("expressivity")
            .is_some_and(|value| !value.is_i64())
        {
            return Err(unparsable("speak.provider.expressivity", "a whole number"));
        }
        let model = Field::of(provider, "model").text()?;
        let model = model.ok_or_else(|| unparsable("speak.provider.model", "a text"))?;
        let family = match Field::of(provider, "version").text()? {
            None | Some("v1") => "aura-",
            Some("v2") => "flux-",
            Some(_) => return Err(unparsable("speak.provider.version", "v1 or v2")),
        };
        if !model.starts_with(family) {
            return Err(invalid(&format!(
                "There is no speaking model {model} in this version."
            )));
        }
        let speed = Field::of(provider, "speed").number()?;
        Ok(Self {
            fails: speed.is_some_and(|speed| !SPEEDS.contains(&speed)),
        })
    }
}

fn provider<'a>(
    object: &'a Map<String, Value>,
    path: &str,
) -> Result<&'a Map<String, Value>, Notice> {
    let provider = Field::of(object, "provider").object()?;
    provider.ok_or_else(|| unparsable(&format!("{path}.provider"), "an object"))
}

/// Whether there is an endpoint.
fn endpoint(object: &Map<String, Value>, path: &str) -> Result<bool, Notice> {
    let Some(endpoint) = Field::of(object, "endpoint").object()? else {
        return Ok(false);
    };
    Field::of(endpoint, "headers").object()?;
    match Field::of(endpoint, "url").text()? {
        Some(_) => Ok(true),
        None => Err(unparsable(&format!("{path}.endpoint.url"), "a URL")),
    }
}

fn in_range(
    provider: &Map<String, Value>,
    name: &str,
    range: RangeInclusive<f64>,
) -> Result<(), Notice> {
    let number = Field::of(provider, name).number()?;
    if number.is_none_or(|number| range.contains(&number)) {
        return Ok(());
    }
    let (from, to) = range.into_inner();
    Err(invalid(&format!("{name} has to be from {from} to {to}.")))
}

fn is_flux(model: &str) -> bool {
    model.starts_with("flux-")
}

const THINKERS: [&str; 7] = [
    "open_ai",
    "anthropic",
    "google",
    "nvidia",
    "groq",
    "aws_bedrock",
    "deepgram",
];

const SPEAKERS: [&str; 5] = [
    "deepgram",
    "eleven_labs",
    "cartesia",
    "open_ai",
    "aws_polly",
];

const SPEEDS: RangeInclusive<f64> = 0.7..=1.5;
