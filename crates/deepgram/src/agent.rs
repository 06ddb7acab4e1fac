//! The voice agent, `/v1/agent/converse`: someone to talk to on the phone.

pub mod link;
#[warn(clippy::arithmetic_side_effects)]
pub mod message;
pub mod settings;

/// Where the agent's WebSocket is, below its base URL.
pub const PATH: &str = "/v1/agent/converse";
