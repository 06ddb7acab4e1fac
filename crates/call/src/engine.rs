//! The call engine.

use std::collections::VecDeque;
use std::fmt;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use sidetone_audio::time::samples;
use sidetone_audio::{Gap, GapReason, Track};
use sidetone_deepgram::connection::Input;

use crate::event::{
    AudioGap, AudioGapReason, Call, CallProgress, Dtmf, EndReason, EventData, ProviderState,
    Status, Watch,
};

mod clock;
mod conversing;
mod feed;
mod hearing;
mod lane;
mod latency;
mod leg;
mod life;
mod loudness;
mod output;
mod routing;
mod setup;
mod speaking;
mod stream;
mod talking;
mod watching;

use clock::{Clock, ms, to_ms};
pub use conversing::Builtin;
use conversing::Conversing;
use lane::Lane;
use latency::Latencies;
use leg::{Leg, LegLife};
use life::Life;
pub use life::outcome;
use loudness::Loudness;
pub use output::{FetchKey, FunctionKey, LinkKey, Next, Note, Output, ProviderText, Summary};
use routing::Closing;
pub use setup::{
    Agent, Fetched, Function, FunctionOutcome, Limits, Links, Listen, NotSaid, Setup, Speech,
    StreamEnd, StreamKey, StreamStart,
};
use speaking::Speaking;
use stream::Stream;

/// One call, from its first stream to its last word.
///
/// A value: it owns no socket, no task and no clock. Its methods are of four kinds.
///
/// - *Getters*: [`call`](Self::call), [`summary`](Self::summary), [`watch`](Self::watch).
/// - *`handle_*`* say what happened, and when. `now` never goes back; `wall` is the same moment by
///   the wall clock. Nothing is done yet when they return.
/// - [`poll_output`](Self::poll_output) says what is to be done. After each `handle_*` it is
///   drained until `None`, and what it gives is done in that order.
/// - [`poll_timeout`](Self::poll_timeout) says when [`handle_timeout`](Self::handle_timeout) is
///   due. Asked once `poll_output` is drained; one timer is enough, and it may come late.
///
/// The first stream starts the call: until [`handle_stream`](Self::handle_stream) nothing happens.
/// [`Output::Ended`] is the last output, and nothing that is handled later counts. A call that goes
/// on after that is a new engine, with the old one's call as [`Setup::former`].
///
/// What is true of the streams, the end of the call and its reason is the public contract; in
/// short: a track is taken from the newest stream that brings it; a listen link is made for each
/// stream (or, by [`Links`], for each of its tracks) that brings a track no link hears, and
/// finished as soon as no stream feeds it; an agent comes with the first bidirectional stream and
/// waits 2 s for the next one; the call ends when Twilio says so, or 2 s after its last stream, and
/// `call.ended` comes when every link has heard all there was.
pub struct Engine {
    call: Call,
    life: Life,
    /// Whether the process goes down: no stream is waited for any more.
    going_down: bool,
    /// Why the call ends if it ends now.
    expected_end: Option<EndReason>,
    /// Whether this call was over once.
    is_reopened: bool,
    listen: Option<Listen>,
    limits: Limits,
    seed: u64,
    clock: Clock,
    /// Those that live, oldest first.
    streams: Vec<Stream>,
    streams_started: u32,
    /// By [`Track::index`].
    lanes: [Lane; 2],
    /// Those that have not finished, oldest first.
    legs: Vec<Leg>,
    legs_made: u32,
    greeting: Option<Speech>,
    /// Twilio has ended the stream, or will, to press keys: until when the next one may take.
    returns_by: Option<Instant>,
    /// What is said into the newest stream, when that is bidirectional.
    speaking: Option<Speaking>,
    agent: Option<Agent>,
    /// What is between the caller and the agent, from the first bidirectional stream on.
    conversing: Option<Conversing>,
    /// What readers ask to be shown beside the events.
    watch: Watch,
    loudness: Loudness,
    fetches_made: u32,
    /// What Twilio's callback said last.
    progress: Option<String>,
    /// Deepgram's words on refusing the call, those that were told.
    refusals: Vec<String>,
    /// Readers of Deepgram's messages get one `Metadata`, the last; so it waits for the end.
    metadata: Option<ProviderText>,
    latencies: Latencies,
    summary: Summary,
    outputs: VecDeque<Output>,
}

