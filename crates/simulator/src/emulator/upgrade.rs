//! The WebSocket handshake of a stream.
//!
//! By hand, since what follows needs the bare frames: a message in many of them, a socket that is
//! dropped or left alone without a Close.

use axum::body::Body;
use axum::extract::Request;
use axum::response::Response;
use http::header::SEC_WEBSOCKET_PROTOCOL;
use http::{HeaderMap, HeaderValue};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};

use super::credentials::SCHEMES;

/// A client's side of a stream.
pub(super) type Socket = WebSocketStream<TokioIo<Upgraded>>;

/// A handshake that can be answered with 101.
pub(super) struct Upgrade {
    response: Response,
    on_upgrade: OnUpgrade,
}

impl Upgrade {
    /// The handshake that `request` is; `None` when it asks for no WebSocket.
    pub(super) fn of(request: &mut Request) -> Option<Self> {
        let mut response = create_response_with_body(request, Body::empty).ok()?;
        let on_upgrade = request.extensions_mut().remove::<OnUpgrade>()?;
        if let Some(scheme) = offered_scheme(request.headers()) {
            let scheme = HeaderValue::from_static(scheme);
            response
                .headers_mut()
                .insert(SEC_WEBSOCKET_PROTOCOL, scheme);
        }
        Some(Self {
            response,
            on_upgrade,
        })
    }

    /// The answer, and the socket that there is once that was sent.
    pub(super) fn accept(self) -> (Response, impl Future<Output = hyper::Result<Socket>>) {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER_BYTES)
            .write_buffer_size(0)
            .max_write_buffer_size(MAX_WRITE_BUFFER_BYTES)
            .max_message_size(Some(MAX_MESSAGE_BYTES))
            .max_frame_size(Some(MAX_MESSAGE_BYTES));
        let socket = async move {
            let io = TokioIo::new(self.on_upgrade.await?);
            Ok(WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await)
        };
        (self.response, socket)
    }
}

/// The scheme among the subprotocols: it is answered, the key beside it never is.
fn offered_scheme(headers: &HeaderMap) -> Option<&'static str> {
    let offered = headers.get(SEC_WEBSOCKET_PROTOCOL)?.to_str().ok()?;
    let mut offered = offered.split(',').map(str::trim);
    offered.find_map(|protocol| SCHEMES.into_iter().find(|scheme| *scheme == protocol))
}

/// Tungstenite's own 128 KiB would be allocated and zero-filled for every stream.
const READ_BUFFER_BYTES: usize = 4 << 10;

/// What a client may say in one message.
const MAX_MESSAGE_BYTES: usize = 1 << 20;

/// The longest message told, by far: Results of 2 MiB and what they hold besides.
const MAX_WRITE_BUFFER_BYTES: usize = 8 << 20;
