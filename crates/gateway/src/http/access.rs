//! Who may come in: the rules for `Host`, `Origin`, loopback and proxies.

use std::net::IpAddr;

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderMap, HeaderValue, Method, Version, header};
use url::{Origin, Url};

use super::base::{Base, is_loopback_host, parse_host};
use super::problem::Problem;
use super::proxies::{Proxies, nearest, was_forwarded};
use crate::config::Config;
use crate::metrics::Rejection;

/// Stands for the host of a request that names none.
const NO_HOST: &str = "localhost";

/// An entry of the configuration that is not what it has to be.
#[derive(Debug, thiserror::Error)]
#[error("{key}: {problem}")]
pub(crate) struct RuleError {
    key: &'static str,
    problem: String,
}

/// The configuration's rules, ready to be applied.
#[derive(Debug)]
pub(crate) struct Rules {
    trust_loopback: bool,
    public: Option<Base>,
    /// Whether sockets speak TLS with us and not with a proxy.
    serves_tls: bool,
    allowed_origins: Vec<Origin>,
    proxies: Proxies,
}

/// Who sent a request, and how it reached us.
#[derive(Clone, Debug)]
pub(super) struct Visitor {
    /// The client; behind a trusted proxy, the one that it names.
    pub(super) client: IpAddr,
    /// How the outside reaches this gateway.
    pub(super) base: Base,
    /// What the request may do.
    pub(super) access: Access,
}

/// What a request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Access {
    /// Everything.
    Admin,
    /// Only what is everyone's.
    Denied,
}

impl Rules {
    /// Reads them from the configuration.
    pub(crate) fn new(config: &Config) -> Result<Self, RuleError> {
        let origins = config
            .allowed_origins
            .iter()
            .map(|origin| parse_origin(origin));
        let proxies = config.trusted_proxies.iter().map(|range| range.parse());
        Ok(Self {
            trust_loopback: config.trusts_loopback(),
            public: config.public_url.as_ref().map(Base::configured),
            serves_tls: config.tls.is_some(),
            allowed_origins: origins
                .collect::<Result<_, _>>()
                .map_err(|problem| RuleError {
                    key: "server.allowed_origins",
                    problem,
                })?,
            proxies: proxies
                .collect::<Result<_, _>>()
                .map(Proxies::new)
                .map_err(|problem| RuleError {
                    key: "server.trusted_proxies",
                    problem,
                })?,
        })
    }

    /// Whether this peer is a proxy that is believed.
    pub(super) fn trusts_proxy(&self, peer: IpAddr) -> bool {
        self.proxies.trusts(peer)
    }

    /// Says who sent a request, or why it is refused whoever sent it.
    pub(super) fn visitor(
        &self,
        peer: IpAddr,
        request: &Parts,
    ) -> Result<Visitor, (Rejection, Problem)> {
        let host = the_host(request)
            .map_err(|detail| (Rejection::Host, Problem::invalid_request(detail)))?;
        let headers = &request.headers;
        let base = self.base(peer, headers, host.as_ref());
        let foreign = headers
            .get_all(header::ORIGIN)
            .iter()
            .any(|origin| !self.is_own_origin(origin.to_str().unwrap_or(""), &base, host.as_ref()));
        if foreign && (changes_state(&request.method) || is_upgrade(headers)) {
            let detail = "Pages of this origin may not do that: see server.allowed_origins.";
            return Err((Rejection::Origin, Problem::forbidden(detail)));
        }
        let trusted = self.trust_loopback
            && peer.to_canonical().is_loopback()
            && host
                .as_ref()
                .is_some_and(|host| is_loopback_host(host.host()))
            && !was_forwarded(headers)
            && !foreign;
        let access = if trusted {
            Access::Admin
        } else {
            Access::Denied
        };
        Ok(Visitor {
            client: self.proxies.client(peer, headers),
            base,
            access,
        })
    }

    /// The configured public URL, else what a trusted proxy says, else `Host`.
    fn base(&self, peer: IpAddr, headers: &HeaderMap, host: Option<&Authority>) -> Base {
        if let Some(public) = &self.public {
            return public.clone();
        }
        let told = |name| {
            self.proxies
                .trusts(peer)
                .then(|| nearest(headers, name))
                .flatten()
        };
        let https = told("x-forwarded-proto")
            .map_or(self.serves_tls, |proto| proto.eq_ignore_ascii_case("https"));
        let forwarded_host = told("x-forwarded-host").and_then(parse_host);
        let host = forwarded_host.as_ref().or(host).cloned();
        Base::seen(https, &host.unwrap_or(Authority::from_static(NO_HOST)))
    }

    /// Whether a page of this origin is one of ours: the public address, the address that the
    /// request itself went to, or one that the operator allows.
    fn is_own_origin(&self, origin: &str, base: &Base, host: Option<&Authority>) -> bool {
        let Ok(origin) = parse_origin(origin) else {
            return false;
        };
        let same_host = ["http", "https"]
            .into_iter()
            .filter_map(|scheme| Url::parse(&format!("{scheme}://{}", host?)).ok())
            .any(|url| url.origin() == origin);
        same_host
            || base.origin().as_ref() == Some(&origin)
            || self.allowed_origins.contains(&origin)
    }

    /// Whether the operator allows pages of other origins.
    pub(super) fn allows_origins(&self) -> bool {
        !self.allowed_origins.is_empty()
    }

    /// The origin of a request's page, when it is one that the operator allows.
    pub(super) fn allowed_origin<'a>(&self, headers: &'a HeaderMap) -> Option<&'a HeaderValue> {
        let origin = headers.get(header::ORIGIN)?;
        let parsed = parse_origin(origin.to_str().ok()?).ok()?;
        self.allowed_origins.contains(&parsed).then_some(origin)
    }
}

/// Whether a request asks for a WebSocket.
pub(super) fn is_upgrade(headers: &HeaderMap) -> bool {
    headers
        .get(header::UPGRADE)
        .is_some_and(|upgrade| upgrade.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

fn changes_state(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS)
}

/// The one host that a request was sent to. Only HTTP/1.0, which many a load balancer still asks
/// after our health with, may go without.
fn the_host(request: &Parts) -> Result<Option<Authority>, &'static str> {
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let Some(host) = hosts.next() else {
        return match request.version {
            Version::HTTP_10 => Ok(None),
            _ => Err("The request has no Host."),
        };
    };
    if hosts.next().is_some() {
        return Err("The request has more than one Host.");
    }
    let host = host
        .to_str()
        .ok()
        .and_then(parse_host)
        .ok_or("The request's Host is no host.")?;
    match request.uri.authority() {
        Some(target) if *target != host => Err("The request's target and its Host differ."),
        _ => Ok(Some(host)),
    }
}

/// An origin as a browser sends it: a scheme and an authority, nothing more.
fn parse_origin(text: &str) -> Result<Origin, String> {
    let wrong = || format!("`{text}` is no origin such as https://console.example.com");
    let url = Url::parse(text).map_err(|_| wrong())?;
    let bare = url.path().trim_end_matches('/').is_empty() && url.query().is_none();
    let origin = url.origin();
    if bare && origin.is_tuple() {
        Ok(origin)
    } else {
        Err(wrong())
    }
}

#[cfg(test)]
mod tests;
