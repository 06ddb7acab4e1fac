//! One connection of `/v1/agent/converse`: its protocol, and what goes wrong with it on request.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use sidetone_deepgram::agent::message::{Behavior, ClientMessage, Notice, ServerMessage};
use sidetone_deepgram::listen::message::Close;

use super::conversation::{Conversation, Told};
use super::flaws::{Accident, AgentFlaws, Mishap, Stage};
use super::record::{Record, Side};
use super::script::AgentScript;
use super::settings::{Settings, Speak, Think, notice};
use crate::dice::Dice;
use crate::emulator::faults::{Caller, Faults, USUAL_MOMENT};
use crate::emulator::flaws::Malformed;
use crate::emulator::stream::{Input, NORMAL, Output, Stream, Timed};

/// One connection.
pub(super) struct Session {
    caller: Caller,
    faults: Faults,
    flaws: AgentFlaws,
    script: Arc<AgentScript>,
    record: Record,
    dice: Dice,
    phase: Phase,
    outbox: VecDeque<Output>,
    /// What has to come to a stage first.
    accidents: Vec<Accident>,
    /// What will happen, soonest first.
    moments: VecDeque<Timed<Mishap>>,
    /// How the next message is broken.
    malformed: Option<Malformed>,
    /// Nothing is told any more.
    is_deaf: bool,
    /// Audio of an answer has been sent, and more may come.
    speaks: bool,
    opened_at: Instant,
    /// When the client is given up.
    idle_at: Instant,
    /// Until it has been warned.
    warns_at: Option<Instant>,
    ends_at: Instant,
    now: Instant,
}

enum Phase {
    /// Nothing but Settings may come.
    Opened,
    /// Settings came; `None`: they are never answered.
    Applying {
        settings: Box<Settings>,
        until: Option<Instant>,
    },
    Live(Box<Conversation>),
    /// Nothing is heard any more.
    Ended,
}

impl Session {
    /// A connection opened at `now`; with a `welcome` unless a fault keeps it back.
    pub(super) fn new(
        welcome: Option<String>,
        script: Arc<AgentScript>,
        faults: Faults,
        record: Record,
        seed: u64,
        now: Instant,
    ) -> Self {
        let mut session = Self {
            caller: Caller::default(),
            faults,
            flaws: AgentFlaws::default(),
            script,
            record,
            dice: Dice::new(seed),
            phase: Phase::Opened,
            outbox: VecDeque::new(),
            accidents: Vec::new(),
            moments: VecDeque::new(),
            malformed: None,
            is_deaf: false,
            speaks: false,
            opened_at: now,
            idle_at: now + IDLE_LIMIT,
            warns_at: None,
            ends_at: now + LONGEST_SESSION,
            now,
        };
        if let Some(request_id) = welcome {
            let request_id = Some(request_id);
            session.tell(&ServerMessage::Welcome { request_id });
        }
        session
    }

    fn take_audio(&mut self, audio: &[u8]) {
        self.record.audio(self.now, Side::Client, audio.len());
        self.idle_at = self.now + IDLE_LIMIT;
        match &mut self.phase {
            Phase::Opened => self.refuse(&before_settings()),
            Phase::Applying { .. } => self.refuse(&too_early()),
            Phase::Live(conversation) => conversation.hear(self.now, audio),
            Phase::Ended => {}
        }
    }

