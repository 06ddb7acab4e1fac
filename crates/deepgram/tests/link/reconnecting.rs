//! Losing connections, and being refused.

use std::time::Duration;

use bytes::Bytes;
use sidetone_audio::{Audio, Block, ulaw};
use sidetone_deepgram::connection::Input;
use sidetone_deepgram::listen::link::{Event, Output, Recovered};
use sidetone_deepgram::listen::message::Close;

use crate::rig::{
    LOUD, Rig, audio_len, config, events, final_of, interim_of, messages, ms, samples,
};

/// Lets time pass until another connection is asked for; gives how long that took.
fn wait_for_connect(rig: &mut Rig) -> Duration {
    let since = rig.now;
    let generation = rig.generation();
    while rig.generation() == generation {
        let due = rig.link.poll_timeout().expect("another try is due");
        rig.wait(due - rig.now);
    }
    rig.now - since
}

fn disconnected(outputs: &[Output]) -> (&str, u32) {
    let [
        Event::Disconnected {
            reason, attempt, ..
        },
    ] = events(outputs)[..]
    else {
        panic!("{outputs:?}")
    };
    (reason, *attempt)
}

#[test]
fn a_lost_connection_is_made_again_and_what_follows_the_last_final_is_sent_again() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.give_text(&final_of(
        (0.0, 2.0),
        &[("Hello", 1.0, 1.3), ("there.", 1.4, 1.9)],
    ));
    let lost = rig.give_closed(Some(Close::NET_0000.code), Close::NET_0000.reason);
    let (reason, attempt) = disconnected(&lost);
    assert!(
        reason.starts_with("closed with 1011: Deepgram did not provide"),
        "{reason}"
    );
    assert_eq!(attempt, 1);

    let outage = wait_for_connect(&mut rig);
    assert!(outage <= ms(250), "{outage:?}");
    let outputs = rig.give_opened();
    // The last final word is 1.4 to 1.9 s and the boundary 2.0 s, so 1.7 s it is.
    let recovered = Some(Recovered {
        replayed: ms(1_300),
        outage,
    });
    assert_eq!(
        events(&outputs),
        [&Event::Connected {
            request_id: Some("r2".into()),
            recovered
        }]
    );

    // The new connection counts from 0 again, and hears the end of "there" once more.
    rig.wait(ms(2_000));
    let again = final_of((0.0, 1.3), &[("There", 0.25, 0.4), ("Who", 0.5, 0.7)]);
    let heard = rig.give_text(&again);
    let [Event::Transcript(transcript)] = events(&heard)[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(transcript.text, "Who");
    assert_eq!(
        (transcript.start, transcript.end),
        (samples(2_000), samples(3_000))
    );
    assert_eq!(transcript.words[0].start, samples(2_200));
}

/// A word that is told to end after its window leaves no room to run up in.
#[test]
fn a_word_told_too_late_does_not_take_the_run_up_from_the_next_one() {
    for (word, from) in [((1.9, 2.1), 1.9), ((1.98, 2.06), 1.9), ((1.5, 1.9), 1.7)] {
        let mut rig = Rig::open();
        rig.talk(3_000);
        rig.give_text(&final_of((0.0, 2.0), &[("there", word.0, word.1)]));
        rig.give_closed(None, "reset");
        wait_for_connect(&mut rig);
        rig.give_opened();
        rig.wait(ms(2_000));
        // The first word that the new connection tells, at its own 0.5 s.
        let heard = rig.give_text(&final_of((0.0, 1.3), &[("Who", 0.5, 0.7)]));
        let [Event::Transcript(transcript)] = events(&heard)[..] else {
            panic!("{heard:?}")
        };
        let began = transcript.words[0].start - samples(500);
        assert_eq!(began, samples((from * 1_000.0) as u64), "{word:?}");
    }
}

