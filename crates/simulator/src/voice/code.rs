//! How a word is carried in its own audio.
//!
//! The low bits of a word's samples, in order, most significant bit first:
//!
//! | bits | |
//! |---|---|
//! | 64 | [`SYNC`] |
//! | 32 | samples of the word, from the first bit of the sync to the last of the audio checksum |
//! | 8 | bytes of the text |
//! | 8 each | the text as written, UTF-8 |
//! | 32 | CRC-32 of the two lengths and the text |
//! | any | the audio's own low bits |
//! | 32, the last | CRC-32 of all samples of the word, these 32 with their low bit 0 |
//!
//! So every bit of every sample is covered, and a lost or repeated sample shifts all that follow.
//! (To repeat the very first or last sample of a word is to lengthen the pause beside it, and
//! breaks nothing.) No sample of a word is digital silence: whatever drops or inserts digital
//! silence only, leaves words whole.

use super::crc32::Crc32;
use super::text::MAX_WORD_BYTES;

/// Marks a word's first 64 samples. Chance makes these bits in one of 2^64 samples.
pub(super) const SYNC: u64 = 0xA6D1_5C3E_8B29_F074;

/// Samples whose low bits carry [`SYNC`].
pub(super) const SYNC_SAMPLES: u32 = u64::BITS;

/// The last samples, whose low bits carry the checksum of all.
pub(super) const CHECK_SAMPLES: u32 = u32::BITS;

/// How far a word has come, at most, when its header is whole.
pub(crate) const ANNOUNCED_WITHIN_SAMPLES: u64 =
    SYNC_SAMPLES as u64 + 8 * (FIXED_BYTES + MAX_WORD_BYTES + CHECK_BYTES) as u64;

/// Writes `text` into the low bits of its audio, which is stretched with comfort noise when it is
/// too short to hold them.
///
/// `text` has at most [`MAX_WORD_BYTES`] bytes, the audio less than 2^32 samples.
pub(super) fn carry(audio: &mut Vec<u8>, text: &str) {
    assert!(
        text.len() <= MAX_WORD_BYTES,
        "a word of {} bytes",
        text.len()
    );
    let shortest = SYNC_SAMPLES + header_bits(text.len()) + CHECK_SAMPLES;
    let missing = (shortest as usize).saturating_sub(audio.len());
    audio.extend(comfort_noise(missing));
    for sample in audio.iter_mut() {
        *sample = audible(*sample);
    }

    let samples = u32::try_from(audio.len()).expect("a word lasts seconds");
    let check_at = audio.len() - CHECK_SAMPLES as usize;
    let (sync, carrier) = audio.split_at_mut(SYNC_SAMPLES as usize);
    write_bits(sync, &SYNC.to_be_bytes());
    write_bits(carrier, &header(samples, text));
    write_bits(&mut audio[check_at..], &[0; CHECK_SAMPLES as usize / 8]);
    let checksum = Crc32::of(audio);
    write_bits(&mut audio[check_at..], &checksum.to_be_bytes());
}

/// Low-level noise, about -65 dBFS: the same for the same length.
pub(super) fn comfort_noise(samples: usize) -> impl Iterator<Item = u8> {
    let mut state = 0x9E37_79B9_u32;
    std::iter::repeat_with(move || {
        // Xorshift32 (Marsaglia, 2003).
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        let [_, _, magnitude, sign] = state.to_be_bytes();
        (0xFC | magnitude & 1) ^ (sign & 0x80)
    })
    .take(samples)
}

/// The header of a word that is under way.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Header {
    /// More bytes are needed.
    Partial,
    /// This is no header, or a damaged one.
    Damaged,
    /// All there.
    Whole {
        /// Samples of the whole word.
        samples: u32,
        /// The word as written.
        text: String,
    },
}

/// Reads a header, which may not be there in full yet.
pub(super) fn read_header(bytes: &[u8]) -> Header {
    let Some((fixed, rest)) = bytes.split_first_chunk::<FIXED_BYTES>() else {
        return Header::Partial;
    };
    let [length @ .., text_bytes] = *fixed;
    let text_bytes = usize::from(text_bytes);
    if text_bytes > MAX_WORD_BYTES {
        return Header::Damaged;
    }
    let Some((check, _)) = rest
        .get(text_bytes..)
        .and_then(|rest| rest.split_first_chunk())
    else {
        return Header::Partial;
    };
    let covered = &bytes[..FIXED_BYTES + text_bytes];
    let samples = u32::from_be_bytes(length);
    let fits = samples >= SYNC_SAMPLES + header_bits(text_bytes) + CHECK_SAMPLES;
    match std::str::from_utf8(&rest[..text_bytes]) {
        Ok(text) if fits && Crc32::of(covered) == u32::from_be_bytes(*check) => Header::Whole {
            samples,
            text: text.to_owned(),
        },
        _ => Header::Damaged,
    }
}

/// The length of the word, the length of the text, the text, their checksum.
fn header(samples: u32, text: &str) -> Vec<u8> {
    let mut header = samples.to_be_bytes().to_vec();
    header.push(u8::try_from(text.len()).expect("a word is not longer than MAX_WORD_BYTES"));
    header.extend(text.as_bytes());
    header.extend(Crc32::of(&header).to_be_bytes());
    header
}

fn header_bits(text_bytes: usize) -> u32 {
    let bytes = FIXED_BYTES + text_bytes + CHECK_BYTES;
    u32::try_from(bytes * 8).expect("a word is not longer than MAX_WORD_BYTES")
}

/// Sets the low bits of the first `8 * bytes.len()` samples.
fn write_bits(samples: &mut [u8], bytes: &[u8]) {
    let bits = bytes
        .iter()
        .flat_map(|byte| (0..8).rev().map(move |bit| byte >> bit & 1));
    for (sample, bit) in samples.iter_mut().zip(bits) {
        *sample = *sample & !1 | bit;
    }
}

/// Raises the four codes of digital silence (0xFF, 0x7F, 0xFE, 0x7E) by two quantisation steps.
const fn audible(sample: u8) -> u8 {
    if sample & 0x7E == 0x7E {
        sample & !0x02
    } else {
        sample
    }
}

/// The lengths of word and text.
const FIXED_BYTES: usize = 5;

const CHECK_BYTES: usize = 4;
