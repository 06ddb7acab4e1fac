//! `/calls/{call_sid}/listening`: hearing a call that Twilio has, whatever it does there.

use std::sync::Arc;

use axum::extract::State;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use sidetone_call::Call;
use sidetone_twilio::CallSid;
use sidetone_twilio::form::{CallStatus, Direction};
use sidetone_twilio::rest::NewStream;
use sidetone_twilio::twiml::{Parameter, StreamTrack};
use tracing::info;

use super::super::App;
use super::super::body::Body;
use super::super::extract::{Admin, Name};
use super::super::problem::Problem;
use super::super::twiml::STREAM_NAME;
use super::super::voice::{profile_named, stream_target};
use super::control::{
    Accepted, accepted, find_live, is_bidirectional, public_base, refused, twilio,
};
use crate::calls::{Admission, CallFacts};

/// The body, which may be empty.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Listening {
    /// Default: the default profile.
    profile: Option<String>,
}

/// `POST`: starts a stream of both tracks on a call of the account that is in progress.
pub(in crate::http) async fn start(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
    parts: Parts,
    Body(asked): Body<Listening>,
) -> Result<Accepted, Problem> {
    let not_found = || Problem::call_not_found(&call_sid);
    let sid: CallSid = call_sid.parse().map_err(|_| not_found())?;
    let config = &app.gateway.config;
    let profile = asked.profile.as_ref().unwrap_or(&config.default_profile);
    if profile_named(&app, profile)?.listen.is_none() {
        let detail = format!("The profile `{profile}` does not listen.");
        return Err(Problem::not_possible(detail));
    }
    let is_here = app
        .gateway
        .calls
        .live()
        .iter()
        .any(|call| *call.call_sid() == sid);
    if is_here {
        return Err(Problem::conflict("The call is being heard already."));
    }
    let twilio = twilio(&app)?;
    let base = public_base(&app, &parts)?;
    let fetched = twilio.call(&sid).await;
    let call = fetched.map_err(|error| {
        if error.is_not_found() {
            not_found()
        } else {
            refused(&sid, &error)
        }
    })?;
    if call.status.is_final() {
        return Err(Problem::call_ended(&call_sid));
    }
    if call.status != CallStatus::InProgress {
        return Err(Problem::not_possible("The call has not been answered."));
    }
    let facts = CallFacts {
        profile: profile.clone(),
        from: call.from,
        to: call.to,
        direction: call
            .direction
            .as_ref()
            .map(Direction::name)
            .map(str::to_owned),
        ..CallFacts::default()
    };
    if app.gateway.calls.admit(&sid, facts.clone()) != Admission::Granted {
        return Err(Problem::not_possible("This node takes no further call."));
    }
    let target = stream_target(&app, &base, &sid, &facts);
    let parameters = target.parameters.into_iter();
    let stream = NewStream {
        url: target.url,
        name: STREAM_NAME.to_owned(),
        track: StreamTrack::Both,
        status_callback: target.status_callback,
        parameters: parameters
            .map(|(name, value)| Parameter { name, value })
            .collect(),
    };
    let started = twilio.create_stream(&sid, &stream).await;
    started.map_err(|error| refused(&sid, &error))?;
    info!(%call_sid, profile, "Listening to a call.");
    Ok(accepted())
}

/// `DELETE`: stops the newest stream of a call that is only listened to. The call itself goes on
/// at Twilio.
pub(in crate::http) async fn stop(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
) -> Result<StatusCode, Problem> {
    let call: Arc<Call> = find_live(&app, &call_sid).await?.snapshot();
    if is_bidirectional(&app, &call) {
        return Err(Problem::not_possible(
            "The call is spoken to, and would end with its stream: hang it up.",
        ));
    }
    let stream_sid = call.stream_sid.as_ref().expect("a live call has a stream");
    let stopped = twilio(&app)?
        .stop_stream(&call.call_sid, stream_sid.as_str())
        .await;
    stopped.map_err(|error| refused(&call.call_sid, &error))?;
    info!(%call_sid, "Listening no more.");
    Ok(StatusCode::NO_CONTENT)
}
