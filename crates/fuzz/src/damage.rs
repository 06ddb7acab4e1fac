//! What is done to a sample.

use bolero::{Driver, TypeGenerator, ValueGenerator as _};

/// A sample and what is done to it, in order.
#[derive(Clone, Debug)]
pub(crate) struct Damages {
    sample: u16,
    damages: Vec<Damage>,
}

/// One change. Places and lengths count round the ends of what is there.
#[derive(Clone, Debug, TypeGenerator)]
enum Damage {
    /// Another byte.
    Replace { at: u16, with: u8 },
    /// Bytes missing.
    Remove { at: u16, len: u8 },
    /// Bytes again and again: nesting, long numbers, long names.
    Repeat { at: u16, len: u8, times: u8 },
    /// One of [`TOKENS`] more.
    Insert { at: u16, token: u8 },
    /// Noise more.
    Noise { at: u16, bytes: [u8; 6] },
    /// A piece of another sample.
    Splice {
        at: u16,
        other: u16,
        from: u16,
        len: u8,
    },
    /// Nothing from here on.
    Cut { at: u16 },
}

/// What decoders have stumbled over: ends of ranges, openings without an end, escapes.
const TOKENS: &[&[u8]] = &[
    b"",
    b"-1",
    b"0",
    b"1e999",
    b"-0.0",
    b"NaN",
    b"4294967296",
    b"18446744073709551616",
    b"0.0000000000000000000000000000000000000001",
    b"null",
    b"true",
    b"[",
    b"{",
    b"\"",
    b"\"\"",
    b"\\",
    b"\\ud800",
    b"\\u0000",
    b"\0",
    b"\xFF\xFE",
    b"\xED\xA0\x80",
    b"\xC2\x85",
    b"\xE2\x80\xAE",
    b"%",
    b"%00",
    b"%F0%9F",
    b"&",
    b"=",
    b"+",
    b"&#0;",
    b"&#xFFFFFFFF;",
    b"<!--",
    b"<![CDATA[",
    b"<!DOCTYPE a [<!ENTITY b \"c\">]>",
    b"'''",
    b"\r\n",
    b"\n",
    b"#",
    b"::1",
    b":65536",
    b"://",
    b"@",
    b"../",
    b"*",
];

impl Damages {
    /// The sample that is meant, with all of it done.
    pub(crate) fn applied_to(&self, samples: &[Vec<u8>]) -> Vec<u8> {
        let mut bytes = nth(samples, self.sample).clone();
        for damage in &self.damages {
            damage.apply(&mut bytes, samples);
        }
        bytes
    }
}

impl TypeGenerator for Damages {
    fn generate<D: Driver>(driver: &mut D) -> Option<Self> {
        Some(Self {
            sample: driver.produce()?,
            damages: bolero::produce::<Vec<Damage>>()
                .with()
                .len(1usize..=5)
                .generate(driver)?,
        })
    }
}

impl Damage {
    fn apply(&self, bytes: &mut Vec<u8>, samples: &[Vec<u8>]) {
        match *self {
            Self::Replace { at, with } => {
                let at = place(bytes, at);
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = with;
                }
            }
            Self::Remove { at, len } => {
                let piece = piece(bytes, at, len);
                bytes.drain(piece);
            }
            Self::Repeat { at, len, times } => {
                let piece = piece(bytes, at, len);
                let more = bytes[piece.clone()].repeat(times.into());
                bytes.splice(piece.start..piece.start, more);
            }
            Self::Insert { at, token } => {
                let at = place(bytes, at);
                let token = TOKENS[usize::from(token) % TOKENS.len()];
                bytes.splice(at..at, token.iter().copied());
            }
            Self::Noise { at, bytes: noise } => {
                let at = place(bytes, at);
                bytes.splice(at..at, noise);
            }
            Self::Splice {
                at,
                other,
                from,
                len,
            } => {
                let other = nth(samples, other);
                let at = place(bytes, at);
                bytes.splice(at..at, other[piece(other, from, len)].iter().copied());
            }
            Self::Cut { at } => bytes.truncate(place(bytes, at)),
        }
    }
}

fn nth(samples: &[Vec<u8>], which: u16) -> &Vec<u8> {
    &samples[usize::from(which) % samples.len()]
}

/// A place in or just behind `bytes`.
fn place(bytes: &[u8], at: u16) -> usize {
    usize::from(at) % (bytes.len() + 1)
}

/// Up to 31 bytes from a place on; rather few, for small changes go deeper.
fn piece(bytes: &[u8], at: u16, len: u8) -> std::ops::Range<usize> {
    let start = place(bytes, at);
    let end = bytes.len().min(start + usize::from(len % 32));
    start..end
}
