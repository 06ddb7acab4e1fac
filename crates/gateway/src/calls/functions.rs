//! Functions of an agent that others answer, by HTTP.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, StatusCode, header};
use jiff::Timestamp;
use jsonschema::Validator;
use reqwest::{Client, Response};
use serde::Serialize;
use serde_json::Value;
use sidetone_call::engine::FunctionOutcome;
use sidetone_call::event::Call;
use sidetone_twilio::CallSid;
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tracing::warn;

use crate::config::{Config, Function, Webhook};
use crate::outbound::{self, BodyError, cause};
use crate::random_u64;
use crate::standard_webhooks;

/// From the request of the model to the answer for it, whatever is tried: the caller waits.
const DEADLINE: Duration = Duration::from_secs(8);

/// How long a connection may take, so that another try still has time.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// Pauses before it is tried again.
const PAUSES: [Duration; 2] = [Duration::from_millis(200), Duration::from_millis(600)];

/// Functions at the same time, over all calls; a conversation rarely has more than one.
const MOST_AT_ONCE: usize = 256;

/// The longest answer: what a model can make use of is far shorter.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// How long a connection is kept for the next function. Many a server closes one that was idle for
/// 5 s, and what is sent at that moment is lost.
const KEPT_IDLE: Duration = Duration::from_secs(4);

/// What is told of arguments that do not fit, at most.
const MOST_MISFITS: usize = 3;

/// Calls webhooks.
pub(crate) struct Functions {
    client: Client,
    turns: Semaphore,
}

/// What a webhook is asked, by one attempt or by several.
struct Request {
    webhook: Webhook,
    call_sid: CallSid,
    name: String,
    /// By which the webhook knows that it was asked before.
    id: String,
    body: Bytes,
}

/// What a model wants done.
pub(super) struct FunctionCall<'a> {
    /// For whom.
    pub(super) call: &'a Call,
    /// Deepgram's.
    pub(super) id: &'a str,
    /// The function's.
    pub(super) name: &'a str,
    /// JSON, as the model wrote it.
    pub(super) arguments: &'a str,
}

/// The body of a request.
#[derive(Serialize)]
struct Body<'a> {
    call: Caller<'a>,
    function: Named<'a>,
    arguments: &'a Value,
}

#[derive(Serialize)]
struct Caller<'a> {
    call_sid: &'a str,
    from: Option<&'a str>,
    to: Option<&'a str>,
    direction: Option<&'a str>,
    profile: &'a str,
    custom_parameters: &'a BTreeMap<String, String>,
}

#[derive(Serialize)]
struct Named<'a> {
    id: &'a str,
    name: &'a str,
}

/// Why an attempt brought no answer.
struct Failure {
    /// For the model and for people: nothing of the URL, which may hold secrets.
    words: String,
    /// Whether the next attempt may do better.
    is_passing: bool,
}

impl Functions {
    /// For the webhooks of all profiles.
    ///
    /// # Errors
    /// No TLS is to be had, and a webhook needs it.
    pub(crate) fn new(config: &Config) -> Result<Self, reqwest::Error> {
        let agents = config.profiles.values().filter_map(|p| p.agent.as_ref());
        let mut functions = agents.flat_map(|agent| agent.functions.values());
        let needs_tls = functions.any(|function| match function {
            Function::Webhook(webhook) => webhook.endpoint().url.scheme() == "https",
            Function::Builtin(_) => false,
        });
        let client = outbound::client_over(!needs_tls)
            .connect_timeout(CONNECT_TIMEOUT)
            .pool_idle_timeout(KEPT_IDLE);
        Ok(Self {
            client: client.build()?,
            turns: Semaphore::new(MOST_AT_ONCE),
        })
    }

    /// Checks the arguments and asks the webhook, within 8 s. Dropping the future gives it up.
    pub(super) fn call(
        self: &Arc<Self>,
        webhook: &Webhook,
        asked: &FunctionCall<'_>,
    ) -> impl Future<Output = FunctionOutcome> + Send + use<> {
        let functions = Arc::clone(self);
        let request = Request::new(webhook, asked);
        async move {
            let outcome = match request {
                Ok(request) => functions.ask(&request).await,
                Err(words) => Err(words),
            };
            outcome.map_or_else(FunctionOutcome::Failed, FunctionOutcome::Ok)
        }
    }

    async fn ask(&self, request: &Request) -> Result<String, String> {
        let Ok(_turn) = self.turns.try_acquire() else {
            return Err("too many functions are being called at the same time".to_owned());
        };
        let asked = timeout(DEADLINE, self.attempts(request)).await;
        asked.unwrap_or_else(|_elapsed| {
            let (name, secs) = (&request.name, DEADLINE.as_secs());
            Err(format!("{name} did not answer within {secs} s"))
        })
    }

