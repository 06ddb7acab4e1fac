//! HTTP as bytes on a socket: a client that can also do what no client should.

use std::net::SocketAddr;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

use crate::support::within;

/// An answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    head: String,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("an answer has a head");
        let status = head.split(' ').nth(1).expect("an answer has a status");
        Self {
            status: status.parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (found, value) = line.split_once(':')?;
            found.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {self:?}"))
    }

    /// The `code` of a problem document.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        assert_eq!(
            self.header("content-type"),
            Some("application/problem+json"),
            "{self:?}"
        );
        let problem = self.json();
        assert_eq!(problem["status"], self.status, "{problem}");
        assert!(
            problem["detail"].is_string() && problem["title"].is_string(),
            "{problem}"
        );
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Sends these bytes and reads until the gateway closes.
pub(crate) async fn raw(gateway: SocketAddr, bytes: &[u8]) -> Answer {
    try_raw(gateway, bytes).await.expect("an answer")
}

/// The same, with nothing for a connection that was closed without an answer.
async fn try_raw(gateway: SocketAddr, bytes: &[u8]) -> Option<Answer> {
    within(async {
        let mut socket = TcpStream::connect(gateway).await.unwrap();
        // A gateway that answers before it has read all may close meanwhile.
        drop(socket.write_all(bytes).await);
        let mut answer = Vec::new();
        drop(socket.read_to_end(&mut answer).await);
        (!answer.is_empty()).then(|| Answer::parse(&String::from_utf8(answer).unwrap()))
    })
    .await
}

pub(crate) async fn try_get(gateway: SocketAddr, target: &str) -> Option<Answer> {
    let text = format!("GET {target} HTTP/1.1\r\nHost: {gateway}\r\nConnection: close\r\n\r\n");
    try_raw(gateway, text.as_bytes()).await
}

/// A request with these header lines beside `Host` and `Connection`.
pub(crate) async fn request(
    gateway: SocketAddr,
    method: &str,
    target: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let lines: String = headers
        .iter()
        .map(|(name, value)| format!("{name}: {value}\r\n"))
        .collect();
    let length = body.len();
    let text = format!(
        "{method} {target} HTTP/1.1\r\nHost: {gateway}\r\nConnection: close\r\n\
         Content-Length: {length}\r\n{lines}\r\n{body}"
    );
    raw(gateway, text.as_bytes()).await
}

pub(crate) async fn get(gateway: SocketAddr, target: &str) -> Answer {
    request(gateway, "GET", target, &[], "").await
}

/// A metric's value; 0 when nothing was counted yet.
pub(crate) async fn metric(gateway: SocketAddr, series: &str) -> f64 {
    let text = get(gateway, "/metrics").await.body;
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(series)?.strip_prefix(' '));
    value.map_or(0.0, |value| value.parse().unwrap())
}

/// Waits until a metric has a value.
pub(crate) async fn metric_becomes(gateway: SocketAddr, series: &str, expected: f64) {
    within(async {
        while metric(gateway, series).await != expected {
            tokio::task::yield_now().await;
        }
    })
    .await;
}

/// A reader of Server-Sent Events.
pub(crate) struct EventStream {
    socket: TcpStream,
    unread: String,
}

impl EventStream {
    pub(crate) async fn open(gateway: SocketAddr, target: &str, headers: &str) -> Self {
        let mut socket = TcpStream::connect(gateway).await.unwrap();
        let request = format!(
            "GET {target} HTTP/1.1\r\nHost: {gateway}\r\nAccept: text/event-stream\r\n{headers}\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut stream = Self {
            socket,
            unread: String::new(),
        };
        let head = stream.until("\r\n\r\n").await.unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        assert!(head.contains("content-type: text/event-stream"), "{head}");
        stream
    }

    /// What comes before `end`; `None` when the answer is over.
    async fn until(&mut self, end: &str) -> Option<String> {
        within(async {
            loop {
                if let Some((before, after)) = self.unread.split_once(end) {
                    let (before, after) = (before.to_owned(), after.to_owned());
                    self.unread = after;
                    return Some(before);
                }
                if self.unread.ends_with("\r\n0\r\n\r\n") {
                    return None;
                }
                let mut bytes = [0; 4096];
                let count = self.socket.read(&mut bytes).await.unwrap();
                assert!(
                    count > 0,
                    "the answer ends as a chunked one: {:?}",
                    self.unread
                );
                self.unread
                    .push_str(std::str::from_utf8(&bytes[..count]).unwrap());
            }
        })
        .await
    }

    /// The next frame, without what belongs to the chunked transfer.
    pub(crate) async fn frame(&mut self) -> Option<String> {
        let frame = self.until("\n\n").await?;
        let lines = frame.split('\n').filter(|line| !line.ends_with('\r'));
        Some(lines.collect::<Vec<_>>().join("\n"))
    }

    /// The next event, with its id when it has one; `None` when the answer is over.
    pub(crate) async fn event(&mut self) -> Option<(Option<u64>, Value)> {
        loop {
            let frame = self.frame().await?;
            let Some((head, data)) = frame.split_once("data: ") else {
                continue;
            };
            let id = head
                .strip_prefix("id: ")
                .map(|id| id.trim().parse().unwrap());
            return Some((id, serde_json::from_str(data).unwrap()));
        }
    }

    /// The ids and events of all frames until the answer is over.
    pub(crate) async fn events_until_end(&mut self) -> Vec<Value> {
        let mut events = Vec::new();
        while let Some(frame) = self.frame().await {
            let (id, data) = frame.split_once("\ndata: ").expect("an event has an id");
            let event: Value = serde_json::from_str(data).unwrap();
            assert_eq!(id, format!("id: {}", event["seq"]), "{frame}");
            events.push(event);
        }
        events
    }
}

/// A WebSocket to the gateway.
pub(crate) struct Socket(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    pub(crate) async fn open(gateway: SocketAddr, target: &str) -> Self {
        Self::try_open(gateway, target, &[]).await.unwrap()
    }

    /// The status that refused it, when there is one.
    pub(crate) async fn try_open(
        gateway: SocketAddr,
        target: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, u16> {
        let mut request = format!("ws://{gateway}{target}")
            .into_client_request()
            .unwrap();
        for (name, value) in headers {
            request
                .headers_mut()
                .insert(*name, HeaderValue::from_str(value).unwrap());
        }
        match within(connect_async(request)).await {
            Ok((socket, _)) => Ok(Self(socket)),
            Err(tungstenite::Error::Http(answer)) => Err(answer.status().as_u16()),
            Err(error) => panic!("{error}"),
        }
    }

    /// Waits until the gateway has read everything that was sent.
    pub(crate) async fn is_heard(&mut self) {
        within(async {
            self.0.send(Message::Ping(Bytes::new())).await.unwrap();
            while !matches!(self.0.next().await, Some(Ok(Message::Pong(_)))) {}
        })
        .await;
    }

    /// The next text, or the code of the Close.
    pub(crate) async fn next(&mut self) -> Result<String, u16> {
        within(async {
            loop {
                match self.0.next().await.expect("a Close comes first").unwrap() {
                    Message::Text(text) => return Ok(text.to_string()),
                    Message::Close(frame) => return Err(frame.expect("a code").code.into()),
                    _ => {}
                }
            }
        })
        .await
    }
}
