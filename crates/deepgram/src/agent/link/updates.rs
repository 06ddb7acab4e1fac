//! Changes of a session that Deepgram has not confirmed.

use crate::agent::message::ClientMessage;
use crate::agent::settings::Settings;

/// Changes on their way. One that Deepgram does not like ends the session, and would end every
/// session after it: so it can be taken back.
#[derive(Debug, Default)]
pub(super) struct Updates {
    /// What the session was to be before the first change that is not confirmed.
    before: Option<Box<Settings>>,
    /// To be sent once the session runs: of each kind the newest.
    unsent: Vec<ClientMessage>,
    unconfirmed: usize,
}

impl Updates {
    /// Notes the settings as they were before a change.
    pub(super) fn begun(&mut self, before: Settings) {
        self.before.get_or_insert_with(|| Box::new(before));
    }

    /// Keeps messages for when the session runs.
    pub(super) fn keep(&mut self, messages: Vec<ClientMessage>) {
        for message in messages {
            let kind = std::mem::discriminant(&message);
            self.unsent
                .retain(|older| std::mem::discriminant(older) != kind);
            self.unsent.push(message);
        }
    }

    pub(super) fn sent(&mut self, messages: usize) {
        self.unconfirmed += messages;
    }

    /// Deepgram has taken one.
    pub(super) fn confirmed(&mut self) {
        self.unconfirmed = self.unconfirmed.saturating_sub(1);
        if self.unconfirmed == 0 {
            self.before = None;
        }
    }

    /// `Settings` were taken, with all changes but those that are yet to be sent.
    pub(super) fn applied(&mut self) {
        self.unconfirmed = 0;
        if self.unsent.is_empty() {
            self.before = None;
        }
    }

    /// What was kept, to be sent now.
    pub(super) fn unsent(&mut self) -> Vec<ClientMessage> {
        let unsent = std::mem::take(&mut self.unsent);
        self.sent(unsent.len());
        unsent
    }

    /// The session is gone: the `Settings` of the next one will say it all.
    pub(super) fn forsaken(&mut self) {
        self.unsent.clear();
        self.unconfirmed = 0;
    }

    /// The settings without the changes that are not confirmed, when there are some.
    pub(super) fn take_back(&mut self) -> Option<Settings> {
        self.forsaken();
        self.before.take().map(|settings| *settings)
    }
}
