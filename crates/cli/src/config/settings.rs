//! The layers laid over each other, and what was taken from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use url::Url;

use super::keys::{KEYS, Key, OWN_PREFIX, closest, closest_variable};
use super::sources::{self, Stray};
use super::value::{Origin, Setting, Value};
use super::{Inputs, Path, Problem, not_yet};

/// Words in the name of a setting that is not shown, `-` and capitals aside.
const SECRET_WORDS: [&str; 6] = [
    "api_key",
    "secret",
    "token",
    "password",
    "authorization",
    "headers",
];

/// What is shown of a secret.
const MASK: &str = "(secret)";

/// All settings, the strongest layer on top.
#[derive(Debug)]
pub(crate) struct Settings {
    settings: BTreeMap<Path, Setting>,
    taken: BTreeSet<Path>,
    strays: Vec<Stray>,
    problems: Vec<Problem>,
    warnings: Vec<Problem>,
}

impl Settings {
    /// Reads every layer. What cannot be read is a problem, and the rest is there.
    pub(super) fn read(inputs: &Inputs) -> Self {
        let (mut strays, mut problems) = (Vec::new(), Vec::new());
        let mut settings = BTreeMap::new();
        if let Some(path) = sources::locate(inputs.file.clone(), &inputs.folder) {
            match std::fs::read_to_string(&path) {
                Ok(text) => settings.extend(sources::file(&path, &text, &mut problems)),
                Err(error) => problems.push(unreadable(&path, &error)),
            }
        }
        let path = inputs.folder.join(".env");
        match std::fs::read_to_string(&path) {
            Ok(text) => {
                settings.extend(sources::dot_env(&path, &text, &mut strays, &mut problems));
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => problems.push(unreadable(&path, &error)),
        }
        settings.extend(sources::environment(&inputs.environment, &mut strays));
        settings.extend(sources::flags(&inputs.sets, &mut problems));
        Self {
            settings,
            taken: BTreeSet::new(),
            strays,
            problems,
            warnings: Vec::new(),
        }
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
                let found = match shown(path, &setting.value) {
                    shown if shown == MASK => "the value".to_owned(),
                    shown => format!("`{}`", shown.trim_matches('"')),
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
        self.taken.insert(path.clone());
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

    /// Where `prefix`, or the first below it, is set, for a problem about it.
    pub(super) fn origin(&self, prefix: &Path) -> Origin {
        self.set_at(prefix).unwrap_or(Origin::Default)
    }

    pub(super) fn problem(&mut self, origin: &Origin, what: String) {
        self.problems.push(Problem::at(origin, what));
    }

    pub(super) fn missing(&mut self, what: String) {
        self.problems.push(Problem::missing(what));
    }

    /// Something that the person should know and that stops nothing.
    pub(super) fn warn(&mut self, origin: &Origin, what: String) {
        self.warnings.push(Problem::at(origin, what));
    }

    /// Whether what stands at `path` is `false`.
    pub(super) fn is_off(&self, path: &Path) -> bool {
        let setting = self.settings.get(path);
        setting.is_some_and(|setting| setting.value.bool() == Ok(false))
    }

    /// Where `prefix`, or the first below it, is set; `None` when nothing but a default is there.
    pub(super) fn set_at(&self, prefix: &Path) -> Option<Origin> {
        let mut below = self.settings.iter().filter(|(path, setting)| {
            path.starts_with(prefix) && setting.origin != Origin::Default
        });
        below.next().map(|(_, setting)| setting.origin.clone())
    }

    /// What is wrong with what was read so far; unknown names are not looked for.
    pub(super) fn problems(self) -> Vec<Problem> {
        self.problems
    }

    /// What is wrong and what is to be known, unknown names included.
    pub(super) fn finish(mut self) -> (Vec<Problem>, Vec<Problem>) {
        let unknown: Vec<(Path, Origin)> = self
            .settings
            .iter()
            .filter(|(path, setting)| {
                !self.taken.contains(*path) && !is_bare_section(path, setting)
            })
            .map(|(path, setting)| (path.clone(), setting.origin.clone()))
            .collect();
        for (path, origin) in unknown {
            let near = closest(&path.to_string(), KEYS.iter().map(|key| key.path));
            self.problem(&origin, format!("{path}: unknown key; {}", remedy(near)));
        }
        for Stray { name, origin } in std::mem::take(&mut self.strays) {
            let near = closest_variable(&name);
            let mut what = format!("unknown name; {}", remedy(near));
            if !matches!(origin, Origin::Environment(_)) {
                what = format!("{name}: {what}");
            }
            let is_own = name.starts_with(OWN_PREFIX);
            // `.env` is ours; the environment has names from elsewhere, such as those that
            // Kubernetes makes of the names of services.
            if is_own && (near.is_some() || matches!(origin, Origin::DotEnv { .. })) {
                self.problem(&origin, what);
            } else if is_own || near.is_some() {
                self.warn(&origin, what);
            }
        }
        (self.problems, self.warnings)
    }

    /// Every setting with its origin; secrets masked. Those without a value are told, too.
    pub(super) fn listing(&self) -> String {
        let mut lines: BTreeMap<Path, String> = KEYS
            .iter()
            .map(|key| (Path::parse(key.path), without_value(key)))
            .collect();
        for (path, Setting { value, origin }) in &self.settings {
            let line = format!("{path} = {}  # {origin}", shown(path, value));
            lines.insert(path.clone(), line);
        }
        let mut listing = String::new();
        for line in lines.values() {
            writeln!(listing, "{line}").expect("a String takes all");
        }
        listing
    }
}

/// Whether this is the header of a section of which every line was taken out.
fn is_bare_section(path: &Path, setting: &Setting) -> bool {
    let is_empty = setting.value == Value::Table(BTreeMap::new());
    is_empty
        && KEYS
            .iter()
            .any(|key| Path::parse(key.path).starts_with(path))
}

fn unreadable(path: &std::path::Path, error: &io::Error) -> Problem {
    Problem::missing(format!("{}: cannot be read: {error}", path.display()))
}

/// The line of a setting that is not there.
fn without_value(key: &Key) -> String {
    let why = match key.env {
        _ if not_yet::is_missing(&Path::parse(key.path)) => "not part of this version".to_owned(),
        Some(env) => format!("not set ({env})"),
        None => "not set".to_owned(),
    };
    format!("{}  # {why}", key.path)
}

fn remedy(near: Option<&str>) -> String {
    near.map_or_else(
        || "see `sidetone serve --print-config`".to_owned(),
        |near| format!("did you mean `{near}`?"),
    )
}

/// A value as TOML writes it, without the secrets in it.
fn shown(path: &Path, value: &Value) -> String {
    let name = path.to_string().to_ascii_lowercase().replace('-', "_");
    let is_secret = KEYS.iter().any(|key| key.secret && key.path == name)
        || SECRET_WORDS.iter().any(|word| name.contains(word));
    if is_secret || holds_secret(value) {
        MASK.to_owned()
    } else {
        value.to_string()
    }
}

/// Whether a secret stands inside of a value: in a table of a list, or in a URL.
fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Text(text) => Url::parse(text).is_ok_and(|url| url.password().is_some()),
        Value::List(values) => values.iter().any(holds_secret),
        Value::Table(table) => table
            .iter()
            .any(|(key, value)| shown(&Path::default().join(key), value) == MASK),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) => false,
    }
}
