//! Deepgram says no, breaks off, or is not there.

use futures_util::future::join_all;
use serde_json::{Value, json};
use sidetone_simulator::voice;

use crate::deepgram::emulated;
use crate::scripted::{METADATA, REQUEST_ID, Scripted, results};
use crate::serve::{Serve, serve};
use crate::twilio::{Stream, call_sid};
use crate::watching::{call_until, event, metric};
use crate::web::{ended, events};

/// Waits until the call's way to Deepgram is in this state.
async fn state(serve: &Serve, state: &str) -> Value {
    call_until(serve, &call_sid(1), |call| {
        call["provider"]["state"] == state
    })
    .await
}

async fn stream(serve: &Serve) -> Stream {
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.media("inbound", 20, &[0x55; 160]).await;
    stream
}

fn of_type<'a>(events: &'a [Value], event_type: &str) -> Vec<&'a Value> {
    events
        .iter()
        .filter(|event| event["type"] == event_type)
        .collect()
}

#[tokio::test]
async fn a_refusal_for_good_is_told_in_deepgrams_words_and_the_call_goes_on() {
    let emulator = emulated().await;
    let url = emulator.url();
    let refused = [
        (
            "fail-400",
            "400",
            "No such model/language/tier combination found.",
        ),
        ("fail-401", "401", "Invalid credentials."),
        ("fail-402", "402", "Project does not have enough credits"),
        (
            "fail-403",
            "403",
            "Project does not have access to the requested model.",
        ),
    ]
    .map(|(key, status, words)| a_refused_call(url.as_str(), key, status, words));
    join_all(refused).await;
}

async fn a_refused_call(url: &str, key: &str, status: &str, words: &str) {
    let serve = serve()
        .deepgram(url)
        .env("DEEPGRAM_API_KEY", key)
        .start()
        .await;
    let mut stream = stream(&serve).await;
    let warning = event(&serve, &call_sid(1), "warning").await;
    let detail = warning["data"]["detail"].as_str().unwrap();
    assert!(
        detail.contains(words) && detail.contains(status),
        "{detail}"
    );
    assert!(warning["data"]["code"].is_string(), "{warning}");
    assert!(!detail.contains(key), "{detail}");
    state(&serve, "failed").await;

    // Twilio's stream stays open, and what it brings is counted on.
    for n in 1..50 {
        stream.media("inbound", 20 + 20 * n, &[0x55; 160]).await;
    }
    let call = call_until(&serve, &call_sid(1), |call| {
        call["audio"]["inbound"]["frames"] == 50
    })
    .await;
    assert_eq!(call["status"], "live");
    assert_eq!(call["provider"]["state"], "failed");
    stream.stop(1).await;

    let events = ended(&serve, &call_sid(1)).await;
    let [started, _, gap, over] = &events[..] else {
        panic!("{events:#?}")
    };
    assert_eq!(started["type"], "call.started");
    assert_eq!(events[1], warning);
    assert_eq!(gap["type"], "audio.gap");
    assert_eq!(
        gap["data"],
        json!({ "track": "inbound", "at_ms": 0, "duration_ms": 1000, "reason": "provider" })
    );
    assert_eq!(over["data"]["end_reason"], "stop");
    let stderr = serve.stderr.all().join("\n");
    assert!(stderr.contains(words), "{stderr}");
    assert!(!stderr.contains(key), "the key is in the log: {stderr}");
}

#[tokio::test]
async fn each_shape_of_refusal_is_put_into_words() {
    let deepgram = Scripted::start().await;
    for (headers, body, words) in [
        (
            &[][..],
            r#"{"err_code":"INVALID_AUTH","err_msg":"Wrong key."}"#,
            "Wrong key.",
        ),
        (
            &[],
            r#"{"category":"FORBIDDEN","message":"Not you.","details":"At all."}"#,
            "Not you.",
        ),
        (&["dg-error: Told by the header"], "", "Told by the header"),
        (&[], "Plain words.", "Plain words."),
        (&[], "", "no reason"),
    ] {
        let serve = serve().deepgram(&deepgram.url).start().await;
        let (stream, ()) = tokio::join!(
            stream(&serve),
            deepgram.refuse("403 Forbidden", headers, body)
        );
        let warning = event(&serve, &call_sid(1), "warning").await;
        let detail = warning["data"]["detail"].as_str().unwrap();
        assert!(detail.contains(words), "{detail}");
        drop(stream);
    }
}

#[tokio::test]
async fn a_passing_refusal_is_met_with_another_try() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let stream = stream(&serve).await;
    let body = r#"{"err_code":"TOO_MANY_REQUESTS","err_msg":"Too many requests."}"#;
    deepgram
        .refuse("429 Too Many Requests", &["Retry-After: 1"], body)
        .await;
    deepgram
        .refuse("503 Service Unavailable", &[], "later")
        .await;
    let mut connection = deepgram.accept().await;
    connection.hear(160).await;
    state(&serve, "connected").await;
    connection.say(results(0, 0, 20, "hello", true)).await;
    tokio::join!(stream.stop(1), connection.finish(&[METADATA]));
    let events = ended(&serve, &call_sid(1)).await;
    let lost = of_type(&events, "provider.disconnected");
    let attempts: Vec<u64> = lost
        .iter()
        .map(|lost| lost["data"]["attempt"].as_u64().unwrap())
        .collect();
    assert_eq!(attempts, [1, 2], "{lost:?}");
    assert!(
        lost[0]["data"]["reason"].as_str().unwrap().contains("429"),
        "{lost:?}"
    );
    assert_eq!(of_type(&events, "transcript.final").len(), 1);
    assert_eq!(of_type(&events, "warning").len(), 0);
}

