//! What is shown to those who ask for it.

use std::time::Instant;

use sidetone_audio::Track;

use super::{Engine, Life, Output};
use crate::event::{VolatileData, Watch};

impl Engine {
    /// What readers ask for, from now on; nothing until it is told. What nobody asks for is not
    /// worked out.
    pub fn handle_watch(&mut self, now: Instant, watch: Watch) {
        if matches!(self.life, Life::Ended) {
            return;
        }
        self.watch = watch;
        self.loudness.watch(now, watch.levels);
        self.conversing(now, |_, _| {});
    }

    /// What [`handle_watch`](Self::handle_watch) was told last.
    pub const fn watch(&self) -> Watch {
        self.watch
    }

    /// Audio of a track came. Where something can be played into the call, that is the other side.
    pub(super) fn meter(&mut self, track: Track, payload: &[u8]) {
        if track == Track::Inbound || !self.can_talk() {
            self.loudness.hear(track, payload);
        }
    }

    pub(super) fn tell_level(&mut self, now: Instant) {
        let level = self.loudness.tell(now).map(VolatileData::AudioLevel);
        self.outputs.extend(level.map(Output::Show));
    }

    /// Nobody is shown anything any more.
    pub(super) fn stop_watching(&mut self, now: Instant) {
        self.watch = Watch::default();
        self.loudness.watch(now, false);
    }
}
