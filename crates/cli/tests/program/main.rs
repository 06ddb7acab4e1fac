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
mod emulated;
mod neighbour;
mod ordering;
mod orders;
mod raw;
mod readers;
mod relay;
mod requests;
mod rest;
mod scripted;
mod serve;
mod twilio;
mod watching;
mod web;

mod access;
mod admission;
mod agent;
mod agent_load;
mod audio;
mod bad_input;
mod callbacks;
mod calling;
mod calls;
mod check;
mod client;
mod control;
mod crowd;
mod deepgram_failures;
mod deepgram_faults;
mod demo;
mod emulate;
mod emulated_calls;
mod events;
mod following;
mod hostile;
mod hostile_deepgram;
mod hostile_frames;
mod interrupting;
mod links;
mod listening;
mod listening_in;
mod number;
mod operations;
mod phone_faults;
mod placing;
mod readers_property;
mod readme;
mod signatures;
mod speaking;
mod streams;
mod terminal;
mod three_terminals;
mod tls;
mod unread;
mod webhooks;
