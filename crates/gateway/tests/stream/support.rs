//! The gateway in this process, with a socket on either side of it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_util::{SinkExt, StreamExt};
use serde_json::{Value, json};
use sidetone_call::event::EventData;
use sidetone_call::log::{Cursor, Item, Read};
use sidetone_gateway::calls::{CallHandle, Calls, Store};
use sidetone_gateway::config::{Config, Listen, Profile};
use sidetone_gateway::{Gateway, Shutdown, config};
use sidetone_twilio::CallSid;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, accept_hdr_async, connect_async};

pub(crate) const CALL_SID: &str = "CA00000000000000000000000000000001";
pub(crate) const STREAM_SID: &str = "MZ00000000000000000000000000000001";

/// No test waits longer for anything. Boxed, since what tests wait for is large.
pub(crate) fn within<F: Future>(what: F) -> impl Future<Output = F::Output> {
    let what = timeout(Duration::from_secs(20), Box::pin(what));
    async { what.await.expect("it happens within 20 s") }
}

pub(crate) fn config(deepgram_url: &str) -> Config {
    let profile = Profile {
        listen: Some(Listen::default()),
        ..Profile::default()
    };
    let deepgram = config::Deepgram::new(deepgram_url.parse().unwrap(), "test-key".into());
    Config {
        profiles: BTreeMap::from([("default".to_owned(), profile)]),
        ..Config::new(vec!["127.0.0.1:0".parse().unwrap()], deepgram)
    }
}

/// A gateway that serves.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    pub(crate) calls: Arc<Calls>,
    shutdown: Shutdown,
    task: JoinHandle<()>,
}

impl Running {
    pub(crate) async fn start(config: Config) -> Self {
        Self::start_with(config, Store::default()).await
    }

    pub(crate) async fn start_with(config: Config, archive: Store) -> Self {
        let gateway = Gateway::bind_with(config, archive).await.unwrap();
        let (address, calls) = (gateway.addresses()[0], gateway.calls());
        let shutdown = Shutdown::default();
        let task = tokio::spawn(gateway.run(shutdown.clone()));
        Self {
            address,
            calls,
            shutdown,
            task,
        }
    }

    pub(crate) async fn stop(self) {
        self.shutdown.drain.cancel();
        within(self.task).await.unwrap();
    }

    /// The call's handle, once its stream was accepted.
    pub(crate) async fn call(&self, call_sid: &str) -> Arc<CallHandle> {
        let call_sid: CallSid = call_sid.parse().unwrap();
        let mut changed = self.calls.changed();
        within(async {
            loop {
                if let Some(call) = self.calls.get(&call_sid) {
                    return call;
                }
                changed.changed().await.unwrap();
            }
        })
        .await
    }

    pub(crate) async fn no_live_call(&self) {
        let mut changed = self.calls.changed();
        while !self.calls.live().is_empty() {
            changed.changed().await.unwrap();
        }
    }

    /// The first event of a type.
    pub(crate) async fn event(&self, call_sid: &str, type_name: &str) -> EventData {
        let events = self
            .read(call_sid, |event| {
                event.is_some_and(|e| e.type_name() == type_name)
            })
            .await;
        events.into_iter().next_back().unwrap()
    }

    /// Reads the call's events from the first on. `is_last` sees each, and `None` for the end.
    async fn read(
        &self,
        call_sid: &str,
        is_last: impl Fn(Option<&EventData>) -> bool,
    ) -> Vec<EventData> {
        let call = self.call(call_sid).await;
        let (mut cursor, mut events) = (Cursor::default(), Vec::new());
        let mut changed = call.changed();
        loop {
            changed.borrow_and_update();
            match call.read(&mut cursor, 100) {
                Read::Items { items, .. } => {
                    for item in items {
                        let Item::Event(entry) = item else { continue };
                        events.push(entry.event.data.clone());
                        if is_last(events.last()) {
                            return events;
                        }
                    }
                }
                Read::Waiting => within(changed.changed()).await.unwrap(),
                Read::Ended => {
                    assert!(is_last(None), "the call ended first: {events:?}");
                    return events;
                }
                Read::Behind { .. } => panic!("a short log is whole"),
            }
        }
    }
}

/// All events of a call.
pub(crate) async fn events_until_end(gateway: &Running, call_sid: &str) -> Vec<EventData> {
    gateway.read(call_sid, |event| event.is_none()).await
}

/// A socket that says what Twilio says.
pub(crate) struct Phone {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
    pub(crate) call_sid: String,
    sequence: u64,
}

impl Phone {
    pub(crate) async fn dial(gateway: SocketAddr, path: &str) -> Self {
        Self::dial_with(gateway, path, &[]).await
    }

