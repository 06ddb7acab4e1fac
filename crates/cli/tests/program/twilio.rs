//! Twilio by hand: one raw media stream, for what a well-behaved phone never does.

use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use sidetone_twilio::signature;
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream};

use crate::serve::soon;

pub(crate) const ACCOUNT: &str = "AC00000000000000000000000000000001";

/// The account's auth token, where a test sets one.
pub(crate) const TOKEN: &str = "12345678901234567890123456789012";

pub(crate) fn call_sid(n: u32) -> String {
    format!("CA{n:032x}")
}

pub(crate) fn stream_sid(n: u32) -> String {
    format!("MZ{n:032x}")
}

/// A WebSocket of a test.
pub(crate) struct Socket(pub(crate) WebSocketStream<MaybeTlsStream<TcpStream>>);

impl Socket {
    /// Connects, with further headers.
    pub(crate) async fn connect(
        url: &str,
        headers: &[(&'static str, &str)],
    ) -> Result<Self, Error> {
        let mut request = url.into_client_request().unwrap();
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().unwrap());
        }
        let connecting = tokio_tungstenite::connect_async(request);
        soon("the handshake", connecting)
            .await
            .map(|(socket, _)| Self(socket))
    }

    pub(crate) async fn send(&mut self, text: impl Into<String>) {
        self.0.send(Message::text(text.into())).await.unwrap();
    }

    /// The next text message; `None` at the end.
    pub(crate) async fn text(&mut self) -> Option<String> {
        loop {
            match soon("a message", self.0.next()).await {
                Some(Ok(Message::Text(text))) => return Some(text.to_string()),
                Some(Ok(Message::Close(_)) | Err(_)) | None => return None,
                Some(Ok(_)) => {}
            }
        }
    }

    /// Reads until the peer closes: code and reason. `None` when the socket broke without a Close.
    pub(crate) async fn closed(&mut self) -> Option<(u16, String)> {
        loop {
            match soon("the close", self.0.next()).await {
                Some(Ok(Message::Close(Some(CloseFrame { code, reason })))) => {
                    return Some((code.into(), reason.to_string()));
                }
                Some(Ok(Message::Close(None))) => return Some((1005, String::new())),
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return None,
            }
        }
    }
}

/// A media stream that a test plays by hand.
pub(crate) struct Stream {
    pub(crate) socket: Socket,
    stream: u32,
    sequence: u64,
}

impl Stream {
    /// Connects and says `connected` and `start`.
    pub(crate) async fn start(url: &str, call: u32, stream: u32, tracks: &[&str]) -> Self {
        let mut started = Self::connected(url, stream).await;
        started.say_start(call, tracks, "{}").await;
        started
    }

    /// Connects and says `connected`.
    pub(crate) async fn connected(url: &str, stream: u32) -> Self {
        Self::on(Socket::connect(url, &[]).await.unwrap(), stream).await
    }

    /// The same with a handshake that is signed with [`TOKEN`].
    pub(crate) async fn signed(url: &str, stream: u32) -> Self {
        let signature = signature::sign(TOKEN, url, &[("", ""); 0]);
        let socket = Socket::connect(url, &[("x-twilio-signature", &signature)]).await;
        Self::on(socket.unwrap(), stream).await
    }

    /// Says `connected` on a socket that is open.
    pub(crate) async fn on(mut socket: Socket, stream: u32) -> Self {
        socket
            .send(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#)
            .await;
        Self {
            socket,
            stream,
            sequence: 0,
        }
    }

    pub(crate) async fn say_start(&mut self, call: u32, tracks: &[&str], parameters: &str) {
        let text = start_text(call, self.stream, tracks, parameters);
        self.sequence = 1;
        self.socket.send(text).await;
    }

    pub(crate) async fn media(&mut self, track: &str, timestamp_ms: u64, audio: &[u8]) {
        self.sequence += 1;
        let (sequence, stream) = (self.sequence, stream_sid(self.stream));
        let payload = base64(audio);
        self.socket
            .send(format!(
                r#"{{"event":"media","sequenceNumber":"{sequence}","media":{{"track":"{track}","chunk":"{sequence}","timestamp":"{timestamp_ms}","payload":"{payload}"}},"streamSid":"{stream}"}}"#
            ))
            .await;
    }

    /// Sends sound on the inbound track, all at once, in so many frames of 200 ms.
    pub(crate) async fn sound(&mut self, frames: u64) {
        for n in 0..frames {
            self.media("inbound", 20 + 200 * n, &[0x55; 1600]).await;
        }
    }

    /// Plays audio in real time, in frames of 20 ms that begin at `timestamp_ms`; gives the
    /// timestamp after the last one.
    pub(crate) async fn play(&mut self, track: &str, mut timestamp_ms: u64, audio: &[u8]) -> u64 {
        let mut due = tokio::time::interval(Duration::from_millis(20));
        for frame in audio.chunks(160) {
            due.tick().await;
            self.media(track, timestamp_ms, frame).await;
            timestamp_ms += 20;
        }
        timestamp_ms
    }

    /// Says `stop` and closes.
    pub(crate) async fn stop(mut self, call: u32) {
        self.say_stop(call).await;
        self.socket.0.close(None).await.unwrap();
    }

    pub(crate) async fn say_stop(&mut self, call: u32) {
        self.sequence += 1;
        let (sequence, stream, call) = (self.sequence, stream_sid(self.stream), call_sid(call));
        self.socket
            .send(format!(
                r#"{{"event":"stop","sequenceNumber":"{sequence}","stop":{{"accountSid":"{ACCOUNT}","callSid":"{call}"}},"streamSid":"{stream}"}}"#
            ))
            .await;
    }
}

pub(crate) fn start_text(call: u32, stream: u32, tracks: &[&str], parameters: &str) -> String {
    let (call, stream) = (call_sid(call), stream_sid(stream));
    let tracks = tracks
        .iter()
        .map(|track| format!("\"{track}\""))
        .collect::<Vec<_>>()
        .join(",");
    format!(
        r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"{ACCOUNT}","streamSid":"{stream}","callSid":"{call}","tracks":[{tracks}],"mediaFormat":{{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1}},"customParameters":{parameters}}},"streamSid":"{stream}"}}"#
    )
}

fn base64(bytes: &[u8]) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(bytes)
}
