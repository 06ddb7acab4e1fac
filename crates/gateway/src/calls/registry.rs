//! Which calls there are and which may come.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::sync::Arc;
use std::sync::Mutex;
use std::time::Duration;

use futures_util::future::join_all;
use sidetone_call::event::Call;
use sidetone_twilio::CallSid;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use super::task::{Arrival, CallTask, Inbox, Services};
use super::writer::Writer;
use super::{CallHandle, Store, lock};

mod placing;

/// How long an answered webhook holds a place for its call's stream.
const PLACE_HELD: Duration = Duration::from_secs(30);

/// How long an ended call stays in memory, so that its readers can finish. Its events are in the
/// archive.
const ENDED_KEPT: Duration = Duration::from_secs(60);

/// Messages that wait for a call's task: streams that start and status callbacks, a handful in a
/// call's whole life. A stream that finds the queue full is refused, a callback waits.
const INBOX_MESSAGES: usize = 16;

/// What the voice webhook knows of a call before its stream starts.
#[derive(Clone, Debug, Default)]
pub struct CallFacts {
    /// The profile that answered.
    pub profile: String,
    /// Caller.
    pub from: Option<String>,
    /// Called.
    pub to: Option<String>,
    /// Twilio's word.
    pub direction: Option<String>,
    /// What its streams carry beside that.
    pub parameters: BTreeMap<String, String>,
}

impl CallFacts {
    /// What a call shows of itself.
    pub fn of(call: &Call) -> Self {
        Self {
            profile: call.profile.clone(),
            from: call.from.clone(),
            to: call.to.clone(),
            direction: call.direction.clone(),
            parameters: call.custom_parameters.clone(),
        }
    }
}

/// Whether a call may come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Admission {
    /// It has a place (for 30 s, or it is live already).
    Granted,
    /// The node is full: of calls, or of events that wait for an archive that is away.
    Full,
    /// The node is draining.
    Draining,
}

/// The calls of this node.
#[derive(Debug)]
pub struct Calls {
    services: Arc<Services>,
    archive: Store,
    writer: Writer,
    seats: Mutex<Seats>,
    changed: watch::Sender<u64>,
}

#[derive(Debug, Default)]
struct Seats {
    draining: bool,
    /// Calls whose webhook was answered and whose stream has not started.
    places: HashMap<CallSid, Place>,
    /// Calls that Twilio is being asked to place.
    placing: usize,
    /// Calls that were placed, so far.
    placed: u64,
    /// Those of them whose stream has not started.
    pending: BTreeMap<u64, Arc<CallHandle>>,
    /// In the order in which they became live.
    live: Vec<Arc<CallHandle>>,
    /// The pending and the live ones, and those that ended a short while ago.
    handles: HashMap<CallSid, Arc<CallHandle>>,
    ended: VecDeque<(Instant, Arc<CallHandle>)>,
}

#[derive(Debug)]
struct Place {
    facts: CallFacts,
    until: Instant,
}

impl Calls {
    pub(crate) fn new(services: Services, archive: Store) -> Self {
        Self {
            services: Arc::new(services),
            archive,
            writer: Writer::default(),
            seats: Mutex::default(),
            changed: watch::Sender::new(0),
        }
    }

    /// Holds a place for a call that the voice webhook is about to answer.
    pub fn admit(&self, call_sid: &CallSid, facts: CallFacts) -> Admission {
        let mut seats = self.seats();
        let admission = if seats.knows(call_sid) {
            Admission::Granted
        } else {
            self.admission_with(&seats)
        };
        if admission == Admission::Granted && !seats.is_live(call_sid) {
            let until = Instant::now() + PLACE_HELD;
            seats
                .places
                .insert(call_sid.clone(), Place { facts, until });
        }
        admission
    }

    /// The same for a call of which nothing is known here; false when there is no place, or when
    /// it holds one already: then it was tried before.
    pub(crate) fn admit_anew(&self, call_sid: &CallSid, facts: CallFacts) -> bool {
        self.facts(call_sid).is_none() && self.admit(call_sid, facts) == Admission::Granted
    }

