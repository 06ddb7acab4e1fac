//! The WebSockets of those who read: subscribers of `/client` and of events.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Error;

use super::App;
use crate::calls::is_departure;
use crate::metrics::Rejection;

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
    pub(super) const PROTOCOL: u16 = 1002;
    pub(super) const INVALID: u16 = 1007;
    pub(in crate::http) const POLICY: u16 = 1008;
    pub(super) const SIZE: u16 = 1009;
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

/// How a reader goes by himself.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Departure {
    /// He closed, or is gone.
    Gone,
    /// He sent what no WebSocket may carry; the Close that it is answered with.
    Broke(u16, &'static str),
}

impl Departure {
    /// What was received, if it tells that the reader goes. All else that one says is ignored.
    pub(super) fn of(received: Option<Result<Message, axum::Error>>) -> Option<Self> {
        match received {
            Some(Ok(Message::Close(_))) | None => Some(Self::Gone),
            Some(Ok(_)) => None,
            Some(Err(error)) => Some(Self::of_error(error)),
        }
    }

    fn of_error(error: axum::Error) -> Self {
        match error.into_inner().downcast_ref() {
            Some(Error::Capacity(_)) => Self::Broke(code::SIZE, "a message of more than 4 KiB"),
            Some(Error::Utf8(_)) => Self::Broke(code::INVALID, "text that is not UTF-8"),
            Some(Error::Protocol(fault)) if !is_departure(fault) => {
                Self::Broke(code::PROTOCOL, "a frame that no WebSocket may carry")
            }
            _ => Self::Gone,
        }
    }
}

/// Waits until the reader goes. Cancel safe.
pub(super) async fn departure(socket: &mut WebSocket) -> Departure {
    loop {
        let received = socket.recv().await;
        if let Some(departure) = Departure::of(received) {
            return departure;
        }
    }
}

/// Lets a reader go: his Close is answered; if he broke the protocol, he is counted and told.
pub(super) async fn dismiss(app: &App, mut socket: WebSocket, departure: Departure) {
    match departure {
        Departure::Gone => {
            let _answered = timeout(FAREWELL, socket.recv()).await.is_ok();
        }
        Departure::Broke(code, reason) => {
            app.gateway.metrics.rejected(Rejection::SubscriberProtocol);
            close(socket, code, reason).await;
        }
    }
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
