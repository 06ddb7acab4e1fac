//! One media stream as Twilio's side of it sees it: what it says, and what it takes.

use std::fmt::Display;
use std::time::Duration;

use sidetone_twilio::stream::incoming::{self, MediaFrame, Start};
use sidetone_twilio::stream::{MediaTrack, Outgoing};
use tokio::time::Instant;

use super::line::Frame;
use super::playback::Playback;
use super::{Party, StreamReport};
use crate::dice::Dice;

/// The messages of an open stream, each written on demand into one buffer, in the order in which
/// they are to be sent: `connected`, `start`, then the others, `stop` last.
#[derive(Debug)]
pub(super) struct StreamSide {
    start: Start,
    /// When the upgrade began: the origin of all timestamps.
    origin: Instant,
    first_media_at: Instant,
    /// Of the last message.
    sequence_number: u64,
    inbound: TrackSide,
    outbound: TrackSide,
    /// `None`: a fork, on which the server may not say anything.
    playback: Option<Playback>,
    discarded_frames: u64,
    marks: u64,
    dice: Dice,
    text: String,
    audio: Vec<u8>,
}

#[derive(Debug, Default)]
struct TrackSide {
    /// Media messages sent.
    chunks: u64,
    /// Line position from which on no frame is missing.
    unbroken_since: Option<u64>,
}

/// What Twilio does not take, under its code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Fault {
    pub(super) code: u32,
    pub(super) detail: String,
}

impl Fault {
    /// On a stream that only carries audio to the server, anything is one too much.
    pub(super) const NOT_BIDIRECTIONAL: u32 = 31924;
    pub(super) const BINARY: u32 = 31950;
    pub(super) const INVALID: u32 = 31951;

    fn new(code: u32, detail: &dyn Display) -> Self {
        Self {
            code,
            detail: detail.to_string(),
        }
    }
}

impl StreamSide {
    /// A stream whose upgrade began at `origin` and is done `now`.
    pub(super) fn new(
        start: Start,
        bidirectional: bool,
        origin: Instant,
        now: Instant,
        mut dice: Dice,
    ) -> Self {
        // Live streams showed first timestamps of 57 to 171 ms and, rarely, down to 5.
        let until_first_media = Duration::from_millis(dice.within(8..=120));
        Self {
            start,
            origin,
            first_media_at: now + until_first_media,
            sequence_number: 1,
            inbound: TrackSide::default(),
            outbound: TrackSide::default(),
            playback: bidirectional.then(Playback::default),
            discarded_frames: 0,
            marks: 0,
            dice,
            text: String::with_capacity(512),
            audio: Vec::new(),
        }
    }

    pub(super) fn start(&self) -> &Start {
        &self.start
    }

    /// What the server said and was not played yet; none on a fork.
    pub(super) fn playback(&mut self) -> Option<&mut Playback> {
        self.playback.as_mut()
    }

    pub(super) fn is_bidirectional(&self) -> bool {
        self.playback.is_some()
    }

    /// Whether the frames that are due at `due` are sent: a stream begins a little after its
    /// handshake.
    pub(super) fn carries_media_at(&self, due: Instant) -> bool {
        self.first_media_at <= due
    }

    /// Whether the track of `party` left on this stream without a hole since line `position`.
    pub(super) fn has_carried(&self, party: Party, position: u64) -> bool {
        let track = match party {
            Party::Caller => &self.inbound,
            Party::Callee => &self.outbound,
        };
        track.unbroken_since.is_some_and(|since| since <= position)
    }

    pub(super) fn connected_message(&mut self) -> &str {
        self.text.clear();
        incoming::write_connected(&mut self.text);
        &self.text
    }

    pub(super) fn start_message(&mut self) -> &str {
        self.text.clear();
        incoming::write_start(&mut self.text, &self.start);
        &self.text
    }

