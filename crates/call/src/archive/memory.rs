//! The archive of a process that keeps nothing on disk.

use std::collections::{BTreeSet, HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use sidetone_twilio::CallSid;

use super::{Archive, ArchiveError, CallFilter};
use crate::event::{Call, EventData, Status, Transcript};
use crate::log::Entry;

/// How much a [`MemoryArchive`] keeps.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Calls.
    pub calls: usize,
    /// Events of all calls together, by a rough count.
    pub event_bytes: usize,
}

impl Default for Limits {
    /// 10,000 calls and 256 MiB of events.
    fn default() -> Self {
        Self {
            calls: 10_000,
            event_bytes: 256 << 20,
        }
    }
}

/// Calls and events in memory, within limits: the oldest ended calls go first, whole; when only
/// live calls are left, the oldest of them loses its oldest events.
#[derive(Debug, Default)]
pub struct MemoryArchive {
    limits: Limits,
    shelves: Mutex<Shelves>,
}

impl MemoryArchive {
    /// An empty archive.
    pub fn new(limits: Limits) -> Self {
        Self {
            limits,
            shelves: Mutex::default(),
        }
    }

    fn shelves(&self) -> MutexGuard<'_, Shelves> {
        self.shelves
            .lock()
            .expect("nothing panics while it holds the shelves")
    }
}

impl Archive for MemoryArchive {
    async fn append(&self, batch: &[(Arc<Entry>, Arc<Call>)]) -> Result<(), ArchiveError> {
        let mut shelves = self.shelves();
        for (entry, call) in batch {
            shelves.put(Arc::clone(entry), Arc::clone(call));
        }
        shelves.shrink(self.limits);
        Ok(())
    }

    async fn call(&self, call_sid: &CallSid) -> Result<Option<Arc<Call>>, ArchiveError> {
        Ok(self
            .shelves()
            .calls
            .get(call_sid)
            .map(|shelf| Arc::clone(&shelf.call)))
    }

    async fn calls(
        &self,
        filter: &CallFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Arc<Call>>, Option<String>), ArchiveError> {
        let after = cursor.map(Place::parse).transpose()?;
        Ok(self.shelves().page(filter, after.as_ref(), limit))
    }

    async fn events(
        &self,
        call_sid: &CallSid,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, ArchiveError> {
        let shelves = self.shelves();
        let Some(shelf) = shelves.calls.get(call_sid) else {
            return Ok(Vec::new());
        };
        let first = shelf
            .events
            .partition_point(|entry| entry.event.seq <= after);
        Ok(shelf
            .events
            .iter()
            .skip(first)
            .take(limit)
            .cloned()
            .collect())
    }
}

#[derive(Debug, Default)]
struct Shelves {
    calls: HashMap<CallSid, Shelf>,
    /// The places of all calls, oldest first.
    order: BTreeSet<Place>,
    event_bytes: usize,
}

/// A call with its events.
#[derive(Debug)]
struct Shelf {
    call: Arc<Call>,
    events: VecDeque<Arc<Entry>>,
}

impl Shelves {
    fn put(&mut self, entry: Arc<Entry>, call: Arc<Call>) {
        self.event_bytes += rough_size(&entry);
        let place = Place::of(&call);
        let shelf = self
            .calls
            .entry(call.call_sid.clone())
            .or_insert_with(|| Shelf {
                call: Arc::clone(&call),
                events: VecDeque::new(),
            });
        self.order.remove(&Place::of(&shelf.call));
        self.order.insert(place);
        shelf.call = call;
        shelf.events.push_back(entry);
    }

    fn shrink(&mut self, limits: Limits) {
        while self.calls.len() > limits.calls && self.remove_oldest_ended() {}
        while self.event_bytes > limits.event_bytes
            && (self.remove_oldest_ended() || self.forget_oldest_event())
        {}
    }

    /// False when no call has ended.
    fn remove_oldest_ended(&mut self) -> bool {
        let ended = |place: &&Place| self.calls[&place.call_sid].call.status == Status::Ended;
        let Some(place) = self.order.iter().find(ended).cloned() else {
            return false;
        };
        self.order.remove(&place);
        let shelf = self
            .calls
            .remove(&place.call_sid)
            .expect("every place has its shelf");
        self.event_bytes -= shelf
            .events
            .iter()
            .map(|entry| rough_size(entry))
            .sum::<usize>();
        true
    }

