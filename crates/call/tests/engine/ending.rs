//! How a call ends, and how it goes on.

use proptest::prelude::*;
use sidetone_audio::Track::{self, Inbound, Outbound};
use sidetone_call::engine::StreamEnd;
use sidetone_call::event::{EndReason, EventData, ProviderState, Status};

use crate::line::{Line, ms, secs, stereo_call};

/// When `call.ended` came, in ms from the start of the test.
fn end_ms(line: &Line) -> u64 {
    assert!(line.ended);
    *line.times_ms.last().unwrap()
}

#[test]
fn the_last_words_are_heard_before_the_call_ends() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "ab"), (Outbound, "x.")]);
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
    line.check_words(Inbound, "a@0 b@100");
    line.check_words(Outbound, "x@0");
    line.check_ended(EndReason::Stop);
    assert_eq!(line.call().status, Status::Ended);
    assert_eq!(line.call().provider.state, ProviderState::Closed);
    assert_eq!(line.call().provider.behind_ms, 0);
    assert_eq!(
        line.call().ended_at.unwrap().to_string(),
        "2026-11-21T09:00:02.25Z"
    );
}

#[test]
fn a_link_is_finished_as_soon_as_its_stream_ends() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a")]);
    line.end(stream, StreamEnd::Stop);
    line.run(ms(150));
    line.check_words(Inbound, "a@0");
    assert!(!line.ended, "another stream may come");
    assert_eq!(line.call().status, Status::Live);
}

#[test]
fn a_stream_within_two_seconds_keeps_the_call_live() {
    let (mut line, first) = stereo_call();
    line.play(first, &[(Inbound, "a.")]);
    line.end(first, StreamEnd::Stop);
    line.run(ms(1_900));
    let second = line.stream(&[Inbound, Outbound]);
    line.run(secs(5));
    line.play(second, &[(Inbound, "b.")]);
    line.end(second, StreamEnd::Disconnected);
    line.run_to_end();
    // The second stream's audio stands where the arrival clock was.
    line.check_words(Inbound, "a@0 b@7100");
    line.check_ended(EndReason::Disconnected);
    assert!(!line.event_names().contains(&"call.resumed"));
}

#[test]
fn the_reason_is_how_the_last_stream_ended() {
    for (end, reason) in [
        (StreamEnd::Stop, EndReason::Stop),
        (StreamEnd::Disconnected, EndReason::Disconnected),
        (StreamEnd::Refused, EndReason::Error),
    ] {
        let (mut line, stream) = stereo_call();
        line.end(stream, end);
        line.run_to_end();
        line.check_ended(reason);
        assert_eq!(end_ms(&line), 2_050);
    }
}

#[test]
fn a_stream_that_is_said_to_have_stopped_ends_once_nothing_more_comes() {
    let (mut line, stream) = stereo_call();
    line.stopped(stream);
    line.run(ms(99));
    assert_eq!(line.closed, []);
    line.run(ms(1));
    assert_eq!(line.closed, [(stream, 1000)]);
    line.run_to_end();
    line.check_ended(EndReason::Stop);
}

#[test]
fn what_the_callback_of_a_stopped_stream_overtook_is_heard() {
    let (mut line, stream) = stereo_call();
    line.stopped(stream);
    line.play(stream, &[(Inbound, "a")]);
    line.end(stream, StreamEnd::Disconnected);
    line.run_to_end();
    line.check_words(Inbound, "a@0");
    line.check_ended(EndReason::Disconnected);
}

#[test]
fn a_stream_that_goes_on_after_it_stopped_is_closed_two_seconds_later() {
    let (mut line, stream) = stereo_call();
    line.stopped(stream);
    line.run(ms(50));
    line.stopped(stream);
    for _ in 0..39 {
        line.frame(stream, Inbound, &[0x55; 400]);
        line.run(ms(50));
    }
    assert_eq!(line.closed, [(stream, 1000)]);
}

#[test]
fn completed_after_stop_ends_the_call_without_waiting() {
    let (mut line, stream) = stereo_call();
    line.end(stream, StreamEnd::Stop);
    line.run(ms(150));
    line.status("completed");
    line.check_ended(EndReason::Stop);
}

#[test]
fn completed_while_a_stream_lives_lets_it_say_stop_itself() {
    let (mut line, stream) = stereo_call();
    line.status("completed");
    line.run(ms(1_500));
    assert_eq!(line.closed, []);
    line.end(stream, StreamEnd::Stop);
    line.run(ms(200));
    line.check_ended(EndReason::Stop);
}

#[test]
fn a_stream_that_never_says_stop_is_closed_two_seconds_after_completed() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a")]);
    line.status("completed");
    line.run(ms(1_999));
    assert_eq!(line.closed, []);
    line.run(ms(1));
    assert_eq!(line.closed, [(stream, 1000)]);
    line.run_to_end();
    line.check_words(Inbound, "a@0");
    line.check_ended(EndReason::Hangup);
}

