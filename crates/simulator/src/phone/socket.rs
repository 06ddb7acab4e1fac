//! The WebSocket of a media stream, opened as Twilio opens it.

use std::future::poll_fn;
use std::io::ErrorKind;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use futures_util::{FutureExt, SinkExt, StreamExt};
use http::header::{HeaderValue, USER_AGENT};
use secrecy::{ExposeSecret, SecretString};
use sidetone_twilio::signature;
use tokio::net::TcpStream;
use tokio::task::coop::unconstrained;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::client::IntoClientRequest;
use tokio_tungstenite::tungstenite::error::ProtocolError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{CloseFrame, WebSocketConfig};
use tokio_tungstenite::tungstenite::{self, Message, Utf8Bytes};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async_with_config};
use url::Url;

use super::error::{HandshakeError, excerpt};
use super::farewell::Farewell;

/// How long a server may take to answer an upgrade.
const HANDSHAKE_LIMIT: Duration = Duration::from_secs(10);

/// How long the last message, the Close and the server's Close may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(2);

/// How long a socket is held that only the server may end. A server that finds out by itself that
/// nobody is there does so within a minute or two.
const HOLD_LIMIT: Duration = Duration::from_secs(10 * 60);

/// An open stream's socket.
#[derive(Debug)]
pub(super) struct Socket(WebSocketStream<MaybeTlsStream<TcpStream>>);

/// What came from the server.
#[derive(Debug)]
pub(super) enum Received {
    Text(Utf8Bytes),
    Binary,
    /// The server closed the stream. Only [`Socket::drain`] remains to be done.
    Closed {
        code: Option<u16>,
        reason: String,
    },
    /// The connection is lost, under Twilio's code.
    Broken {
        code: u32,
        detail: String,
    },
}

impl Socket {
    /// Opens a stream; the handshake is signed when a token is known.
    pub(super) async fn open(
        url: Url,
        auth_token: Option<SecretString>,
    ) -> Result<Self, HandshakeError> {
        let protocol = |error| HandshakeError::Protocol(Box::new(error));
        let mut request = url.as_str().into_client_request().map_err(protocol)?;
        let headers = request.headers_mut();
        headers.insert(USER_AGENT, HeaderValue::from_static("Twilio.TmeWs/1.0"));
        if let Some(token) = auth_token {
            let no_params: [(&str, &str); 0] = [];
            let signature = signature::sign(token.expose_secret(), url.as_str(), &no_params);
            let value = HeaderValue::from_str(&signature).expect("base64 is a header value");
            headers.insert(signature::HEADER, value);
        }
        let config = WebSocketConfig::default()
            // The default of 128 KiB is allocated for every stream.
            .read_buffer_size(4 * 1024)
            .write_buffer_size(4 * 1024)
            .max_write_buffer_size(64 * 1024)
            // A server may burst a whole answer in one message.
            .max_message_size(Some(1024 * 1024))
            .max_frame_size(Some(1024 * 1024));
        let opening = connect_async_with_config(request, Some(config), true);
        let opened = timeout(HANDSHAKE_LIMIT, opening).await;
        let (socket, response) = opened
            .map_err(|_| HandshakeError::TimedOut)?
            .map_err(|error| handshake_error(error, &url))?;
        let not_offered = ["Sec-WebSocket-Protocol", "Sec-WebSocket-Extensions"];
        match not_offered
            .into_iter()
            .find(|name| response.headers().contains_key(*name))
        {
            Some(header) => Err(HandshakeError::NotOffered { header }),
            None => Ok(Self(socket)),
        }
    }

    /// Queues a message, to be sent at the next [`flush`](Self::flush). `false`: the server reads
    /// so slowly that the message was thrown away. What is lost with the connection is told by
    /// [`poll_receive`](Self::poll_receive).
    pub(super) fn offer(&mut self, text: &str) -> bool {
        // Whatever tokio grants a task at a time: only the server is to be waited for.
        let ready = unconstrained(poll_fn(|context| self.0.poll_ready_unpin(context)));
        let ready = ready.now_or_never();
        matches!(ready, Some(Ok(()))) && self.0.start_send_unpin(Message::text(text)).is_ok()
    }

    /// Sends what is queued as far as the server takes it; never waits.
    pub(super) fn flush(&mut self) {
        // A failure shows when the socket is read, and what is left is tried again with the
        // next frame.
        drop(unconstrained(self.0.flush()).now_or_never());
    }

