//! SIGTERM and Ctrl-C: the first drains, the second ends at once.

use sidetone_gateway::Shutdown;
use tokio::signal::unix::{SignalKind, signal};

/// Follows the signals from now on.
pub(crate) fn follow() -> std::io::Result<Shutdown> {
    let shutdown = Shutdown::default();
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let steps = shutdown.clone();
    // Lives as long as the process: there is always one more signal to come.
    tokio::spawn(async move {
        for step in [steps.drain, steps.kill] {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
            step.cancel();
        }
    });
    Ok(shutdown)
}
