//! Calls that are placed and steered over REST, against a server that records what it is sent.

mod placing;
mod steering;
mod trunks;

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};

use crate::emulator::{Emulator, Options, TwilioAccount};
use crate::phone::tests::server::Server;
use crate::phone::{CallRecord, Exchange};

const ACCOUNT: &str = "AC00000000000000000000000000000001";
const FROM: &str = "+15005550006";
const PERSON: &str = "+14155550123";

/// An emulator, someone who asks it, and the server whose TwiML its calls follow.
struct Rest {
    emulator: Emulator,
    exchange: Exchange,
    client: Client,
    server: Server,
}

impl Rest {
    async fn start() -> Self {
        Self::with_interval(Duration::ZERO).await
    }

    async fn with_interval(call_interval: Duration) -> Self {
        let exchange = Exchange::default();
        let options = Options {
            twilio: TwilioAccount {
                call_interval,
                ..TwilioAccount::default()
            },
            exchange: exchange.clone(),
            seed: 7,
            ..Options::default()
        };
        let _installed_before = rustls::crypto::ring::default_provider()
            .install_default()
            .is_err();
        let server = Server::start().await;
        server.answers("/voice", "<Response><Pause length=\"60\"/></Response>");
        Self {
            emulator: Emulator::start(options).await.unwrap(),
            exchange,
            client: Client::new(),
            server,
        }
    }

    fn url(&self, path: &str) -> String {
        let base = self.emulator.http_url();
        format!("{base}2010-04-01/Accounts/{ACCOUNT}/Calls{path}")
    }

    async fn get(&self, path: &str) -> (u16, Value) {
        self.answer(self.client.get(self.url(path))).await
    }

    async fn post(&self, path: &str, form: &[(&str, &str)]) -> (u16, Value) {
        self.answer(self.client.post(self.url(path)).form(form))
            .await
    }

    async fn answer(&self, request: reqwest::RequestBuilder) -> (u16, Value) {
        let response = request.basic_auth(ACCOUNT, Some("emulated")).send().await;
        let response = response.unwrap();
        (response.status().as_u16(), response.json().await.unwrap())
    }

    /// Places a call to `to` that asks `/voice` what to do; its sid.
    async fn place(&self, to: &str, further: &[(&str, &str)]) -> String {
        let voice = self.server.http("/voice");
        let mut form = vec![("To", to), ("From", FROM), ("Url", voice.as_str())];
        form.extend(further);
        let (status, call) = self.post(".json", &form).await;
        assert_eq!((status, &call["status"]), (201, &json!("queued")), "{call}");
        call["sid"].as_str().unwrap().to_owned()
    }

    async fn update(&self, call_sid: &str, form: &[(&str, &str)]) -> (u16, Value) {
        self.post(&format!("/{call_sid}.json"), form).await
    }

    /// The call, once it is as it should be.
    async fn until(&self, call_sid: &str, is_so: impl Fn(&CallRecord) -> bool) -> CallRecord {
        soon(|| {
            let mut calls = self.exchange.calls().into_iter();
            calls.find(|call| call.call_sid.as_str() == call_sid && is_so(call))
        })
        .await
    }

    async fn until_status(&self, call_sid: &str, status: &str) -> CallRecord {
        self.until(call_sid, |call| call.status.name() == status)
            .await
    }

    /// The only call, once it has this status.
    async fn until_any(&self, status: &str) -> CallRecord {
        soon(|| {
            let mut calls = self.exchange.calls().into_iter();
            calls.find(|call| call.status.name() == status)
        })
        .await
    }

    /// Number and status of the callbacks at `path`, once there are so many.
    async fn told(&self, path: &str, count: usize) -> Vec<(String, String)> {
        let mut told = soon(|| {
            let forms = self.server.forms(path);
            (forms.len() >= count).then(|| {
                let value = |form: &sidetone_twilio::form::Form, key: &str| {
                    form.value(key).unwrap_or_default().to_owned()
                };
                let told = forms.iter();
                told.map(|form| (value(form, "SequenceNumber"), value(form, "CallStatus")))
                    .collect::<Vec<_>>()
            })
        })
        .await;
        told.sort();
        told
    }
}

/// What there is before long.
async fn soon<T>(look: impl Fn() -> Option<T>) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(tokio::time::Instant::now() < deadline, "it does not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

fn words(call: &CallRecord) -> Vec<&str> {
    call.heard.iter().map(|heard| heard.word.as_str()).collect()
}

fn numbered(statuses: &[&str]) -> Vec<(String, String)> {
    let numbered = statuses.iter().enumerate();
    numbered
        .map(|(number, status)| (number.to_string(), (*status).to_owned()))
        .collect()
}
