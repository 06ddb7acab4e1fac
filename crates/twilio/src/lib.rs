//! Twilio's side of the wire: media-stream messages, TwiML, request signatures, callback forms,
//! the REST API.
//!
//! No sockets, no runtime, no clock: bytes in, values out, and the other way. Everything is there
//! both ways, so that a server and a simulated Twilio can be built on the same code.
//!
//! ```
//! use sidetone_twilio::stream::{Incoming, MediaTrack};
//!
//! let text = r#"{"event":"media","sequenceNumber":"2","media":{"track":"inbound","chunk":"1",
//!     "timestamp":"57","payload":"f39//w=="},"streamSid":"MZ00000000000000000000000000000003"}"#;
//! let Incoming::Media(media) = Incoming::parse(text)? else { panic!("a media message") };
//! assert_eq!((media.track, media.timestamp_ms), (MediaTrack::Inbound, 57));
//!
//! let mut audio = Vec::new();
//! media.payload.decode_into(&mut audio)?;
//! assert_eq!(audio, [0x7f, 0x7f, 0x7f, 0xff]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)]

pub mod form;
pub mod rest;
pub mod signature;
pub mod stream;
pub mod twiml;

mod sid;

pub use sid::{AccountSid, CallSid, PhoneNumberSid, SidError, StreamSid};
