//! What acts on calls: placing them, ending them, connecting them with somebody, pressing keys.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use http::request::Parts;
use serde::Deserialize;
use serde_json::{Value, json};
use sidetone_audio::Track;
use sidetone_call::event::{Call, EndReason, Status};
use sidetone_twilio::CallSid;
use sidetone_twilio::twiml::Response as Twiml;
use tracing::{info, warn};

use super::super::base::is_loopback_host;
use super::super::body::Body;
use super::super::extract::{Admin, Name, visitor};
use super::super::problem::Problem;
use super::super::voice::stream_target;
use super::super::{App, twiml};
use super::number::Number;
use super::{Found, find};
use crate::calls::{CallFacts, CallHandle, Command};
use crate::config::{Dial, Profile};
use crate::http::Base;
use crate::twilio_rest::{TwilioError, TwilioRest};

/// It was ordered; what becomes of it, events tell.
pub(super) type Accepted = (StatusCode, Json<Value>);

/// The body of a transfer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Transfer {
    to: Number,
}

/// The body of key presses.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Press {
    digits: Digits,
}

/// Keys, `w` for half a second without one.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Digits(String);

impl Digits {
    /// Half a minute of keys.
    const MAX: usize = 60;
}

impl TryFrom<String> for Digits {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let is_key = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'w');
        if (1..=Self::MAX).contains(&text.chars().count()) && text.chars().all(is_key) {
            return Ok(Self(text));
        }
        let most = Self::MAX;
        Err(format!("1 to {most} of 0123456789*#w are digits"))
    }
}

/// `POST /calls/{call_sid}/hangup`. A call that has ended is hung up already.
pub(in crate::http) async fn hang_up(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
) -> Result<Accepted, Problem> {
    let Found::Here(handle) = find(&app, &call_sid).await? else {
        return Ok(accepted());
    };
    let call = handle.snapshot();
    if call.status == Status::Ended {
        return Ok(accepted());
    }
    match app.gateway.twilio.as_ref() {
        Ok(twilio) => {
            let asked = twilio.hang_up(&call.call_sid);
            let hung_up = ending(&handle, EndReason::Hangup, asked).await;
            hung_up.map_err(|error| refused(&call.call_sid, &error))?;
        }
        Err(_) if is_bidirectional(&app, &call) => tell(&handle, Command::HangUp).await,
        Err(error) => return Err(unavailable(error)),
    }
    info!(%call_sid, "Hung up.");
    Ok(accepted())
}

/// `POST /calls/{call_sid}/transfer`. A call that is only listened to goes on being heard.
pub(in crate::http) async fn transfer(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
    Body(Transfer { to }): Body<Transfer>,
) -> Result<Accepted, Problem> {
    to.check_allowed(&app)?;
    let handle = find_live(&app, &call_sid).await?;
    let call = handle.snapshot();
    let document = twiml::dial_only(to.as_str());
    let asked = redirect(&app, &call, &document);
    if is_bidirectional(&app, &call) {
        ending(&handle, EndReason::Transferred, asked).await?;
    } else {
        asked.await?;
        handle.set_transferred();
    }
    info!(%call_sid, "Transferred.");
    Ok(accepted())
}

/// `POST /calls/{call_sid}/dtmf`. After the keys a bidirectional stream comes back.
pub(in crate::http) async fn press(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
    Body(Press { digits }): Body<Press>,
) -> Result<Accepted, Problem> {
    let handle = find_live(&app, &call_sid).await?;
    let call = handle.snapshot();
    let profile = profile_of(&app, &call);
    let document = match handle.base() {
        Some(base) if is_bidirectional(&app, &call) => {
            // Its stream is away for as long as the keys take.
            tell(&handle, Command::KeysOrdered(digits.0.len())).await;
            let target = stream_target(&app, &base, &call.call_sid, &CallFacts::of(&call));
            twiml::press_then_connect(&digits.0, target)
        }
        _ if dials(profile) || handle.is_transferred() => {
            return Err(Problem::not_possible(
                "The call is connected with another number, which pressing keys would cut off.",
            ));
        }
        _ => twiml::press_then_wait(&digits.0, profile),
    };
    redirect(&app, &call, &document).await?;
    info!(%call_sid, digits = digits.0.len(), "Keys pressed.");
    Ok(accepted())
}

