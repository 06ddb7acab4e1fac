//! What an agent and the person on the line do.

use std::fmt;

use serde::Serialize;
use serde_json::Value;
use sidetone_deepgram::agent::message::Role;

/// The code of the warning that a call's agent is lost for good.
pub const AGENT_LOST: &str = "agent_lost";

/// The agent is there and hears the caller.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct AgentReady {
    /// The provider's id of the connection.
    pub request_id: Option<String>,
}

/// The caller begins to speak: whatever the agent was saying falls silent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AgentUserStartedSpeaking {
    /// When, in call time.
    pub at_ms: u64,
}

/// The agent thinks of an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AgentThinking {}

/// The first audio of a turn was sent into the call.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AgentStartedSpeaking {
    /// Which turn.
    pub turn: u32,
    /// From the end of the caller's speech to the first audio, as the provider tells it.
    pub total_latency_ms: Option<u64>,
    /// What of it the voice took.
    pub tts_latency_ms: Option<u64>,
    /// What of it the language model took.
    pub ttt_latency_ms: Option<u64>,
    /// From the arrival of the caller's text to the first audio sent; `None` for a turn that
    /// answers nothing.
    pub latency_ms: Option<u64>,
}

/// All audio of a turn has come. It may still be playing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AgentAudioDone {
    /// Which turn.
    pub turn: u32,
}

/// A turn of the agent was cut short.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct AgentInterrupted {
    /// Which turn.
    pub turn: u32,
    /// What of it was heard, to the nearest word.
    pub heard_text: String,
    /// How much of its audio was heard.
    pub heard_ms: u64,
    /// How much of its audio had come and was not heard.
    pub discarded_ms: u64,
}

impl fmt::Debug for AgentInterrupted {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentInterrupted")
            .field("turn", &self.turn)
            .field("heard_ms", &self.heard_ms)
            .field("discarded_ms", &self.discarded_ms)
            .finish_non_exhaustive()
    }
}

/// A function that the agent asked for has come to its end.
#[derive(Clone, PartialEq, Serialize)]
pub struct AgentFunctionCalled {
    /// The provider's id of the request.
    pub id: String,
    /// Which function.
    pub name: String,
    /// With what; a text when it is no JSON.
    pub arguments: Value,
    /// What the agent was told; `None` when it took the request back.
    pub result: Option<String>,
    /// When it was asked for, in call time.
    pub at_ms: u64,
    /// From the request to its end.
    pub duration_ms: u64,
    /// How it ended.
    pub outcome: FunctionEnd,
}

impl fmt::Debug for AgentFunctionCalled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentFunctionCalled")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("duration_ms", &self.duration_ms)
            .field("outcome", &self.outcome)
            .finish_non_exhaustive()
    }
}

/// How a function came to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FunctionEnd {
    /// It did what it is for.
    Ok,
    /// It did not, and the agent was told why.
    Failed,
    /// The agent took the request back, or the call ended first.
    Cancelled,
}

/// One party's go is over.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct AgentTurn {
    /// 1, 2, 3 ... over both parties, in the order in which they began.
    pub turn: u32,
    /// Whose.
    pub role: Role,
    /// All of it, heard or not.
    pub text: String,
    /// When it began, in call time: the caller's when that was noticed, the agent's with its first
    /// words or audio.
    pub at_ms: u64,
    /// What became of it, when it is the agent's.
    #[serde(flatten)]
    pub heard: Option<TurnHeard>,
}

impl fmt::Debug for AgentTurn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentTurn")
            .field("turn", &self.turn)
            .field("role", &self.role)
            .field("heard", &self.heard)
            .finish_non_exhaustive()
    }
}

/// What was heard of a turn of the agent.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct TurnHeard {
    /// Its words that were heard, to the nearest.
    pub heard_text: String,
    /// How much of its audio was heard.
    pub heard_ms: u64,
    /// Whether it was cut short.
    pub interrupted: bool,
}

impl fmt::Debug for TurnHeard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TurnHeard")
            .field("heard_ms", &self.heard_ms)
            .field("interrupted", &self.interrupted)
            .finish_non_exhaustive()
    }
}
