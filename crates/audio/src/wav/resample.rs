//! Any rate down to the telephone's, for files: nothing here is meant for a live line.
//!
//! A windowed sinc that passes 3.4 kHz, the telephone's band, and stops at 4 kHz, where the new
//! rate would fold what is above into what is below. Its time runs in samples of the new rate, so
//! one table serves every old one.

use std::f64::consts::PI;

use crate::wav::TELEPHONE_HZ;

/// `linear`, sampled at `rate_hz`, at 8 kHz. What is there already stays as it is.
pub(super) fn to_telephone(linear: Vec<f32>, rate_hz: u32) -> Vec<f32> {
    if rate_hz == TELEPHONE_HZ {
        return linear;
    }
    let kernel = Kernel::new();
    let ratio = f64::from(rate_hz) / f64::from(TELEPHONE_HZ);
    // The last sample of the old rate is still within the new one's last.
    let samples = (linear.len() as u64 * u64::from(TELEPHONE_HZ)).div_ceil(u64::from(rate_hz));
    (0..samples)
        .map(|sample| {
            let centre = sample as f64 * ratio;
            let reach = REACH as f64 * ratio;
            let first = whole((centre - reach).ceil());
            let last = whole(centre + reach).min(linear.len() - 1);
            let mut sum = 0.0;
            for (at, value) in (first..).zip(&linear[first..=last]) {
                sum += value * kernel.at((at as f64 - centre) / ratio);
            }
            sum / single(ratio)
        })
        .collect()
}

/// How far the kernel reaches to each side, in samples of the new rate: a Blackman window of
/// twice this has a transition of 5.5 / 74 of the rate, 600 Hz.
const REACH: usize = 37;

/// Values of the table a sample; between them a straight line is within a ten thousandth.
const STEPS: usize = 256;

/// Half of the kernel; the other half is its mirror.
struct Kernel(Vec<f32>);

impl Kernel {
    fn new() -> Self {
        // Twice the middle of the transition, as a share of the new rate.
        let width = 2.0 * 3_700.0 / f64::from(TELEPHONE_HZ);
        let value = |step: usize| {
            let time = step as f64 / STEPS as f64;
            let phase = PI * width * time;
            let sinc = if step == 0 { 1.0 } else { phase.sin() / phase };
            let turn = PI * time / REACH as f64;
            let window = 0.42 + 0.5 * turn.cos() + 0.08 * (2.0 * turn).cos();
            single(width * sinc * window)
        };
        // One value more, for the line that begins at the last.
        Self((0..=REACH * STEPS + 1).map(value).collect())
    }

    fn at(&self, time: f64) -> f32 {
        let place = time.abs().min(REACH as f64) * STEPS as f64;
        let step = whole(place);
        let share = single(place - step as f64);
        self.0[step] * (1.0 - share) + self.0[step + 1] * share
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a place in a file is far below 2^53, and one before it saturates to its start"
)]
const fn whole(place: f64) -> usize {
    place as usize
}

#[expect(clippy::cast_possible_truncation, reason = "audio has no use for more")]
const fn single(value: f64) -> f32 {
    value as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The gain of a tone through the resampler in dB, measured away from the ends.
    fn gain_db(rate_hz: u32, tone_hz: f64) -> f64 {
        let turn = 2.0 * PI * tone_hz / f64::from(rate_hz);
        let tone = (0..rate_hz).map(|at| single((turn * f64::from(at)).sin()));
        let heard = to_telephone(tone.collect(), rate_hz);
        assert_eq!(heard.len(), 8_000);
        let middle = &heard[100..7_900];
        let power: f64 = middle.iter().map(|&value| f64::from(value).powi(2)).sum();
        10.0 * (2.0 * power / middle.len() as f64).log10()
    }

    const RATES_HZ: [u32; 6] = [11_025, 16_000, 22_050, 44_100, 48_000, 95_989];

    #[test]
    fn the_telephone_band_passes_unchanged() {
        for rate_hz in RATES_HZ {
            for tone_hz in [300.0, 1_000.0, 2_500.0, 3_400.0] {
                let gain = gain_db(rate_hz, tone_hz);
                assert!(gain.abs() < 0.1, "{tone_hz} Hz of {rate_hz}: {gain:.2} dB");
            }
        }
    }

    #[test]
    fn what_would_fold_into_the_band_is_gone() {
        for rate_hz in RATES_HZ {
            for tone_hz in [4_050.0, 4_600.0, 5_300.0, f64::from(rate_hz) * 0.48] {
                let gain = gain_db(rate_hz, tone_hz);
                assert!(gain < -65.0, "{tone_hz} Hz of {rate_hz}: {gain:.1} dB");
            }
        }
    }

    #[test]
    fn a_click_stays_at_its_time() {
        let mut click = vec![0.0; 48_000];
        click[24_000] = 1.0;
        let heard = to_telephone(click, 48_000);
        let loudest = (0..heard.len()).max_by(|&a, &b| heard[a].total_cmp(&heard[b]));
        assert_eq!(loudest, Some(4_000));
    }

    #[test]
    fn the_shortest_file_is_a_sample() {
        assert_eq!(to_telephone(vec![1.0], 96_000).len(), 1);
    }
}
