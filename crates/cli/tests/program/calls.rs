//! The list of calls, and a call.

use serde_json::Value;

use crate::readers::{Answer, look, members};
use crate::scripted::{METADATA, Scripted};
use crate::serve::{Serve, serve};
use crate::twilio::{Stream, call_sid};
use crate::watching::call_until;
use crate::web::{ended, get};

/// A live call that nothing was said on.
async fn live(serve: &Serve, profile: &str, call: u32, parameters: &str) -> Stream {
    let mut stream = Stream::connected(&serve.ws(&format!("/twilio{profile}")), call).await;
    stream.say_start(call, &["inbound"], parameters).await;
    stream.media("inbound", 20, &[0x55; 160]).await;
    call_until(serve, &call_sid(call), |call| {
        call["audio"]["inbound"]["frames"] == 1
    })
    .await;
    stream
}

fn sids(answer: &Answer) -> Vec<String> {
    assert_eq!(answer.status, 200, "{answer:?}");
    let page = answer.json();
    assert_eq!(members(&page), ["items", "next_cursor"]);
    let items = page["items"].as_array().unwrap();
    items
        .iter()
        .map(|call| call["call_sid"].as_str().unwrap().to_owned())
        .collect()
}

async fn list(serve: &Serve, query: &str) -> Vec<String> {
    sids(&look(serve, &format!("/api/v1/calls{query}")).await)
}

fn calls(numbers: &[u32]) -> Vec<String> {
    numbers.iter().map(|number| call_sid(*number)).collect()
}

#[tokio::test]
async fn there_are_no_calls_at_first() {
    let serve = serve().start().await;
    let (status, page) = get(&serve, "/api/v1/calls").await;
    assert_eq!(status, 200);
    assert_eq!(
        page,
        serde_json::json!({ "items": [], "next_cursor": null })
    );
}

#[tokio::test]
async fn calls_are_listed_newest_first_and_by_what_is_asked_of_them() {
    let deepgram = Scripted::start().await;
    let serve = serve()
        .deepgram(&deepgram.url)
        .toml("[profiles.desk.listen]\nmodel = 'nova-3'\n")
        .start()
        .await;
    let from_one = r#"{"from":"+15550001","to":"+15550009"}"#;
    let from_two = r#"{"from":"+15550002","to":"+15550009"}"#;
    let first = live(&serve, "", 3, from_one).await;
    let connection = deepgram.accept().await;
    let _second = live(&serve, "/desk", 1, from_two).await;
    let (_, second) = get(&serve, &format!("/api/v1/calls/{}", call_sid(1))).await;
    let _third = live(&serve, "/desk", 2, "{}").await;
    tokio::join!(first.stop(3), connection.finish(&[METADATA]));
    ended(&serve, &call_sid(3)).await;

    let began = second["started_at"].as_str().unwrap();
    for (query, expected) in [
        ("", &[2, 1, 3][..]),
        ("?status=live", &[2, 1]),
        ("?status=ended", &[3]),
        ("?status=pending", &[]),
        ("?profile=desk", &[2, 1]),
        ("?profile=default", &[3]),
        ("?profile=nobody", &[]),
        ("?from=%2B15550001", &[3]),
        ("?to=%2B15550009", &[1, 3]),
        ("?to=%2B15550009&status=live", &[1]),
        ("?from=%2B15550003", &[]),
        (&format!("?since={began}"), &[2, 1]),
        (&format!("?until={began}"), &[3]),
        ("?since=2100-01-01T00:00:00Z", &[]),
        ("?until=2000-01-01T00:00:00Z", &[]),
    ] {
        assert_eq!(list(&serve, query).await, calls(expected), "{query}");
    }
}

