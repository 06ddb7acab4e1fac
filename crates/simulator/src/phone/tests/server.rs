//! A server on loopback that answers TwiML, and records requests and streams.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::extract::{OriginalUri, State};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use sidetone_twilio::form::Form;
use sidetone_twilio::stream::{Incoming, outgoing};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::AbortHandle;
use tokio::time::timeout;

use crate::voice::speak;

/// Runs until it is dropped.
pub(crate) struct Server {
    address: SocketAddr,
    shared: Arc<Mutex<Shared>>,
    stream_ended: Arc<Notify>,
    task: AbortHandle,
}

#[derive(Default)]
struct Shared {
    answers: HashMap<String, Answer>,
    plays: Option<String>,
    ending: Option<Ending>,
    requests: Vec<Request>,
    streams: Vec<RecordedStream>,
}

/// How a server leaves a stream as soon as it has started.
#[derive(Clone, Copy)]
pub(crate) enum Ending {
    Close { code: u16 },
    WithoutClose,
}

#[derive(Clone)]
pub(crate) struct Answer {
    pub(crate) content_type: &'static str,
    pub(crate) body: Vec<u8>,
}

#[derive(Clone)]
pub(crate) struct Request {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) form: Form,
}

#[derive(Clone)]
pub(crate) struct RecordedStream {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) messages: Vec<String>,
    pub(crate) close_code: Option<u16>,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let shared = Arc::new(Mutex::new(Shared::default()));
        let stream_ended = Arc::new(Notify::new());
        let router = Router::new()
            .route("/stream", any(accept_stream))
            .fallback(answer)
            .with_state((shared.clone(), stream_ended.clone()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let task = tokio::spawn(async { axum::serve(listener, router).await }).abort_handle();
        Self {
            address,
            shared,
            stream_ended,
            task,
        }
    }

    pub(crate) fn http(&self, path: &str) -> String {
        format!("http://{}{path}", self.address)
    }

    pub(crate) fn ws(&self, path: &str) -> String {
        format!("ws://{}{path}", self.address)
    }

    /// Requests of `path` get this TwiML.
    pub(crate) fn answers(&self, path: &str, twiml: &str) {
        self.answers_with(
            path,
            Answer {
                content_type: "text/xml",
                body: twiml.into(),
            },
        );
    }

    pub(crate) fn answers_with(&self, path: &str, answer: Answer) {
        self.shared
            .lock()
            .unwrap()
            .answers
            .insert(path.into(), answer);
    }

    /// A stream says things it may not, plays this, and closes once it was played.
    pub(crate) fn plays(&self, text: &str) {
        self.shared.lock().unwrap().plays = Some(text.into());
    }

    pub(crate) fn leaves(&self, ending: Ending) {
        self.shared.lock().unwrap().ending = Some(ending);
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        self.shared.lock().unwrap().requests.clone()
    }

    pub(crate) fn forms(&self, path: &str) -> Vec<Form> {
        let requests = self.requests().into_iter();
        requests
            .filter(|request| request.path == path)
            .map(|request| request.form)
            .collect()
    }

    #[track_caller]
    pub(crate) fn form(&self, path: &str) -> Form {
        self.forms(path).pop().expect("the path was requested")
    }

    /// The first stream that ended, once it has.
    pub(crate) async fn stream(&self) -> RecordedStream {
        self.nth_stream(0).await
    }

    /// The stream that ended after so many others, once it has.
    pub(crate) async fn nth_stream(&self, others: usize) -> RecordedStream {
        let ended = || self.shared.lock().unwrap().streams.get(others).cloned();
        let waiting = async {
            loop {
                match ended() {
                    Some(stream) => return stream,
                    None => self.stream_ended.notified().await,
                }
            }
        };
        let stream = timeout(Duration::from_secs(10), waiting).await;
        stream.expect("a stream ends")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State((shared, _)): State<(Arc<Mutex<Shared>>, Arc<Notify>)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let form = Form::parse(&body).unwrap();
    let mut shared = shared.lock().unwrap();
    let path = uri.path().to_owned();
    let answer = shared.answers.get(&path).cloned();
    shared.requests.push(Request {
        path,
        headers,
        form,
    });
    match answer {
        Some(answer) => ([(CONTENT_TYPE, answer.content_type)], answer.body).into_response(),
        None => StatusCode::NOT_FOUND.into_response(),
    }
}

async fn accept_stream(
    State((shared, stream_ended)): State<(Arc<Mutex<Shared>>, Arc<Notify>)>,
    OriginalUri(uri): OriginalUri,
    headers: HeaderMap,
    upgrade: WebSocketUpgrade,
) -> Response {
    let path = uri.to_string();
    upgrade.on_upgrade(async move |socket| {
        let (plays, ending) = {
            let shared = shared.lock().unwrap();
            (shared.plays.clone(), shared.ending)
        };
        let (messages, close_code) = record(socket, plays, ending).await;
        let stream = RecordedStream {
            path,
            headers,
            messages,
            close_code,
        };
        shared.lock().unwrap().streams.push(stream);
        stream_ended.notify_one();
    })
}

/// What was received until the Close, and its code.
async fn record(
    mut socket: WebSocket,
    plays: Option<String>,
    ending: Option<Ending>,
) -> (Vec<String>, Option<u16>) {
    let mut messages: Vec<String> = Vec::new();
    let mut close_code = None;
    while let Some(Ok(message)) = socket.recv().await {
        let text = match message {
            Message::Text(text) => text.to_string(),
            Message::Close(frame) => {
                close_code = frame.map(|frame| frame.code);
                continue;
            }
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) => continue,
        };
        match (Incoming::parse(&text).unwrap(), &plays) {
            (Incoming::Start(start), Some(words)) => {
                let mut out = Vec::from([r#"{"event":"media"}"#.to_owned(), "?".to_owned()]);
                let mut media = String::new();
                outgoing::write_media(&mut media, &start.stream_sid, &speak(words).ulaw);
                let mut mark = String::new();
                outgoing::write_mark(&mut mark, &start.stream_sid, "said");
                out.extend([media, mark]);
                for text in out {
                    socket.send(Message::text(text)).await.ok();
                }
                socket.send(Message::binary(&b"noise"[..])).await.ok();
            }
            (Incoming::Start(_), None) => match ending {
                Some(Ending::Close { code }) => close(&mut socket, code).await,
                Some(Ending::WithoutClose) => break,
                None => {}
            },
            (Incoming::Mark { .. }, _) => close(&mut socket, 1000).await,
            _ => {}
        }
        messages.push(text);
    }
    (messages, close_code)
}

async fn close(socket: &mut WebSocket, code: u16) {
    let reason = "enough".into();
    let frame = CloseFrame { code, reason };
    socket.send(Message::Close(Some(frame))).await.ok();
}
