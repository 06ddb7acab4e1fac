//! What the log says of a call.

use std::fmt::Write;

use sidetone_call::engine::{Note, Summary};
use sidetone_call::event::Call;
use sidetone_twilio::CallSid;
use tracing::info;

use crate::metrics::end_reason_name;

/// A fact of a call that is no event.
pub(super) fn note(call_sid: &CallSid, note: &Note) {
    match note {
        Note::LinkConnecting => info!(%call_sid, "Connecting to Deepgram."),
        Note::LinkConnected { request_id } => {
            info!(%call_sid, request_id, "Connected to Deepgram.");
        }
        Note::FirstAudio(track) => info!(%call_sid, track = track.name(), "First audio."),
        Note::NoAudio(track) => info!(%call_sid, track = track.name(), "No audio for 5 s."),
        Note::UnknownAgentMessage { kind } => {
            info!(%call_sid, kind, "The agent sent a message of a kind that is not known here.");
        }
        Note::NoResult => info!(%call_sid, "10 s of speech without a result."),
    }
}

/// The line that closes a call:
/// `Call CA… ended (stop): 3:12, 412 words, 0 lost, 1 reconnect (4.2 s replayed), latency p50 310 ms`.
pub(super) fn closing_line(call: &Call, summary: &Summary) -> String {
    let secs = call.duration_ms / 1000;
    let reason = call.end_reason.map_or("unknown", end_reason_name);
    let mut line = format!(
        "Call {} ended ({reason}): {}:{:02}, {}",
        call.call_sid,
        secs / 60,
        secs % 60,
        count(summary.words, "word"),
    );
    let mut push = |part: std::fmt::Arguments<'_>| {
        line.write_fmt(part)
            .expect("writing to a String does not fail");
    };
    match summary.lost_ms {
        0 => push(format_args!(", 0 lost")),
        lost_ms => push(format_args!(", {} lost", tenths(lost_ms))),
    }
    push(format_args!(
        ", {}",
        count(summary.reconnects.into(), "reconnect")
    ));
    if summary.reconnects > 0 {
        push(format_args!(" ({} replayed)", tenths(summary.replayed_ms)));
    }
    if let Some(latency_ms) = summary.latency_p50_ms {
        push(format_args!(", latency p50 {latency_ms} ms"));
    }
    line
}

fn count(number: u64, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

fn tenths(duration_ms: u64) -> String {
    let tenths = duration_ms.div_ceil(100);
    format!("{}.{} s", tenths / 10, tenths % 10)
}

#[cfg(test)]
mod tests {
    use sidetone_call::event::EndReason;

    use super::*;
    use crate::calls::testing;

    fn call(end_reason: EndReason, duration_ms: u64) -> Call {
        let end_reason = Some(end_reason);
        Call {
            end_reason,
            duration_ms,
            ..testing::call(1)
        }
    }

    #[track_caller]
    fn check(call: &Call, summary: &Summary, expected: &str) {
        let line = closing_line(call, summary);
        let rest = line
            .strip_prefix("Call CA00000000000000000000000000000001 ended ")
            .unwrap();
        assert_eq!(rest, expected);
    }

    #[test]
    fn the_closing_line_tells_length_words_losses_reconnects_and_latency() {
        check(
            &call(EndReason::Stop, 192_400),
            &Summary {
                words: 412,
                lost_ms: 0,
                reconnects: 1,
                replayed_ms: 4_200,
                latency_p50_ms: Some(310),
                latency_p99_ms: Some(690),
            },
            "(stop): 3:12, 412 words, 0 lost, 1 reconnect (4.2 s replayed), latency p50 310 ms",
        );
        check(
            &call(EndReason::IdleTimeout, 9_999),
            &Summary {
                words: 1,
                lost_ms: 40,
                ..Summary::default()
            },
            "(idle_timeout): 0:09, 1 word, 0.1 s lost, 0 reconnects",
        );
    }
}
