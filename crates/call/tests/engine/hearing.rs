//! What is heard, when and by whom.

use sidetone_audio::Track::{Inbound, Outbound};
use sidetone_call::engine::{Note, StreamEnd};
use sidetone_call::event::{AudioGap, AudioGapReason, EventData, ProviderState, SpeechMark};

use crate::line::{Line, ms, secs, stereo_call};

/// The audio gaps among the events.
fn gaps(line: &Line) -> Vec<AudioGap> {
    let gaps = line.events.iter().filter_map(|data| match data {
        EventData::AudioGap(gap) => Some(*gap),
        _ => None,
    });
    gaps.collect()
}

#[test]
fn words_spoken_while_deepgram_is_being_connected_are_heard() {
    let mut line = Line::new();
    line.deepgram.handshake = secs(3);
    let stream = line.stream(&[Inbound]);
    line.play(stream, &[(Inbound, "a.bb.")]);
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
    line.check_words(Inbound, "a@0 b@200");
}

#[test]
fn a_caller_who_talks_during_ringing_is_heard_at_once() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "ab..")]);
    line.run(ms(60));
    line.results(true);
    line.check_words(Inbound, "a@0 b@100");
    line.check_words(Outbound, "");
}

#[test]
fn each_track_is_a_channel_and_keeps_its_words() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a..b.."), (Outbound, ".xx...")]);
    line.run(ms(60));
    line.results(true);
    line.check_words(Inbound, "a@0 b@300");
    line.check_words(Outbound, "x@100");
    let channels: Vec<_> = line.finals().iter().map(|last| last.channel).collect();
    assert_eq!(channels, [0, 1]);
}

#[test]
fn a_lone_outbound_track_is_channel_zero_of_a_mono_link() {
    let mut line = Line::new();
    let stream = line.stream(&[Outbound]);
    line.run(ms(50));
    line.play(stream, &[(Outbound, "x.")]);
    line.run(ms(60));
    line.results(true);
    line.check_words(Outbound, "x@0");
    assert_eq!(line.finals()[0].channel, 0);
}

#[test]
fn audio_leaves_every_sixty_milliseconds_and_not_before() {
    let (mut line, stream) = stereo_call();
    line.frame(stream, Inbound, &[b'a'; 160]);
    let received = |line: &Line| line.connections.values().next().unwrap().received();
    line.run(ms(59));
    assert_eq!(received(&line), 0);
    line.run(ms(1));
    assert_eq!(received(&line), 160);
}

#[test]
fn latency_counts_from_the_arrival_of_the_last_frame() {
    let (mut line, stream) = stereo_call();
    // The last frame comes 80 ms after the first, the results 160 ms after it.
    line.play(stream, &[(Inbound, "a")]);
    line.run(ms(60));
    line.results(false);
    let (_, interim) = line.interims.first().unwrap();
    assert_eq!(interim.as_ref().unwrap().latency_ms, Some(80));
    line.run(ms(240));
    line.results(true);
    assert_eq!(line.finals()[0].latency_ms, Some(320));
    let p50 = line.summary().latency_p50_ms.unwrap();
    assert!((320..=340).contains(&p50), "{p50}");
}

#[test]
fn an_interim_is_told_and_then_the_final() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a.b")]);
    line.run(ms(60));
    line.results(false);
    let (track, interim) = line.interims.first().unwrap();
    assert_eq!(*track, Inbound);
    assert_eq!(interim.as_ref().unwrap().text, "a b");
    assert_eq!(line.finals(), [] as [&_; 0]);
    line.results(true);
    assert_eq!(line.finals()[0].text, "a b");
    assert_eq!(line.call().last_text.as_deref(), Some("a b"));
    assert_eq!(line.summary().words, 2);
}

#[test]
fn a_final_without_words_empties_the_interim_and_is_no_event() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "..")]);
    line.run(ms(60));
    line.results(true);
    assert!(line.interims.contains(&(Inbound, None)));
    assert_eq!(line.event_names(), ["call.started"]);
}

#[test]
fn a_hole_is_filled_so_that_words_keep_their_place() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a     b")]);
    line.run(ms(60));
    line.results(true);
    line.check_words(Inbound, "a@0 b@600");
    assert_eq!(gaps(&line), []);
    assert_eq!(line.call().audio.inbound.gap_ms, 500);
    assert_eq!(line.call().audio.inbound.frames, 10);
    assert_eq!(line.call().duration_ms, 700);
}

