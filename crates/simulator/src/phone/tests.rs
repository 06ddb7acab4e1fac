//! Calls over real sockets, in real time, against a server that records what it is sent.

mod debugger;
pub(crate) mod server;
mod slow;
mod verbs;

use std::time::Duration;

use secrecy::SecretString;
use sidetone_twilio::form::{Form, StreamEvent, StreamStatus};
use sidetone_twilio::signature::Validator;
use sidetone_twilio::stream::{Incoming, MediaTrack};

use self::server::{Answer, Server};
use super::*;
use crate::voice::{Ear, Heard, SpokenWord, speak};

const TOKEN: &str = "12345678901234567890123456789012";

fn options(target: &str) -> Options {
    Options {
        seed: 7,
        ring: Duration::from_millis(200),
        linger: Duration::from_millis(100),
        ..Options::new(target.parse().unwrap())
    }
}

/// The audio of one track, in the order in which it came.
fn audio(messages: &[String], track: MediaTrack) -> Vec<u8> {
    let mut audio = Vec::new();
    for message in messages {
        if let Ok(Incoming::Media(media)) = Incoming::parse(message)
            && media.track == track
        {
            assert_eq!(media.payload.decode_into(&mut audio), Ok(160));
        }
    }
    audio
}

fn words(audio: &[u8]) -> Vec<SpokenWord> {
    let mut heard = Vec::new();
    Ear::default().hear(audio, &mut heard);
    let word = |heard| match heard {
        Heard::Word(word) => Some(word),
        Heard::Begun { .. } | Heard::Broken { .. } => None,
    };
    heard.into_iter().filter_map(word).collect()
}

fn bare(words: &[SpokenWord]) -> Vec<&str> {
    words.iter().map(|word| word.word.as_str()).collect()
}

/// What is found in a call's record, once it is there.
async fn until<T>(exchange: &Exchange, found: impl Fn(&CallRecord) -> Option<T>) -> T {
    let mut changes = exchange.changes();
    let finding = async {
        loop {
            if let Some(found) = exchange.calls().iter().find_map(&found) {
                return found;
            }
            changes.changed().await.unwrap();
        }
    };
    let found = tokio::time::timeout(Duration::from_secs(10), finding).await;
    found.expect("the call comes to be so")
}

