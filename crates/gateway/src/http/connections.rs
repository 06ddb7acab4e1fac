//! How many sockets may be open, over all peers and for each.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};

use super::limiter::network_of;
use crate::metrics::{Held, Metrics, Rejection};

/// Counts the open sockets.
#[derive(Debug)]
pub(super) struct Connections {
    max: usize,
    open: Mutex<Open>,
    metrics: Metrics,
}

#[derive(Debug, Default)]
struct Open {
    total: usize,
    by_peer: HashMap<IpAddr, usize>,
}

/// A socket's place among the open ones; given back when it is dropped.
#[derive(Debug)]
pub(super) struct Place {
    connections: Arc<Connections>,
    peer: IpAddr,
    _counted: Held,
}

impl Connections {
    pub(super) fn new(max: usize, metrics: Metrics) -> Self {
        Self {
            max,
            open: Mutex::default(),
            metrics,
        }
    }

    /// A place for a socket of this peer.
    ///
    /// One peer gets a quarter of all places, so that it cannot take them from the others. Loopback
    /// gets half, since all who come through a local tunnel are that one peer; a trusted proxy is
    /// not limited by itself.
    pub(super) fn admit(
        self: &Arc<Self>,
        peer: IpAddr,
        is_proxy: bool,
    ) -> Result<Place, Rejection> {
        let peer = network_of(peer);
        let max_of_peer = match peer {
            _ if is_proxy => self.max,
            _ if peer.is_loopback() => self.max.div_ceil(2),
            _ => self.max.div_ceil(4),
        };
        let mut open = self.open.lock().unwrap_or_else(PoisonError::into_inner);
        if open.total >= self.max {
            return Err(Rejection::TooManyConnections);
        }
        let of_peer = open.by_peer.get(&peer).copied().unwrap_or(0);
        if of_peer >= max_of_peer {
            return Err(Rejection::TooManyConnectionsFromClient);
        }
        open.total += 1;
        open.by_peer.insert(peer, of_peer + 1);
        drop(open);
        let counted = self.metrics.connection();
        Ok(Place {
            connections: Arc::clone(self),
            peer,
            _counted: counted,
        })
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut open = self
            .connections
            .open
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        open.total -= 1;
        if let Some(of_peer) = open.by_peer.get_mut(&self.peer) {
            *of_peer -= 1;
            if *of_peer == 0 {
                open.by_peer.remove(&self.peer);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn connections(max: usize) -> Arc<Connections> {
        Arc::new(Connections::new(max, Metrics::new()))
    }

    /// Takes places until there are no more; how many there were and why there are no more.
    fn exhaust(
        connections: &Arc<Connections>,
        peer: &str,
        is_proxy: bool,
        taken: &mut Vec<Place>,
    ) -> (usize, Rejection) {
        let before = taken.len();
        loop {
            match connections.admit(ip(peer), is_proxy) {
                Ok(place) => taken.push(place),
                Err(rejection) => return (taken.len() - before, rejection),
            }
        }
    }

    #[test]
    fn one_peer_leaves_places_for_the_others() {
        let (connections, mut taken) = (connections(100), Vec::new());
        let by_peer = Rejection::TooManyConnectionsFromClient;
        assert_eq!(
            exhaust(&connections, "203.0.113.9", false, &mut taken),
            (25, by_peer)
        );
        assert_eq!(
            exhaust(&connections, "127.0.0.1", false, &mut taken),
            (50, by_peer)
        );
        assert!(connections.admit(ip("203.0.113.10"), false).is_ok());
    }

    #[test]
    fn nobody_gets_more_than_all_places() {
        let (connections, mut taken) = (connections(100), Vec::new());
        let all = (100, Rejection::TooManyConnections);
        assert_eq!(exhaust(&connections, "10.0.0.1", true, &mut taken), all);
    }

    #[test]
    fn a_place_is_given_back_when_its_socket_is_gone() {
        let (connections, mut taken) = (connections(4), Vec::new());
        exhaust(&connections, "203.0.113.9", false, &mut taken);
        taken.clear();
        assert!(connections.admit(ip("203.0.113.9"), false).is_ok());
        assert!(connections.open.lock().unwrap().by_peer.is_empty());
    }
}
