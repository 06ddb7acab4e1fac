//! Live transcription, `/v1/listen`.

pub mod link;
#[warn(clippy::arithmetic_side_effects)]
pub mod message;
pub mod params;
#[warn(clippy::arithmetic_side_effects)]
pub mod query;
#[warn(clippy::arithmetic_side_effects)]
pub mod times;
