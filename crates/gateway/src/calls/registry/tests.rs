use super::*;
use crate::config::{Config, Deepgram, Limits};
use crate::metrics::Metrics;
use tokio::time::advance;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::calls::Dialer;

fn calls(max_calls: usize) -> Calls {
    let deepgram = Deepgram {
        api_key: "key".into(),
        url: "ws://127.0.0.1:9".parse().unwrap(),
    };
    let config = Config {
        limits: Limits {
            max_calls,
            ..Limits::default()
        },
        ..Config::new(Vec::new(), deepgram)
    };
    let dialer = Dialer::new(&config.deepgram).unwrap();
    Calls::new(Services {
        config: Arc::new(config),
        metrics: Metrics::new(),
        dialer: Arc::new(dialer),
        tasks: TaskTracker::new(),
        kill: CancellationToken::new(),
    })
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
