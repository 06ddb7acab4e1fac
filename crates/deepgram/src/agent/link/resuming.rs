//! How a session goes on where the one before it was lost.
//!
//! It is told the conversation in its `Settings`. What the caller said last and nobody answered is
//! then said to it once more, or it would wait for the caller to speak. A function that is still
//! being done stands in the conversation as such, so that nobody does it twice; what comes of it
//! follows as a note.

use std::time::Instant;

use super::conversation::Unanswered;
use super::functions::{Answered, Asker};
use super::{AgentLink, State};
use crate::agent::message::{ClientMessage, FunctionCallResponse, FunctionRecord, HistoryItem};

impl AgentLink {
    /// Answers a function call that was told. One that was revoked meanwhile is no longer waited
    /// for; that it was done is remembered. What came of one that a lost session had asked for is
    /// told to the next one in words.
    pub fn respond(&mut self, now: Instant, id: &str, content: &str) {
        let Some(answered) = self.calls.answered(id, content) else {
            return;
        };
        let Answered {
            record,
            thought_signature,
            asker,
        } = answered;
        let is_live = matches!(self.state, State::Live(_));
        let is_settling = matches!(self.state, State::Settling { .. });
        match asker {
            Asker::Running if is_live => {
                self.send(&ClientMessage::FunctionCallResponse(FunctionCallResponse {
                    id: Some(record.id.clone()),
                    name: record.name.clone(),
                    content: content.to_owned(),
                    thought_signature,
                }));
                self.owed.answer(now);
            }
            // It was told that this was being done.
            Asker::Gone if is_live || is_settling => {
                self.asides.push(note(&record));
                self.send_asides(now);
            }
            Asker::Running | Asker::Gone | Asker::Revoked => {}
        }
        self.conversation.called(record);
        self.advance(now);
    }

    /// The conversation as another session is told it, and what it is asked for.
    pub(super) fn resume(&mut self) -> impl Iterator<Item = HistoryItem> {
        let under_way: Vec<FunctionRecord> = self.calls.under_way().collect();
        if self.owed.is_answer() && under_way.is_empty() {
            match self.conversation.ask_again() {
                Some(Unanswered::Text(text)) => self.asides.push(text),
                // A stored agent would not know what it is to go on with.
                Some(Unanswered::Functions) if !self.config.settings.is_stored() => {
                    self.asides.push(GO_ON.to_owned());
                }
                Some(Unanswered::Functions) | None => {}
            }
        }
        let under_way = under_way
            .into_iter()
            .map(|record| HistoryItem::FunctionCalls {
                function_calls: vec![record],
            });
        self.conversation.items().chain(under_way)
    }

    /// Says to the session that runs, if one does, what it is to take as the caller's.
    pub(super) fn send_asides(&mut self, now: Instant) {
        while matches!(self.state, State::Live(_))
            && let Some(content) = self.asides.next()
        {
            self.send(&ClientMessage::InjectUserMessage { content });
            self.owed.answer(now);
        }
    }
}

/// What came of a function, for a model that did not call it.
fn note(record: &FunctionRecord) -> String {
    let FunctionRecord {
        name,
        arguments,
        response,
        ..
    } = record;
    format!(
        "(The function {name} with the arguments {arguments}, which was called before the \
         connection was interrupted, has been done. What came of it: {response})"
    )
}

/// For the model, in whatever language it speaks.
const GO_ON: &str = "(The connection was interrupted for a moment. Go on where you left off, in \
                     the language of this conversation.)";
