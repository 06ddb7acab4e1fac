//! A call as it goes: one task, one timer, its streams and its requests.

mod fork;
mod streams;
mod words;

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::task::{Context, Poll};

use futures_util::StreamExt;
use futures_util::future::BoxFuture;
use futures_util::stream::FuturesUnordered;
use sidetone_twilio::form::{CallStatus, Direction, Place, VoiceRequest};
use sidetone_twilio::stream::MediaTrack;
use sidetone_twilio::twiml::{CallEvent, Method};
use sidetone_twilio::{CallSid, StreamSid};
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until};

use self::fork::Fork;
use self::streams::{Handshake, Stream};
pub(super) use self::streams::{Over, Plan, StatusCallback, dialled};
use super::attention::Attention;
use super::conversation::Callee;
use super::error::{chain, shown};
use super::exchange::{Order, Registration};
use super::gather::Gathering;
use super::keypad::Keypad;
use super::line::{FRAME, Line};
use super::orders::Interrupt;
use super::progress::CallCallback;
use super::record::CallRecord;
use super::socket::Received;
use super::web::Web;
use super::{Alert, End, Fault, Options, Party, PhoneError, Report};
use crate::dice::Dice;
use crate::voice::SpokenWord;

/// A call under way.
///
/// Everything that happens is an event of [`step`](Self::step), which never waits for a peer: a
/// server that reads too slowly loses audio, as with Twilio, and requests whose answer decides
/// nothing are errands. So the audio of all streams leaves on time whatever a verb waits for.
pub(super) struct Call {
    pub(super) options: Options,
    call_sid: CallSid,
    direction: Direction,
    /// What the call has to tell, for all who may know of it.
    pub(super) entry: Registration,
    pub(super) orders: mpsc::Receiver<(CallSid, Order)>,
    /// Whether it was led to another document than those it came to by itself.
    pub(super) is_led: bool,
    /// What was ordered and is still to be done by whoever follows the document.
    pub(super) ordered: Option<Interrupt>,
    pub(super) dice: Dice,
    began: Instant,
    pub(super) answered: Option<Instant>,
    /// The status in which it ends.
    pub(super) last_status: CallStatus,
    pub(super) callback: CallCallback,
    clock: FrameClock,
    pub(super) line: Line,
    pub(super) callee: Callee,
    /// Whether a stream may come with what is still to be done of the document.
    pub(super) stream_ahead: bool,
    keypad: Keypad,
    pub(super) gathering: Option<Gathering>,
    fork: Fork,
    streams: Vec<Stream>,
    /// Streams that are to end as soon as they are open.
    abandoned: Vec<StreamSid>,
    handshakes: FuturesUnordered<BoxFuture<'static, Box<Handshake>>>,
    /// Status callbacks of the call so far.
    pub(super) told: u64,
    /// What runs beside the call; each has its own deadline and gives a note when it failed.
    pub(super) errands: FuturesUnordered<BoxFuture<'static, Option<String>>>,
    pub(super) web: Web,
    /// Fetched so far.
    pub(super) documents: usize,
    /// Line position of the first frame that left: 0 of call time.
    origin: Option<u64>,
    over: Vec<(StreamSid, Over)>,
    /// Words that are over on the line, and may still have to leave.
    unsettled: Vec<(Party, SpokenWord)>,
}

/// What can happen next.
enum Event {
    /// Frames are due.
    Frame {
        due: Instant,
    },
    Handshake(Box<Handshake>),
    Errand(Option<String>),
    Received(usize, Received),
    Ordered(Order),
}

