//! The faults of agents.

use std::time::Duration;

use sidetone_deepgram::listen::message::Close;

use super::{Kind, TIMES_MS, form, refused};
use crate::emulator::agent::flaws::{Accident, AgentFlaws, Mishap, Stage};
use crate::emulator::flaws::SpeechFlaws;
use crate::emulator::refusal::Refused;
use crate::faults::{FaultError, WrittenFault};

/// Instead of a session that begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum AgentHandshakeFault {
    Refuse(Refused),
    Hang,
    /// It is opened, and nothing is said.
    NoWelcome,
}

/// How an agent's session is all along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum AgentHabit {
    NoSettingsApplied,
    SessionLength(Duration),
    Slow { by: Duration, pace_percent: u32 },
    LateAudio { ms: u64 },
    CancelledCalls { after: Duration },
    KeepAliveIgnored,
    InjectionsRefused,
    UnknownMessages,
    LatencyStrings,
}

impl AgentHabit {
    /// Gives a session this habit.
    pub(in crate::emulator) fn apply(self, flaws: &mut AgentFlaws) {
        match self {
            Self::NoSettingsApplied => flaws.no_settings_applied = true,
            Self::SessionLength(length) => flaws.session_length = Some(length),
            Self::Slow { by, pace_percent } => {
                (flaws.slow_by, flaws.pace_percent) = (by, pace_percent);
            }
            Self::LateAudio { ms } => flaws.late_audio_ms = ms,
            Self::CancelledCalls { after } => flaws.cancels_calls_after = Some(after),
            Self::KeepAliveIgnored => flaws.ignores_keep_alive = true,
            Self::InjectionsRefused => flaws.refuses_injections = true,
            Self::UnknownMessages => flaws.telling.unknown_messages = true,
            Self::LatencyStrings => flaws.telling.latency_strings = true,
        }
    }
}

/// The fault called `agent-` and this name.
pub(super) fn kind(name: &str, written: &WrittenFault<'_>) -> Result<Kind, FaultError> {
    let ms = |usual_ms| -> Result<u64, FaultError> {
        Ok(written.number("ms", TIMES_MS)?.unwrap_or(usual_ms))
    };
    let habit = Kind::AgentHabit;
    Ok(match name {
        "refuse" => Kind::AgentHandshake(AgentHandshakeFault::Refuse(refused(written)?)),
        "handshake-hang" => Kind::AgentHandshake(AgentHandshakeFault::Hang),
        "no-welcome" => Kind::AgentHandshake(AgentHandshakeFault::NoWelcome),
        "no-settings-applied" => habit(AgentHabit::NoSettingsApplied),
        "drop" => accident(written, Mishap::Drop)?,
        "stall" => accident(written, Mishap::Stall)?,
        "deaf" => accident(written, Mishap::Deafen)?,
        "close" => {
            let code = written.number("code", 1_000..=4_999)?.unwrap_or(1_011);
            accident(written, Mishap::Close(Close { code, reason: "" }))?
        }
        "error" => {
            let code = one_of(written, ERRORS)?.unwrap_or("INTERNAL_SERVER_ERROR");
            accident(written, Mishap::Error(code))?
        }
        "warning" => {
            let code = one_of(written, WARNINGS)?.unwrap_or("SLOW_THINK_REQUEST");
            accident(written, Mishap::Warning(code))?
        }
        "malformed" => accident(written, Mishap::Malform(form(written)?))?,
        "session-length" => habit(AgentHabit::SessionLength(Duration::from_millis(ms(
            10_000,
        )?))),
        "slow" => habit(AgentHabit::Slow {
            by: Duration::from_millis(ms(2_000)?),
            pace_percent: written
                .number("percent", 1..=10_000)?
                .unwrap_or(SpeechFlaws::USUAL_PACE_PERCENT),
        }),
        "late-audio" => habit(AgentHabit::LateAudio { ms: ms(600)? }),
        "cancelled-calls" => habit(AgentHabit::CancelledCalls {
            after: Duration::from_millis(ms(30)?),
        }),
        "keep-alive-ignored" => habit(AgentHabit::KeepAliveIgnored),
        "injections-refused" => habit(AgentHabit::InjectionsRefused),
        "unknown-messages" => habit(AgentHabit::UnknownMessages),
        "latency-strings" => habit(AgentHabit::LatencyStrings),
        name => unreachable!("agent-{name} is in the list of faults, from which names come"),
    })
}

