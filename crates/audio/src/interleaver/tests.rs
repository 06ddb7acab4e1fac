use super::*;

const SECOND: u64 = 8_000;
const FRAME: u64 = 160;

/// An interleaver and all that has come out of it, one list of samples for each channel.
struct Heard {
    interleaver: Interleaver,
    blocks: Vec<Block>,
}

impl Heard {
    fn new(channels: usize) -> Self {
        Self {
            interleaver: Interleaver::new(channels),
            blocks: Vec::new(),
        }
    }

    fn mono() -> Self {
        Self::new(1)
    }

    fn stereo() -> Self {
        Self::new(2)
    }

    fn push(&mut self, channel: usize, at: u64, payload: &[u8]) -> &mut Self {
        self.interleaver
            .push(channel, at, payload, &mut self.blocks);
        self
    }

    /// Pushes `code` as frames of 20 ms, `from..to`.
    fn frames(&mut self, channel: usize, from: u64, to: u64, code: u8) -> &mut Self {
        for at in (from..to).step_by(160) {
            self.push(channel, at, &[code; 160]);
        }
        self
    }

    fn drain(&mut self) -> &mut Self {
        self.interleaver.drain(&mut self.blocks);
        self
    }

    fn finish(&mut self) -> &mut Self {
        self.interleaver.finish(&mut self.blocks);
        self
    }

    fn samples(&self) -> u64 {
        self.blocks
            .iter()
            .map(|block| u64::from(block.samples))
            .sum()
    }

    fn silence_counted(&self) -> u64 {
        let silent = self
            .blocks
            .iter()
            .filter(|block| block.audio == Audio::Silence);
        silent.map(|block| u64::from(block.samples)).sum()
    }

    fn channel(&self, channel: usize) -> Vec<u8> {
        let channels = self.interleaver.channels.len();
        let mut codes = Vec::new();
        for block in &self.blocks {
            match &block.audio {
                Audio::Silence => codes.resize(codes.len() + block.samples as usize, 0xFF),
                Audio::Samples(samples) => {
                    codes.extend(samples.iter().skip(channel).step_by(channels));
                }
            }
        }
        codes
    }

    /// What came out on `channel`, as runs of one code each.
    fn runs(&self, channel: usize) -> Vec<(u8, u64)> {
        let codes = self.channel(channel);
        codes
            .chunk_by(|a, b| a == b)
            .map(|run| (run[0], run.len() as u64))
            .collect()
    }
}

#[test]
fn a_long_burst_on_both_channels_is_not_padded_in_its_middle() {
    let mut heard = Heard::stereo();
    // Five seconds at once, one channel 1 ms behind the other.
    for at in (0..5 * SECOND).step_by(160) {
        heard.push(0, at, &[1; 160]).push(1, at + 8, &[2; 160]);
    }
    heard.finish();
    assert_eq!(heard.runs(0), [(1, 40_000), (0xFF, 8)]);
    assert_eq!(heard.runs(1), [(0xFF, 8), (2, 40_000)]);
}

#[test]
fn nothing_comes_of_nothing() {
    let mut heard = Heard::stereo();
    heard.push(0, 77, &[]).drain().finish();
    assert_eq!(heard.blocks, []);
    assert!(!heard.interleaver.pending());
    heard.push(1, 5_000, &[1]).drain();
    assert_eq!(
        heard.interleaver.call_time(1, 0),
        5_000,
        "an empty payload is no beginning"
    );
}

#[test]
fn two_channels_are_interleaved_sample_by_sample() {
    let mut heard = Heard::stereo();
    heard.push(0, 0, &[1, 2, 3]).push(1, 0, &[4, 5, 6]).drain();
    let samples = Audio::Samples(Bytes::from_static(&[1, 4, 2, 5, 3, 6]));
    assert_eq!(
        heard.blocks,
        [Block {
            samples: 3,
            audio: samples
        }]
    );
}

#[test]
fn one_channel_passes_as_it_is() {
    let mut heard = Heard::mono();
    heard.push(0, 90, &[1, 2]).push(0, 92, &[3]).drain();
    let samples = Audio::Samples(Bytes::from_static(&[1, 2, 3]));
    assert_eq!(
        heard.blocks,
        [Block {
            samples: 3,
            audio: samples
        }]
    );
}

#[test]
fn what_waits_is_told() {
    let mut heard = Heard::stereo();
    heard.frames(1, 0, FRAME, 1).drain();
    heard.frames(0, FRAME, 3 * FRAME, 1).drain();
    assert!(heard.interleaver.pending());
    assert_eq!(heard.interleaver.buffered(), 2 * FRAME);
}

