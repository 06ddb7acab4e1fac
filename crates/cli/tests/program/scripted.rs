//! A Deepgram that says what a test tells it to say.

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::handshake::server::{Request, Response};

use crate::serve::soon;

pub(crate) const REQUEST_ID: &str = "4f1b7a52-8b5c-4a53-9c39-0d5c2a8c1e11";

/// Where the gateway's connections arrive, each to be taken by the test.
pub(crate) struct Scripted {
    pub(crate) url: String,
    listener: TcpListener,
}

impl Scripted {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        Self { url, listener }
    }

    /// Takes the next connection.
    pub(crate) async fn accept(&self) -> Connection {
        let (socket, _) = soon("a connection to Deepgram", self.listener.accept())
            .await
            .unwrap();
        #[expect(
            clippy::result_large_err,
            reason = "the handshake callback's type is tungstenite's"
        )]
        let callback = |_: &Request, mut response: Response| {
            let headers = response.headers_mut();
            headers.insert("dg-request-id", REQUEST_ID.parse().unwrap());
            Ok(response)
        };
        let shaking = tokio_tungstenite::accept_hdr_async(socket, callback);
        Connection(soon("the handshake", shaking).await.unwrap())
    }

    /// Refuses the next handshake with an HTTP answer.
    pub(crate) async fn refuse(&self, status: &str, headers: &[&str], body: &str) {
        let (mut socket, _) = soon("a connection to Deepgram", self.listener.accept())
            .await
            .unwrap();
        let mut request = Vec::new();
        while !request.ends_with(b"\r\n\r\n") {
            request.push(soon("the request", socket.read_u8()).await.unwrap());
        }
        let headers: String = headers.iter().map(|line| format!("{line}\r\n")).collect();
        let length = body.len();
        let answer = format!(
            "HTTP/1.1 {status}\r\n{headers}Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
        );
        socket.write_all(answer.as_bytes()).await.unwrap();
        socket.shutdown().await.unwrap();
    }
}

/// One connection of the gateway.
pub(crate) struct Connection(WebSocketStream<TcpStream>);

impl Connection {
    pub(crate) async fn say(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// Waits until so much audio has come.
    pub(crate) async fn hear(&mut self, bytes: usize) {
        let mut heard = 0;
        while heard < bytes {
            match self.next().await {
                Message::Binary(audio) => heard += audio.len(),
                other => assert!(!matches!(other, Message::Close(_)), "{other:?}"),
            }
        }
    }

    /// The next audio; `None` when the gateway says `CloseStream`.
    pub(crate) async fn audio(&mut self) -> Option<Bytes> {
        loop {
            match self.next().await {
                Message::Binary(audio) => return Some(audio),
                Message::Text(text) if text.contains("CloseStream") => return None,
                other => assert!(!matches!(other, Message::Close(_)), "{other:?}"),
            }
        }
    }

    /// Waits for `CloseStream`, then says the last words and closes.
    pub(crate) async fn finish(mut self, last_words: &[&str]) {
        while !self.text().await.contains("CloseStream") {}
        self.close(last_words).await;
    }

    /// Says the last words and closes.
    pub(crate) async fn close(mut self, last_words: &[&str]) {
        for text in last_words {
            self.say(*text).await;
        }
        self.0.close(None).await.unwrap();
        while let Some(Ok(_)) = soon("the end", self.0.next()).await {}
    }

    /// The next text message.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            if let Message::Text(text) = self.next().await {
                return text.to_string();
            }
        }
    }

    /// Breaks off without a word.
    pub(crate) fn cut(self) {
        drop(self);
    }

    async fn next(&mut self) -> Message {
        let message = soon("a message of the gateway", self.0.next()).await;
        message.expect("the gateway has closed").unwrap()
    }
}

pub(crate) const METADATA: &str = r#"{"type":"Metadata","transaction_key":"deprecated","request_id":"4f1b7a52-8b5c-4a53-9c39-0d5c2a8c1e11","sha256":"e3b0","created":"2026-01-02T03:04:05.678Z","duration":2.5,"channels":1}"#;

/// A Results message from `start_ms` to `end_ms`, which its words share evenly.
pub(crate) fn results(
    channel: usize,
    start_ms: u64,
    end_ms: u64,
    text: &str,
    last: bool,
) -> String {
    let secs = |ms: u64| format!("{}.{:03}", ms / 1000, ms % 1000);
    let spoken: Vec<&str> = text.split_whitespace().collect();
    let count = spoken.len() as u64;
    let at = |index: u64| start_ms + (end_ms - start_ms) * index / count;
    let words: Vec<String> = spoken
        .into_iter()
        .zip(0..)
        .map(|(word, index)| {
            let (from, to) = (at(index), at(index + 1));
            let bare = word.to_lowercase().replace(['.', ','], "");
            format!(
                r#"{{"word":"{bare}","start":{},"end":{},"confidence":0.97,"punctuated_word":"{word}"}}"#,
                secs(from),
                secs(to)
            )
        })
        .collect();
    format!(
        r#"{{"type":"Results","channel_index":[{channel},1],"duration":{},"start":{},"is_final":{last},"speech_final":{last},"channel":{{"alternatives":[{{"transcript":"{text}","confidence":0.95,"words":[{}]}}]}},"metadata":{{"request_id":"{REQUEST_ID}","model_info":{{"name":"general-nova-3","version":"2025-01-09.0","arch":"nova-3"}},"model_uuid":"00000000-0000-4000-8000-00000000000a"}},"from_finalize":false}}"#,
        secs(end_ms - start_ms),
        secs(start_ms),
        words.join(",")
    )
}
