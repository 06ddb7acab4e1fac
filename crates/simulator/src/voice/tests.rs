use proptest::prelude::*;

use super::*;

fn hear(pieces: &[&[u8]]) -> Vec<Heard> {
    let (mut ear, mut heard) = (Ear::default(), Vec::new());
    for piece in pieces {
        ear.hear(piece, &mut heard);
    }
    heard
}

fn whole_words(heard: &[Heard]) -> Vec<SpokenWord> {
    heard
        .iter()
        .filter_map(|heard| match heard {
            Heard::Word(word) => Some(word.clone()),
            Heard::Begun { .. } | Heard::Broken { .. } => None,
        })
        .collect()
}

fn texts(words: &[SpokenWord]) -> Vec<&str> {
    words.iter().map(|word| word.text.as_str()).collect()
}

#[test]
fn each_word_is_heard_as_it_was_spoken() {
    let speech = speak("Hello, my name is Anna. \u{201C}I'm calling\u{201D} about order 4711!");
    assert_eq!(whole_words(&hear(&[&speech.ulaw])), speech.words);
    let bare: Vec<_> = speech.words.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(
        bare,
        [
            "hello", "my", "name", "is", "anna", "i'm", "calling", "about", "order", "4711"
        ]
    );
    assert_eq!(speech.words[4].text, "Anna.");
}

#[test]
fn words_outside_the_vocabulary_are_said_and_heard() {
    for odd in [
        "Xyzzy",
        "twenty-one",
        "R2D2",
        "na\u{ef}ve",
        "\u{4f60}\u{597d}",
        "$3.50",
        "a",
    ] {
        let speech = speak(odd);
        assert_eq!(texts(&whole_words(&hear(&[&speech.ulaw]))), [odd]);
    }
}

#[test]
fn a_spelled_word_lasts_as_long_as_its_letters() {
    let samples = |text: &str| speak(text).ulaw.len();
    assert!(samples("xq") > samples("x") + 800);
    assert!(
        samples("twenty-one") < samples("twentyone"),
        "parts that are words are not spelled"
    );
}

#[test]
fn text_without_letters_or_digits_is_silent() {
    for empty in ["", "  \n", "-- ... !"] {
        assert!(speak(empty).ulaw.is_empty(), "{empty:?}");
    }
}

#[test]
fn an_endless_word_is_said_in_pieces() {
    let speech = speak(&"\u{e9}x".repeat(100));
    assert!(speech.words.len() > 3);
    assert_eq!(texts(&speech.words).concat(), "\u{e9}x".repeat(100));
    assert_eq!(whole_words(&hear(&[&speech.ulaw])), speech.words);
}

#[test]
fn punctuation_lengthens_the_pause() {
    let pause = |text: &str| {
        let words = speak(text).words;
        words[1].start - words[0].end
    };
    assert!(pause("yes please") < pause("yes, please"));
    assert!(pause("yes, please") < pause("(yes.) please"));
    assert_eq!(
        pause("yes - please"),
        pause("yes, please"),
        "a dash on its own is a pause"
    );
}

#[test]
fn words_never_hold_digital_silence_and_pauses_hold_nothing_else() {
    let speech = speak("Thank you, goodbye. X");
    let mut word_samples = vec![false; speech.ulaw.len()];
    for word in &speech.words {
        word_samples[usize::try_from(word.start).unwrap()..usize::try_from(word.end).unwrap()]
            .fill(true);
    }
    for (sample, in_word) in speech.ulaw.iter().zip(word_samples) {
        assert_eq!(matches!(sample, 0xFF | 0x7F | 0xFE | 0x7E), !in_word);
    }
}

#[test]
fn a_word_is_announced_once_before_it_is_whole() {
    let speech = speak("account");
    let heard = hear(&[&speech.ulaw]);
    let [
        Heard::Begun {
            text,
            start: 0,
            end,
        },
        Heard::Word(word),
    ] = &heard[..]
    else {
        panic!("{heard:?}");
    };
    assert_eq!((text.as_str(), *end), ("account", word.end));
    let announced = hear(&[&speech.ulaw[..400]]);
    assert_eq!(
        announced.len(),
        1,
        "50 ms are enough to know it: {announced:?}"
    );
}

