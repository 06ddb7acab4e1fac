use std::sync::atomic::AtomicUsize;

use jiff::Timestamp;
use sidetone_call::archive::{ArchiveError, CallFilter};
use sidetone_call::event::{EventData, Warning};
use sidetone_call::log::{Cursor, Item, Read};
use sidetone_twilio::CallSid;

use super::*;
use crate::calls::testing;

/// An archive that notes the size of every commit and fails the first few.
#[derive(Default)]
struct Ledger {
    failures: AtomicUsize,
    commits: Mutex<Vec<usize>>,
}

impl Archive for Ledger {
    async fn append(&self, batch: &[(Arc<Entry>, Arc<Call>)]) -> Result<(), ArchiveError> {
        let failures = &self.failures;
        if failures
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |n| n.checked_sub(1))
            .is_ok()
        {
            return Err(ArchiveError::Unavailable("the disk is full".to_owned()));
        }
        lock(&self.commits).push(batch.len());
        Ok(())
    }

    async fn call(&self, _: &CallSid) -> Result<Option<Arc<Call>>, ArchiveError> {
        Ok(None)
    }

    async fn calls(
        &self,
        _: &CallFilter,
        _: Option<&str>,
        _: usize,
    ) -> Result<(Vec<Arc<Call>>, Option<String>), ArchiveError> {
        Ok((Vec::new(), None))
    }

    async fn events(&self, _: &CallSid, _: u64, _: usize) -> Result<Vec<Arc<Entry>>, ArchiveError> {
        Ok(Vec::new())
    }
}

fn append(handle: &Arc<CallHandle>, count: u32) {
    for number in 0..count {
        let warning = Warning {
            code: "test",
            detail: number.to_string(),
        };
        handle.append(
            Timestamp::UNIX_EPOCH,
            EventData::Warning(warning),
            &testing::call(1),
        );
    }
}

fn visible(handle: &CallHandle) -> Vec<u64> {
    let mut cursor = Cursor::default();
    match handle.read(&mut cursor, 10_000) {
        Read::Items { items, .. } => items
            .iter()
            .map(|item| match item {
                Item::Event(entry) => entry.event.seq,
                Item::Interim(_) => panic!("no interim was written"),
            })
            .collect(),
        Read::Waiting => Vec::new(),
        other => panic!("{other:?}"),
    }
}

async fn write_until_stored(writer: &Writer, archive: &Ledger, handles: &[&Arc<CallHandle>]) {
    tokio::select! {
        () = writer.run(archive) => unreachable!("the writer never ends"),
        () = async { for handle in handles { handle.stored().await } } => {}
    }
}

#[tokio::test]
async fn events_are_seen_only_once_they_are_stored() {
    let ((handle, writer), archive) = (testing::handle(1), Ledger::default());
    append(&handle, 3);
    assert!(visible(&handle).is_empty());
    assert_eq!(handle.snapshot().last_seq, 0);

    write_until_stored(&writer, &archive, &[&handle]).await;
    assert_eq!(visible(&handle), [1, 2, 3]);
    assert_eq!(handle.snapshot().last_seq, 3);
}

#[tokio::test]
async fn a_commit_takes_what_waits_of_all_calls_but_at_most_256_events() {
    let ((one, writer), archive) = (testing::handle(1), Ledger::default());
    let two = Arc::new(CallHandle::new(testing::call(2), false, writer.clone()));
    append(&one, 400);
    append(&two, 20);

    write_until_stored(&writer, &archive, &[&one, &two]).await;
    assert_eq!(*lock(&archive.commits), [256, 164]);
    assert_eq!(visible(&one), (1..=400).collect::<Vec<_>>());
    assert_eq!(visible(&two), (1..=20).collect::<Vec<_>>());
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_fails_loses_nothing_and_is_told() {
    let ((handle, writer), archive) = (testing::handle(1), Ledger::default());
    append(&handle, 2);
    archive.failures.store(usize::MAX, Ordering::Relaxed);
    let minute = Duration::from_secs(60);
    assert!(
        tokio::time::timeout(minute, writer.run(&archive))
            .await
            .is_err()
    );
    assert!(!writer.archive_ok());
    assert!(visible(&handle).is_empty());
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_comes_back_gets_everything_in_order() {
    let ((handle, writer), archive) = (testing::handle(1), Ledger::default());
    append(&handle, 2);
    archive.failures.store(5, Ordering::Relaxed);
    write_until_stored(&writer, &archive, &[&handle]).await;
    assert!(writer.archive_ok());
    assert_eq!(visible(&handle), [1, 2]);
    assert_eq!(*lock(&archive.commits), [2]);
}
