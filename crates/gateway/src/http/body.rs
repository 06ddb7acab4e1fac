//! Request bodies: so much as may come, within its time, and of the shape it has to have.

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::body::{Body as Unread, HttpBody};
use axum::extract::{FromRequest, Request};
use bytes::BytesMut;
use futures_util::StreamExt;
use serde::de::DeserializeOwned;
use tokio::time::timeout;

use super::App;
use super::problem::Problem;
use crate::metrics::Rejection;

/// How long a body may take to arrive.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The longest body of JSON: 20,000 characters, each as long as JSON can write it.
const MAX_JSON_BYTES: usize = 256 * 1024;

/// A body of JSON. Its type says what it may hold, and should refuse what it does not know.
pub(super) struct Body<T>(pub(super) T);

impl<T: DeserializeOwned> FromRequest<Arc<App>> for Body<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let body = read(app, request.into_body(), MAX_JSON_BYTES).await?;
        // Nothing says as much as an object without fields.
        let body = if body.is_empty() { &b"{}"[..] } else { &body };
        // A list would be taken for the fields in their order.
        if !body.trim_ascii_start().starts_with(b"{") {
            let problem = Problem::invalid_request("The body is wrong: a JSON object is expected.");
            return Err(app.refuse(Rejection::InvalidRequest, problem));
        }
        let read = Json::<T>::from_bytes(body);
        let Json(body) = read.map_err(|rejection| {
            // The innermost says which field and what it is to be.
            let mut error: &dyn Error = &rejection;
            while let Some(source) = error.source() {
                error = source;
            }
            let problem = Problem::invalid_request(format!("The body is wrong: {error}."));
            app.refuse(Rejection::InvalidRequest, problem)
        })?;
        Ok(Self(body))
    }
}

/// Reads a body of at most `limit_bytes` within its time.
pub(super) async fn read(app: &App, body: Unread, limit_bytes: usize) -> Result<BytesMut, Problem> {
    let too_large = || {
        let problem = Problem::body_too_large(limit_bytes);
        app.refuse(Rejection::BodyTooLarge, problem)
    };
    if body.size_hint().lower() > limit_bytes as u64 {
        return Err(too_large());
    }
    let collect = async {
        let mut collected = BytesMut::new();
        let mut chunks = body.into_data_stream();
        while let Some(chunk) = chunks.next().await {
            let chunk = chunk.map_err(|_| {
                let problem = Problem::invalid_request("The request body broke off.");
                app.refuse(Rejection::InvalidRequest, problem)
            })?;
            if collected.len() + chunk.len() > limit_bytes {
                return Err(too_large());
            }
            collected.extend_from_slice(&chunk);
        }
        Ok(collected)
    };
    match timeout(TIMEOUT, collect).await {
        Ok(collected) => collected,
        Err(_elapsed) => Err(app.refuse(Rejection::BodyTimeout, Problem::body_timeout())),
    }
}
