//! The samples of one channel that have not left yet.

use std::collections::VecDeque;

/// A queue of samples: what arrived as bytes, silence as counts.
#[derive(Debug, Default)]
pub(super) struct Pending {
    runs: VecDeque<Run>,
    /// The samples of all runs that arrived.
    arrived: Vec<u8>,
}

/// Consecutive samples of one kind, at least one.
#[derive(Clone, Copy, Debug)]
pub(super) struct Run {
    pub(super) samples: u64,
    /// Whether they arrived; otherwise they are silence that fills or pads.
    pub(super) arrived: bool,
}

impl Pending {
    /// The most bytes that may wait: 1 s.
    pub(super) const MAX_BYTES: usize = 8_000;

    /// Bounds the bookkeeping when tiny frames alternate with holes.
    const MAX_RUNS: usize = 128;

    /// Whether there is room for `payload` and a silence before it.
    pub(super) fn has_room(&self, payload: &[u8]) -> bool {
        self.arrived.len() + payload.len() <= Self::MAX_BYTES
            && self.runs.len() + 2 <= Self::MAX_RUNS
    }

    /// Adds samples that arrived, at least one.
    pub(super) fn push(&mut self, payload: &[u8]) {
        self.arrived.extend_from_slice(payload);
        self.push_run(Run {
            samples: payload.len() as u64,
            arrived: true,
        });
    }

    /// Adds silence, at least one sample.
    pub(super) fn push_silence(&mut self, samples: u64) {
        self.push_run(Run {
            samples,
            arrived: false,
        });
    }

    /// The run that leaves next.
    pub(super) fn front(&self) -> Option<Run> {
        self.runs.front().copied()
    }

    /// Takes `samples` of the front run, which has as many, and gives those that arrived to
    /// `read`.
    pub(super) fn take(&mut self, samples: u32, read: impl FnOnce(&[u8])) {
        let front = self
            .runs
            .front_mut()
            .expect("samples are taken from a run that is there");
        if front.arrived {
            let count = samples as usize;
            read(&self.arrived[..count]);
            self.arrived.drain(..count);
        }
        front.samples -= u64::from(samples);
        if front.samples == 0 {
            self.runs.pop_front();
        }
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.arrived.capacity() + self.runs.capacity() * size_of::<Run>()
    }

    fn push_run(&mut self, run: Run) {
        match self.runs.back_mut() {
            Some(back) if back.arrived == run.arrived => back.samples += run.samples,
            Some(_) | None => self.runs.push_back(run),
        }
    }
}
