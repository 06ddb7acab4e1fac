use http::{Request, Version};

use super::*;
use crate::config::Deepgram;

fn config() -> Config {
    let deepgram = Deepgram::new(
        Url::parse("ws://127.0.0.1:1").unwrap(),
        String::new().into(),
    );
    Config::new(vec!["127.0.0.1:5000".parse().unwrap()], deepgram)
}

/// A request: its method, its target and its header fields.
fn request(method: &str, target: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::builder()
        .method(method)
        .uri(target)
        .version(Version::HTTP_11);
    for (name, value) in fields {
        request = request.header(*name, *value);
    }
    request.body(()).unwrap().into_parts().0
}

fn visit(
    config: &Config,
    peer: &str,
    fields: &[(&str, &str)],
) -> Result<Visitor, (Rejection, Problem)> {
    let rules = Rules::new(config).unwrap();
    rules.visitor(peer.parse().unwrap(), &request("GET", "/client", fields))
}

#[track_caller]
fn check_access(config: &Config, peer: &str, fields: &[(&str, &str)], expected: Access) {
    let visitor = visit(config, peer, fields).unwrap();
    assert_eq!(visitor.access, expected, "{peer} {fields:?}");
}

#[track_caller]
fn check_base(config: &Config, peer: &str, fields: &[(&str, &str)], expected: &str) {
    assert_eq!(
        visit(config, peer, fields).unwrap().base.url(""),
        expected,
        "{peer} {fields:?}"
    );
}

#[track_caller]
fn check_refused(method: &str, target: &str, fields: &[(&str, &str)], expected: Rejection) {
    let rules = Rules::new(&config()).unwrap();
    let refused = rules.visitor(
        "127.0.0.1".parse().unwrap(),
        &request(method, target, fields),
    );
    let (rejection, _) = refused.expect_err("a request that has to be refused");
    assert_eq!(rejection, expected, "{method} {target} {fields:?}");
}

#[test]
fn loopback_is_trusted_only_when_nothing_speaks_against_it() {
    use Access::{Admin, Denied};
    let local = config();
    for (peer, fields, expected) in [
        ("127.0.0.1", &[("host", "127.0.0.1:5000")][..], Admin),
        ("127.0.0.1", &[("host", "localhost:5000")], Admin),
        ("127.0.0.1", &[("host", "console.localhost")], Admin),
        ("::1", &[("host", "[::1]:5000")], Admin),
        ("::ffff:127.0.0.1", &[("host", "localhost")], Admin),
        (
            "127.0.0.1",
            &[
                ("host", "localhost:5000"),
                ("origin", "http://localhost:5000"),
            ],
            Admin,
        ),
        (
            "127.0.0.1",
            &[
                ("host", "localhost:5000"),
                ("origin", "http://localhost:5001"),
            ],
            Denied,
        ),
        (
            "127.0.0.1",
            &[("host", "localhost:5000"), ("origin", "null")],
            Denied,
        ),
        ("127.0.0.1", &[("host", "evil.example.com")], Denied),
        (
            "127.0.0.1",
            &[
                ("host", "abc.ngrok.app"),
                ("x-forwarded-for", "203.0.113.9"),
            ],
            Denied,
        ),
        (
            "127.0.0.1",
            &[("host", "localhost"), ("x-forwarded-for", "127.0.0.1")],
            Denied,
        ),
        (
            "127.0.0.1",
            &[("host", "localhost"), ("forwarded", "for=127.0.0.1")],
            Denied,
        ),
        (
            "127.0.0.1",
            &[("host", "localhost"), ("via", "1.1 proxy")],
            Denied,
        ),
        (
            "127.0.0.1",
            &[("host", "localhost"), ("x-real-ip", "127.0.0.1")],
            Denied,
        ),
        ("203.0.113.9", &[("host", "localhost:5000")], Denied),
    ] {
        check_access(&local, peer, fields, expected);
    }
}

#[test]
fn loopback_is_not_trusted_by_default_once_the_gateway_is_public() {
    let fields = &[("host", "localhost:5000")];
    let public_url = Some(Url::parse("https://voice.example.com").unwrap());
    let public = Config {
        public_url,
        ..config()
    };
    check_access(&public, "127.0.0.1", fields, Access::Denied);
    let asked_for = Config {
        trust_loopback: Some(true),
        ..public
    };
    check_access(&asked_for, "127.0.0.1", fields, Access::Admin);

    let open = Config {
        listen: vec!["0.0.0.0:5000".parse().unwrap()],
        ..config()
    };
    check_access(&open, "127.0.0.1", fields, Access::Denied);
    let refused = Config {
        trust_loopback: Some(false),
        ..config()
    };
    check_access(&refused, "127.0.0.1", fields, Access::Denied);
}

