//! `/api/v1`: calls, their events, and what acts on them.

use std::sync::Arc;

use axum::response::{IntoResponse, Response};
use http::header;
use sidetone_call::Call;
use sidetone_call::archive::{Archive, ArchiveError};
use sidetone_twilio::CallSid;
use tracing::error;

use super::App;
use super::problem::Problem;
use crate::calls::CallHandle;

pub(super) mod agent;
pub(super) mod calls;
pub(super) mod control;
pub(super) mod events;
mod feed;
pub(super) mod listening;
mod number;
pub(super) mod placing;
pub(super) mod speak;
mod types;

/// A call that somebody asks for.
enum Found {
    /// In memory: live, or ended a short while ago.
    Here(Arc<CallHandle>),
    /// In the archive.
    Stored(Arc<Call>),
}

/// Finds the call that a path names.
async fn find(app: &App, call_sid: &str) -> Result<Found, Problem> {
    let not_found = || Problem::call_not_found(call_sid);
    let call_sid: CallSid = call_sid.parse().map_err(|_| not_found())?;
    if let Some(handle) = app.gateway.calls.get(&call_sid) {
        return Ok(Found::Here(handle));
    }
    let stored = app
        .gateway
        .calls
        .archive()
        .call(&call_sid)
        .await
        .map_err(|error| refused(&error))?;
    stored.map(Found::Stored).ok_or_else(not_found)
}

/// What is said when the archive did not do it.
fn refused(error: &ArchiveError) -> Problem {
    match error {
        ArchiveError::BadCursor { .. } => Problem::invalid_request(format!("{error}.")),
        _ => {
            error!(%error, "The archive could not be read.");
            Problem::archive_unavailable()
        }
    }
}

/// An answer of JSON that is rendered already.
fn json_text(body: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], body).into_response()
}
