//! A phone and a Deepgram without Twilio and Deepgram.
//!
//! The emulated Deepgram does not recite a script: it hears the words that the simulated speakers'
//! audio carries in its low bits. So a test that counts words proves the whole way of the audio.

mod dice;
pub mod emulator;
mod faults;
pub mod phone;
pub mod voice;

pub use faults::{FaultEntry, FaultError};
