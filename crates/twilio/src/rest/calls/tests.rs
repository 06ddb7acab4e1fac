use super::*;
use crate::rest::ErrorBody;
use crate::twiml::{Say, Verb};

const CALL: &str = "/2010-04-01/Accounts/AC00000000000000000000000000000001/Calls/CA00000000000000000000000000000002";

fn account() -> AccountSid {
    "AC00000000000000000000000000000001".parse().unwrap()
}

fn call() -> CallSid {
    "CA00000000000000000000000000000002".parse().unwrap()
}

fn new_call() -> NewCall {
    NewCall {
        to: "+15551230002".into(),
        from: "+15005550006".into(),
        url: "https://voice.example.com/voice/desk".into(),
        status_callback: "https://voice.example.com/twilio/call-status".into(),
        timeout_secs: None,
        machine_detection: None,
    }
}

fn say(chars: usize) -> Response {
    Response {
        verbs: vec![Verb::Say(Say::new("x".repeat(chars)))],
    }
}

#[track_caller]
fn check<T: serde::de::DeserializeOwned>(request: &Request<T>, path: &str, form: &[(&str, &str)]) {
    assert_eq!(request.path(), path);
    let pairs = request.form().map(Form::pairs).unwrap_or_default();
    let pairs: Vec<_> = pairs
        .iter()
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(pairs, form);
}

const PLACED: [(&str, &str); 10] = [
    ("To", "+15551230002"),
    ("From", "+15005550006"),
    ("Url", "https://voice.example.com/voice/desk"),
    ("Method", "POST"),
    (
        "StatusCallback",
        "https://voice.example.com/twilio/call-status",
    ),
    ("StatusCallbackMethod", "POST"),
    ("StatusCallbackEvent", "initiated"),
    ("StatusCallbackEvent", "ringing"),
    ("StatusCallbackEvent", "answered"),
    ("StatusCallbackEvent", "completed"),
];

#[test]
fn a_call_is_placed_with_a_webhook_and_a_callback_for_every_change() {
    let request = Request::create_call(&account(), &new_call());
    check(
        &request,
        "/2010-04-01/Accounts/AC00000000000000000000000000000001/Calls.json",
        &PLACED,
    );
}

#[test]
fn machine_detection_runs_beside_the_call_when_somebody_is_to_be_told() {
    let detection = |status_callback| MachineDetection {
        mode: DetectionMode::DetectMessageEnd,
        status_callback,
    };
    let added = |status_callback| {
        let call = NewCall {
            timeout_secs: Some(20),
            machine_detection: Some(detection(status_callback)),
            ..new_call()
        };
        let request = Request::create_call(&account(), &call);
        let pairs = request.form().unwrap().pairs();
        pairs
            .iter()
            .skip(PLACED.len())
            .map(|(name, value)| format!("{name}={value}"))
            .collect::<Vec<_>>()
    };
    let waiting = ["Timeout=20", "MachineDetection=DetectMessageEnd"];
    let beside = [
        "AsyncAmd=true",
        "AsyncAmdStatusCallback=https://voice.example.com/amd",
        "AsyncAmdStatusCallbackMethod=POST",
    ];
    assert_eq!(added(None), waiting);
    assert_eq!(
        added(Some("https://voice.example.com/amd".to_owned())),
        [&waiting[..], &beside].concat()
    );
}

#[test]
fn a_call_is_fetched_and_ended_at_its_own_path() {
    check(
        &Request::call(&account(), &call()),
        &format!("{CALL}.json"),
        &[],
    );
    check(
        &Request::hang_up(&account(), &call()),
        &format!("{CALL}.json"),
        &[("Status", "completed")],
    );
}

