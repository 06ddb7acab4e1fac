//! The streams of a call: opened, fed, listened to, ended.

use std::collections::BTreeMap;

use futures_util::FutureExt;
use jiff::Timestamp;
use sidetone_twilio::StreamSid;
use sidetone_twilio::form::{StreamEvent, StreamStatus};
use sidetone_twilio::stream::MediaTrack;
use sidetone_twilio::stream::incoming::Start;
use sidetone_twilio::twiml::Method;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use url::Url;

use super::Call;
use crate::phone::Party;
use crate::phone::error::{HandshakeError, chain, shown};
use crate::phone::line::Line;
use crate::phone::socket::{Received, Socket};
use crate::phone::stream::{Fault, StreamSide};

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
    status: StatusCallback,
}

impl Stream {
    /// Sends what is due at `due`: the frames of its tracks, which begin at line `position`, the
    /// key that is `pressed`, and marks.
    pub(super) fn send_frames(
        &mut self,
        due: Instant,
        position: u64,
        line: &Line,
        pressed: Option<char>,
    ) {
        let Self { side, socket, .. } = self;
        if side.carries_media_at(due) {
            for index in 0..side.start().tracks.len() {
                let track = side.start().tracks[index];
                let party = match track {
                    MediaTrack::Inbound => Party::Caller,
                    MediaTrack::Outbound => Party::Callee,
                };
                let message = side.media_message(track, due, position, line.frame(party));
                if !socket.offer(message) {
                    side.media_discarded(track);
                }
            }
        }
        if let Some(digit) = pressed.filter(|_| side.is_bidirectional()) {
            socket.offer(side.dtmf_message(digit));
        }
        self.echo_marks();
        self.socket.flush();
    }

    /// Takes a message, and says what is wrong with it.
    fn receive(&mut self, text: &str) -> Option<Fault> {
        let taken = self.side.receive(text);
        self.echo_marks();
        self.socket.flush();
        taken.err()
    }

    fn sid(&self) -> &StreamSid {
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
        let began = Instant::now();
        let opening = Socket::open(plan.url.clone(), self.options.auth_token.clone());
        let handshake = async move {
            Box::new(Handshake {
                result: opening.await,
                plan,
                began,
            })
        };
        self.handshakes.push(Box::pin(handshake));
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
        let dice = self.dice.fork();
        let mut side = StreamSide::new(start, is_bidirectional, began, Instant::now(), dice);
        socket.offer(side.connected_message());
        socket.offer(side.start_message());
        socket.flush();
        self.streams.push(Stream {
            side,
            socket,
            status,
        });
    }

    pub(super) fn stream_received(&mut self, index: usize, received: Received) {
        let fault = match received {
            Received::Text(text) => self.streams[index].receive(&text),
            Received::Binary => Some(self.streams[index].side.binary_fault()),
            Received::Closed { code, reason } => return self.stream_closed(index, code, reason),
            Received::Broken { code, detail } => {
                let stream = self.streams.swap_remove(index);
                self.alert(code, Some(stream.sid()), detail.clone());
                drop(self.end_stream(stream, Over::Broken, StreamEvent::Error { message: detail }));
                return;
            }
        };
        let Some(Fault { code, detail }) = fault else {
            return;
        };
        let stream_sid = self.streams[index].sid().clone();
        self.alert(code, Some(&stream_sid), detail.clone());
        if code == Fault::NOT_BIDIRECTIONAL {
            let mut stream = self.streams.swap_remove(index);
            let stop_message = stream.side.stop_message().to_owned();
            let event = StreamEvent::Error { message: detail };
            let socket = self.end_stream(stream, Over::Broken, event);
            self.run_aside(socket.finish(stop_message));
        }
    }

    fn stream_closed(&mut self, index: usize, code: Option<u16>, reason: String) {
        let stream = self.streams.swap_remove(index);
        let told = code.map_or("no code".into(), |code| format!("code {code}"));
        let detail = format!("the server closed the stream with {told}: {reason}");
        self.note(format!("stream {}: {detail}", stream.sid()));
        if code != Some(CloseCode::Normal.into()) {
            self.alert(31921, Some(stream.sid()), detail);
        }
        let socket = self.end_stream(stream, Over::Closed { code, reason }, StreamEvent::Stopped);
        self.run_aside(socket.drain());
    }

    /// Ends a stream from this side: `stop`, then the Close.
    pub(super) fn stop_stream(&mut self, mut stream: Stream) {
        let stop_message = stream.side.stop_message().to_owned();
        let socket = self.end_stream(stream, Over::Stopped, StreamEvent::Stopped);
        self.run_aside(socket.finish(stop_message));
    }

    /// Ends the stream called `name`, if it is open.
    pub(in crate::phone) fn stop_stream_named(&mut self, name: &str) {
        let has_name = |stream: &Stream| stream.status.stream_name.as_deref() == Some(name);
        match self.streams.iter().position(has_name) {
            Some(index) => {
                let stream = self.streams.swap_remove(index);
                self.stop_stream(stream);
            }
            None => self.note(format!("no stream is called `{name}`: nothing stopped")),
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

    /// Records what became of a stream, and gives back its socket, to be closed in its way.
    fn end_stream(&mut self, stream: Stream, over: Over, event: StreamEvent) -> Socket {
        let Stream {
            mut side,
            socket,
            status,
        } = stream;
        let report = side.report();
        if report.discarded_frames > 0 {
            let detail = format!(
                "{} frames were thrown away because the server read too slowly",
                report.discarded_frames
            );
            self.alert(31930, Some(&report.stream_sid), detail);
        }
        self.played_samples += side.playback().map_or(0, |playback| playback.played());
        self.tell_stream_status(&report.stream_sid, &status, event);
        self.over.push((report.stream_sid.clone(), over));
        self.ended_streams.push(report);
        socket
    }

    fn tell_stream_status(
        &mut self,
        stream_sid: &StreamSid,
        status: &StatusCallback,
        event: StreamEvent,
    ) {
        let Some(url) = &status.url else { return };
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
        let told = self.web.tell(url, method, &form, &mut self.dice);
        self.run_errand(what, told);
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
