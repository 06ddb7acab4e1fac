//! The speech leg: a listen link, and what feeds it.

use std::time::{Duration, Instant};

use sidetone_audio::Track;
use sidetone_audio::time::{duration, samples};
use sidetone_deepgram::listen::link::{self, ListenLink};
use sidetone_deepgram::listen::times::map_times;

use super::clock::to_ms;
use super::feed::Feed;
use super::{LinkKey, ProviderText};
use crate::event::{ProviderState, Transcript, Word};

/// One way to Deepgram, with the tracks it hears in channel order.
#[derive(Debug)]
pub(super) struct Leg {
    pub(super) key: LinkKey,
    pub(super) tracks: Vec<Track>,
    pub(super) link: ListenLink,
    pub(super) state: ProviderState,
    pub(super) life: LegLife,
    /// Whether it is the call's first one.
    is_first: bool,
    /// Connections that were opened.
    connections: u32,
    feed: Feed,
}

/// Where a leg is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LegLife {
    /// A stream feeds it.
    Fed,
    /// All audio is there; the last finals are waited for.
    Finishing,
    /// All is heard.
    Finished,
}

impl Leg {
    pub(super) fn new(
        now: Instant,
        key: LinkKey,
        tracks: Vec<Track>,
        config: link::Config,
        flush: Duration,
        is_first: bool,
    ) -> Self {
        Self {
            key,
            feed: Feed::new(tracks.len(), flush),
            tracks,
            link: ListenLink::new(config, now),
            state: ProviderState::Connecting,
            life: LegLife::Fed,
            is_first,
            connections: 0,
        }
    }

    /// Adds audio of a track that stands at call time `at`. It leaves with the next flush.
    pub(super) fn push(&mut self, now: Instant, track: Track, at: u64, payload: &[u8]) {
        let channel = self.tracks.iter().position(|&heard| heard == track);
        let channel = channel.expect("a track is led to a leg that hears it");
        for block in self.feed.push(now, channel, at, payload) {
            self.link.hear(now, block);
        }
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant) {
        for block in self.feed.flush(now) {
            self.link.hear(now, block);
        }
        if self.link.poll_timeout().is_some_and(|at| at <= now) {
            self.link.handle_timeout(now);
        }
    }

    /// A connection is open.
    pub(super) fn connected(&mut self) {
        self.state = ProviderState::Connected;
        self.connections += 1;
    }

    /// No more audio will come: sends what waits and asks for the last finals.
    pub(super) fn finish(&mut self, now: Instant) {
        self.life = LegLife::Finishing;
        for block in self.feed.finish() {
            self.link.hear(now, block);
        }
        self.link.finish(now);
    }

    /// When [`Leg::handle_timeout`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let flush = self.feed.deadline();
        flush.into_iter().chain(self.link.poll_timeout()).min()
    }

    /// The track of a channel; `None` for a channel that Deepgram made up.
    pub(super) fn track(&self, channel: usize) -> Option<Track> {
        self.tracks.get(channel).copied()
    }

    /// Call time of a moment, in samples.
    pub(super) fn call_time(&self, channel: usize, position: u64) -> u64 {
        self.feed.call_time(channel, position)
    }

    /// Call time of the end of something that began at `start`, in samples: that of its last
    /// sample, since the next one may stand after a gap.
    pub(super) fn call_end(&self, channel: usize, start: u64, end: u64) -> u64 {
        let last = end.saturating_sub(1).max(start);
        self.feed.call_time(channel, last) + u64::from(end > start)
    }

    /// What Deepgram heard, in call time, its latency not told yet; and the call position of its
    /// end in samples.
    pub(super) fn transcript(&self, heard: link::Transcript) -> Option<(Transcript, u64)> {
        let channel = heard.channel;
        let track = self.track(channel)?;
        let start = self.call_time(channel, heard.start);
        let end = self.call_end(channel, heard.start, heard.end).max(start);
        let words = heard.words.into_iter().map(|word| {
            let start = self.call_time(channel, word.start);
            let end = self.call_end(channel, word.start, word.end).max(start);
            Word {
                word: word.word,
                text: word.text,
                start_ms: to_ms(start),
                end_ms: to_ms(end),
                confidence: word.confidence,
                speaker: word.speaker,
            }
        });
        let transcript = Transcript {
            track,
            channel,
            start_ms: to_ms(start),
            end_ms: to_ms(end),
            words: words.collect(),
            text: heard.text,
            confidence: heard.confidence,
            speech_final: heard.speech_final,
            latency_ms: None,
        };
        Some((transcript, end))
    }

    /// A message of Deepgram for `/client`: as it is on the call's first connection, with its
    /// times moved from the link's to the call's on every other.
    pub(super) fn message(&self, text: String) -> ProviderText {
        if self.is_first && self.connections <= 1 {
            return ProviderText(text);
        }
        let in_call_time = map_times(&text, |channel, seconds| {
            let position = Duration::try_from_secs_f64(seconds).map(samples);
            let heard = self.track(channel).and(position.ok());
            heard.map_or(seconds, |at| {
                duration(self.call_time(channel, at)).as_secs_f64()
            })
        });
        ProviderText(in_call_time.unwrap_or(text))
    }

    /// Forgets what no event can speak of any more.
    pub(super) fn forget(&mut self) {
        self.feed.forget_before(self.link.boundary());
    }
}
