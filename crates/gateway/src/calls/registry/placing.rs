//! Calls that are placed from here: their places, and what is known of them until their stream
//! starts.

use std::sync::Arc;
use std::time::Duration;

use sidetone_call::event::Call;
use sidetone_twilio::CallSid;
use tokio::sync::mpsc;
use tokio::time::timeout;

use super::{Admission, Calls, INBOX_MESSAGES};
use crate::calls::CallHandle;
use crate::calls::pending::PendingCall;

/// How long a request about a call that nobody knows waits for those that are being placed. Twilio
/// waits 15 s for an answer.
const PLACING: Duration = Duration::from_secs(10);

/// A place for a call that Twilio is being asked to place. Given back when it is dropped.
pub(crate) struct Reservation {
    calls: Arc<Calls>,
}

impl Calls {
    /// Holds a place for a call that is about to be placed.
    ///
    /// # Errors
    /// What stands against it, when there is no place.
    pub(crate) fn reserve(self: &Arc<Self>) -> Result<Reservation, Admission> {
        let mut seats = self.seats();
        match self.admission_with(&seats) {
            Admission::Granted => {
                seats.placing += 1;
                let calls = Arc::clone(self);
                Ok(Reservation { calls })
            }
            refused => Err(refused),
        }
    }

    /// Waits until it is known whether this is one of the calls that are being placed: Twilio may
    /// tell of a call before it tells which call it has placed.
    pub(crate) async fn know(&self, call_sid: &CallSid) {
        let mut changed = self.changed();
        let known = async {
            while !self.seats().may_know(call_sid) {
                changed
                    .changed()
                    .await
                    .expect("the registry holds the sender");
            }
        };
        // Then it is none of ours.
        let _timed_out = timeout(PLACING, known).await.is_err();
    }

    /// The pending calls that were placed before the `before`th, newest first, each with its
    /// number.
    pub(crate) fn pending_before(&self, before: u64) -> Vec<(u64, Arc<CallHandle>)> {
        let seats = self.seats();
        let pending = seats.pending.range(..before).rev();
        pending
            .map(|(number, call)| (*number, Arc::clone(call)))
            .collect()
    }

    /// A pending call has its first stream.
    pub(in crate::calls) fn goes_live(&self, handle: &Arc<CallHandle>) {
        let mut seats = self.seats();
        seats.leave_pending(handle);
        seats.live.push(Arc::clone(handle));
        drop(seats);
        self.services.metrics.call_started();
        self.announce_change();
    }
}

impl Reservation {
    /// Twilio has placed the call: it is pending until its stream starts. `ring` is how long it
    /// may ring.
    pub(crate) fn pend(self, call: Call, ring: Duration) -> Arc<CallHandle> {
        let calls = Arc::clone(&self.calls);
        let mut seats = calls.seats();
        if seats.is_live(&call.call_sid) {
            return Arc::clone(&seats.handles[&call.call_sid]);
        }
        seats.places.remove(&call.call_sid);
        let handle = Arc::new(CallHandle::new(call.clone(), true, calls.writer.clone()));
        let (sender, inbox) = mpsc::channel(INBOX_MESSAGES);
        handle.set_inbox(Some(sender));
        seats
            .handles
            .insert(call.call_sid.clone(), Arc::clone(&handle));
        seats.placed += 1;
        let number = seats.placed;
        seats.pending.insert(number, Arc::clone(&handle));
        drop(seats);
        let pending = PendingCall::new(Arc::clone(&calls.services), call, ring);
        let running = pending.run(Arc::clone(&calls), Arc::clone(&handle), inbox);
        calls.services.tasks.spawn(running);
        handle
    }
}

impl Drop for Reservation {
    fn drop(&mut self) {
        self.calls.seats().placing -= 1;
        self.calls.announce_change();
    }
}
