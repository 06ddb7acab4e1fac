//! Calls that are placed: who answers, and what is told of it.

use std::time::Duration;

use serde_json::{Value, json};

use super::{FROM, PERSON, Rest, numbered, soon, words};
use crate::phone::Subscriber;

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
