//! The accept loop: every socket has a place, a deadline and an owner.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Request};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinError, JoinSet};
use tokio::time::{sleep, timeout};
use tower::ServiceExt;
use tracing::{debug, error, warn};

use super::connections::{Connections, Place};
use super::cors;
use super::problem::Problem;
use super::stall::StallGuard;
use super::{App, Tls, router};
use crate::metrics::Rejection;

/// The longest request header and the most fields that are served. hyper itself stops at four
/// times the bytes and at 100 fields, with a bare 431: between the two the answer can say why.
const MAX_HEADER_BYTES: usize = 16 * 1024;
const MAX_HEADER_FIELDS: usize = 64;
const HARD_MAX_HEADER_BYTES: usize = 4 * MAX_HEADER_BYTES;

/// From a complete request header to the beginning of the answer.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(30);

/// How long what is under way may go on after the drain.
const GRACE: Duration = Duration::from_secs(3);

/// After an accept that failed for a reason that does not pass by itself, such as no more file
/// descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until the drain, then for a short while what is under way.
pub(super) async fn serve(listeners: Vec<TcpListener>, tls: Option<Tls>, app: Arc<App>) {
    let limits = app.gateway.config.limits;
    let metrics = app.gateway.metrics.clone();
    let server = Arc::new(Server {
        router: router(Arc::clone(&app)),
        connections: Arc::new(Connections::new(limits.max_connections, metrics)),
        http: http(limits.header_timeout),
        tls,
        app,
    });
    let mut loops = JoinSet::new();
    for listener in listeners {
        loops.spawn(accept_loop(listener, Arc::clone(&server)));
    }
    while let Some(ended) = loops.join_next().await {
        tell_panic(ended);
    }
}

struct Server {
    app: Arc<App>,
    router: Router,
    connections: Arc<Connections>,
    http: http1::Builder,
    tls: Option<Tls>,
}

fn http(header_timeout: Duration) -> http1::Builder {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(header_timeout)
        .max_header_size(HARD_MAX_HEADER_BYTES)
        .max_buf_size(HARD_MAX_HEADER_BYTES);
    http
}

async fn accept_loop(listener: TcpListener, server: Arc<Server>) {
    let mut sockets = JoinSet::new();
    loop {
        tokio::select! {
            () = server.app.shutdown.drain.cancelled() => break,
            Some(ended) = sockets.join_next() => tell_panic(ended),
            accepted = listener.accept() => match accepted {
                Ok((socket, peer)) => {
                    if let Some(place) = server.admit(peer) {
                        sockets.spawn(Arc::clone(&server).serve_socket(socket, peer.ip(), place));
                    }
                }
                Err(error) if passes(&error) => {}
                Err(error) => {
                    warn!(%error, "No connection can be accepted; trying again.");
                    sleep(ACCEPT_PAUSE).await;
                }
            },
        }
    }
    drop(listener);
    let ending = timeout(GRACE, async {
        while let Some(ended) = sockets.join_next().await {
            tell_panic(ended);
        }
    });
    let in_time = server.app.shutdown.kill.run_until_cancelled(ending).await;
    if !matches!(in_time, Some(Ok(()))) {
        debug!(
            open = sockets.len(),
            "Sockets that did not end in time are closed."
        );
        sockets.shutdown().await;
    }
}

/// Whether an error of `accept` is of the one connection that was to be accepted.
fn passes(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionRefused
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
    )
}

fn tell_panic(ended: Result<(), JoinError>) {
    if let Err(panic) = ended
        && panic.is_panic()
    {
        error!(%panic, "A connection's task failed; this is a fault of Sidetone.");
    }
}

impl Server {
    fn admit(&self, peer: SocketAddr) -> Option<Place> {
        let is_proxy = self.app.rules.trusts_proxy(peer.ip());
        self.connections
            .admit(peer.ip(), is_proxy)
            .inspect_err(|rejection| {
                self.app.gateway.metrics.rejected(*rejection);
                debug!(%peer, ?rejection, "A connection was refused.");
            })
            .ok()
    }

