//! What is shown to those who ask: how far the agent is heard, and how loud both parties are.

use sidetone_audio::{Track, ulaw};
use sidetone_call::engine::StreamEnd;
use sidetone_call::event::{AgentPlayback, AudioLevel, EventData, VolatileData, Watch};

use crate::agent::agent_call;
use crate::deepgram::SILENCE;
use crate::line::{Line, ms, secs};

const ALL: Watch = Watch {
    playback: true,
    levels: true,
};

const PLAYBACK: Watch = Watch {
    playback: true,
    levels: false,
};

const LEVELS: Watch = Watch {
    playback: false,
    levels: true,
};

/// The level of digital silence.
const SILENT: f32 = ulaw::SILENCE_DBOV;

fn watch(line: &mut Line, watch: Watch) {
    line.act(|engine, now, _| engine.handle_watch(now, watch));
}

/// What was shown of the playback, each with when.
fn playbacks(line: &Line) -> Vec<(u64, &AgentPlayback)> {
    let shown = line.shown.iter().filter_map(|(at_ms, data)| match data {
        VolatileData::AgentPlayback(playback) => Some((*at_ms, playback)),
        _ => None,
    });
    shown.collect()
}

/// The levels that were shown: of which party, each with when.
fn levels(line: &Line, track: Track) -> Vec<(u64, f32)> {
    let shown = line.shown.iter().filter_map(|(at_ms, data)| match data {
        VolatileData::AudioLevel(AudioLevel { inbound, outbound }) => {
            Some((*at_ms, [*inbound, *outbound][track.index()]))
        }
        _ => None,
    });
    shown.collect()
}

/// The level of audio that is all this code, as it is shown.
fn level_of(code: u8) -> f32 {
    (ulaw::level_dbov(&[code]) * 10.0).round() / 10.0
}

/// When levels began and ceased to be those of `code`, in ms from the start of the test.
fn sounding(levels: &[(u64, f32)], code: u8) -> (u64, u64) {
    let mut loud = levels
        .iter()
        .filter(|(_, level)| *level == level_of(code))
        .map(|(at_ms, _)| *at_ms);
    let first = loud.next().unwrap();
    (first, loud.next_back().unwrap_or(first))
}

#[test]
fn nothing_is_shown_that_nobody_asks_for() {
    let (mut line, stream) = agent_call();
    line.agent_turn("Good morning, how can I help you?", 2_000);
    line.play(stream, &[(Track::Inbound, "aaaaaaaaaa")]);
    line.run(secs(3));
    assert_eq!(line.turns().len(), 1);
    assert_eq!(line.shown, []);
}

#[test]
fn the_playback_of_a_turn_is_shown_five_times_a_second_and_last_before_the_turn_is_told() {
    let (mut line, _) = agent_call();
    watch(&mut line, PLAYBACK);
    line.run(secs(1));
    assert_eq!(line.shown, [], "nothing is being said");

    line.agent_turn("Good morning, how can I help you?", 2_000);
    line.run(secs(3));
    let shown = playbacks(&line);
    assert!((9..=11).contains(&shown.len()), "{shown:?}");
    for pair in shown.windows(2) {
        let [(before, earlier), (at, later)] = pair else {
            unreachable!()
        };
        assert!(later.heard_ms > earlier.heard_ms, "{shown:?}");
        assert!(later.heard_text.starts_with(&earlier.heard_text));
        assert!(at - before <= 400, "{shown:?}");
    }
    let (_, middle) = shown[shown.len() / 2 - 1];
    assert!((800..=1_200).contains(&middle.heard_ms), "{shown:?}");
    assert!(middle.heard_text.starts_with("Good morning,"), "{shown:?}");
    assert!(middle.heard_text.len() < 20, "{}", middle.heard_text);

    let Some((_, last)) = shown.last() else {
        panic!("nothing was shown")
    };
    let [turn] = line.agent_turns()[..] else {
        panic!("one turn")
    };
    let heard = turn.heard.as_ref().unwrap();
    assert_eq!(
        (last.turn, last.heard_ms, &last.heard_text),
        (turn.turn, heard.heard_ms, &heard.heard_text)
    );
    assert!(line.order.ends_with(&["agent.playback", "agent.turn"]));
}

#[test]
fn the_last_playback_of_a_turn_that_is_cut_short_is_what_was_heard_of_it() {
    let (mut line, _) = agent_call();
    watch(&mut line, PLAYBACK);
    line.agent_turn("A long story that nobody wants to hear to its end.", 8_000);
    line.run(ms(1_090));
    line.caller_speaks();
    let shown = playbacks(&line);
    let (_, last) = shown[shown.len() - 1];
    let Some(EventData::AgentInterrupted(cut)) = line
        .events
        .iter()
        .find(|event| event.type_name() == "agent.interrupted")
    else {
        panic!("it was not cut short")
    };
    assert_eq!(
        (last.heard_ms, &last.heard_text),
        (cut.heard_ms, &cut.heard_text)
    );
    assert!((1_000..=1_100).contains(&last.heard_ms), "{last:?}");
    assert!(line.order.ends_with(&[
        "clear",
        "agent.user_started_speaking",
        "agent.playback",
        "agent.interrupted",
        "agent.turn",
    ]));
    let count = shown.len();
    line.run(secs(2));
    assert_eq!(playbacks(&line).len(), count, "it is over");
}

