//! A stream without its socket.

use sidetone_twilio::stream::{Incoming, outgoing};

use super::*;
use crate::phone::attention::Attention;
use crate::phone::conversation::Callee;
use crate::phone::line::{FRAME, FRAME_SAMPLES};

fn stream(bidirectional: bool) -> StreamSide {
    with_faults(bidirectional, &[])
}

fn faulty(faults: &[&str]) -> StreamSide {
    let faults: Vec<Fault> = faults.iter().map(|fault| fault.parse().unwrap()).collect();
    with_faults(false, &faults)
}

fn with_faults(bidirectional: bool, faults: &[Fault]) -> StreamSide {
    let mut dice = Dice::new(7);
    let start = Start {
        stream_sid: dice.sid("MZ"),
        call_sid: dice.sid("CA"),
        account_sid: dice.sid("AC"),
        tracks: vec![MediaTrack::Inbound, MediaTrack::Outbound],
        custom_parameters: Default::default(),
    };
    let origin = Instant::now();
    StreamSide::new(
        start,
        bidirectional,
        faults,
        origin,
        origin + Duration::from_millis(30),
        dice,
    )
}

fn silent_line() -> Line {
    Line::new(Vec::new(), Attention::new(Vec::new(), false))
}

fn say(
    side: &mut StreamSide,
    write: impl Fn(&mut String, &sidetone_twilio::StreamSid),
) -> Result<(), Violation> {
    let mut text = String::new();
    write(&mut text, &side.start().stream_sid);
    side.receive(side.origin, Timestamp::UNIX_EPOCH, &text)
}

/// The media messages of the next frames of a line.
fn frames(side: &mut StreamSide, line: &mut Line, count: u32) -> Vec<String> {
    let first_due = side.first_media_at;
    let mut messages = Vec::new();
    for _ in 0..count {
        let position = line.position();
        let frames_before = u32::try_from(position / FRAME_SAMPLES as u64).unwrap();
        line.advance(Callee::Present, None);
        side.take_frames(first_due + FRAME * frames_before, position, line);
        while let Some(message) = side.due_media_message() {
            messages.push(message.to_owned());
        }
    }
    messages
}

fn media(message: &str) -> incoming::Media<'_> {
    match Incoming::parse(message) {
        Ok(Incoming::Media(media)) => media,
        other => panic!("{message}: {other:?}"),
    }
}

#[test]
fn timestamps_begin_like_real_ones_and_wobble_around_20_ms() {
    let mut side = stream(false);
    let messages = frames(&mut side, &mut silent_line(), 1_000);
    let of_track = |track| {
        let media = messages.iter().map(|message| media(message));
        let of_track = media.filter(move |media| media.track == track);
        of_track.map(|media| media.timestamp_ms).collect::<Vec<_>>()
    };
    for track in [MediaTrack::Inbound, MediaTrack::Outbound] {
        let timestamps = of_track(track);
        assert_eq!(timestamps.len(), 1_000);
        assert!((5..=200).contains(&timestamps[0]), "{}", timestamps[0]);
        for pair in timestamps.windows(2) {
            assert!((18..=22).contains(&(pair[1] - pair[0])), "{pair:?}");
        }
    }
}

