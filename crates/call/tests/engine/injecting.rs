//! What an agent is told from outside: to say something, to be silent, to be another one.

use serde_json::json;
use sidetone_call::engine::{NotSaid, Speech};
use sidetone_call::event::EventData;
use sidetone_deepgram::agent::link::Update;
use sidetone_deepgram::agent::message::Role;

use crate::agent::{agent_call, agent_call_with, without_greeting};
use crate::line::{Line, ms, secs};

fn speech(id: &str, text: &str) -> Speech {
    Speech {
        id: id.into(),
        text: text.into(),
        model: None,
        interrupt: false,
        keep: false,
        then_hang_up: false,
    }
}

/// The events of speech: type, id, heard words and the reason.
fn spoken(line: &Line) -> Vec<(&'static str, &str, &str, Option<&str>)> {
    let spoken = line.events.iter().filter_map(|event| match event {
        EventData::SpeakStarted(speak)
        | EventData::SpeakFinished(speak)
        | EventData::SpeakInterrupted(speak)
        | EventData::SpeakFailed(speak) => {
            let (id, heard) = (speak.speak_id.as_str(), speak.heard_text.as_str());
            Some((event.type_name(), id, heard, speak.reason.as_deref()))
        }
        _ => None,
    });
    spoken.collect()
}

#[test]
fn a_text_to_be_spoken_is_said_by_the_agent() {
    let (mut line, _) = agent_call();
    line.speak(speech("a", "Your order is ready.")).unwrap();
    let injected = line.agent.sent_of("InjectAgentMessage");
    assert_eq!(injected[0]["message"], "Your order is ready.");
    assert_eq!(injected[0]["behavior"], "queue");
    assert_eq!(line.fetches, []);
    line.run(ms(200));
    line.agent_turn("Your order is ready.", 800);
    line.run(secs(1));
    assert_eq!(
        spoken(&line),
        [
            ("speak.started", "a", "", None),
            ("speak.finished", "a", "Your order is ready.", None)
        ]
    );
    assert_eq!(
        line.turns(),
        [(1, "assistant", "Your order is ready.", false)]
    );
    line.agent_turn("Anything else?", 400);
    line.run(secs(1));
    assert_eq!(spoken(&line).len(), 2, "the next turn is the agent's own");
}

#[test]
fn a_text_that_the_agent_refuses_or_forgets_has_failed() {
    let (mut line, _) = agent_call_with(|agent| agent.settings = without_greeting());
    line.speak(speech("a", "Hello.")).unwrap();
    line.agent_says(&json!({ "type": "InjectionRefused", "message": "The user is speaking." }));
    assert_eq!(
        spoken(&line),
        [("speak.failed", "a", "", Some("The user is speaking."))]
    );
    line.speak(speech("b", "Hello?")).unwrap();
    line.run(ms(9_999));
    assert_eq!(spoken(&line).len(), 1);
    line.run(ms(1));
    assert_eq!(
        spoken(&line)[1],
        (
            "speak.failed",
            "b",
            "",
            Some("the agent has not said it within 10 s")
        )
    );
    // Nobody is told that it is said after all, so nobody hears it.
    line.agent_turn("Hello?", 400);
    line.run(secs(1));
    assert_eq!((line.played, line.turns().len()), (0, 0));
}

#[test]
fn a_text_that_waits_behind_a_long_turn_is_waited_for() {
    let (mut line, _) = agent_call();
    line.agent_text("A long story.");
    line.speak(speech("a", "Hello.")).unwrap();
    for _ in 0..5 {
        line.run(secs(5));
        line.agent_sounds(0x2A, 5_000);
    }
    line.agent_done();
    line.agent_turn("Hello.", 400);
    line.run(secs(10));
    let names: Vec<_> = spoken(&line).iter().map(|it| it.0).collect();
    assert_eq!(names, ["speak.started", "speak.finished"]);
}

