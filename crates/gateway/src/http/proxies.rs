//! Trusted proxies: whose word about the client and the address counts.

use std::net::{IpAddr, SocketAddr};
use std::str::FromStr;

use http::header::{FORWARDED, VIA};
use http::{HeaderMap, HeaderName};

/// One address or a CIDR range.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct AddressRange {
    network: IpAddr,
    prefix_bits: u8,
}

/// The proxies that are believed.
#[derive(Clone, Debug, Default)]
pub(super) struct Proxies(Vec<AddressRange>);

impl Proxies {
    pub(super) const fn new(ranges: Vec<AddressRange>) -> Self {
        Self(ranges)
    }

    /// Whether the headers of this peer are believed.
    pub(super) fn trusts(&self, peer: IpAddr) -> bool {
        self.0.iter().any(|range| range.contains(peer))
    }

    /// Who sent a request: the peer, or, behind trusted proxies, the last address of
    /// `X-Forwarded-For` that is not one of them. What stands further left is anybody's claim.
    pub(super) fn client(&self, peer: IpAddr, headers: &HeaderMap) -> IpAddr {
        if !self.trusts(peer) {
            return peer;
        }
        let mut client = peer;
        for hop in values(headers, "x-forwarded-for").rev() {
            let Some(address) = parse_address(hop) else {
                break;
            };
            client = address;
            if !self.trusts(address) {
                break;
            }
        }
        client
    }
}

/// The rightmost value of a header that proxies write: the one written by the nearest.
pub(super) fn nearest<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    values(headers, name)
        .next_back()
        .filter(|value| !value.is_empty())
}

/// Whether any header tells that the request went through a proxy.
pub(super) fn was_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(is_forwarding)
}

/// Whether this header is one that proxies write.
pub(super) fn is_forwarding(name: &HeaderName) -> bool {
    const NAMES: [&str; 5] = [
        "x-real-ip",
        "x-client-ip",
        "true-client-ip",
        "cf-connecting-ip",
        "fly-client-ip",
    ];
    name == FORWARDED
        || name == VIA
        || NAMES.contains(&name.as_str())
        || name.as_str().starts_with("x-forwarded")
        || name.as_str().starts_with("x-original-")
}

/// The members of a comma list that may be spread over several header lines.
fn values<'a>(headers: &'a HeaderMap, name: &str) -> impl DoubleEndedIterator<Item = &'a str> {
    let lines: Vec<_> = headers.get_all(name).iter().collect();
    lines
        .into_iter()
        .flat_map(|line| line.to_str().unwrap_or("").split(',').map(str::trim))
}

fn parse_address(hop: &str) -> Option<IpAddr> {
    let address = hop
        .parse::<IpAddr>()
        .or_else(|_| hop.parse::<SocketAddr>().map(|with_port| with_port.ip()))
        .ok()?;
    Some(address.to_canonical())
}

impl AddressRange {
    /// Whether an address lies in the range. A range of IPv4 addresses holds their IPv6 spelling.
    pub(super) fn contains(self, address: IpAddr) -> bool {
        match (self.network, address.to_canonical()) {
            (IpAddr::V4(network), IpAddr::V4(address)) => same_prefix(
                network.to_bits().into(),
                address.to_bits().into(),
                32,
                self.prefix_bits,
            ),
            (IpAddr::V6(network), IpAddr::V6(address)) => {
                same_prefix(network.to_bits(), address.to_bits(), 128, self.prefix_bits)
            }
            (IpAddr::V4(_), IpAddr::V6(_)) | (IpAddr::V6(_), IpAddr::V4(_)) => false,
        }
    }
}

fn same_prefix(network: u128, address: u128, width: u8, prefix_bits: u8) -> bool {
    let differing = network ^ address;
    differing
        .checked_shr(u32::from(width - prefix_bits))
        .unwrap_or(0)
        == 0
}

impl FromStr for AddressRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || format!("`{text}` is neither an address nor a range such as 10.0.0.0/8");
        let (network, bits) = match text.split_once('/') {
            Some((network, bits)) => (network, Some(bits)),
            None => (text, None),
        };
        let network: IpAddr = network.parse().map_err(|_| wrong())?;
        let width = if network.is_ipv4() { 32 } else { 128 };
        let prefix_bits = bits
            .map_or(Ok(width), |bits| bits.parse())
            .map_err(|_| wrong())?;
        if prefix_bits > width {
            return Err(wrong());
        }
        Ok(Self {
            network,
            prefix_bits,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(ranges: &[&str]) -> Proxies {
        Proxies::new(ranges.iter().map(|range| range.parse().unwrap()).collect())
    }

    fn forwarded_for(lines: &[&str]) -> HeaderMap {
        lines
            .iter()
            .map(|line| {
                (
                    http::HeaderName::from_static("x-forwarded-for"),
                    line.parse().unwrap(),
                )
            })
            .collect()
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_range_holds_its_addresses_and_no_others() {
        let proxies = proxies(&["10.0.0.0/8", "192.0.2.7", "2001:db8::/32"]);
        for inside in [
            "10.255.0.1",
            "192.0.2.7",
            "2001:db8:ffff::1",
            "::ffff:10.1.2.3",
        ] {
            assert!(proxies.trusts(ip(inside)), "{inside}");
        }
        for outside in ["11.0.0.0", "192.0.2.8", "2001:db9::1", "::1"] {
            assert!(!proxies.trusts(ip(outside)), "{outside}");
        }
    }

    #[test]
    fn a_range_of_no_bits_holds_every_address_of_its_family() {
        assert!(proxies(&["0.0.0.0/0"]).trusts(ip("203.0.113.9")));
        assert!(proxies(&["::/0"]).trusts(ip("2001:db8::1")));
    }

    #[test]
    fn what_is_no_range_is_refused() {
        for text in [
            "",
            "10.0.0.0/33",
            "::/129",
            "example.com",
            "10.0.0.0/",
            "10.0.0.0/-1",
        ] {
            assert!(text.parse::<AddressRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_stranger_cannot_claim_to_be_somebody_else() {
        let client =
            proxies(&["10.0.0.1"]).client(ip("203.0.113.9"), &forwarded_for(&["127.0.0.1"]));
        assert_eq!(client, ip("203.0.113.9"));
    }

    #[test]
    fn the_last_address_that_no_trusted_proxy_has_is_the_client() {
        let proxies = proxies(&["10.0.0.0/8"]);
        let lines = forwarded_for(&["127.0.0.1, 203.0.113.9", "198.51.100.4:4711, 10.0.0.2"]);
        assert_eq!(proxies.client(ip("10.0.0.1"), &lines), ip("198.51.100.4"));
        assert_eq!(
            proxies.client(ip("10.0.0.1"), &HeaderMap::new()),
            ip("10.0.0.1")
        );
        assert_eq!(
            proxies.client(ip("10.0.0.1"), &forwarded_for(&["unknown"])),
            ip("10.0.0.1")
        );
    }
}
