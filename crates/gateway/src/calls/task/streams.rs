//! Twilio's side of a call's task.

use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sidetone_audio::Track;
use sidetone_call::engine::{StreamEnd, StreamKey};
use sidetone_twilio::StreamSid;
use sidetone_twilio::stream::{Incoming, Media};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::{Error, Message};
use tracing::{info, warn};

use super::{Arrival, CallTask, Now};
use crate::calls::CallHandle;
use crate::calls::intake::track_of;
use crate::calls::socket::{self, Refusal, StreamSocket};
use crate::metrics::Rejection;

/// A media stream of the call.
pub(super) struct Stream {
    pub(super) key: StreamKey,
    pub(super) stream_sid: StreamSid,
    tracks: Vec<Track>,
    pub(super) socket: StreamSocket,
    /// Whether something waits to be flushed.
    pub(super) unflushed: bool,
    /// When Deepgram's event was read for which a clear waits to be flushed.
    pub(super) clearing_since: Option<Instant>,
    /// Whether nothing can be sent any more: it failed, or takes too little.
    pub(super) broken: bool,
    /// The peer has closed; only the answer to its Close may still be on its way.
    pub(super) leaving: bool,
}

/// How a stream's socket comes to its end.
enum Departure {
    /// Twilio said `stop`.
    Stopped,
    /// The peer sent its Close.
    Closing,
    /// The connection is gone.
    Gone,
    /// The peer broke the protocol.
    Refused(Refusal),
}

impl From<Refusal> for Departure {
    fn from(refusal: Refusal) -> Self {
        Self::Refused(refusal)
    }
}

impl CallTask {
    pub(super) fn add_stream(&mut self, now: Now, arrival: Arrival) {
        let stream_sid = arrival.start.stream_sid.clone();
        let tracks = arrival.start.tracks.clone();
        let key = self
            .engine
            .handle_stream(now.std(), now.wall, arrival.start);
        let socket = arrival.socket;
        self.streams.push(Stream {
            key,
            stream_sid,
            tracks,
            socket,
            unflushed: false,
            clearing_since: None,
            broken: false,
            leaving: false,
        });
    }

    /// Tells the log of the newest stream.
    pub(super) fn report_stream(&self) {
        let Some(Stream {
            stream_sid, tracks, ..
        }) = self.streams.last()
        else {
            return;
        };
        let tracks = tracks
            .iter()
            .map(|track| track.name())
            .collect::<Vec<_>>()
            .join(",");
        let (call_sid, profile) = (&self.call_sid, &self.profile);
        info!(%call_sid, %stream_sid, profile, tracks, "Stream accepted.");
    }

    pub(super) fn stop_stream(&mut self, now: Now, stream_sid: &StreamSid) {
        let mut streams = self.streams.iter();
        if let Some(stream) = streams.find(|stream| stream.stream_sid == *stream_sid) {
            self.engine.handle_stream_stopped(now.std(), stream.key);
        }
    }

    /// Takes at most one message of each stream; true when there was one.
    pub(super) fn poll_streams(&mut self, cx: &mut Context<'_>, handle: &Arc<CallHandle>) -> bool {
        let mut busy = false;
        let mut index = 0;
        while let Some(stream) = self.streams.get_mut(index) {
            if let Poll::Ready(message) = stream.socket.poll_next_unpin(cx) {
                busy = true;
                let now = Now::read();
                if let Err(departure) = self.handle_message(now, index, message, handle) {
                    self.depart(now, index, departure);
                }
                self.drain(handle);
            }
            index += 1;
        }
        busy
    }

    /// Sends what was queued, as far as the sockets take it; true when one takes nothing any more.
    pub(super) fn flush_streams(&mut self, cx: &mut Context<'_>) -> bool {
        for stream in &mut self.streams {
            if stream.unflushed
                && let Poll::Ready(flushed) = stream.socket.poll_flush_unpin(cx)
            {
                stream.unflushed = false;
                stream.broken |= flushed.is_err();
                if let Some(since) = stream.clearing_since.take() {
                    self.services.metrics.agent.cleared(since.elapsed());
                }
            }
        }
        let broken = self.streams.iter().position(|stream| stream.broken);
        if let Some(index) = broken {
            self.depart(Now::read(), index, Departure::Gone);
        }
        broken.is_some()
    }

    pub(super) fn ping_stream(&mut self, key: StreamKey) {
        if let Some(stream) = self.streams.iter_mut().find(|stream| stream.key == key) {
            // A socket that cannot take it is found dead by reading, or by its silence.
            let _sent = stream
                .socket
                .start_send_unpin(Message::Ping(Bytes::new()))
                .is_ok();
        }
    }

