//! Who is let in, and what is refused before anybody looks at it.

use std::time::Duration;

use sidetone_gateway::Config;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;

use crate::support::{Running, config, within};
use crate::wire::{Socket, get, metric, metric_becomes, raw, request, try_get};

/// Nobody is there: these tests have no call.
const NO_DEEPGRAM: &str = "ws://127.0.0.1:9";

const STRANGER: (&str, &str) = ("X-Forwarded-For", "203.0.113.9");

#[tokio::test]
async fn the_operations_routes_answer() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    let health = get(gateway.address, "/healthz").await;
    assert_eq!(
        (health.status, &health.json()["status"]),
        (200, &"ok".into())
    );
    let ready = get(gateway.address, "/readyz").await;
    assert_eq!(
        (ready.status, &ready.json()["status"]),
        (200, &"ready".into())
    );
    let page = get(gateway.address, "/").await;
    assert_eq!(page.status, 200);
    assert!(
        page.header("content-type")
            .unwrap()
            .starts_with("text/html")
    );

    let prometheus = get(gateway.address, "/metrics").await;
    assert_eq!(
        prometheus.header("content-type"),
        Some("text/plain; version=0.0.4; charset=utf-8")
    );
    let accept = [(
        "Accept",
        "application/openmetrics-text;version=1.0.0,text/plain;q=0.5",
    )];
    let openmetrics = request(gateway.address, "GET", "/metrics", &accept, "").await;
    assert!(
        openmetrics
            .header("content-type")
            .unwrap()
            .starts_with("application/openmetrics-text")
    );
    assert!(openmetrics.body.ends_with("# EOF\n"));
    gateway.stop().await;
}

#[tokio::test]
async fn what_is_not_there_is_a_problem_with_a_code() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    for (method, target, status, code) in [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/v1/nothing", 404, "not_found"),
        ("GET", "/api/v1/calls/CA1", 404, "call_not_found"),
        (
            "GET",
            "/api/v1/calls/CA00000000000000000000000000000009",
            404,
            "call_not_found",
        ),
        ("DELETE", "/healthz", 405, "method_not_allowed"),
        ("GET", "/client", 426, "upgrade_required"),
        ("GET", "/twilio", 426, "upgrade_required"),
        ("GET", "/api/v1/calls?limit=501", 400, "invalid_request"),
        (
            "GET",
            "/api/v1/calls?cursor=nonsense",
            400,
            "invalid_request",
        ),
    ] {
        let answer = request(gateway.address, method, target, &[], "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (status, code),
            "{method} {target}"
        );
        assert_eq!(
            answer.header("allow").is_some(),
            status == 405,
            "{method} {target}"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_without_its_one_host_is_refused() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    for hosts in [
        "",
        "Host: localhost\r\nHost: localhost\r\n",
        "Host: a b\r\n",
    ] {
        let text = format!("GET /healthz HTTP/1.1\r\nConnection: close\r\n{hosts}\r\n");
        let answer = raw(gateway.address, text.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_request"),
            "{hosts}"
        );
    }
    assert_eq!(
        metric(gateway.address, "sidetone_rejected_total{reason=\"host\"}").await,
        3.0
    );
    gateway.stop().await;
}

#[tokio::test]
async fn only_http_1_0_may_go_without_a_host_and_is_trusted_with_nothing() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    for (target, status) in [("/healthz", 200), ("/readyz", 200), ("/api/v1/calls", 401)] {
        let text = format!("GET {target} HTTP/1.0\r\n\r\n");
        assert_eq!(raw(gateway.address, text.as_bytes()).await.status, status);
    }
    let two = "GET /healthz HTTP/1.0\r\nHost: localhost\r\nHost: localhost\r\n\r\n";
    assert_eq!(raw(gateway.address, two.as_bytes()).await.status, 400);
    gateway.stop().await;
}

