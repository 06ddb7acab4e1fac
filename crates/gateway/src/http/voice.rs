//! The voice webhook and the status callbacks.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use sidetone_call::engine::Next;
use sidetone_twilio::CallSid;
use sidetone_twilio::form::{
    CallProgress, CallStatus, Direction, Form, FormError, StreamEvent, StreamStatus, VoiceRequest,
};
use sidetone_twilio::twiml;
use tracing::{info, warn};

use super::App;
use super::base::Base;
use super::extract::Name;
use super::problem::Problem;
use super::twiml::{
    StreamTarget, answer as answer_for, connect_only, dial_only, fall_back, hang_up, overflow,
    press_then_connect,
};
use super::webhook::{Webhook, refuse_form};
use crate::calls::{Admission, CallFacts, CallHandle, Command};
use crate::config::Profile;
use crate::metrics::{Rejection, Webhook as Kind};

/// Without an auth token anybody could end calls with a forged status callback, so one is believed
/// only when no media came for so long.
const QUIET: Duration = Duration::from_secs(5);

/// Names of routes beside the profiles', which are no profiles.
const ROUTE_NAMES: [&str; 3] = ["stream-status", "call-status", "next"];

/// `/voice`: the profile of the called number, else the default one.
pub(super) async fn answer(
    State(app): State<Arc<App>>,
    webhook: Webhook,
) -> Result<Response, Problem> {
    respond(&app, None, &webhook).await
}

/// `/voice/{profile}`.
pub(super) async fn answer_as(
    State(app): State<Arc<App>>,
    Name(profile): Name,
    webhook: Webhook,
) -> Result<Response, Problem> {
    respond(&app, Some(&profile), &webhook).await
}

/// `/voice/{profile}/next`: a bidirectional stream has ended.
pub(super) async fn next(
    State(app): State<Arc<App>>,
    Name(name): Name,
    webhook: Webhook,
) -> Result<Response, Problem> {
    app.gateway.metrics.webhook(Kind::Next);
    let profile = profile_named(&app, &name)?;
    let request =
        VoiceRequest::from_form(&webhook.form).map_err(|error| refuse_form(&app, &error))?;
    let call_sid = &request.call_sid;
    let target = |facts| stream_target(&app, &webhook.visitor.base, call_sid, facts);
    let Some(call) = app.gateway.calls.get(call_sid) else {
        // A stream that a former process of ours lost: the call goes on with this one.
        let is_lost = profile.bidirectional && request.status == CallStatus::InProgress;
        let facts = facts(&name, &request);
        if is_lost && app.gateway.calls.admit_anew(call_sid, facts.clone()) {
            info!(%call_sid, profile = name, "Call taken up again.");
            return Ok(xml(&connect_only(target(&facts))));
        }
        return Ok(xml(&hang_up()));
    };
    Ok(xml(&match call.take_next() {
        None | Some(Next::HangUp) => hang_up(),
        Some(Next::Dial(number)) => dial_only(&number),
        Some(Next::Press(digits)) => {
            press_then_connect(&digits, target(&CallFacts::of(&call.snapshot())))
        }
        Some(Next::FallBack) => fall_back(profile),
    }))
}

/// `/twilio/stream-status`.
pub(super) async fn stream_status(
    State(app): State<Arc<App>>,
    webhook: Webhook,
) -> Result<StatusCode, Problem> {
    app.gateway.metrics.webhook(Kind::StreamStatus);
    let StreamStatus {
        call_sid,
        stream_sid,
        event,
        ..
    } = StreamStatus::from_form(&webhook.form).map_err(|error| refuse_form(&app, &error))?;
    if let StreamEvent::Error { message } = &event {
        warn!(%call_sid, %stream_sid, message, "Twilio reports an error of a stream.");
    }
    if matches!(event, StreamEvent::Stopped | StreamEvent::Error { .. }) {
        tell(&app, &call_sid, Command::StreamStopped(stream_sid)).await;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// `/twilio/call-status`.
pub(super) async fn call_status(
    State(app): State<Arc<App>>,
    webhook: Webhook,
) -> Result<StatusCode, Problem> {
    app.gateway.metrics.webhook(Kind::CallStatus);
    let (call, command) = told(&webhook.form).map_err(|error| refuse_form(&app, &error))?;
    know(&app, &call).await;
    tell(&app, &call.call_sid, command).await;
    Ok(StatusCode::NO_CONTENT)
}

/// What a callback says of a call: its status, or who was found to have answered it.
fn told(form: &Form) -> Result<(VoiceRequest, Command), FormError> {
    let call = VoiceRequest::from_form(form)?;
    let is_status = form.value("CallStatus").is_some();
    if let Some(answered_by) = call.answered_by.clone().filter(|_| !is_status) {
        let command = Command::Status {
            status: answered_by,
            sip_code: None,
        };
        return Ok((call, command));
    }
    let progress = CallProgress::from_form(form)?;
    let command = Command::Status {
        status: progress.call.status.name().to_owned(),
        sip_code: progress.sip_response_code,
    };
    Ok((progress.call, command))
}

/// The profile that a name stands for.
pub(super) fn profile_named<'a>(app: &'a App, name: &str) -> Result<&'a Profile, Problem> {
    let profiles = &app.gateway.config.profiles;
    let profile = profiles.get(name).filter(|_| !ROUTE_NAMES.contains(&name));
    profile.ok_or_else(|| {
        let existing = profiles
            .keys()
            .map(String::as_str)
            .collect::<Vec<_>>()
            .join(", ");
        warn!(
            profile = name,
            existing, "A profile was asked for that does not exist."
        );
        app.refuse(Rejection::UnknownProfile, Problem::profile_not_found(name))
    })
}

