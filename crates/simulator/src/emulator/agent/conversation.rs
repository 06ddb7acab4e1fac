//! The conversation of a session: who speaks, what is answered, what is called meanwhile.
//!
//! Whoever talks has the floor: as soon as the user begins to speak, what the agent was about to
//! say is dropped. A function that was called is waited for all the same, and its answer is said
//! when the user has finished.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sidetone_deepgram::agent::message::{
    AgentStartedSpeaking, Behavior, FunctionCallResponse, HistoryItem, LatencyReport, Notice, Role,
    ServerMessage,
};

use super::calling::Calling;
use super::flaws::AgentFlaws;
use super::hearing::{Hearing, Turn};
use super::mind::{Mind, Thought};
use super::saying::{Part, Saying};
use super::script::AgentScript;
use super::settings::{Listen, Settings, Speak, Think, notice};
use super::words::sentences;
use crate::dice::Dice;
use crate::emulator::speak::coding::Coding;
use crate::voice;

/// What a conversation has to tell.
#[derive(Debug)]
pub(super) enum Told {
    Message(ServerMessage),
    Audio(Bytes),
    /// Nothing can be told any more but this `Error`.
    Failed(Notice),
}

/// One conversation.
pub(super) struct Conversation {
    hearing: Hearing,
    mind: Mind,
    listen: Listen,
    speak: Speak,
    coding: Coding,
    hears: bool,
    experimental: bool,
    history: bool,
    flaws: AgentFlaws,
    dice: Dice,
    user_speaks: bool,
    /// What is done, one after the other, while the user is silent.
    tasks: VecDeque<Task>,
    doing: Option<Doing>,
    /// The functions that are waited for, and what they were called for.
    calling: Option<Calling>,
    /// The ids of calls that were cancelled, whose answers come to nothing.
    cancelled: BTreeSet<String>,
    /// What the client may still be playing is over then.
    plays_until: Instant,
    told: VecDeque<Told>,
    now: Instant,
}

#[derive(Debug)]
enum Task {
    /// To think about what the user said, and answer.
    Answer { heard: String, asked_at: Instant },
    /// To say this.
    Say(VecDeque<String>),
}

#[derive(Debug)]
enum Doing {
    Thinking {
        thought: Thought,
        asked_at: Instant,
        until: Instant,
    },
    Saying(Saying),
}

impl Conversation {
    /// A conversation that begins at `now`, with a greeting if there is one.
    pub(super) fn new(
        settings: Settings,
        script: &Arc<AgentScript>,
        flaws: AgentFlaws,
        dice: Dice,
        now: Instant,
    ) -> Self {
        let greeting = script.greeting.clone().or(settings.greeting);
        let greeting = greeting.filter(|greeting| !greeting.trim().is_empty());
        let say = |text: String| Task::Say([text].into());
        Self {
            hearing: Hearing::default(),
            mind: Mind::new(Arc::clone(script), settings.think, settings.said_before),
            listen: settings.listen,
            speak: settings.speak,
            coding: settings.coding,
            hears: settings.hears,
            experimental: settings.experimental,
            history: settings.history,
            flaws,
            dice,
            user_speaks: false,
            tasks: greeting.into_iter().map(say).collect(),
            doing: None,
            calling: None,
            cancelled: BTreeSet::new(),
            plays_until: now,
            told: VecDeque::new(),
            now,
        }
    }

    /// Takes the user's audio.
    pub(super) fn hear(&mut self, now: Instant, audio: &[u8]) {
        self.now = now;
        if self.hears {
            let mut turns = Vec::new();
            self.hearing.hear(audio, &mut turns);
            turns.into_iter().for_each(|turn| self.follow(turn));
        }
    }

    /// Ends the user's turn, as far as whoever listens can.
    pub(super) fn force_end_of_turn(&mut self, now: Instant) {
        self.now = now;
        if self.listen.is_flux() {
            let mut turns = Vec::new();
            self.hearing.end_turn(&mut turns);
            turns.into_iter().for_each(|turn| self.follow(turn));
        } else {
            self.warn(
                "FORCE_END_TURN_UNSUPPORTED",
                "ForceEndTurn needs a listening provider of version v2.",
            );
        }
    }

