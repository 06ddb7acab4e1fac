//! What a parameter may be.

use std::fmt;

/// One parameter.
pub(crate) struct Spec {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) repeatable: bool,
}

impl Spec {
    pub(crate) const fn one(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            repeatable: false,
        }
    }

    pub(crate) const fn many(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            repeatable: true,
        }
    }
}

/// What a value may be; displayed as the end of "must be ...".
pub(crate) enum Kind {
    Bool,
    Millis {
        least: u32,
        most: u32,
    },
    Number {
        least: f32,
        most: f32,
    },
    /// Milliseconds, or a boolean.
    Endpointing,
    OneOf(&'static [&'static str]),
    /// A name without spaces: models, versions, entity types.
    Name,
    Language,
    /// Any printable text.
    Text,
    /// `key:value`.
    Pair,
    /// `word` or `word:intensifier`.
    Keyword,
    /// A boolean, or a name: features that exist for recordings.
    BoolOrName,
}

impl Kind {
    pub(super) fn allows(&self, value: &str) -> bool {
        let boolean = matches!(value, "true" | "false");
        let millis = |least, most| {
            value.bytes().all(|b| b.is_ascii_digit())
                && value
                    .parse()
                    .is_ok_and(|ms: u32| (least..=most).contains(&ms))
        };
        let text = !value.trim().is_empty()
            && value.len() <= MAX_TEXT_BYTES
            && !value.chars().any(char::is_control);
        let name =
            text && value.len() <= MAX_NAME_BYTES && value.bytes().all(|b| b.is_ascii_graphic());
        match self {
            Self::Bool => boolean,
            Self::Millis { least, most } => millis(*least, *most),
            Self::Number { least, most } => {
                plain_number(value)
                    && value
                        .parse()
                        .is_ok_and(|n: f32| (*least..=*most).contains(&n))
            }
            Self::Endpointing => boolean || millis(0, MAX_ENDPOINTING_MS),
            Self::OneOf(names) => names.contains(&value),
            Self::Name | Self::BoolOrName => name,
            Self::Language => is_language(value),
            Self::Text => text,
            Self::Pair => {
                text && value
                    .split_once(':')
                    .is_some_and(|(key, _)| !key.is_empty())
            }
            Self::Keyword => {
                text && value.split_once(':').is_none_or(|(word, boost)| {
                    !word.is_empty() && boost.parse().is_ok_and(f64::is_finite)
                })
            }
        }
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool => f.write_str("`true` or `false`"),
            Self::Millis { least, most } => write!(f, "a number of ms from {least} to {most}"),
            Self::Number { least, most } => write!(f, "a number from {least} to {most}"),
            Self::Endpointing => {
                write!(
                    f,
                    "a number of ms from 0 to {MAX_ENDPOINTING_MS}, or `false`"
                )
            }
            Self::OneOf(names) => {
                for (i, name) in names.iter().enumerate() {
                    write!(f, "{}`{name}`", if i == 0 { "" } else { " or " })?;
                }
                Ok(())
            }
            Self::Name => write!(
                f,
                "a name without spaces, up to {MAX_NAME_BYTES} characters"
            ),
            Self::BoolOrName => f.write_str("`true`, `false` or a name"),
            Self::Language => f.write_str("a language tag such as `en-US`, or `multi`"),
            Self::Text => write!(f, "a text of 1 to {MAX_TEXT_BYTES} bytes on one line"),
            Self::Pair => f.write_str("of the form `key:value`"),
            Self::Keyword => f.write_str("a word, or `word:intensifier` with a number"),
        }
    }
}

/// Whether this looks like a BCP-47 tag (`en`, `en-US`, `zh-Hans`, `es-419`) or is `multi`.
///
/// `english` does not: Deepgram refuses whole names of languages.
pub(crate) fn is_language(value: &str) -> bool {
    let mut parts = value.split('-');
    let primary = parts.next().unwrap_or_default();
    value == "multi"
        || ((2..=3).contains(&primary.len())
            && primary.bytes().all(|b| b.is_ascii_alphabetic())
            && parts.all(|part| {
                (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric())
            }))
}

/// Digits and at most one point: no sign, no exponent, no `inf`.
fn plain_number(value: &str) -> bool {
    value.bytes().all(|b| b.is_ascii_digit() || b == b'.')
}

/// The parameter whose name is nearest to `name`, if one is near enough to be meant.
pub(super) fn closest(name: &str, specs: &[Spec]) -> Option<&'static str> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let near = (name.len() / 3 + 1).min(4);
    specs
        .iter()
        .map(|spec| (strsim::levenshtein(name, spec.name), spec.name))
        .filter(|(distance, _)| *distance <= near)
        .min()
        .map(|(_, name)| name)
}

/// Enough of a value to recognise it in an error.
pub(super) fn excerpt(value: &str) -> String {
    let printable = value.chars().map(|c| if c.is_control() { '?' } else { c });
    printable.take(MAX_EXCERPT_CHARS).collect()
}

const MAX_TEXT_BYTES: usize = 1_000;
const MAX_NAME_BYTES: usize = 100;
const MAX_EXCERPT_CHARS: usize = 60;
const MAX_ENDPOINTING_MS: u32 = 60_000;
