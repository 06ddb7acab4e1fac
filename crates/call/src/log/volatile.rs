//! What is shown beside the events: of each kind the newest.

use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde::Serialize;
use sidetone_audio::Track;
use sidetone_twilio::CallSid;

use super::Item;
use crate::event::{VolatileData, Watch, time};

/// The newest of its kind. Serializes like an event, with `after_seq` in place of `seq`.
#[derive(Serialize)]
pub struct Volatile {
    /// It counts only after this durable event.
    pub after_seq: u64,
    /// Whose call.
    pub call_sid: CallSid,
    /// When.
    #[serde(with = "time")]
    pub at: Timestamp,
    /// What.
    #[serde(flatten)]
    pub data: VolatileData,
    /// Its JSON, filled by whoever needs it first.
    #[serde(skip)]
    pub json: OnceLock<Box<str>>,
}

impl fmt::Debug for Volatile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Volatile")
            .field("after_seq", &self.after_seq)
            .field("call_sid", &self.call_sid)
            .field("data", &self.data)
            .finish_non_exhaustive()
    }
}

impl Volatile {
    /// How many of the events after `seq` stand before it, for a reader of those. An interim holds
    /// until it is replaced or withdrawn; of the rest a reader who is past them gets the next.
    fn place(&self, seq: u64) -> Option<u64> {
        match self.data {
            VolatileData::TranscriptInterim(_) => Some(self.after_seq.saturating_sub(seq)),
            VolatileData::AgentPlayback(_) | VolatileData::AudioLevel(_) => {
                self.after_seq.checked_sub(seq)
            }
        }
    }
}

/// What a slot is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Interim(Track),
    Playback,
    Level,
}

impl Kind {
    /// In the order of the slots.
    const ALL: [Self; 4] = [
        Self::Interim(Track::Inbound),
        Self::Interim(Track::Outbound),
        Self::Playback,
        Self::Level,
    ];

    const fn index(self) -> usize {
        match self {
            Self::Interim(track) => track.index(),
            Self::Playback => 2,
            Self::Level => 3,
        }
    }

    const fn of(data: &VolatileData) -> Self {
        match data {
            VolatileData::TranscriptInterim(transcript) => Self::Interim(transcript.track),
            VolatileData::AgentPlayback(_) => Self::Playback,
            VolatileData::AudioLevel(_) => Self::Level,
        }
    }

    const fn is_for(self, watch: Watch) -> bool {
        match self {
            Self::Interim(_) => true,
            Self::Playback => watch.playback,
            Self::Level => watch.levels,
        }
    }
}

/// How many of each kind are behind a cursor; `None` before the first read, since what was shown
/// before a reader came is not something it missed.
#[derive(Clone, Debug, Default)]
pub(super) struct Passed([Option<u64>; Kind::ALL.len()]);

/// The newest of each kind.
#[derive(Debug)]
pub(super) struct Slots([Slot; Kind::ALL.len()]);

#[derive(Debug)]
struct Slot {
    /// How many there were, the newest included.
    count: u64,
    newest: Option<Arc<Volatile>>,
}

impl Slots {
    pub(super) const EMPTY: Self = Self(
        [const {
            Slot {
                count: 0,
                newest: None,
            }
        }; Kind::ALL.len()],
    );

    /// Takes the place of the last one of its kind.
    pub(super) fn show(&mut self, volatile: Volatile) {
        let slot = &mut self.0[Kind::of(&volatile.data).index()];
        slot.count += 1;
        slot.newest = Some(Arc::new(volatile));
    }

    pub(super) fn withdraw_interim(&mut self, track: Track) {
        self.0[Kind::Interim(track).index()].newest = None;
    }

    pub(super) fn withdraw_all(&mut self) {
        self.0.iter_mut().for_each(|slot| slot.newest = None);
    }

    /// A reader who has passed all there is.
    pub(super) fn all_passed(&self) -> Passed {
        Passed(self.0.each_ref().map(|slot| Some(slot.count)))
    }

    /// Puts what a reader has not seen in its place among `items`, the events after `seq`, until
    /// there are `max`. Tells how many interims the reader never saw.
    pub(super) fn read_into(
        &self,
        items: &mut Vec<Item>,
        max: usize,
        seq: u64,
        watch: Watch,
        passed: &mut Passed,
    ) -> u64 {
        let events = items.len();
        let mut skipped = 0;
        let mut fresh = Vec::new();
        for kind in Kind::ALL.into_iter().filter(|kind| kind.is_for(watch)) {
            let (slot, passed) = (&self.0[kind.index()], &mut passed.0[kind.index()]);
            let gone = slot.gone();
            let before = passed.unwrap_or(gone);
            if let Kind::Interim(_) = kind {
                skipped += gone.saturating_sub(before);
            }
            *passed = Some(before.max(gone));
            if before < slot.count
                && events + fresh.len() < max
                && let Some(newest) = &slot.newest
                && let Some(place) = newest.place(seq).and_then(|it| usize::try_from(it).ok())
                && place <= events
            {
                fresh.push((place, Arc::clone(newest)));
                *passed = Some(slot.count);
            }
        }
        fresh.sort_by_key(|(place, _)| *place);
        for (place, newest) in fresh.into_iter().rev() {
            items.insert(place, Item::Volatile(newest));
        }
        skipped
    }
}

impl Slot {
    /// How many were replaced or withdrawn.
    fn gone(&self) -> u64 {
        self.count - u64::from(self.newest.is_some())
    }
}
