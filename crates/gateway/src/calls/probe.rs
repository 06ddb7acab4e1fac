//! Finding out without a call whether Deepgram's voice agent would come to one.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use sidetone_deepgram::agent::message::ServerMessage;
use tokio::time::timeout;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::dialer::{DeepgramSocket, DialError, Dialer, Target};
use super::socket;
use crate::config;

/// Why no agent would come to a call.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NoAgent {
    /// Deepgram refuses the handshake.
    #[error("Deepgram refuses with {status}: {words}")]
    Refused {
        /// Of the answer.
        status: u16,
        /// Deepgram's own words.
        words: String,
    },
    /// There is nobody who speaks WebSocket.
    #[error("{0}")]
    Unreachable(String),
    /// Whoever is there does not say `Welcome`.
    #[error("{0}")]
    Unwelcome(String),
}

/// Opens a session of the voice agent as a call does, waits for its `Welcome`, and leaves it. The
/// handshake and the `Welcome` may take as long as `patience` each, and the farewell a second.
///
/// # Errors
/// See [`NoAgent`].
pub async fn visit_agent(deepgram: &config::Deepgram, patience: Duration) -> Result<(), NoAgent> {
    let dialer = Dialer::new(deepgram).map_err(|error| NoAgent::Unreachable(error.to_string()))?;
    let secs = patience.as_secs();
    let late = || NoAgent::Unreachable(format!("it did not answer within {secs} s"));
    let dialing = timeout(patience, Arc::new(dialer).dial(Target::Agent));
    let opened = dialing.await.map_err(|_| late())?;
    let mut socket = opened.map_err(NoAgent::of_dial)?.socket;
    let silent = || NoAgent::Unwelcome(format!("it says no Welcome within {secs} s"));
    let welcome = timeout(patience, welcome(&mut socket)).await;
    let welcome = welcome.map_err(|_| silent()).flatten();
    socket::close(socket, CloseCode::Normal, String::new()).await;
    welcome
}

/// The first thing that is said, if it is what a voice agent says first.
async fn welcome(socket: &mut DeepgramSocket) -> Result<(), NoAgent> {
    let unwelcome = |what: String| Err(NoAgent::Unwelcome(what));
    loop {
        return match socket.next().await {
            Some(Ok(Message::Text(text))) => match ServerMessage::parse(&text) {
                Ok(ServerMessage::Welcome { .. }) => Ok(()),
                Ok(ServerMessage::Error(notice)) => {
                    unwelcome(format!("{}: {}", notice.code, notice.description))
                }
                Ok(_) | Err(_) => unwelcome("it says something else than Welcome".to_owned()),
            },
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => continue,
            Some(Ok(Message::Close(Some(frame)))) => {
                unwelcome(format!("it closes with {}: {}", frame.code, frame.reason))
            }
            Some(Ok(Message::Binary(_) | Message::Close(None)) | Err(_)) | None => {
                unwelcome("it says no Welcome and closes".to_owned())
            }
        };
    }
}

impl NoAgent {
    fn of_dial(error: DialError) -> Self {
        match error {
            DialError::Refused { status, words, .. } => Self::Refused { status, words },
            DialError::Failed(reason) => Self::Unreachable(reason),
        }
    }
}
