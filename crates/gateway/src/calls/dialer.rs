//! Dialing Deepgram: one handshake, whatever comes of it.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, HeaderValue, StatusCode, header};
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use reqwest::{Client, Response, Upgraded};
use secrecy::ExposeSecret;
use sidetone_deepgram::agent;
use sidetone_deepgram::error::words;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use url::Url;

use crate::config;
use crate::outbound::{self, cause};

use super::socket::READ_BUFFER_BYTES;

/// From the first packet to the answer.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

/// Handshakes at the same time: after an outage every call wants one, and a storm would bring the
/// next outage.
const MAX_HANDSHAKES: usize = 20;

/// How long a call waits for its turn before it backs off.
const TURN_TIMEOUT: Duration = Duration::from_secs(30);

/// How much of a refusal is read, and for how long.
const MAX_REFUSAL_BYTES: usize = 8 * 1024;
const REFUSAL_TIMEOUT: Duration = Duration::from_secs(1);

/// The longest message of Deepgram that is taken: results of minutes of fast speech, and minutes of
/// an agent's speech in one piece, stay far below.
const MAX_MESSAGE_BYTES: usize = 4 << 20;

/// Audio goes out once per wake-up, not once per frame; what cannot be sent waits up to a limit
/// that is half a minute of stereo, long after the connection counts as lost.
const WRITE_BUFFER_BYTES: usize = 8 * 1024;
const MAX_WRITE_BUFFER_BYTES: usize = 256 * 1024;

/// An open connection to Deepgram.
pub(super) type DeepgramSocket = WebSocketStream<Upgraded>;

/// Opens connections to Deepgram's live transcription and to its voice agent.
pub(crate) struct Dialer {
    listen: Service,
    /// Why not, when it can never be reached: then calls without an agent go on as ever.
    agent: Result<Service, DialerError>,
    authorization: HeaderValue,
    /// Shared by both, since both are one account's.
    turns: Semaphore,
}

/// One of Deepgram's services that speak WebSocket.
struct Service {
    client: Client,
    url: String,
}

/// What a connection is to.
#[derive(Debug)]
pub(super) enum Target {
    /// Live transcription, with this query.
    Listen(String),
    /// The voice agent.
    Agent,
}

/// No connection to Deepgram can ever be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DialerError {
    /// The key holds characters that no HTTP header may hold.
    #[error("the Deepgram API key holds characters that no key has: look at DEEPGRAM_API_KEY")]
    Key,
    /// TLS is not to be had: usually a machine without certificates.
    #[error("no TLS client could be made; are the system's CA certificates installed?")]
    Tls(#[source] reqwest::Error),
}

/// What became of a handshake.
pub(super) struct Opened {
    pub(super) socket: DeepgramSocket,
    /// `dg-request-id`.
    pub(super) request_id: Option<String>,
}

/// Why there is no connection.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum DialError {
    /// Deepgram said no.
    Refused {
        status: u16,
        /// Deepgram's own.
        words: String,
        retry_after: Option<Duration>,
    },
    /// Deepgram was not reached, or did not speak WebSocket.
    Failed(String),
}

impl Dialer {
    pub(crate) fn new(deepgram: &config::Deepgram) -> Result<Self, DialerError> {
        Ok(Self {
            listen: Service::new(&deepgram.url, "/v1/listen")?,
            agent: Service::new(&deepgram.agent_url, agent::PATH),
            authorization: authorization(deepgram)?,
            turns: Semaphore::new(MAX_HANDSHAKES),
        })
    }

    /// Opens a connection. Dropping the future gives it up.
    pub(super) async fn dial(self: Arc<Self>, target: Target) -> Result<Opened, DialError> {
        let failed = |reason: &str| DialError::Failed(reason.to_owned());
        let turn = timeout(TURN_TIMEOUT, self.turns.acquire())
            .await
            .map_err(|_| failed("too many connections to Deepgram are being made"))?;
        let _turn = turn.expect("the semaphore is never closed");
        timeout(HANDSHAKE_TIMEOUT, self.handshake(&target))
            .await
            .map_err(|_| failed("Deepgram did not answer within 10 s"))?
    }