    /// Has this said, unless somebody else speaks.
    pub(super) fn inject(&mut self, now: Instant, message: String, behavior: Behavior) {
        self.now = now;
        let agent_speaks = self.doing.is_some() || self.plays_until > now;
        let refused = if self.flaws.refuses_injections {
            Some("USER")
        } else {
            match behavior {
                Behavior::Default | Behavior::Queue if self.user_speaks => Some("USER"),
                Behavior::Default if agent_speaks => Some("AGENT"),
                Behavior::Default | Behavior::Queue | Behavior::Interrupt => None,
            }
        };
        if let Some(who) = refused {
            let why = format!("The {} is speaking.", who.to_lowercase());
            let message = Some(why.clone());
            self.tell(ServerMessage::InjectionRefused { message });
            self.warn(&format!("INJECT_AGENT_MESSAGE_DURING_{who}_SPEECH"), &why);
        } else if behavior == Behavior::Interrupt {
            self.fall_silent();
            self.say([message].into(), now);
        } else {
            self.tasks.push_back(Task::Say([message].into()));
        }
    }

    /// Takes a text as if the user had said it.
    pub(super) fn take_text(&mut self, now: Instant, content: String) {
        self.now = now;
        self.take_turn(content);
    }

    /// Takes the answer to a function call.
    pub(super) fn respond(&mut self, now: Instant, response: &FunctionCallResponse) {
        self.now = now;
        let calling = self.calling.as_mut();
        let taken = calling.is_some_and(|calling| calling.respond(response));
        let was_cancelled = response
            .id
            .as_ref()
            .is_some_and(|id| self.cancelled.contains(id));
        if !taken && !was_cancelled {
            let description = format!(
                "No call of {} waits for an answer under the id of this one.",
                response.name
            );
            self.warn("FUNCTION_CALL_FAILED", &description);
        }
    }

    /// Replaces prompt and functions.
    pub(super) fn rethink(&mut self, think: Think) {
        self.mind.rethink(think);
        self.tell(ServerMessage::ThinkUpdated);
    }

    /// Adds to the prompt.
    pub(super) fn instruct(&mut self, prompt: &str) {
        self.mind.instruct(prompt);
        self.tell(ServerMessage::PromptUpdated);
    }

    pub(super) fn listen(&self) -> &Listen {
        &self.listen
    }

    pub(super) fn listen_with(&mut self, listen: Listen) {
        self.listen = listen;
        self.tell(ServerMessage::ListenUpdated);
    }

    pub(super) fn speak_with(&mut self, speak: Speak) {
        self.speak = speak;
        self.tell(ServerMessage::SpeakUpdated);
    }

    /// Makes nothing of what it is thinking about.
    pub(super) fn give_up(&mut self) {
        self.doing = None;
    }

    /// Goes on to what is due.
    pub(super) fn advance(&mut self, now: Instant) {
        self.now = now;
        self.follow_calls();
        loop {
            match &mut self.doing {
                None => {
                    if self.user_speaks || !self.begin_next() {
                        return;
                    }
                }
                Some(Doing::Thinking { until, .. }) if *until > now => return,
                Some(Doing::Saying(saying)) if saying.due() > now => return,
                Some(Doing::Saying(saying)) => {
                    let part = saying.next();
                    self.tell_part(part);
                }
                Some(Doing::Thinking { .. }) => {
                    if let Some(Doing::Thinking {
                        thought, asked_at, ..
                    }) = self.doing.take()
                    {
                        self.act_on(thought, asked_at);
                    }
                }
            }
        }
    }

    /// When `advance` is due.
    pub(super) fn poll_timeout(&self) -> Option<Instant> {
        let doing = self.doing.as_ref().map(|doing| match doing {
            Doing::Thinking { until, .. } => *until,
            Doing::Saying(saying) => saying.due(),
        });
        let calling = self.calling.as_ref().and_then(Calling::due);
        doing.into_iter().chain(calling).min()
    }

    /// What there is to tell.
    pub(super) fn poll_told(&mut self) -> Option<Told> {
        self.told.pop_front()
    }

