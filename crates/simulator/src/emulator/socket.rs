//! The socket of one stream around its session.

use std::future::Future;
use std::time::{Duration, Instant};

use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade};

use super::session::{Input, Output, Session};

/// Sets the limits of a stream's socket.
pub(super) fn limit(upgrade: WebSocketUpgrade) -> WebSocketUpgrade {
    upgrade
        .read_buffer_size(READ_BUFFER_BYTES)
        .write_buffer_size(0)
        .max_write_buffer_size(MAX_MESSAGE_BYTES)
        .max_message_size(MAX_MESSAGE_BYTES)
        .max_frame_size(MAX_MESSAGE_BYTES)
}

/// Runs a session until it or its client is at an end.
pub(super) async fn run(mut socket: WebSocket, mut session: Session) {
    loop {
        while let Some(output) = session.poll_output() {
            let (message, last) = match output {
                Output::Text(text) => (Message::Text(text.into()), false),
                Output::Close(close) => {
                    let frame = CloseFrame {
                        code: close.code,
                        reason: close.reason.into(),
                    };
                    (Message::Close(Some(frame)), true)
                }
            };
            if in_time(socket.send(message))
                .await
                .is_none_or(|sent| sent.is_err())
            {
                return;
            }
            if last {
                // The client answers with its own close; what it still says is not heard.
                in_time(async { while let Some(Ok(_)) = socket.recv().await {} }).await;
                return;
            }
        }

        let deadline = session.poll_timeout();
        let received = tokio::select! {
            // Cancel-safe: a message is taken whole or not at all.
            received = socket.recv(), if !session.is_full() => Some(received),
            () = sleep_until(deadline) => None,
        };
        let now = Instant::now();
        match received {
            None => session.handle(now, Input::Timeout),
            Some(Some(Ok(Message::Binary(audio)))) => session.handle(now, Input::Audio(audio)),
            Some(Some(Ok(Message::Text(text)))) => session.handle(now, Input::Text(&text)),
            Some(Some(Ok(Message::Ping(_) | Message::Pong(_)))) => {}
            Some(None | Some(Err(_) | Ok(Message::Close(_)))) => return,
        }
    }
}

/// The outcome, unless the client takes too long.
async fn in_time<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::time::timeout(CLIENT_LIMIT, future).await.ok()
}

/// Ends at the deadline; without one, never.
async fn sleep_until(deadline: Option<Instant>) {
    match deadline {
        Some(deadline) => tokio::time::sleep_until(deadline.into()).await,
        None => std::future::pending().await,
    }
}

/// How long a client may take to read what it is sent, or to answer a close.
const CLIENT_LIMIT: Duration = Duration::from_secs(10);

/// Tungstenite's own 128 KiB would be allocated and zero-filled for every stream.
const READ_BUFFER_BYTES: usize = 4 << 10;

const MAX_MESSAGE_BYTES: usize = 1 << 20;
