//! The webhook of the demonstration: it finds orders, for who signs requests with its secret.

use std::net::Ipv4Addr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::Context as _;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::routing::post;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use ring::hmac;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use url::Url;

/// Signs the requests.
pub(super) const SECRET: &str = "whsec_dGhlIHNlY3JldCBvZiB0aGUgZGVtb25zdHJhdGlvbg==";

/// What is known of every order.
const FOUND: &str = r#"{"left":"Friday","due":"tomorrow"}"#;

/// A request that is older was recorded and is sent once more.
const OLDEST_SECS: i64 = 300;

/// A server for orders, on loopback.
pub(super) struct Orders {
    pub(super) url: Url,
    found: Arc<AtomicUsize>,
    stop: CancellationToken,
    serving: JoinHandle<std::io::Result<()>>,
}

impl Orders {
    pub(super) async fn start() -> anyhow::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await;
        let listener = listener.context("cannot listen for the demo's webhook")?;
        let url = format!("http://{}/orders", listener.local_addr()?).parse()?;
        let (found, stop) = (Arc::new(AtomicUsize::new(0)), CancellationToken::new());
        let router = axum::Router::new()
            .route("/orders", post(find))
            .with_state(Arc::clone(&found));
        let until = stop.clone().cancelled_owned();
        let serving = async {
            axum::serve(listener, router)
                .with_graceful_shutdown(until)
                .await
        };
        Ok(Self {
            url,
            found,
            stop,
            serving: tokio::spawn(serving),
        })
    }

    /// How many were found so far: requests whose signature held.
    pub(super) fn found(&self) -> usize {
        self.found.load(Ordering::Relaxed)
    }

    pub(super) async fn stop(self) -> anyhow::Result<()> {
        self.stop.cancel();
        self.serving.await.context("the demo's webhook")??;
        Ok(())
    }
}

async fn find(
    State(found): State<Arc<AtomicUsize>>,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    if is_signed(&headers, &body, Timestamp::now()) != Some(true) {
        return (StatusCode::UNAUTHORIZED, "the signature does not hold");
    }
    found.fetch_add(1, Ordering::Relaxed);
    (StatusCode::OK, FOUND)
}

/// Whether a request is signed as the Standard Webhooks scheme has it; `None` when what it takes
/// to tell is missing.
fn is_signed(headers: &HeaderMap, body: &[u8], now: Timestamp) -> Option<bool> {
    let field = |name| headers.get(name)?.to_str().ok();
    let (id, sent) = (field("webhook-id")?, field("webhook-timestamp")?);
    let signature = field("webhook-signature")?.strip_prefix("v1,")?;
    let age_secs = now.as_second() - sent.parse::<i64>().ok()?;
    let key = STANDARD.decode(SECRET.strip_prefix("whsec_")?).ok()?;
    let signed = [format!("{id}.{sent}.").as_bytes(), body].concat();
    let holds = hmac::verify(
        &hmac::Key::new(hmac::HMAC_SHA256, &key),
        &signed,
        &STANDARD.decode(signature).ok()?,
    );
    Some(holds.is_ok() && age_secs.abs() <= OLDEST_SECS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signed(sent: i64, body: &[u8]) -> HeaderMap {
        let key = STANDARD.decode(&SECRET["whsec_".len()..]).unwrap();
        let key = hmac::Key::new(hmac::HMAC_SHA256, &key);
        let tag = hmac::sign(&key, &[format!("a.{sent}.").as_bytes(), body].concat());
        let mut headers = HeaderMap::new();
        headers.insert("webhook-id", "a".parse().unwrap());
        headers.insert("webhook-timestamp", sent.into());
        let signature = format!("v1,{}", STANDARD.encode(tag));
        headers.insert("webhook-signature", signature.parse().unwrap());
        headers
    }

    #[test]
    fn only_who_has_the_secret_is_answered_and_only_for_a_while() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let check = |headers: &HeaderMap, body| is_signed(headers, body, now);
        let headers = signed(999_990, b"{}");
        assert_eq!(check(&headers, b"{}"), Some(true));
        assert_eq!(check(&headers, b"{} "), Some(false));
        assert_eq!(check(&signed(990_000, b"{}"), b"{}"), Some(false));
        assert_eq!(check(&HeaderMap::new(), b"{}"), None);
    }
}