    async fn handshake(&self, target: &Target) -> Result<Opened, DialError> {
        let request = match target {
            Target::Listen(query) => {
                let Service { client, url } = &self.listen;
                client.get(format!("{url}?{query}"))
            }
            Target::Agent => {
                let agent = self.agent.as_ref();
                let agent = agent.map_err(|error| DialError::Failed(error.to_string()))?;
                agent.client.get(&agent.url)
            }
        };
        let key = generate_key();
        let response = request
            .header(header::AUTHORIZATION, self.authorization.clone())
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, &key)
            .send()
            .await
            .map_err(|error| DialError::Failed(cause(&error)))?;
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return Err(refusal(response).await);
        }
        let accepted = text_of(response.headers(), header::SEC_WEBSOCKET_ACCEPT.as_str());
        if accepted != Some(&derive_accept_key(key.as_bytes())) {
            let reason = "the answer to the handshake is not of a WebSocket server";
            return Err(DialError::Failed(reason.to_owned()));
        }
        let request_id = text_of(response.headers(), "dg-request-id").map(str::to_owned);
        let upgraded = response
            .upgrade()
            .await
            .map_err(|error| DialError::Failed(cause(&error)))?;
        let mut config = WebSocketConfig::default();
        config.read_buffer_size = READ_BUFFER_BYTES;
        config.write_buffer_size = WRITE_BUFFER_BYTES;
        config.max_write_buffer_size = MAX_WRITE_BUFFER_BYTES;
        config.max_message_size = Some(MAX_MESSAGE_BYTES);
        config.max_frame_size = Some(MAX_MESSAGE_BYTES);
        let socket = DeepgramSocket::from_raw_socket(upgraded, Role::Client, Some(config)).await;
        Ok(Opened { socket, request_id })
    }
}

impl fmt::Debug for Dialer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dialer")
            .field("listen", &self.listen.url)
            .finish_non_exhaustive()
    }
}

impl Service {
    fn new(base: &Url, path: &str) -> Result<Self, DialerError> {
        let client = outbound::client(base).pool_max_idle_per_host(0);
        Ok(Self {
            client: client.build().map_err(DialerError::Tls)?,
            url: http_base(base) + path,
        })
    }
}

/// The base URL as HTTP has it, without a slash at its end.
pub(super) fn http_base(url: &Url) -> String {
    let is_plain = matches!(url.scheme(), "ws" | "http");
    let scheme = if is_plain { "http" } else { "https" };
    let base = url.as_str();
    let rest = base.split_once(':').map_or(base, |(_, rest)| rest);
    format!("{scheme}:{}", rest.trim_end_matches('/'))
}

/// The header that Deepgram knows us by.
pub(super) fn authorization(deepgram: &config::Deepgram) -> Result<HeaderValue, DialerError> {
    let token = format!("Token {}", deepgram.api_key.expose_secret());
    let mut authorization = HeaderValue::try_from(token).map_err(|_| DialerError::Key)?;
    authorization.set_sensitive(true);
    Ok(authorization)
}

/// What Deepgram says in an answer that is no success.
pub(super) async fn refusal(mut response: Response) -> DialError {
    let status = response.status().as_u16();
    let retry_after = text_of(response.headers(), header::RETRY_AFTER.as_str())
        .and_then(|value| wait_asked_for(value, Timestamp::now()));
    let dg_error = text_of(response.headers(), "dg-error").map(str::to_owned);
    let mut body = Vec::new();
    // What has arrived by then says enough; the header may say it all.
    let _complete = timeout(REFUSAL_TIMEOUT, async {
        while let Ok(Some(chunk)) = response.chunk().await {
            let room = MAX_REFUSAL_BYTES - body.len();
            body.extend_from_slice(&chunk[..chunk.len().min(room)]);
            if body.len() == MAX_REFUSAL_BYTES {
                break;
            }
        }
    })
    .await
    .is_ok();
    DialError::Refused {
        status,
        words: words(dg_error.as_deref(), &body),
        retry_after,
    }
}

/// How long a `Retry-After` asks to wait: it tells seconds, or a date (RFC 9110, 10.2.3).
fn wait_asked_for(value: &str, now: Timestamp) -> Option<Duration> {
    let value = value.trim();
    if let Ok(secs) = value.parse() {
        return Some(Duration::from_secs(secs));
    }
    let date = rfc2822::DateTimeParser::new().parse_timestamp(value).ok()?;
    // One that has passed asks for no wait.
    Some(Duration::try_from(date.duration_since(now)).unwrap_or_default())
}

pub(super) fn text_of<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wait_is_asked_for_in_seconds_or_until_a_date() {
        let now = "1994-11-06T08:49:30Z".parse().unwrap();
        let check = |value: &str, secs: Option<u64>| {
            let expected = secs.map(Duration::from_secs);
            assert_eq!(wait_asked_for(value, now), expected, "{value}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(7));
        check("Sun, 06 Nov 1994 08:49:00 GMT", Some(0));
        check("99999999999999999999", None);
        check("-1", None);
        check("soon", None);
        check("", None);
    }
}
