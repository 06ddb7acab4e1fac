//! The layers laid over each other, and what was taken from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::keys::{KEYS, closest};
use super::value::{Origin, Setting, Value};
use super::{ConfigError, Inputs, Path, Problem, sources};

/// All settings, the strongest layer on top.
#[derive(Debug)]
pub(crate) struct Settings {
    settings: BTreeMap<Path, Setting>,
    taken: BTreeSet<Path>,
    problems: Vec<Problem>,
}

impl Settings {
    /// Reads every layer. A file that was named and cannot be read is an error of its own.
    pub(super) fn read(inputs: &Inputs) -> Result<Self, ConfigError> {
        let mut problems = Vec::new();
        let mut settings = BTreeMap::new();
        if let Some(path) = sources::locate(inputs.file.clone(), &inputs.folder) {
            let text = std::fs::read_to_string(&path).map_err(|error| {
                ConfigError(vec![Problem::missing(format!(
                    "{}: cannot be read: {error}",
                    path.display()
                ))])
            })?;
            settings.extend(sources::file(&path, &text, &mut problems));
        }
        let dot_env = inputs.folder.join(".env");
        match std::fs::read_to_string(&dot_env) {
            Ok(text) => settings.extend(sources::dot_env(&dot_env, &text, &mut problems)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => problems.push(Problem::missing(format!(
                "{}: cannot be read: {error}",
                dot_env.display()
            ))),
        }
        settings.extend(sources::environment(&inputs.environment));
        settings.extend(sources::flags(&inputs.sets, &mut problems));
        Ok(Self {
            settings,
            taken: BTreeSet::new(),
            problems,
        })
    }

    /// The setting at `path`, if one is there.
    pub(super) fn take(&mut self, path: &Path) -> Option<Setting> {
        let setting = self.settings.get(path)?;
        self.taken.insert(path.clone());
        Some(setting.clone())
    }

    /// The setting at `path` as `read` understands it; a problem when it does not.
    pub(super) fn get<T>(
        &mut self,
        path: &Path,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let setting = self.take(path)?;
        match read(&setting.value) {
            Ok(value) => Some(value),
            Err(expected) => {
                let found = if self.is_secret(path) {
                    "the value".to_owned()
                } else {
                    format!("`{}`", setting.value.to_string().trim_matches('"'))
                };
                self.problem(
                    &setting.origin,
                    format!("{path}: {found} does not fit: expected {expected}"),
                );
                None
            }
        }
    }

    /// Like [`Self::get`], with a default that shows in the listing.
    pub(super) fn get_or<T>(
        &mut self,
        path: &str,
        default: Value,
        read: impl FnOnce(&Value) -> Result<T, String>,
    ) -> Option<T> {
        let path = Path::parse(path);
        self.settings.entry(path.clone()).or_insert(Setting {
            value: default,
            origin: Origin::Default,
        });
        self.get(&path, read)
    }

    /// Sets a default that shows in the listing, unless something stronger is there.
    pub(super) fn default(&mut self, path: Path, value: Value) {
        self.settings.entry(path).or_insert(Setting {
            value,
            origin: Origin::Default,
        });
    }

    /// The distinct parts that follow `prefix`.
    pub(super) fn children(&self, prefix: &Path) -> Vec<String> {
        let mut names: Vec<String> = self
            .settings
            .keys()
            .filter(|path| path.starts_with(prefix))
            .filter_map(|path| path.after(prefix).map(str::to_owned))
            .collect();
        names.dedup();
        names
    }

    /// Whether something is set at `prefix` or below it.
    pub(super) fn has(&self, prefix: &Path) -> bool {
        self.settings.keys().any(|path| path.starts_with(prefix))
    }

    /// Whether a file sets something at `prefix` or below it.
    pub(super) fn in_file(&self, prefix: &Path) -> bool {
        self.settings.iter().any(|(path, setting)| {
            path.starts_with(prefix) && matches!(setting.origin, Origin::File { .. })
        })
    }

    /// Takes all that is set at `prefix` or below it.
    pub(super) fn take_all(&mut self, prefix: &Path) {
        let below: Vec<Path> = self
            .settings
            .keys()
            .filter(|path| path.starts_with(prefix))
            .cloned()
            .collect();
        self.taken.extend(below);
    }

    /// Where a setting comes from, for a problem about it.
    pub(super) fn origin(&self, path: &Path) -> Origin {
        self.settings
            .get(path)
            .map_or(Origin::Default, |setting| setting.origin.clone())
    }

    pub(super) fn problem(&mut self, origin: &Origin, what: String) {
        self.problems.push(Problem::at(origin, what));
    }

    pub(super) fn missing(&mut self, what: String) {
        self.problems.push(Problem::missing(what));
    }

    /// What is wrong with what was read so far; unknown keys are not looked for.
    pub(super) fn problems(self) -> Vec<Problem> {
        self.problems
    }

    /// What is wrong, unknown keys included.
    pub(super) fn finish(mut self) -> Vec<Problem> {
        let unknown: Vec<(Path, Origin)> = self
            .settings
            .iter()
            .filter(|(path, _)| !self.taken.contains(*path))
            .map(|(path, setting)| (path.clone(), setting.origin.clone()))
            .collect();
        for (path, origin) in unknown {
            let remedy = closest(&path.to_string(), KEYS.iter().map(|key| key.path)).map_or_else(
                || "see `sidetone serve --print-config`".to_owned(),
                |near| format!("did you mean `{near}`?"),
            );
            self.problems.push(Problem::at(
                &origin,
                format!("{path}: unknown key; {remedy}"),
            ));
        }
        self.problems
    }

    /// Every setting with its origin; secrets masked.
    pub(super) fn listing(&self) -> String {
        let mut listing = String::new();
        for (path, Setting { value, origin }) in &self.settings {
            let value = if self.is_secret(path) {
                "(secret)".to_owned()
            } else {
                value.to_string()
            };
            writeln!(listing, "{path} = {value}  # {origin}").expect("a String takes all");
        }
        listing
    }

    fn is_secret(&self, path: &Path) -> bool {
        let path = path.to_string();
        KEYS.iter().any(|key| key.secret && key.path == path)
            || ["api_key", "secret", "token", "password", "authorization"]
                .iter()
                .any(|word| path.to_ascii_lowercase().contains(word))
    }
}
