//! A call's events in their three forms: pages, Server-Sent Events, WebSockets.

use serde_json::{Value, json};

use crate::readers::{Answer, Frame, drain, look, look_at_stream, members};
use crate::scripted::{Connection, METADATA, Scripted, results};
use crate::serve::{Serve, serve};
use crate::twilio::{ACCOUNT, Socket, Stream, call_sid, stream_sid};
use crate::watching::call_until;
use crate::web::{ended, get};

pub(crate) fn path(query: &str) -> String {
    format!("/api/v1/calls/{}/events{query}", call_sid(1))
}

/// A call with its connection to Deepgram, and enough audio for two seconds of transcripts.
pub(crate) async fn live_call(serve: &Serve, deepgram: &Scripted) -> (Stream, Connection) {
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.sound(10).await;
    let mut connection = deepgram.accept().await;
    connection.hear(16_000).await;
    (stream, connection)
}

pub(crate) async fn end(stream: Stream, connection: Connection) {
    tokio::join!(stream.stop(1), connection.finish(&[METADATA]));
}

/// A call that is over: call.started, five finals, two marks and call.ended.
async fn past_call(serve: &Serve, deepgram: &Scripted) -> Vec<Value> {
    let (stream, mut connection) = live_call(serve, deepgram).await;
    for n in 0..5 {
        let (start_ms, end_ms) = (n * 300, (n + 1) * 300);
        let text = format!("word{n}");
        connection
            .say(results(0, start_ms, end_ms, &text, true))
            .await;
    }
    connection
        .say(r#"{"type":"SpeechStarted","channel":[0,1],"timestamp":1.5}"#)
        .await;
    connection
        .say(r#"{"type":"UtteranceEnd","channel":[0,1],"last_word_end":1.4}"#)
        .await;
    end(stream, connection).await;
    let events = ended(serve, &call_sid(1)).await;
    assert_eq!(events.len(), 9, "{events:#?}");
    events
}

pub(crate) fn seqs(events: &[Value]) -> Vec<u64> {
    events
        .iter()
        .map(|event| event["seq"].as_u64().unwrap())
        .collect()
}

fn items(answer: &Answer) -> Vec<Value> {
    answer.json()["items"].as_array().unwrap().clone()
}

#[tokio::test]
async fn pages_follow_one_another_by_cursor() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let all = past_call(&serve, &deepgram).await;
    for limit in [1, 2, 4, 9, 500] {
        let (mut read, mut cursor, mut pages) = (Vec::new(), String::new(), 0);
        loop {
            let page = look(&serve, &path(&format!("?limit={limit}{cursor}"))).await;
            assert_eq!(page.header("content-type"), "application/json");
            assert_eq!(members(&page.json()), ["items", "next_cursor"]);
            assert!(items(&page).len() <= limit, "{page:?}");
            read.extend(items(&page));
            pages += 1;
            match page.json()["next_cursor"].clone() {
                Value::Null => break,
                next => cursor = format!("&cursor={}", next.as_str().unwrap()),
            }
        }
        assert_eq!(read, all, "in pages of {limit}");
        assert_eq!(pages, all.len().div_ceil(limit), "pages of {limit}");
    }
    let (status, page) = get(&serve, &path("?limit=500")).await;
    assert_eq!((status, &page["next_cursor"]), (200, &Value::Null));
}

#[tokio::test]
async fn a_page_begins_after_a_seq_and_has_the_types_that_were_named() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let all = past_call(&serve, &deepgram).await;
    let of = |types: &[&str]| -> Vec<Value> {
        let mut chosen = all.clone();
        chosen.retain(|event| types.contains(&event["type"].as_str().unwrap()));
        chosen
    };
    for (query, expected) in [
        ("?after=0", all.clone()),
        ("?after=4", all[4..].to_vec()),
        ("?after=9", Vec::new()),
        ("?after=1000", Vec::new()),
        ("?types=transcript.final", of(&["transcript.final"])),
        ("?types=call.*", of(&["call.started", "call.ended"])),
        (
            "?types=transcript.*,speech.started",
            of(&["transcript.final", "speech.started"]),
        ),
        ("?types=*", all.clone()),
        ("?types=dtmf", Vec::new()),
        (
            "?types=transcript.final&after=3&limit=2",
            all[3..5].to_vec(),
        ),
    ] {
        let page = look(&serve, &path(query)).await;
        assert_eq!(page.status, 200, "{query}: {page:?}");
        assert_eq!(items(&page), expected, "{query}");
    }
    // The cursor of a filtered page goes on in the filtered events.
    let first = look(&serve, &path("?types=call.*&limit=1")).await;
    let cursor = first.json()["next_cursor"].as_str().unwrap().to_owned();
    let second = look(
        &serve,
        &path(&format!("?types=call.*&limit=1&cursor={cursor}")),
    )
    .await;
    assert_eq!(items(&second), all[8..]);
}