fn accident(written: &WrittenFault<'_>, mishap: Mishap) -> Result<Kind, FaultError> {
    let stages = Stage::ALL.map(|stage| stage.name());
    let stage = one_of_names(written, "at", &stages)?;
    let stage = stage.and_then(|name| Stage::ALL.into_iter().find(|stage| stage.name() == name));
    let after = written.number("after_ms", TIMES_MS)?;
    Ok(Kind::AgentAccident(Accident {
        stage: stage.or(mishap.usual_stage()),
        after: after.map(Duration::from_millis),
        mishap,
    }))
}

fn one_of(
    written: &WrittenFault<'_>,
    codes: &'static [&'static str],
) -> Result<Option<&'static str>, FaultError> {
    one_of_names(written, "code", codes)
}

/// The value of a parameter that is one of these names, if it was given.
fn one_of_names(
    written: &WrittenFault<'_>,
    parameter: &'static str,
    names: &[&'static str],
) -> Result<Option<&'static str>, FaultError> {
    let Some(value) = written.text(parameter) else {
        return Ok(None);
    };
    let known = names.iter().find(|name| **name == value).copied();
    let known = known.ok_or_else(|| written.misfit(parameter, value, names.join(", ")));
    known.map(Some)
}

/// Codes of `Error`.
const ERRORS: &[&str] = &[
    "INTERNAL_SERVER_ERROR",
    "CLIENT_MESSAGE_TIMEOUT",
    "UNPARSABLE_CLIENT_MESSAGE",
    "NON_SETTINGS_MESSAGE_BEFORE_SETTINGS",
    "SETTINGS_ALREADY_APPLIED",
    "INVALID_SETTINGS",
    "FAILED_TO_START_LISTENING",
    "ASR_CONNECTION_CLOSED",
    "ASR_DRIVER_TIMEOUT",
    "USER_AUDIO_FORMAT",
    "FAILED_TO_SPEAK",
    "FAILED_TO_THINK",
    "SERVER_GOING_AWAY",
    "NON_EXISTENT_FUNCTION_CALLED",
    "AGENT_ID_NOT_SUPPORTED",
    "INVALID_AGENT_ID",
    "MAXIMUM_SESSION_LENGTH_REACHED",
];

/// Codes of `Warning`.
const WARNINGS: &[&str] = &[
    "INJECT_AGENT_MESSAGE_DURING_USER_SPEECH",
    "INJECT_AGENT_MESSAGE_DURING_AGENT_SPEECH",
    "PROMPT_TOO_LONG",
    "THINK_REQUEST_FAILED",
    "SPEAK_REQUEST_FAILED",
    "FUNCTION_CALL_FAILED",
    "SLOW_THINK_REQUEST",
    "SLOW_SPEAK_REQUEST",
    "FORCE_END_TURN_UNSUPPORTED",
    "GPT_4O_STREAM_END_ERROR",
    "MAXIMUM_SESSION_LENGTH_APPROACHING",
    "VOICE_PROMPT_ADDED",
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::emulator::Fault;

    fn accident(text: &str) -> Accident {
        let fault: Fault = text.parse().unwrap();
        fault.kind.agent_accident().unwrap()
    }

    #[test]
    fn an_accident_happens_at_a_stage_of_the_conversation_or_after_some_time() {
        let told = accident("agent-drop:at=speaking,after_ms=200");
        assert_eq!(told.stage, Some(Stage::Speaking));
        assert_eq!(told.after, Some(Duration::from_millis(200)));
        let told = accident("agent-drop");
        assert_eq!((told.stage, told.after), (None, None));
    }

    #[test]
    fn an_error_happens_where_it_belongs_unless_told_otherwise() {
        for (text, stage) in [
            ("agent-error", None),
            ("agent-error:code=INVALID_SETTINGS", Some(Stage::Settings)),
            ("agent-error:code=FAILED_TO_THINK", Some(Stage::Thinking)),
            ("agent-error:code=FAILED_TO_SPEAK", Some(Stage::Speaking)),
            (
                "agent-error:code=FAILED_TO_SPEAK,at=pause",
                Some(Stage::Pause),
            ),
        ] {
            assert_eq!(accident(text).stage, stage, "{text}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        for (text, words) in [
            ("agent-error:code=OOPS", "FAILED_TO_THINK"),
            ("agent-warning:code=INVALID_SETTINGS", "VOICE_PROMPT_ADDED"),
            ("agent-stall:at=noon", "settings, hearing, thinking"),
            ("agent-close:code=17", "1000 to 4999"),
        ] {
            let refused = text.parse::<Fault>().unwrap_err().to_string();
            assert!(refused.contains(words), "{refused}");
        }
    }
}
