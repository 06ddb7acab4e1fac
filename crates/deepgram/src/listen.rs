//! Live transcription, `/v1/listen`.

pub mod link;
pub mod message;
pub mod params;
pub mod query;
pub mod times;
