//! Whatever arrives, every byte comes out once, on its channel, in order of arrival, at its time.

use proptest::collection::vec;
use proptest::prelude::*;
use sidetone_audio::{Audio, Block, Interleaver, SAMPLES_PER_MS, Timeline, Track, ulaw};

const MEMORY_LIMIT: usize = 64 * 1024;

/// What happens on a line.
#[derive(Clone, Debug)]
enum Step {
    /// A frame of `track`, whose timestamp follows its last one by 20 ms and `jump_ms`, and which
    /// arrives `delay_ms` after the last.
    Frame {
        track: Track,
        jump_ms: i64,
        delay_ms: u64,
        len: usize,
    },
    /// A frame with a timestamp and an arrival out of nowhere.
    Wild {
        track: Track,
        timestamp_ms: u64,
        arrival: u64,
        len: usize,
    },
    /// A flush.
    Drain,
}

fn track() -> impl Strategy<Value = Track> {
    prop::sample::select(&Track::ALL[..])
}

fn step() -> impl Strategy<Value = Step> {
    let jump_ms = prop_oneof![
        12 => -2i64..=2,
        4 => -80i64..200,
        2 => -11_000i64..11_000,
        1 => -60_000i64..60_000,
    ];
    let delay_ms = prop_oneof![8 => 0u64..40, 1 => 0u64..400, 1 => 0u64..60_000];
    let len = prop_oneof![12 => Just(160usize), 3 => 0usize..1_000, 1 => 0usize..50_000];
    let frame =
        (track(), jump_ms, delay_ms, len.clone()).prop_map(|(track, jump_ms, delay_ms, len)| {
            Step::Frame {
                track,
                jump_ms,
                delay_ms,
                len,
            }
        });
    let wild = (track(), any::<u64>(), any::<u64>(), len).prop_map(
        |(track, timestamp_ms, arrival, len)| Step::Wild {
            track,
            timestamp_ms,
            arrival,
            len,
        },
    );
    prop_oneof![30 => frame, 1 => wild, 10 => Just(Step::Drain)]
}

/// A frame as it was pushed.
struct Pushed {
    at: u64,
    payload: Vec<u8>,
}

/// A line with one or two tracks, and what came of it.
struct Line {
    channels: usize,
    timeline: Timeline,
    interleaver: Interleaver,
    timestamps_ms: [u64; 2],
    arrival: u64,
    pushed: [Vec<Pushed>; 2],
    blocks: Vec<Block>,
    /// Makes the payload: any code but 0xFF, or any code at all.
    code: fn(u64) -> u8,
    codes: u64,
}

impl Line {
    fn run(channels: usize, code: fn(u64) -> u8, steps: &[Step]) -> Self {
        let mut line = Self {
            channels,
            timeline: Timeline::default(),
            interleaver: Interleaver::new(channels),
            timestamps_ms: [100; 2],
            arrival: 0,
            pushed: [Vec::new(), Vec::new()],
            blocks: Vec::new(),
            code,
            codes: 0,
        };
        for step in steps {
            line.step(step);
            let held = line.interleaver.memory_bytes() + size_of::<Timeline>();
            assert!(held < MEMORY_LIMIT, "{held} bytes are held");
        }
        line.interleaver.finish(&mut line.blocks);
        assert!(!line.interleaver.pending());
        line
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Frame {
                track,
                jump_ms,
                delay_ms,
                len,
            } => {
                let timestamp_ms = &mut self.timestamps_ms[track.index()];
                *timestamp_ms = timestamp_ms
                    .saturating_add(20)
                    .saturating_add_signed(jump_ms);
                let timestamp_ms = *timestamp_ms;
                self.arrival = self.arrival.saturating_add(delay_ms * SAMPLES_PER_MS);
                self.frame(track, timestamp_ms, self.arrival, len);
            }
            Step::Wild {
                track,
                timestamp_ms,
                arrival,
                len,
            } => {
                self.frame(track, timestamp_ms, arrival, len);
            }
            Step::Drain => self.interleaver.drain(&mut self.blocks),
        }
    }

    fn frame(&mut self, track: Track, timestamp_ms: u64, arrival: u64, len: usize) {
        let track = if self.channels == 1 {
            Track::Inbound
        } else {
            track
        };
        let payload: Vec<u8> = (self.codes..).take(len).map(self.code).collect();
        self.codes += len as u64;
        let at = self.timeline.place(track, timestamp_ms, len, arrival).at;
        self.interleaver
            .push(track.index(), at, &payload, &mut self.blocks);
        self.pushed[track.index()].push(Pushed { at, payload });
    }

    /// All samples of a channel, silence included.
    fn channel(&self, channel: usize) -> Vec<u8> {
        let mut codes = Vec::new();
        for block in &self.blocks {
            match &block.audio {
                Audio::Silence => codes.resize(codes.len() + block.samples as usize, ulaw::SILENCE),
                Audio::Samples(bytes) => {
                    codes.extend(bytes.iter().skip(channel).step_by(self.channels));
                }
            }
        }
        codes
    }

    /// The shape of what came out: the length of each block, and whether it is a count.
    fn shape(&self) -> Vec<(u32, bool)> {
        self.blocks
            .iter()
            .map(|block| (block.samples, block.audio == Audio::Silence))
            .collect()
    }
}

