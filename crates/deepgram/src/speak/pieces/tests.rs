use proptest::prelude::*;

use super::*;

fn lengths(pieces: &[Piece]) -> Vec<usize> {
    pieces.iter().map(|piece| chars(piece.text())).collect()
}

#[track_caller]
fn check_sentences(text: &str, expected: &[&str]) {
    let pieces = split(text);
    let sentences: Vec<&str> = pieces.iter().flat_map(Piece::sentences).collect();
    assert_eq!(sentences, expected);
}

#[test]
fn sentences_end_at_full_stops() {
    check_sentences(
        "Hello! How may I help you? I am listening\u{2026} Go on.",
        &[
            "Hello!",
            "How may I help you?",
            "I am listening\u{2026}",
            "Go on.",
        ],
    );
    check_sentences("no full stop", &["no full stop"]);
    check_sentences(
        "He said \"Stop!\" Then (at last.) he went. 'Why?' she asked.",
        &[
            "He said \"Stop!\"",
            "Then (at last.) he went.",
            "'Why?' she asked.",
        ],
    );
    check_sentences(
        "That is 3.50 a piece, e.g. for bolts. See example.com today.",
        &[
            "That is 3.50 a piece, e.g. for bolts.",
            "See example.com today.",
        ],
    );
    check_sentences(
        "A heading\n\nA line\nthat goes on",
        &["A heading", "A line\nthat goes on"],
    );
    check_sentences(
        "\u{3053}\u{3093}\u{3002}\u{306F}\u{FF01}\u{300D}\u{306D}",
        &[
            "\u{3053}\u{3093}\u{3002}",
            "\u{306F}\u{FF01}\u{300D}",
            "\u{306D}",
        ],
    );
}

#[test]
fn what_nobody_can_say_is_no_sentence_of_its_own() {
    check_sentences("... Well. ... ?! Yes. !!", &["... Well.", "... ?! Yes. !!"]);
    check_sentences(" ... ", &["..."]);
    check_sentences(" \n\t", &[]);
    check_sentences("", &[]);
}

#[test]
fn a_text_of_twenty_seconds_is_one_request() {
    let text = "It is half past nine now. ".repeat(11);
    assert_eq!(split(&text).len(), 1);
    let [first, rest] = &split(&text.repeat(2))[..] else {
        panic!("two pieces")
    };
    assert_eq!(first.sentences().len(), 3);
    assert_eq!(first.text().len(), 77);
    assert_eq!(rest.sentences().len(), 19);
}

#[test]
fn the_first_piece_is_short_and_the_others_are_as_long_as_may_be() {
    let sentence = "This sentence has exactly fifty characters in it. ";
    let [first, others @ .., last] = &lengths(&split(&sentence.repeat(400)))[..] else {
        panic!("many pieces")
    };
    assert_eq!(*first, 99);
    assert!(others.iter().all(|&length| length == 1_999), "{others:?}");
    assert_eq!((others.len(), *last), (9, 1_899));
}

#[test]
fn no_piece_but_the_last_is_over_before_the_next_is_there() {
    let clause = "and so it goes on and on for quite some time, ".repeat(50);
    let pieces = split(&format!(
        "Hi. Well {clause} right. Yes. Then {clause} again. Bye."
    ));
    let (last, others) = pieces.split_last().unwrap();
    let is_long_enough = |piece: &Piece| chars(piece.text()) >= LEAST_CHARS;
    assert!(others.iter().all(is_long_enough), "{pieces:?}");
    assert!(last.text().ends_with("Bye."));
    let first = pieces.first().unwrap().text();
    assert!(first.starts_with("Hi. Well and so") && first.ends_with("quite some time,"));
}

#[test]
fn a_sentence_that_is_too_long_is_cut_where_a_speaker_would_pause() {
    let clauses = format!(
        "first comes this, {} then that, {}",
        "x ".repeat(90),
        "y ".repeat(990)
    );
    let [first, second, ..] = &split(&clauses)[..] else {
        panic!("two pieces")
    };
    assert!(first.text().ends_with("then that,"), "{first:?}");
    assert!(second.text().starts_with("y y"), "{second:?}");

    let pieces = split(&"word ".repeat(500));
    assert!(pieces.iter().all(|piece| piece.text().ends_with("word")));
    assert_eq!(lengths(&pieces), [299, 1_999, 199]);
}

#[test]
fn a_word_is_cut_only_when_it_is_too_long_itself() {
    let word = "\u{1F600}".repeat(5_000);
    assert_eq!(lengths(&split(&word)), [300, 2_000, 2_000, 700]);
}

fn dense(text: &str) -> String {
    text.split_whitespace().collect()
}

proptest! {
    #[test]
    fn nothing_is_lost_and_nothing_is_too_long(
        words in prop::collection::vec(
            (
                prop_oneof![
                    30 => "[a-zA-Z0-9\u{3042}]{0,12}",
                    10 => "\\PC{0,6}",
                    1 => "[a-z]{2000,2100}",
                ],
                "[.!?,;:\u{2026}\u{3002}\u{FF01}\")]{0,3}",
                "[ ]|  |\n|\n\n|",
            ),
            0..200,
        ),
    ) {
        let text: String = words.into_iter().map(|(word, mark, gap)| word + &mark + &gap).collect();
        let pieces = split(&text);
        let said: String = pieces.iter().map(Piece::text).collect();
        prop_assert_eq!(dense(&said), dense(&text));
        for (n, piece) in pieces.iter().enumerate() {
            let length = chars(piece.text());
            let most = if n == 0 && pieces.len() > 1 { FIRST_MOST_CHARS } else { MOST_CHARS };
            prop_assert!((1..=most).contains(&length), "{} characters", length);
            prop_assert_eq!(piece.text().trim(), piece.text());
            let sentences: String = piece.sentences().collect();
            prop_assert_eq!(dense(&sentences), dense(piece.text()));
            prop_assert!(piece.sentences().all(|sentence| !sentence.trim().is_empty()));
        }
        let is_short = chars(text.trim()) <= FIRST_MOST_CHARS;
        prop_assert!(!is_short || pieces.len() <= 1);
    }

    #[test]
    fn words_of_any_usual_length_stay_whole(
        words in prop::collection::vec("[a-zA-Z0-9]{1,200}[.,!?]{0,1}", 1..100),
    ) {
        let pieces = split(&words.join(" "));
        let said: Vec<&str> = pieces.iter().flat_map(|piece| piece.text().split(' ')).collect();
        prop_assert_eq!(said, words);
    }
}
