//! What keeps events: the seam behind which memory, SQLite and PostgreSQL stand.

use std::future::Future;
use std::sync::Arc;

use jiff::Timestamp;
use sidetone_twilio::CallSid;

use crate::event::{Call, Status};
use crate::log::Entry;

mod memory;

pub use memory::{Limits, MemoryArchive};

/// The archive did not do it.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It could not.
    #[error("the archive is unavailable: {0}")]
    Unavailable(String),
    /// The cursor of a list was not one that a list had given.
    #[error("`{found}` is no cursor of a list of calls: pass `next_cursor` as it came")]
    BadCursor {
        /// What was given, at most 40 characters of it.
        found: String,
    },
}

/// Which calls a list asks for.
#[derive(Clone, Debug, Default)]
pub struct CallFilter {
    /// Calls in this state.
    pub status: Option<Status>,
    /// Calls of this profile.
    pub profile: Option<String>,
    /// Calls from this number.
    pub from: Option<String>,
    /// Calls to this number.
    pub to: Option<String>,
    /// Calls that started at this time or later.
    pub since: Option<Timestamp>,
    /// Calls that started before this time.
    pub until: Option<Timestamp>,
}

impl CallFilter {
    /// Whether the list shows this call.
    pub fn matches(&self, call: &Call) -> bool {
        fn same<T: PartialEq>(wanted: Option<&T>, found: Option<&T>) -> bool {
            wanted.is_none() || wanted == found
        }
        same(self.status.as_ref(), Some(&call.status))
            && same(self.profile.as_ref(), Some(&call.profile))
            && same(self.from.as_ref(), call.from.as_ref())
            && same(self.to.as_ref(), call.to.as_ref())
            && self
                .since
                .is_none_or(|since| call.started_at.is_some_and(|at| at >= since))
            && self
                .until
                .is_none_or(|until| call.started_at.is_some_and(|at| at < until))
    }
}

/// A store of calls and their events.
pub trait Archive: Send + Sync + 'static {
    /// Stores events of any calls, all or none; each with its call as of that event.
    ///
    /// The events of one call come in the order of their `seq`.
    fn append(
        &self,
        batch: &[(Arc<Entry>, Arc<Call>)],
    ) -> impl Future<Output = Result<(), ArchiveError>> + Send;

    /// A call as last stored.
    fn call(
        &self,
        call_sid: &CallSid,
    ) -> impl Future<Output = Result<Option<Arc<Call>>, ArchiveError>> + Send;

    /// At most `limit` calls, newest first, after the one the cursor names; and the cursor of the
    /// next page, when there is one.
    fn calls(
        &self,
        filter: &CallFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> impl Future<Output = Result<(Vec<Arc<Call>>, Option<String>), ArchiveError>> + Send;

    /// At most `limit` events of a call with a `seq` greater than `after`, in order.
    fn events(
        &self,
        call_sid: &CallSid,
        after: u64,
        limit: usize,
    ) -> impl Future<Output = Result<Vec<Arc<Entry>>, ArchiveError>> + Send;
}
