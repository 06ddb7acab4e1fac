//! Thousands of calls whose connections drop, stall, refuse, garble and speak from the grave, in
//! simulated time, each one following from its seed.
//!
//! Whatever happens, each spoken word is told exactly once and in order, unless a gap says that it
//! was not heard, and nothing is given up without need; its times are those that the recogniser
//! heard, to 1 ms; no more audio is kept than the replay window; no more is sent again than the
//! budget, and not faster than the replay rate; a connection that has died is left and another one
//! asked for in time and not before, one that is silent is kept; nothing goes to a connection that
//! is gone; and the link comes to its end in time.
//!
//! `SIDETONE_SCHEDULES` sets how many calls (2,000 unless told), `SIDETONE_SEED` runs one of them
//! and prints what happens in it.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::time::Duration;

use self::call::{Outcome, run};
use self::plan::{Answer, Fate, Lot, Plan};
use crate::rig::ms;

mod call;
mod conduct;
mod dice;
mod judge;
mod plan;
mod recogniser;
mod speech;

/// What a share of the calls came to.
#[derive(Default)]
struct Sum {
    connections: u64,
    words: usize,
    missing: usize,
}

#[test]
fn each_word_once_on_mono_calls_with_interims() {
    run_share(0);
}

#[test]
fn each_word_once_on_stereo_calls_with_interims() {
    run_share(1);
}

#[test]
fn each_word_once_on_mono_calls_with_finals_only() {
    run_share(2);
}

#[test]
fn each_word_once_on_stereo_calls_with_finals_only() {
    run_share(3);
}

/// The first connection is lost at every 50 ms of a call and a little after its end: while it is
/// being made, while it hears, while it finishes. The next one is lost while it is still sent what
/// the first one had.
#[test]
fn a_drop_at_any_moment_costs_no_word() {
    let length = ms(12_000);
    let lot = |fate| Lot {
        delay: ms(400),
        answer: Answer::Open,
        fate,
    };
    for offset in (0..13_000).step_by(50) {
        let fates = [
            (Fate::Dropped, ms(300)),
            (Fate::DroppedWithGhosts, ms(1_100)),
            (Fate::Garbled, Duration::ZERO),
        ];
        let (fate, next_life) = fates[offset as usize / 50 % fates.len()];
        let first = match offset {
            0..400 => Lot {
                delay: ms(offset),
                answer: Answer::Reset,
                fate: None,
            },
            _ => lot(Some((ms(offset - 400), fate))),
        };
        let lots = [first, lot(Some((next_life, fate)))];
        let outcome = run(Plan::scripted(offset / 50, length, &lots), false);
        assert_eq!(outcome.missing, 0, "dropped at {offset} ms");
    }
}

/// Runs those of the seeds that leave `share` when divided by four.
fn run_share(share: u64) {
    if let Some(seed) = setting("SIDETONE_SEED") {
        if seed % SHARES == share {
            run(Plan::random(seed), true);
        }
        return;
    }
    let count = setting("SIDETONE_SCHEDULES").unwrap_or(2_000);
    let mut sum = Sum::default();
    for seed in (share..count).step_by(SHARES as usize) {
        let Outcome {
            connections,
            words,
            missing,
        } = run_or_explain(seed);
        sum.connections += u64::from(connections);
        sum.words += words;
        sum.missing += missing;
    }
    let Sum {
        connections,
        words,
        missing,
    } = sum;
    println!("{connections} connections, {words} words, {missing} of them in gaps");
    if count >= 2_000 {
        assert!(connections > count / SHARES, "connections were lost");
        assert!(
            missing > 0 && missing < words / 2,
            "and some words with them"
        );
    }
}

fn run_or_explain(seed: u64) -> Outcome {
    let outcome = catch_unwind(AssertUnwindSafe(|| run(Plan::random(seed), false)));
    outcome.unwrap_or_else(|_| {
        eprintln!(
            "Schedule {seed} failed. Again, and what happens in it:\n\
             SIDETONE_SEED={seed} cargo test -p sidetone-deepgram --test link simulation -- \
             --no-capture"
        );
        run(Plan::random(seed), true);
        panic!("schedule {seed} failed once, but not when it was run again");
    })
}

fn setting<T: FromStr>(name: &str) -> Option<T> {
    let value = std::env::var(name).ok()?;
    let value = value.parse().ok();
    Some(value.unwrap_or_else(|| panic!("{name} is a number")))
}

/// The calls are shared among so many tests, which run side by side.
const SHARES: u64 = 4;
