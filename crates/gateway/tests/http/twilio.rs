//! What Twilio sees.

use serde_json::json;
use sidetone_call::engine::Next;
use sidetone_call::event::{EndReason, EventData};
use sidetone_gateway::Config;
use sidetone_gateway::config::{Overflow, Profile};
use sidetone_twilio::signature::sign;
use sidetone_twilio::twiml::{Response, Verb};

use crate::support::{CALL_SID, Deepgram, Phone, Running, STREAM_SID, config, events_until_end};
use crate::wire::{Answer, Socket, metric, request};

const NO_DEEPGRAM: &str = "ws://127.0.0.1:9";
const TOKEN: &str = "12345678901234567890123456789012";

fn signed_config(deepgram_url: &str) -> Config {
    let mut config = config(deepgram_url);
    config.twilio.auth_tokens = vec![TOKEN.into()];
    config.public_url = Some("https://voice.example.com".parse().unwrap());
    config.trust_loopback = Some(true);
    config
}

fn form(fields: &[(&str, &str)]) -> String {
    fields
        .iter()
        .map(|(name, value)| format!("{name}={}", value.replace('+', "%2B")))
        .collect::<Vec<_>>()
        .join("&")
}

fn call(call_sid: &str) -> Vec<(&str, &str)> {
    vec![
        ("CallSid", call_sid),
        ("From", "+15550001"),
        ("To", "+15550002"),
        ("Direction", "inbound"),
    ]
}

/// A POST as Twilio sends it; signed when there is a public URL to sign it for.
async fn post(
    gateway: &Running,
    signed_for: Option<&str>,
    path: &str,
    fields: &[(&str, &str)],
) -> Answer {
    let mut headers = vec![("Content-Type", "application/x-www-form-urlencoded")];
    let signature = signed_for.map(|url| sign(TOKEN, url, fields));
    headers.extend(
        signature
            .as_deref()
            .map(|signature| ("X-Twilio-Signature", signature)),
    );
    request(gateway.address, "POST", path, &headers, &form(fields)).await
}

#[track_caller]
fn verbs(answer: &Answer) -> Vec<Verb> {
    assert_eq!(answer.status, 200, "{answer:?}");
    assert!(
        answer
            .header("content-type")
            .unwrap()
            .starts_with("text/xml")
    );
    Response::parse(&answer.body).unwrap().verbs
}

#[tokio::test]
async fn the_voice_webhook_starts_a_stream_to_this_gateway() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    let answer = post(&gateway, None, "/voice", &call(CALL_SID)).await;
    let verbs = verbs(&answer);
    let [
        Verb::Start(stream),
        Verb::Pause {
            length_secs: Some(3600),
        },
    ] = verbs.as_slice()
    else {
        panic!("{verbs:?}");
    };
    assert_eq!(stream.url, format!("ws://{}/twilio", gateway.address));
    let callback = format!("http://{}/twilio/stream-status", gateway.address);
    assert_eq!(stream.status_callback.as_ref(), Some(&callback));
    let parameter = |name: &str| {
        stream
            .parameters
            .iter()
            .find(|p| p.name == name)
            .map(|p| p.value.as_str())
    };
    assert_eq!(parameter("profile"), Some("default"));
    assert_eq!(parameter("from"), Some("+15550001"));
    assert_eq!(parameter("to"), Some("+15550002"));
    assert_eq!(parameter("direction"), Some("inbound"));
    assert!(parameter("auth").is_some());
    gateway.stop().await;
}

#[tokio::test]
async fn the_profile_is_that_of_the_path_then_of_the_called_number() {
    let mut config = config(NO_DEEPGRAM);
    for name in ["sales", "help", "next"] {
        config.profiles.insert(name.to_owned(), Profile::default());
    }
    config
        .numbers
        .insert("+15550002".to_owned(), "help".to_owned());
    let gateway = Running::start(config).await;
    for (path, profile) in [("/voice", "help"), ("/voice/sales", "sales")] {
        let answer = post(&gateway, None, path, &call(CALL_SID)).await;
        let parameter = format!(r#"<Parameter name="profile" value="{profile}"/>"#);
        assert!(answer.body.contains(&parameter), "{path}: {}", answer.body);
    }
    let query = form(&call(CALL_SID));
    let by_get = request(
        gateway.address,
        "GET",
        &format!("/voice/sales?{query}"),
        &[],
        "",
    )
    .await;
    assert!(matches!(verbs(&by_get).as_slice(), [Verb::Start(_), ..]));
    for path in ["/voice/unknown", "/voice/next", "/voice/unknown/next"] {
        let answer = post(&gateway, None, path, &call(CALL_SID)).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (404, "profile_not_found"),
            "{path}"
        );
    }
    for path in ["/twilio/unknown", "/twilio/next"] {
        assert_eq!(
            Socket::try_open(gateway.address, path, &[]).await.err(),
            Some(404),
            "{path}"
        );
    }
    let after = post(&gateway, None, "/voice/sales/next", &call(CALL_SID)).await;
    assert_eq!(verbs(&after), [Verb::Hangup]);
    gateway.stop().await;
}

