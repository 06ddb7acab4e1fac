//! The calls as they stand.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use serde_json::json;
use sidetone_call::Call;
use sidetone_call::archive::{Archive, CallFilter};
use sidetone_call::event::Status;

use super::super::App;
use super::super::extract::{Admin, Name};
use super::super::problem::Problem;
use super::super::query::Query;
use super::{Found, find, refused};

/// What the cursor begins with of a page that begins with pending calls.
const PENDING: &str = "pending-";

/// `GET /calls`: newest first; the pending ones, which have not started, before all others.
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    _: Admin,
    query: Query,
) -> Result<Json<serde_json::Value>, Problem> {
    let filter = filter(&query)?;
    let (cursor, limit) = (query.text("cursor")?, query.limit()?);
    let registry = &app.gateway.calls;
    let mut pending = Vec::new();
    let mut cursor_of_stored = cursor;
    if let Some(before) = pending_cursor(cursor) {
        let calls = registry.pending_before(before).into_iter();
        let calls = calls.map(|(number, handle)| (number, handle.snapshot()));
        let wanted = calls.filter(|(_, call)| filter.matches(call));
        pending = wanted.take(limit).collect();
        cursor_of_stored = None;
    }
    if let [.., (last, _)] = &pending[..]
        && pending.len() == limit
    {
        let items: Vec<&Call> = pending.iter().map(|(_, call)| &**call).collect();
        let next_cursor = format!("{PENDING}{last}");
        return Ok(Json(json!({ "items": items, "next_cursor": next_cursor })));
    }
    let (stored, next_cursor) = registry
        .archive()
        .calls(&filter, cursor_of_stored, limit - pending.len())
        .await
        .map_err(|error| refused(&error))?;
    let stored = stored
        .into_iter()
        .map(|call| {
            registry
                .get(&call.call_sid)
                .map_or(call, |handle| handle.snapshot())
        })
        // What was stored may have changed since.
        .filter(|call| filter.matches(call));
    let pending = pending.into_iter().map(|(_, call)| call);
    let calls: Vec<Arc<Call>> = pending.chain(stored).collect();
    let items: Vec<&Call> = calls.iter().map(Arc::as_ref).collect();
    Ok(Json(json!({ "items": items, "next_cursor": next_cursor })))
}

/// `GET /calls/{call_sid}`.
pub(in crate::http) async fn one(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
) -> Result<Json<Call>, Problem> {
    let call = match find(&app, &call_sid).await? {
        Found::Here(handle) => handle.snapshot(),
        Found::Stored(call) => call,
    };
    Ok(Json(Arc::unwrap_or_clone(call)))
}

/// Before which of the pending calls a page begins; `None`: it is past them.
fn pending_cursor(cursor: Option<&str>) -> Option<u64> {
    match cursor {
        None => Some(u64::MAX),
        Some(cursor) => cursor.strip_prefix(PENDING)?.parse().ok(),
    }
}

fn filter(query: &Query) -> Result<CallFilter, Problem> {
    let time = "a time as in 2026-01-31T12:00:00Z";
    let status = match query.text("status")? {
        None => None,
        Some("pending") => Some(Status::Pending),
        Some("live") => Some(Status::Live),
        Some("ended") => Some(Status::Ended),
        Some(other) => return Err(Query::wrong("status", other, "pending, live or ended")),
    };
    Ok(CallFilter {
        status,
        profile: query.text("profile")?.map(str::to_owned),
        from: query.text("from")?.map(number),
        to: query.text("to")?.map(number),
        since: query.value("since", time)?,
        until: query.value("until", time)?,
    })
}

/// A number, its plus mended: one that is not escaped arrives as a space.
fn number(text: &str) -> String {
    text.strip_prefix(' ')
        .map_or_else(|| text.to_owned(), |digits| format!("+{digits}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn filters_are_read_from_the_query() {
        let query = Query::parse("status=live&from=+15550001&since=2026-01-31T12:00:00Z&to=");
        let filter = filter(&query).unwrap();
        assert_eq!(filter.status, Some(Status::Live));
        assert_eq!(filter.from.as_deref(), Some("+15550001"));
        assert_eq!(filter.since, Some("2026-01-31T12:00:00Z".parse().unwrap()));
        assert_eq!(filter.to, None);
    }

    #[test]
    fn what_is_no_filter_is_refused() {
        for query in [
            "status=LIVE",
            "since=yesterday",
            "until=1",
            "profile=a&profile=b",
        ] {
            assert!(filter(&Query::parse(query)).is_err(), "{query}");
        }
    }
}