#[test]
fn a_long_pause_of_the_carrier_is_a_gap_and_words_after_it_keep_their_place() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a")]);
    line.play(stream, &[(Inbound, &" ".repeat(150))]);
    line.play(stream, &[(Inbound, "b")]);
    line.run(ms(60));
    line.results(true);
    line.check_words(Inbound, "a@0 b@15100");
    assert_eq!(line.finals()[0].words[0].end_ms, 100);
    let gap = AudioGap {
        track: Inbound,
        at_ms: 100,
        duration_ms: 15_000,
        reason: AudioGapReason::Carrier,
    };
    assert_eq!(gaps(&line), [gap]);
    assert_eq!(line.call().audio.inbound.gap_ms, 15_000);
    let received = line.connections.values().next().unwrap().received();
    assert_eq!(received, 1_600, "what is not filled is not sent");
}

#[test]
fn a_clock_that_jumps_is_told_and_nothing_is_missing() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a")]);
    line.jump(stream, secs(3_600));
    line.play(stream, &[(Inbound, "b")]);
    line.run(ms(60));
    line.results(true);
    line.check_words(Inbound, "a@0 b@100");
    let [gap] = gaps(&line)[..] else {
        panic!("{:?}", gaps(&line))
    };
    assert_eq!((gap.reason, gap.at_ms), (AudioGapReason::Clock, 100));
    assert_eq!(line.call().audio.inbound.gap_ms, 0);
    assert_eq!(line.call().duration_ms, 200);
}

#[test]
fn a_lost_connection_costs_no_word_and_is_told() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a."), (Outbound, "..")]);
    line.run(ms(60));
    line.results(true);
    line.cut();
    assert_eq!(line.call().provider.state, ProviderState::Reconnecting);
    line.play(stream, &[(Inbound, "b.c."), (Outbound, "x...")]);
    line.run(secs(2));
    assert_eq!(line.call().provider.state, ProviderState::Connected);
    assert_eq!(line.call().provider.reconnects, 1);
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
    line.check_words(Inbound, "a@0 b@200 c@400");
    line.check_words(Outbound, "x@200");
    let names = line.event_names();
    assert!(names.contains(&"provider.disconnected") && names.contains(&"provider.reconnected"));
    assert_eq!(line.summary().reconnects, 1);
    assert_eq!(line.summary().lost_ms, 0);
}

/// Numbers as no writer of ours would put them, and a field that is new.
const ODD_RESULTS: &str = concat!(
    r#"{ "type":"Results", "channel_index":[0,1], "start":0.00, "duration":0.1,"#,
    r#" "is_final":true, "new":{"field":1.50}, "channel":{"alternatives":["#,
    r#"{"transcript":"a","confidence":0.9,"words":[{"word":"a","start":0.0,"end":0.10}]}]}}"#,
);

#[test]
fn messages_of_the_first_connection_pass_byte_for_byte() {
    let mut line = Line::new();
    let stream = line.stream(&[Inbound]);
    line.play(stream, &[(Inbound, "a.")]);
    line.says_now(ODD_RESULTS);
    assert_eq!(line.messages, [ODD_RESULTS]);
}

#[test]
fn messages_pass_byte_for_byte_although_the_first_handshake_failed() {
    let mut line = Line::new();
    line.deepgram.refuses = Some(503);
    let stream = line.stream(&[Inbound]);
    line.run(ms(50));
    assert_eq!(
        line.event_names(),
        ["call.started", "provider.disconnected"]
    );
    line.deepgram.refuses = None;
    line.play(stream, &[(Inbound, "a.........")]);
    assert_eq!(line.event_names().last(), Some(&"provider.reconnected"));
    line.says_now(ODD_RESULTS);
    assert_eq!(line.messages, [ODD_RESULTS]);
}

#[test]
fn messages_after_a_reconnect_are_in_call_time() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a")]);
    line.run(ms(60));
    line.results(true);
    line.play(stream, &[(Inbound, &" ".repeat(200))]);
    line.play(stream, &[(Inbound, "b")]);
    line.run(ms(60));
    line.results(true);
    line.cut();
    line.play(stream, &[(Inbound, "c.")]);
    line.run(secs(1));
    line.messages.clear();
    line.results(true);
    // The call lay still for 20 s of which Deepgram was sent nothing.
    line.check_words(Inbound, "a@0 b@20100 c@20200");
    assert!(
        line.messages[0].contains(r#""start":20.2"#),
        "{}",
        line.messages[0]
    );
}

