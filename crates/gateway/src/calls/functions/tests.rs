use std::sync::Mutex;

use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response as Answer};
use axum::routing::any;
use http::HeaderMap;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::Notify;
use url::Url;

use super::*;
use crate::calls::testing;
use crate::standard_webhooks::WebhookSecret;

const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";

type Answers = fn() -> Answer;

/// Somebody who answers functions.
struct Orders {
    url: Url,
    seen: Arc<Seen>,
}

/// What was asked, and what is answered to it: by turns, the last one again and again.
struct Seen {
    requests: Mutex<Vec<(HeaderMap, Bytes)>>,
    answers: Vec<Answers>,
    arrived: Notify,
}

impl Orders {
    async fn answering(answers: &[Answers]) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let seen = Arc::new(Seen {
            requests: Mutex::default(),
            answers: answers.to_vec(),
            arrived: Notify::new(),
        });
        let router = Router::new()
            .fallback(any(answer_next))
            .with_state(Arc::clone(&seen));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let url = format!("http://user:pass@{address}/orders?key=s3cret");
        let url = url.parse().unwrap();
        Self { url, seen }
    }

    fn requests(&self) -> Vec<(HeaderMap, Bytes)> {
        self.seen.requests.lock().unwrap().clone()
    }
}

async fn answer_next(State(seen): State<Arc<Seen>>, headers: HeaderMap, body: Bytes) -> Answer {
    let answer = {
        let mut requests = seen.requests.lock().unwrap();
        requests.push((headers, body));
        let last = seen.answers.len().checked_sub(1);
        last.map(|last| seen.answers[last.min(requests.len() - 1)])
    };
    seen.arrived.notify_one();
    match answer {
        Some(answer) => answer(),
        None => std::future::pending().await,
    }
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {"id": {"type": "string"}, "count": {"type": "integer"}},
        "required": ["id"],
    })
}

fn functions() -> Arc<Functions> {
    Arc::new(Functions::new(&testing::config()).unwrap())
}

fn webhook(url: &Url, is_idempotent: bool) -> Webhook {
    let secret = WebhookSecret::parse(SECRET).unwrap();
    Webhook::new(url.clone(), &schema(), Some(secret), is_idempotent).unwrap()
}

fn call(functions: &Arc<Functions>, webhook: &Webhook, arguments: &str) -> BoxedOutcome {
    let call = Call {
        from: Some("+15550001".to_owned()),
        ..testing::call(1)
    };
    Box::pin(functions.call(
        webhook,
        &FunctionCall {
            call: &call,
            id: "func_1",
            name: "lookup_order",
            arguments,
        },
    ))
}

type BoxedOutcome = std::pin::Pin<Box<dyn Future<Output = FunctionOutcome> + Send>>;

#[track_caller]
fn words(outcome: FunctionOutcome) -> String {
    match outcome {
        FunctionOutcome::Failed(words) => {
            for secret in ["user", "pass", "s3cret", "127.0.0.1"] {
                assert!(!words.contains(secret), "{words}");
            }
            words
        }
        FunctionOutcome::Ok(content) => panic!("it succeeded: {content}"),
    }
}

#[track_caller]
fn content(outcome: FunctionOutcome) -> String {
    match outcome {
        FunctionOutcome::Ok(content) => content,
        FunctionOutcome::Failed(words) => panic!("it failed: {words}"),
    }
}

fn found() -> Answer {
    r#"{"status": "shipped"}"#.into_response()
}

fn broken() -> Answer {
    StatusCode::INTERNAL_SERVER_ERROR.into_response()
}

