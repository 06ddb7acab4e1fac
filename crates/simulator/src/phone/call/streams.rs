//! The streams of a call: opened, fed, listened to, ended.

use std::collections::BTreeMap;
use std::future::ready;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::Timestamp;
use sidetone_twilio::StreamSid;
use sidetone_twilio::form::{StreamEvent, StreamStatus};
use sidetone_twilio::stream::MediaTrack;
use sidetone_twilio::stream::incoming::Start;
use sidetone_twilio::twiml::Method;
use tokio::time::{Instant, sleep};
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use url::Url;

use super::{Call, noted};
use crate::phone::error::{HandshakeError, chain, shown};
use crate::phone::farewell::Farewell;
use crate::phone::line::Line;
use crate::phone::socket::{Received, Socket};
use crate::phone::stream::{StreamSide, Violation};
use crate::phone::{Fault, OpenStream};

/// Code and words of a stream that Twilio itself gives up.
const GIVEN_UP: (u32, &str) = (31924, "the stream failed and is given up");

/// What a stream is to be.
#[derive(Debug)]
pub(in crate::phone) struct Plan {
    pub(in crate::phone) start: Start,
    pub(in crate::phone) url: Url,
    pub(in crate::phone) is_bidirectional: bool,
    pub(in crate::phone) status: StatusCallback,
}

/// Who is told that a stream started, stopped or failed, if anyone.
#[derive(Clone, Debug, Default)]
pub(in crate::phone) struct StatusCallback {
    pub(in crate::phone) url: Option<Url>,
    pub(in crate::phone) method: Option<Method>,
    /// The stream's name in the document.
    pub(in crate::phone) stream_name: Option<String>,
}

/// An upgrade that is done, either way.
pub(super) struct Handshake {
    plan: Plan,
    began: Instant,
    result: Result<Socket, HandshakeError>,
}

/// How a stream ended.
#[derive(Debug)]
pub(in crate::phone) enum Over {
    /// It never opened.
    NotOpened(HandshakeError),
    /// The server closed it.
    Closed { code: Option<u16>, reason: String },
    /// Its connection was lost, or the server broke the protocol.
    Broken,
    /// The call ended it.
    Stopped,
}

/// An open stream.
pub(super) struct Stream {
    pub(super) side: StreamSide,
    pub(super) socket: Socket,
    /// Where it was dialled.
    pub(super) url: Url,
    pub(super) status: StatusCallback,
    /// Whether audio was thrown away that the server did not take.
    has_overflowed: bool,
}

impl Stream {
    /// Sends `start` when that is due at `now`.
    fn begin(&mut self, now: Instant) {
        let Self { side, socket, .. } = self;
        let Some(message) = side.due_start_message(now) else {
            return;
        };
        socket.offer(message);
        if let Some(message) = side.undocumented_message() {
            socket.offer(message);
        }
    }

    /// Sends what is due at `due`: `start`, the frames of its tracks, which begin at line
    /// `position`, the key that is `pressed`, and marks.
    pub(super) fn send_frames(
        &mut self,
        due: Instant,
        position: u64,
        line: &Line,
        pressed: Option<char>,
    ) {
        self.begin(due);
        if self.side.carries_media_at(due) {
            self.side.take_frames(due, position, line);
            self.offer_media();
        }
        let Self { side, socket, .. } = self;
        if let Some(digit) = pressed.filter(|_| side.is_bidirectional()) {
            socket.offer(side.dtmf_message(digit));
        }
        self.echo_marks();
        self.socket.flush();
    }

    /// Sends what was held up.
    fn finish_media(&mut self) {
        self.side.finish_media();
        self.offer_media();
        self.socket.flush();
    }

    fn offer_media(&mut self) {
        while let Some(message) = self.side.due_media_message() {
            if !self.socket.offer(message) {
                self.side.media_discarded();
            }
        }
    }

    /// Whether audio has been thrown away for the first time.
    fn begins_to_overflow(&mut self) -> bool {
        let overflows = self.side.has_discarded_media();
        overflows && !std::mem::replace(&mut self.has_overflowed, true)
    }

