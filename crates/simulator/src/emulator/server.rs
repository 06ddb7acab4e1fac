//! The emulator's routes: who may come in, and with which parameters.

use std::collections::HashSet;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::extract::{RawQuery, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use http::{HeaderMap, HeaderValue, StatusCode};
use secrecy::ExposeSecret as _;
use serde_json::json;
use sidetone_deepgram::error::Refusal;
use sidetone_deepgram::listen::query::Query;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::Options;
use super::credentials::{Credentials, SCHEMES};
use super::faults::{Faults, Refused};
use super::recognizer::Identity;
use super::session::Session;
use super::socket;
use crate::dice::Dice;

/// What all requests share.
#[derive(Clone, Debug)]
pub(super) struct Server(Arc<Shared>);

#[derive(Debug)]
struct Shared {
    options: Options,
    dice: Mutex<Dice>,
    streams: Arc<Semaphore>,
    /// The calls one of whose streams was broken off, by their `extra`.
    cut: Mutex<HashSet<Vec<(String, String)>>>,
    tasks: TaskTracker,
    cancelled: CancellationToken,
}

impl Server {
    pub(super) fn new(options: Options, tasks: TaskTracker, cancelled: CancellationToken) -> Self {
        Self(Arc::new(Shared {
            dice: Mutex::new(Dice::new(options.seed)),
            streams: Arc::new(Semaphore::new(MAX_STREAMS)),
            cut: Mutex::default(),
            options,
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

    /// The dice of one request.
    fn dice(&self) -> Dice {
        self.0
            .dice
            .lock()
            .expect("nothing panics while it rolls")
            .fork()
    }

    /// Whether whoever sent these headers may come in.
    fn admit(&self, headers: &HeaderMap) -> Result<(), Refused> {
        let credentials = Credentials::of(headers).ok_or(Refusal::INVALID_AUTH)?;
        let (Credentials::Key(secret) | Credentials::Token(secret)) = credentials;
        if let Some(refused) = Faults::asked_by(secret).at_handshake() {
            return Err(refused);
        }
        let only = self.0.options.api_key.as_ref();
        if only.is_none_or(|key| credentials == Credentials::Key(key.expose_secret())) {
            Ok(())
        } else {
            Err(Refusal::INVALID_AUTH.into())
        }
    }

    /// How long a stream may last before it breaks off, if it is to break off.
    fn life(&self, query: &Query) -> Option<Duration> {
        let life = self.0.options.cut_after?;
        let mut cut = self.0.cut.lock().expect("nothing panics while it is held");
        (cut.len() < MAX_STREAMS && cut.insert(query.extra.clone())).then_some(life)
    }

    /// A place for one more stream.
    fn place(&self) -> Result<OwnedSemaphorePermit, Refused> {
        let place = Arc::clone(&self.0.streams).try_acquire_owned();
        place.map_err(|_| Refusal::TOO_MANY_REQUESTS.into())
    }
}

async fn listen(
    State(server): State<Server>,
    headers: HeaderMap,
    RawQuery(query): RawQuery,
    upgrade: Result<WebSocketUpgrade, WebSocketUpgradeRejection>,
) -> Response {
    let mut dice = server.dice();
    let request_id = dice.uuid();
    let opened = || -> Result<Response, Refused> {
        server.admit(&headers)?;
        let query = Query::parse(query.as_deref().unwrap_or_default())?;
        let place = server.place()?;
        let upgrade = upgrade.map_err(|_| NOT_A_WEBSOCKET)?;
        let life = server.life(&query).unwrap_or(Duration::MAX);

        let created = jiff::Timestamp::now();
        let identity = Identity {
            request_id: request_id.clone(),
            created: format!("{created:.3}"),
        };
        let seed = dice.within(0..=u64::MAX - 1);
        let session = Session::new(&query, identity, seed, Instant::now());
        let request_id = request_id.clone();
        tracing::info!(%request_id, model = query.model, extra = ?query.extra, "Stream opened.");
        let task = server.0.tasks.token();
        let cancelled = server.0.cancelled.clone();
        Ok(
            socket::limit(upgrade.protocols(SCHEMES)).on_upgrade(async move |socket| {
                let whole = cancelled.run_until_cancelled(socket::run(socket, session));
                match tokio::time::timeout(life, whole).await {
                    Ok(_) => tracing::info!(%request_id, "Stream ended."),
                    // Dropped here, its socket is gone without a Close.
                    Err(_) => tracing::info!(%request_id, "Stream broken off on request."),
                }
                drop((place, task));
            }),
        )
    };
    with_id(
        opened().unwrap_or_else(|refused| refuse(&refused, &request_id)),
        &request_id,
    )
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
    let response = match server.admit(headers) {
        Ok(()) => Json(body).into_response(),
        Err(refused) => refuse(&refused, &request_id),
    };
    with_id(response, &request_id)
}

fn refuse(refused: &Refused, request_id: &str) -> Response {
    tracing::info!(%request_id, status = refused.status, words = %refused.message, "Refused.");
    let status = StatusCode::from_u16(refused.status).expect("refusals have an HTTP status");
    let words = HeaderValue::from_str(&refused.message);
    let mut response = (status, refused.body(request_id).to_wire()).into_response();
    if let Ok(words) = words {
        response.headers_mut().insert("dg-error", words);
    }
    response
}

fn with_id(mut response: Response, request_id: &str) -> Response {
    let request_id = HeaderValue::from_str(request_id).expect("a UUID is a header's value");
    response.headers_mut().insert("dg-request-id", request_id);
    response
}

const NOT_A_WEBSOCKET: Refusal = Refusal::new(
    400,
    "Bad Request",
    "Bad Request: a WebSocket upgrade is expected here.",
);

/// More streams at once are refused with 429.
const MAX_STREAMS: usize = 10_000;

const PROJECT_ID: &str = "0b1d7f5e-3a52-4a0c-8f0e-2d6c54b7a911";
const KEY_ID: &str = "c3a9d1e4-52f7-4b6e-9a38-71f0be2d6c05";
