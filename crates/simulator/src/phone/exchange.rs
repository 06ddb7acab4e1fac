//! The exchange: where calls are known, and by which they can be reached from outside.

use std::collections::VecDeque;
use std::fmt;
use std::ops::Deref;
use std::sync::{Arc, Mutex, MutexGuard};

use jiff::Timestamp;
use sidetone_twilio::form::CallStatus;
use sidetone_twilio::twiml::{Method, Stream};
use sidetone_twilio::{CallSid, StreamSid};
use tokio::sync::{mpsc, watch};
use url::Url;

use super::Subscriber;
use super::record::{CallRecord, OpenStream};

/// Calls that are over and still known.
const MAX_ENDED: usize = 1_000;

/// Calls that wait or last at once.
const MAX_LIVE: usize = 10_000;

/// Orders that wait for a call; it takes them within a frame.
const MAX_ORDERS: usize = 16;

/// Where calls are known while they last and a while after, and who answers at which number.
///
/// Phones and an emulator that share one belong together: the emulator's REST API finds the
/// phones' calls, ends them, and leads them to other documents. Clones are the same exchange.
#[derive(Clone, Default)]
pub struct Exchange(Arc<Shared>);

#[derive(Default)]
struct Shared {
    calls: Mutex<VecDeque<Entry>>,
    subscribers: Mutex<Vec<Subscriber>>,
    changed: watch::Sender<()>,
}

/// What a call is told from outside.
#[derive(Clone, Debug)]
pub(crate) enum Order {
    /// It is to end.
    HangUp,
    /// It is to follow another document instead of the present one.
    Redirect(Instructions),
    /// Its audio is to be forked, as by `<Start>`.
    StartStream {
        stream_sid: StreamSid,
        stream: Stream,
    },
    /// A stream is to end, as by `<Stop>`.
    StopStream(StreamSid),
}

/// Where a document comes from.
#[derive(Clone, Debug)]
pub(crate) enum Instructions {
    /// It is here.
    Twiml(String),
    /// It is fetched.
    Fetch { url: Url, method: Method },
}

/// The call is over, or does not listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Unreachable;

/// A call that is known.
#[derive(Clone)]
pub(crate) struct Entry(Arc<Known>);

struct Known {
    record: Mutex<CallRecord>,
    orders: mpsc::Sender<(CallSid, Order)>,
    /// Told of every change.
    changed: watch::Sender<()>,
}

/// The entry of a call that lasts, held by whoever makes it: without it the call is over.
pub(crate) struct Registration(Entry);

impl Exchange {
    /// The calls that are known, oldest first.
    pub fn calls(&self) -> Vec<CallRecord> {
        self.lock().iter().map(Entry::record).collect()
    }

    /// The same, not copied.
    pub(crate) fn entries(&self) -> Vec<Entry> {
        self.lock().iter().cloned().collect()
    }

    /// Whether no more calls are taken.
    pub(crate) fn is_full(&self) -> bool {
        let is_live = |entry: &&Entry| entry.look(|call| !call.status.is_final());
        self.lock().iter().filter(is_live).count() >= MAX_LIVE
    }

    /// Told whenever a call changes.
    pub(crate) fn changes(&self) -> watch::Receiver<()> {
        self.0.changed.subscribe()
    }

    /// Who answers at which number, from now on.
    pub fn set_subscribers(&self, subscribers: Vec<Subscriber>) {
        *self.lock_subscribers() = subscribers;
    }

    /// Those that were set.
    pub fn subscribers(&self) -> Vec<Subscriber> {
        self.lock_subscribers().clone()
    }

    /// Who answers at `number`: the one set for it, the one set for every number, or the one that
    /// its last digits make.
    pub(crate) fn subscriber(&self, number: &str) -> Subscriber {
        let set = self.lock_subscribers();
        let fitting = |wanted: Option<&str>| {
            let mut fitting = set.iter().rev();
            fitting.find(|subscriber| subscriber.number.as_deref() == wanted)
        };
        let found = fitting(Some(number)).or_else(|| fitting(None)).cloned();
        found.unwrap_or_else(|| Subscriber::by_last_digits(number))
    }

    /// Makes a call known, and gives what it will be told.
    pub(crate) fn register(
        &self,
        record: CallRecord,
    ) -> (Registration, mpsc::Receiver<(CallSid, Order)>) {
        let (orders, taken) = mpsc::channel(MAX_ORDERS);
        (self.register_at(record, orders), taken)
    }

    /// Makes a call known that is told its orders by somebody else.
    pub(crate) fn register_at(
        &self,
        record: CallRecord,
        orders: mpsc::Sender<(CallSid, Order)>,
    ) -> Registration {
        let entry = Entry(Arc::new(Known {
            record: Mutex::new(record),
            orders,
            changed: self.0.changed.clone(),
        }));
        let mut calls = self.lock();
        calls.push_back(entry.clone());
        let is_over = |entry: &Entry| entry.look(|call| call.status.is_final());
        if calls.iter().filter(|entry| is_over(entry)).count() > MAX_ENDED
            && let Some(oldest) = calls.iter().position(is_over)
        {
            calls.remove(oldest);
        }
        self.0.changed.send_replace(());
        Registration(entry)
    }

    pub(crate) fn find(&self, call_sid: &str) -> Option<Entry> {
        let has_sid = |entry: &&Entry| entry.look(|call| call.call_sid.as_str() == call_sid);
        self.lock().iter().find(has_sid).cloned()
    }

