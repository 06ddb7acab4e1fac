//! How the outside reaches this gateway: the address that Twilio signs and that TwiML names.

use std::net::IpAddr;

use http::uri::Authority;
use url::Url;

/// A base URL: scheme, authority and the path in front of every route.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Base {
    https: bool,
    authority: String,
    path: String,
    configured: bool,
}

impl Base {
    /// The configured public URL: nothing else counts.
    pub(super) fn configured(url: &Url) -> Self {
        let host = url.host_str().unwrap_or_default();
        Self {
            https: matches!(url.scheme(), "https" | "wss"),
            authority: url
                .port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")),
            path: url.path().trim_end_matches('/').to_owned(),
            configured: true,
        }
    }

    /// What a request's `Host`, or a trusted proxy, says.
    pub(super) fn seen(https: bool, host: &Authority) -> Self {
        Self {
            https,
            authority: host.to_string(),
            path: String::new(),
            configured: false,
        }
    }

    /// The URL of a path (with its query) of this gateway.
    pub(super) fn url(&self, path_and_query: &str) -> String {
        let scheme = if self.https { "https" } else { "http" };
        format!("{scheme}://{}{}{path_and_query}", self.authority, self.path)
    }

    /// The URL of a WebSocket of this gateway, as TwiML names it and Twilio signs it.
    ///
    /// Twilio dials `wss` only, so a name that was reached by plain HTTP is taken to stand behind
    /// something that speaks TLS; `ws` is for loopback and for who configured it.
    pub(super) fn stream_url(&self, path: &str) -> String {
        let plain = !self.https && (self.configured || is_loopback_authority(&self.authority));
        let scheme = if plain { "ws" } else { "wss" };
        format!("{scheme}://{}{}{path}", self.authority, self.path)
    }

    /// Whether nobody but this machine can reach it.
    pub(super) fn is_loopback(&self) -> bool {
        is_loopback_authority(&self.authority)
    }

    /// Whether the operator configured it, rather than a request having told it.
    pub(super) const fn is_configured(&self) -> bool {
        self.configured
    }

    /// Its origin, as a browser would send it.
    pub(super) fn origin(&self) -> Option<url::Origin> {
        Url::parse(&self.url("/")).ok().map(|url| url.origin())
    }
}

/// Reads a `Host`: a name or an address with an optional port.
pub(super) fn parse_host(text: &str) -> Option<Authority> {
    let authority: Authority = text.parse().ok()?;
    let is_host = !authority.host().is_empty() && !text.contains('@');
    is_host.then_some(authority)
}

/// Whether a host, without its port, is this machine: `localhost`, `*.localhost`, 127/8, `[::1]`.
pub(super) fn is_loopback_host(host: &str) -> bool {
    let bare = host
        .strip_prefix('[')
        .and_then(|h| h.strip_suffix(']'))
        .unwrap_or(host);
    match bare.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        Err(_) => host
            .rsplit('.')
            .next()
            .is_some_and(|label| label.eq_ignore_ascii_case("localhost")),
    }
}

fn is_loopback_authority(authority: &str) -> bool {
    parse_host(authority).is_some_and(|authority| is_loopback_host(authority.host()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_hosts_are_known_in_every_spelling() {
        for host in [
            "localhost",
            "LOCALHOST",
            "console.localhost",
            "127.0.0.1",
            "127.9.9.9",
            "[::1]",
        ] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in [
            "localhost.example.com",
            "notlocalhost",
            "10.0.0.1",
            "[::2]",
            "127.0.0.1.nip.io",
            "",
        ] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn a_configured_url_keeps_its_port_and_its_path() {
        let base = Base::configured(&Url::parse("https://voice.example.com:8443/calls/").unwrap());
        assert_eq!(
            base.url("/voice?a=%20b"),
            "https://voice.example.com:8443/calls/voice?a=%20b"
        );
        assert_eq!(
            base.stream_url("/twilio"),
            "wss://voice.example.com:8443/calls/twilio"
        );
    }

    #[test]
    fn a_stream_is_plain_only_on_loopback_or_when_configured() {
        let seen = |host: &str| Base::seen(false, &parse_host(host).unwrap()).stream_url("/twilio");
        assert_eq!(seen("127.0.0.1:5000"), "ws://127.0.0.1:5000/twilio");
        assert_eq!(seen("[::1]:5000"), "ws://[::1]:5000/twilio");
        assert_eq!(seen("voice.example.com"), "wss://voice.example.com/twilio");
        let configured = Base::configured(&Url::parse("http://10.0.0.5:5000").unwrap());
        assert_eq!(
            configured.stream_url("/twilio"),
            "ws://10.0.0.5:5000/twilio"
        );
    }

    #[test]
    fn what_is_no_host_is_not_taken_for_one() {
        for text in ["", "user@example.com", "a b", "http://example.com", ":80"] {
            assert!(parse_host(text).is_none(), "{text}");
        }
    }
}
