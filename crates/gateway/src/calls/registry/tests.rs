use sidetone_call::event::{EndReason, Status};
use tokio::time::advance;

use super::*;
use crate::calls::testing;
use crate::config::Limits;

fn calls(max_calls: usize) -> Arc<Calls> {
    let mut config = testing::config();
    config.limits = Limits {
        max_calls,
        ..Limits::default()
    };
    Arc::new(Calls::new(testing::services(config), Store::default()))
}

fn call_sid(number: u32) -> CallSid {
    format!("CA{number:032x}").parse().unwrap()
}

fn facts(from: &str) -> CallFacts {
    CallFacts {
        from: Some(from.to_owned()),
        ..CallFacts::default()
    }
}

#[tokio::test(start_paused = true)]
async fn an_answered_webhook_holds_a_place_that_counts() {
    let calls = calls(2);
    assert_eq!(calls.admit(&call_sid(1), facts("+1")), Admission::Granted);
    assert_eq!(calls.admission(), Admission::Granted);
    assert_eq!(calls.admit(&call_sid(2), facts("+2")), Admission::Granted);
    assert_eq!(calls.admission(), Admission::Full);
    assert_eq!(calls.admit(&call_sid(3), facts("+3")), Admission::Full);
}

#[tokio::test(start_paused = true)]
async fn a_webhook_that_is_asked_again_keeps_its_place_on_a_full_node() {
    let calls = calls(1);
    assert_eq!(calls.admit(&call_sid(1), facts("+1")), Admission::Granted);
    advance(Duration::from_secs(20)).await;
    assert_eq!(calls.admit(&call_sid(1), facts("+2")), Admission::Granted);
    advance(Duration::from_secs(20)).await;
    assert_eq!(
        calls.facts(&call_sid(1)).unwrap().from.as_deref(),
        Some("+2")
    );
}

#[tokio::test(start_paused = true)]
async fn a_place_nobody_came_for_is_free_after_30_s() {
    let calls = calls(1);
    assert_eq!(calls.admit(&call_sid(1), facts("+1")), Admission::Granted);
    advance(Duration::from_millis(29_999)).await;
    assert_eq!(calls.admit(&call_sid(2), facts("+2")), Admission::Full);
    advance(Duration::from_millis(1)).await;
    assert!(calls.facts(&call_sid(1)).is_none());
    assert_eq!(calls.admit(&call_sid(2), facts("+2")), Admission::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_draining_node_keeps_its_promises_and_makes_no_new_ones() {
    let calls = calls(10);
    assert_eq!(calls.admit(&call_sid(1), facts("+1")), Admission::Granted);
    calls.drain();
    assert_eq!(calls.admission(), Admission::Draining);
    assert_eq!(calls.admit(&call_sid(2), facts("+2")), Admission::Draining);
    assert_eq!(calls.admit(&call_sid(1), facts("+1")), Admission::Granted);
}

#[tokio::test(start_paused = true)]
async fn a_node_without_calls_is_idle() {
    let calls = calls(1);
    assert_eq!(calls.admit(&call_sid(1), facts("+1")), Admission::Granted);
    calls.idle().await;
    assert!(calls.live().is_empty());
    assert!(calls.get(&call_sid(1)).is_none());
}

fn placed(number: u32) -> Call {
    Call::new(call_sid(number), "default".to_owned())
}

const RING: Duration = Duration::from_secs(60);

#[tokio::test(start_paused = true)]
async fn a_call_that_is_being_placed_has_a_place_until_that_came_to_nothing() {
    let calls = calls(1);
    let reservation = calls.reserve().unwrap();
    assert_eq!(calls.admission(), Admission::Full);
    assert_eq!(calls.reserve().err(), Some(Admission::Full));
    drop(reservation);
    assert_eq!(calls.admission(), Admission::Granted);
    calls.drain();
    assert_eq!(calls.reserve().err(), Some(Admission::Draining));
}

#[tokio::test(start_paused = true)]
async fn a_placed_call_is_there_and_in_its_place_but_not_live() {
    let calls = calls(1);
    let handle = calls.reserve().unwrap().pend(placed(1), RING);
    assert_eq!(handle.snapshot().status, Status::Pending);
    assert!(Arc::ptr_eq(&handle, &calls.get(&call_sid(1)).unwrap()));
    assert!(calls.live().is_empty());
    assert_eq!(calls.pending_before(u64::MAX).len(), 1);
    assert_eq!(calls.admission(), Admission::Full);
    // Its webhook is answered, and needs no further place.
    assert_eq!(calls.admit(&call_sid(1), facts("+1")), Admission::Granted);
    assert!(calls.facts(&call_sid(1)).is_none());
}

#[tokio::test(start_paused = true)]
async fn who_asks_for_a_call_waits_for_those_that_are_being_placed() {
    let calls = calls(9);
    let asked = Instant::now();
    calls.know(&call_sid(1)).await;
    assert_eq!(asked.elapsed(), Duration::ZERO);
    let (one, other) = (calls.reserve().unwrap(), calls.reserve().unwrap());
    let call_sid_of_one = call_sid(1);
    let placing = async {
        advance(Duration::from_secs(1)).await;
        one.pend(placed(1), RING);
    };
    tokio::join!(calls.know(&call_sid_of_one), placing);
    assert_eq!(asked.elapsed(), Duration::from_secs(1));
    // Another one may still be the other.
    calls.know(&call_sid(2)).await;
    assert_eq!(asked.elapsed(), Duration::from_secs(11));
    drop(other);
    calls.know(&call_sid(2)).await;
    assert_eq!(asked.elapsed(), Duration::from_secs(11));
}

#[tokio::test(start_paused = true)]
async fn a_node_with_a_pending_call_is_idle_once_it_was_told_to_end() {
    let calls = calls(1);
    calls.reserve().unwrap().pend(placed(1), RING);
    let writing = calls.write();
    let ending = async {
        calls.shut_down().await;
        calls.idle().await;
    };
    tokio::select! {
        () = writing => unreachable!("it never ends"),
        () = ending => {}
    }
    let call = calls.get(&call_sid(1)).unwrap().snapshot();
    assert_eq!(call.end_reason, Some(EndReason::Shutdown));
    assert_eq!(calls.admission(), Admission::Granted);
}
