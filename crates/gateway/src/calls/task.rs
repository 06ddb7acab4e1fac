//! The task of a call: it owns the call's sockets and its engine.
//!
//! Everything is polled in place: a frame goes from Twilio's socket through the engine to
//! Deepgram's without a channel, and nothing it waits for keeps it from reading the rest.

mod conversing;
mod links;
mod outputs;
mod speech;
mod streams;

use std::fmt;
use std::future::poll_fn;
use std::panic::AssertUnwindSafe;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use sidetone_call::engine::{self, Engine, Setup, StreamStart, Summary};
use sidetone_call::event::{Call, CallProgress, EndReason, EventData, Status};
use sidetone_twilio::CallSid;
use tokio::sync::mpsc;
use tokio::time::{Instant, Sleep, sleep_until, timeout};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::{error, info, warn};

use self::conversing::FunctionRun;
use self::speech::SpeechFetch;
use self::streams::Stream;
use super::link::LinkConnection;
use super::socket::StreamSocket;
use super::{CallHandle, Calls, Command, Dialer, Functions, Speaker, report};
use crate::config::{Config, Speak};
use crate::http::Base;
use crate::metrics::Metrics;
use crate::random_u64;
use crate::twilio_rest::{TwilioError, TwilioRest};

/// How often the call as others see it is brought up to date between events.
const REFRESH: Duration = Duration::from_millis(250);

/// How long an ended call waits for the archive before it gives its seat back. Its events are
/// written all the same, whenever the archive is there again.
const STORE_PATIENCE: Duration = Duration::from_secs(5);

/// The timer's deadline while nothing is awaited; no call lasts as long.
const NEVER: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// What the tasks of all calls share.
pub(crate) struct Services {
    pub(crate) config: Arc<Config>,
    pub(crate) metrics: Metrics,
    pub(crate) dialer: Arc<Dialer>,
    pub(crate) speaker: Arc<Speaker>,
    pub(crate) functions: Arc<Functions>,
    pub(crate) tasks: TaskTracker,
    /// Why not, when Twilio's REST API cannot be asked.
    pub(crate) twilio: Arc<Result<TwilioRest, TwilioError>>,
    /// Ends every call's task where it stands.
    pub(crate) kill: CancellationToken,
}

impl fmt::Debug for Services {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Services").finish_non_exhaustive()
    }
}

/// A stream that has started and may come.
pub(super) struct Arrival {
    pub(super) call_sid: CallSid,
    pub(super) profile: String,
    pub(super) start: StreamStart,
    /// Where it reached this gateway.
    pub(super) base: Base,
    pub(super) socket: StreamSocket,
}

/// What others send to a call's task.
pub(super) enum Inbox {
    Stream(Box<Arrival>),
    Command(Command),
    ShutDown,
}

/// A call while it is live.
pub(super) struct CallTask {
    services: Arc<Services>,
    call_sid: CallSid,
    profile: String,
    engine: Engine,
    streams: Vec<Stream>,
    links: Vec<LinkConnection>,
    /// When the event of a link was read that is being handled.
    link_event_read: Option<Instant>,
    speech: Option<SpeechFetch>,
    functions: Vec<FunctionRun>,
    /// The payload of the newest media message; its memory is used again for the next.
    audio: Vec<u8>,
    /// Whether something happened since others were last shown the call.
    is_stale: bool,
    /// When they may be shown it again.
    refresh_at: Instant,
    over: bool,
}

/// One moment, by both clocks.
#[derive(Clone, Copy)]
struct Now {
    instant: Instant,
    wall: Timestamp,
}

impl Now {
    fn read() -> Self {
        Self {
            instant: Instant::now(),
            wall: Timestamp::now(),
        }
    }

    fn std(self) -> std::time::Instant {
        self.instant.into_std()
    }
}

