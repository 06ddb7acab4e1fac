//! What the phone does wrong on purpose.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use crate::faults::{FaultEntry, FaultError, WrittenFault, entry, write_fault};

/// Something that real calls do now and then and a server has to live with.
///
/// Written as `NAME[:PARAM=VALUE[,PARAM=VALUE]]`; [`Fault::LIST`] has all names and parameters.
/// Faults of streams hit every stream of the call, and `after_ms` counts from a stream's first
/// media. Whatever varies is rolled from [`Options::seed`](super::Options::seed).
///
/// [`Report::spoken`](super::Report::spoken) stays exact: a word counts when all its samples left
/// on one stream, in their order and none twice. A word of which a fault swallowed a piece does
/// not count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fault {
    /// No frames leave for a while; what is said meanwhile is lost, and timestamps go on after it.
    SilentGap {
        /// How long.
        length: Duration,
        /// Age of the stream when it begins.
        after: Duration,
    },
    /// Frames are held up and then leave all at once, as at the boundary of two verbs.
    Burst {
        /// How many frames of each track.
        frames: u32,
        /// Age of the stream when the first is held up.
        after: Duration,
    },
    /// Frames of digital silence are not sent, and timestamps go on after them.
    SilenceSuppression,
    /// Media messages of another size than 160 bytes.
    OddFrames {
        /// Their size; `None`: each has its own, of 1 to 999 bytes.
        bytes: Option<usize>,
    },
    /// Timestamps are off, by another amount in each message.
    WobblingTimestamps {
        /// By at most so many ms, either way.
        by_ms: u64,
    },
    /// Timestamps jump ahead and back again, each time while nobody speaks.
    JumpingTimestamps {
        /// How far.
        by_ms: u64,
        /// How often.
        every: Duration,
    },
    /// Some timestamps mean nothing at all.
    AbsurdTimestamps {
        /// One in so many.
        one_in: u64,
    },
    /// Sequence numbers and chunk numbers are random.
    BrokenCounters,
    /// Messages have keys, and requests have fields, that are not documented.
    UndocumentedFields,
    /// The upgrade of a stream begins late.
    LateHandshake {
        /// How late.
        by: Duration,
    },
    /// `start` comes late after `connected`.
    LateStart {
        /// How late.
        by: Duration,
    },
    /// The call's first stream is forked once more. The people pause until the fork carries
    /// audio, so that no word falls into the seam.
    ParallelForks {
        /// Age of the stream at which they pause, as soon as a turn has ended.
        after: Duration,
    },
    /// `stop` is sent, and the socket stays open until the server closes it.
    StopWithoutClose {
        /// Age of the stream; `None`: at the end of the call.
        after: Option<Duration>,
    },
    /// The socket is closed without a `stop`.
    CloseWithoutStop {
        /// The close code; `None`: the Close has none.
        code: Option<u16>,
        /// Age of the stream; `None`: at the end of the call.
        after: Option<Duration>,
    },
    /// The socket stays, but nothing is sent any more, not even an answer to a ping.
    HalfOpen {
        /// Age of the stream; `None`: at the end of the call.
        after: Option<Duration>,
    },
    /// The connection is reset.
    TcpReset {
        /// Age of the stream; `None`: at the end of the call.
        after: Option<Duration>,
    },
    /// Twilio gives the stream up: `stream-error` is told at once, and nothing is sent any more on
    /// the socket, which is reset later.
    StreamError {
        /// How long after the callback.
        reset_after: Duration,
        /// Age of the stream.
        after: Duration,
    },
    /// `stream-stopped` is told, and answered, before the `stop` message is sent.
    StoppedFirst,
    /// `completed` is told, and answered, while the streams are still open.
    CompletedFirst,
    /// `in-progress` is told, and answered, before the first stream opens.
    AnsweredFirst,
    /// Every status callback is made twice, with the same `I-Twilio-Idempotency-Token`.
    DoubledCallbacks,
}

