//! Coming to an end.

use std::time::Duration;

use sidetone_deepgram::connection::Input;
use sidetone_deepgram::listen::link::{Event, Output};
use sidetone_deepgram::listen::message::CLOSE_STREAM;

use crate::rig::{
    METADATA, Rig, audio_len, config, events, final_of, interim_of, messages, ms, samples,
};

const FINISHED: Output = Output::Event(Event::Finished);

/// What asks for the end: `CloseStream`, and a ping that tells whether anyone is there.
fn asks_for_the_end(generation: u32) -> [Output; 2] {
    [
        Output::SendText {
            generation,
            text: CLOSE_STREAM,
        },
        Output::Ping { generation },
    ]
}

fn only(outputs: Vec<(Duration, Output)>) -> Vec<Output> {
    outputs.into_iter().map(|(_, output)| output).collect()
}

#[test]
fn the_last_finals_and_metadata_are_waited_for() {
    let mut rig = Rig::open();
    rig.talk(1_000);
    assert_eq!(rig.finish(), asks_for_the_end(1));
    let heard = rig.give_text(&final_of((0.0, 1.0), &[("Bye.", 0.2, 0.6)]));
    assert!(matches!(events(&heard)[..], [Event::Transcript(_)]));
    let outputs = rig.give_text(METADATA);
    let metadata = Output::Event(Event::Message {
        text: METADATA.into(),
    });
    assert_eq!(
        outputs,
        [metadata, Output::Close { generation: 1 }, FINISHED]
    );
    assert_eq!(rig.link.poll_timeout(), None);
    assert_eq!(rig.finish(), []);
}

#[test]
fn a_close_after_the_last_final_is_an_end_as_well() {
    let mut rig = Rig::open();
    rig.talk(1_000);
    rig.finish();
    rig.give_text(&final_of((0.0, 1.0), &[("Bye.", 0.2, 0.6)]));
    assert_eq!(rig.give_closed(Some(1000), ""), [FINISHED]);
}

#[test]
fn a_backlog_is_sent_at_its_pace_before_the_end_is_asked_for() {
    let mut rig = Rig::new(config(1));
    rig.give_sound(5_000);
    let mut sent = audio_len(&rig.give_opened());
    assert_eq!(rig.finish(), []);
    let paced = rig.wait(ms(4_000));
    let at = paced.last().expect("something was sent").0;
    assert!(at > ms(3_900), "{at:?}");
    let outputs = only(paced);
    sent += audio_len(&outputs);
    assert_eq!(sent, samples(5_000));
    assert!(outputs.ends_with(&asks_for_the_end(1)));
}

#[test]
fn the_wait_for_the_last_finals_has_an_end() {
    let mut rig = Rig::open();
    rig.talk(1_000);
    rig.finish();
    rig.give(Input::Pong { generation: 1 });
    for _ in 0..2 {
        let ping = Output::Ping { generation: 1 };
        assert_eq!(only(rig.wait(ms(2_000))), [ping]);
        rig.give(Input::Pong { generation: 1 });
    }
    let gap = Output::Event(Event::Gap {
        channel: 0,
        at: 0,
        duration: samples(1_000),
    });
    let end = only(rig.wait(ms(1_000)));
    assert!(
        end.ends_with(&[gap, Output::Close { generation: 1 }, FINISHED]),
        "{end:?}"
    );
}

#[test]
fn a_dead_line_at_the_end_is_replaced_while_there_is_time() {
    let mut rig = Rig::open();
    rig.talk(900);
    rig.finish();
    let outputs = only(rig.wait(ms(4_250)));
    assert!(
        outputs.contains(&Output::Close { generation: 1 }),
        "{outputs:?}"
    );
    let outputs = rig.give_opened();
    assert_eq!(audio_len(&outputs), samples(900));
    assert!(outputs.ends_with(&asks_for_the_end(2)));
}

#[test]
fn a_link_that_has_not_opened_yet_ends_at_once_when_no_audio_came() {
    let mut rig = Rig::new(config(1));
    assert_eq!(rig.finish(), [Output::Close { generation: 1 }, FINISHED]);
}

#[test]
fn a_link_that_has_not_opened_yet_still_sends_the_silence_that_came() {
    let mut rig = Rig::new(config(1));
    rig.give_silence(600);
    assert_eq!(rig.finish(), []);
    let outputs = rig.give_opened();
    assert_eq!(audio_len(&outputs), samples(600));
    assert!(outputs.ends_with(&asks_for_the_end(1)));
}

#[test]
fn a_link_that_has_not_opened_yet_still_hears_what_was_said() {
    let mut rig = Rig::new(config(1));
    rig.give_sound(600);
    assert_eq!(rig.finish(), []);
    rig.wait(ms(2_000));
    let outputs = rig.give_opened();
    assert_eq!(audio_len(&outputs), samples(600));
    assert!(outputs.ends_with(&asks_for_the_end(1)));
}

