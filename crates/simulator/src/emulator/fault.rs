//! What the emulator can be told to do wrong.

mod agent;
mod list;

use std::fmt;
use std::ops::RangeInclusive;
use std::str::FromStr;
use std::time::Duration;

use sidetone_deepgram::listen::message::Close;

use self::list::LIST;
use super::agent::flaws::Accident;
use super::flaws::{Break, Ending, Flaws, Malformed, Moment, SpeechFlaws};
use super::refusal::{REFUSALS, Refused};
use crate::faults::{FaultEntry, FaultError, WrittenFault};
pub(super) use agent::{AgentHabit, AgentHandshakeFault};

/// A fault of the emulator, as in `drop:after_ms=4000,times=all`.
///
/// It hits the first of each call's connections that can meet it, or every one when it is a habit
/// rather than an accident. `times` (a number, or `all`) says otherwise; `skip` spares the first
/// so many; `call` keeps it to the calls one of whose `extra` or `tag` holds this text. A call is
/// told by its `extra`, an agent's by its `tags`; requests for speech, those to Twilio and the
/// handshakes of agents, which have neither, count as those of one call. What happens at a moment
/// of a stream happens 4 s after its opening, or after `after_ms`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    written: String,
    pub(super) kind: Kind,
    /// Only the calls whose labels hold this text.
    pub(super) call: Option<String>,
    /// How many connections of a call are spared first.
    pub(super) skip: u32,
    /// How many connections of a call are hit after these.
    pub(super) times: u32,
}

/// What goes wrong, and when it has to be looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// At the handshake of a stream.
    Handshake(HandshakeFault),
    /// At a moment of a stream; `None`: when such things happen.
    Moment(Option<Duration>, Moment),
    /// All along a stream.
    Habit(Habit),
    /// At a request for speech.
    SpeakRefusal(Refused),
    /// In the answer to a request for speech.
    Speech(SpeechFault),
    /// At a request to Twilio's REST API.
    Request(RequestFault),
    /// At the handshake of an agent.
    AgentHandshake(AgentHandshakeFault),
    /// At a moment of an agent's session.
    AgentAccident(Accident),
    /// All along an agent's session.
    AgentHabit(AgentHabit),
}

impl Kind {
    pub(super) fn handshake(&self) -> Option<HandshakeFault> {
        if let Self::Handshake(fault) = self {
            Some(fault.clone())
        } else {
            None
        }
    }

    pub(super) fn moment(&self) -> Option<(Option<Duration>, Moment)> {
        if let Self::Moment(after, moment) = self {
            Some((*after, *moment))
        } else {
            None
        }
    }

    pub(super) fn habit(&self) -> Option<Habit> {
        if let Self::Habit(habit) = self {
            Some(*habit)
        } else {
            None
        }
    }

    pub(super) fn speak_refusal(&self) -> Option<Refused> {
        if let Self::SpeakRefusal(refused) = self {
            Some(refused.clone())
        } else {
            None
        }
    }

    pub(super) fn speech(&self) -> Option<SpeechFault> {
        if let Self::Speech(fault) = self {
            Some(*fault)
        } else {
            None
        }
    }

    pub(super) fn request(&self) -> Option<RequestFault> {
        if let Self::Request(fault) = self {
            Some(*fault)
        } else {
            None
        }
    }

    pub(super) fn agent_handshake(&self) -> Option<AgentHandshakeFault> {
        if let Self::AgentHandshake(fault) = self {
            Some(fault.clone())
        } else {
            None
        }
    }

    pub(super) fn agent_accident(&self) -> Option<Accident> {
        if let Self::AgentAccident(accident) = self {
            Some(*accident)
        } else {
            None
        }
    }

    pub(super) fn agent_habit(&self) -> Option<AgentHabit> {
        if let Self::AgentHabit(habit) = self {
            Some(*habit)
        } else {
            None
        }
    }
}

/// Instead of an opened stream.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum HandshakeFault {
    Refuse(Refused),
    Hang,
}

