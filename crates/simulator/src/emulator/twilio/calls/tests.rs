//! Calls that are placed and steered over REST, against a server that records what it is sent.

use std::time::Duration;

use reqwest::Client;
use serde_json::{Value, json};
use sidetone_twilio::stream::Incoming;

use crate::emulator::{Emulator, Options, TwilioAccount};
use crate::phone::tests::server::Server;
use crate::phone::{self, CallRecord, Exchange, Party, Subscriber, Turn};

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

const EVERY_EVENT: [(&str, &str); 4] = [
    ("StatusCallbackEvent", "initiated"),
    ("StatusCallbackEvent", "ringing"),
    ("StatusCallbackEvent", "answered"),
    ("StatusCallbackEvent", "completed"),
];

#[tokio::test]
async fn a_person_answers_hears_the_document_and_everyone_is_told() {
    let rest = Rest::start().await;
    rest.server.answers(
        "/voice",
        "<Response><Say>Good morning</Say><Hangup/></Response>",
    );
    let callback = rest.server.http("/status");
    let mut further = vec![("StatusCallback", callback.as_str())];
    further.extend(EVERY_EVENT);
    let sid = rest.place(PERSON, &further).await;
    let call = rest.until_status(&sid, "completed").await;
    assert_eq!(words(&call), ["good", "morning"]);
    let expected = numbered(&["initiated", "ringing", "in-progress", "completed"]);
    assert_eq!(rest.told("/status", 4).await, expected);

    let voice = rest.server.form("/voice");
    for (key, value) in [
        ("CallSid", sid.as_str()),
        ("CallStatus", "in-progress"),
        ("Direction", "outbound-api"),
        ("From", FROM),
        ("To", PERSON),
    ] {
        assert_eq!(voice.value(key), Some(value), "{key}");
    }
    assert_eq!(voice.pairs().len(), 25, "no more than a real one has");

    // As the API tells it: texts or nothing, and dates of e-mail.
    let (status, told) = rest.get(&format!("/{sid}.json")).await;
    assert_eq!(status, 200);
    for (key, value) in [
        ("sid", json!(sid)),
        ("status", json!("completed")),
        ("direction", json!("outbound-api")),
        ("to_formatted", json!("(415) 555-0123")),
        ("phone_number_sid", json!(format!("PN{:032x}", 1))),
        ("answered_by", Value::Null),
        ("queue_time", json!("0")),
        ("parent_call_sid", Value::Null),
    ] {
        assert_eq!(told[key], value, "{key}");
    }
    for key in ["date_created", "start_time", "end_time"] {
        let date = told[key].as_str().unwrap();
        assert!(date.ends_with(" +0000") && date.len() == 31, "{date}");
    }
    assert!(told["duration"].is_string());
}

#[tokio::test]
async fn the_last_digits_of_a_number_say_what_becomes_of_a_call() {
    let rest = Rest::start().await;
    let callback = rest.server.http("/status");
    let further = [("StatusCallback", callback.as_str())];
    for (to, status, code) in [
        ("+14155550486", "busy", "486"),
        ("+14155550480", "no-answer", "487"),
        ("+14155550404", "failed", "404"),
    ] {
        let sid = rest.place(to, &further).await;
        let call = rest.until_status(&sid, status).await;
        assert_eq!(call.answered_at, None);
        let told = soon(|| {
            let mut told = rest.server.forms("/status").into_iter();
            told.find(|form| form.value("CallSid") == Some(&sid))
        })
        .await;
        assert_eq!(told.value("CallStatus"), Some(status));
        assert_eq!(
            told.value("SequenceNumber"),
            Some("0"),
            "of those asked for"
        );
        assert_eq!(told.value("SipResponseCode"), Some(code));
        assert_eq!(told.value("CallDuration"), Some("0"));
    }
    assert!(rest.server.forms("/voice").is_empty());
}

#[tokio::test]
async fn who_is_set_for_a_number_answers_there() {
    let rest = Rest::start().await;
    let bob = Subscriber {
        number: Some(PERSON.to_owned()),
        says: vec!["Bob speaking".to_owned()],
        ring_ms: Some(0),
        linger_ms: Some(200),
        ..Subscriber::default()
    };
    let callees = format!("{}_emulator/callees", rest.emulator.http_url());
    let body = json!({ "callees": [bob] });
    let set = rest.client.post(&callees).json(&body).send().await.unwrap();
    let set: Value = set.json().await.unwrap();
    assert_eq!(set, body);
    let stream = rest.server.ws("/stream");
    let twiml = format!(
        r#"<Response><Start><Stream url="{stream}"/></Start><Pause length="9"/></Response>"#
    );
    let form = [("To", PERSON), ("From", FROM), ("Twiml", twiml.as_str())];
    let (_, call) = rest.post(".json", &form).await;
    let call = rest
        .until_status(call["sid"].as_str().unwrap(), "completed")
        .await;
    let spoken: Vec<&str> = call.spoken.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(spoken, ["bob", "speaking"]);

    let unknown = json!({ "callees": [{ "answer": "sometimes" }] });
    let refused = rest.client.post(&callees).json(&unknown).send().await;
    let refused = refused.unwrap();
    assert_eq!(refused.status(), 400);
    let told = refused.text().await.unwrap();
    assert!(
        told.contains("sometimes") && told.contains("no-answer"),
        "{told}"
    );
    let calls = format!("{}_emulator/calls", rest.emulator.http_url());
    let calls = rest.client.get(calls).send().await.unwrap();
    let calls: Value = calls.json().await.unwrap();
    assert_eq!(calls["calls"][0]["spoken"][0]["track"], "inbound");
    assert_eq!(calls["calls"][0]["end"], "caller_hung_up");
}