/// Never 0xFF, so that whatever is 0xFF in the result was filled in.
fn audible(index: u64) -> u8 {
    u8::try_from(index % 255).expect("a remainder of 255 is less")
}

/// All codes, and long runs of digital silence.
fn any_code(index: u64) -> u8 {
    let [low, high, ..] = index.to_le_bytes();
    if high & 4 == 0 { ulaw::SILENCE } else { low }
}

proptest! {
    #[test]
    fn every_byte_comes_out_once_in_order_at_its_time(
        channels in 1usize..=2,
        steps in vec(step(), 1..150),
    ) {
        let line = Line::run(channels, audible, &steps);
        for channel in 0..channels {
            let heard = line.channel(channel);
            let mut positions = (0u64..).zip(&heard).filter(|&(_, &code)| code != ulaw::SILENCE);
            for frame in &line.pushed[channel] {
                let mut call_time = frame.at;
                for &code in &frame.payload {
                    let (position, &came_out) = positions.next().expect("every byte comes out");
                    prop_assert_eq!(came_out, code);
                    prop_assert_eq!(line.interleaver.call_time(channel, position), call_time);
                    call_time = call_time.saturating_add(1);
                }
            }
            prop_assert_eq!(positions.next(), None, "no byte comes out twice");
        }
    }

    #[test]
    fn blocks_are_whole_and_silence_on_all_channels_is_a_count(
        channels in 1usize..=2,
        steps in vec(step(), 1..150),
    ) {
        for block in Line::run(channels, audible, &steps).blocks {
            prop_assert!((1..=2_000).contains(&block.samples));
            if let Audio::Samples(bytes) = block.audio {
                prop_assert_eq!(bytes.len(), block.samples as usize * channels);
                let mut moments = bytes.chunks(channels);
                prop_assert!(moments.all(|codes| codes.iter().any(|&code| code != ulaw::SILENCE)));
            }
        }
    }

    /// With the first property this accounts for silence that arrived, sample by sample.
    #[test]
    fn where_audio_goes_does_not_depend_on_what_it_is(
        channels in 1usize..=2,
        steps in vec(step(), 1..150),
    ) {
        let marked = Line::run(channels, audible, &steps);
        let line = Line::run(channels, any_code, &steps);
        prop_assert_eq!(line.shape(), marked.shape());
        for channel in 0..channels {
            let mut arrived = line.pushed[channel].iter().flat_map(|frame| frame.payload.clone());
            for (came_out, mark) in line.channel(channel).into_iter().zip(marked.channel(channel)) {
                let filled = mark == ulaw::SILENCE;
                prop_assert_eq!(Some(came_out), if filled { Some(mark) } else { arrived.next() });
            }
        }
    }
}
