//! Starting, running and draining.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpSocket};
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use crate::calls::{
    Calls, Dialer, DialerError, Functions, Services, Speaker, Store, StreamAuthSecret,
};
use crate::config::{self, Config};
use crate::http;
use crate::metrics::Metrics;
use crate::twilio_rest::{TwilioError, TwilioRest};

/// How long calls get, after the drain time, to hear their last finals and write their end.
const LAST_WORDS: Duration = Duration::from_secs(10);

/// How long the archive, and then everything that still runs, gets at the very end.
const LAST_WRITES: Duration = Duration::from_secs(5);

/// The same when it is to end at once.
const LAST_WRITES_KILLED: Duration = Duration::from_secs(1);

/// What the system keeps for a peer that does not read: left to itself it is up to 4 MB for each.
/// Enough for 2.5 MB a second to the other side of the world.
const SEND_BUFFER_BYTES: u32 = 128 * 1024;

/// Connections that may wait to be accepted.
const BACKLOG: u32 = 1024;

/// The gateway could not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StartError {
    /// An address could not be listened on.
    #[error("cannot listen on {address}: {hint}")]
    Bind {
        /// Which address.
        address: SocketAddr,
        /// Why, and what to do: for a port in use, who may hold it.
        hint: String,
    },
    /// A public address or URL without Twilio's auth token.
    #[error("{0}")]
    Unsafe(String),
    /// A setting is not what it has to be.
    #[error("{0}")]
    Setting(String),
    /// Deepgram can never be reached with this configuration or on this machine.
    #[error("cannot prepare the connection to Deepgram")]
    Deepgram(#[source] DialerError),
    /// TLS is not to be had, and the functions of agents need it.
    #[error("cannot prepare to call functions; are the system's CA certificates installed?")]
    Functions(#[source] reqwest::Error),
}

/// The two steps of going down.
#[derive(Clone, Debug, Default)]
pub struct Shutdown {
    /// Take no new calls; end when the live ones have ended or the drain time is over.
    pub drain: CancellationToken,
    /// End at once.
    pub kill: CancellationToken,
}

/// What every part of the gateway shares.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) config: Arc<Config>,
    pub(crate) calls: Arc<Calls>,
    pub(crate) metrics: Metrics,
    /// Why not, when Twilio's REST API cannot be asked.
    pub(crate) twilio: Arc<Result<TwilioRest, TwilioError>>,
    /// Signs the `auth` parameter of the streams that this process asks Twilio for.
    pub(crate) stream_auth: StreamAuthSecret,
    pub(crate) started: Instant,
    /// Every task of the gateway, so that its end can wait for them.
    pub(crate) tasks: TaskTracker,
}

/// A gateway that listens.
#[derive(Debug)]
pub struct Gateway {
    listeners: Vec<TcpListener>,
    tls: Option<http::Tls>,
    rules: http::Rules,
    addresses: Vec<SocketAddr>,
    state: Arc<State>,
    speaker: Arc<Speaker>,
    /// Ends the calls' tasks.
    kill: CancellationToken,
}

