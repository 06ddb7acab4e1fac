//! Call control: hanging up, transfers, keys.

use serde_json::{Value, json};

use crate::deepgram::Recorder;
use crate::ordering::{accepted, answered, order_of, outbound, refused, stream, voice};
use crate::requests::{Answer, FROM, TO};
use crate::rest::{Rest, call};
use crate::serve::{Builder, Serve, serve};
use crate::twilio::{Stream, call_sid, stream_sid};
use crate::watching::{call_until, end_reason};
use crate::web::{ended, events, get};

const BOTH: &[&str] = &["inbound", "outbound"];
const INBOUND: &[&str] = &["inbound"];

const PROFILES: &str = r#"
[profiles.talk.speak]
model = "aura-2-thalia-en"
[profiles.ear.listen]
[profiles.ear.dial]
pause_secs = 90
[profiles.desk.listen]
[profiles.desk.dial]
number = "+15551230003"
"#;

async fn started(builder: Builder) -> (Serve, Recorder) {
    let recorder = Recorder::start().await;
    let serve = builder.deepgram(&recorder.url).toml(PROFILES).start().await;
    (serve, recorder)
}

/// Events of the call itself, by type.
fn of_the_call(events: &[Value]) -> Vec<&str> {
    let types = events.iter().map(|event| event["type"].as_str().unwrap());
    types.filter(|name| name.starts_with("call.")).collect()
}

/// The path of a call in Twilio's API.
fn path(call: u32) -> String {
    format!("POST /Calls/{}.json", call_sid(call))
}

#[tokio::test]
async fn hanging_up_has_twilio_end_the_call() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    for (call, profile, tracks) in [(1, "talk", INBOUND), (2, "ear", BOTH)] {
        let stream = answered(&serve, &format!("/voice/{profile}"), call, tracks).await;
        accepted(&serve, call, "hangup", Value::Null).await;
        let asked = rest.asked().pop().unwrap();
        assert_eq!(asked.what, path(call));
        assert_eq!(asked.field("Status"), "completed");
        stream.stop(call).await;
        assert_eq!(end_reason(&serve, call).await, "hangup", "{profile}");
        // It is hung up already.
        accepted(&serve, call, "hangup", json!({})).await;
    }
    assert_eq!(rest.asked().len(), 2);
}

#[tokio::test]
async fn the_reason_is_the_order_even_when_the_stream_stops_before_twilio_answers() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    let stream = answered(&serve, "/voice/talk", 1, INBOUND).await;
    rest.hold(true);
    let stopping = async {
        rest.request(0).await;
        stream.stop(1).await;
        let status = "/twilio/call-status";
        outbound(&serve, status, 1, "completed", &[]).await;
        rest.hold(false);
    };
    tokio::join!(accepted(&serve, 1, "hangup", Value::Null), stopping);
    assert_eq!(end_reason(&serve, 1).await, "hangup");
}

#[tokio::test]
async fn a_call_that_twilio_has_ended_before_is_hung_up_and_takes_no_other_order() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    let _stream = answered(&serve, "/voice/talk", 1, INBOUND).await;
    rest.refuses(404, 20404, "The requested resource was not found");
    accepted(&serve, 1, "hangup", Value::Null).await;
    rest.refuses(400, 21220, "Invalid call state");
    accepted(&serve, 1, "hangup", Value::Null).await;
    let over = (409, "call_ended");
    rest.refuses(400, 21220, "Invalid call state");
    refused(&serve, 1, "transfer", json!({"to": "+15551230002"}), over).await;
    rest.refuses(404, 20404, "The requested resource was not found");
    refused(&serve, 1, "dtmf", json!({"digits": "1"}), over).await;
}

#[tokio::test]
async fn without_credentials_hanging_up_closes_a_bidirectional_stream() {
    let (serve, _recorder) = started(serve()).await;
    let url = serve.ws("/twilio/talk");
    let mut talk = Stream::start(&url, 1, 1, INBOUND).await;
    let _ear = Stream::start(&serve.ws("/twilio/ear"), 2, 2, BOTH).await;
    for call in [1, 2] {
        call_until(&serve, &call_sid(call), |call| call["status"] == "live").await;
    }
    accepted(&serve, 1, "hangup", Value::Null).await;
    let (code, _) = talk.socket.closed().await.expect("a Close comes");
    assert_eq!(code, 1000);
    assert_eq!(end_reason(&serve, 1).await, "hangup");
    let next = crate::requests::voice(&serve, "/voice/talk/next", 1);
    let next = next.field("CallStatus", "in-progress").post().await;
    assert_eq!(next.twiml(), "<Response><Hangup/></Response>");

    let unavailable = (503, "twilio_unavailable");
    for (what, body) in [
        ("hangup", Value::Null),
        ("transfer", json!({"to": "+15551230002"})),
        ("dtmf", json!({"digits": "1"})),
    ] {
        let words = refused(&serve, 2, what, body, unavailable).await;
        assert!(words.contains("TWILIO_ACCOUNT_SID"), "{words}");
    }
}

