//! Errors as RFC 9457 problem documents with a stable `code`.

use axum::response::{IntoResponse, Response};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::json;

/// Why a request was not served.
///
/// `detail` is for the person who reads it and may change; `code` is for programs and does not.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: &'static str,
    detail: String,
    headers: Vec<(HeaderName, HeaderValue)>,
}

impl Problem {
    fn new(status: StatusCode, code: &'static str, detail: impl Into<String>) -> Self {
        Self {
            status,
            code,
            detail: detail.into(),
            headers: Vec::new(),
        }
    }

    /// 400: the request, or a part of it, is not what it has to be.
    pub(super) fn invalid_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "invalid_request", detail)
    }

    /// 401: nobody knows who asks.
    pub(super) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            "unauthorized",
            "This needs credentials. Without any it is answered to loopback only: from this \
             machine, with a loopback Host, without a forwarding header.",
        )
        .with(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// 403: it is known who asks, and it is not allowed.
    pub(super) fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, "forbidden", detail)
    }

    /// 404: there is no such address.
    pub(super) fn not_found() -> Self {
        Self::new(
            StatusCode::NOT_FOUND,
            "not_found",
            "There is nothing at this address.",
        )
    }

    /// 404: there is no such call.
    pub(super) fn call_not_found(call: &str) -> Self {
        let call: String = call.chars().take(40).collect();
        Self::new(
            StatusCode::NOT_FOUND,
            "call_not_found",
            format!("There is no call {call}."),
        )
    }

    /// 404: there is no such profile.
    pub(super) fn profile_not_found(profile: &str) -> Self {
        let profile: String = profile.chars().take(40).collect();
        let detail = format!("There is no profile `{profile}`.");
        Self::new(StatusCode::NOT_FOUND, "profile_not_found", detail)
    }

    /// 409: the call is over.
    pub(super) fn call_ended(call: &str) -> Self {
        let detail = format!("The call {call} has ended.");
        Self::new(StatusCode::CONFLICT, "call_ended", detail)
    }

    /// 409: nothing can be said into that call.
    pub(super) fn not_bidirectional(call: &str) -> Self {
        let detail = format!(
            "Nothing can be said into call {call}: its stream only listens. The streams of \
             profiles with `speak` or `agent` are bidirectional."
        );
        Self::new(StatusCode::CONFLICT, "not_bidirectional", detail)
    }

    /// 409: it is so already.
    pub(super) fn conflict(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "conflict", detail)
    }

    /// 409: as the call or the node is, that cannot be done.
    pub(super) fn not_possible(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::CONFLICT, "not_possible", detail)
    }

    /// 405: the address exists, but not for this method.
    pub(super) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            "method_not_allowed",
            "This address does not take this method; `Allow` names those that it takes.",
        )
    }

    /// 408: the body did not arrive in time.
    pub(super) fn body_timeout() -> Self {
        let detail = "The request body did not arrive in time.";
        Self::new(StatusCode::REQUEST_TIMEOUT, "timeout", detail)
            .with(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// 413: the body is too long.
    pub(super) fn body_too_large(limit_bytes: usize) -> Self {
        let detail = format!("The request body is longer than {limit_bytes} bytes.");
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, "too_large", detail)
            .with(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// 426: this address speaks WebSocket only.
    pub(super) fn upgrade_required() -> Self {
        Self::new(
            StatusCode::UPGRADE_REQUIRED,
            "upgrade_required",
            "This address speaks WebSocket (version 13): ask for the upgrade.",
        )
        .with(header::UPGRADE, HeaderValue::from_static("websocket"))
        .with(header::CONNECTION, HeaderValue::from_static("upgrade"))
        .with(
            header::SEC_WEBSOCKET_VERSION,
            HeaderValue::from_static("13"),
        )
    }

    /// 429: too many failures of this client.
    pub(super) fn rate_limited(retry_after_secs: u64) -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            "rate_limited",
            "Too many of this client's requests were refused; only refusals are limited.",
        )
        .with(header::RETRY_AFTER, HeaderValue::from(retry_after_secs))
    }

    /// 431: the header is too long or has too many fields.
    pub(super) fn header_too_large() -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            "too_large",
            "The request header is too long or has too many fields.",
        )
        .with(header::CONNECTION, HeaderValue::from_static("close"))
    }

    /// 503: the answer took too long.
    pub(super) fn request_timeout() -> Self {
        let detail = "The request was not answered in time; try again.";
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "timeout", detail)
    }

    /// 503: Twilio did not do its part.
    pub(super) fn twilio_unavailable(detail: impl Into<String>) -> Self {
        let status = StatusCode::SERVICE_UNAVAILABLE;
        Self::new(status, "twilio_unavailable", detail)
    }

    /// 503: the archive cannot be read.
    pub(super) fn archive_unavailable() -> Self {
        Self::new(
            StatusCode::SERVICE_UNAVAILABLE,
            "archive_unavailable",
            "The archive cannot be read now; try again.",
        )
    }

    pub(super) const fn status(&self) -> StatusCode {
        self.status
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "type": "about:blank",
            "title": self.status.canonical_reason().unwrap_or("Error"),
            "status": self.status.as_u16(),
            "detail": self.detail,
            "code": self.code,
        });
        let mut response = (self.status, body.to_string()).into_response();
        let headers = response.headers_mut();
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("application/problem+json"),
        );
        for (name, value) in self.headers {
            headers.insert(name, value);
        }
        response
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_problem_is_a_problem_document_with_its_code() {
        let response = Problem::call_not_found("CA1").into_response();
        assert_eq!(response.status(), StatusCode::NOT_FOUND);
        assert_eq!(
            response.headers()[header::CONTENT_TYPE],
            "application/problem+json"
        );
        let body = axum::body::to_bytes(response.into_body(), 1024)
            .await
            .unwrap();
        let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
        assert_eq!(
            body,
            json!({
                "type": "about:blank",
                "title": "Not Found",
                "status": 404,
                "detail": "There is no call CA1.",
                "code": "call_not_found",
            })
        );
    }

    #[test]
    fn who_is_not_known_is_told_how_to_identify() {
        let response = Problem::unauthorized().into_response();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(response.headers()[header::WWW_AUTHENTICATE], "Bearer");
    }
}
