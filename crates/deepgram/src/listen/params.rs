//! The query parameters of `/v1/listen` that a profile may set, checked by name and value.

use form_urlencoded::Serializer;

pub use crate::params::ParamError;
use crate::params::{Kind, Service, Spec, Values};

mod models;

pub(crate) use self::models::{Family, model_family};

/// A profile's parameters.
///
/// Set them one by one, [`check`](Self::check) what excludes each other, then take the
/// [`query`](Self::query) of each connection.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    values: Values,
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
        LIVE.set(&mut self.values, name, values)
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

const DEFAULT_MODEL: &str = "nova-3";

const LIVE: Service = Service {
    name: "Deepgram's live transcription",
    specs: &[
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
    ],
    reserved: &[
        ("encoding", "telephone audio is always mu-law"),
        ("sample_rate", "telephone audio is always 8000 Hz"),
        ("channels", "it follows from the tracks of the stream"),
        ("multichannel", "it follows from the tracks of the stream"),
        ("callback", "results come back on the connection"),
        ("callback_method", "results come back on the connection"),
    ],
};

/// Deepgram refuses these on a live connection, or takes them and never answers (`sentiment`).
const BATCH_ONLY: &[&str] = &["summarize", "topics", "intents", "sentiment"];

#[cfg(test)]
mod tests;
