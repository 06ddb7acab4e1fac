use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::extract::Request as Incoming;
use axum::response::IntoResponse;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

use super::*;

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const ACTIVE: &str =
    r#"{"sid":"AC00000000000000000000000000000001","status":"active","type":"Full"}"#;
const BUSY: &str = r#"{"code":20429,"message":"Too Many Requests","more_info":"x","status":429}"#;

/// A Twilio that gives prepared answers, each once, and keeps what it was asked.
struct Prepared {
    twilio: config::Twilio,
    asked: Arc<Mutex<Vec<(String, String)>>>,
    _serving: DropGuard,
}

impl Prepared {
    async fn with(answers: &[(u16, &str)]) -> Self {
        let answers: VecDeque<(u16, String)> = answers
            .iter()
            .map(|(status, body)| (*status, (*body).to_owned()))
            .collect();
        let answers = Arc::new(Mutex::new(answers));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let routes = Router::new().fallback({
            let asked = Arc::clone(&asked);
            move |request: Incoming| async move {
                let authorization = request.headers()[header::AUTHORIZATION].to_str().unwrap();
                let line = format!("{} {}", request.method(), request.uri());
                asked.lock().unwrap().push((line, authorization.to_owned()));
                let (status, body) = answers.lock().unwrap().pop_front().unwrap();
                let status = StatusCode::from_u16(status).unwrap();
                (status, [(header::LOCATION, "/elsewhere")], body).into_response()
            }
        });
        let serving = stop.clone();
        tokio::spawn(serving.run_until_cancelled_owned(async {
            axum::serve(listener, routes).await.unwrap();
        }));
        Self {
            twilio: config::Twilio {
                account_sid: Some(ACCOUNT.parse().unwrap()),
                auth_tokens: vec!["hush".into(), "older".into()],
                api_url: format!("http://{address}").parse().unwrap(),
                allow_destinations: None,
            },
            asked,
            _serving: stop.drop_guard(),
        }
    }

    fn client(&self) -> TwilioRest {
        TwilioRest::new(&self.twilio).unwrap()
    }

    fn asked(&self) -> Vec<String> {
        let asked = self.asked.lock().unwrap();
        asked.iter().map(|(line, _)| line.clone()).collect()
    }
}

#[tokio::test]
async fn the_account_is_asked_for_with_its_first_token() {
    let mut prepared = Prepared::with(&[(200, ACTIVE)]).await;
    let with_version = format!("{}2010-04-01/", prepared.twilio.api_url);
    prepared.twilio.api_url = with_version.parse().unwrap();
    let account = prepared.client().account().await.unwrap();
    assert_eq!(account.status.name(), "active");
    assert_eq!(
        prepared.asked(),
        [format!("GET /2010-04-01/Accounts/{ACCOUNT}.json")]
    );
    let expected = format!("Basic {}", STANDARD.encode(format!("{ACCOUNT}:hush")));
    assert_eq!(prepared.asked.lock().unwrap()[0].1, expected);
}

#[tokio::test]
async fn a_credential_that_is_missing_is_named() {
    let named = |twilio: &config::Twilio| TwilioRest::new(twilio).unwrap_err().to_string();
    let mut twilio = config::Twilio::default();
    assert!(named(&twilio).starts_with("TWILIO_ACCOUNT_SID is not set"));
    twilio.account_sid = Some(ACCOUNT.parse().unwrap());
    assert!(named(&twilio).starts_with("TWILIO_AUTH_TOKEN is not set"));
}

#[tokio::test]
async fn a_request_that_is_one_too_many_is_sent_again() {
    let answers = [(429, BUSY), (429, ""), (200, ACTIVE)];
    let prepared = Prepared::with(&answers).await;
    prepared.client().account().await.unwrap();
    assert_eq!(prepared.asked().len(), 3);
}

#[tokio::test]
async fn what_twilio_refuses_is_told_in_its_words_and_not_asked_again() {
    let wrong = r#"{"code":20003,"message":"Authenticate","more_info":"x","status":401}"#;
    let answers = [(401, wrong), (404, "{}"), (302, "")];
    let prepared = Prepared::with(&answers).await;
    let client = prepared.client();
    let refused = client.account().await.unwrap_err();
    assert!(refused.is_unauthorized());
    assert_eq!(
        refused.to_string(),
        "Twilio answered 401 Unauthorized: Authenticate (error 20003, \
         https://www.twilio.com/docs/errors/20003)"
    );
    assert!(client.account().await.unwrap_err().is_not_found());
    let moved = client.account().await.unwrap_err().to_string();
    assert!(moved.starts_with("Twilio answered 302 Found"), "{moved}");
    assert_eq!(prepared.asked().len(), 3);
}

fn call_sid() -> CallSid {
    "CA00000000000000000000000000000002".parse().unwrap()
}

