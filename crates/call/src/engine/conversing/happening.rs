//! What the agent and the caller do.

use std::time::Instant;

use sidetone_audio::SAMPLES_PER_MS;
use sidetone_deepgram::agent::link::{Event, Recovered, Said};
use sidetone_deepgram::agent::message::Role;

use super::super::clock::ms;
use super::super::{Next, Note, Output};
use super::departure::Departure;
use super::turns::{Heard, News, Turn};
use super::{Conversing, ENGAGED, Stage};
use crate::event::{
    AGENT_LOST, AgentAudioDone, AgentInterrupted, AgentReady, AgentThinking, AgentTurn,
    AgentUserStartedSpeaking, EventData, ProviderDisconnected, ProviderReconnected, ProviderState,
    Service, TurnHeard, Warning,
};

impl Conversing {
    pub(super) fn happened(&mut self, now: Instant, event: Event, stage: &mut Stage<'_>) {
        match event {
            Event::Ready {
                request_id,
                recovered,
            } => self.ready(request_id, recovered, stage),
            Event::Disconnected {
                reason,
                attempt,
                request_id,
            } => {
                self.state = ProviderState::Reconnecting;
                self.turns.break_off(now);
                stage.tell(EventData::ProviderDisconnected(ProviderDisconnected {
                    service: Service::Agent,
                    reason,
                    attempt,
                    request_id,
                }));
            }
            Event::Lost { reason } => self.lost(now, &reason, stage),
            Event::UserStartedSpeaking => self.interrupted(now, stage),
            Event::UserSaid { text } => self.caller_said(now, text, stage),
            Event::Thinking => {
                self.engage(now);
                self.expect_speech(now);
                stage.tell(EventData::AgentThinking(AgentThinking {}));
            }
            Event::AgentSaid {
                said,
                text,
                injection,
            } => self.agent_said(now, said, &text, injection, stage),
            Event::Audio(audio) => {
                self.injections.agent_heard(now);
                if let Err(full) = self.turns.push(now, stage.at_ms, &audio) {
                    warn(
                        stage,
                        "agent_warning",
                        format!("The agent is cut off: {full}."),
                    );
                }
                if let Some(departure) = &mut self.departure {
                    departure.speaks_until(self.turns.play_until(now));
                }
            }
            Event::AudioDone => {
                self.injections.agent_heard(now);
                self.engaged_until = None;
                if let Some(turn) = self.turns.done(now) {
                    stage.tell(EventData::AgentAudioDone(AgentAudioDone { turn }));
                }
            }
            Event::Latencies(latencies) => self.turns.took(latencies),
            Event::FunctionsRequested(calls) => {
                self.engage(now);
                for call in calls {
                    self.request(now, call, stage);
                }
            }
            Event::FunctionsCancelled(ids) => {
                for id in ids {
                    self.cancel(now, &id, stage);
                }
            }
            Event::InjectionRefused { id, words } => match self.injections.take(id) {
                Some(asked) => stage.tell(asked.failed(0, String::new(), &words)),
                None => {
                    let detail = format!("The agent will not say what it was told to: {words}");
                    warn(stage, "injection_refused", detail);
                }
            },
            Event::Warning { code, description } => {
                let detail = format!("Deepgram warns of its agent: {code}: {description}");
                warn(stage, "agent_warning", detail);
            }
            Event::Unknown { kind } => {
                let note = Note::UnknownAgentMessage { kind };
                stage.outputs.push_back(Output::Note(note));
            }
        }
    }

    /// Tells what has come to be known of a turn.
    pub(super) fn tell(&mut self, news: News, stage: &mut Stage<'_>) {
        match news {
            News::Started { started, asked } => {
                stage.tell(EventData::AgentStartedSpeaking(started));
                if let Some(asked) = asked {
                    stage.tell(asked);
                }
            }
            News::Settled { turn, heard } => self.settled(*turn, heard, stage),
        }
    }

    fn ready(
        &mut self,
        request_id: Option<String>,
        recovered: Option<Recovered>,
        stage: &mut Stage<'_>,
    ) {
        self.state = ProviderState::Connected;
        stage.call.provider.request_id.clone_from(&request_id);
        stage.outputs.push_back(Output::Note(Note::LinkConnected {
            request_id: request_id.clone(),
        }));
        if let Some(Recovered { outage, replayed }) = recovered {
            let replayed_ms = ms(replayed);
            stage.call.provider.reconnects += 1;
            stage.call.provider.replayed_ms += replayed_ms;
            stage.summary.reconnects += 1;
            stage.summary.replayed_ms += replayed_ms;
            stage.tell(EventData::ProviderReconnected(ProviderReconnected {
                service: Service::Agent,
                replayed_ms,
                outage_ms: ms(outage),
            }));
        }
        stage.tell(EventData::AgentReady(AgentReady { request_id }));
    }

