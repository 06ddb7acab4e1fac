//! Whatever comes over the wire, reading it gives a value or an error, and a value that was read
//! can be written and read again. `SIDETONE_FUZZ_SECS` sets how long each target runs.

use std::time::Duration;

use sidetone_twilio::form::{CallProgress, Form, StreamStatus, VoiceRequest};
use sidetone_twilio::signature::{Validator, verify_stream_auth};
use sidetone_twilio::stream::{Incoming, Outgoing, outgoing};
use sidetone_twilio::twiml::Response;

/// One second unless told, so that the tests stay quick.
fn test_time() -> Duration {
    let secs = std::env::var("SIDETONE_FUZZ_SECS").ok();
    Duration::from_secs(secs.map_or(1, |secs| {
        secs.parse().expect("SIDETONE_FUZZ_SECS is a number")
    }))
}

/// Which sample, and the bytes put over it. Noise alone hardly gets past the first brace.
type Mutation = (u8, Vec<(u16, u8)>, Vec<u8>);

fn mutated(samples: &[&str], (which, changes, tail): &Mutation) -> String {
    let mut bytes = samples[usize::from(*which) % samples.len()]
        .as_bytes()
        .to_vec();
    for (index, byte) in changes {
        let index = usize::from(*index) % bytes.len();
        bytes[index] = *byte;
    }
    bytes.extend(tail);
    String::from_utf8_lossy(&bytes).into_owned()
}

macro_rules! check {
    ($samples:expr, $property:expr) => {{
        let property: fn(&str) = $property;
        bolero::check!()
            .with_type::<Mutation>()
            .with_test_time(test_time())
            .for_each(|mutation| {
                property(&mutated(&$samples, mutation));
                property(&String::from_utf8_lossy(&mutation.2));
            });
    }};
}

const INCOMING: [&str; 5] = [
    r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#,
    r#"{"event":"start","sequenceNumber":"1","start":{"accountSid":"AC00000000000000000000000000000001","streamSid":"MZ00000000000000000000000000000003","callSid":"CA00000000000000000000000000000002","tracks":["inbound","outbound"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"a":"b"}}}"#,
    r#"{"event":"media","media":{"track":"inbound","chunk":"1","timestamp":"155","payload":"f39\/fw=="},"streamSid":"MZ00000000000000000000000000000003"}"#,
    r#"{"event":"dtmf","dtmf":{"track":"inbound_track","digit":"\u0031"}}"#,
    r#"{"event":"stop","stop":{"callSid":"CA00000000000000000000000000000002"}}"#,
];

#[test]
fn incoming_messages() {
    check!(INCOMING, |text| {
        if let Ok(Incoming::Media(media)) = Incoming::parse(text) {
            let mut audio = vec![1, 2, 3];
            let decoded = media.payload.decode_into(&mut audio).unwrap_or(0);
            assert_eq!(audio.len(), 3 + decoded);
        }
    });
}

#[test]
fn outgoing_messages() {
    let samples = [
        r#"{"event":"media","streamSid":"MZ00000000000000000000000000000003","media":{"payload":"f39/fw=="}}"#,
        r#"{"event":"mark","streamSid":"MZ00000000000000000000000000000003","mark":{"name":"turn 7"}}"#,
        r#"{"event":"clear","streamSid":"MZ00000000000000000000000000000003"}"#,
    ];
    check!(samples, |text| {
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
fn twiml() {
    let samples = [
        r#"<?xml version="1.0"?><Response><Start><Stream url="wss://a/b" track="both_tracks"><Parameter name="a" value="&amp;&#9;"/></Stream></Start><Dial>+1555</Dial></Response>"#,
        r#"<Response><!-- c --><Say loop="2">a &lt; <b>b</b><![CDATA[<c>]]></Say><Pause length="3"/></Response>"#,
        r#"<Response><Connect action="/n"><Stream url="wss://a"/></Connect><Play digits="1w">u</Play><Hangup/></Response>"#,
    ];
    check!(samples, |text| {
        if let Ok(response) = Response::parse(text) {
            assert_eq!(Response::parse(&response.to_xml()), Ok(response));
        }
    });
}

#[test]
fn forms() {
    let samples = [
        "CallSid=CA00000000000000000000000000000002&CallStatus=in-progress&From=%2B1555&CallDuration=61&Timestamp=Thu%2C+12+Feb+2026+11%3A48%3A25+%2B0000",
        "CallSid=CA00000000000000000000000000000002&StreamSid=MZ00000000000000000000000000000003&StreamEvent=stream-error&StreamError=x&Timestamp=2026-01-02T03%3A04%3A05.678901234Z",
    ];
    check!(samples, |text| {
        let form = Form::parse(text.as_bytes()).unwrap();
        assert_eq!(Form::parse(form.encode().as_bytes()).unwrap(), form);
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
fn urls_and_signatures() {
    let samples = [
        "https://u:p@voice.example.com:443/a?b=c",
        "wss://[::1]:8443",
        "1700000000.AAAA",
    ];
    check!(samples, |text| {
        let validator = Validator::new(&["12345".into()]);
        validator
            .check_handshake(text, "YuW7ZNDezumiKHOLO6sRVeUPptE=")
            .unwrap_err();
        validator.check_body(text, b"", text).unwrap_err();
        let call_sid = "CA00000000000000000000000000000002".parse().unwrap();
        verify_stream_auth(b"secret", &call_sid, text, 1_700_000_000, 60).unwrap_err();
    });
}
