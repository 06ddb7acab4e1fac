//! What only those are shown who name it: how far the agent is heard, and how loud both parties are.

use serde_json::{Value, json};
use sidetone_call::event::{VolatileData, Watch};
use sidetone_call::log::{Cursor, Item, Read};

use super::provider::Provider;
use super::{agent, call, talking};
use crate::support::{CALL_SID, Phone, Running, config, within};
use crate::wire::{EventStream, Socket, get};

const TEXT: &str = "Good morning, how can I help you?";

fn events_of(query: &str) -> String {
    format!("/api/v1/calls/{CALL_SID}/events{query}")
}

fn is_volatile(event: &Value) -> bool {
    event["type"] == "agent.playback" || event["type"] == "audio.level"
}

/// The next event on a socket; `None` after a Close with 1000.
async fn next(socket: &mut Socket) -> Option<Value> {
    match socket.next().await {
        Ok(text) => Some(serde_json::from_str(&text).unwrap()),
        Err(code) => {
            assert_eq!(code, 1000);
            None
        }
    }
}

#[track_caller]
fn check_playbacks(events: &[Value]) {
    let turn = events
        .iter()
        .position(|event| event["type"] == "agent.turn")
        .unwrap();
    let (before, after) = events.split_at(turn);
    let is_playback = |event: &&Value| event["type"] == "agent.playback";
    let playbacks: Vec<_> = before.iter().filter(is_playback).collect();
    let heard: Vec<_> = playbacks
        .iter()
        .map(|event| event["data"]["heard_ms"].as_u64().unwrap())
        .collect();
    assert!(heard.len() >= 3, "{heard:?}");
    assert!(heard.is_sorted_by(|a, b| a < b), "{heard:?}");
    assert_eq!(after.iter().filter(is_playback).count(), 0, "{after:?}");
    let (last, told) = (&playbacks.last().unwrap()["data"], &after[0]["data"]);
    for key in ["turn", "heard_ms", "heard_text"] {
        assert_eq!(last[key], told[key], "{key}");
    }
}

#[track_caller]
fn check_levels(events: &[Value]) {
    let levels = events.iter().filter(|event| event["type"] == "audio.level");
    let levels: Vec<_> = levels.map(|event| &event["data"]).collect();
    let loudest = |party: &str| {
        let levels = levels.iter().map(|level| level[party].as_f64().unwrap());
        levels.fold(-127.0, f64::max)
    };
    assert!(levels.len() >= 7, "{levels:?}");
    assert!(loudest("inbound") > -30.0, "{levels:?}");
    assert!(loudest("outbound") > -60.0, "{levels:?}");
}

#[tokio::test]
async fn who_names_them_is_shown_the_playback_and_the_levels_and_they_are_no_part_of_the_log() {
    let provider = Provider::start().await;
    let gateway = Running::start(talking(&provider, agent(json!({})))).await;
    let mut phone = call(&gateway).await;
    let (mut session, _) = provider.session().await;
    gateway.event(CALL_SID, "agent.ready").await;
    let mut unnamed = EventStream::open(gateway.address, &events_of(""), "").await;
    unnamed.frame().await.unwrap();
    let named = events_of("?types=agent.*,audio.level,call.ended");
    let mut stream = EventStream::open(gateway.address, &named, "").await;
    let mut socket = Socket::open(gateway.address, &events_of("?types=*")).await;

    session.turn(TEXT, 1_000).await;
    let (mut streamed, mut socketed) = (Vec::new(), Vec::new());
    let mut frames = 0;
    while !streamed
        .iter()
        .any(|event: &Value| event["type"] == "agent.turn")
    {
        let (id, event) = stream.event().await.unwrap();
        assert_eq!(id, event["seq"].as_u64(), "{event}");
        assert_eq!(event["after_seq"].is_u64(), is_volatile(&event), "{event}");
        streamed.push(event);
        phone.media("inbound", 5 + frames * 20, &[0x21; 160]).await;
        frames += 1;
    }
    phone.stop().await;
    while let Some((_, event)) = stream.event().await {
        streamed.push(event);
    }
    while let Some(event) = next(&mut socket).await {
        socketed.push(event);
    }
    for events in [&streamed, &socketed] {
        check_playbacks(events);
        check_levels(events);
        assert_eq!(events.last().unwrap()["type"], "call.ended");
    }
    let durable: Vec<_> = socketed.iter().filter(|it| !is_volatile(it)).collect();
    assert_eq!(
        unnamed.events_until_end().await.iter().collect::<Vec<_>>(),
        durable
    );

    let one = get(gateway.address, &format!("/api/v1/calls/{CALL_SID}")).await;
    assert_eq!(one.json()["last_seq"], durable.len());
    let page = get(gateway.address, &events_of("?types=agent.playback,audio.*")).await;
    let gaps = durable.iter().filter(|event| event["type"] == "audio.gap");
    assert_eq!(page.json()["items"].as_array().unwrap().len(), gaps.count());
    gateway.stop().await;
}

