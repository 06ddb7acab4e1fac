//! What Deepgram says.

use std::time::{Duration, Instant};

use bytes::Bytes;

use super::gate::Gate;
use super::session::Session;
use super::types::{Event, Latencies};
use super::{AgentLink, MAX_REASON_CHARS, SETTINGS_TIMEOUT, State};
use crate::agent::message::{
    FunctionCall, FunctionCallResponse, FunctionRecord, HistoryItem, Notice, Role, ServerMessage,
};
use crate::error::one_line;

impl AgentLink {
    pub(super) fn on_text(&mut self, now: Instant, generation: u32, text: &str) {
        if self.current_generation() != Some(generation) {
            return;
        }
        if let State::Live(session) = &mut self.state {
            session.heard(now);
        }
        let message = match ServerMessage::parse(text) {
            Ok(message) => message,
            Err(error) => {
                self.owed.came(now);
                self.on_unknown(error.kind.as_deref().unwrap_or("a message without a type"));
                return;
            }
        };
        self.owed.take(now, &message);
        match message {
            ServerMessage::Welcome { request_id } => self.on_welcome(now, request_id),
            ServerMessage::SettingsApplied => self.on_settings_applied(now),
            ServerMessage::Error(notice) => self.on_error(now, &notice),
            ServerMessage::Warning(notice) => self.on_warning(now, &notice),
            ServerMessage::Unknown { kind } => self.on_unknown(&kind),
            message => {
                if matches!(self.state, State::Live(_)) {
                    self.on_message(now, message);
                }
            }
        }
    }

    pub(super) fn on_audio(&mut self, now: Instant, generation: u32, audio: &Bytes) {
        if self.current_generation() != Some(generation) {
            return;
        }
        let State::Live(session) = &mut self.state else {
            return;
        };
        session.heard(now);
        self.owed.came(now);
        if session.gate.lets_pass(now) && !audio.is_empty() {
            self.on_answer(now);
            self.event(Event::Audio(audio.clone()));
        }
    }

    /// The session may be told what it is to be.
    fn on_welcome(&mut self, now: Instant, welcomed: Option<String>) {
        let State::Welcoming {
            opened, request_id, ..
        } = &mut self.state
        else {
            return;
        };
        let opened = *opened;
        let request_id = welcomed.or(request_id.take());
        let conversation: Vec<HistoryItem> = self.resume().collect();
        let greets = !self.has_spoken;
        let settings = &self.config.settings;
        let settings = settings.message(&self.config.tags, conversation, greets);
        self.state = State::Settling {
            opened,
            request_id,
            deadline: now + SETTINGS_TIMEOUT,
        };
        self.send(&settings);
    }

    fn on_settings_applied(&mut self, now: Instant) {
        let State::Settling {
            opened, request_id, ..
        } = &mut self.state
        else {
            return;
        };
        let (opened, request_id) = (*opened, request_id.take());
        let repeats_greeting = self.has_spoken && self.config.settings.is_stored();
        let gate = if repeats_greeting {
            Gate::Muted
        } else {
            Gate::Open
        };
        self.state = State::Live(Box::new(Session::new(
            now,
            opened,
            request_id.clone(),
            gate,
        )));
        self.retry.reset();
        let greets = !self.has_spoken && self.config.settings.greets();
        let can_be_asked = self.config.settings.unchanged().is_some();
        self.owed.begin(now, greets, can_be_asked);
        let recovered = self.down.take().and_then(|down| down.recovered(now));
        self.event(Event::Ready {
            request_id,
            recovered,
        });
        self.updates.applied();
        self.updates.keep(self.config.settings.updates_to_repeat());
        for message in self.updates.unsent() {
            self.send(&message);
        }
        self.send_asides(now);
        self.feed(now);
        self.send_injections(now);
    }

