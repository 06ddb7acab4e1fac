//! What a profile's agent is told, what it can do, and what comes when it is lost.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use jsonschema::Validator;
use serde_json::Value;
use sidetone_call::engine::Builtin;
use sidetone_deepgram::agent::settings::Settings;
use url::Url;

use crate::standard_webhooks::WebhookSecret;

/// How a profile talks with the caller.
#[derive(Clone, Debug)]
pub struct Agent {
    /// Deepgram's settings with the profile's functions. Its texts are templates
    /// ([`template`](super::template)), filled in for each call.
    pub settings: Settings,
    /// What the agent can do, by the names that `settings` declares.
    pub functions: BTreeMap<String, Function>,
    /// Whether the agent is told which keys the caller presses.
    pub tells_dtmf: bool,
    /// What comes when the agent is lost for good.
    pub fallback: Fallback,
}

impl Agent {
    /// An agent that can do nothing but talk.
    pub fn new(settings: Settings) -> Self {
        Self {
            settings,
            functions: BTreeMap::new(),
            tells_dtmf: false,
            fallback: Fallback::default(),
        }
    }

    /// The numbers that a call of this profile may be connected with, each with what it is for.
    pub(crate) fn numbers(&self) -> impl Iterator<Item = (String, &str)> {
        let targets = self.functions.iter().flat_map(|(name, function)| {
            let targets = match function {
                Function::Builtin(Builtin::Transfer { targets }) => Some(targets),
                _ => None,
            };
            let targets = targets.into_iter().flatten();
            targets.map(move |(target, number)| {
                (format!("target `{target}` of function `{name}`"), &**number)
            })
        });
        let fallback = self.fallback.number.as_deref();
        targets.chain(fallback.map(|number| ("the fallback".to_owned(), number)))
    }
}

/// Who answers a function call.
#[derive(Clone, Debug)]
pub enum Function {
    /// Sidetone itself.
    Builtin(Builtin),
    /// Somebody who is asked by HTTP.
    Webhook(Webhook),
}

/// Where a function call is sent, and what has to hold for its arguments.
///
/// `Debug` shows of the URL only the host: the rest may hold secrets.
#[derive(Clone)]
pub struct Webhook(Arc<Endpoint>);

/// What a webhook is made of.
pub(crate) struct Endpoint {
    pub(crate) url: Url,
    pub(crate) schema: Validator,
    pub(crate) secret: Option<WebhookSecret>,
    /// Whether it may be called twice for one function call.
    pub(crate) is_idempotent: bool,
}

impl Webhook {
    /// Calls `url` with arguments that fit `parameters`, a JSON schema; the requests are signed when
    /// there is a secret. An `idempotent` one is called again when it failed in a way that may
    /// pass.
    ///
    /// # Errors
    /// What is wrong with the URL or the schema.
    pub fn new(
        url: Url,
        parameters: &Value,
        secret: Option<WebhookSecret>,
        idempotent: bool,
    ) -> Result<Self, String> {
        if !matches!(url.scheme(), "http" | "https") || !url.has_host() {
            return Err("a webhook is an http or https URL".to_owned());
        }
        let schema = Validator::new(parameters).map_err(|error| {
            let place = match error.instance_path().as_str() {
                "" => String::new(),
                place => format!(" (at {place})"),
            };
            format!("this is no JSON schema that can be used: {error}{place}")
        })?;
        Ok(Self(Arc::new(Endpoint {
            url,
            schema,
            secret,
            is_idempotent: idempotent,
        })))
    }

    pub(crate) fn endpoint(&self) -> &Endpoint {
        &self.0
    }
}

impl fmt::Debug for Webhook {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Webhook")
            .field("host", &self.0.url.host_str())
            .field("secret", &self.0.secret)
            .field("is_idempotent", &self.0.is_idempotent)
            .finish_non_exhaustive()
    }
}

/// What a caller gets when the agent is lost for good: a sentence, then a person or the end.
#[derive(Clone, Debug, Default)]
pub struct Fallback {
    /// The sentence; `None`: [`Fallback::SAY`]. An empty one is not said.
    pub say: Option<String>,
    /// Who the caller is connected with then, E.164; `None`: the call is hung up.
    pub number: Option<String>,
}

impl Fallback {
    /// What is said unless another sentence is configured.
    pub const SAY: &str = "We are sorry, there is a technical problem.";

    /// The sentence, if there is one.
    pub(crate) fn sentence(&self) -> Option<&str> {
        let say = self.say.as_deref().unwrap_or(Self::SAY);
        Some(say).filter(|say| !say.trim().is_empty())
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn webhook(url: &str, parameters: &Value) -> Result<Webhook, String> {
        Webhook::new(url.parse().unwrap(), parameters, None, false)
    }

    #[test]
    fn a_webhook_shows_nothing_of_its_url_but_the_host() {
        let url = "https://user:pass@acme.example/hooks/T0K3N?key=s3cret";
        let shown = format!("{:?}", webhook(url, &json!({})).unwrap());
        assert!(shown.contains("acme.example"), "{shown}");
        for secret in ["user", "pass", "T0K3N", "s3cret"] {
            assert!(!shown.contains(secret), "{shown}");
        }
    }

    #[test]
    fn what_is_no_schema_or_no_address_is_refused_in_words() {
        let words = webhook("https://acme.example", &json!({"type": "objekt"})).unwrap_err();
        assert!(
            words.contains("objekt") && words.ends_with("(at /type)"),
            "{words}"
        );
        let remote = json!({"$ref": "https://acme.example/schema.json"});
        assert!(webhook("https://acme.example", &remote).is_err());
        assert!(webhook("ftp://acme.example", &json!({})).is_err());
    }

    #[test]
    fn a_lost_agent_is_apologised_for_unless_silence_is_configured() {
        let fallback = |say: Option<&str>| Fallback {
            say: say.map(str::to_owned),
            number: None,
        };
        assert_eq!(fallback(None).sentence(), Some(Fallback::SAY));
        assert_eq!(fallback(Some("Bye.")).sentence(), Some("Bye."));
        assert_eq!(fallback(Some("")).sentence(), None);
    }
}
