//! The one writer of the archive: events are stored first and seen after.
//!
//! While the archive is away they are seen before, and wait in memory; each call is told by a
//! warning. Of what waits there is a bound, over all calls: at half of it no new calls are taken,
//! and beyond it what happens on the live ones is not kept any more, which a later warning tells.

use std::collections::VecDeque;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sidetone_call::archive::Archive;
use sidetone_call::event::Call;
use sidetone_call::log::Entry;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};
use tracing::{error, info, warn};

use super::{CallHandle, lock};

/// Events in a commit, at most.
const MAX_BATCH: usize = 256;

/// A commit that takes longer, because it fails or hangs, means that the archive is away.
const PATIENCE: Duration = Duration::from_secs(1);

/// How many events may wait while the archive is away: a few hundred MB.
const MAX_WAITING: usize = 100_000;

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
    /// How often the archive went and came back: odd while it is away.
    turns: AtomicU64,
    /// Events that are not stored, of all calls.
    waiting: AtomicUsize,
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

    /// The number of the absence of the archive that lasts, when one does.
    pub(super) fn outage(&self) -> Option<u64> {
        let turns = self.shared.turns.load(Ordering::SeqCst);
        (turns % 2 == 1).then_some(turns)
    }

    /// So many events more wait to be stored.
    pub(super) fn count(&self, events: usize) {
        self.shared.waiting.fetch_add(events, Ordering::Relaxed);
    }

    /// Whether so much waits that new calls would make it too much.
    pub(super) fn is_crowded(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) >= MAX_WAITING / 2
    }

    /// Whether nothing more can wait.
    pub(super) fn is_full(&self) -> bool {
        self.shared.waiting.load(Ordering::Relaxed) >= MAX_WAITING
    }

    /// Writes for as long as it is polled. A commit starts as soon as the last one has ended and
    /// takes all that waits then, at most 256 events; one that fails is tried again until it
    /// succeeds, so nothing changes its order.
    pub(super) async fn run<A: Archive>(&self, archive: &A) {
        loop {
            let batch = self.next_batch().await;
            let mut committing = pin!(commit(archive, &batch.events));
            if timeout(PATIENCE, committing.as_mut()).await.is_err() {
                self.go_on_without(&batch);
                committing.await;
                self.shared.turns.fetch_add(1, Ordering::SeqCst);
                info!("The archive can be written again.");
            }
            let waiting = &self.shared.waiting;
            waiting.fetch_sub(batch.events.len(), Ordering::Relaxed);
            for (call, seq) in batch.calls {
                call.mark_stored(seq);
            }
        }
    }

    /// Shows what is not stored: of the calls in the commit that does not end, and of those that
    /// stand in line. Who comes into line later finds the archive away by himself.
    fn go_on_without(&self, batch: &Batch) {
        error!("The archive cannot be written; events wait in memory.");
        let outage = self.shared.turns.fetch_add(1, Ordering::SeqCst) + 1;
        let in_line: Vec<_> = lock(&self.shared.announced).iter().cloned().collect();
        let in_commit = batch.calls.iter().map(|(call, _)| call);
        for call in in_commit.chain(&in_line) {
            call.show_unstored(outage);
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
}

async fn commit<A: Archive>(archive: &A, events: &[(Arc<Entry>, Arc<Call>)]) {
    let mut pause = RETRY_FIRST;
    while let Err(error) = archive.append(events).await {
        warn!(%error, "The archive refused a commit; trying again.");
        sleep(pause).await;
        pause = (pause * 2).min(RETRY_LONGEST);
    }
}

#[cfg(test)]
mod tests;
