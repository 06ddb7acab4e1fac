//! Whatever bytes come, decoding gives an answer and no panic.
//!
//! Each target runs for about a second, or for `SIDETONE_FUZZ_SECS`. Inputs are sound samples with
//! bytes changed and cut off: noise alone would not get past the first brace.

use std::time::{Duration, Instant};

use bolero::check;
use sidetone_audio::{Audio, Block};
use sidetone_deepgram::error::words;
use sidetone_deepgram::listen::link::{Config, Input, ListenLink};
use sidetone_deepgram::listen::message::{ClientMessage, ServerMessage};
use sidetone_deepgram::listen::query::Query;
use sidetone_deepgram::listen::times::map_times;

fn test_time() -> Duration {
    let secs = std::env::var("SIDETONE_FUZZ_SECS")
        .ok()
        .and_then(|secs| secs.parse().ok());
    Duration::from_secs(secs.unwrap_or(1))
}

/// Which sample, where it is cut, and which of its bytes become what.
type Damage = (u8, u16, Vec<(u16, u8)>);

fn damaged(samples: &[&str], (which, cut, changes): &Damage) -> String {
    let sample = samples[usize::from(*which) % samples.len()];
    let mut bytes = sample.as_bytes().to_vec();
    for (at, byte) in changes {
        let at = usize::from(*at) % bytes.len();
        bytes[at] = *byte;
    }
    // Most samples stay whole.
    bytes.truncate(usize::from(*cut).max(8));
    String::from_utf8_lossy(&bytes).into_owned()
}

const MESSAGES: [&str; 8] = [
    r#"{"type":"Results","channel_index":[0,1],"duration":1.98,"start":5.99,"is_final":true,"speech_final":true,"channel":{"alternatives":[{"transcript":"Tell","confidence":0.99,"words":[{"word":"tell","start":6.06,"end":6.3,"confidence":0.9,"punctuated_word":"Tell","speaker":0}]}]},"from_finalize":false}"#,
    r#"{"type":"Metadata","transaction_key":"deprecated","request_id":"r","duration":0.0,"channels":0}"#,
    r#"{"type":"SpeechStarted","channel":[0,1],"timestamp":9.54}"#,
    r#"{"type":"UtteranceEnd","channel":[0,2],"last_word_end":3.1}"#,
    r#"{"type":"Error","variant":"SchemaError","description":"invalid","message":"{}"}"#,
    r#"{"type":"ConfigureSuccess","request_id":"r","keyterms":["a"]}"#,
    r#"{"type":"Finalize","channel":0}"#,
    r#"{"type":"Configure","keyterms":["a","b"],"features":{"numerals":true}}"#,
];

#[test]
fn messages() {
    check!()
        .with_type::<Damage>()
        .with_test_time(test_time())
        .for_each(|damage| {
            let text = damaged(&MESSAGES, damage);
            if let Ok(message) = ServerMessage::parse(&text) {
                let written = message.to_json();
                assert!(ServerMessage::parse(&written).is_ok(), "{written}");
            }
            if let Ok(message) = ClientMessage::parse(&text) {
                assert_eq!(ClientMessage::parse(&message.to_json()).unwrap(), message);
            }
            if let Some(mapped) = map_times(&text, |_, seconds| seconds + 1.0) {
                assert!(
                    serde_json::from_str::<serde_json::Value>(&mapped).is_ok(),
                    "{mapped}"
                );
            }
        });
}

const QUERIES: [&str; 2] = [
    "model=nova-3&encoding=mulaw&sample_rate=8000&channels=2&multichannel=true&interim_results=true",
    "language=en-US&endpointing=300&utterance_end_ms=1000&tag=a%20b&extra=k%3Av&keyterm=x&diarize=1",
];

#[test]
fn queries() {
    check!()
        .with_type::<Damage>()
        .with_test_time(test_time())
        .for_each(|damage| {
            let text = damaged(&QUERIES, damage);
            match Query::parse(&text) {
                Ok(query) => assert!(query.channels >= 1),
                Err(refusal) => assert!((400..500).contains(&refusal.status)),
            }
        });
}

const REFUSALS: [&str; 3] = [
    r#"{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials.","request_id":"u"}"#,
    r#"{"category":"INVALID_JSON","message":"Invalid JSON.","details":"line 7","request_id":"u"}"#,
    "UUID parsing failed: invalid length",
];

#[test]
fn refusals() {
    check!()
        .with_type::<Damage>()
        .with_test_time(test_time())
        .for_each(|damage| {
            let said = words(None, damaged(&REFUSALS, damage).as_bytes());
            assert!(!said.is_empty() && said.chars().count() <= 300);
            assert!(!said.chars().any(char::is_control));
        });
}

/// Well-formed results with absurd times and texts.
#[test]
fn results_of_a_link() {
    let config = Config {
        channels: 2,
        interim_results: true,
        replay_window: Duration::from_secs(1),
        replay_rate: 1.25,
        seed: 1,
    };
    type Said = (u8, bool, f64, f64, f64, String);
    check!()
        .with_type::<Vec<Said>>()
        .with_test_time(test_time())
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