#[tokio::test]
async fn two_people_talk_and_every_word_leaves_on_the_track_of_its_speaker() {
    let server = Server::start().await;
    server.answers(
        "/voice",
        r#"<Response>
            <Start><Stream name="fork" url="/stream?dropped=1" track="both_tracks"
                           statusCallback="/stream-status">
                <Parameter name="tenant" value="t-42"/></Stream></Start>
            <Dial action="/dialled"><Number>+15551230002</Number></Dial>
        </Response>"#,
    );
    let mut options = options(&server.http("/voice"));
    options.auth_token = Some(SecretString::from(TOKEN));
    options.status_callback = Some(server.http("/call-status").parse().unwrap());
    options.turns = vec![
        Turn::say(Party::Caller, "Hello, please help me."),
        Turn::say(Party::Callee, "Good morning."),
    ];
    let report = call(options).await.unwrap();

    assert_eq!(report.end, End::CallerHungUp);
    assert_eq!(report.alerts, []);
    let spoken: Vec<(Party, &str)> = report
        .spoken
        .iter()
        .map(|word| (word.party, word.word.as_str()))
        .collect();
    let [caller, callee] = [Party::Caller, Party::Callee];
    let expected = [
        (caller, "hello"),
        (caller, "please"),
        (caller, "help"),
        (caller, "me"),
        (callee, "good"),
        (callee, "morning"),
    ];
    assert_eq!(spoken, expected);

    let stream = server.stream().await;
    let inbound = words(&audio(&stream.messages, MediaTrack::Inbound));
    let outbound = words(&audio(&stream.messages, MediaTrack::Outbound));
    assert_eq!(bare(&inbound), ["hello", "please", "help", "me"]);
    assert_eq!(bare(&outbound), ["good", "morning"]);
    for (word, told) in inbound.iter().chain(&outbound).zip(&report.spoken) {
        assert_eq!(
            word.start / 8,
            told.start_ms,
            "{} stands where it was said",
            told.word
        );
    }
    assert_eq!(report.heard.len(), 2, "the caller hears the callee");

    // The messages are those of one stream, in order.
    assert_eq!(stream.path, "/stream");
    assert!(matches!(
        Incoming::parse(&stream.messages[0]),
        Ok(Incoming::Connected { .. })
    ));
    let Ok(Incoming::Start(start)) = Incoming::parse(&stream.messages[1]) else {
        panic!()
    };
    assert_eq!(start.tracks, [MediaTrack::Inbound, MediaTrack::Outbound]);
    assert_eq!(start.custom_parameters["tenant"], "t-42");
    assert!(matches!(
        Incoming::parse(stream.messages.last().unwrap()),
        Ok(Incoming::Stop { .. })
    ));
    assert_eq!(stream.close_code, Some(1000));
    for (name, value) in [("user-agent", Some("Twilio.TmeWs/1.0")), ("origin", None)] {
        assert_eq!(
            stream
                .headers
                .get(name)
                .map(|value| value.to_str().unwrap()),
            value
        );
    }
    assert!(stream.headers.keys().all(|name| {
        !matches!(
            name.as_str(),
            "sec-websocket-protocol" | "sec-websocket-extensions"
        )
    }));

    // Every request is signed, and the status callbacks tell the same story.
    let validator = Validator::new([&SecretString::from(TOKEN)]);
    let signature =
        |headers: &http::HeaderMap| headers["x-twilio-signature"].to_str().unwrap().to_owned();
    validator
        .check_handshake(&server.ws("/stream"), &signature(&stream.headers))
        .unwrap();
    let mut idempotency_tokens = std::collections::HashSet::new();
    for request in server.requests() {
        assert!(idempotency_tokens.insert(request.headers["i-twilio-idempotency-token"].clone()));
        assert_eq!(request.headers["user-agent"], "TwilioProxy/1.1");
        let url = server.http(&request.path);
        validator
            .check_form(&url, request.form.pairs(), &signature(&request.headers))
            .unwrap();
    }
    assert_eq!(server.form("/voice").value("CallStatus"), Some("ringing"));
    assert_eq!(server.form("/voice").pairs().len(), 27);
    assert_eq!(
        server.form("/dialled").value("DialCallStatus"),
        Some("completed")
    );
    assert_eq!(
        server.form("/call-status").value("CallStatus"),
        Some("completed")
    );
    let status = |form: &Form| StreamStatus::from_form(form).unwrap().event;
    let events: Vec<StreamEvent> = server.forms("/stream-status").iter().map(status).collect();
    assert_eq!(events, [StreamEvent::Started, StreamEvent::Stopped]);
}

#[tokio::test]
async fn what_the_server_plays_is_heard_and_what_it_may_not_say_is_told() {
    let server = Server::start().await;
    server.plays("How are you?");
    let mut options = options(&server.ws("/stream"));
    options.dtmf = "5".into();
    options.linger = Duration::from_secs(5);
    let report = call(options).await.unwrap();

    let expected = speak("How are you?");
    let heard: Vec<&str> = report.heard.iter().map(|word| word.text.as_str()).collect();
    assert_eq!(heard, ["How", "are", "you?"]);
    assert_eq!(report.played_samples, expected.ulaw.len() as u64);
    let codes: Vec<u32> = report.alerts.iter().map(|alert| alert.code).collect();
    assert_eq!(
        codes,
        [31951, 31950],
        "each once, however often it happened"
    );
    assert_eq!(
        report.end,
        End::StreamClosed {
            code: Some(1000),
            reason: "enough".into()
        }
    );

    let stream = server.stream().await;
    let is_digit = |message: &&String| {
        matches!(
            Incoming::parse(message),
            Ok(Incoming::Dtmf { digit: '5', .. })
        )
    };
    assert_eq!(stream.messages.iter().filter(is_digit).count(), 1);
    let is_mark = |message: &&String| matches!(Incoming::parse(message), Ok(Incoming::Mark { .. }));
    assert_eq!(stream.messages.iter().filter(is_mark).count(), 1);
}

#[tokio::test]
async fn a_server_that_talks_on_a_fork_ends_the_stream_with_31924() {
    let server = Server::start().await;
    server.plays("Hello.");
    let mut options = options(&server.ws("/stream"));
    options.tracks = vec![MediaTrack::Inbound, MediaTrack::Outbound];
    let report = call(options).await.unwrap();
    assert_eq!(report.end, End::ApplicationError);
    assert_eq!(report.alerts[0].code, 31924);
    assert_eq!(report.played_samples, 0);
}