impl Gateway {
    /// Checks the configuration's safety rules and binds the addresses. Calls are kept in memory.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind(config: Config) -> Result<Self, StartError> {
        Self::bind_with(config, Store::default()).await
    }

    /// The same with calls and events kept in `archive`.
    ///
    /// # Errors
    /// See [`StartError`].
    pub async fn bind_with(config: Config, archive: Store) -> Result<Self, StartError> {
        refuse_unsafe(&config)?;
        refuse_destinations(&config)?;
        let rules =
            http::Rules::new(&config).map_err(|error| StartError::Setting(error.to_string()))?;
        let tls = config.tls.as_ref().map(http::Tls::new).transpose();
        let tls = tls.map_err(|error| StartError::Setting(error.to_string()))?;
        let dialer = Dialer::new(&config.deepgram).map_err(StartError::Deepgram)?;
        let speaker = Speaker::new(&config.deepgram, config.speak_cache.clone());
        let speaker = Arc::new(speaker.map_err(StartError::Deepgram)?);
        let functions = Functions::new(&config).map_err(StartError::Functions)?;
        let listeners = listen(&config.listen)?;
        let addresses = listeners
            .iter()
            .filter_map(|l| l.local_addr().ok())
            .collect();

        let config = Arc::new(config);
        let metrics = Metrics::new();
        let tasks = TaskTracker::new();
        let kill = CancellationToken::new();
        let twilio = Arc::new(TwilioRest::new(&config.twilio));
        let services = Services {
            config: Arc::clone(&config),
            metrics: metrics.clone(),
            dialer: Arc::new(dialer),
            speaker: Arc::clone(&speaker),
            functions: Arc::new(functions),
            tasks: tasks.clone(),
            twilio: Arc::clone(&twilio),
            kill: kill.clone(),
        };
        let calls = Arc::new(Calls::new(services, archive));
        let stream_auth = StreamAuthSecret::random();
        let started = Instant::now();
        let state = Arc::new(State {
            config,
            calls,
            metrics,
            twilio,
            stream_auth,
            started,
            tasks,
        });
        Ok(Self {
            listeners,
            tls,
            rules,
            addresses,
            state,
            speaker,
            kill,
        })
    }

    /// The addresses it listens on, ports resolved.
    pub fn addresses(&self) -> &[SocketAddr] {
        &self.addresses
    }

    /// Its calls: for an in-process reader such as the terminal.
    pub fn calls(&self) -> Arc<Calls> {
        Arc::clone(&self.state.calls)
    }

    /// Serves until `shutdown`; returns when every call has ended and everything is written.
    ///
    /// While it drains it goes on answering: live calls get their status callbacks and further
    /// streams, readers their last events.
    pub async fn run(self, shutdown: Shutdown) {
        let Self {
            listeners,
            tls,
            rules,
            state,
            speaker,
            kill,
            ..
        } = self;
        let calls = Arc::clone(&state.calls);
        let stop_writing = CancellationToken::new();
        let writing = stop_writing.clone();
        let mut writer = state.tasks.spawn({
            let calls = Arc::clone(&calls);
            async move { writing.run_until_cancelled(calls.write()).await }
        });
        let greetings = state.config.greetings();
        let warming = kill
            .clone()
            .run_until_cancelled_owned(speaker.warm(greetings));
        state.tasks.spawn(warming);
        let serving = Shutdown {
            drain: CancellationToken::new(),
            kill: shutdown.kill.clone(),
        };
        let server = http::serve(listeners, Arc::clone(&state), rules, tls, serving.clone());
        let mut server = state.tasks.spawn(server);

        let drained = async {
            shutdown.drain.cancelled().await;
            drain(&calls, state.config.drain).await;
        };
        let patience = tokio::select! {
            () = drained => LAST_WRITES,
            () = shutdown.kill.cancelled() => {
                warn!("Ending at once; live calls are cut off.");
                LAST_WRITES_KILLED
            }
            // Neither ends by itself before it is told to.
            _ = &mut writer => {
                error!("The writer of events failed; ending.");
                LAST_WRITES_KILLED
            }
            _ = &mut server => {
                error!("The HTTP server failed; ending.");
                LAST_WRITES
            }
        };
        serving.drain.cancel();
        kill.cancel();
        let written = async {
            calls.idle().await;
            calls.stored().await;
        };
        if timeout(patience, written).await.is_err() {
            error!("The last events of some calls could not be written.");
        }
        stop_writing.cancel();
        state.tasks.close();
        if timeout(patience, state.tasks.wait()).await.is_err() {
            let tasks = state.tasks.len();
            warn!(tasks, "Some connections did not end in time.");
        }
    }
}

/// Lets the live calls go on for a while, then ends them.
async fn drain(calls: &Arc<Calls>, patience: Duration) {
    calls.drain();
    let live = calls.live().len();
    info!(
        live,
        drain_secs = patience.as_secs(),
        "Draining: no new calls are taken."
    );
    if timeout(patience, calls.idle()).await.is_ok() {
        return;
    }
    info!(
        live = calls.live().len(),
        "The drain time is over; live calls are ended."
    );
    calls.shut_down().await;
    if timeout(LAST_WORDS, calls.idle()).await.is_err() {
        error!(
            live = calls.live().len(),
            "Some calls did not end in time and are cut off."
        );
    }
}

