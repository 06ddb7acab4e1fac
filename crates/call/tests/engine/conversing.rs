//! A call with an agent: who says what, what is heard of it, and what is told.

use serde_json::json;
use sidetone_audio::Track;
use sidetone_call::engine::{NotSaid, Note, StreamEnd};
use sidetone_call::event::{
    AgentInterrupted, AgentStartedSpeaking, EndReason, EventData, ProviderState, Service,
};
use sidetone_deepgram::agent::message::Role;

use crate::agent::{agent_call, with_agent};
use crate::line::{Line, ms, secs};

fn started(line: &Line) -> Vec<&AgentStartedSpeaking> {
    let started = line.events.iter().filter_map(|event| match event {
        EventData::AgentStartedSpeaking(started) => Some(started),
        _ => None,
    });
    started.collect()
}

fn interrupted(line: &Line) -> Vec<&AgentInterrupted> {
    let interrupted = line.events.iter().filter_map(|event| match event {
        EventData::AgentInterrupted(interrupted) => Some(interrupted),
        _ => None,
    });
    interrupted.collect()
}

#[test]
fn the_agent_is_there_with_the_first_bidirectional_stream_and_hears_the_call_from_its_start() {
    let mut line = Line::with(with_agent);
    let stream = line.bidirectional();
    assert_eq!(line.agent.connections, 1);
    assert_eq!(line.call().provider.state, ProviderState::Connecting);
    line.play(stream, &[(Track::Inbound, "ab")]);
    line.run(ms(40));
    assert_eq!(line.agent.sent.len(), 1);
    assert_eq!(line.agent.heard, [[b'a'; 800], [b'b'; 800]].concat());
    assert_eq!(
        line.event_names(),
        ["call.started", "agent.ready"],
        "{:?}",
        line.agent.sent
    );
    let provider = &line.call().provider;
    assert_eq!(provider.state, ProviderState::Connected);
    assert_eq!(provider.request_id.as_deref(), Some("req-a"));
    let tags = &line.agent.sent[0]["tags"];
    assert_eq!(
        tags,
        &json!(["sidetone", "CA0123456789abcdef0123456789abcdef"])
    );
}

#[test]
fn a_stream_that_nothing_can_be_said_into_has_no_agent() {
    let mut line = Line::with(with_agent);
    line.stream(&Track::ALL);
    line.run(secs(1));
    assert_eq!(line.agent.connections, 0);
    let injected =
        line.act(|engine, now, wall| engine.handle_inject(now, wall, Role::User, "Hi".into()));
    assert_eq!(injected, Err(NotSaid::NotBidirectional));
}

#[test]
fn a_turn_is_played_and_told_once_it_was_heard() {
    let (mut line, _) = agent_call();
    line.agent_text("Good morning!");
    line.agent_sounds(0x2A, 500);
    line.agent_text("How can I help you?");
    line.agent_sounds(0x2B, 700);
    line.agent_done();
    assert_eq!(line.played, 3_200, "400 ms ahead");
    assert_eq!(line.turns(), []);
    line.run(ms(1_300));
    assert_eq!(
        line.sounding,
        [vec![0x2A; 4_000], vec![0x2B; 5_600]].concat()
    );
    let names = line.event_names();
    assert_eq!(
        names[2..],
        ["agent.started_speaking", "agent.audio_done", "agent.turn"]
    );
    let turn = line.agent_turns()[0];
    let heard = turn.heard.as_ref().unwrap();
    assert_eq!((turn.turn, turn.role), (1, Role::Assistant));
    assert_eq!(turn.text, "Good morning! How can I help you?");
    assert_eq!(
        (heard.heard_text.as_str(), heard.heard_ms, heard.interrupted),
        (turn.text.as_str(), 1_200, false)
    );
}

