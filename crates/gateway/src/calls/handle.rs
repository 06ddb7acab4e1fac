//! One call as others see it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use jiff::Timestamp;
use sidetone_audio::Track;
use sidetone_call::engine::{Next, NotSaid, ProviderText, Speech};
use sidetone_call::event::{Call, EndReason, EventData, VolatileData, Warning};
use sidetone_call::log::{Cursor, Entry, EventLog, Read};
use sidetone_deepgram::agent::link::Update;
use sidetone_deepgram::agent::message::Role;
use sidetone_twilio::{CallSid, StreamSid};
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, timeout};

use super::control::Control;
use super::lock;
use super::messages::{MessageReader, Messages};
use super::task::Inbox;
use super::watchers::Watchers;
use super::writer::Writer;
use crate::http::Base;

/// How long [`CallHandle::tell`] waits for a task that is busy.
const TELL_TIMEOUT: Duration = Duration::from_secs(1);

/// What others may tell a call's task.
#[derive(Debug)]
pub enum Command {
    /// Twilio's `stream-stopped` (or `stream-error`) callback.
    StreamStopped(StreamSid),
    /// Twilio's call status callback.
    Status {
        /// `ringing`, `in-progress`, `completed` …
        status: String,
        /// `SipResponseCode`.
        sip_code: Option<u16>,
    },
    /// Twilio is being asked to end the call, or to take it elsewhere; `None`: it did not.
    EndExpected(Option<EndReason>),
    /// Twilio was told to end the call, or to take it elsewhere, and its streams end: for this
    /// reason.
    OrderedEnd(EndReason),
    /// Twilio is being asked to press so many keys, and to open the same bidirectional stream again
    /// after them.
    KeysOrdered(usize),
    /// Say something.
    Speak {
        /// What; its voice is one that Deepgram's parameters allow.
        speech: Speech,
        /// Gets to know whether it will be said.
        answer: oneshot::Sender<Result<(), NotSaid>>,
    },
    /// Fall silent, and drop what waits to be said.
    Silence,
    /// Put words into the conversation with the agent.
    Inject {
        /// Whose they are.
        role: Role,
        /// The words.
        content: ProviderText,
        /// Gets to know whether the agent will have them.
        answer: oneshot::Sender<Result<(), NotSaid>>,
    },
    /// Change the agent.
    UpdateAgent {
        /// How.
        update: Box<Update>,
        /// Gets to know whether there is an agent to change.
        answer: oneshot::Sender<Result<(), NotSaid>>,
    },
    /// End the call by closing its streams: after a bidirectional one Twilio asks what comes next.
    HangUp,
}

/// One call: its snapshot, its event log, its Deepgram messages.
#[derive(Debug)]
pub struct CallHandle {
    call_sid: CallSid,
    answered_here: bool,
    created: Instant,
    /// Milliseconds from `created` to the newest media message, plus one; 0 before the first.
    last_media_ms: AtomicU64,
    record: Mutex<Record>,
    changed: watch::Sender<u64>,
    messages: Arc<Messages>,
    watchers: Watchers,
    inbox: Mutex<Option<mpsc::Sender<Inbox>>>,
    control: Mutex<Control>,
    writer: Writer,
}

#[derive(Debug)]
struct Record {
    log: EventLog,
    call: Arc<Call>,
    /// Events the archive does not have yet, each with its call as of that event. As long as the
    /// archive answers it holds a handful; while it is away, what the writer has room for.
    unstored: VecDeque<(Arc<Entry>, Arc<Call>)>,
    /// Whether the writer knows that something is unstored.
    announced: bool,
    /// The last absence of the archive that the call was told of.
    outage: u64,
    /// Events that were given up since the last one that was not: there was no room for them.
    lost: u64,
}

impl CallHandle {
    /// A call whose log goes on after `call.last_seq`.
    pub(super) fn new(call: Call, answered_here: bool, writer: Writer) -> Self {
        Self {
            call_sid: call.call_sid.clone(),
            answered_here,
            created: Instant::now(),
            last_media_ms: AtomicU64::new(0),
            record: Mutex::new(Record {
                log: EventLog::new(call.call_sid.clone(), call.last_seq),
                call: Arc::new(call),
                unstored: VecDeque::new(),
                announced: false,
                outage: 0,
                lost: 0,
            }),
            changed: watch::Sender::new(0),
            messages: Arc::default(),
            watchers: Watchers::default(),
            inbox: Mutex::new(None),
            control: Mutex::default(),
            writer,
        }
    }

