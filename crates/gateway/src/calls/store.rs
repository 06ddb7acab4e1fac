//! Where calls and their events are kept, whatever keeps them.

use std::fmt;
use std::pin::Pin;
use std::sync::Arc;

use sidetone_call::archive::{Archive, ArchiveError, CallFilter, MemoryArchive};
use sidetone_call::event::Call;
use sidetone_call::log::Entry;
use sidetone_twilio::CallSid;

/// The archive that a gateway was given.
pub struct Store(Box<dyn Erased>);

impl Store {
    /// Keeps calls and events in this archive.
    pub fn new(archive: impl Archive) -> Self {
        Self(Box::new(archive))
    }
}

/// In memory, within the limits of [`MemoryArchive`].
impl Default for Store {
    fn default() -> Self {
        Self::new(MemoryArchive::default())
    }
}

impl fmt::Debug for Store {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store").finish_non_exhaustive()
    }
}

impl Archive for Store {
    async fn append(&self, batch: &[(Arc<Entry>, Arc<Call>)]) -> Result<(), ArchiveError> {
        self.0.append(batch).await
    }

    async fn call(&self, call_sid: &CallSid) -> Result<Option<Arc<Call>>, ArchiveError> {
        self.0.call(call_sid).await
    }

    async fn calls(
        &self,
        filter: &CallFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Arc<Call>>, Option<String>), ArchiveError> {
        self.0.calls(filter, cursor, limit).await
    }

    async fn events(
        &self,
        call_sid: &CallSid,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, ArchiveError> {
        self.0.events(call_sid, after, limit).await
    }
}

type Answer<'a, T> = Pin<Box<dyn Future<Output = Result<T, ArchiveError>> + Send + 'a>>;

/// [`Archive`] in the form that a trait object can have: a commit or a query is worth a box.
trait Erased: Send + Sync {
    fn append<'a>(&'a self, batch: &'a [(Arc<Entry>, Arc<Call>)]) -> Answer<'a, ()>;

    fn call<'a>(&'a self, call_sid: &'a CallSid) -> Answer<'a, Option<Arc<Call>>>;

    fn calls<'a>(
        &'a self,
        filter: &'a CallFilter,
        cursor: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, (Vec<Arc<Call>>, Option<String>)>;

    fn events<'a>(
        &'a self,
        call_sid: &'a CallSid,
        after: u64,
        limit: usize,
    ) -> Answer<'a, Vec<Arc<Entry>>>;
}

impl<A: Archive> Erased for A {
    fn append<'a>(&'a self, batch: &'a [(Arc<Entry>, Arc<Call>)]) -> Answer<'a, ()> {
        Box::pin(Archive::append(self, batch))
    }

    fn call<'a>(&'a self, call_sid: &'a CallSid) -> Answer<'a, Option<Arc<Call>>> {
        Box::pin(Archive::call(self, call_sid))
    }

    fn calls<'a>(
        &'a self,
        filter: &'a CallFilter,
        cursor: Option<&'a str>,
        limit: usize,
    ) -> Answer<'a, (Vec<Arc<Call>>, Option<String>)> {
        Box::pin(Archive::calls(self, filter, cursor, limit))
    }

    fn events<'a>(
        &'a self,
        call_sid: &'a CallSid,
        after: u64,
        limit: usize,
    ) -> Answer<'a, Vec<Arc<Entry>>> {
        Box::pin(Archive::events(self, call_sid, after, limit))
    }
}