    /// Takes a message, and says what is wrong with it.
    fn receive(&mut self, text: &str) -> Option<Violation> {
        let taken = self.side.receive(Instant::now(), Timestamp::now(), text);
        self.echo_marks();
        self.socket.flush();
        taken.err()
    }

    pub(super) fn sid(&self) -> &StreamSid {
        &self.side.start().stream_sid
    }

    fn echo_marks(&mut self) {
        while let Some(message) = self.side.due_mark_message() {
            self.socket.offer(message);
        }
    }
}

impl Call {
    /// The stream that a ws target is.
    pub(super) fn target_plan(&mut self) -> Plan {
        let mut tracks = self.options.tracks.clone();
        if tracks.is_empty() {
            tracks.push(MediaTrack::Inbound);
        }
        let parameters = self.options.parameters.iter().cloned().collect();
        Plan {
            is_bidirectional: tracks == [MediaTrack::Inbound],
            start: self.new_start(tracks, parameters),
            url: dialled(self.options.target.clone()),
            status: StatusCallback::default(),
        }
    }

    pub(in crate::phone) fn new_start(
        &mut self,
        tracks: Vec<MediaTrack>,
        custom_parameters: BTreeMap<String, String>,
    ) -> Start {
        Start {
            stream_sid: self.dice.sid("MZ"),
            call_sid: self.call_sid.clone(),
            account_sid: self.options.account_sid.clone(),
            tracks,
            custom_parameters,
        }
    }

    /// Begins to open a stream. How it ends is told by [`take_over`](Self::take_over).
    pub(in crate::phone) fn open_stream(&mut self, plan: Plan) -> StreamSid {
        let stream_sid = plan.start.stream_sid.clone();
        let stream_name = plan.status.stream_name.clone();
        let delay = self.options.faults.iter().find_map(|fault| match fault {
            Fault::LateHandshake { by } => Some(*by),
            _ => None,
        });
        let auth_token = self.options.auth_token.clone();
        let handshake = async move {
            if let Some(delay) = delay {
                sleep(delay).await;
            }
            let began = Instant::now();
            let opening = Socket::open(plan.url.clone(), auth_token);
            Box::new(Handshake {
                result: opening.await,
                plan,
                began,
            })
        };
        self.handshakes.push(Box::pin(handshake));
        self.entry.update(|call| {
            if call
                .open_streams
                .iter()
                .all(|open| open.stream_sid != stream_sid)
            {
                call.open_streams.push(OpenStream {
                    stream_sid: stream_sid.clone(),
                    name: stream_name,
                });
            }
        });
        stream_sid
    }

    /// A stream could not be tried, or its upgrade failed.
    pub(in crate::phone) fn stream_not_opened(
        &mut self,
        stream_sid: StreamSid,
        status: &StatusCallback,
        error: HandshakeError,
    ) {
        let message = chain(&error);
        self.alert(error.code(), Some(&stream_sid), message.clone());
        self.tell_stream_status(&stream_sid, status, StreamEvent::Error { message });
        self.strike(&stream_sid);
        self.over.push((stream_sid, Over::NotOpened(error)));
    }

    pub(super) fn stream_opened(&mut self, handshake: Box<Handshake>) {
        let Handshake {
            plan:
                Plan {
                    start,
                    url,
                    is_bidirectional,
                    status,
                },
            began,
            result,
        } = *handshake;
        let mut socket = match result {
            Ok(socket) => socket,
            Err(error) => return self.stream_not_opened(start.stream_sid, &status, error),
        };
        let tracks: Vec<&str> = start.tracks.iter().map(|track| track.name()).collect();
        let (sid, tracks) = (&start.stream_sid, tracks.join(" and "));
        self.note(format!(
            "stream {sid} with {tracks} open at {}",
            shown(&url)
        ));
        self.tell_stream_status(sid, &status, StreamEvent::Started);
        let (faults, dice) = (&self.options.faults, self.dice.fork());
        let now = Instant::now();
        let mut side = StreamSide::new(start, is_bidirectional, faults, began, now, dice);
        socket.offer(side.connected_message());
        let mut stream = Stream {
            side,
            socket,
            url,
            status,
            has_overflowed: false,
        };
        stream.begin(now);
        stream.socket.flush();
        let is_abandoned = self.abandoned.contains(stream.sid());
        self.streams.push(stream);
        if is_abandoned {
            self.leave_stream(self.streams.len() - 1);
        }
    }

