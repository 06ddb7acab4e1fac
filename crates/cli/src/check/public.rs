//! The public URL, asked as Twilio asks: through every proxy and tunnel on the way.

use std::collections::BTreeMap;

use http::{StatusCode, header};
use reqwest::{Client, RequestBuilder};
use secrecy::ExposeSecret as _;
use serde::Deserialize;
use sidetone_gateway::Echo;
use sidetone_gateway::config::Config;
use sidetone_gateway::outbound::{self, cause};
use sidetone_twilio::signature;
use url::Url;

use super::in_time;
use super::ports::Answering;
use super::report::Finding;
use crate::config::is_loopback;
use crate::number::route;

pub(super) const NAME: &str = "public_url";
pub(super) const STREAM: &str = "media_stream";

/// The longest answer that can be one of a gateway.
const MAX_ANSWER_BYTES: usize = 64 * 1024;

/// Key and answer of the example in RFC 6455, section 1.3.
const WEBSOCKET_KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const WEBSOCKET_ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

/// Whether it leads here, and whether a media stream comes through.
pub(super) async fn check(config: &Config, answering: &Answering) -> Vec<Finding> {
    let skipped = |reason: &str| {
        [NAME, STREAM]
            .map(|name| Finding::skipped(name, reason))
            .into()
    };
    let Some(url) = &config.public_url else {
        return skipped(
            "not configured: Twilio needs SIDETONE_PUBLIC_URL=https://... to call here",
        );
    };
    if matches!(answering, Answering::Nobody) {
        return skipped("no Sidetone can answer on this machine: the ports come first");
    }
    let client = match outbound::client(url).build() {
        Ok(client) => client,
        Err(error) => return vec![Finding::wrong(NAME, cause(&error))],
    };
    let public = Public {
        config,
        url,
        client,
    };
    let (reached, stream) = tokio::join!(public.reach(), public.open_stream());
    let reached = reached.unwrap_or_else(|failed| failed);
    vec![reached, stream.unwrap_or_else(|failed| failed)]
}

struct Public<'a> {
    config: &'a Config,
    url: &'a Url,
    client: Client,
}

/// An answer of `/healthz`.
#[derive(Deserialize)]
struct Health {
    echo: Option<Echo>,
}

/// Asks whoever is at a base URL for an echo.
///
/// `None`: what answers is no Sidetone, or one that repeats what somebody else asked.
pub(super) async fn echo(client: &Client, base: &str) -> Result<Result<Echo, StatusCode>, String> {
    // New each time is enough: it tells a fresh answer from a kept one.
    let nonce = format!("{:x}", jiff::Timestamp::now().as_nanosecond());
    let asking = client.get(format!("{base}/healthz?nonce={nonce}"));
    let mut response = answer(asking).await?;
    let status = response.status();
    let body = in_time(outbound::body(&mut response, MAX_ANSWER_BYTES)).await;
    let body = body.and_then(Result::ok).unwrap_or_default();
    let echo = serde_json::from_slice(&body)
        .ok()
        .and_then(|health: Health| health.echo)
        .filter(|echo| echo.nonce == nonce);
    Ok(echo.ok_or(status))
}

async fn answer(request: RequestBuilder) -> Result<reqwest::Response, String> {
    match in_time(request.send()).await {
        Some(Ok(response)) => Ok(response),
        Some(Err(error)) => Err(cause(&error)),
        None => Err("no answer within 5 s".to_owned()),
    }
}

