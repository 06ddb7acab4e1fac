//! The call engine, driven as the gateway drives it: by what happens, in virtual time.

#![expect(clippy::unwrap_used, reason = "what a test takes for granted fails it")]

mod agent;
mod deepgram;
mod line;

mod conversing;
mod departing;
mod ending;
mod functions;
mod hearing;
mod injecting;
mod links;
mod schedules;
mod speaking;
mod streams;
mod watching;