impl CallTask {
    /// A call with its first stream; one that goes on when there is a `former`.
    pub(super) fn begin(services: Arc<Services>, arrival: Arrival, former: Option<&Call>) -> Self {
        let now = Now::read();
        let config = &services.config;
        let profile = config.profiles.get(&arrival.profile);
        let greeting = profile
            .and_then(|profile| profile.speak.as_ref())
            .and_then(Speak::greeting);
        let listen = profile.and_then(|profile| {
            let listen = profile.listen.as_ref()?;
            let interim_results = listen.params.interim_results();
            Some(engine::Listen {
                flush: listen.flush,
                interim_results,
                links: listen.links_in_use(),
            })
        });
        let agent = profile
            .and_then(|profile| profile.agent.as_ref())
            .map(|agent| {
                let Arrival {
                    call_sid,
                    profile,
                    start,
                    ..
                } = &arrival;
                conversing::agent_for(agent, profile, call_sid, start)
            });
        let setup = Setup {
            call_sid: arrival.call_sid.clone(),
            profile: arrival.profile.clone(),
            former: former.cloned().map(Box::new),
            listen,
            greeting,
            agent,
            limits: engine::Limits {
                idle_timeout: config.limits.idle_timeout,
                replay_window: config.limits.replay_window,
                replay_rate: config.limits.replay_rate,
            },
            seed: random_u64(),
        };
        let mut task = Self {
            call_sid: arrival.call_sid.clone(),
            profile: arrival.profile.clone(),
            engine: Engine::new(setup, now.std(), now.wall),
            streams: Vec::with_capacity(1),
            links: Vec::with_capacity(1),
            link_event_read: None,
            speech: None,
            functions: Vec::new(),
            audio: Vec::new(),
            is_stale: true,
            refresh_at: now.instant,
            over: false,
            services,
        };
        task.add_stream(now, arrival);
        task
    }

    /// Tells what Twilio said of the call before its stream started.
    pub(super) fn tell(&mut self, told: &CallProgress) {
        let CallProgress { status, sip_code } = told;
        let now = Now::read();
        self.engine
            .handle_call_status(now.std(), now.wall, status, *sip_code);
    }

    /// The call as its engine knows it.
    pub(super) fn call(&self) -> &Call {
        self.engine.call()
    }

    /// Runs the call until its last event is stored, and on when it is reopened meanwhile.
    ///
    /// A panic ends this call with reason `error` and nothing else.
    pub(super) async fn run(
        mut self,
        calls: Arc<Calls>,
        handle: Arc<CallHandle>,
        mut inbox: mpsc::Receiver<Inbox>,
    ) {
        let services = Arc::clone(&self.services);
        // A token of its own: polling one that all calls share would make them wait for each other.
        let kill = services.kill.child_token();
        loop {
            self.report_stream();
            let ended = AssertUnwindSafe(self.until_ended(&handle, &mut inbox)).catch_unwind();
            let summary = match kill.run_until_cancelled(ended).await {
                Some(Ok(())) => self.engine.summary(),
                Some(Err(_)) => {
                    error!(call_sid = %self.call_sid, "A fault of Sidetone ended the call.");
                    services.metrics.call_panicked();
                    cut_off(&handle, EndReason::Error);
                    Summary::default()
                }
                None => {
                    cut_off(&handle, EndReason::Shutdown);
                    Summary::default()
                }
            };
            self.leave_streams();
            let end_reason = handle.snapshot().end_reason;
            services
                .metrics
                .call_ended(end_reason.unwrap_or(EndReason::Error));
            conclude(&handle, &summary).await;
            let Some(arrival) = calls.unseat(&handle, &mut inbox) else {
                return;
            };
            self = Self::begin(Arc::clone(&services), *arrival, Some(&handle.snapshot()));
            services.metrics.call_started();
        }
    }

    async fn until_ended(&mut self, handle: &Arc<CallHandle>, inbox: &mut mpsc::Receiver<Inbox>) {
        let never = Instant::now() + NEVER;
        let mut timer = std::pin::pin!(sleep_until(never));
        poll_fn(|cx| self.poll(cx, handle, inbox, timer.as_mut(), never)).await;
    }

    /// Handles whatever is ready, one thing after the other, until nothing is.
    ///
    /// A peer that sends without end uses up tokio's budget for the task, and the others get their
    /// turn.
    fn poll(
        &mut self,
        cx: &mut Context<'_>,
        handle: &Arc<CallHandle>,
        inbox: &mut mpsc::Receiver<Inbox>,
        mut timer: Pin<&mut Sleep>,
        never: Instant,
    ) -> Poll<()> {
        let watch = handle.watchers().poll(cx);
        if watch != self.engine.watch() {
            self.engine.handle_watch(Now::read().std(), watch);
        }
        loop {
            self.drain(handle);
            if self.over {
                return Poll::Ready(());
            }
            let mut busy = self.poll_inbox(cx, inbox);
            self.drain(handle);
            busy |= self.poll_links(cx, handle);
            busy |= self.poll_streams(cx, handle);
            busy |= self.poll_speech(cx);
            busy |= self.poll_functions(cx);
            self.drain(handle);
            busy |= self.flush_streams(cx);
            if busy {
                self.is_stale = true;
                continue;
            }
            let now = Now::read();
            for link in &mut self.links {
                link.poll_flush(cx, now.instant);
            }
            if self.is_stale && now.instant >= self.refresh_at {
                self.is_stale = false;
                self.refresh_at = now.instant + REFRESH;
                handle.refresh(self.engine.call());
            }
            let deadline = self.deadline().unwrap_or(never);
            if deadline != timer.deadline() {
                timer.as_mut().reset(deadline);
            }
            if timer.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            if self
                .engine
                .poll_timeout()
                .is_some_and(|due| due <= now.std())
            {
                self.engine.handle_timeout(now.std(), now.wall);
                self.is_stale = true;
            }
        }
    }

