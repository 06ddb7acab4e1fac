//! Calls that are in progress: ended, redirected, listened to.

use std::time::Duration;

use serde_json::json;
use sidetone_twilio::stream::Incoming;

use super::{PERSON, Rest, numbered, soon, words};
use crate::phone::{self, Party, Subscriber, Turn};

#[tokio::test]
async fn a_call_is_ended_over_the_api_and_then_there_is_nothing_to_steer() {
    let rest = Rest::start().await;
    rest.server.answers(
        "/voice",
        r#"<Response><Connect action="/next"><Stream url="/stream" statusCallback="/stream-status"/>
            </Connect></Response>"#,
    );
    let callback = rest.server.http("/status");
    let sid = rest.place(PERSON, &[("StatusCallback", &callback)]).await;
    let early = rest.update(&sid, &[("Twiml", "<Response/>")]).await;
    assert_eq!((early.0, &early.1["code"]), (400, &json!(21_220)));
    rest.until(&sid, |call| {
        !call.streams.is_empty() || call.open_streams.len() == 1
    })
    .await;
    let (status, _) = rest.update(&sid, &[("Status", "completed")]).await;
    assert_eq!(status, 200);
    let stream = rest.server.stream().await;
    assert_eq!(stream.close_code, Some(1000));
    let last = stream.messages.last().unwrap();
    assert!(matches!(Incoming::parse(last), Ok(Incoming::Stop { .. })));
    let call = rest.until_status(&sid, "completed").await;
    assert_eq!(call.end, Some(phone::End::HungUp));
    assert_eq!(rest.told("/status", 1).await, numbered(&["completed"]));
    assert!(rest.server.forms("/next").is_empty());

    for form in [("Status", "completed"), ("Twiml", "<Response/>")] {
        let (status, problem) = rest.update(&sid, &[form]).await;
        assert_eq!((status, &problem["code"]), (400, &json!(21_220)));
    }
    let unknown = format!("CA{:032x}", 9);
    let (status, problem) = rest.update(&unknown, &[("Status", "completed")]).await;
    assert_eq!((status, &problem["code"]), (404, &json!(20_404)));
}