async fn respond(app: &App, named: Option<&str>, webhook: &Webhook) -> Result<Response, Problem> {
    app.gateway.metrics.webhook(Kind::Voice);
    let request =
        VoiceRequest::from_form(&webhook.form).map_err(|error| refuse_form(app, &error))?;
    let config = &app.gateway.config;
    let by_number = || request.to.as_ref().and_then(|to| config.numbers.get(to));
    let name = named
        .or_else(|| by_number().map(String::as_str))
        .unwrap_or(&config.default_profile);
    let profile = profile_named(app, name)?;

    know(app, &request).await;
    let call_sid = &request.call_sid;
    let mut facts = facts(name, &request);
    if let Some(known) = app.gateway.calls.get(call_sid) {
        facts.parameters = known.snapshot().custom_parameters.clone();
    }
    let refused_for = match app.gateway.calls.admit(call_sid, facts.clone()) {
        Admission::Granted => {
            info!(%call_sid, profile = name, "Call answered.");
            let target = stream_target(app, &webhook.visitor.base, call_sid, &facts);
            return Ok(xml(&answer_for(profile, target)));
        }
        Admission::Full => Rejection::Full,
        Admission::Draining => Rejection::Draining,
    };
    app.gateway.metrics.rejected(refused_for);
    warn!(%call_sid, profile = name, reason = ?refused_for, "Call answered with the overflow.");
    Ok(xml(&overflow(profile)))
}

/// Waits until it is known whether the call is one that is being placed.
async fn know(app: &App, request: &VoiceRequest) {
    if request.direction == Some(Direction::OutboundApi) {
        app.gateway.calls.know(&request.call_sid).await;
    }
}

fn facts(profile: &str, request: &VoiceRequest) -> CallFacts {
    let direction = request.direction.as_ref();
    CallFacts {
        profile: profile.to_owned(),
        from: request.from.clone(),
        to: request.to.clone(),
        direction: direction.map(|direction| direction.name().to_owned()),
        parameters: BTreeMap::new(),
    }
}

/// The stream of a call, with everything that it has to carry.
pub(super) fn stream_target(
    app: &App,
    base: &Base,
    call_sid: &CallSid,
    facts: &CallFacts,
) -> StreamTarget {
    let auth = app.gateway.stream_auth.sign(call_sid);
    let profile = &facts.profile;
    let own = [
        ("profile", Some(profile)),
        ("from", facts.from.as_ref()),
        ("to", facts.to.as_ref()),
        ("direction", facts.direction.as_ref()),
        ("auth", Some(&auth)),
    ];
    let own = own
        .into_iter()
        .filter_map(|(name, value)| Some((name.to_owned(), value?.clone())));
    StreamTarget {
        url: base.stream_url("/twilio"),
        status_callback: base.url("/twilio/stream-status"),
        action: base.url(&format!("/voice/{profile}/next")),
        parameters: own.chain(facts.parameters.clone()).collect(),
    }
}

/// Tells a call's task what a status callback said, if the call is here and the callback is to be
/// believed.
async fn tell(app: &App, call_sid: &CallSid, command: Command) {
    let Some(call) = app.gateway.calls.get(call_sid) else {
        return;
    };
    if app.signatures.is_none() && !is_quiet(&call) {
        app.gateway.metrics.rejected(Rejection::UnprovedCallback);
        info!(%call_sid, ?command, "A status callback without a signature was not believed.");
        return;
    }
    if !call.tell(command).await {
        info!(%call_sid, "A status callback came when the call was over.");
    }
}

fn is_quiet(call: &CallHandle) -> bool {
    call.since_media().is_none_or(|since| since >= QUIET)
}

fn xml(response: &twiml::Response) -> Response {
    let content_type = HeaderValue::from_static("text/xml; charset=utf-8");
    ([(header::CONTENT_TYPE, content_type)], response.to_xml()).into_response()
}
