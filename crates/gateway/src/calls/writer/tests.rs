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

/// An archive that never answers.
struct Hanging;

impl Archive for Hanging {
    async fn append(&self, _: &[(Arc<Entry>, Arc<Call>)]) -> Result<(), ArchiveError> {
        std::future::pending().await
    }

    async fn call(&self, _: &CallSid) -> Result<Option<Arc<Call>>, ArchiveError> {
        std::future::pending().await
    }

    async fn calls(
        &self,
        _: &CallFilter,
        _: Option<&str>,
        _: usize,
    ) -> Result<(Vec<Arc<Call>>, Option<String>), ArchiveError> {
        std::future::pending().await
    }

    async fn events(&self, _: &CallSid, _: u64, _: usize) -> Result<Vec<Arc<Entry>>, ArchiveError> {
        std::future::pending().await
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
                Item::Volatile(_) => panic!("nothing volatile was shown"),
            })
            .collect(),
        Read::Waiting => Vec::new(),
        other => panic!("{other:?}"),
    }
}

/// The warning with this number: its code and its words.
fn warning(handle: &CallHandle, seq: u64) -> (&'static str, String) {
    let mut cursor = Cursor::default();
    cursor.seq = seq - 1;
    let Read::Items { items, .. } = handle.read(&mut cursor, 1) else {
        panic!("there is no event {seq}")
    };
    match &items[0] {
        Item::Event(entry) => match &entry.event.data {
            EventData::Warning(warning) => (warning.code, warning.detail.clone()),
            other => panic!("{other:?}"),
        },
        Item::Volatile(_) => panic!("nothing volatile was shown"),
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
    archive.failures.store(usize::MAX, Ordering::Relaxed);
    append(&handle, 2);
    let story = async {
        sleep(Duration::from_secs(60)).await;
        assert!(writer.outage().is_some());
        assert_eq!(visible(&handle), [1, 2, 3]);
        let (code, detail) = warning(&handle, 3);
        assert_eq!(code, "archive_unavailable");
        assert!(detail.contains("from seq 1 on"), "{detail}");

        // A call is told once, others are told for themselves.
        append(&handle, 1);
        let late = Arc::new(CallHandle::new(testing::call(2), false, writer.clone()));
        append(&late, 1);
        assert_eq!(visible(&handle), [1, 2, 3, 4]);
        assert_eq!(visible(&late), [1, 2]);
        assert_eq!(warning(&late, 2).0, "archive_unavailable");

        archive.failures.store(0, Ordering::Relaxed);
        handle.stored().await;
        late.stored().await;
        assert_eq!(writer.outage(), None);
        assert_eq!(lock(&archive.commits).iter().sum::<usize>(), 6);
        append(&handle, 1);
        assert_eq!(visible(&handle), [1, 2, 3, 4], "seen before it is stored");
    };
    tokio::select! {
        () = writer.run(&archive) => unreachable!("the writer never ends"),
        () = story => {}
    }
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_hangs_is_away_too() {
    let ((handle, writer), archive) = (testing::handle(1), Hanging);
    append(&handle, 1);
    let writing = tokio::time::timeout(2 * PATIENCE, writer.run(&archive));
    assert!(writing.await.is_err());
    assert_eq!(visible(&handle), [1, 2]);
}

#[tokio::test(start_paused = true)]
async fn nothing_follows_the_end_of_a_call_though_the_archive_is_away() {
    let ((handle, writer), archive) = (testing::handle(1), Hanging);
    let call = testing::call(1);
    let end = EventData::CallEnded(Box::new(call.clone()));
    handle.append(Timestamp::UNIX_EPOCH, end, &call);
    let writing = tokio::time::timeout(2 * PATIENCE, writer.run(&archive));
    assert!(writing.await.is_err());
    let mut cursor = Cursor::default();
    assert!(matches!(handle.read(&mut cursor, 10), Read::Items { .. }));
    assert!(matches!(handle.read(&mut cursor, 10), Read::Ended));
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_archive_is_bounded_and_what_is_given_up_is_told() {
    let ((handle, writer), archive) = (testing::handle(1), Ledger::default());
    append(&handle, u32::try_from(MAX_WAITING / 2).unwrap());
    assert!(writer.is_crowded() && !writer.is_full());
    append(&handle, u32::try_from(MAX_WAITING / 2).unwrap());
    assert!(writer.is_full());
    append(&handle, 7);
    let call = testing::call(1);
    let resumed = EventData::CallResumed(Box::new(call.clone()));
    handle.append(Timestamp::UNIX_EPOCH, resumed, &call);

    write_until_stored(&writer, &archive, &[&handle]).await;
    assert!(!writer.is_crowded());
    let last_seq = handle.snapshot().last_seq;
    assert_eq!(last_seq, MAX_WAITING as u64 + 2);
    let (code, detail) = warning(&handle, last_seq - 1);
    assert_eq!(code, "events_lost");
    assert!(detail.starts_with("7 events "), "{detail}");
}

#[tokio::test(start_paused = true)]
async fn an_archive_that_comes_back_gets_everything_in_order() {
    let ((handle, writer), archive) = (testing::handle(1), Ledger::default());
    append(&handle, 2);
    archive.failures.store(5, Ordering::Relaxed);
    write_until_stored(&writer, &archive, &[&handle]).await;
    assert_eq!(writer.outage(), None);
    // It was away for a second, which the call was told.
    assert_eq!(visible(&handle), [1, 2, 3]);
    assert_eq!(*lock(&archive.commits), [2, 1]);
}
