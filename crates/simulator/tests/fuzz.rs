//! However a fault is written, it is one of the list or refused in words, and says itself what it
//! is in a way that can be read again.

use std::fmt::{Debug, Display};
use std::str::FromStr;

use sidetone_fuzz::check_text;
use sidetone_simulator::{FaultError, emulator, phone};

fn check<F: FromStr<Err = FaultError> + Debug + Display + PartialEq>(text: &str) {
    match text.parse::<F>() {
        Ok(fault) => assert_eq!(fault.to_string().parse(), Ok(fault)),
        Err(refusal) => assert!(!refusal.to_string().is_empty()),
    }
}

#[test]
fn fuzzed_phone_faults() {
    check_text("phone-faults", check::<phone::Fault>);
}

#[test]
fn fuzzed_deepgram_faults() {
    check_text("deepgram-faults", check::<emulator::Fault>);
}
