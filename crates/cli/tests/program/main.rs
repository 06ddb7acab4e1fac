//! The whole program, from outside: the real binary, real sockets, the simulator's phone and its
//! emulated Deepgram.

mod deepgram;
mod requests;
mod serve;
mod twilio;
mod watching;
mod web;

mod audio;
mod bad_input;
mod hostile;
mod listening;
mod signatures;
mod streams;
mod webhooks;