#[tokio::test]
async fn browsers_let_pages_of_allowed_origins_read_and_no_others() {
    let gateway = Running::start(Config {
        allowed_origins: vec!["https://desk.example.com".to_owned()],
        ..config(NO_DEEPGRAM)
    })
    .await;
    let allowed = ("Origin", "https://desk.example.com");
    let ask = async |method, origin: (&str, &str), further: &[(&str, &str)]| {
        let headers = [&[origin], further].concat();
        request(gateway.address, method, "/api/v1/calls", &headers, "").await
    };
    let wants = [
        ("Access-Control-Request-Method", "GET"),
        ("Access-Control-Request-Headers", "authorization"),
    ];
    let preflight = ask("OPTIONS", allowed, &wants).await;
    assert_eq!(preflight.status, 204, "{preflight:?}");
    for (name, part) in [
        ("access-control-allow-origin", "https://desk.example.com"),
        ("access-control-allow-methods", "DELETE"),
        ("access-control-allow-headers", "Authorization"),
        ("vary", "Origin"),
    ] {
        let found = preflight.header(name).unwrap_or_default();
        assert!(found.contains(part), "{name}: {preflight:?}");
    }
    // What is refused may be read as well: the page is told why.
    for (further, status) in [(&[][..], 200), (&[STRANGER], 401)] {
        let answer = ask("GET", allowed, further).await;
        assert_eq!(answer.status, status);
        assert_eq!(
            answer.header("access-control-allow-origin"),
            Some(allowed.1)
        );
    }
    for origin in [
        "https://desk.example.com:8443",
        "http://desk.example.com",
        "null",
    ] {
        let preflight = ask("OPTIONS", ("Origin", origin), &wants).await;
        assert_eq!(preflight.status, 405, "{preflight:?}");
        for answer in [preflight, ask("GET", ("Origin", origin), &[]).await] {
            assert_eq!(
                answer.header("access-control-allow-origin"),
                None,
                "{answer:?}"
            );
            assert_eq!(answer.header("vary"), Some("Origin"));
        }
    }
    gateway.stop().await;
}

#[tokio::test]
async fn pages_of_foreign_origins_are_kept_out() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    let foreign = [("Origin", "https://evil.example.com")];
    let posted = request(gateway.address, "POST", "/voice", &foreign, "").await;
    assert_eq!((posted.status, posted.code().as_str()), (403, "forbidden"));
    let header = [("Origin", "https://evil.example.com")];
    assert_eq!(
        Socket::try_open(gateway.address, "/client", &header)
            .await
            .err(),
        Some(403)
    );
    let own = format!("http://{}", gateway.address);
    assert!(
        Socket::try_open(gateway.address, "/client", &[("Origin", &own)])
            .await
            .is_ok()
    );
    gateway.stop().await;
}

#[tokio::test]
async fn who_is_not_local_needs_credentials_for_all_that_is_not_everyones() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    for target in ["/metrics", "/client", "/api/v1/calls", "/api/v1/calls/CA1"] {
        let answer = request(gateway.address, "GET", target, &[STRANGER], "").await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (401, "unauthorized"),
            "{target}"
        );
        assert_eq!(
            answer.header("www-authenticate"),
            Some("Bearer"),
            "{target}"
        );
    }
    for target in ["/healthz", "/readyz", "/"] {
        let answer = request(gateway.address, "GET", target, &[STRANGER], "").await;
        assert_eq!(answer.status, 200, "{target}");
    }
    let header = [STRANGER];
    assert_eq!(
        Socket::try_open(gateway.address, "/client", &header)
            .await
            .err(),
        Some(401)
    );
    gateway.stop().await;
}