    fn take_text(&mut self, text: &str) {
        self.record.message(self.now, Side::Client, text);
        let message = match ClientMessage::parse(text) {
            Ok(ClientMessage::Unknown { kind }) => {
                return self.refuse(&unparsable(&format!("there is no message {kind}")));
            }
            Ok(message) => message,
            Err(error) => return self.refuse(&unparsable(&error.to_string())),
        };
        if message != ClientMessage::KeepAlive || !self.flaws.ignores_keep_alive {
            self.idle_at = self.now + IDLE_LIMIT;
        }
        let taken = match (&mut self.phase, message) {
            (Phase::Opened, ClientMessage::Settings(document)) => {
                Settings::read(&document).map(|settings| self.apply(settings))
            }
            (Phase::Opened, _) => Err(before_settings()),
            (Phase::Applying { .. } | Phase::Live(_), ClientMessage::Settings(_)) => Err(notice(
                "SETTINGS_ALREADY_APPLIED",
                "Settings have been applied already.",
            )),
            (Phase::Applying { .. }, ClientMessage::KeepAlive) | (Phase::Ended, _) => Ok(()),
            (Phase::Applying { .. }, _) => Err(too_early()),
            (Phase::Live(conversation), message) => converse(conversation, self.now, message),
        };
        if let Err(refusal) = taken {
            self.refuse(&refusal);
        }
    }

    /// Takes Settings, which tell whose session it is.
    fn apply(&mut self, settings: Settings) {
        self.caller = Caller::tagged(settings.tags.clone());
        self.flaws = self.faults.at_agent_settings(&self.caller);
        if let Some(length) = self.flaws.session_length {
            self.ends_at = self.opened_at + length;
        }
        let length = self.ends_at - self.opened_at;
        self.warns_at = Some(self.ends_at - length / WARNED_FOR);
        for accident in std::mem::take(&mut self.flaws.accidents) {
            match accident.stage {
                None => {
                    let after = accident.after.unwrap_or(USUAL_MOMENT);
                    self.expect(self.opened_at + after, accident.mishap);
                }
                Some(_) => self.accidents.push(accident),
            }
        }
        let applies = Duration::from_millis(self.dice.within(APPLYING_MS));
        let until = (!self.flaws.no_settings_applied).then(|| self.now + applies);
        self.phase = Phase::Applying {
            settings: Box::new(settings),
            until,
        };
    }

    fn settle(&mut self) {
        let is_due = |until: &Option<Instant>| until.is_some_and(|until| until <= self.now);
        match std::mem::replace(&mut self.phase, Phase::Ended) {
            Phase::Applying { settings, until } if is_due(&until) => {
                let is_cut = settings.think.is_cut;
                let conversation = Conversation::new(
                    *settings,
                    &self.script,
                    self.flaws.clone(),
                    self.dice.fork(),
                    self.now,
                );
                self.phase = Phase::Live(Box::new(conversation));
                self.reach(Stage::Settings);
                if self.is_over() {
                    return;
                }
                self.tell(&ServerMessage::SettingsApplied);
                if is_cut {
                    let description = "The prompt has more than 25000 characters and was cut.";
                    self.tell(&ServerMessage::Warning(notice(
                        "PROMPT_TOO_LONG",
                        description,
                    )));
                }
            }
            phase => self.phase = phase,
        }
    }

    /// Lets the conversation go on, and tells what it has to tell.
    fn go_on(&mut self) {
        loop {
            let Phase::Live(conversation) = &mut self.phase else {
                return;
            };
            conversation.advance(self.now);
            let Some(told) = conversation.poll_told() else {
                return;
            };
            match told {
                Told::Message(message) => {
                    self.tell(&message);
                    self.follow(&message);
                }
                Told::Audio(audio) => {
                    if !self.is_deaf {
                        self.record.audio(self.now, Side::Server, audio.len());
                        self.outbox.push_back(Output::Binary(audio));
                    }
                    if !std::mem::replace(&mut self.speaks, true) {
                        self.reach(Stage::Speaking);
                    }
                }
                Told::Failed(error) => self.end_with_error(&error, SERVER_FAULT),
            }
        }
    }

    /// Keeps an eye on the stages of the conversation.
    fn follow(&mut self, message: &ServerMessage) {
        let stage = match message {
            ServerMessage::UserStartedSpeaking => Stage::Hearing,
            ServerMessage::AgentThinking { .. } => Stage::Thinking,
            ServerMessage::FunctionCallRequest { .. } => Stage::Calling,
            ServerMessage::AgentAudioDone => Stage::Pause,
            _ => return,
        };
        if matches!(stage, Stage::Hearing | Stage::Pause) {
            self.speaks = false;
        }
        self.reach(stage);
    }