#[tokio::test]
async fn a_machine_is_found_out_before_the_document_or_beside_it() {
    let rest = Rest::start().await;
    let machine = "+14155550200";
    let sid = rest.place(machine, &[("MachineDetection", "Enable")]).await;
    soon(|| rest.server.forms("/voice").pop()).await;
    let voice = rest.server.form("/voice");
    assert_eq!(voice.value("AnsweredBy"), Some("machine_start"));
    rest.update(&sid, &[("Status", "completed")]).await;

    let callback = rest.server.http("/amd");
    let further = [
        ("MachineDetection", "DetectMessageEnd"),
        ("AsyncAmd", "true"),
        ("AsyncAmdStatusCallback", callback.as_str()),
    ];
    let sid = rest.place(machine, &further).await;
    let told = soon(|| rest.server.forms("/amd").pop()).await;
    assert_eq!(told.value("CallSid"), Some(sid.as_str()));
    assert_eq!(told.value("AnsweredBy"), Some("machine_end_beep"));
    assert_eq!(rest.server.form("/voice").value("AnsweredBy"), None);
    let (_, call) = rest.get(&format!("/{sid}.json")).await;
    assert_eq!(call["answered_by"], "machine_end_beep");
}

#[tokio::test]
async fn calls_leave_the_queue_one_after_the_other() {
    let rest = Rest::with_interval(Duration::from_secs(1)).await;
    let started = tokio::time::Instant::now();
    let [first, second, third] = [
        rest.place(PERSON, &[]).await,
        rest.place(PERSON, &[]).await,
        rest.place(PERSON, &[]).await,
    ];
    let waited = |sid: &str| {
        let call = rest.exchange.find(sid).unwrap().record();
        (call.queued_ms, call.status.name().to_owned())
    };
    assert_eq!(waited(&first).0, 0);
    assert!(waited(&second).0 <= 1_000);
    rest.update(&third, &[("Status", "canceled")]).await;
    rest.until_status(&third, "canceled").await;
    rest.until_status(&second, "in-progress").await;
    assert!(started.elapsed() >= Duration::from_secs(1));

    let (_, page) = rest.get(".json?Status=in-progress&PageSize=1").await;
    assert_eq!(page["calls"][0]["sid"], second);
    assert!(
        page["next_page_uri"]
            .as_str()
            .unwrap()
            .contains("Status=in-progress")
    );
    let (_, page) = rest.get(".json?To=%2B14155550123&Status=canceled").await;
    assert_eq!(page["calls"][0]["sid"], third);
    assert_eq!(page["next_page_uri"], Value::Null);
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_its_code() {
    let rest = Rest::start().await;
    let url = ("Url", "https://example.com/voice");
    let long = "x".repeat(4_001);
    for (form, code) in [
        (&[("From", FROM), url][..], 21_201),
        (&[("To", PERSON), url], 21_213),
        (&[("To", "5551234567"), ("From", FROM), url], 21_211),
        (&[("To", PERSON), ("From", "anonymous"), url], 21_212),
        (&[("To", PERSON), ("From", "+15005550009"), url], 21_210),
        (&[("To", "+15005550001"), ("From", FROM), url], 21_217),
        (&[("To", "+15005550003"), ("From", FROM), url], 21_215),
        (&[("To", PERSON), ("From", FROM)], 21_205),
        (&[("To", PERSON), ("From", FROM), ("Url", "/voice")], 21_205),
        (
            &[("To", PERSON), ("From", FROM), url, ("Timeout", "601")],
            21_208,
        ),
        (
            &[("To", PERSON), ("From", FROM), url, ("Method", "PUT")],
            21_209,
        ),
        (
            &[("To", PERSON), ("From", FROM), url, ("SendDigits", "1-2")],
            21_206,
        ),
        (
            &[
                ("To", PERSON),
                ("From", FROM),
                url,
                ("StatusCallback", "here"),
            ],
            21_609,
        ),
        (
            &[
                ("To", PERSON),
                ("From", FROM),
                url,
                ("StatusCallbackEvent", "all"),
            ],
            20_001,
        ),
        (
            &[
                ("To", PERSON),
                ("From", FROM),
                url,
                ("MachineDetection", "yes"),
            ],
            20_001,
        ),
        (&[("To", PERSON), ("From", FROM), ("Twiml", &long)], 20_001),
    ] {
        let (status, problem) = rest.post(".json", form).await;
        assert_eq!((status, &problem["code"]), (400, &json!(code)), "{problem}");
        assert!(!problem["message"].as_str().unwrap().is_empty());
    }
    assert!(rest.exchange.calls().is_empty());
}

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