#[test]
fn a_failed_link_ends_at_once_and_tells_what_was_not_heard() {
    let mut rig = Rig::new(config(1));
    rig.give_sound(600);
    rig.give(Input::Refused {
        generation: 1,
        status: 402,
        words: "No credit.",
        retry_after: None,
    });
    let gap = Output::Event(Event::Gap {
        channel: 0,
        at: 0,
        duration: samples(600),
    });
    assert_eq!(rig.finish(), [gap, FINISHED]);
}

#[test]
fn a_connection_lost_at_the_end_is_made_again_for_the_last_words() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.give_text(&final_of((0.0, 1.0), &[("First.", 0.2, 0.6)]));
    rig.finish();
    let lost = rig.give_closed(Some(1006), "reset");
    assert!(matches!(events(&lost)[..], [Event::Disconnected { .. }]));
    let asked = only(rig.wait(ms(250)));
    assert_eq!(asked, [Output::Connect { generation: 2 }]);
    let mut outputs = rig.give_opened();
    outputs.extend(only(rig.wait(ms(2_000))));
    assert_eq!(audio_len(&outputs), samples(2_300));
    assert!(outputs.contains(&asks_for_the_end(2)[0]));
    rig.give_text(&final_of((0.0, 2.3), &[("Last.", 1.0, 1.4)]));
    let end = rig.give_text(METADATA);
    assert_eq!(
        (messages(&end), end.last()),
        (vec![METADATA], Some(&FINISHED))
    );
}

#[test]
fn metadata_before_the_final_of_words_that_were_heard_is_not_the_end() {
    let mut rig = Rig::open();
    rig.talk(2_000);
    rig.give_text(&interim_of((0.0, 1.5), &[("Almost", 0.5, 0.9)]));
    rig.finish();
    let outputs = rig.give_text(METADATA);
    assert_eq!(outputs[0], Output::Close { generation: 1 });
    assert!(
        matches!(
            events(&outputs)[..],
            [
                Event::InterimWithdrawn { channel: 0 },
                Event::Disconnected { .. }
            ]
        ),
        "{outputs:?}"
    );
    assert_eq!(messages(&outputs), Vec::<&str>::new());
}

#[test]
fn an_outage_at_the_end_does_not_hold_the_call_for_ever() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.finish();
    let ended = rig.now;
    rig.give_closed(None, "reset");
    loop {
        let due = rig.link.poll_timeout().expect("not yet finished");
        let outputs = only(rig.wait(due - rig.now));
        if outputs.contains(&FINISHED) {
            break;
        }
        if outputs
            .iter()
            .any(|output| matches!(output, Output::Connect { .. }))
        {
            rig.give_closed(None, "connection refused");
        }
    }
    assert!(
        rig.now - ended <= Duration::from_secs(8),
        "{:?}",
        rig.now - ended
    );
}

#[test]
fn audio_after_the_end_is_not_taken() {
    let mut rig = Rig::open();
    rig.finish();
    assert_eq!(rig.give_sound(60), []);
}

#[test]
fn a_deepgram_that_never_answers_close_stream_is_waited_for_until_the_backlog_is_due_and_5_s() {
    let mut rig = Rig::new(config(1));
    rig.give_sound(10_000);
    rig.give_opened();
    let ended = rig.now;
    rig.finish();
    // Its pings are answered all the while, but no message comes.
    loop {
        let due = rig.link.poll_timeout().expect("not yet finished");
        let outputs = only(rig.wait(due - rig.now));
        if outputs.contains(&FINISHED) {
            break;
        }
        if outputs.contains(&Output::Ping { generation: 1 }) {
            rig.give(Input::Pong { generation: 1 });
        }
    }
    // What waits is all but the first message, which was sent as the connection opened.
    assert_eq!(rig.now - ended, (ms(10_000 - 60)).div_f64(1.25) + ms(5_000));
}

#[test]
fn a_connection_lost_at_the_end_leaves_time_for_all_that_is_sent_again() {
    let mut rig = Rig::open();
    rig.talk(20_000);
    rig.finish();
    rig.give(Input::Pong { generation: 1 });
    rig.give_closed(None, "reset");
    let lost = rig.now;
    let mut refused = 0;
    loop {
        let due = rig.link.poll_timeout().expect("not yet finished");
        let outputs = only(rig.wait(due - rig.now));
        if outputs.contains(&FINISHED) {
            break;
        }
        if rig.generation() > 1 + refused {
            refused += 1;
            rig.give_closed(None, "connection refused");
        }
    }
    assert_eq!(rig.now - lost, ms(20_000).div_f64(1.25) + ms(5_000));
}
