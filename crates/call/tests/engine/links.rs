//! One link for all tracks, or one for each; and what is shown of a link whose connection is gone.

use sidetone_audio::Track::{self, Inbound, Outbound};
use sidetone_call::engine::{LinkKey, Links, StreamEnd, StreamKey};
use sidetone_call::event::{EndReason, EventData, ProviderState};

use crate::line::{Line, ms, secs, stereo_call};

/// A call with one stream of both tracks, each with a link of its own that is open.
fn call_per_track() -> (Line, StreamKey) {
    let mut line = Line::with(|setup| {
        let listen = setup.listen.as_mut().unwrap();
        listen.links = Links::PerTrack;
    });
    let stream = line.stream(&Track::ALL);
    line.run(ms(50));
    (line, stream)
}

fn keys(line: &Line) -> Vec<(LinkKey, u32)> {
    line.connections.keys().copied().collect()
}

#[test]
fn per_track_each_track_is_channel_zero_of_a_mono_connection() {
    let (mut line, stream) = call_per_track();
    assert_eq!(keys(&line), [(LinkKey(0), 1), (LinkKey(1), 1)]);
    line.play(stream, &[(Inbound, "a..b.."), (Outbound, " .xx..")]);
    line.run(ms(60));
    let received: Vec<usize> = line
        .connections
        .values()
        .map(|one| one.received())
        .collect();
    assert_eq!(received, [4_800, 4_000], "no track is padded for the other");
    line.results(true);
    line.check_words(Inbound, "a@0 b@300");
    line.check_words(Outbound, "x@200");
    assert!(line.finals().iter().all(|last| last.channel == 0));
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
    let metadata = line
        .messages
        .iter()
        .filter(|text| text.contains("Metadata"));
    assert_eq!(metadata.count(), 1, "the last one of all links");
}

#[test]
fn per_track_messages_for_client_are_in_call_time() {
    let (mut line, stream) = call_per_track();
    line.play(stream, &[(Inbound, "......"), (Outbound, "   xx.")]);
    line.run(ms(60));
    line.results(true);
    let message = line.messages.iter().find(|text| text.contains("\"x\""));
    let message = message.expect("the outbound final");
    assert!(message.contains(r#""start":0.3,"end":0.5"#), "{message}");
}

#[test]
fn per_track_a_lost_connection_of_one_track_leaves_the_other_alone() {
    let (mut line, stream) = call_per_track();
    line.play(stream, &[(Inbound, "a."), (Outbound, "x.")]);
    line.run(ms(60));
    line.cut_link(LinkKey(1));
    assert_eq!(line.call().provider.state, ProviderState::Reconnecting);
    line.results(true);
    line.check_words(Inbound, "a@0");
    line.run(ms(400));
    assert_eq!(
        keys(&line),
        [(LinkKey(0), 1), (LinkKey(1), 1), (LinkKey(1), 2)]
    );
    assert_eq!(line.call().provider.state, ProviderState::Connected);
    assert_eq!(line.call().provider.reconnects, 1);
    line.results(true);
    line.check_words(Inbound, "a@0");
    line.check_words(Outbound, "x@0");
    let lost = line.events.iter();
    let lost = lost.filter(|event| matches!(event, EventData::ProviderDisconnected(_)));
    assert_eq!(lost.count(), 1);
}

#[test]
fn per_track_the_reconnects_of_all_links_are_counted() {
    let (mut line, stream) = call_per_track();
    line.play(stream, &[(Inbound, "a."), (Outbound, "x.")]);
    line.cut();
    line.run(ms(400));
    assert_eq!(line.call().provider.state, ProviderState::Connected);
    assert_eq!(line.call().provider.reconnects, 2);
    assert!(line.call().provider.replayed_ms >= 300);
}

#[test]
fn per_track_a_stream_that_brings_one_track_has_one_link() {
    let mut line = Line::with(|setup| {
        let listen = setup.listen.as_mut().unwrap();
        listen.links = Links::PerTrack;
    });
    let first = line.stream(&[Inbound]);
    assert_eq!(line.connections.len(), 1);
    let second = line.stream(&Track::ALL);
    assert_eq!(
        line.connections.len(),
        2,
        "the inbound track is heard already"
    );
    line.end(first, StreamEnd::Stop);
    line.run(secs(1));
    line.end(second, StreamEnd::Stop);
    line.run_to_end();
    line.check_ended(EndReason::Stop);
}

#[test]
fn an_interim_goes_with_its_connection() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a.b"), (Outbound, "...")]);
    line.run(ms(60));
    line.results(false);
    assert!(matches!(line.interims.last(), Some((Inbound, Some(_)))));
    line.cut();
    assert_eq!(line.interims.last(), Some(&(Inbound, None)));
}

#[test]
fn an_interim_that_is_heard_as_nothing_after_all_is_withdrawn() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a.b"), (Outbound, "...")]);
    line.run(ms(60));
    line.results(false);
    let nothing = r#"{"type":"Results","channel_index":[0,2],"duration":0.3,"start":0.0,"is_final":false,"channel":{"alternatives":[{"transcript":"","confidence":0.0,"words":[]}]}}"#;
    line.says_now(nothing);
    assert_eq!(line.interims.last(), Some(&(Inbound, None)));
    let told = line.interims.len();
    line.says_now(nothing);
    assert_eq!(line.interims.len(), told, "once");
}
