use super::*;

/// A playout, its time, and what has come out of it and was not looked at yet.
struct Rig {
    playout: Playout,
    now: Instant,
}

impl Rig {
    fn new() -> Self {
        Self {
            playout: Playout::default(),
            now: Instant::now(),
        }
    }

    /// Begins an utterance of one text and `samples`, and ends it.
    fn utter(&mut self, text: &str, samples: usize) -> Utterance {
        let utterance = self.playout.begin(self.now);
        self.say(utterance, text);
        self.push(utterance, samples);
        self.playout.end(self.now, utterance);
        utterance
    }

    fn say(&mut self, utterance: Utterance, text: &str) {
        self.playout.say(self.now, utterance, text);
    }

    fn push(&mut self, utterance: Utterance, samples: usize) {
        self.playout
            .push(self.now, utterance, &vec![0x2A; samples])
            .expect("there is room");
    }

    /// Lets time pass, with all timeouts on the way.
    fn pass(&mut self, ms: u64) -> &mut Self {
        let until = self.now + Duration::from_millis(ms);
        while let Some(due) = self.playout.poll_timeout().filter(|due| *due <= until) {
            self.now = self.now.max(due);
            self.playout.handle_timeout(self.now);
        }
        self.now = until;
        self
    }

    fn echo(&mut self, name: &str) {
        self.playout.handle_echo(self.now, name);
    }

    fn stop(&mut self) {
        self.playout.stop(self.now);
    }

    /// All outputs since the last time, media as the number of samples.
    fn outputs(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.playout.poll_output()).collect()
    }

    /// All media and marks since the last time, in short: `400` ms of audio, `s1` a mark.
    fn sent(&mut self) -> Vec<String> {
        let shown = |output| match output {
            Output::Media(audio) => Some((audio.len() as u64 / SAMPLES_PER_MS).to_string()),
            Output::Mark(name) => Some(name),
            Output::Clear => Some("clear".into()),
            Output::Started { .. } | Output::Finished { .. } | Output::Interrupted { .. } => None,
        };
        self.outputs().into_iter().filter_map(shown).collect()
    }

    fn heard_ms(&self) -> Option<u64> {
        self.playout
            .heard(self.now)
            .map(|heard| heard.samples / SAMPLES_PER_MS)
    }

    fn heard_text(&self) -> &str {
        self.playout.heard(self.now).map_or("", |heard| heard.text)
    }
}

const SECOND: usize = 8_000;

fn finished(utterance: Utterance, heard: usize) -> Output {
    Output::Finished {
        utterance,
        heard: heard as u64,
    }
}

#[test]
fn audio_leaves_400_ms_ahead_and_then_60_ms_at_a_time() {
    let mut rig = Rig::new();
    rig.utter("", SECOND);
    assert_eq!(rig.sent(), ["s0", "100", "100", "s1", "100", "100", "s2"]);
    assert_eq!(rig.pass(59).sent(), [""; 0]);
    assert_eq!(rig.pass(1).sent(), ["60"]);
    assert_eq!(rig.pass(180).sent(), ["60", "60", "20", "s3", "40"]);
    assert_eq!(
        rig.pass(1_000).sent(),
        ["60", "60", "40", "s4", "20", "60", "60", "60", "s5"]
    );
}

#[test]
fn a_mark_stands_where_a_text_begins_and_at_the_end() {
    let mut rig = Rig::new();
    let utterance = rig.playout.begin(rig.now);
    rig.say(utterance, "A.");
    rig.push(utterance, 740);
    rig.say(utterance, "B.");
    rig.push(utterance, 400);
    rig.playout.end(rig.now, utterance);
    // 740 samples end in the fifth frame, 1,140 in the eighth, which is filled up.
    assert_eq!(rig.sent(), ["s0", "80", "20", "s1", "40", "20", "s2"]);
}

#[test]
fn a_text_and_an_end_that_come_after_all_was_sent_get_their_mark_then() {
    let mut rig = Rig::new();
    let utterance = rig.playout.begin(rig.now);
    rig.push(utterance, 320);
    assert_eq!(rig.sent(), ["s0", "40"]);
    rig.say(utterance, "Then.");
    assert_eq!(rig.sent(), ["s1"]);
    rig.push(utterance, 320);
    rig.playout.end(rig.now, utterance);
    assert_eq!(rig.sent(), ["40", "s2"]);
}

#[test]
fn the_last_frame_of_an_utterance_is_filled_with_silence_and_the_next_follows_at_once() {
    let mut rig = Rig::new();
    rig.utter("", 100);
    rig.utter("", 160);
    let audio: Vec<u8> = rig
        .outputs()
        .into_iter()
        .filter_map(|output| match output {
            Output::Media(audio) => Some(audio),
            _ => None,
        })
        .flatten()
        .collect();
    let expected = [vec![0x2A; 100], vec![ulaw::SILENCE; 60], vec![0x2A; 160]].concat();
    assert_eq!(audio, expected);
}

