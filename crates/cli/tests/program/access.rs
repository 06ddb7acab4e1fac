//! Who may come in: hosts, origins, loopback, failures.

use reqwest::Method;

use crate::raw::{exchange, upgrade};
use crate::readers::{ask, look};
use crate::scripted::Scripted;
use crate::serve::{Serve, serve};
use crate::twilio::{Socket, Stream, call_sid};
use crate::watching::{call_until, event, rejected_for};

/// What is not everyone's.
const GUARDED: [&str; 4] = [
    "/api/v1/calls",
    "/api/v1/calls/CA00000000000000000000000000000001",
    "/api/v1/calls/CA00000000000000000000000000000001/events",
    "/metrics",
];

const EVERYONES: [&str; 3] = ["/", "/healthz", "/readyz"];

/// The `Host` line of the address that is listened on.
fn own_host(serve: &Serve) -> String {
    format!("Host: {}", serve.address)
}

/// Whether a request with these headers is let in everywhere or nowhere.
async fn is_let_in(serve: &Serve, header: &[&str]) -> bool {
    let mut let_in = Vec::new();
    for path in GUARDED {
        let answer = exchange(serve, &format!("GET {path}"), header).await;
        let refused = answer.status == 401;
        if refused {
            assert_eq!(answer.code(), "unauthorized");
            let header = answer.header.to_ascii_lowercase();
            assert!(header.contains("www-authenticate: bearer"), "{answer:?}");
        } else {
            assert!(matches!(answer.status, 200 | 404), "{answer:?}");
        }
        let_in.push(!refused);
    }
    let answer = upgrade(serve, "/client", header).await;
    assert!(matches!(answer.status, 101 | 401), "{answer:?}");
    let_in.push(answer.status == 101);
    for path in EVERYONES {
        let answer = exchange(serve, &format!("GET {path}"), header).await;
        assert_eq!(answer.status, 200, "{path} is everyone's: {answer:?}");
    }
    assert!(
        let_in.iter().all(|it| *it == let_in[0]),
        "{header:?}: {let_in:?}"
    );
    let_in[0]
}

#[tokio::test]
async fn this_machine_needs_no_credentials() {
    let serve = serve().start().await;
    let port = serve.address.port();
    for host in [
        "127.0.0.1",
        "localhost",
        "LocalHost",
        "console.localhost",
        "127.1.2.3",
        "[::1]",
    ] {
        let (with_port, bare) = (format!("Host: {host}:{port}"), format!("Host: {host}"));
        assert!(is_let_in(&serve, &[&with_port]).await, "{host}");
        assert!(is_let_in(&serve, &[&bare]).await, "{host}");
    }
    let own_origin = format!("Origin: http://{}", serve.address);
    assert!(is_let_in(&serve, &[&own_host(&serve), &own_origin]).await);
}

#[tokio::test]
async fn a_foreign_host_is_nobody() {
    let serve = serve().start().await;
    for host in [
        "evil.example",
        "localhost.evil.example",
        "127.0.0.1.evil.example",
        "10.0.0.1",
        "notlocalhost",
    ] {
        assert!(
            !is_let_in(&serve, &[&format!("Host: {host}")]).await,
            "{host}"
        );
    }
    assert!(rejected_for(&serve, "unauthorized").await >= 20.0);
}

#[tokio::test]
async fn a_forwarded_request_is_nobody() {
    let serve = serve().start().await;
    for line in [
        "X-Forwarded-For: 127.0.0.1",
        "X-Forwarded-Proto: https",
        "X-Forwarded-Host: localhost",
        "Forwarded: for=127.0.0.1",
    ] {
        assert!(
            !is_let_in(&serve, &[&own_host(&serve), line]).await,
            "{line}"
        );
    }
}