    /// Dials with further header fields.
    pub(crate) async fn dial_with(
        gateway: SocketAddr,
        path: &str,
        headers: &[(&'static str, &str)],
    ) -> Self {
        let mut request = format!("ws://{gateway}{path}")
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let (socket, _) = within(Box::pin(connect_async(request))).await.unwrap();
        Self {
            socket,
            call_sid: CALL_SID.to_owned(),
            sequence: 0,
        }
    }

    /// A gateway that has closed already does not read any more.
    pub(crate) async fn send(&mut self, message: Message) {
        let _sent = within(self.socket.send(message)).await.is_ok();
    }

    async fn say(&mut self, mut message: Value) {
        self.sequence += 1;
        message["sequenceNumber"] = self.sequence.to_string().into();
        message["streamSid"] = STREAM_SID.into();
        self.send(Message::text(message.to_string())).await;
    }

    pub(crate) async fn connected(&mut self) {
        let connected = r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#;
        self.send(Message::text(connected)).await;
    }

    pub(crate) async fn start(&mut self, tracks: &[&str], parameters: Value) {
        let start = json!({
            "accountSid": "AC00000000000000000000000000000001",
            "streamSid": STREAM_SID,
            "callSid": self.call_sid,
            "tracks": tracks,
            "mediaFormat": {"encoding": "audio/x-mulaw", "sampleRate": 8000, "channels": 1},
            "customParameters": parameters,
        });
        self.say(json!({"event": "start", "start": start})).await;
    }

    pub(crate) async fn media(&mut self, track: &str, timestamp_ms: u64, audio: &[u8]) {
        self.payload(track, timestamp_ms, &STANDARD.encode(audio))
            .await;
    }

    pub(crate) async fn payload(&mut self, track: &str, timestamp_ms: u64, payload: &str) {
        let media = json!({
            "track": track, "chunk": self.sequence.to_string(),
            "timestamp": timestamp_ms.to_string(), "payload": payload,
        });
        self.say(json!({"event": "media", "media": media})).await;
    }

    pub(crate) async fn stop(&mut self) {
        self.say(json!({"event": "stop", "stop": {"callSid": self.call_sid}}))
            .await;
    }

    /// The code of the gateway's Close; `None` when the connection broke without one.
    pub(crate) async fn close_code(&mut self) -> Option<u16> {
        within(async {
            loop {
                match self.socket.next().await {
                    Some(Ok(Message::Close(frame))) => return frame.map(|f| f.code.into()),
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => return None,
                }
            }
        })
        .await
    }
}

/// A Deepgram that notes what it is sent, says one final and answers `CloseStream`.
pub(crate) struct Deepgram {
    pub(crate) url: String,
    connections: Arc<Mutex<Vec<Heard>>>,
}

/// One connection as Deepgram saw it.
#[derive(Clone, Default)]
pub(crate) struct Heard {
    pub(crate) query: String,
    pub(crate) authorization: String,
    pub(crate) audio: Vec<u8>,
}

impl Deepgram {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let connections = Arc::<Mutex<Vec<Heard>>>::default();
        let all = Arc::clone(&connections);
        tokio::spawn(async move {
            while let Ok((socket, _)) = listener.accept().await {
                tokio::spawn(hear(socket, Arc::clone(&all)));
            }
        });
        Self { url, connections }
    }

    /// One that knows no key; its answer comes in two pieces.
    pub(crate) async fn refusing() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut socket, _)) = listener.accept().await {
                let body = r#"{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials."}"#;
                let head = format!(
                    "HTTP/1.1 401 Unauthorized\r\nContent-Length: {}\r\n\r\n",
                    body.len()
                );
                let mut request = [0; 4096];
                let _read = socket.read(&mut request).await.unwrap();
                socket.write_all(head.as_bytes()).await.unwrap();
                socket.flush().await.unwrap();
                tokio::task::yield_now().await;
                socket.write_all(body.as_bytes()).await.unwrap();
            }
        });
        Self {
            url,
            connections: Arc::default(),
        }
    }

    pub(crate) async fn connections(&self) -> Vec<Heard> {
        self.connections.lock().unwrap().clone()
    }
}

#[expect(
    clippy::result_large_err,
    reason = "the shape of tungstenite's callback"
)]
async fn hear(socket: TcpStream, all: Arc<Mutex<Vec<Heard>>>) {
    let mut heard = Heard::default();
    let mut socket = accept_hdr_async(socket, |request: &Request, mut response: Response| {
        heard.query = request.uri().query().unwrap_or_default().to_owned();
        heard.authorization = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        response
            .headers_mut()
            .insert("dg-request-id", "request-1".parse().unwrap());
        Ok(response)
    })
    .await
    .unwrap();
    let index = {
        let mut all = all.lock().unwrap();
        all.push(heard);
        all.len() - 1
    };
    let mut said = false;
    while let Some(Ok(message)) = socket.next().await {
        match message {
            Message::Binary(audio) => {
                let length = {
                    let heard = &mut all.lock().unwrap()[index].audio;
                    heard.extend_from_slice(&audio);
                    heard.len()
                };
                if length >= 4000 && !said {
                    said = true;
                    socket
                        .send(Message::text(final_result().to_string()))
                        .await
                        .unwrap();
                }
            }
            Message::Text(text) if text.contains("CloseStream") => {
                let metadata = json!({
                    "type": "Metadata", "transaction_key": "deprecated", "request_id": "request-1",
                    "sha256": "00", "created": "2026-01-01T00:00:00.000Z", "duration": 1.0,
                    "channels": 1, "models": [], "model_info": {},
                });
                socket
                    .send(Message::text(metadata.to_string()))
                    .await
                    .unwrap();
                let _closed = socket.close(None).await.is_ok();
            }
            _ => {}
        }
    }
}

fn final_result() -> Value {
    let word = |word: &str, start: f64, end: f64| {
        json!({
            "word": word, "start": start, "end": end, "confidence": 0.9, "punctuated_word": word,
        })
    };
    json!({
        "type": "Results", "channel_index": [0, 1], "duration": 0.5, "start": 0.0,
        "is_final": true, "speech_final": true, "from_finalize": false,
        "channel": {"alternatives": [{
            "transcript": "hello there", "confidence": 0.9,
            "words": [word("hello", 0.1, 0.2), word("there", 0.25, 0.4)],
        }]},
        "metadata": {
            "request_id": "request-1", "model_uuid": "m",
            "model_info": {"name": "nova-3", "version": "1", "arch": "nova-3"},
        },
    })
}
