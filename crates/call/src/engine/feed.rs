//! From the frames of a call to the blocks that a link takes, at regular times.

use std::time::{Duration, Instant};

use sidetone_audio::{Block, Interleaver};

/// The interleaver before a link, flushed so and so often.
#[derive(Debug)]
pub(super) struct Feed {
    interleaver: Interleaver,
    every: Duration,
    flush_at: Option<Instant>,
    /// On their way from the interleaver to the link; empty in between.
    blocks: Vec<Block>,
}

impl Feed {
    pub(super) fn new(channels: usize, every: Duration) -> Self {
        Self {
            interleaver: Interleaver::new(channels),
            every,
            flush_at: None,
            blocks: Vec::new(),
        }
    }

    /// Adds audio that stands at call time `at`. It leaves with the next flush; what is given back
    /// leaves now, as no more can wait.
    pub(super) fn push(
        &mut self,
        now: Instant,
        channel: usize,
        at: u64,
        payload: &[u8],
    ) -> impl Iterator<Item = Block> {
        self.interleaver
            .push(channel, at, payload, &mut self.blocks);
        if self.flush_at.is_none() && self.interleaver.pending() {
            self.flush_at = Some(now + self.every);
        }
        self.blocks.drain(..)
    }

    /// What leaves when a flush is due.
    pub(super) fn flush(&mut self, now: Instant) -> impl Iterator<Item = Block> {
        if self.flush_at.take_if(|at| *at <= now).is_some() {
            self.interleaver.drain(&mut self.blocks);
            self.flush_at = self.interleaver.pending().then(|| now + self.every);
        }
        self.blocks.drain(..)
    }

    /// All that waits: no more audio comes.
    pub(super) fn finish(&mut self) -> impl Iterator<Item = Block> {
        self.flush_at = None;
        self.interleaver.finish(&mut self.blocks);
        self.blocks.drain(..)
    }

    /// When [`Feed::flush`] is due.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.flush_at
    }

    /// Call time of a position in what the link was given, in samples.
    pub(super) fn call_time(&self, channel: usize, position: u64) -> u64 {
        self.interleaver.call_time(channel, position)
    }

    /// No position before this one will be asked for again.
    pub(super) fn forget_before(&mut self, position: u64) {
        self.interleaver.forget_before(position);
    }
}
