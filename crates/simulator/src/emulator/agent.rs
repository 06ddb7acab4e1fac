//! The voice agent, `/v1/agent/converse`: it hears words in the caller's audio, answers by simple
//! rules, and its own words are in the audio that it sends.
//!
//! `/_emulator/agent` tells what the agents saw (`GET`), takes a script for the sessions to come
//! (`POST`), and forgets both (`DELETE`).

mod calling;
mod conversation;
pub(super) mod flaws;
mod hearing;
mod mind;
mod record;
mod saying;
mod script;
mod session;
mod settings;
mod telling;
mod words;

use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Instant;

use axum::body::Bytes;
use axum::extract::{Request, State};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use sidetone_deepgram::agent::PATH;

use self::record::Records;
pub use self::script::{AgentCall, AgentRule, AgentScript};
use self::session::Session;
pub use self::settings::STORED_AGENT_ID;
use super::control::problem;
use super::fault::AgentHandshakeFault;
use super::refusal::Refused;
use super::server::{Handshake, Opening, Server, hang, refuse};

/// What all agents share.
#[derive(Clone)]
struct Agents {
    server: Server,
    script: Arc<Mutex<Arc<AgentScript>>>,
    records: Records,
}

/// The routes. The agents follow `script` until told otherwise.
pub(super) fn routes(server: Server, script: AgentScript) -> Router {
    Router::new()
        .route(PATH, get(converse))
        .route("/_emulator/agent", get(show).post(replace).delete(clear))
        .with_state(Agents {
            server,
            script: Arc::new(Mutex::new(Arc::new(script))),
            records: Records::default(),
        })
}

impl Agents {
    fn script(&self) -> MutexGuard<'_, Arc<AgentScript>> {
        self.script.lock().expect("nothing panics while it is held")
    }

    fn to_json(&self) -> Value {
        json!({
            "script": **self.script(),
            "stored_agent": STORED_AGENT_ID,
            "sessions": self.records.to_json(),
        })
    }
}

async fn converse(State(agents): State<Agents>, mut request: Request) -> Response {
    let mut dice = agents.server.dice();
    let request_id = dice.uuid();
    match handshake(&agents.server, &mut request).await {
        Ok((handshake, welcomes)) => {
            let now = Instant::now();
            let session = Session::new(
                welcomes.then(|| request_id.clone()),
                Arc::clone(&agents.script()),
                agents.server.faults().clone(),
                agents.records.open(request_id.clone(), now),
                dice.within(0..=u64::MAX - 1),
                now,
            );
            tracing::info!(%request_id, "Agent opened.");
            let opening = Opening {
                request_id,
                tells_id: true,
                frame_bytes: None,
            };
            agents.server.open(handshake, session, opening)
        }
        Err(refused) => refuse(&refused, &request_id),
    }
}

/// A handshake that may come in, and whether it is welcomed.
async fn handshake(server: &Server, request: &mut Request) -> Result<(Handshake, bool), Refused> {
    server.admit(request.headers())?;
    let welcomes = match server.faults().at_agent_handshake() {
        None => true,
        Some(AgentHandshakeFault::NoWelcome) => false,
        Some(AgentHandshakeFault::Refuse(refused)) => return Err(refused),
        Some(AgentHandshakeFault::Hang) => return Err(hang().await),
    };
    Ok((server.handshake(request)?, welcomes))
}

async fn show(State(agents): State<Agents>) -> Json<Value> {
    Json(agents.to_json())
}

async fn replace(State(agents): State<Agents>, body: Bytes) -> Response {
    match serde_json::from_slice(&body) {
        Ok(script) => {
            *agents.script() = Arc::new(script);
            Json(agents.to_json()).into_response()
        }
        Err(error) => problem(&format!(
            "expected a script as {EXAMPLE}, and this is none: {error}"
        )),
    }
}

async fn clear(State(agents): State<Agents>) -> Json<Value> {
    *agents.script() = Arc::default();
    agents.records.clear();
    Json(agents.to_json())
}

const EXAMPLE: &str = r#"{"greeting": "Hello!", "rules": [{"hears": "order {order}", "calls": {"name": "lookup", "arguments": {"id": "{order}"}}, "says": "It is {result}."}]}"#;

#[cfg(test)]
mod tests;