impl Call {
    pub(super) fn new(mut options: Options, direction: Direction) -> Self {
        let mut dice = Dice::new(options.seed);
        let call_sid = options.call_sid.take().unwrap_or_else(|| dice.sid("CA"));
        let status = match direction {
            Direction::OutboundApi => CallStatus::Queued,
            _ => CallStatus::Ringing,
        };
        let (entry, orders) = options.exchange.register(CallRecord::new(
            call_sid.clone(),
            options.account_sid.clone(),
            direction.clone(),
            [options.from.clone(), options.to.clone()],
            status,
        ));
        let interjections = std::mem::take(&mut options.interjections);
        let attention = Attention::new(interjections, options.takes_turns);
        let now = Instant::now();
        Self {
            call_sid,
            direction,
            entry,
            orders,
            is_led: false,
            ordered: None,
            began: now,
            answered: Some(now),
            last_status: CallStatus::Completed,
            callback: CallCallback::of_number(options.status_callback.clone()),
            clock: FrameClock::new(now),
            line: Line::new(std::mem::take(&mut options.turns), attention),
            callee: Callee::Absent,
            stream_ahead: true,
            keypad: Keypad::new(&options.dtmf),
            gathering: None,
            fork: Fork::planned(&options.faults),
            streams: Vec::new(),
            abandoned: Vec::new(),
            handshakes: FuturesUnordered::new(),
            told: 0,
            errands: FuturesUnordered::new(),
            web: Web::new(options.auth_token.clone(), &options.faults),
            documents: 0,
            origin: None,
            over: Vec::new(),
            unsettled: Vec::new(),
            dice,
            options,
        }
    }

    /// Asks the voice webhook what to do, and does it.
    pub(super) async fn by_webhook(mut self) -> Result<Report, PhoneError> {
        let target = self.options.target.clone();
        let form = self.voice_request(CallStatus::Ringing).to_form();
        let first = self
            .fetch(target.clone(), Method::Post, &form)
            .await
            .map_err(|source| PhoneError::Webhook {
                url: shown(&target),
                source,
            })?;
        self.tell_if_first(&Fault::AnsweredFirst, CallStatus::InProgress)
            .await;
        let end = self.follow(Ok(Some(first))).await;
        Ok(self.finish(end).await)
    }

    /// Opens the stream that the target is, and stays on it.
    pub(super) async fn by_stream(mut self) -> Result<Report, PhoneError> {
        self.tell_if_first(&Fault::AnsweredFirst, CallStatus::InProgress)
            .await;
        let plan = self.target_plan();
        self.stream_ahead = false;
        self.entry.reach(CallStatus::InProgress);
        if plan.start.tracks.contains(&MediaTrack::Outbound) {
            self.callee = Callee::Present;
        }
        let stream_sid = self.open_stream(plan);
        let end = match self.until(|call| call.take_over(&stream_sid)).await {
            Err(Interrupt::End(end)) => end,
            Err(redirect) => {
                self.abandon_stream(&stream_sid);
                self.follow(Err(redirect)).await
            }
            Ok(Over::NotOpened(source)) => {
                let url = shown(&self.options.target);
                return Err(PhoneError::Handshake { url, source });
            }
            Ok(Over::Closed { code, reason }) => End::StreamClosed { code, reason },
            Ok(Over::Broken) => End::ApplicationError,
            Ok(Over::Stopped) => End::StreamLeft,
        };
        Ok(self.finish(end).await)
    }

    /// Waits until `ready` gives something, while the call goes on.
    ///
    /// # Errors
    /// The end of the call, or what was ordered, when it comes first.
    pub(super) async fn until<T>(
        &mut self,
        mut ready: impl FnMut(&mut Self) -> Option<T>,
    ) -> Result<T, Interrupt> {
        loop {
            if let Some(found) = ready(self) {
                return Ok(found);
            }
            self.obey()?;
            // Where no stream will listen, the people on the phone talk all the same.
            if !self.stream_ahead && self.streams.is_empty() && self.handshakes.is_empty() {
                self.line.open();
            }
            if let Some(end) = self.end_due() {
                return Err(end.into());
            }
            self.step().await;
        }
    }

