use reqwest::{Client, RequestBuilder};
use serde_json::{Value, json};

use super::TwilioAccount;
use crate::emulator::{Emulator, Options};

/// An emulator, and someone who asks it.
struct Rest {
    emulator: Emulator,
    client: Client,
}

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const NUMBER: &str = "PN00000000000000000000000000000001";

impl Rest {
    async fn start(faults: &[&str]) -> Self {
        let twilio = TwilioAccount {
            numbers: vec!["+15005550006".to_owned(), "+442079460000".to_owned()],
            ..TwilioAccount::default()
        };
        let options = Options {
            twilio,
            faults: faults.iter().map(|text| text.parse().unwrap()).collect(),
            ..Options::default()
        };
        let _installed_before = rustls::crypto::ring::default_provider()
            .install_default()
            .is_err();
        Self {
            emulator: Emulator::start(options).await.unwrap(),
            client: Client::new(),
        }
    }

    fn url(&self, path: &str) -> String {
        format!("{}2010-04-01/Accounts{path}", self.emulator.http_url())
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        ask(self.client.get(self.url(path))).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        ask(self.client.post(self.url(path)).form(form)).await
    }
}

async fn ask(request: RequestBuilder) -> (u16, Value) {
    answer(request.basic_auth(ACCOUNT, Some("emulated"))).await
}

async fn answer(request: RequestBuilder) -> (u16, Value) {
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

#[tokio::test]
async fn the_account_is_told_to_who_knows_its_token() {
    let rest = Rest::start(&[]).await;
    let path = format!("/{ACCOUNT}.json");
    let (status, account) = rest.get(&path).await;
    assert_eq!(status, 200);
    assert_eq!(
        (&account["sid"], &account["status"]),
        (&json!(ACCOUNT), &json!("active"))
    );
    assert!(!account.to_string().contains("auth_token"), "{account}");

    let request = || rest.client.get(rest.url(&path));
    for wrong in [
        request(),
        request().basic_auth(ACCOUNT, Some("wrong")),
        request().basic_auth(format!("AC{:032x}", 2), Some("emulated")),
        request().bearer_auth("emulated"),
    ] {
        let told = json!({
            "code": 20003,
            "message": "Authenticate",
            "more_info": "https://www.twilio.com/docs/errors/20003",
            "status": 401,
        });
        assert_eq!(answer(wrong).await, (401, told));
    }
}

#[tokio::test]
async fn a_number_is_found_by_its_digits() {
    let rest = Rest::start(&[]).await;
    for (query, expected) in [
        ("", &["+15005550006", "+442079460000"][..]),
        ("?PhoneNumber=%2B15005550006", &["+15005550006"]),
        ("?PhoneNumber=+15005550006", &["+15005550006"]),
        ("?PhoneNumber=207946", &["+442079460000"]),
        ("?PhoneNumber=500555***6&PageSize=20", &["+15005550006"]),
        ("?PhoneNumber=%2B15550001", &[]),
    ] {
        let (status, page) = rest
            .get(&format!("/{ACCOUNT}/IncomingPhoneNumbers.json{query}"))
            .await;
        assert_eq!(status, 200);
        let numbers = page["incoming_phone_numbers"].as_array().unwrap();
        let found: Vec<&Value> = numbers
            .iter()
            .map(|number| &number["phone_number"])
            .collect();
        assert_eq!(found, expected, "{query}");
        assert_eq!(page["next_page_uri"], Value::Null);
    }
}

#[tokio::test]
async fn what_a_number_is_told_it_keeps() {
    let rest = Rest::start(&[]).await;
    let path = format!("/{ACCOUNT}/IncomingPhoneNumbers/{NUMBER}.json");
    let (_, before) = rest.get(&path).await;
    assert_eq!(
        (&before["voice_url"], &before["voice_method"]),
        (&json!(""), &json!("POST"))
    );
    assert_eq!(before["uri"], format!("/2010-04-01/Accounts{path}"));

    let told = [
        ("VoiceUrl", "https://example.com/voice"),
        ("VoiceMethod", "get"),
        ("StatusCallback", "https://example.com/twilio/call-status"),
        ("Unknown", "ignored"),
    ];
    let (status, answered) = rest.post(&path, &told).await;
    assert_eq!(status, 200);
    let (_, after) = rest.get(&path).await;
    assert_eq!(after, answered);
    assert_eq!(after["voice_url"], "https://example.com/voice");
    assert_eq!(after["voice_method"], "GET");
    assert_eq!(
        after["status_callback"],
        "https://example.com/twilio/call-status"
    );
    assert_eq!(after["status_callback_method"], "POST");
}

#[tokio::test]
async fn what_does_not_fit_changes_nothing() {
    let rest = Rest::start(&[]).await;
    let path = format!("/{ACCOUNT}/IncomingPhoneNumbers/{NUMBER}.json");
    let (_, before) = rest.get(&path).await;
    for (name, value, code) in [
        ("VoiceUrl", "example.com/voice", 21502),
        ("VoiceUrl", "ftp://example.com/", 21502),
        ("VoiceMethod", "PUT", 21503),
        ("StatusCallback", "nowhere", 21609),
    ] {
        let form = [("FriendlyName", "Desk"), (name, value)];
        let (status, problem) = rest.post(&path, &form).await;
        assert_eq!((status, &problem["code"]), (400, &json!(code)), "{problem}");
        assert!(problem["message"].as_str().unwrap().contains(value));
    }
    assert_eq!(rest.get(&path).await.1, before);
}

#[tokio::test]
async fn what_is_not_there_is_not_found() {
    let rest = Rest::start(&[]).await;
    let other = format!("AC{:032x}", 2);
    for path in [
        format!("/{other}.json"),
        format!("/{ACCOUNT}"),
        format!("/{other}/IncomingPhoneNumbers.json"),
        format!("/{ACCOUNT}/IncomingPhoneNumbers/PN{:032x}.json", 9),
        format!("/{other}/IncomingPhoneNumbers/{NUMBER}.json"),
        format!("/{ACCOUNT}/Nothing.json"),
    ] {
        let (status, problem) = rest.get(&path).await;
        let message = format!("The requested resource /2010-04-01/Accounts{path} was not found");
        assert_eq!(
            (status, &problem["code"], &problem["message"]),
            (404, &json!(20404), &json!(message))
        );
    }
}

#[tokio::test]
async fn requests_are_refused_on_request() {
    let rest = Rest::start(&["twilio-refuse:retry_after_secs=1,times=2"]).await;
    let path = format!("/{ACCOUNT}.json");
    for _ in 0..2 {
        let (status, problem) = rest.get(&path).await;
        assert_eq!((status, &problem["code"]), (429, &json!(20429)));
    }
    assert_eq!(rest.get(&path).await.0, 200);
}
