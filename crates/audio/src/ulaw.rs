//! G.711 mu-law (ITU-T G.711): silence, expansion, compression, levels.
//!
//! One code is one sample. Linear values are 16 bits wide: the 14-bit levels of G.711, times four.

use crate::Meter;

/// The code of digital silence that is written into holes.
pub const SILENCE: u8 = 0xFF;

/// The level of digital silence in dBov, the least that RFC 6464 can express.
pub const SILENCE_DBOV: f32 = -127.0;

/// Expands a code to its linear value, -32,124 to 32,124.
///
/// Each of the 256 codes is valid; 0x7F and 0xFF are both 0.
pub const fn expand(code: u8) -> i16 {
    EXPANDED[code as usize]
}

/// Compresses a linear value to its code; what is louder than the loudest code is clipped.
pub const fn compress(pcm: i16) -> u8 {
    let sign = if pcm < 0 { 0x80 } else { 0 };
    let magnitude = pcm.unsigned_abs();
    let biased = if magnitude > CLIP {
        CLIP + BIAS
    } else {
        magnitude + BIAS
    };
    // The bias sets bit 7 at least, and the clip spares bit 15.
    let segment = ((biased.ilog2() - 7) & 7) as u8;
    let step = ((biased >> (segment + 3)) & 0x0F) as u8;
    !(sign | (segment << 4) | step)
}

/// Whether `code` is digital silence: 0 or the least step beside it (0xFF, 0x7F, 0xFE, 0x7E).
pub const fn is_silence(code: u8) -> bool {
    matches!(code, 0xFF | 0x7F | 0xFE | 0x7E)
}

/// Whether all of `codes` are digital silence.
pub fn is_silent(codes: &[u8]) -> bool {
    codes.iter().all(|&code| is_silence(code))
}

/// The level of a block in dBov, [`SILENCE_DBOV`] to 0, as a [`Meter`] tells it.
pub fn level_dbov(codes: &[u8]) -> f32 {
    Meter::of(codes).dbov()
}

/// Added to a magnitude so that every segment begins at a power of two.
const BIAS: u16 = 0x84;

/// The greatest magnitude that stays within 15 bits once biased.
const CLIP: u16 = 0x7FFF - BIAS;

/// By code: its linear value.
pub(crate) const EXPANDED: [i16; 256] = {
    let mut table = [0; 256];
    let mut code = 0;
    while code < 256 {
        let bits = !code;
        let magnitude = ((((bits & 0x0F) << 3) + 0x84) << ((bits >> 4) & 7)) - 0x84;
        table[code as usize] = if bits & 0x80 == 0 {
            magnitude
        } else {
            -magnitude
        };
        code += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_codes_expand_to_their_levels() {
        let known = [
            (0xFF, 0),
            (0x7F, 0),
            (0xFE, 8),
            (0x7E, -8),
            (0x80, 32_124),
            (0x00, -32_124),
        ];
        for (code, level) in known {
            assert_eq!(expand(code), level, "{code:#04x}");
        }
    }

    #[test]
    fn every_code_survives_expansion_and_compression() {
        for code in 0..=u8::MAX {
            let survivor = if code == 0x7F { 0xFF } else { code }; // There is no negative zero.
            assert_eq!(compress(expand(code)), survivor, "{code:#04x}");
        }
    }

    #[test]
    fn every_value_is_compressed_to_within_half_a_step() {
        for pcm in i16::MIN..=i16::MAX {
            let code = compress(pcm);
            let clipped = i32::from(pcm).clamp(-32_635, 32_635);
            let half_step = 4 << (!code >> 4 & 7);
            let error = (i32::from(expand(code)) - clipped).abs();
            assert!(
                error <= half_step,
                "{pcm} became {code:#04x}, off by {error}"
            );
        }
    }

    #[test]
    fn a_louder_value_is_never_compressed_to_a_softer_code() {
        for pcm in i16::MIN..i16::MAX {
            assert!(expand(compress(pcm)) <= expand(compress(pcm + 1)), "{pcm}");
        }
    }

    #[test]
    fn four_codes_are_silence() {
        let silent: Vec<u8> = (0..=u8::MAX).filter(|&code| is_silence(code)).collect();
        assert_eq!(silent, [0x7E, 0x7F, 0xFE, 0xFF]);
        assert!(silent.iter().all(|&code| expand(code).abs() <= 8));
    }

    #[test]
    fn one_audible_sample_makes_a_block_not_silent() {
        assert!(is_silent(&[]));
        assert!(is_silent(&[0xFF, 0x7F, 0xFE, 0x7E]));
        assert!(!is_silent(&[0xFF, 0xFD, 0xFF]));
    }
}
