//! The calls of this node: who is live, what their logs say, and the task that runs each.
//!
//! A stream's socket is [`upgrade`]d, read until its `start` and given a seat in the registry
//! ([`Calls`]); from then on the call's task owns it. Everything others learn of a call they learn
//! through its [`CallHandle`].

mod dialer;
mod handle;
mod intake;
mod link;
mod messages;
mod registry;
mod report;
mod socket;
mod task;
#[cfg(test)]
mod testing;
mod writer;

pub use dialer::DialerError;
pub use handle::{CallHandle, Command};
pub use messages::{MessageRead, MessageReader};
pub use registry::{Admission, CallFacts, Calls};

pub(crate) use dialer::Dialer;
pub(crate) use intake::StreamAuthSecret;
pub(crate) use socket::{StreamUpgrade, is_departure};
pub(crate) use task::Services;

/// The archive that the calls of this build are stored in.
pub type Store = sidetone_call::archive::MemoryArchive;

/// Locks state that is right at every moment, so that a panic elsewhere does not spread.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
