//! What tests of several modules need.

use crate::event::{Call, Status};

/// A call of which little is known.
pub(crate) fn call() -> Call {
    let call_sid = "CA0123456789abcdef0123456789abcdef".parse().unwrap();
    Call {
        status: Status::Live,
        ..Call::new(call_sid, "default".into())
    }
}
