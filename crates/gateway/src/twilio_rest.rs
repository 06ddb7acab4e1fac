//! Twilio's REST API over HTTP: credentials, deadlines, another try when Twilio is asked too often.

use std::fmt;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::{HeaderValue, StatusCode, header};
use reqwest::Client;
use secrecy::ExposeSecret;
use serde::de::DeserializeOwned;
use sidetone_twilio::rest::{
    Account, Call, CallStream, ErrorBody, NewCall, NewStream, PhoneNumber, PhoneNumbers, Request,
    TwimlTooLong, VERSION_PATH, VoiceRoute,
};
use sidetone_twilio::twiml;
use sidetone_twilio::{AccountSid, CallSid};
use tokio::time::{Instant, sleep, timeout};

use crate::config;
use crate::outbound::{self, BodyError, cause};
use crate::random_u64;

/// From the request to the end of its answer, further tries included.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(10);

const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Before the second try; doubled before each further one.
const FIRST_PAUSE: Duration = Duration::from_millis(200);

/// How often a request is sent, the first time included, of which Twilio did not say that it
/// takes too many.
const MAX_TRIES: u32 = 3;

/// A page of a thousand numbers is about a quarter of this.
const MAX_ANSWER_BYTES: usize = 8 << 20;

/// Pages of a list that are read, a thousand items each.
const MAX_PAGES: usize = 20;

/// A client of one account.
pub struct TwilioRest {
    client: Client,
    /// Without a slash at its end.
    base: String,
    account: AccountSid,
    authorization: HeaderValue,
}

/// Twilio did not do what it was asked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TwilioError {
    /// A credential is not configured.
    #[error("{0} is not set: the console at https://console.twilio.com shows it")]
    Missing(&'static str),
    /// TLS is not to be had: usually a machine without certificates.
    #[error("no TLS client could be made; are the system's CA certificates installed?")]
    Tls(#[source] reqwest::Error),
    /// There is no connection: Twilio has not got the request.
    #[error("Twilio cannot be reached at {base}: {reason}")]
    Unreachable {
        /// The base URL.
        base: String,
        /// Why.
        reason: String,
    },
    /// The connection broke before the answer was there: nobody knows whether it was done.
    #[error("the connection to Twilio at {base} broke off: {reason}")]
    Broken {
        /// The base URL.
        base: String,
        /// Why.
        reason: String,
    },
    /// No answer came in time.
    #[error("Twilio did not answer within {} s", REQUEST_TIMEOUT.as_secs())]
    TimedOut,
    /// Twilio said no.
    #[error("Twilio answered {status}: {}", refusal(error.as_ref()))]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Its own words and code.
        error: Option<ErrorBody>,
    },
    /// The call cannot be told what to do next in one request.
    #[error("{0}")]
    TooLong(TwimlTooLong),
    /// The answer is not of Twilio's REST API.
    #[error("the answer of {base} is not of Twilio's REST API ({reason})")]
    Unreadable {
        /// The base URL.
        base: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl TwilioError {
    /// Whether the credentials are wrong.
    pub fn is_unauthorized(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::UNAUTHORIZED)
    }

    /// Whether there is no such thing, or no longer.
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND)
    }

    /// Whether Twilio says of the call that it was asked about that it is over.
    pub fn says_call_is_over(&self) -> bool {
        let words = match self {
            Self::Refused { error, .. } => error.as_ref(),
            _ => None,
        };
        self.is_not_found() || words.is_some_and(ErrorBody::says_call_is_over)
    }

    /// Whether Twilio found fault with what it was asked for, and would do so again.
    pub fn is_bad_request(&self) -> bool {
        matches!(self, Self::Refused { status, .. } if *status == StatusCode::BAD_REQUEST)
            || matches!(self, Self::TooLong(_))
    }

    /// Whether another try may go well.
    fn is_passing(&self, request_is_repeatable: bool) -> bool {
        match self {
            Self::Unreachable { .. } => true,
            Self::Broken { .. } => request_is_repeatable,
            Self::Refused { status, .. } => request_is_repeatable && status.is_server_error(),
            Self::Missing(_)
            | Self::Tls(_)
            | Self::TimedOut
            | Self::TooLong(_)
            | Self::Unreadable { .. } => false,
        }
    }

    /// Whether Twilio is asked too often. It has not done what it was asked, so asking again is
    /// safe, whatever it was.
    fn is_rate_limited(&self) -> bool {
        match self {
            Self::Refused { status, error } => {
                let code = error.as_ref().and_then(|error| error.code);
                *status == StatusCode::TOO_MANY_REQUESTS
                    || code == Some(ErrorBody::TOO_MANY_REQUESTS)
            }
            Self::Missing(_)
            | Self::Tls(_)
            | Self::Unreachable { .. }
            | Self::Broken { .. }
            | Self::TimedOut
            | Self::TooLong(_)
            | Self::Unreadable { .. } => false,
        }
    }
}

