//! Comparing what was said with what was heard.

use std::fmt;
use std::ops::Range;

use serde_json::{Value, json};
use sidetone_audio::Track;
use sidetone_call::event::{AudioGapReason, EventData};
use sidetone_simulator::phone::{Party, Report};

use crate::words::{self, Step};

/// What became of the words.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Score {
    calls: u64,
    spoken: u64,
    transcribed: u64,
    lost: u64,
    /// Of those lost, the ones of which the events say that nothing is heard there.
    lost_in_gaps: u64,
    doubled: u64,
    gaps: u64,
    gaps_ms: u64,
    /// Connections to Deepgram that broke or could not be made.
    disconnections: u64,
    latencies_ms: Vec<u64>,
}

/// A word that left the phone, and where its middle lies in call time.
type Said<'a> = (&'a str, u64);

impl Score {
    /// Compares what a phone said with the events of its call.
    pub(super) fn of(report: &Report, events: &[EventData]) -> Self {
        let mut score = Self {
            calls: 1,
            ..Self::default()
        };
        for (party, track) in [
            (Party::Caller, Track::Inbound),
            (Party::Callee, Track::Outbound),
        ] {
            let (mut heard, mut gaps) = (Vec::new(), Vec::new());
            for event in events {
                match event {
                    EventData::TranscriptFinal(told) if told.track == track => {
                        score.latencies_ms.extend(told.latency_ms);
                        heard.extend(told.words.iter().flat_map(|word| words::said(&word.word)));
                    }
                    // Where only a clock jumped, no audio is missing.
                    EventData::AudioGap(gap)
                        if gap.track == track && gap.reason != AudioGapReason::Clock =>
                    {
                        gaps.push(gap.at_ms..gap.at_ms + gap.duration_ms);
                    }
                    _ => {}
                }
            }
            let of_party = report.spoken.iter().filter(|word| word.party == party);
            let said: Vec<Said<'_>> = of_party
                .map(|word| (word.word.as_str(), word.start_ms.midpoint(word.end_ms)))
                .collect();
            score.compare(&said, &heard, &gaps);
        }
        let is_disconnection =
            |event: &&EventData| matches!(event, EventData::ProviderDisconnected(_));
        score.disconnections = events.iter().filter(is_disconnection).count() as u64;
        score
    }

    /// Compares one track: words said that were not heard in their order are lost, words heard
    /// beyond those that were said are doubled.
    fn compare(&mut self, said: &[Said<'_>], heard: &[&str], gaps: &[Range<u64>]) {
        self.spoken += said.len() as u64;
        self.transcribed += heard.len() as u64;
        self.gaps += gaps.len() as u64;
        self.gaps_ms += gaps.iter().map(|gap| gap.end - gap.start).sum::<u64>();
        let words: Vec<&str> = said.iter().map(|(word, _)| *word).collect();
        let mut middles_ms = said.iter().map(|(_, middle_ms)| middle_ms);
        for step in words::compare(&words, heard) {
            match step {
                Step::Same(_) => drop(middles_ms.next()),
                Step::Missing(_) => {
                    self.lost += 1;
                    let middle_ms = middles_ms.next();
                    let is_told =
                        middle_ms.is_some_and(|at| gaps.iter().any(|gap| gap.contains(at)));
                    self.lost_in_gaps += u64::from(is_told);
                }
                Step::Extra(_) => self.doubled += 1,
            }
        }
    }

    /// Takes in another call's score.
    pub(super) fn add(&mut self, other: Self) {
        let Self {
            calls,
            spoken,
            transcribed,
            lost,
            lost_in_gaps,
            doubled,
            gaps,
            gaps_ms,
            disconnections,
            latencies_ms,
        } = other;
        self.calls += calls;
        self.spoken += spoken;
        self.transcribed += transcribed;
        self.lost += lost;
        self.lost_in_gaps += lost_in_gaps;
        self.doubled += doubled;
        self.gaps += gaps;
        self.gaps_ms += gaps_ms;
        self.disconnections += disconnections;
        self.latencies_ms.extend(latencies_ms);
    }

    /// Whether something was said and all of it was heard once.
    pub(super) fn is_perfect(&self) -> bool {
        self.spoken > 0 && self.lost == 0 && self.doubled == 0
    }

    /// The summary for programs.
    pub(super) fn json(&self) -> Value {
        json!({
            "calls": self.calls,
            "words": {
                "spoken": self.spoken,
                "transcribed": self.transcribed,
                "lost": self.lost,
                "lost_in_gaps": self.lost_in_gaps,
                "doubled": self.doubled,
            },
            "gaps": { "count": self.gaps, "duration_ms": self.gaps_ms },
            "disconnections": self.disconnections,
            "latency_ms": { "p50": self.percentile(50), "p99": self.percentile(99) },
        })
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
        write!(f, "Words lost         {:>6}", self.lost)?;
        match (self.lost, self.lost_in_gaps) {
            (0, _) => writeln!(f)?,
            (lost, told) if lost == told => writeln!(f, ", all of them in the gaps")?,
            (_, told) => writeln!(f, ", {told} of them in the gaps")?,
        }
        writeln!(f, "Words doubled      {:>6}", self.doubled)?;
        if self.gaps > 0 {
            let secs = self.gaps_ms as f64 / 1_000.0;
            writeln!(
                f,
                "Gaps               {:>6}, {secs:.1} s, told as audio.gap",
                self.gaps
            )?;
        }
        if self.disconnections > 0 {
            writeln!(f, "Connections lost   {:>6}", self.disconnections)?;
        }
        let (Some(p50), Some(p99)) = (self.percentile(50), self.percentile(99)) else {
            return write!(f, "Latency            no finals came");
        };
        write!(f, "Latency            p50 {p50} ms, p99 {p99} ms")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Scores words that are said in 100 ms each.
    fn score(spoken: &str, heard: &str, gaps: &[Range<u64>]) -> Score {
        let middles_ms = (50..).step_by(100);
        let said: Vec<Said<'_>> = spoken.split_whitespace().zip(middles_ms).collect();
        let heard: Vec<&str> = heard.split_whitespace().collect();
        let mut score = Score::default();
        score.compare(&said, &heard, gaps);
        score
    }

    #[track_caller]
    fn check(spoken: &str, heard: &str, lost: u64, doubled: u64) {
        let score = score(spoken, heard, &[]);
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
    fn what_is_lost_in_a_gap_is_lost_and_told_as_such() {
        let score = score("one two three four", "one four", &[0..20, 90..210]);
        assert_eq!((score.lost, score.lost_in_gaps), (2, 1));
        assert_eq!((score.gaps, score.gaps_ms), (2, 140));
        assert!(!score.is_perfect());
        let shown = score.to_string();
        for line in [
            "Words lost              2, 1 of them in the gaps",
            "Gaps                    2, 0.1 s, told as audio.gap",
        ] {
            assert!(shown.lines().any(|shown| shown == line), "{shown}");
        }
    }

    #[test]
    fn silence_is_not_perfect() {
        assert!(!Score::default().is_perfect());
    }
}
