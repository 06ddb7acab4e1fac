//! What happens to a connection, whichever of the links asked for it.

use std::fmt;
use std::time::Duration;

use bytes::Bytes;

/// What happened to one of a link's connections. Its `generation` is the number that the link gave
/// it when it asked for it: what an old connection still says is ignored.
#[derive(Clone, Copy)]
pub enum Input<'a> {
    /// The connection that was asked for is open.
    Opened {
        /// Which connection.
        generation: u32,
        /// Deepgram's `dg-request-id`.
        request_id: Option<&'a str>,
    },
    /// Deepgram answered the handshake with something else than 101.
    Refused {
        /// Which connection.
        generation: u32,
        /// The HTTP status.
        status: u16,
        /// Deepgram's own words: `dg-error` header or body, as [`crate::error::words`] gives them.
        words: &'a str,
        /// `Retry-After`.
        retry_after: Option<Duration>,
    },
    /// A text message arrived.
    Text {
        /// Which connection.
        generation: u32,
        /// The whole message.
        text: &'a str,
    },
    /// A binary message arrived: an agent's speech. There is none while Deepgram only listens.
    Binary {
        /// Which connection.
        generation: u32,
        /// mu-law, 8 kHz, any length.
        audio: &'a Bytes,
    },
    /// A pong arrived.
    Pong {
        /// Which connection.
        generation: u32,
    },
    /// The connection is gone, or never came to be: reset, timed out, closed.
    Closed {
        /// Which connection.
        generation: u32,
        /// The WebSocket close code, when one came.
        code: Option<u16>,
        /// The close reason or the transport error, for people.
        reason: &'a str,
    },
}

/// Everything but what people said.
impl fmt::Debug for Input<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Opened {
                generation,
                request_id,
            } => f
                .debug_struct("Opened")
                .field("generation", generation)
                .field("request_id", request_id)
                .finish(),
            Self::Refused {
                generation,
                status,
                words,
                retry_after,
            } => f
                .debug_struct("Refused")
                .field("generation", generation)
                .field("status", status)
                .field("words", words)
                .field("retry_after", retry_after)
                .finish(),
            Self::Text { generation, text } => f
                .debug_struct("Text")
                .field("generation", generation)
                .field("bytes", &text.len())
                .finish(),
            Self::Binary { generation, audio } => f
                .debug_struct("Binary")
                .field("generation", generation)
                .field("bytes", &audio.len())
                .finish(),
            Self::Pong { generation } => f
                .debug_struct("Pong")
                .field("generation", generation)
                .finish(),
            Self::Closed {
                generation,
                code,
                reason,
            } => f
                .debug_struct("Closed")
                .field("generation", generation)
                .field("code", code)
                .field("reason", reason)
                .finish(),
        }
    }
}
