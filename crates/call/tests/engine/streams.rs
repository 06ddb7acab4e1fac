//! Several streams of one call, and whether each is still there.

use sidetone_audio::Track::{Inbound, Outbound};
use sidetone_call::engine::{Output, ProviderText, StreamEnd};
use sidetone_call::event::{Dtmf, EndReason, EventData, Status};

use crate::line::{Line, ms, secs, stereo_call};

#[test]
fn the_first_stream_starts_the_call_and_tells_about_it() {
    let mut line = Line::new();
    line.stream_with(&[Outbound, Inbound], |start| {
        start.parameters.insert("tenant".into(), "t-42".into());
    });
    let [EventData::CallStarted(call)] = &line.events[..] else {
        panic!("{:?}", line.events)
    };
    assert_eq!(call.status, Status::Live);
    assert_eq!(call.tracks, [Inbound, Outbound]);
    assert_eq!(call.from.as_deref(), Some("+15551230001"));
    assert_eq!(call.custom_parameters["tenant"], "t-42");
    assert_eq!(call.started_at.unwrap().to_string(), "2026-11-21T09:00:00Z");
    assert_eq!(call.ended_at, None);
}

#[test]
fn one_stream_per_track_makes_one_call_with_both() {
    let mut line = Line::new();
    let caller = line.stream(&[Inbound]);
    line.run(ms(300));
    line.play(caller, &[(Inbound, "a.")]);
    let callee = line.stream_with(&[Outbound], |start| start.from = None);
    line.play_all(&[
        (caller, &[(Inbound, "b..")]),
        (callee, &[(Outbound, ".x.")]),
    ]);
    line.end(caller, StreamEnd::Stop);
    line.play(callee, &[(Outbound, ".y")]);
    line.end(callee, StreamEnd::Stop);
    line.run_to_end();

    line.check_words(Inbound, "a@0 b@200");
    line.check_words(Outbound, "x@300 y@600");
    line.check_ended(EndReason::Stop);
    assert_eq!(line.call().tracks, [Inbound, Outbound]);
    assert_eq!(line.call().from.as_deref(), Some("+15551230001"));
    assert_eq!(
        line.event_names()
            .iter()
            .filter(|name| **name == "call.started")
            .count(),
        1
    );
}

