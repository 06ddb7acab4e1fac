//! From tracks on call time to the one stream of samples that a recogniser hears.

mod pending;
mod time_map;

use bytes::Bytes;

use crate::{LONGEST_FILL, SAMPLES_PER_MS, ulaw};
use pending::Pending;
use time_map::TimeMap;

/// The content of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Audio {
    /// Digital silence on every channel: a count, never bytes.
    Silence,
    /// Interleaved samples, `samples * channels` bytes.
    Samples(Bytes),
}

/// Consecutive audio of the interleaved stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Block {
    /// Samples per channel: 1 to 2,000 (250 ms).
    pub samples: u32,
    /// What they are.
    pub audio: Audio,
}

/// Interleaves one or two channels, and knows which call time each sample of the result has.
///
/// Every byte that is pushed comes out once, on its channel, in order of arrival. Positions in
/// the result, *stream positions*, count samples per channel from the first audio on. A hole is
/// filled with silence so that stream and call time keep step; one of more than 10 s, on all
/// channels, is left out. Late audio is appended where the stream has got to, and later holes
/// are filled the less for it.
///
/// # Two channels
///
/// Neither waits for one that has not begun. One that has begun, and lags by less than 300 ms, is
/// waited for; then it is given up until it sends again, and padded with silence. To lag is to be
/// behind both in samples and in call time: a channel whose audio came late once, and has waited
/// in the queue ever since, doesn't make the other one lag. In no case does more than 1 s of
/// audio wait.
///
/// # Cost
///
/// Under 64 KiB whatever arrives, and one allocation for each block with samples.
#[derive(Debug)]
pub struct Interleaver {
    channels: Box<[Channel]>,
    /// Call time of stream position 0; `None` before the first audio.
    origin: Option<u64>,
    /// The stream position up to which blocks have left.
    emitted: u64,
}

impl Interleaver {
    /// For 1 (mono) or 2 (stereo) channels.
    ///
    /// # Panics
    ///
    /// With any other number.
    pub fn new(channels: usize) -> Self {
        assert!(
            matches!(channels, 1 | 2),
            "a call has one or two channels, not {channels}"
        );
        let channels = (0..channels).map(|_| Channel::default()).collect();
        Self {
            channels,
            origin: None,
            emitted: 0,
        }
    }

    /// Adds audio of `channel` whose first sample stands at call time `at`.
    ///
    /// Blocks that must leave now so that memory stays bounded are appended to `out`, as by a
    /// [`drain`](Self::drain); the other channel is padded only when that makes no room. An empty
    /// payload changes nothing.
    ///
    /// # Panics
    ///
    /// When there is no such channel.
    pub fn push(&mut self, channel: usize, at: u64, payload: &[u8], out: &mut Vec<Block>) {
        let mut at = at;
        for piece in payload.chunks(Pending::MAX_BYTES) {
            // Frames that come in a burst lie a little apart on the channels: to pad one up to the
            // other would cut through a word.
            if !self.channels[channel].pending.has_room(piece) {
                self.drain(out);
            }
            if !self.channels[channel].pending.has_room(piece) {
                self.channels
                    .iter_mut()
                    .for_each(|channel| channel.awaited = false);
                self.finish(out);
            }
            let position = self.ideal_position(at);
            self.channels[channel].push(position, at, piece);
            at = at.saturating_add(piece.len() as u64);
        }
    }

    /// Takes what may leave at a flush: a channel that has begun and lags is waited for during
    /// 300 ms of the other's audio.
    pub fn drain(&mut self, out: &mut Vec<Block>) {
        let end = self.end();
        let reached = self
            .channels
            .iter()
            .map(|channel| channel.reached)
            .max()
            .unwrap_or(0);
        for channel in &mut self.channels {
            let lag = (end - channel.end).min(reached - channel.reached);
            channel.awaited &= lag < PATIENCE;
        }
        let awaited = self.channels.iter().filter(|channel| channel.awaited);
        self.emit_to(awaited.map(|channel| channel.end).min().unwrap_or(end), out);
    }

    /// Takes all that waits, the shorter channel padded with silence.
    pub fn finish(&mut self, out: &mut Vec<Block>) {
        self.emit_to(self.end(), out);
    }

    /// Says that no position before `stream_sample` will be asked for again.
    pub fn forget_before(&mut self, stream_sample: u64) {
        for channel in &mut self.channels {
            channel.map.forget_before(stream_sample);
        }
    }

    /// Call time, in samples, of a position in the interleaved stream.
    ///
    /// Exact for every sample that was pushed: its place in the frame after the frame's `at`, for
    /// at least the last 500 breaks of a channel. Silence keeps the time of the audio nearest to
    /// it. Positions that have not come yet continue the last audio.
    pub fn call_time(&self, channel: usize, stream_sample: u64) -> u64 {
        let start = self.origin.unwrap_or(0);
        let call_time = self.channels[channel].map.call_time(stream_sample);
        call_time.unwrap_or_else(|| start.saturating_add(stream_sample))
    }

