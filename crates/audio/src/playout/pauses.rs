//! Where a voice pauses.

use std::ops::Range;

use crate::{SAMPLES_PER_MS, ulaw};

/// Finds the pauses in audio that comes bit by bit. Positions count its samples.
#[derive(Debug, Default)]
pub(super) struct Pauses {
    /// Those that are over, in order.
    over: Vec<Range<u64>>,
    /// Where the last sound ended.
    sound_end: u64,
    /// Samples so far.
    received: u64,
}

impl Pauses {
    /// The shortest pause: 150 ms. Stops within words take up to 100.
    const SHORTEST: u64 = 150 * SAMPLES_PER_MS;

    /// The loudest that is not a sound: 50 dB below full scale.
    const QUIET: u16 = 100;

    pub(super) fn push(&mut self, audio: &[u8]) {
        for &code in audio {
            if ulaw::expand(code).unsigned_abs() > Self::QUIET {
                self.over.extend(self.last());
                self.sound_end = self.received + 1;
            }
            self.received += 1;
        }
    }

    /// All of them, that with which the audio ends included.
    pub(super) fn iter(&self) -> impl Iterator<Item = Range<u64>> {
        self.over.iter().cloned().chain(self.last())
    }

    /// The pause with which the audio ends, if it ends with one.
    fn last(&self) -> Option<Range<u64>> {
        let quiet = self.sound_end..self.received;
        (quiet.end - quiet.start >= Self::SHORTEST).then_some(quiet)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beginnings and ends.
    fn pauses(pieces: &[&[u8]]) -> Vec<(u64, u64)> {
        let mut pauses = Pauses::default();
        pieces.iter().for_each(|piece| pauses.push(piece));
        pauses
            .iter()
            .map(|pause| (pause.start, pause.end))
            .collect()
    }

    #[test]
    fn a_pause_is_150_ms_without_sound() {
        let (sound, quiet) = ([0x2A; 400], [ulaw::SILENCE; 1_200]);
        assert_eq!(pauses(&[&sound, &quiet[1..], &sound]), []);
        assert_eq!(pauses(&[&sound, &quiet, &sound]), [(400, 1_600)]);
    }

    #[test]
    fn audio_may_begin_and_end_with_one() {
        let (sound, quiet) = ([0x2A; 400], [0x7E; 700]);
        let audio: [&[u8]; 5] = [&quiet, &quiet, &sound, &quiet, &quiet];
        assert_eq!(pauses(&audio), [(0, 1_400), (1_800, 3_200)]);
        assert_eq!(pauses(&[&quiet, &quiet]), [(0, 1_400)]);
    }
}