    /// Lets happen what was to happen here.
    fn reach(&mut self, stage: Stage) {
        let here = |accident: &mut Accident| accident.stage == Some(stage);
        for accident in self.accidents.extract_if(.., here).collect::<Vec<_>>() {
            let after = accident.after.unwrap_or_default();
            self.expect(self.now + after, accident.mishap);
        }
        self.befall_due();
    }

    fn expect(&mut self, due: Instant, item: Mishap) {
        let later = self.moments.partition_point(|timed| timed.due <= due);
        self.moments.insert(later, Timed { due, item });
    }

    fn befall_due(&mut self) {
        while let Some(timed) = self.moments.pop_front_if(|timed| timed.due <= self.now) {
            self.befall(timed.item);
        }
    }

    fn befall(&mut self, mishap: Mishap) {
        match mishap {
            Mishap::Drop => self.end_with(Output::Break, "dropped on request"),
            Mishap::Stall => self.end_with(Output::Freeze, "stalled on request"),
            Mishap::Close(close) => self.end_with(Output::Close(close), "closed on request"),
            Mishap::Deafen => self.is_deaf = true,
            Mishap::Malform(how) => self.malformed = Some(how),
            Mishap::Warning(code) => {
                self.tell(&ServerMessage::Warning(notice(code, ON_REQUEST)));
            }
            Mishap::Error("FAILED_TO_THINK") => {
                self.tell(&ServerMessage::Error(notice("FAILED_TO_THINK", ON_REQUEST)));
                if let Phase::Live(conversation) = &mut self.phase {
                    conversation.give_up();
                }
            }
            Mishap::Error(code) => self.end_with_error(&notice(code, ON_REQUEST), SERVER_FAULT),
        }
    }

    /// Refuses what the client said, and with it the client.
    fn refuse(&mut self, error: &Notice) {
        self.end_with_error(error, CLIENT_FAULT);
    }

    fn end_with_error(&mut self, error: &Notice, code: u16) {
        self.tell(&ServerMessage::Error(error.clone()));
        self.end_with(Output::Close(Close { code, reason: "" }), &error.code);
    }

    /// Sends this last, and hears nothing more.
    fn end_with(&mut self, output: Output, how: &str) {
        self.record.end(how);
        self.phase = Phase::Ended;
        self.moments.clear();
        self.outbox.push_back(output);
    }

    fn tell(&mut self, message: &ServerMessage) {
        if self.is_deaf {
            return;
        }
        if let Some(how) = self.malformed.take() {
            self.outbox.push_back(how.break_up(message.to_json()));
            return;
        }
        for text in self.flaws.telling.texts(message) {
            self.record.message(self.now, Side::Server, &text);
            self.outbox.push_back(Output::Text(text));
        }
    }

    fn is_over(&self) -> bool {
        matches!(self.phase, Phase::Ended)
    }
}

impl Stream for Session {
    fn handle(&mut self, now: Instant, input: Input<'_>) {
        self.now = now;
        match input {
            _ if self.is_over() => return,
            Input::Audio(audio) => self.take_audio(&audio),
            Input::Text(text) => self.take_text(text),
            Input::Timeout => {}
        }
        self.settle();
        self.go_on();
        self.befall_due();
        self.go_on();
        if self.is_over() {
            return;
        }
        if self.warns_at.take_if(|at| *at <= now).is_some() {
            let description = "The session will soon have lasted as long as it may.";
            let warning = notice("MAXIMUM_SESSION_LENGTH_APPROACHING", description);
            self.tell(&ServerMessage::Warning(warning));
        }
        if self.ends_at <= now {
            let description = "The session has lasted as long as it may.";
            let error = notice("MAXIMUM_SESSION_LENGTH_REACHED", description);
            self.end_with_error(&error, NORMAL.code);
        } else if self.idle_at <= now {
            let description = "We waited too long for a websocket message. Please ensure that \
                               you're sending binary messages containing user speech.";
            self.refuse(&notice("CLIENT_MESSAGE_TIMEOUT", description));
        }
    }