    fn lock(&self) -> MutexGuard<'_, VecDeque<Entry>> {
        self.0
            .calls
            .lock()
            .expect("nothing panics while it is held")
    }

    fn lock_subscribers(&self) -> MutexGuard<'_, Vec<Subscriber>> {
        let subscribers = self.0.subscribers.lock();
        subscribers.expect("nothing panics while it is held")
    }
}

/// Numbers and what is said are somebody's data and are not shown.
impl fmt::Debug for Exchange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exchange").finish_non_exhaustive()
    }
}

impl Entry {
    pub(crate) fn record(&self) -> CallRecord {
        self.look(CallRecord::clone)
    }

    pub(crate) fn look<T>(&self, look: impl FnOnce(&CallRecord) -> T) -> T {
        look(&self.lock())
    }

    pub(crate) fn update<T>(&self, change: impl FnOnce(&mut CallRecord) -> T) -> T {
        let changed = {
            let mut call = self.lock();
            call.revision += 1;
            change(&mut call)
        };
        self.0.changed.send_replace(());
        changed
    }

    /// Tells the call what to do; it does so within a frame.
    pub(crate) fn order(&self, order: Order) -> Result<(), Unreachable> {
        let mut call = self.lock();
        if call.status.is_final() {
            return Err(Unreachable);
        }
        // Known before it is open, so that it can be stopped as soon as its sid is told.
        let opened = match &order {
            Order::StartStream { stream_sid, stream } => Some(OpenStream {
                stream_sid: stream_sid.clone(),
                name: stream.name.clone(),
            }),
            Order::HangUp | Order::Redirect(_) | Order::StopStream(_) => None,
        };
        let told = self.0.orders.try_send((call.call_sid.clone(), order));
        told.map_err(|_| Unreachable)?;
        call.open_streams.extend(opened);
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, CallRecord> {
        let record = self.0.record.lock();
        record.expect("nothing panics while it is held")
    }
}

impl Registration {
    /// The call's status is this now. The first that is final stays.
    pub(crate) fn reach(&self, status: CallStatus) {
        self.update(|call| {
            if call.status.is_final() {
                return;
            }
            let now = Timestamp::now();
            call.updated_at = now;
            if status == CallStatus::InProgress {
                call.answered_at.get_or_insert(now);
            }
            if status.is_final() {
                call.ended_at = Some(now);
                call.open_streams.clear();
            }
            call.status = status;
        });
    }
}

impl Deref for Registration {
    type Target = Entry;

    fn deref(&self) -> &Entry {
        &self.0
    }
}

impl Drop for Registration {
    fn drop(&mut self) {
        let was_answered = self.look(|call| call.answered_at.is_some());
        self.reach(if was_answered {
            CallStatus::Completed
        } else {
            CallStatus::Failed
        });
    }
}

#[cfg(test)]
mod tests {
    use sidetone_twilio::form::Direction;

    use super::super::Answer;
    use super::*;

    fn register(exchange: &Exchange, number: u32) -> Registration {
        let record = CallRecord::new(
            format!("CA{number:032x}").parse().unwrap(),
            format!("AC{:032x}", 1).parse().unwrap(),
            Direction::Inbound,
            ["+14155550123", "+15005550006"].map(str::to_owned),
            CallStatus::Ringing,
        );
        exchange.register(record).0
    }

    #[test]
    fn calls_that_are_over_are_forgotten_in_time_and_live_ones_never() {
        let exchange = Exchange::default();
        let live = register(&exchange, 0);
        let ended = u32::try_from(MAX_ENDED).unwrap();
        for number in 1..=ended + 2 {
            drop(register(&exchange, number));
        }
        let is_known = |number: u32| exchange.find(&format!("CA{number:032x}")).is_some();
        assert!(is_known(0) && !is_known(1) && is_known(3));
        live.reach(CallStatus::Completed);
    }

    #[test]
    fn the_first_final_status_stays_and_ends_what_can_be_ordered() {
        let exchange = Exchange::default();
        let (call, mut orders) = {
            let call = register(&exchange, 1);
            let record = call.record();
            exchange.register(record)
        };
        assert_eq!(call.order(Order::HangUp), Ok(()));
        assert!(matches!(orders.try_recv(), Ok((_, Order::HangUp))));
        call.reach(CallStatus::InProgress);
        call.reach(CallStatus::Busy);
        call.reach(CallStatus::Completed);
        let record = call.record();
        assert_eq!(record.status, CallStatus::Busy);
        assert!(record.answered_at <= record.ended_at);
        assert_eq!(call.order(Order::HangUp), Err(Unreachable));
    }

    #[test]
    fn who_is_set_for_a_number_comes_before_who_is_set_for_all_and_both_before_its_digits() {
        let exchange = Exchange::default();
        let busy = "+14155550486";
        assert_eq!(exchange.subscriber(busy).answer, Answer::Busy);
        let set = |number: Option<&str>, answer| Subscriber {
            number: number.map(str::to_owned),
            answer,
            ..Subscriber::default()
        };
        let all = set(None, Answer::Machine);
        let one = set(Some(busy), Answer::NoAnswer);
        exchange.set_subscribers(vec![one, all.clone()]);
        assert_eq!(exchange.subscriber(busy).answer, Answer::NoAnswer);
        assert_eq!(exchange.subscriber("+14155550404"), all);
    }
}
