//! The events of a call and the call itself, as the API shows them.
//!
//! Every value here serializes to exactly what a reader of the API gets. What people say and the
//! numbers they call from are in these types, so their `Debug` tells neither.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;
use sidetone_audio::Track;
use sidetone_twilio::CallSid;

mod agent;
mod call;
pub(crate) mod time;
pub mod track;
mod volatile;

pub use agent::{
    AGENT_LOST, AgentAudioDone, AgentFunctionCalled, AgentInterrupted, AgentReady,
    AgentStartedSpeaking, AgentThinking, AgentTurn, AgentUserStartedSpeaking, FunctionEnd,
    TurnHeard,
};
pub use call::{AudioCounts, Call, EndReason, Provider, ProviderState, Status, TrackCounts};
pub use volatile::{AgentPlayback, AudioLevel, VolatileData, Watch};

/// A durable event.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Event {
    /// 1, 2, 3 ... with no hole.
    pub seq: u64,
    /// Whose event.
    pub call_sid: CallSid,
    /// When, by the wall clock.
    #[serde(with = "time")]
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub data: EventData,
}

/// What happened. Serialized as `"type"` and `"data"`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", content = "data")]
pub enum EventData {
    /// The first event.
    #[serde(rename = "call.started")]
    CallStarted(Box<Call>),
    /// A stream came after the call had ended.
    #[serde(rename = "call.resumed")]
    CallResumed(Box<Call>),
    /// The other party's phone rings.
    #[serde(rename = "call.ringing")]
    CallRinging(CallProgress),
    /// Somebody answered.
    #[serde(rename = "call.answered")]
    CallAnswered(CallProgress),
    /// Twilio said something else about the call: `initiated`, `completed`, `busy` ...
    #[serde(rename = "call.status")]
    CallStatus(CallProgress),
    /// What was said; it will not change any more.
    #[serde(rename = "transcript.final")]
    TranscriptFinal(Box<Transcript>),
    /// Somebody begins to speak.
    #[serde(rename = "speech.started")]
    SpeechStarted(SpeechMark),
    /// Nobody has said a word for a while.
    #[serde(rename = "utterance.ended")]
    UtteranceEnded(SpeechMark),
    /// A key was pressed.
    #[serde(rename = "dtmf")]
    Dtmf(Dtmf),
    /// What is to be said begins to be sent into the call.
    #[serde(rename = "speak.started")]
    SpeakStarted(Speak),
    /// It was heard to its end.
    #[serde(rename = "speak.finished")]
    SpeakFinished(Speak),
    /// It was stopped, or the stream ended.
    #[serde(rename = "speak.interrupted")]
    SpeakInterrupted(Speak),
    /// It could not be spoken.
    #[serde(rename = "speak.failed")]
    SpeakFailed(Speak),
    /// The agent is there; also after a lost connection was made again.
    #[serde(rename = "agent.ready")]
    AgentReady(AgentReady),
    /// The caller begins to speak to the agent.
    #[serde(rename = "agent.user_started_speaking")]
    AgentUserStartedSpeaking(AgentUserStartedSpeaking),
    /// The agent thinks of an answer.
    #[serde(rename = "agent.thinking")]
    AgentThinking(AgentThinking),
    /// A turn of the agent begins to be sent into the call.
    #[serde(rename = "agent.started_speaking")]
    AgentStartedSpeaking(AgentStartedSpeaking),
    /// All audio of a turn has come.
    #[serde(rename = "agent.audio_done")]
    AgentAudioDone(AgentAudioDone),
    /// A turn of the agent was cut short.
    #[serde(rename = "agent.interrupted")]
    AgentInterrupted(AgentInterrupted),
    /// A function that the agent asked for has come to its end.
    #[serde(rename = "agent.function_called")]
    AgentFunctionCalled(Box<AgentFunctionCalled>),
    /// A turn of either party is over; one of the agent's once it is known what was heard of it.
    #[serde(rename = "agent.turn")]
    AgentTurn(AgentTurn),
    /// The connection to the speech provider is lost, or could not be made.
    #[serde(rename = "provider.disconnected")]
    ProviderDisconnected(ProviderDisconnected),
    /// It is there again.
    #[serde(rename = "provider.reconnected")]
    ProviderReconnected(ProviderReconnected),
    /// A stretch of the call of which nothing is heard.
    #[serde(rename = "audio.gap")]
    AudioGap(AudioGap),
    /// Something an operator should look at.
    #[serde(rename = "warning")]
    Warning(Warning),
    /// The call is over.
    #[serde(rename = "call.ended")]
    CallEnded(Box<Call>),
}

impl EventData {
    /// The `"type"` of the event, for filters.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::CallStarted(_) => "call.started",
            Self::CallResumed(_) => "call.resumed",
            Self::CallRinging(_) => "call.ringing",
            Self::CallAnswered(_) => "call.answered",
            Self::CallStatus(_) => "call.status",
            Self::TranscriptFinal(_) => "transcript.final",
            Self::SpeechStarted(_) => "speech.started",
            Self::UtteranceEnded(_) => "utterance.ended",
            Self::Dtmf(_) => "dtmf",
            Self::SpeakStarted(_) => "speak.started",
            Self::SpeakFinished(_) => "speak.finished",
            Self::SpeakInterrupted(_) => "speak.interrupted",
            Self::SpeakFailed(_) => "speak.failed",
            Self::AgentReady(_) => "agent.ready",
            Self::AgentUserStartedSpeaking(_) => "agent.user_started_speaking",
            Self::AgentThinking(_) => "agent.thinking",
            Self::AgentStartedSpeaking(_) => "agent.started_speaking",
            Self::AgentAudioDone(_) => "agent.audio_done",
            Self::AgentInterrupted(_) => "agent.interrupted",
            Self::AgentFunctionCalled(_) => "agent.function_called",
            Self::AgentTurn(_) => "agent.turn",
            Self::ProviderDisconnected(_) => "provider.disconnected",
            Self::ProviderReconnected(_) => "provider.reconnected",
            Self::AudioGap(_) => "audio.gap",
            Self::Warning(_) => "warning",
            Self::CallEnded(_) => "call.ended",
        }
    }
}

