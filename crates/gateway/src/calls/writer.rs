//! The one writer of the archive: events are stored first and seen after.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidetone_call::archive::Archive;
use sidetone_call::event::Call;
use sidetone_call::log::Entry;
use tokio::sync::Notify;
use tokio::time::sleep;
use tracing::{error, info};

use super::{CallHandle, lock};

/// Events in a commit, at most.
const MAX_BATCH: usize = 256;

/// Between two tries while the archive cannot be written.
const RETRY_FIRST: Duration = Duration::from_millis(50);
const RETRY_LONGEST: Duration = Duration::from_secs(5);

/// Where calls announce that they have something to store.
#[derive(Clone, Debug, Default)]
pub(super) struct Writer {
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// Each call stands here at most once, so there are never more than there are calls.
    announced: Mutex<VecDeque<Arc<CallHandle>>>,
    wake: Notify,
    failing: AtomicBool,
}

/// What one commit stores.
#[derive(Default)]
struct Batch {
    events: Vec<(Arc<Entry>, Arc<Call>)>,
    /// The calls of the events, each with its last `seq` of this batch.
    calls: Vec<(Arc<CallHandle>, u64)>,
}

impl Writer {
    /// Puts a call into the line of those that have something to store.
    pub(super) fn announce(&self, call: Arc<CallHandle>) {
        lock(&self.shared.announced).push_back(call);
        self.shared.wake.notify_one();
    }

    /// Whether the last commit succeeded.
    pub(super) fn archive_ok(&self) -> bool {
        !self.shared.failing.load(Ordering::Relaxed)
    }

    /// Writes for as long as it is polled. A commit starts as soon as the last one has ended and
    /// takes all that waits then, at most 256 events; one that fails is tried again until it
    /// succeeds, so nothing is dropped and nothing changes its order.
    pub(super) async fn run<A: Archive>(&self, archive: &A) {
        loop {
            let batch = self.next_batch().await;
            self.commit(archive, &batch.events).await;
            for (call, seq) in batch.calls {
                call.mark_stored(seq);
            }
        }
    }

    async fn next_batch(&self) -> Batch {
        loop {
            let batch = self.gather();
            if !batch.events.is_empty() {
                return batch;
            }
            self.shared.wake.notified().await;
        }
    }

    fn gather(&self) -> Batch {
        let mut batch = Batch::default();
        while batch.events.len() < MAX_BATCH {
            let Some(call) = lock(&self.shared.announced).pop_front() else {
                break;
            };
            let room = MAX_BATCH - batch.events.len();
            if call.take_unstored(&mut batch.events, room) {
                lock(&self.shared.announced).push_back(Arc::clone(&call));
            }
            if let Some((newest, _)) = batch.events.last() {
                let seq = newest.event.seq;
                batch.calls.push((call, seq));
            }
        }
        batch
    }

    async fn commit<A: Archive>(&self, archive: &A, events: &[(Arc<Entry>, Arc<Call>)]) {
        let mut pause = RETRY_FIRST;
        while let Err(error) = archive.append(events).await {
            if !self.shared.failing.swap(true, Ordering::Relaxed) {
                error!(%error, "The archive cannot be written; events wait in memory.");
            }
            sleep(pause).await;
            pause = (pause * 2).min(RETRY_LONGEST);
        }
        if self.shared.failing.swap(false, Ordering::Relaxed) {
            info!("The archive can be written again.");
        }
    }
}

#[cfg(test)]
mod tests;