#[test]
fn messages_of_a_second_stream_are_in_call_time() {
    let mut line = Line::new();
    let caller = line.stream(&[Inbound]);
    line.play(caller, &[(Inbound, "a...")]);
    let callee = line.stream(&[Outbound]);
    line.play(callee, &[(Outbound, "x.")]);
    line.run(ms(60));
    line.messages.clear();
    line.says_now(concat!(
        r#"{"type":"Results","channel_index":[0,1],"start":0.0,"duration":0.1,"is_final":true,"#,
        r#""channel":{"alternatives":[{"transcript":"x","confidence":1.0,"#,
        r#""words":[{"word":"x","start":0.0,"end":0.1,"confidence":1.0}]}]}}"#
    ));
    assert!(
        line.messages[0].contains(r#""start":0.4,"#),
        "{}",
        line.messages[0]
    );
    assert!(
        line.messages[0].contains(r#""end":0.5,"#),
        "{}",
        line.messages[0]
    );
}

#[test]
fn of_two_forks_the_newest_is_heard_and_the_other_counted() {
    let (mut line, first) = stereo_call();
    line.play(first, &[(Inbound, "a.")]);
    let second = line.stream(&[Inbound, Outbound]);
    line.play_all(&[(first, &[(Inbound, "b.")]), (second, &[(Inbound, "b.")])]);
    line.end(second, StreamEnd::Stop);
    line.play(first, &[(Inbound, "c.")]);
    line.end(first, StreamEnd::Stop);
    line.run_to_end();

    line.check_words(Inbound, "a@0 b@200 c@400");
    assert_eq!(line.call().audio.inbound.frames, 40);
    assert_eq!(
        line.connections.len(),
        1,
        "the fork is heard on the link that was there"
    );
}

#[test]
fn a_stream_that_adds_a_track_takes_the_other_one_over() {
    let mut line = Line::new();
    let mono = line.stream(&[Inbound]);
    line.run(ms(50));
    line.play(mono, &[(Inbound, "a.")]);
    let stereo = line.stream(&[Inbound, Outbound]);
    line.run(ms(250));
    line.play_all(&[
        (mono, &[(Inbound, "b.")]),
        (stereo, &[(Inbound, "b."), (Outbound, ".x")]),
    ]);
    line.end(stereo, StreamEnd::Stop);
    line.end(mono, StreamEnd::Stop);
    line.run_to_end();

    line.check_words(Inbound, "a@0 b@450");
    line.check_words(Outbound, "x@550");
    assert_eq!(line.connections.len(), 2);
    let texts: Vec<_> = line
        .connections
        .values()
        .map(|connection| &connection.texts)
        .collect();
    let closes = |texts: &[&str]| texts.iter().any(|text| text.contains("CloseStream"));
    assert!(texts.iter().all(|texts| closes(texts)), "{texts:?}");
}

#[test]
fn a_track_that_the_stream_did_not_announce_is_only_counted() {
    let mut line = Line::new();
    let stream = line.stream(&[Inbound]);
    line.play(stream, &[(Inbound, "a."), (Outbound, "x.")]);
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
    line.check_words(Inbound, "a@0");
    line.check_words(Outbound, "");
    assert_eq!(line.call().audio.outbound.frames, 10);
}

#[test]
fn media_of_a_stream_that_has_ended_is_nothing() {
    let (mut line, stream) = stereo_call();
    line.end(stream, StreamEnd::Stop);
    line.play(stream, &[(Inbound, "a")]);
    assert_eq!(line.call().audio.inbound.frames, 0);
}

#[test]
fn a_key_press_is_an_event() {
    let (mut line, stream) = stereo_call();
    line.dtmf(stream, '#');
    assert_eq!(
        line.events[1],
        EventData::Dtmf(Dtmf {
            track: Inbound,
            digit: '#'
        })
    );
}

#[test]
fn a_silent_stream_is_pinged_and_then_dead() {
    let (mut line, stream) = stereo_call();
    line.run(secs(14));
    assert_eq!(line.pings, []);
    line.run(secs(1));
    assert_eq!(line.pings, [stream]);
    line.run(secs(44));
    assert_eq!(line.pings, [stream; 3]);
    assert_eq!(line.closed, []);
    line.run(secs(1));
    assert_eq!(line.closed, [(stream, 1001)]);
    line.run_to_end();
    line.check_ended(EndReason::IdleTimeout);
}

#[test]
fn a_stream_that_answers_pings_lives_on() {
    let (mut line, stream) = stereo_call();
    for _ in 0..20 {
        line.run(secs(15));
        line.pong(stream);
    }
    assert_eq!(line.closed, []);
    assert_eq!(line.pings.len(), 20);
    assert_eq!(line.call().status, Status::Live);
}

#[test]
fn the_newest_parameters_are_the_calls() {
    let mut line = Line::new();
    for tenant in ["t-1", "t-2"] {
        line.stream_with(&[Inbound], |start| {
            start.parameters.insert("tenant".into(), tenant.into());
        });
    }
    line.stream(&[Inbound]);
    assert_eq!(line.call().custom_parameters["tenant"], "t-2");
}

#[test]
fn numbers_and_words_do_not_reach_debug() {
    let mut line = Line::new();
    let stream = line.stream_with(&[Inbound], |start| {
        start.parameters.insert("name".into(), "secret".into());
        assert!(!format!("{start:?}").contains("secret"), "{start:?}");
        assert!(!format!("{start:?}").contains("+1555"), "{start:?}");
    });
    line.dtmf(stream, '7');
    line.run(ms(50));
    line.says_now(concat!(
        r#"{"type":"Results","channel_index":[0,1],"start":0.0,"duration":0.1,"is_final":true,"#,
        r#""channel":{"alternatives":[{"transcript":"secret","confidence":1.0,"#,
        r#""words":[{"word":"secret","start":0.0,"end":0.1,"confidence":1.0}]}]}}"#
    ));
    let engine = line.debug();
    assert!(
        !engine.contains("+1555") && !engine.contains("secret"),
        "{engine}"
    );
    let message = Output::Message(ProviderText(r#"{"transcript":"secret"}"#.into()));
    assert_eq!(format!("{message:?}"), "Message(23 bytes)");
}
