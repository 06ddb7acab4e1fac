//! The I/O shell: the listener, Twilio's and Deepgram's sockets, the subscribers, the API.
//!
//! It owns the sockets and the clocks; what happens on a call is decided by
//! [`sidetone_call::engine::Engine`], one task for each call.

pub mod calls;
pub mod config;
mod http;
pub mod metrics;
pub mod outbound;
pub mod twilio_rest;

mod gateway;

pub use crate::http::Echo;
pub use config::Config;
pub use gateway::{Gateway, Shutdown, StartError};
