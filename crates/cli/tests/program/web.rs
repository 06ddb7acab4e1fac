//! The API as a program uses it.

use serde_json::Value;

use crate::serve::{Serve, soon};

/// GETs a path: status and body as JSON (null when it is none).
pub(crate) async fn get(serve: &Serve, path: &str) -> (u16, Value) {
    let response = soon(path, reqwest::get(serve.http(path))).await.unwrap();
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    (status, serde_json::from_str(&body).unwrap_or(Value::Null))
}

/// All events of a call so far.
pub(crate) async fn events(serve: &Serve, call_sid: &str) -> Vec<Value> {
    let mut events = Vec::new();
    loop {
        let after = events.len();
        let path = format!("/api/v1/calls/{call_sid}/events?limit=500&after={after}");
        let (status, page) = get(serve, &path).await;
        if status == 404 {
            return events;
        }
        assert_eq!(status, 200, "{page}");
        let items = page["items"].as_array().unwrap().clone();
        if items.is_empty() {
            return events;
        }
        events.extend(items);
    }
}

/// Waits for the call's end and gives its events.
pub(crate) async fn ended(serve: &Serve, call_sid: &str) -> Vec<Value> {
    let waiting = async {
        loop {
            let events = events(serve, call_sid).await;
            if events
                .last()
                .is_some_and(|event| event["type"] == "call.ended")
            {
                return events;
            }
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    soon("call.ended", waiting).await
}

/// The words of a track's finals, bare, in order.
pub(crate) fn words(events: &[Value], track: &str) -> Vec<String> {
    events
        .iter()
        .filter(|event| event["type"] == "transcript.final" && event["data"]["track"] == track)
        .flat_map(|event| event["data"]["words"].as_array().unwrap())
        .map(|word| word["word"].as_str().unwrap().to_owned())
        .collect()
}

/// The types of events, in order.
pub(crate) fn types(events: &[Value]) -> Vec<&str> {
    events
        .iter()
        .map(|event| event["type"].as_str().unwrap())
        .collect()
}
