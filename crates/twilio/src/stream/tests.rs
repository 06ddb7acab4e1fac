use std::borrow::Cow;
use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::StreamSid;

const MZ: &str = "MZ00000000000000000000000000000003";

fn stream_sid() -> StreamSid {
    MZ.parse().unwrap()
}

fn start() -> Start {
    Start {
        stream_sid: stream_sid(),
        call_sid: "CA00000000000000000000000000000002".parse().unwrap(),
        account_sid: "AC00000000000000000000000000000001".parse().unwrap(),
        tracks: vec![MediaTrack::Inbound, MediaTrack::Outbound],
        custom_parameters: BTreeMap::from([("tenant".into(), "t-42".into())]),
    }
}

fn start_text() -> String {
    let mut text = String::new();
    incoming::write_start(&mut text, &start());
    text
}

fn media_text() -> String {
    let mut text = String::new();
    let frame = MediaFrame {
        stream_sid: &stream_sid(),
        sequence_number: 3,
        track: MediaTrack::Outbound,
        chunk: 2,
        timestamp_ms: 77,
        audio: &[0x7f, 0xff, 0x00],
    };
    incoming::write_media(&mut text, &frame);
    text
}

/// Expects `text` to be refused for `field`, and what was found to be said.
#[track_caller]
fn check_bad(text: &str, field: &str, found: &str) {
    match Incoming::parse(text) {
        Err(error @ ParseError::BadField { .. }) => {
            let words = error.to_string();
            assert!(words.contains(&format!("`{field}` is")), "{words}");
            assert!(words.contains(found), "{words}");
        }
        other => panic!("{text}: {other:?}"),
    }
}

/// Expects the start message with `from` replaced by `to` to be refused.
#[track_caller]
fn check_bad_start(from: &str, to: &str, field: &str, found: &str) {
    let text = start_text();
    assert!(text.contains(from), "{text}");
    check_bad(&text.replace(from, to), field, found);
}

/// Expects the media message with `from` replaced by `to` to be refused.
#[track_caller]
fn check_bad_media(from: &str, to: &str, field: &str, found: &str) {
    let text = media_text();
    assert!(text.contains(from), "{text}");
    check_bad(&text.replace(from, to), field, found);
}

#[test]
fn start_tells_whose_stream_it_is() {
    assert_eq!(Incoming::parse(&start_text()), Ok(Incoming::Start(start())));
}