    /// Closes a socket whose stream the engine has ended.
    pub(super) fn close_ended(&mut self, key: StreamKey, code: u16, reason: &str) {
        if let Some(index) = self.streams.iter().position(|stream| stream.key == key) {
            self.close_stream(index, code.into(), reason.to_owned());
        }
    }

    /// Closes what is still open when the call is over.
    pub(super) fn leave_streams(&mut self) {
        while !self.streams.is_empty() {
            self.close_stream(0, CloseCode::Normal, "the call has ended".to_owned());
        }
    }

    fn handle_message(
        &mut self,
        now: Now,
        index: usize,
        message: Option<Result<Message, Error>>,
        handle: &CallHandle,
    ) -> Result<(), Departure> {
        let key = self.streams[index].key;
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_) | Message::Frame(_))) => {
                self.engine.handle_sign_of_life(now.std(), key);
                return Ok(());
            }
            Some(Ok(Message::Binary(_))) => return Err(Refusal::binary().into()),
            Some(Ok(Message::Close(_))) => return Err(Departure::Closing),
            Some(Err(error)) => {
                return Err(Refusal::of_socket(&error).map_or(Departure::Gone, Departure::Refused));
            }
            None => return Err(Departure::Gone),
        };
        match Incoming::parse(&text).map_err(|error| Refusal::unreadable(&error))? {
            Incoming::Media(media) => self.handle_media(now, index, &media, handle)?,
            Incoming::Dtmf { digit, .. } => self.engine.handle_dtmf(now.std(), key, digit),
            Incoming::Stop { .. } => return Err(Departure::Stopped),
            Incoming::Start(_) => return Err(Refusal::out_of_place("a second start").into()),
            Incoming::Connected { .. } => {
                return Err(Refusal::out_of_place("connected after start").into());
            }
            Incoming::Mark { name, .. } => {
                self.engine.handle_mark(now.std(), now.wall, key, &name);
            }
            Incoming::Unknown { .. } => self.engine.handle_sign_of_life(now.std(), key),
        }
        Ok(())
    }

    /// Nothing is allocated here once `audio` has grown to the size of a frame.
    fn handle_media(
        &mut self,
        now: Now,
        index: usize,
        media: &Media<'_>,
        handle: &CallHandle,
    ) -> Result<(), Refusal> {
        let stream = &self.streams[index];
        let track = track_of(media.track);
        let misplaced = |reason: &str| {
            Err(Refusal::new(
                CloseCode::Policy,
                Rejection::BadMessage,
                reason,
            ))
        };
        if media.stream_sid != stream.stream_sid.as_str() {
            return misplaced("media: streamSid is of another stream");
        }
        if !stream.tracks.contains(&track) {
            return misplaced("media: start did not name that track");
        }
        let metrics = &self.services.metrics;
        self.audio.clear();
        if media.payload.decode_into(&mut self.audio).is_err() {
            metrics.rejected(Rejection::BadPayload);
            self.engine.handle_sign_of_life(now.std(), stream.key);
            return Ok(());
        }
        metrics.media_frame(track);
        handle.media(now.instant);
        self.engine.handle_media(
            now.std(),
            stream.key,
            track,
            media.timestamp_ms,
            &self.audio,
        );
        Ok(())
    }

    fn depart(&mut self, now: Now, index: usize, departure: Departure) {
        if self.streams[index].leaving {
            // Whatever comes after its Close, only the end of the socket counts.
            if matches!(departure, Departure::Gone) {
                self.streams.swap_remove(index);
            }
            return;
        }
        match departure {
            Departure::Stopped => {
                self.end_stream(now, index, StreamEnd::Stop);
                self.close_stream(index, CloseCode::Normal, String::new());
            }
            Departure::Closing => {
                self.end_stream(now, index, StreamEnd::Disconnected);
                self.streams[index].leaving = true;
            }
            Departure::Gone => {
                self.end_stream(now, index, StreamEnd::Disconnected);
                self.streams.swap_remove(index);
            }
            Departure::Refused(Refusal {
                code,
                reason,
                rejection,
            }) => {
                let stream_sid = &self.streams[index].stream_sid;
                warn!(call_sid = %self.call_sid, %stream_sid, reason, "Stream closed.");
                self.services.metrics.rejected(rejection);
                self.end_stream(now, index, StreamEnd::Refused);
                self.close_stream(index, code, reason);
            }
        }
    }

    fn end_stream(&mut self, now: Now, index: usize, end: StreamEnd) {
        let key = self.streams[index].key;
        self.engine.handle_stream_end(now.std(), now.wall, key, end);
    }

    fn close_stream(&mut self, index: usize, code: CloseCode, reason: String) {
        let stream = self.streams.swap_remove(index);
        self.services
            .tasks
            .spawn(socket::close(stream.socket, code, reason));
    }
}
