//! Sessions that take audio, answer pings, and say nothing.

use serde_json::json;
use sidetone_deepgram::agent::link::{Event, Injection, Output};
use sidetone_deepgram::agent::message::Role;
use sidetone_deepgram::agent::settings::Settings;
use sidetone_deepgram::connection::Input;

use crate::rig::{Rig, events, ms, sent, untimed};

/// 20 ms of somebody who speaks, and of a line on which nobody does.
const LOUD: [u8; 160] = [0x10; 160];
const QUIET: [u8; 160] = [0x7A; 160];

impl Rig {
    /// The caller makes a sound, or none, for so long, and Deepgram says nothing.
    fn line(&mut self, frame: &[u8], time_ms: u64) -> Vec<Output> {
        let mut outputs = Vec::new();
        for _ in 0..time_ms / 20 {
            outputs.extend(untimed(self.wait(ms(20))));
            outputs.extend(self.hear(frame));
        }
        outputs
    }

    /// Brings a session about in the place of one that was replaced.
    fn resume(&mut self) -> Vec<Output> {
        self.wait(ms(250));
        self.settle();
        self.apply()
    }

    fn confirms(&mut self) {
        assert_eq!(self.event("SpeakUpdated"), []);
    }
}

/// Why the session was replaced, if it was.
fn replaced(outputs: &[Output]) -> Option<&str> {
    events(outputs).into_iter().find_map(|event| match event {
        Event::Disconnected { reason, .. } => Some(reason.as_str()),
        _ => None,
    })
}

fn lost(outputs: &[Output]) -> Option<&str> {
    events(outputs).into_iter().find_map(|event| match event {
        Event::Lost { reason } => Some(reason.as_str()),
        _ => None,
    })
}

/// Whether a sign was asked for.
fn asked(outputs: &[Output]) -> bool {
    sent(outputs)
        .iter()
        .any(|message| message["type"] == "UpdateSpeak")
}

#[test]
fn a_greeting_that_does_not_come_is_expected_of_another_session() {
    let mut rig = Rig::live();
    assert_eq!(replaced(&rig.line(&QUIET, 19_980)), None);
    let outputs = rig.line(&QUIET, 40);
    let reason = "Deepgram's agent did not greet, and said nothing for 20 s";
    assert_eq!(replaced(&outputs), Some(reason));
    rig.resume();
    let outputs = rig.line(&QUIET, 10_020);
    assert!(asked(&outputs), "before it is given up");
    let reason = "Deepgram's agent did not greet, and said nothing for 10 s";
    assert_eq!(lost(&outputs), Some(reason), "30 s after the first session");
    assert!(outputs.contains(&Output::Close { generation: 2 }));
}

#[test]
fn who_is_not_greeted_and_speaks_is_heard_sooner_by_another_session() {
    let mut rig = Rig::live();
    rig.line(&QUIET, 3_000);
    rig.line(&LOUD, 1_000);
    assert_eq!(replaced(&rig.line(&QUIET, 9_960)), None);
    let outputs = rig.line(&QUIET, 60);
    let reason = "Deepgram heard the caller, and said nothing for 10 s";
    assert_eq!(replaced(&outputs), Some(reason));
}

#[test]
fn an_agent_without_a_greeting_owes_none() {
    let mut rig = Rig::with(Settings::from_agent(json!({ "greeting": "" })).unwrap());
    rig.settle();
    rig.apply();
    assert_eq!(replaced(&rig.line(&QUIET, 60_000)), None);
}

#[test]
fn an_answer_that_does_not_come_is_asked_of_another_session() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    assert_eq!(replaced(&rig.line(&QUIET, 10_000)), None);
    rig.event("AgentThinking");
    assert_eq!(replaced(&rig.line(&QUIET, 14_980)), None, "it is at work");
    let outputs = rig.line(&QUIET, 40);
    let reason = "Deepgram's agent owed an answer, and said nothing for 15 s";
    assert_eq!(replaced(&outputs), Some(reason));
    let outputs = rig.resume();
    assert_eq!(
        sent(&outputs),
        [json!({ "type": "InjectUserMessage", "content": "What is on?" })]
    );
    let outputs = rig.line(&QUIET, 15_020);
    assert!(asked(&outputs));
    assert_eq!(lost(&outputs), Some(reason));
}