    /// Waits for `work`, while the call goes on.
    pub(super) async fn alongside<F: Future>(&mut self, work: F) -> F::Output {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                output = &mut work => return output,
                () = self.step() => {}
            }
        }
    }

    /// Runs something beside the call whose answer decides nothing.
    pub(super) fn run_errand<E: std::error::Error + 'static>(
        &mut self,
        what: String,
        errand: impl Future<Output = Result<(), E>> + Send + 'static,
    ) {
        self.errands.push(noted(what, errand));
    }

    /// The call begins only now: it was queued.
    pub(super) fn begin_now(&mut self) {
        self.began = Instant::now();
        self.clock = FrameClock::new(self.began);
    }

    pub(super) fn note(&self, note: impl Into<String>) {
        self.note_all([note.into()]);
    }

    pub(super) fn note_all(&self, notes: impl IntoIterator<Item = String>) {
        self.entry.update(|call| call.notes.extend(notes));
    }

    /// Records what Twilio's debugger would show; once per stream and code, as there.
    pub(super) fn alert(&self, code: u32, stream_sid: Option<&StreamSid>, detail: String) {
        let is_known =
            |alert: &Alert| alert.code == code && alert.stream_sid.as_ref() == stream_sid;
        if stream_sid.is_some() && self.entry.look(|call| call.alerts.iter().any(is_known)) {
            return;
        }
        let whose = stream_sid
            .map(|sid| format!(" on stream {sid}"))
            .unwrap_or_default();
        self.note(format!("Twilio error {code}{whose}: {detail}"));
        let alert = Alert {
            code,
            stream_sid: stream_sid.cloned(),
            detail,
        };
        self.entry.update(|call| call.alerts.push(alert));
    }

    /// What every request about the call says.
    pub(super) fn voice_request(&self, status: CallStatus) -> VoiceRequest {
        let place = |city: &str, state: &str, zip: &str| Place {
            city: city.into(),
            state: state.into(),
            zip: zip.into(),
            country: "US".into(),
        };
        let is_inbound = self.direction == Direction::Inbound;
        let attested = |text: &str| is_inbound.then(|| text.to_owned());
        VoiceRequest {
            account_sid: Some(self.options.account_sid.clone()),
            from: Some(self.options.from.clone()),
            to: Some(self.options.to.clone()),
            direction: Some(self.direction.clone()),
            status,
            from_place: place("SAN FRANCISCO", "CA", "94103"),
            to_place: place("", "", ""),
            stir_verstat: attested("TN-Validation-Passed-A"),
            // Percent-encoded JSON, and on the wire encoded once more: who decodes twice gets
            // the signature wrong.
            call_token: attested(
                "%7B%22parentCallInfoToken%22%3A%22eyJhbGciOiJFUzI1NiJ9%22%2C\
                 %22identityHeaderTokens%22%3A%5B%5D%7D",
            ),
            answered_by: self.entry.look(|call| call.answered_by.clone()),
            ..VoiceRequest::new(self.call_sid.clone())
        }
    }

    /// What happens next, done. Cancel-safe: what is lost with the future has not happened yet.
    pub(super) async fn step(&mut self) {
        let Self {
            clock,
            orders,
            handshakes,
            errands,
            streams,
            ..
        } = self;
        let event = tokio::select! {
            biased;
            due = clock.tick() => Event::Frame { due },
            Some((_, order)) = orders.recv() => Event::Ordered(order),
            Some(handshake) = handshakes.next() => Event::Handshake(handshake),
            Some(note) = errands.next() => Event::Errand(note),
            (index, received) = poll_fn(|context| poll_streams(streams, context)) => {
                Event::Received(index, received)
            }
        };
        match event {
            Event::Frame { due } => self.send_frames(due),
            Event::Handshake(handshake) => self.stream_opened(handshake),
            Event::Errand(note) => self.note_all(note),
            Event::Ordered(order) => self.take_order(order),
            Event::Received(index, received) => self.stream_received(index, received),
        }
    }

    /// Moves the line on by 20 ms, and sends what is on it.
    fn send_frames(&mut self, due: Instant) {
        let position = self.line.position();
        if self
            .streams
            .iter()
            .any(|stream| stream.side.carries_media_at(due))
        {
            self.line.open();
        }
        let playback = self
            .streams
            .iter_mut()
            .find_map(|stream| stream.side.playback());
        self.line.advance(self.callee, playback);
        let presses_keys = self.line.all_said(self.callee)
            && self.has_bidirectional_stream()
            && !self.line.is_others_turn();
        let pressed = if self.gathering.is_some() || presses_keys {
            self.keypad.advance()
        } else {
            None
        };
        if let Some(key) = pressed {
            self.line.stir();
            if let Some(gathering) = &mut self.gathering {
                gathering.press(key, position);
            }
        }
        for stream in &mut self.streams {
            stream.send_frames(due, position, &self.line, pressed);
        }
        if self.origin.is_none() {
            let begun = self
                .streams
                .iter()
                .filter_map(|stream| stream.side.begun_at());
            self.origin = begun.min();
        }
        self.tell_overflows();
        self.record_words();
        self.tend_fork(due);
        self.leave_streams_in_time(due);
    }

    /// Why the call is to end now, if it is.
    fn end_due(&self) -> Option<End> {
        if self.began.elapsed() >= self.options.time_limit {
            return Some(End::TimeLimit);
        }
        let has_keys_to_press =
            !self.keypad.is_done() && (self.gathering.is_some() || self.has_bidirectional_stream());
        let is_over = self.line.is_over(self.callee, self.options.linger)
            && self.handshakes.is_empty()
            && !has_keys_to_press;
        is_over.then_some(End::CallerHungUp)
    }

    fn has_bidirectional_stream(&self) -> bool {
        self.streams
            .iter()
            .any(|stream| stream.side.is_bidirectional())
    }

    /// Ends the streams, tells who wants to know, and waits for the answers.
    pub(super) async fn finish(mut self, end: End) -> Report {
        let duration = self.began.elapsed();
        self.handshakes.clear();
        let status = self.last_status.clone();
        self.tell_if_first(&Fault::CompletedFirst, status.clone())
            .await;
        while let Some(newest) = self.streams.len().checked_sub(1) {
            self.leave_stream(newest);
        }
        self.entry.update(|call| call.end = Some(end.clone()));
        if self.options.faults.contains(&Fault::CompletedFirst) {
            self.entry.reach(status);
        } else {
            self.tell_status(CallEvent::Completed, status);
        }
        while let Some(note) = self.errands.next().await {
            self.note_all(note);
        }
        let [turns, interjections] = self.line.left();
        if turns > 0 {
            self.note(format!(
                "{turns} turns were not said: their time did not come"
            ));
        }
        if interjections > 0 {
            self.note(format!(
                "{interjections} interjections were not said: their cue did not come"
            ));
        }
        let record = self.entry.record();
        Report {
            call_sid: record.call_sid,
            spoken: record.spoken,
            heard: record.heard,
            stretches: record.stretches,
            digits: record.digits,
            played_samples: record.played_samples,
            streams: record.streams,
            alerts: record.alerts,
            notes: record.notes,
            end,
            duration,
        }
    }
}