    fn poll_inbox(&mut self, cx: &mut Context<'_>, inbox: &mut mpsc::Receiver<Inbox>) -> bool {
        let Poll::Ready(Some(message)) = inbox.poll_recv(cx) else {
            return false;
        };
        let now = Now::read();
        match message {
            Inbox::Stream(arrival) => {
                self.add_stream(now, *arrival);
                self.report_stream();
            }
            Inbox::Command(Command::StreamStopped(stream_sid)) => {
                self.stop_stream(now, &stream_sid);
            }
            Inbox::Command(Command::Status { status, sip_code }) => {
                self.engine
                    .handle_call_status(now.std(), now.wall, &status, sip_code);
            }
            Inbox::Command(Command::EndExpected(reason)) => {
                self.engine.handle_end_expected(reason);
            }
            Inbox::Command(Command::OrderedEnd(reason)) => {
                self.engine.handle_ordered_end(now.std(), now.wall, reason);
            }
            Inbox::Command(Command::KeysOrdered(keys)) => {
                self.engine.handle_keys_ordered(now.std(), keys);
            }
            Inbox::Command(Command::HangUp) => self.engine.handle_hang_up(now.std(), now.wall),
            Inbox::Command(Command::Speak { speech, answer }) => {
                // Who asked may have left; what was asked for holds.
                let _sent = answer
                    .send(self.engine.handle_speak(now.std(), speech))
                    .is_ok();
            }
            Inbox::Command(Command::Silence) => self.engine.handle_silence(now.std()),
            Inbox::Command(Command::Inject {
                role,
                content,
                answer,
            }) => {
                let done = self
                    .engine
                    .handle_inject(now.std(), now.wall, role, content.0);
                let _sent = answer.send(done).is_ok();
            }
            Inbox::Command(Command::UpdateAgent { update, answer }) => {
                let done = self.engine.handle_update(now.std(), now.wall, *update);
                let _sent = answer.send(done).is_ok();
            }
            Inbox::ShutDown => self.engine.handle_shutdown(now.std(), now.wall),
        }
        true
    }

    fn deadline(&self) -> Option<Instant> {
        let links = self.links.iter().filter_map(LinkConnection::deadline);
        let engine = self.engine.poll_timeout().map(Instant::from_std);
        let refresh = self.is_stale.then_some(self.refresh_at);
        links.chain(engine).chain(refresh).min()
    }
}

/// Says in the log that a call has ended, and waits a while until that is stored.
pub(super) async fn conclude(handle: &CallHandle, summary: &Summary) {
    info!("{}", report::closing_line(&handle.snapshot(), summary));
    if timeout(STORE_PATIENCE, handle.stored()).await.is_err() {
        warn!(call_sid = %handle.call_sid(), "The end of the call is not stored yet.");
    }
}

/// Writes the end of a call whose engine cannot write it any more.
fn cut_off(handle: &Arc<CallHandle>, reason: EndReason) {
    let now = Timestamp::now();
    let mut call = Call::clone(&handle.snapshot());
    call.status = Status::Ended;
    call.ended_at = Some(now);
    call.end_reason = Some(reason);
    handle.append(now, EventData::CallEnded(Box::new(call.clone())), &call);
}

#[cfg(test)]
mod tests {
    use sidetone_call::log::{Cursor, Read};

    use super::*;
    use crate::calls::{Store, testing};

    #[tokio::test]
    async fn a_call_that_is_cut_off_has_an_end_that_readers_see() {
        let (handle, writer) = testing::handle(1);
        let archive = Store::default();
        cut_off(&handle, EndReason::Error);
        tokio::select! {
            () = writer.run(&archive) => unreachable!("it never ends"),
            () = handle.stored() => {}
        }
        let call = handle.snapshot();
        assert_eq!(
            (call.status, call.end_reason),
            (Status::Ended, Some(EndReason::Error))
        );
        let mut cursor = Cursor::default();
        assert!(matches!(handle.read(&mut cursor, 10), Read::Items { .. }));
        assert!(matches!(handle.read(&mut cursor, 10), Read::Ended));
    }
}
