//! How speech is coded for an answer.

use std::time::Duration;

use sidetone_audio::ulaw;
use sidetone_deepgram::speak::query::{Encoding, Query};

/// A coding that can be made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) struct Coding {
    sample: Sample,
    rate_hz: u32,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sample {
    Mulaw,
    Linear16,
}

impl Coding {
    /// What was asked for; `None` when it cannot be made here.
    pub(in crate::emulator) fn of(query: &Query) -> Option<Self> {
        let sample = match query.encoding {
            Encoding::Mulaw => Sample::Mulaw,
            Encoding::Linear16 => Sample::Linear16,
            Encoding::Alaw | Encoding::Mp3 | Encoding::Opus | Encoding::Flac | Encoding::Aac => {
                return None;
            }
        };
        Some(Self {
            sample,
            rate_hz: query.sample_rate,
        })
    }

    /// Codes telephone audio anew. Each sample is held as long as it lasted there.
    pub(in crate::emulator) fn encode(self, codes: &[u8]) -> Vec<u8> {
        let held = (self.rate_hz / TELEPHONE_HZ) as usize;
        let samples = codes
            .iter()
            .flat_map(|&code| std::iter::repeat_n(code, held));
        match self.sample {
            Sample::Mulaw => samples.collect(),
            Sample::Linear16 => samples
                .flat_map(|code| ulaw::expand(code).to_le_bytes())
                .collect(),
        }
    }

    pub(in crate::emulator) fn bytes_in(self, duration: Duration) -> usize {
        let bytes = duration.as_micros() * u128::from(self.bytes_per_second()) / 1_000_000;
        usize::try_from(bytes).unwrap_or(usize::MAX)
    }

    pub(in crate::emulator) fn duration_of(self, bytes: usize) -> Duration {
        let micros = bytes as u64 * 1_000_000 / u64::from(self.bytes_per_second());
        Duration::from_micros(micros)
    }

    /// The header of a file whose length is not known yet.
    pub(in crate::emulator) fn wav_header(self) -> Vec<u8> {
        let tag: u16 = match self.sample {
            Sample::Mulaw => 7,
            Sample::Linear16 => 1,
        };
        let sample_bytes = self.sample_bytes();
        let fields: [&[u8]; 13] = [
            b"RIFF",
            &u32::MAX.to_le_bytes(),
            b"WAVE",
            b"fmt ",
            &16_u32.to_le_bytes(),
            &tag.to_le_bytes(),
            &1_u16.to_le_bytes(),
            &self.rate_hz.to_le_bytes(),
            &self.bytes_per_second().to_le_bytes(),
            &sample_bytes.to_le_bytes(),
            &(8 * sample_bytes).to_le_bytes(),
            b"data",
            &u32::MAX.to_le_bytes(),
        ];
        fields.concat()
    }

    fn bytes_per_second(self) -> u32 {
        self.rate_hz * u32::from(self.sample_bytes())
    }

    fn sample_bytes(self) -> u16 {
        match self.sample {
            Sample::Mulaw => 1,
            Sample::Linear16 => 2,
        }
    }
}

const TELEPHONE_HZ: u32 = 8_000;
