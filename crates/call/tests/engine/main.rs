//! The call engine, driven as the gateway drives it: by what happens, in virtual time.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted fails it")]

mod deepgram;
mod line;

mod ending;
mod hearing;
mod links;
mod speaking;
mod streams;
