//! What is shown while it holds, and kept by nobody.

use std::fmt;

use serde::Serialize;

use super::Transcript;

/// What is shown of a call beside its durable events. Serialized as `"type"` and `"data"`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(tag = "type", content = "data")]
pub enum VolatileData {
    /// What is being said; it may still change.
    #[serde(rename = "transcript.interim")]
    TranscriptInterim(Box<Transcript>),
    /// How far the agent's turn is that is being played.
    #[serde(rename = "agent.playback")]
    AgentPlayback(AgentPlayback),
    /// How loud both parties are.
    #[serde(rename = "audio.level")]
    AudioLevel(AudioLevel),
}

impl VolatileData {
    /// The `"type"`, for filters.
    pub const fn type_name(&self) -> &'static str {
        match self {
            Self::TranscriptInterim(_) => "transcript.interim",
            Self::AgentPlayback(_) => AgentPlayback::TYPE_NAME,
            Self::AudioLevel(_) => AudioLevel::TYPE_NAME,
        }
    }
}

/// What has been heard so far of the agent's turn that is being played, about 5 times a second.
#[derive(Clone, PartialEq, Eq, Serialize)]
pub struct AgentPlayback {
    /// Which turn.
    pub turn: u32,
    /// How much of its audio.
    pub heard_ms: u64,
    /// Its words, to the nearest.
    pub heard_text: String,
}

impl AgentPlayback {
    /// Its `"type"`.
    pub const TYPE_NAME: &'static str = "agent.playback";
}

impl fmt::Debug for AgentPlayback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AgentPlayback")
            .field("turn", &self.turn)
            .field("heard_ms", &self.heard_ms)
            .finish_non_exhaustive()
    }
}

/// How loud the last 125 ms were: in dBov with one decimal, 0 (a square wave of full scale) to -127
/// (digital silence, or nothing came).
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct AudioLevel {
    /// The person on this leg.
    pub inbound: f32,
    /// What that person hears: in a bidirectional call what is played into it, else the track.
    pub outbound: f32,
}

impl AudioLevel {
    /// Its `"type"`.
    pub const TYPE_NAME: &'static str = "audio.level";
}

/// Which of the volatile events that only those get who ask for them somebody asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// [`AgentPlayback`].
    pub playback: bool,
    /// [`AudioLevel`].
    pub levels: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn playback() -> AgentPlayback {
        AgentPlayback {
            turn: 3,
            heard_ms: 900,
            heard_text: "A secret".into(),
        }
    }

    #[track_caller]
    fn check(data: &VolatileData, expect: &str) {
        let json = serde_json::to_string(data).unwrap();
        assert_eq!(json, expect);
        assert!(json.contains(&format!(r#""type":"{}""#, data.type_name())));
    }

    #[test]
    fn the_playback_carries_what_was_heard_of_the_turn() {
        check(
            &VolatileData::AgentPlayback(playback()),
            concat!(
                r#"{"type":"agent.playback","#,
                r#""data":{"turn":3,"heard_ms":900,"heard_text":"A secret"}}"#
            ),
        );
    }

    #[test]
    fn levels_are_numbers_with_one_decimal() {
        check(
            &VolatileData::AudioLevel(AudioLevel {
                inbound: -31.2,
                outbound: -127.0,
            }),
            r#"{"type":"audio.level","data":{"inbound":-31.2,"outbound":-127.0}}"#,
        );
    }

    #[test]
    fn what_the_agent_says_does_not_reach_debug() {
        assert!(!format!("{:?}", playback()).contains("secret"));
    }
}
