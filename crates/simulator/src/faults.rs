//! How a fault is written: `NAME[:PARAM=VALUE[,PARAM=VALUE]]`, as in `silent-gap:ms=5000`.
//!
//! What the faults are stands beside what they break; here is only how they are asked for, so that
//! the phone's and the emulated Deepgram's are written, listed and refused in the same way.

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// Names less alike than this are not suggested (Jaro-Winkler, 0 to 1).
const NEAR_ENOUGH: f64 = 0.75;

/// A fault that can be asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FaultEntry {
    /// As it is written.
    pub name: &'static str,
    /// Its parameters, none of which is required.
    pub parameters: &'static [&'static str],
    /// What goes wrong, in one line; defaults of the parameters included.
    pub description: &'static str,
}

/// An entry of a list.
pub(crate) const fn entry(
    name: &'static str,
    parameters: &'static [&'static str],
    description: &'static str,
) -> FaultEntry {
    FaultEntry {
        name,
        parameters,
        description,
    }
}

/// A fault that is not understood.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FaultError {
    /// No fault has this name.
    #[error("there is no fault `{name}`{}", suggested(*.near))]
    UnknownName {
        /// As it was written.
        name: String,
        /// The name that was probably meant.
        near: Option<&'static str>,
    },
    /// The fault has no such parameter.
    #[error("fault `{fault}` has no parameter `{parameter}`{}", suggested(*.near))]
    UnknownParameter {
        /// The fault.
        fault: &'static str,
        /// As it was written.
        parameter: String,
        /// The parameter that was probably meant.
        near: Option<&'static str>,
    },
    /// Something that is not `PARAM=VALUE`, or a parameter given twice.
    #[error("fault `{fault}`: expected PARAM=VALUE, each once, and found `{found}`")]
    Syntax {
        /// The fault.
        fault: &'static str,
        /// As it was written.
        found: String,
    },
    /// A value that does not fit its parameter.
    #[error("fault `{fault}`: {parameter}={value} does not fit: expected {expected}")]
    Value {
        /// The fault.
        fault: &'static str,
        /// The parameter.
        parameter: &'static str,
        /// As it was written.
        value: String,
        /// What would fit.
        expected: String,
    },
}

fn suggested(near: Option<&str>) -> String {
    near.map(|near| format!("; did you mean `{near}`?"))
        .unwrap_or_default()
}

/// A fault as it was written: its name and its parameters are among those of a list, its values
/// are still text.
#[derive(Debug)]
pub(crate) struct WrittenFault<'a> {
    entry: &'static FaultEntry,
    values: Vec<(&'static str, &'a str)>,
}

impl<'a> WrittenFault<'a> {
    /// Reads `text` as one of the faults of `list`.
    pub(crate) fn parse(text: &'a str, list: &'static [FaultEntry]) -> Result<Self, FaultError> {
        let (name, parameters) = text.split_once(':').unwrap_or((text, ""));
        let name = name.trim();
        let entry = list.iter().find(|entry| entry.name == name);
        let entry = entry.ok_or_else(|| FaultError::UnknownName {
            name: name.to_owned(),
            near: nearest(name, list.iter().map(|entry| entry.name)),
        })?;
        let mut values = Vec::new();
        for written in parameters.split(',').filter(|text| !text.trim().is_empty()) {
            let syntax = || FaultError::Syntax {
                fault: entry.name,
                found: written.trim().to_owned(),
            };
            let (parameter, value) = written.split_once('=').ok_or_else(syntax)?;
            let parameter = parameter.trim();
            let known = entry.parameters.iter().find(|known| **known == parameter);
            let known = *known.ok_or_else(|| FaultError::UnknownParameter {
                fault: entry.name,
                parameter: parameter.to_owned(),
                near: nearest(parameter, entry.parameters.iter().copied()),
            })?;
            if values.iter().any(|(given, _)| *given == known) {
                return Err(syntax());
            }
            values.push((known, value.trim()));
        }
        Ok(Self { entry, values })
    }