    /// What is said in a running session.
    fn on_message(&mut self, now: Instant, message: ServerMessage) {
        let State::Live(session) = &mut self.state else {
            return;
        };
        match message {
            ServerMessage::ConversationText {
                role: Role::User,
                content,
            } => {
                if self.asides.is_echo(&content) {
                    return;
                }
                session.gate = Gate::Open;
                session.latencies = Latencies::default();
                if self.injections.said(Role::User, &content).is_none() {
                    self.unheard.clear();
                }
                self.conversation.user_said(content.clone());
                self.event(Event::UserSaid { text: content });
            }
            ServerMessage::ConversationText {
                role: Role::Assistant,
                content,
            } => self.on_agent_said(now, content),
            ServerMessage::UserStartedSpeaking => {
                session.gate = Gate::Interrupted { quiet_since: now };
                session.is_answering = false;
                session.latencies = Latencies::default();
                self.unheard.begun();
                self.event(Event::UserStartedSpeaking);
            }
            ServerMessage::AgentThinking { .. } => {
                session.gate = Gate::Open;
                self.event(Event::Thinking);
            }
            ServerMessage::FunctionCallRequest { functions } => {
                session.gate = Gate::Open;
                self.on_functions_requested(functions);
            }
            ServerMessage::FunctionCallCancelled { functions } => {
                let ids = functions.into_iter().map(|function| function.id);
                let ids: Vec<String> = ids.filter(|id| self.calls.cancelled(id)).collect();
                if !ids.is_empty() {
                    self.event(Event::FunctionsCancelled(ids));
                }
            }
            ServerMessage::FunctionCallResponse(response) => self.on_function_answered(response),
            ServerMessage::AgentStartedSpeaking(started) => {
                if session.gate != Gate::Muted {
                    session.gate = Gate::Open;
                }
                self.on_latencies(Latencies {
                    total: duration(started.total_latency),
                    tts: duration(started.tts_latency),
                    ttt: duration(started.ttt_latency),
                });
            }
            ServerMessage::LatencyReport(report) => self.on_latencies(Latencies {
                total: duration(report.total_latency),
                tts: duration(report.tts_latency),
                ttt: duration(report.ttt_text_latency.or(report.ttt_token_latency)),
            }),
            ServerMessage::AgentAudioDone => {
                session.is_answering = false;
                match session.gate {
                    Gate::Open => {
                        self.owed.answered();
                        self.event(Event::AudioDone);
                    }
                    Gate::Muted => session.gate = Gate::Open,
                    Gate::Interrupted { .. } => {}
                }
            }
            ServerMessage::InjectionRefused { message } => {
                if let Some(id) = self.injections.refused() {
                    let words = message.unwrap_or_else(|| "someone was speaking".to_owned());
                    let words = one_line(&words, MAX_REASON_CHARS);
                    self.event(Event::InjectionRefused { id, words });
                }
            }
            ServerMessage::History(HistoryItem::FunctionCalls { function_calls }) => {
                for call in function_calls {
                    // An echo of what the session was told of it is not what came of it.
                    if !call.response.is_empty() && !self.calls.is_under_way(&call.id) {
                        self.conversation.called(call);
                    }
                }
            }
            ServerMessage::PromptUpdated
            | ServerMessage::SpeakUpdated
            | ServerMessage::ThinkUpdated => self.updates.confirmed(),
            ServerMessage::ListenUpdated
            | ServerMessage::EndOfTurn { .. }
            | ServerMessage::History(HistoryItem::Text { .. })
            | ServerMessage::Welcome { .. }
            | ServerMessage::SettingsApplied
            | ServerMessage::Warning(_)
            | ServerMessage::Error(_)
            | ServerMessage::Unknown { .. } => {}
        }
    }

    fn on_agent_said(&mut self, now: Instant, text: String) {
        let State::Live(session) = &mut self.state else {
            return;
        };
        let injection = self.injections.said(Role::Assistant, &text);
        if session.gate == Gate::Muted && injection.is_none() {
            return;
        }
        session.gate = Gate::Open;
        self.on_answer(now);
        let said = self.conversation.agent_said(text.clone());
        self.event(Event::AgentSaid {
            said,
            text,
            injection,
        });
    }

