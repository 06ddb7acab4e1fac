//! What Twilio's debugger shows of streams, and what becomes of the call.

use super::server::Ending;
use super::*;

/// Calls a document whose stream is bidirectional, with these attributes. Gives the codes of the
/// alerts, and what was said next: by the action, or by the next verb.
async fn connected(server: &Server, attributes: &str) -> (Vec<u32>, String) {
    let twiml = format!(
        r#"<Response><Connect action="/next"><Stream url="/stream" {attributes}/></Connect>
            <Say>Verb</Say></Response>"#
    );
    server.answers("/voice", &twiml);
    server.answers("/next", "<Response><Say>Action</Say></Response>");
    let mut options = options(&server.http("/voice"));
    options.linger = Duration::from_secs(5);
    let report = call(options).await.unwrap();
    assert_eq!(report.end, End::DocumentEnded);
    let codes = report.alerts.iter().map(|alert| alert.code).collect();
    let heard: Vec<&str> = report.heard.iter().map(|word| word.text.as_str()).collect();
    (codes, heard.join(" "))
}

#[tokio::test]
async fn a_close_is_an_error_unless_it_is_a_normal_one() {
    for (code, alerts) in [(1000, vec![]), (1001, vec![31921]), (1011, vec![31921])] {
        let server = Server::start().await;
        server.leaves(Ending::Close { code });
        let next = "Action".to_owned();
        assert_eq!(connected(&server, "").await, (alerts, next), "{code}");
    }
}

#[tokio::test]
async fn a_stream_that_breaks_off_without_a_close_is_an_error_that_its_callback_is_told() {
    let server = Server::start().await;
    server.leaves(Ending::WithoutClose);
    let attributes = r#"statusCallback="/stream-status""#;
    let (codes, next) = connected(&server, attributes).await;
    assert_eq!((&codes[..], next.as_str()), (&[31921][..], "Action"));
    let told = server.forms("/stream-status");
    let events = told.iter().filter_map(|form| form.value("StreamEvent"));
    assert_eq!(
        events.collect::<Vec<_>>(),
        ["stream-started", "stream-error"]
    );
}

#[tokio::test]
async fn a_bidirectional_stream_has_the_inbound_track_and_no_other() {
    for track in ["both_tracks", "outbound_track"] {
        let server = Server::start().await;
        let attributes = format!(r#"track="{track}" statusCallback="/stream-status""#);
        let (codes, next) = connected(&server, &attributes).await;
        assert_eq!(
            (&codes[..], next.as_str()),
            (&[31941][..], "Verb"),
            "{track}"
        );
        let told = server.form("/stream-status");
        assert_eq!(told.value("StreamEvent"), Some("stream-error"));
    }
}
