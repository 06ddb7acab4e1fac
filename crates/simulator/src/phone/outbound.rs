//! Calls that are placed over the REST API: someone is called, and may answer.

use std::future::Future;
use std::time::Duration;

use sidetone_twilio::form::{CallStatus, Direction, Form};
use sidetone_twilio::twiml::{CallEvent, Method};
use tokio::time::{Instant, sleep, sleep_until};
use url::Url;

use super::call::Call;
use super::error::shown;
use super::exchange::{Entry, Instructions};
use super::orders::Interrupt;
use super::progress::CallCallback;
use super::web::Document;
use super::{Answer, End, Options, Party, Report};

/// From leaving the queue until it rings.
const DIALLING: Duration = Duration::from_millis(200);

/// How long it takes to find out who answered.
const DETECTION: Duration = Duration::from_secs(2);

/// A call to be placed.
#[derive(Debug)]
pub(crate) struct Outbound {
    /// What is done once it is answered.
    pub(crate) instructions: Instructions,
    /// Until when it is queued.
    pub(crate) release_at: Instant,
    /// How long it may ring.
    pub(crate) timeout: Duration,
    /// Keys that whoever answers hears first.
    pub(crate) send_digits: String,
    pub(crate) callback: CallCallback,
    pub(crate) detection: Option<Detection>,
}

/// Whether a person or a machine answered is to be found out.
#[derive(Debug)]
pub(crate) struct Detection {
    /// Of a machine, the end of its message is awaited.
    pub(crate) to_message_end: bool,
    /// Who is told meanwhile; `None`: the document waits for it.
    pub(crate) aside: Option<Aside>,
}

/// Who is told what was found out beside the call, if anyone.
#[derive(Debug)]
pub(crate) struct Aside {
    pub(crate) url: Option<Url>,
    pub(crate) method: Method,
}

/// Calls the subscriber of `options.to`. The call is known at once, and takes place as the future
/// is polled.
pub(crate) fn place(
    mut options: Options,
    outbound: Outbound,
) -> (Entry, impl Future<Output = Report> + Send) {
    let subscriber = options.exchange.subscriber(&options.to);
    options.turns = subscriber.turns_or_greeting(Party::Caller);
    options.dtmf.clone_from(&subscriber.digits);
    options.ring = subscriber.ring().unwrap_or(options.ring);
    options.linger = subscriber.linger();
    let mut call = Call::new(options, Direction::OutboundApi);
    let queued = outbound
        .release_at
        .saturating_duration_since(Instant::now());
    let queued_ms = u64::try_from(queued.as_millis()).unwrap_or(u64::MAX);
    call.entry.update(|record| record.queued_ms = queued_ms);
    call.callback = outbound.callback.clone();
    call.answered = None;
    let entry = call.entry.clone();
    (
        entry,
        Box::pin(call.by_ringing(outbound, subscriber.answer)),
    )
}

impl Call {
    /// Waits for its turn, rings, and does what is to be done once it is answered.
    async fn by_ringing(mut self, outbound: Outbound, answer: Answer) -> Report {
        let end = match self.ring(&outbound, answer).await {
            Ok(()) => {
                let first = self.begin(outbound, answer).await;
                self.follow(first.map(Some)).await
            }
            Err(status) => {
                self.last_status = status;
                End::NotAnswered
            }
        };
        self.finish(end).await
    }

    /// Rings until someone answers.
    ///
    /// # Errors
    /// The last status of a call that nobody answers.
    async fn ring(&mut self, outbound: &Outbound, answer: Answer) -> Result<(), CallStatus> {
        tokio::select! {
            () = sleep_until(outbound.release_at) => {}
            // The only thing that can be ordered of a call that is queued is its end.
            Some(_) = self.orders.recv() => return Err(CallStatus::Canceled),
        }
        self.begin_now();
        self.tell_status(CallEvent::Initiated, CallStatus::Initiated);
        self.unless_canceled(DIALLING).await?;
        if answer == Answer::Failed {
            return Err(CallStatus::Failed);
        }
        self.tell_status(CallEvent::Ringing, CallStatus::Ringing);
        let ring = self.options.ring;
        self.unless_canceled(ring.min(outbound.timeout)).await?;
        match answer {
            Answer::Person | Answer::Machine if ring <= outbound.timeout => Ok(()),
            Answer::Busy => Err(CallStatus::Busy),
            Answer::Person | Answer::Machine | Answer::NoAnswer | Answer::Failed => {
                Err(CallStatus::NoAnswer)
            }
        }
    }

    async fn unless_canceled(&mut self, time: Duration) -> Result<(), CallStatus> {
        let passed = self.pause(time).await;
        passed.map_err(|_| CallStatus::Canceled)
    }

    /// Answers; gives what is to be done.
    async fn begin(&mut self, outbound: Outbound, answer: Answer) -> Result<Document, Interrupt> {
        self.answered = Some(Instant::now());
        self.tell_status(CallEvent::Answered, CallStatus::InProgress);
        let keys = outbound.send_digits.chars();
        let keys = keys.filter(|key| !matches!(key, 'w' | 'W'));
        self.entry.update(|call| call.digits.extend(keys));
        if let Some(detection) = outbound.detection {
            let who = match answer {
                Answer::Machine if detection.to_message_end => "machine_end_beep",
                Answer::Machine => "machine_start",
                Answer::Person | Answer::Busy | Answer::NoAnswer | Answer::Failed => "human",
            };
            match detection.aside {
                Some(aside) => self.detect_aside(who, &aside),
                None => {
                    self.pause(DETECTION).await?;
                    let answered_by = Some(who.to_owned());
                    self.entry.update(|call| call.answered_by = answered_by);
                }
            }
        }
        self.instructed(outbound.instructions).await
    }

    /// Finds out beside the call who answered, and tells it.
    fn detect_aside(&mut self, who: &'static str, aside: &Aside) {
        let entry = self.entry.clone();
        let mut form = Form::default();
        form.push("AccountSid", self.options.account_sid.as_str());
        form.push("CallSid", entry.look(|call| call.call_sid.to_string()));
        form.push("AnsweredBy", who);
        form.push(
            "MachineDetectionDuration",
            DETECTION.as_millis().to_string(),
        );
        let telling = aside.url.as_ref().map(|url| {
            let told = self.web.tell(url, aside.method, &form, &mut self.dice);
            (told, shown(url))
        });
        let url = telling.as_ref().map(|(_, url)| url.clone());
        self.run_errand(
            format!("the callback {} of who answered", url.unwrap_or_default()),
            async move {
                sleep(DETECTION).await;
                entry.update(|call| call.answered_by = Some(who.to_owned()));
                match telling {
                    Some((told, _)) => told.await,
                    None => Ok(()),
                }
            },
        );
    }
}