#[test]
fn speech_marks_are_told_in_call_time() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a"), (Outbound, ".")]);
    line.play(stream, &[(Inbound, &" ".repeat(120)), (Outbound, " ")]);
    line.play(stream, &[(Inbound, "..b"), (Outbound, "...")]);
    line.run(ms(60));
    line.says_now(r#"{"type":"SpeechStarted","channel":[0,2],"timestamp":0.3}"#);
    line.says_now(r#"{"type":"UtteranceEnd","channel":[1,2],"last_word_end":0.05}"#);
    let started = SpeechMark {
        track: Inbound,
        at_ms: 12_300,
    };
    let ended = SpeechMark {
        track: Outbound,
        at_ms: 50,
    };
    assert!(
        line.events.contains(&EventData::SpeechStarted(started)),
        "{:?}",
        line.events
    );
    assert!(
        line.events.contains(&EventData::UtteranceEnded(ended)),
        "{:?}",
        line.events
    );
}

#[test]
fn a_refusal_is_told_once_and_the_call_goes_on() {
    let mut line = Line::new();
    line.deepgram.refuses = Some(401);
    let stream = line.stream(&[Inbound]);
    for _ in 0..10 {
        line.play(stream, &[(Inbound, &"a.".repeat(50))]);
    }
    assert_eq!(line.call().provider.state, ProviderState::Failed);
    let warnings: Vec<_> = line
        .events
        .iter()
        .filter_map(|data| match data {
            EventData::Warning(warning) => Some(warning),
            _ => None,
        })
        .collect();
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].code, "provider_failed");
    assert!(
        warnings[0].detail.contains("Invalid credentials."),
        "{:?}",
        warnings[0]
    );
    assert!(line.closed.is_empty());
    assert_eq!(line.call().audio.inbound.frames, 5_000);

    line.deepgram.refuses = None;
    line.run(secs(31));
    assert_eq!(line.call().provider.state, ProviderState::Connected);
}

#[test]
fn what_deepgram_complains_of_is_a_warning() {
    let (mut line, _) = stereo_call();
    line.says_now(r#"{"type":"Error","variant":"SchemaError","description":"bad request"}"#);
    let Some(EventData::Warning(warning)) = line.events.last() else {
        panic!()
    };
    assert_eq!(warning.code, "provider_warning");
    assert!(warning.detail.contains("bad request"), "{warning:?}");
}

#[test]
fn a_call_that_is_not_to_be_heard_is_only_counted() {
    let mut line = Line::with(|setup| setup.listen = None);
    let stream = line.stream(&[Inbound]);
    line.play(stream, &[(Inbound, "ab")]);
    assert!(line.connections.is_empty());
    assert_eq!(line.call().audio.inbound.frames, 10);
    assert_eq!(line.call().duration_ms, 200);
    assert_eq!(line.call().provider.state, ProviderState::Closed);
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
}

#[test]
fn the_first_audio_of_each_track_is_noted_once() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a."), (Outbound, " x")]);
    let first: Vec<_> = line
        .notes
        .iter()
        .filter(|note| matches!(note, Note::FirstAudio(_)))
        .collect();
    assert_eq!(
        first,
        [&Note::FirstAudio(Inbound), &Note::FirstAudio(Outbound)]
    );
}

#[test]
fn five_seconds_without_audio_are_noted_once_each_time() {
    let (mut line, stream) = stereo_call();
    let count = |line: &Line| {
        line.notes
            .iter()
            .filter(|note| **note == Note::NoAudio(Inbound))
            .count()
    };
    line.run(secs(10));
    assert_eq!(count(&line), 0, "a track that has not begun is not quiet");
    line.play(stream, &[(Inbound, "a")]);
    line.run(secs(12));
    assert_eq!(count(&line), 1);
    line.play(stream, &[(Inbound, "a")]);
    line.run(secs(12));
    assert_eq!(count(&line), 2);
    assert!(!line.notes.contains(&Note::NoAudio(Outbound)));
}

#[test]
fn a_stream_that_has_ended_is_not_quiet() {
    let (mut line, stream) = stereo_call();
    line.play(stream, &[(Inbound, "a")]);
    line.end(stream, StreamEnd::Stop);
    let other = line.stream(&[Outbound]);
    line.run(secs(10));
    line.end(other, StreamEnd::Stop);
    assert!(!line.notes.contains(&Note::NoAudio(Inbound)));
}

#[test]
fn ten_seconds_of_speech_without_an_answer_are_noted_once_each_time() {
    let (mut line, stream) = stereo_call();
    let count = |line: &Line| {
        line.notes
            .iter()
            .filter(|note| **note == Note::NoResult)
            .count()
    };
    line.play(stream, &[(Inbound, &"a".repeat(99))]);
    assert_eq!(count(&line), 0);
    line.play(stream, &[(Inbound, &"a".repeat(30))]);
    assert_eq!(count(&line), 1);
    line.results(false);
    line.play(stream, &[(Inbound, &".".repeat(150))]);
    assert_eq!(count(&line), 1, "silence needs no answer");
}