    fn poll_output(&mut self) -> Option<Output> {
        self.outbox.pop_front()
    }

    fn poll_timeout(&self) -> Option<Instant> {
        let of_phase = match &self.phase {
            Phase::Opened => None,
            Phase::Applying { until, .. } => *until,
            Phase::Live(conversation) => conversation.poll_timeout(),
            Phase::Ended => return None,
        };
        let moment = self.moments.front().map(|timed| timed.due);
        let ends = [Some(self.idle_at), Some(self.ends_at), self.warns_at];
        ends.into_iter().chain([of_phase, moment]).flatten().min()
    }

    fn is_full(&self) -> bool {
        self.outbox.len() > MAX_WAITING
    }

    fn strike(&mut self, now: Instant, faults: &Faults) {
        self.now = now;
        for accident in faults.striking_agent(&self.caller) {
            match accident.stage {
                None => self.expect(now + accident.after.unwrap_or_default(), accident.mishap),
                Some(_) => self.accidents.push(accident),
            }
        }
        if !self.is_over() {
            self.befall_due();
        }
    }
}

/// Passes on what a client says in a conversation.
fn converse(
    conversation: &mut Conversation,
    now: Instant,
    message: ClientMessage,
) -> Result<(), Notice> {
    match message {
        ClientMessage::UpdatePrompt { prompt } => conversation.instruct(&prompt),
        ClientMessage::UpdateThink { think } => conversation.rethink(Think::read(&think)?),
        ClientMessage::UpdateSpeak { speak } => conversation.speak_with(Speak::read(&speak)?),
        ClientMessage::UpdateListen { listen } => {
            let listen = conversation.listen().updated(&listen)?;
            conversation.listen_with(listen);
        }
        ClientMessage::InjectAgentMessage { message, behavior } => {
            conversation.inject(now, message, behavior.unwrap_or(Behavior::Default));
        }
        ClientMessage::InjectUserMessage { content } => conversation.take_text(now, content),
        ClientMessage::FunctionCallResponse(response) if response.id.is_none() => {
            return Err(unparsable("missing field `id`"));
        }
        ClientMessage::FunctionCallResponse(response) => conversation.respond(now, &response),
        ClientMessage::ForceEndTurn => conversation.force_end_of_turn(now),
        ClientMessage::KeepAlive | ClientMessage::Settings(_) | ClientMessage::Unknown { .. } => {}
    }
    Ok(())
}

fn before_settings() -> Notice {
    notice(
        "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS",
        "The first message has to be Settings.",
    )
}

fn too_early() -> Notice {
    unparsable("nothing may be sent before SettingsApplied")
}

fn unparsable(what: &str) -> Notice {
    let description = format!("Error parsing client message: {what}.");
    notice("UNPARSABLE_CLIENT_MESSAGE", &description)
}

/// Without a message for so long a client is given up.
const IDLE_LIMIT: Duration = Duration::from_secs(10);

const LONGEST_SESSION: Duration = Duration::from_secs(2 * 60 * 60);

/// Part of a session's length that is left when it is warned of: five minutes of two hours.
const WARNED_FOR: u32 = 24;

/// How long Settings take.
const APPLYING_MS: std::ops::RangeInclusive<u64> = 50..=120;

/// Closes after an `Error`: which Deepgram uses is not documented.
const CLIENT_FAULT: u16 = 1008;
const SERVER_FAULT: u16 = 1011;

const ON_REQUEST: &str = "On request.";

/// Messages out.
const MAX_WAITING: usize = 10_000;

#[cfg(test)]
mod tests;
