//! What varies from call to call and from connection to connection, the same for the same seed.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// A small generator (SplitMix64): good enough for identifiers and wobble, and seeded, so that a
/// call can be made again exactly.
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of their own, so that what one thing rolls does not change what another gets.
    pub(crate) fn fork(&mut self) -> Self {
        Self(self.roll())
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(crate) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.roll() % (range.end() - range.start() + 1)
    }

    /// A sid of the kind whose two letters are `prefix`.
    pub(crate) fn sid<S: FromStr<Err: std::fmt::Debug>>(&mut self, prefix: &str) -> S {
        let text = format!("{prefix}{:016x}{:016x}", self.roll(), self.roll());
        text.parse()
            .expect("two letters and 32 hexadecimal digits are a sid")
    }

    /// A version 4 UUID (RFC 9562).
    pub(crate) fn uuid(&mut self) -> String {
        let (high, low) = (self.roll(), self.roll());
        format!(
            "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
            high >> 32,
            (high >> 16) & 0xFFFF,
            high & 0xFFF,
            0x8000 | (low >> 48) & 0x3FFF,
            low & 0xFFFF_FFFF_FFFF,
        )
    }
}

#[cfg(test)]
mod tests {
    use sidetone_twilio::CallSid;

    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_sids_and_another_seed_others() {
        let sid = |seed| Dice::new(seed).sid::<CallSid>("CA");
        assert_eq!(sid(1), sid(1));
        assert_ne!(sid(1), sid(2));
    }

    #[test]
    fn uuids_are_of_version_4() {
        let mut dice = Dice::new(3);
        for _ in 0..100 {
            let uuid = dice.uuid();
            let lengths: Vec<usize> = uuid.split('-').map(str::len).collect();
            assert_eq!(lengths, [8, 4, 4, 4, 12], "{uuid}");
            assert_eq!(&uuid[14..15], "4");
            assert!("89ab".contains(&uuid[19..20]), "{uuid}");
        }
    }
}