/// An errand that gives a note when it failed.
pub(super) fn noted<E: std::error::Error + 'static>(
    what: String,
    errand: impl Future<Output = Result<(), E>> + Send + 'static,
) -> BoxFuture<'static, Option<String>> {
    Box::pin(async move {
        let failed = errand.await.err();
        failed.map(|error| format!("{what} failed: {}", chain(&error)))
    })
}

/// Says when frames are due: every 20 ms from the beginning, however late it is asked.
struct FrameClock {
    due: Instant,
    sleep: Pin<Box<Sleep>>,
}

impl FrameClock {
    fn new(now: Instant) -> Self {
        Self {
            due: now,
            sleep: Box::pin(sleep_until(now)),
        }
    }

    /// Waits until the next frames are due, and says when that was. Cancel-safe.
    async fn tick(&mut self) -> Instant {
        self.sleep.as_mut().await;
        let due = self.due;
        self.due += FRAME;
        self.sleep.as_mut().reset(self.due);
        due
    }
}

/// What came on any stream, and on which.
fn poll_streams(streams: &mut [Stream], context: &mut Context<'_>) -> Poll<(usize, Received)> {
    for (index, stream) in streams.iter_mut().enumerate() {
        if let Poll::Ready(received) = stream.socket.poll_receive(context) {
            return Poll::Ready((index, received));
        }
    }
    Poll::Pending
}
