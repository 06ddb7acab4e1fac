//! `POST /calls`: a call is placed.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::header::LOCATION;
use http::request::Parts;
use http::{HeaderValue, StatusCode};
use serde::Deserialize;
use sidetone_call::event::Call;
use sidetone_twilio::form::Direction;
use sidetone_twilio::rest::{DetectionMode, MachineDetection, NewCall};
use sidetone_twilio::twiml::Parameter;
use tracing::info;

use super::super::App;
use super::super::body::Body;
use super::super::extract::Admin;
use super::super::problem::Problem;
use super::super::voice::profile_named;
use super::control::{public_base, twilio, unavailable};
use super::number::Number;
use crate::calls::{Admission, CallHandle, OWN_PARAMETERS};
use crate::http::Base;
use crate::metrics::Rejection;
use crate::twilio_rest::TwilioError;

/// How long Twilio lets a call ring when it is not told.
const RING_SECS: u32 = 60;

/// The most parameters a call may be given, and the most characters of them all: more would make
/// the document too long in which its stream is opened again.
const MAX_PARAMETERS: usize = 20;
const MAX_PARAMETER_CHARS: usize = 2_000;

/// The body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Placing {
    to: Number,
    from: Number,
    profile: String,
    #[serde(default)]
    parameters: Parameters,
    timeout_secs: Option<RingSecs>,
    machine_detection: Option<Detection>,
}

/// What the stream's `start` will carry.
#[derive(Default, Deserialize)]
#[serde(try_from = "BTreeMap<String, String>")]
struct Parameters(BTreeMap<String, String>);

/// How long the call may ring.
#[derive(Clone, Copy, Deserialize)]
#[serde(try_from = "u32")]
struct RingSecs(u32);

/// Whether it is found out if a machine answered. The stream does not wait for that; what is found
/// out becomes a `call.status`.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Detection {
    Enable,
    DetectMessageEnd,
}

impl TryFrom<BTreeMap<String, String>> for Parameters {
    type Error = String;

    fn try_from(parameters: BTreeMap<String, String>) -> Result<Self, String> {
        if parameters.len() > MAX_PARAMETERS {
            return Err(format!(
                "at most {MAX_PARAMETERS} parameters can be carried"
            ));
        }
        let mut all_chars = 0;
        for (name, value) in &parameters {
            let chars = name.chars().count() + value.chars().count();
            if name.is_empty() || OWN_PARAMETERS.contains(&name.as_str()) {
                return Err(format!("`{name}` cannot be the name of a parameter"));
            }
            if chars > Parameter::MAX_CHARS {
                let most = Parameter::MAX_CHARS;
                return Err(format!(
                    "`{name}` and its value have {chars} characters, at most {most} can be carried"
                ));
            }
            all_chars += chars;
        }
        if all_chars > MAX_PARAMETER_CHARS {
            return Err(format!(
                "all have {all_chars} characters, at most {MAX_PARAMETER_CHARS} can be carried"
            ));
        }
        Ok(Self(parameters))
    }
}

impl TryFrom<u32> for RingSecs {
    type Error = &'static str;

    fn try_from(secs: u32) -> Result<Self, &'static str> {
        if (5..=600).contains(&secs) {
            Ok(Self(secs))
        } else {
            Err("a call may ring for 5 to 600 seconds")
        }
    }
}

/// `POST /calls`.
pub(in crate::http) async fn place(
    State(app): State<Arc<App>>,
    _: Admin,
    parts: Parts,
    Body(placing): Body<Placing>,
) -> Result<Response, Problem> {
    profile_named(&app, &placing.profile)?;
    placing.to.check_allowed(&app)?;
    twilio(&app)?;
    let base = public_base(&app, &parts)?;
    // In a task of its own: who asked may go away, and the call is placed all the same.
    let tasks = app.gateway.tasks.clone();
    let placed = tasks.spawn(ask_twilio(app, base, placing)).await;
    let handle = placed.unwrap_or_else(|error| std::panic::resume_unwind(error.into_panic()))?;
    let call = Call::clone(&handle.snapshot());
    let location = format!("/api/v1/calls/{}", call.call_sid);
    let location = HeaderValue::try_from(location).expect("a sid is plain text");
    Ok((StatusCode::CREATED, [(LOCATION, location)], Json(call)).into_response())
}

/// Places the call; from then on it is pending.
async fn ask_twilio(
    app: Arc<App>,
    base: Base,
    placing: Placing,
) -> Result<Arc<CallHandle>, Problem> {
    let Placing {
        to, from, profile, ..
    } = placing;
    let reservation = app.gateway.calls.reserve().map_err(|admission| {
        let (rejection, why) = match admission {
            Admission::Draining => (Rejection::Draining, "is draining"),
            Admission::Full | Admission::Granted => (Rejection::Full, "is full"),
        };
        let detail = format!("This node {why}: it takes no further call.");
        app.refuse(rejection, Problem::not_possible(detail))
    })?;
    let status_callback = base.url("/twilio/call-status");
    let machine_detection = placing.machine_detection.map(|detection| MachineDetection {
        mode: match detection {
            Detection::Enable => DetectionMode::Enable,
            Detection::DetectMessageEnd => DetectionMode::DetectMessageEnd,
        },
        status_callback: Some(status_callback.clone()),
    });
    let timeout_secs = placing.timeout_secs.map(|RingSecs(secs)| secs);
    let order = NewCall {
        to: to.as_str().to_owned(),
        from: from.as_str().to_owned(),
        url: base.url(&format!("/voice/{profile}")),
        status_callback,
        timeout_secs,
        machine_detection,
    };
    let placed = twilio(&app)?.create_call(&order).await;
    let placed = placed.map_err(|error| refused(&error))?;
    info!(call_sid = %placed.sid, profile, "Call placed.");
    let call = Call {
        account_sid: app.gateway.config.twilio.account_sid.clone(),
        direction: Some(Direction::OutboundApi.name().to_owned()),
        from: Some(order.from),
        to: Some(order.to),
        custom_parameters: placing.parameters.0,
        ..Call::new(placed.sid, profile)
    };
    let ring = Duration::from_secs(timeout_secs.unwrap_or(RING_SECS).into());
    Ok(reservation.pend(call, ring))
}

fn refused(error: &TwilioError) -> Problem {
    if error.is_bad_request() {
        Problem::invalid_request(format!("{error}."))
    } else {
        unavailable(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Result<Parameters, String> {
        let pairs = pairs
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Parameters::try_from(pairs.collect::<BTreeMap<_, _>>())
    }

    #[test]
    fn parameters_are_what_a_stream_can_carry() {
        assert!(parameters(&[]).is_ok());
        assert!(parameters(&[("tenant", "t-42"), ("Größe", "")]).is_ok());
        let longest = "x".repeat(Parameter::MAX_CHARS - 1);
        assert!(parameters(&[("a", &longest)]).is_ok());
        for wrong in [
            &[("", "x")][..],
            &[("auth", "x")],
            &[("profile", "x")],
            &[("ab", &longest)],
            &[
                ("a", &longest),
                ("b", &longest),
                ("c", &longest),
                ("d", &longest),
                ("e", "wxyz"),
            ],
        ] {
            assert!(parameters(wrong).is_err());
        }
        let many = (0..=MAX_PARAMETERS).map(|n| (n.to_string(), String::new()));
        assert!(Parameters::try_from(many.collect::<BTreeMap<_, _>>()).is_err());
    }
}