    pub(super) fn stream_received(&mut self, index: usize, received: Received) {
        let violation = match received {
            Received::Text(text) => self.streams[index].receive(&text),
            Received::Binary => Some(self.streams[index].side.binary_violation()),
            Received::Closed { code, reason } => return self.stream_closed(index, code, reason),
            Received::Broken { code, detail } => {
                self.alert(
                    code,
                    Some(&self.streams[index].sid().clone()),
                    detail.clone(),
                );
                let event = StreamEvent::Error { message: detail };
                let (socket, told) = self.end_stream(index, Over::Broken, event);
                self.errands.push(told);
                return drop(socket);
            }
        };
        let Some(Violation { code, detail }) = violation else {
            return;
        };
        let stream_sid = self.streams[index].sid().clone();
        self.alert(code, Some(&stream_sid), detail.clone());
        if code == Violation::NOT_BIDIRECTIONAL {
            let stop_message = self.streams[index].side.stop_message().to_owned();
            let event = StreamEvent::Error { message: detail };
            let (socket, told) = self.end_stream(index, Over::Broken, event);
            self.errands.push(told);
            self.run_aside(socket.leave(Farewell::default(), stop_message));
        }
    }

    fn stream_closed(&mut self, index: usize, code: Option<u16>, reason: String) {
        let stream_sid = self.streams[index].sid().clone();
        let told = code.map_or("no code".into(), |code| format!("code {code}"));
        let detail = format!("the server closed the stream with {told}: {reason}");
        self.note(format!("stream {stream_sid}: {detail}"));
        if code != Some(CloseCode::Normal.into()) {
            self.alert(31921, Some(&stream_sid), detail);
        }
        let over = Over::Closed { code, reason };
        let (socket, told) = self.end_stream(index, over, StreamEvent::Stopped);
        self.errands.push(told);
        self.run_aside(socket.drain());
    }

    /// Ends a stream from this side: `stop`, then the Close, unless a fault wants it otherwise.
    pub(super) fn leave_stream(&mut self, index: usize) {
        self.streams[index].finish_media();
        self.settle_words();
        let stop_message = self.streams[index].side.stop_message().to_owned();
        let (farewell, _) = Farewell::of(&self.options.faults);
        let event = if let Farewell::LateReset { .. } = farewell {
            let stream_sid = self.streams[index].sid().clone();
            let (code, message) = GIVEN_UP;
            self.alert(code, Some(&stream_sid), message.to_owned());
            StreamEvent::Error {
                message: message.to_owned(),
            }
        } else {
            StreamEvent::Stopped
        };
        let (socket, told) = self.end_stream(index, Over::Stopped, event);
        let leaving = socket.leave(farewell, stop_message);
        if self.options.faults.contains(&Fault::StoppedFirst) {
            self.errands.push(Box::pin(async move {
                let note = told.await;
                leaving.await;
                note
            }));
        } else if let Farewell::StopAndClose | Farewell::LateReset { .. } = farewell {
            // Which is first is chance, as it is with Twilio.
            self.errands.push(told);
            self.run_aside(leaving);
        } else {
            // The callback is not to tell what the stream itself does not.
            self.errands.push(Box::pin(async move {
                leaving.await;
                told.await
            }));
        }
    }

    /// Tells of the streams that have begun to lose audio.
    pub(super) fn tell_overflows(&mut self) {
        for index in 0..self.streams.len() {
            if self.streams[index].begins_to_overflow() {
                let stream_sid = self.streams[index].sid().clone();
                self.alert_of_overflow(&stream_sid);
            }
        }
    }

    fn alert_of_overflow(&self, stream_sid: &StreamSid) {
        let detail = "audio is thrown away: the server reads too slowly".to_owned();
        self.alert(31930, Some(stream_sid), detail);
    }

    /// Ends the streams that a fault ends before the call is over.
    pub(super) fn leave_streams_in_time(&mut self, due: Instant) {
        let (_, Some(after)) = Farewell::of(&self.options.faults) else {
            return;
        };
        let is_over =
            |stream: &Stream| stream.side.carries_media_at(due) && stream.side.age(due) >= after;
        while let Some(index) = self.streams.iter().position(is_over) {
            self.leave_stream(index);
        }
    }

