//! How a stream ends that the phone ends.

use std::time::Duration;

use super::Fault;

/// What the server gets to see at the end of a stream.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) enum Farewell {
    /// `stop`, then a Close: as it should be.
    #[default]
    StopAndClose,
    /// `stop`, and the socket stays.
    Stop,
    /// A Close, without a code when there is none.
    Close { code: Option<u16> },
    /// Nothing at all, and the socket stays.
    Nothing,
    /// The reset of the connection.
    Reset,
    /// The same, after a while in which the socket stays and is dead.
    LateReset { after: Duration },
}

impl Farewell {
    /// The farewell that the faults want, and the age at which a stream takes it, if it does not
    /// wait for the end of the call.
    pub(super) fn of(faults: &[Fault]) -> (Self, Option<Duration>) {
        let wanted = faults.iter().find_map(|fault| match *fault {
            Fault::StopWithoutClose { after } => Some((Self::Stop, after)),
            Fault::CloseWithoutStop { code, after } => Some((Self::Close { code }, after)),
            Fault::HalfOpen { after } => Some((Self::Nothing, after)),
            Fault::TcpReset { after } => Some((Self::Reset, after)),
            Fault::StreamError {
                reset_after: after,
                after: age,
            } => Some((Self::LateReset { after }, Some(age))),
            _ => None,
        });
        wanted.unwrap_or_default()
    }
}
