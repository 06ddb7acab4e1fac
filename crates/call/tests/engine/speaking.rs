//! What is said into a call: in what order, what is told of it, and how it is stopped.

use sidetone_audio::Track;
use sidetone_call::engine::{Fetched, NotSaid, Speech, StreamEnd, StreamKey};
use sidetone_call::event::{EndReason, EventData};

use crate::line::{Line, ms, secs};

const SECOND: [u8; 8_000] = [0x2A; 8_000];

fn speech(id: &str, text: &str) -> Speech {
    Speech {
        id: id.into(),
        text: text.into(),
        model: None,
        interrupt: false,
        keep: false,
        then_hang_up: false,
    }
}

fn interrupting(id: &str, text: &str) -> Speech {
    Speech {
        interrupt: true,
        ..speech(id, text)
    }
}

fn bidirectional(line: &mut Line) -> StreamKey {
    let stream = line.stream_with(&[Track::Inbound], |start| start.bidirectional = true);
    line.run(ms(50));
    stream
}

fn call() -> (Line, StreamKey) {
    let mut line = Line::new();
    let stream = bidirectional(&mut line);
    (line, stream)
}

fn greeted(then_hang_up: bool) -> Line {
    Line::with(|setup| {
        setup.greeting = Some(Speech {
            keep: true,
            then_hang_up,
            ..speech("greeting", "Good morning!")
        });
    })
}

/// The events of speech: type, id, heard audio and words, and the reason.
fn told(line: &Line) -> Vec<(&'static str, &str, u64, &str, Option<&str>)> {
    line.events
        .iter()
        .filter_map(|event| {
            let (EventData::SpeakStarted(speak)
            | EventData::SpeakFinished(speak)
            | EventData::SpeakInterrupted(speak)
            | EventData::SpeakFailed(speak)) = event
            else {
                return None;
            };
            let reason = speak.reason.as_deref();
            let (id, heard) = (speak.speak_id.as_str(), speak.heard_ms);
            Some((
                event.type_name(),
                id,
                heard,
                speak.heard_text.as_str(),
                reason,
            ))
        })
        .collect()
}

#[test]
fn a_text_is_fetched_sent_ahead_of_its_playing_and_told_when_it_was_heard() {
    let (mut line, _) = call();
    line.speak(speech("a", "Hello there.")).unwrap();
    assert_eq!(line.fetches[0].1, "Hello there.");
    line.run(ms(200));
    line.fetched(Fetched::Audio(&SECOND));
    line.fetched(Fetched::End);
    assert_eq!(line.played, 3_200, "400 ms ahead");
    line.run(ms(500));
    assert!((6_400..=7_200).contains(&line.played), "{}", line.played);
    line.run(ms(600));
    assert_eq!(line.played, 8_000);
    assert_eq!(
        told(&line),
        [
            ("speak.started", "a", 0, "", None),
            ("speak.finished", "a", 1_000, "Hello there.", None)
        ]
    );
    let EventData::SpeakStarted(started) = &line.events[1] else {
        panic!("{:?}", line.event_names());
    };
    assert_eq!(started.first_audio_ms, Some(200));
}

#[test]
fn texts_are_said_one_after_the_other_and_the_next_is_fetched_meanwhile() {
    let (mut line, _) = call();
    line.speak(speech("a", "One.")).unwrap();
    line.speak(speech("b", "Two.")).unwrap();
    assert_eq!(line.fetches.len(), 1);
    line.fetched(Fetched::Audio(&SECOND));
    line.fetched(Fetched::End);
    assert_eq!(line.fetches[1].1, "Two.");
    line.fetched(Fetched::Audio(&SECOND));
    line.fetched(Fetched::End);
    line.run(ms(2_100));
    assert_eq!(line.played, 16_000);
    let told: Vec<_> = told(&line).iter().map(|told| (told.0, told.1)).collect();
    assert_eq!(
        told,
        [
            ("speak.started", "a"),
            ("speak.started", "b"),
            ("speak.finished", "a"),
            ("speak.finished", "b"),
        ]
    );
}

#[test]
fn a_long_text_is_fetched_in_pieces_as_one() {
    let (mut line, _) = call();
    let text = "This sentence is repeated over and over. ".repeat(60);
    line.speak(speech("a", &text)).unwrap();
    let mut pieces = 0;
    while line.fetches.len() > pieces {
        pieces = line.fetches.len();
        line.fetched(Fetched::Audio(&SECOND));
        line.fetched(Fetched::End);
    }
    assert!(pieces > 1);
    let asked: Vec<&str> = line
        .fetches
        .iter()
        .map(|(_, text, _)| text.trim())
        .collect();
    assert_eq!(asked.join(" "), text.trim());
    line.run(secs(4));
    let names: Vec<_> = told(&line).iter().map(|told| told.0).collect();
    assert_eq!(names, ["speak.started", "speak.finished"]);
}

#[test]
fn no_piece_is_fetched_while_half_a_minute_waits() {
    let (mut line, _) = call();
    line.speak(speech("a", "One.")).unwrap();
    line.speak(speech("b", "Two.")).unwrap();
    line.fetched(Fetched::Audio(&SECOND.repeat(40)));
    line.fetched(Fetched::End);
    assert_eq!(line.fetches.len(), 1);
    line.run(secs(11));
    assert_eq!(line.fetches.len(), 2);
}

