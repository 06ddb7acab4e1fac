//! Calls that are placed from here, until their stream starts.

use serde_json::{Value, json};

use crate::deepgram::Recorder;
use crate::ordering::{accepted, order, outbound, refused, stream};
use crate::requests::{FROM, TO};
use crate::rest::{Rest, call};
use crate::serve::{Serve, soon};
use crate::twilio::{ACCOUNT, TOKEN, call_sid};
use crate::watching::{call_until, metric};
use crate::web::{ended, events, get, types};

const STATUS: &str = "/twilio/call-status";

fn placing() -> Value {
    json!({"to": FROM, "from": TO, "profile": "default", "parameters": {"tenant": "t-42"}})
}

fn placing_with(name: &str, value: Value) -> Value {
    let mut placing = placing();
    placing[name] = value;
    placing
}

/// Twilio tells what a call is at.
async fn told(serve: &Serve, call: u32, status: &str) {
    let answer = outbound(serve, STATUS, call, status, &[]).await;
    assert_eq!(answer.status, 204, "{answer:?}");
}

async fn sids(serve: &Serve, query: &str) -> Vec<String> {
    let (status, page) = get(serve, &format!("/api/v1/calls?{query}")).await;
    assert_eq!(status, 200, "{page}");
    let items = page["items"].as_array().unwrap().iter();
    items
        .map(|call| call["call_sid"].as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn a_placed_call_is_pending_until_its_stream_starts() {
    let rest = Rest::start().await;
    let recorder = Recorder::start().await;
    let serve = rest.serve().deepgram(&recorder.url).start().await;
    let (status, placed) = order(&serve, "/calls", &placing()).await;
    assert_eq!(status, 201, "{placed}");
    for (field, expected) in [
        ("call_sid", json!(call_sid(1))),
        ("status", json!("pending")),
        ("account_sid", json!(ACCOUNT)),
        ("direction", json!("outbound-api")),
        ("to", json!(FROM)),
        ("from", json!(TO)),
        ("profile", json!("default")),
        ("custom_parameters", json!({"tenant": "t-42"})),
        ("started_at", Value::Null),
        ("stream_sid", Value::Null),
        ("end_reason", Value::Null),
        ("last_seq", json!(0)),
    ] {
        assert_eq!(placed[field], expected, "{field}");
    }
    let asked = rest.request(0).await;
    assert_eq!(asked.what, "POST /Calls.json");
    assert_eq!((asked.field("To"), asked.field("From")), (FROM, TO));
    assert_eq!(asked.field("Url"), serve.http("/voice/default"));
    assert_eq!(asked.field("StatusCallback"), serve.http(STATUS));
    let all = ["initiated", "ringing", "answered", "completed"];
    assert_eq!(asked.all("StatusCallbackEvent"), all);
    assert!(asked.all("Timeout").is_empty() && asked.all("MachineDetection").is_empty());

    let path = format!("/api/v1/calls/{}", call_sid(1));
    assert_eq!(get(&serve, &path).await, (200, placed.clone()));
    assert_eq!(sids(&serve, "status=pending").await, [call_sid(1)]);
    assert_eq!(sids(&serve, "").await, [call_sid(1)]);
    assert!(sids(&serve, "status=live").await.is_empty());
    assert_eq!(metric(&serve, "sidetone_calls_live").await, 0.0);
    for status in ["initiated", "ringing", "ringing", "in-progress"] {
        told(&serve, 1, status).await;
    }
    assert!(events(&serve, &call_sid(1)).await.is_empty());

    let answer = outbound(&serve, "/voice/default", 1, "in-progress", &[]).await;
    assert_eq!(answer.parameter("tenant"), Some("t-42"));
    let stream = stream(&serve, &answer, 1, 1, &["inbound", "outbound"]).await;
    let live = call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    assert_eq!(live["custom_parameters"], json!({"tenant": "t-42"}));
    assert_eq!(live["direction"], "outbound-api");
    assert_eq!((&live["to"], &live["from"]), (&json!(FROM), &json!(TO)));
    assert!(sids(&serve, "status=pending").await.is_empty());
    assert_eq!(metric(&serve, "sidetone_calls_live").await, 1.0);
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(
        types(&events),
        [
            "call.started",
            "call.status",
            "call.ringing",
            "call.answered",
            "call.ended"
        ]
    );
    assert_eq!(events[0]["data"]["status"], "live");
    assert_eq!(events[1]["data"]["status"], "initiated");
}

#[tokio::test]
async fn who_waits_for_a_pending_calls_events_reads_them_from_the_first_on() {
    let rest = Rest::start().await;
    let recorder = Recorder::start().await;
    let serve = rest.serve().deepgram(&recorder.url).start().await;
    order(&serve, "/calls", &placing()).await;
    let url = serve.ws(&format!("/api/v1/calls/{}/events", call_sid(1)));
    let mut reader = crate::twilio::Socket::connect(&url, &[]).await.unwrap();
    told(&serve, 1, "ringing").await;
    let answer = outbound(&serve, "/voice/default", 1, "in-progress", &[]).await;
    let _stream = stream(&serve, &answer, 1, 1, &["inbound", "outbound"]).await;
    for (seq, name) in [(1, "call.started"), (2, "call.ringing")] {
        let event: Value = serde_json::from_str(&reader.text().await.unwrap()).unwrap();
        assert_eq!((&event["seq"], &event["type"]), (&json!(seq), &json!(name)));
    }
}

#[tokio::test]
async fn a_call_that_nobody_answers_ends_with_what_became_of_it() {
    let rest = Rest::start().await;
    let serve = rest.serve().start().await;
    let outcomes = [
        ("busy", "busy"),
        ("no-answer", "no_answer"),
        ("failed", "failed"),
        ("canceled", "canceled"),
    ];
    for (number, (status, reason)) in (1..).zip(outcomes) {
        rest.answers(201, &call(number, "queued"));
        assert_eq!(order(&serve, "/calls", &placing()).await.0, 201);
        told(&serve, number, "initiated").await;
        let code = [("SipResponseCode", "486")];
        let answer = outbound(&serve, STATUS, number, status, &code).await;
        assert_eq!(answer.status, 204);
        let events = ended(&serve, &call_sid(number)).await;
        assert_eq!(
            types(&events),
            ["call.started", "call.status", "call.status", "call.ended"]
        );
        assert_eq!(
            events[2]["data"],
            json!({"status": status, "sip_code": 486})
        );
        let call = &events[3]["data"];
        assert_eq!(
            (&call["status"], &call["end_reason"]),
            (&json!("ended"), &json!(reason))
        );
        assert!(call["ended_at"].is_string() && call["started_at"].is_string());
        let path = format!("/api/v1/calls/{}", call_sid(number));
        assert_eq!(&get(&serve, &path).await.1, call);
    }
    assert_eq!(sids(&serve, "status=ended").await.len(), outcomes.len());
    assert!(sids(&serve, "status=pending").await.is_empty());
    let ended = metric(&serve, "sidetone_calls_total").await;
    assert_eq!(
        (ended, metric(&serve, "sidetone_calls_live").await),
        (4.0, 0.0)
    );
}

#[tokio::test]
async fn twilio_may_tell_of_a_call_before_it_has_said_which_call_it_placed() {
    let rest = Rest::start().await;
    let recorder = Recorder::start().await;
    let serve = rest.serve().deepgram(&recorder.url).start().await;
    rest.hold(true);
    let placing = placing();
    let placed = order(&serve, "/calls", &placing);
    let early = async {
        rest.request(0).await;
        let asking = outbound(&serve, "/voice/default", 1, "in-progress", &[]);
        let answering = async {
            // They wait for what Twilio is about to say.
            told(&serve, 1, "ringing").await;
            told(&serve, 1, "in-progress").await;
        };
        let letting = async {
            until_asked(&serve, 2.0).await;
            rest.hold(false);
        };
        tokio::join!(asking, answering, letting).0
    };
    let ((status, _), answer) = tokio::join!(placed, early);
    assert_eq!(status, 201);
    assert_eq!(answer.parameter("tenant"), Some("t-42"));
    let stream = stream(&serve, &answer, 1, 1, &["inbound", "outbound"]).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(
        types(&events),
        [
            "call.started",
            "call.ringing",
            "call.answered",
            "call.ended"
        ]
    );
}

/// Waits until so many of Twilio's requests have come in.
async fn until_asked(serve: &Serve, count: f64) {
    let waiting = async {
        while metric(serve, "sidetone_webhook_requests_total").await < count {
            tokio::time::sleep(std::time::Duration::from_millis(10)).await;
        }
    };
    soon("Twilio's requests", waiting).await;
}

#[tokio::test]
async fn a_pending_call_can_be_hung_up_and_nothing_else() {
    let rest = Rest::start().await;
    let serve = rest.serve().start().await;
    order(&serve, "/calls", &placing()).await;
    let early = (409, "not_possible");
    refused(&serve, 1, "transfer", json!({"to": FROM}), early).await;
    refused(&serve, 1, "dtmf", json!({"digits": "1"}), early).await;
    accepted(&serve, 1, "hangup", Value::Null).await;
    assert_eq!(rest.request(1).await.field("Status"), "completed");
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(types(&events), ["call.started", "call.ended"]);
    assert_eq!(events[1]["data"]["end_reason"], "canceled");
    // What Twilio says of it now is no news.
    told(&serve, 1, "canceled").await;
    assert_eq!(self::events(&serve, &call_sid(1)).await.len(), 2);
}

#[tokio::test]
async fn a_pending_call_has_a_place_and_a_full_node_places_none() {
    let rest = Rest::start().await;
    let limit = "[limits]\nmax_calls = 2\n[profiles.default.overflow]\nsay = 'Busy.'\n";
    let serve = rest.serve().toml(limit).start().await;
    for number in [1, 2] {
        rest.answers(201, &call(number, "queued"));
        assert_eq!(order(&serve, "/calls", &placing()).await.0, 201);
    }
    let (status, problem) = order(&serve, "/calls", &placing()).await;
    assert_eq!((status, &problem["code"]), (409, &json!("not_possible")));
    assert_eq!(rest.asked().len(), 2);
    let stranger = crate::ordering::voice(&serve, "/voice", 3).await;
    assert!(stranger.twiml().contains("Busy."), "{stranger:?}");
    // Those that were placed are answered all the same.
    let answer = outbound(&serve, "/voice/default", 1, "in-progress", &[]).await;
    assert!(answer.twiml().contains("<Stream "), "{answer:?}");
    told(&serve, 2, "busy").await;
    ended(&serve, &call_sid(2)).await;
    rest.answers(201, &call(4, "queued"));
    assert_eq!(order(&serve, "/calls", &placing()).await.0, 201);
}

#[tokio::test]
async fn pending_calls_are_listed_page_by_page_before_all_others() {
    let rest = Rest::start().await;
    let serve = rest.serve().start().await;
    for number in 1..=5 {
        rest.answers(201, &call(number, "queued"));
        assert_eq!(order(&serve, "/calls", &placing()).await.0, 201);
    }
    told(&serve, 1, "busy").await;
    ended(&serve, &call_sid(1)).await;
    let mut listed = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/calls?limit=2&cursor={cursor}");
        let (_, page) = get(&serve, &path).await;
        for call in page["items"].as_array().unwrap() {
            listed.push(call["call_sid"].as_str().unwrap().to_owned());
        }
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(listed, [5, 4, 3, 2, 1].map(call_sid));
    assert_eq!(get(&serve, "/api/v1/calls?cursor=pending-x").await.0, 400);
    assert!(
        sids(&serve, "status=pending&to=%2B15550009")
            .await
            .is_empty()
    );
}

#[tokio::test]
async fn machine_detection_and_ringing_time_are_passed_on_and_who_answered_is_told() {
    let rest = Rest::start().await;
    let recorder = Recorder::start().await;
    let serve = rest.serve().deepgram(&recorder.url).start().await;
    let mut placing = placing_with("machine_detection", json!("detect_message_end"));
    placing["timeout_secs"] = json!(20);
    assert_eq!(order(&serve, "/calls", &placing).await.0, 201);
    let asked = rest.request(0).await;
    assert_eq!(asked.field("Timeout"), "20");
    assert_eq!(asked.field("MachineDetection"), "DetectMessageEnd");
    assert_eq!(asked.field("AsyncAmd"), "true");
    assert_eq!(asked.field("AsyncAmdStatusCallback"), serve.http(STATUS));

    let sid = call_sid(1);
    let found = [
        ("AccountSid", ACCOUNT),
        ("CallSid", sid.as_str()),
        ("AnsweredBy", "machine_end_beep"),
        ("MachineDetectionDuration", "3200"),
    ];
    let found = crate::requests::to(&serve, STATUS, &found);
    found.signed(TOKEN, &serve.http(STATUS)).taken().await;
    let answer = outbound(&serve, "/voice/default", 1, "in-progress", &[]).await;
    let stream = stream(&serve, &answer, 1, 1, &["inbound", "outbound"]).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(
        types(&events),
        ["call.started", "call.status", "call.ended"]
    );
    assert_eq!(events[1]["data"]["status"], "machine_end_beep");
}

#[tokio::test]
async fn what_cannot_be_placed_is_refused_before_twilio_is_asked() {
    let rest = Rest::start().await;
    let allow = "[twilio]\nallow_destinations = '+1415'\n";
    let serve = rest.serve().toml(allow).start().await;
    let mut without_from = placing();
    without_from.as_object_mut().unwrap().remove("from");
    let long = "x".repeat(500);
    for (body, expected, words) in [
        (placing_with("to", json!("jane")), 400, "to: "),
        (
            placing_with("to", json!("+15005550009")),
            403,
            "allow_destinations",
        ),
        (placing_with("from", json!(5)), 400, "from: "),
        (without_from, 400, "missing field `from`"),
        (placing_with("profile", json!("nobody")), 404, "nobody"),
        (placing_with("profile", json!("next")), 404, "next"),
        (
            placing_with("callee", json!("x")),
            400,
            "expected one of `to`, `from`",
        ),
        (
            placing_with("parameters", json!({"a": 1})),
            400,
            "parameters",
        ),
        (
            placing_with("parameters", json!({"auth": "x"})),
            400,
            "`auth`",
        ),
        (
            placing_with("parameters", json!({"a": long})),
            400,
            "501 characters",
        ),
        (placing_with("parameters", json!(["a"])), 400, "parameters"),
        (placing_with("timeout_secs", json!(0)), 400, "5 to 600"),
        (
            placing_with("machine_detection", json!("yes")),
            400,
            "detect_message_end",
        ),
        (json!([]), 400, "JSON object"),
        (Value::Null, 400, "missing field `to`"),
    ] {
        let (status, problem) = order(&serve, "/calls", &body).await;
        assert_eq!(status, expected, "{problem}");
        let code = match status {
            403 => "forbidden",
            404 => "profile_not_found",
            _ => "invalid_request",
        };
        assert_eq!(problem["code"], code);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
    }
    assert!(rest.asked().is_empty());
}

#[tokio::test]
async fn what_twilio_says_against_a_call_is_told_and_its_place_is_free_again() {
    let rest = Rest::start().await;
    let limit = "[limits]\nmax_calls = 1\n";
    let serve = rest.serve().toml(limit).start().await;
    rest.refuses(
        400,
        21211,
        "The 'To' number +1 is not a valid phone number.",
    );
    let (status, problem) = order(&serve, "/calls", &placing()).await;
    assert_eq!((status, &problem["code"]), (400, &json!("invalid_request")));
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("is not a valid phone number"), "{detail}");
    for status in [401, 500, 503] {
        rest.refuses(status, 20003, "No");
        let (status, problem) = order(&serve, "/calls", &placing()).await;
        assert_eq!(
            (status, &problem["code"]),
            (503, &json!("twilio_unavailable"))
        );
    }
    // A call is never placed twice for an answer that did not come.
    assert_eq!(rest.asked().len(), 4);
    assert_eq!(order(&serve, "/calls", &placing()).await.0, 201);

    let alone = crate::serve::serve().start().await;
    let (status, problem) = order(&alone, "/calls", &placing()).await;
    assert_eq!(
        (status, &problem["code"]),
        (503, &json!("twilio_unavailable"))
    );
}

#[tokio::test]
async fn a_call_is_not_placed_where_twilio_could_not_reach_us() {
    let serve = crate::serve::serve()
        .env("TWILIO_ACCOUNT_SID", ACCOUNT)
        .env("TWILIO_AUTH_TOKEN", TOKEN)
        .start()
        .await;
    let (status, problem) = order(&serve, "/calls", &placing()).await;
    assert_eq!((status, &problem["code"]), (409, &json!("not_possible")));
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("SIDETONE_PUBLIC_URL")
    );
}

#[tokio::test]
async fn a_gateway_that_goes_down_takes_back_the_calls_that_still_ring() {
    let rest = Rest::start().await;
    let mut serve = rest
        .serve()
        .toml("[server]\ndrain_secs = 0\n")
        .start()
        .await;
    order(&serve, "/calls", &placing()).await;
    serve.terminate();
    assert_eq!(rest.request(1).await.field("Status"), "completed");
    assert_eq!(serve.ended().await, Some(0));
    serve.stderr.wait_for("ended (shutdown)").await;
}