fn refusal(error: Option<&ErrorBody>) -> String {
    let Some(error) = error else {
        return "it gave no reason".to_owned();
    };
    match (error.code, error.more_info()) {
        (Some(code), Some(more_info)) => {
            format!("{} (error {code}, {more_info})", error.message)
        }
        _ => error.message.clone(),
    }
}

impl TwilioRest {
    /// A client with the account's sid and the first of its auth tokens.
    ///
    /// # Errors
    /// [`TwilioError::Missing`] without them, [`TwilioError::Tls`].
    pub fn new(twilio: &config::Twilio) -> Result<Self, TwilioError> {
        let account = twilio.account_sid.clone();
        let account = account.ok_or(TwilioError::Missing("TWILIO_ACCOUNT_SID"))?;
        let token = twilio.auth_tokens.first();
        let token = token.ok_or(TwilioError::Missing("TWILIO_AUTH_TOKEN"))?;
        let credentials = STANDARD.encode(format!("{account}:{}", token.expose_secret()));
        let mut authorization = HeaderValue::try_from(format!("Basic {credentials}"))
            .expect("base64 fits into a header");
        authorization.set_sensitive(true);
        let client = outbound::client(&twilio.api_url)
            .connect_timeout(CONNECT_TIMEOUT)
            .build()
            .map_err(TwilioError::Tls)?;
        let base = twilio.api_url.as_str().trim_end_matches('/');
        let base = base.strip_suffix(VERSION_PATH).unwrap_or(base).to_owned();
        Ok(Self {
            client,
            base,
            account,
            authorization,
        })
    }

    /// Fetches the account.
    ///
    /// # Errors
    /// See [`TwilioError`]; so for all that follow.
    pub async fn account(&self) -> Result<Account, TwilioError> {
        self.send(&Request::account(&self.account)).await
    }

    /// The account's number that is exactly `phone_number`, E.164.
    pub async fn phone_number(
        &self,
        phone_number: &str,
    ) -> Result<Option<PhoneNumber>, TwilioError> {
        let request = Request::phone_numbers(&self.account, Some(phone_number));
        let page: PhoneNumbers = self.send(&request).await?;
        let mut numbers = page.incoming_phone_numbers.into_iter();
        Ok(numbers.find(|number| number.phone_number == phone_number))
    }

    /// All numbers of the account, 20,000 at most.
    pub async fn phone_numbers(&self) -> Result<Vec<PhoneNumber>, TwilioError> {
        let mut request = Request::phone_numbers(&self.account, None);
        let mut numbers = Vec::new();
        for _ in 0..MAX_PAGES {
            let mut page = self.send(&request).await?;
            numbers.append(&mut page.incoming_phone_numbers);
            match Request::after(&page) {
                Some(next) => request = next,
                None => break,
            }
        }
        Ok(numbers)
    }

    /// Points a number's calls and their status callbacks at `route`; gives the number as it is
    /// then.
    pub async fn route_calls(
        &self,
        number: &PhoneNumber,
        route: &VoiceRoute,
    ) -> Result<PhoneNumber, TwilioError> {
        self.send(&Request::route_calls(&self.account, number, route))
            .await
    }

    /// Places a call. It is placed once, or not at all, or nobody knows: see
    /// [`TwilioError::Broken`] and [`TwilioError::TimedOut`].
    pub async fn create_call(&self, call: &NewCall) -> Result<Call, TwilioError> {
        self.send(&Request::create_call(&self.account, call)).await
    }

    /// Fetches a call.
    pub async fn call(&self, call_sid: &CallSid) -> Result<Call, TwilioError> {
        self.send(&Request::call(&self.account, call_sid)).await
    }

