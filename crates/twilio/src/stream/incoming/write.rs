//! Writing what Twilio sends.

use super::Start;
use crate::StreamSid;
use crate::stream::json::{Quoted, push};
use crate::stream::{MediaTrack, push_base64};

/// A media message to be written.
#[derive(Clone, Copy, Debug)]
pub struct MediaFrame<'a> {
    /// Which stream.
    pub stream_sid: &'a StreamSid,
    /// Counts the messages of the stream from 1, for `start`.
    pub sequence_number: u64,
    /// Which track.
    pub track: MediaTrack,
    /// Counts the media messages from 1.
    pub chunk: u64,
    /// Since the stream began.
    pub timestamp_ms: u64,
    /// Mu-law, 20 ms are 160 bytes.
    pub audio: &'a [u8],
}

/// Appends a `connected` message.
pub fn write_connected(out: &mut String) {
    out.push_str(r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#);
}

/// Appends the `start` message, whose sequence number is 1.
pub fn write_start(out: &mut String, start: &Start) {
    let Start {
        stream_sid,
        call_sid,
        account_sid,
        tracks,
        custom_parameters,
    } = start;
    push(
        out,
        format_args!(
            r#"{{"event":"start","sequenceNumber":"1","start":{{"accountSid":"{account_sid}","streamSid":"{stream_sid}","callSid":"{call_sid}","tracks":["#
        ),
    );
    for (index, track) in tracks.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        push(out, format_args!(r#"{comma}"{}""#, track.name()));
    }
    out.push_str(
        r#"],"mediaFormat":{"encoding":"audio/x-mulaw","sampleRate":8000,"channels":1},"customParameters":{"#,
    );
    for (index, (name, value)) in custom_parameters.iter().enumerate() {
        let comma = if index == 0 { "" } else { "," };
        push(
            out,
            format_args!("{comma}{}:{}", Quoted(name), Quoted(value)),
        );
    }
    push(out, format_args!(r#"}}}},"streamSid":"{stream_sid}"}}"#));
}

/// Appends a `media` message. Allocates only when `out` has no room.
pub fn write_media(out: &mut String, frame: &MediaFrame<'_>) {
    let MediaFrame {
        stream_sid,
        sequence_number,
        track,
        chunk,
        timestamp_ms,
        audio,
    } = frame;
    push(
        out,
        format_args!(
            r#"{{"event":"media","sequenceNumber":"{sequence_number}","media":{{"track":"{}","chunk":"{chunk}","timestamp":"{timestamp_ms}","payload":""#,
            track.name()
        ),
    );
    push_base64(out, audio);
    push(out, format_args!(r#""}},"streamSid":"{stream_sid}"}}"#));
}

/// Appends a `dtmf` message: a key pressed by the person on this leg.
pub fn write_dtmf(out: &mut String, stream_sid: &StreamSid, sequence_number: u64, digit: char) {
    let mut digit_utf8 = [0; 4];
    let digit = Quoted(digit.encode_utf8(&mut digit_utf8));
    push(
        out,
        format_args!(
            r#"{{"event":"dtmf","streamSid":"{stream_sid}","sequenceNumber":"{sequence_number}","dtmf":{{"track":"inbound_track","digit":{digit}}}}}"#
        ),
    );
}

/// Appends a `mark` message: playback came to the mark called `name`.
pub fn write_mark(out: &mut String, stream_sid: &StreamSid, sequence_number: u64, name: &str) {
    let name = Quoted(name);
    push(
        out,
        format_args!(
            r#"{{"event":"mark","sequenceNumber":"{sequence_number}","streamSid":"{stream_sid}","mark":{{"name":{name}}}}}"#
        ),
    );
}

/// Appends the `stop` message of the stream that began with `start`.
pub fn write_stop(out: &mut String, start: &Start, sequence_number: u64) {
    let Start {
        stream_sid,
        call_sid,
        account_sid,
        ..
    } = start;
    push(
        out,
        format_args!(
            r#"{{"event":"stop","sequenceNumber":"{sequence_number}","streamSid":"{stream_sid}","stop":{{"accountSid":"{account_sid}","callSid":"{call_sid}"}}}}"#
        ),
    );
}
