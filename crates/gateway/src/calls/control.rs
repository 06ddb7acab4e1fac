//! What call control knows of a call beside what everybody sees.

use sidetone_call::engine::Next;

use crate::http::Base;

/// See [`CallHandle`](super::CallHandle).
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Where its newest stream reached this gateway: the address that Twilio knows.
    pub(super) base: Option<Base>,
    pub(super) next: Option<Next>,
    /// Whether it was connected with another number while it is listened to.
    pub(super) is_transferred: bool,
}
