//! `/_emulator/faults`: the faults, while the emulator runs.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::StatusCode;
use http::header::CONTENT_TYPE;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::fault::Fault;
use super::server::Server;

/// `GET` lists, `POST` replaces, `DELETE` clears.
pub(super) fn routes(server: Server) -> Router {
    Router::new()
        .route("/_emulator/faults", get(list).post(replace).delete(clear))
        .with_state(server)
}

/// What `POST` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    /// Instead of those that are set. Absent: they stay.
    faults: Option<Vec<WantedFault>>,
    /// For all that is opened from now on.
    seed: Option<u64>,
    /// Whether they strike the streams that are open, too.
    #[serde(default)]
    now: bool,
}

/// A fault, either as it is written on the command line or with its parameters beside its name.
#[derive(Deserialize)]
#[serde(untagged)]
enum WantedFault {
    Written(String),
    Named {
        name: String,
        #[serde(flatten)]
        parameters: Map<String, Value>,
    },
}

impl WantedFault {
    fn read(self) -> Result<Fault, String> {
        let written = match self {
            Self::Written(text) => text,
            Self::Named { name, parameters } => {
                let parameters = parameters.iter().map(|(parameter, value)| match value {
                    Value::String(text) if !text.contains(',') => Ok(format!("{parameter}={text}")),
                    Value::Number(number) => Ok(format!("{parameter}={number}")),
                    other => Err(format!(
                        "fault `{name}`: {parameter} is {other}; expected a number, or text without commas"
                    )),
                });
                let parameters = parameters.collect::<Result<Vec<_>, _>>()?;
                format!("{name}:{}", parameters.join(","))
            }
        };
        written.parse::<Fault>().map_err(|error| error.to_string())
    }
}

async fn list(State(server): State<Server>) -> Response {
    let Value::Object(mut answer) = set(&server) else {
        unreachable!("what is set is told as an object")
    };
    let known = Fault::LIST.iter().map(|entry| {
        json!({
            "name": entry.name,
            "parameters": entry.parameters,
            "description": entry.description,
        })
    });
    answer.insert("known".to_owned(), known.collect());
    axum::Json(answer).into_response()
}

async fn replace(State(server): State<Server>, body: Bytes) -> Response {
    match read(&body) {
        Ok((faults, seed, now)) => {
            if let Some(seed) = seed {
                server.set_seed(seed);
            }
            if let Some(faults) = faults {
                server.faults().replace(faults, now);
            }
            axum::Json(set(&server)).into_response()
        }
        Err(detail) => problem(&detail),
    }
}

async fn clear(State(server): State<Server>) -> Response {
    server.faults().replace(Vec::new(), false);
    axum::Json(set(&server)).into_response()
}

type Read = (Option<Vec<Fault>>, Option<u64>, bool);

fn read(body: &[u8]) -> Result<Read, String> {
    let wanted: Wanted = serde_json::from_slice(body)
        .map_err(|error| format!("expected an object as {EXAMPLE}, and this is none: {error}"))?;
    if wanted.now && wanted.faults.is_none() {
        return Err("`now` strikes with the `faults` beside it, and there are none".to_owned());
    }
    let read = |faults: Vec<WantedFault>| faults.into_iter().map(WantedFault::read).collect();
    let faults: Option<Vec<Fault>> = wanted.faults.map(read).transpose()?;
    Ok((faults, wanted.seed, wanted.now))
}

fn set(server: &Server) -> Value {
    json!({ "seed": server.seed(), "faults": server.faults().list() })
}

/// A problem document of RFC 9457.
pub(super) fn problem(detail: &str) -> Response {
    let body = json!({
        "type": "about:blank",
        "title": "Bad Request",
        "status": 400,
        "detail": detail,
        "code": "invalid_request",
    });
    let content_type = [(CONTENT_TYPE, "application/problem+json")];
    (StatusCode::BAD_REQUEST, content_type, body.to_string()).into_response()
}

const EXAMPLE: &str = r#"{"faults": ["drop:after_ms=4000", {"name": "refuse", "status": 503}], "seed": 7, "now": false}"#;
