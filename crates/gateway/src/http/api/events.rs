//! A call's events: a JSON page, Server-Sent Events or a WebSocket.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::ws::{Message, WebSocket};
use axum::extract::{FromRequestParts, Request, State};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::{Stream, StreamExt, stream};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use sidetone_call::archive::Archive;
use sidetone_call::event::Status;
use sidetone_call::log::{Item, Read};
use sidetone_twilio::CallSid;
use tokio::time::{interval, timeout};

use super::super::App;
use super::super::access::is_upgrade;
use super::super::extract::{Admin, Name, Upgrade};
use super::super::problem::Problem;
use super::super::query::Query;
use super::super::socket::{self, PING_INTERVAL, code, departure};
use super::feed::{self, End, Feed, Next, cursor_after};
use super::types::Types;
use super::{Found, find, json_text, refused};

/// Between two comments of Server-Sent Events, so that nobody takes the connection for dead.
const COMMENT_INTERVAL: Duration = Duration::from_secs(15);

/// How many events a page looks at; when few of them are wanted it has fewer items and a cursor.
const PAGE_SCAN: usize = 5_000;

/// `GET /calls/{call_sid}/events`.
pub(in crate::http) async fn events(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
    query: Query,
    request: Request,
) -> Result<Response, Problem> {
    let types = Types::from_query(&query)?;
    let after = query.value("after", "a seq")?.unwrap_or(0);
    let (mut parts, _body) = request.into_parts();
    if is_upgrade(&parts.headers) {
        let Upgrade(upgrade) = Upgrade::from_request_parts(&mut parts, &app).await?;
        let found = find(&app, &call_sid).await?;
        let feed = Feed::new(Arc::clone(&app), &found, after, types);
        let sending = Arc::clone(&app);
        return Ok(socket::upgrade(upgrade, &app, move |socket| {
            send(sending, socket, feed)
        }));
    }
    if wants_event_stream(&parts.headers) {
        let after = after.max(last_event_id(&parts.headers)?);
        let found = find(&app, &call_sid).await?;
        if has_ended(&found, after) {
            return Ok(StatusCode::NO_CONTENT.into_response());
        }
        return Ok(event_stream(Feed::new(app, &found, after, types)));
    }
    let call_sid = match find(&app, &call_sid).await? {
        Found::Here(handle) => handle.call_sid().clone(),
        Found::Stored(call) => call.call_sid.clone(),
    };
    let after = query
        .value("cursor", "the `next_cursor` of a page")?
        .unwrap_or(0)
        .max(after);
    page(&app, &call_sid, after, query.limit()?, &types).await
}

/// The stored events after `after`, of the wanted types.
async fn page(
    app: &App,
    call_sid: &CallSid,
    after: u64,
    limit: usize,
    types: &Types,
) -> Result<Response, Problem> {
    // One more than is shown tells whether there is another page.
    let scan = if types.are_all() {
        limit + 1
    } else {
        PAGE_SCAN
    };
    let archive = app.gateway.calls.archive();
    let events = archive
        .events(call_sid, after, scan)
        .await
        .map_err(|error| refused(&error))?;
    let scanned = events
        .last()
        .map(|entry| entry.event.seq)
        .filter(|_| events.len() == scan);
    let mut wanted = events
        .into_iter()
        .map(Item::Event)
        .filter(|item| types.want(item));
    let shown: Vec<_> = wanted.by_ref().take(limit).collect();
    let next = match wanted.next() {
        Some(_) => shown.last().and_then(seq),
        None => scanned,
    };
    let items = shown.iter().map(feed::json).collect::<Vec<_>>().join(",");
    let next_cursor = next.map_or_else(|| "null".to_owned(), |seq| format!("\"{seq}\""));
    Ok(json_text(format!(
        r#"{{"items":[{items}],"next_cursor":{next_cursor}}}"#
    )))
}

