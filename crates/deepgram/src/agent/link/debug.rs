//! What may be logged of outputs and events: everything but what people said.

use std::fmt;

use super::types::{Event, Injection, Output};

impl fmt::Debug for Injection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Injection")
            .field("id", &self.id)
            .field("role", &self.role)
            .field("interrupt", &self.interrupt)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Output {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect { generation } => f
                .debug_struct("Connect")
                .field("generation", generation)
                .finish(),
            Self::SendText { generation, text } => f
                .debug_struct("SendText")
                .field("generation", generation)
                .field("bytes", &text.len())
                .finish(),
            Self::SendAudio { generation, audio } => f
                .debug_struct("SendAudio")
                .field("generation", generation)
                .field("bytes", &audio.len())
                .finish(),
            Self::Ping { generation } => f
                .debug_struct("Ping")
                .field("generation", generation)
                .finish(),
            Self::Close { generation } => f
                .debug_struct("Close")
                .field("generation", generation)
                .finish(),
            Self::Event(event) => event.fmt(f),
        }
    }
}

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ready {
                request_id,
                recovered,
            } => f
                .debug_struct("Ready")
                .field("request_id", request_id)
                .field("recovered", recovered)
                .finish(),
            Self::Disconnected {
                reason,
                attempt,
                request_id,
            } => f
                .debug_struct("Disconnected")
                .field("reason", reason)
                .field("attempt", attempt)
                .field("request_id", request_id)
                .finish(),
            Self::Lost { reason } => f.debug_struct("Lost").field("reason", reason).finish(),
            Self::UserStartedSpeaking => f.write_str("UserStartedSpeaking"),
            Self::UserSaid { .. } => f.write_str("UserSaid"),
            Self::Thinking => f.write_str("Thinking"),
            Self::AgentSaid {
                said, injection, ..
            } => f
                .debug_struct("AgentSaid")
                .field("said", said)
                .field("injection", injection)
                .finish_non_exhaustive(),
            Self::Audio(audio) => f
                .debug_struct("Audio")
                .field("bytes", &audio.len())
                .finish(),
            Self::AudioDone => f.write_str("AudioDone"),
            Self::Latencies(latencies) => latencies.fmt(f),
            Self::FunctionsRequested(calls) => {
                f.debug_tuple("FunctionsRequested").field(calls).finish()
            }
            Self::FunctionsCancelled(ids) => {
                f.debug_tuple("FunctionsCancelled").field(ids).finish()
            }
            Self::InjectionRefused { id, words } => f
                .debug_struct("InjectionRefused")
                .field("id", id)
                .field("words", words)
                .finish(),
            Self::Warning { code, description } => f
                .debug_struct("Warning")
                .field("code", code)
                .field("description", description)
                .finish(),
            Self::Unknown { kind } => f.debug_struct("Unknown").field("kind", kind).finish(),
        }
    }
}