const IN_PROGRESS: &str = r#"{"sid":"CA00000000000000000000000000000002","status":"in-progress"}"#;

#[tokio::test]
async fn a_failure_that_may_pass_is_met_with_two_more_tries_where_they_do_no_harm() {
    let failures = [(503, "<html>"), (500, ""), (502, "")];
    let prepared = Prepared::with(&failures).await;
    let error = prepared.client().call(&call_sid()).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "Twilio answered 502 Bad Gateway: it gave no reason"
    );
    assert_eq!(prepared.asked().len(), 3);
    let prepared = Prepared::with(&[(500, ""), (200, IN_PROGRESS)]).await;
    prepared.client().hang_up(&call_sid()).await.unwrap();
}

#[tokio::test]
async fn a_call_is_placed_once_and_keys_are_pressed_once_whatever_comes_of_it() {
    let call = NewCall {
        to: "+15551230002".into(),
        from: "+15005550006".into(),
        url: "https://voice.example.com/voice".into(),
        status_callback: "https://voice.example.com/twilio/call-status".into(),
        timeout_secs: None,
        machine_detection: None,
    };
    let prepared = Prepared::with(&[(500, ""), (500, ""), (429, BUSY), (201, IN_PROGRESS)]).await;
    let client = prepared.client();
    assert!(client.create_call(&call).await.is_err());
    let document = twiml::Response::default();
    assert!(client.redirect(&call_sid(), &document).await.is_err());
    assert_eq!(prepared.asked().len(), 2);
    // A request that was one too many was not done.
    assert_eq!(client.create_call(&call).await.unwrap().sid, call_sid());
}

#[tokio::test]
async fn a_call_that_is_over_is_hung_up() {
    let gone = r#"{"code":20404,"message":"not found","status":404}"#;
    let ended = r#"{"code":21220,"message":"Invalid call state","status":400}"#;
    let prepared = Prepared::with(&[(404, gone), (400, ended), (400, ended), (401, "{}")]).await;
    let client = prepared.client();
    client.hang_up(&call_sid()).await.unwrap();
    client.hang_up(&call_sid()).await.unwrap();
    let document = twiml::Response::default();
    let refused = client.redirect(&call_sid(), &document).await.unwrap_err();
    assert!(refused.says_call_is_over());
    assert!(client.hang_up(&call_sid()).await.is_err());
}

#[tokio::test]
async fn what_is_not_twilio_is_said_without_its_words() {
    let prepared = Prepared::with(&[(200, "<html>hello</html>")]).await;
    let error = prepared.client().account().await.unwrap_err().to_string();
    assert!(error.contains("is not of Twilio's REST API"), "{error}");
    assert!(!error.contains("hello"), "{error}");
}

#[tokio::test]
async fn nobody_there_is_said_with_the_address() {
    let mut twilio = Prepared::with(&[]).await.twilio;
    twilio.api_url = "http://127.0.0.1:9".parse().unwrap();
    let error = TwilioRest::new(&twilio).unwrap().account().await;
    let error = error.unwrap_err().to_string();
    assert!(error.contains("http://127.0.0.1:9"), "{error}");
    assert!(!error.contains("hush"), "{error}");
}

#[tokio::test]
async fn a_number_is_the_one_that_was_meant_and_a_list_is_read_to_its_end() {
    let number = |n: u32| format!(r#"{{"sid":"PN{n:032x}","phone_number":"+1555000{n:04}"}}"#);
    let page = |numbers: &[u32], next: &str| {
        let numbers: Vec<String> = numbers.iter().map(|n| number(*n)).collect();
        format!(
            r#"{{"incoming_phone_numbers":[{}],"next_page_uri":{next}}}"#,
            numbers.join(",")
        )
    };
    let found = page(&[11, 1], "null");
    let first = page(&[1, 2], r#""/2010-04-01/next?Page=1""#);
    let last = page(&[3], "null");
    let prepared = Prepared::with(&[(200, &found), (200, &first), (200, &last)]).await;
    let client = prepared.client();
    let number = client.phone_number("+15550000001").await.unwrap().unwrap();
    assert_eq!(number.phone_number, "+15550000001");
    assert_eq!(client.phone_numbers().await.unwrap().len(), 3);
    assert_eq!(prepared.asked()[2], "GET /2010-04-01/next?Page=1");
}

#[tokio::test]
async fn the_token_is_in_no_debug_text() {
    let prepared = Prepared::with(&[]).await;
    let debug = format!("{:?} {:?}", prepared.client(), prepared.twilio);
    let encoded = STANDARD.encode(format!("{ACCOUNT}:hush"));
    assert!(
        !debug.contains("hush") && !debug.contains(&encoded),
        "{debug}"
    );
}