#[test]
fn a_call_that_sidetone_had_ended_is_over_with_its_stream_for_that_reason() {
    for reason in [EndReason::Hangup, EndReason::Transferred] {
        let (mut line, stream) = stereo_call();
        line.order_end(reason);
        line.run(ms(100));
        line.end(stream, StreamEnd::Stop);
        line.run(ms(200));
        line.check_ended(reason);
        line.status("completed");
        line.check_ended(reason);
    }
}

#[test]
fn a_call_that_ends_while_twilio_is_asked_to_end_it_ends_for_that_reason() {
    for (expected, reason) in [
        (Some(EndReason::Transferred), EndReason::Transferred),
        (None, EndReason::Stop),
    ] {
        let (mut line, stream) = stereo_call();
        line.expect_end(Some(EndReason::Hangup));
        line.expect_end(expected);
        line.end(stream, StreamEnd::Stop);
        line.status("completed");
        line.run_to_end();
        line.check_ended(reason);
    }
}

#[test]
fn a_stream_that_outlives_the_order_to_end_is_closed_after_two_seconds() {
    let (mut line, stream) = stereo_call();
    line.order_end(EndReason::Transferred);
    line.run(ms(1_999));
    assert_eq!(line.closed, []);
    line.run(ms(1));
    assert_eq!(line.closed, [(stream, 1000)]);
    line.run_to_end();
    line.check_ended(EndReason::Transferred);
}

#[test]
fn what_twilio_says_of_the_end_is_the_reason() {
    for (status, reason) in [
        ("completed", EndReason::Hangup),
        ("busy", EndReason::Busy),
        ("no-answer", EndReason::NoAnswer),
        ("failed", EndReason::Failed),
        ("canceled", EndReason::Canceled),
    ] {
        let (mut line, stream) = stereo_call();
        line.end(stream, StreamEnd::Disconnected);
        line.status(status);
        line.run_to_end();
        line.check_ended(reason);
    }
}

#[test]
fn news_of_the_call_are_events_and_repeated_ones_are_not() {
    let (mut line, _) = stereo_call();
    for status in [
        "initiated",
        "ringing",
        "ringing",
        "in-progress",
        "in-progress",
    ] {
        line.status(status);
    }
    assert_eq!(
        line.event_names(),
        [
            "call.started",
            "call.status",
            "call.ringing",
            "call.answered"
        ]
    );
    let EventData::CallAnswered(progress) = &line.events[3] else {
        panic!()
    };
    assert_eq!(progress.status, "in-progress");
}

#[test]
fn shutdown_closes_the_streams_and_hears_the_last_words() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "ab")]);
    line.shut_down();
    assert_eq!(line.closed, [(stream, 1001)]);
    line.run(ms(150));
    line.check_words(Inbound, "a@0 b@100");
    line.check_ended(EndReason::Shutdown);
}

#[test]
fn shutdown_after_the_last_stream_waits_no_longer_and_keeps_the_reason() {
    let (mut line, stream) = stereo_call();
    line.end(stream, StreamEnd::Stop);
    line.run(ms(500));
    line.shut_down();
    line.check_ended(EndReason::Stop);
}

#[test]
fn a_stream_that_comes_during_shutdown_is_closed_at_once() {
    let (mut line, first) = stereo_call();
    line.shut_down();
    let second = line.stream(&[Inbound]);
    assert_eq!(line.closed, [(first, 1001), (second, 1001)]);
    line.run_to_end();
    line.check_ended(EndReason::Shutdown);
}

#[test]
fn a_call_that_never_began_ends_without_events() {
    let mut line = Line::new();
    line.shut_down();
    assert!(line.ended);
    assert_eq!(line.events, []);
}

#[test]
fn a_deepgram_that_never_answers_does_not_hold_the_call() {
    let (mut line, stream) = stereo_call();
    line.deepgram.closes = false;
    line.play(stream, &[(Inbound, "a")]);
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
    line.check_ended(EndReason::Stop);
    assert!(end_ms(&line) < 92_000, "{}", end_ms(&line));
}

#[test]
fn a_reopened_call_goes_on_where_it_was() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a.")]);
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
    let started_at = line.call().started_at;

    let mut line = line.reopen(secs(60));
    let stream = line.stream(&[Inbound]);
    line.play(stream, &[(Inbound, "b.")]);
    let [EventData::CallResumed(call)] = &line.events[..] else {
        panic!("{:?}", line.events)
    };
    assert_eq!(call.status, Status::Live);
    assert_eq!(call.started_at, started_at);
    assert_eq!((call.ended_at, call.end_reason), (None, None));
    assert_eq!(call.tracks, [Inbound, Outbound]);
    assert_eq!(line.call().audio.inbound.frames, 20);

    line.end(stream, StreamEnd::Disconnected);
    line.run_to_end();
    let at_ms = line.finals()[0].words[0].start_ms;
    assert!((62_000..63_000).contains(&at_ms), "{at_ms}");
    line.check_ended(EndReason::Disconnected);
    assert!(
        line.messages[0].contains(r#""start":62."#),
        "{}",
        line.messages[0]
    );
}

