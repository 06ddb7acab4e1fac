//! A call's event log: durable events in sequence, plus what is volatile: the newest interim of each
//! track, the newest of what is told of the playback and of the levels.
//!
//! A subscriber is a [`Cursor`], not a queue. Events are *appended* (they get their `seq`), then
//! *stored* by the archive, and only then visible to cursors. What is volatile is never stored; it
//! waits for the events before it, and a reader that is behind gets only the newest of each kind.
//!
//! While the archive is away events are shown before they are stored ([`EventLog::show_unstored`]).
//!
//! Memory is bounded by whoever appends: of the stored events the last [`KEPT_EVENTS`] stay, and
//! those that are not stored yet.

use std::collections::VecDeque;
use std::fmt;
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use sidetone_audio::Track;
use sidetone_twilio::CallSid;

use crate::event::{Event, EventData, VolatileData, Watch};

mod volatile;

pub use volatile::Volatile;
use volatile::{Passed, Slots};

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

/// A place in one log.
///
/// The default is before the first event, and does not read what is only for those who ask. A cursor
/// that is to begin elsewhere gets its `seq` set: it then reads on after that event.
#[derive(Clone, Debug, Default)]
pub struct Cursor {
    /// The last durable event that was read.
    pub seq: u64,
    /// What is asked for.
    pub watch: Watch,
    passed: Passed,
}

/// What a cursor reads next.
#[derive(Clone, Debug)]
pub enum Item {
    /// A durable event.
    Event(Arc<Entry>),
    /// Something that is shown and not kept.
    Volatile(Arc<Volatile>),
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
    slots: Slots,
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
            slots: Slots::EMPTY,
        }
    }

    /// Gives the event its `seq`. It is not visible yet: hand the entry to the archive.
    ///
    /// A call inside the event is told its `last_seq`. A final withdraws its track's interim, the
    /// end of the call all that is volatile.
    pub fn append(&mut self, at: Timestamp, mut data: EventData) -> Arc<Entry> {
        self.appended += 1;
        match &mut data {
            EventData::CallStarted(call) | EventData::CallResumed(call) => {
                call.last_seq = self.appended;
            }
            EventData::CallEnded(call) => {
                call.last_seq = self.appended;
                self.slots.withdraw_all();
            }
            EventData::TranscriptFinal(transcript) => {
                self.slots.withdraw_interim(transcript.track);
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

    /// Shows this in place of the last one of its kind. It becomes visible after the events appended
    /// so far.
    pub fn show(&mut self, at: Timestamp, data: VolatileData) {
        self.slots.show(Volatile {
            after_seq: self.appended,
            call_sid: self.call_sid.clone(),
            at,
            data,
            json: OnceLock::new(),
        });
    }

    /// What was shown as a track's interim holds no longer.
    pub fn withdraw_interim(&mut self, track: Track) {
        self.slots.withdraw_interim(track);
    }

    /// Reads on: the events, and what is volatile in its place among them; at most `max` items, at
    /// least one.
    pub fn read(&self, cursor: &mut Cursor, max: usize) -> Read {
        let first = self.first();
        if cursor.seq + 1 < first {
            return Read::Behind { first };
        }
        let max = max.max(1);
        let mut items = self.events_after(cursor.seq, max);
        let seq = cursor.seq + items.len() as u64;
        let mut passed = cursor.passed.clone();
        let watch = cursor.watch;
        // One that is beyond the end waits.
        let skipped = if cursor.seq > self.visible {
            0
        } else {
            let after = cursor.seq;
            self.slots
                .read_into(&mut items, max, after, watch, &mut passed)
        };
        if items.is_empty() {
            return if seq >= self.appended && self.has_ended() {
                Read::Ended
            } else {
                Read::Waiting
            };
        }
        *cursor = Cursor { seq, watch, passed };
        Read::Items { items, skipped }
    }

    /// A cursor that has read everything so far.
    pub fn end(&self) -> Cursor {
        Cursor {
            seq: self.visible,
            watch: Watch::default(),
            passed: self.slots.all_passed(),
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

/// How many events lie after `from` up to `to`.
fn distance(from: u64, to: u64) -> usize {
    usize::try_from(to.saturating_sub(from)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests;
