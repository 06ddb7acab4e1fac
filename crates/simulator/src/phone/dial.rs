//! `<Dial>`: someone else is called, and the two are connected.

use std::time::Duration;

use jiff::Timestamp;
use sidetone_twilio::CallSid;
use sidetone_twilio::form::{CallProgress, CallStatus, DialOutcome, Direction, Form, VoiceRequest};
use sidetone_twilio::twiml::{CallEvent, Dial, Method, Number};
use tokio::sync::mpsc;
use tokio::time::Instant;

use super::call::Call;
use super::conversation::Callee;
use super::error::shown;
use super::exchange::{Order, Registration};
use super::orders::Interrupt;
use super::progress::sip_response_code;
use super::record::CallRecord;
use super::verbs::webhook_url;
use super::web::Document;
use super::{Answer, Party, Subscriber};

/// How long a number rings unless the document says otherwise.
const DEFAULT_TIMEOUT_SECS: u32 = 30;

/// The call to the dialled number: the leg whose voice is on the outbound track.
struct Leg<'a> {
    call_sid: CallSid,
    entry: Registration,
    orders: mpsc::Receiver<(CallSid, Order)>,
    number: &'a Number,
    subscriber: Subscriber,
    caller_id: Option<&'a str>,
    answered: Option<Instant>,
    /// Status callbacks so far.
    told: u64,
}

impl Call {
    /// Rings, connects, and stays connected until the call ends, or the other leg over the REST
    /// API: the callee never hangs up. Gives the document of the `action`, when there is one and
    /// the call goes on.
    pub(super) async fn dial(
        &mut self,
        document: &Document,
        dial: &Dial,
    ) -> Result<Option<Document>, Interrupt> {
        // Of several numbers, the first is the one that answers.
        let Some(number) = dial.numbers.first() else {
            self.note("<Dial> without a number: nobody called");
            return Ok(None);
        };
        let mut leg = self.new_leg(number, dial.caller_id.as_deref());
        let timeout_secs = dial.timeout_secs.unwrap_or(DEFAULT_TIMEOUT_SECS);
        let timeout = Duration::from_secs(timeout_secs.into());
        let (status, interrupt) = self.ring_and_talk(document, &mut leg, timeout).await;
        self.line.drop_callee();
        self.note(format!("<Dial> {}: {}", number.number, status.name()));
        self.tell_leg_status(document, &mut leg, CallEvent::Completed, &status);

        let is_over = matches!(interrupt, Some(Interrupt::End(_)));
        let form = self.dial_form(&leg, status, is_over);
        match (interrupt, &dial.action) {
            (None, None) => Ok(None),
            (None, Some(action)) => self
                .go_on(document, action, dial.method, &form)
                .await
                .map(Some),
            // What comes next was ordered.
            (Some(redirect @ Interrupt::Redirect(_)), _) => Err(redirect),
            (Some(end), action) => {
                // The action is told how it went, but there is no call any more to follow it.
                let url = action
                    .as_deref()
                    .and_then(|url| webhook_url(&document.url, url).ok());
                if let Some(url) = url {
                    let method = dial.method.unwrap_or(Method::Post);
                    let told = self.web.tell(&url, method, &form, &mut self.dice);
                    self.run_errand(format!("the action {}", shown(&url)), told);
                }
                Err(end)
            }
        }
    }

    fn new_leg<'a>(&mut self, number: &'a Number, caller_id: Option<&'a str>) -> Leg<'a> {
        let call_sid: CallSid = self.dice.sid("CA");
        let from = caller_id.unwrap_or(&self.options.from).to_owned();
        let mut record = CallRecord::new(
            call_sid.clone(),
            self.options.account_sid.clone(),
            Direction::OutboundDial,
            [from, number.number.clone()],
            CallStatus::Queued,
        );
        record.parent_call_sid = Some(self.entry.look(|call| call.call_sid.clone()));
        let (entry, orders) = self.options.exchange.register(record);
        let subscriber = self.options.exchange.subscriber(&number.number);
        // Whom the turns of the callee are for was not to be led here.
        self.line.add_turns(if self.is_led {
            subscriber.turns_or_greeting(Party::Callee)
        } else {
            subscriber.turns(Party::Callee)
        });
        Leg {
            call_sid,
            entry,
            orders,
            number,
            subscriber,
            caller_id,
            answered: None,
            told: 0,
        }
    }

