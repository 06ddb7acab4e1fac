//! How loud audio is.

use crate::ulaw;

/// Adds up the power of audio, to tell its level.
///
/// Levels are in dBov: power against that of a square wave between the loudest codes, the overload
/// of RFC 6464 and RFC 6465. A sine of full scale is at -3.01 dBov, digital silence at
/// [`SILENCE_DBOV`](ulaw::SILENCE_DBOV).
///
/// No allocation; about a nanosecond a sample.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Meter {
    /// The sum of the squares of all samples. It has room for centuries.
    energy: u64,
    samples: u64,
}

impl Meter {
    /// One that has heard these codes.
    pub fn of(codes: &[u8]) -> Self {
        let mut meter = Self::default();
        meter.hear(codes);
        meter
    }

    /// Hears more.
    pub fn hear(&mut self, codes: &[u8]) {
        let squares = codes
            .iter()
            .map(|&code| u64::from(SQUARES[usize::from(code)]));
        self.energy += squares.sum::<u64>();
        self.samples += codes.len() as u64;
    }

    /// Hears what another one has heard.
    pub const fn add(&mut self, other: Self) {
        self.energy += other.energy;
        self.samples += other.samples;
    }

    /// The level of all that was heard: 0 to [`SILENCE_DBOV`](ulaw::SILENCE_DBOV), which is also
    /// that of nothing.
    pub fn dbov(self) -> f32 {
        if self.energy == 0 {
            return ulaw::SILENCE_DBOV;
        }
        let mean = self.energy as f32 / self.samples as f32;
        10.0 * (mean / SQUARES[usize::from(LOUDEST)] as f32).log10()
    }
}

const LOUDEST: u8 = 0x80;

/// By code: the square of its linear value.
const SQUARES: [u32; 256] = {
    let mut squares = [0; 256];
    let mut code = 0;
    while code < 256 {
        let magnitude = ulaw::EXPANDED[code].unsigned_abs() as u32;
        squares[code] = magnitude * magnitude;
        code += 1;
    }
    squares
};

#[cfg(test)]
mod tests {
    use super::*;

    /// A second of a sine of this amplitude, of which 1 is full scale.
    #[expect(clippy::cast_possible_truncation, reason = "a sine of 32,124 fits")]
    fn sine(amplitude: f64) -> Vec<u8> {
        let sample = |n: u32| (f64::from(n) * std::f64::consts::TAU / 80.0).sin() * 32_124.0;
        (0..8_000)
            .map(|n| ulaw::compress((sample(n) * amplitude) as i16))
            .collect()
    }

    #[track_caller]
    fn check(meter: Meter, dbov: f32) {
        let level = meter.dbov();
        assert!((level - dbov).abs() < 0.05, "{level} dBov is not {dbov}");
    }

    #[test]
    fn levels_are_relative_to_a_full_scale_square_wave() {
        check(Meter::of(&[0x80, 0x00, 0x80, 0x00]), 0.0);
        check(Meter::of(&sine(1.0)), -3.01);
        check(Meter::of(&sine(0.5)), -9.03);
        check(Meter::of(&sine(0.01)), -43.01);
        check(Meter::of(&[0xFE]), -72.08);
    }

    #[test]
    fn silence_and_nothing_have_the_least_level() {
        check(Meter::default(), ulaw::SILENCE_DBOV);
        check(Meter::of(&[0xFF, 0x7F]), ulaw::SILENCE_DBOV);
        assert!(Meter::of(&[0xFE]).dbov() > ulaw::SILENCE_DBOV);
    }

    #[test]
    fn the_level_is_that_of_all_that_was_heard_however_it_came() {
        let audio = [sine(1.0), vec![ulaw::SILENCE; 8_000]].concat();
        // Half of it is silence: half the power.
        check(Meter::of(&audio), -6.02);
        let mut frames = Meter::default();
        for frame in audio.chunks(160) {
            frames.add(Meter::of(frame));
        }
        assert_eq!(frames, Meter::of(&audio));
    }
}
