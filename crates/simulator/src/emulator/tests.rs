use futures_util::{SinkExt as _, StreamExt as _};
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
    let options = Options {
        api_key: Some("secret".into()),
        ..Options::default()
    };
    Emulator::start(options).await.unwrap()
}

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
