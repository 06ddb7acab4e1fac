//! What a call's engine wants done, and Deepgram's side of the task.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use sidetone_call::engine::{LinkKey, Output};
use sidetone_call::event::{AudioGapReason, EventData};
use sidetone_deepgram::listen::link;
use tokio::time::Instant;
use tracing::warn;

use super::{CallTask, Now};
use crate::calls::link::{LinkConnection, LinkEvent};
use crate::calls::{CallHandle, report};

impl CallTask {
    /// Takes at most one event of each connection; true when there was one.
    pub(super) fn poll_links(&mut self, cx: &mut Context<'_>, handle: &Arc<CallHandle>) -> bool {
        let mut busy = false;
        let mut index = 0;
        while let Some(connection) = self.links.get_mut(index) {
            if let Poll::Ready(event) = connection.poll_event(cx, Instant::now()) {
                busy = true;
                self.handle_link_event(index, &event);
                self.drain(cx, handle);
            }
            index += 1;
        }
        busy
    }

    fn handle_link_event(&mut self, index: usize, event: &LinkEvent) {
        let now = Now::read();
        let LinkConnection {
            link, generation, ..
        } = self.links[index];
        if matches!(event, LinkEvent::Refused { .. } | LinkEvent::Closed { .. }) {
            self.links.swap_remove(index);
        }
        let input = match event {
            LinkEvent::Opened { request_id } => link::Input::Opened {
                generation,
                request_id: request_id.as_deref(),
            },
            LinkEvent::Refused {
                status,
                words,
                retry_after,
            } => link::Input::Refused {
                generation,
                status: *status,
                words,
                retry_after: *retry_after,
            },
            LinkEvent::Text(text) => link::Input::Text { generation, text },
            LinkEvent::Pong => link::Input::Pong { generation },
            LinkEvent::Closed { code, reason } => link::Input::Closed {
                generation,
                code: *code,
                reason,
            },
        };
        self.engine.handle_link(now.std(), now.wall, link, input);
    }

    /// Does all the engine wants done.
    pub(super) fn drain(&mut self, cx: &mut Context<'_>, handle: &Arc<CallHandle>) {
        while let Some(output) = self.engine.poll_output() {
            self.carry_out(cx, handle, output);
        }
    }

    fn carry_out(&mut self, cx: &mut Context<'_>, handle: &Arc<CallHandle>, output: Output) {
        match output {
            Output::Connect {
                link,
                generation,
                channels,
            } => {
                self.connect(link, generation, channels);
            }
            Output::SendAudio {
                link,
                generation,
                audio,
            } => {
                if let Some(connection) = self.connection(link, generation) {
                    connection.send_audio(audio);
                }
            }
            Output::SendText {
                link,
                generation,
                text,
            } => {
                if let Some(connection) = self.connection(link, generation) {
                    connection.send_text(text);
                }
            }
            Output::PingLink { link, generation } => {
                if let Some(connection) = self.connection(link, generation) {
                    connection.ping();
                }
            }
            Output::CloseLink { link, generation } => {
                let is_it = |c: &LinkConnection| (c.link, c.generation) == (link, generation);
                if let Some(index) = self.links.iter().position(is_it) {
                    self.links.swap_remove(index).close(cx, Instant::now());
                }
            }
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
            Output::Interim { track, transcript } => {
                handle.interim(Now::read().wall, track, transcript.map(|boxed| *boxed));
            }
            Output::Message(message) => handle.message(message.0),
            Output::Note(note) => report::note(&self.call_sid, &note),
            Output::Ended => self.over = true,
        }
    }

    fn connect(&mut self, link: LinkKey, generation: u32, channels: usize) {
        let profile = self.services.config.profiles.get(&self.profile);
        let listen = profile.and_then(|profile| profile.listen.as_ref());
        let listen = listen.expect("the engine has links only when its profile listens");
        let query = listen.params.query(channels, self.call_sid.as_str());
        let dialer = Arc::clone(&self.services.dialer);
        self.links
            .push(LinkConnection::dial(link, generation, dialer, query));
    }

    fn connection(&mut self, link: LinkKey, generation: u32) -> Option<&mut LinkConnection> {
        self.links
            .iter_mut()
            .find(|c| (c.link, c.generation) == (link, generation))
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
                metrics.replayed(Duration::from_millis(back.replayed_ms));
            }
            EventData::Warning(warning) => {
                let (code, detail) = (warning.code, &warning.detail);
                warn!(%call_sid, code, detail, "Warning.");
            }
            EventData::SpeakFailed(failed) => {
                let (speak_id, reason) = (&failed.speak_id, &failed.reason);
                warn!(%call_sid, speak_id, reason, "Something could not be said.");
            }
            EventData::CallStarted(_)
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
