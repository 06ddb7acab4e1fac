//! Deepgram for tests: the emulated one, and one that only records what it is sent.

use std::sync::{Arc, Mutex};

use futures_util::{SinkExt as _, StreamExt as _};
use sidetone_simulator::emulator::{Emulator, Options};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::serve::soon;

/// An emulated Deepgram that hears.
pub(crate) async fn emulated() -> Emulator {
    Emulator::start(Options::default()).await.unwrap()
}

/// What one connection was sent.
#[derive(Clone, Debug, Default)]
pub(crate) struct Recorded {
    /// Path and query of the handshake.
    pub(crate) target: String,
    /// The `Authorization` header.
    pub(crate) authorization: String,
    /// All audio.
    pub(crate) audio: Vec<u8>,
    /// Sizes of the binary messages.
    pub(crate) sizes: Vec<usize>,
    /// Text messages.
    pub(crate) texts: Vec<String>,
}

/// A Deepgram that records, and answers `CloseStream` with a Metadata message and a close.
pub(crate) struct Recorder {
    pub(crate) url: String,
    connections: Arc<Mutex<Vec<Recorded>>>,
    changes: watch::Receiver<u64>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Recorder {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Recorder {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let connections = Arc::new(Mutex::new(Vec::new()));
        let (changed, changes) = watch::channel(0);
        let kept = Arc::clone(&connections);
        let serving = tokio::spawn(async move {
            let mut sockets = tokio::task::JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                sockets.spawn(record(socket, Arc::clone(&kept), changed.clone()));
            }
        });
        Self {
            url,
            connections,
            changes,
            serving,
        }
    }

    pub(crate) fn connections(&self) -> Vec<Recorded> {
        self.connections.lock().unwrap().clone()
    }

    /// Waits until the connections look as wanted.
    pub(crate) async fn until(
        &self,
        what: &str,
        wanted: impl Fn(&[Recorded]) -> bool,
    ) -> Vec<Recorded> {
        let mut changes = self.changes.clone();
        let waiting = async {
            loop {
                changes.borrow_and_update();
                let connections = self.connections();
                if wanted(&connections) {
                    return connections;
                }
                changes.changed().await.unwrap();
            }
        };
        soon(what, waiting).await
    }
}

async fn record(
    socket: tokio::net::TcpStream,
    connections: Arc<Mutex<Vec<Recorded>>>,
    changed: watch::Sender<u64>,
) {
    let mut seen = Recorded::default();
    // The type of this result is the library's.
    #[expect(
        clippy::result_large_err,
        reason = "the handshake callback's type is tungstenite's"
    )]
    let callback = |request: &Request, mut response: Response| {
        seen.target = request.uri().to_string();
        seen.authorization = request.headers()["authorization"]
            .to_str()
            .unwrap()
            .to_owned();
        let id = "00000000-0000-4000-8000-000000000001".parse().unwrap();
        response.headers_mut().insert("dg-request-id", id);
        Ok(response)
    };
    let Ok(mut socket) = tokio_tungstenite::accept_hdr_async(socket, callback).await else {
        return;
    };
    let index = {
        let mut connections = connections.lock().unwrap();
        connections.push(seen);
        connections.len() - 1
    };
    while let Some(Ok(message)) = socket.next().await {
        let mut closing = false;
        {
            let mut connections = connections.lock().unwrap();
            match message {
                Message::Binary(audio) => {
                    connections[index].sizes.push(audio.len());
                    connections[index].audio.extend_from_slice(&audio);
                }
                Message::Text(text) => {
                    closing = text.contains("CloseStream");
                    connections[index].texts.push(text.to_string());
                }
                _ => {}
            }
        }
        changed.send_modify(|n| *n += 1);
        if closing {
            let metadata = r#"{"type":"Metadata","transaction_key":"deprecated","request_id":"00000000-0000-4000-8000-000000000001","sha256":"","created":"2026-01-01T00:00:00.000Z","duration":0.0,"channels":1}"#;
            let _ = socket.send(Message::text(metadata)).await;
            let _ = socket.close(None).await;
        }
    }
}

/// The way to a Deepgram that takes connections and lets nothing through until it is opened.
pub(crate) struct Gate {
    pub(crate) url: String,
    opened: watch::Sender<bool>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Gate {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Gate {
    pub(crate) async fn before(deepgram: std::net::SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (opened, is_open) = watch::channel(false);
        let serving = tokio::spawn(async move {
            let mut sockets = tokio::task::JoinSet::new();
            loop {
                let (mut socket, _) = listener.accept().await.unwrap();
                let mut is_open = is_open.clone();
                sockets.spawn(async move {
                    is_open.wait_for(|is_open| *is_open).await.unwrap();
                    let mut deepgram = tokio::net::TcpStream::connect(deepgram).await.unwrap();
                    let _ = tokio::io::copy_bidirectional(&mut socket, &mut deepgram).await;
                });
            }
        });
        Self {
            url,
            opened,
            serving,
        }
    }

    pub(crate) fn open(&self) {
        self.opened.send_replace(true);
    }
}
