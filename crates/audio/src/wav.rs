//! WAV files to and from telephone audio.
//!
//! [`read`] takes what people have: PCM, float, mu-law and A-law, mono or stereo, at any usual
//! rate. What it gives is 8 kHz mu-law, one lane a channel; a file that is already that passes
//! code for code. [`header`] begins a file of such codes.

mod file;
mod resample;
mod sample;

#[cfg(test)]
mod tests;

use thiserror::Error;

use crate::wav::file::File;

/// The rates that are read, in Hz.
pub const RATES_HZ: std::ops::RangeInclusive<u32> = TELEPHONE_HZ..=96_000;

/// The most channels that are read.
pub const MAX_CHANNELS: u16 = 2;

/// Bytes of the header that [`header`] makes.
pub const HEADER_BYTES: usize = 58;

/// Audio out of a file, as a telephone line carries it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recording {
    /// Mu-law codes at 8 kHz for each channel, left first: one or two lanes of the same length.
    pub lanes: Vec<Vec<u8>>,
}

/// Why a file is no audio for a telephone line.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum WavError {
    /// The file does not begin with a RIFF header of the WAVE kind.
    #[error("this is no WAV file: it does not begin with RIFF and WAVE")]
    NotWav,
    /// There is no `fmt ` chunk, or it is cut off.
    #[error("the WAV file does not say what its audio is: it has no whole `fmt ` chunk")]
    NoFormat,
    /// There is no `data` chunk, or no whole sample is in it.
    #[error("the WAV file holds no audio")]
    Empty,
    /// A coding other than PCM, 32-bit float, A-law and mu-law.
    #[error(
        "the WAV file has {bits} bits of format {tag:#06x} a sample; \
         PCM of 8, 16, 24 or 32 bits, 32-bit float, A-law and mu-law can be read"
    )]
    Coding {
        /// `wFormatTag`, or that of the sub-format of WAVE_FORMAT_EXTENSIBLE.
        tag: u16,
        /// `wBitsPerSample`.
        bits: u16,
    },
    /// No channel, or more than [`MAX_CHANNELS`].
    #[error("the WAV file has {0} channels; one or two can be read")]
    Channels(u16),
    /// A rate outside [`RATES_HZ`].
    #[error("the WAV file has {0} samples a second; 8,000 to 96,000 can be read")]
    Rate(u32),
    /// `nBlockAlign` is not what the channels and bits come to.
    #[error(
        "the WAV file contradicts itself: {found} bytes a frame, where its format has {expected}"
    )]
    Frame {
        /// Channels times bytes of a sample.
        expected: u16,
        /// What the file says.
        found: u16,
    },
}

/// Reads a WAV file as telephone audio.
///
/// Other chunks than `fmt ` and `data` are passed over. A data size of 0 or beyond the end of the
/// file, which a streaming writer and a torn file leave, means all that is there; a torn last
/// frame is dropped. Other rates than 8 kHz are filtered to 3.4 kHz and resampled. Takes memory
/// of a few times the input's size.
///
/// # Errors
/// [`WavError`] when the bytes are no WAV file, hold no audio, or hold audio of another kind than
/// the module names.
pub fn read(bytes: &[u8]) -> Result<Recording, WavError> {
    let file = File::parse(bytes)?;
    let lanes = (0..file.channels)
        .map(|channel| file.lane(channel))
        .collect();
    Ok(Recording { lanes })
}

/// The header of a mu-law file at 8 kHz (format 7, with the `fact` chunk that formats other than
/// PCM need).
///
/// `data_bytes` codes follow, the channels' alternating, and one byte more of padding when their
/// number is odd. With 0 the file reads to its end, however long it grows.
pub fn header(channels: u16, data_bytes: u32) -> [u8; HEADER_BYTES] {
    let padded = data_bytes.saturating_add(data_bytes & 1);
    let after_riff = padded.saturating_add(AFTER_RIFF);
    let samples = data_bytes / u32::from(channels.max(1));
    let fields: [&[u8]; 17] = [
        b"RIFF",
        &after_riff.to_le_bytes(),
        b"WAVE",
        b"fmt ",
        &18u32.to_le_bytes(),
        &sample::MU_LAW.to_le_bytes(),
        &channels.to_le_bytes(),
        &TELEPHONE_HZ.to_le_bytes(),
        &(TELEPHONE_HZ * u32::from(channels)).to_le_bytes(),
        &channels.to_le_bytes(),
        &8u16.to_le_bytes(),
        &0u16.to_le_bytes(),
        b"fact",
        &4u32.to_le_bytes(),
        &samples.to_le_bytes(),
        b"data",
        &data_bytes.to_le_bytes(),
    ];
    let mut header = [0; HEADER_BYTES];
    let mut rest = &mut header[..];
    for field in fields {
        let (place, after) = rest.split_at_mut(field.len());
        place.copy_from_slice(field);
        rest = after;
    }
    header
}

/// Samples a second on a telephone line.
const TELEPHONE_HZ: u32 = 8_000;

/// Bytes of the header behind the size of the whole.
const AFTER_RIFF: u32 = 50;