fn refuse_unsafe(config: &Config) -> Result<(), StartError> {
    if config.insecure || !config.twilio.auth_tokens.is_empty() {
        return Ok(());
    }
    let public = match (&config.public_url, config.public_address()) {
        (Some(url), _) => format!("with the public URL {url}"),
        (None, Some(address)) => format!("on {address}, which is not a loopback address"),
        (None, None) => return Ok(()),
    };
    Err(StartError::Unsafe(format!(
        "anyone could send calls to a gateway {public}, for it has no Twilio auth token to check \
         signatures with: set TWILIO_AUTH_TOKEN, or say --insecure"
    )))
}

/// A number that may not be dialled would be found out when somebody waits for it.
fn refuse_destinations(config: &Config) -> Result<(), StartError> {
    for (name, profile) in &config.profiles {
        let numbers = profile.agent.iter().flat_map(config::Agent::numbers);
        let mut forbidden = numbers.filter(|(_, number)| !config.twilio.may_dial(number));
        if let Some((what, number)) = forbidden.next() {
            return Err(StartError::Setting(format!(
                "profile `{name}`: {what} may not be dialled: {number} begins with none of \
                 twilio.allow_destinations"
            )));
        }
    }
    Ok(())
}

fn listen(addresses: &[SocketAddr]) -> Result<Vec<TcpListener>, StartError> {
    let mut listeners = Vec::with_capacity(addresses.len());
    let mut unavailable = None;
    for &address in addresses {
        match listen_on(address) {
            Ok(listener) => listeners.push(listener),
            // The default names both loopback addresses, and many a machine has only one.
            Err(source) if address.ip().is_loopback() && is_missing_family(&source) => {
                unavailable = Some(bind_error(address, &source));
            }
            Err(source) => return Err(bind_error(address, &source)),
        }
    }
    match unavailable {
        Some(error) if listeners.is_empty() => Err(error),
        Some(error) => {
            warn!(%error, "One of the loopback addresses is not there; listening on the others.");
            Ok(listeners)
        }
        None => Ok(listeners),
    }
}

fn listen_on(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    // As `TcpListener::bind` does: an address is free again as soon as its process has ended.
    #[cfg(unix)]
    socket.set_reuseaddr(true)?;
    socket.set_send_buffer_size(SEND_BUFFER_BYTES)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

fn is_missing_family(error: &io::Error) -> bool {
    const EAFNOSUPPORT_LINUX: i32 = 97;
    error.kind() == io::ErrorKind::AddrNotAvailable
        || error.raw_os_error() == Some(EAFNOSUPPORT_LINUX)
}

fn bind_error(address: SocketAddr, error: &io::Error) -> StartError {
    let port = address.port();
    let hint = match error.kind() {
        io::ErrorKind::AddrInUse if cfg!(target_os = "macos") && port == 5000 => {
            "the port is taken, on macOS usually by AirPlay Receiver: turn it off in System \
             Settings, General, AirDrop & Handoff, or choose another port with SIDETONE_LISTEN"
                .to_owned()
        }
        io::ErrorKind::AddrInUse => {
            let lister = if cfg!(target_os = "macos") {
                format!("lsof -nP -iTCP:{port} -sTCP:LISTEN")
            } else {
                format!("ss -ltnp 'sport = :{port}'")
            };
            format!(
                "the port is taken, perhaps by another sidetone: `{lister}` shows by whom; or \
                 choose another port with SIDETONE_LISTEN"
            )
        }
        io::ErrorKind::AddrNotAvailable => {
            "no interface of this machine has that address".to_owned()
        }
        io::ErrorKind::PermissionDenied => {
            "not permitted; ports below 1024 are often reserved for the system".to_owned()
        }
        _ => error.to_string(),
    };
    StartError::Bind { address, hint }
}

#[cfg(test)]
mod tests;
