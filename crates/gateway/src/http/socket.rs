//! The WebSockets of those who read: subscribers of `/client` and of events.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use tokio::time::timeout;

use super::App;

/// Between two pings: what stands between us and the reader takes a silent socket for a dead one.
pub(super) const PING_INTERVAL: Duration = Duration::from_secs(20);

/// How long a socket is read after its Close, so that the peer gets to see it.
const FAREWELL: Duration = Duration::from_secs(1);

/// What a reader sends is a call's name at most.
const MAX_MESSAGE_BYTES: usize = 4 * 1024;

/// tungstenite's default is 128 KiB, allocated for each socket.
const READ_BUFFER_BYTES: usize = 4 * 1024;

/// More than any message that is sent: one is taken whole, however slowly it leaves.
const MAX_WRITE_BUFFER_BYTES: usize = 8 * 1024 * 1024;

/// Close codes of RFC 6455 that are used here.
pub(super) mod code {
    pub(in crate::http) const NORMAL: u16 = 1000;
    pub(in crate::http) const GOING_AWAY: u16 = 1001;
    pub(in crate::http) const POLICY: u16 = 1008;
    pub(in crate::http) const TRY_AGAIN_LATER: u16 = 1013;
}

/// Answers with 101 and lets `serve` have the socket, in a task that the gateway's end waits for.
pub(super) fn upgrade<F>(
    upgrade: WebSocketUpgrade,
    app: &Arc<App>,
    serve: impl FnOnce(WebSocket) -> F + Send + 'static,
) -> Response
where
    F: Future<Output = ()> + Send + 'static,
{
    let tasks = app.gateway.tasks.clone();
    upgrade
        // A browser offers its token as a second protocol, which is not echoed.
        .protocols(["bearer"])
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
        .on_upgrade(move |socket| tasks.track_future(serve(socket)))
}

/// Whether what was received tells that the peer is gone. All else a reader says is ignored.
pub(super) fn has_left(received: Option<&Result<Message, axum::Error>>) -> bool {
    !matches!(received, Some(Ok(message)) if !matches!(message, Message::Close(_)))
}

/// Waits until the peer is gone. Cancel safe.
pub(super) async fn departure(socket: &mut WebSocket) {
    while !has_left(socket.recv().await.as_ref()) {}
}

/// Sends Close and waits a moment for the peer's.
pub(super) async fn close(mut socket: WebSocket, code: u16, reason: &'static str) {
    let frame = CloseFrame {
        code,
        reason: reason.into(),
    };
    if socket.send(Message::Close(Some(frame))).await.is_ok() {
        let _answered = timeout(FAREWELL, departure(&mut socket)).await.is_ok();
    }
}
