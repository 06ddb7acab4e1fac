//! Comparing what was said with what was heard.

use std::fmt;

use anyhow::Context as _;

use crate::words::{self, Step};

/// What became of the words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Score {
    pub(super) calls: u64,
    pub(super) spoken: u64,
    pub(super) transcribed: u64,
    pub(super) lost: u64,
    pub(super) doubled: u64,
    pub(super) latencies_ms: Vec<u64>,
}

impl Score {
    /// Compares one track: words said that were not heard in their order are lost, words heard
    /// beyond those that were said are doubled.
    pub(super) fn compare(&mut self, spoken: &[&str], heard: &[&str]) {
        self.spoken += spoken.len() as u64;
        self.transcribed += heard.len() as u64;
        for step in words::compare(spoken, heard) {
            match step {
                Step::Same(_) => {}
                Step::Missing(_) => self.lost += 1,
                Step::Extra(_) => self.doubled += 1,
            }
        }
    }

    /// Takes in another call's score.
    pub(super) fn add(&mut self, other: Self) {
        self.calls += other.calls;
        self.spoken += other.spoken;
        self.transcribed += other.transcribed;
        self.lost += other.lost;
        self.doubled += other.doubled;
        self.latencies_ms.extend(other.latencies_ms);
    }

    /// Whether something was said and all of it was heard once.
    pub(super) fn is_perfect(&self) -> bool {
        self.spoken > 0 && self.lost == 0 && self.doubled == 0
    }

    /// The summary for programs, on one line.
    pub(super) fn json(&self) -> anyhow::Result<String> {
        let summary = serde_json::json!({
            "calls": self.calls,
            "words": {
                "spoken": self.spoken,
                "transcribed": self.transcribed,
                "lost": self.lost,
                "doubled": self.doubled,
            },
            "latency_ms": { "p50": self.percentile(50), "p99": self.percentile(99) },
        });
        serde_json::to_string(&summary).context("the summary as JSON")
    }

    fn percentile(&self, percent: usize) -> Option<u64> {
        let mut sorted = self.latencies_ms.clone();
        sorted.sort_unstable();
        let last = sorted.len().checked_sub(1)?;
        sorted.get((last * percent).div_ceil(100)).copied()
    }
}

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f)?;
        writeln!(f, "Calls              {:>6}", self.calls)?;
        writeln!(f, "Words spoken       {:>6}", self.spoken)?;
        writeln!(f, "Words transcribed  {:>6}", self.transcribed)?;
        writeln!(f, "Words lost         {:>6}", self.lost)?;
        writeln!(f, "Words doubled      {:>6}", self.doubled)?;
        let (Some(p50), Some(p99)) = (self.percentile(50), self.percentile(99)) else {
            return write!(f, "Latency            no finals came");
        };
        write!(f, "Latency            p50 {p50} ms, p99 {p99} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(spoken: &str, heard: &str, lost: u64, doubled: u64) {
        let mut score = Score::default();
        let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
        score.compare(
            &words(spoken.to_owned().leak()),
            &words(heard.to_owned().leak()),
        );
        assert_eq!((score.lost, score.doubled), (lost, doubled));
    }

    #[test]
    fn words_are_counted_in_their_order() {
        check("one two three", "one two three", 0, 0);
        check("one two three", "one three", 1, 0);
        check("one two three", "one two two three", 0, 1);
        check("one two three", "two one three", 1, 1);
        check("one two", "", 2, 0);
        check("", "ghost", 0, 1);
        check("the the end", "the end", 1, 0);
    }

    #[test]
    fn silence_is_not_perfect() {
        assert!(!Score::default().is_perfect());
    }
}
