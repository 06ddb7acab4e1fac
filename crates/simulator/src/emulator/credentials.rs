//! Who asks: the credentials of a request.

use http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use http::{HeaderMap, HeaderValue};

/// A key or a token, and how it was called.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Credentials<'a> {
    /// `Authorization: Token KEY`, or subprotocols `token, KEY`.
    Key(&'a str),
    /// `Authorization: Bearer JWT`, or subprotocols `bearer, JWT`.
    Token(&'a str),
}

impl<'a> Credentials<'a> {
    /// The credentials among `headers`; the header `Authorization` counts before a subprotocol.
    pub(super) fn of(headers: &'a HeaderMap) -> Option<Self> {
        let text = |name| headers.get(name).map(HeaderValue::to_str)?.ok();
        let authorization = text(AUTHORIZATION).and_then(|value| value.split_once(' '));
        let offered = || text(SEC_WEBSOCKET_PROTOCOL).and_then(|value| value.split_once(','));
        let (scheme, secret) = authorization.or_else(offered)?;
        let (scheme, secret) = (scheme.trim(), secret.trim());
        if secret.is_empty() {
            None
        } else if scheme.eq_ignore_ascii_case(SCHEMES[0]) {
            Some(Self::Key(secret))
        } else if scheme.eq_ignore_ascii_case(SCHEMES[1]) {
            Some(Self::Token(secret))
        } else {
            None
        }
    }
}

/// The schemes, which are also the subprotocols that are answered.
pub(super) const SCHEMES: [&str; 2] = ["token", "bearer"];

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &'static str, value: &'static str, expected: Option<Credentials<'_>>) {
        let headers = HeaderMap::from_iter([(
            http::HeaderName::from_static(name),
            HeaderValue::from_static(value),
        )]);
        assert!(Credentials::of(&headers) == expected, "{name}: {value}");
    }

    #[test]
    fn keys_and_tokens_come_by_header_or_subprotocol() {
        check("authorization", "Token abc", Some(Credentials::Key("abc")));
        check("authorization", "token abc", Some(Credentials::Key("abc")));
        check(
            "authorization",
            "Bearer a.b.c",
            Some(Credentials::Token("a.b.c")),
        );
        check(
            "sec-websocket-protocol",
            "token, abc",
            Some(Credentials::Key("abc")),
        );
        check(
            "sec-websocket-protocol",
            "bearer,a.b.c",
            Some(Credentials::Token("a.b.c")),
        );
    }

    #[test]
    fn anything_else_is_nobody() {
        check("authorization", "Basic abc", None);
        check("authorization", "Token ", None);
        check("authorization", "abc", None);
        check("sec-websocket-protocol", "token", None);
    }
}
