use std::future::Future;
use std::pin::pin;
use std::sync::OnceLock;
use std::task::{Context, Poll, Waker};

use jiff::ToSpan;

use super::*;
use crate::event::{Event, Warning};

/// Memory never waits, so a future of its archive is ready when it is first asked.
fn ready<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("memory never waits"),
    }
}

/// The n-th call, started n seconds into the epoch.
fn call(n: i64, status: Status) -> Arc<Call> {
    Arc::new(Call {
        call_sid: format!("CA{n:032x}").parse().unwrap(),
        started_at: Some(Timestamp::UNIX_EPOCH + n.seconds()),
        status,
        ..crate::tests::call()
    })
}

fn entry(call: &Call, seq: u64) -> Arc<Entry> {
    let data = EventData::Warning(Warning {
        code: "test",
        detail: "words".into(),
    });
    let event = Event {
        seq,
        call_sid: call.call_sid.clone(),
        at: Timestamp::UNIX_EPOCH,
        data,
    };
    Arc::new(Entry {
        event,
        json: OnceLock::new(),
    })
}

fn store(archive: &MemoryArchive, call: &Arc<Call>, seq: u64) {
    ready(archive.append(&[(entry(call, seq), Arc::clone(call))])).unwrap();
}

fn seqs(archive: &MemoryArchive, call: &Call, after: u64, limit: usize) -> Vec<u64> {
    let events = ready(archive.events(&call.call_sid, after, limit)).unwrap();
    events.iter().map(|entry| entry.event.seq).collect()
}

/// The numbers of the calls on every page.
fn pages(archive: &MemoryArchive, filter: &CallFilter, limit: usize) -> Vec<Vec<i64>> {
    let mut pages = Vec::new();
    let mut cursor: Option<String> = None;
    loop {
        let (calls, next) = ready(archive.calls(filter, cursor.as_deref(), limit)).unwrap();
        pages.push(
            calls
                .iter()
                .map(|call| call.started_at.unwrap().as_second())
                .collect(),
        );
        cursor = next;
        if cursor.is_none() {
            return pages;
        }
    }
}

#[test]
fn a_call_is_given_as_of_its_last_stored_event() {
    let archive = MemoryArchive::default();
    let live = call(1, Status::Live);
    assert_eq!(ready(archive.call(&live.call_sid)).unwrap(), None);
    store(&archive, &live, 1);
    let ended = call(1, Status::Ended);
    store(&archive, &ended, 2);
    assert_eq!(ready(archive.call(&live.call_sid)).unwrap(), Some(ended));
}

#[test]
fn events_come_in_order_after_the_one_named() {
    let archive = MemoryArchive::default();
    let call = call(1, Status::Live);
    for seq in 1..=5 {
        store(&archive, &call, seq);
    }
    assert_eq!(seqs(&archive, &call, 0, 3), [1, 2, 3]);
    assert_eq!(seqs(&archive, &call, 3, 3), [4, 5]);
    assert_eq!(seqs(&archive, &call, 9, 3), [0_u64; 0]);
}

#[test]
fn calls_come_newest_first_page_by_page() {
    let archive = MemoryArchive::default();
    for n in [3, 1, 5, 2, 4] {
        store(&archive, &call(n, Status::Live), 1);
    }
    let all = CallFilter::default();
    assert_eq!(pages(&archive, &all, 2), [vec![5, 4], vec![3, 2], vec![1]]);
    assert_eq!(pages(&archive, &all, 5), [vec![5, 4, 3, 2, 1]]);
}

#[test]
fn a_call_that_has_not_started_is_listed_first_and_moves_when_it_starts() {
    let archive = MemoryArchive::default();
    store(&archive, &call(5, Status::Live), 1);
    let pending = Call {
        started_at: None,
        ..(*call(1, Status::Pending)).clone()
    };
    store(&archive, &Arc::new(pending.clone()), 1);
    let listed = || {
        ready(archive.calls(&CallFilter::default(), None, 9))
            .unwrap()
            .0
    };
    assert_eq!(*listed()[0], pending);
    store(&archive, &call(1, Status::Live), 2);
    assert_eq!(listed(), [call(5, Status::Live), call(1, Status::Live)]);
}

#[test]
fn a_page_goes_on_where_it_ended_although_new_calls_came() {
    let archive = MemoryArchive::default();
    for n in 1..=4 {
        store(&archive, &call(n, Status::Live), 1);
    }
    let all = CallFilter::default();
    let (_, cursor) = ready(archive.calls(&all, None, 2)).unwrap();
    store(&archive, &call(9, Status::Live), 1);
    let (rest, _) = ready(archive.calls(&all, cursor.as_deref(), 9)).unwrap();
    assert_eq!(rest.len(), 2);
    assert_eq!(rest[0].started_at.unwrap().as_second(), 2);
}

#[test]
fn a_cursor_nobody_gave_is_refused() {
    let archive = MemoryArchive::default();
    for bad in ["", "x", "12-CA12", "99999999999999999999999999999-CA"] {
        let error = ready(archive.calls(&CallFilter::default(), Some(bad), 5)).unwrap_err();
        assert!(
            matches!(error, ArchiveError::BadCursor { .. }),
            "{bad}: {error}"
        );
    }
}

#[test]
fn filters_narrow_the_list() {
    let archive = MemoryArchive::default();
    for n in 1..=3 {
        store(&archive, &call(n, Status::Ended), 1);
    }
    let other = Call {
        profile: "helpdesk".into(),
        from: Some("+15551239999".into()),
        ..(*call(4, Status::Live)).clone()
    };
    store(&archive, &Arc::new(other), 1);

    let second = |n: i64| Some(Timestamp::UNIX_EPOCH + n.seconds());
    let any = CallFilter::default;
    for (filter, expect) in [
        (
            CallFilter {
                status: Some(Status::Live),
                ..any()
            },
            vec![4],
        ),
        (
            CallFilter {
                profile: Some("helpdesk".into()),
                ..any()
            },
            vec![4],
        ),
        (
            CallFilter {
                from: Some("+15551239999".into()),
                ..any()
            },
            vec![4],
        ),
        (
            CallFilter {
                to: Some("+1".into()),
                ..any()
            },
            vec![],
        ),
        (
            CallFilter {
                since: second(2),
                until: second(4),
                ..any()
            },
            vec![3, 2],
        ),
    ] {
        assert_eq!(pages(&archive, &filter, 10), [expect], "{filter:?}");
    }
}

#[test]
fn the_oldest_ended_calls_go_first() {
    let archive = MemoryArchive::new(Limits {
        calls: 3,
        ..Limits::default()
    });
    store(&archive, &call(1, Status::Live), 1);
    for n in 2..=5 {
        store(&archive, &call(n, Status::Ended), 1);
    }
    assert_eq!(pages(&archive, &CallFilter::default(), 10), [vec![5, 4, 1]]);
    assert_eq!(seqs(&archive, &call(2, Status::Ended), 0, 9), [0_u64; 0]);
}

#[test]
fn live_calls_stay_and_lose_their_oldest_events_when_nothing_else_can_go() {
    let archive = MemoryArchive::new(Limits {
        calls: 1,
        event_bytes: 4_096,
    });
    let (first, second) = (call(1, Status::Live), call(2, Status::Live));
    for seq in 1..=100 {
        store(&archive, &first, seq);
        store(&archive, &second, seq);
    }
    assert_eq!(pages(&archive, &CallFilter::default(), 10), [vec![2, 1]]);
    let kept = seqs(&archive, &second, 0, 1_000);
    assert_eq!(kept.last(), Some(&100));
    assert!(kept.len() < 10, "{}", kept.len());
}