#[test]
fn blocks_hold_at_most_250_ms() {
    let mut heard = Heard::mono();
    heard.push(0, 0, &[7; 4_500]).drain();
    let lengths: Vec<u32> = heard.blocks.iter().map(|block| block.samples).collect();
    assert_eq!(lengths, [2_000, 2_000, 500]);
}

#[test]
fn a_hole_is_filled_and_is_a_count() {
    let mut heard = Heard::mono();
    heard
        .frames(0, 0, FRAME, 1)
        .frames(0, 10 * SECOND, 10 * SECOND + FRAME, 2)
        .drain();
    let hole = 10 * SECOND - FRAME;
    assert_eq!(heard.runs(0), [(1, FRAME), (0xFF, hole), (2, FRAME)]);
    assert_eq!(heard.silence_counted(), hole);
}

#[test]
fn a_hole_on_one_channel_is_filled_beside_the_other() {
    let mut heard = Heard::stereo();
    heard
        .frames(0, 0, FRAME, 1)
        .frames(0, 2 * FRAME, 3 * FRAME, 2)
        .frames(1, 0, 3 * FRAME, 3);
    heard.drain();
    assert_eq!(heard.runs(0), [(1, FRAME), (0xFF, FRAME), (2, FRAME)]);
    assert_eq!(heard.runs(1), [(3, 3 * FRAME)]);
    assert_eq!(heard.silence_counted(), 0);
}

#[test]
fn digital_silence_that_arrived_stays() {
    let mut heard = Heard::mono();
    heard.frames(0, 0, 3 * FRAME, 0xFF).drain();
    assert_eq!((heard.samples(), heard.silence_counted()), (3 * FRAME, 0));
}

#[test]
fn a_gap_of_more_than_10_s_is_not_filled() {
    let mut heard = Heard::mono();
    let resumed = FRAME + 10 * SECOND + 1;
    heard
        .frames(0, 0, FRAME, 1)
        .push(0, resumed, &[2; 160])
        .push(0, resumed + 320, &[3; 160]);
    heard.drain();
    assert_eq!(
        heard.runs(0),
        [(1, FRAME), (2, FRAME), (0xFF, FRAME), (3, FRAME)]
    );
    assert_eq!(heard.interleaver.call_time(0, FRAME - 1), FRAME - 1);
    assert_eq!(heard.interleaver.call_time(0, FRAME), resumed);
}

#[test]
fn after_a_gap_both_channels_are_level_again() {
    let mut heard = Heard::stereo();
    heard.frames(0, 0, FRAME, 1).frames(1, 0, 2 * FRAME, 2);
    let resumed = 30 * SECOND;
    heard.frames(1, resumed, resumed + FRAME, 4).drain();
    heard.frames(0, resumed, resumed + FRAME, 3).drain();
    assert_eq!(heard.runs(0), [(1, FRAME), (0xFF, FRAME), (3, FRAME)]);
    assert_eq!(heard.runs(1), [(2, 2 * FRAME), (4, FRAME)]);
}

#[test]
fn a_channel_far_behind_is_filled_up_to_the_other() {
    let mut heard = Heard::stereo();
    heard.frames(1, 0, FRAME, 2);
    for second in [0, 9, 18, 27] {
        heard.push(0, second * SECOND, &[1; 160]);
    }
    heard.push(1, 27 * SECOND, &[3; 160]).drain();
    assert_eq!(
        heard.runs(1),
        [(2, FRAME), (0xFF, 27 * SECOND - FRAME), (3, FRAME)]
    );
}

#[test]
fn late_audio_goes_out_late_and_keeps_its_time() {
    let mut heard = Heard::mono();
    heard
        .frames(0, 0, 2 * FRAME, 1)
        .push(0, 0, &[2; 160])
        .push(0, 2 * FRAME, &[3; 160])
        .drain();
    assert_eq!(heard.runs(0), [(1, 2 * FRAME), (2, FRAME), (3, FRAME)]);
    assert_eq!(heard.interleaver.call_time(0, 2 * FRAME + 5), 5);
    assert_eq!(heard.interleaver.call_time(0, 3 * FRAME + 5), 2 * FRAME + 5);
}

#[test]
fn a_later_hole_is_filled_the_less_for_late_audio() {
    let mut heard = Heard::mono();
    heard
        .frames(0, 0, 2 * FRAME, 1)
        .push(0, 0, &[2; 160])
        .push(0, 5 * FRAME, &[3; 160])
        .drain();
    assert_eq!(
        heard.runs(0),
        [(1, 2 * FRAME), (2, FRAME), (0xFF, 2 * FRAME), (3, FRAME)]
    );
}

