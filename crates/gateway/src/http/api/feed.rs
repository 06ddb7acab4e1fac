//! One call's events in order: what is stored, then what happens, with no gap and no repeat.

use std::sync::Arc;

use sidetone_call::archive::Archive;
use sidetone_call::event::Watch;
use sidetone_call::log::{Cursor, Item, Read};
use sidetone_twilio::CallSid;
use tokio::sync::watch;
use tracing::error;

use super::super::App;
use super::Found;
use super::types::Types;
use crate::calls::{CallHandle, Watching};
use crate::metrics::Held;

/// Items read at once.
const BATCH: usize = 64;

/// A reader of one call's events.
pub(super) struct Feed {
    app: Arc<App>,
    call_sid: CallSid,
    types: Types,
    cursor: Cursor,
    /// The call's log; `None` while it is read from the archive only.
    log: Option<Log>,
    _counted: Held,
}

struct Log {
    watching: Watching,
    changed: watch::Receiver<u64>,
}

/// What comes next.
pub(super) enum Next {
    /// At least one.
    Items(Vec<Item>),
    /// Nothing any more.
    End(End),
}

/// Why nothing comes any more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    /// The call has ended.
    CallEnded,
    /// The gateway goes down.
    GoingAway,
    /// The archive cannot be read.
    ArchiveUnavailable,
}

impl Feed {
    /// The events after `after` of the wanted types.
    pub(super) fn new(app: Arc<App>, found: &Found, after: u64, types: Types) -> Self {
        let mut cursor = cursor_after(after);
        cursor.watch = types.watch();
        let (call_sid, log) = match found {
            Found::Here(handle) => {
                let log = Log::new(Arc::clone(handle), cursor.watch);
                (handle.call_sid(), Some(log))
            }
            Found::Stored(call) => (&call.call_sid, None),
        };
        let counted = app.gateway.metrics.subscriber();
        Self {
            call_sid: call_sid.clone(),
            app,
            types,
            cursor,
            log,
            _counted: counted,
        }
    }

    /// Waits for what comes next. Cancel safe.
    pub(super) async fn next(&mut self) -> Next {
        loop {
            let Some(log) = &mut self.log else {
                match self.stored().await {
                    Ok(items) if items.is_empty() => {}
                    Ok(items) => return Next::Items(items),
                    Err(end) => return Next::End(end),
                }
                // The call may have been reopened while its past was read.
                match self.app.gateway.calls.get(&self.call_sid) {
                    Some(handle) => self.log = Some(Log::new(handle, self.cursor.watch)),
                    None => return Next::End(End::CallEnded),
                }
                continue;
            };
            log.changed.borrow_and_update();
            // Asked before reading, so that what was stored before the end is still told.
            let going_away = self.app.shutdown.drain.is_cancelled();
            match log.watching.call().read(&mut self.cursor, BATCH) {
                Read::Items { mut items, skipped } => {
                    self.app.gateway.metrics.interims_skipped(skipped);
                    items.retain(|item| self.types.want(item));
                    if !items.is_empty() {
                        return Next::Items(items);
                    }
                }
                Read::Behind { .. } => match self.stored().await {
                    Ok(items) if items.is_empty() => {}
                    Ok(items) => return Next::Items(items),
                    Err(end) => return Next::End(end),
                },
                Read::Ended => return Next::End(End::CallEnded),
                Read::Waiting if going_away => return Next::End(End::GoingAway),
                Read::Waiting => tokio::select! {
                    changed = log.changed.changed() => {
                        changed.expect("the handle holds the sender");
                    }
                    () = self.app.shutdown.drain.cancelled() => {}
                },
            }
        }
    }

    /// Reads on in the archive: the next wanted events, none when there are no more.
    async fn stored(&mut self) -> Result<Vec<Item>, End> {
        loop {
            let archive = self.app.gateway.calls.archive();
            let events = archive.events(&self.call_sid, self.cursor.seq, BATCH).await;
            let events = events.map_err(|error| {
                error!(call_sid = %self.call_sid, %error, "The archive could not be read.");
                End::ArchiveUnavailable
            })?;
            let Some(last) = events.last() else {
                return Ok(Vec::new());
            };
            self.cursor.seq = last.event.seq;
            let items = events.into_iter().map(Item::Event);
            let wanted: Vec<_> = items.filter(|item| self.types.want(item)).collect();
            if !wanted.is_empty() {
                return Ok(wanted);
            }
        }
    }
}

impl Log {
    fn new(handle: Arc<CallHandle>, watch: Watch) -> Self {
        let changed = handle.changed();
        let watching = Watching::new(handle, watch);
        Self { watching, changed }
    }
}

/// A cursor that has read everything up to `seq`.
pub(super) fn cursor_after(seq: u64) -> Cursor {
    let mut cursor = Cursor::default();
    cursor.seq = seq;
    cursor
}

/// The JSON of an item, rendered once for all readers.
pub(super) fn json(item: &Item) -> &str {
    match item {
        Item::Event(entry) => entry.json.get_or_init(|| render(&entry.event)),
        Item::Volatile(volatile) => volatile.json.get_or_init(|| render(&**volatile)),
    }
}

fn render(event: &impl serde::Serialize) -> Box<str> {
    serde_json::to_string(event)
        .expect("an event has string keys only")
        .into()
}