#[tokio::test]
async fn a_request_that_names_no_call_is_refused() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    for path in [
        "/voice",
        "/twilio/stream-status",
        "/twilio/call-status",
        "/voice/default/next",
    ] {
        let answer = post(&gateway, None, path, &[("From", "+15550001")]).await;
        assert_eq!(
            (answer.status, answer.code().as_str()),
            (400, "invalid_request"),
            "{path}"
        );
    }
    gateway.stop().await;
}

#[tokio::test]
async fn who_has_no_place_gets_the_overflow() {
    let mut config = config(NO_DEEPGRAM);
    config.limits.max_calls = 1;
    let busy = Profile {
        overflow: Some(Overflow::Say("All lines are busy.".to_owned())),
        ..Profile::default()
    };
    config.profiles.insert("busy".to_owned(), busy);
    let gateway = Running::start(config).await;
    let first = post(&gateway, None, "/voice/busy", &call(CALL_SID)).await;
    assert!(matches!(verbs(&first).as_slice(), [Verb::Start(_), ..]));
    let other = CALL_SID.replace('1', "2");
    let second = post(&gateway, None, "/voice/busy", &call(&other)).await;
    assert!(matches!(verbs(&second).as_slice(), [Verb::Say(_)]));
    let ready = request(gateway.address, "GET", "/readyz", &[], "").await;
    assert_eq!(
        (ready.status, &ready.json()["reasons"]),
        (503, &json!(["full"]))
    );
    let again = post(&gateway, None, "/voice/busy", &call(CALL_SID)).await;
    assert!(matches!(verbs(&again).as_slice(), [Verb::Start(_), ..]));
    gateway.stop().await;
}

#[tokio::test]
async fn with_a_token_only_signed_requests_are_answered() {
    let gateway = Running::start(signed_config(NO_DEEPGRAM)).await;
    let fields = call(CALL_SID);
    let url = "https://voice.example.com/voice";
    let answer = post(&gateway, Some(url), "/voice", &fields).await;
    let verbs = verbs(&answer);
    let Some(Verb::Start(stream)) = verbs.first() else {
        panic!("{verbs:?}")
    };
    assert_eq!(stream.url, "wss://voice.example.com/twilio");

    let with_port = Some("https://voice.example.com:443/voice");
    assert_eq!(
        post(&gateway, with_port, "/voice", &fields).await.status,
        200
    );
    for wrong in [
        None,
        Some("http://voice.example.com/voice"),
        Some("https://other.example/voice"),
    ] {
        for path in ["/voice", "/voice/unknown", "/twilio/call-status"] {
            let answer = post(&gateway, wrong, path, &fields).await;
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, "forbidden"),
                "{path}"
            );
        }
    }
    assert_eq!(
        metric(
            gateway.address,
            "sidetone_rejected_total{reason=\"signature\"}"
        )
        .await,
        9.0
    );
    gateway.stop().await;
}

#[tokio::test]
async fn with_a_token_only_signed_handshakes_become_streams() {
    let gateway = Running::start(signed_config(NO_DEEPGRAM)).await;
    let none: [(&str, &str); 0] = [];
    for url in [
        "wss://voice.example.com/twilio",
        "wss://voice.example.com/twilio/",
    ] {
        let header = [("X-Twilio-Signature", sign(TOKEN, url, &none))];
        let header = [(header[0].0, header[0].1.as_str())];
        assert!(
            Socket::try_open(gateway.address, "/twilio", &header)
                .await
                .is_ok(),
            "{url}"
        );
    }
    let wrong = sign(TOKEN, "ws://voice.example.com/twilio", &none);
    let header = [("X-Twilio-Signature", wrong.as_str())];
    assert_eq!(
        Socket::try_open(gateway.address, "/twilio", &header)
            .await
            .err(),
        Some(403)
    );
    assert_eq!(
        Socket::try_open(gateway.address, "/twilio/unknown", &[])
            .await
            .err(),
        Some(403)
    );
    gateway.stop().await;
}