#[test]
fn words_already_final_are_taken_out_of_messages_and_their_times_are_shifted() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    let first = final_of((0.0, 2.0), &[("One", 0.5, 0.8), ("two.", 1.8, 1.95)]);
    assert_eq!(
        messages(&rig.give_text(&first)),
        [first.as_str()],
        "byte for byte"
    );
    rig.give_closed(None, "reset");
    wait_for_connect(&mut rig);
    rig.give_opened();

    rig.wait(ms(2_000));
    // The connection began at 1.875 s, the middle of the last final word.
    let emptied = rig.give_text(&interim_of((0.0, 0.3), &[("two", 0.0, 0.075)]));
    assert_eq!(emptied, [], "nothing is left of it");
    let reaching_back = interim_of((0.0, 1.0), &[("two.", 0.0, 0.075), ("Three", 0.325, 0.625)]);
    let outputs = rig.give_text(&reaching_back);
    let [message] = messages(&outputs)[..] else {
        panic!("{outputs:?}")
    };
    assert!(message.contains(r#""transcript":"Three""#), "{message}");
    assert!(message.contains(r#""start":1.875"#), "{message}");
    assert!(
        message.contains(r#"{"word":"three","start":2.2,"end":2.5,"#),
        "{message}"
    );
    assert!(!message.contains("two"), "{message}");

    let empty = rig.give_text(&final_of((0.0, 0.5), &[]));
    assert_eq!(messages(&empty).len(), 1, "silence is told as it is");
    assert_eq!(
        events(&empty),
        [&Event::EmptyFinal {
            channel: 0,
            end: samples(2_375)
        }]
    );
}

/// A link that heard one word as the last of its first two seconds, lost its connection, and has
/// sent two seconds on the next.
fn reconnected_after(word: (&str, f64, f64)) -> Rig {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.give_text(&final_of((0.0, 2.0), &[word]));
    rig.give_closed(None, "reset");
    wait_for_connect(&mut rig);
    rig.give_opened();
    rig.wait(ms(2_000));
    rig
}

#[test]
fn a_word_repeated_by_the_speaker_is_not_taken_out() {
    let mut rig = reconnected_after(("No", 1.5, 1.9));
    let heard = rig.give_text(&final_of((0.0, 1.3), &[("no", 0.25, 0.65)]));
    let [Event::Transcript(transcript)] = events(&heard)[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(transcript.text, "no");
}

/// Windows end in hundredths of a second, so one may end a little before its last word.
#[test]
fn the_rest_of_a_word_that_outlasts_its_window_is_not_told_again() {
    // From 1.7 s on: the word ends at 2.008 s, and its times are told 100 ms late.
    let mut rig = reconnected_after(("No", 1.5, 1.9));
    let heard = rig.give_text(&final_of((0.0, 1.3), &[("no", 0.2, 0.408)]));
    assert!(
        matches!(events(&heard)[..], [Event::EmptyFinal { .. }]),
        "{heard:?}"
    );
}

#[test]
fn a_connection_that_only_complains_is_no_new_beginning_for_the_back_off() {
    let mut rig = Rig::open();
    for attempt in 1..=6 {
        rig.give_text(r#"{"type":"Error","description":"not today"}"#);
        let lost = rig.give_closed(Some(1008), "DATA-0000");
        let told = events(&lost).into_iter().find_map(|event| match event {
            Event::Disconnected { attempt, .. } => Some(*attempt),
            _ => None,
        });
        assert_eq!(told, Some(attempt));
        assert!(wait_for_connect(&mut rig) <= ms(250 << (attempt - 1)).min(ms(5_000)));
        rig.give_opened();
    }
}

#[test]
fn a_connection_that_sends_binary_is_replaced() {
    let mut rig = Rig::open();
    rig.talk(2_000);
    let outputs = rig.give(Input::Binary {
        generation: 1,
        audio: &Bytes::from_static(b"not JSON"),
    });
    assert_eq!(outputs[0], Output::Close { generation: 1 });
    let (reason, _) = disconnected(&outputs);
    assert_eq!(reason, "Deepgram sent a binary message");
    wait_for_connect(&mut rig);
}

#[test]
fn late_messages_of_an_old_connection_are_ignored() {
    let mut rig = Rig::open();
    rig.talk(2_000);
    rig.give_closed(None, "reset");
    wait_for_connect(&mut rig);
    rig.give_opened();
    let late = final_of((0.0, 1.0), &[("Ghost", 0.2, 0.6)]);
    for input in [
        Input::Text {
            generation: 1,
            text: &late,
        },
        Input::Binary {
            generation: 1,
            audio: &Bytes::from_static(b"late"),
        },
        Input::Pong { generation: 1 },
        Input::Closed {
            generation: 1,
            code: Some(1000),
            reason: "",
        },
        Input::Opened {
            generation: 1,
            request_id: None,
        },
        Input::Refused {
            generation: 2,
            status: 401,
            words: "late",
            retry_after: None,
        },
    ] {
        assert_eq!(rig.give(input), []);
    }
}

#[test]
fn a_refusal_for_good_is_told_in_deepgrams_words_and_tried_again_after_30_s() {
    let mut rig = Rig::new(config(1));
    let words = "Invalid credentials. (INVALID_AUTH)";
    let outputs = rig.give(Input::Refused {
        generation: 1,
        status: 401,
        words,
        retry_after: None,
    });
    let failed = Event::Failed {
        status: 401,
        words: words.into(),
    };
    assert_eq!(outputs, [Output::Event(failed)]);
    assert_eq!(wait_for_connect(&mut rig), Duration::from_secs(30));
    let outputs = rig.give_opened();
    let recovered = Recovered {
        replayed: Duration::ZERO,
        outage: Duration::from_secs(30),
    };
    assert_eq!(
        events(&outputs),
        [&Event::Connected {
            request_id: Some("r2".into()),
            recovered: Some(recovered)
        }]
    );
}

#[test]
fn a_passing_refusal_is_tried_again_with_growing_waits_and_retry_after_is_kept_to() {
    let mut rig = Rig::new(config(1));
    for attempt in 1..=8 {
        let generation = rig.generation();
        let outputs = rig.give(Input::Refused {
            generation,
            status: 503,
            words: "Please try again later",
            retry_after: None,
        });
        assert_eq!(
            disconnected(&outputs),
            ("refused with 503: Please try again later", attempt)
        );
        assert!(wait_for_connect(&mut rig) <= ms(250 << (attempt - 1)).min(ms(5_000)));
    }
    let generation = rig.generation();
    rig.give(Input::Refused {
        generation,
        status: 429,
        words: "Too many requests.",
        retry_after: Some(Duration::from_secs(7)),
    });
    let waited = wait_for_connect(&mut rig);
    assert!((ms(7_000)..=ms(7_250)).contains(&waited), "{waited:?}");
}

#[test]
fn a_connection_of_which_nothing_is_heard_at_all_is_asked_for_again_after_45_s() {
    let mut rig = Rig::new(config(1));
    let outputs = rig.wait(ms(45_000));
    assert_eq!(outputs[0], (ms(45_000), Output::Close { generation: 1 }));
    assert_eq!(rig.give_opened(), [], "too late");
}

#[test]
fn a_connection_without_any_sign_of_life_is_replaced_after_10_s() {
    let mut rig = Rig::open();
    let outputs = rig.wait(ms(11_000));
    let closed = outputs
        .iter()
        .find(|(_, output)| *output == Output::Close { generation: 1 });
    assert_eq!(closed.expect("it is replaced").0, ms(10_000));
    assert!(
        outputs
            .iter()
            .any(|(_, output)| *output == Output::Connect { generation: 2 })
    );
}

#[test]
fn a_connection_that_answers_pings_but_not_speech_is_replaced() {
    let closes_after = |interim_results: bool| {
        let mut config = config(1);
        config.interim_results = interim_results;
        let mut rig = Rig::new(config);
        rig.give_opened();
        let close = Output::Close { generation: 1 };
        while !rig.give_sound(60).contains(&close) {
            rig.wait(ms(60));
            rig.give(Input::Pong { generation: 1 });
            assert!(rig.now - rig.start < Duration::from_secs(25));
        }
        (rig.now - rig.start).as_secs()
    };
    assert_eq!(closes_after(true), 10);
    assert_eq!(closes_after(false), 20);
}

#[test]
fn silence_without_results_is_no_stall() {
    let mut rig = Rig::open();
    rig.give_sound(60);
    for _ in 0..60 {
        rig.wait(ms(1_000));
        assert!(
            !rig.give_silence(1_000)
                .contains(&Output::Close { generation: 1 })
        );
        rig.give(Input::Pong { generation: 1 });
    }
}

#[test]
fn a_message_that_cannot_be_read_may_have_been_a_final_so_its_audio_is_heard_again() {
    let mut rig = Rig::open();
    rig.talk(1_000);
    let outputs = rig.give_text(r#"{"type":"Results","is_final":true,"cha"#);
    assert_eq!(outputs[0], Output::Close { generation: 1 });
    wait_for_connect(&mut rig);
    assert_eq!(audio_len(&rig.give_opened()), samples(60));
}

#[test]
fn sounds_that_fell_out_of_the_window_are_told_as_a_gap_when_the_connection_is_back() {
    let mut small = config(2);
    small.replay_window = Duration::from_secs(2);
    let mut rig = Rig::new(small);
    rig.give_opened();
    rig.give_closed(None, "reset");
    wait_for_connect(&mut rig);
    rig.give_silence(6_000);
    rig.give_sound(600);
    rig.give_silence(3_000);
    let outputs = rig.give_opened();
    let gap = |channel| Event::Gap {
        channel,
        at: samples(6_000),
        duration: samples(600),
    };
    assert_eq!(events(&outputs)[1..], [&gap(0), &gap(1)]);
}

#[test]
fn dropped_silence_is_no_gap() {
    let mut small = config(1);
    small.replay_window = Duration::from_secs(2);
    let mut rig = Rig::new(small);
    rig.give_sound(60);
    rig.give_opened();
    rig.give_text(&final_of((0.0, 0.06), &[]));
    rig.give_closed(None, "reset");
    wait_for_connect(&mut rig);
    for _ in 0..100 {
        rig.give_silence(60);
    }
    let outputs = rig.give_opened();
    assert!(
        matches!(events(&outputs)[..], [Event::Connected { .. }]),
        "{outputs:?}"
    );
}

/// A block may hold the end of what was heard, a pause, and the beginning of what is still to come.
#[test]
fn a_pause_between_two_sounds_of_one_block_is_no_gap() {
    let mut rig = Rig::new(config(1));
    let stretches = [(LOUD, 100), (ulaw::SILENCE, 800), (LOUD, 300)];
    let codes = stretches.map(|(code, length_ms)| vec![code; samples(length_ms) as usize]);
    rig.hear(Block {
        samples: samples(1_200) as u32,
        audio: Audio::Samples(codes.concat().into()),
    });
    // Each connection lives for one message of 250 ms, and only the first one tells anything.
    rig.give_opened();
    rig.give_text(&final_of((0.0, 0.15), &[("No", 0.0, 0.1)]));
    for _ in 1..=5 {
        rig.give_closed(None, "reset");
        wait_for_connect(&mut rig);
        assert_eq!(audio_len(&rig.give_opened()), samples(250));
    }
    rig.give_closed(None, "reset");
    wait_for_connect(&mut rig);
    // Nothing is sent again, so this one begins in the pause, with no sound left behind.
    let outputs = rig.give_opened();
    let events = events(&outputs);
    assert!(
        matches!(events[..], [Event::Connected { .. }]),
        "{events:?}"
    );
}

#[test]
fn a_gap_begins_with_its_first_sound_whatever_was_lost_before() {
    let mut small = config(1);
    small.replay_window = Duration::from_secs(2);
    let mut rig = Rig::new(small);
    for said_at in [0, 6_600] {
        rig.give_silence(3_000);
        rig.give_sound(600);
        rig.give_silence(3_000);
        let gap = Event::Gap {
            channel: 0,
            at: samples(said_at + 3_000),
            duration: samples(600),
        };
        let outputs = rig.give_opened();
        assert_eq!(events(&outputs)[1..], [&gap]);
        rig.wait(ms(3_000));
        rig.give_closed(None, "reset");
        wait_for_connect(&mut rig);
    }
}

#[test]
fn audio_that_five_connections_could_not_hear_is_not_sent_a_sixth_time() {
    let mut rig = Rig::open();
    rig.talk(900);
    for lost in 1..=5 {
        rig.give_closed(None, "reset");
        wait_for_connect(&mut rig);
        let outputs = rig.give_opened();
        if lost < 5 {
            assert_eq!(audio_len(&outputs), samples(900));
        } else {
            let gap = Event::Gap {
                channel: 0,
                at: 0,
                duration: samples(900),
            };
            assert_eq!(events(&outputs)[1], &gap);
            assert_eq!(audio_len(&outputs), 0);
        }
    }
    assert_eq!(
        audio_len(&rig.give_sound(60)),
        samples(60),
        "what comes is heard"
    );
}

#[test]
fn replay_is_limited_to_a_budget() {
    let mut long = config(1);
    long.replay_window = Duration::from_secs(600);
    let mut rig = Rig::new(long);
    rig.give_opened();
    let mut replayed = Duration::ZERO;
    for _ in 0..20 {
        rig.talk(30_000);
        let at = (rig.now - rig.start).as_secs_f64();
        rig.give_text(&final_of((0.0, 0.001 * at), &[]));
        rig.give_closed(None, "reset");
        wait_for_connect(&mut rig);
        for event in events(&rig.give_opened()) {
            if let Event::Connected {
                recovered: Some(recovered),
                ..
            } = event
            {
                replayed += recovered.replayed;
            }
        }
    }
    let call = rig.now - rig.start;
    assert!(replayed > Duration::from_secs(120), "{replayed:?}");
    assert!(
        replayed <= Duration::from_secs(120) + call / 4,
        "{replayed:?}"
    );
}

#[test]
fn the_rest_of_a_number_that_is_written_in_one_is_not_told_again() {
    // From 1.7 s on: the last digit, heard late, and another one that is said now.
    let mut rig = reconnected_after(("49", 1.4, 1.98));
    let again = final_of((0.0, 1.3), &[("9", 0.27, 0.38), ("9", 0.45, 0.8)]);
    let heard = rig.give_text(&again);
    let [Event::Transcript(transcript)] = events(&heard)[..] else {
        panic!("{heard:?}")
    };
    assert_eq!(transcript.text, "9");
    assert_eq!(transcript.words[0].start, samples(2_150));
}

#[test]
fn an_interim_is_withdrawn_with_its_connection() {
    let mut rig = Rig::open();
    rig.talk(2_000);
    rig.give_text(&interim_of((0.0, 1.5), &[("Almost", 0.5, 0.9)]));
    let lost = rig.give_closed(None, "reset");
    assert!(
        matches!(
            events(&lost)[..],
            [
                Event::InterimWithdrawn { channel: 0 },
                Event::Disconnected { .. }
            ]
        ),
        "{lost:?}"
    );
}