    /// Whether anything waits to leave.
    pub fn pending(&self) -> bool {
        self.buffered() > 0
    }

    /// Samples that wait to leave, on the channel that has most.
    pub fn buffered(&self) -> u64 {
        self.end() - self.emitted
    }

    /// Memory held, in bytes: this value and the capacity of all its buffers.
    pub fn memory_bytes(&self) -> usize {
        size_of::<Self>()
            + self
                .channels
                .iter()
                .map(Channel::memory_bytes)
                .sum::<usize>()
    }

    /// The stream position of the end of the longest channel.
    fn end(&self) -> u64 {
        self.channels
            .iter()
            .map(|channel| channel.end)
            .max()
            .unwrap_or(self.emitted)
    }

    /// The stream position where audio of call time `at` belongs.
    fn ideal_position(&mut self, at: u64) -> u64 {
        let end = self.end();
        let position = at.saturating_sub(*self.origin.get_or_insert(at));
        if position <= end.saturating_add(LONGEST_FILL) {
            return position;
        }
        self.origin = Some(at - end);
        end
    }

    /// Hands out what stands before the stream position `end`, on every channel.
    fn emit_to(&mut self, end: u64, out: &mut Vec<Block>) {
        for channel in &mut self.channels {
            channel.pad_to(end);
        }
        while self.emitted < end {
            let block = self.next_block(in_one_block(end - self.emitted));
            self.emitted += u64::from(block.samples);
            out.push(block);
        }
    }

    /// The next `most` samples, or fewer where silence on all channels begins or ends.
    fn next_block(&mut self, most: u32) -> Block {
        let (length, silent) = self.next_stretch(most);
        if silent {
            self.channels
                .iter_mut()
                .for_each(|channel| channel.pending.take(length, |_| {}));
            return Block {
                samples: length,
                audio: Audio::Silence,
            };
        }
        let width = self.channels.len();
        let mut interleaved = Vec::with_capacity(most as usize * width);
        let mut samples = 0;
        while samples < most {
            let (length, silent) = self.next_stretch(most - samples);
            if silent {
                break;
            }
            let start = interleaved.len();
            interleaved.resize(start + length as usize * width, ulaw::SILENCE);
            for (index, channel) in self.channels.iter_mut().enumerate() {
                let lane = interleaved[start..].chunks_exact_mut(width);
                channel.pending.take(length, |bytes| {
                    lane.zip(bytes)
                        .for_each(|(frame, &byte)| frame[index] = byte);
                });
            }
            samples += length;
        }
        // Boxed, a block that was cut short gives back what it doesn't need.
        Block {
            samples,
            audio: Audio::Samples(interleaved.into_boxed_slice().into()),
        }
    }

    /// How far, within `most`, each channel is of one kind, and whether all are silence there.
    fn next_stretch(&self, most: u32) -> (u32, bool) {
        self.channels
            .iter()
            .filter_map(|channel| channel.pending.front())
            .fold((most, true), |(length, silent), run| {
                (
                    length.min(in_one_block(run.samples)),
                    silent && !run.arrived,
                )
            })
    }
}

/// How long a channel that has begun is waited for: 300 ms. Twilio's delivery gaps reach 233 ms.
const PATIENCE: u64 = 300 * SAMPLES_PER_MS;

/// The most samples in a block: 250 ms.
const MAX_BLOCK: u32 = 2_000;

fn in_one_block(samples: u64) -> u32 {
    u32::try_from(samples).unwrap_or(MAX_BLOCK).min(MAX_BLOCK)
}

/// One channel; its positions are stream positions unless they are said to be call time.
#[derive(Debug, Default)]
struct Channel {
    pending: Pending,
    map: TimeMap,
    /// Where what was pushed ends.
    end: u64,
    /// Call time of the end of its last audio.
    reached: u64,
    /// Whether the other channel waits for it: it has sent a frame and was not given up since.
    awaited: bool,
}

impl Channel {
    /// Appends audio of call time `at`, at `position` or, if that is taken, later.
    fn push(&mut self, position: u64, at: u64, payload: &[u8]) {
        self.pad_to(position);
        self.map.audio(self.end, at);
        self.pending.push(payload);
        let samples = payload.len() as u64;
        self.end += samples;
        self.reached = at.saturating_add(samples);
        self.awaited = true;
    }

    /// Appends silence if the channel ends before `position`.
    fn pad_to(&mut self, position: u64) {
        if self.end < position {
            self.map.silence(self.end);
            self.pending.push_silence(position - self.end);
            self.end = position;
        }
    }

    fn memory_bytes(&self) -> usize {
        size_of::<Self>() + self.pending.heap_bytes() + self.map.heap_bytes()
    }
}

#[cfg(test)]
mod tests;
