//! What a request to place a call, or to start a stream, asks for.

use std::time::Duration;

use sidetone_twilio::CallSid;
use sidetone_twilio::form::Form;
use sidetone_twilio::twiml::{CallEvent, Parameter, Stream, StreamTrack};
use tokio::time::Instant;
use url::Url;

use super::Twilio;
use super::answer::Problem;
use super::calls::{instructions, method};
use super::parameters::{OF_CALL, REFUSED_TO, check, is_callable, required};
use crate::phone::{Aside, CallCallback, Detection, Instructions, Options, Outbound};

/// How long a number rings unless the request says otherwise.
const DEFAULT_TIMEOUT_SECS: u32 = 60;

/// The most parameters that a stream gets over the API.
const MAX_STREAM_PARAMETERS: u32 = 99;

/// A call that is to be placed.
pub(super) struct Wanted {
    to: String,
    from: String,
    instructions: Instructions,
    timeout: Duration,
    time_limit: Option<Duration>,
    send_digits: String,
    callback: CallCallback,
    detection: Option<Detection>,
}

impl Wanted {
    /// Reads a request of an account that has these numbers.
    pub(super) fn read(form: &Form, has_number: impl Fn(&str) -> bool) -> Result<Self, Problem> {
        let to = required(form, "To", 21_201)?;
        let from = required(form, "From", 21_213)?;
        check_numbers(to, from, has_number)?;
        check(OF_CALL, form)?;
        let missing = || Problem::bad_parameter(21_205, "No 'Url' is specified.".to_owned());
        let secs = |name| form.value(name).and_then(|text| text.parse().ok());
        let seconds = |secs: u32| Duration::from_secs(secs.into());
        Ok(Self {
            to: to.to_owned(),
            from: from.to_owned(),
            instructions: instructions(form).ok_or_else(missing)?,
            timeout: seconds(secs("Timeout").unwrap_or(DEFAULT_TIMEOUT_SECS)),
            time_limit: secs("TimeLimit").map(seconds),
            send_digits: form.value("SendDigits").unwrap_or_default().to_owned(),
            callback: CallCallback {
                url: url(form, "StatusCallback"),
                method: method(form.value("StatusCallbackMethod")),
                events: events(form),
            },
            detection: detection(form),
        })
    }

    /// The call, and the phone that answers it.
    pub(super) fn call(
        self,
        twilio: &Twilio,
        call_sid: CallSid,
        seed: u64,
        release_at: Instant,
    ) -> (Options, Outbound) {
        let target = match &self.instructions {
            Instructions::Fetch { url, .. } => url.clone(),
            Instructions::Twiml(_) => crate::phone::inline_url(),
        };
        let usual = Options::new(target);
        let options = Options {
            from: self.from,
            to: self.to,
            account_sid: twilio.0.sid.clone(),
            call_sid: Some(call_sid),
            auth_token: Some(twilio.0.auth_token.clone()),
            time_limit: self.time_limit.unwrap_or(usual.time_limit),
            exchange: twilio.0.exchange.clone(),
            seed,
            ..usual
        };
        let outbound = Outbound {
            instructions: self.instructions,
            release_at,
            timeout: self.timeout,
            send_digits: self.send_digits,
            callback: self.callback,
            detection: self.detection,
        };
        (options, outbound)
    }
}

fn check_numbers(to: &str, from: &str, has_number: impl Fn(&str) -> bool) -> Result<(), Problem> {
    let refused = |code, message| Err(Problem::bad_parameter(code, message));
    if !is_callable(to) {
        return refused(
            21_211,
            format!("The 'To' number {to} is not a valid phone number."),
        );
    }
    if !is_callable(from) {
        return refused(
            21_212,
            format!("The 'From' number {from} is not a valid phone number."),
        );
    }
    if !has_number(from) {
        return refused(
            21_210,
            format!("The 'From' number {from} is not a number of the account."),
        );
    }
    match REFUSED_TO.iter().find(|(number, ..)| *number == to) {
        Some((number, code, why)) => refused(*code, format!("The 'To' number {number} {why}.")),
        None => Ok(()),
    }
}

/// The events that are asked for; of none, the end is told.
fn events(form: &Form) -> Vec<CallEvent> {
    let asked = form.pairs().iter();
    let named: Vec<&str> = asked
        .filter(|(name, _)| name == "StatusCallbackEvent")
        .map(|(_, value)| value.as_str())
        .collect();
    let known = [
        CallEvent::Initiated,
        CallEvent::Ringing,
        CallEvent::Answered,
        CallEvent::Completed,
    ];
    let mut events = Vec::from(known);
    events.retain(|event| match named.as_slice() {
        [] => *event == CallEvent::Completed,
        named => named.contains(&event.name()),
    });
    events
}

/// Whether who answers is to be found out; digits to be sent keep Twilio from that.
fn detection(form: &Form) -> Option<Detection> {
    if form.value("SendDigits").is_some() {
        return None;
    }
    let aside = || Aside {
        url: url(form, "AsyncAmdStatusCallback"),
        method: method(form.value("AsyncAmdStatusCallbackMethod")),
    };
    Some(Detection {
        to_message_end: form.value("MachineDetection")? == "DetectMessageEnd",
        aside: (form.value("AsyncAmd") == Some("true")).then(aside),
    })
}

fn url(form: &Form, name: &str) -> Option<Url> {
    form.value(name)?.parse().ok()
}

/// The stream that is to be started.
pub(super) fn stream(form: &Form) -> Result<Stream, Problem> {
    let text = |name| form.value(name).map(str::to_owned);
    let track = form.value("Track").map(|name| match name {
        "both_tracks" => StreamTrack::Both,
        "outbound_track" => StreamTrack::Outbound,
        _ => StreamTrack::Inbound,
    });
    let parameters = (1..=MAX_STREAM_PARAMETERS).filter_map(|number| {
        let name = form.value(&format!("Parameter{number}.Name"))?;
        let value = form.value(&format!("Parameter{number}.Value"));
        Some(Parameter::new(name, value.unwrap_or_default()))
    });
    Ok(Stream {
        url: required(form, "Url", 21_205)?.to_owned(),
        name: text("Name"),
        track,
        status_callback: text("StatusCallback"),
        status_callback_method: Some(method(form.value("StatusCallbackMethod"))),
        parameters: parameters.collect(),
    })
}
