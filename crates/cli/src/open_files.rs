//! How many files and sockets this process may have open.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// Takes as many as the system allows without asking, and tells how many that is.
///
/// A shell's usual 1,024 would be used up by 500 calls, or by one peer's half-open sockets.
pub(crate) fn raise() -> u64 {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: maximum,
        maximum,
    };
    let allowed = if setrlimit(Resource::Nofile, raised).is_ok() {
        maximum
    } else {
        current
    };
    allowed.unwrap_or(u64::MAX)
}