#[test]
fn a_word_that_begins_inside_a_broken_one_is_heard() {
    let (first, second) = (speak("appointment").ulaw, speak("tomorrow"));
    let cut = &first[..first.len() / 2];
    let heard = hear(&[cut, &second.ulaw]);
    assert_eq!(heard[1], Heard::Broken { start: 0 });
    assert_eq!(texts(&whole_words(&heard)), ["tomorrow"]);
}

#[test]
fn silence_and_noise_carry_nothing() {
    assert_eq!(hear(&[&[0xFF; 8000], &[0x7E; 8000]]), []);
    let mut noise = 1_u32;
    let noise: Vec<u8> = std::iter::repeat_with(|| {
        noise = noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        noise.to_be_bytes()[0]
    })
    .take(1_000_000)
    .collect();
    assert_eq!(hear(&[&noise]), []);
}

/// What may happen to one sample on its way.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Lost,
    Repeated,
    Changed { mask: u8 },
    SwappedWithNext,
}

fn mishap() -> impl Strategy<Value = Mishap> {
    prop_oneof![
        Just(Mishap::Lost),
        Just(Mishap::Repeated),
        (1_u8..).prop_map(|mask| Mishap::Changed { mask }),
        Just(Mishap::SwappedWithNext),
    ]
}

proptest! {
    #[test]
    fn any_chunking_gives_the_same_words(cuts in prop::collection::vec(0_usize..40_000, 0..50)) {
        let speech = speak("Good morning, this is Acme. How can I help you?");
        let mut cuts: Vec<_> = cuts.into_iter().map(|cut| cut % speech.ulaw.len()).collect();
        cuts.sort_unstable();
        let mut pieces = Vec::new();
        let mut from = 0;
        for cut in cuts {
            pieces.push(&speech.ulaw[from..cut]);
            from = cut;
        }
        pieces.push(&speech.ulaw[from..]);
        prop_assert_eq!(hear(&pieces), hear(&[&speech.ulaw]));
    }

    #[test]
    fn one_mishap_inside_a_word_loses_that_word_and_no_other(
        victim in 0_usize..5,
        at in any::<prop::sample::Index>(),
        mishap in mishap(),
    ) {
        let speech = speak("Yes, please cancel my order.");
        let mut ulaw = speech.ulaw.clone();
        let word = &speech.words[victim];
        let (start, end) = (usize::try_from(word.start).unwrap(), usize::try_from(word.end).unwrap());
        // Neither the first nor the last sample: to repeat those lengthens the pause beside.
        let at = start + 1 + at.index(end - start - 2);
        let moved = match mishap {
            Mishap::Lost => {
                ulaw.remove(at);
                -1
            }
            Mishap::Repeated => {
                ulaw.insert(at, ulaw[at]);
                1
            }
            Mishap::Changed { mask } => {
                ulaw[at] ^= mask;
                0
            }
            Mishap::SwappedWithNext => {
                prop_assume!(ulaw[at] != ulaw[at + 1]);
                ulaw.swap(at, at + 1);
                0
            }
        };
        let mut expected = speech.words;
        for later in &mut expected[victim + 1..] {
            later.start = later.start.strict_add_signed(moved);
            later.end = later.end.strict_add_signed(moved);
        }
        expected.remove(victim);
        prop_assert_eq!(whole_words(&hear(&[&ulaw])), expected);
    }

    #[test]
    fn an_edge_sample_lost_loses_the_word(victim in 0_usize..5, last in any::<bool>()) {
        let speech = speak("Yes, please cancel my order.");
        let word = &speech.words[victim];
        let at = if last { word.end - 1 } else { word.start };
        let mut ulaw = speech.ulaw.clone();
        ulaw.remove(usize::try_from(at).unwrap());
        let heard = whole_words(&hear(&[&ulaw]));
        prop_assert_eq!(heard.len(), speech.words.len() - 1);
        prop_assert!(!heard.iter().any(|heard| heard.text == word.text));
    }
}