    async fn attempts(&self, request: &Request) -> Result<String, String> {
        let is_repeatable = request.webhook.endpoint().is_idempotent;
        let mut pauses = PAUSES.iter().filter(|_| is_repeatable);
        loop {
            let failure = match self.attempt(request).await {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let Some(pause) = pauses.next().filter(|_| failure.is_passing) else {
                return Err(failure.words);
            };
            let Request { call_sid, name, .. } = request;
            let reason = failure.words;
            warn!(%call_sid, function = name, reason, "A function is called again.");
            sleep(*pause).await;
        }
    }

    async fn attempt(&self, request: &Request) -> Result<String, Failure> {
        let Request { name, id, body, .. } = request;
        let endpoint = request.webhook.endpoint();
        let secret = endpoint.secret.as_ref();
        let signed = standard_webhooks::headers(secret, id, Timestamp::now(), body);
        let json = HeaderValue::from_static("application/json");
        let posting = self.client.post(endpoint.url.clone()).headers(signed);
        let posting = posting
            .header(header::CONTENT_TYPE, json)
            .body(body.clone());
        let response = posting.send().await.map_err(|error| {
            let what = if error.is_connect() {
                "could not be reached"
            } else {
                "broke off"
            };
            Failure::passing(format!("{name} {what}: {}", cause(&error)))
        })?;
        answer(name, response).await
    }
}

impl fmt::Debug for Functions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Functions").finish_non_exhaustive()
    }
}

impl Request {
    /// # Errors
    /// For the model: what is wrong with its arguments.
    fn new(webhook: &Webhook, asked: &FunctionCall<'_>) -> Result<Self, String> {
        Ok(Self {
            webhook: webhook.clone(),
            call_sid: asked.call.call_sid.clone(),
            name: asked.name.to_owned(),
            id: format!("fn_{:016x}{:016x}", random_u64(), random_u64()),
            body: body(&webhook.endpoint().schema, asked)?,
        })
    }
}

impl Failure {
    const fn passing(words: String) -> Self {
        Self {
            words,
            is_passing: true,
        }
    }

    const fn for_good(words: String) -> Self {
        Self {
            words,
            is_passing: false,
        }
    }
}

/// What is posted, when the arguments are what the function takes.
fn body(schema: &Validator, asked: &FunctionCall<'_>) -> Result<Bytes, String> {
    let arguments: Value = serde_json::from_str(asked.arguments)
        .map_err(|error| format!("the arguments are not JSON: {error}"))?;
    let misfits: Vec<String> = schema
        .iter_errors(&arguments)
        .take(MOST_MISFITS)
        .map(
            |error| match (error.masked(), error.instance_path().as_str()) {
                (misfit, "") => misfit.to_string(),
                (misfit, place) => format!("{misfit} (at {place})"),
            },
        )
        .collect();
    if !misfits.is_empty() {
        let misfits = misfits.join("; ");
        return Err(format!(
            "the arguments are not what the function takes: {misfits}"
        ));
    }
    let call = asked.call;
    let body = Body {
        call: Caller {
            call_sid: call.call_sid.as_str(),
            from: call.from.as_deref(),
            to: call.to.as_deref(),
            direction: call.direction.as_deref(),
            profile: &call.profile,
            custom_parameters: &call.custom_parameters,
        },
        function: Named {
            id: asked.id,
            name: asked.name,
        },
        arguments: &arguments,
    };
    let body = serde_json::to_vec(&body).expect("texts and JSON can be written as JSON");
    Ok(body.into())
}

/// What the model is told of an answer.
async fn answer(name: &str, mut response: Response) -> Result<String, Failure> {
    let status = response.status();
    if !status.is_success() {
        let words = format!("{name} answered {}", status.as_u16());
        let is_passing = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
        return Err(Failure { words, is_passing });
    }
    let body = outbound::body(&mut response, MAX_ANSWER_BYTES).await;
    let body = body.map_err(|error| {
        let words = format!("{name} was not understood: {error}");
        match error {
            BodyError::Broken(_) => Failure::passing(words),
            BodyError::TooLong { .. } => Failure::for_good(words),
        }
    })?;
    match String::from_utf8(body) {
        Ok(text) if text.trim().is_empty() => Ok("done".to_owned()),
        Ok(text) => Ok(text),
        Err(_) => Err(Failure::for_good(format!(
            "{name} answered with something that is no text"
        ))),
    }
}

#[cfg(test)]
mod tests;