    fn follow(&mut self, turn: Turn) {
        match turn {
            Turn::Began => {
                self.user_speaks = true;
                self.tell(ServerMessage::UserStartedSpeaking);
                let speaks = matches!(self.doing, Some(Doing::Saying(_)));
                if self.flaws.late_audio_ms > 0 && (speaks || self.plays_until > self.now) {
                    self.tell_late_audio();
                }
                self.fall_silent();
                self.tasks.clear();
            }
            Turn::Paused(heard) => self.speculate(&heard),
            Turn::Resumed => {
                if let Some(calling) = self.calling.take_if(|calling| calling.is_speculative) {
                    self.cancel(&calling);
                    // The turn that seemed over goes on.
                    self.tell(ServerMessage::UserStartedSpeaking);
                }
            }
            Turn::Ended(heard) => {
                self.user_speaks = false;
                if self.listen.is_flux() {
                    let trigger = Some("model".to_owned());
                    self.tell(ServerMessage::EndOfTurn { trigger });
                }
                if !heard.is_empty() {
                    self.take_turn(heard);
                }
            }
        }
    }

    fn take_turn(&mut self, heard: String) {
        self.tell_text(Role::User, heard.clone());
        let asked_at = self.now;
        match &mut self.calling {
            Some(calling) if calling.is_speculative => {
                calling.is_speculative = false;
                calling.asked_at = asked_at;
                self.mind.follow(&calling.thought);
            }
            _ => self.tasks.push_back(Task::Answer { heard, asked_at }),
        }
    }

    /// Calls functions for what the user may be about to say more of.
    fn speculate(&mut self, heard: &str) {
        let thought = self.mind.think(heard);
        let irrevocable = |(name, _): &(String, _)| {
            let function = self.mind.function(name);
            function.is_none_or(|function| function.defer_until_eot)
        };
        let is_idle = self.calling.is_none() && self.doing.is_none();
        if thought.speculative
            && is_idle
            && !thought.calls.is_empty()
            && !thought.calls.iter().any(irrevocable)
        {
            self.call(thought, self.now, true);
        }
    }

    /// Begins with the next thing there is to do, if there is one that does not have to wait.
    fn begin_next(&mut self) -> bool {
        let answered = |calling: &mut Calling| calling.results().is_some();
        if let Some(calling) = self.calling.take_if(answered) {
            if self.history {
                self.tell(calling.history());
            }
            let results = calling.results().unwrap_or_default();
            let answer = calling.thought.answer(&results);
            self.say_sentences(&answer, calling.asked_at);
            return true;
        }
        let waits =
            matches!(self.tasks.front(), Some(Task::Answer { .. })) && self.calling.is_some();
        if waits {
            return false;
        }
        match self.tasks.pop_front() {
            None => return false,
            Some(Task::Say(texts)) => self.say(texts, self.now),
            Some(Task::Answer { heard, asked_at }) => {
                let thought = self.mind.think(&heard);
                self.mind.follow(&thought);
                self.tell(ServerMessage::AgentThinking {
                    content: String::new(),
                });
                let thinks = Duration::from_millis(self.dice.within(THINKING_MS));
                self.doing = Some(Doing::Thinking {
                    thought,
                    asked_at,
                    until: self.now + thinks + self.flaws.slow_by,
                });
            }
        }
        true
    }

    fn act_on(&mut self, thought: Thought, asked_at: Instant) {
        if thought.calls.is_empty() {
            self.say_sentences(&thought.answer(&[]), asked_at);
        } else {
            self.call(thought, asked_at, false);
        }
    }

    fn call(&mut self, thought: Thought, asked_at: Instant, is_speculative: bool) {
        let now = self.now;
        match Calling::new(thought, &self.mind, asked_at, now, &mut self.dice) {
            Ok(mut calling) => {
                calling.is_speculative = is_speculative;
                calling.renews_at = self.flaws.cancels_calls_after.map(|after| now + after);
                self.tell(calling.request());
                for answer in calling.answer_own() {
                    self.tell(answer);
                }
                self.calling = Some(calling);
            }
            Err(name) => {
                let description = format!("The model called {name}, which is not declared.");
                let failed = notice("NON_EXISTENT_FUNCTION_CALLED", &description);
                self.told.push_back(Told::Failed(failed));
            }
        }
    }

    fn follow_calls(&mut self) {
        let now = self.now;
        let Some(calling) = &mut self.calling else {
            return;
        };
        for name in calling.give_up(now) {
            let description = format!("Function {name} did not answer in time.");
            self.told
                .push_back(warning("FUNCTION_CALL_FAILED", &description));
        }
        if let Some(mut calling) = self
            .calling
            .take_if(|calling| calling.is_to_be_renewed(now))
        {
            self.cancel(&calling);
            calling.renew(&mut self.dice);
            self.tell(calling.request());
            self.calling = Some(calling);
        }
    }

