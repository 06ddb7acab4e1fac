//! `/_emulator/calls` and `/_emulator/callees`: the calls of simulated phones, and who answers.

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::response::{IntoResponse, Json, Response};
use axum::routing::get;
use serde::Deserialize;
use serde_json::{Value, json};

use super::control::problem;
use crate::phone::{Answer, CallRecord, Exchange, Subscriber};

/// `GET` lists; of callees, `POST` replaces those that were set, and `DELETE` clears them.
pub(super) fn routes(exchange: Exchange) -> Router {
    Router::new()
        .route("/_emulator/calls", get(calls))
        .route(
            "/_emulator/callees",
            get(callees).post(replace).delete(clear),
        )
        .with_state(exchange)
}

/// What `POST` takes.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    callees: Vec<Subscriber>,
}

async fn calls(State(exchange): State<Exchange>) -> Json<Value> {
    let newest_first = exchange.entries().into_iter().rev();
    let calls: Vec<Value> = newest_first
        .map(|entry| entry.look(CallRecord::to_json))
        .collect();
    Json(json!({ "calls": calls }))
}

async fn callees(State(exchange): State<Exchange>) -> Json<Value> {
    let by_last_digits = Answer::BY_LAST_DIGITS.map(|(digits, answer)| json!([digits, answer]));
    let mut answer = set(&exchange);
    answer["by_last_digits"] = by_last_digits.into_iter().collect();
    Json(answer)
}

async fn replace(State(exchange): State<Exchange>, body: Bytes) -> Response {
    match serde_json::from_slice::<Wanted>(&body) {
        Ok(wanted) => {
            exchange.set_subscribers(wanted.callees);
            Json(set(&exchange)).into_response()
        }
        Err(error) => problem(&format!(
            "expected an object as {EXAMPLE}, and this is none: {error}"
        )),
    }
}

async fn clear(State(exchange): State<Exchange>) -> Json<Value> {
    exchange.set_subscribers(Vec::new());
    Json(set(&exchange))
}

fn set(exchange: &Exchange) -> Value {
    json!({ "callees": exchange.subscribers() })
}

const EXAMPLE: &str = r#"{"callees": [{"number": "+15551230002", "answer": "person", "says": ["Good morning"], "digits": "", "ring_ms": 1000, "linger_ms": 10000}]}"#;