#[tokio::test]
async fn what_is_no_value_of_a_parameter_is_refused_in_every_form() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    past_call(&serve, &deepgram).await;
    for query in [
        "?limit=0",
        "?limit=501",
        "?limit=-1",
        "?limit=many",
        "?limit=1.5",
        "?cursor=nonsense",
        "?after=-1",
        "?after=first",
        "?after=99999999999999999999",
        "?types=nonsense",
    ] {
        look(&serve, &path(query))
            .await
            .is_problem(400, "invalid_request");
    }
    for query in ["?after=-1", "?after=first", "?types=nonsense"] {
        let answer = look_at_stream(&serve, &path(query), &[]).await;
        answer.is_problem(400, "invalid_request");
        let refused = Socket::connect(&serve.ws(&path(query)), &[]).await;
        assert_eq!(status_of(refused), 400, "{query}");
    }
    let answer = look_at_stream(&serve, &path(""), &[("last-event-id", "first")]).await;
    answer.is_problem(400, "invalid_request");
}

#[tokio::test]
async fn a_call_that_does_not_exist_is_not_found_in_every_form() {
    let serve = serve().start().await;
    for sid in [call_sid(1), "CA1".to_owned(), "nonsense".to_owned()] {
        let path = format!("/api/v1/calls/{sid}/events");
        look(&serve, &path).await.is_problem(404, "call_not_found");
        look_at_stream(&serve, &path, &[])
            .await
            .is_problem(404, "call_not_found");
        let refused = Socket::connect(&serve.ws(&path), &[]).await;
        assert_eq!(status_of(refused), 404, "{sid}");
    }
}

/// The HTTP status with which a handshake was refused.
#[track_caller]
fn status_of(refused: Result<Socket, tokio_tungstenite::tungstenite::Error>) -> u16 {
    match refused {
        Err(tokio_tungstenite::tungstenite::Error::Http(response)) => response.status().as_u16(),
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("it was let in"),
    }
}

#[tokio::test]
async fn server_sent_events_have_the_seq_as_id_and_end_with_the_call() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let all = past_call(&serve, &deepgram).await;
    let answer = look_at_stream(&serve, &path(""), &[]).await;
    assert_eq!(answer.status, 200);
    assert!(
        answer
            .header("content-type")
            .starts_with("text/event-stream"),
        "{answer:?}"
    );
    let frames = Frame::all(&answer.text);
    assert_eq!(frames[0].field("retry"), Some("1000"), "{frames:?}");
    let told: Vec<Value> = frames.iter().filter_map(Frame::event).collect();
    assert_eq!(told, all);
    for frame in &frames {
        assert_eq!(frame.field("event"), None, "{frame:?}");
        let seq = frame.event().map(|event| event["seq"].to_string());
        assert_eq!(frame.field("id"), seq.as_deref(), "{frame:?}");
    }
}

#[tokio::test]
async fn a_reader_that_comes_back_goes_on_after_what_it_has() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    past_call(&serve, &deepgram).await;
    for (query, last_event_id, first) in [
        ("?after=6", None, 7),
        ("", Some("6"), 7),
        ("?after=3", Some("6"), 7),
        ("?after=6", Some("3"), 7),
        ("?after=0", Some("0"), 1),
    ] {
        let headers: Vec<_> = last_event_id
            .map(|id| ("last-event-id", id))
            .into_iter()
            .collect();
        let answer = look_at_stream(&serve, &path(query), &headers).await;
        let events: Vec<Value> = Frame::all(&answer.text)
            .iter()
            .filter_map(Frame::event)
            .collect();
        assert!(
            seqs(&events).into_iter().eq(first..=9),
            "{query} {last_event_id:?}"
        );
    }
    for (query, headers) in [("?after=9", [].as_slice()), ("", &[("last-event-id", "9")])] {
        let answer = look_at_stream(&serve, &path(query), headers).await;
        assert_eq!((answer.status, answer.text.as_str()), (204, ""), "{query}");
    }
}