#[tokio::test]
async fn a_bidirectional_call_that_is_transferred_ends_here() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    let stream = answered(&serve, "/voice/talk", 1, INBOUND).await;
    accepted(&serve, 1, "transfer", json!({"to": "+15551230002"})).await;
    let asked = rest.request(0).await;
    assert_eq!(asked.what, path(1));
    let dial = "<Response><Dial><Number>+15551230002</Number></Dial></Response>";
    assert_eq!(asked.twiml(), dial);
    stream.stop(1).await;
    assert_eq!(end_reason(&serve, 1).await, "transferred");
    let over = (409, "call_ended");
    refused(&serve, 1, "transfer", json!({"to": "+15551230002"}), over).await;
}

#[tokio::test]
async fn a_call_that_is_listened_to_is_transferred_and_goes_on_being_heard() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    let mut stream = answered(&serve, "/voice/ear", 1, BOTH).await;
    accepted(&serve, 1, "transfer", json!({"to": "+15551230002"})).await;
    assert!(rest.asked()[0].twiml().contains("<Dial>"));
    stream.play("inbound", 57, &[7; 320]).await;
    let path = format!("/api/v1/calls/{}", call_sid(1));
    assert_eq!(get(&serve, &path).await.1["status"], "live");
    // The other leg would be dropped.
    let busy = (409, "not_possible");
    refused(&serve, 1, "dtmf", json!({"digits": "1"}), busy).await;
    accepted(&serve, 1, "transfer", json!({"to": "+15551230009"})).await;
    stream.stop(1).await;
    assert_eq!(end_reason(&serve, 1).await, "stop");
}

#[tokio::test]
async fn only_destinations_that_are_allowed_are_dialled() {
    let rest = Rest::start().await;
    let allow = "[twilio]\nallow_destinations = ['+1555', '+44']\n";
    let (serve, _recorder) = started(rest.serve().toml(allow)).await;
    let _stream = answered(&serve, "/voice/talk", 1, INBOUND).await;
    for to in ["+15005550006", "+4930123456", "+1554999"] {
        let words = refused(&serve, 1, "transfer", json!({"to": to}), (403, "forbidden")).await;
        assert!(
            words.contains(to) && words.contains("allow_destinations"),
            "{words}"
        );
    }
    accepted(&serve, 1, "transfer", json!({"to": "+442079460000"})).await;
}

/// The TwiML of a stream, from its tag to its end.
fn stream_of(answer: &str) -> &str {
    let from = answer.find("<Connect").expect("it connects");
    let to = answer.find("</Connect>").expect("it ends");
    &answer[from..to]
}

/// What stands there of the proof differs from time to time.
fn without_proof(twiml: &str) -> String {
    let (before, proof) = twiml.split_once(r#"name="auth" value=""#).unwrap();
    let (_, after) = proof.split_once('"').unwrap();
    format!("{before}{after}")
}

#[tokio::test]
async fn keys_are_pressed_on_a_bidirectional_call_and_the_same_stream_comes_back() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    let answer = voice(&serve, "/voice/talk", 1).await;
    let first = stream(&serve, &answer, 1, 1, INBOUND).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    accepted(&serve, 1, "dtmf", json!({"digits": "1w2*#"})).await;
    let asked = rest.request(0).await;
    assert_eq!(asked.what, path(1));
    let beginning = r#"<Response><Play digits="1w2*#"/><Connect "#;
    assert!(asked.twiml().starts_with(beginning), "{asked:?}");
    assert_eq!(
        without_proof(stream_of(asked.twiml())),
        without_proof(stream_of(answer.twiml()))
    );
    // As Twilio does: the stream stops, the keys are pressed, and the stream comes back.
    first.stop(1).await;
    let again = Answer {
        body: asked.twiml().to_owned(),
        ..answer
    };
    let second = stream(&serve, &again, 1, 2, INBOUND).await;
    let is_back = |call: &Value| call["stream_sid"] == stream_sid(2);
    let call = call_until(&serve, &call_sid(1), is_back).await;
    assert_eq!((&call["from"], &call["to"]), (&json!(FROM), &json!(TO)));
    second.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(of_the_call(&events), ["call.started", "call.ended"]);
}

#[tokio::test]
async fn keys_are_pressed_on_an_open_line_and_it_stays_open() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    let stream = answered(&serve, "/voice/ear", 1, BOTH).await;
    accepted(&serve, 1, "dtmf", json!({"digits": "0"})).await;
    let expected = r#"<Response><Play digits="0"/><Pause length="90"/></Response>"#;
    assert_eq!(rest.request(0).await.twiml(), expected);
    stream.stop(1).await;

    let _stream = answered(&serve, "/voice/desk", 2, BOTH).await;
    let busy = (409, "not_possible");
    refused(&serve, 2, "dtmf", json!({"digits": "0"}), busy).await;
    assert_eq!(rest.asked().len(), 1);
}

