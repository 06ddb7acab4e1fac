//! What a session that takes the place of another is told and sent.

use serde_json::{Value, json};
use sidetone_deepgram::agent::link::{Event, Output};
use sidetone_deepgram::agent::message::Role;
use sidetone_deepgram::agent::settings::Settings;

use crate::rig::{Rig, events, heard_by_deepgram, ms, sent};

/// 20 ms of somebody who speaks, marked, and of a line on which nobody does.
fn loud(mark: u8) -> [u8; 160] {
    [0x10 + mark; 160]
}

const QUIET: [u8; 160] = [0x7A; 160];

impl Rig {
    /// The caller says something marked, 20 ms each.
    fn says_marked(&mut self, marks: impl IntoIterator<Item = u8>) {
        for mark in marks {
            self.hear(&loud(mark));
            self.wait(ms(20));
        }
    }

    fn is_quiet(&mut self, time_ms: u64) {
        for _ in 0..time_ms / 20 {
            self.hear(&QUIET);
            self.wait(ms(20));
        }
    }

    /// The session is lost; the settings of the next one, and what follows them.
    fn replace(&mut self) -> (Value, Vec<Output>) {
        self.closed();
        self.wait(ms(250));
        let settings = self.settle();
        (settings, self.apply())
    }
}

/// The marks in what is sent, each once, and how much of it is quiet, in ms.
fn marks(outputs: &[Output]) -> (Vec<u8>, usize) {
    let heard = heard_by_deepgram(outputs);
    let quiet = heard.iter().filter(|code| **code == QUIET[0]).count();
    let mut marks: Vec<u8> = heard
        .into_iter()
        .filter(|code| *code != QUIET[0])
        .map(|code| code - 0x10)
        .collect();
    marks.dedup();
    (marks, quiet / 8)
}

fn texts(settings: &Value) -> Vec<&str> {
    let messages = settings["agent"]["context"]["messages"].as_array();
    let messages = messages.into_iter().flatten();
    messages
        .filter_map(|message| message["content"].as_str())
        .collect()
}

fn told_anew(content: &str) -> Value {
    json!({ "type": "InjectUserMessage", "content": content })
}

#[test]
fn what_was_said_last_and_not_answered_is_said_again() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    rig.event("AgentThinking");
    let (settings, outputs) = rig.replace();
    assert_eq!(texts(&settings), ["Hi.", "What is on?"]);
    assert_eq!(sent(&outputs), [told_anew("What is on?")]);
    assert_eq!(
        rig.text(Role::User, "What  is on?"),
        [],
        "nobody said it a second time"
    );
    rig.answer("Much is on.");
    let (settings, outputs) = rig.replace();
    assert_eq!(texts(&settings), ["Hi.", "What is on?", "Much is on."]);
    assert_eq!(sent(&outputs), [] as [Value; 0]);
    let repeated = rig.text(Role::User, "What is on?");
    assert!(matches!(events(&repeated)[..], [Event::UserSaid { .. }]));
}

#[test]
fn a_text_that_ends_every_session_is_not_said_for_ever() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "Poison.");
    for _ in 0..2 {
        let (settings, outputs) = rig.replace();
        assert_eq!(texts(&settings), ["Hi.", "Poison."]);
        assert_eq!(sent(&outputs), [told_anew("Poison.")]);
        rig.wait(ms(4_000));
    }
    let (settings, outputs) = rig.replace();
    assert_eq!(texts(&settings), ["Hi.", "Poison."]);
    assert_eq!(sent(&outputs), [] as [Value; 0]);
}

#[test]
fn who_speaks_again_is_answered_after_that() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    rig.event("UserStartedSpeaking");
    let (settings, outputs) = rig.replace();
    assert_eq!(texts(&settings), ["Hi.", "What is on?"]);
    assert_eq!(sent(&outputs), [] as [Value; 0]);
}

#[test]
fn an_answer_of_which_nothing_was_heard_is_asked_for_again() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    let outputs = rig.text(Role::Assistant, "Much is on.");
    let [Event::AgentSaid { said, .. }] = events(&outputs)[..] else {
        panic!("{outputs:?}");
    };
    let said = *said;
    rig.closed();
    rig.link.heard(said, said, "");
    rig.wait(ms(250));
    rig.settle();
    assert_eq!(sent(&rig.apply()), [told_anew("What is on?")]);
}