    /// Ends the stream called `name`, if it is open.
    pub(in crate::phone) fn stop_stream_named(&mut self, name: &str) {
        let has_name = |stream: &Stream| stream.status.stream_name.as_deref() == Some(name);
        match self.streams.iter().position(has_name) {
            Some(index) => self.leave_stream(index),
            None => self.note(format!("no stream is called `{name}`: nothing stopped")),
        }
    }

    /// Ends a stream, also one that is only being opened.
    pub(in crate::phone) fn abandon_stream(&mut self, stream_sid: &StreamSid) {
        let is_it = |stream: &Stream| stream.sid() == stream_sid;
        match self.streams.iter().position(is_it) {
            Some(index) => self.leave_stream(index),
            None => self.abandoned.push(stream_sid.clone()),
        }
    }

    /// Whether an upgrade is under way.
    pub(in crate::phone) fn is_opening_streams(&self) -> bool {
        !self.handshakes.is_empty()
    }

    /// How the stream ended, if it has; told once.
    pub(in crate::phone) fn take_over(&mut self, stream_sid: &StreamSid) -> Option<Over> {
        let index = self.over.iter().position(|(sid, _)| sid == stream_sid)?;
        Some(self.over.swap_remove(index).1)
    }

    /// Records what became of a stream; gives back its socket, to be left in its way, and the
    /// errand that tells its status callback.
    fn end_stream(
        &mut self,
        index: usize,
        over: Over,
        event: StreamEvent,
    ) -> (Socket, BoxFuture<'static, Option<String>>) {
        let Stream {
            mut side,
            socket,
            status,
            ..
        } = self.streams.swap_remove(index);
        let report = side.report();
        if report.discarded_frames > 0 {
            self.alert_of_overflow(&report.stream_sid);
            self.note(format!(
                "stream {}: {} frames were thrown away",
                report.stream_sid, report.discarded_frames
            ));
        }
        if let Some(playback) = side.playback() {
            self.line.end_playback(playback);
            self.record_stretches();
        }
        let told = self.stream_status_told(&report.stream_sid, &status, event);
        self.strike(&report.stream_sid);
        self.over.push((report.stream_sid.clone(), over));
        self.entry.update(|call| {
            call.played_samples += side.playback().map_or(0, |playback| playback.played());
            call.streams.push(report);
        });
        (socket, told)
    }

    /// The stream is not open any more.
    fn strike(&self, stream_sid: &StreamSid) {
        let is_other = |open: &OpenStream| open.stream_sid != *stream_sid;
        self.entry.update(|call| call.open_streams.retain(is_other));
    }

    fn tell_stream_status(
        &mut self,
        stream_sid: &StreamSid,
        status: &StatusCallback,
        event: StreamEvent,
    ) {
        let told = self.stream_status_told(stream_sid, status, event);
        self.errands.push(told);
    }

    /// The errand that tells a stream's status callback, if it has one.
    fn stream_status_told(
        &mut self,
        stream_sid: &StreamSid,
        status: &StatusCallback,
        event: StreamEvent,
    ) -> BoxFuture<'static, Option<String>> {
        let Some(url) = &status.url else {
            return Box::pin(ready(None));
        };
        let what = format!("the {} callback {}", event.name(), shown(url));
        let form = StreamStatus {
            account_sid: Some(self.options.account_sid.clone()),
            call_sid: self.call_sid.clone(),
            stream_sid: stream_sid.clone(),
            stream_name: status.stream_name.clone(),
            event,
            timestamp: Some(Timestamp::now()),
        }
        .to_form();
        let method = status.method.unwrap_or(Method::Post);
        noted(what, self.web.tell(url, method, &form, &mut self.dice))
    }

    fn run_aside(&mut self, work: impl Future<Output = ()> + Send + 'static) {
        self.errands.push(Box::pin(work.map(|()| None)));
    }
}

/// Twilio drops the query of a stream's URL before it dials.
pub(in crate::phone) fn dialled(mut url: Url) -> Url {
    url.set_query(None);
    url.set_fragment(None);
    url
}