#[tokio::test]
async fn a_redirect_stops_the_stream_of_connect_and_runs_the_new_document() {
    let rest = Rest::start().await;
    let stream = rest.server.ws("/stream");
    let connect = format!(
        r#"<Response><Connect action="/next"><Stream url="{stream}"/></Connect></Response>"#
    );
    rest.server.answers("/voice", &connect);
    let sid = rest.place(PERSON, &[]).await;
    let call = rest.until(&sid, |call| call.open_streams.len() == 1).await;
    let first = call.open_streams[0].stream_sid.clone();
    // Digits are heard, and the same stream comes back with another sid.
    let again = connect.replace("<Connect", r#"<Play digits="1w#"/><Connect"#);
    let (status, _) = rest.update(&sid, &[("Twiml", &again)]).await;
    assert_eq!(status, 200);
    let ended = rest.server.stream().await;
    assert_eq!(ended.close_code, Some(1000));
    let call = rest
        .until(&sid, |call| {
            let mut open = call.open_streams.iter();
            open.any(|open| open.stream_sid != first)
        })
        .await;
    assert_eq!(call.digits, "1#");
    assert_eq!(call.streams[0].stream_sid, first);
    assert_eq!(call.alerts, []);

    let next = rest.server.http("/elsewhere");
    rest.server
        .answers("/elsewhere", "<Response><Say>Goodbye</Say></Response>");
    rest.update(&sid, &[("Url", &next)]).await;
    let call = rest.until_status(&sid, "completed").await;
    assert_eq!(words(&call), ["goodbye"]);
    assert!(
        rest.server.forms("/next").is_empty(),
        "what was left asks nothing"
    );
}

#[tokio::test]
async fn a_redirect_drops_the_dialled_leg_and_forks_go_on() {
    let rest = Rest::start().await;
    let colleague = Subscriber {
        number: Some("+15551230003".to_owned()),
        says: vec!["Support speaking".to_owned()],
        ..Subscriber::default()
    };
    rest.exchange.set_subscribers(vec![colleague]);
    // The phone is somebody's who called, in the same exchange.
    rest.server.answers(
        "/voice",
        r#"<Response><Start><Stream url="/stream" name="fork" track="both_tracks"/></Start>
            <Dial action="/dialled"><Number statusCallback="/leg">+15551230002</Number></Dial>
            </Response>"#,
    );
    let mut options = phone::Options::new(rest.server.http("/voice").parse().unwrap());
    options.turns = vec![Turn::say(Party::Caller, "Hello")];
    options.linger = Duration::from_secs(4);
    options.ring = Duration::from_millis(100);
    options.exchange = rest.exchange.clone();
    let phone = tokio::spawn(phone::call(options));
    let leg = soon(|| {
        let mut calls = rest.exchange.calls().into_iter();
        calls.find(|call| call.parent_call_sid.is_some() && call.status.name() == "in-progress")
    })
    .await;
    let sid = leg.parent_call_sid.unwrap().to_string();
    let transfer = "<Response><Dial>+15551230003</Dial></Response>";
    rest.update(&sid, &[("Twiml", transfer)]).await;
    rest.until_status(leg.call_sid.as_str(), "completed").await;
    assert_eq!(rest.told("/leg", 1).await, numbered(&["completed"]));

    let report = phone.await.unwrap().unwrap();
    let heard: Vec<&str> = report.heard.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(heard, ["support", "speaking"]);
    assert_eq!(report.streams.len(), 1, "the fork went on");
    let spoken: Vec<&str> = report
        .spoken
        .iter()
        .map(|word| word.word.as_str())
        .collect();
    assert_eq!(spoken, ["hello", "support", "speaking"]);
    assert!(rest.server.forms("/dialled").is_empty());
}

#[tokio::test]
async fn streams_are_started_and_stopped_over_the_api() {
    let rest = Rest::start().await;
    let sid = rest.place(PERSON, &[]).await;
    rest.until_status(&sid, "in-progress").await;
    let url = rest.server.ws("/stream");
    let path = format!("/{sid}/Streams.json");
    let refused = rest.post(&path, &[("Url", "http://example.com")]).await;
    assert_eq!((refused.0, &refused.1["code"]), (400, &json!(21_205)));
    let form = [
        ("Url", url.as_str()),
        ("Name", "ears"),
        ("Track", "both_tracks"),
        ("Parameter1.Name", "tenant"),
        ("Parameter1.Value", "t-42"),
    ];
    let (status, stream) = rest.post(&path, &form).await;
    assert_eq!((status, &stream["status"]), (200, &json!("in-progress")));
    assert_eq!(stream["name"], "ears");

    let stop = |name: &str| format!("/{sid}/Streams/{name}.json");
    let stopped = ("Status", "stopped");
    let (status, told) = rest.post(&stop("ears"), &[stopped]).await;
    assert_eq!((status, &told["status"]), (200, &json!("stopped")));
    assert_eq!(told["sid"], stream["sid"]);
    let recorded = rest.server.stream().await;
    let Ok(Incoming::Start(start)) = Incoming::parse(&recorded.messages[1]) else {
        panic!("the second message is start")
    };
    assert_eq!(start.stream_sid.as_str(), stream["sid"]);
    assert_eq!(start.custom_parameters["tenant"], "t-42");
    assert_eq!(start.tracks.len(), 2);
    rest.until(&sid, |call| call.streams.len() == 1).await;
    let (status, _) = rest.post(&stop("ears"), &[stopped]).await;
    assert_eq!(status, 404);
    let call = rest.exchange.find(&sid).unwrap().record();
    assert_eq!(call.status.name(), "in-progress");
}
