//! Whatever is said and stopped, on whatever line, it is known what the phone has played.

mod call;
mod line;

use std::ops::Range;
use std::time::{Duration, Instant};

use call::Call;
use line::Way;
use proptest::collection::vec;
use proptest::prelude::*;
use sidetone_audio::playout::{Output, Playout};
use sidetone_audio::ulaw;

/// What is done to a playout.
#[derive(Clone, Debug)]
enum Step {
    Begin,
    Say,
    Push(usize),
    End,
    Stop,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    let samples = prop_oneof![4 => 1usize..8_000, 4 => 1usize..500, 1 => Just(160usize)];
    let ms = prop_oneof![4 => 0u64..60, 3 => 0u64..600, 1 => 0u64..3_000];
    prop_oneof![
        4 => Just(Step::Begin),
        2 => Just(Step::Say),
        12 => samples.prop_map(Step::Push),
        2 => Just(Step::End),
        2 => Just(Step::Stop),
        10 => ms.prop_map(Step::Pass),
    ]
}

/// Stretches of time, each after the other.
fn stalls() -> impl Strategy<Value = Vec<Range<u64>>> {
    vec((1_500u64..6_000, 0u64..1_500), 0..6).prop_map(|stalls| {
        let mut end = 0;
        let stretch = |(gap, length)| {
            let start = end + gap;
            end = start + length;
            start..end
        };
        stalls.into_iter().map(stretch).collect()
    })
}

proptest! {
    /// With jitter, and a phone that holds audio for a moment; echoes are late or never come.
    #[test]
    fn what_was_heard_is_right_to_60_ms(
        steps in vec(step(), 1..80),
        (delay_there_ms, delay_back_ms) in (0u64..200, 0u64..200),
        jitter_ms in 0u64..=15,
        echo_stalls in stalls(),
        lost_echoes in prop_oneof![Just(0u64), Just(10), Just(100)],
        hold_ms in 0u64..=30,
        seed: u64,
    ) {
        let there = Way::new(delay_there_ms, jitter_ms, Vec::new());
        let back = Way::new(delay_back_ms, jitter_ms, echo_stalls);
        let mut call = Call::new(seed, there, back, hold_ms);
        call.lost_echoes = lost_echoes;
        for step in steps {
            match step {
                Step::Begin => call.begin(),
                Step::Say => call.say("a text"),
                Step::Push(samples) => call.push(samples),
                Step::End => call.end(),
                Step::Stop => call.stop(),
                Step::Pass(ms) => call.pass(ms),
            }
        }
        call.settle();
    }

    /// Echoes tell how long the phone holds audio, and that it ran dry.
    #[test]
    fn what_was_heard_on_a_phone_that_lags_is_known_within_two_seconds(
        (delay_there_ms, delay_back_ms) in (0u64..200, 0u64..200),
        jitter_ms in 0u64..=15,
        hold_ms in 0u64..=300,
        (stall_at_ms, stall_ms) in (1_500u64..6_000, 0u64..1_500),
        stop_after_ms in 0u64..5_000,
        seed: u64,
    ) {
        let calm_at_ms = stall_at_ms + stall_ms + 2_000;
        let stall = stall_at_ms..stall_at_ms + stall_ms;
        let there = Way::new(delay_there_ms, jitter_ms, vec![stall]);
        let back = Way::new(delay_back_ms, jitter_ms, Vec::new());
        let mut call = Call::new(seed, there, back, hold_ms);
        call.judged_from_ms = calm_at_ms;
        call.most_waiting = usize::MAX;
        call.begin();
        call.push(20 * 8_000);
        call.pass(calm_at_ms + stop_after_ms);
        call.stop();
        call.pass(500);
        call.judged_from_ms = call.now_ms + 2_000;
        call.begin();
        call.push(4 * 8_000);
        call.settle();
    }

    #[test]
    fn every_byte_leaves_once_in_order(
        utterances in vec(vec((0usize..9_000, 0u64..500), 0..12), 1..6),
    ) {
        let mut now = Instant::now();
        let mut playout = Playout::default();
        let mut codes = (0..ulaw::SILENCE).cycle();
        let mut expected = Vec::new();
        for pieces in utterances {
            let utterance = playout.begin(now);
            for (samples, ms) in pieces {
                let audio: Vec<u8> = codes.by_ref().take(samples).collect();
                playout.push(now, utterance, &audio).expect("a test pushes little");
                expected.extend(audio);
                now += Duration::from_millis(ms);
                playout.handle_timeout(now);
            }
            playout.end(now, utterance);
            expected.resize(expected.len().next_multiple_of(160), ulaw::SILENCE);
        }
        let mut sent = Vec::new();
        loop {
            while let Some(output) = playout.poll_output() {
                if let Output::Media(audio) = output {
                    sent.extend(audio);
                }
            }
            let Some(due) = playout.poll_timeout() else { break };
            playout.handle_timeout(now.max(due));
            now = now.max(due);
        }
        prop_assert!(sent == expected);
    }

    #[test]
    fn what_was_said_is_a_beginning_of_the_text_and_grows_to_all_of_it(
        texts in vec(("\\PC{0,80}", vec((1usize..4_000, any::<bool>()), 1..6)), 1..4),
    ) {
        let mut now = Instant::now();
        let mut playout = Playout::default();
        let utterance = playout.begin(now);
        for (text, stretches) in &texts {
            playout.say(now, utterance, text);
            for &(samples, is_silent) in stretches {
                let audio = vec![if is_silent { ulaw::SILENCE } else { 0x2A }; samples];
                playout.push(now, utterance, &audio).expect("a test pushes little");
            }
        }
        playout.end(now, utterance);
        let texts: Vec<_> = texts.iter().map(|(text, _)| text.trim()).collect();
        let texts: Vec<_> = texts.into_iter().filter(|text| !text.is_empty()).collect();
        let whole = texts.join(" ");
        let mut said = String::new();
        while let Some(heard) = playout.heard(now) {
            prop_assert!(heard.text.starts_with(&said), "{:?} after {said:?}", heard.text);
            prop_assert!(whole.starts_with(heard.text), "{:?} of {whole:?}", heard.text);
            said = heard.text.to_owned();
            now += Duration::from_millis(20);
            playout.handle_timeout(now);
        }
        prop_assert_eq!(said, whole);
    }
}