/// Instead of Twilio's answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct RequestFault {
    pub(super) status: u16,
    pub(super) retry_after_secs: Option<u32>,
}

/// What is wrong with an answer to a request for speech.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum SpeechFault {
    Slow { by: Duration, pace_percent: u32 },
    WavHeader,
    Breaks { after: Duration, how: Break },
}

impl SpeechFault {
    /// Gives an answer this fault.
    pub(super) fn apply(self, flaws: &mut SpeechFlaws) {
        match self {
            Self::Slow { by, pace_percent } => {
                (flaws.late_by, flaws.pace_percent) = (by, pace_percent);
            }
            Self::WavHeader => flaws.wav_header = true,
            Self::Breaks { after, how } => flaws.breaks = Some((after, how)),
        }
    }
}

/// How a stream is all along.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Habit {
    NoRequestId,
    Slow(Duration),
    ReorderedChannels { up_to_ms: u64 },
    Fragmented { frame_bytes: usize },
    HugeResults { bytes: usize },
    OmittedFields,
    UnknownFields,
    UnknownTypes,
    DoubledUtteranceEnds,
    LateMessages,
    Ends(Ending),
    EmptyFinals,
    ShortFinals,
    WordTimes { up_to_ms: u64 },
    ClippedOnsets { up_to_ms: u64 },
    MergedNumerals,
}

impl Fault {
    /// Every fault of the emulator.
    pub const LIST: &'static [FaultEntry] = LIST;

    /// As it stands in the list.
    pub fn name(&self) -> &str {
        let name_ends = self.written.find(':').unwrap_or(self.written.len());
        &self.written[..name_ends]
    }
}

impl Habit {
    /// Gives a stream this habit.
    pub(super) fn apply(self, flaws: &mut Flaws) {
        let Flaws {
            hearing, telling, ..
        } = flaws;
        match self {
            Self::NoRequestId => flaws.no_request_id = true,
            Self::Slow(by) => flaws.slow_by = by,
            Self::ReorderedChannels { up_to_ms } => flaws.channels_apart_ms = up_to_ms,
            Self::Fragmented { frame_bytes } => flaws.frame_bytes = Some(frame_bytes),
            Self::Ends(ending) => flaws.ending = ending,
            Self::HugeResults { bytes } => telling.results_bytes = bytes,
            Self::OmittedFields => telling.omits_fields = true,
            Self::UnknownFields => telling.unknown_fields = true,
            Self::UnknownTypes => telling.unknown_types = true,
            Self::DoubledUtteranceEnds => telling.doubles_utterance_ends = true,
            Self::LateMessages => telling.late_messages = true,
            Self::EmptyFinals => hearing.empty_finals = true,
            Self::ShortFinals => hearing.short_finals = true,
            Self::WordTimes { up_to_ms } => hearing.word_times_ms = up_to_ms,
            Self::ClippedOnsets { up_to_ms } => hearing.clipped_onsets_ms = up_to_ms,
            Self::MergedNumerals => hearing.merged_numerals = true,
        }
    }
}

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let written = WrittenFault::parse(text, LIST)?;
        let kind = kind(&written)?;
        let usual_times = match kind {
            Kind::Habit(Habit::Ends(_)) => 1,
            Kind::Habit(_)
            | Kind::AgentHabit(_)
            | Kind::Speech(SpeechFault::Slow { .. } | SpeechFault::WavHeader) => u32::MAX,
            Kind::Handshake(_)
            | Kind::Moment(..)
            | Kind::SpeakRefusal(_)
            | Kind::Speech(SpeechFault::Breaks { .. })
            | Kind::Request(_)
            | Kind::AgentHandshake(_)
            | Kind::AgentAccident(_) => 1,
        };
        let times = match written.text("times") {
            Some("all") => u32::MAX,
            Some(_) => written.number("times", COUNTS)?.unwrap_or(usual_times),
            None => usual_times,
        };
        Ok(Self {
            kind,
            call: written.text("call").map(str::to_owned),
            skip: written.number("skip", COUNTS)?.unwrap_or(0),
            times,
            written: written.to_string(),
        })
    }
}