#[tokio::test]
async fn a_connection_that_breaks_is_made_again_and_no_word_comes_twice() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.sound(5).await;
    let mut first = deepgram.accept().await;
    first.hear(8000).await;
    first.say(results(0, 0, 600, "one two", true)).await;
    event(&serve, &call_sid(1), "transcript.final").await;
    first.cut();
    let mut second = deepgram.accept().await;
    // What follows the last final comes again, and a little of what precedes it.
    second.hear(3200).await;
    let call = state(&serve, "connected").await;
    assert_eq!(call["provider"]["reconnects"], 1);
    let replayed_ms = call["provider"]["replayed_ms"].as_u64().unwrap();
    assert!((400..=1000).contains(&replayed_ms), "{call}");
    second.say(results(0, 300, 700, "three", true)).await;
    tokio::join!(stream.stop(1), second.finish(&[METADATA]));

    let events = ended(&serve, &call_sid(1)).await;
    let lost = of_type(&events, "provider.disconnected");
    let [lost] = lost[..] else {
        panic!("{events:#?}")
    };
    assert_eq!(
        crate::readers::members(&lost["data"]),
        ["attempt", "reason", "request_id", "service"]
    );
    assert_eq!(lost["data"]["service"], "listen");
    assert_eq!(lost["data"]["request_id"], REQUEST_ID);
    let back = of_type(&events, "provider.reconnected");
    let [back] = back[..] else {
        panic!("{events:#?}")
    };
    assert_eq!(
        crate::readers::members(&back["data"]),
        ["outage_ms", "replayed_ms", "service"]
    );
    assert_eq!(back["data"]["service"], "listen");
    assert_eq!(back["data"]["replayed_ms"], replayed_ms);
    assert_eq!(
        crate::web::words(&events, "inbound"),
        ["one", "two", "three"]
    );
    assert_eq!(
        metric(&serve, "sidetone_provider_reconnects_total").await,
        1.0
    );
    assert!(metric(&serve, "sidetone_replayed_seconds_total").await > 0.0);
}

#[tokio::test]
async fn words_spoken_while_deepgram_is_away_are_heard_when_it_is_back() {
    let emulator = emulated().await;
    let listen = emulator.url().to_string();
    let relay = Relay::start(&listen).await;
    let serve = serve().deepgram(&relay.url).start().await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let (first, second) = (
        voice::speak("one two three four"),
        voice::speak("five six seven"),
    );
    let mut at = stream.play("inbound", 20, &first.ulaw).await;
    relay.cut();
    at = stream.play("inbound", at, &second.ulaw).await;
    stream.play("inbound", at, &[0xFF; 1600]).await;
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    let said = ["one", "two", "three", "four", "five", "six", "seven"];
    assert_eq!(crate::web::words(&events, "inbound"), said, "{events:#?}");
    assert_eq!(of_type(&events, "provider.reconnected").len(), 1);
    let closing = serve.stderr.wait_for("ended (stop)").await;
    assert!(
        closing.contains("7 words, 0 lost, 1 reconnect ("),
        "{closing}"
    );
}

#[tokio::test]
async fn a_call_ends_though_deepgram_was_never_reached() {
    // Nobody listens on the port of a listener that is gone.
    let url = Scripted::start().await.url;
    let serve = serve().deepgram(url).start().await;
    let stream = stream(&serve).await;
    event(&serve, &call_sid(1), "provider.disconnected").await;
    state(&serve, "reconnecting").await;
    assert_eq!(
        events(&serve, &call_sid(1)).await[0]["type"],
        "call.started"
    );
    drop(stream);
    let call = call_until(&serve, &call_sid(1), |call| call["status"] == "ended").await;
    assert_eq!(call["end_reason"], "disconnected");
}

/// A way to the emulated Deepgram that can be cut.
struct Relay {
    url: String,
    cuts: tokio::sync::watch::Sender<u32>,
    serving: tokio::task::JoinHandle<()>,
}

impl Relay {
    async fn start(target: &str) -> Self {
        let target = target
            .trim_start_matches("ws://")
            .trim_end_matches('/')
            .to_owned();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let (cuts, cut) = tokio::sync::watch::channel(0);
        let serving = tokio::spawn(async move {
            let mut relayed = tokio::task::JoinSet::new();
            loop {
                let (mut near, _) = listener.accept().await.unwrap();
                let (target, mut cut) = (target.clone(), cut.clone());
                cut.mark_unchanged();
                relayed.spawn(async move {
                    let mut far = tokio::net::TcpStream::connect(target).await.unwrap();
                    tokio::select! {
                        _ = tokio::io::copy_bidirectional(&mut near, &mut far) => {}
                        _ = cut.changed() => {}
                    }
                });
            }
        });
        Self { url, cuts, serving }
    }

    /// Breaks every connection; new ones are made.
    fn cut(&self) {
        self.cuts.send_modify(|cuts| *cuts += 1);
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
