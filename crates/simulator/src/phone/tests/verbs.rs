//! What verbs do to a call, over real sockets.

use sidetone_audio::wav;

use super::*;

fn heard(report: &Report) -> Vec<&str> {
    let heard = report.heard.iter();
    heard.map(|word| word.word.as_str()).collect()
}

#[tokio::test]
async fn a_recording_is_heard_and_one_that_cannot_be_played_is_passed_over() {
    let server = Server::start().await;
    let speech = speak("Good morning").ulaw;
    let mut recording = wav::header(1, u32::try_from(speech.len()).unwrap()).to_vec();
    recording.extend(speech);
    for (path, body) in [("/morning.wav", recording), ("/noise.mp3", vec![0; 100])] {
        let content_type = "audio/wav";
        server.answers_with(path, Answer { content_type, body });
    }
    server.answers(
        "/voice",
        "<Response><Play>/noise.mp3</Play><Play>/nowhere</Play><Play loop=\"2\">/morning.wav</Play>
            <Play digits=\"1w*\"/></Response>",
    );
    let mut options = options(&server.http("/voice"));
    options.linger = Duration::from_secs(5);
    let report = call(options).await.unwrap();
    assert_eq!(heard(&report), ["good", "morning", "good", "morning"]);
    assert_eq!(report.digits, "1*");
    let codes: Vec<u32> = report.alerts.iter().map(|alert| alert.code).collect();
    assert_eq!(codes, [12300, 11200]);
    assert_eq!(report.end, End::DocumentEnded);
}

#[tokio::test]
async fn keys_are_gathered_and_told_and_without_keys_the_next_verb_comes() {
    let server = Server::start().await;
    server.answers(
        "/voice",
        r#"<Response><Gather action="/pressed" numDigits="2"><Say>Press two keys</Say></Gather>
            <Say>Nothing was pressed</Say></Response>"#,
    );
    server.answers(
        "/pressed",
        r#"<Response><Gather timeout="1"><Pause length="1"/></Gather><Say>Goodbye</Say></Response>"#,
    );
    let mut options = options(&server.http("/voice"));
    options.dtmf = "12".into();
    options.linger = Duration::from_secs(9);
    let report = call(options).await.unwrap();
    let pressed = server.form("/pressed");
    assert_eq!(pressed.value("Digits"), Some("12"));
    assert_eq!(pressed.value("CallStatus"), Some("in-progress"));
    assert_eq!(pressed.value("FinishedOnKey"), None);
    assert_eq!(heard(&report), ["press", "two", "keys", "goodbye"]);
    assert_eq!(report.end, End::DocumentEnded);
    assert_eq!(server.forms("/pressed").len(), 1);
}

#[tokio::test]
async fn a_rejected_call_was_never_answered() {
    let server = Server::start().await;
    server.answers("/voice", r#"<Response><Reject reason="busy"/></Response>"#);
    let mut options = options(&server.http("/voice"));
    options.status_callback = Some(server.http("/call-status").parse().unwrap());
    let exchange = Exchange::default();
    options.exchange = exchange.clone();
    let report = call(options).await.unwrap();
    assert_eq!(report.end, End::Rejected);
    let told = server.form("/call-status");
    assert_eq!(told.value("CallStatus"), Some("busy"));
    assert_eq!(told.value("CallDuration"), Some("0"));
    let [record] = <[CallRecord; 1]>::try_from(exchange.calls()).unwrap();
    assert_eq!((record.status.name(), record.answered_at), ("busy", None));
}

#[tokio::test]
async fn the_last_digits_of_a_dialled_number_say_what_becomes_of_it() {
    let server = Server::start().await;
    server.answers(
        "/voice",
        r#"<Response><Dial action="/next">+14155550486</Dial></Response>"#,
    );
    server.answers("/next", "<Response><Hangup/></Response>");
    let mut options = options(&server.http("/voice"));
    options.linger = Duration::from_secs(5);
    let report = call(options).await.unwrap();
    assert_eq!(report.end, End::DocumentHungUp);
    assert_eq!(server.form("/next").value("DialCallStatus"), Some("busy"));
}
