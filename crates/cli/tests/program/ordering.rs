//! Ordering something of the API: what acts on calls.

use serde_json::{Value, json};

use crate::requests::{self, Answer, FROM, TO};
use crate::serve::{Serve, soon};
use crate::twilio::{ACCOUNT, Stream, TOKEN, call_sid};

/// POSTs JSON to a path of the API, or nothing for null: status and body.
pub(crate) async fn order(serve: &Serve, path: &str, body: &Value) -> (u16, Value) {
    let url = serve.http(&format!("/api/v1{path}"));
    let body = if body.is_null() {
        String::new()
    } else {
        body.to_string()
    };
    let request = reqwest::Client::new().post(url).body(body);
    let response = soon(path, request.send()).await.unwrap();
    let status = response.status().as_u16();
    let text = response.text().await.unwrap();
    let body: Value = serde_json::from_str(&text).unwrap_or(Value::Null);
    if status >= 400 {
        assert_eq!(body["status"], status, "{body}");
        assert!(body["detail"].is_string(), "{body}");
    }
    (status, body)
}

/// The same for something that is to be done to a call.
pub(crate) async fn order_of(serve: &Serve, call: u32, what: &str, body: Value) -> (u16, Value) {
    order(serve, &format!("/calls/{}/{what}", call_sid(call)), &body).await
}

/// Sees that it is accepted.
pub(crate) async fn accepted(serve: &Serve, call: u32, what: &str, body: Value) {
    let answered = order_of(serve, call, what, body).await;
    assert_eq!(answered, (202, json!({})), "{what}");
}

/// Sees that it is refused, and gives the words.
pub(crate) async fn refused(
    serve: &Serve,
    call: u32,
    what: &str,
    body: Value,
    expected: (u16, &str),
) -> String {
    let (status, problem) = order_of(serve, call, what, body).await;
    let code = problem["code"].as_str().unwrap_or_default();
    assert_eq!((status, code), expected, "{what}: {problem}");
    problem["detail"].as_str().unwrap().to_owned()
}

/// The voice webhook of a call, signed.
pub(crate) async fn voice(serve: &Serve, path: &str, call: u32) -> Answer {
    let url = serve.http(path);
    requests::voice(serve, path, call)
        .signed(TOKEN, &url)
        .post()
        .await
}

/// What Twilio asks and tells of a call that was placed: the status, and further fields.
pub(crate) async fn outbound(
    serve: &Serve,
    path: &str,
    call: u32,
    status: &str,
    more: &[(&str, &str)],
) -> Answer {
    let call_sid = call_sid(call);
    let mut fields = vec![
        ("AccountSid", ACCOUNT),
        ("CallSid", call_sid.as_str()),
        ("CallStatus", status),
        ("Direction", "outbound-api"),
        ("From", TO),
        ("To", FROM),
    ];
    fields.extend(more);
    let url = serve.http(path);
    requests::to(serve, path, &fields)
        .signed(TOKEN, &url)
        .post()
        .await
}

/// Opens a stream whose handshake is signed, with what the answer to the voice webhook says that
/// it carries.
pub(crate) async fn stream(
    serve: &Serve,
    answer: &Answer,
    call: u32,
    stream: u32,
    tracks: &[&str],
) -> Stream {
    let parts = answer.body.split(r#"<Parameter name=""#).skip(1);
    let parameters: serde_json::Map<String, Value> = parts
        .map(|part| {
            let (name, rest) = part.split_once(r#"" value=""#).unwrap();
            let value = rest.split('"').next().unwrap();
            (name.to_owned(), Value::from(value))
        })
        .collect();
    let mut stream = Stream::signed(&serve.ws("/twilio"), stream).await;
    let parameters = Value::from(parameters).to_string();
    stream.say_start(call, tracks, &parameters).await;
    stream
}

/// Answers a call's voice webhook and opens its stream.
pub(crate) async fn answered(serve: &Serve, path: &str, call: u32, tracks: &[&str]) -> Stream {
    let answer = voice(serve, path, call).await;
    let stream = stream(serve, &answer, call, call, tracks).await;
    let is_live = |call: &Value| call["status"] == "live";
    crate::watching::call_until(serve, &call_sid(call), is_live).await;
    stream
}