impl Fault {
    /// Every fault, as it is written.
    pub const LIST: &[FaultEntry] = &[
        entry(
            "silent-gap",
            &["ms", "after_ms"],
            "no frames for ms (5000), then the timestamps jump; what is said meanwhile is lost",
        ),
        entry(
            "burst",
            &["frames", "after_ms"],
            "frames (25) are held up, then leave all at once",
        ),
        entry(
            "silence-suppression",
            &[],
            "frames of digital silence are not sent",
        ),
        entry(
            "odd-frames",
            &["bytes"],
            "media of so many bytes, 1 to 999 (each at random)",
        ),
        entry(
            "wobbling-timestamps",
            &["ms"],
            "timestamps are off by up to ms (19), either way",
        ),
        entry(
            "jumping-timestamps",
            &["ms", "every_ms"],
            "timestamps jump ahead by ms (60000) and back again, every_ms (3000), between words",
        ),
        entry(
            "absurd-timestamps",
            &["one_in"],
            "one in so many (50) timestamps means nothing at all",
        ),
        entry(
            "broken-counters",
            &[],
            "sequence numbers and chunk numbers are random",
        ),
        entry(
            "undocumented-fields",
            &[],
            "undocumented keys in messages, an undocumented message, undocumented form fields",
        ),
        entry(
            "late-handshake",
            &["ms"],
            "the stream's upgrade begins ms (3000) late",
        ),
        entry(
            "late-start",
            &["ms"],
            "`start` comes ms (1000) after `connected`",
        ),
        entry(
            "parallel-forks",
            &["after_ms"],
            "the first stream is forked once more, in a pause of the talk",
        ),
        entry(
            "stop-without-close",
            &["after_ms"],
            "`stop`, but the socket stays open until the server closes it",
        ),
        entry(
            "close-without-stop",
            &["code", "after_ms"],
            "a Close (without a code) and no `stop`",
        ),
        entry(
            "half-open",
            &["after_ms"],
            "nothing is sent any more, not even pongs, and the socket stays",
        ),
        entry("tcp-reset", &["after_ms"], "the connection is reset"),
        entry(
            "stream-error",
            &["ms", "after_ms"],
            "the stream-error callback, then nothing, and ms (30000) later a reset",
        ),
        entry(
            "stopped-first",
            &[],
            "the stream-stopped callback before the `stop` message",
        ),
        entry(
            "completed-first",
            &[],
            "the completed callback while the streams are still open",
        ),
        entry(
            "answered-first",
            &[],
            "the in-progress callback before the first stream opens",
        ),
        entry(
            "doubled-callbacks",
            &[],
            "every status callback twice, with the same idempotency token",
        ),
    ];
}

/// Two seconds into the stream, in the middle of what is said, unless told otherwise.
const AFTER_MS: u64 = 2_000;

/// No parameter is longer than an hour.
const MAX_MS: u64 = 60 * 60 * 1_000;

/// A day: a clock may be as wrong as that and still be one.
const MAX_JUMP_MS: u64 = 24 * MAX_MS;

impl FromStr for Fault {
    type Err = FaultError;

    fn from_str(text: &str) -> Result<Self, FaultError> {
        let written = WrittenFault::parse(text, Self::LIST)?;
        let length = |parameter, default_ms| {
            let given = written.number(parameter, 0..=MAX_MS)?;
            Ok(Duration::from_millis(given.unwrap_or(default_ms)))
        };
        let after = || length("after_ms", AFTER_MS);
        let at_age = || {
            let given = written.number("after_ms", 0..=MAX_MS)?;
            Ok(given.map(Duration::from_millis))
        };
        Ok(match written.name() {
            "silent-gap" => Self::SilentGap {
                length: length("ms", 5_000)?,
                after: after()?,
            },
            "burst" => Self::Burst {
                frames: written.number("frames", 1..=3_000)?.unwrap_or(25),
                after: after()?,
            },
            "silence-suppression" => Self::SilenceSuppression,
            "odd-frames" => Self::OddFrames {
                bytes: written.number("bytes", 1..=999)?,
            },
            "wobbling-timestamps" => Self::WobblingTimestamps {
                by_ms: written.number("ms", 0..=MAX_MS)?.unwrap_or(19),
            },
            "jumping-timestamps" => Self::JumpingTimestamps {
                by_ms: written.number("ms", 1..=MAX_JUMP_MS)?.unwrap_or(60_000),
                every: length("every_ms", 3_000)?,
            },
            "absurd-timestamps" => Self::AbsurdTimestamps {
                one_in: written.number("one_in", 1..=1_000_000)?.unwrap_or(50),
            },
            "broken-counters" => Self::BrokenCounters,
            "undocumented-fields" => Self::UndocumentedFields,
            "late-handshake" => Self::LateHandshake {
                by: length("ms", 3_000)?,
            },
            "late-start" => Self::LateStart {
                by: length("ms", 1_000)?,
            },
            "parallel-forks" => Self::ParallelForks { after: after()? },
            "stop-without-close" => Self::StopWithoutClose { after: at_age()? },
            "close-without-stop" => Self::CloseWithoutStop {
                code: close_code(&written)?,
                after: at_age()?,
            },
            "half-open" => Self::HalfOpen { after: at_age()? },
            "tcp-reset" => Self::TcpReset { after: at_age()? },
            "stream-error" => Self::StreamError {
                // As long as it took where this was met.
                reset_after: length("ms", 30_000)?,
                after: after()?,
            },
            "stopped-first" => Self::StoppedFirst,
            "completed-first" => Self::CompletedFirst,
            "answered-first" => Self::AnsweredFirst,
            "doubled-callbacks" => Self::DoubledCallbacks,
            name => unreachable!("`{name}` is in the list and has an arm"),
        })
    }
}

