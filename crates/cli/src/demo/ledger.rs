//! What was to be said, what the ledger says was heard of it, and what the caller heard.

use std::fmt;

use serde_json::{Value, json};
use sidetone_simulator::phone::Report;

use crate::words::{self, Step};

/// A text that was said into a call, or was to be.
#[derive(Clone, Copy, Debug)]
pub(super) struct Told<'a> {
    /// All of it.
    pub(super) text: &'a str,
    /// What the events say was heard.
    pub(super) heard: &'a str,
    /// Whether it was cut short.
    pub(super) is_cut: bool,
}

/// The words of a call, counted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Ledger {
    said: usize,
    in_ledger: usize,
    heard: usize,
    cuts: usize,
    /// Words by which what was heard differs from what the ledger says.
    different: usize,
}

impl Ledger {
    /// Compares what the events told, in order, with what the phone heard.
    pub(super) fn of<'a>(told: impl IntoIterator<Item = Told<'a>>, report: &Report) -> Self {
        let heard: Vec<&str> = report.heard.iter().map(|word| word.word.as_str()).collect();
        Self::compare(told, &heard)
    }

    fn compare<'a>(told: impl IntoIterator<Item = Told<'a>>, heard: &[&str]) -> Self {
        let (mut said, mut cuts, mut ledger) = (0, 0, Vec::new());
        for text in told {
            said += words::bare(text.text).len();
            cuts += usize::from(text.is_cut);
            ledger.extend(words::bare(text.heard));
        }
        let ledger: Vec<&str> = ledger.iter().map(String::as_str).collect();
        let steps = words::compare(&ledger, heard);
        let is_different = |step: &&Step<'_>| !matches!(step, Step::Same(_));
        Self {
            said,
            in_ledger: ledger.len(),
            heard: heard.len(),
            cuts,
            different: steps.iter().filter(is_different).count(),
        }
    }

    /// Whether something was cut short, once, and the caller heard what the ledger says: to the
    /// word, and to one word at the cut.
    pub(super) fn is_right(&self) -> bool {
        self.heard > 0 && self.cuts == 1 && self.different <= self.cuts
    }

    /// For the summary as JSON: `words` and `cuts`.
    pub(super) fn json(&self) -> Value {
        json!({
            "words": {
                "said": self.said,
                "in_ledger": self.in_ledger,
                "heard": self.heard,
                "different": self.different,
            },
            "cuts": self.cuts,
        })
    }
}

impl fmt::Display for Ledger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "Words to be said         {:>6}", self.said)?;
        writeln!(f, "Heard, says the ledger   {:>6}", self.in_ledger)?;
        writeln!(f, "Heard by the caller      {:>6}", self.heard)?;
        writeln!(f, "Cut short                {:>6}", self.cuts)?;
        write!(f, "Words that differ        {:>6}", self.different)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(told: &[(&str, &str)], heard: &str, is_right: bool) {
        let told = told.iter().map(|(text, heard)| Told {
            text,
            heard,
            is_cut: text != heard,
        });
        let heard: Vec<&str> = heard.split_whitespace().collect();
        assert_eq!(Ledger::compare(told, &heard).is_right(), is_right);
    }

    #[test]
    fn at_a_cut_one_word_may_differ_and_no_other() {
        let cut = ("One two three.", "One two");
        check(&[cut, ("Four.", "Four.")], "one two four", true);
        check(&[cut, ("Four.", "Four.")], "one two three four", true);
        check(&[cut, ("Four.", "Four.")], "one four", true);
        check(&[cut, ("Four.", "Four.")], "four", false);
        check(&[cut, ("Four.", "Four.")], "one two three four four", false);
    }

    #[test]
    fn what_was_not_cut_or_not_heard_proves_nothing() {
        check(&[("One.", "One.")], "one", false);
        check(&[("One.", "")], "", false);
    }
}