#[test]
fn a_channel_that_has_not_begun_is_not_waited_for() {
    let mut heard = Heard::stereo();
    heard.frames(0, 0, FRAME, 1).drain();
    assert_eq!(heard.runs(0), [(1, FRAME)]);
    assert_eq!(heard.runs(1), [(0xFF, FRAME)]);
}

#[test]
fn a_channel_that_begins_late_stands_beside_the_other() {
    let mut heard = Heard::stereo();
    heard.frames(0, 0, 5 * FRAME, 1).drain();
    heard
        .frames(0, 5 * FRAME, 7 * FRAME, 1)
        .frames(1, 6 * FRAME, 7 * FRAME, 2)
        .drain();
    assert_eq!(heard.runs(1), [(0xFF, 6 * FRAME), (2, FRAME)]);
    assert_eq!(heard.interleaver.call_time(1, 6 * FRAME), 6 * FRAME);
}

#[test]
fn a_channel_that_lags_is_waited_for_during_300_ms() {
    let mut heard = Heard::stereo();
    heard.frames(0, 0, FRAME, 1).frames(1, 0, FRAME, 2).drain();
    heard.frames(0, FRAME, 15 * FRAME, 1).drain();
    assert_eq!(heard.samples(), FRAME, "280 ms wait");
    heard.frames(1, FRAME, 2 * FRAME, 2).drain();
    assert_eq!(heard.samples(), 2 * FRAME, "what both have leaves");
    heard.frames(0, 15 * FRAME, 17 * FRAME, 1).drain();
    assert_eq!(heard.samples(), 17 * FRAME, "300 ms do not");
    assert_eq!(heard.runs(1), [(2, 2 * FRAME), (0xFF, 15 * FRAME)]);
}

#[test]
fn a_channel_given_up_is_not_waited_for_until_it_sends_again() {
    let mut heard = Heard::stereo();
    heard
        .frames(1, 0, FRAME, 2)
        .frames(0, 0, 16 * FRAME, 1)
        .drain();
    heard.frames(0, 16 * FRAME, 17 * FRAME, 1).drain();
    assert_eq!(heard.samples(), 17 * FRAME, "not waited for");
    heard.frames(1, 17 * FRAME, 18 * FRAME, 3).drain();
    heard.frames(0, 17 * FRAME, 19 * FRAME, 1).drain();
    assert_eq!(heard.samples(), 18 * FRAME, "waited for again");
    assert_eq!(heard.runs(1), [(2, FRAME), (0xFF, 16 * FRAME), (3, FRAME)]);
}

#[test]
fn a_burst_after_a_stall_does_not_tear_the_other_channel() {
    let mut heard = Heard::stereo();
    heard.frames(0, 0, FRAME, 1).frames(1, 0, FRAME, 2).drain();
    heard.frames(0, FRAME, 21 * FRAME, 1).drain();
    heard.frames(1, FRAME, 21 * FRAME, 2).drain();
    for frame in 21..100 {
        heard
            .frames(1, frame * FRAME, (frame + 1) * FRAME, 2)
            .drain();
        heard
            .frames(0, frame * FRAME, (frame + 1) * FRAME, 1)
            .drain();
    }
    assert_eq!(heard.runs(0), [(1, 100 * FRAME)]);
    assert_eq!(
        heard.runs(1),
        [(2, FRAME), (0xFF, 20 * FRAME), (2, 79 * FRAME)]
    );
    heard.finish();
    assert_eq!(
        heard.runs(1)[2],
        (2, 99 * FRAME),
        "what is left leaves at the end"
    );
}

#[test]
fn a_channel_that_ran_ahead_and_stopped_holds_the_other_up_for_1_s_at_most() {
    let mut heard = Heard::stereo();
    heard
        .frames(0, 0, 500 * FRAME, 1)
        .frames(1, 0, FRAME, 2)
        .drain();
    heard.frames(1, FRAME, 52 * FRAME, 2).drain();
    assert!(!heard.interleaver.pending());
    heard.frames(1, 52 * FRAME, 53 * FRAME, 2).drain();
    assert!(!heard.interleaver.pending(), "it is given up");
}

#[test]
fn finishing_pads_the_shorter_channel() {
    let mut heard = Heard::stereo();
    heard
        .frames(0, 0, 2 * FRAME, 1)
        .frames(1, 0, FRAME, 2)
        .finish();
    assert_eq!(heard.runs(0), [(1, 2 * FRAME)]);
    assert_eq!(heard.runs(1), [(2, FRAME), (0xFF, FRAME)]);
    assert!(!heard.interleaver.pending());
}