    /// The frame of `track` that is due at `due` and begins at line `position`.
    pub(super) fn media_message(
        &mut self,
        track: MediaTrack,
        due: Instant,
        position: u64,
        audio: &Frame,
    ) -> &str {
        // Timestamps are readings of a clock: steps of 19 to 21 ms, rarely more.
        let wobble_ms = self.dice.within(0..=2);
        let since_origin = due.saturating_duration_since(self.origin).as_millis();
        let timestamp_ms = u64::try_from(since_origin).unwrap_or(u64::MAX) + wobble_ms - 1;
        self.sequence_number += 1;
        let side = track_side(&mut self.inbound, &mut self.outbound, track);
        side.chunks += 1;
        side.unbroken_since.get_or_insert(position);
        let frame = MediaFrame {
            stream_sid: &self.start.stream_sid,
            sequence_number: self.sequence_number,
            track,
            chunk: side.chunks,
            timestamp_ms,
            audio,
        };
        self.text.clear();
        incoming::write_media(&mut self.text, &frame);
        &self.text
    }

    /// The last media message of `track` could not be sent.
    pub(super) fn media_discarded(&mut self, track: MediaTrack) {
        track_side(&mut self.inbound, &mut self.outbound, track).unbroken_since = None;
        self.discarded_frames += 1;
    }

    pub(super) fn dtmf_message(&mut self, digit: char) -> &str {
        self.sequence_number += 1;
        self.text.clear();
        incoming::write_dtmf(
            &mut self.text,
            &self.start.stream_sid,
            self.sequence_number,
            digit,
        );
        &self.text
    }

    /// The echo of the next mark that is due, to be asked for until there is none.
    pub(super) fn due_mark_message(&mut self) -> Option<&str> {
        let name = self.playback.as_mut()?.due_mark()?;
        self.sequence_number += 1;
        self.marks += 1;
        self.text.clear();
        incoming::write_mark(
            &mut self.text,
            &self.start.stream_sid,
            self.sequence_number,
            &name,
        );
        Some(&self.text)
    }

    pub(super) fn stop_message(&mut self) -> &str {
        self.sequence_number += 1;
        self.text.clear();
        incoming::write_stop(&mut self.text, &self.start, self.sequence_number);
        &self.text
    }

    /// Takes a text message of the server. After a fault the stream goes on without what was
    /// wrong, but not after [`Fault::NOT_BIDIRECTIONAL`].
    pub(super) fn receive(&mut self, text: &str) -> Result<(), Fault> {
        let Some(playback) = &mut self.playback else {
            return Err(Fault::new(
                Fault::NOT_BIDIRECTIONAL,
                &"the server sent a message on a stream that is not bidirectional",
            ));
        };
        let invalid = |detail: &dyn Display| Fault::new(Fault::INVALID, detail);
        let message = Outgoing::parse(text).map_err(|error| invalid(&error))?;
        if message.stream_sid() != self.start.stream_sid.as_str() {
            return Err(invalid(&"the message names another stream's sid"));
        }
        match message {
            Outgoing::Media { payload, .. } => {
                self.audio.clear();
                payload
                    .decode_into(&mut self.audio)
                    .map_err(|error| invalid(&error))?;
                playback
                    .push_audio(&self.audio)
                    .map_err(|error| invalid(&error))
            }
            Outgoing::Mark { name, .. } => playback
                .push_mark(name.into_owned())
                .map_err(|error| invalid(&error)),
            Outgoing::Clear { .. } => {
                playback.clear();
                Ok(())
            }
        }
    }

    /// What is wrong with a binary message.
    pub(super) fn binary_fault(&self) -> Fault {
        let code = if self.is_bidirectional() {
            Fault::BINARY
        } else {
            Fault::NOT_BIDIRECTIONAL
        };
        Fault::new(code, &"the server sent a binary message")
    }

    /// What became of the stream so far.
    pub(super) fn report(&self) -> StreamReport {
        StreamReport {
            stream_sid: self.start.stream_sid.clone(),
            tracks: self.start.tracks.clone(),
            frames: self.inbound.chunks + self.outbound.chunks - self.discarded_frames,
            discarded_frames: self.discarded_frames,
            marks: self.marks,
        }
    }
}

fn track_side<'a>(
    inbound: &'a mut TrackSide,
    outbound: &'a mut TrackSide,
    track: MediaTrack,
) -> &'a mut TrackSide {
    match track {
        MediaTrack::Inbound => inbound,
        MediaTrack::Outbound => outbound,
    }
}

#[cfg(test)]
mod tests {
    use sidetone_twilio::stream::{Incoming, outgoing};

