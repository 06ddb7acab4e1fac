//! What Deepgram says, as the call is told it.

use sidetone_deepgram::connection::Input;
use sidetone_deepgram::listen::link::{Event, Output};
use sidetone_deepgram::listen::message::ServerMessage;

use crate::rig::{Rig, config, events, final_of, interim_of, messages, ms, results, samples};

#[test]
fn interims_and_finals_are_told_with_source_positions() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    let interim = rig.give_text(&interim_of((0.0, 1.1), &[("Hello", 0.5, 0.9)]));
    let [Event::Transcript(transcript)] = events(&interim)[..] else {
        panic!("{interim:?}")
    };
    assert!(!transcript.is_final);
    assert_eq!((transcript.start, transcript.end), (0, samples(1_100)));

    let text = final_of((0.0, 2.5), &[("Hello,", 0.5, 0.9), ("you.", 1.0, 1.2)]);
    let outputs = rig.give_text(&text);
    let [Event::Transcript(transcript)] = events(&outputs)[..] else {
        panic!("{outputs:?}")
    };
    assert!(transcript.is_final);
    assert_eq!(transcript.text, "Hello, you.");
    assert_eq!(
        (
            transcript.words[1].word.as_str(),
            transcript.words[1].text.as_str()
        ),
        ("you", "you.")
    );
    assert_eq!(
        (transcript.words[1].start, transcript.words[1].end),
        (samples(1_000), samples(1_200))
    );
    assert_eq!(messages(&outputs), [text.as_str()]);
}

#[test]
fn empty_results_are_no_transcripts_but_move_the_boundary() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    assert_eq!(
        events(&rig.give_text(&interim_of((0.0, 1.0), &[]))),
        Vec::<&Event>::new()
    );
    let outputs = rig.give_text(&final_of((0.0, 2.0), &[]));
    assert_eq!(
        events(&outputs),
        [&Event::EmptyFinal {
            channel: 0,
            end: samples(2_000)
        }]
    );
}

#[test]
fn a_word_told_to_begin_before_its_window_is_not_lost() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    rig.give_text(&final_of((0.0, 1.0), &[("One", 0.5, 0.95)]));
    let outputs = rig.give_text(&final_of((1.0, 2.0), &[("Two", 0.9, 1.05)]));
    let [Event::Transcript(transcript)] = events(&outputs)[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(transcript.text, "Two");
}

#[test]
fn a_final_that_comes_twice_is_told_once() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    let text = final_of((0.0, 2.0), &[("Once", 0.5, 0.9)]);
    assert!(matches!(
        events(&rig.give_text(&text))[..],
        [Event::Transcript(_)]
    ));
    assert!(matches!(
        events(&rig.give_text(&text))[..],
        [Event::EmptyFinal { .. }]
    ));
}

#[test]
fn each_channel_has_its_own_boundary() {
    let mut rig = Rig::new(config(2));
    rig.give_opened();
    rig.talk(3_000);
    rig.give_text(&results((1, 2), (0.0, 3.0), true, &[("Callee", 0.5, 0.9)]));
    let outputs = rig.give_text(&results((0, 2), (0.0, 1.0), true, &[("Caller", 0.5, 0.9)]));
    let [Event::Transcript(transcript)] = events(&outputs)[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(
        (transcript.channel, transcript.text.as_str()),
        (0, "Caller")
    );
    rig.give_closed(None, "reset");
    assert_eq!(rig.link.behind(), ms(2_300), "from before the smaller one");
    assert_eq!(
        rig.give_text(&results((2, 3), (0.0, 1.0), true, &[("Who", 0.5, 0.9)])),
        []
    );
}

#[test]
fn speech_and_utterances_are_told_once_with_their_positions() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    let started = r#"{"type":"SpeechStarted","channel":[0,1],"timestamp":0.5}"#;
    let outputs = rig.give_text(started);
    assert_eq!(
        events(&outputs),
        [&Event::SpeechStarted {
            channel: 0,
            at: samples(500)
        }]
    );
    let ended = r#"{"type":"UtteranceEnd","channel":[0],"last_word_end":1.25}"#;
    let outputs = rig.give_text(ended);
    assert_eq!(
        events(&outputs),
        [&Event::UtteranceEnded {
            channel: 0,
            at: samples(1_250)
        }]
    );
    let again = rig.give_text(ended);
    assert_eq!((events(&again).len(), messages(&again)), (0, vec![ended]));
    let unknown = rig.give_text(r#"{"type":"UtteranceEnd","channel":[0,1],"last_word_end":-1}"#);
    assert_eq!(events(&unknown).len(), 0);
}

#[test]
fn complaints_are_told_once_in_a_row() {
    let mut rig = Rig::open();
    let text = r#"{"type":"Error","variant":"SchemaError","description":"request schema is invalid","message":"?"}"#;
    let outputs = rig.give_text(text);
    let detail = "request schema is invalid (SchemaError)".to_owned();
    assert_eq!(events(&outputs), [&Event::Warned { detail }]);
    assert_eq!(events(&rig.give_text(text)).len(), 0);
    assert_eq!(events(&rig.give_text(r#"{"type":"Warning"}"#)).len(), 1);
}

#[test]
fn what_is_new_to_this_version_passes_through() {
    let mut rig = Rig::open();
    let text = r#"{ "type":"Sentiment", "score":0.5 }"#;
    assert_eq!(
        rig.give_text(text),
        [Output::Event(Event::Message { text: text.into() })]
    );
}

#[test]
fn times_beyond_the_audio_are_cut_to_it() {
    let mut rig = Rig::open();
    rig.talk(1_000);
    let outputs = rig.give_text(&final_of((0.0, 1e300), &[("Far", 0.5, 1e300)]));
    let [Event::Transcript(transcript)] = events(&outputs)[..] else {
        panic!("{outputs:?}")
    };
    assert_eq!(
        (transcript.end, transcript.words[0].end),
        (samples(1_000), samples(1_000))
    );
}

#[test]
fn what_people_say_is_not_in_any_debug_text() {
    let mut rig = Rig::open();
    rig.talk(3_000);
    let text = final_of((0.0, 2.5), &[("Secret,", 0.5, 0.9)]);
    let message = ServerMessage::parse(&text).unwrap();
    let input = Input::Text {
        generation: 1,
        text: &text,
    };
    let before = format!("{message:?} {input:?}");
    let outputs = rig.give_text(&text);
    let debug = format!("{before} {outputs:?}").to_lowercase();
    assert!(!debug.contains("secret"), "{debug}");
    assert!(
        debug.contains("transcript") && debug.contains("end: 20000"),
        "{debug}"
    );
}
