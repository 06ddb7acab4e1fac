//! What acts on the agent of a call.

use std::sync::Arc;

use axum::Json;
use axum::extract::State;
use http::StatusCode;
use serde::Deserialize;
use serde_json::{Value, json};
use sidetone_call::engine::{NotSaid, ProviderText};
use sidetone_deepgram::agent::link::Update;
use sidetone_deepgram::agent::message::Role;
use tokio::sync::oneshot;

use super::super::App;
use super::super::body::Body;
use super::super::extract::{Admin, Name};
use super::super::problem::Problem;
use super::control::{Accepted, accepted, find_live, tell};
use super::speak::{Text, not_said};
use crate::calls::Command;
use crate::metrics::Rejection;

/// Words for the conversation.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Injection {
    role: Speaker,
    content: Text,
}

/// Whose words they are.
#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Speaker {
    /// The agent says them.
    Agent,
    /// The agent takes them for the caller's.
    User,
}

/// What is to be different. What is absent stays as it is.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(in crate::http) struct Change {
    /// Finished text, and no template as in the configuration: a caller's words may stand in it.
    prompt: Option<String>,
    speak: Option<Value>,
    think: Option<Value>,
}

/// `POST /calls/{call_sid}/agent/inject`.
pub(in crate::http) async fn inject(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
    Body(Injection { role, content }): Body<Injection>,
) -> Result<Accepted, Problem> {
    let role = match role {
        Speaker::Agent => Role::Assistant,
        Speaker::User => Role::User,
    };
    let content = ProviderText(content.into_string());
    let command = |answer| Command::Inject {
        role,
        content,
        answer,
    };
    ask(&app, &call_sid, command).await?;
    Ok(accepted())
}

/// `PATCH /calls/{call_sid}/agent`.
pub(in crate::http) async fn change(
    State(app): State<Arc<App>>,
    _: Admin,
    Name(call_sid): Name,
    Body(change): Body<Change>,
) -> Result<(StatusCode, Json<Value>), Problem> {
    let update = change.checked().map_err(|words| {
        let problem = Problem::invalid_request(words);
        app.refuse(Rejection::InvalidRequest, problem)
    })?;
    let update = Box::new(update);
    let command = |answer| Command::UpdateAgent { update, answer };
    ask(&app, &call_sid, command).await?;
    Ok((StatusCode::OK, Json(json!({}))))
}

impl Change {
    /// The change, when the agent can be so.
    fn checked(self) -> Result<Update, String> {
        let update = Update {
            prompt: self.prompt,
            speak: self.speak,
            think: self.think,
        };
        if update == Update::default() {
            return Err("Nothing is to be changed: give `prompt`, `speak` or `think`.".to_owned());
        }
        update.check().map_err(|faults| {
            let faults = faults.iter().map(ToString::to_string);
            let faults = faults.collect::<Vec<_>>().join("; ");
            format!("The body is wrong: {faults}.")
        })?;
        Ok(update)
    }
}

/// Has the call's task do something to the agent, and waits for its answer.
async fn ask(
    app: &App,
    call_sid: &str,
    command: impl FnOnce(oneshot::Sender<Result<(), NotSaid>>) -> Command,
) -> Result<(), Problem> {
    let handle = find_live(app, call_sid).await?;
    let (answer, done) = oneshot::channel();
    tell(&handle, command(answer)).await;
    // The task answers at once, or has ended with its call.
    let done = done.await.map_err(|_| Problem::call_ended(call_sid))?;
    done.map_err(|error| not_said(call_sid, error))
}