impl Engine {
    /// A call whose first stream is about to start.
    pub fn new(setup: Setup, now: Instant, wall: Timestamp) -> Self {
        let former = setup.former.as_deref();
        let clock = former.map_or_else(Clock::default, |former| clock_after(former, now, wall));
        let is_reopened = setup.former.is_some();
        let call = match setup.former {
            Some(former) => *former,
            None => Call::new(setup.call_sid, setup.profile),
        };
        Self {
            call,
            life: Life::Pending,
            going_down: false,
            expected_end: None,
            is_reopened,
            listen: setup.listen,
            limits: setup.limits,
            seed: setup.seed,
            clock,
            streams: Vec::new(),
            streams_started: 0,
            lanes: Default::default(),
            legs: Vec::new(),
            legs_made: 0,
            greeting: setup.greeting.filter(|_| !is_reopened),
            returns_by: None,
            speaking: None,
            agent: setup.agent,
            conversing: None,
            watch: Watch::default(),
            loudness: Loudness::default(),
            fetches_made: 0,
            progress: None,
            refusals: Vec::new(),
            metadata: None,
            latencies: Latencies::default(),
            summary: Summary::default(),
            outputs: VecDeque::new(),
        }
    }

    /// The call as it stands. Its `last_seq` is left to whoever numbers the events.
    pub const fn call(&self) -> &Call {
        &self.call
    }

    /// For the closing log line.
    pub fn summary(&self) -> Summary {
        Summary {
            latency_p50_ms: self.latencies.quantile_ms(50),
            latency_p99_ms: self.latencies.quantile_ms(99),
            ..self.summary.clone()
        }
    }

    /// A stream has started.
    ///
    /// The first one starts (or resumes) the call. After [`handle_shutdown`](Self::handle_shutdown)
    /// a stream is closed at once.
    pub fn handle_stream(
        &mut self,
        now: Instant,
        wall: Timestamp,
        start: StreamStart,
    ) -> StreamKey {
        let key = StreamKey(self.streams_started);
        self.streams_started += 1;
        if matches!(self.life, Life::Ended) {
            return key;
        }
        let bidirectional = start.bidirectional;
        let tracks: Vec<Track> = Track::ALL
            .into_iter()
            .filter(|track| start.tracks.contains(track))
            .collect();
        self.describe_call(start, &tracks);
        if let Life::Pending = self.life {
            self.start_call(wall);
        }
        self.life.stream_started();
        self.returns_by = None;
        self.streams
            .push(Stream::new(now, key, tracks, self.limits.idle_timeout));
        self.route(now);
        if bidirectional {
            self.talk_into(now, key);
        }
        if self.going_down {
            self.close_streams(now, Closing::GoingDown);
        }
        self.settle(now, wall);
        key
    }

    /// A media message with its decoded payload. Allocates nothing but what a link keeps.
    ///
    /// Audio of a track that is taken from another stream is counted and goes no further.
    pub fn handle_media(
        &mut self,
        now: Instant,
        stream: StreamKey,
        track: Track,
        timestamp_ms: u64,
        payload: &[u8],
    ) {
        let Some(source) = self.streams.iter_mut().find(|live| live.key == stream) else {
            return;
        };
        source.heard(now);
        let arrival = self.clock.arrival(now);
        let placement = source
            .timeline
            .place(track, timestamp_ms, payload.len(), arrival);
        self.call.audio.track_mut(track).frames += 1;

        if self.lanes[track.index()].source() != Some(stream) {
            return;
        }
        if let Some(gap) = placement.gap {
            self.note_gap(track, gap);
        }
        let end = placement.at.saturating_add(payload.len() as u64);
        self.call.duration_ms = self.call.duration_ms.max(to_ms(end));
        self.call.audio.track_mut(track).gap_ms += to_ms(placement.hole);

        let lane = &mut self.lanes[track.index()];
        lane.arrivals.note(placement.at, end, arrival);
        if lane.begins(now) {
            self.outputs
                .push_back(Output::Note(Note::FirstAudio(track)));
        }
        let link = lane.link;
        self.meter(track, payload);
        if track == Track::Inbound
            && let Some(conversing) = &mut self.conversing
        {
            conversing.hear(now, placement.at, payload);
        }
        let Some(link) = link else { return };
        if self.lanes[track.index()].asks(payload) {
            self.outputs.push_back(Output::Note(Note::NoResult));
        }
        let index = self
            .leg_index(link)
            .expect("a track is led to a leg that is there");
        self.legs[index].push(now, track, placement.at, payload);
        self.drain_link(now, index);
    }

    /// Anything else arrived on the stream's socket (unknown event, pong): it is alive.
    pub fn handle_sign_of_life(&mut self, now: Instant, stream: StreamKey) {
        if let Some(live) = self.streams.iter_mut().find(|live| live.key == stream) {
            live.heard(now);
        }
    }

