//! The I/O shell: the listener, Twilio's and Deepgram's sockets, the subscribers, the API.
//!
//! It owns the sockets and the clocks; what happens on a call is decided by
//! [`sidetone_call::engine::Engine`], one task for each call.

pub mod calls;
pub mod config;
mod http;
pub mod metrics;
pub mod outbound;
mod private;
mod standard_webhooks;
pub mod twilio_rest;

mod gateway;

pub use crate::http::Echo;
pub use config::Config;
pub use gateway::{Gateway, Shutdown, StartError};

/// A number that nobody can guess.
fn random_u64() -> u64 {
    use ring::rand::{SecureRandom, SystemRandom};
    let mut bytes = [0; 8];
    SystemRandom::new()
        .fill(&mut bytes)
        .expect("the system has randomness");
    u64::from_le_bytes(bytes)
}