    /// The name in the list.
    pub(crate) fn name(&self) -> &'static str {
        self.entry.name
    }

    /// The value of a parameter, if it was given.
    pub(crate) fn text(&self, parameter: &str) -> Option<&'a str> {
        let given = self.values.iter().find(|(name, _)| *name == parameter);
        given.map(|(_, value)| *value)
    }

    /// The value of a parameter that is a whole number in `range`, if it was given.
    pub(crate) fn number<N: FromStr + PartialOrd + fmt::Display>(
        &self,
        parameter: &'static str,
        range: RangeInclusive<N>,
    ) -> Result<Option<N>, FaultError> {
        let Some(value) = self.text(parameter) else {
            return Ok(None);
        };
        let number = value.parse().ok().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let expected = format!("a number from {} to {}", range.start(), range.end());
            self.misfit(parameter, value, expected)
        })
    }

    /// Says that the value of a parameter does not fit.
    pub(crate) fn misfit(
        &self,
        parameter: &'static str,
        value: &str,
        expected: String,
    ) -> FaultError {
        FaultError::Value {
            fault: self.entry.name,
            parameter,
            value: value.to_owned(),
            expected,
        }
    }
}

/// As it was written, without spaces.
impl fmt::Display for WrittenFault<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let parameters = self
            .values
            .iter()
            .map(|(name, value)| -> (&str, &dyn fmt::Display) { (name, value) });
        write_fault(f, self.entry.name, &parameters.collect::<Vec<_>>())
    }
}

/// Writes a fault as [`WrittenFault::parse`] reads it.
pub(crate) fn write_fault(
    f: &mut fmt::Formatter<'_>,
    name: &str,
    parameters: &[(&str, &dyn fmt::Display)],
) -> fmt::Result {
    f.write_str(name)?;
    for (index, (parameter, value)) in parameters.iter().enumerate() {
        let separator = if index == 0 { ':' } else { ',' };
        write!(f, "{separator}{parameter}={value}")?;
    }
    Ok(())
}

/// The candidate most like `name`, if one is alike enough to be what was meant.
fn nearest(name: &str, candidates: impl IntoIterator<Item = &'static str>) -> Option<&'static str> {
    candidates
        .into_iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), candidate))
        .filter(|(likeness, _)| *likeness >= NEAR_ENOUGH)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIST: &[FaultEntry] = &[
        entry("silent-gap", &["ms", "after_ms"], ""),
        entry("burst", &["frames"], ""),
    ];

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let refused = WrittenFault::parse(text, LIST).unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn a_fault_is_a_name_and_what_it_is_given() {
        let fault = WrittenFault::parse(" silent-gap : ms=5000, after_ms = 20", LIST).unwrap();
        assert_eq!(fault.name(), "silent-gap");
        assert_eq!(fault.number("ms", 0..=10_000), Ok(Some(5_000)));
        assert_eq!(fault.text("after_ms"), Some("20"));
        let bare = WrittenFault::parse("burst", LIST).unwrap();
        assert_eq!(bare.number("frames", 1..=9_u32), Ok(None));
    }

    #[test]
    fn what_is_not_understood_is_told_with_what_was_probably_meant() {
        check_refused(
            "silentgap",
            "there is no fault `silentgap`; did you mean `silent-gap`?",
        );
        check_refused("xyz", "there is no fault `xyz`");
        check_refused(
            "burst:frame=3",
            "fault `burst` has no parameter `frame`; did you mean `frames`?",
        );
        check_refused(
            "burst:3",
            "fault `burst`: expected PARAM=VALUE, each once, and found `3`",
        );
        check_refused(
            "burst:frames=3,frames=4",
            "fault `burst`: expected PARAM=VALUE, each once, and found `frames=4`",
        );
    }

    #[test]
    fn a_value_out_of_its_range_is_told_with_what_fits() {
        for value in ["11", "-1", "many", ""] {
            let text = format!("burst:frames={value}");
            let fault = WrittenFault::parse(&text, LIST).unwrap();
            let refused = fault.number("frames", 1..=10_u32).unwrap_err().to_string();
            assert_eq!(
                refused,
                format!(
                    "fault `burst`: frames={value} does not fit: expected a number from 1 to 10"
                )
            );
        }
    }

    #[test]
    fn a_fault_is_written_as_it_is_read() {
        struct Shown;
        impl fmt::Display for Shown {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write_fault(f, "silent-gap", &[("ms", &5), ("after_ms", &7)])
            }
        }
        assert_eq!(Shown.to_string(), "silent-gap:ms=5,after_ms=7");
    }
}