#[test]
fn a_text_that_interrupts_silences_the_agent_first() {
    let (mut line, _) = agent_call();
    line.agent_turn("One two three four.", 2_000);
    line.speak(speech("a", "Not said.")).unwrap();
    line.run(ms(1_000));
    let interrupting = Speech {
        interrupt: true,
        ..speech("b", "Listen!")
    };
    line.speak(interrupting).unwrap();
    assert_eq!(line.clears, 1);
    assert_eq!(line.turns(), [(1, "assistant", "One two", true)]);
    let injected = line.agent.sent_of("InjectAgentMessage");
    assert_eq!(injected[1]["behavior"], "interrupt");
    // The one before is with Deepgram already.
    line.agent_turn("Not said.", 400);
    line.agent_turn("Listen!", 400);
    line.run(secs(1));
    assert_eq!(
        spoken(&line),
        [
            (
                "speak.interrupted",
                "a",
                "",
                Some("interrupted by another text")
            ),
            ("speak.started", "b", "", None),
            ("speak.finished", "b", "Listen!", None),
        ]
    );
    assert_eq!(line.sounding.len(), 3_200);
}

#[test]
fn silence_cuts_the_agent_and_what_still_comes_of_its_answer_is_not_heard() {
    let (mut line, _) = agent_call();
    line.agent_text("One two three four.");
    line.agent_sounds(0x2A, 1_000);
    line.run(ms(500));
    line.silence();
    assert_eq!(line.clears, 1);
    line.agent_sounds(0x2A, 1_000);
    line.agent_done();
    line.run(secs(1));
    assert_eq!(line.sounding.len(), 0);
    assert_eq!(line.turns(), [(1, "assistant", "One two", true)]);
    line.agent_turn("Yes?", 400);
    line.run(secs(1));
    assert_eq!(line.sounding.len(), 3_200);
}

#[test]
fn an_agent_can_be_told_what_to_say_and_what_it_heard() {
    let (mut line, _) = agent_call();
    for (role, content) in [(Role::Assistant, "Hello."), (Role::User, "Hi.")] {
        line.act(|engine, now, wall| engine.handle_inject(now, wall, role, content.into()))
            .unwrap();
    }
    assert_eq!(
        line.agent.sent_of("InjectAgentMessage")[0]["message"],
        "Hello."
    );
    assert_eq!(line.agent.sent_of("InjectUserMessage")[0]["content"], "Hi.");
    line.agent_says(&json!({ "type": "InjectionRefused" }));
    assert_eq!(line.warnings()[0].0, "injection_refused");
    let empty =
        line.act(|engine, now, wall| engine.handle_inject(now, wall, Role::User, " ".into()));
    assert_eq!(empty, Err(NotSaid::Empty));
}

#[test]
fn an_agent_can_be_changed_while_it_talks() {
    let (mut line, _) = agent_call();
    let update = Update {
        prompt: Some("You are terse.".into()),
        ..Update::default()
    };
    line.act(|engine, now, wall| engine.handle_update(now, wall, update))
        .unwrap();
    let think = &line.agent.sent_of("UpdateThink")[0]["think"];
    assert_eq!(think["prompt"], "You are terse.");
}

#[test]
fn a_call_without_an_agent_says_so() {
    let mut line = Line::new();
    line.bidirectional();
    let injected =
        line.act(|engine, now, wall| engine.handle_inject(now, wall, Role::User, "Hi".into()));
    assert_eq!(injected, Err(NotSaid::NoAgent));
    let updated = line.act(|engine, now, wall| engine.handle_update(now, wall, Update::default()));
    assert_eq!(updated, Err(NotSaid::NoAgent));
}

#[test]
fn keys_that_follow_one_another_are_told_to_the_agent_as_one_message() {
    let (mut line, stream) = agent_call_with(|agent| agent.tells_dtmf = true);
    for key in "12#".chars() {
        line.dtmf(stream, key);
        line.run(ms(1_000));
    }
    assert_eq!(line.agent.sent_of("InjectUserMessage").len(), 0);
    line.run(ms(500));
    assert_eq!(
        line.agent.sent_of("InjectUserMessage")[0]["content"],
        "I pressed 12#"
    );
    line.dtmf(stream, '9');
    line.run(ms(1_500));
    assert_eq!(
        line.agent.sent_of("InjectUserMessage")[1]["content"],
        "I pressed 9"
    );

    let (mut line, stream) = agent_call();
    line.dtmf(stream, '1');
    line.run(secs(2));
    assert_eq!(line.agent.sent_of("InjectUserMessage").len(), 0);
}
