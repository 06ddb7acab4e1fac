//! What is in front of audio.

use super::NotTelephoneAudio;

/// What the beginning of a body tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Found {
    /// More of it is needed.
    NotYet,
    /// Mu-law.
    Audio(Audio),
}

/// Where codes are.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Audio {
    /// Their place in the body.
    pub(super) at: usize,
    /// How many; `None`: all that follow.
    pub(super) bytes: Option<u64>,
}

/// Looks for the audio in what begins with these bytes.
///
/// A header is told by its first four bytes, with which chance begins one of 2^32 bodies.
pub(super) fn find(body: &[u8]) -> Result<Found, NotTelephoneAudio> {
    for (name, other) in OTHERS {
        if body.starts_with(name) {
            return Err(NotTelephoneAudio::Container(other));
        }
    }
    if RIFF.starts_with(body) || OTHERS.iter().any(|(name, _)| name.starts_with(body)) {
        return Ok(Found::NotYet);
    }
    match (body.strip_prefix(RIFF), body.get(8..12)) {
        (Some(_), None) => Ok(Found::NotYet),
        (Some(_), Some(b"WAVE")) => wav(body),
        _ => Ok(Found::Audio(Audio { at: 0, bytes: None })),
    }
}

/// Walks the chunks of a WAV file up to its audio.
fn wav(body: &[u8]) -> Result<Found, NotTelephoneAudio> {
    let mut at: usize = 12;
    let mut is_mulaw = false;
    while at <= MAX_HEADER_BYTES {
        let Some((head, chunk)) = body
            .get(at..)
            .and_then(|rest| rest.split_first_chunk::<8>())
        else {
            return Ok(Found::NotYet);
        };
        let [name @ .., a, b, c, d] = *head;
        let size = u32::from_le_bytes([a, b, c, d]);
        match &name {
            b"fmt " => {
                let Some(format) = chunk.first_chunk::<16>() else {
                    return Ok(Found::NotYet);
                };
                is_mulaw = check_format(format)?;
            }
            b"data" if is_mulaw => {
                let whole = (1..STREAMED).contains(&size);
                return Ok(Found::Audio(Audio {
                    at: at.saturating_add(8),
                    bytes: whole.then_some(size.into()),
                }));
            }
            b"data" => return Err(NotTelephoneAudio::Damaged),
            _ => {}
        }
        // Chunks begin at even places.
        let padded = u64::from(size).next_multiple_of(2).saturating_add(8);
        at = at.saturating_add(usize::try_from(padded).unwrap_or(usize::MAX));
    }
    Err(NotTelephoneAudio::Damaged)
}

fn check_format(format: &[u8; 16]) -> Result<bool, NotTelephoneAudio> {
    let [t0, t1, c0, c1, r0, r1, r2, r3, ..] = *format;
    let tag = u16::from_le_bytes([t0, t1]);
    let channels = u16::from_le_bytes([c0, c1]);
    let rate_hz = u32::from_le_bytes([r0, r1, r2, r3]);
    if (tag, channels, rate_hz) == (MU_LAW, 1, 8_000) {
        Ok(true)
    } else {
        Err(NotTelephoneAudio::Format {
            tag,
            channels,
            rate_hz,
        })
    }
}

const RIFF: &[u8] = b"RIFF";

const OTHERS: &[(&[u8], &str)] = &[
    (b"OggS", "Ogg"),
    (b"fLaC", "FLAC"),
    (b"ID3\x03", "MP3"),
    (b"ID3\x04", "MP3"),
];

/// `WAVE_FORMAT_MULAW`.
const MU_LAW: u16 = 7;

/// Sizes from here on, and 0, are what a writer puts down that does not know the end.
const STREAMED: u32 = 0x7FFF_0000;

const MAX_HEADER_BYTES: usize = 64 << 10;
