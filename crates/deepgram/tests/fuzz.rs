//! Whatever bytes come, decoding gives an answer and no panic, and what was read can be written
//! and read again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sidetone_audio::{Audio, Block};
use sidetone_deepgram::error::{ErrorBody, words};
use sidetone_deepgram::listen::link::{Config, Input, ListenLink};
use sidetone_deepgram::listen::message::{ClientMessage, ServerMessage};
use sidetone_deepgram::listen::params::Params;
use sidetone_deepgram::listen::query::Query;
use sidetone_deepgram::listen::times::map_times;
use sidetone_deepgram::speak;
use sidetone_deepgram::speak::answer::Answer;
use sidetone_fuzz::{check, check_text};

#[test]
fn fuzzed_messages_of_deepgram() {
    check_text("listen-messages", |text| {
        if let Ok(message) = ServerMessage::parse(text) {
            let written = message.to_json();
            assert_eq!(ServerMessage::parse(&written).unwrap().to_json(), written);
        }
        // What the rewriter passes over it does not judge, such as half a surrogate pair.
        let is_json = |text: &str| serde_json::from_str::<serde_json::Value>(text).is_ok();
        if let Some(mapped) = map_times(text, |_, seconds| seconds + 1.0) {
            assert!(is_json(&mapped) || !is_json(text), "{mapped}");
        }
    });
}

#[test]
fn fuzzed_messages_to_deepgram() {
    check_text("listen-requests", |text| {
        if let Ok(message) = ClientMessage::parse(text) {
            assert_eq!(ClientMessage::parse(&message.to_json()).unwrap(), message);
        }
    });
}

#[test]
fn fuzzed_queries() {
    check_text("listen-queries", |text| {
        match Query::parse(text) {
            Ok(query) => assert!(query.channels >= 1),
            Err(refusal) => assert!((400..500).contains(&refusal.status)),
        }
        let mut params = Params::new();
        for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            if params.set(name, &[value]).is_ok() {
                assert_eq!(params.values(name), [value]);
            }
        }
        // What would be refused on the line is refused before, or goes over it.
        if params.check().is_ok() {
            let query = params.query(2, "CA00000000000000000000000000000002");
            assert!(
                query.is_ascii() && !query.contains([' ', '#', '"']),
                "{query}"
            );
        }
    });
}

#[test]
fn fuzzed_refusals() {
    check("deepgram-refusals", |body| {
        let header = String::from_utf8_lossy(body);
        for said in [words(None, body), words(Some(&header), b"")] {
            assert!(!said.is_empty() && said.chars().count() <= 300);
            assert!(!said.chars().any(char::is_control));
        }
        let refusal = ErrorBody::parse(&header);
        assert_eq!(ErrorBody::parse(&refusal.to_wire()), refusal);
    });
}

#[test]
fn fuzzed_requests_for_speech() {
    let dense = |text: &str| text.split_whitespace().collect::<String>();
    check("speak-requests", |body| {
        for content_type in ["application/json", "text/plain"] {
            match speak::request::parse(Some(content_type), body) {
                Ok(text) => {
                    let written = speak::request::body(&text);
                    let again = speak::request::parse(Some("application/json"), written.as_bytes());
                    assert_eq!(again.as_ref(), Ok(&text));
                    let pieces = speak::pieces::split(&text);
                    let said: String = pieces.iter().map(|piece| piece.text()).collect();
                    assert_eq!(dense(&said), dense(&text));
                }
                Err(refusal) => assert!((400..500).contains(&refusal.status)),
            }
        }
    });
}

#[test]
fn fuzzed_parameters_of_speech() {
    check_text("speak-queries", |text| {
        if let Err(refusal) = speak::query::Query::parse(text) {
            assert_eq!(refusal.status, 400);
        }
        let mut params = speak::params::Params::new();
        for (name, value) in text.split('&').filter_map(|pair| pair.split_once('=')) {
            if params.set(name, &[value]).is_ok() {
                assert_eq!(params.values(name), [value]);
            }
        }
        let query = params.query();
        assert!(
            query.is_ascii() && !query.contains([' ', '#', '"']),
            "{query}"
        );
    });
}

/// Wherever a body is cut, the same audio is in it.
#[test]
fn fuzzed_speech() {
    let codes = |body: &[u8], size: usize| {
        let mut answer = Answer::read(|_| None).unwrap();
        let mut codes = Vec::new();
        for chunk in body.chunks(size) {
            codes.extend(answer.codes(Bytes::copy_from_slice(chunk)).ok()?);
        }
        Some(codes)
    };
    check("speak-answers", |body| {
        let whole = codes(body, body.len().max(1));
        if let Some(codes) = &whole {
            assert!(codes.is_empty() || body.windows(codes.len()).any(|part| part == codes));
        }
        for size in [1, 5, 13] {
            assert_eq!(codes(body, size), whole);
        }
    });
}

/// Well-formed results with absurd times and texts.
#[test]
fn fuzzed_results_of_a_link() {
    let config = Config {
        channels: 2,
        interim_results: true,
        replay_window: Duration::from_secs(1),
        replay_rate: 1.25,
        seed: 1,
    };
    type Said = (u8, bool, f64, f64, f64, String);
    bolero::check!()
        .with_type::<Vec<Said>>()
        .with_test_time(sidetone_fuzz::test_time())
        .for_each(|said| {
            let mut now = Instant::now();
            let mut link = ListenLink::new(config, now);
            let mut generation = 1;
            for (channel, is_final, start, duration, word, text) in said {
                now += Duration::from_millis(300);
                link.handle(
                    now,
                    Input::Opened {
                        generation,
                        request_id: None,
                    },
                );
                link.handle(
                    now,
                    Input::Audio(Block {
                        samples: 480,
                        audio: Audio::Silence,
                    }),
                );
                let text = serde_json::json!({
                    "type": "Results",
                    "channel_index": [channel % 3, 2],
                    "start": start,
                    "duration": duration,
                    "is_final": is_final,
                    "channel": {"alternatives": [{"transcript": text, "words": [
                        {"word": text, "start": word, "end": duration},
                    ]}]},
                });
                link.handle(
                    now,
                    Input::Text {
                        generation,
                        text: &text.to_string(),
                    },
                );
                if channel % 4 == 3 {
                    link.handle(
                        now,
                        Input::Closed {
                            generation,
                            code: None,
                            reason: text["type"].as_str().unwrap(),
                        },
                    );
                    now += Duration::from_secs(6);
                    link.handle(now, Input::Timeout);
                    generation += 1;
                }
                while link.poll_output().is_some() {}
                assert!(link.boundary() <= 480 * said.len() as u64);
            }
        });
}
