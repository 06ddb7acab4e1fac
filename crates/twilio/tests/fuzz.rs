//! Whatever comes over the wire, reading it gives a value or an error, and a value that was read
//! can be written and read again. No error tells a secret or a caller's words.

use sidetone_fuzz::{check, check_text};
use sidetone_twilio::form::{CallProgress, Form, StreamStatus, VoiceRequest};
use sidetone_twilio::rest::{
    Account, AccountStatus, ErrorBody, PhoneNumber, PhoneNumbers, Request, VERSION_PATH,
};
use sidetone_twilio::signature::{Validator, verify_stream_auth};
use sidetone_twilio::stream::{Incoming, Outgoing, outgoing};
use sidetone_twilio::twiml::Response;

#[test]
fn fuzzed_stream_messages() {
    check_text("stream-messages", |text| {
        if let Ok(Incoming::Media(media)) = Incoming::parse(text) {
            let mut audio = vec![1, 2, 3];
            let decoded = media.payload.decode_into(&mut audio).unwrap_or(0);
            assert_eq!(audio.len(), 3 + decoded);
            assert!(decoded <= text.len());
        }
    });
}

#[test]
fn fuzzed_stream_answers() {
    check_text("stream-answers", |text| {
        let Ok(message) = Outgoing::parse(text) else {
            return;
        };
        let Ok(stream_sid) = message.stream_sid().parse() else {
            return;
        };
        let mut again = String::new();
        match &message {
            Outgoing::Media { payload, .. } => {
                let mut audio = Vec::new();
                let Ok(_) = payload.decode_into(&mut audio) else {
                    return;
                };
                outgoing::write_media(&mut again, &stream_sid, &audio);
            }
            Outgoing::Mark { name, .. } => outgoing::write_mark(&mut again, &stream_sid, name),
            Outgoing::Clear { .. } => outgoing::write_clear(&mut again, &stream_sid),
        }
        assert_eq!(Outgoing::parse(&again), Ok(message));
    });
}

#[test]
fn fuzzed_twiml() {
    check_text("twiml", |text| {
        if let Ok(response) = Response::parse(text) {
            assert_eq!(Response::parse(&response.to_xml()), Ok(response));
        }
    });
}

#[test]
fn fuzzed_forms() {
    check("forms", |bytes| {
        let Ok(form) = Form::parse(bytes) else {
            return;
        };
        assert_eq!(Form::parse(form.encode().as_bytes()), Ok(form.clone()));
        if let Ok(request) = VoiceRequest::from_form(&form) {
            assert_eq!(VoiceRequest::from_form(&request.to_form()), Ok(request));
        }
        if let Ok(progress) = CallProgress::from_form(&form) {
            assert_eq!(CallProgress::from_form(&progress.to_form()), Ok(progress));
        }
        if let Ok(status) = StreamStatus::from_form(&form) {
            let again = StreamStatus::from_form(&status.to_form()).unwrap();
            assert_eq!(
                (again.event, again.timestamp),
                (status.event, status.timestamp)
            );
        }
    });
}

#[test]
fn fuzzed_signed_urls() {
    const TOKEN: &str = "5f8a1cb7e0d94e3c";
    check_text("signed-urls", |url| {
        let validator = Validator::new(&[TOKEN.into()]);
        let signature = "YuW7ZNDezumiKHOLO6sRVeUPptE=";
        let refusals = [
            validator.check_handshake(url, signature).unwrap_err(),
            validator.check_get(url, signature).unwrap_err(),
            validator.check_body(url, b"", url).unwrap_err(),
        ];
        for refusal in refusals {
            assert!(!format!("{refusal} {refusal:?}").contains(TOKEN));
        }
        let call_sid = "CA00000000000000000000000000000002".parse().unwrap();
        verify_stream_auth(TOKEN.as_bytes(), &call_sid, url, 1_700_000_000, 60).unwrap_err();
    });
}

#[test]
fn fuzzed_rest_answers() {
    check("twilio-rest", |body| {
        if let Some(error) = ErrorBody::parse(body) {
            assert!(error.message.chars().count() <= 300);
            assert!(!error.message.chars().any(char::is_control));
        }
        let account = "AC00000000000000000000000000000001".parse().unwrap();
        if let Ok(Account { status, .. }) = Request::account(&account).answer(body) {
            assert_eq!(AccountStatus::from(status.name().to_owned()), status);
        }
        let numbers = Request::phone_numbers(&account, None);
        if let Ok(page) = numbers.answer(body) {
            let next = Request::<PhoneNumbers>::after(&page);
            assert!(next.is_none_or(|next| next.path().starts_with(VERSION_PATH)));
        }
        if let Ok(number) = serde_json::from_slice::<PhoneNumber>(body) {
            let again = serde_json::to_vec(&number).unwrap();
            assert_eq!(
                serde_json::from_slice::<PhoneNumber>(&again).unwrap(),
                number
            );
        }
    });
}
