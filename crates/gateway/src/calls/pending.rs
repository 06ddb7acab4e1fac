//! A call that was placed and whose stream has not started.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use jiff::Timestamp;
use sidetone_call::engine::{Summary, outcome};
use sidetone_call::event::{Call, CallProgress, EndReason, EventData, Status};
use sidetone_twilio::form::CallStatus;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};
use tracing::{error, warn};

use super::task::{Arrival, CallTask, Inbox, Services, conclude};
use super::{CallHandle, Calls, Command};

/// How long after it has rung for the last time Twilio may take to say what became of it, and how
/// long an answered call may take to bring its stream, before Twilio is asked.
const GRACE: Duration = Duration::from_secs(30);

/// How often Twilio is asked about a call that was answered, or of which it cannot be asked.
const MAX_LOOKS: u32 = 3;

/// What Twilio may tell of a call before its stream starts: each status once, and a few that
/// nobody knows.
const MAX_TOLD: usize = 16;

/// A call while it waits for its stream.
pub(super) struct PendingCall {
    services: Arc<Services>,
    call: Call,
    placed_at: Timestamp,
    /// How long it may ring.
    ring: Duration,
    /// What Twilio told, in order: it becomes events once the call has begun.
    told: Vec<CallProgress>,
    /// How often Twilio was asked in vain.
    looks: u32,
}

/// What a pending call comes to.
enum Outcome {
    Stream(Box<Arrival>),
    End(EndReason),
}

impl PendingCall {
    pub(super) fn new(services: Arc<Services>, call: Call, ring: Duration) -> Self {
        Self {
            services,
            call,
            placed_at: Timestamp::now(),
            ring,
            told: Vec::new(),
            looks: 0,
        }
    }

    /// Waits for the call's stream, and then runs the call; or ends it when none comes.
    pub(super) async fn run(
        mut self,
        calls: Arc<Calls>,
        handle: Arc<CallHandle>,
        mut inbox: mpsc::Receiver<Inbox>,
    ) {
        let kill = self.services.kill.child_token();
        let settled = AssertUnwindSafe(self.settle(&mut inbox)).catch_unwind();
        let outcome = match kill.run_until_cancelled(settled).await {
            Some(Ok(outcome)) => outcome,
            Some(Err(_)) => {
                error!(call_sid = %handle.call_sid(), "A fault of Sidetone ended the call.");
                self.services.metrics.call_panicked();
                Outcome::End(EndReason::Error)
            }
            None => Outcome::End(EndReason::Shutdown),
        };
        let services = Arc::clone(&self.services);
        let task = match outcome {
            Outcome::Stream(arrival) => {
                let mut task = CallTask::begin(services, *arrival, None);
                self.told.iter().for_each(|told| task.tell(told));
                task
            }
            Outcome::End(reason) => {
                self.end(&handle, reason);
                services.metrics.call_ended_unheard(reason);
                conclude(&handle, &Summary::default()).await;
                // A stream that came in the last moment finds a call that has ended.
                let Some(arrival) = calls.unseat(&handle, &mut inbox) else {
                    return;
                };
                CallTask::begin(services, *arrival, Some(&handle.snapshot()))
            }
        };
        calls.goes_live(&handle);
        task.run(calls, handle, inbox).await;
    }

    async fn settle(&mut self, inbox: &mut mpsc::Receiver<Inbox>) -> Outcome {
        let mut look_at = Instant::now() + self.ring + GRACE;
        loop {
            let message = tokio::select! {
                message = inbox.recv() => message.expect("the handle holds the sender"),
                () = sleep_until(look_at) => {
                    match self.look().await {
                        Some(reason) => return Outcome::End(reason),
                        None => look_at = Instant::now() + GRACE,
                    }
                    continue;
                }
            };
            let ended = match message {
                Inbox::Stream(arrival) => return Outcome::Stream(arrival),
                Inbox::Command(Command::Status { status, sip_code }) => {
                    look_at = Instant::now() + self.ring + GRACE;
                    self.note(status, sip_code)
                }
                Inbox::Command(Command::OrderedEnd(_) | Command::HangUp) => {
                    Some(if self.is_answered() {
                        EndReason::Hangup
                    } else {
                        EndReason::Canceled
                    })
                }
                // Nobody is there to hear it; who asked is told so by the answer that never comes.
                Inbox::Command(
                    Command::EndExpected(_)
                    | Command::StreamStopped(_)
                    | Command::KeysOrdered(_)
                    | Command::Speak { .. }
                    | Command::Silence
                    | Command::Inject { .. }
                    | Command::UpdateAgent { .. },
                ) => None,
                Inbox::ShutDown => {
                    self.cancel().await;
                    Some(EndReason::Shutdown)
                }
            };
            if let Some(reason) = ended {
                return Outcome::End(reason);
            }
        }
    }

