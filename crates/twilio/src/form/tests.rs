use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::CallSid;

const CA: &str = "CA00000000000000000000000000000002";
const MZ: &str = "MZ00000000000000000000000000000003";
const AC: &str = "AC00000000000000000000000000000001";

/// The fields of a real request for an outbound call.
const EVERY_REQUEST: &str = "AccountSid ApiVersion CallSid CallStatus Direction From Caller To \
    Called FromCity FromState FromZip FromCountry CallerCity CallerState CallerZip CallerCountry \
    ToCity ToState ToZip ToCountry CalledCity CalledState CalledZip CalledCountry";

fn call_sid() -> CallSid {
    CA.parse().unwrap()
}

fn inbound_call() -> VoiceRequest {
    VoiceRequest {
        account_sid: Some(AC.parse().unwrap()),
        from: Some("+14155550123".into()),
        to: Some("+15005550006".into()),
        direction: Some(Direction::Inbound),
        status: CallStatus::Ringing,
        from_place: Place {
            city: "SAN FRANCISCO".into(),
            state: "CA".into(),
            zip: "94105".into(),
            country: "US".into(),
        },
        ..VoiceRequest::new(call_sid())
    }
}

fn keys(form: &Form) -> BTreeSet<&str> {
    form.pairs().iter().map(|(key, _)| key.as_str()).collect()
}

#[track_caller]
fn check_voice(request: &VoiceRequest) {
    let form = Form::parse(request.to_form().encode().as_bytes()).unwrap();
    assert_eq!(VoiceRequest::from_form(&form).as_ref(), Ok(request));
}

#[test]
fn a_voice_request_has_the_25_fields_of_a_real_one() {
    let form = inbound_call().to_form();
    assert_eq!(form.pairs().len(), 25);
    assert_eq!(keys(&form), EVERY_REQUEST.split_whitespace().collect());
    assert_eq!(form.value("Caller"), Some("+14155550123"));
    assert_eq!(form.value("CalledCity"), None);
    assert_eq!(form.value("CallerCity"), Some("SAN FRANCISCO"));
    check_voice(&inbound_call());
}

#[test]
fn a_voice_request_keeps_what_only_some_requests_say() {
    check_voice(&VoiceRequest {
        forwarded_from: Some("+15005550007".into()),
        caller_name: Some("ACME & CO".into()),
        answered_by: Some("machine_start".into()),
        parent_call_sid: Some("CA00000000000000000000000000000009".parse().unwrap()),
        stir_verstat: Some("TN-Validation-Passed-A".into()),
        digits: Some("12#".into()),
        dial: Some(DialOutcome {
            status: CallStatus::NoAnswer,
            call_sid: Some(call_sid()),
            duration_secs: Some(0),
        }),
        ..inbound_call()
    });
}

#[test]
fn a_call_token_is_decoded_once_only() {
    let token = "%7B%22parentCallInfoToken%22%3A%22eyJ%22%7D";
    let request = VoiceRequest {
        call_token: Some(token.into()),
        ..inbound_call()
    };
    check_voice(&request);
    assert!(
        request
            .to_form()
            .encode()
            .contains("CallToken=%257B%2522parent")
    );
}

#[test]
fn a_voice_request_needs_its_call_only() {
    let form = Form::parse(format!("CallSid={CA}&New=1&AccountSid=?").as_bytes()).unwrap();
    assert_eq!(
        VoiceRequest::from_form(&form),
        Ok(VoiceRequest::new(call_sid()))
    );
}

#[test]
fn a_missing_call_is_told_from_a_wrong_one() {
    for body in ["", "CallSid=", "callsid=CA1"] {
        let form = Form::parse(body.as_bytes()).unwrap();
        let missing = FormError::Missing { field: "CallSid" };
        assert_eq!(VoiceRequest::from_form(&form), Err(missing), "{body}");
    }
    let form = Form::parse(b"CallSid=CA1").unwrap();
    let error = VoiceRequest::from_form(&form).unwrap_err();
    assert!(
        matches!(
            error,
            FormError::BadSid {
                field: "CallSid",
                ..
            }
        ),
        "{error:?}"
    );
}

#[test]
fn a_stream_that_started() {
    let body = format!(
        "AccountSid={AC}&CallSid={CA}&StreamSid={MZ}&StreamName=fork1&StreamEvent=stream-started\
         &Timestamp=2026-01-02T03%3A04%3A05.678901234Z"
    );
    let form = Form::parse(body.as_bytes()).unwrap();
    let status = StreamStatus::from_form(&form).unwrap();
    assert_eq!(status.event, StreamEvent::Started);
    assert_eq!(status.stream_sid.as_str(), MZ);
    assert_eq!(
        status.timestamp,
        "2026-01-02T03:04:05.678901234Z".parse().ok()
    );
    assert_eq!(status.to_form().encode(), body);
}