#[tokio::test]
async fn a_request_with_more_than_one_host_or_none_is_refused() {
    let serve = serve().start().await;
    let host = own_host(&serve);
    let two: [&[&str]; 3] = [&[&host, &host], &[&host, "Host: evil.example"], &[]];
    for header in two {
        for request in ["GET /healthz", "GET /api/v1/calls", "POST /voice"] {
            let answer = exchange(&serve, request, header).await;
            assert_eq!(answer.status, 400, "{header:?}: {answer:?}");
            assert_eq!(answer.code(), "invalid_request");
        }
    }
    let answer = upgrade(&serve, "/client", &[&host, &host]).await;
    assert_eq!(answer.status, 400, "{answer:?}");
    assert_eq!(rejected_for(&serve, "host").await, 10.0);
}

#[tokio::test]
async fn pages_of_foreign_origins_may_neither_open_websockets_nor_change_anything() {
    let serve = serve().start().await;
    let host = own_host(&serve);
    let port = serve.address.port();
    let origins = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        format!("http://evil.example:{port}"),
        format!("http://127.0.0.1:{}", port ^ 1),
    ];
    for origin in &origins {
        let origin = format!("Origin: {origin}");
        for path in ["/client", GUARDED[2], "/twilio", "/media"] {
            let answer = upgrade(&serve, path, &[&host, &origin]).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, "forbidden"),
                "{origin}"
            );
        }
        for request in [
            "POST /voice",
            "POST /api/v1/calls",
            "DELETE /api/v1/calls/CA1",
        ] {
            let answer = exchange(&serve, request, &[&host, &origin, "Content-Length: 0"]).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, "forbidden"),
                "{origin}"
            );
        }
        // What such a page may ask for without a socket, it may not read either.
        let answer = exchange(&serve, "GET /api/v1/calls", &[&host, &origin]).await;
        assert_eq!(answer.status, 401, "{answer:?}");
    }
    assert_eq!(rejected_for(&serve, "origin").await, 28.0);
}

#[tokio::test]
async fn an_origin_that_is_allowed_may_do_what_our_own_may() {
    let serve = serve()
        .toml("[server]\nallowed_origins = ['https://desk.example', 'http://localhost:3000']\n")
        .start()
        .await;
    let host = own_host(&serve);
    for origin in ["https://desk.example", "http://localhost:3000"] {
        assert!(
            is_let_in(&serve, &[&host, &format!("Origin: {origin}")]).await,
            "{origin}"
        );
    }
    let answer = upgrade(&serve, "/client", &[&host, "Origin: http://desk.example"]).await;
    assert_eq!(answer.status, 403, "another scheme is another origin");
}

#[tokio::test]
async fn a_browser_that_offers_its_token_as_a_subprotocol_is_answered_bearer() {
    let serve = serve().start().await;
    let _stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    event(&serve, &call_sid(1), "call.started").await;
    let host = own_host(&serve);
    for path in ["/client", GUARDED[2]] {
        let offer = [&*host, "Sec-WebSocket-Protocol: bearer, t0ken"];
        let answer = upgrade(&serve, path, &offer).await;
        assert_eq!(answer.status, 101, "{answer:?}");
        let header = answer.header.to_ascii_lowercase();
        assert!(
            header.contains("sec-websocket-protocol: bearer\r\n"),
            "{answer:?}"
        );
        let answer = upgrade(&serve, path, &[&host]).await;
        let header = answer.header.to_ascii_lowercase();
        assert!(!header.contains("sec-websocket-protocol"), "{answer:?}");
    }
}

#[tokio::test]
async fn loopback_is_nobody_when_it_is_not_trusted() {
    let serve = serve()
        .toml("[server]\ntrust_loopback = false\n")
        .start()
        .await;
    assert!(!is_let_in(&serve, &[&own_host(&serve)]).await);
}

