//! A track of the call, whichever stream brings it.

use std::time::{Duration, Instant};

use sidetone_audio::{SAMPLES_PER_MS, ulaw};

use super::latency::Arrivals;
use super::{LinkKey, StreamKey};

/// A track without audio for this long is noted.
const NO_AUDIO: Duration = Duration::from_secs(5);

/// So much speech without any message of Deepgram is noted.
const NO_RESULT: u64 = 10_000 * SAMPLES_PER_MS;

/// Where the audio of a track comes from, where it goes, and what is known of it.
#[derive(Debug, Default)]
pub(super) struct Lane {
    /// The stream that the track is taken from: of those that live and bring it, the newest.
    source: Option<StreamKey>,
    /// The link that hears it.
    pub(super) link: Option<LinkKey>,
    pub(super) arrivals: Arrivals,
    has_begun: bool,
    /// When its silence is to be noted; `None` before audio and once it was noted.
    quiet_at: Option<Instant>,
    /// Audio with sound in it since the last message of Deepgram, in samples.
    unanswered: u64,
}

impl Lane {
    /// Takes the track from `source` from now on.
    pub(super) fn take_from(&mut self, source: Option<StreamKey>) {
        if self.source != source {
            self.source = source;
            self.quiet_at = None;
        }
    }

    pub(super) fn source(&self) -> Option<StreamKey> {
        self.source
    }

    /// Audio came. Whether it is the track's first.
    pub(super) fn begins(&mut self, now: Instant) -> bool {
        self.quiet_at = Some(now + NO_AUDIO);
        !std::mem::replace(&mut self.has_begun, true)
    }

    /// Whether the silence that is to be noted has come about; true once.
    pub(super) fn has_gone_quiet(&mut self, now: Instant) -> bool {
        self.quiet_at.take_if(|at| *at <= now).is_some()
    }

    /// When [`Lane::has_gone_quiet`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        self.quiet_at
    }

    /// Audio goes to Deepgram. Whether it completes 10 s of sound without an answer; true once.
    pub(super) fn asks(&mut self, payload: &[u8]) -> bool {
        if ulaw::is_silent(payload) {
            return false;
        }
        let before = self.unanswered;
        self.unanswered += payload.len() as u64;
        before < NO_RESULT && self.unanswered >= NO_RESULT
    }

    /// Deepgram said something.
    pub(super) fn is_answered(&mut self) {
        self.unanswered = 0;
    }
}
