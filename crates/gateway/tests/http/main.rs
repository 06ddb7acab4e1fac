//! What the gateway answers over HTTP, seen from the outside of a running one.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on says where")]

#[path = "../stream/support.rs"]
#[expect(dead_code, reason = "shared with the tests of media streams")]
mod support;

mod access;
mod agent;
mod archive;
mod client;
mod events;
mod twilio;
mod wire;
