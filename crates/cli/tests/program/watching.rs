//! Waiting until the program shows what is expected.

use std::time::Duration;

use serde_json::Value;

use crate::serve::{PATIENCE, Serve, soon};
use crate::twilio::call_sid;
use crate::web::{ended, events, get};

/// Waits until a call, as the API shows it, is as wanted.
pub(crate) async fn call_until(
    serve: &Serve,
    call_sid: &str,
    wanted: impl Fn(&Value) -> bool,
) -> Value {
    let path = format!("/api/v1/calls/{call_sid}");
    let mut last = Value::Null;
    let waiting = async {
        loop {
            let (status, call) = get(serve, &path).await;
            if status == 200 && wanted(&call) {
                return call;
            }
            last = call;
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    match tokio::time::timeout(PATIENCE, waiting).await {
        Ok(call) => call,
        Err(_) => panic!("the call never became what was expected: {last}"),
    }
}

/// Waits for the first event of a type.
pub(crate) async fn event(serve: &Serve, call_sid: &str, event_type: &str) -> Value {
    let waiting = async {
        loop {
            let found = events(serve, call_sid)
                .await
                .into_iter()
                .find(|e| e["type"] == event_type);
            if let Some(event) = found {
                return event;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon(event_type, waiting).await
}

/// The reason in `call.ended`, once it is there.
pub(crate) async fn end_reason(serve: &Serve, call: u32) -> String {
    let events = ended(serve, &call_sid(call)).await;
    events.last().unwrap()["data"]["end_reason"]
        .as_str()
        .unwrap()
        .to_owned()
}

/// The values of a metric, over all its labels.
pub(crate) async fn metric(serve: &Serve, name: &str) -> f64 {
    let response = soon("the metrics", reqwest::get(serve.http("/metrics")))
        .await
        .unwrap();
    let text = response.text().await.unwrap();
    text.lines()
        .filter(|line| line.split(['{', ' ']).next() == Some(name))
        .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
        .sum()
}

/// How much was refused so far, for whatever reason.
pub(crate) async fn rejected(serve: &Serve) -> f64 {
    metric(serve, "sidetone_rejected_total").await
}

/// How much was refused so far for one reason.
pub(crate) async fn rejected_for(serve: &Serve, reason: &str) -> f64 {
    let response = soon("the metrics", reqwest::get(serve.http("/metrics")))
        .await
        .unwrap();
    let text = response.text().await.unwrap();
    let name = format!("sidetone_rejected_total{{reason=\"{reason}\"}} ");
    text.lines()
        .find_map(|line| line.strip_prefix(&name)?.parse().ok())
        .unwrap_or(0.0)
}
