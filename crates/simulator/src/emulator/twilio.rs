//! The emulated REST API of Twilio, as far as Sidetone uses it: one account, its numbers, and the
//! calls of the simulated phones that share its exchange.
//!
//! Credentials by HTTP Basic, parameters as a form, answers and errors as JSON in Twilio's shapes.

mod answer;
mod calls;
mod numbers;
mod parameters;
mod placing;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use axum::Router;
use axum::extract::{FromRequestParts, OriginalUri, Path, RawForm, RawQuery, State};
use axum::response::Json;
use axum::routing::{get, post};
use base64::Engine as _;
use base64::prelude::BASE64_STANDARD;
use http::HeaderMap;
use http::header::AUTHORIZATION;
use http::request::Parts;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use sidetone_twilio::{AccountSid, CallSid};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use self::answer::{Problem, date, page};
use self::numbers::Number;
use super::faults::Faults;
use crate::dice::Dice;
use crate::phone::Exchange;

/// The account that the emulated Twilio has.
#[derive(Clone, Debug)]
pub struct TwilioAccount {
    /// Its sid, the user of HTTP Basic.
    pub sid: AccountSid,
    /// Its auth token, the password of HTTP Basic.
    pub auth_token: SecretString,
    /// Its numbers, E.164.
    pub numbers: Vec<String>,
    /// Calls that are placed leave the queue at this distance. Twilio's own is a second.
    pub call_interval: Duration,
}

/// The account of the simulated phone, with Twilio's test number and the auth token `emulated`.
impl Default for TwilioAccount {
    fn default() -> Self {
        Self {
            sid: "AC00000000000000000000000000000001"
                .parse()
                .expect("the sid is valid"),
            auth_token: "emulated".into(),
            numbers: vec!["+15005550006".to_owned()],
            call_interval: Duration::from_secs(1),
        }
    }
}

/// What Twilio works with.
pub(super) struct Means {
    pub(super) faults: Faults,
    pub(super) exchange: Exchange,
    pub(super) seed: u64,
    pub(super) tasks: TaskTracker,
    pub(super) cancelled: CancellationToken,
}

/// What all requests share.
#[derive(Clone)]
struct Twilio(Arc<Shared>);

struct Shared {
    sid: AccountSid,
    auth_token: SecretString,
    created: jiff::Timestamp,
    numbers: Mutex<Vec<Number>>,
    queue: Mutex<Queue>,
    call_interval: Duration,
    faults: Faults,
    exchange: Exchange,
    tasks: TaskTracker,
    cancelled: CancellationToken,
}

/// The calls that are placed.
struct Queue {
    dice: Dice,
    /// When the next one can leave it.
    next_release: Instant,
}

impl Twilio {
    fn sid(&self) -> &str {
        self.0.sid.as_str()
    }

    fn numbers(&self) -> MutexGuard<'_, Vec<Number>> {
        self.0
            .numbers
            .lock()
            .expect("nothing panics while it is held")
    }

    fn has_number(&self, number: &str) -> bool {
        self.number_sid(number).is_some()
    }

    fn number_sid(&self, number: &str) -> Option<String> {
        let numbers = self.numbers();
        let mut sids = numbers.iter().filter_map(|known| known.sid_of(number));
        sids.next().map(str::to_owned)
    }

    fn dice(&self) -> Dice {
        self.queue().dice.fork()
    }

    /// Sid and seed of a call that is placed now, and when it leaves the queue.
    fn next_call(&self, now: Instant) -> (CallSid, u64, Instant) {
        let mut queue = self.queue();
        let release_at = queue.next_release.max(now);
        queue.next_release = release_at + self.0.call_interval;
        let seed = queue.dice.within(0..=u64::MAX - 1);
        (queue.dice.sid("CA"), seed, release_at)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        let queue = self.0.queue.lock();
        queue.expect("nothing panics while it is held")
    }

    fn knows(&self, headers: &HeaderMap) -> bool {
        let authorization = headers
            .get(AUTHORIZATION)
            .and_then(|value| value.to_str().ok());
        let encoded = authorization.and_then(|value| value.strip_prefix("Basic "));
        let decoded = encoded.and_then(|encoded| BASE64_STANDARD.decode(encoded).ok());
        let expected = format!("{}:{}", self.sid(), self.0.auth_token.expose_secret());
        decoded.is_some_and(|decoded| decoded == expected.as_bytes())
    }
}