#[test]
fn call_time_does_not_go_back_when_a_call_is_reopened() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a")]);
    // Audio that is ahead of the arrival clock, as a carrier's backlog is.
    line.jump(stream, secs(9));
    line.play(stream, &[(Inbound, "b")]);
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
    assert_eq!(line.call().duration_ms, 9_200);

    let mut line = line.reopen(secs(0));
    let stream = line.stream(&[Inbound]);
    line.play(stream, &[(Inbound, "c")]);
    assert_eq!(line.call().duration_ms, 9_300);
}

#[test]
fn readers_of_messages_get_one_metadata_the_last() {
    let mut line = Line::new();
    let caller = line.stream(&[Inbound]);
    let callee = line.stream(&[Outbound]);
    line.run(ms(50));
    line.play_all(&[(caller, &[(Inbound, "a.")]), (callee, &[(Outbound, "x.")])]);
    line.end(caller, StreamEnd::Stop);
    line.run(secs(1));
    line.end(callee, StreamEnd::Stop);
    line.run_to_end();
    let is_metadata = |text: &String| text.contains(r#""type":"Metadata""#);
    assert_eq!(
        line.messages
            .iter()
            .filter(|text| is_metadata(text))
            .count(),
        1
    );
    assert!(line.messages.last().is_some_and(is_metadata));
}

#[test]
fn nothing_counts_after_the_end() {
    let (mut line, stream) = stereo_call();
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
    let events = line.events.len();
    line.play(stream, &[(Inbound, "a")]);
    line.status("completed");
    line.dtmf(stream, '1');
    line.shut_down();
    line.stream(&[Inbound]);
    line.run(secs(100));
    assert_eq!(line.events.len(), events);
}

/// What may happen on a call.
#[derive(Clone, Debug)]
enum Op {
    Stream(Vec<Track>),
    Play(usize),
    Jump(usize, u64),
    End(usize, StreamEnd),
    Results(bool),
    Cut,
    Refuse(Option<u16>),
    Status(&'static str),
    ShutDown,
    Run(u64),
}

fn op() -> impl Strategy<Value = Op> {
    let tracks = prop_oneof![
        Just(vec![Inbound]),
        Just(vec![Outbound]),
        Just(vec![Inbound, Outbound]),
    ];
    let end = prop_oneof![
        Just(StreamEnd::Stop),
        Just(StreamEnd::Disconnected),
        Just(StreamEnd::Refused),
    ];
    prop_oneof![
        3 => tracks.prop_map(Op::Stream),
        8 => (0..4_usize).prop_map(Op::Play),
        1 => (0..4_usize, 0..100_000_u64).prop_map(|(stream, ms)| Op::Jump(stream, ms)),
        2 => (0..4_usize, end).prop_map(|(stream, end)| Op::End(stream, end)),
        3 => any::<bool>().prop_map(Op::Results),
        1 => Just(Op::Cut),
        1 => prop_oneof![Just(None), Just(Some(401)), Just(Some(503))].prop_map(Op::Refuse),
        1 => prop_oneof![Just("ringing"), Just("completed"), Just("busy")].prop_map(Op::Status),
        1 => Just(Op::ShutDown),
        3 => (0..4_000_u64).prop_map(Op::Run),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_a_call_starts_once_and_ends_once_after_its_streams(
        ops in proptest::collection::vec(op(), 0..40),
    ) {
        let mut line = Line::new();
        let mut streams = vec![line.stream(&[Inbound])];
        for op in ops {
            match op {
                Op::Stream(tracks) => streams.push(line.stream(&tracks)),
                Op::Play(stream) => {
                    let stream = streams[stream % streams.len()];
                    line.play(stream, &[(Inbound, "a."), (Outbound, ".x")]);
                }
                Op::Jump(stream, by) => line.jump(streams[stream % streams.len()], ms(by)),
                Op::End(stream, end) => line.end(streams[stream % streams.len()], end),
                Op::Results(is_final) => line.results(is_final),
                Op::Cut => line.cut(),
                Op::Refuse(status) => line.deepgram.refuses = status,
                Op::Status(status) => line.status(status),
                Op::ShutDown => line.shut_down(),
                Op::Run(time) => line.run(ms(time)),
            }
        }
        for stream in streams {
            line.end(stream, StreamEnd::Stop);
        }
        line.run_to_end();
        let names = line.event_names();
        prop_assert_eq!(names[0], "call.started");
        prop_assert_eq!(*names.last().unwrap(), "call.ended");
        let marks = names.iter().filter(|name| ["call.started", "call.ended"].contains(name));
        prop_assert_eq!(marks.count(), 2);
        prop_assert_eq!(line.call().provider.state, ProviderState::Closed);
    }
}