#[test]
fn messages_are_counted_over_the_stream_and_chunks_per_track() {
    let mut side = stream(true);
    let messages = frames(&mut side, &mut silent_line(), 2);
    let numbers: Vec<(u64, u64)> = messages
        .iter()
        .map(|message| media(message))
        .map(|media| (media.sequence_number.unwrap(), media.chunk.unwrap()))
        .collect();
    assert_eq!(numbers, [(2, 1), (3, 1), (4, 2), (5, 2)]);
    assert!(side.dtmf_message('1').contains(r#""sequenceNumber":"6""#));
    assert!(side.stop_message().contains(r#""sequenceNumber":"7""#));
}

fn word(start: u64, end: u64) -> SpokenWord {
    SpokenWord {
        word: "word".into(),
        text: "word".into(),
        start,
        end,
    }
}

#[test]
fn a_discarded_frame_breaks_what_its_track_carries_and_no_other() {
    let mut side = stream(false);
    let mut line = silent_line();
    frames(&mut side, &mut line, 1);
    let position = line.position();
    line.advance(Callee::Present, None);
    side.take_frames(side.first_media_at + FRAME, position, &line);
    side.due_media_message().unwrap();
    side.media_discarded();
    side.due_media_message().unwrap();
    frames(&mut side, &mut line, 1);
    for (party, start, end, fate) in [
        (Party::Caller, 0, 160, Fate::Lost),
        (Party::Caller, 10, 330, Fate::Lost),
        (Party::Caller, 320, 480, Fate::Carried),
        (Party::Callee, 0, 480, Fate::Carried),
        (Party::Callee, 10, 500, Fate::Lost),
    ] {
        assert_eq!(side.fate(party, &word(start, end)), fate, "{start}..{end}");
    }
    assert_eq!(
        (side.report().frames, side.report().discarded_frames),
        (5, 1)
    );
}

#[test]
fn a_word_that_is_held_up_waits_and_one_with_a_hole_is_lost() {
    let mut side = faulty(&[
        "burst:frames=3,after_ms=20",
        "silent-gap:ms=20,after_ms=100",
    ]);
    let mut line = silent_line();
    frames(&mut side, &mut line, 3);
    assert_eq!(side.fate(Party::Caller, &word(100, 400)), Fate::Waiting);
    frames(&mut side, &mut line, 2);
    assert_eq!(side.fate(Party::Caller, &word(100, 400)), Fate::Carried);
    assert_eq!(side.fate(Party::Caller, &word(640, 800)), Fate::Carried);
    // The sixth frame is never sent.
    frames(&mut side, &mut line, 1);
    assert_eq!(side.fate(Party::Caller, &word(640, 801)), Fate::Lost);
    frames(&mut side, &mut line, 1);
    assert_eq!(side.fate(Party::Callee, &word(959, 1_100)), Fate::Lost);
    assert_eq!(side.fate(Party::Callee, &word(960, 1_120)), Fate::Carried);
}

#[test]
fn a_start_comes_once_when_it_is_due_and_media_after_it() {
    for (faults, late_by_ms) in [(&[][..], 0), (&["late-start:ms=90"], 90)] {
        let mut side = faulty(faults);
        let due = side.origin + Duration::from_millis(30 + late_by_ms);
        let before = due - Duration::from_millis(1);
        assert_eq!(side.due_start_message(before), None);
        assert!(side.due_start_message(due).is_some());
        assert_eq!(side.due_start_message(due), None);
        assert!(!side.carries_media_at(due));
    }
}

#[test]
fn undocumented_keys_and_events_change_nothing_that_is_documented() {
    let mut side = faulty(&["undocumented-fields"]);
    let expected = side.start().clone();
    assert!(matches!(
        Incoming::parse(side.connected_message()),
        Ok(Incoming::Connected { .. })
    ));
    let opened = side.starts_at.unwrap();
    assert_eq!(
        Incoming::parse(side.due_start_message(opened).unwrap()),
        Ok(Incoming::Start(expected))
    );
    assert!(matches!(
        Incoming::parse(side.undocumented_message().unwrap()),
        Ok(Incoming::Unknown { .. })
    ));
    let messages = frames(&mut side, &mut silent_line(), 1);
    assert!(messages[0].contains(r#""codec""#) && messages[0].contains(r#""trace""#));
    assert_eq!(media(&messages[0]).track, MediaTrack::Inbound);
    assert!(matches!(
        Incoming::parse(side.stop_message()),
        Ok(Incoming::Stop { .. })
    ));
}

#[test]
fn media_is_played_and_marks_come_back() {
    let mut side = stream(true);
    say(&mut side, |out, sid| {
        outgoing::write_media(out, sid, &[1; 200]);
    })
    .unwrap();
    say(&mut side, |out, sid| outgoing::write_mark(out, sid, "said")).unwrap();
    assert_eq!(side.due_mark_message(), None);
    say(&mut side, outgoing::write_clear).unwrap();
    let echo = side
        .due_mark_message()
        .map(|text| Incoming::parse(text).unwrap());
    assert_eq!(
        echo,
        Some(Incoming::Mark {
            name: "said".into()
        })
    );
    assert_eq!(side.due_mark_message(), None);
}

#[track_caller]
fn check_violation(bidirectional: bool, text: &str, code: u32) {
    let mut side = stream(bidirectional);
    let text = text.replace("MZ", side.start().stream_sid.as_str());
    assert_eq!(
        side.receive(side.origin, Timestamp::UNIX_EPOCH, &text)
            .unwrap_err()
            .code,
        code
    );
}

#[test]
fn what_twilio_does_not_take_is_told_under_its_code() {
    check_violation(true, "?", 31951);
    check_violation(
        true,
        r#"{"event":"media","streamSid":"MZ","media":{"playload":"AA=="}}"#,
        31951,
    );
    check_violation(
        true,
        r#"{"event":"media","streamSid":"MZ","media":{"payload":"!"}}"#,
        31951,
    );
    check_violation(true, r#"{"event":"clear","streamSid":"other"}"#, 31951);
    check_violation(
        true,
        r#"{"event":"clear","streamSid":"MZ","track":"inbound"}"#,
        31951,
    );
    check_violation(false, r#"{"event":"clear","streamSid":"MZ"}"#, 31924);
    assert_eq!(stream(true).binary_violation().code, 31950);
    assert_eq!(stream(false).binary_violation().code, 31924);
}
