//! A call's event log: durable events in sequence, plus the newest interim of each track.
//!
//! A subscriber is a [`Cursor`], not a queue. Events are *appended* (they get their `seq`), then
//! *stored* by the archive, and only then visible to cursors. Interims are never stored; they wait
//! for the events before them, and a reader that is behind gets only the newest of each track.
//!
//! While the archive is away events are shown before they are stored ([`EventLog::show_unstored`]).
//!
//! Memory is bounded by whoever appends: of the stored events the last [`KEPT_EVENTS`] stay, and
//! those that are not stored yet.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use serde::Serialize;
use serde::ser::SerializeStruct;
use sidetone_audio::Track;
use sidetone_twilio::CallSid;

use crate::event::{Event, EventData, Transcript, time};

/// How many stored events a log keeps in memory; a cursor further back is sent to the archive.
pub const KEPT_EVENTS: usize = 1_024;

/// An event in the log, with room for its rendered JSON so that it is rendered once for all.
pub struct Entry {
    /// The event.
    pub event: Event,
    /// Its JSON, filled by whoever needs it first.
    pub json: OnceLock<Box<str>>,
}

impl fmt::Debug for Entry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.event.fmt(f)
    }
}

/// The newest interim of a track. Serializes like an event, with `after_seq` in place of `seq`.
pub struct Interim {
    /// Whose call.
    pub call_sid: CallSid,
    /// It counts only after this durable event.
    pub after_seq: u64,
    /// When.
    pub at: Timestamp,
    /// What.
    pub transcript: Transcript,
    /// Its JSON, filled by whoever needs it first.
    pub json: OnceLock<Box<str>>,
}

impl Interim {
    /// The `"type"` of every interim, for filters.
    pub const TYPE_NAME: &'static str = "transcript.interim";
}

impl Serialize for Interim {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        #[derive(Serialize)]
        struct At<'a>(#[serde(with = "time")] &'a Timestamp);

        let mut interim = serializer.serialize_struct("Interim", 5)?;
        interim.serialize_field("after_seq", &self.after_seq)?;
        interim.serialize_field("call_sid", &self.call_sid)?;
        interim.serialize_field("at", &At(&self.at))?;
        interim.serialize_field("type", Self::TYPE_NAME)?;
        interim.serialize_field("data", &self.transcript)?;
        interim.end()
    }
}

impl fmt::Debug for Interim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Interim")
            .field("call_sid", &self.call_sid)
            .field("after_seq", &self.after_seq)
            .field("transcript", &self.transcript)
            .finish_non_exhaustive()
    }
}

/// A place in one log.
///
/// The default is before the first event. A cursor that is to begin elsewhere gets its `seq` set:
/// it then reads on after that event.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// The last durable event that was read.
    pub seq: u64,
    /// How many of each track's interims are behind it; `None` before the first read, since what
    /// was spoken before a reader came is not something it missed.
    interims_passed: [Option<u64>; 2],
}

/// What a cursor reads next.
#[derive(Clone, Debug)]
pub enum Item {
    /// A durable event.
    Event(Arc<Entry>),
    /// An interim.
    Interim(Arc<Interim>),
}

/// What reading gave.
#[derive(Clone, Debug)]
pub enum Read {
    /// Some items, in order; `skipped` interims were replaced before this cursor saw them.
    Items {
        /// At least one.
        items: Vec<Item>,
        /// Interims that this cursor never saw.
        skipped: u64,
    },
    /// Events before `first` are not in memory any more: read them from the archive, then set the
    /// cursor and go on.
    Behind {
        /// The oldest event in memory.
        first: u64,
    },
    /// Nothing new; more may come.
    Waiting,
    /// The cursor has read `call.ended` and the call has not been resumed.
    Ended,
}

/// The log of one call.
#[derive(Debug)]
pub struct EventLog {
    call_sid: CallSid,
    /// Without a hole up to `appended`: first those that are stored, then those not yet.
    entries: VecDeque<Arc<Entry>>,
    appended: u64,
    stored: u64,
    /// At least `stored`.
    visible: u64,
    interims: [Slot; 2],
}

/// The interims of a track.
#[derive(Debug, Default)]
struct Slot {
    /// How many there were, the newest included.
    count: u64,
    newest: Option<Arc<Interim>>,
}

impl EventLog {
    /// A log whose next event gets `last_seq + 1`: 0 for a new call, the last `seq` in the archive
    /// for one that is reopened.
    pub const fn new(call_sid: CallSid, last_seq: u64) -> Self {
        Self {
            call_sid,
            entries: VecDeque::new(),
            appended: last_seq,
            stored: last_seq,
            visible: last_seq,
            interims: [const {
                Slot {
                    count: 0,
                    newest: None,
                }
            }; 2],
        }
    }

