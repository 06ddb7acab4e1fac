//! Keeping a connection, and what it is sent.

use std::time::Duration;

use bytes::Bytes;
use sidetone_audio::{Audio, Block};
use sidetone_deepgram::connection::Input;
use sidetone_deepgram::listen::link::{Event, Output};
use sidetone_deepgram::listen::message::KEEP_ALIVE;

use crate::rig::{Rig, audio_len, config, events, final_of, ms, samples};

const PONG_1: Input<'_> = Input::Pong { generation: 1 };

#[test]
fn words_spoken_while_connecting_are_sent_when_the_connection_opens() {
    let mut rig = Rig::new(config(1));
    assert_eq!(rig.talk(600), []);
    assert_eq!(rig.link.behind(), ms(600));
    let outputs = rig.give_opened();
    assert_eq!(audio_len(&outputs), samples(600));
    assert_eq!(rig.link.behind(), Duration::ZERO);
}

#[test]
fn live_audio_is_sent_as_it_comes() {
    let mut rig = Rig::open();
    let audio = Bytes::from_static(&[0x21; 480]);
    let block = Block {
        samples: 480,
        audio: Audio::Samples(audio.clone()),
    };
    assert_eq!(
        rig.hear(block),
        [Output::SendAudio {
            generation: 1,
            audio
        }]
    );
}

#[test]
fn a_backlog_is_sent_at_the_replay_rate_until_it_has_caught_up() {
    let mut rig = Rig::new(config(1));
    rig.talk(5_000);
    let at_once = audio_len(&rig.give_opened());
    assert!(at_once <= samples(250), "{at_once}");

    let mut sent = at_once;
    let opened = rig.now;
    while rig.link.behind() > ms(250) {
        sent += audio_len(&rig.talk(60));
        let most = (rig.now - opened).mul_f64(1.25) + ms(250);
        assert!(
            sent <= samples(most.as_millis() as u64),
            "{sent} after {most:?}"
        );
        assert!(
            rig.now - opened < Duration::from_secs(21),
            "gains 0.25 s a second"
        );
    }
    rig.talk(1_500);
    assert_eq!(audio_len(&rig.give_sound(60)), samples(60), "live again");
}

#[test]
fn no_message_is_longer_than_250_ms() {
    let mut rig = Rig::new(config(2));
    rig.hear(Block {
        samples: 7_000,
        audio: Audio::Silence,
    });
    let outputs = rig.give_opened();
    let lengths: Vec<usize> = outputs
        .iter()
        .filter_map(|output| match output {
            Output::SendAudio { audio, .. } => Some(audio.len()),
            _ => None,
        })
        .collect();
    assert_eq!(lengths, [4_000, 4_000, 4_000, 2_000]);
}

#[test]
fn a_pause_is_bridged_by_keepalive_every_4_s() {
    let mut rig = Rig::open();
    rig.give_sound(60);
    let mut said = Vec::new();
    for _ in 0..9 {
        said.extend(rig.wait(ms(1_000)));
        rig.give(PONG_1);
    }
    said.retain(|(_, output)| !matches!(output, Output::Ping { .. }));
    let keep_alive = Output::SendText {
        generation: 1,
        text: KEEP_ALIVE,
    };
    let expected: Vec<(Duration, &Output)> =
        vec![(ms(4_000), &keep_alive), (ms(8_000), &keep_alive)];
    assert_eq!(
        said.iter()
            .map(|(at, output)| (*at, output))
            .collect::<Vec<_>>(),
        expected
    );
}

#[test]
fn a_silent_start_is_answered_with_a_frame_that_takes_no_time() {
    let mut rig = Rig::open();
    let said = rig.wait(ms(3_000));
    let frame = Bytes::from_static(&[0xFF; 160]);
    assert_eq!(
        said,
        [(
            ms(3_000),
            Output::SendAudio {
                generation: 1,
                audio: frame
            }
        )]
    );

    let later = rig.wait(ms(4_000));
    assert!(later.iter().any(|(at, output)| {
        (*at, output)
            == (
                ms(7_000),
                &Output::SendText {
                    generation: 1,
                    text: KEEP_ALIVE,
                },
            )
    }));

    rig.give_sound(1_000);
    let heard = rig.give_text(&final_of((0.0, 1.02), &[("Hello.", 0.12, 0.42)]));
    let [Event::Transcript(transcript)] = events(&heard)[..] else {
        panic!("{heard:?}")
    };
    assert_eq!((transcript.start, transcript.end), (0, 8_000));
    assert_eq!(
        (transcript.words[0].start, transcript.words[0].end),
        (800, 3_200)
    );
}

#[test]
fn finals_release_the_audio_before_them() {
    let mut rig = Rig::open();
    rig.talk(2_000);
    rig.give_text(&final_of((0.0, 1.5), &[("Hello.", 0.2, 0.6)]));
    rig.give_closed(None, "reset");
    assert_eq!(
        rig.link.behind(),
        ms(800),
        "from 300 ms before the final's end"
    );
    assert_eq!(rig.link.boundary(), 0, "events may look back 10 s");
}

#[test]
fn memory_stays_within_the_window_when_no_final_ever_comes() {
    let mut small = config(1);
    small.replay_window = Duration::from_secs(2);
    let mut rig = Rig::new(small);
    rig.give_opened();
    for _ in 0..5 {
        rig.talk(5_000);
        rig.give_text(r#"{"type":"Whatever"}"#);
    }
    rig.give_closed(None, "reset");
    let kept = rig.link.behind();
    assert!(kept >= ms(2_000) && kept <= ms(2_060), "{kept:?}");
}

#[test]
fn a_ping_goes_out_every_5_s() {
    let mut rig = Rig::open();
    let mut pings = Vec::new();
    for _ in 0..15 {
        pings.extend(rig.wait(ms(1_000)));
        rig.give(PONG_1);
    }
    pings.retain(|(_, output)| matches!(output, Output::Ping { generation: 1 }));
    let times: Vec<Duration> = pings.into_iter().map(|(at, _)| at).collect();
    assert_eq!(times, [ms(5_000), ms(10_000), ms(15_000)]);
}

#[test]
fn silence_that_is_older_than_the_window_is_not_sent_again_before_what_was_said() {
    let mut small = config(1);
    small.replay_window = Duration::from_secs(2);
    let mut rig = Rig::new(small);
    rig.give_silence(30_000);
    rig.give_sound(1_200);
    assert_eq!(
        rig.link.behind(),
        ms(2_300),
        "the window, and silence to run up with"
    );
}
