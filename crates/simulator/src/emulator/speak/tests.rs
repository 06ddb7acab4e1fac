use reqwest::{Client, RequestBuilder, StatusCode};
use serde_json::json;
use sidetone_audio::wav;

use super::*;
use crate::emulator::{Emulator, Options};
use crate::voice::{Ear, Heard};

const QUERY: &str = "model=aura-2-thalia-en&encoding=mulaw&sample_rate=8000&container=none";
const TEXT: &str = "Hello, your order number is four two seven.";
const PATIENCE: Duration = Duration::from_secs(20);

async fn emulator(options: Options) -> (Emulator, Client) {
    let _installed_before = rustls::crypto::ring::default_provider()
        .install_default()
        .is_err();
    let options = Options {
        api_key: Some("secret".into()),
        ..options
    };
    (Emulator::start(options).await.unwrap(), Client::new())
}

async fn faulty(written: &[&str]) -> (Emulator, Client) {
    emulator(Options {
        faults: written.iter().map(|text| text.parse().unwrap()).collect(),
        ..Options::default()
    })
    .await
}

/// The outcome of something that must come soon.
async fn soon<F: Future>(what: &str, future: F) -> F::Output {
    match timeout(PATIENCE, future).await {
        Ok(output) => output,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

fn asking(emulator: &Emulator, client: &Client, query: &str) -> RequestBuilder {
    let url = emulator.http_url().join(&format!("{PATH}?{query}"));
    client
        .post(url.unwrap())
        .header("authorization", "Token secret")
}

async fn asked(emulator: &Emulator, client: &Client, query: &str) -> reqwest::Response {
    let request = asking(emulator, client, query).json(&json!({ "text": TEXT }));
    soon("an answer", request.send()).await.unwrap()
}

async fn spoken(emulator: &Emulator, client: &Client, query: &str) -> Bytes {
    let response = asked(emulator, client, query).await;
    assert_eq!(response.status(), 200);
    soon("the audio", response.bytes()).await.unwrap()
}

fn words_in(codes: &[u8]) -> Vec<String> {
    let mut heard = Vec::new();
    Ear::default().hear(codes, &mut heard);
    let words = heard.into_iter().filter_map(|heard| match heard {
        Heard::Word(word) => Some(word.text),
        Heard::Begun { .. } | Heard::Broken { .. } => None,
    });
    words.collect()
}

fn words_of(text: &str) -> Vec<String> {
    text.split_whitespace().map(str::to_owned).collect()
}

#[tokio::test]
async fn a_text_is_spoken_in_chunks_that_carry_its_words() {
    let (emulator, client) = faulty(&[]).await;
    let mut response = asked(&emulator, &client, QUERY).await;
    let header = |name: &str| response.headers()[name].to_str().unwrap().to_owned();
    assert_eq!(header("content-type"), "audio/basic");
    assert_eq!(header("transfer-encoding"), "chunked");
    assert_eq!(header("dg-model-name"), "aura-2-thalia-en");
    assert_eq!(header("dg-char-count"), TEXT.len().to_string());
    assert_eq!(header("dg-request-id").len(), 36);
    assert_eq!(header("dg-model-uuid").len(), 36);

    let (mut codes, mut chunks) = (Vec::new(), 0);
    while let Some(chunk) = soon("a chunk", response.chunk()).await.unwrap() {
        codes.extend_from_slice(&chunk);
        chunks += 1;
    }
    assert_eq!(words_in(&codes), words_of(TEXT));
    assert!(chunks > 3, "{chunks} chunks for {} codes", codes.len());
    emulator.stop().await;
}

#[tokio::test]
async fn other_codings_hold_the_same_speech() {
    let (emulator, client) = faulty(&[]).await;
    let codes = spoken(&emulator, &client, QUERY).await;
    // A WAV header is the default, and a client that forgets `container=none` hears it.
    for query in [
        "encoding=mulaw",
        "encoding=mulaw&sample_rate=16000",
        "encoding=linear16&sample_rate=8000&container=wav",
        "encoding=linear16",
    ] {
        let file = spoken(&emulator, &client, query).await;
        let lanes = wav::read(&file).unwrap().lanes;
        assert_eq!(lanes.len(), 1, "{query}");
        assert_eq!(lanes[0].len(), codes.len(), "{query}");
    }
    let query = "encoding=mulaw&container=wav";
    let file = spoken(&emulator, &client, query).await;
    assert_eq!(wav::read(&file).unwrap().lanes, [codes.to_vec()]);

    let query = "encoding=linear16&sample_rate=24000&container=none";
    let linear = spoken(&emulator, &client, query).await;
    assert_eq!(linear.len(), 6 * codes.len());
    emulator.stop().await;
}

#[tokio::test]
async fn what_cannot_be_spoken_is_refused_in_deepgrams_words() {
    let (emulator, client) = faulty(&[]).await;
    let long = "a".repeat(2_001);
    let cases: [(&str, &str, &str, u16, &str); 11] = [
        (
            "secret",
            "model=aura-2-nobody-en",
            "Hi",
            400,
            "No such model",
        ),
        (
            "secret",
            "encoding=mulaw&sample_rate=24000",
            "Hi",
            400,
            "Unsupported audio format",
        ),
        ("secret", "", "Hi", 400, "Unsupported audio format"),
        (
            "secret",
            "speed=fast",
            "Hi",
            400,
            "Failed to deserialize query",
        ),
        (
            "secret",
            QUERY,
            " ",
            400,
            "Input text contains no characters.",
        ),
        (
            "secret",
            QUERY,
            &long,
            413,
            "maximum character limit of 2000",
        ),
        ("wrong", QUERY, "Hi", 401, "Invalid credentials."),
        ("fail-402", QUERY, "Hi", 402, "enough credits"),
        ("fail-429", QUERY, "Hi", 429, "Too many requests"),
        ("fail-500", QUERY, "Hi", 500, "Internal server error."),
        ("fail-502", QUERY, "Hi", 502, "Bad Gateway"),
    ];
    for (key, query, text, status, words) in cases {
        let url = emulator
            .http_url()
            .join(&format!("{PATH}?{query}"))
            .unwrap();
        let request = client
            .post(url)
            .header("authorization", format!("Token {key}"));
        let request = request.json(&json!({ "text": text }));
        check_refused(request, status, words).await;
    }
    let request = || asking(&emulator, &client, QUERY);
    let json = |body: &'static str| {
        request()
            .header("content-type", "application/json")
            .body(body)
    };
    check_refused(json("{"), 400, "exactly one of `text` or `url`").await;
    check_refused(json("{}"), 400, "exactly one of `text` or `url`").await;
    check_refused(request().body("Hi"), 415, "must be either").await;
    let vast = request()
        .header("content-type", "text/plain")
        .body("a ".repeat(2 << 20));
    check_refused(vast, 413, "limit of 2 MB").await;
    emulator.stop().await;
}

async fn check_refused(request: RequestBuilder, status: u16, words: &str) {
    let response = soon("a refusal", request.send()).await.unwrap();
    assert_eq!(response.status(), status, "{words}");
    assert_eq!(response.headers()["dg-request-id"].len(), 36);
    let said = response.headers()["dg-error"].to_str().unwrap().to_owned();
    assert!(said.contains(words), "{said}");
    let body = response.text().await.unwrap();
    assert!(body.contains(said.split('`').next().unwrap()), "{body}");
}

#[tokio::test]
async fn a_text_may_come_as_it_is() {
    let (emulator, client) = faulty(&[]).await;
    let request = asking(&emulator, &client, QUERY).header("content-type", "text/plain");
    let response = soon("an answer", request.body(TEXT).send()).await.unwrap();
    let codes = soon("the audio", response.bytes()).await.unwrap();
    assert_eq!(words_in(&codes), words_of(TEXT));
    emulator.stop().await;
}

#[tokio::test]
async fn more_at_once_than_the_plan_allows_are_refused_until_one_is_over() {
    let (emulator, client) = emulator(Options {
        speak_at_once: Some(2),
        faults: vec!["speak-stall:times=all".parse().unwrap()],
        ..Options::default()
    })
    .await;
    let first = asked(&emulator, &client, QUERY).await;
    let second = asked(&emulator, &client, QUERY).await;
    assert_eq!(
        (first.status(), second.status()),
        (StatusCode::OK, StatusCode::OK)
    );
    let third = asked(&emulator, &client, QUERY).await;
    assert_eq!(third.status(), 429);
    assert_eq!(third.headers()["dg-error"], "Please try again later.");

    drop(first);
    let freed = async {
        while asked(&emulator, &client, QUERY).await.status() == 429 {
            sleep(Duration::from_millis(10)).await;
        }
    };
    soon("a place", freed).await;
    drop(second);
    emulator.stop().await;
}

#[tokio::test]
async fn a_refusal_on_request_may_say_when_to_come_again() {
    let (emulator, client) = faulty(&["speak-refuse:status=429,retry_after_secs=2,times=2"]).await;
    for _ in 0..2 {
        let response = asked(&emulator, &client, QUERY).await;
        assert_eq!(response.status(), 429);
        assert_eq!(response.headers()["retry-after"], "2");
    }
    assert_eq!(
        words_in(&spoken(&emulator, &client, QUERY).await),
        words_of(TEXT)
    );
    emulator.stop().await;
}

#[tokio::test]
async fn a_body_that_breaks_off_is_no_whole_one() {
    let (emulator, client) = faulty(&["speak-cut:after_ms=700"]).await;
    let mut response = asked(&emulator, &client, QUERY).await;
    let mut codes = 0;
    let broken = loop {
        match soon("a chunk", response.chunk()).await {
            Ok(Some(chunk)) => codes += chunk.len(),
            Ok(None) => break false,
            Err(_) => break true,
        }
    };
    assert!(broken);
    assert_eq!(codes, 5_600);
    assert_eq!(
        words_in(&spoken(&emulator, &client, QUERY).await),
        words_of(TEXT)
    );
    emulator.stop().await;
}

#[tokio::test]
async fn a_stalled_answer_stays_open_and_goes_on_for_nobody() {
    let (emulator, client) = faulty(&["speak-stall:after_ms=100,times=all"]).await;
    let mut response = asked(&emulator, &client, QUERY).await;
    let begun = soon("a chunk", response.chunk()).await.unwrap();
    assert_eq!(begun.map(|chunk| chunk.len()), Some(800));
    let more = timeout(Duration::from_millis(500), response.chunk()).await;
    assert!(more.is_err(), "{more:?}");
    soon("the end", emulator.stop()).await;
}

#[tokio::test]
async fn an_answer_may_stall_before_it_begins() {
    let (emulator, client) = faulty(&["speak-stall:after_ms=0,times=all"]).await;
    let request = asking(&emulator, &client, QUERY).json(&json!({ "text": TEXT }));
    let answer = timeout(Duration::from_secs(1), request.send()).await;
    assert!(answer.is_err(), "{answer:?}");
    soon("the end", emulator.stop()).await;
}

#[tokio::test]
async fn a_slow_answer_takes_its_time() {
    let (emulator, client) = faulty(&["speak-slow:ms=500,percent=300"]).await;
    let began = Instant::now();
    let response = asked(&emulator, &client, QUERY).await;
    assert!(began.elapsed() >= Duration::from_millis(700));
    let began = Instant::now();
    let codes = soon("the audio", response.bytes()).await.unwrap();
    // What came with the head is not counted.
    let spoken = Duration::from_millis(codes.len() as u64 / 8 - 640);
    assert!(began.elapsed() >= spoken / 3, "{:?}", began.elapsed());
    emulator.stop().await;
}

#[tokio::test]
async fn a_header_may_be_in_front_though_none_was_asked_for() {
    let (emulator, client) = faulty(&["speak-header"]).await;
    let response = asked(&emulator, &client, QUERY).await;
    assert_eq!(response.headers()["content-type"], "audio/basic");
    let file = soon("the audio", response.bytes()).await.unwrap();
    let lanes = wav::read(&file).unwrap().lanes;
    assert_eq!(words_in(&lanes[0]), words_of(TEXT));
    emulator.stop().await;
}