#[test]
fn a_document_that_a_request_can_carry_redirects_a_call() {
    let hello = say(5);
    let request = Request::redirect(&account(), &call(), &hello).unwrap();
    check(
        &request,
        &format!("{CALL}.json"),
        &[("Twiml", &hello.to_xml())],
    );
    let frame = say(0).to_xml().len();
    let most = TwimlTooLong::MAX_CHARS - frame;
    // An empty element is written shorter than one with text.
    let longest = (most - 20..=most)
        .rev()
        .find(|chars| Request::redirect(&account(), &call(), &say(*chars)).is_ok())
        .unwrap();
    assert_eq!(say(longest).to_xml().len(), 4000);
    let refused = Request::redirect(&account(), &call(), &say(longest + 1)).unwrap_err();
    assert_eq!(refused, TwimlTooLong { found: 4001 });
}

#[test]
fn a_stream_is_started_with_numbered_parameters_and_stopped_by_its_name() {
    let stream = NewStream {
        url: "wss://voice.example.com/twilio".into(),
        name: "sidetone".into(),
        track: StreamTrack::Both,
        status_callback: "https://voice.example.com/twilio/stream-status".into(),
        parameters: vec![Parameter::new("profile", "desk"), Parameter::new("a", "b")],
    };
    check(
        &Request::create_stream(&account(), &call(), &stream),
        &format!("{CALL}/Streams.json"),
        &[
            ("Url", "wss://voice.example.com/twilio"),
            ("Name", "sidetone"),
            ("Track", "both_tracks"),
            (
                "StatusCallback",
                "https://voice.example.com/twilio/stream-status",
            ),
            ("StatusCallbackMethod", "POST"),
            ("Parameter1.Name", "profile"),
            ("Parameter1.Value", "desk"),
            ("Parameter2.Name", "a"),
            ("Parameter2.Value", "b"),
        ],
    );
    check(
        &Request::stop_stream(&account(), &call(), "sidetone"),
        &format!("{CALL}/Streams/sidetone.json"),
        &[("Status", "stopped")],
    );
}

#[test]
fn only_what_does_no_more_when_it_is_sent_twice_is_repeatable() {
    let (account, call) = (account(), call());
    assert!(Request::call(&account, &call).is_repeatable());
    assert!(Request::hang_up(&account, &call).is_repeatable());
    assert!(Request::stop_stream(&account, &call, "x").is_repeatable());
    assert!(!Request::create_call(&account, &new_call()).is_repeatable());
    let redirect = Request::redirect(&account, &call, &Response::default());
    assert!(!redirect.unwrap().is_repeatable());
}

#[test]
fn a_call_is_read_as_twilio_writes_it() {
    let body = r#"{"sid":"CA00000000000000000000000000000002","status":"queued",
        "from":"+15005550006","to":"+15551230002","direction":"outbound-api","duration":null,
        "answered_by":null,"queue_time":"0","subresource_uris":{}}"#;
    let request = Request::call(&account(), &call());
    let read = request.answer(body.as_bytes()).unwrap();
    assert_eq!(read.sid, call());
    assert_eq!(read.status, CallStatus::Queued);
    assert_eq!(read.to.as_deref(), Some("+15551230002"));
    assert_eq!(read.direction, Some(Direction::OutboundApi));
    assert!(!format!("{read:?}").contains("+1555"));
    assert!(!format!("{:?}", new_call()).contains("+1555"));

    let least = r#"{"sid":"CA00000000000000000000000000000002","status":"parked"}"#;
    let read = request.answer(least.as_bytes()).unwrap();
    assert_eq!(read.status, CallStatus::Unknown("parked".into()));
    assert_eq!((read.from, read.direction), (None, None));
}

#[test]
fn a_stream_is_read_as_twilio_writes_it() {
    let body = r#"{"sid":"MZ00000000000000000000000000000003","status":"stopped","name":null}"#;
    let read = Request::stop_stream(&account(), &call(), "x").answer(body.as_bytes());
    assert_eq!(read.unwrap().status, "stopped");
}

#[test]
fn not_found_and_not_in_progress_say_that_a_call_is_over() {
    for (code, is_over) in [(20404, true), (21220, true), (20003, false), (21211, false)] {
        let body = format!(r#"{{"code":{code},"message":"no","status":400}}"#);
        let error = ErrorBody::parse(body.as_bytes()).unwrap();
        assert_eq!(error.says_call_is_over(), is_over, "{code}");
    }
}
