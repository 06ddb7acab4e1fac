//! What Deepgram owes the caller, and for how long it may be silent instead.
//!
//! A session may take audio, answer pings, and say nothing any more. What gives it away is what it
//! owes: the greeting that it was given; an answer to what was said, or the rest of one; and to a
//! caller who makes sounds, a sign of having heard. Any message begins these waits anew.
//!
//! The first session that is silent so is replaced. But noise is no speech, and a model may have
//! nothing to say: so from then on, until an answer has come to its end, a session is first asked
//! for a sign. One that gives it lives, and may be silent; one that gives none is dead, and with
//! two of them in a row the agent is lost. Whoever waits for a sign of hearing waits twice as long
//! each time.

use std::time::{Duration, Instant};

use crate::agent::message::ServerMessage;

/// The debts of the session that runs; of one that was lost, those it left behind.
#[derive(Debug)]
pub(super) struct Owed {
    words: Option<Words>,
    /// When something came last, or words came to be owed.
    quiet_since: Instant,
    /// Samples of the caller that were loud since something came, while no answer was owed.
    loud: u32,
    /// Since when a sign of hearing is owed.
    sign_since: Option<Instant>,
    /// Since when Deepgram knows that the caller speaks.
    hears_since: Option<Instant>,
    /// Waits in a row that were in vain.
    silences: u32,
    can_be_asked: bool,
    asked_at: Option<Instant>,
    /// Whether the session has said anything, or anything since it was asked.
    has_given_sign: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Words {
    Greeting,
    /// An answer, of which nothing has come.
    Answer,
    /// The rest of one.
    Rest,
}

#[derive(Clone, Copy, Debug)]
enum Debt {
    Words(Words),
    Sign,
}

/// What is to be done about a session that is silent.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Due {
    /// To ask it for a sign.
    Ask,
    /// To begin another one, for this reason.
    Replace(String),
    /// To do without an agent, for this reason.
    GiveUp(String),
}

impl Owed {
    pub(super) const fn new(now: Instant) -> Self {
        Self {
            words: None,
            quiet_since: now,
            loud: 0,
            sign_since: None,
            hears_since: None,
            silences: 0,
            can_be_asked: false,
            asked_at: None,
            has_given_sign: false,
        }
    }

    /// A session begins, with a greeting or without.
    pub(super) const fn begin(&mut self, now: Instant, greets: bool, can_be_asked: bool) {
        *self = Self {
            words: if greets { Some(Words::Greeting) } else { None },
            silences: self.silences,
            can_be_asked,
            ..Self::new(now)
        };
    }

    /// Deepgram says something.
    pub(super) fn take(&mut self, now: Instant, message: &ServerMessage) {
        match message {
            ServerMessage::PromptUpdated
            | ServerMessage::SpeakUpdated
            | ServerMessage::ThinkUpdated
            | ServerMessage::ListenUpdated => {
                self.has_given_sign = true;
                return;
            }
            ServerMessage::UserStartedSpeaking => {
                self.words = None;
                self.hears_since = Some(now);
            }
            ServerMessage::ConversationText { .. }
            | ServerMessage::AgentThinking { .. }
            | ServerMessage::FunctionCallRequest { .. }
            | ServerMessage::FunctionCallResponse(_) => self.answer(now),
            ServerMessage::AgentStartedSpeaking(_) => self.rest(now),
            ServerMessage::AgentAudioDone => self.words = None,
            ServerMessage::Welcome { .. }
            | ServerMessage::SettingsApplied
            | ServerMessage::FunctionCallCancelled { .. }
            | ServerMessage::LatencyReport(_)
            | ServerMessage::EndOfTurn { .. }
            | ServerMessage::InjectionRefused { .. }
            | ServerMessage::History(_)
            | ServerMessage::Warning(_)
            | ServerMessage::Error(_)
            | ServerMessage::Unknown { .. } => {}
        }
        self.came(now);
    }

    /// Something comes that is none of the messages there are.
    pub(super) fn came(&mut self, now: Instant) {
        self.quiet_since = now;
        self.has_given_sign = true;
        self.asked_at = None;
        if self.hears_since.is_some() {
            self.sign_since = self.sign_since.and(Some(now));
        } else {
            self.forget_sounds();
        }
    }

    /// From now on an answer is owed.
    pub(super) const fn answer(&mut self, now: Instant) {
        self.owe(Words::Answer, now);
    }

    /// Some of an answer has come.
    pub(super) const fn rest(&mut self, now: Instant) {
        self.owe(Words::Rest, now);
    }

    const fn owe(&mut self, words: Words, now: Instant) {
        self.words = Some(words);
        self.quiet_since = now;
        self.hears_since = None;
        self.forget_sounds();
    }

    /// No answer will come.
    pub(super) const fn no_answer(&mut self) {
        self.words = None;
    }

    /// An answer has come to its end.
    pub(super) const fn answered(&mut self) {
        self.silences = 0;
    }