    /// Which call.
    pub fn call_sid(&self) -> &CallSid {
        &self.call_sid
    }

    /// The call as it stands, at most a quarter of a second old.
    pub fn snapshot(&self) -> Arc<Call> {
        let mut record = lock(&self.record);
        let last_seq = record.log.last_seq();
        if record.call.last_seq != last_seq {
            Arc::make_mut(&mut record.call).last_seq = last_seq;
        }
        Arc::clone(&record.call)
    }

    /// Reads its log.
    pub fn read(&self, cursor: &mut Cursor, max: usize) -> Read {
        lock(&self.record).log.read(cursor, max)
    }

    /// A cursor at the log's end.
    pub fn end(&self) -> Cursor {
        lock(&self.record).log.end()
    }

    /// Changes whenever `read` may have something new.
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changed.subscribe()
    }

    /// Deepgram's messages from now on.
    pub fn messages(&self) -> MessageReader {
        self.messages.reader()
    }

    /// Who asks for what is only for those who ask.
    pub(super) fn watchers(&self) -> &Watchers {
        &self.watchers
    }

    /// Since the newest media message; `None` before the first.
    pub fn since_media(&self) -> Option<Duration> {
        let last_ms = self.last_media_ms.load(Ordering::Relaxed).checked_sub(1)?;
        Some(
            self.created
                .elapsed()
                .saturating_sub(Duration::from_millis(last_ms)),
        )
    }

    /// Whether the voice webhook of this node answered the call: its streams must prove it.
    pub(super) fn answered_here(&self) -> bool {
        self.answered_here
    }

    /// Tells the call's task; waits at most a second for room. False when the call is over.
    pub async fn tell(&self, command: Command) -> bool {
        self.send(Inbox::Command(command)).await
    }

    /// Tells the call's task to end the call cleanly.
    pub(super) async fn shut_down(&self) -> bool {
        self.send(Inbox::ShutDown).await
    }

    async fn send(&self, message: Inbox) -> bool {
        let Some(inbox) = lock(&self.inbox).clone() else {
            return false;
        };
        matches!(timeout(TELL_TIMEOUT, inbox.send(message)).await, Ok(Ok(())))
    }

    /// Whether no task runs the call.
    pub(super) fn is_over(&self) -> bool {
        lock(&self.inbox).is_none()
    }

    /// Whether the archive has every event.
    pub(super) fn is_stored(&self) -> bool {
        lock(&self.record).log.first_unstored().is_none()
    }

    /// Waits until the archive has every event.
    pub(super) async fn stored(&self) {
        let mut changed = self.changed();
        while !self.is_stored() {
            changed
                .changed()
                .await
                .expect("the handle holds the sender");
        }
    }
}

/// What call control does with it.
impl CallHandle {
    /// Says what Twilio is to do once the bidirectional stream has ended; unless told, it hangs up.
    pub fn order_next(&self, next: Next) {
        lock(&self.control).next = Some(next);
    }

    /// What was said last, once.
    pub(crate) fn take_next(&self) -> Option<Next> {
        lock(&self.control).next.take()
    }

    /// The call was connected with another number, and goes on being heard.
    pub(crate) fn set_transferred(&self) {
        lock(&self.control).is_transferred = true;
    }

    pub(crate) fn is_transferred(&self) -> bool {
        lock(&self.control).is_transferred
    }

    /// Where Twilio reached this gateway with the newest stream.
    pub(crate) fn base(&self) -> Option<Base> {
        lock(&self.control).base.clone()
    }

    pub(super) fn reached_at(&self, base: Base) {
        lock(&self.control).base = Some(base);
    }
}

/// What the call's task does with it.
impl CallHandle {
    /// Connects the handle with a task, or with none.
    pub(super) fn set_inbox(&self, inbox: Option<mpsc::Sender<Inbox>>) {
        self.messages.set_ended(inbox.is_none());
        *lock(&self.inbox) = inbox;
    }

    /// The way to the task, while there is one.
    pub(super) fn inbox(&self) -> Option<mpsc::Sender<Inbox>> {
        lock(&self.inbox).clone()
    }

    /// Appends a durable event with the call as of it. It is seen once it is stored; while the
    /// archive is away, at once.
    pub(super) fn append(self: &Arc<Self>, at: Timestamp, data: EventData, call: &Call) {
        let mut record = lock(&self.record);
        if self.writer.is_full() && !is_of_the_call(&data) {
            record.give_up(&data);
            return;
        }
        if record.lost > 0 {
            let warning = events_lost(std::mem::take(&mut record.lost));
            record.append(at, warning, call, &self.writer);
        }
        record.append(at, data, call, &self.writer);
        self.announce(record);
        if let Some(outage) = self.writer.outage() {
            self.show_unstored(outage);
        }
    }

