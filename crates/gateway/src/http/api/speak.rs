//! Saying something into a call.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use sidetone_call::engine::{NotSaid, Speech};
use sidetone_deepgram::speak::params::Params;
use tokio::sync::oneshot;

use super::super::App;
use super::super::body::Body;
use super::super::extract::{Admin, Name};
use super::super::problem::Problem;
use super::control::{find_live, profile_of, tell};
use crate::calls::Command;
use crate::metrics::Rejection;
use crate::random_u64;

/// The longest text, in characters.
const MAX_TEXT_CHARS: usize = 20_000;

/// What is to be said.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Speak {
    text: Text,
    model: Option<Model>,
    #[serde(default)]
    interrupt: bool,
}

/// Something to say.
#[derive(Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Text(String);

impl Text {
    pub(super) fn into_string(self) -> String {
        self.0
    }
}

impl TryFrom<String> for Text {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        if text.chars().count() > MAX_TEXT_CHARS {
            Err(format!(
                "the text has more than {MAX_TEXT_CHARS} characters"
            ))
        } else if text.trim().is_empty() {
            Err("the text is empty".to_owned())
        } else {
            Ok(Self(text))
        }
    }
}

/// A voice.
#[derive(Deserialize)]
#[serde(try_from = "String")]
struct Model(String);

impl TryFrom<String> for Model {
    type Error = String;

    fn try_from(model: String) -> Result<Self, String> {
        let mut params = Params::new();
        let set = params.set("model", &[&model]).and_then(|()| params.check());
        set.map(|()| Self(model)).map_err(|error| error.to_string())
    }
}

/// `POST /calls/{call_sid}/speak`: after all that is being said, or instead of it. An agent says it
/// in its own voice.
pub(in crate::http) async fn speak(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
    Body(asked): Body<Speak>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let handle = find_live(&app, &call_sid).await?;
    let has_agent = profile_of(&app, &handle.snapshot()).is_some_and(|p| p.agent.is_some());
    if has_agent && asked.model.is_some() {
        let problem = Problem::invalid_request(
            "`model` cannot be chosen here: the agent of this call says it, in its own voice, which \
             PATCH /calls/{call_sid}/agent changes by `speak`.",
        );
        return Err(app.refuse(Rejection::InvalidRequest, problem));
    }
    let speak_id = format!("speak-{:016x}", random_u64());
    let speech = Speech {
        id: speak_id.clone(),
        text: asked.text.0,
        model: asked.model.map(|model| model.0),
        interrupt: asked.interrupt,
        keep: false,
        then_hang_up: false,
    };
    let (answer, said) = oneshot::channel();
    tell(&handle, Command::Speak { speech, answer }).await;
    // The task answers at once, or has ended with its call.
    let said = said.await.map_err(|_| Problem::call_ended(&call_sid))?;
    said.map_err(|error| not_said(&call_sid, error))?;
    Ok((StatusCode::ACCEPTED, Json(json!({ "speak_id": speak_id }))))
}

/// `DELETE /calls/{call_sid}/speak`: silence now, and nothing of what waits is said.
pub(in crate::http) async fn silence(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
) -> Result<StatusCode, Problem> {
    let handle = find_live(&app, &call_sid).await?;
    tell(&handle, Command::Silence).await;
    Ok(StatusCode::NO_CONTENT)
}

/// What is said when the call's task does not do it.
pub(super) fn not_said(call_sid: &str, error: NotSaid) -> Problem {
    match error {
        NotSaid::NotBidirectional => Problem::not_bidirectional(call_sid),
        NotSaid::Empty | NotSaid::TooMany | NotSaid::NoAgent | NotSaid::AgentLost => {
            Problem::not_possible(format!("{error}."))
        }
    }
}