#[test]
fn a_turn_of_which_nothing_was_heard_has_no_playback() {
    let (mut line, _) = agent_call();
    watch(&mut line, PLAYBACK);
    line.agent_text("Nobody will hear this.");
    line.caller_speaks();
    assert_eq!(line.turns().len(), 1);
    assert_eq!(line.shown, []);
}

#[test]
fn who_comes_in_the_middle_of_a_turn_is_shown_it_at_once_and_no_more_once_he_has_gone() {
    let (mut line, _) = agent_call();
    line.agent_turn("Good morning, how can I help you?", 2_000);
    line.run(ms(900));
    watch(&mut line, PLAYBACK);
    assert_eq!(playbacks(&line).len(), 1);
    line.run(ms(410));
    assert_eq!(playbacks(&line).len(), 3);
    watch(&mut line, Watch::default());
    line.run(secs(3));
    assert_eq!(playbacks(&line).len(), 3);
    assert_eq!(line.turns().len(), 1);
}

#[test]
fn levels_are_told_eight_times_a_second_of_either_track() {
    let mut line = Line::new();
    let stream = line.stream(&Track::ALL);
    watch(&mut line, LEVELS);
    line.play(
        stream,
        &[
            (Track::Inbound, "aaaaaaaaaa..........          "),
            (Track::Outbound, "          bbbbbbbbbb.........."),
        ],
    );
    let (inbound, outbound) = (
        levels(&line, Track::Inbound),
        levels(&line, Track::Outbound),
    );
    let times: Vec<_> = inbound.iter().map(|(at_ms, _)| *at_ms).collect();
    assert_eq!(times, (1..=24).map(|n| n * 125).collect::<Vec<_>>());
    assert_eq!(sounding(&inbound, b'a'), (125, 1_000));
    assert_eq!(sounding(&outbound, b'b'), (1_125, 2_000));
    let silent = |levels: &[(u64, f32)], from_ms| {
        let rest = levels.iter().filter(|(at_ms, _)| *at_ms > from_ms);
        assert!(rest.clone().count() > 0);
        rest.clone().all(|(_, level)| *level == SILENT)
    };
    assert_eq!(level_of(SILENCE), SILENT);
    assert!(silent(&inbound, 1_125), "{inbound:?}");
    assert!(silent(&outbound, 2_125), "{outbound:?}");
}

#[test]
fn what_is_played_into_a_call_is_as_loud_as_it_is_when_it_is_heard() {
    let (mut line, stream) = agent_call();
    watch(&mut line, LEVELS);
    line.run(ms(250));
    let begins_ms = levels(&line, Track::Outbound).last().unwrap().0;
    line.agent_text("Good morning!");
    line.agent_sounds(0x2A, 1_000);
    line.agent_done();
    // Nobody's voice, and no echo of the agent's either.
    line.play(stream, &[(Track::Inbound, "...............")]);
    line.run(ms(500));
    let outbound = levels(&line, Track::Outbound);
    let (first, last) = sounding(&outbound, 0x2A);
    assert_eq!((first - begins_ms, last - begins_ms), (125, 1_000));
    assert_eq!(outbound.last().unwrap().1, SILENT);
    let inbound = levels(&line, Track::Inbound);
    assert!(inbound.iter().all(|(_, level)| *level == SILENT));
}

#[test]
fn what_is_cleared_is_silent_at_once() {
    let (mut line, _) = agent_call();
    watch(&mut line, LEVELS);
    line.agent_turn("A long story that nobody wants to hear.", 8_000);
    line.run(secs(1));
    let (_, level) = levels(&line, Track::Outbound).pop().unwrap();
    assert_eq!(level, level_of(0x2A));
    line.caller_speaks();
    let spoke = levels(&line, Track::Outbound).len();
    line.run(secs(1));
    let after = &levels(&line, Track::Outbound)[spoke..];
    assert_eq!(after.len(), 8);
    assert!(after.iter().all(|(_, level)| *level == SILENT), "{after:?}");
}

#[test]
fn levels_cease_when_nobody_asks_any_more_and_when_the_call_ends() {
    let mut line = Line::new();
    let stream = line.stream(&Track::ALL);
    line.run(secs(1));
    watch(&mut line, LEVELS);
    line.run(secs(1));
    assert_eq!(line.shown.len(), 8);
    watch(&mut line, Watch::default());
    line.run(secs(1));
    assert_eq!(line.shown.len(), 8);
    watch(&mut line, ALL);
    line.run(secs(1));
    assert_eq!(line.shown.len(), 16);
    line.end(stream, StreamEnd::Stop);
    line.run_to_end();
}
