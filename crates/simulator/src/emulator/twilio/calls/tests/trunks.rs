//! Calls of phones that are elsewhere.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FROM, Rest, soon};
use crate::phone::{self, Exchange};

#[tokio::test]
async fn the_calls_of_phones_elsewhere_are_reached_over_their_trunk() {
    let rest = Rest::start().await;
    let elsewhere = Exchange::default();
    let trunk = elsewhere.join(&rest.emulator.http_url()).await.unwrap();
    rest.server.answers(
        "/voice",
        "<Response><Say>Please hold</Say><Pause length=\"60\"/></Response>",
    );
    let mut options = phone::Options::new(rest.server.http("/voice").parse().unwrap());
    options.linger = Duration::from_secs(60);
    options.exchange = elsewhere;
    let phone = tokio::spawn(phone::call(options));
    let call = rest.until_any("in-progress").await;
    let sid = call.call_sid.to_string();
    let (_, told) = rest.get(&format!("/{sid}.json")).await;
    assert_eq!(
        (&told["direction"], &told["to"]),
        (&json!("inbound"), &json!(FROM))
    );

    let next = rest.server.http("/elsewhere");
    rest.server.answers(
        "/elsewhere",
        "<Response><Say>Goodbye</Say><Pause length=\"60\"/></Response>",
    );
    let (status, _) = rest
        .update(&sid, &[("Url", &next), ("Method", "POST")])
        .await;
    assert_eq!(status, 200);
    soon(|| rest.server.forms("/elsewhere").pop()).await;
    let (status, _) = rest.update(&sid, &[("Status", "completed")]).await;
    assert_eq!(status, 200);
    let report = phone.await.unwrap().unwrap();
    assert_eq!(report.end, phone::End::HungUp);
    trunk.close().await;
    rest.until_status(&sid, "completed").await;
    let calls = format!("{}_emulator/calls", rest.emulator.http_url());
    let calls = rest.client.get(calls).send().await.unwrap();
    let calls: Value = calls.json().await.unwrap();
    assert_eq!(calls["calls"].as_array().unwrap().len(), 1);
    assert_eq!(calls["calls"][0]["end"], "hung_up");
    let heard = calls["calls"][0]["heard"].as_array().unwrap();
    assert_eq!(heard.len(), report.heard.len());

    let nobody = "http://127.0.0.1:1".parse().unwrap();
    let refused = Exchange::default().join(&nobody).await.unwrap_err();
    assert!(
        refused.to_string().contains("http://127.0.0.1:1"),
        "{refused}"
    );
}

#[tokio::test]
async fn calls_that_are_lost_with_their_trunk_are_over() {
    let rest = Rest::start().await;
    let elsewhere = Exchange::default();
    let trunk = elsewhere.join(&rest.emulator.http_url()).await.unwrap();
    let mut options = phone::Options::new(rest.server.http("/voice").parse().unwrap());
    options.linger = Duration::from_secs(60);
    options.exchange = elsewhere;
    let phone = tokio::spawn(phone::call(options));
    rest.until_any("in-progress").await;
    drop(trunk);
    phone.abort();
    rest.until_any("completed").await;
}
