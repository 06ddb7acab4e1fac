use super::*;

fn account() -> AccountSid {
    "AC00000000000000000000000000000001".parse().unwrap()
}

const NUMBER: &str = r#"{
    "sid": "PN00000000000000000000000000000006",
    "account_sid": "AC00000000000000000000000000000001",
    "friendly_name": "(500) 555-0006",
    "phone_number": "+15005550006",
    "voice_url": "https://demo.twilio.com/welcome/voice/",
    "voice_method": "POST",
    "voice_fallback_url": "",
    "voice_application_sid": "",
    "status_callback": "",
    "status_callback_method": "POST",
    "trunk_sid": null,
    "capabilities": {"voice": true, "sms": true, "mms": false, "fax": false}
}"#;

fn number() -> PhoneNumber {
    serde_json::from_str(NUMBER).unwrap()
}

fn route() -> VoiceRoute {
    VoiceRoute {
        voice_url: "https://voice.example.com/voice/desk".into(),
        status_callback: "https://voice.example.com/twilio/call-status".into(),
    }
}

#[test]
fn an_account_is_read_without_its_auth_token() {
    let request = Request::account(&account());
    assert_eq!(
        request.path(),
        "/2010-04-01/Accounts/AC00000000000000000000000000000001.json"
    );
    assert!(request.form().is_none());
    let body = r#"{"sid":"AC00000000000000000000000000000001","auth_token":"hush","status":"suspended","type":"Trial","friendly_name":"Acme","uri":"/2010-04-01/x"}"#;
    let read = request.answer(body.as_bytes()).unwrap();
    assert_eq!(read.status, AccountStatus::Suspended);
    assert!(read.is_trial());
    assert!(!format!("{read:?}").contains("hush"));
}

#[test]
fn a_status_that_is_not_known_keeps_its_name() {
    let status: AccountStatus = serde_json::from_str(r#""paused""#).unwrap();
    assert_eq!(status.name(), "paused");
    for name in ["active", "suspended", "closed"] {
        assert_eq!(AccountStatus::from(name.to_owned()).name(), name);
    }
}

#[test]
fn what_a_number_does_not_have_is_none_however_twilio_writes_it() {
    let number = number();
    assert_eq!(number.phone_number, "+15005550006");
    assert_eq!(
        number.voice_url.as_deref(),
        Some("https://demo.twilio.com/welcome/voice/")
    );
    assert_eq!(number.status_callback, None);
    assert_eq!(number.voice_application_sid, None);
    assert_eq!(number.trunk_sid, None);
}

#[test]
fn pages_follow_each_other_within_the_api() {
    let page = |next: &str| -> PhoneNumbers {
        let body = format!(r#"{{"incoming_phone_numbers":[{NUMBER}],"next_page_uri":{next}}}"#);
        Request::phone_numbers(&account(), None)
            .answer(body.as_bytes())
            .unwrap()
    };
    assert_eq!(page("null").incoming_phone_numbers, [number()]);
    assert!(Request::after(&page("null")).is_none());
    assert!(Request::after(&page(r#""https://elsewhere.example/""#)).is_none());
    let next = "/2010-04-01/Accounts/AC1/IncomingPhoneNumbers.json?Page=1";
    let after = Request::after(&page(&format!("\"{next}\""))).unwrap();
    assert_eq!(after.path(), next);
}

#[test]
fn routing_a_numbers_calls_sets_both_urls_with_their_methods() {
    let request = Request::route_calls(&account(), &number(), &route());
    assert_eq!(
        request.path(),
        "/2010-04-01/Accounts/AC00000000000000000000000000000001/IncomingPhoneNumbers/PN00000000000000000000000000000006.json"
    );
    let form = request.form().unwrap();
    assert_eq!(
        form.encode(),
        "VoiceUrl=https%3A%2F%2Fvoice.example.com%2Fvoice%2Fdesk&VoiceMethod=POST\
         &StatusCallback=https%3A%2F%2Fvoice.example.com%2Ftwilio%2Fcall-status\
         &StatusCallbackMethod=POST"
    );
}

#[test]
fn what_would_keep_the_calls_from_the_webhook_is_taken_off_the_number() {
    let taken_over = PhoneNumber {
        voice_application_sid: Some("AP1".into()),
        trunk_sid: Some("TK1".into()),
        ..number()
    };
    let request = Request::route_calls(&account(), &taken_over, &route());
    let pairs = request.form().unwrap().pairs();
    for cleared in ["VoiceApplicationSid", "TrunkSid"] {
        assert!(
            pairs.contains(&(cleared.to_owned(), String::new())),
            "{pairs:?}"
        );
    }
}

#[test]
fn an_error_is_told_in_one_short_line() {
    let body = r#"{"code":20003,"message":"Authenticate\n  please","more_info":"https://www.twilio.com/docs/errors/20003","status":401}"#;
    let error = ErrorBody::parse(body.as_bytes()).unwrap();
    assert_eq!(error.message, "Authenticate please");
    assert_eq!(
        error.more_info().as_deref(),
        Some("https://www.twilio.com/docs/errors/20003")
    );
    let long = format!(r#"{{"message":"{}"}}"#, "x".repeat(1000));
    let error = ErrorBody::parse(long.as_bytes()).unwrap();
    assert_eq!((error.message.len(), error.code), (300, None));
    assert_eq!(error.more_info(), None);
}

#[test]
fn a_body_of_another_shape_says_nothing() {
    for body in [&b""[..], b"<html>", b"[]", b"{\"code\":1}", b"\xff"] {
        assert_eq!(ErrorBody::parse(body), None);
    }
}
