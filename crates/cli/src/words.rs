//! Two sequences of words compared.

use std::fmt;

/// A step from what was expected to what was found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Step<'a> {
    /// In both.
    Same(&'a str),
    /// Expected and not found.
    Missing(&'a str),
    /// Found and not expected.
    Extra(&'a str),
}

impl fmt::Display for Step<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Same(word) => write!(f, "{word}"),
            Self::Missing(word) => write!(f, "-{word}"),
            Self::Extra(word) => write!(f, "+{word}"),
        }
    }
}

/// The words of a text as they are compared: in lower case, without the punctuation around them.
pub(crate) fn bare(text: &str) -> Vec<String> {
    text.split_whitespace()
        .map(|word| word.trim_matches(|c: char| !c.is_alphanumeric()))
        .filter(|word| !word.is_empty())
        .map(|word| word.to_lowercase().replace('\u{2019}', "'"))
        .collect()
}

/// A word as it is said: a number in figures is said figure by figure.
pub(crate) fn said(word: &str) -> Vec<&str> {
    const FIGURES: [&str; 10] = [
        "zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine",
    ];
    let figures = word
        .chars()
        .map(|c| Some(FIGURES[c.to_digit(10)? as usize]));
    figures.collect::<Option<_>>().unwrap_or_else(|| vec![word])
}

/// The way from one sequence to the other with the fewest missing and extra words.
///
/// Takes time and memory by the product of the lengths.
pub(crate) fn compare<'a>(expected: &[&'a str], found: &[&'a str]) -> Vec<Step<'a>> {
    // The longest common subsequence of what follows each pair of places.
    let width = found.len() + 1;
    let mut common = vec![0_u32; (expected.len() + 1) * width];
    for (i, wanted) in expected.iter().enumerate().rev() {
        for (j, word) in found.iter().enumerate().rev() {
            common[i * width + j] = if wanted == word {
                common[(i + 1) * width + j + 1] + 1
            } else {
                common[(i + 1) * width + j].max(common[i * width + j + 1])
            };
        }
    }
    let (mut i, mut j) = (0, 0);
    let mut steps = Vec::with_capacity(expected.len().max(found.len()));
    loop {
        match (expected.get(i), found.get(j)) {
            (None, None) => return steps,
            (Some(wanted), Some(word)) if wanted == word => {
                steps.push(Step::Same(word));
                (i, j) = (i + 1, j + 1);
            }
            (Some(wanted), after)
                if after.is_none() || common[(i + 1) * width + j] >= common[i * width + j + 1] =>
            {
                steps.push(Step::Missing(wanted));
                i += 1;
            }
            (_, Some(word)) => {
                steps.push(Step::Extra(word));
                j += 1;
            }
            (Some(_), None) => unreachable!("the arm above takes what is left"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(expected: &str, found: &str, steps: &str) {
        let words = |text: &'static str| text.split_whitespace().collect::<Vec<_>>();
        let (expected, found) = (expected.to_owned().leak(), found.to_owned().leak());
        let shown: Vec<String> = compare(&words(expected), &words(found))
            .iter()
            .map(ToString::to_string)
            .collect();
        assert_eq!(shown.join(" "), steps);
    }

    #[test]
    fn words_are_compared_in_their_order() {
        check("one two three", "one two three", "one two three");
        check("one two three", "one three", "one -two three");
        check("one two three", "one two two three", "one two +two three");
        check("one two three", "two one three", "-one two +one three");
        check("one two", "", "-one -two");
        check("", "ghost", "+ghost");
        check("the the end", "the end", "the -the end");
        check("how can I", "how could I", "how -can +could I");
    }

    #[test]
    fn numbers_are_said_figure_by_figure() {
        assert_eq!(said("4719"), ["four", "seven", "one", "nine"]);
        assert_eq!(said("nine"), ["nine"]);
        assert_eq!(said("2nd"), ["2nd"]);
    }

    #[test]
    fn case_and_punctuation_do_not_count() {
        assert_eq!(
            bare("\u{201C}Yes,\u{201D} she said \u{2013} it\u{2019}s FINE."),
            ["yes", "she", "said", "it's", "fine"]
        );
    }
}
