//! What the browser of an allowed page has to be told before the page may read an answer.
//!
//! Our own pages need none of it, and pages of other origins get none.

use axum::response::{IntoResponse, Response};
use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};

use super::access::Rules;

/// What an allowed page may send: the methods of the API, a token, JSON, and where it resumes.
const PREFLIGHT: [(HeaderName, HeaderValue); 3] = [
    (
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, HEAD, POST, PATCH, DELETE"),
    ),
    (
        header::ACCESS_CONTROL_ALLOW_HEADERS,
        HeaderValue::from_static("Authorization, Content-Type, Last-Event-ID"),
    ),
    // How long a browser may remember the answer; ten minutes is what they all do at most or more.
    (
        header::ACCESS_CONTROL_MAX_AGE,
        HeaderValue::from_static("600"),
    ),
];

/// The answer to a browser that asks, for an allowed page, what the page may send.
pub(super) fn preflight(rules: &Rules, method: &Method, headers: &HeaderMap) -> Option<Response> {
    let asks =
        method == Method::OPTIONS && headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD);
    rules.allowed_origin(headers).filter(|_| asks)?;
    Some((StatusCode::NO_CONTENT, PREFLIGHT).into_response())
}

/// The fields that every answer to this request gets.
pub(super) fn fields(rules: &Rules, request: &HeaderMap) -> Vec<(HeaderName, HeaderValue)> {
    let mut fields = Vec::new();
    if rules.allows_origins() {
        // A cache must not give one page the answer for another, nor for none.
        fields.push((header::VARY, HeaderValue::from_static("Origin")));
    }
    if let Some(origin) = rules.allowed_origin(request) {
        fields.push((header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone()));
        fields.push((
            header::ACCESS_CONTROL_EXPOSE_HEADERS,
            HeaderValue::from_static("Retry-After, WWW-Authenticate"),
        ));
    }
    fields
}