#[test]
fn audio_that_comes_late_is_played_when_it_comes() {
    let mut rig = Rig::new();
    let utterance = rig.playout.begin(rig.now);
    rig.push(utterance, 800);
    rig.pass(5_000);
    assert_eq!(rig.heard_ms(), Some(100));
    rig.push(utterance, 800);
    assert_eq!(rig.heard_ms(), Some(100));
    rig.pass(50);
    assert_eq!(rig.heard_ms(), Some(150));
}

#[test]
fn an_utterance_has_finished_when_the_echo_of_its_last_mark_says_so() {
    let mut rig = Rig::new();
    let first = rig.utter("", 1_000);
    let second = rig.utter("", 1_000);
    rig.pass(130);
    assert!(
        rig.outputs()
            .contains(&Output::Started { utterance: second })
    );
    rig.echo("s1");
    assert_eq!(rig.outputs(), [finished(first, 1_000)]);
    rig.pass(150).echo("s2");
    assert_eq!(rig.outputs(), [finished(second, 1_000)]);
    assert_eq!(rig.playout.poll_timeout(), None);
}

#[test]
fn without_any_echo_it_has_finished_a_second_after_its_end() {
    let mut rig = Rig::new();
    let utterance = rig.utter("", SECOND);
    rig.pass(1_999);
    assert!(!rig.outputs().contains(&finished(utterance, SECOND)));
    rig.pass(1);
    assert_eq!(rig.outputs(), [finished(utterance, SECOND)]);
}

#[test]
fn an_utterance_that_ends_after_it_was_heard_has_finished_at_once() {
    let mut rig = Rig::new();
    let utterance = rig.playout.begin(rig.now);
    rig.push(utterance, 1_600);
    rig.pass(300).echo("s1");
    rig.outputs();
    rig.playout.end(rig.now, utterance);
    assert_eq!(rig.outputs(), [finished(utterance, 1_600)]);
}

#[test]
fn an_utterance_without_audio_has_finished_after_what_is_said_before_it() {
    let mut rig = Rig::new();
    let nothing = rig.utter("Ah.", 0);
    assert_eq!(rig.outputs(), [finished(nothing, 0)]);
    let something = rig.utter("", 800);
    let nothing = rig.utter("Oh.", 0);
    rig.outputs();
    rig.pass(150).echo("s1");
    assert_eq!(
        rig.outputs(),
        [finished(something, 800), finished(nothing, 0)]
    );
}

#[test]
fn a_stop_clears_and_tells_what_was_heard_of_each() {
    let mut rig = Rig::new();
    let first = rig.utter("Good morning to you.", SECOND);
    let second = rig.utter("How are you?", SECOND);
    rig.pass(600).outputs();
    rig.stop();
    let interrupted = |utterance, heard, text: &str| Output::Interrupted {
        utterance,
        heard,
        text: text.into(),
        discarded: SECOND as u64 - heard,
    };
    assert_eq!(
        rig.outputs(),
        [
            Output::Clear,
            interrupted(first, 4_800, "Good morning"),
            interrupted(second, 0, ""),
        ]
    );
    assert_eq!(rig.playout.poll_timeout(), None);
    assert_eq!(rig.playout.heard(rig.now), None);
}

#[test]
fn what_comes_back_because_of_a_clear_is_not_heard() {
    let mut rig = Rig::new();
    rig.utter("", SECOND);
    rig.pass(100).stop();
    rig.outputs();
    let next = rig.utter("", SECOND);
    for cleared in ["s1", "s2", "s3"] {
        rig.echo(cleared);
    }
    assert_eq!(rig.heard_ms(), Some(0));
    rig.pass(100).stop();
    assert!(rig.outputs().contains(&Output::Interrupted {
        utterance: next,
        heard: 800,
        text: String::new(),
        discarded: 7_200
    }));
}

#[test]
fn audio_and_text_of_an_utterance_that_was_stopped_come_to_nothing() {
    let mut rig = Rig::new();
    let stopped = rig.playout.begin(rig.now);
    rig.push(stopped, 160);
    rig.stop();
    rig.outputs();
    rig.say(stopped, "late");
    rig.push(stopped, SECOND);
    rig.playout.end(rig.now, stopped);
    assert_eq!(rig.outputs(), []);
    let next = rig.playout.begin(rig.now);
    rig.push(stopped, SECOND);
    rig.push(next, 160);
    assert_eq!(rig.sent(), ["s1", "20"]);
}

#[test]
fn a_stop_when_nothing_is_said_sends_nothing() {
    let mut rig = Rig::new();
    rig.stop();
    rig.utter("", 800);
    rig.pass(150).echo("s1");
    rig.outputs();
    rig.stop();
    assert_eq!(rig.outputs(), []);
}

