//! The emulator's routes: who may come in, and with which parameters.

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::{Duration, Instant};

use axum::extract::{RawQuery, Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::header::RETRY_AFTER;
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::json;
use sidetone_deepgram::error::Refusal;
use sidetone_deepgram::listen::query::Query;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::credentials::Credentials;
use super::fault::HandshakeFault;
use super::faults::{Caller, Faults, Strikes};
use super::recognizer::Identity;
use super::refusal::Refused;
use super::session::Session;
use super::socket;
use super::stream::Stream;
use super::upgrade::Upgrade;
use crate::dice::Dice;

/// What all requests share.
#[derive(Clone, Debug)]
pub(super) struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    api_key: Option<SecretString>,
    dice: Mutex<Seeded>,
    faults: Faults,
    streams: Arc<Semaphore>,
    tasks: TaskTracker,
    cancelled: CancellationToken,
}

/// Dice and what they began with.
#[derive(Debug)]
struct Seeded {
    seed: u64,
    dice: Dice,
}

impl Seeded {
    fn new(seed: u64) -> Self {
        let dice = Dice::new(seed);
        Self { seed, dice }
    }
}

impl Server {
    pub(super) fn new(
        api_key: Option<SecretString>,
        seed: u64,
        faults: Faults,
        tasks: TaskTracker,
        cancelled: CancellationToken,
    ) -> Self {
        Self(Arc::new(Shared {
            api_key,
            dice: Mutex::new(Seeded::new(seed)),
            faults,
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            tasks,
            cancelled,
        }))
    }

    pub(super) fn routes(self) -> Router {
        Router::new()
            .route("/v1/listen", get(listen))
            .route("/v1/projects", get(projects))
            .route("/v1/auth/token", get(key_details))
            .with_state(self)
    }

    pub(super) fn faults(&self) -> &Faults {
        &self.0.faults
    }

    pub(super) fn seed(&self) -> u64 {
        self.seeded().seed
    }

    /// Begins anew with another seed.
    pub(super) fn set_seed(&self, seed: u64) {
        *self.seeded() = Seeded::new(seed);
    }

    /// The dice of one request.
    pub(super) fn dice(&self) -> Dice {
        self.seeded().dice.fork()
    }

    fn seeded(&self) -> MutexGuard<'_, Seeded> {
        self.0.dice.lock().expect("nothing panics while it rolls")
    }

    /// Whether whoever sent these headers may come in.
    pub(super) fn admit(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let credentials = Credentials::of(headers).ok_or(Refusal::INVALID_AUTH)?;
        let (Credentials::Key(secret) | Credentials::Token(secret)) = credentials;
        if let Some(refused) = Refused::asked_by(secret) {
            return Err(refused);
        }
        let only = self.0.api_key.as_ref();
        if only.is_none_or(|key| credentials == Credentials::Key(key.expose_secret())) {
            Ok(())
        } else {
            Err(Refusal::INVALID_AUTH.into())
        }
    }

    /// The handshake that `request` is, when there is a place for one more stream.
    pub(super) fn handshake(&self, request: &mut Request) -> Result<Handshake, Refused> {
        let place = Arc::clone(&self.0.streams).try_acquire_owned();
        Ok(Handshake {
            place: place.map_err(|_| Refusal::TOO_MANY_REQUESTS)?,
            upgrade: Upgrade::of(request).ok_or(NOT_A_WEBSOCKET)?,
            strikes: self.faults().strikes(),
        })
    }

    /// Opens a stream and gives the answer to its handshake.
    pub(super) fn open(
        &self,
        handshake: Handshake,
        stream: impl Stream + Send + 'static,
        opening: Opening,
    ) -> Response {
        let Handshake {
            place,
            upgrade,
            strikes,
        } = handshake;
        let Opening {
            request_id,
            tells_id,
            frame_bytes,
        } = opening;
        let (mut response, socket) = upgrade.accept();
        if tells_id {
            response = with_id(response, &request_id);
        }
        let stream = async move {
            match socket.await {
                Ok(socket) => socket::run(socket, stream, strikes, frame_bytes).await,
                Err(error) => tracing::debug!(%error, "A handshake broke off."),
            }
            tracing::info!(%request_id, "Stream ended.");
            drop(place);
        };
        let cancelled = self.0.cancelled.clone();
        let stream = cancelled.run_until_cancelled_owned(stream);
        self.0.tasks.spawn(stream);
        response
    }
}