    /// Gives the event its `seq`. It is not visible yet: hand the entry to the archive.
    ///
    /// A call inside the event is told its `last_seq`. A final empties its track's interim, the
    /// end of the call those of both.
    pub fn append(&mut self, at: Timestamp, mut data: EventData) -> Arc<Entry> {
        self.appended += 1;
        match &mut data {
            EventData::CallStarted(call) | EventData::CallResumed(call) => {
                call.last_seq = self.appended;
            }
            EventData::CallEnded(call) => {
                call.last_seq = self.appended;
                self.interims.iter_mut().for_each(|slot| slot.newest = None);
            }
            EventData::TranscriptFinal(transcript) => {
                self.interims[transcript.track.index()].newest = None;
            }
            EventData::CallRinging(_)
            | EventData::CallAnswered(_)
            | EventData::CallStatus(_)
            | EventData::SpeechStarted(_)
            | EventData::UtteranceEnded(_)
            | EventData::Dtmf(_)
            | EventData::SpeakStarted(_)
            | EventData::SpeakFinished(_)
            | EventData::SpeakInterrupted(_)
            | EventData::SpeakFailed(_)
            | EventData::AgentReady(_)
            | EventData::AgentUserStartedSpeaking(_)
            | EventData::AgentThinking(_)
            | EventData::AgentStartedSpeaking(_)
            | EventData::AgentAudioDone(_)
            | EventData::AgentInterrupted(_)
            | EventData::AgentFunctionCalled(_)
            | EventData::AgentTurn(_)
            | EventData::ProviderDisconnected(_)
            | EventData::ProviderReconnected(_)
            | EventData::AudioGap(_)
            | EventData::Warning(_) => {}
        }
        let event = Event {
            seq: self.appended,
            call_sid: self.call_sid.clone(),
            at,
            data,
        };
        let entry = Arc::new(Entry {
            event,
            json: OnceLock::new(),
        });
        self.entries.push_back(Arc::clone(&entry));
        entry
    }

    /// Says that all events up to `seq` are stored: they become visible.
    pub fn stored(&mut self, seq: u64) {
        self.stored = seq.clamp(self.stored, self.appended);
        self.visible = self.visible.max(self.stored);
        while self.stored_entries() > KEPT_EVENTS {
            self.entries.pop_front();
        }
    }

    /// Makes all events visible that were appended so far, stored or not.
    pub const fn show_unstored(&mut self) {
        self.visible = self.appended;
    }

    /// The oldest event that is not stored, when there is one.
    pub fn first_unstored(&self) -> Option<u64> {
        (self.stored < self.appended).then_some(self.stored + 1)
    }

    /// Whether `call.ended` was the last event to be appended.
    pub fn has_ended(&self) -> bool {
        let last = self.entries.back().map(|entry| &entry.event.data);
        matches!(last, Some(EventData::CallEnded(_)))
    }

    /// Sets or empties a track's interim. It becomes visible after the events appended so far.
    pub fn interim(&mut self, at: Timestamp, track: Track, transcript: Option<Transcript>) {
        let slot = &mut self.interims[track.index()];
        slot.count += u64::from(transcript.is_some());
        slot.newest = transcript.map(|transcript| {
            Arc::new(Interim {
                call_sid: self.call_sid.clone(),
                after_seq: self.appended,
                at,
                transcript,
                json: OnceLock::new(),
            })
        });
    }

    /// Reads on: the events first, then the interims that count after them; at most `max` items,
    /// at least one.
    pub fn read(&self, cursor: &mut Cursor, max: usize) -> Read {
        let first = self.first();
        if cursor.seq + 1 < first {
            return Read::Behind { first };
        }
        let max = max.max(1);
        let mut items = self.events_after(cursor.seq, max);
        let seq = cursor.seq + items.len() as u64;

        let mut skipped = 0;
        let mut interims_passed = cursor.interims_passed;
        for (slot, passed) in self.interims.iter().zip(&mut interims_passed) {
            let gone = slot.gone();
            let before = passed.unwrap_or(gone);
            skipped += gone.saturating_sub(before);
            *passed = Some(before.max(gone));
            if before < slot.count
                && items.len() < max
                && let Some(interim) = slot.visible_at(seq, self.visible)
            {
                items.push(Item::Interim(Arc::clone(interim)));
                *passed = Some(slot.count);
            }
        }

        if items.is_empty() {
            return if seq >= self.appended && self.has_ended() {
                Read::Ended
            } else {
                Read::Waiting
            };
        }
        *cursor = Cursor {
            seq,
            interims_passed,
        };
        Read::Items { items, skipped }
    }

    /// A cursor that has read everything so far.
    pub fn end(&self) -> Cursor {
        Cursor {
            seq: self.visible,
            interims_passed: self.interims.each_ref().map(|slot| Some(slot.count)),
        }
    }

    /// The newest `seq` that is visible.
    pub const fn last_seq(&self) -> u64 {
        self.visible
    }

    /// The oldest event in memory, or the next one when there is none.
    fn first(&self) -> u64 {
        self.appended + 1 - self.entries.len() as u64
    }

    fn stored_entries(&self) -> usize {
        self.entries.len() - distance(self.stored, self.appended)
    }

    fn events_after(&self, seq: u64, max: usize) -> Vec<Item> {
        let unread = distance(seq, self.visible).min(max);
        let read = distance(self.first() - 1, seq);
        self.entries
            .iter()
            .skip(read)
            .take(unread)
            .cloned()
            .map(Item::Event)
            .collect()
    }
}

impl Slot {
    /// How many were replaced or emptied.
    fn gone(&self) -> u64 {
        self.count - u64::from(self.newest.is_some())
    }

    /// The newest, for a cursor that has just read event `seq`: only one that has read all that
    /// is visible, and only when everything before the interim is.
    fn visible_at(&self, seq: u64, visible: u64) -> Option<&Arc<Interim>> {
        self.newest
            .as_ref()
            .filter(|interim| seq == visible && interim.after_seq <= visible)
    }
}

/// How many events lie after `from` up to `to`.
fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
