//! The other end of an agent's connection: what it says, each test decides.

use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{WebSocketStream, accept_hdr_async};

use crate::support::within;

/// Where agents connect to.
pub(super) struct Provider {
    pub(super) url: String,
    listener: TcpListener,
}

/// One connection of an agent.
pub(super) struct Session {
    pub(super) uri: String,
    pub(super) authorization: String,
    socket: WebSocketStream<TcpStream>,
    /// The caller's audio so far.
    pub(super) heard: Vec<u8>,
}

impl Provider {
    pub(super) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        Self { url, listener }
    }

    /// The next connection, before anything was said on it.
    #[expect(
        clippy::result_large_err,
        reason = "the shape of tungstenite's callback"
    )]
    pub(super) async fn accept(&self) -> Session {
        within(async {
            let (socket, _) = self.listener.accept().await.unwrap();
            let (mut uri, mut authorization) = (String::new(), String::new());
            let accepted = accept_hdr_async(socket, |request: &Request, mut response: Response| {
                uri = request.uri().to_string();
                let header = &request.headers()["authorization"];
                authorization = header.to_str().unwrap().to_owned();
                let id = "request-1".parse().unwrap();
                response.headers_mut().insert("dg-request-id", id);
                Ok(response)
            });
            let socket = accepted.await.unwrap();
            Session {
                uri,
                authorization,
                socket,
                heard: Vec::new(),
            }
        })
        .await
    }

    /// The next connection and its settings, which were taken.
    pub(super) async fn session(&self) -> (Session, Value) {
        let mut session = self.accept().await;
        session
            .say(json!({"type": "Welcome", "request_id": "request-1"}))
            .await;
        let settings = session.expect("Settings").await;
        session.say(json!({"type": "SettingsApplied"})).await;
        (session, settings)
    }

    /// Answers the next handshake with 401.
    pub(super) async fn refuse(&self) {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let (mut socket, _) = within(self.listener.accept()).await.unwrap();
        let body = r#"{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials."}"#;
        let length = body.len();
        let answer = format!("HTTP/1.1 401 Unauthorized\r\nContent-Length: {length}\r\n\r\n{body}");
        let mut request = [0; 4096];
        let _read = within(socket.read(&mut request)).await.unwrap();
        within(socket.write_all(answer.as_bytes())).await.unwrap();
    }
}

impl Session {
    pub(super) async fn say(&mut self, message: Value) {
        let message = Message::text(message.to_string());
        within(self.socket.send(message)).await.unwrap();
    }

    /// Speaks so much of a tone, in one piece.
    pub(super) async fn speak(&mut self, tone: u8, duration_ms: usize) {
        let audio = Message::binary(vec![tone; duration_ms * 8]);
        within(self.socket.send(audio)).await.unwrap();
    }

    /// A turn of the agent, whole.
    pub(super) async fn turn(&mut self, text: &str, duration_ms: usize) {
        self.say(json!({"type": "ConversationText", "role": "assistant", "content": text}))
            .await;
        self.speak(0x55, duration_ms).await;
        self.say(json!({"type": "AgentAudioDone"})).await;
    }

    pub(super) async fn call(&mut self, id: &str, name: &str, arguments: &Value) {
        let function = json!({
            "id": id, "name": name, "arguments": arguments.to_string(), "client_side": true,
        });
        self.say(json!({"type": "FunctionCallRequest", "functions": [function]}))
            .await;
    }

    /// Waits for a message of this type, past all others.
    pub(super) async fn expect(&mut self, kind: &str) -> Value {
        within(async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Text(text))) => {
                        let message: Value = serde_json::from_str(&text).unwrap();
                        if message["type"] == kind {
                            return message;
                        }
                    }
                    Some(Ok(Message::Binary(audio))) => self.heard.extend_from_slice(&audio),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => panic!("the agent's connection ended before {kind}"),
                }
            }
        })
        .await
    }

    /// Waits for so much of the caller's audio.
    pub(super) async fn hear(&mut self, bytes: usize) {
        within(async {
            while self.heard.len() < bytes {
                match self.socket.next().await {
                    Some(Ok(Message::Binary(audio))) => self.heard.extend_from_slice(&audio),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => panic!("the agent's connection ended"),
                }
            }
        })
        .await;
    }

    /// The code of the gateway's Close.
    pub(super) async fn close_code(&mut self) -> Option<u16> {
        within(async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|frame| frame.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        })
        .await
    }
}
