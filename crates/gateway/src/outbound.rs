//! Requests that we make: to Deepgram, to Twilio, to our own public URL.

use std::error::Error;

use reqwest::redirect::Policy;
use reqwest::{Client, ClientBuilder, Response};
use url::Url;

/// A client of HTTP/1.1 for one server: TLS of ring with the system's certificates, no redirects,
/// no proxies of the environment.
///
/// Further settings, deadlines above all, are the caller's.
pub fn client(server: &Url) -> ClientBuilder {
    client_over(matches!(server.scheme(), "ws" | "http"))
}

/// The same for several servers, which are all spoken to without TLS, or not.
pub(crate) fn client_over(is_plain: bool) -> ClientBuilder {
    // A program that embeds the gateway may have chosen a provider; otherwise it is ring.
    let _chosen_before = rustls::crypto::ring::default_provider()
        .install_default()
        .is_err();
    let client = Client::builder()
        .user_agent(concat!("sidetone/", env!("CARGO_PKG_VERSION")))
        .http1_only()
        .no_proxy()
        .redirect(Policy::none())
        .tcp_nodelay(true);
    if is_plain {
        // Loading the system's certificates fails on a machine that has none.
        client.tls_certs_only([])
    } else {
        client
    }
}

/// The innermost error: "Connection refused" says more than what reqwest was about to do.
pub fn cause(error: &reqwest::Error) -> String {
    let mut innermost: &dyn Error = error;
    while let Some(source) = innermost.source() {
        innermost = source;
    }
    innermost.to_string()
}

/// A body was not read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BodyError {
    /// It broke off.
    #[error("the answer broke off: {}", cause(.0))]
    Broken(reqwest::Error),
    /// It is longer than it may be.
    #[error("the answer is longer than {limit} bytes")]
    TooLong {
        /// Bytes it may have.
        limit: usize,
    },
}

/// Reads a body of at most `limit` bytes.
///
/// # Errors
/// See [`BodyError`]. A deadline is the caller's.
pub async fn body(response: &mut Response, limit: usize) -> Result<Vec<u8>, BodyError> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await.map_err(BodyError::Broken)? {
        if body.len() + chunk.len() > limit {
            return Err(BodyError::TooLong { limit });
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body)
}
