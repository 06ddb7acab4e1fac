//! What each parameter may be.

use std::fmt;

/// One parameter.
pub(super) struct Spec {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) repeatable: bool,
}

impl Spec {
    pub(super) fn named(name: &str) -> Option<&'static Self> {
        SPECS.iter().find(|spec| spec.name == name)
    }

    const fn one(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            repeatable: false,
        }
    }

    const fn many(name: &'static str, kind: Kind) -> Self {
        Self {
            name,
            kind,
            repeatable: true,
        }
    }
}

/// What a value may be; displayed as the end of "must be ...".
pub(super) enum Kind {
    Bool,
    Millis {
        least: u32,
        most: u32,
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

/// The families of models that differ in what they take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Family {
    Nova3,
    Older,
    Flux,
    /// Trained for a customer, newer than this list, or misspelt: nothing is known of it.
    Other,
}

pub(crate) fn model_family(model: &str) -> Family {
    let is = |name: &str, variants: &[&str]| {
        model.strip_prefix(name).is_some_and(|rest| {
            rest.is_empty()
                || rest
                    .strip_prefix('-')
                    .is_some_and(|variant| variants.contains(&variant))
        })
    };
    if is("nova-3", NOVA_3_VARIANTS) {
        Family::Nova3
    } else if model.starts_with("flux") {
        Family::Flux
    } else if OLDER_MODELS
        .iter()
        .any(|(name, variants)| is(name, variants))
    {
        Family::Older
    } else {
        Family::Other
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

/// The parameter whose name is nearest to `name`, if one is near enough to be meant.
pub(super) fn closest(name: &str) -> Option<&'static str> {
    if name.len() > MAX_NAME_BYTES {
        return None;
    }
    let near = (name.len() / 3 + 1).min(4);
    SPECS
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

const NOVA_3_VARIANTS: &[&str] = &["general", "medical"];

/// Names, and what may follow them after a hyphen.
const OLDER_MODELS: &[(&str, &[&str])] = &[
    (
        "nova-2",
        &[
            "general",
            "meeting",
            "finance",
            "conversationalai",
            "voicemail",
            "video",
            "medical",
            "drivethru",
            "automotive",
            "phonecall",
        ],
    ),
    ("nova", &["general", "phonecall", "medical"]),
    ("enhanced", &["general", "meeting", "phonecall", "finance"]),
    ("base", &[]),
    ("meeting", &[]),
    ("phonecall", &[]),
    ("finance", &[]),
    ("conversationalai", &[]),
    ("voicemail", &[]),
    ("video", &[]),
];

const SPECS: &[Spec] = &[
    Spec::one("model", Kind::Name),
    Spec::one("version", Kind::Name),
    Spec::one("language", Kind::Language),
    Spec::many("language_hint", Kind::Language),
    Spec::one("interim_results", Kind::Bool),
    Spec::one("endpointing", Kind::Endpointing),
    Spec::one(
        "utterance_end_ms",
        Kind::Millis {
            least: 1_000,
            most: 5_000,
        },
    ),
    Spec::one("vad_events", Kind::Bool),
    Spec::one("punctuate", Kind::Bool),
    Spec::one("smart_format", Kind::Bool),
    Spec::one("no_delay", Kind::Bool),
    Spec::one("numerals", Kind::Bool),
    Spec::one("profanity_filter", Kind::Bool),
    Spec::one("filler_words", Kind::Bool),
    Spec::one("dictation", Kind::Bool),
    Spec::one("diarize", Kind::Bool),
    Spec::one("diarize_model", Kind::OneOf(&["latest", "v1"])),
    Spec::one("detect_entities", Kind::Bool),
    Spec::many("keyterm", Kind::Text),
    Spec::many("keywords", Kind::Keyword),
    Spec::many("search", Kind::Text),
    Spec::many("replace", Kind::Pair),
    Spec::many("redact", Kind::Name),
    Spec::many("tag", Kind::Text),
    Spec::many("extra", Kind::Pair),
    Spec::one("mip_opt_out", Kind::Bool),
    Spec::one("tier", Kind::OneOf(&["enhanced", "base"])),
    Spec::one("summarize", Kind::BoolOrName),
    Spec::one("topics", Kind::BoolOrName),
    Spec::one("intents", Kind::BoolOrName),
    Spec::one("sentiment", Kind::BoolOrName),
];