/// The call that a path names, when it is live.
pub(super) async fn find_live(app: &App, call_sid: &str) -> Result<Arc<CallHandle>, Problem> {
    let ended = || Problem::call_ended(call_sid);
    let Found::Here(handle) = find(app, call_sid).await? else {
        return Err(ended());
    };
    match handle.snapshot().status {
        Status::Live => Ok(handle),
        Status::Ended => Err(ended()),
        Status::Pending => Err(Problem::not_possible(
            "The call's stream has not started: wait for `call.started`.",
        )),
    }
}

/// Asks Twilio for something that ends the call here. Its stream may end before Twilio answers.
async fn ending<E>(
    handle: &CallHandle,
    reason: EndReason,
    asked: impl Future<Output = Result<(), E>>,
) -> Result<(), E> {
    tell(handle, Command::EndExpected(Some(reason))).await;
    let done = asked.await;
    let command = match done {
        Ok(()) => Command::OrderedEnd(reason),
        Err(_) => Command::EndExpected(None),
    };
    tell(handle, command).await;
    done
}

async fn redirect(app: &App, call: &Call, document: &Twiml) -> Result<(), Problem> {
    let redirected = twilio(app)?.redirect(&call.call_sid, document).await;
    redirected.map_err(|error| refused(&call.call_sid, &error))
}

/// Twilio's REST API, when the credentials for it are there.
pub(super) fn twilio(app: &App) -> Result<&TwilioRest, Problem> {
    app.gateway.twilio.as_ref().as_ref().map_err(unavailable)
}

/// How Twilio reaches this gateway.
pub(super) fn public_base(app: &App, request: &Parts) -> Result<Base, Problem> {
    let base = visitor(request).base.clone();
    let api = app.gateway.config.twilio.api_url.host_str();
    // An emulated Twilio on this machine can reach it, too.
    if base.is_loopback() && !api.is_some_and(is_loopback_host) {
        return Err(Problem::not_possible(
            "Twilio could not reach this gateway: set SIDETONE_PUBLIC_URL to an address that it \
             can reach.",
        ));
    }
    Ok(base)
}

/// What is said when Twilio did not act on a call.
pub(super) fn refused(call_sid: &CallSid, error: &TwilioError) -> Problem {
    if error.says_call_is_over() {
        Problem::call_ended(call_sid.as_str())
    } else if error.is_bad_request() {
        Problem::not_possible(format!("{error}."))
    } else {
        unavailable(error)
    }
}

/// What is said when Twilio cannot be asked.
pub(super) fn unavailable(error: &TwilioError) -> Problem {
    warn!(%error, "Twilio did not do what it was asked.");
    Problem::twilio_unavailable(format!("{error}."))
}

pub(super) fn profile_of<'a>(app: &'a App, call: &Call) -> Option<&'a Profile> {
    app.gateway.config.profiles.get(&call.profile)
}

pub(super) fn is_bidirectional(app: &App, call: &Call) -> bool {
    call.tracks == [Track::Inbound]
        && profile_of(app, call).is_some_and(|profile| profile.bidirectional)
}

/// Whether the call's document connects it with another number.
fn dials(profile: Option<&Profile>) -> bool {
    let dial = profile.and_then(|profile| profile.dial.as_ref());
    matches!(dial, Some(Dial::Number(_)))
}

/// The call's task learns what was ordered; when it is over, there is nothing to learn.
pub(super) async fn tell(handle: &CallHandle, command: Command) {
    let _is_on = handle.tell(command).await;
}

pub(super) fn accepted() -> Accepted {
    (StatusCode::ACCEPTED, Json(json!({})))
}