#[test]
fn start_without_parameters_has_none() {
    let text = start_text().replace(r#","customParameters":{"tenant":"t-42"}"#, "");
    let Ok(Incoming::Start(found)) = Incoming::parse(&text) else {
        panic!("{text}")
    };
    assert_eq!(found.custom_parameters, BTreeMap::new());
}

#[test]
fn start_is_refused_for_each_wrong_identifier() {
    check_bad_start("\"CA0", "\"XX0", "start.callSid", "`XX0");
    check_bad_start("\"AC0", "\"AC", "start.accountSid", "`AC0");
    check_bad_start(
        &format!("{{\"accountSid\":\"AC{:032}\",", 1),
        "{",
        "start.accountSid",
        "missing",
    );
    let text = start_text().replacen(&format!("\"{MZ}\""), "7", 1);
    check_bad(&text, "start.streamSid", "the number 7");
}

#[test]
fn start_is_refused_unless_its_tracks_are_inbound_outbound_or_both() {
    let tracks = r#"["inbound","outbound"]"#;
    check_bad_start(tracks, "[]", "start.tracks", "empty");
    check_bad_start(
        tracks,
        r#"["inbound","inbound"]"#,
        "start.tracks",
        "`inbound` twice",
    );
    check_bad_start(
        tracks,
        r#"["both_tracks"]"#,
        "start.tracks",
        "`both_tracks`",
    );
    check_bad_start(tracks, r#""inbound""#, "start.tracks", "`inbound`");
    check_bad_start(tracks, "[[]]", "start.tracks", "an array");
}

#[test]
fn start_is_refused_for_another_media_format_which_is_named() {
    check_bad_start(
        "audio/x-mulaw",
        "audio/x-l16",
        "start.mediaFormat",
        "`audio/x-l16`",
    );
    check_bad_start(
        "8000",
        "16000",
        "start.mediaFormat",
        "sampleRate the number 16000",
    );
    check_bad_start(
        "\"channels\":1",
        "\"channels\":2",
        "start.mediaFormat",
        "channels the number 2",
    );
    check_bad_start("mediaFormat", "mediaformat", "start.mediaFormat", "missing");
}

#[test]
fn start_is_refused_for_a_parameter_that_is_no_text() {
    check_bad_start(
        "\"t-42\"",
        "42",
        "start.customParameters",
        "`tenant`: the number 42",
    );
}

#[test]
fn media_tells_track_and_time_and_decodes() {
    let text = media_text();
    let Ok(Incoming::Media(media)) = Incoming::parse(&text) else {
        panic!("{text}")
    };
    assert_eq!(media.stream_sid, MZ);
    assert_eq!(media.track, MediaTrack::Outbound);
    assert_eq!(media.timestamp_ms, 77);
    assert_eq!((media.sequence_number, media.chunk), (Some(3), Some(2)));
    let mut audio = vec![9];
    assert_eq!(media.payload.decode_into(&mut audio), Ok(3));
    assert_eq!(audio, [9, 0x7f, 0xff, 0x00]);
}

#[test]
fn media_is_read_and_decoded_in_place() {
    let text = media_text();
    let Ok(Incoming::Media(media)) = Incoming::parse(&text) else {
        panic!("{text}")
    };
    assert!(matches!(media.stream_sid, Cow::Borrowed(_)));
    assert!(matches!(media.payload.0, Cow::Borrowed(_)));

    let mut audio = Vec::new();
    media.payload.decode_into(&mut audio).unwrap();
    let warm = (audio.as_ptr(), audio.capacity());
    audio.clear();
    media.payload.decode_into(&mut audio).unwrap();
    assert_eq!((audio.as_ptr(), audio.capacity()), warm);
}

#[test]
fn media_with_escaped_slashes_decodes_all_the_same() {
    let text = media_text().replace('/', r"\/");
    assert!(text.contains(r"\/"));
    let Ok(Incoming::Media(media)) = Incoming::parse(&text) else {
        panic!("{text}")
    };
    let mut audio = Vec::new();
    assert_eq!(media.payload.decode_into(&mut audio), Ok(3));
    assert_eq!(audio, [0x7f, 0xff, 0x00]);
}

#[test]
fn media_is_read_whatever_the_order_of_its_keys() {
    let text = format!(
        r#"{{"streamSid":"{MZ}","media":{{"payload":"/w==","timestamp":12,"track":"inbound","new":[1]}},"new":{{"a":null}},"event":"media"}}"#
    );
    let Ok(Incoming::Media(media)) = Incoming::parse(&text) else {
        panic!("{text}")
    };
    assert_eq!((media.track, media.timestamp_ms), (MediaTrack::Inbound, 12));
    assert_eq!((media.sequence_number, media.chunk), (None, None));
}

#[test]
fn media_is_refused_for_each_wrong_field() {
    check_bad_media("\"outbound\"", "\"sideways\"", "media.track", "`sideways`");
    check_bad_media("\"outbound\"", "null", "media.track", "null");
    check_bad_media("\"77\"", "\"-1\"", "media.timestamp", "`-1`");
    check_bad_media("\"77\"", "\"\"", "media.timestamp", "``");
    check_bad_media("\"77\"", "7.5", "media.timestamp", "a fractional number");
    check_bad_media("\"77\"", "-7", "media.timestamp", "a negative number");
    check_bad_media(
        "\"77\"",
        "\"99999999999999999999\"",
        "media.timestamp",
        "`9999",
    );
    check_bad_media("\"payload\"", "\"playload\"", "media.payload", "missing");
    check_bad_media("\"f/8A\"", "{}", "media.payload", "an object");
    check_bad_media("\"streamSid\"", "\"streamsid\"", "streamSid", "missing");
    check_bad(r#"{"event":"media","media":"f/8A"}"#, "media", "`f/8A`");
    check_bad(
        r#"{"event":"media","media":["inbound"]}"#,
        "media",
        "an array",
    );
    check_bad(r#"{"event":"media"}"#, "media", "missing");
}

#[test]
fn a_payload_that_is_not_base64_leaves_the_buffer_as_it_was() {
    for payload in ["!!!!", "f/8", "f/8A f/8A", "f_8A", "=", "f/9="] {
        let text = media_text().replace("f/8A", payload);
        let Ok(Incoming::Media(media)) = Incoming::parse(&text) else {
            panic!("{text}")
        };
        let mut audio = vec![1, 2];
        media.payload.decode_into(&mut audio).unwrap_err();
        assert_eq!(audio, [1, 2], "{payload}");
    }
}

#[test]
fn dtmf_tells_the_key() {
    for digit in "0123456789*#ABCD".chars() {
        let mut text = String::new();
        incoming::write_dtmf(&mut text, &stream_sid(), 5, digit);
        let dtmf = Incoming::Dtmf {
            track: MediaTrack::Inbound,
            digit,
        };
        assert_eq!(Incoming::parse(&text), Ok(dtmf));
    }
    check_bad(
        r#"{"event":"dtmf","dtmf":{"digit":"12"}}"#,
        "dtmf.digit",
        "`12`",
    );
    check_bad(
        r#"{"event":"dtmf","dtmf":{"digit":"x"}}"#,
        "dtmf.digit",
        "`x`",
    );
    check_bad(r#"{"event":"dtmf","dtmf":{}}"#, "dtmf.digit", "missing");
    check_bad(
        r#"{"event":"dtmf","dtmf":{"track":"up","digit":"1"}}"#,
        "dtmf.track",
        "`up`",
    );
}

#[test]
fn stop_is_a_stop_whatever_it_holds() {
    let nobody = Incoming::Stop {
        account_sid: None,
        call_sid: None,
    };
    for text in [
        r#"{"event":"stop"}"#,
        r#"{"event":"stop","stop":null}"#,
        r#"{"event":"stop","stop":{"callSid":"?"}}"#,
    ] {
        assert_eq!(Incoming::parse(text), Ok(nobody.clone()), "{text}");
    }
}

#[test]
fn an_unknown_event_is_named_and_can_be_ignored() {
    let text = r#"{"event":"closed","media":7,"start":[]}"#;
    assert_eq!(
        Incoming::parse(text),
        Ok(Incoming::Unknown {
            event: "closed".into()
        })
    );
}

#[test]
fn what_is_not_json_no_object_or_without_event_is_told_apart() {
    for text in ["", "{", "{}{}", "{'event':1}", "ALAW"] {
        let error = Incoming::parse(text).unwrap_err();
        assert!(
            matches!(error, ParseError::NotJson { .. }),
            "{text}: {error:?}"
        );
    }
    for text in ["null", "7", "[]", r#"["media",{}]"#] {
        let error = Incoming::parse(text).unwrap_err();
        assert!(
            matches!(error, ParseError::NotAMessage { .. }),
            "{text}: {error:?}"
        );
    }
    for text in [
        "{}",
        r#"{"event":null}"#,
        r#"{"event":7}"#,
        r#"{"Event":"media"}"#,
    ] {
        assert_eq!(
            Incoming::parse(text),
            Err(ParseError::MissingEvent),
            "{text}"
        );
    }
}

#[test]
fn a_key_that_comes_twice_is_refused() {
    let text = r#"{"event":"mark","event":"stop"}"#;
    assert!(matches!(
        Incoming::parse(text),
        Err(ParseError::NotAMessage { .. })
    ));
}

#[test]
fn errors_repeat_only_a_little_of_a_long_text() {
    let text = format!(
        r#"{{"event":"mark","mark":{{"name":{{}}}},"x":"{}"}}"#,
        "x".repeat(5000)
    );
    assert!(Incoming::parse(&text).unwrap_err().to_string().len() < 100);
    let digit = "x".repeat(5000);
    let text = format!(r#"{{"event":"dtmf","dtmf":{{"digit":"{digit}"}}}}"#);
    assert!(Incoming::parse(&text).unwrap_err().to_string().len() < 150);
}

#[test]
fn parameters_do_not_reach_the_debug_text() {
    let mut start = start();
    start
        .custom_parameters
        .insert("auth".into(), "s3cret".into());
    let text = format!("{:?}", Incoming::Start(start));
    assert!(text.contains("auth") && !text.contains("s3cret"), "{text}");
}

#[test]
fn audio_does_not_reach_the_debug_text() {
    let text = format!("{:?}", Incoming::parse(&media_text()).unwrap());
    assert!(
        text.contains("4 base64 characters") && !text.contains("f/8A"),
        "{text}"
    );
}

#[test]
fn twilio_takes_what_the_writers_write() {
    let mut text = String::new();
    outgoing::write_media(&mut text, &stream_sid(), &[0x7f, 0xff, 0x00]);
    assert_eq!(
        text,
        format!(r#"{{"event":"media","streamSid":"{MZ}","media":{{"payload":"f/8A"}}}}"#)
    );
    text.clear();
    outgoing::write_mark(&mut text, &stream_sid(), "turn-7");
    assert_eq!(
        text,
        format!(r#"{{"event":"mark","streamSid":"{MZ}","mark":{{"name":"turn-7"}}}}"#)
    );
    text.clear();
    outgoing::write_clear(&mut text, &stream_sid());
    assert_eq!(text, format!(r#"{{"event":"clear","streamSid":"{MZ}"}}"#));
}

#[test]
fn twilio_drops_whatever_is_not_exactly_right() {
    for text in [
        "",
        "null",
        r#"["clear","MZ"]"#,
        r#"{"event":"clear"}"#,
        r#"{"streamSid":"MZ"}"#,
        r#"{"event":"play","streamSid":"MZ"}"#,
        r#"{"event":"clear","streamSid":7}"#,
        r#"{"event":"clear","streamSid":"MZ","media":{"payload":""}}"#,
        r#"{"event":"clear","streamSid":"MZ","mark":null}"#,
        r#"{"event":"clear","streamSid":"MZ","sequenceNumber":"1"}"#,
        r#"{"event":"mark","streamSid":"MZ"}"#,
        r#"{"event":"mark","streamSid":"MZ","mark":{}}"#,
        r#"{"event":"mark","streamSid":"MZ","mark":["name"]}"#,
        r#"{"event":"mark","streamSid":"MZ","mark":{"name":7}}"#,
        r#"{"event":"media","streamSid":"MZ","media":{"playload":"f/8A"}}"#,
        r#"{"event":"media","streamSid":"MZ","media":{"payload":"f/8A","track":"outbound"}}"#,
        r#"{"event":"media","streamSid":"MZ","media":{"payload":"f/8A"},"mark":{"name":"a"}}"#,
        r#"{"event":"clear","streamSid":"MZ"} {}"#,
    ] {
        let error = Outgoing::parse(text).expect_err(text);
        assert!(error.to_string().contains("31951"), "{error}");
    }
}

proptest! {
    #[test]
    fn media_comes_back_as_it_was_written(
        audio: Vec<u8>, timestamp_ms: u64, sequence_number: u64, chunk: u64, outbound: bool,
    ) {
        let track = if outbound { MediaTrack::Outbound } else { MediaTrack::Inbound };
        let stream_sid = stream_sid();
        let frame = MediaFrame {
            stream_sid: &stream_sid, sequence_number, track, chunk, timestamp_ms, audio: &audio,
        };
        let mut text = String::new();
        incoming::write_media(&mut text, &frame);
        let Ok(Incoming::Media(media)) = Incoming::parse(&text) else { panic!("{text}") };
        let mut decoded = Vec::new();
        prop_assert_eq!(media.payload.decode_into(&mut decoded), Ok(audio.len()));
        prop_assert_eq!(decoded, audio);
        prop_assert_eq!((media.track, media.timestamp_ms), (track, timestamp_ms));
        prop_assert_eq!(media.sequence_number, Some(sequence_number));
        prop_assert_eq!(media.chunk, Some(chunk));
    }

    #[test]
    fn start_comes_back_as_it_was_written(custom_parameters: BTreeMap<String, String>) {
        let start = Start { custom_parameters, ..start() };
        let mut text = String::new();
        incoming::write_start(&mut text, &start);
        prop_assert_eq!(Incoming::parse(&text), Ok(Incoming::Start(start)));
    }

    #[test]
    fn marks_come_back_as_they_were_written(name: String) {
        let mut text = String::new();
        outgoing::write_mark(&mut text, &stream_sid(), &name);
        let mark = Outgoing::Mark { stream_sid: MZ.into(), name: name.as_str().into() };
        prop_assert_eq!(Outgoing::parse(&text), Ok(mark));
        text.clear();
        incoming::write_mark(&mut text, &stream_sid(), 4, &name);
        prop_assert_eq!(Incoming::parse(&text), Ok(Incoming::Mark { name: name.into() }));
    }
}
