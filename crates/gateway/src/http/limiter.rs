//! Limits failures, never successes: who guesses credentials is slowed down, who has them is not.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// Failures of one client in a window before the further ones get 429.
const FREE_FAILURES: u32 = 60;
const WINDOW: Duration = Duration::from_secs(60);
/// Clients that are told apart; beyond it all new ones count as one.
const MAX_CLIENTS: usize = 10_000;

/// The recent failures, by client.
#[derive(Debug, Default)]
pub(super) struct Failures {
    windows: Mutex<HashMap<IpAddr, Window>>,
}

#[derive(Clone, Copy, Debug)]
struct Window {
    began: Instant,
    failures: u32,
}

impl Failures {
    /// Counts a failure. `Some` when it is one too many: how many seconds to wait, at least 1.
    pub(super) fn count(&self, client: IpAddr, now: Instant) -> Option<u64> {
        let mut windows = self.windows.lock().unwrap_or_else(PoisonError::into_inner);
        let mut client = network_of(client);
        if !windows.contains_key(&client) && windows.len() >= MAX_CLIENTS {
            windows.retain(|_, window| !window.is_over(now));
            if windows.len() >= MAX_CLIENTS {
                client = IpAddr::V6(Ipv6Addr::UNSPECIFIED);
            }
        }
        let fresh = Window {
            began: now,
            failures: 0,
        };
        let window = windows.entry(client).or_insert(fresh);
        if window.is_over(now) {
            *window = fresh;
        }
        window.failures = window.failures.saturating_add(1);
        let left = WINDOW.saturating_sub(now.saturating_duration_since(window.began));
        (window.failures > FREE_FAILURES).then(|| left.as_secs().max(1))
    }
}

impl Window {
    fn is_over(&self, now: Instant) -> bool {
        now.saturating_duration_since(self.began) >= WINDOW
    }
}

/// Who counts as one client: an IPv4 address, or the /64 that an IPv6 client has for itself.
pub(super) fn network_of(client: IpAddr) -> IpAddr {
    match client.to_canonical() {
        IpAddr::V6(address) => {
            IpAddr::V6(Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)))
        }
        v4 @ IpAddr::V4(_) => v4,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn sixty_failures_a_minute_are_free_and_the_next_one_is_limited() {
        let failures = Failures::default();
        let start = Instant::now();
        assert!((0..60).all(|_| failures.count(ip("203.0.113.9"), start).is_none()));
        assert_eq!(
            failures.count(ip("203.0.113.9"), start + Duration::from_secs(20)),
            Some(40)
        );
        assert_eq!(failures.count(ip("203.0.113.10"), start), None);
    }

    #[test]
    fn a_minute_later_failures_are_free_again() {
        let failures = Failures::default();
        let start = Instant::now();
        for _ in 0..100 {
            failures.count(ip("203.0.113.9"), start);
        }
        assert_eq!(failures.count(ip("203.0.113.9"), start + WINDOW), None);
    }

    #[test]
    fn the_addresses_of_one_ipv6_network_are_one_client() {
        let failures = Failures::default();
        let start = Instant::now();
        for host in 1..=60 {
            failures.count(ip(&format!("2001:db8::{host:x}")), start);
        }
        assert!(failures.count(ip("2001:db8::ffff"), start).is_some());
        assert!(failures.count(ip("2001:db8:0:1::1"), start).is_none());
    }

    #[test]
    fn no_number_of_clients_grows_the_table_beyond_its_bound() {
        let failures = Failures::default();
        let start = Instant::now();
        for client in 0..30_000_u32 {
            failures.count(IpAddr::V4(client.into()), start);
        }
        assert!(failures.windows.lock().unwrap().len() <= MAX_CLIENTS + 1);
    }
}
