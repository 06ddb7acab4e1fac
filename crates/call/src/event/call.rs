//! The call as the API shows it.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sidetone_audio::Track;
use sidetone_twilio::{AccountSid, CallSid, StreamSid};

use super::{time, track};

/// A call as the API shows it.
#[derive(Clone, PartialEq, Serialize, Deserialize)]
pub struct Call {
    /// Twilio's call.
    pub call_sid: CallSid,
    /// Its newest stream.
    pub stream_sid: Option<StreamSid>,
    /// Whose call.
    pub account_sid: Option<AccountSid>,
    /// What happens on it.
    pub profile: String,
    /// `inbound` or `outbound-api`, as Twilio says.
    pub direction: Option<String>,
    /// The caller.
    pub from: Option<String>,
    /// The called.
    pub to: Option<String>,
    /// The streams' parameters less Sidetone's own.
    pub custom_parameters: BTreeMap<String, String>,
    /// Tracks of its streams.
    #[serde(with = "track::list")]
    pub tracks: Vec<Track>,
    /// Where it is in its life.
    pub status: Status,
    /// When its first stream started.
    #[serde(with = "time::option")]
    pub started_at: Option<Timestamp>,
    /// When it ended.
    #[serde(with = "time::option")]
    pub ended_at: Option<Timestamp>,
    /// Why it ended.
    pub end_reason: Option<EndReason>,
    /// Call position of the end of the last audio.
    pub duration_ms: u64,
    /// The newest durable event.
    pub last_seq: u64,
    /// How the speech provider is doing.
    pub provider: Provider,
    /// What arrived.
    pub audio: AudioCounts,
    /// The newest final text.
    pub last_text: Option<String>,
}

impl Call {
    /// A call of which nothing is known yet but what happens on it.
    pub fn new(call_sid: CallSid, profile: String) -> Self {
        Self {
            call_sid,
            stream_sid: None,
            account_sid: None,
            profile,
            direction: None,
            from: None,
            to: None,
            custom_parameters: BTreeMap::new(),
            tracks: Vec::new(),
            status: Status::Pending,
            started_at: None,
            ended_at: None,
            end_reason: None,
            duration_ms: 0,
            last_seq: 0,
            provider: Provider {
                state: ProviderState::Closed,
                request_id: None,
                reconnects: 0,
                replayed_ms: 0,
                behind_ms: 0,
            },
            audio: AudioCounts::default(),
            last_text: None,
        }
    }
}

impl fmt::Debug for Call {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("call_sid", &self.call_sid)
            .field("profile", &self.profile)
            .field("status", &self.status)
            .field("end_reason", &self.end_reason)
            .field("duration_ms", &self.duration_ms)
            .field("last_seq", &self.last_seq)
            .finish_non_exhaustive()
    }
}

/// Where a call is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Status {
    /// Placed; its stream has not started.
    Pending,
    /// On.
    Live,
    /// Over.
    Ended,
}

/// Why a call ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EndReason {
    /// Twilio stopped its last stream.
    Stop,
    /// Twilio said `completed` and the stream never said `stop`.
    Hangup,
    /// It was handed to another number.
    Transferred,
    /// The socket of its last stream broke.
    Disconnected,
    /// Nothing was heard of its last stream for too long.
    IdleTimeout,
    /// The process went down.
    Shutdown,
    /// The process died.
    Crashed,
    /// The called was busy.
    Busy,
    /// The called did not answer.
    NoAnswer,
    /// The carrier could not do it.
    Failed,
    /// It was taken back before an answer.
    Canceled,
    /// The last stream broke the protocol, or its agent was lost and nobody took its place.
    Error,
}

/// How the speech provider is doing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Provider {
    /// The state of the link that is worst off.
    pub state: ProviderState,
    /// The provider's id of the newest connection.
    pub request_id: Option<String>,
    /// Connections made after an outage.
    pub reconnects: u32,
    /// Audio sent again.
    pub replayed_ms: u64,
    /// Audio not yet sent.
    pub behind_ms: u64,
}

/// The state of the way to the speech provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ProviderState {
    /// There is none (any more).
    Closed,
    /// Open.
    Connected,
    /// Being made for the first time.
    Connecting,
    /// Lost and being made again.
    Reconnecting,
    /// Refused for good; tried again now and then.
    Failed,
}

/// What arrived, by track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AudioCounts {
    /// What the person on this leg says.
    pub inbound: TrackCounts,
    /// What that person hears.
    pub outbound: TrackCounts,
}

impl AudioCounts {
    /// The counts of a track.
    pub const fn track_mut(&mut self, track: Track) -> &mut TrackCounts {
        match track {
            Track::Inbound => &mut self.inbound,
            Track::Outbound => &mut self.outbound,
        }
    }
}

/// What arrived on a track.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TrackCounts {
    /// Media messages decoded.
    pub frames: u64,
    /// Silence filled in, and carrier gaps that were not.
    pub gap_ms: u64,
}