    /// False when there is no event.
    fn forget_oldest_event(&mut self) -> bool {
        for place in &self.order {
            let shelf = self
                .calls
                .get_mut(&place.call_sid)
                .expect("every place has its shelf");
            if let Some(entry) = shelf.events.pop_front() {
                self.event_bytes -= rough_size(&entry);
                return true;
            }
        }
        false
    }

    fn page(
        &self,
        filter: &CallFilter,
        after: Option<&Place>,
        limit: usize,
    ) -> (Vec<Arc<Call>>, Option<String>) {
        let mut matching = self
            .order
            .iter()
            .rev()
            .filter(|place| after.is_none_or(|after| *place < after))
            .map(|place| &self.calls[&place.call_sid].call)
            .filter(|call| filter.matches(call));
        let page: Vec<_> = matching.by_ref().take(limit).cloned().collect();
        let more = matching.next().is_some();
        let next = page
            .last()
            .filter(|_| more)
            .map(|call| Place::of(call).to_cursor());
        (page, next)
    }
}

/// Where a call stands in the list: by its start, those that have not started last.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Place {
    started_at: Timestamp,
    call_sid: CallSid,
}

impl Place {
    fn of(call: &Call) -> Self {
        Self {
            started_at: call.started_at.unwrap_or(Timestamp::MAX),
            call_sid: call.call_sid.clone(),
        }
    }

    fn to_cursor(&self) -> String {
        format!("{}-{}", self.started_at.as_nanosecond(), self.call_sid)
    }

    fn parse(cursor: &str) -> Result<Self, ArchiveError> {
        let place = cursor.rsplit_once('-').and_then(|(nanosecond, call_sid)| {
            let started_at = Timestamp::from_nanosecond(nanosecond.parse().ok()?).ok()?;
            Some(Self {
                started_at,
                call_sid: call_sid.parse().ok()?,
            })
        });
        place.ok_or_else(|| ArchiveError::BadCursor {
            found: cursor.chars().take(40).collect(),
        })
    }
}

/// What an event costs, its rendered JSON included. A guess, but one that grows with what grows.
fn rough_size(entry: &Entry) -> usize {
    /// Everything but the words: the allocation, its sids, the frame of its JSON.
    const BASE: usize = 512;

    let text = match &entry.event.data {
        EventData::TranscriptFinal(transcript) => words_size(transcript),
        EventData::CallStarted(call)
        | EventData::CallResumed(call)
        | EventData::CallEnded(call) => {
            size_of::<Call>()
                + call.last_text.as_ref().map_or(0, String::len)
                + call
                    .custom_parameters
                    .iter()
                    .map(|(k, v)| 64 + k.len() + v.len())
                    .sum::<usize>()
        }
        EventData::CallRinging(progress)
        | EventData::CallAnswered(progress)
        | EventData::CallStatus(progress) => progress.status.len(),
        EventData::ProviderDisconnected(lost) => lost.reason.len(),
        EventData::Warning(warning) => warning.detail.len(),
        EventData::SpeakStarted(speak)
        | EventData::SpeakFinished(speak)
        | EventData::SpeakInterrupted(speak)
        | EventData::SpeakFailed(speak) => speak.text.len() + speak.heard_text.len(),
        EventData::AgentInterrupted(cut) => cut.heard_text.len(),
        EventData::AgentTurn(turn) => {
            turn.text.len()
                + turn
                    .heard
                    .as_ref()
                    .map_or(0, |heard| heard.heard_text.len())
        }
        EventData::AgentFunctionCalled(called) => {
            let result = called.result.as_ref().map_or(0, String::len);
            called.name.len() + called.arguments.to_string().len() + result
        }
        EventData::SpeechStarted(_)
        | EventData::UtteranceEnded(_)
        | EventData::Dtmf(_)
        | EventData::AgentReady(_)
        | EventData::AgentUserStartedSpeaking(_)
        | EventData::AgentThinking(_)
        | EventData::AgentStartedSpeaking(_)
        | EventData::AgentAudioDone(_)
        | EventData::ProviderReconnected(_)
        | EventData::AudioGap(_) => 0,
    };
    // Once as values, once as JSON.
    BASE + 2 * text
}

fn words_size(transcript: &Transcript) -> usize {
    /// A word's numbers and keys.
    const WORD: usize = 100;

    let words = transcript
        .words
        .iter()
        .map(|word| WORD + word.word.len() + word.text.len());
    transcript.text.len() + words.sum::<usize>()
}

#[cfg(test)]
mod tests;
