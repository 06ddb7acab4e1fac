//! Deepgram's side of the wire: live transcription messages both ways, its query parameters, and
//! the listen link as a state machine; text to speech ([`speak`]); the voice agent ([`agent`]) with
//! its messages, its settings and a link of its own.
//!
//! No sockets, no runtime, no clock: bytes and a time in, messages and deadlines out. What a
//! program with sockets does with it is in [`listen::link`] and [`agent::link`], which are told of
//! their connections by [`connection::Input`].
//!
//! ```
//! use sidetone_deepgram::listen::message::ServerMessage;
//! use sidetone_deepgram::listen::params::Params;
//!
//! let mut params = Params::default_profile();
//! params.set("keyterm", &["Sidetone"]).expect("nova-3 takes keyterms");
//! params.check().expect("nothing that excludes each other");
//! assert!(params.query(2, "CA0123").contains("channels=2&multichannel=true"));
//!
//! let text = r#"{"type":"SpeechStarted","channel":[1,2],"timestamp":9.54}"#;
//! let ServerMessage::SpeechStarted(started) = ServerMessage::parse(text).expect("a message") else {
//!     panic!("another message");
//! };
//! assert_eq!(started.channel.index, 1);
//! ```

#![warn(clippy::indexing_slicing)]

pub mod agent;
pub mod connection;
#[warn(clippy::arithmetic_side_effects)]
pub mod error;
pub mod listen;
mod params;
mod retry;
pub mod speak;