/// As it was written, without spaces.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn kind(written: &WrittenFault<'_>) -> Result<Kind, FaultError> {
    if let Some(name) = written.name().strip_prefix("agent-") {
        return agent::kind(name, written);
    }
    let ms = |parameter, usual_ms| {
        written
            .number(parameter, TIMES_MS)
            .map(|ms| ms.unwrap_or(usual_ms))
    };
    let moment = |moment| {
        let after_ms = written.number("after_ms", TIMES_MS)?;
        Ok(Kind::Moment(after_ms.map(Duration::from_millis), moment))
    };
    let breaks = |how| {
        let after = Duration::from_millis(ms("after_ms", 1_000)?);
        Ok(Kind::Speech(SpeechFault::Breaks { after, how }))
    };
    let status = || written.number("status", REFUSALS);
    let retry_after_secs = || written.number("retry_after_secs", 0..=3_600);
    Ok(match written.name() {
        "refuse" => Kind::Handshake(HandshakeFault::Refuse(refused(written)?)),
        "handshake-hang" => Kind::Handshake(HandshakeFault::Hang),
        "no-request-id" => Kind::Habit(Habit::NoRequestId),
        "drop" => moment(Moment::Drop)?,
        "stall" => moment(Moment::Stall)?,
        "deaf" => moment(Moment::Deafen)?,
        "net0000" => moment(Moment::Close(Close::NET_0000))?,
        "net0001" => moment(Moment::Close(Close::NET_0001))?,
        "data0000" => moment(Moment::Close(Close::DATA_0000))?,
        "unasked-end" => moment(Moment::End)?,
        "malformed" => moment(Moment::Malform(form(written)?))?,
        "close-without-finals" => Kind::Habit(Habit::Ends(Ending::WithoutFinals)),
        "close-unanswered" => Kind::Habit(Habit::Ends(Ending::Never)),
        "late-messages" => Kind::Habit(Habit::LateMessages),
        "slow" => Kind::Habit(Habit::Slow(Duration::from_millis(ms("ms", 2_000)?))),
        "reordered-channels" => Kind::Habit(Habit::ReorderedChannels {
            up_to_ms: ms("ms", 1_500)?,
        }),
        "fragmented" => Kind::Habit(Habit::Fragmented {
            frame_bytes: written.number("bytes", 1..=65_536)?.unwrap_or(16),
        }),
        "huge-results" => Kind::Habit(Habit::HugeResults {
            bytes: written.number("kib", 1..=2_048)?.unwrap_or(256_usize) << 10,
        }),
        "omitted-fields" => Kind::Habit(Habit::OmittedFields),
        "unknown-fields" => Kind::Habit(Habit::UnknownFields),
        "unknown-types" => Kind::Habit(Habit::UnknownTypes),
        "doubled-utterance-ends" => Kind::Habit(Habit::DoubledUtteranceEnds),
        "empty-finals" => Kind::Habit(Habit::EmptyFinals),
        "short-finals" => Kind::Habit(Habit::ShortFinals),
        "word-times" => Kind::Habit(Habit::WordTimes {
            up_to_ms: ms("ms", 80)?,
        }),
        "clipped-onsets" => Kind::Habit(Habit::ClippedOnsets {
            up_to_ms: ms("ms", 100)?,
        }),
        "merged-numerals" => Kind::Habit(Habit::MergedNumerals),
        "speak-refuse" => {
            let mut refused = Refused::of_speech_with_status(status()?.unwrap_or(503));
            refused.retry_after_secs = retry_after_secs()?;
            Kind::SpeakRefusal(refused)
        }
        "speak-stall" => breaks(Break::Stall)?,
        "speak-cut" => breaks(Break::Cut)?,
        "speak-slow" => Kind::Speech(SpeechFault::Slow {
            by: Duration::from_millis(ms("ms", 2_000)?),
            pace_percent: written
                .number("percent", 1..=10_000)?
                .unwrap_or(SpeechFlaws::USUAL_PACE_PERCENT),
        }),
        "speak-header" => Kind::Speech(SpeechFault::WavHeader),
        "twilio-refuse" => Kind::Request(RequestFault {
            status: status()?.unwrap_or(429),
            retry_after_secs: retry_after_secs()?,
        }),
        name => unreachable!("{name} is in the list of faults, from which names come"),
    })
}

