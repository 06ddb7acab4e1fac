//! What all answers have in common: errors and dates.

use axum::response::{IntoResponse, Json, Response};
use http::StatusCode;
use http::header::RETRY_AFTER;
use serde_json::{Value, json};
use sidetone_twilio::form::Form;

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

    /// More than are dealt with at once.
    pub(super) fn too_many_requests() -> Self {
        Self::new(StatusCode::TOO_MANY_REQUESTS, 20_429, "Too Many Requests")
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

/// The page of `items` that is asked for, under their name. `path` is that of the list.
pub(super) fn page(name: &str, path: &str, asked: &Form, mut items: Vec<Value>) -> Value {
    let number = |parameter, usual| {
        let value = asked.value(parameter).and_then(|text| text.parse().ok());
        value.unwrap_or(usual)
    };
    let size = number("PageSize", PAGE_SIZE).clamp(1, MAX_PAGE_SIZE);
    let page = number("Page", 0);
    let start = page.saturating_mul(size).min(items.len());
    let rest = items.split_off(start);
    let has_next = rest.len() > size;
    let items: Vec<Value> = rest.into_iter().take(size).collect();
    let uri = |page: usize| {
        let mut query = Form::default();
        let filters = asked.pairs().iter();
        for (name, value) in filters.filter(|(name, _)| name != "PageSize" && name != "Page") {
            query.push(name, value);
        }
        query.push("PageSize", size.to_string());
        query.push("Page", page.to_string());
        format!("{path}?{}", query.encode())
    };
    json!({
        name: items,
        "page": page,
        "page_size": size,
        "start": start,
        "end": (start + items.len()).saturating_sub(1),
        "uri": uri(page),
        "first_page_uri": uri(0),
        "next_page_uri": has_next.then(|| uri(page + 1)),
        "previous_page_uri": page.checked_sub(1).map(uri),
    })
}

/// Items on a page unless it is asked otherwise, and the most.
const PAGE_SIZE: usize = 50;
const MAX_PAGE_SIZE: usize = 1_000;
