//! One media stream as Twilio's side of it sees it: what it says, and what it takes.

mod shaping;
mod stamps;

use std::fmt::Display;
use std::ops::Range;
use std::time::Duration;

use jiff::Timestamp;
use sidetone_audio::SAMPLES_PER_MS;
use sidetone_audio::ulaw::SILENCE;
use sidetone_twilio::stream::incoming::{self, MediaFrame, Start};
use sidetone_twilio::stream::{MediaTrack, Outgoing};
use tokio::time::Instant;

use self::shaping::Shaper;
use self::stamps::Stamps;
use super::line::{FRAME, Line};
use super::playback::Playback;
use super::{Fault, Party, StreamReport};
use crate::dice::Dice;
use crate::voice::SpokenWord;

/// The messages of an open stream, each written on demand into one buffer, in the order in which
/// they are to be sent: `connected`, `start`, then the others, `stop` last.
#[derive(Debug)]
pub(super) struct StreamSide {
    start: Start,
    /// When the upgrade began: the origin of all timestamps.
    origin: Instant,
    /// When `start` is due; `None` once it has been written.
    starts_at: Option<Instant>,
    first_media_at: Instant,
    /// When the frames taken last were due, and where they begin on the line.
    now: (Instant, u64),
    shaper: Shaper,
    stamps: Stamps,
    /// Of either track, the last stretch that left without a missing sample.
    inbound: Range<u64>,
    outbound: Range<u64>,
    /// Beginning of the first media message.
    begun_at: Option<u64>,
    /// Track and beginning of the last media message.
    last_media: (MediaTrack, u64),
    /// `None`: a fork, on which the server may not say anything.
    playback: Option<Playback>,
    /// Whether messages have keys that are not documented.
    has_undocumented_fields: bool,
    frames: u64,
    discarded_frames: u64,
    marks: u64,
    text: String,
    audio: Vec<u8>,
}

/// What became of a word that is over on the line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// It left whole.
    Carried,
    /// The rest of it will leave.
    Waiting,
    /// A part of it never left.
    Lost,
}

/// What Twilio does not take, under its code.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Violation {
    pub(super) code: u32,
    pub(super) detail: String,
}

