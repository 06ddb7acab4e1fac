use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::{Value, json};
use sidetone_deepgram::listen::message::{CLOSE_STREAM, ServerMessage};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::handshake::client::Response;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::voice::speak;

const QUERY: &str = "model=nova-3&encoding=mulaw&sample_rate=8000&smart_format=true";

type Connected = (WebSocketStream<MaybeTlsStream<TcpStream>>, Response);

async fn emulator() -> Emulator {
    faulty(&[]).await
}

async fn faulty(written: &[&str]) -> Emulator {
    let options = Options {
        api_key: Some("secret".into()),
        faults: written.iter().map(|text| text.parse().unwrap()).collect(),
        ..Options::default()
    };
    Emulator::start(options).await.unwrap()
}

/// A stream, and the answer to its handshake.
async fn opened(emulator: &Emulator, query: &str) -> Connected {
    let authorization = ("authorization", "Token secret");
    connect(emulator, query, authorization).await.unwrap()
}

/// The outcome of something that must come soon.
async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

const PATIENCE: Duration = Duration::from_secs(20);

async fn connect(
    emulator: &Emulator,
    query: &str,
    (header, value): (&'static str, &str),
) -> Result<Connected, Error> {
    let url = emulator.url().join(&format!("/v1/listen?{query}")).unwrap();
    let mut request = url.as_str().into_client_request().unwrap();
    request.headers_mut().insert(header, value.parse().unwrap());
    connect_async(request).await
}

async fn refusal(emulator: &Emulator, query: &str, authorization: &str) -> Response {
    match connect(emulator, query, ("authorization", authorization)).await {
        Err(Error::Http(response)) => *response,
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("{authorization} was let in"),
    }
}

#[tokio::test]
async fn a_stream_is_transcribed_and_closed_in_good_order() {
    let emulator = emulator().await;
    let (mut socket, response) = connect(&emulator, QUERY, ("authorization", "Token secret"))
        .await
        .unwrap();
    assert_eq!(response.headers()["dg-request-id"].len(), 36);

    socket
        .send(Message::binary(speak("Hello!").ulaw))
        .await
        .unwrap();
    socket.send(Message::text(CLOSE_STREAM)).await.unwrap();
    let (mut transcript, mut summary, mut close) = (String::new(), None, None);
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Text(text) => match ServerMessage::parse(&text).unwrap() {
                ServerMessage::Results(results) => {
                    transcript += &results.heard().unwrap().transcript;
                }
                ServerMessage::Metadata(metadata) => summary = Some(metadata),
                other => panic!("{other:?}"),
            },
            Message::Close(frame) => close = frame,
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(transcript, "Hello!");
    let request_id = response.headers()["dg-request-id"].to_str().unwrap();
    assert_eq!(summary.unwrap().request_id, request_id);
    assert_eq!(u16::from(close.unwrap().code), 1000);
    emulator.stop().await;
}

#[tokio::test]
async fn a_browser_comes_in_by_subprotocol() {
    let emulator = emulator().await;
    let (_, response) = connect(
        &emulator,
        QUERY,
        ("sec-websocket-protocol", "token, secret"),
    )
    .await
    .unwrap();
    assert_eq!(response.headers()["sec-websocket-protocol"], "token");
    emulator.stop().await;
}

#[tokio::test]
async fn who_may_not_come_in_is_told_so_in_deepgrams_words() {
    let emulator = emulator().await;
    for (query, authorization, status, words) in [
        (QUERY, "Token wrong", 401, "Invalid credentials."),
        (QUERY, "Bearer secret", 401, "Invalid credentials."),
        (QUERY, "Basic secret", 401, "Invalid credentials."),
        (
            QUERY,
            "Token fail-402",
            402,
            "Project does not have enough credits",
        ),
        (QUERY, "Token fail-500", 500, "Internal server error."),
        (
            "model=nova-9",
            "Token secret",
            403,
            "Project does not have access",
        ),
        (
            "encoding=mulaw",
            "Token secret",
            400,
            "Failed to deserialize query parameters",
        ),
    ] {
        let response = refusal(&emulator, query, authorization).await;
        assert_eq!(response.status(), status, "{query} {authorization}");
        assert_eq!(response.headers()["dg-request-id"].len(), 36);
        let said = response.headers()["dg-error"].to_str().unwrap();
        assert!(said.starts_with(words), "{said}");
        let body = String::from_utf8(response.into_body().unwrap()).unwrap();
        assert!(body.contains(words), "{body}");
    }
    emulator.stop().await;
}

#[tokio::test]
async fn a_key_can_be_checked() {
    let emulator = emulator().await;
    for (path, key, status) in [
        ("/v1/projects", "secret", "200"),
        ("/v1/projects", "wrong", "401"),
        ("/v1/auth/token", "secret", "200"),
        ("/v1/auth/token", "fail-403", "403"),
        ("/v1/listen", "secret", "400"),
        ("/v1/nowhere", "secret", "404"),
    ] {
        let mut stream = TcpStream::connect(emulator.address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Token {key}\r\n\
             Connection: close\r\n\r\n"
        );
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        assert!(
            answer.starts_with(&format!("HTTP/1.1 {status} ")),
            "{path} {key}: {answer}"
        );
    }
    emulator.stop().await;
}

#[tokio::test]
async fn stopping_ends_streams_under_way() {
    let emulator = emulator().await;
    let (mut socket, _) = connect(&emulator, QUERY, ("authorization", "Token secret"))
        .await
        .unwrap();
    emulator.stop().await;
    assert!(!matches!(socket.next().await, Some(Ok(_))));
}

#[test]
fn the_key_does_not_show_in_the_options() {
    let options = Options {
        api_key: Some("secret".into()),
        ..Options::default()
    };
    assert!(!format!("{options:?}").contains("secret\""));
}

#[tokio::test]
async fn a_refusal_on_request_may_say_when_to_come_again() {
    let emulator = faulty(&["refuse:status=429,retry_after_secs=2"]).await;
    let response = refusal(&emulator, QUERY, "Token secret").await;
    assert_eq!(response.status(), 429);
    assert_eq!(response.headers()["retry-after"], "2");
    assert_eq!(response.headers()["dg-request-id"].len(), 36);
    opened(&emulator, QUERY).await;
    emulator.stop().await;
}

#[tokio::test]
async fn a_handshake_that_hangs_is_not_answered() {
    let emulator = faulty(&["handshake-hang:call=CA1"]).await;
    let query = |call: &str| format!("{QUERY}&extra=call_sid:{call}");
    let (hung, other) = (query("CA1"), query("CA2"));
    tokio::select! {
        biased;
        _ = Box::pin(opened(&emulator, &hung)) => panic!("it was answered"),
        // Asked later, and answered.
        _ = Box::pin(soon("another handshake", opened(&emulator, &other))) => {}
    }
    soon("the end", emulator.stop()).await;
}

#[tokio::test]
async fn a_handshake_without_an_id_is_one_all_the_same() {
    let emulator = faulty(&["no-request-id"]).await;
    let (_socket, response) = opened(&emulator, QUERY).await;
    assert_eq!(response.status(), 101);
    assert!(!response.headers().contains_key("dg-request-id"));
    emulator.stop().await;
}

#[tokio::test]
async fn a_dropped_stream_is_gone_without_a_close() {
    let emulator = faulty(&["drop:after_ms=100"]).await;
    let (mut socket, _) = opened(&emulator, QUERY).await;
    let last = soon("the end", socket.next()).await;
    assert!(matches!(last, None | Some(Err(_))), "{last:?}");
    emulator.stop().await;
}

#[tokio::test]
async fn a_stalled_stream_answers_no_ping_and_a_deaf_one_does() {
    let emulator = faulty(&["stall:after_ms=0", "deaf:after_ms=0,skip=1"]).await;
    let ping = || Message::Ping(Bytes::new());
    let (mut stalled, _) = opened(&emulator, QUERY).await;
    let (mut deaf, _) = opened(&emulator, QUERY).await;
    stalled.send(ping()).await.unwrap();
    for message in [Message::text("nonsense"), ping()] {
        deaf.send(message).await.unwrap();
    }
    let pong = soon("a pong", deaf.next()).await;
    assert!(matches!(pong, Some(Ok(Message::Pong(_)))), "{pong:?}");
    // Asked earlier, it would have answered earlier.
    tokio::select! {
        biased;
        answer = stalled.next() => panic!("{answer:?}"),
        () = std::future::ready(()) => {}
    }
    emulator.stop().await;
}

#[tokio::test]
async fn a_message_in_many_frames_is_one_message() {
    let emulator = faulty(&["fragmented:bytes=3"]).await;
    let (mut socket, _) = opened(&emulator, QUERY).await;
    socket.send(Message::text("nonsense")).await.unwrap();
    let told = soon("an answer", socket.next()).await.unwrap().unwrap();
    let parsed = ServerMessage::parse(told.to_text().unwrap());
    assert!(matches!(parsed, Ok(ServerMessage::Error(_))), "{told:?}");
    emulator.stop().await;
}

/// Asks `/_emulator/faults`.
async fn faults(emulator: &Emulator, method: reqwest::Method, body: &str) -> (u16, Value) {
    let _installed_before = rustls::crypto::ring::default_provider()
        .install_default()
        .is_err();
    let url = emulator.http_url().join("/_emulator/faults").unwrap();
    let request = reqwest::Client::new().request(method, url);
    let response = request.body(body.to_owned()).send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

#[tokio::test]
async fn faults_are_listed_set_and_cleared_while_it_runs() {
    use reqwest::Method;

    let emulator = faulty(&["slow"]).await;
    let (status, listed) = faults(&emulator, Method::GET, "").await;
    assert_eq!((status, &listed["faults"]), (200, &json!(["slow"])));
    let known = listed["known"].as_array().unwrap();
    assert_eq!(known.len(), Fault::LIST.len());
    assert!(known.iter().all(|fault| fault["description"].is_string()));

    let body = r#"{"faults": ["drop:after_ms=4000", {"name":"refuse","status":503,"times":"all"}], "seed": 7}"#;
    let set = json!({ "seed": 7, "faults": ["drop:after_ms=4000", "refuse:status=503,times=all"] });
    assert_eq!(faults(&emulator, Method::POST, body).await, (200, set));
    assert_eq!(
        refusal(&emulator, QUERY, "Token secret").await.status(),
        503
    );

    let cleared = json!({ "seed": 7, "faults": [] });
    assert_eq!(faults(&emulator, Method::DELETE, "").await, (200, cleared));
    opened(&emulator, QUERY).await;
    emulator.stop().await;
}

#[tokio::test]
async fn what_is_no_fault_is_refused_with_what_was_probably_meant_and_changes_nothing() {
    use reqwest::Method;

    let emulator = faulty(&["slow"]).await;
    for (body, words) in [
        (r#"{"faults": ["slow", "dorp"]}"#, "did you mean `drop`?"),
        (
            r#"{"faults": [{"name": "refuse", "status": 200}]}"#,
            "400 to 599",
        ),
        (
            r#"{"faults": [{"name": "refuse", "status": null}]}"#,
            "status is null",
        ),
        (r#"{"faults": [5]}"#, r#"{"faults": ["drop"#),
        (r#"{"fault": "drop"}"#, r#"{"faults": ["drop"#),
        (r#"{"now": true}"#, "none"),
        ("drop", r#"{"faults": ["drop"#),
    ] {
        let (status, problem) = faults(&emulator, Method::POST, body).await;
        assert_eq!((status, &problem["status"]), (400, &json!(400)), "{body}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    }
    let (_, listed) = faults(&emulator, Method::GET, "").await;
    assert_eq!(listed["faults"], json!(["slow"]));
    emulator.stop().await;
}

#[tokio::test]
async fn a_fault_set_now_strikes_the_streams_that_are_open() {
    let emulator = emulator().await;
    let query = |call: &str| format!("{QUERY}&extra=call_sid:{call}");
    let (mut spared, _) = opened(&emulator, &query("CA1")).await;
    let (mut struck, _) = opened(&emulator, &query("CA2")).await;
    let body = r#"{"faults": ["net0000:call=CA2"], "now": true}"#;
    let (status, _) = faults(&emulator, reqwest::Method::POST, body).await;
    assert_eq!(status, 200);
    let Some(Ok(Message::Close(Some(frame)))) = soon("a close", struck.next()).await else {
        panic!("no close")
    };
    assert!(frame.reason.contains("net0000"), "{frame}");
    spared.send(Message::text("nonsense")).await.unwrap();
    let answer = soon("an answer", spared.next()).await;
    assert!(matches!(answer, Some(Ok(Message::Text(_)))), "{answer:?}");
    emulator.stop().await;
}
