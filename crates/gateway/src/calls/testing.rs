//! Calls for tests.

use std::sync::Arc;

use sidetone_call::event::Call;

use super::CallHandle;
use super::writer::Writer;

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
