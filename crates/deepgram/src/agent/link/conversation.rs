//! What was said and done, for a session that goes on with it.

use std::collections::VecDeque;

use super::types::Said;
use crate::agent::message::{FunctionRecord, HistoryItem, Role};

/// The newest of a conversation, in bounded room.
#[derive(Debug, Default)]
pub(super) struct Conversation {
    entries: VecDeque<Entry>,
    bytes: usize,
    next: u32,
}

#[derive(Debug)]
struct Entry {
    /// Of the agent's texts.
    said: Option<Said>,
    item: HistoryItem,
    /// How often another session was asked to answer it.
    asked_again: u8,
}

/// What is last in a conversation and waits for an answer.
pub(super) enum Unanswered {
    /// What the caller said.
    Text(String),
    /// What came of functions.
    Functions,
}

impl Conversation {
    pub(super) fn user_said(&mut self, content: String) {
        self.push(
            None,
            HistoryItem::Text {
                role: Role::User,
                content,
            },
        );
    }

    pub(super) fn agent_said(&mut self, content: String) -> Said {
        let said = Said(self.next);
        self.next = self.next.wrapping_add(1);
        self.push(
            Some(said),
            HistoryItem::Text {
                role: Role::Assistant,
                content,
            },
        );
        said
    }

    /// Puts what was heard in the place of what was to be said; nothing, when that is nothing.
    pub(super) fn heard(&mut self, first: Said, last: Said, text: &str) {
        let mut text = (!text.trim().is_empty()).then(|| text.to_owned());
        let entries = std::mem::take(&mut self.entries);
        self.bytes = 0;
        for entry in entries {
            let Entry { said, .. } = entry;
            if said.is_none_or(|said| !(first..=last).contains(&said)) {
                self.bytes += bytes(&entry.item);
                self.entries.push_back(entry);
            } else if let Some(content) = text.take() {
                let role = Role::Assistant;
                self.push(said, HistoryItem::Text { role, content });
            }
        }
    }

    /// Adds a function call that was answered, once.
    pub(super) fn called(&mut self, record: FunctionRecord) {
        let is_known = self.entries.iter().any(|entry| match &entry.item {
            HistoryItem::FunctionCalls { function_calls } => {
                function_calls.iter().any(|known| known.id == record.id)
            }
            HistoryItem::Text { .. } => false,
        });
        if !is_known {
            let function_calls = vec![record];
            self.push(None, HistoryItem::FunctionCalls { function_calls });
        }
    }

    /// What another session has to be asked for. `None` when the agent spoke last, and when it was
    /// in vain before: it may be what ends the sessions.
    pub(super) fn ask_again(&mut self) -> Option<Unanswered> {
        let last = self.entries.back_mut()?;
        let unanswered = match &last.item {
            HistoryItem::Text {
                role: Role::User,
                content,
            } => Unanswered::Text(content.clone()),
            HistoryItem::FunctionCalls { .. } => Unanswered::Functions,
            HistoryItem::Text {
                role: Role::Assistant,
                ..
            } => return None,
        };
        last.asked_again += 1;
        (last.asked_again <= MOST_ASKED).then_some(unanswered)
    }

    pub(super) fn items(&self) -> impl Iterator<Item = HistoryItem> {
        self.entries.iter().map(|entry| entry.item.clone())
    }

    fn push(&mut self, said: Option<Said>, item: HistoryItem) {
        self.bytes += bytes(&item);
        self.entries.push_back(Entry {
            said,
            item,
            asked_again: 0,
        });
        while self.entries.len() > MOST_ITEMS || self.bytes > MOST_BYTES {
            let Some(oldest) = self.entries.pop_front() else {
                break;
            };
            self.bytes -= bytes(&oldest.item);
        }
    }
}

fn bytes(item: &HistoryItem) -> usize {
    match item {
        HistoryItem::Text { content, .. } => content.len(),
        HistoryItem::FunctionCalls { function_calls } => function_calls
            .iter()
            .map(|call| {
                call.id.len() + call.name.len() + call.arguments.len() + call.response.len()
            })
            .sum(),
    }
}

const MOST_ASKED: u8 = 2;
const MOST_ITEMS: usize = 200;
const MOST_BYTES: usize = 64 * 1024;
