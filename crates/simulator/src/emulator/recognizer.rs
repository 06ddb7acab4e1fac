//! Hears a connection's audio: bytes in, Deepgram's messages out.
//!
//! No clock: all times are stream time, the count of samples received. When a message reaches the
//! client is the session's affair.

mod channel;
mod mishearing;
mod wording;

use ring::digest::{self, SHA256};
use sidetone_audio::ulaw::SILENCE;
use sidetone_deepgram::listen::message::{
    ChannelIndex, Metadata, ModelInfo, ResultsMetadata, ServerMessage,
};
use sidetone_deepgram::listen::query::{Encoding, Query};

use super::flaws::HearingFlaws;
use crate::dice::Dice;
use channel::Channel;
pub(super) use mishearing::DIGITS;

/// The recogniser of one connection.
///
/// It hears the words that mu-law audio carries in its low bits, on each channel by itself with
/// `multichannel`, else on the first. Other encodings are silence to it, and what has no fixed
/// sample size (containers, compressed audio) has no duration either.
pub(super) struct Recognizer {
    identity: Identity,
    layout: Layout,
    /// Audio of less than one step.
    pending: Vec<u8>,
    /// One channel's samples of a step.
    lane: Vec<u8>,
    channels: Vec<Channel>,
    received_frames: u64,
    digest: digest::Context,
}

/// What a connection's messages say about it.
#[derive(Clone, Debug)]
pub(super) struct Identity {
    /// As in `dg-request-id`.
    pub(super) request_id: String,
    /// When it was opened, RFC 3339.
    pub(super) created: String,
}

impl Recognizer {
    /// A recogniser that does what `query` asks for, as well as its flaws let it.
    pub(super) fn new(query: &Query, identity: Identity, flaws: HearingFlaws, seed: u64) -> Self {
        let layout = Layout::of(query);
        let made_by = ResultsMetadata {
            request_id: identity.request_id.clone(),
            model_info: ModelInfo {
                name: query.model.clone(),
                version: MODEL_VERSION.to_owned(),
                arch: query.model.clone(),
            },
            model_uuid: MODEL_UUID.to_owned(),
        };
        let total = if query.multichannel {
            query.channels
        } else {
            1
        };
        let mut dice = Dice::new(seed);
        let channels = (0..total)
            .map(|index| {
                let asked = channel::Asked::new(query, layout.rate_hz);
                let number = ChannelIndex { index, total };
                Channel::new(number, asked, flaws, made_by.clone(), dice.fork())
            })
            .collect();
        Self {
            identity,
            layout,
            pending: Vec::new(),
            lane: Vec::new(),
            channels,
            received_frames: 0,
            digest: digest::Context::new(&SHA256),
        }
    }

    /// Takes audio of any length; a piece of a sample waits for the rest of it.
    pub(super) fn hear(&mut self, audio: &[u8], told: &mut Vec<ServerMessage>) {
        self.digest.update(audio);
        let Some(frame_bytes) = self.layout.frame_bytes else {
            return;
        };
        self.pending.extend_from_slice(audio);
        let mut pending = std::mem::take(&mut self.pending);
        let steps = pending.chunks_exact(self.layout.step_frames * frame_bytes);
        let rest = steps.remainder().len();
        steps.for_each(|step| self.step(step, told));
        pending.drain(..pending.len() - rest);
        self.pending = pending;
    }

    /// Sends finals for what has been heard on `channel`, or on all, and not been told as final.
    pub(super) fn finalize(&mut self, channel: Option<u32>, told: &mut Vec<ServerMessage>) {
        self.flush(told);
        let asked = |index: u32| channel.is_none_or(|asked| asked == index);
        for channel in self
            .channels
            .iter_mut()
            .filter(|channel| asked(channel.index()))
        {
            channel.finalize(told);
        }
    }

    /// The audio is at its end: the last finals and the summary.
    pub(super) fn finish(mut self, told: &mut Vec<ServerMessage>) {
        self.flush(told);
        for channel in &mut self.channels {
            channel.finish(told);
        }
        told.push(ServerMessage::Metadata(Metadata {
            transaction_key: "deprecated".to_owned(),
            request_id: self.identity.request_id,
            sha256: hex(self.digest.finish().as_ref()),
            created: self.identity.created,
            duration: seconds(self.received_frames, self.layout.rate_hz),
            channels: if self.received_frames == 0 {
                0
            } else {
                self.layout.channels_told
            },
        }));
    }

    /// How long this many bytes of audio last, in seconds.
    pub(super) fn duration_secs(&self, bytes: usize) -> f64 {
        let bytes_per_sec = self
            .layout
            .frame_bytes
            .map(|bytes| bytes as f64 * self.layout.rate_hz as f64);
        bytes_per_sec.map_or(0.0, |per_sec| bytes as f64 / per_sec)
    }

    /// Hears what waits for the rest of its step.
    fn flush(&mut self, told: &mut Vec<ServerMessage>) {
        let mut pending = std::mem::take(&mut self.pending);
        let whole_frames = pending.len() - pending.len() % self.layout.frame_bytes.unwrap_or(1);
        self.step(&pending[..whole_frames], told);
        pending.drain(..whole_frames);
        self.pending = pending;
    }

    /// Hears whole frames, at most a step of them.
    fn step(&mut self, audio: &[u8], told: &mut Vec<ServerMessage>) {
        let Some(frame_bytes) = self.layout.frame_bytes else {
            return;
        };
        let frames = audio.chunks_exact(frame_bytes);
        self.received_frames += frames.len() as u64;
        for (lane, channel) in self.channels.iter_mut().enumerate() {
            self.lane.clear();
            if self.layout.is_ulaw {
                self.lane.extend(frames.clone().map(|frame| frame[lane]));
            } else {
                self.lane.resize(frames.len(), SILENCE);
            }
            channel.hear(&self.lane, told);
        }
    }
}

/// How the bytes of a connection are to be read. A frame here is one sample of every channel.
#[derive(Clone, Copy, Debug)]
struct Layout {
    is_ulaw: bool,
    rate_hz: u64,
    /// `None`: not raw audio.
    frame_bytes: Option<usize>,
    /// Frames heard at a time: 20 ms.
    step_frames: usize,
    channels_told: u32,
}

impl Layout {
    fn of(query: &Query) -> Self {
        let rate_hz = query.sample_rate.unwrap_or(TELEPHONE_RATE_HZ);
        let sample_bytes = query.encoding.and_then(Encoding::bytes_per_sample);
        Self {
            is_ulaw: query.encoding == Some(Encoding::Mulaw),
            rate_hz: rate_hz.into(),
            frame_bytes: sample_bytes.map(|bytes| (bytes * query.channels) as usize),
            step_frames: (rate_hz as usize / STEPS_PER_SEC).max(1),
            channels_told: query.channels,
        }
    }
}

fn seconds(samples: u64, rate_hz: u64) -> f64 {
    samples as f64 / rate_hz as f64
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const TELEPHONE_RATE_HZ: u32 = 8_000;
const STEPS_PER_SEC: usize = 50;
const MODEL_VERSION: &str = "2026-01-01.0";
const MODEL_UUID: &str = "5fe0ba65-7a1c-4d0c-9c1b-65d1f0c34a7e";

#[cfg(test)]
mod tests;
