//! The query parameters of `/v1/listen` that a profile may set, checked by name and value.

use std::collections::BTreeMap;

use form_urlencoded::Serializer;

use self::spec::Spec;

mod spec;

pub(crate) use self::spec::{Family, is_language, model_family};

/// A profile's parameters.
///
/// Set them one by one, [`check`](Self::check) what excludes each other, then take the
/// [`query`](Self::query) of each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    values: BTreeMap<&'static str, Vec<String>>,
}

/// Why a parameter cannot be.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ParamError {
    /// Deepgram has no such parameter.
    #[error("Deepgram's live transcription has no parameter `{name}`{}", did_you_mean(*closest))]
    Unknown {
        /// As given.
        name: String,
        /// The nearest name there is.
        closest: Option<&'static str>,
    },
    /// Sidetone sets it.
    #[error("`{name}` is set by Sidetone ({reason}); take it out of the profile")]
    Reserved {
        /// Which.
        name: &'static str,
        /// What Sidetone does with it.
        reason: &'static str,
    },
    /// The value is not one of those allowed.
    #[error("`{name}` is `{found}`, but must be {allowed}")]
    BadValue {
        /// Which.
        name: &'static str,
        /// As given.
        found: String,
        /// What may be given.
        allowed: String,
    },
    /// No value, or more than one where one is taken.
    #[error("`{name}` takes {}, but was given {found}", if *repeatable { "one value or more" } else { "one value" })]
    Count {
        /// Which.
        name: &'static str,
        /// How many were given.
        found: usize,
        /// Whether several may be.
        repeatable: bool,
    },
    /// Deepgram refuses what these are together.
    #[error("{what}: {remedy}")]
    Conflict {
        /// What does not go together.
        what: String,
        /// What to do.
        remedy: &'static str,
    },
}

impl Params {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// What a profile has until a file says otherwise: nova-3, US English, interims and smart
    /// formatting.
    pub fn default_profile() -> Self {
        let defaults = [
            ("model", DEFAULT_MODEL),
            ("language", "en-US"),
            ("interim_results", "true"),
            ("smart_format", "true"),
        ];
        Self {
            values: defaults
                .map(|(name, value)| (name, vec![value.to_owned()]))
                .into(),
        }
    }

    /// Sets a parameter, replacing what it was.
    ///
    /// # Errors
    /// When Deepgram has no such parameter, Sidetone sets it itself, the value is not allowed, or
    /// several are given for one that is not repeatable. Nothing changes then.
    pub fn set<V: AsRef<str>>(&mut self, name: &str, values: &[V]) -> Result<(), ParamError> {
        if let Some(&(name, reason)) = RESERVED.iter().find(|(reserved, _)| *reserved == name) {
            return Err(ParamError::Reserved { name, reason });
        }
        let spec = Spec::named(name).ok_or_else(|| ParamError::Unknown {
            name: name.to_owned(),
            closest: spec::closest(name),
        })?;
        if values.is_empty() || (values.len() > 1 && !spec.repeatable) {
            return Err(ParamError::Count {
                name: spec.name,
                found: values.len(),
                repeatable: spec.repeatable,
            });
        }
        for value in values.iter().map(AsRef::as_ref) {
            if !spec.kind.allows(value) {
                return Err(ParamError::BadValue {
                    name: spec.name,
                    found: spec::excerpt(value),
                    allowed: spec.kind.to_string(),
                });
            }
        }
        let values = values
            .iter()
            .map(|value| value.as_ref().to_owned())
            .collect();
        self.values.insert(spec.name, values);
        Ok(())
    }

    /// Looks for what Deepgram would refuse with certainty.
    ///
    /// # Errors
    /// The first conflict found, with its remedy.
    pub fn check(&self) -> Result<(), ParamError> {
        let model = self.model();
        let family = model_family(model);
        let conflict = |what: String, remedy| Err(ParamError::Conflict { what, remedy });

        if family == Family::Flux {
            return conflict(
                format!("the model `{model}` is not served by /v1/listen"),
                "choose a nova-3 model",
            );
        }
        if family == Family::Nova3 && self.values.contains_key("keywords") {
            return conflict(
                format!("`keywords` does not go with the model `{model}`"),
                "use `keyterm` instead",
            );
        }
        if family == Family::Older && self.values.contains_key("keyterm") {
            return conflict(
                format!("`keyterm` does not go with the model `{model}`"),
                "use a nova-3 model, or `keywords`",
            );
        }
        if self.values.contains_key("utterance_end_ms") && !self.interim_results() {
            return conflict(
                "`utterance_end_ms` needs interims".to_owned(),
                "set `interim_results = true`",
            );
        }
        if self.values.contains_key("diarize_model") && self.values.contains_key("diarize") {
            return conflict(
                "`diarize_model` and `diarize` exclude each other".to_owned(),
                "keep `diarize_model` alone: it turns diarization on by itself",
            );
        }
        let batch = BATCH_ONLY
            .iter()
            .find(|name| self.first(name).is_some_and(|v| v != "false"));
        if let Some(name) = batch {
            return conflict(
                format!("`{name}` works on recordings only, not on live audio"),
                "take it out",
            );
        }
        Ok(())
    }

    /// Whether interims are asked for.
    pub fn interim_results(&self) -> bool {
        self.first("interim_results") == Some("true")
    }

    /// The model; always told to Deepgram, which would fall back to its oldest.
    pub fn model(&self) -> &str {
        self.first("model").unwrap_or(DEFAULT_MODEL)
    }

    /// The language, when one is set: a BCP-47 tag or `multi`.
    pub fn language(&self) -> Option<&str> {
        self.first("language")
    }

    /// The values of a parameter; empty when it is not set.
    pub fn values(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The query of a connection that hears `channels` (1 or 2) channels of telephone audio,
    /// without a leading `?`. The tag and the call's sid let a user find it in Deepgram's logs.
    pub fn query(&self, channels: usize, call_sid: &str) -> String {
        let mut query = Serializer::new(String::new());
        query
            .append_pair("encoding", "mulaw")
            .append_pair("sample_rate", "8000");
        if channels > 1 {
            query
                .append_pair("channels", &channels.to_string())
                .append_pair("multichannel", "true");
        }
        query.append_pair("model", self.model());
        for (name, values) in self.values.iter().filter(|(name, _)| **name != "model") {
            for value in values {
                query.append_pair(name, value);
            }
        }
        query
            .append_pair("tag", "sidetone")
            .append_pair("extra", &format!("call_sid:{call_sid}"))
            .finish()
    }

    fn first(&self, name: &str) -> Option<&str> {
        self.values(name).first().map(String::as_str)
    }
}

fn did_you_mean(closest: Option<&str>) -> String {
    closest.map_or_else(String::new, |name| format!("; did you mean `{name}`?"))
}

const DEFAULT_MODEL: &str = "nova-3";

/// What is known to Deepgram but not a profile's to decide.
const RESERVED: &[(&str, &str)] = &[
    ("encoding", "telephone audio is always mu-law"),
    ("sample_rate", "telephone audio is always 8000 Hz"),
    ("channels", "it follows from the tracks of the stream"),
    ("multichannel", "it follows from the tracks of the stream"),
    ("callback", "results come back on the connection"),
    ("callback_method", "results come back on the connection"),
];

/// Deepgram refuses these on a live connection, or takes them and never answers (`sentiment`).
const BATCH_ONLY: &[&str] = &["summarize", "topics", "intents", "sentiment"];

#[cfg(test)]
mod tests;