    /// The leg's last status, and why it ended if that was not by itself.
    async fn ring_and_talk(
        &mut self,
        document: &Document,
        leg: &mut Leg<'_>,
        timeout: Duration,
    ) -> (CallStatus, Option<Interrupt>) {
        self.tell_leg_status(document, leg, CallEvent::Initiated, &CallStatus::Initiated);
        self.tell_leg_status(document, leg, CallEvent::Ringing, &CallStatus::Ringing);
        let callee_later = std::mem::replace(&mut self.callee, Callee::Expected);
        let ring = leg.subscriber.ring().unwrap_or(self.options.ring);
        if let Err(interrupt) = self.pause(ring.min(timeout)).await {
            return (CallStatus::Canceled, Some(interrupt));
        }
        let unanswered = match leg.subscriber.answer {
            Answer::Person | Answer::Machine => (ring > timeout).then_some(CallStatus::NoAnswer),
            Answer::Busy => Some(CallStatus::Busy),
            Answer::NoAnswer => Some(CallStatus::NoAnswer),
            Answer::Failed => Some(CallStatus::Failed),
        };
        if let Some(status) = unanswered {
            self.callee = callee_later;
            return (status, None);
        }
        leg.answered = Some(Instant::now());
        self.callee = Callee::Present;
        self.line.stir();
        self.tell_leg_status(document, leg, CallEvent::Answered, &CallStatus::InProgress);
        let is_hung_up =
            |leg: &mut Leg<'_>| matches!(leg.orders.try_recv(), Ok((_, Order::HangUp)));
        let talked = self.until(|_| is_hung_up(leg).then_some(())).await;
        self.callee = callee_later;
        (CallStatus::Completed, talked.err())
    }

    fn dial_form(&self, leg: &Leg<'_>, status: CallStatus, is_call_over: bool) -> Form {
        let call = if is_call_over {
            CallStatus::Completed
        } else {
            CallStatus::InProgress
        };
        let dial = DialOutcome {
            status,
            call_sid: Some(leg.call_sid.clone()),
            duration_secs: leg.answered.map(|answered| answered.elapsed().as_secs()),
        };
        VoiceRequest {
            dial: Some(dial),
            ..self.voice_request(call)
        }
        .to_form()
    }

    /// Tells the number's status callback, if it wants to know of `event`.
    fn tell_leg_status(
        &mut self,
        document: &Document,
        leg: &mut Leg<'_>,
        event: CallEvent,
        status: &CallStatus,
    ) {
        if event != CallEvent::Initiated {
            leg.entry.reach(status.clone());
        }
        let Some(url) = &leg.number.status_callback else {
            return;
        };
        let Ok(url) = webhook_url(&document.url, url) else {
            return self.note("the status callback of <Number> is not a URL of a webhook");
        };
        let wanted = leg.number.status_callback_events.as_deref();
        if !wanted.unwrap_or(&[CallEvent::Completed]).contains(&event) {
            return;
        }
        let answered_secs = leg
            .answered
            .map_or(0, |answered| answered.elapsed().as_secs());
        let parent = self.voice_request(status.clone());
        let from = leg.caller_id.map(Into::into).or(parent.from);
        let progress = CallProgress {
            call: VoiceRequest {
                account_sid: parent.account_sid,
                from,
                to: Some(leg.number.number.clone()),
                direction: Some(Direction::OutboundDial),
                status: status.clone(),
                parent_call_sid: Some(parent.call_sid),
                ..VoiceRequest::new(leg.call_sid.clone())
            },
            sequence_number: Some(leg.told),
            timestamp: Some(Timestamp::now()),
            duration_secs: status.is_final().then_some(answered_secs),
            sip_response_code: status.is_final().then_some(sip_response_code(status)),
        };
        leg.told += 1;
        let method = leg.number.status_callback_method.unwrap_or(Method::Post);
        let told = self
            .web
            .tell(&url, method, &progress.to_form(), &mut self.dice);
        self.run_errand(format!("the status callback {}", shown(&url)), told);
    }
}