#[tokio::test]
async fn a_signed_status_callback_ends_its_call() {
    let deepgram = Deepgram::start().await;
    let mut config = signed_config(&deepgram.url);
    config.public_url = None;
    let gateway = Running::start(config).await;
    let base = format!("http://{}", gateway.address);
    let none: [(&str, &str); 0] = [];
    let signature = sign(TOKEN, &format!("ws://{}/twilio", gateway.address), &none);
    let header = [("X-Twilio-Signature", signature.as_str())];
    let mut phone = Phone::dial_with(gateway.address, "/twilio", &header).await;
    phone.connected().await;
    phone.start(&["inbound"], json!({})).await;
    phone.media("inbound", 57, &[0x55; 160]).await;
    gateway.event(CALL_SID, "call.started").await;

    let mut fields = call(CALL_SID);
    fields.push(("CallStatus", "completed"));
    let path = "/twilio/call-status";
    let answer = post(&gateway, Some(&format!("{base}{path}")), path, &fields).await;
    assert_eq!(answer.status, 204);
    let events = events_until_end(&gateway, CALL_SID).await;
    let Some(EventData::CallEnded(ended)) = events.last() else {
        panic!("{events:?}")
    };
    assert_eq!(ended.end_reason, Some(EndReason::Hangup));
    gateway.stop().await;
}

#[tokio::test]
async fn an_unsigned_status_callback_is_not_believed_while_media_comes() {
    let deepgram = Deepgram::start().await;
    let gateway = Running::start(config(&deepgram.url)).await;
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone.start(&["inbound"], json!({})).await;
    // The call has heard media once the fake Deepgram's words for it are there.
    for frame in 0..50 {
        phone.media("inbound", 57 + frame * 20, &[0x55; 160]).await;
    }
    gateway.event(CALL_SID, "transcript.final").await;

    let mut fields = call(CALL_SID);
    fields.push(("CallStatus", "completed"));
    assert_eq!(
        post(&gateway, None, "/twilio/call-status", &fields)
            .await
            .status,
        204
    );
    let fields = [
        ("CallSid", CALL_SID),
        ("StreamSid", STREAM_SID),
        ("StreamEvent", "stream-stopped"),
    ];
    assert_eq!(
        post(&gateway, None, "/twilio/stream-status", &fields)
            .await
            .status,
        204
    );
    let series = "sidetone_rejected_total{reason=\"unproved_callback\"}";
    assert_eq!(metric(gateway.address, series).await, 2.0);
    assert_eq!(gateway.calls.live().len(), 1);
    phone.stop().await;
    gateway.no_live_call().await;
    gateway.stop().await;
}

#[tokio::test]
async fn a_status_callback_of_an_unknown_call_is_taken_quietly() {
    let gateway = Running::start(config(NO_DEEPGRAM)).await;
    let mut fields = call(CALL_SID);
    fields.push(("CallStatus", "completed"));
    assert_eq!(
        post(&gateway, None, "/twilio/call-status", &fields)
            .await
            .status,
        204
    );
    gateway.stop().await;
}

#[tokio::test]
async fn what_was_ordered_to_come_after_a_stream_is_answered_once() {
    let mut config = config(NO_DEEPGRAM);
    let talk = Profile {
        bidirectional: true,
        ..Profile::default()
    };
    config.profiles.insert("talk".to_owned(), talk);
    let gateway = Running::start(config).await;
    let mut phone = Phone::dial(gateway.address, "/twilio/talk").await;
    phone.connected().await;
    phone.start(&["inbound"], json!({"tenant": "t-42"})).await;
    gateway.event(CALL_SID, "call.started").await;
    let handle = gateway.calls.get(&CALL_SID.parse().unwrap()).unwrap();

    let mut fields = call(CALL_SID);
    fields.push(("CallStatus", "in-progress"));
    let next = async || {
        let answer = post(&gateway, None, "/voice/talk/next", &fields).await;
        verbs(&answer)
    };
    assert_eq!(next().await, [Verb::Hangup]);
    handle.order_next(Next::Dial("+15550009".to_owned()));
    let dialled = next().await;
    let [Verb::Dial(dial)] = &dialled[..] else {
        panic!("{dialled:?}")
    };
    assert_eq!(dial.numbers[0].number, "+15550009");
    assert_eq!(next().await, [Verb::Hangup]);
    handle.order_next(Next::Press("1w#".to_owned()));
    let pressed = next().await;
    let [Verb::Play(play), Verb::Connect(connect)] = &pressed[..] else {
        panic!("{pressed:?}")
    };
    assert_eq!(play.digits.as_deref(), Some("1w#"));
    let mut parameters = connect.stream.parameters.iter();
    assert!(parameters.any(|p| (p.name.as_str(), p.value.as_str()) == ("tenant", "t-42")));
    handle.order_next(Next::HangUp);
    assert_eq!(next().await, [Verb::Hangup]);
    phone.stop().await;
    gateway.no_live_call().await;
    gateway.stop().await;
}
