//! What the phone tells when the call is over.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use serde::{Serialize, Serializer};
use sidetone_twilio::stream::MediaTrack;
use sidetone_twilio::{CallSid, StreamSid};

use super::Party;

/// What became of the call.
#[derive(Clone, Debug)]
pub struct Report {
    /// Which call.
    pub call_sid: CallSid,
    /// The words that left the phone whole on one stream, by either side, in the order in which
    /// they had left. What `<Say>` says on the outbound track is among them.
    pub spoken: Vec<Spoken>,
    /// The words the caller heard whole: what a bidirectional stream played, what `<Say>` said and
    /// what the callee said.
    pub heard: Vec<HeardWord>,
    /// Of that, what bidirectional streams played, stretch by stretch, and how each ended.
    pub stretches: Vec<Stretch>,
    /// The keys that `<Play digits>` let the caller hear.
    pub digits: String,
    /// Audio that bidirectional streams sent and that was played, in samples of 8000 Hz.
    pub played_samples: u64,
    /// The streams, in order of their end. One that never opened is among the alerts only.
    pub streams: Vec<StreamReport>,
    /// What Twilio's debugger would show, in order.
    pub alerts: Vec<Alert>,
    /// Requests, answers and faults worth telling, in order.
    pub notes: Vec<String>,
    /// How the call ended.
    pub end: End,
    /// How long it lasted, from the first request.
    pub duration: Duration,
}

/// A word that left the phone.
#[derive(Clone, Debug, Serialize)]
pub struct Spoken {
    /// On which track.
    #[serde(rename = "track", serialize_with = "track")]
    pub party: Party,
    /// Lower case, bare.
    pub word: String,
    /// Where it begins, in ms of call time: since the first frame of any track left.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
    /// When its last frame left.
    #[serde(skip)]
    pub sent_at: Instant,
}

/// A word that the caller heard.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct HeardWord {
    /// Lower case, bare.
    pub word: String,
    /// As written, punctuation included.
    pub text: String,
    /// Where it begins, in ms of call time; 0 for what was heard before.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
}

/// What a bidirectional stream let the caller hear with pauses of less than 700 ms in it, up to
/// the next longer one or a `clear`. Times are ms of call time.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Stretch {
    /// Where its first audio begins.
    pub start_ms: u64,
    /// Where its last audio that was played ends.
    pub end_ms: u64,
    /// How long before its playing each `media` message came, in ms.
    pub ahead_ms: Vec<u64>,
    /// The words the caller heard whole.
    pub words: Vec<HeardWord>,
    /// The `clear` that cut it short; `None`: it came to its end.
    pub clear: Option<Clear>,
}

/// A `clear` that came while something was played or waited to be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Clear {
    /// When it came, by the clock of this machine.
    pub at: Timestamp,
    /// Audio that was thrown away, in ms.
    pub discarded_ms: u64,
}

/// What became of a stream that was open.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct StreamReport {
    /// Which.
    pub stream_sid: StreamSid,
    /// The tracks it carried.
    #[serde(serialize_with = "tracks")]
    pub tracks: Vec<MediaTrack>,
    /// Media messages that left.
    pub frames: u64,
    /// Media messages that were thrown away because the server read too slowly.
    pub discarded_frames: u64,
    /// Marks that came back to the server, played or cleared.
    pub marks: u64,
}

/// An entry of Twilio's debugger.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Alert {
    /// Twilio's code, as in 31951.
    pub code: u32,
    /// The stream it is about, if it is about one.
    pub stream_sid: Option<StreamSid>,
    /// What happened.
    pub detail: String,
}

/// How a call ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// The conversation was over and the caller hung up.
    CallerHungUp,
    /// The call had lasted as long as it may.
    TimeLimit,
    /// There was no verb left.
    DocumentEnded,
    /// `<Hangup>`.
    DocumentHungUp,
    /// `<Reject>`.
    Rejected,
    /// It was ended over the REST API.
    HungUp,
    /// A call placed over the REST API that nobody answered, or that was ended before.
    NotAnswered,
    /// The server closed the stream that a ws target is.
    StreamClosed {
        /// The code of its Close; `None`: it had none.
        code: Option<u16>,
        /// The reason it gave, which may be empty.
        reason: String,
    },
    /// The phone itself ended the stream that a ws target is, because a
    /// [`Fault`](super::Fault) wanted that.
    StreamLeft,
    /// Something failed that Twilio answers with "an application error has occurred"; the last
    /// alert says what.
    ApplicationError,
}

impl End {
    /// Its name in JSON.
    pub fn name(&self) -> &'static str {
        match self {
            Self::CallerHungUp => "caller_hung_up",
            Self::TimeLimit => "time_limit",
            Self::DocumentEnded => "document_ended",
            Self::DocumentHungUp => "document_hung_up",
            Self::Rejected => "rejected",
            Self::HungUp => "hung_up",
            Self::NotAnswered => "not_answered",
            Self::StreamClosed { .. } => "stream_closed",
            Self::StreamLeft => "stream_left",
            Self::ApplicationError => "application_error",
        }
    }
}

/// A party by its track.
fn track<S: Serializer>(party: &Party, serializer: S) -> Result<S::Ok, S::Error> {
    let track = match party {
        Party::Caller => MediaTrack::Inbound,
        Party::Callee => MediaTrack::Outbound,
    };
    serializer.serialize_str(track.name())
}

fn tracks<S: Serializer>(tracks: &[MediaTrack], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(tracks.iter().map(|track| track.name()))
}
