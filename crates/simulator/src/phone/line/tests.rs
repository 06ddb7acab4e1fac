//! The line in simulated time: who speaks when, and what is heard.

use jiff::Timestamp;

use super::*;
use crate::phone::Interjection;
use crate::voice::speak;

fn new_line(turns: Vec<Turn>) -> Line {
    Line::new(turns, Attention::new(Vec::new(), false))
}

/// Moves the line on by `frames`, and gives what was on it and which words ended.
fn advance(line: &mut Line, callee: Callee, frames: usize) -> [Vec<u8>; 2] {
    let mut audio = [Vec::new(), Vec::new()];
    for _ in 0..frames {
        line.advance(callee, None);
        audio[0].extend(line.frame(Party::Caller));
        audio[1].extend(line.frame(Party::Callee));
    }
    audio
}

/// A caller who takes turns with the other side of a bidirectional stream.
struct Talk {
    line: Line,
    playback: Playback,
    /// Beginning of each stretch of the caller's speech, in ms.
    spoke_at: Vec<u64>,
}

impl Talk {
    fn new(says: &[&str], interjections: &[&str]) -> Self {
        let say = |text: &&str| Turn {
            pause: Duration::ZERO,
            ..Turn::say(Party::Caller, *text)
        };
        let interjections: Vec<Interjection> = interjections
            .iter()
            .map(|text| text.parse().unwrap())
            .collect();
        let mut line = Line::new(
            says.iter().map(say).collect(),
            Attention::new(interjections, true),
        );
        line.open();
        Self {
            line,
            playback: Playback::default(),
            spoke_at: Vec::new(),
        }
    }

    fn play(&mut self, text: &str) {
        let (ulaw, at_once) = (speak(text).ulaw, Duration::ZERO);
        self.playback.push_audio(&ulaw, at_once).unwrap();
    }

    fn run(&mut self, ms: u64) {
        for _ in 0..ms / 20 {
            let was_speaking = self.line.conversation.is_speaking();
            let at_ms = self.line.position() / SAMPLES_PER_MS;
            self.line.advance(Callee::Absent, Some(&mut self.playback));
            let began = !was_speaking && !is_silent(self.line.frame(Party::Caller));
            self.spoke_at.extend(began.then_some(at_ms));
        }
    }

    fn heard(&mut self) -> String {
        let texts: Vec<String> = self.line.take_heard().map(|word| word.text).collect();
        texts.join(" ")
    }
}

fn spoken_ms(text: &str) -> u64 {
    (speak(text).ulaw.len() as u64 / SAMPLES_PER_MS).next_multiple_of(20)
}

fn is_silent(audio: &[u8]) -> bool {
    audio.iter().all(|sample| *sample == SILENCE)
}

#[test]
fn nobody_speaks_before_the_line_is_open() {
    let mut line = new_line(vec![Turn::say(Party::Caller, "Hello")]);
    let [inbound, outbound] = advance(&mut line, Callee::Present, 100);
    assert!(is_silent(&inbound) && is_silent(&outbound));
}

#[test]
fn a_turn_begins_its_pause_after_the_former_one_ended() {
    let first = Turn {
        pause: Duration::ZERO,
        ..Turn::say(Party::Caller, "Hello")
    };
    let second = Turn {
        pause: Duration::from_millis(100),
        ..first.clone()
    };
    let mut line = new_line(vec![first, second]);
    line.open();
    let [inbound, _] = advance(&mut line, Callee::Absent, 200);

    let hello = speak("Hello").ulaw;
    assert_eq!(inbound[..hello.len()], hello);
    let frames_of_first = hello.len().div_ceil(FRAME_SAMPLES);
    let second_at = (frames_of_first + 5) * FRAME_SAMPLES;
    assert!(is_silent(&inbound[hello.len()..second_at]));
    assert_eq!(inbound[second_at..second_at + hello.len()], hello);
    assert!(is_silent(&inbound[second_at + hello.len()..]));
}

