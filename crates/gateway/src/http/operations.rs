//! For those who run it: is it up, may it take calls, what does it count.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::request::Parts;
use http::{HeaderMap, StatusCode, header};
use serde_json::json;

use super::App;
use super::echo::Echo;
use super::extract::Admin;
use super::problem::Problem;
use super::query::Query;
use crate::calls::Admission;
use crate::metrics::TextFormat;

/// `/healthz`: the process is up, and for how long. With `nonce`, also what arrived of the
/// request: see [`Echo`].
pub(super) async fn healthz(
    State(app): State<Arc<App>>,
    query: Query,
    parts: Parts,
) -> Result<Response, Problem> {
    let uptime_secs = app.gateway.started.elapsed().as_secs();
    let mut health = json!({ "status": "ok", "uptime_secs": uptime_secs });
    if let Some(nonce) = query.text("nonce")? {
        health["echo"] = json!(Echo::of(nonce, &parts)?);
    }
    Ok(([(header::CACHE_CONTROL, "no-store")], Json(health)).into_response())
}

/// `/readyz`: calls may be taken, or why not.
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Response {
    let calls = &app.gateway.calls;
    let admission = match calls.admission() {
        Admission::Granted => None,
        Admission::Full => Some("full"),
        Admission::Draining => Some("draining"),
    };
    let archive = (!calls.archive_ok()).then_some("archive_unavailable");
    let reasons: Vec<_> = admission.into_iter().chain(archive).collect();
    if reasons.is_empty() {
        Json(json!({ "status": "ready" })).into_response()
    } else {
        let body = json!({ "status": "not_ready", "reasons": reasons });
        (StatusCode::SERVICE_UNAVAILABLE, Json(body)).into_response()
    }
}

/// `/metrics`: as OpenMetrics for who asks for it, else as Prometheus text.
pub(super) async fn metrics(State(app): State<Arc<App>>, _: Admin, headers: HeaderMap) -> Response {
    let accepts_openmetrics = headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("application/openmetrics-text"));
    let format = if accepts_openmetrics {
        TextFormat::OpenMetrics
    } else {
        TextFormat::Prometheus
    };
    let text = app.gateway.metrics.encode(format);
    ([(header::CONTENT_TYPE, format.content_type())], text).into_response()
}