#[test]
fn a_huge_payload_leaves_at_once() {
    let payload: Vec<u8> = (0..=250).cycle().take(49_152).collect();
    let mut heard = Heard::stereo();
    heard.frames(1, 0, FRAME, 2).push(0, 0, &payload);
    assert!(heard.interleaver.buffered() <= SECOND);
    assert!(heard.interleaver.memory_bytes() < 32 * 1024);
    heard.finish();
    assert_eq!(heard.channel(0), payload);
    assert_eq!(heard.channel(1).len(), payload.len());
}

#[test]
fn memory_is_bounded_when_tiny_frames_alternate_with_holes_and_nothing_is_drained() {
    let mut heard = Heard::stereo();
    let mut most = 0;
    for frame in 0..20_000 {
        let channel = usize::from(frame % 3 == 0);
        // Every other frame is a step back, so that no two belong together.
        heard.push(channel, frame * 400 + frame % 2 * 1_000, &[1]);
        most = most.max(heard.interleaver.memory_bytes());
        heard.blocks.clear();
    }
    for burst in 0..100 {
        heard.push(burst % 2, 9_000_000, &vec![1; 160 + burst * 163]);
        most = most.max(heard.interleaver.memory_bytes());
        heard.blocks.clear();
    }
    assert!(
        most + size_of::<crate::Timeline>() < 64 * 1024,
        "{most} bytes"
    );
}

#[test]
fn silence_before_a_late_channel_keeps_the_time_of_the_audio_beside_it() {
    let mut heard = Heard::stereo();
    // Channel 1 stalls for 400 ms; its audio is delivered afterwards.
    heard
        .frames(1, 0, FRAME, 2)
        .frames(0, 0, 21 * FRAME, 1)
        .drain();
    heard.frames(1, FRAME, 2 * FRAME, 3).finish();
    assert_eq!(heard.runs(1), [(2, FRAME), (0xFF, 20 * FRAME), (3, FRAME)]);
    for position in FRAME..21 * FRAME {
        assert_eq!(heard.interleaver.call_time(1, position), FRAME);
    }
    assert_eq!(heard.interleaver.call_time(1, 21 * FRAME + 7), FRAME + 7);
}

#[test]
fn silence_before_a_gap_keeps_the_time_of_the_audio_on_either_side() {
    let mut heard = Heard::stereo();
    heard.frames(1, 0, FRAME, 2).frames(0, 0, 3 * FRAME, 1);
    let resumed = 30 * SECOND;
    heard.push(1, resumed, &[3; 160]).drain();
    assert_eq!(heard.interleaver.call_time(1, FRAME + 40), FRAME + 40);
    assert_eq!(heard.interleaver.call_time(1, 3 * FRAME - 40), resumed - 40);
}

#[test]
fn positions_that_have_not_come_continue_the_last_audio() {
    let mut heard = Heard::stereo();
    assert_eq!(heard.interleaver.call_time(0, 12), 12);
    heard.frames(0, 1_000, 1_000 + FRAME, 1).drain();
    assert_eq!(
        heard.interleaver.call_time(0, FRAME + 50),
        1_000 + FRAME + 50
    );
    assert_eq!(
        heard.interleaver.call_time(1, 50),
        1_050,
        "a channel that has not begun"
    );
}

#[test]
fn any_number_of_holes_leaves_the_time_of_what_was_before() {
    let mut heard = Heard::mono();
    heard.push(0, 0, &[1; 160]).push(0, 20 * SECOND, &[2; 160]);
    for hole in 1..=1_000 {
        heard.push(0, (20 + hole) * SECOND, &[3; 160]).drain();
    }
    assert_eq!(heard.interleaver.call_time(0, 80), 80);
}

#[test]
fn forgetting_keeps_the_time_of_what_may_still_be_asked() {
    let mut heard = Heard::mono();
    for second in 0..40 {
        heard.push(0, second * 11 * SECOND, &[1; 160]);
    }
    heard.interleaver.forget_before(20 * FRAME + 80);
    for second in 20..40 {
        let position = second * FRAME + 100;
        assert_eq!(
            heard.interleaver.call_time(0, position),
            second * 11 * SECOND + 100
        );
    }
    assert_ne!(
        heard.interleaver.call_time(0, 100),
        100,
        "what was forgotten is gone"
    );
}

#[test]
fn call_times_at_the_end_of_all_numbers_saturate() {
    let mut heard = Heard::stereo();
    heard
        .push(0, 0, &[1; 160])
        .push(1, u64::MAX, &[2; 20_000])
        .push(0, u64::MAX - 3, &[3; 160]);
    heard.drain().finish();
    assert_eq!(heard.interleaver.call_time(0, u64::MAX), u64::MAX);
    assert_eq!(
        heard.channel(1).iter().filter(|&&code| code == 2).count(),
        20_000
    );
}