impl Violation {
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
        faults: &[Fault],
        origin: Instant,
        now: Instant,
        mut dice: Dice,
    ) -> Self {
        // Live streams showed first timestamps of 57 to 171 ms and, rarely, down to 5.
        let until_first_media = Duration::from_millis(dice.within(8..=120));
        let late_by = faults.iter().find_map(|fault| match fault {
            Fault::LateStart { by } => Some(*by),
            _ => None,
        });
        let starts_at = now + late_by.unwrap_or_default();
        Self {
            start,
            origin,
            starts_at: Some(starts_at),
            first_media_at: starts_at + until_first_media,
            now: (now, 0),
            shaper: Shaper::new(faults, &mut dice),
            stamps: Stamps::new(faults, dice),
            inbound: 0..0,
            outbound: 0..0,
            begun_at: None,
            last_media: (MediaTrack::Inbound, 0),
            playback: bidirectional.then(Playback::default),
            has_undocumented_fields: faults.contains(&Fault::UndocumentedFields),
            frames: 0,
            discarded_frames: 0,
            marks: 0,
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

    /// How long it has carried media, or been to, at `due`.
    pub(super) fn age(&self, due: Instant) -> Duration {
        due.saturating_duration_since(self.first_media_at)
    }

    /// Where on the line its first media message began, if there was one.
    pub(super) fn begun_at(&self) -> Option<u64> {
        self.begun_at
    }

    /// What became of a word of `party` that is over on the line.
    pub(super) fn fate(&self, party: Party, word: &SpokenWord) -> Fate {
        let track = track_of(party);
        let unbroken = match track {
            MediaTrack::Inbound => &self.inbound,
            MediaTrack::Outbound => &self.outbound,
        };
        let waiting = self.shaper.waiting(track);
        let whole_from = if waiting.start == unbroken.end {
            unbroken.start
        } else {
            waiting.start
        };
        if unbroken.start <= word.start && word.end <= unbroken.end {
            Fate::Carried
        } else if !waiting.is_empty() && whole_from <= word.start && word.end <= waiting.end {
            Fate::Waiting
        } else {
            Fate::Lost
        }
    }

    /// Takes what is on the line: the frames that are due at `due` and begin at `position`.
    pub(super) fn take_frames(&mut self, due: Instant, position: u64, line: &Line) {
        self.now = (due, position);
        let mut is_silent = true;
        for track in &self.start.tracks {
            let frame = line.frame(party_of(*track));
            is_silent &= frame.iter().all(|sample| *sample == SILENCE);
            self.shaper.take(*track, position, frame);
        }
        if is_silent {
            self.stamps.pause_at(position);
        }
    }

    /// No frames are taken any more, and all that waits may leave.
    pub(super) fn finish_media(&mut self) {
        self.shaper.finish();
    }

    pub(super) fn connected_message(&mut self) -> &str {
        self.text.clear();
        incoming::write_connected(&mut self.text);
        self.written()
    }

    /// The `start` message, once, when its time has come.
    pub(super) fn due_start_message(&mut self, now: Instant) -> Option<&str> {
        self.starts_at.take_if(|starts_at| *starts_at <= now)?;
        self.text.clear();
        incoming::write_start(&mut self.text, &self.start);
        Some(self.written())
    }

    /// A message of an event that is not documented, if there is to be one.
    pub(super) fn undocumented_message(&mut self) -> Option<&str> {
        if !self.has_undocumented_fields {
            return None;
        }
        let (sid, number) = (&self.start.stream_sid, self.stamps.sequence_number());
        self.text = format!(
            r#"{{"event":"quality","sequenceNumber":"{number}","streamSid":"{sid}","quality":{{"mos":"4.2"}}}}"#
        );
        Some(self.written())
    }

    /// The next media message, to be asked for until there is none.
    pub(super) fn due_media_message(&mut self) -> Option<&str> {
        let (track, at) = self.shaper.next_piece(&mut self.audio)?;
        let end = at + self.audio.len() as u64;
        let unbroken = self.unbroken_mut(track);
        if unbroken.end != at {
            unbroken.start = at;
        }
        unbroken.end = end;
        self.begun_at.get_or_insert(at);
        self.last_media = (track, at);
        self.frames += 1;
        let timestamp_ms = self.stamps.timestamp_ms(at, self.since_origin_ms(at));
        let frame = MediaFrame {
            stream_sid: &self.start.stream_sid,
            sequence_number: self.stamps.sequence_number(),
            track,
            chunk: self.stamps.chunk(track),
            timestamp_ms,
            audio: &self.audio,
        };
        self.text.clear();
        incoming::write_media(&mut self.text, &frame);
        Some(self.written())
    }

    /// The last media message could not be sent.
    pub(super) fn media_discarded(&mut self) {
        let (track, at) = self.last_media;
        // What comes next does not begin here, so it begins a stretch of its own.
        self.unbroken_mut(track).end = at;
        self.discarded_frames += 1;
    }

    /// Whether a media message could not be sent so far.
    pub(super) fn has_discarded_media(&self) -> bool {
        self.discarded_frames > 0
    }

    pub(super) fn dtmf_message(&mut self, digit: char) -> &str {
        let number = self.stamps.sequence_number();
        self.text.clear();
        incoming::write_dtmf(&mut self.text, &self.start.stream_sid, number, digit);
        self.written()
    }

    /// The echo of the next mark that is due, to be asked for until there is none.
    pub(super) fn due_mark_message(&mut self) -> Option<&str> {
        let name = self.playback.as_mut()?.due_mark()?;
        let number = self.stamps.sequence_number();
        self.marks += 1;
        self.text.clear();
        incoming::write_mark(&mut self.text, &self.start.stream_sid, number, &name);
        Some(self.written())
    }

    pub(super) fn stop_message(&mut self) -> &str {
        let number = self.stamps.sequence_number();
        self.text.clear();
        incoming::write_stop(&mut self.text, &self.start, number);
        self.written()
    }

    /// Takes a text message of the server that comes `now`, `at` a time of day. After a violation the stream goes
    /// on without what was wrong, but not after [`Violation::NOT_BIDIRECTIONAL`].
    pub(super) fn receive(
        &mut self,
        now: Instant,
        at: Timestamp,
        text: &str,
    ) -> Result<(), Violation> {
        let Some(playback) = &mut self.playback else {
            return Err(Violation::new(
                Violation::NOT_BIDIRECTIONAL,
                &"the server sent a message on a stream that is not bidirectional",
            ));
        };
        let invalid = |detail: &dyn Display| Violation::new(Violation::INVALID, detail);
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
                let until_next = (self.now.0 + FRAME).saturating_duration_since(now);
                playback
                    .push_audio(&self.audio, until_next)
                    .map_err(|error| invalid(&error))
            }
            Outgoing::Mark { name, .. } => playback
                .push_mark(name.into_owned())
                .map_err(|error| invalid(&error)),
            Outgoing::Clear { .. } => {
                playback.clear(at);
                Ok(())
            }
        }
    }

    /// What is wrong with a binary message.
    pub(super) fn binary_violation(&self) -> Violation {
        let code = if self.is_bidirectional() {
            Violation::BINARY
        } else {
            Violation::NOT_BIDIRECTIONAL
        };
        Violation::new(code, &"the server sent a binary message")
    }

    /// What became of the stream so far.
    pub(super) fn report(&self) -> StreamReport {
        StreamReport {
            stream_sid: self.start.stream_sid.clone(),
            tracks: self.start.tracks.clone(),
            frames: self.frames - self.discarded_frames,
            discarded_frames: self.discarded_frames,
            marks: self.marks,
        }
    }

    /// The message that was just written, as it is to be sent.
    fn written(&mut self) -> &str {
        if self.has_undocumented_fields {
            add_undocumented_fields(&mut self.text);
        }
        &self.text
    }

    /// When the sample at line position `at` was due, in ms since the stream's origin.
    fn since_origin_ms(&self, at: u64) -> u64 {
        let (due, position) = self.now;
        let since_origin = due.saturating_duration_since(self.origin).as_millis();
        let since_origin_ms = u64::try_from(since_origin).unwrap_or(u64::MAX);
        since_origin_ms.saturating_sub(position.saturating_sub(at) / SAMPLES_PER_MS)
    }

    fn unbroken_mut(&mut self, track: MediaTrack) -> &mut Range<u64> {
        match track {
            MediaTrack::Inbound => &mut self.inbound,
            MediaTrack::Outbound => &mut self.outbound,
        }
    }
}

fn party_of(track: MediaTrack) -> Party {
    match track {
        MediaTrack::Inbound => Party::Caller,
        MediaTrack::Outbound => Party::Callee,
    }
}

fn track_of(party: Party) -> MediaTrack {
    match party {
        Party::Caller => MediaTrack::Inbound,
        Party::Callee => MediaTrack::Outbound,
    }
}

/// Adds keys to a message, and to the object in it.
fn add_undocumented_fields(message: &mut String) {
    const INNER: &str = r#""codec":{"name":"opus","rates":[8000,16000]},"#;
    const OUTER: &str = r#""region":"us1","trace":[null,true,1.5,"}"],"#;
    if let Some(object) = message.find(":{\"") {
        message.insert_str(object + ":{".len(), INNER);
    }
    message.insert_str("{".len(), OUTER);
}

#[cfg(test)]
mod tests;
