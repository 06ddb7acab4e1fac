//! Everything that comes in by HTTP, the media stream's handshake included.
//!
//! [`server`] owns the sockets, [`access`] says who may come in, and each route's module answers.

use std::sync::Arc;
use std::time::Instant;

use axum::Router;
use axum::routing::{any, get, patch, post};
use sidetone_twilio::signature::Validator;
use tokio::net::TcpListener;

use crate::gateway::{Shutdown, State};
use crate::metrics::Rejection;

mod access;
mod api;
mod base;
mod body;
mod client;
mod connections;
mod cors;
mod echo;
mod extract;
mod limiter;
mod media;
mod operations;
mod page;
mod problem;
mod proxies;
mod query;
mod server;
mod socket;
mod stall;
mod tls;
mod twiml;
mod voice;
mod webhook;

pub(crate) use access::Rules;
pub(crate) use base::Base;
pub use echo::Echo;
pub(crate) use tls::Tls;

use access::Visitor;
use limiter::Failures;
use problem::Problem;

/// Serves until `shutdown.drain`, then lets what is under way end for a few seconds, or until
/// `shutdown.kill`.
///
/// The drain here is for the moment when the calls have ended: while they go on, their readers and
/// Twilio's callbacks are served.
pub(crate) async fn serve(
    listeners: Vec<TcpListener>,
    state: Arc<State>,
    rules: Rules,
    tls: Option<Tls>,
    shutdown: Shutdown,
) {
    let app = Arc::new(App::new(state, rules, shutdown));
    server::serve(listeners, tls, app).await;
}

/// What every route has at hand.
struct App {
    gateway: Arc<State>,
    rules: Rules,
    /// Checks Twilio's signatures; `None` without an auth token.
    signatures: Option<Validator>,
    failures: Failures,
    shutdown: Shutdown,
}

impl App {
    fn new(gateway: Arc<State>, rules: Rules, shutdown: Shutdown) -> Self {
        let tokens = &gateway.config.twilio.auth_tokens;
        let signatures = (!tokens.is_empty()).then(|| Validator::new(tokens));
        Self {
            gateway,
            rules,
            signatures,
            failures: Failures::default(),
            shutdown,
        }
    }

    /// Counts a request that is refused for what it is, whoever sent it.
    fn refuse(&self, rejection: Rejection, problem: Problem) -> Problem {
        self.gateway.metrics.rejected(rejection);
        problem
    }

    /// Counts a request that is refused because its sender did not prove who he is. Beyond some
    /// failures a minute he is told to wait; who proves it is never limited.
    fn refuse_sender(&self, visitor: &Visitor, rejection: Rejection, problem: Problem) -> Problem {
        self.gateway.metrics.rejected(rejection);
        match self.failures.count(visitor.client, Instant::now()) {
            Some(secs) => self.refuse(Rejection::RateLimited, Problem::rate_limited(secs)),
            None => problem,
        }
    }
}

/// The routes.
fn router(app: Arc<App>) -> Router {
    let v1 = Router::new()
        .route("/calls", get(api::calls::list).post(api::placing::place))
        .route("/calls/{call_sid}", get(api::calls::one))
        .route("/calls/{call_sid}/hangup", post(api::control::hang_up))
        .route("/calls/{call_sid}/transfer", post(api::control::transfer))
        .route("/calls/{call_sid}/dtmf", post(api::control::press))
        .route(
            "/calls/{call_sid}/listening",
            post(api::listening::start).delete(api::listening::stop),
        )
        .route(
            "/calls/{call_sid}/speak",
            post(api::speak::speak).delete(api::speak::silence),
        )
        .route("/calls/{call_sid}/agent", patch(api::agent::change))
        .route("/calls/{call_sid}/agent/inject", post(api::agent::inject))
        .route("/calls/{call_sid}/events", get(api::events::events));
    Router::new()
        .route("/", get(page::page))
        .route("/healthz", get(operations::healthz))
        .route("/readyz", get(operations::readyz))
        .route("/metrics", get(operations::metrics))
        .route("/voice", get(voice::answer).post(voice::answer))
        .route(
            "/voice/{profile}",
            get(voice::answer_as).post(voice::answer_as),
        )
        .route("/voice/{profile}/next", post(voice::next))
        .route("/twilio/stream-status", post(voice::stream_status))
        .route("/twilio/call-status", post(voice::call_status))
        .route("/twilio", get(media::stream))
        .route("/twilio/", get(media::stream))
        .route("/twilio/{profile}", get(media::stream_as))
        .route("/twilio/{profile}/", get(media::stream_as))
        .route("/media", get(media::default_stream))
        .route("/media/", get(media::default_stream))
        .route("/client", get(client::client))
        .nest("/api/v1", v1)
        .fallback(any(async || Problem::not_found()))
        .method_not_allowed_fallback(async || Problem::method_not_allowed())
        .with_state(app)
}
