//! What is sent while nothing happens, on a clock that jumps from one deadline to the next.

use std::collections::BTreeMap;
use std::time::Instant as WallInstant;

use futures_util::{SinkExt, StreamExt};
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{WebSocketStream, client_async};

use super::*;
use crate::calls::{Calls, Store, StreamAuthSecret, testing};
use crate::config::{Config, Profile};
use crate::gateway::{Shutdown, State};
use crate::http::Rules;

const CALL_SID: &str = "CA00000000000000000000000000000001";
const STREAM_SID: &str = "MZ00000000000000000000000000000001";
const PEER: IpAddr = IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);

/// A server without a listener, whose calls are not transcribed.
fn server() -> Arc<Server> {
    let config = Config {
        profiles: BTreeMap::from([("default".to_owned(), Profile::default())]),
        ..testing::config()
    };
    let services = testing::services(config);
    let (config, metrics) = (Arc::clone(&services.config), services.metrics.clone());
    let (tasks, twilio) = (services.tasks.clone(), Arc::clone(&services.twilio));
    let calls = Arc::new(Calls::new(services, Store::default()));
    let rules = Rules::new(&config).unwrap();
    let limits = config.limits;
    let state = State {
        config,
        calls,
        metrics: metrics.clone(),
        twilio,
        stream_auth: StreamAuthSecret::random(),
        started: WallInstant::now(),
        tasks,
    };
    let app = Arc::new(App::new(Arc::new(state), rules, Shutdown::default()));
    Arc::new(Server {
        router: router(Arc::clone(&app)),
        connections: Arc::new(Connections::new(limits.max_connections, metrics)),
        http: http(limits.header_timeout),
        tls: None,
        app,
    })
}

/// A connection to the server.
fn connect(server: &Arc<Server>) -> DuplexStream {
    let (ours, theirs) = duplex(64 * 1024);
    let server = Arc::clone(server);
    tokio::spawn(async move { server.serve_http(theirs, PEER).await });
    ours
}

async fn open(server: &Arc<Server>, path: &str) -> WebSocketStream<DuplexStream> {
    let url = format!("ws://localhost{path}");
    client_async(url, connect(server)).await.unwrap().0
}

/// How long it took until the server pinged.
async fn pinged(mut socket: WebSocketStream<DuplexStream>) -> Duration {
    let since = Instant::now();
    while !matches!(socket.next().await, Some(Ok(Message::Ping(_)))) {}
    since.elapsed()
}

#[track_caller]
fn check(elapsed: Duration, expected_secs: u64) {
    let expected = Duration::from_secs(expected_secs);
    let late = elapsed.saturating_sub(expected);
    assert!(
        elapsed + Duration::from_secs(1) >= expected && late < Duration::from_secs(1),
        "{elapsed:?} instead of {expected:?}"
    );
}

#[tokio::test(start_paused = true)]
async fn streams_are_pinged_after_15_s_and_readers_every_20_s_or_told_a_comment_every_15_s() {
    let server = server();
    let mut stream = open(&server, "/twilio").await;
    let start = json!({
        "event": "start", "sequenceNumber": "1", "streamSid": STREAM_SID,
        "start": {
            "accountSid": "AC00000000000000000000000000000001", "callSid": CALL_SID,
            "streamSid": STREAM_SID, "tracks": ["inbound"], "customParameters": {},
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
        },
    });
    stream.send(Message::text(start.to_string())).await.unwrap();
    let mut changed = server.app.gateway.calls.changed();
    while server.app.gateway.calls.live().is_empty() {
        changed.changed().await.unwrap();
    }

    let events = format!("/api/v1/calls/{CALL_SID}/events");
    let by_socket = open(&server, &events).await;
    let mut client = open(&server, "/client").await;
    client.send(Message::text(CALL_SID)).await.unwrap();
    let mut by_events = connect(&server);
    let request =
        format!("GET {events} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n");
    by_events.write_all(request.as_bytes()).await.unwrap();
    let commented = async {
        let (since, mut read) = (Instant::now(), Vec::new());
        while !read.windows(4).any(|bytes| bytes == b"\n:\n\n") {
            read.push(by_events.read_u8().await.unwrap());
        }
        since.elapsed()
    };

    let (stream, by_socket, client, commented) =
        tokio::join!(pinged(stream), pinged(by_socket), pinged(client), commented);
    check(stream, 15);
    check(by_socket, 20);
    check(client, 20);
    check(commented, 15);
}

#[tokio::test(start_paused = true)]
async fn a_client_waits_60_s_for_a_call_and_names_one_within_10() {
    let server = server();
    let named = async |text: Option<&'static str>| {
        let mut socket = open(&server, "/client").await;
        let since = Instant::now();
        if let Some(text) = text {
            socket.send(Message::text(text)).await.unwrap();
        }
        loop {
            match socket.next().await.unwrap().unwrap() {
                Message::Close(frame) => {
                    return (u16::from(frame.unwrap().code), since.elapsed());
                }
                _ => continue,
            }
        }
    };
    let (latest, number, silent) = tokio::join!(
        named(Some("latest")),
        named(Some("+15005550006")),
        named(None)
    );
    for ((code, elapsed), expected_secs) in [(latest, 60), (number, 60), (silent, 10)] {
        assert_eq!(code, 1008);
        check(elapsed, expected_secs);
    }
}