    /// There will be no agent any more: what is being played is its last word.
    fn lost(&mut self, now: Instant, reason: &str, stage: &mut Stage<'_>) {
        self.state = ProviderState::Failed;
        self.turns.break_off(now);
        self.engaged_until = None;
        let detail = format!("The agent is lost: {reason}");
        warn(stage, AGENT_LOST, detail);
        stage.tell_all(self.injections.fail_all("the agent is lost"));
        self.abandon_functions(now, stage);
        match &mut self.departure {
            Some(departure) if !matches!(departure.next, Next::Press(_)) => departure.hasten(now),
            _ if self.turns.stream().is_some() => {
                self.departure = Some(Departure::of_lost(now));
            }
            _ => {}
        }
    }

    /// The caller speaks. Whoever speaks does not want to be hung up on.
    fn interrupted(&mut self, now: Instant, stage: &mut Stage<'_>) {
        self.turns.stop(now, "the caller spoke", stage.outputs);
        self.engage(now);
        self.departure
            .take_if(|departure| departure.next == Next::HangUp);
        let at_ms = stage.at_ms;
        self.caller_since_ms = Some(at_ms);
        stage.tell(EventData::AgentUserStartedSpeaking(
            AgentUserStartedSpeaking { at_ms },
        ));
    }

    fn caller_said(&mut self, now: Instant, text: String, stage: &mut Stage<'_>) {
        self.engage(now);
        if !stage.is_transcribed {
            stage.count_words(&text);
        }
        stage.call.last_text = Some(text.clone());
        stage.tell(EventData::AgentTurn(AgentTurn {
            turn: self.turns.caller_said(now),
            role: Role::User,
            text,
            at_ms: self.caller_since_ms.take().unwrap_or(stage.at_ms),
            heard: None,
        }));
    }

    fn agent_said(
        &mut self,
        now: Instant,
        said: Said,
        text: &str,
        injection: Option<u32>,
        stage: &mut Stage<'_>,
    ) {
        self.injections.agent_heard(now);
        if injection.is_some_and(|number| self.injections.is_dropped(number)) {
            self.link.silence();
            self.link.heard(said, said, "");
            return;
        }
        self.engage(now);
        self.expect_speech(now);
        let asked = injection.and_then(|number| self.injections.take(number));
        let turn = self.turns.say(now, stage.at_ms, said, text, injection);
        if let (Some(turn), Some(asked)) = (turn, asked) {
            turn.asked = Some(asked);
        }
    }

    fn settled(&mut self, turn: Turn, heard: Heard, stage: &mut Stage<'_>) {
        let (number, heard_ms) = (turn.number, heard.ms());
        if let Some((first, last)) = turn.said
            && heard.text != turn.text
        {
            self.link.heard(first, last, &heard.text);
        }
        if let Some(departure) = &mut self.departure {
            departure.settled(number);
        }
        if stage.shows_playback {
            stage.show(self.playback.last(number, &heard));
        }
        if let Some(cut) = &heard.cut {
            stage.tell(EventData::AgentInterrupted(AgentInterrupted {
                turn: number,
                heard_text: heard.text.clone(),
                heard_ms,
                discarded_ms: cut.discarded / SAMPLES_PER_MS,
            }));
        }
        if let Some(asked) = turn.asked {
            stage.tell(match &heard.cut {
                None => asked.finished(heard.samples),
                Some(cut) => asked.interrupted(heard.samples, heard.text.clone(), Some(cut.reason)),
            });
        }
        stage.count_words(&heard.text);
        if !heard.text.is_empty() {
            stage.call.last_text = Some(heard.text.clone());
        }
        stage.tell(EventData::AgentTurn(AgentTurn {
            turn: number,
            role: Role::Assistant,
            text: turn.text,
            at_ms: turn.at_ms,
            heard: Some(TurnHeard {
                heard_text: heard.text,
                heard_ms,
                interrupted: heard.cut.is_some(),
            }),
        }));
    }

    /// Somebody speaks, or is about to.
    fn engage(&mut self, now: Instant) {
        self.engaged_until = Some(now + ENGAGED);
    }

    fn expect_speech(&mut self, now: Instant) {
        if let Some(departure) = &mut self.departure {
            departure.expect_speech(now);
        }
    }
}

fn warn(stage: &mut Stage<'_>, code: &'static str, detail: String) {
    stage.tell(EventData::Warning(Warning { code, detail }));
}