#[test]
fn the_callee_speaks_once_answered_and_the_caller_waits_for_that() {
    let mut line = new_line(vec![
        Turn::say(Party::Callee, "Hello"),
        Turn::say(Party::Caller, "Hello"),
    ]);
    line.open();
    let [inbound, outbound] = advance(&mut line, Callee::Expected, 100);
    assert!(is_silent(&inbound) && is_silent(&outbound));
    assert!(!line.all_said(Callee::Expected));
    let [inbound, outbound] = advance(&mut line, Callee::Present, 200);
    assert_eq!(outbound[..8_000], *{
        let mut said = speak("Hello").ulaw;
        said.resize(8_000, SILENCE);
        said
    });
    assert!(!is_silent(&inbound));
    assert!(line.all_said(Callee::Present));
}

#[test]
fn who_waits_for_a_callee_that_never_comes_hangs_up() {
    let mut line = new_line(vec![Turn::say(Party::Callee, "Hello")]);
    line.open();
    advance(&mut line, Callee::Absent, 50);
    assert!(line.is_over(Callee::Absent, Duration::from_secs(1)));
    assert!(!line.is_over(Callee::Absent, Duration::from_secs(2)));
    assert_eq!(line.left(), [1, 0]);
}

#[test]
fn the_words_that_ended_are_told_with_their_place_on_the_line() {
    let mut line = new_line(vec![Turn::say(Party::Caller, "Good morning")]);
    advance(&mut line, Callee::Absent, 3);
    line.open();
    let mut ended = Vec::new();
    let mut inbound = vec![SILENCE; 3 * FRAME_SAMPLES];
    for _ in 0..150 {
        line.advance(Callee::Absent, None);
        inbound.extend(line.frame(Party::Caller));
        ended.extend(line.ended().iter().map(|(_, word)| word.clone()));
        assert!(ended.last().is_none_or(|word| word.end <= line.position()));
    }
    let mut heard = Vec::new();
    Ear::default().hear(&inbound, &mut heard);
    heard.retain(|heard| matches!(heard, Heard::Word(_)));
    assert_eq!(
        heard,
        ended.into_iter().map(Heard::Word).collect::<Vec<_>>()
    );
    assert_eq!(heard.len(), 2);
}

#[test]
fn an_announcement_is_heard_by_the_caller() {
    let mut line = new_line(Vec::new());
    line.announce("Good morning");
    advance(&mut line, Callee::Absent, 150);
    assert!(!line.is_announcing());
    let heard: Vec<String> = line.take_heard().map(|word| word.word).collect();
    assert_eq!(heard, ["good", "morning"]);
}

#[test]
fn the_caller_lets_the_other_side_finish_and_then_takes_the_word() {
    let mut talk = Talk::new(&["Good morning", "Thank you"], &[]);
    talk.run(500);
    let greeting = "Hello, how are you? I am well.";
    talk.play(greeting);
    talk.run(spoken_ms(greeting) + 600);
    assert!(talk.spoke_at.is_empty(), "the pause within is no end");
    talk.run(200);
    let greeted_at = 500 + spoken_ms(greeting) + 700;
    assert_eq!(talk.spoke_at.len(), 1);
    assert!(
        talk.spoke_at[0].abs_diff(greeted_at) <= 40,
        "{:?}",
        talk.spoke_at
    );

    talk.run(spoken_ms("Good morning") + 3_000);
    assert_eq!(talk.spoke_at.len(), 1, "an answer is still waited for");
    talk.play("Yes.");
    talk.run(spoken_ms("Yes.") + 800);
    assert_eq!(talk.spoke_at.len(), 2);
}

#[test]
fn the_caller_goes_on_alone_when_nobody_answers() {
    let mut talk = Talk::new(&["Good morning", "Thank you"], &[]);
    talk.run(10_000);
    let second = 2_000 + spoken_ms("Good morning") + 2_000;
    assert_eq!(talk.spoke_at.len(), 2);
    assert!(talk.spoke_at[0].abs_diff(2_000) <= 20);
    assert!(talk.spoke_at[1].abs_diff(second) <= 20);
    assert!(talk.line.is_over(Callee::Absent, Duration::from_secs(2)));
}

