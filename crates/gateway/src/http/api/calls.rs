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

/// `GET /calls`: newest first.
pub(in crate::http) async fn list(
    State(app): State<Arc<App>>,
    _: Admin,
    query: Query,
) -> Result<Json<serde_json::Value>, Problem> {
    let filter = filter(&query)?;
    let (cursor, limit) = (query.text("cursor")?, query.limit()?);
    let registry = &app.gateway.calls;
    let (stored, next_cursor) = registry
        .archive()
        .calls(&filter, cursor, limit)
        .await
        .map_err(|error| refused(&error))?;
    let calls: Vec<_> = stored
        .into_iter()
        .map(|call| {
            registry
                .get(&call.call_sid)
                .map_or(call, |handle| handle.snapshot())
        })
        // What was stored may have changed since.
        .filter(|call| filter.matches(call))
        .collect();
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
