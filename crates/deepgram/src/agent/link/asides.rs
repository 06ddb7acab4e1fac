//! What a session is told as if the caller had said it, so that it goes on where the one before it
//! was lost.

use std::fmt;

use super::injections::words;

/// Texts of the link's own. Nobody said them, so their echoes are told to nobody.
#[derive(Default)]
pub(super) struct Asides {
    unsent: Vec<String>,
    /// Those that were sent and have not come back.
    unechoed: Vec<String>,
}

impl Asides {
    /// One that is to be sent as soon as the session runs.
    pub(super) fn push(&mut self, content: String) {
        self.unsent.push(content);
    }

    /// The next one to send, which from then on counts as sent.
    pub(super) fn next(&mut self) -> Option<String> {
        let content = (!self.unsent.is_empty()).then(|| self.unsent.remove(0))?;
        self.unechoed.push(words(&content));
        Some(content)
    }

    /// Whether this text of the caller is one of these.
    pub(super) fn is_echo(&mut self, content: &str) -> bool {
        let content = words(content);
        let index = self.unechoed.iter().position(|sent| *sent == content);
        index.map(|index| self.unechoed.remove(index)).is_some()
    }

    /// The session is gone; what the next one has to be told is another matter.
    pub(super) fn forsaken(&mut self) {
        self.unsent.clear();
        self.unechoed.clear();
    }
}

/// Without the words.
impl fmt::Debug for Asides {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asides")
            .field("unsent", &self.unsent.len())
            .field("unechoed", &self.unechoed.len())
            .finish()
    }
}
