use proptest::prelude::*;
use sidetone_deepgram::listen::message::{Results, ServerMessage};

use super::*;
use crate::voice::{SpokenWord, speak};

/// One channel's audio and the words in it.
#[derive(Clone, Default)]
struct Line {
    ulaw: Vec<u8>,
    words: Vec<SpokenWord>,
}

impl Line {
    fn say(mut self, text: &str) -> Self {
        let at = self.ulaw.len() as u64;
        let speech = speak(text);
        self.ulaw.extend(speech.ulaw);
        let moved = |word: SpokenWord| SpokenWord {
            start: word.start + at,
            end: word.end + at,
            ..word
        };
        self.words.extend(speech.words.into_iter().map(moved));
        self
    }

    fn pause_ms(mut self, ms: usize) -> Self {
        self.ulaw.resize(self.ulaw.len() + ms * 8, SILENCE);
        self
    }
}

fn monologue() -> Line {
    Line::default()
        .pause_ms(700)
        .say("Hello, my name is Anna and I would like to change the delivery address of my order.")
        .pause_ms(900)
        .say(
            "The order number is four seven one one, and the new address is fifteen London street.",
        )
        .pause_ms(6_000)
        .say("Thank you very much, goodbye!")
}

fn recognizer(query: &str) -> Recognizer {
    recognizer_with(query, HearingFlaws::default())
}

fn recognizer_with(query: &str, flaws: HearingFlaws) -> Recognizer {
    let query = format!("encoding=mulaw&sample_rate=8000&{query}");
    let identity = Identity {
        request_id: "id".into(),
        created: "2026-01-01T00:00:00.000Z".into(),
    };
    Recognizer::new(&Query::parse(&query).unwrap(), identity, flaws, 7)
}

/// What is told of this audio, received 60 ms at a time.
fn transcribe(query: &str, audio: &[u8]) -> Vec<ServerMessage> {
    transcribe_with(query, HearingFlaws::default(), audio)
}

fn transcribe_with(query: &str, flaws: HearingFlaws, audio: &[u8]) -> Vec<ServerMessage> {
    let (mut recognizer, mut told) = (recognizer_with(query, flaws), Vec::new());
    for message in audio.chunks(480) {
        recognizer.hear(message, &mut told);
    }
    recognizer.finish(&mut told);
    told
}

fn results(told: &[ServerMessage]) -> Vec<&Results> {
    let results = told.iter().filter_map(|message| match message {
        ServerMessage::Results(results) => Some(results),
        _ => None,
    });
    results.collect()
}

fn finals(told: &[ServerMessage]) -> Vec<&Results> {
    results(told)
        .into_iter()
        .filter(|results| results.is_final)
        .collect()
}

fn transcript(results: &Results) -> &str {
    &results.channel.alternatives[0].transcript
}

fn transcripts(told: &[ServerMessage]) -> Vec<&str> {
    finals(told)
        .into_iter()
        .map(transcript)
        .filter(|text| !text.is_empty())
        .collect()
}

/// A time in samples.
#[expect(clippy::cast_possible_truncation, reason = "asserted to be whole")]
fn samples(seconds: f64) -> u64 {
    let samples = (seconds * 8_000.0).round();
    assert!(
        (seconds * 8_000.0 - samples).abs() < 1e-6,
        "{seconds} s are whole samples"
    );
    samples as u64
}

fn window(results: &Results) -> (u64, u64) {
    (
        samples(results.start),
        samples(results.start + results.duration),
    )
}

#[test]
fn every_word_is_final_once_where_it_was_spoken() {
    let line = monologue();
    let told = transcribe("interim_results=true&smart_format=true", &line.ulaw);
    let heard: Vec<_> = finals(&told)
        .iter()
        .flat_map(|results| &results.channel.alternatives[0].words)
        .map(|word| SpokenWord {
            word: word.word.clone(),
            text: word.punctuated_word.clone().unwrap(),
            start: samples(word.start),
            end: samples(word.end),
        })
        .collect();
    assert_eq!(heard, line.words);
}

#[test]
fn finals_follow_each_other_without_gap_and_cut_no_word() {
    let line = monologue();
    for query in [
        "interim_results=true",
        "endpointing=false",
        "endpointing=300",
    ] {
        let told = transcribe(query, &line.ulaw);
        let mut end = 0;
        for results in finals(&told) {
            assert_eq!(window(results).0, end);
            end = window(results).1;
            assert!(
                !line
                    .words
                    .iter()
                    .any(|word| word.start < end && end < word.end),
                "{query}"
            );
        }
        assert_eq!(end, line.ulaw.len() as u64);
    }
}

