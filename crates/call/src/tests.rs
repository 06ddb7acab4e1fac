//! What tests of several modules need.

use std::collections::BTreeMap;

use crate::event::{AudioCounts, Call, Provider, ProviderState, Status};

/// A call of which little is known.
pub(crate) fn call() -> Call {
    Call {
        call_sid: "CA0123456789abcdef0123456789abcdef".parse().unwrap(),
        stream_sid: None,
        account_sid: None,
        profile: "default".into(),
        direction: None,
        from: None,
        to: None,
        custom_parameters: BTreeMap::new(),
        tracks: Vec::new(),
        status: Status::Live,
        started_at: None,
        ended_at: None,
        end_reason: None,
        duration_ms: 0,
        last_seq: 0,
        provider: Provider {
            state: ProviderState::Closed,
            request_id: None,
            reconnects: 0,
            replayed_ms: 0,
            behind_ms: 0,
        },
        audio: AudioCounts::default(),
        last_text: None,
    }
}
