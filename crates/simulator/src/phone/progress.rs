//! How far a call is, and who is told.

use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sidetone_twilio::form::{CallProgress, CallStatus};
use sidetone_twilio::twiml::{CallEvent, Method};
use url::Url;

use super::Fault;
use super::call::{Call, noted};
use super::error::shown;

/// Who is told how a call goes, and of what.
#[derive(Clone, Debug)]
pub(crate) struct CallCallback {
    pub(crate) url: Option<Url>,
    pub(crate) method: Method,
    pub(crate) events: Vec<CallEvent>,
}

impl CallCallback {
    /// That of a number: of inbound calls it is told the end only.
    pub(super) fn of_number(url: Option<Url>) -> Self {
        Self {
            url,
            method: Method::Post,
            events: vec![CallEvent::Completed],
        }
    }
}

impl Call {
    /// The call's status is this now, and who wants to know of `event` is told.
    pub(super) fn tell_status(&mut self, event: CallEvent, status: CallStatus) {
        if event != CallEvent::Initiated {
            self.entry.reach(status.clone());
        }
        if self.callback.events.contains(&event) {
            let told = self.status_told(status);
            self.errands.extend(told);
        }
    }

    /// Tells the call's status callback, and waits for its answer while the call goes on, if
    /// `fault` wants that.
    pub(super) async fn tell_if_first(&mut self, fault: &Fault, status: CallStatus) {
        if !self.options.faults.contains(fault) {
            return;
        }
        match self.status_told(status) {
            Some(told) => {
                let note = self.alongside(told).await;
                self.note_all(note);
            }
            None => self.note(format!(
                "fault {fault}: there is no status callback to tell"
            )),
        }
    }

    /// The errand that tells the call's status callback, if it has one.
    fn status_told(&mut self, status: CallStatus) -> Option<BoxFuture<'static, Option<String>>> {
        let url = self.callback.url.clone()?;
        let is_final = status.is_final();
        let answered_secs = self.answered.map_or(0, |at| at.elapsed().as_secs());
        let progress = CallProgress {
            sip_response_code: is_final.then(|| sip_response_code(&status)),
            call: self.voice_request(status),
            sequence_number: Some(self.told),
            timestamp: Some(Timestamp::now()),
            duration_secs: is_final.then_some(answered_secs),
        };
        self.told += 1;
        let (method, form) = (self.callback.method, progress.to_form());
        let telling = self.web.tell(&url, method, &form, &mut self.dice);
        Some(noted(
            format!("the status callback {}", shown(&url)),
            telling,
        ))
    }
}

/// What the network said last.
pub(super) fn sip_response_code(status: &CallStatus) -> u16 {
    match status {
        CallStatus::Completed => 200,
        CallStatus::Failed => 404,
        CallStatus::Busy => 486,
        // The request was terminated.
        _ => 487,
    }
}
