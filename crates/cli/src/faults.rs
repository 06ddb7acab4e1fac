//! Showing which faults there are.

use std::fmt::Write as _;

use sidetone_simulator::FaultEntry;

/// A table of faults: how each is written, and what it does.
pub(crate) fn table(list: &[FaultEntry]) -> String {
    let written = |entry: &FaultEntry| match entry.parameters {
        [] => entry.name.to_owned(),
        parameters => format!("{}:{}=", entry.name, parameters.join("=,")),
    };
    let width = list.iter().map(|entry| written(entry).len()).max();
    let width = width.unwrap_or_default();
    let mut table = String::new();
    for entry in list {
        let (written, description) = (written(entry), entry.description);
        writeln!(table, "{written:width$}  {description}").expect("a String takes all");
    }
    table
}

/// What the parameters mean that most of Deepgram's faults have.
pub(crate) const ABOUT_DEEPGRAMS: &str = "\
What ends or refuses a stream hits the first connection of each call, the rest hits every one.
  times=N|all  how many connections of each call are hit
  skip=N       how many are spared first
  call=TEXT    only the calls whose extra or tag holds TEXT, such as a call's sid
  after_ms=N   how long after its opening it happens to a stream (4000), or to an agent after
               what `at` names
";

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_fault_is_shown_with_its_parameters_in_columns() {
        let entry = |name, parameters, description| FaultEntry {
            name,
            parameters,
            description,
        };
        let list = [
            entry("burst", &["frames", "after_ms"][..], "all at once"),
            entry("odd-frames", &[], "of any size"),
        ];
        assert_eq!(
            table(&list),
            "burst:frames=,after_ms=  all at once\nodd-frames               of any size\n"
        );
    }
}