#[tokio::test]
async fn what_is_no_order_is_told_what_it_has_to_be() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    let _stream = answered(&serve, "/voice/talk", 1, INBOUND).await;
    for (what, body, expected) in [
        ("transfer", json!({}), "missing field `to`"),
        ("transfer", json!({"to": 15551230002_u64}), "to: "),
        ("transfer", json!({"to": "sales"}), "+15551230002"),
        (
            "transfer",
            json!({"number": "+15551230002"}),
            "expected `to`",
        ),
        (
            "transfer",
            json!({"to": "+15551230002", "from": "+1"}),
            "unknown field `from`",
        ),
        ("transfer", json!("+15551230002"), "JSON object"),
        ("dtmf", json!({"digits": 12}), "expected a string"),
        ("dtmf", json!({"digits": ""}), "0123456789*#w"),
        ("dtmf", json!({"digits": "12A"}), "0123456789*#w"),
        ("dtmf", json!({"digits": "1".repeat(61)}), "1 to 60"),
        (
            "dtmf",
            json!({"digits": "1", "pause": true}),
            "expected `digits`",
        ),
    ] {
        let words = refused(&serve, 1, what, body, (400, "invalid_request")).await;
        assert!(words.contains(expected), "{words}");
    }
    let long = json!({"digits": "1".repeat(300 * 1024)});
    refused(&serve, 1, "dtmf", long, (413, "too_large")).await;
    for (what, body) in [
        ("hangup", Value::Null),
        ("transfer", json!({"to": "+15551230002"})),
        ("dtmf", json!({"digits": "1"})),
    ] {
        refused(&serve, 9, what, body, (404, "call_not_found")).await;
    }
    assert!(rest.asked().is_empty());
}

#[tokio::test]
async fn what_twilio_says_against_it_is_told() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    let _stream = answered(&serve, "/voice/talk", 1, INBOUND).await;
    let unavailable = (503, "twilio_unavailable");
    rest.refuses(401, 20003, "Authenticate");
    let words = refused(&serve, 1, "hangup", Value::Null, unavailable).await;
    assert!(words.contains("Authenticate (error 20003"), "{words}");
    // An error of Twilio's that may pass is met with another try, where that does no harm.
    rest.answers(500, "");
    accepted(&serve, 1, "hangup", Value::Null).await;
    rest.answers(500, "");
    let before = rest.asked().len();
    let body = json!({"to": "+15551230002"});
    refused(&serve, 1, "transfer", body, unavailable).await;
    assert_eq!(rest.asked().len(), before + 1);
    drop(rest);
    let words = refused(&serve, 1, "hangup", Value::Null, unavailable).await;
    assert!(words.contains("cannot be reached"), "{words}");
}

#[tokio::test]
async fn what_comes_after_a_stream_is_the_end_unless_the_call_was_lost() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    let next = |call, profile: &str, status: &'static str| {
        let path = format!("/voice/{profile}/next");
        let serve = &serve;
        async move { outbound(serve, &path, call, status, &[]).await }
    };
    const HANG_UP: &str = "<Response><Hangup/></Response>";
    let stream = answered(&serve, "/voice/talk", 1, INBOUND).await;
    stream.stop(1).await;
    ended(&serve, &call_sid(1)).await;
    assert_eq!(next(1, "talk", "in-progress").await.twiml(), HANG_UP);

    // A process that died held this call.
    let again = next(2, "talk", "in-progress").await;
    assert!(
        again.twiml().starts_with("<Response><Connect action="),
        "{again:?}"
    );
    let lost = stream_of(again.twiml()).to_owned();
    assert!(lost.contains(&serve.http("/voice/talk/next")), "{lost}");
    let stream = self::stream(&serve, &again, 2, 2, INBOUND).await;
    call_until(&serve, &call_sid(2), |call| call["status"] == "live").await;
    stream.stop(2).await;

    // But not over and over, nor one that is over, nor one that only listens.
    assert!(
        next(3, "talk", "in-progress")
            .await
            .twiml()
            .contains("<Connect")
    );
    assert_eq!(next(3, "talk", "in-progress").await.twiml(), HANG_UP);
    assert_eq!(next(4, "talk", "completed").await.twiml(), HANG_UP);
    assert_eq!(next(5, "ear", "in-progress").await.twiml(), HANG_UP);
}

#[tokio::test]
async fn keys_are_not_pressed_twice_and_calls_are_fetched_as_they_are() {
    let rest = Rest::start().await;
    let (serve, _recorder) = started(rest.serve()).await;
    let _stream = answered(&serve, "/voice/ear", 1, BOTH).await;
    rest.answers(502, "<html>bad gateway</html>");
    let (status, problem) = order_of(&serve, 1, "dtmf", json!({"digits": "1"})).await;
    assert_eq!(
        (status, &problem["code"]),
        (503, &json!("twilio_unavailable"))
    );
    rest.answers(
        429,
        r#"{"code":20429,"message":"Too Many Requests","status":429}"#,
    );
    rest.answers(200, &call(1, "in-progress"));
    accepted(&serve, 1, "dtmf", json!({"digits": "1"})).await;
    assert_eq!(rest.asked().len(), 3);
    assert_eq!(
        of_the_call(&events(&serve, &call_sid(1)).await),
        ["call.started"]
    );
}