#[test]
fn turns_count_over_both_parties_and_each_has_its_latencies() {
    let (mut line, _) = agent_call();
    line.agent_turn("Hello!", 400);
    line.run(ms(500));
    line.caller_speaks();
    line.caller_said("What time is it?");
    line.run(ms(300));
    line.agent_says(&json!({
        "type": "AgentStartedSpeaking",
        "total_latency": 0.9, "tts_latency": 0.2, "ttt_latency": 0.5,
    }));
    line.agent_turn("It is noon.", 400);
    line.run(ms(500));
    line.agent_turn("Anything else?", 400);
    line.run(ms(500));
    assert_eq!(
        line.turns(),
        [
            (1, "assistant", "Hello!", false),
            (2, "user", "What time is it?", false),
            (3, "assistant", "It is noon.", false),
            (4, "assistant", "Anything else?", false),
        ]
    );
    let latencies: Vec<_> = started(&line)
        .iter()
        .map(|it| {
            (
                it.turn,
                it.total_latency_ms,
                it.tts_latency_ms,
                it.ttt_latency_ms,
            )
        })
        .collect();
    assert_eq!(
        latencies,
        [
            (1, None, None, None),
            (3, Some(900), Some(200), Some(500)),
            (4, None, None, None),
        ]
    );
    let ours: Vec<_> = started(&line).iter().map(|it| it.latency_ms).collect();
    assert_eq!(ours, [None, Some(300), None]);
    assert_eq!(line.call().last_text.as_deref(), Some("Anything else?"));
}

#[test]
fn when_the_caller_speaks_the_agent_falls_silent_before_anything_else() {
    let (mut line, _) = agent_call();
    line.agent_turn("One two three four.", 2_000);
    line.run(ms(1_000));
    let before = line.order.len();
    line.caller_speaks();
    assert_eq!(
        line.order[before..],
        [
            "clear",
            "agent.user_started_speaking",
            "agent.interrupted",
            "agent.turn"
        ]
    );
    let cut = interrupted(&line)[0];
    assert_eq!((cut.turn, cut.heard_text.as_str()), (1, "One two"));
    assert_eq!((cut.heard_ms, cut.discarded_ms), (1_000, 1_000));
    assert_eq!(line.turns(), [(1, "assistant", "One two", true)]);

    // What is still on its way is not heard; the next turn is, whole.
    line.agent_sounds(0x33, 500);
    line.agent_done();
    line.run(secs(1));
    assert_eq!(line.sounding.len(), 0);
    line.caller_said("Stop!");
    line.agent_turn("As you wish.", 600);
    line.run(ms(700));
    assert_eq!(line.sounding, [0x2A; 4_800]);
    assert_eq!(
        line.turns()[1..],
        [
            (2, "user", "Stop!", false),
            (3, "assistant", "As you wish.", false)
        ]
    );
}

#[test]
fn a_caller_who_speaks_when_nothing_is_said_interrupts_nothing() {
    let (mut line, _) = agent_call();
    line.agent_turn("Hello!", 400);
    line.run(secs(1));
    line.caller_speaks();
    assert_eq!(line.clears, 0);
    assert_eq!(interrupted(&line), Vec::<&AgentInterrupted>::new());
    assert_eq!(
        line.event_names().last(),
        Some(&"agent.user_started_speaking")
    );
}

#[test]
fn heard_words_are_right_when_each_text_comes_before_its_audio() {
    let (mut line, _) = agent_call();
    // The second text is said at a third of the pace of the first.
    for (text, audio_ms) in [("One two three.", 1_000), ("Four five six.", 3_000)] {
        line.agent_text(text);
        line.agent_sounds(0x2A, audio_ms);
    }
    line.run(ms(2_700));
    line.caller_speaks();
    assert_eq!(interrupted(&line)[0].heard_text, "One two three. Four five");
}

#[test]
fn heard_words_are_sane_when_all_texts_come_before_any_audio() {
    let (mut line, _) = agent_call();
    line.agent_text("One two.");
    line.agent_text("Three four.");
    line.agent_text("Five six.");
    for _ in 0..3 {
        line.agent_sounds(0x2A, 600);
    }
    line.agent_done();
    line.run(ms(1_200));
    line.caller_speaks();
    let heard = &interrupted(&line)[0].heard_text;
    assert!(heard.starts_with("One two. Three"), "{heard}");
    assert!(!heard.contains("six"), "{heard}");
}

#[test]
fn a_turn_of_which_more_than_four_minutes_wait_is_cut_off_there() {
    let (mut line, stream) = agent_call();
    line.agent_text("A long story.");
    line.agent_sounds(0x2A, 150_000);
    line.agent_sounds(0x2B, 150_000);
    line.agent_sounds(0x2B, 1_000);
    assert_eq!(line.warnings().len(), 1, "{:?}", line.warnings());
    line.agent_done();
    for _ in 0..15 {
        line.run(secs(10));
        line.pong(stream);
    }
    line.run(secs(2));
    assert_eq!(line.sounding, [0x2A].repeat(1_200_000));
    assert_eq!(line.agent_turns().len(), 1);
    line.agent_turn("The end.", 400);
    line.run(secs(1));
    assert_eq!(line.turns()[1], (2, "assistant", "The end.", false));
}

