//! What varies from call to call, the same for the same seed.

use std::ops::RangeInclusive;
use std::str::FromStr;

/// A small generator (SplitMix64): good enough for identifiers and wobble, and seeded, so that a
/// call can be made again exactly.
#[derive(Clone, Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Dice of their own, so that what one thing rolls does not change what another gets.
    pub(super) fn fork(&mut self) -> Self {
        Self(self.roll())
    }

    fn roll(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn within(&mut self, range: RangeInclusive<u64>) -> u64 {
        range.start() + self.roll() % (range.end() - range.start() + 1)
    }

    /// A sid of the kind whose two letters are `prefix`.
    pub(super) fn sid<S: FromStr<Err: std::fmt::Debug>>(&mut self, prefix: &str) -> S {
        let text = format!("{prefix}{:016x}{:016x}", self.roll(), self.roll());
        text.parse()
            .expect("two letters and 32 hexadecimal digits are a sid")
    }

    /// A version 4 UUID (RFC 9562).
    pub(super) fn uuid(&mut self) -> String {
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
