//! Speaks a text, so that the emulated Deepgram can hear it: mu-law WAV at 8 kHz on standard
//! output, with two seconds of silence behind it.
//!
//! ```sh
//! cargo run -p sidetone-simulator --example speak -- 'hello, is anybody there?' > hello.wav
//! ```

use std::io::Write as _;

use sidetone_audio::{ulaw, wav};
use sidetone_simulator::voice::speak;

fn main() -> std::io::Result<()> {
    let text: Vec<String> = std::env::args().skip(1).collect();
    let mut codes = speak(&text.join(" ")).ulaw;
    codes.resize(codes.len() + 16_000, ulaw::SILENCE);
    let data_bytes = u32::try_from(codes.len()).map_err(std::io::Error::other)?;
    let mut out = std::io::stdout().lock();
    out.write_all(&wav::header(1, data_bytes))?;
    out.write_all(&codes)?;
    out.flush()
}
