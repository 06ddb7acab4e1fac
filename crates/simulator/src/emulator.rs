//! The emulated Deepgram, and the emulated REST API of Twilio beside it.
//!
//! Deepgram hears the words that [`crate::voice`] puts into audio and answers as Deepgram does on
//! `/v1/listen`: refusals with their three shapes of bodies, interims that grow, finals, word
//! times, endpointing, utterance ends, keep-alives and idle limits, at Deepgram's pace and with
//! its latency. On `POST /v1/speak` it says texts with such a voice. On `/v1/agent/converse` it
//! does both: it answers what it hears, by simple rules and an [`AgentScript`]. `GET /v1/projects`
//! and `GET /v1/auth/token` check a key.
//!
//! `GET /_emulator/agent` tells what the agents saw; `POST` sets their script, `DELETE` forgets
//! both.
//!
//! Twilio has one account, its numbers and the calls of the phones that share
//! [`Options::exchange`], below `/2010-04-01`. `GET /_emulator/calls` tells what was said and heard
//! on them, and `/_emulator/callees` who answers at which number: `GET` lists, `POST` sets and
//! `DELETE` clears.
//!
//! [Faults](Fault) go wrong on request: told by [`Options::faults`], and while it runs by
//! `/_emulator/faults`, which `GET` lists, `POST` sets and `DELETE` clears.

mod agent;
mod control;
mod credentials;
mod fault;
mod faults;
mod flaws;
mod phones;
mod recognizer;
mod refusal;
mod server;
mod session;
mod socket;
mod speak;
mod stream;
mod telling;
mod trunk;
mod twilio;
mod upgrade;

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use secrecy::SecretString;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::{CancellationToken, DropGuard};
use tokio_util::task::TaskTracker;
use url::Url;

pub use self::agent::{AgentCall, AgentRule, AgentScript, STORED_AGENT_ID};
pub use self::fault::Fault;
use self::faults::Faults;
pub use self::twilio::TwilioAccount;
use crate::phone::Exchange;

/// What the emulator is told.
///
/// The key `fail-NNN` is refused with HTTP status NNN (400 to 599) whatever `api_key` says:
/// `fail-402` has no credit, `fail-429` too many connections, `fail-500`, `fail-502` and
/// `fail-503` are three kinds of trouble with three shapes of bodies.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Where to listen; `None`: a free loopback port.
    pub listen: Option<SocketAddr>,
    /// The only key it takes, as `Token`; `None`: any key, and any `Bearer` token.
    pub api_key: Option<SecretString>,
    /// What goes wrong from the start.
    pub faults: Vec<Fault>,
    /// Seed of all that varies: latencies, confidences, the lengths of windows, how words are
    /// misheard.
    pub seed: u64,
    /// How many requests for speech it takes at once; `None`: 15, as many as Deepgram.
    pub speak_at_once: Option<usize>,
    /// What its voice agents say and do.
    pub agent: AgentScript,
    /// Twilio's account.
    pub twilio: TwilioAccount,
    /// The calls of the phones that share it are those that Twilio's REST API finds.
    pub exchange: Exchange,
}

/// An emulated Deepgram that runs in this process.
///
/// Dropping it ends its connections; [`Emulator::stop`] also waits for its tasks.
#[derive(Debug)]
pub struct Emulator {
    address: SocketAddr,
    tasks: TaskTracker,
    running: DropGuard,
}

impl Emulator {
    /// Starts listening.
    ///
    /// # Errors
    /// When the address cannot be listened on.
    pub async fn start(options: Options) -> std::io::Result<Self> {
        let listen = options
            .listen
            .unwrap_or_else(|| (Ipv4Addr::LOCALHOST, 0).into());
        let listener = TcpListener::bind(listen).await?;
        let address = listener.local_addr()?;
        let tasks = TaskTracker::new();
        let cancelled = CancellationToken::new();
        let faults = Faults::new(options.faults);
        let server = server::Server::new(
            options.api_key,
            options.seed,
            faults.clone(),
            tasks.clone(),
            cancelled.clone(),
        );
        let trunks = trunk::Trunks {
            exchange: options.exchange.clone(),
            tasks: tasks.clone(),
            cancelled: cancelled.clone(),
        };
        let means = twilio::Means {
            faults,
            exchange: options.exchange.clone(),
            seed: options.seed,
            tasks: tasks.clone(),
            cancelled: cancelled.clone(),
        };
        let routes = server
            .clone()
            .routes()
            .merge(speak::routes(server.clone(), options.speak_at_once))
            .merge(agent::routes(server.clone(), options.agent))
            .merge(control::routes(server))
            .merge(phones::routes(options.exchange.clone()))
            .merge(trunk::routes(trunks))
            .nest("/2010-04-01", twilio::routes(options.twilio, means));
        tasks.spawn(accept(listener, routes, tasks.clone(), cancelled.clone()));
        Ok(Self {
            address,
            tasks,
            running: cancelled.drop_guard(),
        })
    }

    /// Its base URL for streams, `ws://ADDRESS/`.
    pub fn url(&self) -> Url {
        self.url_of("ws")
    }

    /// Its base URL for requests, those to Twilio included, `http://ADDRESS/`.
    pub fn http_url(&self) -> Url {
        self.url_of("http")
    }

    fn url_of(&self, scheme: &str) -> Url {
        let mut address = self.address;
        if address.ip().is_unspecified() {
            address.set_ip(match address {
                SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
                SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
            });
        }
        let url = format!("{scheme}://{address}");
        url.parse().expect("a socket address is a URL's authority")
    }

    /// Drops every connection and waits for its tasks.
    pub async fn stop(self) {
        drop(self.running);
        self.tasks.close();
        self.tasks.wait().await;
    }
}

/// Takes connections until cancelled.
async fn accept(
    listener: TcpListener,
    routes: axum::Router,
    tasks: TaskTracker,
    cancelled: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = cancelled.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) => {
                tasks.spawn(
                    cancelled
                        .clone()
                        .run_until_cancelled_owned(serve(stream, routes.clone())),
                );
            }
            Err(error) => {
                // Out of file descriptors, most likely: some connection has to end first.
                tracing::warn!(%error, "Emulated Deepgram cannot accept a connection.");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

/// Serves one connection's requests, up to an upgrade.
async fn serve(stream: TcpStream, routes: axum::Router) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY is refused.");
    }
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_LIMIT)
        .max_buf_size(MAX_HEADER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
        .with_upgrades()
        .await;
    if let Err(error) = served {
        tracing::debug!(%error, "A connection to emulated Deepgram broke off.");
    }
}

const ACCEPT_PAUSE: Duration = Duration::from_millis(100);
const HEADER_LIMIT: Duration = Duration::from_secs(10);
const MAX_HEADER_BYTES: usize = 64 << 10;

#[cfg(test)]
mod tests;
