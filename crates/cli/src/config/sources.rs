//! Reading the layers: the file, `.env`, the environment, the flags.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::{Path, PathBuf};

use toml::de::{DeArray, DeTable, DeValue};

use super::keys::{CONFIG_FILE, KEYS, Key, is_variable};
use super::value::{Origin, Setting, Value};
use super::{Path as KeyPath, Problem};

/// Settings by path, of one layer.
pub(super) type Layer = BTreeMap<KeyPath, Setting>;

/// A variable that is set and not known. Its value is not kept: it may be a secret.
#[derive(Debug)]
pub(super) struct Stray {
    pub(super) name: String,
    pub(super) origin: Origin,
}

/// Reads a TOML file.
pub(super) fn file(path: &Path, text: &str, problems: &mut Vec<Problem>) -> Layer {
    let mut layer = Layer::new();
    match DeTable::parse(text) {
        Ok(table) => {
            let mut reader = File {
                path,
                text,
                layer: &mut layer,
                problems,
            };
            reader.table(table.get_ref(), &KeyPath::default());
        }
        Err(error) => {
            let origin = Origin::File {
                path: path.to_owned(),
                line: error.span().map_or(1, |span| line_of(text, &span)),
            };
            problems.push(Problem::at(&origin, error.message().to_owned()));
        }
    }
    layer
}

struct File<'a> {
    path: &'a Path,
    text: &'a str,
    layer: &'a mut Layer,
    problems: &'a mut Vec<Problem>,
}

impl File<'_> {
    fn table(&mut self, table: &DeTable<'_>, at: &KeyPath) {
        for (key, value) in table {
            self.value(value.get_ref(), &key.span(), at.join(key.get_ref()));
        }
    }

    /// Takes tables and lists of tables apart, so that each value has its own line.
    fn value(&mut self, value: &DeValue<'_>, span: &Range<usize>, at: KeyPath) {
        match value {
            DeValue::Table(inner) if !inner.is_empty() => self.table(inner, &at),
            DeValue::Array(array) if holds_tables(array) => {
                for (i, item) in array.iter().enumerate() {
                    self.value(item.get_ref(), &item.span(), at.item(i));
                }
            }
            other => {
                let origin = Origin::File {
                    path: self.path.to_owned(),
                    line: line_of(self.text, span),
                };
                match scalar(other) {
                    Ok(value) => {
                        self.layer.insert(at, Setting { value, origin });
                    }
                    Err(what) => self
                        .problems
                        .push(Problem::at(&origin, format!("{at}: {what}"))),
                }
            }
        }
    }
}

fn holds_tables(array: &DeArray<'_>) -> bool {
    array.iter().any(|item| match item.get_ref() {
        DeValue::Table(_) => true,
        DeValue::Array(inner) => holds_tables(inner),
        _ => false,
    })
}

fn line_of(text: &str, span: &Range<usize>) -> usize {
    text.bytes()
        .take(span.start)
        .filter(|b| *b == b'\n')
        .count()
        + 1
}

fn scalar(value: &DeValue<'_>) -> Result<Value, String> {
    Ok(match value {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Boolean(bool) => Value::Bool(*bool),
        DeValue::Integer(integer) => Value::Integer(
            i64::from_str_radix(integer.as_str(), integer.radix())
                .map_err(|_| format!("`{integer}` is too large a number"))?,
        ),
        DeValue::Float(float) => Value::Float(
            float
                .as_str()
                .parse()
                .map_err(|_| format!("`{float}` is no number"))?,
        ),
        DeValue::Array(array) => Value::List(
            array
                .iter()
                .map(|item| scalar(item.get_ref()))
                .collect::<Result<_, _>>()?,
        ),
        DeValue::Table(table) => Value::Table(
            table
                .iter()
                .map(|(key, value)| Ok((key.get_ref().to_string(), scalar(value.get_ref())?)))
                .collect::<Result<_, String>>()?,
        ),
        DeValue::Datetime(time) => return Err(format!("`{time}` is a date; no setting takes one")),
    })
}

/// Reads `.env` text.
pub(super) fn dot_env(
    path: &Path,
    text: &str,
    strays: &mut Vec<Stray>,
    problems: &mut Vec<Problem>,
) -> Layer {
    let mut layer = Layer::new();
    for (index, line) in text.lines().enumerate() {
        let origin = Origin::DotEnv {
            path: path.to_owned(),
            line: index + 1,
        };
        // One line at a time, so that a problem can be told with its line; without spaces after a
        // closing quote, behind which the parser waits for more.
        for item in dotenvy::from_read_iter(line.trim_end().as_bytes()) {
            match item {
                Ok((name, _)) if name == CONFIG_FILE => problems.push(Problem::at(
                    &origin,
                    format!("{name} is not read here: set it in the environment, or use --config"),
                )),
                Ok((name, value)) => variable(&mut layer, strays, name, &value, origin.clone()),
                // The parser's own message quotes the line, which may hold a secret.
                Err(_) => problems.push(Problem::at(
                    &origin,
                    "this line is not NAME=VALUE; quote a value that has spaces".to_owned(),
                )),
            }
        }
    }
    layer
}

/// Takes what is set in the environment.
pub(super) fn environment(vars: &BTreeMap<String, String>, strays: &mut Vec<Stray>) -> Layer {
    let mut layer = Layer::new();
    for (name, value) in vars {
        let origin = Origin::Environment(name.clone());
        variable(&mut layer, strays, name.clone(), value, origin);
    }
    layer
}

fn variable(layer: &mut Layer, strays: &mut Vec<Stray>, name: String, value: &str, origin: Origin) {
    // An empty variable is how shells and compose files say "not set".
    if value.trim().is_empty() {
        return;
    }
    if let Some(Key { path, .. }) = KEYS.iter().find(|key| key.env == Some(name.as_str())) {
        let value = Value::Text(value.trim().to_owned());
        layer.insert(KeyPath::parse(path), Setting { value, origin });
    } else if !is_variable(&name) {
        strays.push(Stray { name, origin });
    }
}

/// Takes a `--set KEY=VALUE`.
pub(super) fn flag(set: &str, problems: &mut Vec<Problem>) -> Option<(KeyPath, Setting)> {
    let (key, value) = set
        .split_once('=')
        .map_or((set, None), |(key, value)| (key, Some(value)));
    let key = key.trim();
    let origin = Origin::Flag(format!("--set {key}"));
    match value {
        Some(value) if !key.is_empty() => {
            let value = Value::Text(value.trim().to_owned());
            Some((KeyPath::parse(key), Setting { value, origin }))
        }
        _ => {
            problems.push(Problem::at(
                &origin,
                "expected KEY=VALUE, as in `--set limits.max_calls=50`".to_owned(),
            ));
            None
        }
    }
}

/// Where the configuration file is: the one that was named, else `sidetone.toml` if it is there.
pub(super) fn locate(named: Option<PathBuf>, folder: &Path) -> Option<PathBuf> {
    named.or_else(|| Some(folder.join("sidetone.toml")).filter(|path| path.exists()))
}