#[tokio::test]
async fn a_webhook_is_told_the_call_the_function_and_its_arguments() {
    let orders = Orders::answering(&[found]).await;
    let asked = call(&functions(), &webhook(&orders.url, false), r#"{"id":"A7"}"#);
    assert_eq!(content(asked.await), r#"{"status": "shipped"}"#);
    let [(headers, body)] = orders.requests().try_into().unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(
        body,
        json!({
            "call": {
                "call_sid": "CA00000000000000000000000000000001", "from": "+15550001", "to": null,
                "direction": null, "profile": "default", "custom_parameters": {},
            },
            "function": {"id": "func_1", "name": "lookup_order"},
            "arguments": {"id": "A7"},
        })
    );
    assert_eq!(headers["content-type"], "application/json");
}

#[tokio::test]
async fn a_webhook_can_tell_by_its_secret_who_asks() {
    let orders = Orders::answering(&[found]).await;
    let asked = call(&functions(), &webhook(&orders.url, false), r#"{"id":"A7"}"#);
    content(asked.await);
    let [(headers, body)] = orders.requests().try_into().unwrap();
    let text = |name: &str| headers[name].to_str().unwrap();
    let sent_at = Timestamp::from_second(text("webhook-timestamp").parse().unwrap()).unwrap();
    let age = Timestamp::now().duration_since(sent_at);
    assert!(age.as_secs().abs() < 60, "{age:?}");
    let secret = WebhookSecret::parse(SECRET).unwrap();
    let signed = standard_webhooks::headers(Some(&secret), text("webhook-id"), sent_at, &body);
    assert_eq!(headers["webhook-signature"], signed["webhook-signature"]);
}

#[tokio::test]
async fn arguments_that_do_not_fit_are_refused_before_anybody_is_asked() {
    let orders = Orders::answering(&[found]).await;
    let webhook = webhook(&orders.url, true);
    for (arguments, expected) in [
        (r#"{"id": 7}"#, "at /id"),
        (r#"{"count": 1}"#, "\"id\" is a required property"),
        (r#"["A7"]"#, "object"),
        ("", "not JSON"),
        (r#"{"id": "A7""#, "not JSON"),
    ] {
        let words = words(call(&functions(), &webhook, arguments).await);
        assert!(words.contains(expected), "{arguments}: {words}");
    }
    assert!(orders.requests().is_empty());
}

#[tokio::test]
async fn what_may_be_asked_twice_is_asked_again_under_the_same_id() {
    fn busy() -> Answer {
        StatusCode::TOO_MANY_REQUESTS.into_response()
    }
    let orders = Orders::answering(&[broken, busy, found]).await;
    let asked = call(&functions(), &webhook(&orders.url, true), r#"{"id":"A7"}"#);
    assert_eq!(content(asked.await), r#"{"status": "shipped"}"#);
    let requests = orders.requests();
    assert_eq!(requests.len(), 3);
    for (headers, body) in &requests[1..] {
        assert_eq!(headers["webhook-id"], requests[0].0["webhook-id"]);
        assert_eq!(*body, requests[0].1);
    }

    content(call(&functions(), &webhook(&orders.url, true), r#"{"id":"A7"}"#).await);
    let another = &orders.requests()[3].0["webhook-id"];
    assert_ne!(*another, requests[0].0["webhook-id"]);
}

#[tokio::test]
async fn what_fails_for_good_is_told_and_asked_once() {
    fn unknown() -> Answer {
        StatusCode::NOT_FOUND.into_response()
    }
    fn elsewhere() -> Answer {
        (
            StatusCode::TEMPORARY_REDIRECT,
            [(header::LOCATION, "/elsewhere")],
        )
            .into_response()
    }
    fn long() -> Answer {
        "x".repeat(MAX_ANSWER_BYTES + 1).into_response()
    }
    fn no_text() -> Answer {
        vec![0xff, 0xfe].into_response()
    }
    let cases: [(Answers, bool, &str); 5] = [
        (broken, false, "lookup_order answered 500"),
        (unknown, true, "lookup_order answered 404"),
        (elsewhere, true, "lookup_order answered 307"),
        (long, true, "longer than 65536 bytes"),
        (no_text, true, "no text"),
    ];
    for (answer, is_idempotent, expected) in cases {
        let orders = Orders::answering(&[answer]).await;
        let webhook = webhook(&orders.url, is_idempotent);
        let words = words(call(&functions(), &webhook, r#"{"id":"A7"}"#).await);
        assert!(words.contains(expected), "{words}");
        assert_eq!(orders.requests().len(), 1, "{expected}");
    }
}

#[tokio::test]
async fn an_answer_may_be_as_long_as_64_kib_or_empty() {
    fn longest() -> Answer {
        "x".repeat(MAX_ANSWER_BYTES).into_response()
    }
    fn nothing() -> Answer {
        StatusCode::NO_CONTENT.into_response()
    }
    let orders = Orders::answering(&[longest, nothing]).await;
    let webhook = webhook(&orders.url, false);
    let answered = content(call(&functions(), &webhook, r#"{"id":"A7"}"#).await);
    assert_eq!(answered.len(), MAX_ANSWER_BYTES);
    let answered = content(call(&functions(), &webhook, r#"{"id":"A7"}"#).await);
    assert_eq!(answered, "done");
}

#[tokio::test]
async fn nobody_there_is_told() {
    let webhook = webhook(&"http://127.0.0.1:9/".parse().unwrap(), true);
    let words = words(call(&functions(), &webhook, r#"{"id":"A7"}"#).await);
    assert!(
        words.contains("lookup_order could not be reached"),
        "{words}"
    );
}

#[tokio::test]
async fn who_never_answers_is_given_8_s() {
    let orders = Orders::answering(&[]).await;
    let asked = call(&functions(), &webhook(&orders.url, true), r#"{"id":"A7"}"#);
    let words = words(asked.await);
    assert_eq!(words, "lookup_order did not answer within 8 s");
}

#[tokio::test]
async fn functions_are_called_side_by_side_and_no_more_than_there_is_room_for() {
    let orders = Orders::answering(&[]).await;
    let (functions, webhook) = (functions(), webhook(&orders.url, false));
    let mut asked: Vec<_> = (0..3)
        .map(|_| call(&functions, &webhook, r#"{"id":"A7"}"#))
        .collect();
    let all_arrived = async {
        while orders.requests().len() < 3 {
            orders.seen.arrived.notified().await;
        }
    };
    tokio::select! {
        _ = futures_util::future::select_all(&mut asked) => panic!("nobody answers"),
        () = all_arrived => {}
    }
    let room = functions.turns.available_permits();
    assert_eq!(room, MOST_AT_ONCE - 3);

    let _taken = functions
        .turns
        .try_acquire_many(u32::try_from(room).unwrap())
        .unwrap();
    let words = words(call(&functions, &webhook, r#"{"id":"A7"}"#).await);
    assert!(words.contains("too many functions"), "{words}");

    // What is given up makes room.
    asked.pop();
    assert_eq!(functions.turns.available_permits(), 1);
}
