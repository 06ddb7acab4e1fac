//! What may be logged of events: everything but what people said.

use std::fmt;

use super::types::{Event, Transcript, Word};

impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connected {
                request_id,
                recovered,
            } => f
                .debug_struct("Connected")
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
            Self::Failed { status, words } => f
                .debug_struct("Failed")
                .field("status", status)
                .field("words", words)
                .finish(),
            Self::Transcript(transcript) => transcript.fmt(f),
            Self::EmptyFinal { channel, end } => f
                .debug_struct("EmptyFinal")
                .field("channel", channel)
                .field("end", end)
                .finish(),
            Self::InterimWithdrawn { channel } => f
                .debug_struct("InterimWithdrawn")
                .field("channel", channel)
                .finish(),
            Self::SpeechStarted { channel, at } => f
                .debug_struct("SpeechStarted")
                .field("channel", channel)
                .field("at", at)
                .finish(),
            Self::UtteranceEnded { channel, at } => f
                .debug_struct("UtteranceEnded")
                .field("channel", channel)
                .field("at", at)
                .finish(),
            Self::Message { text } => f
                .debug_struct("Message")
                .field("bytes", &text.len())
                .finish(),
            Self::Gap {
                channel,
                at,
                duration,
            } => f
                .debug_struct("Gap")
                .field("channel", channel)
                .field("at", at)
                .field("duration", duration)
                .finish(),
            Self::Warned { detail } => f.debug_struct("Warned").field("detail", detail).finish(),
            Self::Finished => f.write_str("Finished"),
        }
    }
}

impl fmt::Debug for Transcript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Transcript")
            .field("channel", &self.channel)
            .field("is_final", &self.is_final)
            .field("speech_final", &self.speech_final)
            .field("start", &self.start)
            .field("end", &self.end)
            .field("words", &self.words)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Word {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Word")
            .field("start", &self.start)
            .field("end", &self.end)
            .finish_non_exhaustive()
    }
}
