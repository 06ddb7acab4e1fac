//! The agent of a call, and what it and the caller do.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sidetone_deepgram::agent::link::{self, AgentLink, Injection, Update};
use sidetone_deepgram::agent::message::Role;
use sidetone_deepgram::connection::Input;

use super::feed::Feed;
use super::{Agent, Next, NotSaid, Output, ProviderText, Speech, StreamKey, Summary};
use crate::event::{AgentPlayback, Call, EventData, ProviderState, VolatileData};

mod builtin;
mod departure;
mod functions;
mod happening;
mod injections;
mod keys;
mod playback;
mod turns;

pub use builtin::Builtin;
use departure::Departure;
use functions::Functions;
use injections::Injections;
use keys::{Entered, Keys};
use playback::Playback;
use turns::Turns;

/// Between two sends of the caller's audio.
const FLUSH: Duration = Duration::from_millis(40);

/// How long the conversation is taken to go on after the last sign of it. Longer pauses within an
/// utterance, or before an answer, are rare.
const ENGAGED: Duration = Duration::from_secs(30);

/// The agent of a call, from the first bidirectional stream on.
///
/// It outlives a stream by 2 s, or by as long as Twilio takes to press keys: the next one goes on
/// with the same conversation.
#[derive(Debug)]
pub(super) struct Conversing {
    config: link::Config,
    link: AgentLink,
    state: ProviderState,
    /// The caller's audio on its way to the link.
    feed: Feed,
    turns: Turns,
    playback: Playback,
    functions: Functions,
    keys: Keys,
    injections: Injections,
    departure: Option<Departure>,
    /// Between streams: until when the next one is waited for.
    away_until: Option<Instant>,
    /// Until when somebody is taken to be speaking, or about to.
    engaged_until: Option<Instant>,
    /// When the caller began to speak, in call time, of whom no words have come yet.
    caller_since_ms: Option<u64>,
    /// What the link was told last.
    is_idle: bool,
}

/// What a conversation changes of its call.
pub(super) struct Stage<'a> {
    pub(super) outputs: &'a mut VecDeque<Output>,
    pub(super) call: &'a mut Call,
    pub(super) summary: &'a mut Summary,
    /// Whether finals tell what the caller says, too.
    pub(super) is_transcribed: bool,
    /// Call time.
    pub(super) at_ms: u64,
    /// Whether readers ask how far the agent's turns are heard.
    pub(super) shows_playback: bool,
}

impl Stage<'_> {
    fn tell(&mut self, data: EventData) {
        self.outputs.push_back(Output::Event(data));
    }

    fn show(&mut self, playback: Option<AgentPlayback>) {
        let playback = playback.map(VolatileData::AgentPlayback);
        self.outputs.extend(playback.map(Output::Show));
    }

    fn tell_all(&mut self, events: Vec<EventData>) {
        self.outputs.extend(events.into_iter().map(Output::Event));
    }

    fn count_words(&mut self, text: &str) {
        self.summary.words += text.split_whitespace().count() as u64;
    }
}

impl Conversing {
    pub(super) fn new(now: Instant, agent: &Agent, tags: Vec<String>, seed: u64) -> Self {
        let config = link::Config {
            settings: agent.settings.clone(),
            tags,
            seed,
        };
        Self {
            link: AgentLink::new(config.clone(), now),
            config,
            state: ProviderState::Connecting,
            feed: Feed::new(1, FLUSH),
            turns: Turns::default(),
            playback: Playback::default(),
            functions: Functions::new(agent.functions.clone()),
            keys: Keys::new(agent.tells_dtmf),
            injections: Injections::default(),
            departure: None,
            away_until: None,
            engaged_until: None,
            caller_since_ms: None,
            is_idle: false,
        }
    }

    /// How the link stands.
    pub(super) const fn state(&self) -> ProviderState {
        self.state
    }

    /// The stream that the agent is heard on.
    pub(super) fn stream(&self) -> Option<StreamKey> {
        self.turns.stream()
    }