/// What Twilio's status callback said.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct CallProgress {
    /// Twilio's word: `ringing`, `in-progress`, `completed` ...
    pub status: String,
    /// The carrier's final SIP answer, when there is one.
    pub sip_code: Option<u16>,
}

impl CallProgress {
    /// The event that tells it.
    pub fn into_event(self) -> EventData {
        match self.status.as_str() {
            "ringing" => EventData::CallRinging(self),
            "in-progress" => EventData::CallAnswered(self),
            _ => EventData::CallStatus(self),
        }
    }
}

/// An interim or final transcript in call time.
#[derive(Clone, PartialEq, Serialize)]
pub struct Transcript {
    /// Whose words.
    #[serde(with = "track")]
    pub track: Track,
    /// The provider's channel index.
    pub channel: usize,
    /// Where the window begins.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
    /// What was said.
    pub text: String,
    /// 0 to 1.
    pub confidence: f64,
    /// Whether the speaker paused after it.
    pub speech_final: bool,
    /// From the arrival of the frame that holds `end_ms` to publication.
    pub latency_ms: Option<u64>,
    /// Its words, in order.
    pub words: Vec<Word>,
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript")
            .field("track", &self.track)
            .field("start_ms", &self.start_ms)
            .field("end_ms", &self.end_ms)
            .field("words", &self.words.len())
            .finish_non_exhaustive()
    }
}

/// A word in call time.
#[derive(Clone, PartialEq, Serialize)]
pub struct Word {
    /// The bare word.
    pub word: String,
    /// The word as it reads in the text, punctuated.
    pub text: String,
    /// Where it begins.
    pub start_ms: u64,
    /// Where it ends.
    pub end_ms: u64,
    /// 0 to 1.
    pub confidence: f64,
    /// With diarization: which speaker.
    pub speaker: Option<u32>,
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("start_ms", &self.start_ms)
            .field("end_ms", &self.end_ms)
            .finish_non_exhaustive()
    }
}

/// A moment in the speech of a track.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct SpeechMark {
    /// Whose speech.
    #[serde(with = "track")]
    pub track: Track,
    /// When, in call time.
    pub at_ms: u64,
}

/// A key press.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Dtmf {
    /// Who pressed it.
    #[serde(with = "track")]
    pub track: Track,
    /// `0` to `9`, `*`, `#`.
    pub digit: char,
}

impl fmt::Debug for Dtmf {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Dtmf")
            .field("track", &self.track)
            .finish_non_exhaustive()
    }
}

/// Something that is said into the call.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct Speak {
    /// Its id, which the one who asked for it was given.
    pub speak_id: String,
    /// All of it.
    pub text: String,
    /// How much of it was heard so far.
    pub heard_ms: u64,
    /// The words of it that were heard so far.
    pub heard_text: String,
    /// From the request, or from the end of what was said before it, to its first audio.
    pub first_audio_ms: Option<u64>,
    /// Why it was not heard to its end.
    pub reason: Option<String>,
}

impl fmt::Debug for Speak {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Speak")
            .field("speak_id", &self.speak_id)
            .field("heard_ms", &self.heard_ms)
            .field("reason", &self.reason)
            .finish_non_exhaustive()
    }
}

/// A kind of connection to the speech provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Service {
    /// Live transcription.
    Listen,
    /// The voice agent.
    Agent,
}

/// How a connection to the speech provider failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderDisconnected {
    /// Which connection.
    pub service: Service,
    /// For people.
    pub reason: String,
    /// How many tries have failed in a row, from 1.
    pub attempt: u32,
    /// The provider's id of the connection that was lost.
    pub request_id: Option<String>,
}

/// What the outage cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct ProviderReconnected {
    /// Which connection.
    pub service: Service,
    /// Audio sent again.
    pub replayed_ms: u64,
    /// From the loss to the new connection.
    pub outage_ms: u64,
}

/// A stretch of a track of which nothing is heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AudioGap {
    /// On which track.
    #[serde(with = "track")]
    pub track: Track,
    /// Where it begins, in call time.
    pub at_ms: u64,
    /// How long it is.
    pub duration_ms: u64,
    /// Whose doing it is.
    pub reason: AudioGapReason,
}

/// Why a stretch of a call is not heard.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum AudioGapReason {
    /// The carrier sent nothing.
    Carrier,
    /// The track's timestamps jumped and the arrival clock did not: no audio is missing.
    Clock,
    /// The provider was away for longer than audio is kept.
    Provider,
}

/// Something an operator should look at.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Warning {
    /// Stable, for programs.
    pub code: &'static str,
    /// For people.
    pub detail: String,
}

#[cfg(test)]
mod tests;