    fn cancel(&mut self, calling: &Calling) {
        self.cancelled.extend(calling.ids().cloned());
        self.tell(calling.cancellation());
    }

    /// Stops saying what is being said, and thinking of what to say.
    fn fall_silent(&mut self) {
        self.doing = None;
        self.plays_until = self.now;
    }

    fn say_sentences(&mut self, text: &str, asked_at: Instant) {
        self.say(sentences(text).map(str::to_owned).collect(), asked_at);
    }

    fn say(&mut self, texts: VecDeque<String>, asked_at: Instant) {
        if texts.is_empty() {
            return;
        }
        if self.speak.fails {
            let failed = notice("FAILED_TO_SPEAK", "The speech could not be made.");
            self.told.push_back(Told::Failed(failed));
            return;
        }
        self.doing = Some(Doing::Saying(Saying::new(
            texts,
            self.coding,
            self.flaws.pace_percent,
            asked_at,
            self.now,
            self.dice.fork(),
        )));
    }

    fn tell_part(&mut self, part: Part) {
        match part {
            Part::Text(text) => self.tell_text(Role::Assistant, text),
            Part::Begun => {
                if let (Some(Doing::Saying(saying)), true) = (&self.doing, self.experimental) {
                    let (ttt, tts, total) = saying.latencies_secs();
                    self.tell(ServerMessage::AgentStartedSpeaking(AgentStartedSpeaking {
                        total_latency: Some(total),
                        tts_latency: Some(tts),
                        ttt_latency: Some(ttt),
                    }));
                }
            }
            Part::Audio(audio) => {
                self.plays_until =
                    self.plays_until.max(self.now) + self.coding.duration_of(audio.len());
                self.told.push_back(Told::Audio(audio));
            }
            Part::Done => {
                self.tell(ServerMessage::AgentAudioDone);
                if let Some(Doing::Saying(saying)) = self.doing.take() {
                    self.report(saying.latencies_secs());
                }
            }
        }
    }

    /// One latency a message, as Deepgram does it.
    fn report(&mut self, (ttt, tts, total): (f64, f64, f64)) {
        let none = LatencyReport::default();
        let ttt = LatencyReport {
            ttt_text_latency: Some(ttt),
            ..none
        };
        let tts = LatencyReport {
            tts_latency: Some(tts),
            ..none
        };
        let total = LatencyReport {
            total_latency: Some(total),
            ..none
        };
        [ttt, tts, total]
            .into_iter()
            .for_each(|report| self.tell(ServerMessage::LatencyReport(report)));
    }

    /// What was still under way when the user began to speak.
    fn tell_late_audio(&mut self) {
        let late = Duration::from_millis(self.flaws.late_audio_ms);
        let mut audio = self.coding.encode(&voice::speak(LATE_WORDS).ulaw);
        audio.truncate(self.coding.bytes_in(late));
        let piece = self.coding.bytes_in(LATE_PIECE);
        let pieces = audio.chunks(piece).map(Bytes::copy_from_slice);
        self.told.extend(pieces.map(Told::Audio));
    }

    fn tell_text(&mut self, role: Role, content: String) {
        let echo = self.history.then(|| HistoryItem::Text {
            role,
            content: content.clone(),
        });
        self.tell(ServerMessage::ConversationText { role, content });
        if let Some(echo) = echo {
            self.tell(ServerMessage::History(echo));
        }
    }

    fn warn(&mut self, code: &str, description: &str) {
        self.told.push_back(warning(code, description));
    }

    fn tell(&mut self, message: ServerMessage) {
        self.told.push_back(Told::Message(message));
    }
}

fn warning(code: &str, description: &str) -> Told {
    Told::Message(ServerMessage::Warning(notice(code, description)))
}

/// How long an agent thinks about an answer.
const THINKING_MS: std::ops::RangeInclusive<u64> = 150..=300;

/// What may still come of an answer that was interrupted.
const LATE_WORDS: &str = "and there was one more thing that I wanted to say about this today";

/// Audio in a late frame.
const LATE_PIECE: Duration = Duration::from_millis(150);