    /// Ends a call, if it is not over already.
    pub async fn hang_up(&self, call_sid: &CallSid) -> Result<(), TwilioError> {
        match self.send(&Request::hang_up(&self.account, call_sid)).await {
            Err(error) if !error.says_call_is_over() => Err(error),
            Ok(_) | Err(_) => Ok(()),
        }
    }

    /// Has a call in progress go on with another document.
    ///
    /// # Errors
    /// [`TwilioError::TooLong`] for a document of more than 4000 characters, and the others.
    pub async fn redirect(
        &self,
        call_sid: &CallSid,
        document: &twiml::Response,
    ) -> Result<(), TwilioError> {
        let request = Request::redirect(&self.account, call_sid, document);
        self.send(&request.map_err(TwilioError::TooLong)?)
            .await
            .map(drop)
    }

    /// Starts a stream that listens to a call in progress.
    pub async fn create_stream(
        &self,
        call_sid: &CallSid,
        stream: &NewStream,
    ) -> Result<CallStream, TwilioError> {
        self.send(&Request::create_stream(&self.account, call_sid, stream))
            .await
    }

    /// Stops a stream that listens to a call, which is given by its sid or its name.
    pub async fn stop_stream(
        &self,
        call_sid: &CallSid,
        stream: &str,
    ) -> Result<CallStream, TwilioError> {
        self.send(&Request::stop_stream(&self.account, call_sid, stream))
            .await
    }

    /// Sends a request, again and again while Twilio is asked too often, until the deadline; and
    /// a few times when it failed in a way that may pass, if no harm can come of it.
    async fn send<T: DeserializeOwned>(&self, request: &Request<T>) -> Result<T, TwilioError> {
        let deadline = Instant::now() + REQUEST_TIMEOUT;
        let mut pause = FIRST_PAUSE;
        let mut failures = 0;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let answered = timeout(left, self.send_once(request)).await;
            let error = match answered.map_err(|_| TwilioError::TimedOut)? {
                Err(error) if error.is_rate_limited() => error,
                Err(error) if error.is_passing(request.is_repeatable()) => {
                    failures += 1;
                    if failures == MAX_TRIES {
                        return Err(error);
                    }
                    error
                }
                settled => return settled,
            };
            let wait = jittered(pause);
            if Instant::now() + wait >= deadline {
                return Err(error);
            }
            sleep(wait).await;
            pause *= 2;
        }
    }

    async fn send_once<T: DeserializeOwned>(&self, request: &Request<T>) -> Result<T, TwilioError> {
        let url = format!("{}{}", self.base, request.path());
        let sending = match request.form() {
            None => self.client.get(url),
            Some(form) => self
                .client
                .post(url)
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.encode()),
        };
        let sending = sending
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::ACCEPT, "application/json");
        let broken = |error: reqwest::Error| {
            let (base, reason) = (self.base.clone(), cause(&error));
            if error.is_connect() {
                TwilioError::Unreachable { base, reason }
            } else {
                TwilioError::Broken { base, reason }
            }
        };
        let unreadable = |reason: String| TwilioError::Unreadable {
            base: self.base.clone(),
            reason,
        };
        let mut response = sending.send().await.map_err(broken)?;
        let status = response.status();
        let body = outbound::body(&mut response, MAX_ANSWER_BYTES)
            .await
            .map_err(|error| match error {
                BodyError::Broken(error) => broken(error),
                too_long @ BodyError::TooLong { .. } => unreadable(too_long.to_string()),
            })?;
        if status.is_success() {
            // What serde says quotes none of the body's texts but names of fields.
            request
                .answer(&body)
                .map_err(|error| unreadable(error.to_string()))
        } else {
            Err(TwilioError::Refused {
                status,
                error: ErrorBody::parse(&body),
            })
        }
    }
}

/// Between half of a pause and all of it, so that those who wait do not all come back at once.
fn jittered(pause: Duration) -> Duration {
    let [random, ..] = random_u64().to_le_bytes();
    pause.mul_f64(0.5 + f64::from(random) / 512.0)
}

impl fmt::Debug for TwilioRest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TwilioRest")
            .field("base", &self.base)
            .field("account", &self.account)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
