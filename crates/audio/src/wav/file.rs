//! The chunks of a RIFF file, and the samples in them.

use crate::ulaw;
use crate::wav::sample::{EXTENSIBLE, Sample};
use crate::wav::{MAX_CHANNELS, RATES_HZ, TELEPHONE_HZ, WavError, resample};

/// A file whose format is known and whose data was found.
pub(super) struct File<'a> {
    pub(super) channels: u16,
    rate_hz: u32,
    sample: Sample,
    data: &'a [u8],
}

impl<'a> File<'a> {
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Self, WavError> {
        let (mut format, mut data) = (None, None);
        let chunks = match bytes.split_at_checked(12) {
            Some((riff, chunks)) if riff.starts_with(b"RIFF") && riff.ends_with(b"WAVE") => chunks,
            _ => return Err(WavError::NotWav),
        };
        for (name, body) in Chunks(chunks) {
            match &name {
                b"fmt " => format = format.or(Some(body)),
                b"data" => data = data.or(Some(body)),
                _ => {}
            }
        }
        let mut file = Self::of_format(format.ok_or(WavError::NoFormat)?)?;
        file.data = data.ok_or(WavError::Empty)?;
        if file.data.len() < file.frame_bytes() {
            return Err(WavError::Empty);
        }
        Ok(file)
    }

    /// The mu-law codes of a channel.
    pub(super) fn lane(&self, channel: u16) -> Vec<u8> {
        let from = usize::from(channel) * self.sample.bytes();
        let samples = self
            .data
            .chunks_exact(self.frame_bytes())
            .map(|frame| &frame[from..][..self.sample.bytes()]);
        if self.sample == Sample::MuLaw && self.rate_hz == TELEPHONE_HZ {
            return samples.flatten().copied().collect();
        }
        let linear: Vec<f32> = samples.map(|sample| self.sample.linear(sample)).collect();
        resample::to_telephone(linear, self.rate_hz)
            .into_iter()
            .map(|value| ulaw::compress(rounded(value)))
            .collect()
    }

    fn of_format(body: &[u8]) -> Result<Self, WavError> {
        let field = |at: usize| -> Result<u16, WavError> {
            let field = body.get(at..at + 2).ok_or(WavError::NoFormat)?;
            Ok(u16::from_le_bytes([field[0], field[1]]))
        };
        let (channels, frame_bytes, bits) = (field(2)?, field(12)?, field(14)?);
        let rate_hz = u32::from(field(4)?) | u32::from(field(6)?) << 16;
        let tag = match field(0)? {
            // The sub-format is a GUID whose first two bytes are the tag that it stands for.
            EXTENSIBLE => field(24)?,
            tag => tag,
        };
        let sample = Sample::new(tag, bits).ok_or(WavError::Coding { tag, bits })?;
        if !(1..=MAX_CHANNELS).contains(&channels) {
            return Err(WavError::Channels(channels));
        }
        if !RATES_HZ.contains(&rate_hz) {
            return Err(WavError::Rate(rate_hz));
        }
        let expected = channels * (bits / 8);
        if frame_bytes != expected {
            let found = frame_bytes;
            return Err(WavError::Frame { expected, found });
        }
        Ok(Self {
            channels,
            rate_hz,
            sample,
            data: &[],
        })
    }

    fn frame_bytes(&self) -> usize {
        usize::from(self.channels) * self.sample.bytes()
    }
}

/// The chunks of a file, each with its name.
struct Chunks<'a>(&'a [u8]);

impl<'a> Iterator for Chunks<'a> {
    type Item = ([u8; 4], &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let (head, rest) = self.0.split_first_chunk::<8>()?;
        let [n0, n1, n2, n3, s0, s1, s2, s3] = *head;
        let name = [n0, n1, n2, n3];
        let mut size = u32::from_le_bytes([s0, s1, s2, s3]) as usize;
        if &name == b"data" && size == 0 {
            size = rest.len();
        }
        let (body, after) = rest.split_at_checked(size).unwrap_or((rest, &[]));
        // A chunk of odd size is followed by a byte of padding.
        self.0 = after.get(size % 2..).unwrap_or(&[]);
        Some((name, body))
    }
}

#[expect(clippy::cast_possible_truncation, reason = "it saturates, which clips")]
fn rounded(value: f32) -> i16 {
    value.round() as i16
}