#[tokio::test]
async fn failures_are_limited_and_nothing_else_is() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    let mut answers = Vec::new();
    for _ in 0..65 {
        let answer = request(gateway.address, "GET", "/api/v1/calls", &[STRANGER], "").await;
        answers.push(answer.status);
        if answer.status == 429 {
            assert_eq!(answer.code(), "rate_limited");
            assert!(
                answer
                    .header("retry-after")
                    .unwrap()
                    .parse::<u64>()
                    .unwrap()
                    <= 60
            );
        }
    }
    assert_eq!(answers.iter().filter(|status| **status == 401).count(), 60);
    assert_eq!(answers.iter().filter(|status| **status == 429).count(), 5);
    assert_eq!(get(gateway.address, "/api/v1/calls").await.status, 200);
    gateway.stop().await;
}

#[tokio::test]
async fn too_much_header_gets_431_and_too_much_body_413() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    let long = "x".repeat(20_000);
    let many: Vec<_> = (0..80).map(|_| ("X-Many", "x")).collect();
    for headers in [&[("X-Long", long.as_str())][..], &many] {
        let answer = request(gateway.address, "GET", "/healthz", headers, "").await;
        assert_eq!((answer.status, answer.code().as_str()), (431, "too_large"));
    }
    let far_too_long = "x".repeat(100_000);
    let headers = [("X-Long", far_too_long.as_str())];
    assert_eq!(
        request(gateway.address, "GET", "/healthz", &headers, "")
            .await
            .status,
        431
    );
    let rejected = "sidetone_rejected_total{reason=\"header_too_large\"}";
    metric_becomes(gateway.address, rejected, 3.0).await;

    let answer = request(gateway.address, "POST", "/voice", &[], &"x".repeat(70_000)).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    gateway.stop().await;
}

#[tokio::test]
async fn a_chunked_body_is_stopped_at_the_limit_too() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    let head = "POST /voice HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n";
    let chunk = format!("{:x}\r\n{}\r\n", 40_000, "x".repeat(40_000));
    let answer = raw(gateway.address, format!("{head}{chunk}{chunk}").as_bytes()).await;
    assert_eq!((answer.status, answer.code().as_str()), (413, "too_large"));
    gateway.stop().await;
}

#[tokio::test]
async fn half_open_sockets_are_closed_in_time_and_counted() {
    let mut config = config(NO_DEEPGRAM);
    config.limits.header_timeout = Duration::from_millis(300);
    let gateway = Running::start(config).await;
    let mut sockets = Vec::new();
    for index in 0..200 {
        let mut socket = TcpStream::connect(gateway.address).await.unwrap();
        if index % 2 == 0 {
            let half = b"GET /healthz HTTP/1.1\r\nHost: loc";
            tokio::io::AsyncWriteExt::write_all(&mut socket, half)
                .await
                .unwrap();
        }
        sockets.push(socket);
    }
    assert_eq!(get(gateway.address, "/healthz").await.status, 200);
    for mut socket in sockets {
        assert_eq!(within(socket.read(&mut [0; 64])).await.unwrap(), 0);
    }
    let rejected = "sidetone_rejected_total{reason=\"header_timeout\"}";
    metric_becomes(gateway.address, rejected, 200.0).await;
    gateway.stop().await;
}

#[tokio::test]
async fn one_peer_cannot_take_all_places() {
    let mut config = config(NO_DEEPGRAM);
    config.limits.max_connections = 8;
    let gateway = Running::start(config).await;
    let mut held = Vec::new();
    for _ in 0..4 {
        held.push(TcpStream::connect(gateway.address).await.unwrap());
    }
    let mut refused = TcpStream::connect(gateway.address).await.unwrap();
    assert!(!matches!(within(refused.read(&mut [0; 64])).await, Ok(count) if count > 0));
    held.clear();
    // The places come back when the gateway has seen the ends of the sockets.
    let metrics = within(async {
        loop {
            if let Some(answer) = try_get(gateway.address, "/metrics").await {
                return answer.body;
            }
        }
    })
    .await;
    let rejected = "sidetone_rejected_total{reason=\"too_many_connections_from_client\"}";
    assert!(metrics.contains(rejected), "{metrics}");
    gateway.stop().await;
}
