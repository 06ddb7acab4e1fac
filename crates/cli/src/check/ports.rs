//! The addresses to listen on: free, held by a running Sidetone, or taken.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use sidetone_gateway::config::{Config, Limits};
use sidetone_gateway::{Gateway, Shutdown, StartError, outbound};
use tokio::task::JoinHandle;
use url::Url;

use super::report::Finding;
use super::{holder, is_of_configuration, public};

pub(super) const NAME: &str = "ports";

/// What came of listening as `serve` does.
pub(super) enum Opened {
    Free(Box<Gateway>),
    Refused(StartError),
}

impl Opened {
    /// Why no gateway starts with this configuration, whatever the ports.
    pub(super) fn refusal(&self) -> Option<&StartError> {
        match self {
            Self::Refused(error) if is_of_configuration(error) => Some(error),
            Self::Refused(_) | Self::Free(_) => None,
        }
    }
}

/// Who answers on the addresses while the public URL is looked at.
pub(super) enum Answering {
    /// A gateway of our own, for the moment.
    StandIn {
        shutdown: Shutdown,
        running: JoinHandle<()>,
    },
    /// A Sidetone that was running before.
    Running,
    Nobody,
}

impl Answering {
    /// Lets go of the addresses.
    pub(super) async fn stop(self) {
        if let Self::StandIn { shutdown, running } = self {
            shutdown.kill.cancel();
            // Its own deadlines end it; that it failed would have shown.
            let _ended = running.await.is_ok();
        }
    }
}

/// Listens as `serve` does, but takes no calls: a caller who comes just now hears what the profile
/// says when the node is full.
pub(super) async fn open(config: &Config) -> Opened {
    let stand_in = Config {
        limits: Limits {
            max_calls: 0,
            ..config.limits
        },
        ..config.clone()
    };
    match Gateway::bind(stand_in).await {
        Ok(gateway) => Opened::Free(Box::new(gateway)),
        Err(error) => Opened::Refused(error),
    }
}

pub(super) async fn check(config: &Config, opened: Opened) -> (Finding, Answering) {
    match opened {
        Opened::Free(gateway) => {
            let addresses = gateway.addresses().iter().map(ToString::to_string);
            let addresses: Vec<String> = addresses.collect();
            let finding = Finding::ok(NAME, format!("{} free", addresses.join(" and ")));
            if config.public_url.is_none() {
                return (finding, Answering::Nobody);
            }
            let shutdown = Shutdown::default();
            let running = tokio::spawn(gateway.run(shutdown.clone()));
            (finding, Answering::StandIn { shutdown, running })
        }
        Opened::Refused(StartError::Bind { address, .. }) if is_sidetone(config, address).await => {
            let finding = Finding::ok(NAME, format!("{address} is held by a running Sidetone"));
            (finding, Answering::Running)
        }
        Opened::Refused(error @ StartError::Bind { address, .. }) => {
            let finding = match holder::of_port(address.port()) {
                Some(holder) => Finding::failed(
                    NAME,
                    format!("{address} is taken by {holder}"),
                    "stop it, or choose another port with SIDETONE_LISTEN",
                ),
                None => Finding::wrong(NAME, error),
            };
            (finding, Answering::Nobody)
        }
        Opened::Refused(_) => {
            let finding = Finding::skipped(NAME, "the configuration comes first");
            (finding, Answering::Nobody)
        }
    }
}

/// Whether a Sidetone answers at an address of this machine.
async fn is_sidetone(config: &Config, address: SocketAddr) -> bool {
    let scheme = match config.tls {
        Some(_) => "https",
        None => "http",
    };
    let base = format!("{scheme}://{}", reachable(address));
    let Ok(url) = base.parse::<Url>() else {
        return false;
    };
    // Its certificate names the public address, not this one; and nothing secret is sent.
    let client = outbound::client(&url).tls_danger_accept_invalid_certs(true);
    let Ok(client) = client.build() else {
        return false;
    };
    matches!(public::echo(&client, &base).await, Ok(Ok(_)))
}

/// An address to connect to for one that is listened on.
fn reachable(address: SocketAddr) -> SocketAddr {
    let ip = match address.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, address.port())
}
