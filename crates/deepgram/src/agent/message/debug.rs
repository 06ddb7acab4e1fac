//! What may be logged of messages: their names and ids, not what people said or set.

use std::fmt;

use super::{
    ClientMessage, FunctionCall, FunctionCallResponse, FunctionRecord, HistoryItem, ServerMessage,
};

impl fmt::Debug for ServerMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Welcome { request_id } => f
                .debug_struct("Welcome")
                .field("request_id", request_id)
                .finish(),
            Self::SettingsApplied => f.write_str("SettingsApplied"),
            Self::ConversationText { role, .. } => f
                .debug_struct("ConversationText")
                .field("role", role)
                .finish_non_exhaustive(),
            Self::UserStartedSpeaking => f.write_str("UserStartedSpeaking"),
            Self::AgentThinking { .. } => f.write_str("AgentThinking"),
            Self::FunctionCallRequest { functions } => f
                .debug_tuple("FunctionCallRequest")
                .field(functions)
                .finish(),
            Self::FunctionCallCancelled { functions } => f
                .debug_tuple("FunctionCallCancelled")
                .field(functions)
                .finish(),
            Self::FunctionCallResponse(response) => response.fmt(f),
            Self::AgentStartedSpeaking(latencies) => latencies.fmt(f),
            Self::AgentAudioDone => f.write_str("AgentAudioDone"),
            Self::LatencyReport(report) => report.fmt(f),
            Self::EndOfTurn { trigger } => f
                .debug_struct("EndOfTurn")
                .field("trigger", trigger)
                .finish(),
            Self::PromptUpdated => f.write_str("PromptUpdated"),
            Self::SpeakUpdated => f.write_str("SpeakUpdated"),
            Self::ThinkUpdated => f.write_str("ThinkUpdated"),
            Self::ListenUpdated => f.write_str("ListenUpdated"),
            Self::InjectionRefused { message } => f
                .debug_struct("InjectionRefused")
                .field("message", message)
                .finish(),
            Self::History(item) => f.debug_tuple("History").field(item).finish(),
            Self::Warning(notice) => f.debug_tuple("Warning").field(notice).finish(),
            Self::Error(notice) => f.debug_tuple("Error").field(notice).finish(),
            Self::Unknown { kind } => f.debug_struct("Unknown").field("kind", kind).finish(),
        }
    }
}

impl fmt::Debug for ClientMessage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Settings(_) => f.write_str("Settings"),
            Self::UpdatePrompt { .. } => f.write_str("UpdatePrompt"),
            Self::UpdateSpeak { .. } => f.write_str("UpdateSpeak"),
            Self::UpdateThink { .. } => f.write_str("UpdateThink"),
            Self::UpdateListen { .. } => f.write_str("UpdateListen"),
            Self::InjectAgentMessage { behavior, .. } => f
                .debug_struct("InjectAgentMessage")
                .field("behavior", behavior)
                .finish_non_exhaustive(),
            Self::InjectUserMessage { .. } => f.write_str("InjectUserMessage"),
            Self::FunctionCallResponse(response) => response.fmt(f),
            Self::KeepAlive => f.write_str("KeepAlive"),
            Self::ForceEndTurn => f.write_str("ForceEndTurn"),
            Self::Unknown { kind } => f.debug_struct("Unknown").field("kind", kind).finish(),
        }
    }
}

impl fmt::Debug for FunctionCall {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionCall")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("client_side", &self.client_side)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for FunctionCallResponse {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionCallResponse")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for HistoryItem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Text { role, .. } => f
                .debug_struct("Text")
                .field("role", role)
                .finish_non_exhaustive(),
            Self::FunctionCalls { function_calls } => f
                .debug_tuple("FunctionCalls")
                .field(function_calls)
                .finish(),
        }
    }
}

impl fmt::Debug for FunctionRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("FunctionRecord")
            .field("id", &self.id)
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}