    /// The agent speaks: whatever the caller said before is settled by it.
    fn on_answer(&mut self, now: Instant) {
        if let State::Live(session) = &mut self.state
            && !std::mem::replace(&mut session.is_answering, true)
        {
            self.unheard.clear();
        }
        self.has_spoken = true;
        self.owed.rest(now);
    }

    fn on_functions_requested(&mut self, functions: Vec<FunctionCall>) {
        for call in &functions {
            self.calls.requested(call.clone());
        }
        let ours = functions.into_iter().filter(|call| call.client_side);
        let ours: Vec<FunctionCall> = ours.collect();
        if !ours.is_empty() {
            self.event(Event::FunctionsRequested(ours));
        }
    }

    /// Deepgram called an endpoint itself, and says what came of it.
    fn on_function_answered(&mut self, response: FunctionCallResponse) {
        let FunctionCallResponse {
            id, name, content, ..
        } = response;
        let id = id.unwrap_or_default();
        let record = match self.calls.answered(&id, &content) {
            Some(answered) => answered.record,
            None => FunctionRecord {
                id,
                name,
                client_side: false,
                arguments: String::new(),
                response: content,
            },
        };
        self.conversation.called(record);
    }

    fn on_latencies(&mut self, told: Latencies) {
        let State::Live(session) = &mut self.state else {
            return;
        };
        let known = session.latencies;
        let latencies = Latencies {
            total: told.total.or(known.total),
            tts: told.tts.or(known.tts),
            ttt: told.ttt.or(known.ttt),
        };
        if latencies != known {
            session.latencies = latencies;
            self.event(Event::Latencies(latencies));
        }
    }

    /// Deepgram ends the session, or is about to.
    fn on_error(&mut self, now: Instant, notice: &Notice) {
        if notice.code == FAILED_TO_THINK && matches!(self.state, State::Live(_)) {
            self.owed.no_answer();
            self.warn(notice);
            return;
        }
        let reason = match (notice.code.as_str(), notice.description.as_str()) {
            ("", "") => "Deepgram ended the session without a reason".to_owned(),
            (code, "") => code.to_owned(),
            ("", description) => description.to_owned(),
            (code, description) => format!("{description} ({code})"),
        };
        if !FATAL.contains(&notice.code.as_str()) {
            self.replace(now, &reason);
        } else if let Some(settings) = self.updates.take_back() {
            self.config.settings = settings;
            self.warn(notice);
            self.replace(now, &reason);
        } else {
            self.close();
            self.give_up(&reason);
        }
    }

    fn on_warning(&mut self, now: Instant, notice: &Notice) {
        match &mut self.state {
            State::Live(session) if notice.code == GETS_OLD => session.ages(now),
            _ => self.warn(notice),
        }
    }

    fn on_unknown(&mut self, kind: &str) {
        let kind = one_line(kind, MAX_KIND_CHARS);
        if self.unknown.len() < MOST_UNKNOWN && self.unknown.insert(kind.clone()) {
            self.event(Event::Unknown { kind });
        }
    }

    fn warn(&mut self, notice: &Notice) {
        self.event(Event::Warning {
            code: one_line(&notice.code, MAX_REASON_CHARS),
            description: one_line(&notice.description, MAX_REASON_CHARS),
        });
    }
}

fn duration(seconds: Option<f64>) -> Option<Duration> {
    Duration::try_from_secs_f64(seconds?).ok()
}

/// The turn has no answer, but the session may go on.
const FAILED_TO_THINK: &str = "FAILED_TO_THINK";
const GETS_OLD: &str = "MAXIMUM_SESSION_LENGTH_APPROACHING";
/// Another session would end in the same way.
const FATAL: &[&str] = &[
    "INVALID_SETTINGS",
    "UNPARSABLE_CLIENT_MESSAGE",
    "USER_AUDIO_FORMAT",
    "AGENT_ID_NOT_SUPPORTED",
    "INVALID_AGENT_ID",
    "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS",
    "SETTINGS_ALREADY_APPLIED",
];
const MOST_UNKNOWN: usize = 32;
const MAX_KIND_CHARS: usize = 60;
