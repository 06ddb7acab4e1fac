//! What a call's engine wants done.

use std::sync::Arc;
use std::time::Duration;

use sidetone_call::engine::Output;
use sidetone_call::event::{AGENT_LOST, AudioGapReason, EventData, Service};
use tracing::{info, warn};

use super::{CallTask, Now};
use crate::calls::link::{Link, LinkConnection};
use crate::calls::{CallHandle, report};
use crate::metrics::function_end_name;

impl CallTask {
    /// Does all the engine wants done.
    pub(super) fn drain(&mut self, handle: &Arc<CallHandle>) {
        while let Some(output) = self.engine.poll_output() {
            self.carry_out(handle, output);
        }
    }

    fn carry_out(&mut self, handle: &Arc<CallHandle>, output: Output) {
        match output {
            Output::Connect {
                link,
                generation,
                channels,
            } => self.connect(link, generation, channels),
            Output::SendAudio {
                link,
                generation,
                audio,
            } => self.with_link(Link::Listen(link), generation, |l| l.send_audio(audio)),
            Output::SendText {
                link,
                generation,
                text,
            } => self.with_link(Link::Listen(link), generation, |l| l.send_text(text)),
            Output::PingLink { link, generation } => {
                self.with_link(Link::Listen(link), generation, LinkConnection::ping);
            }
            Output::CloseLink { link, generation } => {
                self.close_link(Link::Listen(link), generation);
            }
            Output::ConnectAgent { generation } => self.connect_agent(generation),
            Output::SendAgentAudio { generation, audio } => {
                self.with_link(Link::Agent, generation, |l| l.send_audio(audio));
            }
            Output::SendAgentText { generation, text } => {
                self.with_link(Link::Agent, generation, |l| l.send_text(text.0));
            }
            Output::PingAgent { generation } => {
                self.with_link(Link::Agent, generation, LinkConnection::ping);
            }
            Output::CloseAgent { generation } => self.close_link(Link::Agent, generation),
            Output::CallFunction {
                function,
                id,
                name,
                arguments,
            } => self.call_function(function, &id, &name, &arguments.0),
            Output::DropFunction(function) => self.drop_function(function),
            Output::Next(next) => handle.order_next(next),
            Output::Fetch {
                fetch,
                text,
                model,
                keep,
            } => self.fetch(fetch, &text.0, model.as_deref(), keep),
            Output::DropFetch(fetch) => self.drop_fetch(fetch),
            Output::Play { stream, audio } => self.play(stream, &audio),
            Output::Mark { stream, name } => self.mark(stream, &name),
            Output::Clear(stream) => self.clear(stream),
            Output::PingStream(stream) => self.ping_stream(stream),
            Output::CloseStream {
                stream,
                code,
                reason,
            } => self.close_ended(stream, code, reason),
            Output::Event(event) => {
                self.count(&event);
                handle.append(Now::read().wall, event, self.engine.call());
            }
            Output::Show(data) => handle.show(Now::read().wall, data),
            Output::WithdrawInterim(track) => handle.withdraw_interim(track),
            Output::Message(message) => handle.message(message.0),
            Output::Note(note) => report::note(&self.call_sid, &note),
            Output::Ended => self.over = true,
        }
    }

    fn count(&self, event: &EventData) {
        let (metrics, call_sid) = (&self.services.metrics, &self.call_sid);
        match event {
            EventData::TranscriptFinal(transcript) => {
                if let Some(latency_ms) = transcript.latency_ms {
                    metrics.transcript_latency(Duration::from_millis(latency_ms));
                }
            }
            EventData::AudioGap(gap) => match gap.reason {
                AudioGapReason::Carrier | AudioGapReason::Provider => {
                    metrics.audio_gap(Duration::from_millis(gap.duration_ms));
                }
                // Only the clock jumped; no audio is missing.
                AudioGapReason::Clock => {}
            },
            EventData::ProviderDisconnected(lost) => {
                let (reason, attempt) = (&lost.reason, lost.attempt);
                warn!(%call_sid, reason, attempt, "Deepgram lost; trying again.");
            }
            EventData::ProviderReconnected(back) => {
                metrics.provider_reconnected();
                if back.service == Service::Agent {
                    metrics.agent.reconnected();
                }
                metrics.replayed(Duration::from_millis(back.replayed_ms));
            }
            EventData::Warning(warning) => {
                let (code, detail) = (warning.code, &warning.detail);
                if code == AGENT_LOST {
                    metrics.agent.lost();
                }
                warn!(%call_sid, code, detail, "Warning.");
            }
            EventData::SpeakFailed(failed) => {
                let (speak_id, reason) = (&failed.speak_id, &failed.reason);
                warn!(%call_sid, speak_id, reason, "Something could not be said.");
            }
            EventData::AgentReady(ready) => {
                metrics.agent.ready();
                info!(%call_sid, request_id = ready.request_id, "The agent is ready.");
            }
            EventData::AgentStartedSpeaking(started) => metrics.agent.started_speaking(started),
            EventData::AgentFunctionCalled(called) => {
                metrics.agent.function_called(called.outcome);
                let (function, duration_ms) = (&called.name, called.duration_ms);
                let outcome = function_end_name(called.outcome);
                info!(%call_sid, function, outcome, duration_ms, "Function called.");
            }
            EventData::AgentUserStartedSpeaking(_)
            | EventData::AgentThinking(_)
            | EventData::AgentAudioDone(_)
            | EventData::AgentInterrupted(_)
            | EventData::AgentTurn(_)
            | EventData::CallStarted(_)
            | EventData::CallResumed(_)
            | EventData::CallRinging(_)
            | EventData::CallAnswered(_)
            | EventData::CallStatus(_)
            | EventData::SpeechStarted(_)
            | EventData::UtteranceEnded(_)
            | EventData::Dtmf(_)
            | EventData::SpeakStarted(_)
            | EventData::SpeakFinished(_)
            | EventData::SpeakInterrupted(_)
            | EventData::CallEnded(_) => {}
        }
    }
}