#[test]
fn to_what_nobody_said_an_answer_is_owed_as_well() {
    let mut rig = Rig::greeted();
    let injection = Injection {
        id: 1,
        role: Role::User,
        content: "The caller pressed 4.".into(),
        interrupt: false,
    };
    rig.take(|link, now| link.inject(now, injection));
    assert!(replaced(&rig.line(&QUIET, 15_020)).is_some());
    let again = sent(&rig.resume());
    assert_eq!(
        again.len(),
        1,
        "what was not taken is sent again: {again:?}"
    );
    assert!(lost(&rig.line(&QUIET, 15_020)).is_some());
}

#[test]
fn an_answer_that_breaks_off_is_not_waited_for_to_its_end_for_ever() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    rig.text(Role::Assistant, "Much is on.");
    rig.speaks(b"voice");
    assert_eq!(replaced(&rig.line(&QUIET, 29_980)), None);
    assert!(replaced(&rig.line(&QUIET, 40)).is_some());
}

#[test]
fn who_asks_for_the_rest_of_an_answer_need_not_wait_for_it() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    rig.text(Role::Assistant, "Much is on.");
    rig.line(&QUIET, 2_000);
    rig.line(&LOUD, 1_000);
    assert_eq!(replaced(&rig.line(&QUIET, 9_960)), None);
    assert!(replaced(&rig.line(&QUIET, 60)).is_some());
}

#[test]
fn a_caller_who_hums_while_the_model_thinks_does_not_hurry_it() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    assert_eq!(replaced(&rig.line(&LOUD, 14_980)), None);
}

#[test]
fn who_was_asked_late_has_time_to_answer() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    rig.line(&QUIET, 15_020);
    rig.resume();
    rig.line(&QUIET, 9_900);
    rig.now += ms(4_900);
    let outputs = rig.take(|link, now| link.handle_timeout(now));
    assert!(asked(&outputs) && lost(&outputs).is_none());
    let generation = rig.generation();
    rig.give(Input::Pong { generation });
    assert_eq!(lost(&rig.line(&QUIET, 4_980)), None);
    assert!(lost(&rig.line(&QUIET, 40)).is_some());
}

#[test]
fn a_voice_that_comes_is_a_sign() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    rig.line(&QUIET, 15_020);
    rig.resume();
    assert!(asked(&rig.line(&QUIET, 10_020)));
    rig.speaks(b"voice");
    let outputs = rig.line(&QUIET, 24_960);
    assert!(!asked(&outputs));
    let outputs = rig.line(&QUIET, 60);
    assert!(asked(&outputs) && lost(&outputs).is_none(), "it breaks off");
}

#[test]
fn while_a_function_is_called_here_no_answer_is_owed() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    rig.says(&json!({ "type": "FunctionCallRequest", "functions": [
        { "id": "a", "name": "look", "arguments": "{}", "client_side": true },
    ] }));
    assert_eq!(replaced(&rig.line(&QUIET, 60_000)), None);
    rig.respond("a", "much");
    assert_eq!(replaced(&rig.line(&QUIET, 14_980)), None);
    assert!(replaced(&rig.line(&QUIET, 40)).is_some());
}

#[test]
fn a_failed_thought_owes_nothing() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "What is on?");
    rig.error("FAILED_TO_THINK");
    assert_eq!(replaced(&rig.line(&QUIET, 60_000)), None);
}

/// The model may have been told to keep silent.
#[test]
fn an_agent_that_has_nothing_to_say_keeps_its_call() {
    let mut rig = Rig::greeted();
    rig.text(Role::User, "Hold on.");
    rig.event("AgentThinking");
    assert!(replaced(&rig.line(&QUIET, 15_020)).is_some(), "once");
    rig.resume();
    for _ in 0..20 {
        rig.text(Role::User, "Hold on.");
        rig.event("AgentThinking");
        let mut outputs = rig.line(&QUIET, 10_020);
        assert!(asked(&outputs));
        rig.confirms();
        outputs.extend(rig.line(&QUIET, 30_000));
        assert_eq!((replaced(&outputs), lost(&outputs)), (None, None));
    }
}

#[test]
fn a_caller_who_is_loud_and_gets_no_sign_is_heard_by_another_session() {
    let mut rig = Rig::greeted();
    rig.line(&LOUD, 1_000);
    assert_eq!(replaced(&rig.line(&QUIET, 9_980)), None);
    let outputs = rig.line(&QUIET, 40);
    let reason = "Deepgram heard the caller, and said nothing for 10 s";
    assert_eq!(replaced(&outputs), Some(reason));
    rig.resume();
    let outputs = rig.line(&QUIET, 20_020);
    assert!(asked(&outputs));
    let reason = "Deepgram heard the caller, and said nothing for 20 s";
    assert_eq!(lost(&outputs), Some(reason), "31 s after the first word");
}