    /// Whether a new call would be granted now.
    pub fn admission(&self) -> Admission {
        self.admission_with(&self.seats())
    }

    /// A call whose log is in memory: live, or ended and still kept.
    pub fn get(&self, call_sid: &CallSid) -> Option<Arc<CallHandle>> {
        self.seats().handles.get(call_sid).cloned()
    }

    /// The live calls, oldest first.
    pub fn live(&self) -> Vec<Arc<CallHandle>> {
        self.seats().live.clone()
    }

    /// Changes whenever a call becomes live or ends: look at [`Calls::live`] again.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Where stored events and calls are read.
    pub fn archive(&self) -> &Store {
        &self.archive
    }

    /// Whether the archive can be written.
    pub fn archive_ok(&self) -> bool {
        self.writer.outage().is_none()
    }

    /// What the webhook told of a call whose place is still held.
    pub(super) fn facts(&self, call_sid: &CallSid) -> Option<CallFacts> {
        self.seats()
            .places
            .get(call_sid)
            .map(|place| place.facts.clone())
    }

    fn seats(&self) -> std::sync::MutexGuard<'_, Seats> {
        let mut seats = lock(&self.seats);
        seats.forget(Instant::now(), self.services.config.limits.max_calls);
        seats
    }

    fn admission_with(&self, seats: &Seats) -> Admission {
        if seats.draining {
            Admission::Draining
        } else if seats.taken() >= self.services.config.limits.max_calls || self.writer.is_crowded()
        {
            Admission::Full
        } else {
            Admission::Granted
        }
    }
}

/// How streams come to the tasks of their calls, and how those end.
impl Calls {
    /// Hands a stream that has started to its call's task, which is begun if the call is not live.
    ///
    /// `former` is the call as the archive knows it, for one that ended and is no longer in memory.
    ///
    /// # Errors
    /// The stream comes back when there is no place for its call.
    pub(super) fn seat(
        self: &Arc<Self>,
        arrival: Arrival,
        former: Option<&Call>,
    ) -> Result<(), (Box<Arrival>, Admission)> {
        let mut seats = self.seats();
        let call_sid = arrival.call_sid.clone();
        if seats.is_live(&call_sid) {
            let handle = &seats.handles[&call_sid];
            handle.reached_at(arrival.base.clone());
            let inbox = handle.inbox().expect("a live call has a task");
            return inbox
                .try_send(Inbox::Stream(Box::new(arrival)))
                .map_err(|error| {
                    let (mpsc::error::TrySendError::Full(message)
                    | mpsc::error::TrySendError::Closed(message)) = error;
                    let Inbox::Stream(arrival) = message else {
                        unreachable!("a stream was sent")
                    };
                    (arrival, Admission::Full)
                });
        }
        let place = seats.places.remove(&call_sid);
        let admission = self.admission_with(&seats);
        if place.is_none() && admission != Admission::Granted {
            return Err((Box::new(arrival), admission));
        }

        let known = seats.handles.get(&call_sid).cloned();
        let snapshot = known.as_ref().map(|handle| handle.snapshot());
        let former = snapshot.as_deref().or(former);
        let base = arrival.base.clone();
        let task = CallTask::begin(Arc::clone(&self.services), arrival, former);
        let handle = known.unwrap_or_else(|| {
            let mut call = task.call().clone();
            call.last_seq = former.map_or(0, |former| former.last_seq);
            Arc::new(CallHandle::new(call, place.is_some(), self.writer.clone()))
        });
        handle.reached_at(base);
        let (sender, inbox) = mpsc::channel(INBOX_MESSAGES);
        handle.set_inbox(Some(sender));
        seats.handles.insert(call_sid, Arc::clone(&handle));
        seats.live.push(Arc::clone(&handle));
        drop(seats);
        self.services.metrics.call_started();
        self.announce_change();
        let calls = Arc::clone(self);
        self.services.tasks.spawn(task.run(calls, handle, inbox));
        Ok(())
    }

