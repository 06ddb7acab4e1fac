//! How far the call's audio has come: given, sent, heard.

use std::ops::Range;
use std::time::Duration;

use bytes::Bytes;
use sidetone_audio::Block;

use super::clock::samples_in;
use super::hearing::Hearing;
use super::kept::Kept;

/// All that outlives a connection. Positions are source positions.
#[derive(Debug)]
pub(super) struct Progress {
    kept: Kept,
    /// By channel.
    hearing: Vec<Hearing>,
    /// Up to where audio was sent on any connection.
    reached: u64,
    /// Audio sent again so far, in samples.
    replayed: u64,
    /// Connections in a row that took audio and told nothing new.
    fruitless: u32,
}

/// Sounds of a channel that no final covers.
pub(super) struct Unheard {
    pub(super) channel: usize,
    pub(super) span: Range<u64>,
}

/// Where a new connection begins.
pub(super) struct Start {
    pub(super) position: u64,
    /// How much of what follows was sent before, in samples.
    pub(super) replayed: u64,
    /// What lies before it and will never be heard.
    pub(super) lost: Vec<Unheard>,
}

impl Progress {
    pub(super) fn new(channels: usize) -> Self {
        Self {
            kept: Kept::new(channels),
            hearing: (0..channels).map(|_| Hearing::default()).collect(),
            reached: 0,
            replayed: 0,
            fruitless: 0,
        }
    }

    /// Takes more audio. What is older than `window` is dropped, unless it comes after `unsent`:
    /// a connection that catches up still needs that, and gains on it.
    pub(super) fn push(&mut self, block: Block, window: Duration, unsent: Option<u64>) {
        self.kept.push(block);
        let oldest = self.kept.end().saturating_sub(samples_in(window));
        self.kept
            .drop_before(unsent.map_or(oldest, |unsent| unsent.min(oldest)));
    }

    /// Begins a connection: from where it hears on, unless that was tried too often already.
    pub(super) fn begin(&mut self) -> Start {
        let resume = self.resume_at();
        let sent_before = self.reached.saturating_sub(resume);
        let replayed = sent_before.min(self.replay_budget());
        let position = resume + (sent_before - replayed);
        let lost = self.unheard(position);
        self.kept.forget_dropped();
        for hearing in &mut self.hearing {
            hearing.begin(position);
        }
        self.replayed += replayed;
        self.kept.release_before(position);
        Start {
            position,
            replayed,
            lost,
        }
    }

    pub(super) fn sent(&mut self, position: u64) {
        self.reached = self.reached.max(position);
    }

    /// A final told something new: what is behind it is done with.
    pub(super) fn advanced(&mut self) {
        self.fruitless = 0;
        self.kept.release_before(self.resume_at());
    }

    /// A connection took audio and ended without a word about it.
    pub(super) fn fruitless(&mut self) {
        self.fruitless = self.fruitless.saturating_add(1);
    }

    /// Nothing will be sent any more.
    pub(super) fn forget(&mut self) {
        self.kept.release_before(u64::MAX);
    }

    /// A channel by Deepgram's index; `None` when the call has no such channel.
    pub(super) fn channel_mut(&mut self, index: u32) -> Option<(usize, &mut Hearing)> {
        let channel = usize::try_from(index).ok()?;
        Some((channel, self.hearing.get_mut(channel)?))
    }

    /// The audio of one message from `position` on, and its samples per channel.
    pub(super) fn message_at(&self, position: u64) -> Option<(Bytes, u64)> {
        self.kept.message_at(position)
    }

    /// How many bytes `samples` of all channels are.
    pub(super) fn bytes(&self, samples: u64) -> usize {
        self.kept.bytes(samples)
    }

    /// The end of all audio.
    pub(super) fn end(&self) -> u64 {
        self.kept.end()
    }

    /// Up to where every channel was heard.
    pub(super) fn boundary(&self) -> u64 {
        let boundaries = self.hearing.iter().map(Hearing::boundary);
        boundaries.min().unwrap_or(0)
    }

    /// Where a new connection would have to begin.
    pub(super) fn resume_at(&self) -> u64 {
        let needed = self.hearing.iter().map(Hearing::resume_at);
        needed
            .min()
            .unwrap_or(0)
            .clamp(self.kept.start(), self.kept.end())
    }

    /// Whether words were seen that no final has told.
    pub(super) fn expects_finals(&self) -> bool {
        self.hearing.iter().any(Hearing::expects_final)
    }

    /// Takes back what interims told. Gives the channels they were told of.
    pub(super) fn withdraw_interims(&mut self) -> Vec<usize> {
        let channels = self.hearing.iter_mut().enumerate();
        channels
            .filter_map(|(channel, hearing)| hearing.withdraw_interim().then_some(channel))
            .collect()
    }

    /// The sounds before `end` that no final covers, by channel.
    pub(super) fn unheard(&self, end: u64) -> Vec<Unheard> {
        let channels = self.hearing.iter().enumerate();
        channels
            .filter_map(|(channel, hearing)| {
                let span = self.kept.loud(channel, &(hearing.boundary()..end))?;
                Some(Unheard { channel, span })
            })
            .collect()
    }

    fn replay_budget(&self) -> u64 {
        if self.fruitless >= FRUITLESS_CONNECTIONS {
            return 0;
        }
        (samples_in(REPLAY_BUDGET) + self.end() / 4).saturating_sub(self.replayed)
    }
}

/// A call is replayed for this long at most, and a quarter of its own length.
const REPLAY_BUDGET: Duration = Duration::from_secs(120);
const FRUITLESS_CONNECTIONS: u32 = 5;