#[tokio::test]
async fn a_public_url_or_address_ends_the_trust_in_loopback() {
    let url = serve()
        .env("SIDETONE_PUBLIC_URL", "https://voice.example.com")
        .env("TWILIO_AUTH_TOKEN", "t0ken")
        .start()
        .await;
    assert!(!is_let_in(&url, &[&own_host(&url)]).await);
    let address = serve()
        .env("SIDETONE_LISTEN", "0.0.0.0:0")
        .env("TWILIO_AUTH_TOKEN", "t0ken")
        .start()
        .await;
    assert!(
        !is_let_in(
            &address,
            &[&format!("Host: 127.0.0.1:{}", address.address.port())]
        )
        .await
    );
    let trusted = serve()
        .env("SIDETONE_PUBLIC_URL", "https://voice.example.com")
        .env("TWILIO_AUTH_TOKEN", "t0ken")
        .toml("[server]\ntrust_loopback = true\n")
        .start()
        .await;
    assert!(is_let_in(&trusted, &[&own_host(&trusted)]).await);
}

#[tokio::test]
async fn only_failures_are_limited() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let foreign = ["Host: evil.example"];
    for n in 1..=60 {
        let answer = exchange(&serve, "GET /api/v1/calls", &foreign).await;
        assert_eq!(answer.status, 401, "failure {n}: {answer:?}");
    }
    for _ in 0..3 {
        let answer = exchange(&serve, "GET /api/v1/calls", &foreign).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (429, "rate_limited")
        );
        assert!(
            answer.header.to_ascii_lowercase().contains("retry-after: "),
            "{answer:?}"
        );
    }
    // The same client, with what is valid.
    assert_eq!(look(&serve, "/api/v1/calls").await.status, 200);
    assert_eq!(exchange(&serve, "GET /healthz", &foreign).await.status, 200);
    let mut socket = Socket::connect(&serve.ws("/client"), &[]).await.unwrap();
    assert_eq!(socket.text().await.unwrap(), "[]");
    let _stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    assert_eq!(rejected_for(&serve, "rate_limited").await, 3.0);
}

#[tokio::test]
async fn what_does_not_exist_is_a_problem_too() {
    let serve = serve().start().await;
    for path in [
        "/nothing",
        "/api/v1",
        "/api/v1/nothing",
        "/api/v2/calls",
        "/api/v1/calls/",
    ] {
        let answer = look(&serve, path).await;
        assert_eq!(answer.status, 404, "{path}: {answer:?}");
        assert_eq!(
            answer.header("content-type"),
            "application/problem+json",
            "{path}"
        );
        assert!(answer.json()["code"].is_string(), "{path}");
    }
    for (method, path) in [
        (Method::DELETE, "/api/v1/calls"),
        (Method::POST, "/healthz"),
        (Method::POST, "/twilio"),
        (Method::PUT, "/voice"),
        (Method::GET, "/twilio/call-status/x"),
    ] {
        let answer = ask(&serve, method.clone(), path, &[]).await;
        let expected = if path.ends_with("/x") { 404 } else { 405 };
        assert_eq!(answer.status, expected, "{method} {path}: {answer:?}");
        assert_eq!(answer.header("content-type"), "application/problem+json");
        assert_eq!(answer.json()["status"], expected);
        assert_eq!(
            answer.header("allow").is_empty(),
            expected == 404,
            "{answer:?}"
        );
    }
}

#[tokio::test]
async fn a_public_address_without_an_auth_token_is_refused_at_the_start() {
    for (name, value) in [
        ("SIDETONE_LISTEN", "0.0.0.0:0"),
        ("SIDETONE_PUBLIC_URL", "https://voice.example.com"),
    ] {
        let (code, stdout, stderr) = serve().env(name, value).run().await;
        assert_ne!(code, Some(0), "{stderr}");
        assert_eq!(stdout, "");
        assert!(stderr.contains("TWILIO_AUTH_TOKEN"), "{stderr}");
        assert!(stderr.contains("--insecure"), "{stderr}");
        serve().env(name, value).arg("--insecure").start().await;
    }
}
