use proptest::prelude::*;

use super::*;
use crate::Track::{Inbound, Outbound};

const FRAME: u64 = 160;

/// A track whose first frame stood at 0, with the timestamp 100; arrivals are as the timestamps.
struct Line(Timeline);

impl Line {
    fn begun() -> Self {
        let mut line = Self(Timeline::default());
        assert_eq!(line.frame(100), at(0));
        line
    }

    fn frame(&mut self, timestamp_ms: u64) -> Placement {
        self.frame_arriving(
            timestamp_ms,
            timestamp_ms.saturating_sub(100) * SAMPLES_PER_MS,
        )
    }

    fn frame_arriving(&mut self, timestamp_ms: u64, arrival: u64) -> Placement {
        self.0.place(Inbound, timestamp_ms, 160, arrival)
    }
}

fn ms(ms: u64) -> u64 {
    ms * SAMPLES_PER_MS
}

fn at(at: u64) -> Placement {
    Placement {
        at,
        hole: 0,
        gap: None,
    }
}

fn gap(at: u64, duration: u64, reason: GapReason) -> Option<Gap> {
    Some(Gap {
        at,
        duration,
        reason,
    })
}

#[test]
fn the_first_frame_of_a_stream_stands_at_its_arrival() {
    let mut timeline = Timeline::default();
    assert_eq!(timeline.place(Outbound, 171, 160, 5_555), at(5_555));
    assert_eq!(timeline.end(), 5_555 + FRAME);
}

#[test]
fn the_other_track_is_placed_by_the_difference_of_timestamps() {
    let mut line = Line::begun();
    assert_eq!(line.0.place(Outbound, 350, 160, ms(400)), at(ms(250)));
}

#[test]
fn the_other_track_does_not_begin_before_the_call() {
    let mut line = Line::begun();
    assert_eq!(line.0.place(Outbound, 30, 160, ms(20)), at(0));
    assert_eq!(line.0.place(Outbound, 50, 160, ms(40)), at(FRAME));
}

#[test]
fn the_other_track_stands_at_its_arrival_when_its_timestamps_are_strange() {
    for strange_ms in [1_000_000, u64::MAX] {
        let mut line = Line::begun();
        assert_eq!(
            line.0.place(Outbound, strange_ms, 160, ms(400)),
            at(ms(400))
        );
        assert_eq!(
            line.0.place(Outbound, strange_ms, 160, ms(420)),
            at(ms(420))
        );
    }
}

#[test]
fn the_other_track_may_begin_long_after() {
    let mut line = Line::begun();
    assert_eq!(
        line.0.place(Outbound, 60_100, 160, ms(61_000)),
        at(ms(60_000))
    );
}

#[test]
fn tracks_of_a_later_stream_do_not_begin_in_an_earlier_one() {
    let mut timeline = Timeline::default();
    timeline.place(Inbound, 1_000_000, 160, ms(60_000));
    assert_eq!(timeline.place(Outbound, 0, 160, ms(60_020)), at(ms(60_020)));
}

#[test]
fn wobble_leaves_frames_end_to_end() {
    let mut line = Line::begun();
    for (frame, timestamp_ms) in [(1, 121), (2, 139), (3, 200), (4, 140), (5, 200)] {
        assert_eq!(
            line.frame(timestamp_ms),
            at(frame * FRAME),
            "{timestamp_ms}"
        );
    }
}

#[test]
fn a_step_of_40_ms_is_wobble_and_one_of_41_ms_is_a_hole() {
    assert_eq!(Line::begun().frame(160), at(FRAME));
    assert_eq!(
        Line::begun().frame(161),
        Placement {
            hole: ms(41),
            ..at(ms(61))
        }
    );
}

#[test]
fn what_single_missing_frames_add_up_to_is_filled_where_one_is_missing() {
    let mut line = Line::begun();
    let mut filled = Vec::new();
    let mut frame = 0;
    for part in 0..6 {
        for in_part in 0..50 {
            frame += 1;
            let wobble = [0, 1, 2, 1][in_part % 4];
            // Before each part, a frame was not sent.
            let hole = line.frame(99 + wobble + 20 * (frame + part + 1)).hole;
            if hole > 0 {
                filled.push((part, in_part, hole / SAMPLES_PER_MS));
            }
        }
    }
    let places: Vec<_> = filled.iter().map(|(part, at, _)| (*part, *at)).collect();
    assert_eq!(places, [(2, 0), (5, 0)], "{filled:?}");
    assert!(filled.iter().all(|(.., hole_ms)| hole_ms.abs_diff(60) <= 2));
}

#[test]
fn a_step_of_10_s_is_a_hole_whatever_the_arrival_clock_says() {
    let hole = Placement {
        hole: ms(10_000),
        ..at(ms(10_020))
    };
    assert_eq!(Line::begun().frame_arriving(10_120, 0), hole);
    assert_eq!(Line::begun().frame_arriving(10_120, ms(900_000)), hole);
}

#[test]
fn a_longer_step_that_the_arrival_clock_bears_out_is_a_gap_of_the_carrier() {
    for arrival in [ms(25_020), ms(30_020), ms(35_020)] {
        let mut line = Line::begun();
        let after = line.frame_arriving(30_120, arrival);
        assert_eq!(after.at, ms(30_020));
        assert_eq!(after.gap, gap(FRAME, ms(30_000), GapReason::Carrier));
        assert_eq!(line.frame_arriving(30_140, arrival), at(ms(30_040)));
    }
}

