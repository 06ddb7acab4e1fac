//! How loud both parties are.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sidetone_audio::time::duration;
use sidetone_audio::{Meter, Track};

use super::Output;
use crate::event::AudioLevel;

/// Between two levels.
const EVERY: Duration = Duration::from_millis(125);

/// What is played is metered in frames of so many samples: 20 ms.
const FRAME: usize = 160;

/// The levels of both parties, while somebody asks for them.
#[derive(Debug, Default)]
pub(super) struct Loudness {
    /// When the next level is due; `None` while nobody asks: then nothing is metered.
    due: Option<Instant>,
    /// What was heard since the last one, by [`Track::index`].
    heard: [Meter; 2],
    /// What was sent to be played and is not yet, with when it begins. Audio is sent no more than
    /// 600 ms ahead.
    ahead: VecDeque<(Instant, Meter)>,
    /// Until when what was sent is played.
    played_until: Option<Instant>,
}

impl Loudness {
    /// Whether somebody asks, from now on.
    pub(super) fn watch(&mut self, now: Instant, is_watched: bool) {
        if is_watched != self.due.is_some() {
            *self = Self {
                due: is_watched.then(|| now + EVERY),
                played_until: self.played_until,
                ..Self::default()
            };
        }
    }

    /// A frame came in. Allocates nothing.
    pub(super) fn hear(&mut self, track: Track, payload: &[u8]) {
        if self.due.is_some() {
            self.heard[track.index()].hear(payload);
        }
    }

    /// Takes note of what is played into the call: it is heard when it is played, not when it is
    /// sent.
    pub(super) fn follow<'a>(&mut self, now: Instant, outputs: impl Iterator<Item = &'a Output>) {
        for output in outputs {
            match output {
                Output::Play { audio, .. } => self.play(now, audio),
                Output::Clear(_) => {
                    self.ahead.clear();
                    self.played_until = None;
                }
                _ => {}
            }
        }
    }

    /// The level, when one is due.
    pub(super) fn tell(&mut self, now: Instant) -> Option<AudioLevel> {
        let due = self.due.filter(|at| *at <= now)?;
        let next = due + EVERY;
        self.due = Some(if next > now { next } else { now + EVERY });
        while let Some((_, frame)) = self.ahead.pop_front_if(|(begins, _)| *begins < now) {
            self.heard[Track::Outbound.index()].add(frame);
        }
        let [inbound, outbound] = std::mem::take(&mut self.heard).map(dbov);
        Some(AudioLevel { inbound, outbound })
    }

    /// When [`Loudness::tell`] is due.
    pub(super) const fn deadline(&self) -> Option<Instant> {
        self.due
    }

    fn play(&mut self, now: Instant, audio: &[u8]) {
        let mut begins = self.played_until.map_or(now, |until| until.max(now));
        for frame in audio.chunks(FRAME) {
            if self.due.is_some() {
                self.ahead.push_back((begins, Meter::of(frame)));
            }
            begins += duration(frame.len() as u64);
        }
        self.played_until = Some(begins);
    }
}

/// A level with one decimal. The sum makes a zero of what was rounded to less than none.
fn dbov(meter: Meter) -> f32 {
    (meter.dbov() * 10.0).round() / 10.0 + 0.0
}