#[tokio::test]
async fn a_list_goes_on_by_cursor_while_calls_come() {
    let serve = serve().start().await;
    let mut streams = Vec::new();
    for call in 1..=5 {
        streams.push(live(&serve, "", call, "{}").await);
    }
    let first = look(&serve, "/api/v1/calls?limit=2").await;
    assert_eq!(sids(&first), calls(&[5, 4]));
    let cursor = |answer: &Answer| answer.json()["next_cursor"].as_str().unwrap().to_owned();
    // One that comes meanwhile shifts nothing.
    streams.push(live(&serve, "", 6, "{}").await);
    let query = |cursor: &str| format!("/api/v1/calls?limit=2&cursor={cursor}");
    let second = look(&serve, &query(&cursor(&first))).await;
    assert_eq!(sids(&second), calls(&[3, 2]));
    let third = look(&serve, &query(&cursor(&second))).await;
    assert_eq!(sids(&third), calls(&[1]));
    assert_eq!(third.json()["next_cursor"], Value::Null);
    let all = look(&serve, "/api/v1/calls?limit=6").await;
    assert_eq!(sids(&all), calls(&[6, 5, 4, 3, 2, 1]));
    assert_eq!(all.json()["next_cursor"], Value::Null);
}

#[tokio::test]
async fn what_is_no_value_of_a_filter_is_refused() {
    let serve = serve().start().await;
    for query in [
        "?status=LIVE",
        "?status=over",
        "?since=yesterday",
        "?until=12",
        "?limit=0",
        "?limit=501",
        "?limit=all",
        "?cursor=nonsense",
    ] {
        let answer = look(&serve, &format!("/api/v1/calls{query}")).await;
        answer.is_problem(400, "invalid_request");
    }
}

#[tokio::test]
async fn a_call_that_does_not_exist_is_not_found() {
    let serve = serve().start().await;
    for sid in [
        call_sid(1),
        "CA1".to_owned(),
        "nonsense".to_owned(),
        "%00".to_owned(),
    ] {
        let answer = look(&serve, &format!("/api/v1/calls/{sid}")).await;
        answer.is_problem(404, "call_not_found");
    }
}

#[tokio::test]
async fn a_call_shows_its_numbers_and_the_parameters_that_are_not_sidetones_own() {
    let serve = serve().start().await;
    let parameters = r#"{"from":"+15550001","to":"+15550009","direction":"outbound-dial","profile":"default","desk":"7","auth":"spare"}"#;
    let _stream = live(&serve, "", 1, parameters).await;
    let (status, call) = get(&serve, &format!("/api/v1/calls/{}", call_sid(1))).await;
    assert_eq!(status, 200);
    assert_eq!(call["from"], "+15550001");
    assert_eq!(call["to"], "+15550009");
    assert_eq!(call["direction"], "outbound-dial");
    assert_eq!(call["profile"], "default");
    assert_eq!(
        call["custom_parameters"],
        serde_json::json!({ "desk": "7" })
    );
}

#[tokio::test]
async fn a_call_that_is_live_is_listed_as_it_stands_now() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let mut stream = live(&serve, "", 1, "{}").await;
    let _connection = deepgram.accept().await;
    for n in 1..50 {
        stream.media("inbound", 20 + 20 * n, &[0x55; 160]).await;
    }
    call_until(&serve, &call_sid(1), |call| call["duration_ms"] == 1000).await;
    let (_, page) = get(&serve, "/api/v1/calls").await;
    assert_eq!(page["items"][0]["duration_ms"], 1000);
    assert_eq!(page["items"][0]["audio"]["inbound"]["frames"], 50);
    assert_eq!(page["items"][0]["provider"]["state"], "connected");
}

#[tokio::test]
async fn a_change_is_shown_though_nothing_follows_it() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let _stream = live(&serve, "", 1, "{}").await;
    let mut connection = deepgram.accept().await;
    let sid = call_sid(1);
    let connected = call_until(&serve, &sid, |call| {
        call["provider"]["state"] == "connected"
    });
    // The first that happens after the connection, seconds later, is a KeepAlive.
    tokio::select! {
        _ = connected => {}
        text = connection.text() => panic!("it was not shown before {text}"),
    }
}
