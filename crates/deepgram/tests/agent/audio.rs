//! The caller's audio: kept, cut into pieces, and silence where there is none.

use serde_json::json;
use sidetone_audio::ulaw;
use sidetone_deepgram::agent::link::Output;

use crate::rig::{Rig, heard_by_deepgram, ms, sent, untimed};

/// Codes that tell their places.
fn codes(from: usize, to: usize) -> Vec<u8> {
    (from..to).map(|n| (n % 0x60) as u8).collect()
}

#[test]
fn what_is_said_before_the_settings_are_applied_is_kept_and_comes_first() {
    let mut rig = Rig::new();
    assert_eq!(rig.hear(&codes(0, 480)), []);
    rig.settle();
    assert_eq!(rig.hear(&codes(480, 1_000)), []);
    assert_eq!(rig.speaks(b"too soon"), []);
    let mut outputs = rig.apply();
    outputs.extend(rig.hear(&codes(1_000, 1_400)));
    assert_eq!(heard_by_deepgram(&outputs), codes(0, 1_400));
}

#[test]
fn blocks_of_any_size_become_pieces_of_20_to_100_ms() {
    let mut rig = Rig::live();
    let mut outputs = Vec::new();
    let mut at = 0;
    for size in [
        160, 800, 1, 158, 1, 900, 810, 2_000, 79, 81, 320, 801, 159, 160,
    ] {
        outputs.extend(rig.hear(&codes(at, at + size)));
        at += size;
    }
    assert_eq!(heard_by_deepgram(&outputs), codes(0, at));
}

#[test]
fn a_long_block_leaves_nothing_behind() {
    for length in [801, 959, 960, 1_601] {
        let mut rig = Rig::live();
        assert_eq!(
            heard_by_deepgram(&rig.hear(&codes(0, length))),
            codes(0, length)
        );
    }
}

#[test]
fn thirty_seconds_are_kept_and_the_oldest_goes_first() {
    let mut rig = Rig::new();
    for second in 0..40 {
        rig.hear(&codes(second * 8_000, (second + 1) * 8_000));
    }
    rig.settle();
    assert_eq!(heard_by_deepgram(&rig.apply()), codes(80_000, 320_000));
}

#[test]
fn silence_stands_in_for_audio_that_does_not_come() {
    let mut rig = Rig::greeted();
    rig.hear(&codes(0, 100));
    let outputs = rig.wait(ms(20_050));
    let audio: Vec<_> = outputs
        .iter()
        .filter(|(_, output)| matches!(output, Output::SendAudio { .. }))
        .map(|(at, _)| at.as_millis())
        .collect();
    let expected: Vec<u128> = (200..=20_000).step_by(100).collect();
    assert_eq!(audio, expected, "in real time");
    let outputs = untimed(outputs);
    let heard = heard_by_deepgram(&outputs);
    assert_eq!(
        heard[..100],
        codes(0, 100),
        "what was too short to send went with it"
    );
    assert!(ulaw::is_silent(&heard[100..]));
    let keep_alive = json!({ "type": "KeepAlive" });
    assert_eq!(sent(&outputs), [keep_alive.clone(), keep_alive]);
    assert_eq!(heard_by_deepgram(&rig.hear(&codes(0, 160))), codes(0, 160));
}

/// The hole in the caller's audio is told when audio comes again; a part of it has silence already.
#[test]
fn a_hole_and_the_silence_that_stood_in_for_it_do_not_add_up() {
    let mut rig = Rig::live();
    rig.hear(&codes(0, 160));
    let made = heard_by_deepgram(&untimed(rig.wait(ms(1_050)))).len();
    let rest = heard_by_deepgram(&rig.hear_silence(8_000));
    assert_eq!(made + rest.len(), 8_000);
    assert!(ulaw::is_silent(&rest));
    let next = heard_by_deepgram(&rig.hear_silence(400));
    assert_eq!(next.len(), 400, "another hole");

    // A line that only stood still brings everything, and nothing is counted off from then on.
    rig.wait(ms(1_050));
    assert_eq!(
        heard_by_deepgram(&rig.hear(&codes(0, 8_000))),
        codes(0, 8_000)
    );
    assert_eq!(heard_by_deepgram(&rig.hear_silence(400)).len(), 400);
}

#[test]
fn audio_that_comes_has_no_silence_between() {
    let mut rig = Rig::greeted();
    for n in 0..500 {
        let outputs = untimed(rig.wait(ms(if n % 10 == 0 { 190 } else { 20 })));
        assert!(heard_by_deepgram(&outputs).is_empty());
        assert!(sent(&outputs).is_empty());
        rig.hear(&[0x7A; 160]);
    }
    assert_eq!(
        heard_by_deepgram(&rig.hear_silence(160)),
        [ulaw::SILENCE; 160]
    );
}
