//! What comes back from Deepgram.

use std::time::Instant;

use sidetone_deepgram::listen::link;
use sidetone_deepgram::listen::message::ServerMessage;

use super::clock::{ms, to_ms};
use super::leg::LegLife;
use super::{Engine, Note, Output};
use crate::event::{
    AudioGap, AudioGapReason, EventData, ProviderDisconnected, ProviderReconnected, ProviderState,
    Service, SpeechMark, Transcript, VolatileData, Warning,
};

/// Refusals that are told apart; the reasons of more than these are not told.
const MAX_REFUSALS: usize = 8;

impl Engine {
    /// Passes on what a link wants done and tells what it heard. Due after each `handle` of it.
    pub(super) fn drain_link(&mut self, now: Instant, index: usize) {
        let link = self.legs[index].key;
        while let Some(output) = self.legs[index].link.poll_output() {
            let output = match output {
                link::Output::Connect { generation } => {
                    self.outputs.push_back(Output::Note(Note::LinkConnecting));
                    let channels = self.legs[index].tracks.len();
                    Output::Connect {
                        link,
                        generation,
                        channels,
                    }
                }
                link::Output::SendAudio { generation, audio } => Output::SendAudio {
                    link,
                    generation,
                    audio,
                },
                link::Output::SendText { generation, text } => Output::SendText {
                    link,
                    generation,
                    text,
                },
                link::Output::Ping { generation } => Output::PingLink { link, generation },
                link::Output::Close { generation } => Output::CloseLink { link, generation },
                link::Output::Event(event) => {
                    self.hear(now, index, event);
                    continue;
                }
            };
            self.outputs.push_back(output);
        }
    }

    fn hear(&mut self, now: Instant, index: usize, event: link::Event) {
        match event {
            link::Event::Connected {
                request_id,
                recovered,
            } => {
                self.connected(index, request_id, recovered);
            }
            link::Event::Disconnected {
                reason,
                attempt,
                request_id,
            } => {
                self.change_link(index, ProviderState::Reconnecting);
                self.emit(EventData::ProviderDisconnected(ProviderDisconnected {
                    service: Service::Listen,
                    reason,
                    attempt,
                    request_id,
                }));
            }
            link::Event::Failed { status, words } => self.failed(index, status, words),
            link::Event::Transcript(heard) => self.heard(now, index, heard),
            link::Event::EmptyFinal { channel, .. } => {
                self.withdraw_interim(index, channel);
                self.legs[index].forget();
            }
            link::Event::InterimWithdrawn { channel } => self.withdraw_interim(index, channel),
            link::Event::SpeechStarted { channel, at } => {
                if let Some(mark) = self.speech_mark(index, channel, at) {
                    self.emit(EventData::SpeechStarted(mark));
                }
            }
            link::Event::UtteranceEnded { channel, at } => {
                if let Some(mark) = self.speech_mark(index, channel, at) {
                    self.emit(EventData::UtteranceEnded(mark));
                }
            }
            link::Event::Message { text } => {
                let is_metadata = is_metadata(&text);
                let text = self.legs[index].message(text);
                if is_metadata {
                    self.metadata = Some(text);
                } else {
                    self.outputs.push_back(Output::Message(text));
                }
            }
            link::Event::Gap {
                channel,
                at,
                duration,
            } => self.lost(index, channel, at, duration),
            link::Event::Warned { detail } => {
                self.emit(EventData::Warning(Warning {
                    code: "provider_warning",
                    detail,
                }));
            }
            link::Event::Finished => self.legs[index].life = LegLife::Finished,
        }
    }

    fn connected(
        &mut self,
        index: usize,
        request_id: Option<String>,
        recovered: Option<link::Recovered>,
    ) {
        self.legs[index].connected();
        self.refresh_provider();
        self.call.provider.request_id.clone_from(&request_id);
        self.outputs
            .push_back(Output::Note(Note::LinkConnected { request_id }));
        let Some(recovered) = recovered else { return };
        let replayed_ms = ms(recovered.replayed);
        self.call.provider.reconnects += 1;
        self.call.provider.replayed_ms += replayed_ms;
        self.summary.reconnects += 1;
        self.summary.replayed_ms += replayed_ms;
        self.emit(EventData::ProviderReconnected(ProviderReconnected {
            service: Service::Listen,
            replayed_ms,
            outage_ms: ms(recovered.outage),
        }));
    }

    /// Deepgram refuses for good. It is asked again every 30 s, but told once.
    fn failed(&mut self, index: usize, status: u16, words: String) {
        self.change_link(index, ProviderState::Failed);
        if self.refusals.len() < MAX_REFUSALS && !self.refusals.contains(&words) {
            let detail = format!("Deepgram refuses this call with {status}: {words}");
            self.refusals.push(words);
            self.emit(EventData::Warning(Warning {
                code: "provider_failed",
                detail,
            }));
        }
    }

    fn heard(&mut self, now: Instant, index: usize, heard: link::Transcript) {
        let is_final = heard.is_final;
        let Some((mut transcript, end)) = self.legs[index].transcript(heard) else {
            return;
        };
        let arrivals = &self.lanes[transcript.track.index()].arrivals;
        transcript.latency_ms = arrivals.since(end, self.clock.position(now)).map(to_ms);
        if is_final {
            self.legs[index].forget();
            self.tell_final(transcript);
        } else {
            let interim = VolatileData::TranscriptInterim(Box::new(transcript));
            self.outputs.push_back(Output::Show(interim));
        }
    }

    /// What was shown of a channel is heard no longer.
    fn withdraw_interim(&mut self, index: usize, channel: usize) {
        if let Some(track) = self.legs[index].track(channel) {
            self.outputs.push_back(Output::WithdrawInterim(track));
        }
    }

    fn tell_final(&mut self, transcript: Transcript) {
        self.summary.words += transcript.words.len() as u64;
        if let Some(latency_ms) = transcript.latency_ms {
            self.latencies.record(latency_ms);
        }
        self.call.last_text = Some(transcript.text.clone());
        self.emit(EventData::TranscriptFinal(Box::new(transcript)));
    }

    fn speech_mark(&self, index: usize, channel: usize, at: u64) -> Option<SpeechMark> {
        let leg = &self.legs[index];
        let track = leg.track(channel)?;
        Some(SpeechMark {
            track,
            at_ms: to_ms(leg.call_time(channel, at)),
        })
    }

    /// Audio that reached Sidetone will not reach Deepgram.
    fn lost(&mut self, index: usize, channel: usize, at: u64, duration: u64) {
        let leg = &self.legs[index];
        let Some(track) = leg.track(channel) else {
            return;
        };
        let gap = AudioGap {
            track,
            at_ms: to_ms(leg.call_time(channel, at)),
            duration_ms: to_ms(duration),
            reason: AudioGapReason::Provider,
        };
        self.summary.lost_ms += gap.duration_ms;
        self.emit(EventData::AudioGap(gap));
    }

    fn change_link(&mut self, index: usize, state: ProviderState) {
        self.legs[index].state = state;
        self.refresh_provider();
    }
}

/// Whether a message is the last one of a connection.
fn is_metadata(text: &str) -> bool {
    // Every other message, and there are many, is told without being parsed a second time.
    text.contains(r#""Metadata""#)
        && matches!(ServerMessage::parse(text), Ok(ServerMessage::Metadata(_)))
}