fn refused(written: &WrittenFault<'_>) -> Result<Refused, FaultError> {
    let status = written.number("status", REFUSALS)?;
    let mut refused = Refused::with_status(status.unwrap_or(503));
    refused.retry_after_secs = written.number("retry_after_secs", 0..=3_600)?;
    Ok(refused)
}

fn form(written: &WrittenFault<'_>) -> Result<Malformed, FaultError> {
    Ok(match written.text("form") {
        None | Some("truncated") => Malformed::Truncated,
        Some("garbage") => Malformed::Garbage,
        Some("binary") => Malformed::Binary,
        Some(other) => {
            let expected = "truncated, garbage or binary".to_owned();
            return Err(written.misfit("form", other, expected));
        }
    })
}

const COUNTS: RangeInclusive<u32> = 0..=1_000_000;

/// Up to an hour.
const TIMES_MS: RangeInclusive<u64> = 0..=3_600_000;

#[cfg(test)]
mod tests {
    use super::*;

    fn fault(text: &str) -> Fault {
        text.parse().unwrap()
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let refused = text.parse::<Fault>().unwrap_err();
        assert_eq!(refused.to_string(), expected);
    }

    #[test]
    fn every_fault_of_the_list_can_be_asked_for_by_its_name_alone() {
        for entry in LIST {
            assert_eq!(fault(entry.name).to_string(), entry.name);
            assert_eq!(fault(entry.name).name(), entry.name);
        }
    }

    #[test]
    fn accidents_happen_once_and_habits_always() {
        for (text, times) in [
            ("drop", 1),
            ("refuse", 1),
            ("close-unanswered", 1),
            ("speak-refuse", 1),
            ("speak-cut", 1),
            ("speak-header", u32::MAX),
            ("slow", u32::MAX),
            ("slow:times=2", 2),
            ("drop:times=all", u32::MAX),
        ] {
            assert_eq!(fault(text).times, times, "{text}");
        }
    }

    #[test]
    fn parameters_are_read() {
        let refuse = fault("refuse: status=429, retry_after_secs=2, skip=1, call=CA7");
        let Kind::Handshake(HandshakeFault::Refuse(refused)) = &refuse.kind else {
            panic!("{refuse:?}")
        };
        assert_eq!((refused.status, refused.retry_after_secs), (429, Some(2)));
        assert_eq!((refuse.skip, refuse.call.as_deref()), (1, Some("CA7")));
        assert_eq!(
            refuse.to_string(),
            "refuse:status=429,retry_after_secs=2,skip=1,call=CA7"
        );
        assert_eq!(
            fault("drop:after_ms=1500").kind,
            Kind::Moment(Some(Duration::from_millis(1_500)), Moment::Drop)
        );
        assert_eq!(
            fault("huge-results:kib=1").kind,
            Kind::Habit(Habit::HugeResults { bytes: 1_024 })
        );
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_would() {
        check_refused(
            "refuse:status=200",
            "fault `refuse`: status=200 does not fit: expected a number from 400 to 599",
        );
        check_refused(
            "malformed:form=odd",
            "fault `malformed`: form=odd does not fit: expected truncated, garbage or binary",
        );
        check_refused("dorp", "there is no fault `dorp`; did you mean `drop`?");
        check_refused(
            "slow:after_ms=5",
            "fault `slow` has no parameter `after_ms`",
        );
    }
}
