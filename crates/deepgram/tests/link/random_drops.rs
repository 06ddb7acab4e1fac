//! Hundreds of calls whose connections drop, stall, refuse, garble and speak from the grave.

use std::time::Duration;

use crate::line::{Outcome, call};
use crate::rig::config;

#[track_caller]
fn each_word_once_in_order(seed: u64, outcome: &Outcome) {
    assert!(
        outcome.spoken.iter().all(|words| words.len() > 20),
        "seed {seed}: people spoke"
    );
    assert_eq!(outcome.heard, outcome.spoken, "seed {seed}");
    assert_eq!(outcome.passed_on, outcome.spoken, "seed {seed}: to /client");
    assert_eq!(outcome.gaps, 0, "seed {seed}");
    assert!(outcome.metadata <= 1, "seed {seed}: the last one only");
}

#[test]
fn a_quiet_call_is_heard_on_one_connection() {
    let outcome = call(1, config(2), Duration::from_secs(60), true);
    each_word_once_in_order(1, &outcome);
    assert_eq!((outcome.connections, outcome.metadata), (1, 1));
    assert!(
        outcome.wait_at_end < Duration::from_secs(1),
        "{:?}",
        outcome.wait_at_end
    );
}

#[test]
fn every_word_is_final_exactly_once_whatever_drops() {
    let mut connections = 0;
    for seed in 0..300 {
        let mut config = config(1 + seed as usize % 2);
        config.interim_results = seed % 3 != 0;
        config.seed = seed;
        let outcome = call(seed, config, Duration::from_secs(60), false);
        each_word_once_in_order(seed, &outcome);
        connections += outcome.connections;
    }
    assert!(
        connections > 900,
        "there were drops: {connections} connections"
    );
}