#[tokio::test]
async fn after_a_bidirectional_stream_the_action_says_what_comes_next() {
    let server = Server::start().await;
    server.answers(
        "/voice",
        r#"<Response><Connect action="/next"><Stream url="/stream"/></Connect></Response>"#,
    );
    server.answers("/next", "<Response><Say>Goodbye.</Say><Hangup/></Response>");
    server.plays("Hello.");
    let mut options = options(&server.http("/voice"));
    options.linger = Duration::from_secs(5);
    let report = call(options).await.unwrap();
    assert_eq!(report.end, End::DocumentHungUp);
    let heard: Vec<&str> = report.heard.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(heard, ["hello", "goodbye"]);
    assert_eq!(
        server.form("/next").value("CallStatus"),
        Some("in-progress")
    );
}

#[tokio::test]
async fn what_is_still_to_be_said_waits_until_the_stream_is_back() {
    let server = Server::start().await;
    let connect = format!(
        r#"<Connect><Stream url="{}"/></Connect>"#,
        server.ws("/stream")
    );
    server.answers("/voice", &format!("<Response>{connect}</Response>"));
    let exchange = Exchange::default();
    let mut options = options(&server.http("/voice"));
    options.exchange = exchange.clone();
    let thanks = Turn {
        // Longer than the way back to the caller, shorter than the time without a stream.
        pause: Duration::from_millis(500),
        ..Turn::say(Party::Caller, "Thank you.")
    };
    options.turns = vec![Turn::say(Party::Caller, "Please press two keys."), thanks];
    let phone = tokio::spawn(call(options));
    until(&exchange, |call| (call.spoken.len() == 4).then_some(())).await;
    let press = format!(r#"<Response><Play digits="12"/>{connect}</Response>"#);
    let press = Order::Redirect(Instructions::Twiml(press));
    exchange.entries()[0].order(press).unwrap();

    let report = phone.await.unwrap().unwrap();
    assert_eq!(report.digits, "12");
    let spoken: Vec<&str> = report.spoken.iter().map(|word| &*word.word).collect();
    assert_eq!(spoken, ["please", "press", "two", "keys", "thank", "you"]);
    assert_eq!(report.streams.len(), 2);
    let again = server.nth_stream(1).await;
    let heard = words(&audio(&again.messages, MediaTrack::Inbound));
    assert_eq!(bare(&heard), ["thank", "you"]);
}

#[tokio::test]
async fn nothing_after_start_hangs_up() {
    let server = Server::start().await;
    server.answers(
        "/voice",
        r#"<Response><Start><Stream url="/stream"/></Start></Response>"#,
    );
    let mut options = options(&server.http("/voice"));
    options.turns = vec![Turn::say(Party::Caller, "Hello?")];
    let report = call(options).await.unwrap();
    assert_eq!(report.end, End::DocumentEnded);
    assert_eq!(report.spoken.len(), 0);
}

#[tokio::test]
async fn a_stream_that_is_refused_does_not_end_the_call() {
    let server = Server::start().await;
    server.answers(
        "/voice",
        r#"<Response><Start><Stream url="/nowhere" statusCallback="/stream-status"/></Start>
            <Say>Sorry.</Say></Response>"#,
    );
    let report = call(options(&server.http("/voice"))).await.unwrap();
    assert_eq!(report.end, End::DocumentEnded);
    assert_eq!(report.heard.len(), 1);
    assert_eq!(report.alerts[0].code, 31920);
    assert_eq!(
        server.form("/stream-status").value("StreamEvent"),
        Some("stream-error")
    );
}

#[tokio::test]
async fn documents_in_a_circle_end_the_call() {
    let server = Server::start().await;
    server.answers("/voice", "<Response><Redirect>/voice</Redirect></Response>");
    let report = call(options(&server.http("/voice"))).await.unwrap();
    assert_eq!(report.end, End::ApplicationError);
    assert_eq!(report.alerts[0].code, 11200);
    assert_eq!(server.requests().len(), 20);
}

#[tokio::test]
async fn a_number_that_nobody_answers_is_told_to_the_action() {
    let server = Server::start().await;
    server.answers(
        "/voice",
        r#"<Response><Dial timeout="0" action="/next">
            <Number statusCallback="/leg" statusCallbackEvent="ringing answered completed">
                +15551230002</Number></Dial></Response>"#,
    );
    server.answers("/next", "<Response><Hangup/></Response>");
    let report = call(options(&server.http("/voice"))).await.unwrap();
    assert_eq!(report.end, End::DocumentHungUp);
    let next = server.form("/next");
    assert_eq!(next.value("DialCallStatus"), Some("no-answer"));
    assert_eq!(next.value("CallStatus"), Some("in-progress"));

    let mut told: Vec<(String, String)> = server
        .forms("/leg")
        .iter()
        .map(|form| {
            assert_eq!(form.value("ParentCallSid"), Some(report.call_sid.as_str()));
            let value = |key| form.value(key).unwrap().to_owned();
            (value("SequenceNumber"), value("CallStatus"))
        })
        .collect();
    told.sort();
    let expected = [("0", "ringing"), ("1", "no-answer")];
    assert_eq!(
        told,
        expected.map(|(number, status)| (number.into(), status.into()))
    );
}

#[tokio::test]
async fn a_stopped_stream_ends_and_the_call_goes_on() {
    let server = Server::start().await;
    server.answers(
        "/voice",
        r#"<Response><Start><Stream name="fork" url="/stream"/></Start><Pause length="1"/>
            <Stop><Stream name="fork"/></Stop><Say>Goodbye.</Say></Response>"#,
    );
    let mut options = options(&server.http("/voice"));
    options.linger = Duration::from_secs(5);
    let report = call(options).await.unwrap();
    assert_eq!(report.end, End::DocumentEnded);
    assert_eq!(report.heard.len(), 1);
    let stream = server.stream().await;
    assert!(matches!(
        Incoming::parse(stream.messages.last().unwrap()),
        Ok(Incoming::Stop { .. })
    ));
    let frames = report.streams[0].frames;
    assert!((1..=50).contains(&frames), "{frames} frames in a second");
}

#[tokio::test]
async fn a_call_ends_at_its_time_limit() {
    let server = Server::start().await;
    let mut options = options(&server.ws("/stream"));
    options.time_limit = Duration::from_secs(1);
    options.linger = Duration::from_secs(60);
    let report = call(options).await.unwrap();
    assert_eq!(report.end, End::TimeLimit);
    assert_eq!(server.stream().await.close_code, Some(1000));
}

#[tokio::test]
async fn a_dropped_call_leaves_nothing_behind() {
    let server = Server::start().await;
    let mut options = options(&server.ws("/stream"));
    options.linger = Duration::from_secs(60);
    let dropped = tokio::time::timeout(Duration::from_secs(1), call(options)).await;
    assert!(dropped.is_err());
    let stream = server.stream().await;
    assert!(stream.messages.len() > 2, "it was under way");
    assert_eq!(stream.close_code, None);
}

/// The code of the error that keeps a call to `path` from being.
#[track_caller]
fn check_refused(result: Result<Report, PhoneError>, expected: u32) {
    let code = match result.unwrap_err() {
        PhoneError::Webhook { source, .. } => source.code(),
        PhoneError::Handshake { source, .. } => source.code(),
        PhoneError::UnsupportedTarget { .. } => 0,
    };
    assert_eq!(code, expected);
}

#[tokio::test]
async fn a_call_that_cannot_be_says_why() {
    let server = Server::start().await;
    server.answers("/broken", "<Response><Say></Response>");
    server.answers("/unknown", "<Response><Sing/></Response>");
    server.answers(
        "/long",
        &format!("<Response>{}</Response>", " ".repeat(70_000)),
    );
    server.answers_with(
        "/image",
        Answer {
            content_type: "image/png",
            body: "x".into(),
        },
    );
    for (path, code) in [
        ("/missing", 11200),
        ("/broken", 12100),
        ("/unknown", 12200),
        ("/long", 11750),
        ("/image", 12300),
    ] {
        check_refused(call(options(&server.http(path))).await, code);
    }
    check_refused(call(options(&server.ws("/missing"))).await, 31920);
    check_refused(call(options("ftp://127.0.0.1/")).await, 0);
    // Nothing listens on the port of a listener that is gone.
    let gone = tokio::net::TcpListener::bind("127.0.0.1:0")
        .await
        .unwrap()
        .local_addr()
        .unwrap();
    check_refused(call(options(&format!("http://{gone}/voice"))).await, 11205);
    check_refused(call(options(&format!("ws://{gone}/stream"))).await, 31902);
}

#[tokio::test]
async fn plain_text_is_spoken() {
    let server = Server::start().await;
    let body = "Good morning".into();
    server.answers_with(
        "/voice",
        Answer {
            content_type: "text/plain",
            body,
        },
    );
    let report = call(options(&server.http("/voice"))).await.unwrap();
    let heard: Vec<&str> = report.heard.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(heard, ["good", "morning"]);
}