    async fn serve_socket(self: Arc<Self>, socket: TcpStream, peer: IpAddr, place: Place) {
        if let Err(error) = socket.set_nodelay(true) {
            debug!(%peer, %error, "A connection was lost as it began.");
            return;
        }
        let socket = StallGuard::new(socket, Some(place));
        let Some(tls) = &self.tls else {
            return self.serve_http(socket, peer).await;
        };
        let deadline = self.app.gateway.config.limits.header_timeout;
        match timeout(deadline, tls.accept(socket)).await {
            Ok(Ok(socket)) => self.serve_http(socket, peer).await,
            Ok(Err(error)) => {
                self.app.gateway.metrics.rejected(Rejection::Tls);
                debug!(%peer, %error, "A TLS handshake failed.");
            }
            Err(_elapsed) => {
                self.app.gateway.metrics.rejected(Rejection::HeaderTimeout);
                debug!(%peer, "A TLS handshake took too long.");
            }
        }
    }

    async fn serve_http<S>(self: &Arc<Self>, socket: S, peer: IpAddr)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let served = AtomicBool::new(false);
        let service = service_fn(|request| {
            served.store(true, Ordering::Relaxed);
            let server = Arc::clone(self);
            async move { Ok::<_, std::convert::Infallible>(server.respond(peer, request).await) }
        });
        let io = TokioIo::new(socket);
        let mut connection = pin!(self.http.serve_connection(io, service).with_upgrades());
        let outcome = tokio::select! {
            outcome = connection.as_mut() => outcome,
            () = self.app.shutdown.drain.cancelled() => {
                connection.as_mut().graceful_shutdown();
                connection.await
            }
        };
        if let Err(error) = outcome {
            self.count(&error, served.load(Ordering::Relaxed), peer);
        }
    }

    /// Counts what a connection failed of, unless its peer just left.
    fn count(&self, error: &hyper::Error, served: bool, peer: IpAddr) {
        let rejection = match () {
            // A connection that is kept alive and idle ends by the same timer.
            () if error.is_timeout() && served => None,
            () if error.is_timeout() => Some(Rejection::HeaderTimeout),
            () if error.is_parse_too_large() => Some(Rejection::HeaderTooLarge),
            () if error.is_parse() => Some(Rejection::NotHttp),
            () => None,
        };
        if let Some(rejection) = rejection {
            self.app.gateway.metrics.rejected(rejection);
        }
        debug!(%peer, %error, ?rejection, "A connection ended early.");
    }

    async fn respond(self: Arc<Self>, peer: IpAddr, request: Request<Incoming>) -> Response {
        let rules = &self.app.rules;
        let fields = cors::fields(rules, request.headers());
        let mut response = match cors::preflight(rules, request.method(), request.headers()) {
            Some(preflight) => preflight,
            None => self.answer(peer, request).await,
        };
        response.headers_mut().extend(fields);
        response
    }

    async fn answer(&self, peer: IpAddr, request: Request<Incoming>) -> Response {
        let request = match self.checked(peer, request) {
            Ok(request) => request,
            Err(problem) => return problem.into_response(),
        };
        match timeout(REQUEST_TIMEOUT, self.router.clone().oneshot(request)).await {
            Ok(Ok(response)) => response,
            Ok(Err(never)) => match never {},
            Err(_elapsed) => {
                let problem = Problem::request_timeout();
                self.app
                    .refuse(Rejection::RequestTimeout, problem)
                    .into_response()
            }
        }
    }

    /// A request with its visitor, or why it gets no further, whatever it asks for.
    fn checked(&self, peer: IpAddr, request: Request<Incoming>) -> Result<Request<Body>, Problem> {
        let (mut parts, body) = request.into_parts();
        if is_too_large(&parts) {
            return Err(self
                .app
                .refuse(Rejection::HeaderTooLarge, Problem::header_too_large()));
        }
        let visitor = self.app.rules.visitor(peer, &parts);
        let visitor = visitor.map_err(|(why, problem)| self.app.refuse(why, problem))?;
        parts.extensions.insert(visitor);
        Ok(Request::from_parts(parts, Body::new(body)))
    }
}

fn is_too_large(parts: &Parts) -> bool {
    let target_bytes = parts
        .uri
        .path_and_query()
        .map_or(0, |target| target.as_str().len());
    let field_bytes = |(name, value): (&HeaderName, &HeaderValue)| {
        name.as_str().len() + value.len() + ": \r\n".len()
    };
    let bytes = target_bytes + parts.headers.iter().map(field_bytes).sum::<usize>();
    bytes > MAX_HEADER_BYTES || parts.headers.len() > MAX_HEADER_FIELDS
}

#[cfg(test)]
mod tests;
