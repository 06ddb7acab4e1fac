//! Every fault of the emulator, and how each is written.

use crate::faults::{FaultEntry, entry};

pub(super) const LIST: &[FaultEntry] = &[
    entry(
        "refuse",
        &["status", "retry_after_secs", "times", "skip", "call"],
        "the handshake is refused with `status` (503), with a Retry-After when told so",
    ),
    entry("handshake-hang", STREAM, "the handshake is never answered"),
    entry(
        "no-request-id",
        STREAM,
        "the handshake's answer has no dg-request-id",
    ),
    entry("drop", MOMENT, "the socket is gone without a Close"),
    entry(
        "stall",
        MOMENT,
        "the socket stays, but nothing is read or answered any more, not even a ping",
    ),
    entry(
        "deaf",
        MOMENT,
        "audio is taken and pings are answered, but nothing is told any more",
    ),
    entry(
        "net0000",
        MOMENT,
        "closed with 1011: Deepgram had nothing to say in time",
    ),
    entry(
        "net0001",
        MOMENT,
        "closed with 1011: Deepgram got nothing in time",
    ),
    entry(
        "data0000",
        MOMENT,
        "closed with 1008: the audio cannot be decoded",
    ),
    entry(
        "unasked-end",
        MOMENT,
        "a Metadata of no audio and a Close with 1000 that nobody asked for",
    ),
    entry(
        "malformed",
        &["form", "after_ms", "times", "skip", "call"],
        "the next final with words comes broken: `form` is truncated (usually), garbage or binary",
    ),
    entry(
        "close-without-finals",
        STREAM,
        "CloseStream is answered by a Close with 1000 and nothing else",
    ),
    entry("close-unanswered", STREAM, "CloseStream is never answered"),
    entry(
        "late-messages",
        STREAM,
        "after Metadata, the last message, an earlier one comes again",
    ),
    entry("slow", DELAY, "all is told `ms` (2000) later"),
    entry(
        "reordered-channels",
        DELAY,
        "what is told of one channel overtakes the other's by up to `ms` (1500)",
    ),
    entry(
        "fragmented",
        &["bytes", "times", "skip", "call"],
        "messages come in WebSocket frames of `bytes` (16)",
    ),
    entry(
        "huge-results",
        &["kib", "times", "skip", "call"],
        "each Results has so many alternatives that it is `kib` (256) KiB long",
    ),
    entry(
        "omitted-fields",
        STREAM,
        "Results lack speech_final and from_finalize",
    ),
    entry(
        "unknown-fields",
        STREAM,
        "messages have fields that nobody knows",
    ),
    entry(
        "unknown-types",
        STREAM,
        "messages of a type that nobody knows come between the others",
    ),
    entry(
        "doubled-utterance-ends",
        STREAM,
        "each UtteranceEnd comes twice",
    ),
    entry(
        "empty-finals",
        STREAM,
        "an empty final comes before each final with words, for the pause before these",
    ),
    entry(
        "short-finals",
        STREAM,
        "finals end a word before the interim that precedes them",
    ),
    entry(
        "word-times",
        DELAY,
        "words are told to begin and end up to `ms` (80) too early or too late",
    ),
    entry(
        "clipped-onsets",
        DELAY,
        "words are told to begin up to `ms` (100) too late",
    ),
    entry(
        "merged-numerals",
        STREAM,
        "digits are written as figures, and those in a row as one word: four seven is 47",
    ),
    entry(
        "speak-refuse",
        REFUSAL,
        "a request for speech is refused with `status` (503), with a Retry-After when told so",
    ),
    entry(
        "speak-stall",
        SPEECH,
        "speech stops after `after_ms` (1000) of it, and the answer stays open; with 0 there is \
         no answer at all",
    ),
    entry(
        "speak-cut",
        SPEECH,
        "speech breaks off with its connection after `after_ms` (1000) of it",
    ),
    entry(
        "speak-slow",
        &["ms", "percent", "times", "skip"],
        "speech begins `ms` (2000) later and comes at `percent` (1000) of its own pace",
    ),
    entry(
        "speak-header",
        &["times", "skip"],
        "speech has a WAV header in front, though container=none was asked for",
    ),
    entry(
        "twilio-refuse",
        REFUSAL,
        "a request to Twilio's REST API is refused with `status` (429)",
    ),
    entry(
        "agent-refuse",
        REFUSAL,
        "the handshake of an agent is refused with `status` (503), with a Retry-After when told so",
    ),
    entry(
        "agent-handshake-hang",
        CONNECTION,
        "the handshake of an agent is never answered",
    ),
    entry(
        "agent-no-welcome",
        CONNECTION,
        "an agent's socket opens, and no Welcome comes",
    ),
    entry(
        "agent-no-settings-applied",
        STREAM,
        "Settings are never answered",
    ),
    entry(
        "agent-drop",
        ACCIDENT,
        "an agent's socket is gone without a Close: `after_ms` after what `at` names, which is \
         settings, hearing, thinking, calling, speaking or pause; without `at`, 4 s after opening",
    ),
    entry(
        "agent-stall",
        ACCIDENT,
        "an agent's socket stays, but nothing is read or answered any more, not even a ping",
    ),
    entry(
        "agent-deaf",
        ACCIDENT,
        "an agent takes audio and answers pings, but says nothing any more",
    ),
    entry(
        "agent-close",
        &["code", "at", "after_ms", "times", "skip", "call"],
        "an agent's socket is closed with `code` (1011) and no Error",
    ),
    entry(
        "agent-error",
        &["code", "at", "after_ms", "times", "skip", "call"],
        "an agent tells the Error `code` (INTERNAL_SERVER_ERROR) and closes; FAILED_TO_THINK \
         leaves the session up without an answer",
    ),
    entry(
        "agent-warning",
        &["code", "at", "after_ms", "times", "skip", "call"],
        "an agent tells the Warning `code` (SLOW_THINK_REQUEST)",
    ),
    entry(
        "agent-malformed",
        &["form", "at", "after_ms", "times", "skip", "call"],
        "an agent's next message comes broken: `form` is truncated (usually), garbage or binary",
    ),
    entry(
        "agent-session-length",
        DELAY,
        "an agent's session ends after `ms` (10000) instead of two hours, and is warned of when \
         a twenty-fourth of that is left",
    ),
    entry(
        "agent-slow",
        &["ms", "percent", "times", "skip", "call"],
        "an agent thinks `ms` (2000) longer, and its audio comes at `percent` (1000) of the pace \
         of speech",
    ),
    entry(
        "agent-late-audio",
        DELAY,
        "after UserStartedSpeaking `ms` (600) of audio of what the agent was saying still come",
    ),
    entry(
        "agent-cancelled-calls",
        DELAY,
        "each call of a function is cancelled after `ms` (30), and made again with another id",
    ),
    entry(
        "agent-keep-alive-ignored",
        STREAM,
        "KeepAlive keeps no agent: only audio does",
    ),
    entry(
        "agent-injections-refused",
        STREAM,
        "what is to be injected is refused, whoever speaks",
    ),
    entry(
        "agent-unknown-messages",
        STREAM,
        "an agent's messages have fields that nobody knows, and others come between them",
    ),
    entry(
        "agent-latency-strings",
        STREAM,
        "an agent tells latencies as texts instead of numbers",
    ),
];

const STREAM: &[&str] = &["times", "skip", "call"];
const MOMENT: &[&str] = &["after_ms", "times", "skip", "call"];
const SPEECH: &[&str] = &["after_ms", "times", "skip"];
const REFUSAL: &[&str] = &["status", "retry_after_secs", "times", "skip"];
const DELAY: &[&str] = &["ms", "times", "skip", "call"];
const CONNECTION: &[&str] = &["times", "skip"];
const ACCIDENT: &[&str] = &["at", "after_ms", "times", "skip", "call"];