#[test]
fn a_request_has_exactly_one_host() {
    check_refused("GET", "/", &[], Rejection::Host);
    check_refused("GET", "/", &[("host", "")], Rejection::Host);
    check_refused(
        "GET",
        "/",
        &[("host", "localhost"), ("host", "localhost")],
        Rejection::Host,
    );
    check_refused("GET", "/", &[("host", "user@localhost")], Rejection::Host);
    check_refused(
        "GET",
        "http://a.example/",
        &[("host", "localhost")],
        Rejection::Host,
    );
}

#[test]
fn pages_of_foreign_origins_may_open_no_socket_and_change_nothing() {
    let foreign = ("origin", "https://evil.example.com");
    let host = ("host", "localhost:5000");
    check_refused("POST", "/voice", &[host, foreign], Rejection::Origin);
    check_refused(
        "DELETE",
        "/api/v1/calls/CA1",
        &[host, ("origin", "null")],
        Rejection::Origin,
    );
    check_refused(
        "GET",
        "/client",
        &[host, foreign, ("upgrade", "WebSocket")],
        Rejection::Origin,
    );
    let same_host_other_port = ("origin", "http://localhost:5001");
    check_refused(
        "GET",
        "/client",
        &[host, same_host_other_port, ("upgrade", "websocket")],
        Rejection::Origin,
    );
}

#[test]
fn pages_of_own_and_allowed_origins_may() {
    let config = Config {
        public_url: Some(Url::parse("https://voice.example.com").unwrap()),
        allowed_origins: vec!["https://desk.example.com".to_owned()],
        ..config()
    };
    let rules = Rules::new(&config).unwrap();
    for origin in [
        "https://voice.example.com",
        "https://voice.example.com:443",
        "https://desk.example.com",
    ] {
        let request = request(
            "POST",
            "/voice",
            &[("host", "10.1.1.1:5000"), ("origin", origin)],
        );
        assert!(
            rules
                .visitor("203.0.113.9".parse().unwrap(), &request)
                .is_ok(),
            "{origin}"
        );
    }
}

#[test]
fn only_the_configured_public_url_counts_when_there_is_one() {
    let config = Config {
        public_url: Some(Url::parse("https://voice.example.com/").unwrap()),
        trusted_proxies: vec!["127.0.0.1".to_owned()],
        ..config()
    };
    let fields = &[
        ("host", "localhost:5000"),
        ("x-forwarded-host", "other.example.com"),
    ];
    check_base(&config, "127.0.0.1", fields, "https://voice.example.com");
}

#[test]
fn a_proxy_is_believed_only_when_it_is_trusted() {
    let fields = &[
        ("host", "10.0.0.5:5000"),
        ("x-forwarded-host", "voice.example.com"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-for", "203.0.113.9"),
    ];
    check_base(&config(), "10.0.0.1", fields, "http://10.0.0.5:5000");
    let trusting = Config {
        trusted_proxies: vec!["10.0.0.0/8".to_owned()],
        ..config()
    };
    check_base(&trusting, "10.0.0.1", fields, "https://voice.example.com");
    let client = visit(&trusting, "10.0.0.1", fields).unwrap().client;
    assert_eq!(client.to_string(), "203.0.113.9");
}

#[test]
fn a_rule_that_cannot_be_read_is_named_with_its_key() {
    let origins = Config {
        allowed_origins: vec!["desk.example.com".to_owned()],
        ..config()
    };
    let error = Rules::new(&origins).unwrap_err().to_string();
    assert!(
        error.starts_with("server.allowed_origins: `desk.example.com`"),
        "{error}"
    );
    let proxies = Config {
        trusted_proxies: vec!["10.0.0.0/40".to_owned()],
        ..config()
    };
    let error = Rules::new(&proxies).unwrap_err().to_string();
    assert!(
        error.starts_with("server.trusted_proxies: `10.0.0.0/40`"),
        "{error}"
    );
}
