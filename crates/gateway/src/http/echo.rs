//! What arrives of a request: how somebody outside learns whether a public URL leads here, and
//! what the proxies on the way make of it.

use std::collections::BTreeMap;

use http::header;
use http::request::Parts;
use serde::{Deserialize, Serialize};

use super::extract::visitor;
use super::problem::Problem;
use super::proxies::is_forwarding;
use super::query::Query;

const MAX_NONCE_BYTES: usize = 64;

/// The longest value of a header that is repeated.
const MAX_VALUE_CHARS: usize = 200;

/// The headers of proxies whose values are repeated: how they were reached. The others name
/// addresses of machines, which are nobody's business.
const SHOWN: [&str; 3] = ["x-forwarded-host", "x-forwarded-port", "x-forwarded-proto"];

/// What a gateway saw of a request to `/healthz?nonce=N`: `echo` of the answer.
///
/// It is everyone's, so it holds only what the sender knows or may know.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// The request's own, 1 to 64 letters and digits.
    pub nonce: String,
    /// `Host` as it arrived.
    pub host: String,
    /// The headers that proxies wrote, in small letters. Values are those of `x-forwarded-host`,
    /// `-port` and `-proto`; of the others only the names are told.
    pub forwarded: BTreeMap<String, Option<String>>,
    /// The URL that Twilio is assumed to request when it asks for `/voice` in this way: the one
    /// that signatures are checked with.
    pub voice_url: String,
    /// The same for the media stream.
    pub stream_url: String,
}

impl Echo {
    pub(super) fn of(nonce: &str, request: &Parts) -> Result<Self, Problem> {
        let fits =
            nonce.len() <= MAX_NONCE_BYTES && nonce.bytes().all(|b| b.is_ascii_alphanumeric());
        if !fits {
            return Err(Query::wrong("nonce", nonce, "1 to 64 letters and digits"));
        }
        let headers = &request.headers;
        let value = |name: &str| {
            let value = headers.get(name)?.to_str().ok()?;
            Some(value.chars().take(MAX_VALUE_CHARS).collect())
        };
        let forwarded = headers.keys().filter(|name| is_forwarding(name));
        let base = &visitor(request).base;
        Ok(Self {
            nonce: nonce.to_owned(),
            host: value(header::HOST.as_str()).unwrap_or_default(),
            forwarded: forwarded
                .map(|name| {
                    let shown = SHOWN.contains(&name.as_str());
                    let value = shown.then(|| value(name.as_str())).flatten();
                    (name.to_string(), value)
                })
                .collect(),
            voice_url: base.url("/voice"),
            stream_url: base.stream_url("/twilio"),
        })
    }
}
