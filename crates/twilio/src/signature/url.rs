//! URLs as Twilio signs them.
//!
//! Text surgery, not `url::Url`: a signature is over the exact bytes, and parsing into a `Url`
//! changes them (it drops default ports, adds slashes and encodes).

use std::fmt;

/// A URL cut into the parts that vary between what Twilio signs and what a server sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SignedUrl<'a> {
    scheme: &'a str,
    /// Host without user, password and port.
    host: &'a str,
    port: Option<&'a str>,
    path: &'a str,
    /// A slash after the path that the URL itself does not have.
    extra_slash: bool,
    /// With its question mark, or empty.
    query: &'a str,
}

impl<'a> SignedUrl<'a> {
    /// Any text has parts; what is no URL matches no signature.
    pub(super) fn parse(url: &'a str) -> Self {
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let (before_query, query) = rest.split_at(rest.find('?').unwrap_or(rest.len()));
        let path_start = before_query.find('/').unwrap_or(before_query.len());
        let (authority, path) = before_query.split_at(path_start);
        let host_port = authority
            .rsplit_once('@')
            .map_or(authority, |(_, host)| host);
        let (host, port) = match host_port.rsplit_once(':') {
            Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => {
                (host, Some(port))
            }
            _ => (host_port, None),
        };
        Self {
            scheme,
            host,
            port,
            path,
            extra_slash: false,
            query,
        }
    }

    /// The same URL with the scheme of a WebSocket.
    pub(super) fn for_websocket(self) -> Self {
        let scheme = match self.scheme {
            "https" => "wss",
            "http" => "ws",
            other => other,
        };
        Self { scheme, ..self }
    }

    /// What Twilio may have signed when it requested this URL: it keeps the port or drops it.
    pub(super) fn request_variants(self) -> Vec<Self> {
        let default_port = if matches!(self.scheme, "https" | "wss") {
            "443"
        } else {
            "80"
        };
        let other_port = self.port.is_none().then_some(default_port);
        vec![
            self,
            Self {
                port: other_port,
                ..self
            },
        ]
    }

    /// What Twilio may have signed when it opened this WebSocket: also with or without a slash
    /// at the end of the path.
    pub(super) fn handshake_variants(self) -> Vec<Self> {
        let mut variants = self.request_variants();
        variants.extend(self.other_slash().request_variants());
        variants
    }

    /// URLs that differ in what a server behind a proxy gets wrong.
    pub(super) fn near_misses(self) -> Vec<Self> {
        let schemes = ["https", "http", "wss", "ws"];
        schemes
            .iter()
            .flat_map(|scheme| Self { scheme, ..self }.handshake_variants())
            .collect()
    }

    fn other_slash(self) -> Self {
        match self.path.strip_suffix('/') {
            Some(path) => Self { path, ..self },
            None => Self {
                extra_slash: true,
                ..self
            },
        }
    }
}

impl fmt::Display for SignedUrl<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            scheme,
            host,
            port,
            path,
            extra_slash,
            query,
        } = self;
        if !scheme.is_empty() {
            write!(f, "{scheme}://")?;
        }
        f.write_str(host)?;
        if let Some(port) = port {
            write!(f, ":{port}")?;
        }
        f.write_str(path)?;
        if *extra_slash {
            f.write_str("/")?;
        }
        f.write_str(query)
    }
}
