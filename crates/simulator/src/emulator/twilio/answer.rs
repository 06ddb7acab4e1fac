//! What all answers have in common: errors and dates.

use axum::response::{IntoResponse, Json, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::json;

use crate::emulator::fault::RequestFault;

/// Why a request is not served, in Twilio's shape.
#[derive(Debug)]
pub(super) struct Problem {
    status: StatusCode,
    code: u32,
    message: String,
    retry_after_secs: Option<u32>,
}

impl Problem {
    fn new(status: StatusCode, code: u32, message: impl Into<String>) -> Self {
        Self {
            status,
            code,
            message: message.into(),
            retry_after_secs: None,
        }
    }

    /// The credentials are absent or wrong.
    pub(super) fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, 20_003, "Authenticate")
    }

    /// There is nothing at this path.
    pub(super) fn not_found(path: &str) -> Self {
        let message = format!("The requested resource {path} was not found");
        Self::new(StatusCode::NOT_FOUND, 20_404, message)
    }

    /// A parameter does not fit.
    pub(super) fn bad_parameter(code: u32, message: String) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code, message)
    }

    /// A fault asks for it.
    pub(super) fn on_request(fault: RequestFault) -> Self {
        let status = StatusCode::from_u16(fault.status).expect("faults have an HTTP status");
        let (code, message) = match fault.status {
            401 => return Self::unauthenticated(),
            429 => (20_429, "Too Many Requests"),
            500 => (20_500, "Internal Server Error"),
            503 => (20_503, "Service Unavailable"),
            _ => (20_001, "Refused on request"),
        };
        Self {
            retry_after_secs: fault.retry_after_secs,
            ..Self::new(status, code, message)
        }
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let body = json!({
            "code": self.code,
            "message": self.message,
            "more_info": format!("https://www.twilio.com/docs/errors/{}", self.code),
            "status": self.status.as_u16(),
        });
        let mut response = (self.status, Json(body)).into_response();
        if let Some(secs) = self.retry_after_secs {
            response.headers_mut().insert(RETRY_AFTER, secs.into());
        }
        response
    }
}

/// A date as Twilio writes it (RFC 2822).
pub(super) fn date(at: jiff::Timestamp) -> String {
    at.strftime("%a, %d %b %Y %H:%M:%S +0000").to_string()
}
