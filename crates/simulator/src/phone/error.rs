//! What can keep a call or a stream from being.

use std::io;

use sidetone_audio::wav::WavError;
use sidetone_twilio::twiml::TwimlError;
use tokio_tungstenite::tungstenite;
use url::{Position, Url};

/// There never was a call. URLs are told without user, password and query.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PhoneError {
    /// A target of another scheme.
    #[error("cannot call {target}: expected a voice webhook (http, https) or a stream (ws, wss)")]
    UnsupportedTarget {
        /// The target.
        target: String,
    },
    /// The voice webhook gave nothing to do.
    #[error("the voice webhook {url} gave no TwiML (Twilio error {})", source.code())]
    Webhook {
        /// The webhook.
        url: String,
        /// What was wrong.
        source: WebhookError,
    },
    /// The stream did not open.
    #[error("the stream {url} did not open (Twilio error {})", source.code())]
    Handshake {
        /// The stream.
        url: String,
        /// What was wrong.
        source: HandshakeError,
    },
}

/// A webhook did not answer with TwiML that can be followed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebhookError {
    /// No connection, or it broke.
    #[error("it cannot be reached; is the server running there?")]
    Unreachable(#[source] reqwest::Error),
    /// No whole answer within 15 s, the time Twilio gives.
    #[error("it did not answer within 15 s")]
    TimedOut,
    /// Another status than 2xx. Twilio follows no redirects to be signed anew.
    #[error("it answered {status}: {body}")]
    Refused {
        /// The HTTP status.
        status: http::StatusCode,
        /// The beginning of the body.
        body: String,
    },
    /// A body of more than Twilio takes.
    #[error("its answer is too long")]
    TooLong,
    /// Neither TwiML nor text.
    #[error("its answer has the content type {found}, expected text/xml")]
    ContentType {
        /// What it says it is.
        found: String,
    },
    /// A body that is not UTF-8.
    #[error("its answer is not UTF-8")]
    NotText,
    /// A document Twilio would not follow.
    #[error("its TwiML cannot be followed")]
    Twiml(#[from] TwimlError),
    /// Not a recording that can be played.
    #[error("its answer is no recording that is played here")]
    Recording(#[source] WavError),
    /// More documents than a call may have.
    #[error("the call went through {documents} documents; do they redirect in a circle?")]
    TooManyDocuments {
        /// How many there were.
        documents: usize,
    },
    /// A relative URL in a document that came without one.
    #[error("`{url}` is relative, and inline TwiML has no URL that it could be relative to")]
    Relative {
        /// As the document has it.
        url: String,
    },
    /// Not a URL that can be requested.
    #[error("`{url}` is not a URL of a webhook")]
    BadUrl {
        /// As the document has it.
        url: String,
    },
}

impl WebhookError {
    /// The code under which Twilio reports it.
    pub fn code(&self) -> u32 {
        match self {
            Self::Unreachable(_) => 11205,
            Self::TimedOut | Self::Refused { .. } | Self::TooManyDocuments { .. } => 11200,
            Self::TooLong => 11750,
            Self::ContentType { .. } | Self::Recording(_) => 12300,
            Self::NotText => 12100,
            Self::Twiml(error) => error.code(),
            Self::Relative { .. } => 15004,
            Self::BadUrl { .. } => 11100,
        }
    }
}

/// A stream did not open.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HandshakeError {
    /// A scheme Twilio does not dial. `ws` is taken only where the document itself came over
    /// plain `http`, so that everything can be tried on one machine.
    #[error("the scheme of its URL is `{scheme}`, expected wss")]
    Scheme {
        /// The scheme.
        scheme: String,
    },
    /// Not a URL.
    #[error("`{url}` is not a URL")]
    BadUrl {
        /// As the document has it.
        url: String,
    },
    /// A track that `<Connect>` does not take.
    #[error("a bidirectional stream carries the inbound track only")]
    Track,
    /// No answer within 10 s.
    #[error("the server did not answer the upgrade within 10 s")]
    TimedOut,
    /// Nobody listens.
    #[error("the connection was refused; is the server running there?")]
    Refused(#[source] io::Error),
    /// No way there.
    #[error("the server cannot be reached")]
    Unreachable(#[source] io::Error),
    /// The certificate is not valid, or TLS failed otherwise.
    #[error("TLS failed; a valid public certificate is needed")]
    Tls(#[source] io::Error),
    /// Another status than 101.
    #[error("the server answered {status} instead of 101: {body}")]
    Status {
        /// The HTTP status.
        status: http::StatusCode,
        /// The beginning of the body.
        body: String,
    },
    /// The server chose a subprotocol or an extension, though none was offered.
    #[error("the server answered with {header}, which was not offered")]
    NotOffered {
        /// The header.
        header: &'static str,
    },
    /// What the server answered is no WebSocket handshake.
    #[error("the handshake failed")]
    Protocol(#[source] Box<tungstenite::Error>),
}

impl HandshakeError {
    /// The code under which Twilio reports it.
    pub fn code(&self) -> u32 {
        match self {
            Self::TimedOut => 31901,
            Self::Refused(_) => 31902,
            Self::Unreachable(_) => 31904,
            Self::Tls(_) => 31910,
            Self::Status { .. } | Self::NotOffered { .. } | Self::Protocol(_) => 31920,
            Self::Scheme { .. } => 31922,
            Self::BadUrl { .. } => 31923,
            Self::Track => 31941,
        }
    }
}

/// A URL as it may be shown: user, password and query can be secrets.
pub(super) fn shown(url: &Url) -> String {
    let place = &url[Position::BeforeHost..Position::AfterPath];
    format!("{}://{place}", url.scheme())
}

/// The beginning of a body as it fits into one line.
pub(super) fn excerpt(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let line: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    line.chars()
        .filter(|char| !char.is_control())
        .take(200)
        .collect()
}

/// An error with its causes, in one line.
pub(super) fn chain(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |line, cause| format!("{line}: {cause}"))
}
