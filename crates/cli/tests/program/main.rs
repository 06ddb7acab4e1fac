//! The whole program, from outside: the real binary, real sockets, the simulator's phone and its
//! emulated Deepgram.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]
#![expect(clippy::large_futures, reason = "a test has few of them")]
#![expect(
    clippy::let_underscore_must_use,
    reason = "that a peer is gone shows in what follows"
)]

mod command;
mod deepgram;
mod raw;
mod readers;
mod requests;
mod scripted;
mod serve;
mod twilio;
mod watching;
mod web;

mod access;
mod admission;
mod audio;
mod bad_input;
mod callbacks;
mod calls;
mod client;
mod deepgram_failures;
mod demo;
mod events;
mod following;
mod hostile;
mod listening;
mod operations;
mod signatures;
mod streams;
mod terminal;
mod webhooks;