#[test]
fn a_stored_agent_is_told_the_last_text_and_its_greeting_stays_unheard() {
    let stored = json!("fc553ec9-5874-49ca-a47c-b670d525a4b1");
    let mut rig = Rig::with(Settings::from_agent(stored).unwrap());
    rig.settle();
    rig.apply();
    rig.answer("Hi.");
    rig.text(Role::User, "What is on?");
    let (_, outputs) = rig.replace();
    assert_eq!(sent(&outputs), [told_anew("What is on?")]);
    for outputs in [
        rig.text(Role::Assistant, "Hi."),
        rig.text(Role::User, "What is on?"),
        rig.speaks(b"hi"),
        rig.event("AgentAudioDone"),
    ] {
        assert_eq!(outputs, []);
    }
    assert_eq!(events(&rig.text(Role::Assistant, "Much.")).len(), 1);
}

fn call(id: &str, client_side: bool) -> Value {
    json!({ "type": "FunctionCallRequest", "functions": [
        { "id": id, "name": "book", "arguments": "{\"n\":1}", "client_side": client_side },
    ] })
}

/// The answers to functions that a session is told of.
fn responses(settings: &Value) -> Vec<&str> {
    let messages = settings["agent"]["context"]["messages"].as_array();
    let messages = messages.into_iter().flatten();
    messages
        .filter_map(|message| message["function_calls"][0]["response"].as_str())
        .collect()
}

#[test]
fn a_function_that_is_being_done_is_known_to_be_and_its_end_is_told() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "Book it.");
    rig.says(&call("a", true));
    let (settings, outputs) = rig.replace();
    assert_eq!(texts(&settings), ["Hi.", "Book it."], "nobody asks anew");
    let [response] = responses(&settings)[..] else {
        panic!("{settings}")
    };
    assert!(response.starts_with("This is being done."), "{response}");
    assert_eq!(sent(&outputs), [] as [Value; 0]);

    // As it echoes everything that it is told.
    let messages = settings["agent"]["context"]["messages"].as_array();
    let last = messages.unwrap().last().unwrap();
    assert_eq!(rig.says(last), []);

    let note = sent(&rig.respond("a", "Table 5."));
    let [note] = note.as_slice() else {
        panic!("{note:?}")
    };
    assert_eq!(note["type"], "InjectUserMessage");
    let content = note["content"].as_str().unwrap();
    for part in ["book", "{\"n\":1}", "Table 5."] {
        assert!(content.contains(part), "{content}");
    }
    assert_eq!(rig.text(Role::User, content), [], "nobody said that");
    assert_eq!(rig.respond("a", "again"), []);
    rig.answer("You have table 5.");
    let (settings, _) = rig.replace();
    assert_eq!(responses(&settings), ["Table 5."]);
}

#[test]
fn what_was_done_before_the_next_session_ran_is_told_to_it() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "Book it.");
    rig.says(&call("a", true));
    rig.closed();
    assert_eq!(rig.respond("a", "Table 5."), []);
    rig.wait(ms(250));
    let settings = rig.settle();
    assert_eq!(texts(&settings), ["Hi.", "Book it."]);
    assert_eq!(responses(&settings), ["Table 5."]);
    let go_on = sent(&rig.apply());
    let [go_on] = go_on.as_slice() else {
        panic!("{go_on:?}")
    };
    let content = go_on["content"].as_str().unwrap();
    assert!(content.contains("Go on"), "{content}");

    let mut rig = Rig::greeted();
    rig.text(Role::User, "Book it.");
    rig.says(&call("a", true));
    rig.closed();
    rig.wait(ms(250));
    rig.settle();
    assert_eq!(
        rig.respond("a", "Table 5."),
        [],
        "Settings are on their way"
    );
    let note = sent(&rig.apply());
    assert!(note[0].to_string().contains("Table 5."), "{note:?}");
}

#[test]
fn of_a_function_that_deepgram_was_calling_it_is_told_that_nothing_is_known() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "Book it.");
    rig.says(&call("a", false));
    let (settings, outputs) = rig.replace();
    let [response] = responses(&settings)[..] else {
        panic!("{settings}")
    };
    assert!(response.contains("is not known"), "{response}");
    assert_eq!(sent(&outputs).len(), 1, "it goes on: {outputs:?}");
}

