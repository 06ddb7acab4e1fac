//! What is said into a call: texts that are spoken, or the words of an agent.

use std::time::{Duration, Instant};

use jiff::Timestamp;
use sidetone_deepgram::agent::link::Update;
use sidetone_deepgram::agent::message::Role;
use sidetone_deepgram::connection::Input;

use super::clock::to_ms;
use super::conversing::{Conversing, Stage};
use super::life::LINGER;
use super::routing::Closing;
use super::speaking::{Does, Speaking};
use super::{
    Engine, FetchKey, Fetched, FunctionKey, FunctionOutcome, Next, NotSaid, Output, Speech,
    StreamKey,
};
use crate::event::EndReason;

/// Pressing a key takes Twilio no longer than this.
const A_KEY: Duration = Duration::from_millis(500);

/// How long after its keys a stream may take to come back.
const COMING_BACK: Duration = Duration::from_secs(5);

impl Engine {
    /// A mark came back: what was sent before it was played, or cleared.
    pub fn handle_mark(&mut self, now: Instant, wall: Timestamp, stream: StreamKey, name: &str) {
        self.handle_sign_of_life(now, stream);
        if self.speaking.as_ref().is_some_and(|it| it.stream == stream) {
            self.speaking(now, |speaking, does| speaking.echo(now, name, does));
        }
        if self.talks_on(stream) {
            self.conversing(now, |conversing, _| conversing.echo(now, name));
        }
        self.settle(now, wall);
    }

    /// Something is to be said; in a call with an agent, by the agent.
    ///
    /// # Errors
    /// See [`NotSaid`]; then nothing happens.
    pub fn handle_speak(&mut self, now: Instant, speech: Speech) -> Result<(), NotSaid> {
        if self.agent.is_some() {
            self.conversing(now, |conversing, stage| {
                conversing.speak(now, speech, stage)
            })
        } else {
            self.speaking(now, |speaking, does| speaking.say(now, speech, does))
        }
        .unwrap_or(Err(NotSaid::NotBidirectional))
    }

    /// Nothing more is to be said: what is being said falls silent now, and what waits is dropped.
    pub fn handle_silence(&mut self, now: Instant) {
        self.speaking(now, |speaking, does| speaking.stop(now, "stopped", does));
        self.conversing(now, |conversing, stage| {
            conversing.silence(now, "stopped", stage);
        });
    }

    /// Something came of an [`Output::Fetch`].
    pub fn handle_fetched(
        &mut self,
        now: Instant,
        wall: Timestamp,
        fetch: FetchKey,
        fetched: Fetched<'_>,
    ) {
        self.speaking(now, |speaking, does| {
            speaking.fetched(now, fetch, fetched, does);
        });
        self.settle(now, wall);
    }

    /// Something happened on the way to the agent.
    pub fn handle_agent(&mut self, now: Instant, wall: Timestamp, input: Input<'_>) {
        self.conversing(now, |conversing, _| conversing.handle(now, input));
        self.settle(now, wall);
    }

    /// Something came of an [`Output::CallFunction`].
    pub fn handle_function(
        &mut self,
        now: Instant,
        wall: Timestamp,
        function: FunctionKey,
        outcome: FunctionOutcome,
    ) {
        self.conversing(now, |conversing, stage| {
            conversing.called(now, function, outcome, stage);
        });
        self.settle(now, wall);
    }

    /// The agent is to say something, or to take something as if the caller had said it.
    ///
    /// # Errors
    /// See [`NotSaid`]; then nothing happens.
    pub fn handle_inject(
        &mut self,
        now: Instant,
        wall: Timestamp,
        role: Role,
        content: String,
    ) -> Result<(), NotSaid> {
        let injected = self.conversing(now, |conversing, _| conversing.inject(now, role, content));
        self.settle(now, wall);
        injected.unwrap_or(Err(self.no_agent()))
    }

    /// The agent is another one from now on.
    ///
    /// # Errors
    /// See [`NotSaid`]; then nothing happens.
    pub fn handle_update(
        &mut self,
        now: Instant,
        wall: Timestamp,
        update: Update,
    ) -> Result<(), NotSaid> {
        let updated = self.conversing(now, |conversing, _| conversing.update(now, update));
        self.settle(now, wall);
        updated.unwrap_or(Err(self.no_agent()))
    }

    /// Sidetone has Twilio press so many keys, for which it ends the bidirectional stream: the next
    /// one is waited for as long as that takes.
    pub fn handle_keys_ordered(&mut self, now: Instant, keys: usize) {
        let keys = u32::try_from(keys).unwrap_or(u32::MAX);
        self.returns_by = Some(now + A_KEY.saturating_mul(keys) + COMING_BACK);
    }

