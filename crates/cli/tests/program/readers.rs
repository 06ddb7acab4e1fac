//! Those who read a call: pages, Server-Sent Events, WebSockets.

use std::sync::LazyLock;

use reqwest::header::HeaderMap;
use serde_json::Value;

use crate::serve::{Serve, soon};
use crate::twilio::Socket;

/// One for all, since each costs what a browser costs to start; every request has a connection of
/// its own.
static CLIENT: LazyLock<reqwest::Client> = LazyLock::new(|| {
    let client = reqwest::Client::builder().pool_max_idle_per_host(0);
    client.build().unwrap()
});

/// An answer of the API, read to its end.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Answer {
    async fn read(response: reqwest::Response) -> Self {
        Self {
            status: response.status().as_u16(),
            headers: response.headers().clone(),
            text: response.text().await.unwrap(),
        }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers
            .get(name)
            .map_or("", |value| value.to_str().unwrap())
    }

    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Checks that it is a problem document of this status and code.
    #[track_caller]
    pub(crate) fn is_problem(&self, status: u16, code: &str) {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.header("content-type"), "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], status, "{problem}");
        assert_eq!(problem["code"], code, "{problem}");
        for member in ["type", "title", "detail"] {
            assert!(
                problem[member]
                    .as_str()
                    .is_some_and(|text| !text.is_empty()),
                "{member} in {problem}"
            );
        }
    }
}

/// A request of a program, with further headers.
pub(crate) async fn ask(
    serve: &Serve,
    method: reqwest::Method,
    path: &str,
    headers: &[(&str, &str)],
) -> Answer {
    let mut request = CLIENT.request(method, serve.http(path));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let answering = async { Answer::read(request.send().await.unwrap()).await };
    soon(path, answering).await
}

/// GETs a path.
pub(crate) async fn look(serve: &Serve, path: &str) -> Answer {
    ask(serve, reqwest::Method::GET, path, &[]).await
}

/// GETs a path as Server-Sent Events that come to an end, or that are refused.
pub(crate) async fn look_at_stream(serve: &Serve, path: &str, headers: &[(&str, &str)]) -> Answer {
    let headers = [&[("accept", "text/event-stream")], headers].concat();
    ask(serve, reqwest::Method::GET, path, &headers).await
}

/// One frame of Server-Sent Events: its fields in order, a comment with an empty name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Frame(pub(crate) Vec<(String, String)>);

impl Frame {
    fn parse(text: &str) -> Self {
        let field = |line: &str| {
            let (name, value) = line.split_once(':').unwrap_or((line, ""));
            let value = value.strip_prefix(' ').unwrap_or(value);
            (name.to_owned(), value.to_owned())
        };
        Self(text.lines().map(field).collect())
    }

    /// All frames of a text.
    pub(crate) fn all(text: &str) -> Vec<Self> {
        let frames = text.split_terminator("\n\n");
        frames.map(Self::parse).collect()
    }

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let field = self.0.iter().find(|(known, _)| known == name);
        field.map(|(_, value)| value.as_str())
    }

    /// The event in it, if one is in it.
    pub(crate) fn event(&self) -> Option<Value> {
        self.field("data")
            .map(|data| serde_json::from_str(data).unwrap())
    }
}

/// Server-Sent Events while they come.
pub(crate) struct EventStream {
    response: reqwest::Response,
    unread: Vec<u8>,
}

impl EventStream {
    pub(crate) async fn open(serve: &Serve, path: &str, headers: &[(&str, &str)]) -> Self {
        let mut request = CLIENT
            .get(serve.http(path))
            .header("accept", "text/event-stream");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let response = soon("the stream of events", request.send()).await.unwrap();
        assert_eq!(response.status(), 200);
        Self {
            response,
            unread: Vec::new(),
        }
    }

    /// The next frame; `None` at the end.
    pub(crate) async fn frame(&mut self) -> Option<Frame> {
        loop {
            if let Some(end) = self.unread.windows(2).position(|pair| pair == b"\n\n") {
                let frame = String::from_utf8(self.unread[..end].to_vec()).unwrap();
                self.unread.drain(..end + 2);
                return Some(Frame::parse(&frame));
            }
            match soon("a frame", self.response.chunk()).await.unwrap() {
                Some(chunk) => self.unread.extend_from_slice(&chunk),
                None => {
                    assert!(self.unread.is_empty(), "half a frame at the end");
                    return None;
                }
            }
        }
    }

    /// The next event or interim; `None` at the end.
    pub(crate) async fn event(&mut self) -> Option<Value> {
        loop {
            if let Some(event) = self.frame().await?.event() {
                return Some(event);
            }
        }
    }
}

/// The next event or interim of a WebSocket; `None` at the end.
pub(crate) async fn event(socket: &mut Socket) -> Option<Value> {
    let text = socket.text().await?;
    Some(serde_json::from_str(&text).unwrap())
}

/// Durable events only.
pub(crate) fn durable(events: impl IntoIterator<Item = Value>) -> Vec<Value> {
    let mut events: Vec<Value> = events.into_iter().collect();
    events.retain(|event| event.get("seq").is_some());
    events
}

/// The names of a JSON object's members.
#[track_caller]
pub(crate) fn members(value: &Value) -> Vec<&str> {
    let object = value
        .as_object()
        .unwrap_or_else(|| panic!("{value} is no object"));
    let mut members: Vec<&str> = object.keys().map(String::as_str).collect();
    members.sort_unstable();
    members
}

/// Reads a WebSocket to its end: the texts and the close code.
pub(crate) async fn drain(socket: &mut Socket) -> (Vec<String>, Option<u16>) {
    use futures_util::StreamExt as _;
    use tokio_tungstenite::tungstenite::Message;

    let mut texts = Vec::new();
    loop {
        match soon("a message", socket.0.next()).await {
            Some(Ok(Message::Text(text))) => texts.push(text.to_string()),
            Some(Ok(Message::Close(frame))) => {
                return (texts, frame.map(|frame| frame.code.into()));
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => return (texts, None),
        }
    }
}
