//! Whatever bytes come, decoding gives an answer and no panic, and what was read can be written
//! and read again.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sidetone_audio::{Audio, Block};
use sidetone_deepgram::agent;
use sidetone_deepgram::agent::link::AgentLink;
use sidetone_deepgram::agent::settings::Settings;
use sidetone_deepgram::connection::Input;
use sidetone_deepgram::error::{ErrorBody, words};
use sidetone_deepgram::listen::link::{Config, ListenLink};
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
fn fuzzed_messages_of_an_agent() {
    use agent::message::ServerMessage;
    check_text("agent-messages", |text| {
        if let Ok(message) = ServerMessage::parse(text) {
            let written = message.to_json();
            assert_eq!(ServerMessage::parse(&written).unwrap(), message);
        }
    });
}

#[test]
fn fuzzed_messages_to_an_agent() {
    use agent::message::ClientMessage;
    check_text("agent-requests", |text| {
        if let Ok(message) = ClientMessage::parse(text) {
            assert_eq!(ClientMessage::parse(&message.to_json()).unwrap(), message);
        }
    });
}

/// What was found right is right when it is read again, with functions and texts of its own.
#[test]
fn fuzzed_settings_of_an_agent() {
    check_text("agent-settings", |text| {
        let Ok(document) = serde_json::from_str(text) else {
            return;
        };
        match Settings::from_document(document) {
            Ok(mut settings) => {
                for function in settings.functions() {
                    settings.add_function(function).unwrap();
                }
                let mapped: Result<(), ()> =
                    settings.map_texts(|_, text| Ok(Some(text.to_owned())));
                mapped.unwrap();
                let sent = settings_sent(settings.clone());
                let again = Settings::from_document(sent).unwrap();
                assert_eq!(again.functions(), settings.functions());
            }
            Err(faults) => assert!(faults.iter().all(|fault| !fault.what.is_empty())),
        }
    });
}

/// Whatever an agent says, in whatever order, audio goes on and memory is bounded.
#[test]
fn fuzzed_sessions_of_an_agent() {
    use agent::link::Output;
    check_text("agent-messages", |text| {
        let mut now = Instant::now();
        let settings = Settings::from_agent(serde_json::json!({})).unwrap();
        let mut link = live_agent(settings, now);
        let mut generation = 1;
        for _ in 0..3 {
            link.handle(now, Input::Text { generation, text });
            let audio = &Bytes::copy_from_slice(text.as_bytes());
            link.handle(now, Input::Binary { generation, audio });
            link.respond(now, "func_1", text);
            now += Duration::from_millis(300);
            link.handle_timeout(now);
            let mut fed = false;
            while let Some(output) = link.poll_output() {
                match output {
                    Output::Connect { generation: next } => generation = next,
                    Output::SendAudio { .. } => fed = true,
                    Output::SendText { .. }
                    | Output::Ping { .. }
                    | Output::Close { .. }
                    | Output::Event(_) => {}
                }
            }
            assert!(fed || generation > 1 || link.poll_timeout().is_none());
        }
    });
}

/// A link whose session runs, with nothing left to be done.
fn live_agent(settings: Settings, now: Instant) -> AgentLink {
    let (mut link, _) = settling_agent(settings, now);
    let text = r#"{"type":"SettingsApplied"}"#;
    let generation = 1;
    link.handle(now, Input::Text { generation, text });
    while link.poll_output().is_some() {}
    link
}

/// The document as it goes out.
fn settings_sent(settings: Settings) -> serde_json::Value {
    let (_, sent) = settling_agent(settings, Instant::now());
    serde_json::from_str(&sent).expect("Settings are JSON")
}

/// A link that has sent its settings, and what it has sent.
fn settling_agent(settings: Settings, now: Instant) -> (AgentLink, String) {
    use agent::link::{Config, Output};
    let config = Config {
        settings,
        tags: Vec::new(),
        seed: 1,
    };
    let mut link = AgentLink::new(config, now);
    let (generation, request_id) = (1, None);
    let text = r#"{"type":"Welcome"}"#;
    link.handle(
        now,
        Input::Opened {
            generation,
            request_id,
        },
    );
    link.handle(now, Input::Text { generation, text });
    let mut outputs = std::iter::from_fn(|| link.poll_output());
    let sent = outputs.find_map(|output| match output {
        Output::SendText { text, .. } => Some(text),
        _ => None,
    });
    (link, sent.expect("Settings follow Welcome"))
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
                let audio = Audio::Silence;
                link.hear(
                    now,
                    Block {
                        samples: 480,
                        audio,
                    },
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
                    link.handle_timeout(now);
                    generation += 1;
                }
                while link.poll_output().is_some() {}
                assert!(link.boundary() <= 480 * said.len() as u64);
            }
        });
}