#[test]
fn what_was_heard_and_not_put_in_text_is_heard_again_and_comes_first() {
    let mut rig = Rig::greeted();
    rig.is_quiet(2_000);
    rig.says_marked(0..10);
    rig.event("UserStartedSpeaking");
    rig.says_marked(10..20);
    rig.closed();
    rig.says_marked(20..30);
    rig.wait(ms(250));
    rig.settle();
    let outputs = rig.event("SettingsApplied");
    let [Event::Ready { recovered, .. }] = events(&outputs)[..] else {
        panic!("{outputs:?}");
    };
    let replayed = recovered.unwrap().replayed;
    assert_eq!(replayed, ms(900), "half a second of quiet, and 400 ms");
    assert_eq!(marks(&outputs), ((0..30).collect(), 500));
    let (_, outputs) = rig.replace();
    assert_eq!(marks(&outputs).0, Vec::from_iter(0..30), "and again");
}

#[test]
fn who_speaks_softly_is_heard_again_as_well() {
    let mut rig = Rig::greeted();
    rig.is_quiet(2_000);
    rig.event("UserStartedSpeaking");
    let (_, outputs) = rig.replace();
    assert_eq!(marks(&outputs), (vec![], 500));
}

/// The end of a word is softer than the rest of it.
#[test]
fn a_word_that_ends_softly_is_heard_again_whole() {
    let mut rig = Rig::greeted();
    rig.says_marked(0..30);
    rig.hear(&[0x6A; 800]);
    rig.is_quiet(5_000);
    let (_, outputs) = rig.replace();
    assert_eq!(marks(&outputs).0, (0..30).chain([0x5A]).collect::<Vec<_>>());
}

/// It went out with the silence that stood in for what did not come.
#[test]
fn less_than_a_piece_is_heard_again_too() {
    let mut rig = Rig::greeted();
    rig.hear(&loud(1)[..100]);
    rig.wait(ms(300));
    rig.hear(&loud(2));
    let (_, outputs) = rig.replace();
    let heard = heard_by_deepgram(&outputs);
    assert_eq!(heard[..100], loud(1)[..100]);
    assert_eq!(heard[heard.len() - 160..], loud(2));
}

#[test]
fn what_was_put_in_text_is_not_heard_again() {
    let mut rig = Rig::greeted();
    rig.event("UserStartedSpeaking");
    rig.says_marked(0..10);
    rig.is_quiet(400);
    rig.text(Role::User, "What is on?");
    rig.is_quiet(400);
    let (_, outputs) = rig.replace();
    assert_eq!(marks(&outputs), (vec![], 0));
    rig.answer("Much.");
    rig.says_marked(10..20);
    rig.event("UserStartedSpeaking");
    let (_, outputs) = rig.replace();
    assert_eq!(marks(&outputs), ((10..20).collect(), 0));
}

#[test]
fn what_the_agent_answers_is_not_heard_again() {
    let mut rig = Rig::greeted();
    rig.says_marked(0..10);
    rig.answer("I did not understand.");
    let (_, outputs) = rig.replace();
    assert_eq!(marks(&outputs), (vec![], 0));
}

#[test]
fn a_deaf_session_has_heard_nothing_that_the_next_one_does_not_hear() {
    let mut rig = Rig::greeted();
    rig.is_quiet(2_000);
    rig.says_marked(0..30);
    rig.is_quiet(2_000);
    rig.says_marked(30..60);
    rig.is_quiet(12_000);
    rig.settle();
    let (heard, quiet) = marks(&rig.apply());
    assert_eq!(heard, Vec::from_iter(0..60));
    // Before, between and after, and all that came since the session was closed.
    assert!((1_500..5_000).contains(&quiet), "{quiet} ms");
}

#[test]
fn the_newest_ten_seconds_are_heard_again_at_most() {
    let mut rig = Rig::greeted();
    rig.event("UserStartedSpeaking");
    for second in 0..40 {
        rig.hear(&[0x10 + second; 8_000]);
    }
    let (_, outputs) = rig.replace();
    assert_eq!(marks(&outputs).0, Vec::from_iter(30..40));
}