    /// From now on the agent talks on this stream.
    pub(super) fn enter(&mut self, now: Instant, stream: StreamKey, stage: &mut Stage<'_>) {
        self.away_until = None;
        // No silence for the time between two streams: the link has made that already.
        for block in self.feed.finish() {
            self.link.hear(now, block);
        }
        self.feed = Feed::new(1, FLUSH);
        if self.turns.stream().is_some() || !self.turns.are_settled() {
            self.silence(now, "another stream took its place", stage);
        }
        self.turns.enter(stream);
        match self.state {
            ProviderState::Closed => {
                self.link = AgentLink::new(self.config.clone(), now);
                self.state = ProviderState::Connecting;
            }
            ProviderState::Failed => self.departure = Some(Departure::of_lost(now)),
            ProviderState::Connected | ProviderState::Connecting | ProviderState::Reconnecting => {
                self.pressed(now, None, stage);
            }
        }
    }

    /// The agent's stream has ended. The next one is waited for.
    pub(super) fn leave(&mut self, now: Instant, until: Instant, stage: &mut Stage<'_>) {
        self.away_until = Some(until);
        self.silence(now, "the stream ended", stage);
        self.turns.leave();
        if self.departure.take().is_some() {
            let failure = "the stream ended before the keys could be pressed";
            self.pressed(now, Some(failure), stage);
        }
    }

    /// The caller's audio, which stands at call time `at`.
    pub(super) fn hear(&mut self, now: Instant, at: u64, payload: &[u8]) {
        if self.state == ProviderState::Closed {
            return;
        }
        for block in self.feed.push(now, 0, at, payload) {
            self.link.hear(now, block);
        }
    }

    /// The caller pressed a key.
    pub(super) fn press(&mut self, now: Instant, key: char, stage: &mut Stage<'_>) {
        if let Some(entered) = self.keys.press(now, key) {
            self.entered(now, entered, stage);
        }
    }

    /// A mark came back.
    pub(super) fn echo(&mut self, now: Instant, mark: &str) {
        self.turns.echo(now, mark);
    }

