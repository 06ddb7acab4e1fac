//! The voice webhook: a number's URL, `<Redirect>`, an `action`.

use super::{Form, FormError};
use crate::form::CallStatus;
use crate::{AccountSid, CallSid};

/// Twilio asks what to do with a call.
///
/// What a request did not say is `None` or empty. Numbers are E.164, `client:NAME`,
/// `sip:USER@HOST`, or what Twilio puts for a withheld one.
#[derive(Clone, PartialEq, Eq)]
pub struct VoiceRequest {
    /// Which call.
    pub call_sid: CallSid,
    /// Whose.
    pub account_sid: Option<AccountSid>,
    /// The caller.
    pub from: Option<String>,
    /// The called.
    pub to: Option<String>,
    /// Which way the call was set up.
    pub direction: Option<Direction>,
    /// Where the call is; `Unknown` and empty when not said.
    pub status: CallStatus,
    /// Where the caller is.
    pub from_place: Place,
    /// Where the called is.
    pub to_place: Place,
    /// The number that forwarded the call here.
    pub forwarded_from: Option<String>,
    /// The caller's name, looked up.
    pub caller_name: Option<String>,
    /// The call this is a child of.
    pub parent_call_sid: Option<CallSid>,
    /// Who answered a call placed with machine detection: `human`, `machine_start` ...
    pub answered_by: Option<String>,
    /// How far the caller's number is attested, as `TN-Validation-Passed-A`.
    pub stir_verstat: Option<String>,
    /// A token of the inbound call, itself percent-encoded JSON; kept as it came.
    pub call_token: Option<String>,
    /// The keys pressed, at the `action` of a `<Gather>`.
    pub digits: Option<String>,
    /// How the other leg ended, at the `action` of a `<Dial>`.
    pub dial: Option<DialOutcome>,
}

/// Where a number is at home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names say it")]
pub struct Place {
    pub city: String,
    pub state: String,
    pub zip: String,
    pub country: String,
}

/// How the leg that a `<Dial>` made ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DialOutcome {
    /// Its last status.
    pub status: CallStatus,
    /// Which leg.
    pub call_sid: Option<CallSid>,
    /// How long it was answered.
    pub duration_secs: Option<u64>,
}

/// Which way a call was set up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Direction {
    /// Someone called a Twilio number.
    Inbound,
    /// Placed over the API.
    OutboundApi,
    /// Placed by a `<Dial>`.
    OutboundDial,
    /// A name that is not known here.
    Unknown(String),
}

impl Direction {
    /// Reads Twilio's name.
    pub fn from_name(name: &str) -> Self {
        match name {
            "inbound" => Self::Inbound,
            "outbound-api" => Self::OutboundApi,
            "outbound-dial" => Self::OutboundDial,
            other => Self::Unknown(other.into()),
        }
    }

    /// Twilio's name.
    pub fn name(&self) -> &str {
        match self {
            Self::Inbound => "inbound",
            Self::OutboundApi => "outbound-api",
            Self::OutboundDial => "outbound-dial",
            Self::Unknown(name) => name,
        }
    }
}

impl VoiceRequest {
    /// A request about `call_sid` that says nothing else.
    pub fn new(call_sid: CallSid) -> Self {
        Self {
            call_sid,
            account_sid: None,
            from: None,
            to: None,
            direction: None,
            status: CallStatus::Unknown(String::new()),
            from_place: Place::default(),
            to_place: Place::default(),
            forwarded_from: None,
            caller_name: None,
            parent_call_sid: None,
            answered_by: None,
            stir_verstat: None,
            call_token: None,
            digits: None,
            dial: None,
        }
    }

    /// Reads a request. Only the call's sid must be there.
    pub fn from_form(form: &Form) -> Result<Self, FormError> {
        let dial = form.value("DialCallStatus").map(|status| DialOutcome {
            status: CallStatus::from_name(status),
            call_sid: form.hint("DialCallSid"),
            duration_secs: form.hint("DialCallDuration"),
        });
        Ok(Self {
            call_sid: form.sid("CallSid")?,
            account_sid: form.hint("AccountSid"),
            from: form.text("From"),
            to: form.text("To"),
            direction: form.value("Direction").map(Direction::from_name),
            status: CallStatus::from_name(form.value("CallStatus").unwrap_or_default()),
            from_place: Place::from_form(form, "From"),
            to_place: Place::from_form(form, "To"),
            forwarded_from: form.text("ForwardedFrom"),
            caller_name: form.text("CallerName"),
            parent_call_sid: form.hint("ParentCallSid"),
            answered_by: form.text("AnsweredBy"),
            stir_verstat: form.text("StirVerstat"),
            call_token: form.text("CallToken"),
            digits: form.text("Digits"),
            dial,
        })
    }

    /// Writes a request with the 25 fields every request has, empty where nothing is known, and
    /// those of the others that are known.
    pub fn to_form(&self) -> Form {
        let mut form = Form::default();
        let or_empty = |text: &Option<String>| text.clone().unwrap_or_default();
        form.push(
            "AccountSid",
            self.account_sid.as_ref().map_or("", AccountSid::as_str),
        );
        form.push("ApiVersion", "2010-04-01");
        form.push("CallSid", self.call_sid.as_str());
        form.push("CallStatus", self.status.name());
        form.push(
            "Direction",
            self.direction.as_ref().map_or("", Direction::name),
        );
        for (key, value) in [
            ("From", &self.from),
            ("Caller", &self.from),
            ("To", &self.to),
            ("Called", &self.to),
        ] {
            form.push(key, or_empty(value));
        }
        for (prefix, place) in [
            ("From", &self.from_place),
            ("Caller", &self.from_place),
            ("To", &self.to_place),
            ("Called", &self.to_place),
        ] {
            place.push_to(&mut form, prefix);
        }
        for (key, value) in [
            ("ForwardedFrom", &self.forwarded_from),
            ("CallerName", &self.caller_name),
            ("AnsweredBy", &self.answered_by),
            ("StirVerstat", &self.stir_verstat),
            ("CallToken", &self.call_token),
            ("Digits", &self.digits),
        ] {
            if let Some(value) = value {
                form.push(key, value);
            }
        }
        if let Some(parent) = &self.parent_call_sid {
            form.push("ParentCallSid", parent.as_str());
        }
        if let Some(dial) = &self.dial {
            dial.push_to(&mut form);
        }
        form
    }
}

/// Numbers, names and keys are callers' data and are not shown.
impl std::fmt::Debug for VoiceRequest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("VoiceRequest")
            .field("call_sid", &self.call_sid)
            .field("account_sid", &self.account_sid)
            .field("direction", &self.direction)
            .field("status", &self.status)
            .finish_non_exhaustive()
    }
}

impl Place {
    fn from_form(form: &Form, prefix: &str) -> Self {
        let part = |name: &str| form.text(&format!("{prefix}{name}")).unwrap_or_default();
        Self {
            city: part("City"),
            state: part("State"),
            zip: part("Zip"),
            country: part("Country"),
        }
    }

    fn push_to(&self, form: &mut Form, prefix: &str) {
        for (name, value) in [
            ("City", &self.city),
            ("State", &self.state),
            ("Zip", &self.zip),
            ("Country", &self.country),
        ] {
            form.push(format!("{prefix}{name}"), value);
        }
    }
}

impl DialOutcome {
    fn push_to(&self, form: &mut Form) {
        form.push("DialCallStatus", self.status.name());
        if let Some(sid) = &self.call_sid {
            form.push("DialCallSid", sid.as_str());
        }
        if let Some(secs) = self.duration_secs {
            form.push("DialCallDuration", secs.to_string());
        }
    }
}
