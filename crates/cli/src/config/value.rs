//! A configured value with the place it comes from.

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde_json::{Number, Value as Json};

/// Where a value comes from, for people who look for it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Sidetone's own.
    Default,
    /// A configuration file.
    File { path: PathBuf, line: usize },
    /// The `.env` file of the working folder.
    DotEnv { path: PathBuf, line: usize },
    /// The environment.
    Environment(String),
    /// A flag.
    Flag(String),
}

impl Origin {
    /// The line of a file, from 1.
    pub(crate) fn line(&self) -> Option<usize> {
        match self {
            Self::File { line, .. } | Self::DotEnv { line, .. } => Some(*line),
            Self::Default | Self::Environment(_) | Self::Flag(_) => None,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line } | Self::DotEnv { path, line } => {
                write!(f, "{}:{line}", path.display())
            }
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(flag) => f.write_str(flag),
        }
    }
}

/// A value as written: by type in a file, as text everywhere else.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    Text(String),
    Bool(bool),
    Integer(i64),
    Float(f64),
    List(Vec<Self>),
    Table(BTreeMap<String, Self>),
}

impl Value {
    pub(crate) fn text(&self) -> Result<String, &'static str> {
        match self {
            Self::Text(text) => Ok(text.clone()),
            Self::Bool(_) | Self::Integer(_) | Self::Float(_) | Self::List(_) | Self::Table(_) => {
                Err("a text")
            }
        }
    }

    pub(crate) fn bool(&self) -> Result<bool, &'static str> {
        match self {
            Self::Bool(bool) => Ok(*bool),
            Self::Text(text) => text.parse().map_err(|_| "true or false"),
            Self::Integer(_) | Self::Float(_) | Self::List(_) | Self::Table(_) => {
                Err("true or false")
            }
        }
    }

    pub(crate) fn number(&self) -> Result<f64, &'static str> {
        let number = match self {
            #[expect(clippy::cast_precision_loss, reason = "no setting is near 2^52")]
            Self::Integer(integer) => Some(*integer as f64),
            Self::Float(float) => Some(*float),
            Self::Text(text) => text.parse().ok(),
            Self::Bool(_) | Self::List(_) | Self::Table(_) => None,
        };
        number.filter(|n: &f64| n.is_finite()).ok_or("a number")
    }

    /// A list; a text is taken apart at its commas.
    pub(crate) fn list(&self) -> Result<Vec<String>, &'static str> {
        match self {
            Self::List(values) => values.iter().map(Self::text).collect(),
            Self::Text(text) => Ok(text
                .split(',')
                .map(|t| t.trim().to_owned())
                .filter(|t| !t.is_empty())
                .collect()),
            Self::Bool(_) | Self::Integer(_) | Self::Float(_) | Self::Table(_) => {
                Err("a list of texts")
            }
        }
    }

    /// The value as a query of Deepgram's writes it: one text, or several for a list.
    pub(crate) fn parameters(&self) -> Result<Vec<String>, &'static str> {
        match self {
            Self::List(values) => Ok(values
                .iter()
                .map(Self::parameters)
                .collect::<Result<Vec<_>, _>>()?
                .concat()),
            Self::Table(_) => Err("a value, not a table"),
            Self::Text(_) | Self::Bool(_) | Self::Integer(_) | Self::Float(_) => {
                Ok(vec![self.to_string().trim_matches('"').to_owned()])
            }
        }
    }

    fn json(&self) -> Result<Json, &'static str> {
        Ok(match self {
            Self::Text(text) => Json::from(text.as_str()),
            Self::Bool(bool) => Json::from(*bool),
            Self::Integer(integer) => Json::from(*integer),
            Self::Float(float) => Number::from_f64(*float)
                .map(Json::Number)
                .ok_or("this is no number that can be sent")?,
            Self::List(values) => values.iter().map(Self::json).collect::<Result<_, _>>()?,
            Self::Table(table) => table
                .iter()
                .map(|(key, value)| Ok((key.clone(), value.json()?)))
                .collect::<Result<_, &str>>()?,
        })
    }
}

/// As TOML writes it.
impl fmt::Display for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text(text) => write!(f, "\"{}\"", text.escape_debug()),
            Self::Bool(bool) => write!(f, "{bool}"),
            Self::Integer(integer) => write!(f, "{integer}"),
            Self::Float(float) => write!(f, "{float}"),
            Self::List(values) => {
                f.write_str("[")?;
                for (i, value) in values.iter().enumerate() {
                    write!(f, "{}{value}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str("]")
            }
            Self::Table(table) if table.is_empty() => f.write_str("{}"),
            Self::Table(table) => {
                f.write_str("{ ")?;
                for (i, (key, value)) in table.iter().enumerate() {
                    write!(f, "{}{key} = {value}", if i == 0 { "" } else { ", " })?;
                }
                f.write_str(" }")
            }
        }
    }
}

/// A value and its origin.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Setting {
    pub(crate) value: Value,
    pub(crate) origin: Origin,
}

impl Setting {
    /// The value as JSON. What a flag says counts as what it is when it is JSON, else as a text.
    pub(crate) fn json(&self) -> Result<Json, &'static str> {
        match (&self.value, &self.origin) {
            (Value::Text(text), Origin::Flag(_)) => {
                Ok(serde_json::from_str(text).unwrap_or_else(|_| Json::from(text.as_str())))
            }
            (value, _) => value.json(),
        }
    }
}