    use super::*;
    use crate::phone::line::{FRAME, FRAME_SAMPLES};

    fn stream(bidirectional: bool) -> StreamSide {
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
            origin,
            origin + Duration::from_millis(30),
            dice,
        )
    }

    fn say(
        side: &mut StreamSide,
        write: impl Fn(&mut String, &sidetone_twilio::StreamSid),
    ) -> Result<(), Fault> {
        let mut text = String::new();
        write(&mut text, &side.start().stream_sid);
        side.receive(&text)
    }

    #[test]
    fn timestamps_begin_like_real_ones_and_wobble_around_20_ms() {
        let mut side = stream(false);
        let first_due = (0..)
            .map(|n| side.origin + n * FRAME)
            .find(|due| side.carries_media_at(*due));
        let first_due = first_due.unwrap();
        let mut last_ms = None;
        for n in 0..1_000_u32 {
            let audio = [0; FRAME_SAMPLES];
            let text = side.media_message(MediaTrack::Inbound, first_due + n * FRAME, 0, &audio);
            let Ok(Incoming::Media(media)) = Incoming::parse(text) else {
                panic!("{text}")
            };
            match last_ms {
                None => assert!((5..=200).contains(&media.timestamp_ms)),
                Some(last_ms) => assert!((18..=22).contains(&(media.timestamp_ms - last_ms))),
            }
            last_ms = Some(media.timestamp_ms);
        }
    }

    #[test]
    fn messages_are_counted_over_the_stream_and_chunks_per_track() {
        let mut side = stream(true);
        let mut numbers = Vec::new();
        let due = side.first_media_at;
        for track in [
            MediaTrack::Inbound,
            MediaTrack::Outbound,
            MediaTrack::Inbound,
        ] {
            let text = side.media_message(track, due, 0, &[0; FRAME_SAMPLES]);
            let Ok(Incoming::Media(media)) = Incoming::parse(text) else {
                panic!("{text}")
            };
            numbers.push((media.sequence_number.unwrap(), media.chunk.unwrap()));
        }
        assert_eq!(numbers, [(2, 1), (3, 1), (4, 2)]);
        assert!(side.dtmf_message('1').contains(r#""sequenceNumber":"5""#));
        assert!(side.stop_message().contains(r#""sequenceNumber":"6""#));
    }

    #[test]
    fn a_discarded_frame_breaks_what_its_track_carries_and_no_other() {
        let mut side = stream(false);
        let due = side.first_media_at;
        for (position, discarded) in [(160, false), (320, true), (480, false)] {
            for track in [MediaTrack::Inbound, MediaTrack::Outbound] {
                side.media_message(track, due, position, &[0; FRAME_SAMPLES]);
            }
            if discarded {
                side.media_discarded(MediaTrack::Inbound);
            }
        }
        assert!(!side.has_carried(Party::Caller, 170));
        assert!(side.has_carried(Party::Caller, 480));
        assert!(side.has_carried(Party::Callee, 170));
        assert!(!side.has_carried(Party::Callee, 159));
        assert_eq!(
            (side.report().frames, side.report().discarded_frames),
            (5, 1)
        );
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
    fn check_fault(bidirectional: bool, text: &str, code: u32) {
        let mut side = stream(bidirectional);
        let text = text.replace("MZ", side.start().stream_sid.as_str());
        assert_eq!(side.receive(&text).unwrap_err().code, code);
    }

    #[test]
    fn what_twilio_does_not_take_is_told_under_its_code() {
        check_fault(true, "?", 31951);
        check_fault(
            true,
            r#"{"event":"media","streamSid":"MZ","media":{"playload":"AA=="}}"#,
            31951,
        );
        check_fault(
            true,
            r#"{"event":"media","streamSid":"MZ","media":{"payload":"!"}}"#,
            31951,
        );
        check_fault(true, r#"{"event":"clear","streamSid":"other"}"#, 31951);
        check_fault(
            true,
            r#"{"event":"clear","streamSid":"MZ","track":"inbound"}"#,
            31951,
        );
        check_fault(false, r#"{"event":"clear","streamSid":"MZ"}"#, 31924);
        assert_eq!(stream(true).binary_fault().code, 31950);
        assert_eq!(stream(false).binary_fault().code, 31924);
    }
}
