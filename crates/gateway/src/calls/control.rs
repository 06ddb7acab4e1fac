//! What call control knows of a call beside what everybody sees.

use crate::http::Base;

/// What Twilio is to do with a call once its bidirectional stream has ended.
#[derive(Clone, PartialEq, Eq)]
pub enum Next {
    /// End it.
    HangUp,
    /// Connect it with this number, E.164.
    Dial(String),
    /// Press these keys, then open the same stream again.
    Press(String),
}

/// Numbers and keys are people's data and are not shown.
impl std::fmt::Debug for Next {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::HangUp => "HangUp",
            Self::Dial(_) => "Dial",
            Self::Press(_) => "Press",
        })
    }
}

/// See [`CallHandle`](super::CallHandle).
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Where its newest stream reached this gateway: the address that Twilio knows.
    pub(super) base: Option<Base>,
    pub(super) next: Option<Next>,
    /// Whether it was connected with another number while it is listened to.
    pub(super) is_transferred: bool,
}