#[test]
fn a_session_that_is_made_anew_knows_what_was_heard_and_does_not_greet_again() {
    let (mut line, _) = agent_call();
    line.agent_turn("One two three four.", 2_000);
    line.run(ms(1_000));
    line.caller_speaks();
    line.caller_said("Stop!");
    line.cut_agent();
    line.run(secs(1));
    let settings = line.agent.sent_of("Settings");
    assert_eq!(settings.len(), 2);
    let agent = &settings[1]["agent"];
    let messages = agent["context"]["messages"].as_array().unwrap();
    let contents: Vec<_> = messages.iter().map(|it| it["content"].as_str()).collect();
    assert_eq!(contents, [Some("One two"), Some("Stop!")]);
    let [unanswered] = line.agent.sent_of("InjectUserMessage")[..] else {
        panic!("{:?}", line.agent.sent);
    };
    assert_eq!(unanswered["content"], "Stop!");
    assert!(agent.get("greeting").is_none_or(|greeting| greeting == ""));
    let EventData::ProviderDisconnected(lost) = &line.events[line.events.len() - 3] else {
        panic!("{:?}", line.event_names());
    };
    assert_eq!(lost.service, Service::Agent);
    let last = line.event_names().split_off(line.events.len() - 2);
    assert_eq!(last, ["provider.reconnected", "agent.ready"]);
    assert_eq!(line.call().provider.reconnects, 1);
}

#[test]
fn a_turn_that_breaks_off_with_its_connection_is_played_as_far_as_it_came() {
    let (mut line, _) = agent_call();
    line.agent_text("Fifteen letters are said in a second of time.");
    line.agent_sounds(0x2A, 1_000);
    line.cut_agent();
    line.run(secs(3));
    assert_eq!(line.sounding.len(), 8_000);
    assert_eq!(line.turns(), [(1, "assistant", "Fifteen letters", true)]);
}

#[test]
fn an_agent_waits_two_seconds_for_the_next_stream_and_goes_on_with_the_conversation() {
    let (mut line, first) = agent_call();
    line.agent_turn("One two three four.", 2_000);
    line.run(ms(1_000));
    line.end(first, StreamEnd::Stop);
    assert_eq!(line.turns(), [(1, "assistant", "One two", true)]);
    line.run(ms(1_900));
    let second = line.bidirectional();
    line.run(secs(1));
    assert_eq!((line.agent.connections, line.agent.closes), (1, 0));
    line.agent_turn("Welcome back.", 400);
    line.run(ms(500));
    assert_eq!(line.turns()[1], (2, "assistant", "Welcome back.", false));
    line.end(second, StreamEnd::Stop);
    line.run(ms(1_999));
    assert_eq!(line.agent.closes, 0);
    line.run(ms(1));
    assert_eq!(line.agent.closes, 1);
    line.check_ended(EndReason::Stop);
}

#[test]
fn what_the_agent_says_between_two_streams_is_not_heard() {
    let (mut line, first) = agent_call();
    line.end(first, StreamEnd::Stop);
    line.agent_turn("Is anybody there?", 400);
    assert_eq!(line.turns(), [(1, "assistant", "", true)]);
    line.agent_text("Hello?");
    line.bidirectional();
    line.agent_sounds(0x2A, 400);
    line.agent_done();
    line.run(secs(1));
    assert_eq!(line.turns()[1], (2, "assistant", "", true));
    assert_eq!(line.played, 0);
}

#[test]
fn a_stream_that_takes_the_place_of_another_silences_that_first() {
    let (mut line, _) = agent_call();
    line.agent_turn("One two three four.", 2_000);
    line.run(ms(500));
    line.bidirectional();
    assert_eq!(line.turns(), [(1, "assistant", "One", true)]);
    line.agent_turn("Hello again.", 400);
    line.run(ms(500));
    assert_eq!(line.turns()[1], (2, "assistant", "Hello again.", false));
}

