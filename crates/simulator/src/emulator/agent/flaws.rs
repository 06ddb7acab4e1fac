//! What goes wrong in one agent's session.

use std::time::Duration;

use sidetone_deepgram::listen::message::Close;

use crate::emulator::flaws::{Malformed, SpeechFlaws};

/// The flaws of one session; none unless it met a fault.
#[derive(Clone, Debug)]
pub(in crate::emulator) struct AgentFlaws {
    pub(in crate::emulator) accidents: Vec<Accident>,
    pub(in crate::emulator) no_settings_applied: bool,
    /// Instead of two hours.
    pub(in crate::emulator) session_length: Option<Duration>,
    /// It thinks so much longer.
    pub(in crate::emulator) slow_by: Duration,
    /// How fast audio comes, 100 being the pace of speech.
    pub(in crate::emulator) pace_percent: u32,
    /// How much audio of what it was saying comes once the user has begun to speak.
    pub(in crate::emulator) late_audio_ms: u64,
    /// Calls are cancelled after this time, and made anew.
    pub(in crate::emulator) cancels_calls_after: Option<Duration>,
    pub(in crate::emulator) ignores_keep_alive: bool,
    pub(in crate::emulator) refuses_injections: bool,
    pub(in crate::emulator) telling: TellingFlaws,
}

impl Default for AgentFlaws {
    fn default() -> Self {
        Self {
            accidents: Vec::new(),
            no_settings_applied: false,
            session_length: None,
            slow_by: Duration::ZERO,
            pace_percent: SpeechFlaws::USUAL_PACE_PERCENT,
            late_audio_ms: 0,
            cancels_calls_after: None,
            ignores_keep_alive: false,
            refuses_injections: false,
            telling: TellingFlaws::default(),
        }
    }
}

/// How messages are odd, and legal all the same.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::emulator) struct TellingFlaws {
    /// Unknown fields in the messages, and unknown messages between them.
    pub(in crate::emulator) unknown_messages: bool,
    pub(in crate::emulator) latency_strings: bool,
}

/// Something that happens once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) struct Accident {
    /// What has to happen first; `None`: nothing but time.
    pub(in crate::emulator) stage: Option<Stage>,
    /// How long after that, or after the opening; `None`: at once, or when such things happen.
    pub(in crate::emulator) after: Option<Duration>,
    pub(in crate::emulator) mishap: Mishap,
}

/// What a conversation comes to, again and again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Stage {
    /// Settings are about to be applied: what ends the session does so before `SettingsApplied`.
    Settings,
    /// `UserStartedSpeaking`.
    Hearing,
    /// `AgentThinking`.
    Thinking,
    /// `FunctionCallRequest`.
    Calling,
    /// The first audio of an answer.
    Speaking,
    /// `AgentAudioDone`.
    Pause,
}

impl Stage {
    pub(in crate::emulator) const ALL: [Self; 6] = [
        Self::Settings,
        Self::Hearing,
        Self::Thinking,
        Self::Calling,
        Self::Speaking,
        Self::Pause,
    ];

    /// As it is written in a fault.
    pub(in crate::emulator) const fn name(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Hearing => "hearing",
            Self::Thinking => "thinking",
            Self::Calling => "calling",
            Self::Speaking => "speaking",
            Self::Pause => "pause",
        }
    }
}

/// What an accident is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::emulator) enum Mishap {
    /// The socket is gone.
    Drop,
    /// The socket is there and dead.
    Stall,
    /// Nothing is told from now on.
    Deafen,
    /// Closed without a word.
    Close(Close),
    /// An `Error` of this code, and most end the session.
    Error(&'static str),
    /// A `Warning` of this code.
    Warning(&'static str),
    /// The next message is broken.
    Malform(Malformed),
}

impl Mishap {
    /// Where it belongs, if nothing else is said.
    pub(in crate::emulator) fn usual_stage(self) -> Option<Stage> {
        match self {
            Self::Error(
                "INVALID_SETTINGS"
                | "FAILED_TO_START_LISTENING"
                | "AGENT_ID_NOT_SUPPORTED"
                | "INVALID_AGENT_ID"
                | "USER_AUDIO_FORMAT",
            ) => Some(Stage::Settings),
            Self::Error("FAILED_TO_THINK") => Some(Stage::Thinking),
            Self::Error("FAILED_TO_SPEAK") => Some(Stage::Speaking),
            _ => None,
        }
    }
}