/// One event a text frame; 1000 when the call has ended.
async fn send(app: Arc<App>, mut socket: WebSocket, mut feed: Feed) {
    let mut ping = interval(PING_INTERVAL);
    ping.tick().await;
    let end = loop {
        let items = tokio::select! {
            biased;
            next = feed.next() => match next {
                Next::Items(items) => items,
                Next::End(end) => break end,
            },
            departure = departure(&mut socket) => {
                return socket::dismiss(&app, socket, departure).await;
            }
            _ = ping.tick() => {
                if socket.send(Message::Ping(Bytes::new())).await.is_err() {
                    return;
                }
                continue;
            }
        };
        for item in &items {
            if socket.send(Message::text(feed::json(item))).await.is_err() {
                return;
            }
        }
    };
    let (code, reason) = match end {
        End::CallEnded => (code::NORMAL, "the call has ended"),
        End::GoingAway => (code::GOING_AWAY, "the gateway goes down"),
        End::ArchiveUnavailable => (code::TRY_AGAIN_LATER, "the archive is unavailable"),
    };
    socket::close(socket, code, reason).await;
}

fn event_stream(feed: Feed) -> Response {
    let headers = [
        (
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/event-stream"),
        ),
        (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
        // nginx would keep the events until its buffer is full.
        (
            header::HeaderName::from_static("x-accel-buffering"),
            HeaderValue::from_static("no"),
        ),
    ];
    (headers, Body::from_stream(frames(feed))).into_response()
}

/// The stream of Server-Sent Events. It just ends, whatever the reason: who reads comes back by
/// itself, and is told by 204 when there is nothing more to come.
fn frames(feed: Feed) -> impl Stream<Item = Result<Bytes, Infallible>> {
    let events = stream::unfold(feed, async |mut feed| {
        let frames = match timeout(COMMENT_INTERVAL, feed.next()).await {
            Ok(Next::Items(items)) => items.into_iter().map(Frame::Item).collect(),
            Ok(Next::End(_)) => return None,
            Err(_elapsed) => vec![Frame::Comment],
        };
        Some((frames, feed))
    });
    // Rendered one by one, as they are taken: of a reader who takes none only a few wait.
    stream::once(async { vec![Frame::Retry] })
        .chain(events)
        .flat_map(stream::iter)
        .map(|frame| Ok(frame.render()))
}

/// A frame of Server-Sent Events.
enum Frame {
    /// How soon a reader who lost the connection comes back.
    Retry,
    /// An event, or something volatile.
    Item(Item),
    /// Nothing, to be seen by whoever watches the connection.
    Comment,
}

impl Frame {
    /// An event has its seq as id; what is volatile has none, so that nobody resumes after it.
    fn render(&self) -> Bytes {
        match self {
            Self::Retry => Bytes::from_static(b"retry: 1000\n\n"),
            Self::Item(item) => {
                let data = feed::json(item);
                Bytes::from(match seq(item) {
                    Some(seq) => format!("id: {seq}\ndata: {data}\n\n"),
                    None => format!("data: {data}\n\n"),
                })
            }
            Self::Comment => Bytes::from_static(b":\n\n"),
        }
    }
}

fn seq(item: &Item) -> Option<u64> {
    match item {
        Item::Event(entry) => Some(entry.event.seq),
        Item::Volatile(_) => None,
    }
}

/// Whether a reader that has everything up to `after` has nothing more to expect.
fn has_ended(found: &Found, after: u64) -> bool {
    match found {
        Found::Here(handle) => matches!(handle.read(&mut cursor_after(after), 1), Read::Ended),
        Found::Stored(call) => call.status == Status::Ended && after >= call.last_seq,
    }
}

fn wants_event_stream(headers: &HeaderMap) -> bool {
    headers
        .get_all(header::ACCEPT)
        .iter()
        .filter_map(|accept| accept.to_str().ok())
        .any(|accept| accept.contains("text/event-stream"))
}

/// Where a reader of Server-Sent Events that comes back stopped.
fn last_event_id(headers: &HeaderMap) -> Result<u64, Problem> {
    let Some(id) = headers.get("last-event-id").filter(|id| !id.is_empty()) else {
        return Ok(0);
    };
    let id = id.to_str().unwrap_or_default();
    id.parse()
        .map_err(|_| Query::wrong("Last-Event-ID", id, "a seq"))
}
