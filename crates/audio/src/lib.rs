//! Telephony audio: G.711 mu-law, levels, track timelines, stereo interleaving, playout, WAV files.
//!
//! Everything here is a plain value: no runtime, no clock, no serialization. All audio is 8 kHz
//! mu-law, one byte a sample; positions are sample counts.
//!
//! A [`Timeline`] places the frames of a stream's tracks on call time, an [`Interleaver`] makes
//! of them the one stream that a recogniser hears and leads its word times back to call time:
//!
//! ```
//! use sidetone_audio::{Audio, Interleaver, Timeline, Track};
//!
//! let mut timeline = Timeline::default();
//! let mut interleaver = Interleaver::new(2);
//! let mut blocks = Vec::new();
//!
//! // The caller is heard at once, though the other side has not begun.
//! let placement = timeline.place(Track::Inbound, 102, 160, 0);
//! interleaver.push(Track::Inbound.index(), placement.at, &[0x2A; 160], &mut blocks);
//! interleaver.drain(&mut blocks);
//!
//! assert_eq!(blocks[0].samples, 160);
//! let Audio::Samples(samples) = &blocks[0].audio else { panic!("no caller") };
//! assert_eq!(samples[..4], [0x2A, 0xFF, 0x2A, 0xFF]);
//! assert_eq!(interleaver.call_time(Track::Inbound.index(), 80), 80);
//! ```
//!
//! The way back is a [`Playout`](playout::Playout): it paces what is said into a call and knows how
//! much of it was heard.

mod interleaver;
mod meter;
pub mod playout;
pub mod time;
mod timeline;
pub mod ulaw;
pub mod wav;

pub use interleaver::{Audio, Block, Interleaver};
pub use meter::Meter;
pub use timeline::{Gap, GapReason, Placement, Timeline};

/// Samples in a millisecond of telephone audio (8 kHz).
pub const SAMPLES_PER_MS: u64 = 8;

/// The longest hole that is filled with silence: 10 s.
const LONGEST_FILL: u64 = 10_000 * SAMPLES_PER_MS;

/// One direction of a call, seen from the person on this leg.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Track {
    /// What the person on this leg says.
    Inbound,
    /// What that person hears.
    Outbound,
}

impl Track {
    /// Both tracks, in Deepgram's channel order.
    pub const ALL: [Self; 2] = [Self::Inbound, Self::Outbound];

    /// The name used on every wire: `inbound` or `outbound`.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Inbound => "inbound",
            Self::Outbound => "outbound",
        }
    }

    /// 0 for inbound, 1 for outbound.
    pub const fn index(self) -> usize {
        match self {
            Self::Inbound => 0,
            Self::Outbound => 1,
        }
    }
}