    /// Something happened on the way to the agent.
    pub(super) fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.link.handle(now, input);
    }

    /// A text is to be said by the agent.
    pub(super) fn speak(
        &mut self,
        now: Instant,
        speech: Speech,
        stage: &mut Stage<'_>,
    ) -> Result<(), NotSaid> {
        if self.turns.stream().is_none() {
            return Err(NotSaid::NotBidirectional);
        }
        self.check_link()?;
        check_text(&speech.text)?;
        let (content, interrupt) = (speech.text.clone(), speech.interrupt);
        if interrupt {
            self.silence(now, "interrupted by another text", stage);
        } else {
            self.injections.check_room()?;
        }
        let id = self.injections.ask(now, speech);
        let injection = Injection {
            id,
            role: Role::Assistant,
            content,
            interrupt,
        };
        self.link.inject(now, injection);
        Ok(())
    }

    /// Nothing more is to be said: the agent falls silent, and what waits is dropped.
    pub(super) fn silence(&mut self, now: Instant, reason: &'static str, stage: &mut Stage<'_>) {
        self.turns.stop(now, reason, stage.outputs);
        self.link.silence();
        stage.tell_all(self.injections.drop_all(reason));
    }

    /// The agent says this, or takes it as if the caller had said it.
    pub(super) fn inject(
        &mut self,
        now: Instant,
        role: Role,
        content: String,
    ) -> Result<(), NotSaid> {
        self.check_link()?;
        check_text(&content)?;
        let injection = Injection {
            id: self.injections.next(),
            role,
            content,
            interrupt: false,
        };
        self.link.inject(now, injection);
        Ok(())
    }

    /// The agent is another one from now on.
    pub(super) fn update(&mut self, now: Instant, update: Update) -> Result<(), NotSaid> {
        self.check_link()?;
        self.link.update(now, update);
        Ok(())
    }

    /// Whether the agent can be told something.
    fn check_link(&self) -> Result<(), NotSaid> {
        match self.state {
            ProviderState::Connected | ProviderState::Connecting | ProviderState::Reconnecting => {
                Ok(())
            }
            ProviderState::Failed => Err(NotSaid::AgentLost),
            ProviderState::Closed => Err(NotSaid::NotBidirectional),
        }
    }

    /// Does what is due.
    pub(super) fn handle_timeout(&mut self, now: Instant, stage: &mut Stage<'_>) {
        if self.away_until.is_some_and(|at| at <= now) {
            self.finish(now, stage);
        }
        for block in self.feed.flush(now) {
            self.link.hear(now, block);
        }
        if self.link.poll_timeout().is_some_and(|at| at <= now) {
            self.link.handle_timeout(now);
        }
        self.turns.handle_timeout(now);
        let quiet_at = self.turns.play_until(now);
        while let Some(entered) = self.keys.handle_timeout(now, quiet_at) {
            self.entered(now, entered, stage);
        }
        while let Some(failed) = self.injections.handle_timeout(now) {
            stage.tell(failed);
        }
        self.engaged_until.take_if(|at| *at <= now);
    }

    /// When [`Conversing::handle_timeout`] is due.
    pub(super) fn deadline(&self) -> Option<Instant> {
        let departure = self.departure.as_ref();
        let deadlines = [
            self.away_until,
            self.feed.deadline(),
            self.playback.deadline(),
            self.link.poll_timeout(),
            self.turns.deadline(),
            self.keys.deadline(),
            self.injections.deadline(),
            departure.map(|departure| departure.deadline(self.is_quiet())),
            self.engaged_until,
        ];
        deadlines.into_iter().flatten().min()
    }

    /// Passes on what is to be done and tells what happened. Due after everything else.
    pub(super) fn go_on(&mut self, now: Instant, stage: &mut Stage<'_>) {
        loop {
            self.turns.play(now, stage.outputs);
            if let Some(news) = self.turns.poll_news() {
                self.tell(news, stage);
            } else if let Some(output) = self.link.poll_output() {
                self.carry_out(now, output, stage);
            } else if self.is_idle != self.would_be_idle() {
                self.is_idle = !self.is_idle;
                self.link.set_idle(now, self.is_idle);
            } else {
                break;
            }
        }
        self.link.set_speaking(!self.turns.are_settled());
        stage.show(self.playback.poll(now, stage.shows_playback, &self.turns));
    }

    /// What Twilio is to do now, when the agent takes its leave.
    pub(super) fn departs(&mut self, now: Instant) -> Option<Next> {
        let is_quiet = self.is_quiet();
        let departure = self
            .departure
            .take_if(|departure| departure.is_due(now, is_quiet));
        departure.map(|departure| departure.next)
    }

    /// Nobody is on the line any more: the link is closed, and every request ends.
    pub(super) fn finish(&mut self, now: Instant, stage: &mut Stage<'_>) {
        if self.state == ProviderState::Closed {
            return;
        }
        self.away_until = None;
        self.engaged_until = None;
        self.silence(now, "the call ended", stage);
        self.abandon_functions(now, stage);
        self.keys.forget();
        self.feed = Feed::new(1, FLUSH);
        self.link.finish();
        self.state = ProviderState::Closed;
        self.go_on(now, stage);
    }

    fn entered(&mut self, now: Instant, entered: Entered, stage: &mut Stage<'_>) {
        match entered {
            Entered::Message(content) => {
                let _unless_lost = self.inject(now, Role::User, content);
            }
            Entered::Collected {
                function,
                digits,
                ended_by,
            } => self.collected(now, &function, &digits, ended_by, stage),
        }
    }

    fn carry_out(&mut self, now: Instant, output: link::Output, stage: &mut Stage<'_>) {
        let output = match output {
            link::Output::Connect { generation } => Output::ConnectAgent { generation },
            link::Output::SendText { generation, text } => Output::SendAgentText {
                generation,
                text: ProviderText(text),
            },
            link::Output::SendAudio { generation, audio } => {
                Output::SendAgentAudio { generation, audio }
            }
            link::Output::Ping { generation } => Output::PingAgent { generation },
            link::Output::Close { generation } => Output::CloseAgent { generation },
            link::Output::Event(event) => {
                self.happened(now, event, stage);
                return;
            }
        };
        stage.outputs.push_back(output);
    }

    /// Whether nothing is being said, and no function is being done of which the agent could say
    /// something.
    fn is_quiet(&self) -> bool {
        self.turns.are_settled() && !self.functions.will_be_answered()
    }

    fn would_be_idle(&self) -> bool {
        self.engaged_until.is_none()
            && self.departure.is_none()
            && self.turns.are_settled()
            && !self.functions.are_open()
            && !self.injections.are_waiting()
    }
}

fn check_text(text: &str) -> Result<(), NotSaid> {
    match text.trim() {
        "" => Err(NotSaid::Empty),
        _ => Ok(()),
    }
}