#[test]
fn interims_grow_from_the_end_of_the_last_final() {
    let told = transcribe("interim_results=true", &monologue().ulaw);
    let (mut boundary, mut reach, mut interims) = (0, 0, 0);
    for results in results(&told) {
        let (start, end) = window(results);
        assert_eq!(start, boundary);
        if results.is_final {
            (boundary, reach) = (end, end);
        } else {
            assert!(end > reach && !transcript(results).is_empty());
            reach = end;
            interims += 1;
        }
    }
    assert!(
        (8..=25).contains(&interims),
        "about one a second of speech: {interims}"
    );
}

#[test]
fn a_final_may_end_before_the_interim_that_preceded_it() {
    let told = transcribe("interim_results=true&endpointing=false", &monologue().ulaw);
    let overshoots = results(&told)
        .windows(2)
        .filter(|pair| {
            !pair[0].is_final && pair[1].is_final && window(pair[0]).1 > window(pair[1]).1
        })
        .count();
    assert!(overshoots > 0);
}

#[test]
fn interims_come_only_when_asked_for() {
    let told = transcribe("", &monologue().ulaw);
    assert_eq!(results(&told).len(), finals(&told).len());
}

#[test]
fn an_interim_may_hold_a_word_that_has_only_begun() {
    let line = monologue();
    let told = transcribe("interim_results=true", &line.ulaw);
    let unfinished = results(&told).into_iter().filter(|results| {
        let (_, end) = window(results);
        let last = results.channel.alternatives[0].words.last();
        last.is_some_and(|last| {
            line.words
                .iter()
                .any(|word| word.start == samples(last.start) && word.end > end)
        })
    });
    assert!(unfinished.count() > 0);
}

