//! The layers laid over each other, and what was taken from them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io;

use serde_json::Value as Json;
use url::Url;

use super::keys::{KEYS, Key, OWN_PREFIX, closest, closest_variable};
use super::path::Part;
use super::sources::{self, Stray};
use super::value::{Origin, Setting, Value};
use super::{Inputs, Path, Problem, agent, not_yet};

/// Words in the name of a setting that is not shown, `-` and capitals aside.
const SECRET_WORDS: [&str; 7] = [
    "api_key",
    "credentials",
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
        let mut flags = Vec::new();
        flags.extend(agent::prompt(inputs, &mut problems));
        let sets = inputs.sets.iter();
        flags.extend(sets.filter_map(|set| sources::flag(set, &mut problems)));
        for (path, setting) in flags {
            // It takes the place of what stood there or below, and of a value that it goes into.
            settings.retain(|there, old: &mut Setting| {
                let is_table = matches!(old.value, Value::Table(_));
                !there.starts_with(&path) && (is_table || !path.starts_with(there))
            });
            settings.insert(path, setting);
        }
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

    /// The distinct keys that follow `prefix`.
    pub(super) fn children(&self, prefix: &Path) -> Vec<String> {
        let first = |path: &Path| match path.below(prefix)?.first()? {
            Part::Key(key) => Some(key.clone()),
            Part::Item(_) => None,
        };
        let mut names: Vec<String> = self.settings.keys().filter_map(first).collect();
        names.dedup();
        names
    }

    /// The items of the list at `prefix`.
    pub(super) fn items(&self, prefix: &Path) -> Vec<Path> {
        let first = |path: &Path| match path.below(prefix)?.first()? {
            Part::Item(item) => Some(prefix.item(*item)),
            Part::Key(_) => None,
        };
        let mut items: Vec<Path> = self.settings.keys().filter_map(first).collect();
        items.dedup();
        items
    }

    /// What stands at `prefix` and below it, as JSON; `None` when nothing does or, with a problem,
    /// when it cannot be put together. All of it is taken.
    pub(super) fn json(&mut self, prefix: &Path) -> Option<Json> {
        self.take_all(prefix);
        let mut json = Json::Null;
        let mut wrong = None;
        for (path, setting) in &self.settings {
            let Some(below) = path.below(prefix) else {
                continue;
            };
            let put = setting
                .json()
                .and_then(|value| put(&mut json, below, value));
            if let Err(what) = put {
                wrong = Some((setting.origin.clone(), format!("{path}: {what}")));
            }
        }
        if let Some((origin, what)) = wrong {
            self.problem(&origin, what);
            return None;
        }
        Some(json).filter(|json| !json.is_null())
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

    /// The same, and where nothing is set, where that is set within which it would stand.
    pub(super) fn nearest_origin(&self, path: &Path) -> Origin {
        let within = std::iter::successors(Some(path.clone()), Path::parent);
        let mut set = within.filter_map(|within| self.set_at(&within));
        set.next().unwrap_or(Origin::Default)
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
        let below = self.settings.iter().filter(|(path, setting)| {
            path.starts_with(prefix) && setting.origin != Origin::Default
        });
        let origins = below.map(|(_, setting)| &setting.origin);
        origins.min_by_key(|origin| origin.line()).cloned()
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
            // That a table is there shows in what stands in it.
            if *value == Value::Table(BTreeMap::new()) && !self.children(path).is_empty() {
                continue;
            }
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

/// Puts a value into what is being put together, `below` its root.
fn put(root: &mut Json, below: &[Part], value: Json) -> Result<(), &'static str> {
    let mut here = root;
    for part in below {
        here = match part {
            Part::Key(key) => {
                if here.is_null() {
                    *here = Json::Object(serde_json::Map::new());
                }
                let table = here.as_object_mut().ok_or("a list is set here, too")?;
                table.entry(key.clone()).or_insert(Json::Null)
            }
            Part::Item(item) => {
                if here.is_null() {
                    *here = Json::Array(Vec::new());
                }
                let list = here.as_array_mut().ok_or("a table is set here, too")?;
                if *item == list.len() {
                    list.push(Json::Null);
                }
                list.get_mut(*item)
                    .ok_or("no item of the list is set before this one")?
            }
        };
    }
    *here = value;
    Ok(())
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
    let name = path.to_string();
    let is_secret = KEYS.iter().any(|key| key.secret && key.path == name);
    if is_secret || is_secret_name(&name) || holds_secret(value) {
        MASK.to_owned()
    } else {
        value.to_string()
    }
}

fn is_secret_name(name: &str) -> bool {
    let name = name.to_ascii_lowercase().replace('-', "_");
    SECRET_WORDS.iter().any(|word| name.contains(word))
}

/// Whether a secret stands inside of a value: in a table of a list, or in a URL.
fn holds_secret(value: &Value) -> bool {
    match value {
        Value::Text(text) => {
            let is_json = || serde_json::from_str(text).is_ok_and(|json| json_holds_secret(&json));
            Url::parse(text).is_ok_and(|url| url.password().is_some()) || is_json()
        }
        Value::List(values) => values.iter().any(holds_secret),
        Value::Table(table) => table
            .iter()
            .any(|(key, value)| shown(&Path::default().join(key), value) == MASK),
        Value::Bool(_) | Value::Integer(_) | Value::Float(_) => false,
    }
}

/// The same of a flag that is written as JSON.
fn json_holds_secret(json: &Json) -> bool {
    match json {
        Json::Array(items) => items.iter().any(json_holds_secret),
        Json::Object(table) => table
            .iter()
            .any(|(key, value)| is_secret_name(key) || json_holds_secret(value)),
        Json::Null | Json::Bool(_) | Json::Number(_) | Json::String(_) => false,
    }
}
