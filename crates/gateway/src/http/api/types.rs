//! Which types of events a reader wants.

use sidetone_call::event::{AgentPlayback, AudioLevel, Watch};
use sidetone_call::log::Item;

use super::super::problem::Problem;
use super::super::query::Query;

/// Every type of event.
const TYPES: &[&str] = &[
    "agent.audio_done",
    "agent.function_called",
    "agent.interrupted",
    "agent.playback",
    "agent.ready",
    "agent.started_speaking",
    "agent.thinking",
    "agent.turn",
    "agent.user_started_speaking",
    "audio.gap",
    "audio.level",
    "call.answered",
    "call.ended",
    "call.resumed",
    "call.ringing",
    "call.started",
    "call.status",
    "dtmf",
    "provider.disconnected",
    "provider.reconnected",
    "speak.failed",
    "speak.finished",
    "speak.interrupted",
    "speak.started",
    "speech.started",
    "transcript.final",
    "transcript.interim",
    "utterance.ended",
    "warning",
];

/// The types that a reader named; when he named none, all but those that have to be named.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Types(Option<Vec<Pattern>>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Pattern {
    Exactly(String),
    StartingWith(String),
}

impl Types {
    /// Reads the parameter `types`: a comma list, in which a name may end with `*`.
    pub(super) fn from_query(query: &Query) -> Result<Self, Problem> {
        let Some(list) = query.text("types")? else {
            return Ok(Self::default());
        };
        let patterns = list.split(',').map(|member| Pattern::parse(member.trim()));
        Ok(Self(Some(patterns.collect::<Result<_, _>>()?)))
    }

    /// Whether the reader wants every type.
    pub(super) const fn are_all(&self) -> bool {
        self.0.is_none()
    }

    /// Whether the reader wants this.
    pub(super) fn want(&self, item: &Item) -> bool {
        let name = match item {
            Item::Event(entry) => entry.event.data.type_name(),
            Item::Volatile(volatile) => volatile.data.type_name(),
        };
        self.0.is_none() || self.name(name)
    }

    /// What the reader asks for of what only those get who ask for it.
    pub(super) fn watch(&self) -> Watch {
        Watch {
            playback: self.name(AgentPlayback::TYPE_NAME),
            levels: self.name(AudioLevel::TYPE_NAME),
        }
    }

    /// Whether the reader named this type, or its beginning.
    fn name(&self, name: &str) -> bool {
        let mut patterns = self.0.iter().flatten();
        patterns.any(|pattern| pattern.matches(name))
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, Problem> {
        let pattern = match text.strip_suffix('*') {
            Some(beginning) => Self::StartingWith(beginning.to_owned()),
            None => Self::Exactly(text.to_owned()),
        };
        if TYPES.iter().any(|name| pattern.matches(name)) {
            return Ok(pattern);
        }
        let expected = "types of events such as transcript.final or call.*, separated by commas";
        Err(Query::wrong("types", text, expected))
    }

    fn matches(&self, name: &str) -> bool {
        match self {
            Self::Exactly(exact) => name == exact,
            Self::StartingWith(beginning) => name.starts_with(beginning.as_str()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, OnceLock};

    use sidetone_call::event::{Dtmf, Event, EventData, Warning};
    use sidetone_call::log::Entry;

    use super::*;

    fn event(data: EventData) -> Item {
        let call_sid = "CA0123456789abcdef0123456789abcdef".parse().unwrap();
        let event = Event {
            seq: 1,
            call_sid,
            at: jiff::Timestamp::UNIX_EPOCH,
            data,
        };
        Item::Event(Arc::new(Entry {
            event,
            json: OnceLock::new(),
        }))
    }

    fn dtmf() -> Item {
        event(EventData::Dtmf(Dtmf {
            track: sidetone_audio::Track::Inbound,
            digit: '1',
        }))
    }

    fn warning() -> Item {
        event(EventData::Warning(Warning {
            code: "x",
            detail: String::new(),
        }))
    }

    fn types(query: &str) -> Result<Types, Problem> {
        Types::from_query(&Query::parse(query))
    }

    #[test]
    fn who_names_nothing_gets_everything() {
        assert!(types("").unwrap().want(&dtmf()));
        assert!(types("types=*").unwrap().want(&dtmf()));
    }

    #[test]
    fn the_playback_and_the_levels_are_asked_for_by_name_or_by_a_beginning() {
        for (query, playback, levels) in [
            ("", false, false),
            ("types=agent.turn,audio.gap", false, false),
            ("types=agent.playback", true, false),
            ("types=agent.*", true, false),
            ("types=audio.level,call.*", false, true),
            ("types=a*", true, true),
            ("types=*", true, true),
        ] {
            let watch = types(query).unwrap().watch();
            assert_eq!(
                (watch.playback, watch.levels),
                (playback, levels),
                "{query}"
            );
        }
    }

    #[test]
    fn names_and_beginnings_choose() {
        let chosen = types("types=call.*,%20dtmf").unwrap();
        assert!(chosen.want(&dtmf()));
        assert!(!chosen.want(&warning()));
        assert!(types("types=warn*").unwrap().want(&warning()));
    }

    #[test]
    fn a_type_that_does_not_exist_is_refused() {
        for list in [
            "transcript",
            "transcript.finals",
            "call.*d",
            "dtmf,,warning",
            "nothing.*",
        ] {
            assert!(types(&format!("types={list}")).is_err(), "{list}");
        }
    }

    #[test]
    fn fuzzed_queries_are_read_or_refused() {
        sidetone_fuzz::check_text("api-queries", |text| {
            let query = Query::parse(text);
            if let Ok(Some(after)) = query.value::<u64>("after", "a number") {
                let text = query.text("after").unwrap().unwrap();
                assert_eq!(text.parse(), Ok(after));
            }
            if let Ok(limit) = query.limit() {
                assert!((1..=500).contains(&limit));
            }
            if let Ok(Types(Some(patterns))) = Types::from_query(&query) {
                let named = |pattern: &Pattern| TYPES.iter().any(|name| pattern.matches(name));
                assert!(patterns.iter().all(named));
            }
        });
    }
}