    /// Says that a call's last event is stored. A stream that came meanwhile comes back: then the
    /// call goes on, and its task with it.
    pub(super) fn unseat(
        &self,
        handle: &Arc<CallHandle>,
        inbox: &mut mpsc::Receiver<Inbox>,
    ) -> Option<Box<Arrival>> {
        let mut seats = self.seats();
        // Streams are sent while the seats are locked, so none can follow unseen.
        while let Ok(message) = inbox.try_recv() {
            if let Inbox::Stream(arrival) = message {
                return Some(arrival);
            }
        }
        handle.set_inbox(None);
        seats.leave_pending(handle);
        seats.live.retain(|live| !Arc::ptr_eq(live, handle));
        seats.ended.push_back((Instant::now(), Arc::clone(handle)));
        drop(seats);
        self.announce_change();
        None
    }

    fn announce_change(&self) {
        self.changed
            .send_modify(|version| *version = version.wrapping_add(1));
    }
}

/// How the process begins and ends.
impl Calls {
    /// Writes events for as long as it is polled.
    pub(crate) async fn write(&self) {
        self.writer.run(&self.archive).await;
    }

    /// Takes no new calls from now on. Calls that are live, or whose webhook was answered, may go
    /// on.
    pub(crate) fn drain(&self) {
        self.seats().draining = true;
        self.announce_change();
    }

    /// Waits until no call is live or pending.
    pub(crate) async fn idle(&self) {
        let mut changed = self.changed();
        while !self.seats().are_idle() {
            changed
                .changed()
                .await
                .expect("the registry holds the sender");
        }
    }

    /// Tells every live and every pending call to end cleanly.
    pub(crate) async fn shut_down(&self) {
        let calls: Vec<_> = {
            let seats = self.seats();
            seats
                .live
                .iter()
                .chain(seats.pending.values())
                .cloned()
                .collect()
        };
        join_all(calls.iter().map(|call| call.shut_down())).await;
    }

    /// Waits until the archive has every event of every call in memory.
    pub(crate) async fn stored(&self) {
        let handles: Vec<_> = self.seats().handles.values().cloned().collect();
        join_all(handles.iter().map(|handle| handle.stored())).await;
    }
}

impl Seats {
    fn is_live(&self, call_sid: &CallSid) -> bool {
        self.handles
            .get(call_sid)
            .is_some_and(|handle| !handle.is_over())
    }

    fn knows(&self, call_sid: &CallSid) -> bool {
        self.is_live(call_sid) || self.places.contains_key(call_sid)
    }

    /// Whether nothing more will be known of a call than is: it is known, or none is being placed.
    fn may_know(&self, call_sid: &CallSid) -> bool {
        self.placing == 0 || self.handles.contains_key(call_sid)
    }

    /// Places that are held or taken.
    fn taken(&self) -> usize {
        self.live.len() + self.places.len() + self.placing + self.pending.len()
    }

    fn are_idle(&self) -> bool {
        self.live.is_empty() && self.pending.is_empty()
    }

    fn leave_pending(&mut self, handle: &Arc<CallHandle>) {
        self.pending
            .retain(|_, pending| !Arc::ptr_eq(pending, handle));
    }

    /// Drops places nobody came for, and calls that ended a while ago.
    fn forget(&mut self, now: Instant, max_ended: usize) {
        self.places.retain(|_, place| place.until > now);
        while let Some((ended, handle)) = self.ended.front() {
            let is_fresh = self.ended.len() <= max_ended && now.duration_since(*ended) < ENDED_KEPT;
            // A call that comes back is numbered on from the archive, which must have it all then.
            if is_fresh || !handle.is_stored() {
                break;
            }
            // A call that ended, was reopened and ended again stands here twice.
            let again = self
                .ended
                .iter()
                .skip(1)
                .any(|(_, later)| Arc::ptr_eq(later, handle));
            if handle.is_over() && !again {
                self.handles.remove(handle.call_sid());
            }
            self.ended.pop_front();
        }
    }
}

#[cfg(test)]
mod tests;
