//! What became of a simulated call, as it is told.

use std::time::Duration;

use anyhow::Context as _;
use serde_json::{Value, json};
use sidetone_simulator::phone::{End, HeardWord, Report, Stretch};

use crate::words;

/// The close code of a WebSocket that has done what it was for.
const NORMAL_CLOSURE: u16 = 1000;

/// A call that was made, and whether it came out as it should.
pub(super) struct Outcome {
    pub(super) report: Report,
    /// What the caller was to hear, when that was not what was heard.
    missed: Option<Vec<String>>,
}

impl Outcome {
    pub(super) fn of(report: Report, expected: Option<&str>) -> Self {
        let heard = report.heard.iter().map(|word| &word.word);
        let missed = expected
            .map(words::bare)
            .filter(|expected| !heard.eq(expected));
        Self { report, missed }
    }

    pub(super) fn has_failed(&self) -> bool {
        self.missed.is_some() || self.broken_off().is_some()
    }

    /// Results go to stdout, everything else to stderr; `in_detail` also what happened on the way.
    pub(super) fn tell(&self, json: bool, in_detail: bool) -> anyhow::Result<()> {
        let Report {
            call_sid,
            spoken,
            heard,
            stretches,
            alerts,
            notes,
            ..
        } = &self.report;
        if in_detail {
            notes.iter().for_each(|note| anstream::eprintln!("{note}"));
        } else {
            for alert in alerts {
                anstream::eprintln!("{call_sid}: Twilio error {}: {}", alert.code, alert.detail);
            }
        }
        if json {
            let line = serde_json::to_string(&self.json()).context("the report as JSON")?;
            anstream::println!("{line}");
        } else {
            anstream::println!("{call_sid} said {} words", spoken.len());
            if !heard.is_empty() {
                anstream::println!("{call_sid} heard: {}", written(heard));
            }
            for cut in stretches.iter().filter(|stretch| stretch.clear.is_some()) {
                anstream::println!("{call_sid} {}", told_cut(cut));
            }
        }
        if let Some(why) = self.broken_off() {
            anstream::eprintln!("sidetone: {call_sid}: {why}");
        }
        if let Some(missed) = &self.missed {
            anstream::eprintln!("sidetone: {}", self.difference(missed));
        }
        Ok(())
    }

    /// Why the call counts as broken off, however much was said before.
    fn broken_off(&self) -> Option<String> {
        match &self.report.end {
            End::ApplicationError => {
                let last = self.report.alerts.last();
                let detail = last.map_or("", |alert| alert.detail.as_str());
                Some(format!("an application error has occurred: {detail}"))
            }
            End::StreamClosed { code: None, .. } => {
                Some("the server broke the stream off without a Close".to_owned())
            }
            End::StreamClosed {
                code: Some(code),
                reason,
            } => (*code != NORMAL_CLOSURE)
                .then(|| format!("the server closed the stream with {code}: {reason}")),
            End::CallerHungUp
            | End::TimeLimit
            | End::DocumentEnded
            | End::DocumentHungUp
            | End::Rejected
            | End::HungUp
            | End::NotAnswered
            | End::StreamLeft => None,
        }
    }

    fn difference(&self, expected: &[String]) -> String {
        let Report {
            call_sid, heard, ..
        } = &self.report;
        let expected: Vec<&str> = expected.iter().map(String::as_str).collect();
        let found: Vec<&str> = heard.iter().map(|word| word.word.as_str()).collect();
        let steps = words::compare(&expected, &found);
        let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
        format!(
            "{call_sid} heard something else than expected\n  expected:   {}\n  heard:      {}\n  \
             difference: {}",
            expected.join(" "),
            found.join(" "),
            steps.join(" ")
        )
    }

    fn json(&self) -> Value {
        let Report {
            call_sid,
            spoken,
            heard,
            stretches,
            digits,
            played_samples: _,
            streams,
            alerts,
            notes,
            end,
            duration,
        } = &self.report;
        json!({
            "call_sid": call_sid.as_str(),
            "end": end.name(),
            "spoken": spoken,
            "heard": heard,
            "stretches": stretches,
            "digits": digits,
            "expected": self.missed.is_none(),
            "alerts": alerts,
            "streams": streams,
            "notes": notes,
            "duration_ms": u64::try_from(duration.as_millis()).unwrap_or(u64::MAX),
        })
    }
}

fn told_cut(stretch: &Stretch) -> String {
    let secs = Duration::from_millis(stretch.end_ms).as_secs_f64();
    if stretch.words.is_empty() {
        return format!("heard the other side cut off at {secs:.2} s, before its first word");
    }
    format!(
        "heard the other side cut off at {secs:.2} s, after: {}",
        written(&stretch.words)
    )
}

fn written(heard: &[HeardWord]) -> String {
    let texts: Vec<&str> = heard.iter().map(|word| word.text.as_str()).collect();
    texts.join(" ")
}
