//! What happens while the archive is away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::json;
use sidetone_call::archive::{Archive, ArchiveError, CallFilter, MemoryArchive};
use sidetone_call::event::{Call, EventData};
use sidetone_call::log::Entry;
use sidetone_gateway::calls::{Admission, Store};
use sidetone_gateway::config::{Config, Profile};
use sidetone_twilio::CallSid;
use tokio_tungstenite::tungstenite::Message;

use crate::support::{CALL_SID, Deepgram, Phone, Running, config, events_until_end, within};
use crate::wire::{get, try_get};

/// As `gateway::calls::writer` has it.
const MAX_WAITING: u64 = 100_000;

/// An archive that is there or away, as the test says.
#[derive(Clone, Default)]
struct Switched {
    memory: Arc<MemoryArchive>,
    write_fails: Arc<AtomicBool>,
    read_fails: Arc<AtomicBool>,
}

impl Switched {
    fn without_writing() -> Self {
        let archive = Self::default();
        archive.write_fails.store(true, Ordering::Relaxed);
        archive
    }

    fn answers(&self, fails: &AtomicBool) -> Result<&MemoryArchive, ArchiveError> {
        if fails.load(Ordering::Relaxed) {
            Err(ArchiveError::Unavailable("switched off".to_owned()))
        } else {
            Ok(&self.memory)
        }
    }

    /// How many events of the call it has, which are the first ones without a hole.
    async fn stored(&self) -> u64 {
        let call_sid: CallSid = CALL_SID.parse().unwrap();
        let stored = self.memory.events(&call_sid, 0, 1_000_000).await.unwrap();
        for (number, entry) in (1..).zip(&stored) {
            assert_eq!(entry.event.seq, number);
        }
        stored.len() as u64
    }
}

impl Archive for Switched {
    async fn append(&self, batch: &[(Arc<Entry>, Arc<Call>)]) -> Result<(), ArchiveError> {
        self.answers(&self.write_fails)?.append(batch).await
    }

    async fn call(&self, call_sid: &CallSid) -> Result<Option<Arc<Call>>, ArchiveError> {
        self.answers(&self.read_fails)?.call(call_sid).await
    }

    async fn calls(
        &self,
        filter: &CallFilter,
        cursor: Option<&str>,
        limit: usize,
    ) -> Result<(Vec<Arc<Call>>, Option<String>), ArchiveError> {
        let memory = self.answers(&self.read_fails)?;
        memory.calls(filter, cursor, limit).await
    }

    async fn events(
        &self,
        call_sid: &CallSid,
        after: u64,
        limit: usize,
    ) -> Result<Vec<Arc<Entry>>, ArchiveError> {
        let memory = self.answers(&self.read_fails)?;
        memory.events(call_sid, after, limit).await
    }
}

/// Waits until `/readyz` answers with a status; its reasons.
async fn readiness(gateway: &Running, status: u16) -> serde_json::Value {
    within(async {
        loop {
            let answer = get(gateway.address, "/readyz").await;
            if answer.status == status {
                return answer.json()["reasons"].take();
            }
            tokio::task::yield_now().await;
        }
    })
    .await
}

async fn started(gateway: &Running, tracks: &[&str]) -> Phone {
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone.start(tracks, json!({})).await;
    phone
}

async fn hang_up(phone: &mut Phone) {
    phone.stop().await;
    assert_eq!(phone.close_code().await, Some(1000));
}

#[tokio::test]
async fn while_the_archive_cannot_be_written_calls_go_on_and_the_node_is_not_ready() {
    let (deepgram, archive) = (Deepgram::start().await, Switched::without_writing());
    let store = Store::new(archive.clone());
    let gateway = Running::start_with(config(&deepgram.url), store).await;
    assert_eq!(readiness(&gateway, 200).await, json!(null));

    let mut phone = started(&gateway, &["inbound"]).await;
    let reasons = readiness(&gateway, 503).await;
    assert_eq!(reasons, json!(["archive_unavailable"]));
    let EventData::Warning(warning) = gateway.event(CALL_SID, "warning").await else {
        panic!("a warning has a warning's data");
    };
    assert_eq!(warning.code, "archive_unavailable");
    assert!(
        warning.detail.contains("from seq 1 on"),
        "{}",
        warning.detail
    );

    for frame in 0..50 {
        phone.media("inbound", frame * 20, &[0x55; 160]).await;
    }
    hang_up(&mut phone).await;
    gateway.event(CALL_SID, "transcript.final").await;
    let shown = events_until_end(&gateway, CALL_SID).await;
    assert_eq!(archive.stored().await, 0);

    archive.write_fails.store(false, Ordering::Relaxed);
    readiness(&gateway, 200).await;
    gateway.stop().await;
    assert_eq!(archive.stored().await, shown.len() as u64);
}

