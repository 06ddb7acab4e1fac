//! The query parameters of `/v1/speak` that a profile may set, checked by name and value.

use form_urlencoded::Serializer;

pub use crate::params::ParamError;
use crate::params::{Kind, Service, Spec, Values};

/// A profile's parameters.
///
/// Set them one by one, [`check`](Self::check) them, then take the [`query`](Self::query) of each
/// request. Without any, the voice is `aura-2-thalia-en`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params {
    values: Values,
}

impl Params {
    /// No parameters.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets a parameter, replacing what it was.
    ///
    /// # Errors
    /// When Deepgram has no such parameter, Sidetone sets it itself, the value is not allowed, or
    /// several are given for one that is not repeatable. Nothing changes then.
    pub fn set<V: AsRef<str>>(&mut self, name: &str, values: &[V]) -> Result<(), ParamError> {
        SPEECH.set(&mut self.values, name, values)
    }

    /// Looks for what Deepgram would refuse with certainty.
    ///
    /// A voice that nobody knows here is none of it: Deepgram gets new ones.
    ///
    /// # Errors
    /// The first conflict found, with its remedy.
    pub fn check(&self) -> Result<(), ParamError> {
        let model = self.model();
        if model.starts_with("flux") {
            return Err(ParamError::Conflict {
                what: format!("the voice `{model}` is not served by POST {}", super::PATH),
                remedy: "choose an Aura voice such as `aura-2-thalia-en`",
            });
        }
        Ok(())
    }

    /// The voice.
    pub fn model(&self) -> &str {
        let model = self.values("model").first();
        model.map_or(DEFAULT_MODEL, String::as_str)
    }

    /// The values of a parameter; empty when it is not set.
    pub fn values(&self, name: &str) -> &[String] {
        self.values.get(name).map_or(&[], Vec::as_slice)
    }

    /// The query of a request for telephone audio, without a leading `?`. The tag lets a user tell
    /// Sidetone's requests in Deepgram's usage reports.
    pub fn query(&self) -> String {
        let mut query = Serializer::new(String::new());
        // Without `container`, a WAV header would be heard as a click.
        query
            .append_pair("encoding", "mulaw")
            .append_pair("sample_rate", "8000")
            .append_pair("container", "none")
            .append_pair("model", self.model());
        for (name, values) in self.values.iter().filter(|(name, _)| **name != "model") {
            for value in values {
                query.append_pair(name, value);
            }
        }
        query.append_pair("tag", "sidetone").finish()
    }
}

const DEFAULT_MODEL: &str = "aura-2-thalia-en";

const SPEECH: Service = Service {
    name: "Deepgram's text to speech",
    specs: &[
        Spec::one("model", Kind::Name),
        Spec::one(
            "speed",
            Kind::Number {
                least: 0.7,
                most: 1.5,
            },
        ),
        Spec::one("mip_opt_out", Kind::Bool),
        Spec::many("tag", Kind::Text),
    ],
    reserved: &[
        ("encoding", "telephone audio is always mu-law"),
        ("sample_rate", "telephone audio is always 8000 Hz"),
        ("container", "telephone audio has no container"),
        ("bit_rate", "mu-law has one bit rate"),
        ("callback", "the audio comes back on the request"),
        ("callback_method", "the audio comes back on the request"),
    ],
};

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn refused(name: &str, value: &str) -> String {
        Params::new().set(name, &[value]).unwrap_err().to_string()
    }

    #[test]
    fn telephone_audio_without_a_container_is_asked_for() {
        assert_eq!(
            Params::new().query(),
            "encoding=mulaw&sample_rate=8000&container=none&model=aura-2-thalia-en&tag=sidetone"
        );
    }

    #[test]
    fn what_a_profile_sets_is_asked_for() {
        let mut params = Params::new();
        params.set("model", &["aura-asteria-en"]).unwrap();
        params.set("speed", &["0.9"]).unwrap();
        params.set("mip_opt_out", &["true"]).unwrap();
        params.set("tag", &["front desk", "a&b"]).unwrap();
        assert_eq!(params.check(), Ok(()));
        assert_eq!(
            params.query(),
            "encoding=mulaw&sample_rate=8000&container=none&model=aura-asteria-en\
             &mip_opt_out=true&speed=0.9&tag=front+desk&tag=a%26b&tag=sidetone"
        );
    }

    #[test]
    fn a_misspelt_name_is_answered_with_the_closest() {
        assert_eq!(
            refused("sped", "1.1"),
            "Deepgram's text to speech has no parameter `sped`; did you mean `speed`?"
        );
        assert!(refused("modell", "x").ends_with("did you mean `model`?"));
        assert!(refused("language", "en").ends_with("`language`"));
    }

    #[test]
    fn a_bad_value_is_answered_with_what_is_allowed() {
        assert_eq!(
            refused("speed", "2"),
            "`speed` is `2`, but must be a number from 0.7 to 1.5"
        );
        for value in ["", "fast", "-1", "+1", "1e0", "NaN", "1.", "0.69", "1.51"] {
            let taken = Params::new().set("speed", &[value]).is_ok();
            assert_eq!(taken, value == "1.", "{value}");
        }
        assert!(refused("model", "aura 2").contains("without spaces"));
        assert!(refused("mip_opt_out", "yes").contains("`true` or `false`"));
    }

    #[test]
    fn what_sidetone_sets_itself_is_refused_with_the_reason() {
        for (name, _) in SPEECH.reserved {
            let said = refused(name, "1");
            assert!(said.contains("is set by Sidetone"), "{said}");
        }
    }

    #[test]
    fn voices_of_another_service_are_found_before_a_call() {
        let mut params = Params::new();
        params.set("model", &["flux-kit-en"]).unwrap();
        let said = params.check().unwrap_err().to_string();
        assert!(said.contains("`aura-2-thalia-en`"), "{said}");
        params.set("model", &["aura-9-unheard-of-en"]).unwrap();
        assert_eq!(params.check(), Ok(()), "it may be new");
    }
}