#[test]
fn an_answer_is_waited_for_longer_than_silence_ends_a_call() {
    let mut talk = Talk::new(&["Good morning"], &[]);
    talk.play("Hello.");
    talk.run(spoken_ms("Hello.") + 800 + spoken_ms("Good morning") + 3_000);
    let linger = Duration::from_secs(2);
    assert!(!talk.line.is_over(Callee::Absent, linger));
    talk.play("Yes.");
    talk.run(spoken_ms("Yes.") + 1_900);
    assert!(!talk.line.is_over(Callee::Absent, linger));
    talk.run(200);
    assert!(talk.line.is_over(Callee::Absent, linger));
}

#[test]
fn the_caller_interrupts_after_so_many_words_and_again_after_a_phrase() {
    let mut talk = Talk::new(&[], &["3: one moment", "at once: goodbye"]);
    let story = "I can see it here. It left our house and will be with you at once or tomorrow.";
    talk.play(story);
    talk.run(spoken_ms("I can see"));
    assert!(talk.spoke_at.is_empty());
    talk.run(60);
    assert_eq!(talk.spoke_at.len(), 1, "it does not wait for the end");
    assert_eq!(talk.heard(), "I can see");
    talk.run(spoken_ms(story));
    assert_eq!(talk.spoke_at.len(), 2);
    let phrase_ends =
        spoken_ms("I can see it here. It left our house and will be with you at once");
    assert!(
        talk.spoke_at[1].abs_diff(phrase_ends) <= 40,
        "{:?}",
        talk.spoke_at
    );
    assert_eq!(talk.line.left(), [0, 0]);
}

#[test]
fn an_interjection_whose_cue_may_still_come_keeps_the_caller_on_the_line() {
    let mut talk = Talk::new(&[], &["hello: goodbye"]);
    talk.run(4_000);
    assert!(!talk.line.is_over(Callee::Absent, Duration::from_secs(2)));
    talk.run(1_000);
    assert!(talk.line.is_over(Callee::Absent, Duration::from_secs(2)));
    assert_eq!(talk.line.left(), [0, 1]);
}

#[test]
fn what_is_played_is_told_stretch_by_stretch_and_a_clear_ends_one() {
    let mut talk = Talk::new(&[], &[]);
    talk.play("Hello. Good morning.");
    talk.run(spoken_ms("Hello. Good morning.") + 800);
    talk.play("Thank you very much");
    talk.run(spoken_ms("Thank you") + 100);
    talk.playback.clear(Timestamp::UNIX_EPOCH);
    talk.run(40);
    talk.play("Yes");
    talk.run(spoken_ms("Yes"));
    talk.line.end_playback(&mut talk.playback);

    let stretches: Vec<Stretch> = talk.line.take_stretches().collect();
    let told: Vec<(String, bool)> = stretches
        .iter()
        .map(|stretch| {
            let words: Vec<&str> = stretch.words.iter().map(|word| &*word.text).collect();
            (words.join(" "), stretch.clear.is_some())
        })
        .collect();
    let expected = [
        ("Hello. Good morning.", false),
        ("Thank you", true),
        ("Yes", false),
    ];
    assert_eq!(
        told,
        expected.map(|(text, is_cut)| (text.to_owned(), is_cut))
    );
    let [first, cut, _] = &stretches[..] else {
        panic!()
    };
    assert_eq!(first.ahead, [Duration::ZERO]);
    assert_eq!(first.end, speak("Hello. Good morning.").ulaw.len() as u64);
    let played = cut.end - cut.start;
    let whole = speak("Thank you very much").ulaw.len() as u64;
    assert_eq!(cut.clear.unwrap().discarded, whole - played);
}

#[test]
fn a_clear_to_which_nothing_is_lost_is_not_told() {
    let mut talk = Talk::new(&[], &[]);
    talk.playback.clear(Timestamp::UNIX_EPOCH);
    talk.run(40);
    assert_eq!(talk.line.take_stretches().count(), 0);
    talk.play("Hello");
    talk.playback.clear(Timestamp::UNIX_EPOCH);
    talk.run(40);
    let stretches: Vec<Stretch> = talk.line.take_stretches().collect();
    assert!(matches!(&stretches[..], [cut] if cut.start == cut.end && cut.clear.is_some()));
}