#[test]
fn a_stop_after_the_end_finds_the_utterance_finished() {
    let mut rig = Rig::new();
    let utterance = rig.utter("", 800);
    rig.pass(101).outputs();
    rig.stop();
    assert_eq!(rig.outputs(), [Output::Clear, finished(utterance, 800)]);
    let nothing = rig.utter("", 0);
    assert_eq!(rig.outputs(), [finished(nothing, 0)]);
}

#[test]
fn an_echo_of_a_mark_nobody_sent_says_nothing() {
    let mut rig = Rig::new();
    rig.utter("", SECOND);
    rig.outputs();
    for strange in ["", "s", "s99", "1", "s-1", "s4294967296"] {
        rig.echo(strange);
    }
    assert_eq!(rig.outputs(), []);
    assert_eq!(rig.heard_ms(), Some(0));
}

#[test]
fn a_phone_that_plays_faster_than_in_real_time_is_believed() {
    let mut rig = Rig::new();
    let utterance = rig.utter("", SECOND);
    let mut sent = Vec::new();
    for _ in 0..5 {
        for output in rig.outputs() {
            if let Output::Mark(name) = &output {
                rig.echo(name);
            }
            sent.push(output);
        }
    }
    assert_eq!(sent.last(), Some(&finished(utterance, SECOND)));
}

#[test]
fn a_phone_that_holds_audio_is_believed_when_its_echoes_agree() {
    let mut rig = Rig::new();
    rig.utter("", 3 * SECOND);
    rig.echo("s0");
    for (mark, heard_ms) in [(1, 500), (2, 700), (3, 900), (4, 800), (5, 1_000)] {
        rig.pass(if mark == 1 { 500 } else { 200 });
        rig.echo(&format!("s{mark}"));
        assert_eq!(rig.heard_ms(), Some(heard_ms), "at mark {mark}");
    }
    // One that comes sooner shows that the others were late.
    rig.pass(100).echo("s6");
    assert_eq!(rig.heard_ms(), Some(1_200));
}

#[test]
fn echoes_that_were_held_up_together_do_not_move_the_clock() {
    let mut rig = Rig::new();
    rig.utter("", 3 * SECOND);
    rig.echo("s0");
    rig.pass(2_000);
    for mark in 1..=10 {
        rig.echo(&format!("s{mark}"));
        assert_eq!(rig.heard_ms(), Some(2_000));
    }
}

#[test]
fn a_phone_that_seems_to_lag_for_seconds_does_not_run_dry() {
    let mut rig = Rig::new();
    rig.utter("", 10 * SECOND);
    rig.echo("s0");
    rig.pass(3_000);
    for mark in 1..25 {
        rig.echo(&format!("s{mark}"));
        rig.pass(200);
    }
    assert_eq!(rig.heard_ms(), Some(5_000), "the echoes are believed");
    let sent = rig.sent();
    let sent_ms: u64 = sent
        .iter()
        .filter_map(|sent| sent.parse::<u64>().ok())
        .sum();
    assert!(sent_ms >= 7_800 + 140, "{sent_ms} ms were sent");
}

#[test]
fn a_lag_of_seconds_is_over_with_what_was_said() {
    let mut rig = Rig::new();
    rig.utter("", 2 * SECOND);
    rig.echo("s0");
    rig.pass(3_000);
    for mark in 1..=5 {
        rig.echo(&format!("s{mark}"));
        rig.pass(200);
    }
    rig.stop();
    rig.utter("", SECOND);
    rig.pass(500);
    assert_eq!(rig.heard_ms(), Some(300));
}

#[test]
fn four_minutes_wait_and_no_more() {
    let mut rig = Rig::new();
    let utterance = rig.playout.begin(rig.now);
    assert!(rig.playout.wants_audio());
    rig.push(utterance, 31 * SECOND);
    assert!(!rig.playout.wants_audio());
    rig.push(utterance, 209 * SECOND);
    assert_eq!(
        rig.playout.push(rig.now, utterance, &[0; 2 * SECOND]),
        Err(Full)
    );
    rig.pass(211_000);
    assert!(rig.playout.wants_audio());
    assert_eq!(rig.playout.push(rig.now, utterance, &[0; SECOND]), Ok(()));
}

/// An utterance whose audio is told in ms, sound and silence by turns, and what is taken to have
/// been said of its text at each of `at_ms`.
#[track_caller]
fn check_words(text: &str, audio_ms: &[usize], expected: &[(u64, &str)]) {
    let mut rig = Rig::new();
    let utterance = rig.playout.begin(rig.now);
    rig.say(utterance, text);
    for (index, ms) in audio_ms.iter().enumerate() {
        let code = if index % 2 == 0 { 0x2A } else { ulaw::SILENCE };
        let audio = vec![code; ms * 8];
        rig.playout.push(rig.now, utterance, &audio).unwrap();
    }
    rig.playout.end(rig.now, utterance);
    let mut passed = 0;
    for &(at_ms, said) in expected {
        rig.pass(at_ms - passed);
        passed = at_ms;
        assert_eq!(rig.heard_text(), said, "at {at_ms} ms");
    }
}

