//! Configuration: flags, environment, `.env`, `sidetone.toml`, defaults, in that order.
//!
//! Every value keeps its origin, so that `--print-config` can show it and a problem can name the
//! file, the line, the key and the remedy.

mod agent;
mod build;
mod document;
mod function;
mod keys;
mod not_yet;
mod path;
mod profile;
mod settings;
mod sources;
mod value;

#[cfg(test)]
mod fuzz;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

pub(crate) use build::{Log, LogFormat, is_loopback, phone_number, unfit_for_twilio};
pub(crate) use keys::CONFIG_FILE;
use path::Path;
pub(crate) use settings::Settings;
use sidetone_gateway::config::Twilio;
use value::Origin;

/// Where configuration may come from, besides the files. Gathered by `main`, so that nothing else
/// reads the environment.
#[derive(Debug, Default)]
pub(crate) struct Inputs {
    /// `--config` or `SIDETONE_CONFIG`.
    pub(crate) file: Option<PathBuf>,
    /// The working folder, for `.env` and `sidetone.toml`.
    pub(crate) folder: PathBuf,
    /// The environment.
    pub(crate) environment: BTreeMap<String, String>,
    /// `--set KEY=VALUE`.
    pub(crate) sets: Vec<String>,
    /// `--profile`.
    pub(crate) profile: Option<String>,
    /// `--agent`.
    pub(crate) agent: Option<PathBuf>,
    /// `--insecure`.
    pub(crate) insecure: bool,
    /// Whether the command can do without Deepgram's key.
    pub(crate) without_deepgram: bool,
}

/// A whole configuration.
#[derive(Debug)]
pub(crate) struct Configuration {
    /// For the gateway.
    pub(crate) gateway: sidetone_gateway::Config,
    /// Where archive, recordings and secret are.
    pub(crate) data_dir: PathBuf,
    /// Whether an agent may be wanted: by a profile that is written, that calls get unless they
    /// ask for another, or that a number has; or since its address is written.
    pub(crate) uses_agent: bool,
    /// For the log.
    pub(crate) log: Log,
    /// Things the person should know, none of which stops the start.
    pub(crate) warnings: Vec<Problem>,
}

/// Reads every layer and builds the configuration; all problems are told at once.
pub(crate) fn load(inputs: &Inputs) -> Result<Configuration, ConfigError> {
    match examine(inputs) {
        (Some(configuration), problems) if problems.is_empty() => Ok(configuration),
        (_, problems) => Err(ConfigError(problems)),
    }
}

/// As [`load`], but gives what could be built beside the problems, for who wants to look further
/// with what there is. Deepgram's key is empty when it is missing.
pub(crate) fn examine(inputs: &Inputs) -> (Option<Configuration>, Vec<Problem>) {
    let mut settings = Settings::read(inputs);
    let configuration = build::configuration(&mut settings, inputs);
    let (problems, warnings) = settings.finish();
    let configuration = configuration.map(|built| Configuration { warnings, ..built });
    (configuration, problems)
}

/// The configuration file that is read, if any.
pub(crate) fn file(inputs: &Inputs) -> Option<PathBuf> {
    sources::locate(inputs.file.clone(), &inputs.folder)
}

/// What concerns Twilio, for who plays Twilio: what else is set does not matter there.
pub(crate) fn twilio(inputs: &Inputs) -> Result<Twilio, ConfigError> {
    let mut settings = Settings::read(inputs);
    let twilio = build::twilio(&mut settings);
    let problems = settings.problems();
    match twilio {
        Some(twilio) if problems.is_empty() => Ok(twilio),
        Some(_) | None => Err(ConfigError(problems)),
    }
}

/// What the layers say together.
pub(crate) struct Listing {
    /// Every setting with its origin, a line each; secrets are masked.
    pub(crate) settings: String,
    /// Things the person should know.
    pub(crate) warnings: Vec<Problem>,
    /// Why nothing starts with it.
    pub(crate) refusal: Option<ConfigError>,
}

/// Reads every layer to show it, whatever is wrong with it.
pub(crate) fn list(inputs: &Inputs) -> Listing {
    let mut settings = Settings::read(inputs);
    build::configuration(&mut settings, inputs);
    let listing = settings.listing();
    let (problems, warnings) = settings.finish();
    Listing {
        settings: listing,
        warnings,
        refusal: (!problems.is_empty()).then_some(ConfigError(problems)),
    }
}

/// What is wrong with the configuration: at least one problem.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct ConfigError(Vec<Problem>);

impl ConfigError {
    /// Settings that a command needs and that are not there; each says what to set.
    pub(crate) fn missing(problems: impl IntoIterator<Item = String>) -> Self {
        Self(problems.into_iter().map(Problem::missing).collect())
    }
}

impl std::error::Error for ConfigError {}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.0.iter().enumerate() {
            write!(f, "{}{problem}", if i == 0 { "" } else { "\n" })?;
        }
        Ok(())
    }
}

/// One thing that is wrong: where, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Problem {
    origin: Option<String>,
    what: String,
}

impl Problem {
    fn at(origin: &Origin, what: String) -> Self {
        Self {
            origin: Some(origin.to_string()),
            what,
        }
    }

    fn missing(what: String) -> Self {
        Self { origin: None, what }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.origin {
            Some(origin) => write!(f, "{origin}: {}", self.what),
            None => f.write_str(&self.what),
        }
    }
}