#[test]
fn a_pause_as_long_as_endpointing_ends_the_utterance() {
    let audio = Line::default()
        .say("Yes, please.")
        .pause_ms(250)
        .say("Thank you.")
        .pause_ms(1_000)
        .ulaw;
    let utterances = |query| {
        let told = transcribe(query, &audio);
        let ends = finals(&told)
            .into_iter()
            .filter(|results| results.speech_final);
        ends.map(|results| transcript(results).to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(
        utterances("punctuate=true"),
        ["Yes,", "please.", "Thank you."]
    );
    assert_eq!(
        utterances("punctuate=true&endpointing=300"),
        ["Yes, please. Thank you."]
    );
    assert_eq!(utterances("punctuate=true&endpointing=false"), [""; 0]);
}

#[test]
fn silence_brings_an_empty_final_every_few_seconds() {
    let told = transcribe("interim_results=true", &[SILENCE; 8_000 * 20]);
    let finals = finals(&told);
    assert_eq!(results(&told).len(), finals.len());
    assert!((5..=8).contains(&finals.len()), "{}", finals.len());
    for results in finals {
        let best = &results.channel.alternatives[0];
        assert_eq!(
            (best.transcript.as_str(), best.confidence, best.words.len()),
            ("", 0.0, 0)
        );
        assert!(results.duration <= 5.1);
    }
}

#[test]
fn voice_activity_and_utterance_ends_are_told_when_asked_for() {
    let line = Line::default()
        .pause_ms(1_000)
        .say("Good morning.")
        .pause_ms(3_000);
    let told = transcribe(
        "interim_results=true&vad_events=true&utterance_end_ms=1000",
        &line.ulaw,
    );
    let started: Vec<_> = told
        .iter()
        .filter_map(|message| match message {
            ServerMessage::SpeechStarted(started) => Some(started.timestamp),
            _ => None,
        })
        .collect();
    assert!(
        matches!(started[..], [at] if (1.0..1.1).contains(&at)),
        "{started:?}"
    );
    let ended: Vec<_> = told
        .iter()
        .filter_map(|message| match message {
            ServerMessage::UtteranceEnd(end) => Some(samples(end.last_word_end)),
            _ => None,
        })
        .collect();
    assert_eq!(ended, [line.words[1].end]);

    let plain = transcribe("", &line.ulaw);
    assert!(plain.iter().all(|message| matches!(
        message,
        ServerMessage::Results(_) | ServerMessage::Metadata(_)
    )));
}

#[test]
fn an_utterance_does_not_end_while_someone_speaks() {
    let line = Line::default()
        .say("Good morning.")
        .pause_ms(900)
        .say("Hello.")
        .pause_ms(900);
    let told = transcribe("interim_results=true&utterance_end_ms=1000", &line.ulaw);
    assert!(
        !told
            .iter()
            .any(|message| matches!(message, ServerMessage::UtteranceEnd(_)))
    );
}

#[test]
fn words_are_bare_unless_punctuation_is_asked_for() {
    let line = Line::default().say("Hello, Anna!");
    let bare = transcribe("endpointing=300", &line.ulaw);
    assert_eq!(transcripts(&bare), ["hello anna"]);
    assert_eq!(
        finals(&bare)[0].channel.alternatives[0].words[0].punctuated_word,
        None
    );
    let formatted = transcribe("endpointing=300&smart_format=true", &line.ulaw);
    assert_eq!(transcripts(&formatted), ["Hello, Anna!"]);
    let word = &finals(&formatted)[0].channel.alternatives[0].words[0];
    assert_eq!(
        (word.word.as_str(), word.punctuated_word.as_deref()),
        ("hello", Some("Hello,"))
    );
    assert!((0.9..=1.0).contains(&word.confidence));
}

#[test]
fn finalize_tells_what_was_heard_and_nothing_when_nothing_was() {
    let (mut recognizer, mut told) = (recognizer(""), Vec::new());
    recognizer.hear(&[SILENCE; 8_000], &mut told);
    recognizer.finalize(None, &mut told);
    assert_eq!(told, []);

    let line = Line::default().say("Yes").pause_ms(100);
    recognizer.hear(&line.ulaw, &mut told);
    recognizer.finalize(Some(1), &mut told);
    assert_eq!(told, [], "there is no channel 1");
    recognizer.finalize(Some(0), &mut told);
    let [ServerMessage::Results(results)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(transcript(results), "yes");
    assert!(results.is_final && results.from_finalize && results.speech_final);
}

#[test]
fn finalize_leaves_a_word_under_way_to_the_next_final() {
    let line = Line::default().say("Yes please").pause_ms(1_000);
    let middle = usize::try_from(line.words[1].start + line.words[1].end).unwrap() / 2;
    let (mut recognizer, mut told) = (recognizer(""), Vec::new());
    recognizer.hear(&line.ulaw[..middle], &mut told);
    recognizer.finalize(None, &mut told);
    recognizer.hear(&line.ulaw[middle..], &mut told);
    recognizer.finish(&mut told);
    assert_eq!(transcripts(&told), ["yes", "please"]);
}

#[test]
fn each_channel_is_heard_by_itself() {
    let left = Line::default().say("Hello, this is Anna.").pause_ms(2_000);
    let mut right = Line::default().pause_ms(500).say("Good morning.");
    right.ulaw.resize(left.ulaw.len(), SILENCE);
    let stereo: Vec<u8> = left
        .ulaw
        .iter()
        .zip(&right.ulaw)
        .flat_map(|(&l, &r)| [l, r])
        .collect();

    let told = transcribe(
        "channels=2&multichannel=true&punctuate=true&endpointing=500",
        &stereo,
    );
    for (index, text) in [(0, "Hello, this is Anna."), (1, "Good morning.")] {
        let of_channel = finals(&told).into_iter().filter(|results| {
            assert_eq!(results.channel_index.total, 2);
            results.channel_index.index == index
        });
        let heard: Vec<_> = of_channel
            .map(transcript)
            .filter(|text| !text.is_empty())
            .collect();
        assert_eq!(heard, [text]);
    }
    let Some(ServerMessage::Metadata(summary)) = told.last() else {
        panic!("no summary")
    };
    assert_eq!(
        (samples(summary.duration), summary.channels),
        (left.ulaw.len() as u64, 2)
    );
}

#[test]
fn a_word_that_lost_a_frame_is_not_heard() {
    let line = Line::default()
        .say("Please cancel my order.")
        .pause_ms(1_000);
    let mut audio = line.ulaw.clone();
    let at = usize::try_from(line.words[1].start).unwrap() + 1_000;
    audio.drain(at..at + 160);
    assert_eq!(
        transcripts(&transcribe("endpointing=300", &audio)),
        ["please my order"]
    );
}

#[test]
fn a_word_longer_than_any_window_is_heard_in_one() {
    let line = Line::default()
        .say("Reference abcdefghijklmnopqrstuvwxyz please.")
        .pause_ms(500);
    let told = transcribe("interim_results=true&endpointing=false", &line.ulaw);
    let heard = transcripts(&told).join(" ");
    assert_eq!(heard, "reference abcdefghijklmnopqrstuvwxyz please");
    let seconds = line.ulaw.len() / 8_000;
    assert!(
        results(&told).len() < 2 * seconds,
        "{} in {seconds} s",
        results(&told).len()
    );
}

#[test]
fn a_stream_without_audio_is_summed_up_as_such() {
    let told = transcribe("", &[]);
    let [ServerMessage::Metadata(summary)] = &told[..] else {
        panic!("{told:?}")
    };
    assert_eq!(
        summary.sha256,
        "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    );
    assert_eq!((summary.duration, summary.channels), (0.0, 0));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn the_pieces_in_which_audio_comes_do_not_matter_to_the_finals(
        sizes in prop::collection::vec(1_usize..5_000, 1..40),
    ) {
        let audio = Line::default().pause_ms(333).say("Hello, this is Anna.").pause_ms(800).ulaw;
        let stereo: Vec<u8> = audio.iter().flat_map(|&sample| [sample, SILENCE]).collect();
        let query = "channels=2&multichannel=true&interim_results=true";
        let (mut recognizer, mut told) = (recognizer(query), Vec::new());
        let mut rest = &stereo[..];
        for size in sizes.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, after) = rest.split_at((*size).min(rest.len()));
            recognizer.hear(piece, &mut told);
            rest = after;
        }
        recognizer.finish(&mut told);
        prop_assert_eq!(told, transcribe(query, &stereo));
    }
}

#[test]
fn a_flawed_final_is_cut_in_two_and_no_word_is_lost_or_doubled() {
    let line = monologue();
    let query = "interim_results=true&endpointing=300&punctuate=true";
    let said: Vec<&str> = line.words.iter().map(|word| word.text.as_str()).collect();
    for flaws in [
        HearingFlaws {
            empty_finals: true,
            ..HearingFlaws::default()
        },
        HearingFlaws {
            short_finals: true,
            ..HearingFlaws::default()
        },
    ] {
        let told = transcribe_with(query, flaws, &line.ulaw);
        let heard: Vec<&str> = finals(&told)
            .into_iter()
            .flat_map(|results| transcript(results).split_whitespace())
            .collect();
        assert_eq!(heard, said, "{flaws:?}");
        let windows: Vec<_> = finals(&told).into_iter().map(window).collect();
        assert!(windows.is_sorted_by(|a, b| a.1 == b.0), "{windows:?}");
        let usual = finals(&transcribe(query, &line.ulaw)).len();
        assert!(windows.len() > usual, "{flaws:?}");
    }
}

#[test]
fn an_empty_final_holds_the_pause_before_the_words() {
    let line = Line::default()
        .pause_ms(1_000)
        .say("Hello there.")
        .pause_ms(1_000);
    let flaws = HearingFlaws {
        empty_finals: true,
        ..HearingFlaws::default()
    };
    let told = transcribe_with("endpointing=300", flaws, &line.ulaw);
    let finals = finals(&told);
    assert_eq!(
        (transcript(finals[0]), transcript(finals[1])),
        ("", "hello there")
    );
    assert!(window(finals[0]).1 <= line.words[0].start);
}

#[test]
fn a_short_final_leaves_the_last_word_of_its_interim_to_the_next() {
    let line = Line::default().say("One two three four.").pause_ms(1_000);
    let flaws = HearingFlaws {
        short_finals: true,
        ..HearingFlaws::default()
    };
    let told = transcribe_with("interim_results=true&endpointing=300", flaws, &line.ulaw);
    let results = results(&told);
    let end = results
        .iter()
        .position(|results| results.speech_final)
        .unwrap();
    let texts = results[end - 2..=end]
        .iter()
        .map(|results| transcript(results));
    assert_eq!(
        texts.collect::<Vec<_>>(),
        ["one two three four", "one two three", "four"]
    );
    assert!(!results[end - 2].is_final && results[end - 1].is_final);
}