#[tokio::test]
async fn a_reader_that_stalls_gets_the_newest_of_each_and_holds_nobody_up() {
    let provider = Provider::start().await;
    let gateway = Running::start(talking(&provider, agent(json!({})))).await;
    let mut phone = call(&gateway).await;
    let (mut session, _) = provider.session().await;
    gateway.event(CALL_SID, "agent.ready").await;
    let call = gateway.call(CALL_SID).await;
    let mut stalled = call.end();
    stalled.watch = Watch {
        playback: true,
        levels: true,
    };

    let named = events_of("?types=agent.playback,audio.level,agent.turn");
    let mut socket = Socket::open(gateway.address, &named).await;
    session.turn(TEXT, 1_000).await;
    let mut shown = [0; 2];
    while let Some(event) = next(&mut socket).await {
        match event["type"].as_str() {
            Some("agent.playback") => shown[0] += 1,
            Some("audio.level") => shown[1] += 1,
            _ => break,
        }
    }
    assert!(shown[0] >= 3 && shown[1] >= 6, "{shown:?}");

    let Read::Items { items, skipped } = call.read(&mut stalled, 100) else {
        panic!("there is something to read")
    };
    let (mut playbacks, mut levels) = (0, 0);
    for item in &items {
        match item {
            Item::Event(_) => {}
            Item::Volatile(volatile) => match volatile.data {
                VolatileData::AgentPlayback(_) => playbacks += 1,
                VolatileData::AudioLevel(_) => levels += 1,
                VolatileData::TranscriptInterim(_) => panic!("nothing is transcribed"),
            },
        }
    }
    assert_eq!((playbacks, levels, skipped), (1, 1, 0));
    assert!(matches!(
        call.read(&mut Cursor::default(), 100),
        Read::Items { items, .. } if items.iter().all(|item| matches!(item, Item::Event(_)))
    ));
    phone.stop().await;
    gateway.stop().await;
}

#[tokio::test]
async fn the_levels_of_a_call_on_which_nothing_happens_are_told_all_the_same() {
    let gateway = Running::start(config("ws://127.0.0.1:9")).await;
    let mut phone = Phone::dial(gateway.address, "/twilio").await;
    phone.connected().await;
    phone.start(&["inbound"], json!({})).await;
    gateway.call(CALL_SID).await;
    let mut socket = Socket::open(gateway.address, &events_of("?types=audio.level")).await;
    // The call's own next deadline is 15 s off.
    let soon = tokio::time::timeout(std::time::Duration::from_secs(8), async {
        for _ in 0..4 {
            let event = next(&mut socket).await.unwrap();
            let silence = json!({"inbound": -127.0, "outbound": -127.0});
            assert_eq!(event["data"], silence);
        }
    });
    within(soon).await.expect("who comes wakes the call");
    phone.stop().await;
    gateway.no_live_call().await;
    gateway.stop().await;
}
