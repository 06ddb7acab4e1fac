//! How a WAV file writes one sample.

use crate::ulaw;

/// `WAVE_FORMAT_MULAW`.
pub(super) const MU_LAW: u16 = 7;

/// `WAVE_FORMAT_EXTENSIBLE`: the coding stands in the sub-format.
pub(super) const EXTENSIBLE: u16 = 0xFFFE;

/// The coding of a sample, little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Sample {
    /// Unsigned, 128 is silence.
    Pcm8,
    Pcm16,
    Pcm24,
    Pcm32,
    /// Full scale is 1.
    Float,
    ALaw,
    MuLaw,
}

impl Sample {
    /// The coding of `wFormatTag` and `wBitsPerSample`.
    pub(super) const fn new(tag: u16, bits: u16) -> Option<Self> {
        match (tag, bits) {
            (1, 8) => Some(Self::Pcm8),
            (1, 16) => Some(Self::Pcm16),
            (1, 24) => Some(Self::Pcm24),
            (1, 32) => Some(Self::Pcm32),
            (3, 32) => Some(Self::Float),
            (6, 8) => Some(Self::ALaw),
            (MU_LAW, 8) => Some(Self::MuLaw),
            _ => None,
        }
    }

    pub(super) const fn bytes(self) -> usize {
        match self {
            Self::Pcm8 | Self::ALaw | Self::MuLaw => 1,
            Self::Pcm16 => 2,
            Self::Pcm24 => 3,
            Self::Pcm32 | Self::Float => 4,
        }
    }

    /// The value on the scale of 16 bits. `bytes` are exactly those of one sample; a float that is
    /// no number is silence.
    pub(super) fn linear(self, bytes: &[u8]) -> f32 {
        match (self, bytes) {
            (Self::Pcm8, &[a]) => (f32::from(a) - 128.0) * 256.0,
            (Self::Pcm16, &[a, b]) => f32::from(i16::from_le_bytes([a, b])),
            (Self::Pcm24, &[a, b, c]) => i32::from_le_bytes([0, a, b, c]) as f32 / 65_536.0,
            (Self::Pcm32, &[a, b, c, d]) => i32::from_le_bytes([a, b, c, d]) as f32 / 65_536.0,
            (Self::Float, &[a, b, c, d]) => {
                let value = f32::from_le_bytes([a, b, c, d]);
                if value.is_nan() {
                    return 0.0;
                }
                value.clamp(-1.0, 1.0) * 32_768.0
            }
            (Self::ALaw, &[a]) => f32::from(expand_a_law(a)),
            (Self::MuLaw, &[a]) => f32::from(ulaw::expand(a)),
            _ => unreachable!("a frame is cut into whole samples"),
        }
    }
}

/// Expands an A-law code (ITU-T G.711) to its linear value, -32,256 to 32,256.
const fn expand_a_law(code: u8) -> i16 {
    let bits = code ^ 0x55;
    let step = ((bits & 0x0F) as i16) << 4;
    let magnitude = match (bits >> 4) & 7 {
        0 => step + 8,
        segment => (step + 0x108) << (segment - 1),
    };
    if bits & 0x80 == 0 {
        -magnitude
    } else {
        magnitude
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// G.711, table 1a: decoder output values are eighths of these.
    #[test]
    fn known_a_law_codes_expand_to_their_levels() {
        let known = [
            (0xD5, 8),
            (0x55, -8),
            (0xD4, 24),
            (0xC5, 264),
            (0xAA, 32_256),
            (0x2A, -32_256),
        ];
        for (code, level) in known {
            assert_eq!(expand_a_law(code), level, "{code:#04x}");
        }
    }
}
