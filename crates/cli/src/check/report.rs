//! What was found, for people and for programs.

use std::fmt::Display;
use std::process::ExitCode;

use anstyle::{AnsiColor, Style};
use serde::Serialize;
use serde_json::json;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
pub(super) struct Finding {
    name: &'static str,
    status: Status,
    detail: String,
    /// What to do about it.
    remedy: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Status {
    Ok,
    Warning,
    Failed,
    Skipped,
}

impl Finding {
    /// It is as it should be.
    pub(super) fn ok(name: &'static str, detail: impl Display) -> Self {
        Self::new(name, Status::Ok, detail, None)
    }

    /// It is not as it should be, and this is what to do.
    pub(super) fn failed(name: &'static str, detail: impl Display, remedy: impl Display) -> Self {
        Self::new(name, Status::Failed, detail, Some(remedy.to_string()))
    }

    /// It is not as it should be; the text says what to do, too.
    pub(super) fn wrong(name: &'static str, problem: impl Display) -> Self {
        Self::new(name, Status::Failed, problem, None)
    }

    /// It is to be known, and stops nothing.
    pub(super) fn warning(name: &'static str, what: impl Display) -> Self {
        Self::new(name, Status::Warning, what, None)
    }

    /// It could not be looked at, and why.
    pub(super) fn skipped(name: &'static str, reason: impl Display) -> Self {
        Self::new(name, Status::Skipped, reason, None)
    }

    fn new(
        name: &'static str,
        status: Status,
        detail: impl Display,
        remedy: Option<String>,
    ) -> Self {
        Self {
            name,
            status,
            detail: detail.to_string(),
            remedy,
        }
    }

    /// Its line.
    fn line(&self) -> String {
        let (word, colour) = match self.status {
            Status::Ok => ("ok", AnsiColor::Green),
            Status::Warning => ("warn", AnsiColor::Yellow),
            Status::Failed => ("FAIL", AnsiColor::Red),
            Status::Skipped => ("skip", AnsiColor::Yellow),
        };
        let style: Style = colour.on_default();
        let remedy = self.remedy.as_ref();
        let remedy = remedy.map_or_else(String::new, |remedy| format!(" -> {remedy}"));
        format!(
            "{style}{word:<4}{style:#}  {:<14}  {}{remedy}",
            self.name.replace('_', " "),
            self.detail
        )
    }
}

/// Everything that was found: lines as they come, or one JSON object at the end.
pub(super) struct Report {
    as_json: bool,
    findings: Vec<Finding>,
}

impl Report {
    pub(super) fn new(as_json: bool) -> Self {
        Self {
            as_json,
            findings: Vec::new(),
        }
    }

    pub(super) fn tell(&mut self, finding: Finding) {
        if !self.as_json {
            anstream::println!("{}", finding.line());
        }
        self.findings.push(finding);
    }

    /// The exit code; a failure if anything failed.
    pub(super) fn finish(self) -> ExitCode {
        let failed = |finding: &Finding| finding.status == Status::Failed;
        let ok = !self.findings.iter().any(failed);
        if self.as_json {
            anstream::println!("{}", json!({ "ok": ok, "checks": self.findings }));
        }
        if ok {
            ExitCode::SUCCESS
        } else {
            ExitCode::FAILURE
        }
    }
}
