//! A stream as its socket sees it: a value that takes what happened and the time.

use std::time::Instant;

use bytes::Bytes;
use sidetone_deepgram::listen::message::Close;

use super::faults::Faults;

/// One connection, without socket or clock.
///
/// `handle` takes what happened and the time, which never goes back; `poll_output` is drained
/// until `None` after each `handle` and `strike`; `poll_timeout` tells when `Input::Timeout` is
/// due.
pub(super) trait Stream {
    /// Takes what happened at `now`.
    fn handle(&mut self, now: Instant, input: Input<'_>);

    /// What is to be sent now.
    fn poll_output(&mut self) -> Option<Output>;

    /// When `Input::Timeout` is due.
    fn poll_timeout(&self) -> Option<Instant>;

    /// Whether so much waits to be processed or sent that the client has to wait.
    fn is_full(&self) -> bool;

    /// Faults were set that strike the streams that are open.
    fn strike(&mut self, now: Instant, faults: &Faults);
}

/// What happened.
#[derive(Debug)]
pub(super) enum Input<'a> {
    /// A binary frame.
    Audio(Bytes),
    /// A text frame.
    Text(&'a str),
    /// The deadline told by `poll_timeout` has come.
    Timeout,
}

/// What is to be sent.
#[derive(Debug, PartialEq)]
pub(super) enum Output {
    /// A text frame.
    Text(String),
    /// A binary frame.
    Binary(Bytes),
    /// The close frame; nothing follows it.
    Close(Close),
    /// The socket is dropped without a Close; nothing follows it.
    Break,
    /// The socket is kept and not touched any more; nothing follows it.
    Freeze,
}

/// When `item` is due.
#[derive(Debug)]
pub(super) struct Timed<T> {
    pub(super) due: Instant,
    pub(super) item: T,
}

/// The close that ends what went well.
pub(super) const NORMAL: Close = Close {
    code: 1000,
    reason: "",
};
