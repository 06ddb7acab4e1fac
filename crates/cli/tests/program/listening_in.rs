//! Listening to a call that Twilio has, over its REST API.

use serde_json::{Value, json};

use crate::deepgram::Recorder;
use crate::ordering::{accepted, answered, refused, stream};
use crate::requests::Answer;
use crate::rest::{Asked, Rest};
use crate::serve::soon;
use crate::twilio::{call_sid, stream_sid};
use crate::watching::{call_until, end_reason};

const BOTH: &[&str] = &["inbound", "outbound"];

/// The request as the TwiML that would say the same.
fn as_twiml(asked: &Asked) -> Answer {
    let parameters = (1..).map_while(|number| {
        let field = |what: &str| asked.all(&format!("Parameter{number}.{what}")).pop();
        let (name, value) = (field("Name")?, field("Value")?);
        Some(format!(r#"<Parameter name="{name}" value="{value}"/>"#))
    });
    Answer {
        status: 200,
        content_type: String::new(),
        body: parameters.collect(),
    }
}

#[tokio::test]
async fn a_call_that_twilio_has_is_listened_to_and_left_alone_again() {
    let rest = Rest::start().await;
    let recorder = Recorder::start().await;
    let serve = rest.serve().deepgram(&recorder.url).start().await;
    accepted(&serve, 1, "listening", Value::Null).await;
    let (fetched, asked) = (rest.request(0).await, rest.request(1).await);
    assert_eq!(fetched.what, format!("GET /Calls/{}.json", call_sid(1)));
    let expected = format!("POST /Calls/{}/Streams.json", call_sid(1));
    assert_eq!(asked.what, expected);
    assert_eq!(asked.field("Url"), serve.ws("/twilio"));
    assert_eq!(asked.field("Track"), "both_tracks");
    let callback = serve.http("/twilio/stream-status");
    assert_eq!(asked.field("StatusCallback"), callback);

    let _stream = stream(&serve, &as_twiml(&asked), 1, 1, BOTH).await;
    let call = call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    assert_eq!(call["profile"], "default");
    assert_eq!(call["to"], "+15551230002");
    assert_eq!(call["direction"], "outbound-api");
    let conflict = (409, "conflict");
    refused(&serve, 1, "listening", json!({}), conflict).await;

    let url = serve.http(&format!("/api/v1/calls/{}/listening", call_sid(1)));
    let stopping = reqwest::Client::new().delete(url).send();
    assert_eq!(soon("the answer", stopping).await.unwrap().status(), 204);
    let stopped = rest.request(2).await;
    let (call_sid, stream_sid) = (call_sid(1), stream_sid(1));
    let expected = format!("POST /Calls/{call_sid}/Streams/{stream_sid}.json");
    assert_eq!(stopped.what, expected);
    assert_eq!(stopped.field("Status"), "stopped");
}

#[tokio::test]
async fn what_cannot_be_listened_to_is_told_so() {
    let rest = Rest::start().await;
    let recorder = Recorder::start().await;
    let profiles = "[profiles.talk.speak]\nmodel = 'aura-2-thalia-en'\n";
    let serve = rest.serve().deepgram(&recorder.url).toml(profiles);
    let serve = serve.start().await;
    let talk = json!({"profile": "talk"});
    refused(&serve, 1, "listening", talk, (409, "not_possible")).await;
    let nobody = json!({"profile": "nobody"});
    refused(&serve, 1, "listening", nobody, (404, "profile_not_found")).await;
    assert!(rest.asked().is_empty());
    rest.refuses(404, 20404, "The requested resource was not found");
    refused(&serve, 1, "listening", json!({}), (404, "call_not_found")).await;
    for (status, code) in [
        ("completed", "call_ended"),
        ("busy", "call_ended"),
        ("ringing", "not_possible"),
    ] {
        rest.answers(200, &crate::rest::call(1, status));
        refused(&serve, 1, "listening", json!({}), (409, code)).await;
    }
    // A stream that speaks is not to be stopped alone.
    let stream = answered(&serve, "/voice/talk", 2, &["inbound"]).await;
    let url = serve.http(&format!("/api/v1/calls/{}/listening", call_sid(2)));
    let stopping = reqwest::Client::new().delete(url).send();
    assert_eq!(soon("the answer", stopping).await.unwrap().status(), 409);
    stream.stop(2).await;
    assert_eq!(end_reason(&serve, 2).await, "stop");
}