#[test]
fn silence_is_at_once_and_drops_what_waits() {
    let (mut line, _) = call();
    line.speak(speech("a", "One two three four.")).unwrap();
    line.speak(speech("b", "Not said.")).unwrap();
    line.fetched(Fetched::Audio(&SECOND.repeat(2)));
    line.run(ms(1_000));
    line.silence();
    assert_eq!(line.clears, 1);
    assert_eq!(line.dropped, [line.fetches[0].0]);
    let played = line.played;
    line.run(secs(3));
    assert_eq!((line.played, line.fetches.len()), (played, 1));
    assert_eq!(
        told(&line)[1..],
        [
            ("speak.interrupted", "a", 1_000, "One two", Some("stopped")),
            ("speak.interrupted", "b", 0, "", Some("stopped")),
        ]
    );
}

#[test]
fn a_text_that_interrupts_takes_the_place_of_all_others() {
    let (mut line, _) = call();
    line.speak(speech("a", "One two.")).unwrap();
    line.fetched(Fetched::Audio(&SECOND));
    line.fetched(Fetched::End);
    line.run(ms(300));
    line.speak(interrupting("b", "Stop.")).unwrap();
    assert_eq!((line.clears, line.fetches[1].1.as_str()), (1, "Stop."));
    line.fetched(Fetched::Audio(&SECOND));
    line.fetched(Fetched::End);
    line.run(ms(1_100));
    let told: Vec<_> = told(&line)
        .iter()
        .map(|told| (told.0, told.1, told.2))
        .collect();
    assert_eq!(
        told,
        [
            ("speak.started", "a", 0),
            ("speak.interrupted", "a", 300),
            ("speak.started", "b", 0),
            ("speak.finished", "b", 1_000),
        ]
    );
}

#[test]
fn what_comes_late_of_a_text_that_was_dropped_is_not_said() {
    let (mut line, _) = call();
    line.speak(speech("a", "One.")).unwrap();
    line.silence();
    line.fetched(Fetched::Audio(&SECOND));
    line.fetched(Fetched::End);
    line.run(secs(1));
    assert_eq!(line.played, 0);
}

#[test]
fn a_text_that_fails_is_told_with_the_reason_and_the_next_is_said() {
    let (mut line, _) = call();
    line.speak(speech("a", "One.")).unwrap();
    line.speak(speech("b", "Two.")).unwrap();
    line.fetched(Fetched::Failed("no credit"));
    assert_eq!(
        told(&line),
        [("speak.failed", "a", 0, "", Some("no credit"))]
    );
    assert_eq!(line.fetches[1].1, "Two.");
    line.fetched(Fetched::Audio(&SECOND));
    line.fetched(Fetched::End);
    line.run(ms(1_100));
    assert_eq!(told(&line).last().unwrap().0, "speak.finished");
}

#[test]
fn the_greeting_is_said_when_the_stream_starts_and_not_again() {
    let mut line = greeted(false);
    let first = bidirectional(&mut line);
    assert_eq!(line.fetches.len(), 1);
    assert!(line.fetches[0].2, "it may be kept");
    line.fetched(Fetched::Audio(&SECOND));
    line.fetched(Fetched::End);
    line.run(ms(1_100));
    assert_eq!(told(&line)[1].0, "speak.finished");
    line.end(first, StreamEnd::Stop);
    bidirectional(&mut line);
    assert_eq!(line.fetches.len(), 1);
    assert_eq!(line.speak(speech("a", "Back again.")), Ok(()));
}

#[test]
fn a_farewell_hangs_up_when_it_was_heard_and_also_when_it_failed() {
    for succeeds in [true, false] {
        let mut line = greeted(true);
        let stream = bidirectional(&mut line);
        if succeeds {
            line.fetched(Fetched::Audio(&SECOND));
            line.fetched(Fetched::End);
            line.run(ms(900));
            assert_eq!(line.closed, []);
        } else {
            line.fetched(Fetched::Failed("no credit"));
        }
        line.run(ms(200));
        assert_eq!(line.closed, [(stream, 1000)]);
        line.run_to_end();
        line.check_ended(EndReason::Hangup);
    }
}

#[test]
fn what_is_being_said_when_the_stream_ends_is_interrupted() {
    let (mut line, stream) = call();
    line.speak(speech("a", "One two.")).unwrap();
    line.fetched(Fetched::Audio(&SECOND));
    line.run(ms(500));
    line.end(stream, StreamEnd::Stop);
    assert_eq!(
        told(&line)[1],
        (
            "speak.interrupted",
            "a",
            500,
            "One",
            Some("the stream ended")
        )
    );
    assert_eq!(
        line.speak(speech("b", "Too late.")),
        Err(NotSaid::NotBidirectional)
    );
    line.run_to_end();
    line.check_ended(EndReason::Stop);
}

#[test]
fn nothing_can_be_said_into_a_stream_that_only_listens_and_nothing_is_nothing() {
    let (mut line, _) = crate::line::stereo_call();
    assert_eq!(
        line.speak(speech("a", "Hello.")),
        Err(NotSaid::NotBidirectional)
    );
    let (mut line, _) = call();
    assert_eq!(line.speak(speech("a", " \n ")), Err(NotSaid::Empty));
}

#[test]
fn a_hundred_texts_may_wait() {
    let (mut line, _) = call();
    for n in 0..100 {
        line.speak(speech(&n.to_string(), "Wait.")).unwrap();
    }
    assert_eq!(line.speak(speech("x", "One more.")), Err(NotSaid::TooMany));
    line.speak(interrupting("y", "Now.")).unwrap();
    assert_eq!(told(&line).len(), 100);
}
