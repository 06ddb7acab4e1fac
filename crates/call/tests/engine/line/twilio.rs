//! What Twilio does, and whoever steers the call.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sidetone_audio::Track;
use sidetone_call::engine::{Engine, Fetched, NotSaid, Speech, StreamEnd, StreamKey, StreamStart};
use sidetone_call::event::EndReason;

use super::{Line, ms};
use crate::deepgram::SILENCE;

impl Line {
    pub(crate) fn stream(&mut self, tracks: &[Track]) -> StreamKey {
        self.stream_with(tracks, |_| {})
    }

    pub(crate) fn stream_with(
        &mut self,
        tracks: &[Track],
        change: impl FnOnce(&mut StreamStart),
    ) -> StreamKey {
        let number = self.timestamps.len();
        let mut start = StreamStart {
            stream_sid: format!("MZ{number:032x}").parse().unwrap(),
            account_sid: "AC0123456789abcdef0123456789abcdef".parse().unwrap(),
            tracks: tracks.to_vec(),
            bidirectional: false,
            from: Some("+15551230001".into()),
            to: Some("+15551230002".into()),
            direction: Some("inbound".into()),
            parameters: BTreeMap::new(),
        };
        change(&mut start);
        let key = self.engine.handle_stream(self.now, self.wall, start);
        // Twilio's first timestamp is not 0.
        self.timestamps.insert(key, 102);
        self.drain();
        key
    }

    /// Plays tracks in real time: a letter is 100 ms of that word, `.` is 100 ms of silence, a
    /// blank 100 ms in which no frame comes.
    pub(crate) fn play(&mut self, stream: StreamKey, tracks: &[(Track, &str)]) {
        self.play_all(&[(stream, tracks)]);
    }

    pub(crate) fn play_all(&mut self, streams: &[(StreamKey, &[(Track, &str)])]) {
        let longest = |tracks: &[(Track, &str)]| tracks.iter().map(|(_, s)| s.len()).max().unwrap();
        let steps = streams
            .iter()
            .map(|(_, tracks)| longest(tracks))
            .max()
            .unwrap();
        for frame in 0..steps * 5 {
            for (stream, tracks) in streams {
                for (track, script) in *tracks {
                    match script.as_bytes().get(frame / 5) {
                        None | Some(b' ') => {}
                        Some(b'.') => self.frame(*stream, *track, &[SILENCE; 160]),
                        Some(&word) => self.frame(*stream, *track, &[word; 160]),
                    }
                }
                *self.timestamps.get_mut(stream).unwrap() += 20;
            }
            self.run(ms(20));
        }
    }

    /// A frame at the stream's current timestamp.
    pub(crate) fn frame(&mut self, stream: StreamKey, track: Track, payload: &[u8]) {
        let timestamp = self.timestamps[&stream];
        self.engine
            .handle_media(self.now, stream, track, timestamp, payload);
        self.drain();
    }

    /// The stream's clock jumps, and no time passes.
    pub(crate) fn jump(&mut self, stream: StreamKey, by: Duration) {
        *self.timestamps.get_mut(&stream).unwrap() += u64::try_from(by.as_millis()).unwrap();
    }

    pub(crate) fn dtmf(&mut self, stream: StreamKey, digit: char) {
        self.engine.handle_dtmf(self.now, stream, digit);
        self.drain();
    }

    pub(crate) fn pong(&mut self, stream: StreamKey) {
        self.engine.handle_sign_of_life(self.now, stream);
        self.drain();
    }

    pub(crate) fn end(&mut self, stream: StreamKey, end: StreamEnd) {
        self.engine
            .handle_stream_end(self.now, self.wall, stream, end);
        self.drain();
    }

    pub(crate) fn stopped(&mut self, stream: StreamKey) {
        self.engine.handle_stream_stopped(self.now, stream);
        self.drain();
    }

    pub(crate) fn status(&mut self, status: &str) {
        self.engine
            .handle_call_status(self.now, self.wall, status, None);
        self.drain();
    }

    pub(crate) fn expect_end(&mut self, reason: Option<EndReason>) {
        self.engine.handle_end_expected(reason);
    }

    pub(crate) fn order_end(&mut self, reason: EndReason) {
        self.engine.handle_ordered_end(self.now, self.wall, reason);
        self.drain();
    }

    pub(crate) fn speak(&mut self, speech: Speech) -> Result<(), NotSaid> {
        let taken = self.engine.handle_speak(self.now, speech);
        self.drain();
        taken
    }

    pub(crate) fn silence(&mut self) {
        self.engine.handle_silence(self.now);
        self.drain();
    }

    /// Something comes of the newest request for speech.
    pub(crate) fn fetched(&mut self, fetched: Fetched<'_>) {
        let fetch = self.fetches.last().unwrap().0;
        self.engine
            .handle_fetched(self.now, self.wall, fetch, fetched);
        self.drain();
    }

    /// Has something done to the engine, as the gateway does.
    pub(crate) fn act<T>(&mut self, act: impl FnOnce(&mut Engine, Instant, Timestamp) -> T) -> T {
        let done = act(&mut self.engine, self.now, self.wall);
        self.drain();
        done
    }

    pub(crate) fn shut_down(&mut self) {
        self.engine.handle_shutdown(self.now, self.wall);
        self.drain();
    }
}