#[tokio::test]
async fn what_waits_for_the_archive_is_bounded_and_what_is_not_kept_is_told() {
    let archive = Switched::without_writing();
    let profile = Profile {
        bidirectional: true,
        ..Profile::default()
    };
    let config = Config {
        profiles: [("default".to_owned(), profile)].into(),
        ..config("ws://127.0.0.1:9")
    };
    let gateway = Running::start_with(config, Store::new(archive.clone())).await;
    let mut phone = started(&gateway, &["inbound"]).await;
    readiness(&gateway, 503).await;

    // Of all that a phone can send, a key makes an event the most quickly.
    let given_up = 10;
    let key = json!({
        "event": "dtmf", "streamSid": crate::support::STREAM_SID, "sequenceNumber": "2",
        "dtmf": {"track": "inbound_track", "digit": "7"},
    });
    let key = Message::text(key.to_string());
    for _ in 0..MAX_WAITING + given_up {
        phone.send(key.clone()).await;
    }
    hang_up(&mut phone).await;
    let call = gateway.call(CALL_SID).await;
    within(gateway.no_live_call()).await;
    assert_eq!(gateway.calls.admission(), Admission::Full);
    let reasons = readiness(&gateway, 503).await;
    assert_eq!(reasons, json!(["full", "archive_unavailable"]));

    archive.write_fails.store(false, Ordering::Relaxed);
    readiness(&gateway, 200).await;
    let last_seq = call.snapshot().last_seq;
    gateway.stop().await;
    assert_eq!(archive.stored().await, last_seq);
    // Beginning and end are kept whatever waits; so is what tells of the rest.
    assert_eq!(last_seq, MAX_WAITING + 2);
    let call_sid: CallSid = CALL_SID.parse().unwrap();
    let end = archive
        .memory
        .events(&call_sid, last_seq - 2, 2)
        .await
        .unwrap();
    let EventData::Warning(lost) = &end[0].event.data else {
        panic!("{end:?}");
    };
    assert_eq!(lost.code, "events_lost");
    // Besides the keys there are the beginning and the warning that the archive is away.
    let told = format!("{} events ", given_up + 2);
    assert!(lost.detail.starts_with(&told), "{}", lost.detail);
    assert_eq!(end[1].event.data.type_name(), "call.ended");
}

#[tokio::test]
async fn while_the_archive_cannot_be_read_it_is_told_and_a_live_call_takes_further_streams() {
    let (deepgram, archive) = (Deepgram::start().await, Switched::default());
    let store = Store::new(archive.clone());
    let gateway = Running::start_with(config(&deepgram.url), store).await;
    let mut first = started(&gateway, &["inbound"]).await;
    gateway.event(CALL_SID, "call.started").await;

    archive.read_fails.store(true, Ordering::Relaxed);
    let list = get(gateway.address, "/api/v1/calls").await;
    assert_eq!(
        (list.status, list.code().as_str()),
        (503, "archive_unavailable")
    );
    let one = get(gateway.address, &format!("/api/v1/calls/{CALL_SID}")).await;
    assert_eq!(one.status, 200);

    let mut second = started(&gateway, &["outbound"]).await;
    hang_up(&mut first).await;
    hang_up(&mut second).await;
    gateway.stop().await;
}

/// Writes never end.
struct Hanging;

impl Archive for Hanging {
    async fn append(&self, _: &[(Arc<Entry>, Arc<Call>)]) -> Result<(), ArchiveError> {
        std::future::pending().await
    }

    async fn call(&self, _: &CallSid) -> Result<Option<Arc<Call>>, ArchiveError> {
        std::future::pending().await
    }

    async fn calls(
        &self,
        _: &CallFilter,
        _: Option<&str>,
        _: usize,
    ) -> Result<(Vec<Arc<Call>>, Option<String>), ArchiveError> {
        std::future::pending().await
    }

    async fn events(&self, _: &CallSid, _: u64, _: usize) -> Result<Vec<Arc<Entry>>, ArchiveError> {
        std::future::pending().await
    }
}

#[tokio::test]
async fn an_archive_that_never_answers_holds_up_neither_strangers_nor_the_end() {
    let gateway = Running::start_with(config("ws://127.0.0.1:9"), Store::new(Hanging)).await;
    let mut phone = started(&gateway, &["inbound"]).await;
    assert_eq!(phone.close_code().await, Some(1013));
    assert_eq!(
        try_get(gateway.address, "/healthz").await.unwrap().status,
        200
    );
    gateway.stop().await;
}
