//! `<Dial>`: someone else is called, and the two are connected.

use std::convert::Infallible;
use std::time::Duration;

use jiff::Timestamp;
use sidetone_twilio::CallSid;
use sidetone_twilio::form::{CallProgress, CallStatus, DialOutcome, Direction, Form, VoiceRequest};
use sidetone_twilio::twiml::{CallEvent, Dial, Method, Number};
use tokio::time::Instant;

use super::End;
use super::call::Call;
use super::conversation::Callee;
use super::error::shown;
use super::verbs::webhook_url;
use super::web::Document;

/// How long a number rings unless the document says otherwise.
const DEFAULT_TIMEOUT_SECS: u32 = 30;

/// The call to the dialled number: the leg whose voice is on the outbound track.
struct Leg<'a> {
    call_sid: CallSid,
    number: &'a Number,
    caller_id: Option<&'a str>,
    answered: Option<Instant>,
    /// Status callbacks so far.
    told: u64,
}

impl Call {
    /// Rings, connects, and stays connected until the call ends: the callee never hangs up.
    /// Gives the document of the `action`, when nobody answered and there is one.
    pub(super) async fn dial(
        &mut self,
        document: &Document,
        dial: &Dial,
    ) -> Result<Option<Document>, End> {
        // Of several numbers, the first is the one that answers.
        let Some(number) = dial.numbers.first() else {
            self.note("<Dial> without a number: nobody called");
            return Ok(None);
        };
        let mut leg = Leg {
            call_sid: self.dice.sid("CA"),
            number,
            caller_id: dial.caller_id.as_deref(),
            answered: None,
            told: 0,
        };
        let timeout_secs = dial.timeout_secs.unwrap_or(DEFAULT_TIMEOUT_SECS);
        let timeout = Duration::from_secs(timeout_secs.into());
        let (status, end) = self.ring_and_talk(document, &mut leg, timeout).await;
        self.note(format!("<Dial> {}: {}", number.number, status.name()));
        self.tell_leg_status(document, &mut leg, CallEvent::Completed, &status);

        let form = self.dial_form(&leg, status, end.is_some());
        match (end, &dial.action) {
            (None, None) => Ok(None),
            (None, Some(action)) => self
                .go_on(document, action, dial.method, &form)
                .await
                .map(Some),
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

    /// The leg's last status, and the end of the call if that is why it ended.
    async fn ring_and_talk(
        &mut self,
        document: &Document,
        leg: &mut Leg<'_>,
        timeout: Duration,
    ) -> (CallStatus, Option<End>) {
        self.tell_leg_status(document, leg, CallEvent::Initiated, &CallStatus::Initiated);
        self.tell_leg_status(document, leg, CallEvent::Ringing, &CallStatus::Ringing);
        let callee_later = std::mem::replace(&mut self.callee, Callee::Expected);
        let ring = self.options.ring;
        if let Err(end) = self.pause(ring.min(timeout)).await {
            return (CallStatus::Canceled, Some(end));
        }
        if ring > timeout {
            self.callee = callee_later;
            return (CallStatus::NoAnswer, None);
        }
        leg.answered = Some(Instant::now());
        self.callee = Callee::Present;
        self.line.stir();
        self.tell_leg_status(document, leg, CallEvent::Answered, &CallStatus::InProgress);
        let Err(end) = self.until(|_| None::<Infallible>).await;
        (CallStatus::Completed, Some(end))
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

/// What the network said last: OK, or that the request was terminated.
fn sip_response_code(status: &CallStatus) -> u16 {
    if *status == CallStatus::Completed {
        200
    } else {
        487
    }
}
