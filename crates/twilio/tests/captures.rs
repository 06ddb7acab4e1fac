//! Captured messages are understood, and written again byte for byte.

#![expect(
    clippy::unwrap_used,
    reason = "a test: a capture that cannot be read is a failure"
)]

use sidetone_twilio::stream::{
    Incoming, MediaFrame, MediaTrack, Outgoing, Start, incoming, outgoing,
};

/// A frame of a capture; `from_twilio` tells the way it went.
struct Frame {
    from_twilio: bool,
    text: String,
}

fn frames(capture: &str) -> Vec<Frame> {
    let frame = |line: &str| {
        let line: serde_json::Value = serde_json::from_str(line).unwrap();
        Frame {
            from_twilio: line["dir"] == "in",
            text: line["text"].as_str().unwrap().into(),
        }
    };
    capture.lines().map(frame).collect()
}

/// Reads each message, writes it again from what was read, and compares.
#[track_caller]
fn check(capture: &str) {
    let mut start = None;
    for frame in frames(capture) {
        let written = match frame.from_twilio {
            true => rewrite_incoming(&frame.text, &mut start),
            false => rewrite_outgoing(&frame.text, start.as_ref().expect("start came before")),
        };
        assert_eq!(written, frame.text);
    }
    assert!(start.is_some());
}

fn rewrite_incoming(text: &str, start: &mut Option<Start>) -> String {
    let json: serde_json::Value = serde_json::from_str(text).unwrap();
    let number = json["sequenceNumber"]
        .as_str()
        .map_or(0, |number| number.parse().unwrap());
    let mut out = String::new();
    match (Incoming::parse(text).unwrap(), &*start) {
        (Incoming::Connected { protocol, version }, None) => {
            assert_eq!(protocol, "Call");
            incoming::write_connected(&mut out);
            out = out.replace("1.0.0", &version);
        }
        (Incoming::Start(found), None) => {
            incoming::write_start(&mut out, &found);
            *start = Some(found);
        }
        (Incoming::Media(media), Some(start)) => {
            let mut audio = Vec::new();
            assert_eq!(media.payload.decode_into(&mut audio), Ok(160));
            assert_eq!(media.stream_sid, start.stream_sid.as_str());
            let frame = MediaFrame {
                stream_sid: &start.stream_sid,
                sequence_number: media.sequence_number.unwrap(),
                track: media.track,
                chunk: media.chunk.unwrap(),
                timestamp_ms: media.timestamp_ms,
                audio: &audio,
            };
            incoming::write_media(&mut out, &frame);
        }
        (
            Incoming::Dtmf {
                track: MediaTrack::Inbound,
                digit,
            },
            Some(start),
        ) => {
            incoming::write_dtmf(&mut out, &start.stream_sid, number, digit);
        }
        (Incoming::Mark { name }, Some(start)) => {
            incoming::write_mark(&mut out, &start.stream_sid, number, &name);
        }
        (
            Incoming::Stop {
                account_sid,
                call_sid,
            },
            Some(start),
        ) => {
            assert_eq!(account_sid.as_ref(), Some(&start.account_sid));
            assert_eq!(call_sid.as_ref(), Some(&start.call_sid));
            incoming::write_stop(&mut out, start, number);
        }
        (message, _) => panic!("out of order: {message:?}"),
    }
    out
}

fn rewrite_outgoing(text: &str, start: &Start) -> String {
    let message = Outgoing::parse(text).unwrap();
    assert_eq!(message.stream_sid(), start.stream_sid.as_str());
    let mut out = String::new();
    match message {
        Outgoing::Media { payload, .. } => {
            let mut audio = Vec::new();
            payload.decode_into(&mut audio).unwrap();
            outgoing::write_media(&mut out, &start.stream_sid, &audio);
        }
        Outgoing::Mark { name, .. } => outgoing::write_mark(&mut out, &start.stream_sid, &name),
        Outgoing::Clear { .. } => outgoing::write_clear(&mut out, &start.stream_sid),
    }
    out
}

#[test]
fn a_fork_of_the_inbound_track_in_2019() {
    check(include_str!(
        "../../../fixtures/captures/twilio/fork-inbound-2019.ndjson"
    ));
}

#[test]
fn a_fork_of_both_tracks() {
    check(include_str!(
        "../../../fixtures/captures/twilio/fork-both-tracks.ndjson"
    ));
}

#[test]
fn a_bidirectional_stream() {
    check(include_str!(
        "../../../fixtures/captures/twilio/bidirectional.ndjson"
    ));
}

#[test]
fn the_first_frame_of_a_real_call_is_quiet_line_noise() {
    let capture = include_str!("../../../fixtures/captures/twilio/fork-both-tracks.ndjson");
    let frames = frames(capture);
    let media = frames
        .iter()
        .find_map(|frame| match Incoming::parse(&frame.text) {
            Ok(Incoming::Media(media)) => Some(media),
            _ => None,
        });
    let media = media.unwrap();
    let mut audio = Vec::new();
    media.payload.decode_into(&mut audio).unwrap();
    assert_eq!(audio[..8], [0xfb, 0x7d, 0xfe, 0xff, 0x7b, 0x7b, 0xfd, 0xfd]);
    assert_eq!((media.timestamp_ms, media.chunk), (57, Some(1)));
}
