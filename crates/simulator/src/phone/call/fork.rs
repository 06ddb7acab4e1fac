//! A second stream of the same call, beside the first.

use std::time::Duration;

use sidetone_twilio::StreamSid;
use tokio::time::Instant;

use super::{Call, Plan};
use crate::phone::Fault;

/// How long the fork carries silence before the people go on talking: time for the server to turn
/// to it.
const SETTLING: Duration = Duration::from_millis(500);

/// How far it has come.
#[derive(Debug)]
pub(super) enum Fork {
    /// There is nothing to do, or no more.
    Settled,
    /// To be opened in the first pause once the first stream is so old.
    Planned { after: Duration },
    /// The people wait for it.
    Awaited { stream_sid: StreamSid },
}

impl Fork {
    pub(super) fn planned(faults: &[Fault]) -> Self {
        let planned = faults.iter().find_map(|fault| match fault {
            Fault::ParallelForks { after } => Some(Self::Planned { after: *after }),
            _ => None,
        });
        planned.unwrap_or(Self::Settled)
    }
}

impl Call {
    /// Opens the fork when its time has come, and lets the people go on once it is of use.
    pub(super) fn tend_fork(&mut self, due: Instant) {
        match &self.fork {
            Fork::Settled => {}
            Fork::Planned { after } => {
                let first = self.streams.first();
                let is_old_enough = |stream: &&super::Stream| stream.side.age(due) >= *after;
                let Some(first) = first.filter(is_old_enough) else {
                    return;
                };
                if self.line.is_speaking() {
                    return;
                }
                let start = first.side.start().clone();
                let (url, status) = (first.url.clone(), first.status.clone());
                let start = self.new_start(start.tracks, start.custom_parameters);
                self.line.hold();
                let stream_sid = self.open_stream(Plan {
                    start,
                    url,
                    is_bidirectional: false,
                    status,
                });
                self.fork = Fork::Awaited { stream_sid };
            }
            Fork::Awaited { stream_sid } => {
                let fork = self
                    .streams
                    .iter()
                    .find(|stream| stream.sid() == stream_sid);
                let is_settled = match fork {
                    Some(fork) => fork.side.age(due) >= SETTLING,
                    None => !self.is_opening_streams(),
                };
                if is_settled {
                    self.line.release();
                    self.fork = Fork::Settled;
                }
            }
        }
    }
}