    /// A key was pressed on this stream.
    pub(super) fn tell_key(&mut self, now: Instant, stream: StreamKey, key: char) {
        if self.talks_on(stream) {
            self.conversing(now, |conversing, stage| conversing.press(now, key, stage));
        }
    }

    /// From now on, what is said is said into this stream.
    pub(super) fn talk_into(&mut self, now: Instant, stream: StreamKey) {
        if let Some(agent) = &self.agent {
            if self.conversing.is_none() {
                let tags = vec!["sidetone".to_owned(), self.call.call_sid.to_string()];
                self.conversing = Some(Conversing::new(now, agent, tags, self.seed));
            }
            self.conversing(now, |conversing, stage| {
                conversing.enter(now, stream, stage);
            });
            return;
        }
        let replaced = "another stream took its place";
        self.speaking(now, |speaking, does| speaking.stop(now, replaced, does));
        self.speaking = Some(Speaking::new(stream));
        if let Some(greeting) = self.greeting.take() {
            let _unless_empty = self.handle_speak(now, greeting);
        }
    }

    /// Nothing can be said into this stream any more.
    pub(super) fn stop_talking_into(&mut self, now: Instant, stream: StreamKey) {
        if self.speaking.as_ref().is_some_and(|it| it.stream == stream) {
            self.speaking(now, |speaking, does| {
                speaking.stop(now, "the stream ended", does);
            });
            self.speaking = None;
        }
        if self.talks_on(stream) {
            let until = self.returns_by.unwrap_or(now).max(now + LINGER);
            self.conversing(now, |conversing, stage| conversing.leave(now, until, stage));
        }
    }

    /// Has something done about what is said, if anything can be, and hangs up when it was a
    /// farewell.
    pub(super) fn speaking<T>(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Speaking, &mut Does<'_>) -> T,
    ) -> Option<T> {
        let speaking = self.speaking.as_mut()?;
        let before = self.outputs.len();
        let mut does = Does {
            outputs: &mut self.outputs,
            fetches: &mut self.fetches_made,
            hangs_up: false,
        };
        let done = act(speaking, &mut does);
        let hangs_up = does.hangs_up;
        self.loudness.follow(now, self.outputs.range(before..));
        if hangs_up {
            self.hang_up(now);
        }
        Some(done)
    }

    /// Has something done about the agent, if there is one, and closes its stream when it takes
    /// its leave.
    pub(super) fn conversing<T>(
        &mut self,
        now: Instant,
        act: impl FnOnce(&mut Conversing, &mut Stage<'_>) -> T,
    ) -> Option<T> {
        let conversing = self.conversing.as_mut()?;
        let before = self.outputs.len();
        let mut stage = Stage {
            outputs: &mut self.outputs,
            call: &mut self.call,
            summary: &mut self.summary,
            is_transcribed: self.listen.is_some(),
            at_ms: to_ms(self.clock.position(now)),
            shows_playback: self.watch.playback,
        };
        let done = act(conversing, &mut stage);
        conversing.go_on(now, &mut stage);
        self.loudness.follow(now, self.outputs.range(before..));
        if let Some(stream) = conversing.stream()
            && let Some(next) = conversing.departs(now)
        {
            self.take_leave(now, stream, next);
        }
        Some(done)
    }

    /// The agent has finished speaking, and Twilio is to do something else with the call.
    fn take_leave(&mut self, now: Instant, stream: StreamKey, next: Next) {
        self.outputs.push_back(Output::Next(next.clone()));
        match next {
            Next::HangUp => self.hang_up(now),
            Next::Dial(_) => {
                self.life.ordered(now, EndReason::Transferred);
                self.close_streams(now, Closing::Transferred);
            }
            Next::FallBack => {
                let transfers = self.agent.as_ref().is_some_and(|it| it.fallback_transfers);
                let (reason, closing) = match transfers {
                    true => (EndReason::Transferred, Closing::Transferred),
                    false => (EndReason::Error, Closing::AgentLost),
                };
                self.life.ordered(now, reason);
                self.close_streams(now, closing);
            }
            Next::Press(keys) => {
                self.handle_keys_ordered(now, keys.len());
                self.close_stream(now, stream, Closing::Pressing);
            }
        }
    }

    /// Whether there is a stream that something can be said into.
    pub(super) fn can_talk(&self) -> bool {
        let conversing = self.conversing.as_ref();
        self.speaking.is_some() || conversing.and_then(Conversing::stream).is_some()
    }

    /// Whether the agent talks on this stream.
    fn talks_on(&self, stream: StreamKey) -> bool {
        let conversing = self.conversing.as_ref();
        conversing.and_then(Conversing::stream) == Some(stream)
    }

    /// Why nothing can be done about the agent.
    fn no_agent(&self) -> NotSaid {
        match self.agent {
            Some(_) => NotSaid::NotBidirectional,
            None => NotSaid::NoAgent,
        }
    }
}