#[test]
fn who_is_loud_for_less_than_a_second_may_have_coughed() {
    let mut rig = Rig::greeted();
    rig.line(&LOUD, 980);
    rig.event("UserStartedSpeaking");
    assert_eq!(replaced(&rig.line(&QUIET, 60_000)), None);
    rig.line(&LOUD, 20);
    assert!(replaced(&rig.line(&QUIET, 10_020)).is_some(), "or has not");
}

#[test]
fn who_speaks_for_a_minute_is_not_interrupted() {
    let mut rig = Rig::greeted();
    rig.line(&LOUD, 300);
    rig.event("UserStartedSpeaking");
    for _ in 0..11 {
        assert_eq!(replaced(&rig.line(&LOUD, 1_000)), None);
        assert_eq!(replaced(&rig.line(&QUIET, 4_000)), None);
    }
    assert_eq!(replaced(&rig.line(&QUIET, 5_000)), None);
    assert!(replaced(&rig.line(&QUIET, 1_100)).is_some());
}

#[test]
fn who_speaks_on_and_on_and_gets_no_text_is_heard_by_another_session() {
    let mut rig = Rig::greeted();
    rig.event("UserStartedSpeaking");
    assert_eq!(replaced(&rig.line(&LOUD, 69_900)), None);
    assert!(replaced(&rig.line(&LOUD, 200)).is_some());
}

#[test]
fn the_echo_of_the_agent_is_nobody_who_speaks() {
    let mut rig = Rig::greeted();
    rig.link.set_speaking(true);
    assert_eq!(replaced(&rig.line(&LOUD, 60_000)), None);
    rig.link.set_speaking(false);
    assert!(replaced(&rig.line(&LOUD, 11_020)).is_some());
}

/// A television, or a road.
#[test]
fn noise_costs_one_session_and_never_the_call() {
    let mut rig = Rig::greeted();
    assert!(replaced(&rig.line(&LOUD, 11_020)).is_some());
    rig.resume();
    let mut questions = 0;
    for _ in 0..600 {
        let outputs = rig.line(&LOUD, 1_000);
        assert_eq!((replaced(&outputs), lost(&outputs)), (None, None));
        if asked(&outputs) {
            questions += 1;
            rig.confirms();
        }
    }
    assert!((3..=6).contains(&questions), "{questions} in ten minutes");

    rig.answer("Are you there?");
    rig.event("UserStartedSpeaking");
    rig.line(&LOUD, 1_000);
    assert!(
        replaced(&rig.line(&QUIET, 10_020)).is_some(),
        "an answer that came has made good for it"
    );
}

#[test]
fn what_an_agent_is_asked_changes_nothing() {
    let mut rig = Rig::greeted();
    rig.line(&LOUD, 11_020);
    rig.wait(ms(250));
    let speak = rig.settle()["agent"]["speak"].clone();
    rig.apply();
    let outputs = rig.line(&LOUD, 16_040);
    assert_eq!(
        sent(&outputs),
        [json!({ "type": "UpdateSpeak", "speak": speak })]
    );
    // One that is not taken costs no more than the session.
    let outputs = rig.error("UNPARSABLE_CLIENT_MESSAGE");
    assert!(replaced(&outputs).is_some() && lost(&outputs).is_none());
}

/// Of its settings nothing is known that could be confirmed.
#[test]
fn a_stored_agent_is_given_up_only_when_it_says_nothing_at_all() {
    let stored = json!("fc553ec9-5874-49ca-a47c-b670d525a4b1");
    let stored = || {
        let mut rig = Rig::with(Settings::from_agent(stored.clone()).unwrap());
        rig.settle();
        rig.apply();
        rig.answer("Hi.");
        rig
    };
    let mut rig = stored();
    rig.text(Role::User, "What is on?");
    assert!(replaced(&rig.line(&QUIET, 15_020)).is_some());
    rig.resume();
    assert!(lost(&rig.line(&QUIET, 15_020)).is_some());

    let mut rig = stored();
    assert!(replaced(&rig.line(&LOUD, 11_020)).is_some());
    rig.resume();
    let outputs = rig.line(&LOUD, 600_000);
    assert_eq!((replaced(&outputs), lost(&outputs)), (None, None));
}