    /// Keeps what Twilio told. Gives what the call came to, when it is over.
    fn note(&mut self, status: String, sip_code: Option<u16>) -> Option<EndReason> {
        let came_to = outcome(&status);
        let is_news = self.told.last().is_none_or(|last| last.status != status);
        if is_news && self.told.len() < MAX_TOLD {
            self.told.push(CallProgress { status, sip_code });
        }
        came_to
    }

    fn is_answered(&self) -> bool {
        let answered = |told: &CallProgress| told.status == CallStatus::InProgress.name();
        self.told.iter().any(answered)
    }

    /// Asks Twilio what became of the call, since nothing was heard of it. Gives the end of one
    /// that is over, or that was answered and brings no stream.
    async fn look(&mut self) -> Option<EndReason> {
        let call_sid = &self.call.call_sid;
        let twilio = self.services.twilio.as_ref().as_ref().ok()?;
        let status = match twilio.call(call_sid).await {
            Ok(call) => call.status,
            Err(error) if error.says_call_is_over() => return Some(EndReason::Failed),
            Err(error) => {
                warn!(%call_sid, %error, "What became of a placed call is not known.");
                CallStatus::Unknown(String::new())
            }
        };
        self.weigh(&status)
    }

    /// What it means that the call is there, long after something should have been heard of it.
    fn weigh(&mut self, status: &CallStatus) -> Option<EndReason> {
        match status {
            // Twilio takes them from its queue as fast as the account may call.
            CallStatus::Queued | CallStatus::Initiated | CallStatus::Ringing => None,
            CallStatus::InProgress | CallStatus::Unknown(_) => {
                self.looks += 1;
                (self.looks >= MAX_LOOKS).then_some(EndReason::Error)
            }
            CallStatus::Completed
            | CallStatus::Busy
            | CallStatus::Failed
            | CallStatus::NoAnswer
            | CallStatus::Canceled => self.note(status.name().to_owned(), None),
        }
    }

    /// Has Twilio not ring any more: nobody would be there.
    async fn cancel(&self) {
        let call_sid = &self.call.call_sid;
        if let Ok(twilio) = self.services.twilio.as_ref()
            && let Err(error) = twilio.hang_up(call_sid).await
        {
            warn!(%call_sid, %error, "A placed call could not be taken back.");
        }
    }

    /// Writes all the events of a call that never had a stream.
    fn end(&mut self, handle: &Arc<CallHandle>, reason: EndReason) {
        let now = Timestamp::now();
        self.call.started_at = Some(self.placed_at);
        let started = EventData::CallStarted(Box::new(self.call.clone()));
        let progress = self.told.drain(..).map(CallProgress::into_event);
        for event in [started].into_iter().chain(progress) {
            handle.append(now, event, &self.call);
        }
        self.call.status = Status::Ended;
        self.call.ended_at = Some(now);
        self.call.end_reason = Some(reason);
        let ended = EventData::CallEnded(Box::new(self.call.clone()));
        handle.append(now, ended, &self.call);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::calls::testing;

    fn pending() -> PendingCall {
        let services = Arc::new(testing::services(testing::config()));
        PendingCall::new(services, testing::call(1), Duration::from_secs(60))
    }

    #[test]
    fn a_call_that_waits_or_rings_is_waited_for() {
        let mut call = pending();
        for _ in 0..100 {
            for status in [CallStatus::Queued, CallStatus::Ringing] {
                assert_eq!(call.weigh(&status), None);
            }
        }
    }

    #[test]
    fn a_call_that_was_answered_and_brings_no_stream_is_given_up() {
        let mut call = pending();
        assert_eq!(call.weigh(&CallStatus::InProgress), None);
        assert_eq!(call.weigh(&CallStatus::Unknown(String::new())), None);
        assert_eq!(call.weigh(&CallStatus::InProgress), Some(EndReason::Error));
    }

    #[test]
    fn the_end_that_no_callback_told_is_found_out() {
        for (status, reason) in [
            (CallStatus::Completed, EndReason::Hangup),
            (CallStatus::NoAnswer, EndReason::NoAnswer),
            (CallStatus::Canceled, EndReason::Canceled),
        ] {
            let mut call = pending();
            assert_eq!(call.weigh(&status), Some(reason));
            assert_eq!(call.told[0].status, status.name());
        }
    }

    #[test]
    fn what_is_kept_of_what_is_told_is_bounded() {
        let mut call = pending();
        for number in 0..100 {
            assert_eq!(call.note(format!("status-{number}"), None), None);
        }
        assert_eq!(call.told.len(), MAX_TOLD);
        assert_eq!(
            call.note("busy".to_owned(), Some(486)),
            Some(EndReason::Busy)
        );
    }
}