    /// A key was pressed.
    pub fn handle_dtmf(&mut self, now: Instant, stream: StreamKey, digit: char) {
        if let Some(live) = self.streams.iter_mut().find(|live| live.key == stream) {
            live.heard(now);
            self.emit(EventData::Dtmf(Dtmf {
                track: Track::Inbound,
                digit,
            }));
            self.tell_key(now, stream, digit);
        }
    }

    /// A stream ended.
    pub fn handle_stream_end(
        &mut self,
        now: Instant,
        wall: Timestamp,
        stream: StreamKey,
        end: StreamEnd,
    ) {
        self.end_stream(now, stream, end.reason());
        self.settle(now, wall);
    }

    /// Twilio's callback says that a stream has stopped. It ends as soon as nothing more comes of
    /// it, for the callback overtakes what the stream itself still brings.
    pub fn handle_stream_stopped(&mut self, now: Instant, stream: StreamKey) {
        if let Some(live) = self.streams.iter_mut().find(|live| live.key == stream) {
            live.stopped(now);
        }
    }

    /// Twilio's status callback said what became of the call (`completed`, `busy` ...), or news on
    /// the way (`ringing`, `in-progress`). A status that is said again is no news.
    pub fn handle_call_status(
        &mut self,
        now: Instant,
        wall: Timestamp,
        status: &str,
        sip_code: Option<u16>,
    ) {
        if !self.life.is_on() || self.progress.as_deref() == Some(status) {
            return;
        }
        self.progress = Some(status.to_owned());
        let progress = CallProgress {
            status: status.to_owned(),
            sip_code,
        };
        self.emit(progress.into_event());
        if let Some(told) = outcome(status) {
            self.life.told(now, told);
        }
        self.settle(now, wall);
    }

    /// Sidetone asks Twilio to end the call, and its streams may end before Twilio has answered: if
    /// they do, this is why. `None`: Twilio did not do it.
    pub const fn handle_end_expected(&mut self, reason: Option<EndReason>) {
        self.expected_end = reason;
    }

    /// Sidetone itself had the call ended (hung up, transferred): with its last stream it is over,
    /// for this reason. A stream that has not ended by itself after 2 s is closed.
    pub fn handle_ordered_end(&mut self, now: Instant, wall: Timestamp, reason: EndReason) {
        self.life.ordered(now, reason);
        self.settle(now, wall);
    }

    /// The call is to be hung up by closing its streams: after a bidirectional one Twilio asks what
    /// comes next.
    pub fn handle_hang_up(&mut self, now: Instant, wall: Timestamp) {
        self.hang_up(now);
        self.settle(now, wall);
    }

    /// Something happened on a listen link.
    pub fn handle_link(&mut self, now: Instant, wall: Timestamp, link: LinkKey, input: Input<'_>) {
        let Some(index) = self.leg_index(link) else {
            return;
        };
        if let Input::Text { .. } = input {
            let heard = self.lanes.iter_mut().filter(|lane| lane.link == Some(link));
            heard.for_each(Lane::is_answered);
        }
        self.legs[index].link.handle(now, input);
        self.drain_link(now, index);
        self.settle(now, wall);
    }

    /// The process is going down: end the call cleanly (reason `shutdown`).
    pub fn handle_shutdown(&mut self, now: Instant, wall: Timestamp) {
        self.going_down = true;
        if let Life::Pending = self.life {
            self.life = Life::Ended;
            self.outputs.push_back(Output::Ended);
        }
        self.close_streams(now, Closing::GoingDown);
        self.life.stop_lingering();
        self.settle(now, wall);
    }

    /// The deadline of `poll_timeout` has come.
    pub fn handle_timeout(&mut self, now: Instant, wall: Timestamp) {
        self.check_streams(now);
        for index in 0..self.legs.len() {
            self.legs[index].handle_timeout(now);
            self.drain_link(now, index);
        }
        self.speaking(now, |speaking, does| speaking.handle_timeout(now, does));
        self.conversing(now, |conversing, stage| {
            conversing.handle_timeout(now, stage);
        });
        self.tell_level(now);
        for track in Track::ALL {
            if self.lanes[track.index()].has_gone_quiet(now) {
                self.outputs.push_back(Output::Note(Note::NoAudio(track)));
            }
        }
        if self.life.deadline().is_some_and(|at| at <= now) {
            self.close_streams(now, Closing::CallOver);
            self.life.stop_lingering();
        }
        self.settle(now, wall);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// The earliest deadline.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let streams = self.streams.iter().map(Stream::deadline);
        let legs = self.legs.iter().filter_map(Leg::deadline);
        let lanes = self.lanes.iter().filter_map(Lane::deadline);
        let speaking = self.speaking.as_ref().and_then(Speaking::deadline);
        let conversing = self.conversing.as_ref().and_then(Conversing::deadline);
        streams
            .chain(legs)
            .chain(lanes)
            .chain(speaking)
            .chain(conversing)
            .chain(self.loudness.deadline())
            .chain(self.life.deadline())
            .min()
    }