    /// Whether an answer is owed, or the rest of one.
    pub(super) const fn is_answer(&self) -> bool {
        matches!(self.words, Some(Words::Answer | Words::Rest))
    }

    /// The caller was loud for so many samples. Who owes an answer owes no sign of hearing besides.
    pub(super) fn loud(&mut self, now: Instant, samples: u32) {
        if self.words == Some(Words::Answer) {
            return;
        }
        self.loud = self.loud.saturating_add(samples);
        if self.loud < LOUD_ENOUGH {
            return;
        }
        match self.hears_since {
            // Deepgram knows, and waits for the end of what is being said.
            Some(since) if now < since + LONGEST_UTTERANCE => self.sign_since = Some(now),
            Some(_) | None => {
                self.sign_since.get_or_insert(now);
            }
        }
    }

    /// What has become due. While a function `is_called`, words are not waited for.
    pub(super) fn due(&mut self, now: Instant, is_called: bool) -> Option<Due> {
        let (debt, ends_at) = self.next(is_called)?;
        if self.is_to_be_asked() {
            return (now + ASKED_BEFORE >= ends_at).then(|| {
                self.asked_at = Some(now);
                self.has_given_sign = false;
                Due::Ask
            });
        }
        if now < ends_at {
            return None;
        }
        let is_first = self.silences == 0;
        let reason = self.reason(debt);
        self.silences += 1;
        let is_dead = match debt {
            Debt::Words(_) => !self.has_given_sign,
            Debt::Sign => self.asked_at.is_some() && !self.has_given_sign,
        };
        if is_first {
            return Some(Due::Replace(reason));
        }
        if is_dead {
            return Some(Due::GiveUp(reason));
        }
        self.words = None;
        self.asked_at = None;
        self.hears_since = None;
        self.forget_sounds();
        None
    }

    /// When [`due`](Self::due) has something.
    pub(super) fn deadline(&self, is_called: bool) -> Option<Instant> {
        let (_, ends_at) = self.next(is_called)?;
        Some(if self.is_to_be_asked() {
            ends_at - ASKED_BEFORE
        } else {
            ends_at
        })
    }

    /// The debt whose wait ends first.
    fn next(&self, is_called: bool) -> Option<(Debt, Instant)> {
        let words = self.words.filter(|_| !is_called);
        let words = words.map(|words| (Debt::Words(words), self.quiet_since));
        let sign = self.sign_since.map(|since| (Debt::Sign, since));
        let ends = words.into_iter().chain(sign).map(|(debt, since)| {
            let ends_at = since + self.wait(debt);
            let signed_by = self.asked_at.map(|asked| asked + ASKED_BEFORE);
            (debt, signed_by.unwrap_or(ends_at).max(ends_at))
        });
        ends.min_by_key(|(_, ends_at)| *ends_at)
    }

    const fn is_to_be_asked(&self) -> bool {
        self.silences > 0 && self.can_be_asked && self.asked_at.is_none()
    }

    fn wait(&self, debt: Debt) -> Duration {
        match debt {
            Debt::Words(Words::Greeting) if self.silences == 0 => GREETING_WAIT,
            Debt::Words(Words::Greeting) => SIGN_WAIT,
            Debt::Words(Words::Answer) => ANSWER_WAIT,
            Debt::Words(Words::Rest) => REST_WAIT,
            Debt::Sign => SIGN_WAIT * 2_u32.pow(self.silences.min(MOST_DOUBLINGS)),
        }
    }

    fn reason(&self, debt: Debt) -> String {
        let seconds = self.wait(debt).as_secs();
        match debt {
            Debt::Words(Words::Greeting) => {
                format!("Deepgram's agent did not greet, and said nothing for {seconds} s")
            }
            Debt::Words(Words::Answer | Words::Rest) => {
                format!("Deepgram's agent owed an answer, and said nothing for {seconds} s")
            }
            Debt::Sign => format!("Deepgram heard the caller, and said nothing for {seconds} s"),
        }
    }

    const fn forget_sounds(&mut self) {
        self.loud = 0;
        self.sign_since = None;
    }
}

/// A greeting takes no thought, but not every agent greets. A caller who hears none says something,
/// and a sign of having heard that is owed sooner.
const GREETING_WAIT: Duration = Duration::from_secs(20);
/// Slow models need half of it, and Deepgram warns of them while it waits.
const ANSWER_WAIT: Duration = Duration::from_secs(15);
/// The caller has heard something, and asks when the rest is missed.
const REST_WAIT: Duration = Duration::from_secs(30);
const SIGN_WAIT: Duration = Duration::from_secs(10);
const MOST_DOUBLINGS: u32 = 5;
/// So long a session has to give a sign.
const ASKED_BEFORE: Duration = Duration::from_secs(5);
/// Samples: 1 s. Whoever coughs or shuts a door is not as loud for as long.
const LOUD_ENOUGH: u32 = 8_000;
/// Nobody speaks for longer without a pause that ends a turn.
const LONGEST_UTTERANCE: Duration = Duration::from_secs(60);