    /// The archive is away: shows what it does not have, after having told from which event on.
    pub(super) fn show_unstored(self: &Arc<Self>, outage: u64) {
        let mut record = lock(&self.record);
        if let Some(seq) = record.log.first_unstored()
            && record.outage != outage
            // Nothing may follow the end.
            && !record.log.has_ended()
        {
            record.outage = outage;
            let call = Arc::clone(&record.call);
            let warning = archive_unavailable(seq);
            record.append(Timestamp::now(), warning, &call, &self.writer);
        }
        record.log.show_unstored();
        self.announce(record);
        self.wake_readers();
    }

    /// Tells the writer that something is unstored, unless it knows.
    fn announce(self: &Arc<Self>, mut record: MutexGuard<'_, Record>) {
        let is_known = record.unstored.is_empty() || record.announced;
        record.announced |= !is_known;
        drop(record);
        if !is_known {
            self.writer.announce(Arc::clone(self));
        }
    }

    /// Shows this in place of the last one of its kind.
    pub(super) fn show(&self, at: Timestamp, data: VolatileData) {
        lock(&self.record).log.show(at, data);
        self.wake_readers();
    }

    /// What was shown as a track's interim holds no longer.
    pub(super) fn withdraw_interim(&self, track: Track) {
        lock(&self.record).log.withdraw_interim(track);
    }

    /// Passes on a message of Deepgram.
    pub(super) fn message(&self, message: String) {
        self.messages.push(message);
    }

    /// A media message came. Costs one store.
    pub(super) fn media(&self, now: Instant) {
        let since = now.saturating_duration_since(self.created).as_millis();
        let since_ms = u64::try_from(since).unwrap_or(u64::MAX - 1);
        self.last_media_ms.store(since_ms + 1, Ordering::Relaxed);
    }

    /// Shows the call as it stands.
    pub(super) fn refresh(&self, call: &Call) {
        lock(&self.record).call = Arc::new(call.clone());
    }

    fn wake_readers(&self) {
        self.changed
            .send_modify(|version| *version = version.wrapping_add(1));
    }
}

impl Record {
    fn append(&mut self, at: Timestamp, data: EventData, call: &Call, writer: &Writer) {
        let entry = self.log.append(at, data);
        let mut call = call.clone();
        call.last_seq = entry.event.seq;
        self.call = Arc::new(call);
        self.unstored.push_back((entry, Arc::clone(&self.call)));
        writer.count(1);
    }

    /// An event for which there is no room. It gets no `seq`: those that have one have no hole.
    fn give_up(&mut self, data: &EventData) {
        self.lost += 1;
        if let EventData::TranscriptFinal(transcript) = data {
            self.log.withdraw_interim(transcript.track);
        }
    }
}

/// Whether an event says that a call began or ended: there are few, and without them nothing
/// would ever end.
const fn is_of_the_call(data: &EventData) -> bool {
    matches!(
        data,
        EventData::CallStarted(_) | EventData::CallResumed(_) | EventData::CallEnded(_)
    )
}

fn archive_unavailable(seq: u64) -> EventData {
    EventData::Warning(Warning {
        code: "archive_unavailable",
        detail: format!(
            "The archive cannot be written: events from seq {seq} on are shown, but not stored yet."
        ),
    })
}

fn events_lost(count: u64) -> EventData {
    EventData::Warning(Warning {
        code: "events_lost",
        detail: format!(
            "{count} events before this one were not kept: the archive could not be written, and \
             too many waited for it."
        ),
    })
}

/// What the writer does with it.
impl CallHandle {
    /// Moves at most `room` events to `batch`. True when more are left; else the next event
    /// announces the call again.
    pub(super) fn take_unstored(
        &self,
        batch: &mut Vec<(Arc<Entry>, Arc<Call>)>,
        room: usize,
    ) -> bool {
        let mut record = lock(&self.record);
        let count = record.unstored.len().min(room);
        batch.extend(record.unstored.drain(..count));
        record.announced = !record.unstored.is_empty();
        record.announced
    }

    /// Everything taken up to `seq` is stored: readers may see it.
    pub(super) fn mark_stored(&self, seq: u64) {
        lock(&self.record).log.stored(seq);
        self.wake_readers();
    }
}
