//! What the gateway answers over HTTP, seen from the outside of a running one.

#[path = "../stream/support.rs"]
#[expect(dead_code, reason = "shared with the tests of media streams")]
mod support;

mod access;
mod client;
mod events;
mod twilio;
mod wire;