    /// What a stream's `start` tells about the call. The parties are as the first stream has them.
    fn describe_call(&mut self, start: StreamStart, tracks: &[Track]) {
        let call = &mut self.call;
        call.stream_sid = Some(start.stream_sid);
        call.account_sid = Some(start.account_sid);
        call.from = call.from.take().or(start.from);
        call.to = call.to.take().or(start.to);
        call.direction = call.direction.take().or(start.direction);
        if !start.parameters.is_empty() {
            call.custom_parameters = start.parameters;
        }
        call.tracks = Track::ALL
            .into_iter()
            .filter(|track| call.tracks.contains(track) || tracks.contains(track))
            .collect();
    }

    fn start_call(&mut self, wall: Timestamp) {
        self.call.status = Status::Live;
        self.call.started_at.get_or_insert(wall);
        self.call.ended_at = None;
        self.call.end_reason = None;
        if self.listen.is_some() || self.agent.is_some() {
            self.call.provider.state = ProviderState::Connecting;
        }
        let call = Box::new(self.call.clone());
        self.emit(if self.is_reopened {
            EventData::CallResumed(call)
        } else {
            EventData::CallStarted(call)
        });
    }

    fn hang_up(&mut self, now: Instant) {
        self.life.ordered(now, EndReason::Hangup);
        self.close_streams(now, Closing::HungUp);
    }

    fn emit(&mut self, data: EventData) {
        self.outputs.push_back(Output::Event(data));
    }

    /// A stretch for which no audio will come. One that the track's clock made up is told, but
    /// nothing is missing.
    fn note_gap(&mut self, track: Track, gap: Gap) {
        let duration_ms = to_ms(gap.duration);
        let reason = match gap.reason {
            GapReason::Carrier => {
                self.call.audio.track_mut(track).gap_ms += duration_ms;
                AudioGapReason::Carrier
            }
            GapReason::Clock => AudioGapReason::Clock,
        };
        let at_ms = to_ms(gap.at);
        self.emit(EventData::AudioGap(AudioGap {
            track,
            at_ms,
            duration_ms,
            reason,
        }));
    }

    /// Lets go of links that have finished, and ends the call when that is all there was to wait
    /// for.
    fn settle(&mut self, now: Instant, wall: Timestamp) {
        self.legs.retain(|leg| leg.life != LegLife::Finished);
        if let Life::Finishing { .. } = self.life {
            self.conversing(now, |conversing, stage| conversing.finish(now, stage));
        }
        self.refresh_provider();
        if let Life::Finishing { reason } = self.life
            && self.legs.is_empty()
        {
            self.life = Life::Ended;
            self.stop_watching(now);
            self.outputs
                .extend(self.metadata.take().map(Output::Message));
            self.call.status = Status::Ended;
            self.call.ended_at = Some(wall);
            self.call.end_reason = Some(reason);
            self.emit(EventData::CallEnded(Box::new(self.call.clone())));
            self.outputs.push_back(Output::Ended);
        }
    }

    /// Of several links: the worst state, and what waits longest. `reconnects` and `replayed_ms`
    /// are sums, and `request_id` is that of the newest connection.
    fn refresh_provider(&mut self) {
        let agent = self.conversing.as_ref().map(Conversing::state);
        let states = self.legs.iter().map(|leg| leg.state).chain(agent);
        let behind = self.legs.iter().map(|leg| leg.link.behind()).max();
        self.call.provider.state = states.max().unwrap_or(ProviderState::Closed);
        self.call.provider.behind_ms = ms(behind.unwrap_or_default());
    }

    fn leg_index(&self, link: LinkKey) -> Option<usize> {
        self.legs.iter().position(|leg| leg.key == link)
    }
}

impl fmt::Debug for Engine {
    /// In short, and without what was said: a link keeps words and audio.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("call", &self.call)
            .field("life", &self.life)
            .field("streams", &self.streams)
            .field("links", &self.legs.len())
            .field("outputs", &self.outputs.len())
            .finish_non_exhaustive()
    }
}

/// The clock of a call that is reopened: it has gone on by the wall clock, but not back.
fn clock_after(former: &Call, now: Instant, wall: Timestamp) -> Clock {
    let age = former
        .started_at
        .map(|at| Duration::try_from(wall.duration_since(at)));
    let age = age.and_then(Result::ok).unwrap_or_default();
    Clock::at(
        now,
        samples(age.max(Duration::from_millis(former.duration_ms))),
    )
}
