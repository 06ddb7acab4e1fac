//! Which stream brings a track, which link hears it, and when either comes to its end.

use std::time::Instant;

use sidetone_audio::Track;
use sidetone_deepgram::listen::link;

use super::leg::{Leg, LegLife};
use super::stream::Check;
use super::{Engine, LinkKey, Links, Output, StreamKey};
use crate::event::EndReason;

/// Why Sidetone itself closes a stream's socket.
#[derive(Clone, Copy, Debug)]
pub(super) enum Closing {
    /// Nobody is there any more.
    Dead,
    /// Twilio said that the stream has stopped, and nothing more comes of it.
    Stopped,
    /// Twilio said that the call is over, and the stream did not end by itself.
    CallOver,
    /// Sidetone hangs up.
    HungUp,
    /// The call is connected with somebody else.
    Transferred,
    /// Keys are pressed, which Twilio does between two streams.
    Pressing,
    /// There is nobody to talk to any more.
    AgentLost,
    /// The process goes down.
    GoingDown,
}

impl Closing {
    /// Why the call ends if it was the last stream; the WebSocket close code and reason.
    const fn farewell(self) -> (EndReason, u16, &'static str) {
        match self {
            Self::Dead => (
                EndReason::IdleTimeout,
                1001,
                "nothing was heard of this stream for too long",
            ),
            Self::Stopped => (EndReason::Stop, 1000, "the stream has stopped"),
            Self::CallOver => (EndReason::Hangup, 1000, "the call is over"),
            Self::HungUp => (EndReason::Hangup, 1000, "goodbye"),
            Self::Transferred => (EndReason::Transferred, 1000, "the call is transferred"),
            Self::Pressing => (EndReason::Stop, 1000, "keys are pressed"),
            Self::AgentLost => (EndReason::Error, 1000, "the agent is lost"),
            Self::GoingDown => (EndReason::Shutdown, 1001, "the server is going down"),
        }
    }
}

impl Engine {
    /// Takes each track from the newest stream that brings it, makes the link that is missing and
    /// finishes those that nobody feeds.
    pub(super) fn route(&mut self, now: Instant) {
        for track in Track::ALL {
            let mut newest_first = self.streams.iter().rev();
            let source = newest_first.find(|stream| stream.tracks.contains(&track));
            self.lanes[track.index()].take_from(source.map(|stream| stream.key));
        }
        self.open_legs(now);
        for index in 0..self.legs.len() {
            let key = self.legs[index].key;
            let mut heard = self.lanes.iter().filter(|lane| lane.link == Some(key));
            let is_fed = heard.any(|lane| lane.source().is_some());
            if !is_fed && self.legs[index].life == LegLife::Fed {
                self.lanes.iter_mut().for_each(|lane| {
                    lane.link.take_if(|link| *link == key);
                });
                self.legs[index].finish(now);
                self.drain_link(now, index);
            }
        }
    }

    /// Opens links for the newest stream when it brings tracks that none hears.
    fn open_legs(&mut self, now: Instant) {
        let (Some(listen), Some(stream)) = (&self.listen, self.streams.last()) else {
            return;
        };
        let sharing: Vec<Vec<Track>> = match listen.links {
            Links::Stereo => vec![stream.tracks.clone()],
            Links::PerTrack => stream.tracks.iter().map(|&track| vec![track]).collect(),
        };
        for tracks in sharing {
            let is_heard = |track: &Track| self.lanes[track.index()].link.is_some();
            if !tracks.iter().all(is_heard) {
                self.open_leg(now, tracks);
            }
        }
    }

    /// Opens a link that hears these tracks.
    fn open_leg(&mut self, now: Instant, tracks: Vec<Track>) {
        let Some(listen) = &self.listen else { return };
        let key = LinkKey(self.legs_made);
        let config = link::Config {
            channels: tracks.len(),
            interim_results: listen.interim_results,
            replay_window: self.limits.replay_window,
            replay_rate: self.limits.replay_rate,
            seed: self.seed.wrapping_add(u64::from(key.0)),
        };
        let is_first = self.legs_made == 0 && !self.is_reopened;
        let leg = Leg::new(now, key, tracks, config, listen.flush, is_first);
        for track in &leg.tracks {
            self.lanes[track.index()].link = Some(key);
        }
        self.legs_made += 1;
        self.legs.push(leg);
        self.drain_link(now, self.legs.len() - 1);
    }

    /// The stream is no more; `reason` is why the call ends if it was the last one.
    pub(super) fn end_stream(&mut self, now: Instant, key: StreamKey, reason: EndReason) {
        let Some(index) = self.streams.iter().position(|live| live.key == key) else {
            return;
        };
        self.streams.remove(index);
        self.stop_talking_into(now, key);
        self.route(now);
        if self.streams.is_empty() {
            let reason = self.expected_end.unwrap_or(reason);
            self.life.last_stream_ended(now, reason);
            if let Some(returns_by) = self.returns_by {
                self.life.linger_until(returns_by);
            }
        }
        if self.going_down {
            self.life.stop_lingering();
        }
    }

    /// Closes every stream's socket.
    pub(super) fn close_streams(&mut self, now: Instant, closing: Closing) {
        while let Some(stream) = self.streams.first() {
            self.close_stream(now, stream.key, closing);
        }
    }

    pub(super) fn close_stream(&mut self, now: Instant, stream: StreamKey, closing: Closing) {
        let (end, code, reason) = closing.farewell();
        self.outputs.push_back(Output::CloseStream {
            stream,
            code,
            reason,
        });
        self.end_stream(now, stream, end);
    }

    /// Pings the streams that are silent and closes those that are dead or have stopped.
    pub(super) fn check_streams(&mut self, now: Instant) {
        let mut index = 0;
        while let Some(stream) = self.streams.get_mut(index) {
            let key = stream.key;
            match stream.check(now) {
                Check::Nothing => index += 1,
                Check::Ping => {
                    self.outputs.push_back(Output::PingStream(key));
                    index += 1;
                }
                Check::Dead => self.close_stream(now, key, Closing::Dead),
                Check::Stopped => self.close_stream(now, key, Closing::Stopped),
            }
        }
    }
}
