//! The call engine: what happens on a call, as a value.
//!
//! It takes what a call's streams, its Deepgram links and its agent report, and the time, and gives
//! back what is to be sent and what is to be written into the call's event log. No sockets, no
//! runtime, no clock, and no JSON but that of functions, whose arguments are what a model wrote.
//!
//! [`engine::Engine`] is the call. [`event`] says what can happen on it, [`log::EventLog`] numbers
//! the events and shows them to any number of readers, and [`archive::Archive`] keeps them.
//!
//! # The order of calls
//!
//! Whoever owns the sockets owns the engine and does this, forever:
//!
//! 1. Wait for a frame, a callback or the one timer, and say so with a `handle_*` method.
//! 2. Drain `poll_output` until `None`, doing what it says in that order.
//! 3. Arm the timer for `poll_timeout`.
//!
//! An event goes from [`engine::Output::Event`] to [`log::EventLog::append`], then to the archive,
//! then to [`log::EventLog::stored`]: only then does anyone see it.
//!
//! ```
//! use std::collections::BTreeMap;
//! use std::time::{Duration, Instant};
//!
//! use jiff::Timestamp;
//! use sidetone_audio::Track;
//! use sidetone_call::engine::{Engine, Limits, Links, Listen, Output, Setup, StreamStart};
//! use sidetone_call::log::{Cursor, EventLog, Item, Read};
//!
//! let (now, wall) = (Instant::now(), Timestamp::now());
//! let call_sid: sidetone_twilio::CallSid = "CA0123456789abcdef0123456789abcdef".parse()?;
//! let mut log = EventLog::new(call_sid.clone(), 0);
//! let mut engine = Engine::new(
//!     Setup {
//!         call_sid,
//!         profile: "default".into(),
//!         former: None,
//!         listen: Some(Listen {
//!             flush: Duration::from_millis(60),
//!             interim_results: true,
//!             links: Links::Stereo,
//!         }),
//!         greeting: None,
//!         agent: None,
//!         limits: Limits {
//!             idle_timeout: Duration::from_secs(60),
//!             replay_window: Duration::from_secs(60),
//!             replay_rate: 1.25,
//!         },
//!         seed: 1,
//!     },
//!     now,
//!     wall,
//! );
//!
//! let stream = engine.handle_stream(
//!     now,
//!     wall,
//!     StreamStart {
//!         stream_sid: "MZ0123456789abcdef0123456789abcdef".parse()?,
//!         account_sid: "AC0123456789abcdef0123456789abcdef".parse()?,
//!         tracks: vec![Track::Inbound],
//!         bidirectional: false,
//!         from: Some("+15551230001".into()),
//!         to: Some("+15551230002".into()),
//!         direction: Some("inbound".into()),
//!         parameters: BTreeMap::new(),
//!     },
//! );
//! engine.handle_media(now, stream, Track::Inbound, 102, &[0x2A; 160]);
//!
//! let mut connections = 0;
//! while let Some(output) = engine.poll_output() {
//!     match output {
//!         Output::Event(data) => {
//!             let entry = log.append(wall, data);
//!             log.stored(entry.event.seq); // here the archive would be asked first
//!         }
//!         Output::Connect { .. } => connections += 1,
//!         _ => {}
//!     }
//! }
//! assert_eq!(connections, 1);
//! // The frame leaves with the next flush.
//! assert_eq!(engine.poll_timeout(), Some(now + Duration::from_millis(60)));
//!
//! let Read::Items { items, .. } = log.read(&mut Cursor::default(), 10) else { panic!("nothing") };
//! assert!(matches!(&items[0], Item::Event(entry) if entry.event.data.type_name() == "call.started"));
//! # Ok::<(), sidetone_twilio::SidError>(())
//! ```

pub mod archive;
pub mod engine;
pub mod event;
pub mod log;

pub use event::Call;

#[cfg(test)]
mod tests;