#[test]
fn a_longer_step_that_it_does_not_bear_out_sets_the_clock() {
    for arrival in [ms(40), ms(25_019), ms(35_021)] {
        let mut line = Line::begun();
        let after = line.frame_arriving(30_120, arrival);
        assert_eq!(after.at, FRAME);
        assert_eq!(after.gap, gap(FRAME, ms(30_000), GapReason::Clock));
        assert_eq!(line.frame_arriving(30_140, arrival), at(2 * FRAME));
        assert_eq!(
            line.frame_arriving(30_260, arrival).hole,
            ms(100),
            "the clock is set"
        );
    }
}

#[test]
fn a_clock_that_jumps_back_is_set_whatever_the_arrival_clock_says() {
    for arrival in [0, ms(20_020)] {
        let mut line = Line::begun();
        assert_eq!(line.frame(10_100).hole, ms(9_980));
        assert_eq!(line.frame(20_100).hole, ms(9_980));
        let after = line.frame_arriving(100, arrival);
        assert_eq!(after.at, ms(20_020));
        assert_eq!(after.gap, gap(ms(20_020), ms(20_020), GapReason::Clock));
        assert_eq!(line.frame(120), at(ms(20_040)));
    }
}

#[test]
fn a_clock_that_jumps_back_to_before_the_call_is_set() {
    let mut timeline = Timeline::default();
    let (begun, hour) = (3_600_100, 3_600_000);
    assert_eq!(timeline.place(Inbound, begun, 160, 0), at(0));
    let after = timeline.place(Inbound, 100, 160, FRAME);
    assert_eq!(after.at, FRAME);
    assert_eq!(after.gap, gap(FRAME, ms(hour) + FRAME, GapReason::Clock));
    assert_eq!(timeline.place(Inbound, 120, 160, 2 * FRAME), at(2 * FRAME));
}

#[test]
fn a_late_frame_stands_where_its_timestamp_says_and_makes_no_hole() {
    let mut line = Line::begun();
    for frame in 1..5 {
        assert_eq!(line.frame(100 + frame * 20), at(frame * FRAME));
    }
    assert_eq!(line.frame(140), at(2 * FRAME));
    assert_eq!(line.frame(200), at(5 * FRAME));
    assert_eq!(line.frame(160), at(3 * FRAME));
    assert_eq!(
        line.frame(140),
        at(4 * FRAME),
        "a step back of 40 ms is wobble there, too"
    );
    assert_eq!(line.frame(220), at(6 * FRAME));
    assert_eq!(line.0.end(), 7 * FRAME);
}

#[test]
fn a_run_of_late_frames_stands_end_to_end() {
    let mut line = Line::begun();
    assert_eq!(line.frame(2_100).hole, ms(1_980));
    assert_eq!(line.frame(1_100), at(ms(1_000)));
    assert_eq!(line.frame(1_121), at(ms(1_020)));
    assert_eq!(line.frame(1_139), at(ms(1_040)));
    assert_eq!(
        line.frame(1_500),
        at(ms(1_400)),
        "within what has its place there is no hole"
    );
    assert_eq!(
        line.frame(2_120),
        at(ms(2_020)),
        "what is current goes on at the furthest end"
    );
}

#[test]
fn slow_drift_is_followed_quietly() {
    for (frame_us, drift) in [
        (19_970, "samples run ahead"),
        (20_030, "samples fall behind"),
    ] {
        let mut line = Line::begun();
        for frame in 1..20_000 {
            let timestamp_ms = frame * frame_us / 1_000;
            let placement = line.frame(100 + timestamp_ms);
            assert_eq!(placement.gap, None, "{drift}");
            assert!(placement.hole <= ms(52), "{drift}");
            assert!(placement.at.abs_diff(ms(timestamp_ms)) <= ms(51), "{drift}");
        }
    }
}

#[test]
fn an_empty_frame_moves_nothing() {
    let mut line = Line::begun();
    assert_eq!(line.0.place(Inbound, 120, 0, 0), at(FRAME));
    assert_eq!(line.frame(120), at(FRAME));
}

proptest! {
    #[test]
    fn whatever_arrives_is_placed(
        frames in prop::collection::vec(
            (any::<bool>(), stamp(), 0usize..50_000, stamp()),
            1..60,
        ),
    ) {
        let mut timeline = Timeline::default();
        for (outbound, timestamp_ms, len, arrival) in frames {
            let end = timeline.end();
            let track = if outbound { Outbound } else { Inbound };
            let placement = timeline.place(track, timestamp_ms, len, arrival);
            prop_assert!(placement.hole <= LONGEST_FILL);
            prop_assert!(placement.hole == 0 || placement.gap.is_none());
            prop_assert!(timeline.end() >= end);
            prop_assert!(timeline.end() >= placement.at.saturating_add(len as u64));
        }
    }
}

/// Mostly times of a call, sometimes absurd ones.
fn stamp() -> impl Strategy<Value = u64> {
    prop_oneof![4 => 0u64..100_000, 1 => any::<u64>(), 1 => (0u64..100_000).prop_map(|t| u64::MAX - t)]
}
