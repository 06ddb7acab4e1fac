//! The socket of one stream around its stream.

use std::time::{Duration, Instant};

use bytes::Bytes;
use futures_util::{SinkExt as _, StreamExt as _};
use sidetone_deepgram::listen::message::Close;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::Frame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::{Data, OpCode};

use super::faults::Strikes;
use super::stream::{Input, Output, Stream};
use super::upgrade::Socket;

/// Runs a stream until it or its client is at an end. Messages are sent whole, or in frames of
/// `frame_bytes`.
pub(super) async fn run(
    mut socket: Socket,
    mut stream: impl Stream,
    mut strikes: Strikes,
    frame_bytes: Option<usize>,
) {
    loop {
        while let Some(output) = stream.poll_output() {
            let sent = match output {
                Output::Text(text) => match frame_bytes {
                    None => in_time(socket.send(Message::text(text))).await,
                    Some(size) => in_time(send_in_frames(&mut socket, text, size)).await,
                },
                Output::Binary(bytes) => in_time(socket.send(Message::binary(bytes))).await,
                Output::Close(close) => return end(socket, close).await,
                Output::Break => return,
                Output::Freeze => return tokio::time::sleep(FREEZE_LIMIT).await,
            };
            if !matches!(sent, Some(Ok(()))) {
                return;
            }
        }

        let deadline = stream.poll_timeout();
        let received = tokio::select! {
            // Cancel-safe: a message is taken whole or not at all.
            received = socket.next(), if !stream.is_full() => received,
            () = sleep_until(deadline) => {
                stream.handle(Instant::now(), Input::Timeout);
                continue;
            }
            faults = strikes.next() => {
                stream.strike(Instant::now(), faults);
                continue;
            }
        };
        let now = Instant::now();
        match received {
            Some(Ok(Message::Binary(audio))) => stream.handle(now, Input::Audio(audio)),
            Some(Ok(Message::Text(text))) => stream.handle(now, Input::Text(&text)),
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {}
            // Its answer is sent while the rest is read.
            Some(Ok(Message::Close(_))) => return drain(socket).await,
            None | Some(Err(_)) => return,
        }
    }
}

async fn send_in_frames(
    socket: &mut Socket,
    text: String,
    frame_bytes: usize,
) -> Result<(), tokio_tungstenite::tungstenite::Error> {
    let mut rest = Bytes::from(text);
    let mut opcode = OpCode::Data(Data::Text);
    loop {
        let piece = rest.split_to(frame_bytes.min(rest.len()));
        let frame = Frame::message(piece, opcode, rest.is_empty());
        socket.feed(Message::Frame(frame)).await?;
        if rest.is_empty() {
            return socket.flush().await;
        }
        opcode = OpCode::Data(Data::Continue);
    }
}

/// Closes; what the client still says is not heard.
async fn end(mut socket: Socket, close: Close) {
    let frame = CloseFrame {
        code: close.code.into(),
        reason: close.reason.into(),
    };
    if let Some(Ok(())) = in_time(socket.send(Message::Close(Some(frame)))).await {
        drain(socket).await;
    }
}

async fn drain(mut socket: Socket) {
    in_time(async { while let Some(Ok(_)) = socket.next().await {} }).await;
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

/// How long a dead socket is kept, longer than any client should wait for it.
const FREEZE_LIMIT: Duration = Duration::from_secs(300);
