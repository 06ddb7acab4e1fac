//! What Deepgram says on the open connection.

use std::time::Instant;

use super::{Event, ListenLink, MAX_REASON_CHARS, Output, State};
use crate::error::one_line;
use crate::listen::message::{ErrorMessage, Results, ServerMessage, SpeechStarted, UtteranceEnd};
use crate::listen::times;

impl ListenLink {
    pub(super) fn on_text(&mut self, now: Instant, generation: u32, text: &str) {
        let Some(connection) = self.connection_mut(generation) else {
            return;
        };
        connection.message_heard(now);
        match ServerMessage::parse(text) {
            Ok(ServerMessage::Results(results)) => self.on_results(&results, text),
            Ok(ServerMessage::Metadata(_)) => self.on_metadata(now, text),
            Ok(ServerMessage::SpeechStarted(started)) => {
                self.pass_on(text);
                self.on_speech_started(&started);
            }
            Ok(ServerMessage::UtteranceEnd(ended)) => {
                self.pass_on(text);
                self.on_utterance_end(&ended);
            }
            Ok(ServerMessage::Error(complaint) | ServerMessage::Warning(complaint)) => {
                self.pass_on(text);
                self.on_complaint(&complaint);
            }
            Ok(
                ServerMessage::ConfigureSuccess(_)
                | ServerMessage::ConfigureFailure(_)
                | ServerMessage::Unknown { .. },
            ) => self.pass_on(text),
            // It may have been a final: only another connection can tell its words.
            Err(error) => self.replace(now, &error.to_string()),
        }
    }

    fn on_results(&mut self, results: &Results, text: &str) {
        let (State::Open(connection) | State::Finishing(connection)) = &mut self.state else {
            return;
        };
        let Some((channel, hearing)) = self.progress.channel_mut(results.channel_index.index)
        else {
            self.pass_on(text);
            return;
        };
        let map = connection.map;
        let heard = hearing.take(channel, results, |at| map.source(at).min(connection.sent));
        let emptied = heard
            .cut
            .as_ref()
            .is_some_and(|cut| cut.transcript.is_empty());
        if connection.is_first {
            self.outputs.push_back(message(text.to_owned()));
        } else if !emptied {
            let shifted = times::rewrite(text, heard.cut.as_ref(), |_, at| map.source_seconds(at));
            self.outputs.extend(shifted.map(message));
        }
        if heard.advanced {
            connection.was_fruitful = true;
            self.progress.advanced();
        }
        self.outputs.extend(heard.event.map(Output::Event));
    }

    /// The last message of a connection. It is passed on when no other connection follows.
    fn on_metadata(&mut self, now: Instant, text: &str) {
        if !matches!(self.state, State::Finishing(_)) {
            return;
        }
        if self.progress.expects_finals() {
            self.replace(now, "Deepgram ended without its last finals");
            return;
        }
        self.outputs.push_back(message(text.to_owned()));
        self.end();
    }

    fn on_speech_started(&mut self, started: &SpeechStarted) {
        let Some(at) = self.source(started.timestamp) else {
            return;
        };
        let Some((channel, hearing)) = self.progress.channel_mut(started.channel.index) else {
            return;
        };
        if hearing.speech_started(at) {
            self.event(Event::SpeechStarted { channel, at });
        }
    }

    fn on_utterance_end(&mut self, ended: &UtteranceEnd) {
        // Below zero: Deepgram knows of no word.
        let Some(at) = self
            .source(ended.last_word_end)
            .filter(|_| ended.last_word_end >= 0.0)
        else {
            return;
        };
        let Some((channel, hearing)) = self.progress.channel_mut(ended.channel.index) else {
            return;
        };
        if hearing.utterance_ended(at) {
            self.event(Event::UtteranceEnded { channel, at });
        }
    }

    fn on_complaint(&mut self, complaint: &ErrorMessage) {
        let detail = one_line(&complaint.words(), MAX_REASON_CHARS);
        if self.warned.as_ref() != Some(&detail) {
            self.warned = Some(detail.clone());
            self.event(Event::Warned { detail });
        }
    }

    /// Passes a message on, its times in source time unless the connection is the first.
    fn pass_on(&mut self, text: &str) {
        let (State::Open(connection) | State::Finishing(connection)) = &self.state else {
            return;
        };
        let map = connection.map;
        let shifted = (!connection.is_first)
            .then(|| times::map_times(text, |_, seconds| map.source_seconds(seconds)))
            .flatten();
        self.outputs
            .push_back(message(shifted.unwrap_or_else(|| text.to_owned())));
    }

    /// The source position of a time on the open connection.
    fn source(&self, seconds: f64) -> Option<u64> {
        let (State::Open(connection) | State::Finishing(connection)) = &self.state else {
            return None;
        };
        Some(
            connection
                .map
                .source(seconds)
                .clamp(self.boundary(), connection.sent),
        )
    }
}

fn message(text: String) -> Output {
    Output::Event(Event::Message { text })
}
