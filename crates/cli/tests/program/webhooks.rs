//! The voice webhook: the TwiML that each profile answers, and the calls there is no place for.

use sidetone_simulator::phone::{self, Options, Party, Turn};

use crate::deepgram::{Recorder, emulated};
use crate::requests::{Answer, FROM, TO, to, voice};
use crate::serve::{Serve, serve, soon};
use crate::twilio::{Socket, Stream, call_sid};
use crate::watching::{call_until, rejected_for};
use crate::web::{ended, get, words};

const PROFILES: &str = r#"
[profiles.plain]
announce = "Calls & chats <may> be recorded."
announce_voice = "Polly.Amy"
announce_language = "en-GB"
[profiles.plain.listen]
[profiles.desk]
announce = "Hello."
[profiles.desk.listen]
[profiles.desk.dial]
number = "+15551230002"
[profiles.message.listen]
[profiles.message.dial]
say = "Please hold."
[profiles.open.listen]
[profiles.open.dial]
pause_secs = 90
[profiles.helper]
announce = "Hello."
[profiles.helper.agent]
[profiles.reader.speak]
"#;

/// The `<Start>` of a call to `profile`, with the proof that `answer` holds.
fn start(serve: &Serve, profile: &str, answer: &Answer) -> String {
    let stream = stream(serve, profile, answer, r#" track="both_tracks""#);
    format!("<Start>{stream}</Start>")
}

fn stream(serve: &Serve, profile: &str, answer: &Answer, track: &str) -> String {
    let (url, callback) = (serve.ws("/twilio"), serve.http("/twilio/stream-status"));
    let auth = answer
        .parameter("auth")
        .expect("the stream carries its proof");
    format!(
        r#"<Stream url="{url}" name="sidetone"{track} statusCallback="{callback}" statusCallbackMethod="POST"><Parameter name="profile" value="{profile}"/><Parameter name="from" value="{FROM}"/><Parameter name="to" value="{TO}"/><Parameter name="direction" value="inbound"/><Parameter name="auth" value="{auth}"/></Stream>"#
    )
}

#[tokio::test]
async fn the_default_profile_streams_both_tracks_and_keeps_the_line_open() {
    let serve = serve().start().await;
    let answer = voice(&serve, "/voice", 1).post().await;
    let start = start(&serve, "default", &answer);
    let expected = format!(r#"<Response>{start}<Pause length="3600"/></Response>"#);
    assert_eq!(answer.twiml(), expected);
}

#[tokio::test]
async fn a_get_is_answered_like_a_post() {
    let serve = serve().start().await;
    let answer = voice(&serve, "/voice", 1).get().await;
    assert!(
        answer.twiml().starts_with("<Response><Start><Stream "),
        "{answer:?}"
    );
    assert_eq!(answer.parameter("from"), Some(FROM));
    assert_eq!(answer.parameter("to"), Some(TO));
    let answer = voice(&serve, "/voice/default", 2).get().await;
    assert!(
        answer.twiml().starts_with("<Response><Start><Stream "),
        "{answer:?}"
    );
}

#[tokio::test]
async fn each_profile_is_announced_and_goes_on_as_it_says() {
    let serve = serve().toml(PROFILES).start().await;
    let announced = r#"<Say voice="Polly.Amy" language="en-GB">Calls &amp; chats &lt;may&gt; be recorded.</Say>"#;
    let hour = r#"<Pause length="3600"/>"#;
    for (profile, then) in [
        ("plain", format!("{announced}{hour}")),
        (
            "desk",
            "<Say>Hello.</Say><Dial><Number>+15551230002</Number></Dial>".to_owned(),
        ),
        ("message", format!("<Say>Please hold.</Say>{hour}")),
        ("open", r#"<Pause length="90"/>"#.to_owned()),
    ] {
        let answer = voice(&serve, &format!("/voice/{profile}"), 1).post().await;
        let start = start(&serve, profile, &answer);
        assert_eq!(
            answer.twiml(),
            format!("<Response>{start}{then}</Response>")
        );
    }
}

#[tokio::test]
async fn an_agent_or_a_speaker_is_connected_after_the_announcement() {
    let serve = serve().toml(PROFILES).start().await;
    for (profile, announced) in [("helper", "<Say>Hello.</Say>"), ("reader", "")] {
        let answer = voice(&serve, &format!("/voice/{profile}"), 1).post().await;
        let stream = stream(&serve, profile, &answer, "");
        let action = serve.http(&format!("/voice/{profile}/next"));
        let expected = format!(
            r#"<Response>{announced}<Connect action="{action}" method="POST">{stream}</Connect></Response>"#
        );
        assert_eq!(answer.twiml(), expected);
    }
}

#[tokio::test]
async fn what_comes_after_a_connected_stream_is_the_end() {
    let serve = serve().toml(PROFILES).start().await;
    let answer = voice(&serve, "/voice/helper/next", 1).post().await;
    assert_eq!(answer.twiml(), "<Response><Hangup/></Response>");
    assert_eq!(
        voice(&serve, "/voice/nobody/next", 1).post().await.status,
        404
    );
    assert_eq!(
        voice(&serve, "/voice/helper/next", 1).get().await.status,
        405
    );
}

#[tokio::test]
async fn the_profile_is_that_of_the_path_else_of_the_called_number_else_the_default() {
    let numbers = format!("{PROFILES}\n[numbers]\n\"{TO}\" = \"desk\"\n");
    let serve = serve()
        .toml(&numbers)
        .arg("--profile")
        .arg("open")
        .start()
        .await;
    let profile = async |path, called| {
        let answer = voice(&serve, path, 1).field("To", called).post().await;
        answer.parameter("profile").unwrap().to_owned()
    };
    assert_eq!(profile("/voice/message", TO).await, "message");
    assert_eq!(profile("/voice", TO).await, "desk");
    assert_eq!(profile("/voice", "+15005550001").await, "open");
}

#[tokio::test]
async fn an_unknown_profile_is_not_found_and_the_log_names_those_that_exist() {
    let serve = serve().start().await;
    let answer = voice(&serve, "/voice/suport", 1).post().await;
    assert_eq!(
        (answer.status, answer.problem().as_str()),
        (404, "profile_not_found")
    );
    let line = serve.stderr.wait_for("suport").await;
    for existing in ["default", "agent", "hello"] {
        assert!(line.contains(existing), "{line}");
    }
    let refused = Socket::connect(&serve.ws("/twilio/suport"), &[]).await;
    let Err(tokio_tungstenite::tungstenite::Error::Http(response)) = refused.map(|_| ()) else {
        panic!("the handshake was not refused");
    };
    assert_eq!(response.status(), 404);
}

#[tokio::test]
async fn names_of_routes_are_no_profiles() {
    let serve = serve().start().await;
    for name in ["next", "stream-status", "call-status"] {
        let answer = voice(&serve, &format!("/voice/{name}"), 1).post().await;
        assert_eq!(answer.status, 404, "{name}");
        assert!(
            Socket::connect(&serve.ws(&format!("/twilio/{name}")), &[])
                .await
                .is_err()
        );
    }
    let toml = "[profiles.next.listen]\nmodel = \"nova-3\"\n";
    let (code, _, stderr) = crate::serve::serve().toml(toml).run().await;
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("profiles.next") && stderr.contains("sidetone.toml"),
        "{stderr}"
    );
}

#[tokio::test]
async fn a_request_that_is_not_twilios_is_told_what_is_missing() {
    let serve = serve().start().await;
    for fields in [
        &[][..],
        &[("CallSid", "")],
        &[("CallSid", "CA1")],
        &[("From", FROM)],
    ] {
        let answer = to(&serve, "/voice", fields).post().await;
        assert_eq!(
            (answer.status, answer.problem().as_str()),
            (400, "invalid_request")
        );
        assert!(answer.body.contains("CallSid"), "{answer:?}");
    }
    assert_eq!(
        to(&serve, "/twilio/call-status", &[]).post().await.status,
        400
    );
    assert_eq!(
        to(&serve, "/twilio/stream-status", &[]).post().await.status,
        400
    );
}

#[tokio::test]
async fn with_a_public_url_only_that_one_is_named() {
    let serve = serve()
        .env(
            "SIDETONE_PUBLIC_URL",
            "https://voice.example.com:8443/calls/",
        )
        .arg("--insecure")
        .start()
        .await;
    let answer = voice(&serve, "/voice", 1)
        .header("x-forwarded-host", "elsewhere.example.com")
        .post()
        .await;
    let stream = r#"<Stream url="wss://voice.example.com:8443/calls/twilio" "#;
    let callback = r#"statusCallback="https://voice.example.com:8443/calls/twilio/stream-status""#;
    assert!(answer.twiml().contains(stream), "{answer:?}");
    assert!(answer.twiml().contains(callback), "{answer:?}");
}

#[tokio::test]
async fn without_a_public_url_the_host_counts_or_what_a_trusted_proxy_says() {
    let asked = |serve| {
        voice(serve, "/voice", 1)
            .header("host", "voice.example.com")
            .header("x-forwarded-host", "public.example.com")
            .header("x-forwarded-proto", "https")
            .post()
    };
    let direct = serve().start().await;
    let answer = asked(&direct).await;
    assert!(
        answer.body.contains("wss://voice.example.com/twilio\""),
        "{answer:?}"
    );
    assert!(
        answer
            .body
            .contains("\"http://voice.example.com/twilio/stream-status\""),
        "{answer:?}"
    );
    let proxied = serve()
        .arg("--set")
        .arg("server.trusted_proxies=127.0.0.1")
        .start()
        .await;
    let answer = asked(&proxied).await;
    assert!(
        answer.body.contains("wss://public.example.com/twilio\""),
        "{answer:?}"
    );
    assert!(
        answer.body.contains("\"https://public.example.com/twilio/"),
        "{answer:?}"
    );
}

const FULL: &str = r#"
[limits]
max_calls = 1
[profiles.sorry.listen]
[profiles.sorry.overflow]
say = "All lines are busy."
[profiles.elsewhere.listen]
[profiles.elsewhere.overflow]
number = "+15551230009"
[profiles.unheard]
announce = "Hello."
[profiles.unheard.listen]
[profiles.unheard.dial]
number = "+15551230002"
"#;

/// What each profile of [`FULL`] answers when there is no place.
const OVERFLOWS: [(&str, &str); 3] = [
    ("sorry", "<Say>All lines are busy.</Say>"),
    ("elsewhere", "<Dial><Number>+15551230009</Number></Dial>"),
    (
        "unheard",
        "<Say>Hello.</Say><Dial><Number>+15551230002</Number></Dial>",
    ),
];

async fn overflows(serve: &Serve, call: u32) {
    for (profile, expected) in OVERFLOWS {
        let answer = voice(serve, &format!("/voice/{profile}"), call)
            .post()
            .await;
        assert_eq!(
            answer.twiml(),
            format!("<Response>{expected}</Response>"),
            "{profile}"
        );
    }
}

#[tokio::test]
async fn an_answered_call_holds_the_last_place_until_its_stream_comes() {
    let recorder = Recorder::start().await;
    let serve = serve().toml(FULL).deepgram(&recorder.url).start().await;
    let answer = voice(&serve, "/voice/unheard", 1).post().await;
    let auth = answer.parameter("auth").unwrap().to_owned();
    overflows(&serve, 2).await;
    assert_eq!(rejected_for(&serve, "full").await, 3.0);

    let mut other = Stream::start(&serve.ws("/twilio"), 2, 2, &["inbound"]).await;
    let (code, reason) = other.socket.closed().await.expect("a Close comes");
    assert_eq!(code, 1013, "{reason}");
    assert!(!reason.is_empty());

    // Twilio asks again when the first answer was too slow.
    let again = voice(&serve, "/voice/unheard", 1).post().await;
    assert!(again.twiml().contains("<Stream "), "{again:?}");

    let mut stream = Stream::connected(&serve.ws("/twilio"), 1).await;
    stream
        .say_start(1, &["inbound"], &format!(r#"{{"auth":"{auth}"}}"#))
        .await;
    stream.play("inbound", 57, &[7; 480]).await;
    recorder
        .until("the first call's audio", |all| !all.is_empty())
        .await;
    overflows(&serve, 3).await;
    assert_eq!(get(&serve, "/readyz").await.0, 503);
}

#[tokio::test]
async fn while_it_drains_new_calls_overflow_and_live_ones_go_on() {
    let recorder = Recorder::start().await;
    let toml = FULL.replace("max_calls = 1", "max_calls = 100");
    let mut serve = serve().toml(&toml).deepgram(&recorder.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio/sorry"), 1, 1, &["inbound"]).await;
    let answered = voice(&serve, "/voice/unheard", 9).post().await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    serve.terminate();
    serve.stderr.wait_for("Draining").await;

    overflows(&serve, 2).await;
    let mut refused = Stream::start(&serve.ws("/twilio"), 3, 3, &["inbound"]).await;
    assert_eq!(
        refused.socket.closed().await.expect("a Close comes").0,
        1013
    );
    // A call that was answered before has its place.
    let auth = answered.parameter("auth").unwrap();
    let mut awaited = Stream::connected(&serve.ws("/twilio"), 9).await;
    awaited
        .say_start(9, &["inbound"], &format!(r#"{{"auth":"{auth}"}}"#))
        .await;
    call_until(&serve, &call_sid(9), |call| call["status"] == "live").await;
    awaited.stop(9).await;

    stream.play("inbound", 57, &[7; 1600]).await;
    recorder
        .until("the live call's audio", |all| {
            all.iter().any(|c| c.audio.len() >= 1000)
        })
        .await;
    stream.stop(1).await;
    assert_eq!(serve.ended().await, Some(0));
}

#[tokio::test]
async fn a_phone_that_follows_the_answer_is_heard_on_both_sides() {
    let emulator = emulated().await;
    let toml = "[profiles.default.listen]\n[profiles.default.dial]\nnumber = \"+15551230002\"\n";
    let serve = serve().toml(toml).deepgram(emulator.url()).start().await;
    let mut options = Options::new(serve.http("/voice").parse().unwrap());
    options.call_sid = Some(call_sid(1).parse().unwrap());
    options.status_callback = Some(serve.http("/twilio/call-status").parse().unwrap());
    options.linger = std::time::Duration::ZERO;
    options.turns = vec![
        Turn::say(Party::Caller, "hello, is anyone there?"),
        Turn::say(Party::Callee, "yes, good morning"),
    ];
    let report = soon("the phone call", phone::call(options)).await.unwrap();
    assert_eq!(report.alerts, []);
    let events = ended(&serve, &call_sid(1)).await;
    assert_eq!(
        words(&events, "inbound"),
        ["hello", "is", "anyone", "there"]
    );
    assert_eq!(words(&events, "outbound"), ["yes", "good", "morning"]);
    let call = &events.last().unwrap()["data"];
    assert_eq!(call["from"], FROM);
    assert_eq!(call["to"], TO);
    assert_eq!(call["direction"], "inbound");
    assert_eq!(call["profile"], "default");
    assert!(!call.to_string().contains("auth"), "{call}");
}