#[test]
fn a_word_is_heard_when_half_of_it_is_and_stands_where_its_letters_do() {
    check_words(
        "ab cdef",
        &[800],
        &[(149, ""), (150, "ab"), (549, "ab"), (550, "ab cdef")],
    );
    check_words(
        "4 ab",
        &[800],
        &[(249, ""), (250, "4"), (649, "4"), (650, "4 ab")],
    );
}

#[test]
fn a_phrase_ends_with_the_nearest_pause() {
    check_words(
        "One, two. Three",
        &[600, 200, 200, 400, 600],
        &[
            (299, ""),
            (300, "One,"),
            (899, "One,"),
            (900, "One, two."),
            (1_699, "One, two."),
            (1_700, "One, two. Three"),
        ],
    );
    check_words(
        "One.\n\n(Two.) Three",
        &[400, 200, 400, 200, 400],
        &[
            (200, "One."),
            (799, "One."),
            (800, "One.\n\n(Two.)"),
            (1_399, "One.\n\n(Two.)"),
        ],
    );
    // A pause where there is no mark, and a mark where there is no pause.
    check_words(
        "One two",
        &[200, 400, 200],
        &[(199, ""), (200, "One"), (600, "One two")],
    );
    check_words(
        "One, two",
        &[800],
        &[(199, ""), (200, "One,"), (600, "One, two")],
    );
}

#[test]
fn silence_before_and_after_a_text_holds_no_words() {
    check_words(
        "One two",
        &[0, 800, 800, 800],
        &[
            (999, ""),
            (1_000, "One"),
            (1_400, "One two"),
            (2_000, "One two"),
        ],
    );
    check_words("One, two", &[0, 800], &[(799, ""), (800, "One, two")]);
}

#[test]
fn texts_begin_where_their_audio_does() {
    let mut rig = Rig::new();
    let utterance = rig.playout.begin(rig.now);
    for (text, samples) in [
        ("One ", 1_600),
        ("  ", 160),
        ("two", 1_600),
        ("three four", 3_200),
    ] {
        rig.say(utterance, text);
        rig.push(utterance, samples);
    }
    rig.playout.end(rig.now, utterance);
    let mut said = |ms| rig.pass(ms).heard_text().to_owned();
    assert_eq!(said(319), "One");
    assert_eq!(said(1), "One two");
    assert_eq!(said(210), "One two three");
    assert_eq!(said(200), "One two three four");
}

#[test]
fn a_text_that_is_ahead_of_the_audio_of_the_last_shares_it() {
    let mut rig = Rig::new();
    let utterance = rig.playout.begin(rig.now);
    rig.say(utterance, "It is one.");
    rig.say(utterance, "It is two.");
    rig.push(utterance, 5_600);
    rig.say(utterance, "It is three.");
    rig.push(utterance, 5_600);
    rig.push(utterance, 5_600);
    rig.playout.end(rig.now, utterance);
    let mut said = |ms| rig.pass(ms).heard_text().to_owned();
    assert_eq!(said(650), "It is one.");
    assert_eq!(said(650), "It is one. It is two.");
    assert_eq!(said(700), "It is one. It is two. It is three.");
}

#[test]
fn an_utterance_that_broke_off_is_interrupted_when_what_there_is_was_played() {
    let mut rig = Rig::new();
    let utterance = rig.playout.begin(rig.now);
    rig.say(
        utterance,
        "Fifteen characters are said in a second of time.",
    );
    rig.push(utterance, SECOND);
    rig.playout.break_off(rig.now, utterance);
    rig.push(utterance, SECOND);
    rig.outputs();
    rig.pass(2_000);
    assert_eq!(
        rig.outputs().last(),
        Some(&Output::Interrupted {
            utterance,
            heard: SECOND as u64,
            text: "Fifteen characters".into(),
            discarded: 0,
        })
    );
    // Whatever comes next is said.
    let next = rig.utter("Again.", 160);
    rig.pass(1_100);
    assert_eq!(rig.outputs().last(), Some(&finished(next, 160)));
}

#[test]
fn words_are_not_taken_as_heard_because_their_audio_has_not_come_yet() {
    let mut rig = Rig::new();
    let utterance = rig.playout.begin(rig.now);
    rig.say(
        utterance,
        "Fifteen characters are said in a second of time.",
    );
    rig.push(utterance, SECOND);
    rig.pass(1_000);
    assert_eq!(rig.heard_text(), "Fifteen characters");
}