#[tokio::test]
async fn a_websocket_gets_one_event_a_message_and_is_closed_at_the_end() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let all = past_call(&serve, &deepgram).await;
    for (query, expected) in [("", &all[..]), ("?after=7", &all[7..]), ("?after=9", &[])] {
        let mut socket = Socket::connect(&serve.ws(&path(query)), &[]).await.unwrap();
        let (texts, code) = drain(&mut socket).await;
        let told: Vec<Value> = texts
            .iter()
            .map(|text| serde_json::from_str(text).unwrap())
            .collect();
        assert_eq!(told, expected, "{query}");
        assert_eq!(code, Some(1000), "{query}");
    }
    let mut socket = Socket::connect(&serve.ws(&path("?types=call.*")), &[])
        .await
        .unwrap();
    assert_eq!(drain(&mut socket).await.0.len(), 2);
}

#[tokio::test]
async fn a_call_and_its_events_have_exactly_the_members_of_the_contract() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let (stream, mut connection) = live_call(&serve, &deepgram).await;
    connection
        .say(results(0, 0, 1000, "Hello, there.", true))
        .await;
    connection
        .say(r#"{"type":"SpeechStarted","channel":[0,1],"timestamp":1.1}"#)
        .await;
    connection
        .say(r#"{"type":"UtteranceEnd","channel":[0,1],"last_word_end":0.4}"#)
        .await;
    let live = call_until(&serve, &call_sid(1), |call| call["last_seq"] == 4).await;
    end(stream, connection).await;
    let all = ended(&serve, &call_sid(1)).await;
    let (_, over) = get(&serve, &format!("/api/v1/calls/{}", call_sid(1))).await;

    let at = live["started_at"].as_str().unwrap().to_owned();
    is_time(&at);
    assert_eq!(
        live,
        json!({
            "call_sid": call_sid(1), "stream_sid": stream_sid(1), "account_sid": ACCOUNT,
            "profile": "default", "direction": null, "from": null, "to": null,
            "custom_parameters": {}, "tracks": ["inbound"], "status": "live", "started_at": at,
            "ended_at": null, "end_reason": null, "duration_ms": 2000, "last_seq": 4,
            "provider": {
                "state": "connected", "request_id": crate::scripted::REQUEST_ID, "reconnects": 0,
                "replayed_ms": 0, "behind_ms": live["provider"]["behind_ms"],
            },
            "audio": {
                "inbound": { "frames": 10, "gap_ms": 0 }, "outbound": { "frames": 0, "gap_ms": 0 },
            },
            "last_text": "Hello, there.",
        })
    );
    assert!(live["provider"]["behind_ms"].is_u64(), "{live}");
    is_time(over["ended_at"].as_str().unwrap());
    assert_eq!(over["status"], "ended");
    assert_eq!(over["end_reason"], "stop");
    assert_eq!(over["provider"]["state"], "closed");
    assert_eq!(over["last_seq"], 5);
    assert_eq!(members(&over), members(&live));

    for event in &all {
        assert_eq!(members(event), ["at", "call_sid", "data", "seq", "type"]);
        assert_eq!(event["call_sid"], call_sid(1));
        is_time(event["at"].as_str().unwrap());
    }
    let [started, said, speech, utterance, last] = &all[..] else {
        panic!("{all:#?}")
    };
    assert_eq!(started["type"], "call.started");
    assert_eq!(members(&started["data"]), members(&live));
    assert_eq!(started["data"]["status"], "live");
    assert_eq!(started["data"]["last_seq"], 1);
    assert_eq!(said["type"], "transcript.final");
    let latency_ms = said["data"]["latency_ms"].as_u64().unwrap();
    assert!(latency_ms < 10_000, "{latency_ms}");
    assert_eq!(
        said["data"],
        json!({
            "track": "inbound", "channel": 0, "start_ms": 0, "end_ms": 1000,
            "text": "Hello, there.", "confidence": 0.95, "speech_final": true,
            "latency_ms": latency_ms,
            "words": [
                { "word": "hello", "text": "Hello,", "start_ms": 0, "end_ms": 500,
                  "confidence": 0.97, "speaker": null },
                { "word": "there", "text": "there.", "start_ms": 500, "end_ms": 1000,
                  "confidence": 0.97, "speaker": null },
            ],
        })
    );
    assert_eq!(speech["type"], "speech.started");
    assert_eq!(speech["data"], json!({ "track": "inbound", "at_ms": 1100 }));
    assert_eq!(utterance["type"], "utterance.ended");
    assert_eq!(
        utterance["data"],
        json!({ "track": "inbound", "at_ms": 400 })
    );
    assert_eq!(last["type"], "call.ended");
    assert_eq!(last["data"], over);
}

/// Checks for RFC 3339 in UTC with milliseconds.
#[track_caller]
fn is_time(text: &str) {
    let shape: String = text
        .chars()
        .map(|c| if c.is_ascii_digit() { '0' } else { c })
        .collect();
    assert_eq!(shape, "0000-00-00T00:00:00.000Z", "{text}");
}