/// The routes below `/2010-04-01`.
pub(super) fn routes(account: TwilioAccount, means: Means) -> Router {
    let created = jiff::Timestamp::now();
    let numbered = (1..).zip(account.numbers);
    let numbers = numbered.map(|(index, number)| Number::new(index, number, created));
    let twilio = Twilio(Arc::new(Shared {
        sid: account.sid,
        auth_token: account.auth_token,
        created,
        numbers: Mutex::new(numbers.collect()),
        queue: Mutex::new(Queue {
            dice: Dice::new(means.seed),
            next_release: Instant::now(),
        }),
        call_interval: account.call_interval,
        faults: means.faults,
        exchange: means.exchange,
        tasks: means.tasks,
        cancelled: means.cancelled,
    }));
    Router::new()
        .route("/Accounts/{account}", get(fetch_account))
        .route(
            "/Accounts/{account}/IncomingPhoneNumbers.json",
            get(list_numbers),
        )
        .route(
            "/Accounts/{account}/IncomingPhoneNumbers/{number}",
            get(fetch_number).post(update_number),
        )
        .route(
            "/Accounts/{account}/Calls.json",
            get(calls::list).post(calls::create),
        )
        .route(
            "/Accounts/{account}/Calls/{call}",
            get(calls::fetch).post(calls::update),
        )
        .route(
            "/Accounts/{account}/Calls/{call}/Streams.json",
            post(calls::start_stream),
        )
        .route(
            "/Accounts/{account}/Calls/{call}/Streams/{stream}",
            post(calls::stop_stream),
        )
        .fallback(not_found)
        .with_state(twilio)
}

/// A request whose credentials are right, and which is not refused on request.
struct Admitted {
    /// The whole path, for the words of an error.
    path: String,
}

impl Admitted {
    /// Whether it is for the account there is.
    fn of_account(&self, account: &str, twilio: &Twilio) -> Result<(), Problem> {
        if account == twilio.sid() {
            Ok(())
        } else {
            Err(Problem::not_found(&self.path))
        }
    }
}

impl FromRequestParts<Twilio> for Admitted {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, twilio: &Twilio) -> Result<Self, Problem> {
        if let Some(fault) = twilio.0.faults.at_request() {
            return Err(Problem::on_request(fault));
        }
        if !twilio.knows(&parts.headers) {
            return Err(Problem::unauthenticated());
        }
        let original = parts.extensions.get::<OriginalUri>();
        let uri = original.map_or(&parts.uri, |original| &original.0);
        Ok(Self {
            path: uri.path().to_owned(),
        })
    }
}

async fn fetch_account(
    State(twilio): State<Twilio>,
    admitted: Admitted,
    Path(account): Path<String>,
) -> Result<Json<Value>, Problem> {
    let sid = twilio.sid();
    if account.strip_suffix(".json") != Some(sid) {
        return Err(Problem::not_found(&admitted.path));
    }
    let created = date(twilio.0.created);
    Ok(Json(json!({
        "sid": sid,
        "friendly_name": "Emulated",
        "status": "active",
        "type": "Full",
        "owner_account_sid": sid,
        "date_created": created,
        "date_updated": created,
        "uri": admitted.path,
        "subresource_uris": {
            "incoming_phone_numbers": numbers::list_uri(sid),
        },
    })))
}

async fn list_numbers(
    State(twilio): State<Twilio>,
    admitted: Admitted,
    Path(account): Path<String>,
    RawQuery(query): RawQuery,
) -> Result<Json<Value>, Problem> {
    admitted.of_account(&account, &twilio)?;
    let asked = parameters::read(query.unwrap_or_default().as_bytes())?;
    // A plus sign that was not encoded has become a space.
    let part = asked.value("PhoneNumber").unwrap_or_default().trim();
    let numbers = twilio.numbers();
    let matching = numbers.iter().filter(|number| number.matches(part));
    let found: Vec<Value> = matching
        .map(|number| number.to_json(twilio.sid()))
        .collect();
    Ok(Json(page(
        "incoming_phone_numbers",
        &admitted.path,
        &asked,
        found,
    )))
}

async fn fetch_number(
    State(twilio): State<Twilio>,
    admitted: Admitted,
    Path((account, number)): Path<(String, String)>,
) -> Result<Json<Value>, Problem> {
    let numbers = twilio.numbers();
    let found = numbers.iter().find(|known| known.is_at(&number));
    let found = found.filter(|_| account == twilio.sid());
    let found = found.ok_or_else(|| Problem::not_found(&admitted.path))?;
    Ok(Json(found.to_json(twilio.sid())))
}

async fn update_number(
    State(twilio): State<Twilio>,
    admitted: Admitted,
    Path((account, number)): Path<(String, String)>,
    RawForm(form): RawForm,
) -> Result<Json<Value>, Problem> {
    let mut numbers = twilio.numbers();
    let found = numbers.iter_mut().find(|known| known.is_at(&number));
    let found = found.filter(|_| account == twilio.sid());
    let found = found.ok_or_else(|| Problem::not_found(&admitted.path))?;
    found.update(form_urlencoded::parse(&form), jiff::Timestamp::now())?;
    Ok(Json(found.to_json(twilio.sid())))
}

async fn not_found(admitted: Admitted) -> Problem {
    Problem::not_found(&admitted.path)
}

#[cfg(test)]
mod tests;
