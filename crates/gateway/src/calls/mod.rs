//! The calls of this node: who is live, what their logs say, and the task that runs each.
//!
//! A stream's socket is [`upgrade`]d, read until its `start` and given a seat in the registry
//! ([`Calls`]); from then on the call's task owns it. Everything others learn of a call they learn
//! through its [`CallHandle`].

mod control;
mod dialer;
mod functions;
mod handle;
mod intake;
mod link;
mod messages;
mod pending;
mod probe;
mod registry;
mod report;
mod socket;
mod speaker;
mod store;
mod task;
#[cfg(test)]
pub(crate) mod testing;
mod watchers;
mod writer;

pub use dialer::DialerError;
pub use handle::{CallHandle, Command};
pub use messages::{MessageRead, MessageReader};
pub use probe::{NoAgent, visit_agent};
pub use registry::{Admission, CallFacts, Calls};
pub use store::Store;

pub(crate) use dialer::Dialer;
pub(crate) use functions::Functions;
pub(crate) use intake::{OWN_PARAMETERS, StreamAuthSecret};
pub(crate) use socket::{StreamUpgrade, is_departure};
pub(crate) use speaker::Speaker;
pub(crate) use task::Services;
pub(crate) use watchers::Watching;

/// Locks state that is right at every moment, so that a panic elsewhere does not spread.
fn lock<T>(mutex: &std::sync::Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