/// A code that may stand in a Close: 1005 and 1006 say that there was none, and 1004 and 1015 are
/// not sent either (RFC 6455, 7.4).
fn close_code(written: &WrittenFault<'_>) -> Result<Option<u16>, FaultError> {
    let code = written.number("code", 1000..=4999)?;
    match code {
        Some(1004..=1006 | 1015..=2999) => {
            let value = written.text("code").unwrap_or_default();
            let expected = "a close code that may be sent, as 1000, 1001, 1011 or 4000";
            Err(written.misfit("code", value, expected.to_owned()))
        }
        code => Ok(code),
    }
}

/// As it is read, every parameter included.
impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ms = |duration: Duration| Some(duration.as_millis());
        let number = |number: u64| Some(u128::from(number));
        let mut write = |name: &str, parameters: &[(&str, Option<u128>)]| {
            let given = parameters.iter();
            let given = given
                .filter_map(|(name, value)| Some((*name, value.as_ref()? as &dyn fmt::Display)));
            write_fault(f, name, &given.collect::<Vec<_>>())
        };
        match *self {
            Self::SilentGap { length, after } => {
                write("silent-gap", &[("ms", ms(length)), ("after_ms", ms(after))])
            }
            Self::Burst { frames, after } => {
                let frames = number(frames.into());
                write("burst", &[("frames", frames), ("after_ms", ms(after))])
            }
            Self::SilenceSuppression => write("silence-suppression", &[]),
            Self::OddFrames { bytes } => {
                write("odd-frames", &[("bytes", bytes.map(|bytes| bytes as u128))])
            }
            Self::WobblingTimestamps { by_ms } => {
                write("wobbling-timestamps", &[("ms", number(by_ms))])
            }
            Self::JumpingTimestamps { by_ms, every } => {
                let by_ms = number(by_ms);
                write(
                    "jumping-timestamps",
                    &[("ms", by_ms), ("every_ms", ms(every))],
                )
            }
            Self::AbsurdTimestamps { one_in } => {
                write("absurd-timestamps", &[("one_in", number(one_in))])
            }
            Self::BrokenCounters => write("broken-counters", &[]),
            Self::UndocumentedFields => write("undocumented-fields", &[]),
            Self::LateHandshake { by } => write("late-handshake", &[("ms", ms(by))]),
            Self::LateStart { by } => write("late-start", &[("ms", ms(by))]),
            Self::ParallelForks { after } => write("parallel-forks", &[("after_ms", ms(after))]),
            Self::StopWithoutClose { after } => {
                write("stop-without-close", &[("after_ms", after.and_then(ms))])
            }
            Self::CloseWithoutStop { code, after } => {
                let (code, after) = (code.map(Into::into), after.and_then(ms));
                write("close-without-stop", &[("code", code), ("after_ms", after)])
            }
            Self::HalfOpen { after } => write("half-open", &[("after_ms", after.and_then(ms))]),
            Self::TcpReset { after } => write("tcp-reset", &[("after_ms", after.and_then(ms))]),
            Self::StreamError { reset_after, after } => {
                let parameters = [("ms", ms(reset_after)), ("after_ms", ms(after))];
                write("stream-error", &parameters)
            }
            Self::StoppedFirst => write("stopped-first", &[]),
            Self::CompletedFirst => write("completed-first", &[]),
            Self::AnsweredFirst => write("answered-first", &[]),
            Self::DoubledCallbacks => write("doubled-callbacks", &[]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_fault_of_the_list_is_read_by_its_name_and_written_as_it_is_read() {
        for FaultEntry {
            name, parameters, ..
        } in Fault::LIST
        {
            let bare: Fault = name.parse().unwrap();
            let written = bare.to_string();
            assert_eq!(written.split(':').next(), Some(*name));
            let given = parameters
                .iter()
                .map(|parameter| format!("{parameter}=1000"));
            let given: Vec<String> = given.collect();
            let text = if given.is_empty() {
                (*name).to_owned()
            } else {
                // A frame has fewer bytes than that.
                format!(
                    "{name}:{}",
                    given.join(",").replace("bytes=1000", "bytes=320")
                )
            };
            let fault: Fault = text.parse().unwrap();
            assert_eq!(fault.to_string(), text);
            for fault in [bare, fault] {
                assert_eq!(fault.to_string().parse(), Ok(fault));
            }
        }
    }

    #[track_caller]
    fn check_refused(text: &str, expected: &str) {
        let refused = text.parse::<Fault>().unwrap_err().to_string();
        assert!(refused.contains(expected), "{refused}");
    }

    #[test]
    fn what_does_not_fit_is_refused_with_what_does() {
        check_refused(
            "silent-gap:ms=forever",
            "expected a number from 0 to 3600000",
        );
        check_refused("odd-frames:bytes=0", "expected a number from 1 to 999");
        check_refused("odd-frame", "did you mean `odd-frames`?");
        check_refused("close-without-stop:code=1006", "that may be sent");
        check_refused("stop-without-close:code=1000", "no parameter `code`");
    }
}
