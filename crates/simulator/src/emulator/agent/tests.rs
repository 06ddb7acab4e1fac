use futures_util::{SinkExt as _, StreamExt as _};
use sidetone_deepgram::agent::message::ServerMessage;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use super::*;
use crate::emulator::{Emulator, Options};

type Socket = WebSocketStream<MaybeTlsStream<tokio::net::TcpStream>>;

async fn emulator(faults: &[&str]) -> Emulator {
    let options = Options {
        api_key: Some("secret".into()),
        faults: faults.iter().map(|text| text.parse().unwrap()).collect(),
        ..Options::default()
    };
    Emulator::start(options).await.unwrap()
}

async fn connect(
    emulator: &Emulator,
    (header, value): (&'static str, &str),
) -> Result<Socket, tokio_tungstenite::tungstenite::Error> {
    let url = emulator.url().join(PATH).unwrap();
    let mut request = url.as_str().into_client_request().unwrap();
    request.headers_mut().insert(header, value.parse().unwrap());
    Ok(connect_async(request).await?.0)
}

async fn next(socket: &mut Socket) -> Message {
    let next = tokio::time::timeout(std::time::Duration::from_secs(20), socket.next());
    next.await.expect("an answer in time").unwrap().unwrap()
}

/// Asks `/_emulator/agent`.
async fn agent(emulator: &Emulator, method: reqwest::Method, body: &str) -> (u16, Value) {
    let _installed_before = rustls::crypto::ring::default_provider()
        .install_default()
        .is_err();
    let url = emulator.http_url().join("/_emulator/agent").unwrap();
    let request = reqwest::Client::new().request(method, url);
    let response = request.body(body.to_owned()).send().await.unwrap();
    let status = response.status().as_u16();
    (status, response.json().await.unwrap())
}

fn settings() -> Message {
    Message::text(
        json!({
            "type": "Settings",
            "audio": {
                "input": { "encoding": "mulaw", "sample_rate": 8000 },
                "output": { "encoding": "mulaw", "sample_rate": 8000 },
            },
            "agent": { "greeting": "Hello!" },
        })
        .to_string(),
    )
}

#[tokio::test]
async fn an_agent_greets_who_comes_in_by_header_or_subprotocol() {
    let emulator = emulator(&[]).await;
    for credentials in [
        ("authorization", "Token secret"),
        ("sec-websocket-protocol", "token, secret"),
    ] {
        let mut socket = connect(&emulator, credentials).await.unwrap();
        socket.send(settings()).await.unwrap();
        let mut kinds = Vec::new();
        loop {
            match next(&mut socket).await {
                Message::Text(text) => {
                    let message: Value = serde_json::from_str(&text).unwrap();
                    kinds.push(message["type"].as_str().unwrap().to_owned());
                    if ServerMessage::parse(&text).unwrap() == ServerMessage::AgentAudioDone {
                        break;
                    }
                }
                Message::Binary(_) => {}
                other => panic!("{other:?}"),
            }
        }
        let expected = ["Welcome", "SettingsApplied", "ConversationText", "History"];
        assert_eq!(kinds[..4], expected);
    }
    emulator.stop().await;
}

#[tokio::test]
async fn who_may_not_come_in_is_refused_as_everywhere() {
    let emulator = emulator(&["agent-refuse:status=429"]).await;
    for (key, status) in [("wrong", 401), ("fail-402", 402), ("secret", 429)] {
        let refused = connect(&emulator, ("authorization", &format!("Token {key}"))).await;
        let Err(tokio_tungstenite::tungstenite::Error::Http(response)) = refused else {
            panic!("{key} was let in")
        };
        assert_eq!(response.status(), status);
        assert_eq!(response.headers()["dg-request-id"].len(), 36);
    }
    connect(&emulator, ("authorization", "Token secret"))
        .await
        .unwrap();
    emulator.stop().await;
}

#[tokio::test]
async fn a_socket_may_open_and_no_welcome_come() {
    let emulator = emulator(&["agent-no-welcome"]).await;
    let mut socket = connect(&emulator, ("authorization", "Token secret"))
        .await
        .unwrap();
    socket.send(settings()).await.unwrap();
    let Message::Text(first) = next(&mut socket).await else {
        panic!("no text")
    };
    assert_eq!(
        ServerMessage::parse(&first).unwrap(),
        ServerMessage::SettingsApplied
    );
    emulator.stop().await;
}

#[tokio::test]
async fn a_script_is_set_and_sessions_are_told_while_it_runs() {
    use reqwest::Method;

    let emulator = emulator(&[]).await;
    let script = r#"{"greeting": "Ahoy!", "rules": [{"hears": "", "says": "Aye."}]}"#;
    let (status, told) = agent(&emulator, Method::POST, script).await;
    assert_eq!(
        (status, &told["script"]["greeting"]),
        (200, &json!("Ahoy!"))
    );
    assert_eq!(told["stored_agent"], STORED_AGENT_ID);

    let mut socket = connect(&emulator, ("authorization", "Token secret"))
        .await
        .unwrap();
    socket.send(settings()).await.unwrap();
    loop {
        if let Message::Text(text) = next(&mut socket).await
            && text.contains("ConversationText")
        {
            assert!(text.contains("Ahoy!"), "{text}");
            break;
        }
    }
    let (_, told) = agent(&emulator, Method::GET, "").await;
    assert_eq!(
        told["sessions"][0]["settings"]["agent"]["greeting"],
        "Hello!"
    );
    assert_eq!(told["sessions"][0]["ended"], Value::Null);

    let (status, problem) = agent(&emulator, Method::POST, r#"{"rulse": []}"#).await;
    assert_eq!(status, 400);
    assert!(
        problem["detail"].as_str().unwrap().contains("rulse"),
        "{problem}"
    );
    let (_, cleared) = agent(&emulator, Method::DELETE, "").await;
    assert_eq!(
        (&cleared["script"]["greeting"], &cleared["sessions"]),
        (&Value::Null, &json!([]))
    );
    emulator.stop().await;
}
