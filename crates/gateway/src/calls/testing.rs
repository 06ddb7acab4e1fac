//! Calls for tests.

use std::sync::Arc;

use sidetone_call::event::Call;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::writer::Writer;
use super::{CallHandle, Dialer, Functions, Services, Speaker};
use crate::config::{Config, Deepgram};
use crate::metrics::Metrics;
use crate::twilio_rest::TwilioError;

/// A configuration with a Deepgram where nobody is.
pub(crate) fn config() -> Config {
    let deepgram = Deepgram::new("ws://127.0.0.1:9".parse().unwrap(), "key".into());
    Config::new(Vec::new(), deepgram)
}

/// What calls share that nobody hears, with a Twilio that cannot be asked.
pub(crate) fn services(config: Config) -> Services {
    let dialer = Dialer::new(&config.deepgram).unwrap();
    let speaker = Speaker::new(&config.deepgram, None).unwrap();
    let functions = Functions::new(&config).unwrap();
    Services {
        config: Arc::new(config),
        metrics: Metrics::new(),
        dialer: Arc::new(dialer),
        speaker: Arc::new(speaker),
        functions: Arc::new(functions),
        tasks: TaskTracker::new(),
        twilio: Arc::new(Err(TwilioError::Missing("TWILIO_ACCOUNT_SID"))),
        kill: CancellationToken::new(),
    }
}

/// A call without anything.
pub(super) fn call(number: u32) -> Call {
    serde_json::from_value(serde_json::json!({
        "call_sid": format!("CA{number:032x}"),
        "stream_sid": null, "account_sid": null, "profile": "default", "direction": null,
        "from": null, "to": null, "custom_parameters": {}, "tracks": ["inbound"],
        "status": "live", "started_at": null, "ended_at": null, "end_reason": null,
        "duration_ms": 0, "last_seq": 0,
        "provider": {
            "state": "closed", "request_id": null, "reconnects": 0, "replayed_ms": 0,
            "behind_ms": 0,
        },
        "audio": {"inbound": {"frames": 0, "gap_ms": 0}, "outbound": {"frames": 0, "gap_ms": 0}},
        "last_text": null,
    }))
    .unwrap()
}

/// A handle and the writer it announces its events to.
pub(super) fn handle(number: u32) -> (Arc<CallHandle>, Writer) {
    let writer = Writer::default();
    (
        Arc::new(CallHandle::new(call(number), false, writer.clone())),
        writer,
    )
}