#[test]
fn a_stream_that_failed_says_why() {
    let status = StreamStatus {
        account_sid: None,
        call_sid: call_sid(),
        stream_sid: MZ.parse().unwrap(),
        stream_name: None,
        event: StreamEvent::Error {
            message: "Connection reset & gone".into(),
        },
        timestamp: None,
    };
    let form = status.to_form();
    assert_eq!(form.value("StreamName"), Some(MZ));
    assert_eq!(form.value("StreamError"), Some("Connection reset & gone"));
    assert_eq!(StreamStatus::from_form(&form).unwrap().event, status.event);
}

#[test]
fn a_stream_status_needs_call_stream_and_event() {
    let complete = format!("CallSid={CA}&StreamSid={MZ}&StreamEvent=stream-paused");
    let status = StreamStatus::from_form(&Form::parse(complete.as_bytes()).unwrap()).unwrap();
    assert_eq!(status.event, StreamEvent::Unknown("stream-paused".into()));
    for field in ["CallSid", "StreamSid", "StreamEvent"] {
        let body = complete.replace(field, "X");
        let form = Form::parse(body.as_bytes()).unwrap();
        assert_eq!(
            StreamStatus::from_form(&form),
            Err(FormError::Missing { field })
        );
    }
}

#[test]
fn a_completed_call_tells_seconds_and_billed_minutes() {
    let progress = CallProgress {
        call: VoiceRequest {
            status: CallStatus::Completed,
            ..inbound_call()
        },
        sequence_number: Some(3),
        timestamp: "2026-02-12T11:48:25Z".parse().ok(),
        duration_secs: Some(49),
        sip_response_code: Some(200),
    };
    let form = progress.to_form();
    for (key, value) in [
        ("CallStatus", "completed"),
        ("CallbackSource", "call-progress-events"),
        ("SequenceNumber", "3"),
        ("Timestamp", "Thu, 12 Feb 2026 11:48:25 +0000"),
        ("CallDuration", "49"),
        ("Duration", "1"),
        ("SipResponseCode", "200"),
    ] {
        assert_eq!(form.value(key), Some(value), "{key}");
    }
    let form = Form::parse(form.encode().as_bytes()).unwrap();
    assert_eq!(CallProgress::from_form(&form), Ok(progress));
}

#[test]
fn an_initiated_call_has_the_fields_of_a_real_callback() {
    let progress = CallProgress {
        call: VoiceRequest {
            status: CallStatus::Initiated,
            ..inbound_call()
        },
        sequence_number: Some(0),
        timestamp: "2026-02-12T11:48:25Z".parse().ok(),
        duration_secs: None,
        sip_response_code: None,
    };
    let form = progress.to_form();
    let expected = EVERY_REQUEST.split_whitespace();
    assert_eq!(
        keys(&form),
        expected
            .chain(["CallbackSource", "SequenceNumber", "Timestamp"])
            .collect()
    );
}

#[test]
fn call_progress_needs_call_and_status() {
    let form = Form::parse(format!("CallSid={CA}").as_bytes()).unwrap();
    let missing = FormError::Missing {
        field: "CallStatus",
    };
    assert_eq!(CallProgress::from_form(&form), Err(missing));
}

#[test]
fn names_of_statuses_and_directions_come_back() {
    for (name, is_final) in [
        ("queued", false),
        ("initiated", false),
        ("ringing", false),
        ("in-progress", false),
        ("completed", true),
        ("busy", true),
        ("failed", true),
        ("no-answer", true),
        ("canceled", true),
        ("on-hold", false),
    ] {
        let status = CallStatus::from_name(name);
        assert_eq!((status.name(), status.is_final()), (name, is_final));
    }
    for name in ["inbound", "outbound-api", "outbound-dial", "trunking"] {
        assert_eq!(Direction::from_name(name).name(), name);
    }
}

#[test]
fn forms_are_bounded() {
    let long = vec![b'a'; Form::MAX_BYTES + 1];
    assert_eq!(
        Form::parse(&long),
        Err(FormError::TooLong { found: long.len() })
    );
    let many = "a=b&".repeat(Form::MAX_PAIRS + 1);
    assert_eq!(Form::parse(many.as_bytes()), Err(FormError::TooManyPairs));
    let most = "a=b&".repeat(Form::MAX_PAIRS);
    assert_eq!(
        Form::parse(most.as_bytes()).unwrap().pairs().len(),
        Form::MAX_PAIRS
    );
}

#[test]
fn callers_data_does_not_reach_the_debug_text() {
    let form = inbound_call().to_form();
    let text = format!("{form:?} {:?}", inbound_call());
    assert!(
        text.contains("From") && !text.contains("4155550123"),
        "{text}"
    );
}

proptest! {
    #[test]
    fn any_pairs_come_back_as_they_were_encoded(
        pairs in prop::collection::vec(any::<(String, String)>(), 0..20),
    ) {
        let mut form = Form::default();
        for (key, value) in pairs {
            form.push(key, value);
        }
        prop_assert_eq!(Form::parse(form.encode().as_bytes()), Ok(form));
    }
}