impl Public<'_> {
    fn base(&self) -> &str {
        self.url.as_str().trim_end_matches('/')
    }

    fn listen(&self) -> String {
        let addresses = self.config.listen.iter().map(ToString::to_string);
        addresses.collect::<Vec<_>>().join(" or ")
    }

    fn unreachable(&self, reason: &str) -> Finding {
        let remedy = format!(
            "let the proxy or tunnel for it lead to {}, and its name to the proxy",
            self.listen()
        );
        Finding::failed(
            NAME,
            format!("{} cannot be reached: {reason}", self.base()),
            remedy,
        )
    }

    async fn reach(&self) -> Result<Finding, Finding> {
        let echo = echo(&self.client, self.base()).await;
        let echo = echo.map_err(|reason| self.unreachable(&reason))?;
        let echo = echo.map_err(|status| self.somebody_else(status))?;
        let expected = route(self.url, None).voice_url;
        if echo.voice_url != expected {
            let what = format!(
                "the gateway there takes its voice webhook for {}, so that no signature fits",
                echo.voice_url
            );
            let remedy = format!("start it with SIDETONE_PUBLIC_URL={}", self.base());
            return Err(Finding::failed(NAME, what, remedy));
        }
        if self.lets_anybody_in().await {
            let what = "whoever comes this way is taken for this machine and may do everything";
            let remedy = "set server.trust_loopback = false";
            return Err(Finding::failed(NAME, what, remedy));
        }
        let nearby = if is_loopback(self.url) {
            "; only this machine can reach it"
        } else {
            ""
        };
        let headers = told(&echo.host, &echo.forwarded);
        let what = format!(
            "{} leads here and arrives with {headers}{nearby}",
            self.base()
        );
        Ok(Finding::ok(NAME, what))
    }

    fn somebody_else(&self, status: StatusCode) -> Finding {
        if status.is_redirection() {
            let what = format!("{} answers with a redirect ({status})", self.base());
            let remedy = "set SIDETONE_PUBLIC_URL to where it leads, or let it not redirect";
            return Finding::failed(NAME, what, remedy);
        }
        let path = match self.url.path() {
            "/" => String::new(),
            path => format!(" and take `{path}` off the path"),
        };
        Finding::failed(
            NAME,
            format!("{} is answered by something else ({status})", self.base()),
            format!("let it lead to {}{path}", self.listen()),
        )
    }

    /// Whether the API is open to who has no token. From this machine by a loopback address it
    /// rightly may be.
    async fn lets_anybody_in(&self) -> bool {
        if is_loopback(self.url) {
            return false;
        }
        let asking = self
            .client
            .get(format!("{}/api/v1/calls?limit=1", self.base()));
        matches!(answer(asking).await, Ok(response) if response.status().is_success())
    }

    /// The handshake of a media stream, signed as Twilio signs it. It ends there: no stream starts.
    async fn open_stream(&self) -> Result<Finding, Finding> {
        let address = format!("{}/twilio", self.base());
        let mut asking = self
            .client
            .get(&address)
            .header(header::CONNECTION, "Upgrade")
            .header(header::UPGRADE, "websocket")
            .header(header::SEC_WEBSOCKET_VERSION, "13")
            .header(header::SEC_WEBSOCKET_KEY, WEBSOCKET_KEY);
        let signed = address.replacen("http", "ws", 1);
        if let Some(token) = self.config.twilio.auth_tokens.first() {
            let no_params: [(&str, &str); 0] = [];
            let signature = signature::sign(token.expose_secret(), &signed, &no_params);
            asking = asking.header(signature::HEADER, signature);
        }
        let skipped = |_| Finding::skipped(STREAM, format!("{signed} cannot be reached"));
        let response = answer(asking).await.map_err(skipped)?;
        let accepted = response.headers().get(header::SEC_WEBSOCKET_ACCEPT);
        match response.status() {
            StatusCode::SWITCHING_PROTOCOLS
                if accepted.is_some_and(|accept| accept == WEBSOCKET_ACCEPT) =>
            {
                Ok(Finding::ok(STREAM, format!("{signed} shakes hands")))
            }
            StatusCode::FORBIDDEN => Err(Finding::failed(
                STREAM,
                format!("{signed} refuses a signature made with TWILIO_AUTH_TOKEN"),
                "restart the gateway there with this token and public URL",
            )),
            status => Err(Finding::failed(
                STREAM,
                format!("the WebSocket of {signed} does not come through ({status})"),
                "let the proxy pass the headers Upgrade and Connection on, by HTTP/1.1",
            )),
        }
    }
}

/// The headers that arrived, in a line.
fn told(host: &str, forwarded: &BTreeMap<String, Option<String>>) -> String {
    let forwarded = forwarded.iter().map(|(name, value)| match value {
        Some(value) => format!("{name} {value}"),
        None => name.clone(),
    });
    [format!("host {host}")]
        .into_iter()
        .chain(forwarded)
        .collect::<Vec<_>>()
        .join(", ")
}