#[test]
fn a_call_that_ends_leaves_no_agent_behind() {
    let (mut line, stream) = agent_call();
    line.agent_text("One two");
    line.agent_sounds(0x2A, 1_000);
    line.status("completed");
    line.end(stream, StreamEnd::Stop);
    assert_eq!((line.agent.open, line.agent.closes), (None, 1));
    line.check_ended(EndReason::Stop);

    let (mut line, _) = agent_call();
    line.agent_turn("One two", 1_000);
    line.shut_down();
    assert_eq!((line.agent.open, line.agent.closes), (None, 1));
    line.check_ended(EndReason::Shutdown);
}

#[test]
fn a_call_may_be_heard_beside_its_agent_and_shows_the_worse_of_the_two() {
    let mut line = Line::with(|setup| {
        let listen = setup.listen.take();
        with_agent(setup);
        setup.listen = listen;
    });
    let stream = line.bidirectional();
    line.run(ms(100));
    line.play(stream, &[(Track::Inbound, "abc.")]);
    line.results(true);
    line.check_words(Track::Inbound, "a@0 b@100 c@200");
    assert_eq!(line.call().provider.state, ProviderState::Connected);
    line.cut();
    assert_eq!(line.call().provider.state, ProviderState::Reconnecting);
    line.run(secs(1));
    assert_eq!(line.call().provider.state, ProviderState::Connected);
    line.cut_agent();
    assert_eq!(line.call().provider.state, ProviderState::Reconnecting);
    line.run(secs(1));
    assert_eq!(line.call().provider.state, ProviderState::Connected);
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
}

#[test]
fn the_words_of_a_conversation_are_the_callers_and_what_was_heard_of_the_agents() {
    let (mut line, _) = agent_call();
    line.agent_turn("Hello!", 400);
    line.run(ms(500));
    line.caller_speaks();
    line.caller_said("What time is it?");
    line.agent_turn("It is noon", 3_000);
    line.run(ms(1_500));
    assert_eq!(line.summary().words, 5, "a turn counts once it is settled");
    line.caller_speaks();
    line.run(ms(500));
    let heard = line.agent_turns().last().unwrap().heard.as_ref().unwrap();
    assert_eq!(heard.heard_text, "It is");
    assert_eq!(line.summary().words, 7);
}

#[test]
fn what_a_transcribed_caller_says_to_an_agent_counts_once() {
    let mut line = Line::with(|setup| {
        let listen = setup.listen.take();
        with_agent(setup);
        setup.listen = listen;
    });
    let stream = line.bidirectional();
    line.run(ms(100));
    line.play(stream, &[(Track::Inbound, "abc.")]);
    line.results(true);
    line.caller_said("a b c");
    line.agent_turn("Hello there!", 400);
    line.run(ms(500));
    assert_eq!(line.summary().words, 5);
}

#[test]
fn a_caller_of_whom_deepgram_takes_no_notice_is_heard_again_and_an_echo_is_no_caller() {
    let (mut line, stream) = agent_call();
    line.agent_turn("A long story.", 14_000);
    line.play(stream, &[(Track::Inbound, &"a".repeat(135))]);
    assert!(!line.event_names().contains(&"provider.disconnected"));
    line.run(secs(2));
    line.play(stream, &[(Track::Inbound, &"a".repeat(200))]);
    line.run(secs(1));
    assert_eq!(line.agent.connections, 2);
    let back = line.events.iter().find_map(|event| match event {
        EventData::ProviderReconnected(back) => Some(back),
        _ => None,
    });
    let replayed_ms = back.unwrap().replayed_ms;
    assert!(replayed_ms > 9_000, "{replayed_ms} ms");
    assert_eq!(line.call().provider.replayed_ms, replayed_ms);
}

#[test]
fn what_deepgram_warns_of_and_what_nobody_knows_is_told_once() {
    let (mut line, _) = agent_call();
    line.agent_says(&json!({
        "type": "Warning", "code": "SLOW_THINK_REQUEST", "description": "The model is slow.",
    }));
    let (code, detail) = line.warnings()[0];
    assert_eq!(code, "agent_warning");
    assert!(detail.contains("SLOW_THINK_REQUEST") && detail.contains("The model is slow."));
    for _ in 0..2 {
        line.agent_says(&json!({ "type": "Applause" }));
    }
    let unknown = Note::UnknownAgentMessage {
        kind: "Applause".into(),
    };
    assert_eq!(
        line.notes.iter().filter(|note| **note == unknown).count(),
        1
    );
}