    pub(super) fn poll_receive(&mut self, context: &mut Context<'_>) -> Poll<Received> {
        loop {
            let received = match ready!(self.0.poll_next_unpin(context)) {
                Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
                Some(Ok(Message::Text(text))) => Received::Text(text),
                Some(Ok(Message::Binary(_))) => Received::Binary,
                Some(Ok(Message::Close(frame))) => closed(frame),
                Some(Err(error)) => lost(&error),
                None => closed(None),
            };
            return Poll::Ready(received);
        }
    }

    /// Leaves in the given way, `stop_message` included where it belongs, and waits for the
    /// server to do its part, each for its time.
    pub(super) async fn leave(mut self, farewell: Farewell, stop_message: String) {
        // The stream is over however these end.
        match farewell {
            Farewell::StopAndClose => {
                let code = Some(CloseCode::Normal);
                let goodbye = async {
                    self.0.feed(Message::text(stop_message)).await?;
                    self.close(code).await
                };
                drop(timeout(CLOSE_LIMIT, goodbye).await);
            }
            Farewell::Stop => {
                let stop = async {
                    self.0.send(Message::text(stop_message)).await?;
                    self.read_to_end().await;
                    Ok::<(), tungstenite::Error>(())
                };
                drop(timeout(HOLD_LIMIT, stop).await);
            }
            Farewell::Close { code } => {
                let code = code.map(CloseCode::from);
                drop(timeout(CLOSE_LIMIT, self.close(code)).await);
            }
            Farewell::Nothing => self.play_dead(HOLD_LIMIT).await,
            Farewell::Reset => self.reset(),
            Farewell::LateReset { after } => {
                self.play_dead(after).await;
                self.reset();
            }
        }
    }

    /// Sends nothing any more for so long, or until the server has gone.
    async fn play_dead(&mut self, limit: Duration) {
        // Below the WebSocket, so that no ping and no Close is answered.
        let mut nowhere = tokio::io::sink();
        let deaf = tokio::io::copy(self.0.get_mut(), &mut nowhere);
        drop(timeout(limit, deaf).await);
    }

    fn reset(self) {
        let connection = match self.0.get_ref() {
            MaybeTlsStream::Plain(tcp) => Some(tcp),
            MaybeTlsStream::Rustls(tls) => Some(tls.get_ref().0),
            _ => None,
        };
        // Without it the connection is closed in order, which is nearly as rude.
        drop(connection.map(TcpStream::set_zero_linger));
    }

    async fn close(&mut self, code: Option<CloseCode>) -> Result<(), tungstenite::Error> {
        let reason = "".into();
        let frame = code.map(|code| CloseFrame { code, reason });
        self.0.close(frame).await?;
        self.read_to_end().await;
        Ok(())
    }

    /// Answers the server's Close and waits a moment for the connection's end.
    pub(super) async fn drain(mut self) {
        drop(timeout(CLOSE_LIMIT, self.read_to_end()).await);
    }

    async fn read_to_end(&mut self) {
        while let Some(Ok(_)) = self.0.next().await {}
    }
}

fn handshake_error(error: tungstenite::Error, url: &Url) -> HandshakeError {
    match error {
        tungstenite::Error::Http(response) => HandshakeError::Status {
            status: response.status(),
            body: excerpt(response.body().as_deref().unwrap_or_default()),
        },
        tungstenite::Error::Io(error) => match error.kind() {
            ErrorKind::ConnectionRefused => HandshakeError::Refused(error),
            // What rustls finds wrong comes as invalid data.
            ErrorKind::InvalidData if url.scheme() == "wss" => HandshakeError::Tls(error),
            ErrorKind::ConnectionReset | ErrorKind::UnexpectedEof | ErrorKind::BrokenPipe => {
                HandshakeError::Protocol(Box::new(error.into()))
            }
            _ => HandshakeError::Unreachable(error),
        },
        error => HandshakeError::Protocol(Box::new(error)),
    }
}

fn closed(frame: Option<CloseFrame>) -> Received {
    Received::Closed {
        code: frame.as_ref().map(|frame| frame.code.into()),
        reason: frame
            .map(|frame| frame.reason.to_string())
            .unwrap_or_default(),
    }
}

fn lost(error: &tungstenite::Error) -> Received {
    let code = match error {
        tungstenite::Error::ConnectionClosed | tungstenite::Error::AlreadyClosed => {
            return closed(None);
        }
        tungstenite::Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => 31921,
        tungstenite::Error::Io(_) | tungstenite::Error::Tls(_) => 31903,
        // Everything else is a frame that is against RFC 6455 or larger than any server sends.
        _ => 31924,
    };
    Received::Broken {
        code,
        detail: error.to_string(),
    }
}