/// A handshake that may come in.
pub(super) struct Handshake {
    place: OwnedSemaphorePermit,
    upgrade: Upgrade,
    strikes: Strikes,
}

/// How a stream opens.
pub(super) struct Opening {
    pub(super) request_id: String,
    /// Whether the client is told that id.
    pub(super) tells_id: bool,
    /// Messages are sent in frames of this size.
    pub(super) frame_bytes: Option<usize>,
}

async fn listen(
    State(server): State<Server>,
    RawQuery(query): RawQuery,
    request: Request,
) -> Response {
    let mut dice = server.dice();
    let request_id = dice.uuid();
    match handshake(&server, query.as_deref().unwrap_or_default(), request).await {
        Ok((query, handshake)) => {
            let created = jiff::Timestamp::now();
            let identity = Identity {
                request_id: request_id.clone(),
                created: format!("{created:.3}"),
            };
            let flaws = server.faults().at_opening(&Caller::of(&query));
            let seed = dice.within(0..=u64::MAX - 1);
            let session = Session::new(&query, identity, &flaws, seed, Instant::now());
            tracing::info!(%request_id, model = query.model, extra = ?query.extra, "Stream opened.");
            let opening = Opening {
                request_id,
                tells_id: !flaws.no_request_id,
                frame_bytes: flaws.frame_bytes,
            };
            server.open(handshake, session, opening)
        }
        Err(refused) => refuse(&refused, &request_id),
    }
}

async fn handshake(
    server: &Server,
    query: &str,
    mut request: Request,
) -> Result<(Query, Handshake), Refused> {
    server.admit(request.headers())?;
    let query = Query::parse(query)?;
    match server.faults().at_handshake(&Caller::of(&query)) {
        None => {}
        Some(HandshakeFault::Refuse(refused)) => return Err(refused),
        Some(HandshakeFault::Hang) => return Err(hang().await),
    }
    Ok((query, server.handshake(&mut request)?))
}

async fn projects(State(server): State<Server>, headers: HeaderMap) -> Response {
    answer(
        &server,
        &headers,
        json!({ "projects": [{ "project_id": PROJECT_ID, "name": "Emulated" }] }),
    )
}

async fn key_details(State(server): State<Server>, headers: HeaderMap) -> Response {
    answer(
        &server,
        &headers,
        json!({ "api_key_id": KEY_ID, "scopes": ["usage:write"] }),
    )
}

/// Answers whoever may come in.
fn answer(server: &Server, headers: &HeaderMap, body: serde_json::Value) -> Response {
    let request_id = server.dice().uuid();
    match server.admit(headers) {
        Ok(()) => with_id(Json(body).into_response(), &request_id),
        Err(refused) => refuse(&refused, &request_id),
    }
}

/// What becomes of a handshake that hangs on request, in the end.
pub(super) async fn hang() -> Refused {
    tracing::info!("A handshake hangs on request.");
    tokio::time::sleep(HANG_LIMIT).await;
    Refused::with_status(504)
}

pub(super) fn refuse(refused: &Refused, request_id: &str) -> Response {
    tracing::info!(%request_id, status = refused.status, words = %refused.message, "Refused.");
    let status = StatusCode::from_u16(refused.status).expect("refusals have an HTTP status");
    let words = HeaderValue::from_str(&refused.message);
    let mut response = (status, refused.body(request_id).to_wire()).into_response();
    if let Ok(words) = words {
        response.headers_mut().insert("dg-error", words);
    }
    if let Some(secs) = refused.retry_after_secs {
        response.headers_mut().insert(RETRY_AFTER, secs.into());
    }
    with_id(response, request_id)
}

pub(super) fn with_id(mut response: Response, request_id: &str) -> Response {
    let request_id = HeaderValue::from_str(request_id).expect("a UUID is a header's value");
    response.headers_mut().insert("dg-request-id", request_id);
    response
}

const NOT_A_WEBSOCKET: Refusal = Refusal::new(
    400,
    "Bad Request",
    "Bad Request: a WebSocket upgrade is expected here.",
);

/// How long what hangs on request does so, longer than any client should wait for it.
pub(super) const HANG_LIMIT: Duration = Duration::from_secs(120);

/// More streams at once are refused with 429.
const MAX_STREAMS: usize = 10_000;

pub(super) const PROJECT_ID: &str = "0b1d7f5e-3a52-4a0c-8f0e-2d6c54b7a911";
const KEY_ID: &str = "c3a9d1e4-52f7-4b6e-9a38-71f0be2d6c05";
