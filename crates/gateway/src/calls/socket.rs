//! The media stream's WebSocket: upgrading to it, what it may not carry, and leaving it.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::ws::rejection::WebSocketUpgradeRejection;
use axum::response::Response;
use futures_util::stream::FusedStream;
use futures_util::{SinkExt, StreamExt};
use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use sidetone_twilio::stream::ParseError;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::gateway::State;
use crate::http::Base;
use crate::metrics::Rejection;

use super::intake;

/// A media stream's socket.
pub(super) type StreamSocket = WebSocketStream<TokioIo<Upgraded>>;

/// tungstenite allocates and zero-fills its read buffer for every read: with its default of
/// 128 KiB a call costs seven times the memory and nearly three times the CPU.
pub(super) const READ_BUFFER_BYTES: usize = 4 * 1024;

/// A `media` message of 20 ms has 350 bytes; Twilio's longest known message is a `start` with
/// parameters.
const MAX_MESSAGE_BYTES: usize = 64 * 1024;

/// How long a socket is read after its Close, so that the peer gets to see it: data that arrives
/// at a socket that is already gone resets the connection, and the Close is lost with it.
const FAREWELL: Duration = Duration::from_secs(1);

/// A request that may become a media stream.
///
/// axum's own `WebSocket` hides the socket below it, which is needed to read on after a message
/// that is too long; so only its checks are used.
pub(crate) struct StreamUpgrade {
    accept_key: String,
    on_upgrade: OnUpgrade,
}

impl<S: Send + Sync> FromRequestParts<S> for StreamUpgrade {
    type Rejection = WebSocketUpgradeRejection;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Self::Rejection> {
        let on_upgrade = parts.extensions.get::<OnUpgrade>().cloned();
        let key = parts.headers.get(header::SEC_WEBSOCKET_KEY).cloned();
        let _checked = WebSocketUpgrade::from_request_parts(parts, state).await?;
        Ok(Self {
            accept_key: derive_accept_key(key.expect("axum found the key").as_bytes()),
            on_upgrade: on_upgrade.expect("axum found the connection upgradable"),
        })
    }
}

impl StreamUpgrade {
    /// Answers with 101 and takes the stream in. `profile` is the one that the path names; the
    /// caller has checked that it exists. `base` is where Twilio reached this gateway.
    pub(crate) fn accept(self, state: Arc<State>, profile: Option<String>, base: Base) -> Response {
        let on_upgrade = self.on_upgrade;
        let tasks = state.tasks.clone();
        tasks.spawn(async move {
            // The only error is a peer that left before it had the answer.
            let Ok(upgraded) = on_upgrade.await else {
                return;
            };
            let mut config = WebSocketConfig::default();
            config.read_buffer_size = READ_BUFFER_BYTES;
            config.write_buffer_size = 0;
            config.max_write_buffer_size = MAX_MESSAGE_BYTES;
            config.max_message_size = Some(MAX_MESSAGE_BYTES);
            config.max_frame_size = Some(MAX_MESSAGE_BYTES);
            let io = TokioIo::new(upgraded);
            let socket = StreamSocket::from_raw_socket(io, Role::Server, Some(config)).await;
            intake::take_in(state, socket, profile, base).await;
        });
        let accept_key = HeaderValue::try_from(self.accept_key).expect("base64 is a header value");
        Response::builder()
            .status(StatusCode::SWITCHING_PROTOCOLS)
            .header(header::CONNECTION, "upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_ACCEPT, accept_key)
            .body(Body::empty())
            .expect("the parts are valid")
    }
}

/// Why a stream is closed by this side: what the peer, the metrics and the log are told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) code: CloseCode,
    pub(super) reason: String,
    pub(super) rejection: Rejection,
}

impl Refusal {
    pub(super) fn new(code: CloseCode, rejection: Rejection, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
            rejection,
        }
    }

    pub(super) fn binary() -> Self {
        let reason = "binary frame: a media stream is JSON text";
        Self::new(CloseCode::Unsupported, Rejection::BinaryFrame, reason)
    }

    pub(super) fn out_of_place(reason: &'static str) -> Self {
        Self::new(CloseCode::Policy, Rejection::WrongOrder, reason)
    }

    /// Text that is no message of a media stream.
    pub(super) fn unreadable(error: &ParseError) -> Self {
        match error {
            ParseError::NotJson { .. } => {
                Self::new(CloseCode::Invalid, Rejection::NotJson, error.to_string())
            }
            _ => Self::new(CloseCode::Policy, Rejection::BadMessage, error.to_string()),
        }
    }

    /// What the socket reported, unless the peer is simply gone.
    pub(super) fn of_socket(error: &Error) -> Option<Self> {
        match error {
            Error::Capacity(_) => Some(Self::new(
                CloseCode::Size,
                Rejection::MessageTooBig,
                "a message of more than 64 KiB",
            )),
            Error::Utf8(_) => Some(Self::new(
                CloseCode::Invalid,
                Rejection::NotJson,
                "text that is not UTF-8",
            )),
            // One code for all that a stream may not do, down to its frames: 1002 would tell a
            // peer that breaks the protocol nothing more.
            Error::Protocol(fault) if !is_departure(fault) => Some(Self::new(
                CloseCode::Policy,
                Rejection::BadMessage,
                fault.to_string(),
            )),
            _ => None,
        }
    }
}

/// Whether what a socket reported is no fault of its peer: that one is gone.
pub(crate) const fn is_departure(fault: &ProtocolError) -> bool {
    matches!(
        fault,
        ProtocolError::ResetWithoutClosingHandshake
            | ProtocolError::ReceivedAfterClosing
            | ProtocolError::SendAfterClosing
    )
}

/// Closes a socket: sends Close, then reads and discards until the peer has closed, for at most a
/// second.
pub(super) async fn close<S>(mut socket: WebSocketStream<S>, code: CloseCode, reason: String)
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let farewell = async {
        let frame = CloseFrame {
            code,
            reason: shortened(reason).into(),
        };
        if socket.send(Message::Close(Some(frame))).await.is_err() {
            return;
        }
        // After an error that it cannot recover from, tungstenite reads no more.
        let mut readable = !socket.is_terminated();
        while readable {
            match socket.next().await {
                Some(Ok(_)) => {}
                Some(Err(_)) => readable = false,
                None => return,
            }
        }
        let mut discarded = [0; READ_BUFFER_BYTES];
        while matches!(socket.get_mut().read(&mut discarded).await, Ok(count) if count > 0) {}
    };
    // Boxed, because few sockets need the buffer and only for a moment.
    let _timed_out = timeout(FAREWELL, Box::pin(farewell)).await.is_err();
}

/// Leaves a socket whose peer is gone, or has closed: then that is answered.
pub(super) async fn leave(mut socket: StreamSocket) {
    let _answered = matches!(timeout(FAREWELL, socket.flush()).await, Ok(Ok(())));
}

/// A close reason has room for 123 bytes.
fn shortened(mut reason: String) -> String {
    const MAX_REASON_BYTES: usize = 123;
    if reason.len() > MAX_REASON_BYTES {
        let end = (0..=MAX_REASON_BYTES)
            .rev()
            .find(|at| reason.is_char_boundary(*at));
        reason.truncate(end.unwrap_or(0));
    }
    reason
}
