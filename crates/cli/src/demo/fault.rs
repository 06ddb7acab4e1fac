//! What is to go wrong in the demonstration.

use std::str::FromStr;

use sidetone_simulator::{FaultError, emulator, phone};

/// A fault of the phones, or of the emulated Deepgram; no two have the same name.
#[derive(Clone, Debug)]
pub(crate) enum Fault {
    Phone(phone::Fault),
    Deepgram(emulator::Fault),
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        match text.parse().map(Self::Phone) {
            Err(FaultError::UnknownName { name, near }) => match text.parse().map(Self::Deepgram) {
                Err(FaultError::UnknownName { near: None, .. }) => {
                    Err(FaultError::UnknownName { name, near })
                }
                of_deepgram => of_deepgram,
            },
            of_phone => of_phone,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_of_both_have_their_names_alone() {
        for entry in phone::Fault::LIST {
            assert!(matches!(entry.name.parse(), Ok(Fault::Phone(_))));
            assert!(
                !emulator::Fault::LIST
                    .iter()
                    .any(|other| other.name == entry.name)
            );
        }
        assert!(matches!("drop".parse(), Ok(Fault::Deepgram(_))));
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let refused = text.parse::<Fault>().unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }

    #[test]
    fn what_was_probably_meant_may_be_either() {
        check_refused("odd-frame", "did you mean `odd-frames`?");
        check_refused("dropp", "did you mean `drop`?");
        check_refused("drop:after=3", "did you mean `after_ms`?");
        check_refused("burst:frames=0", "expected a number");
        check_refused("qqq", "there is no fault `qqq`");
    }
}
