//! Live transcription.

use sidetone_deepgram::listen::message::{ClientMessage, ServerMessage};

use crate::capture;

#[test]
fn every_message_is_written_as_it_was_read() {
    for line in capture("listen-messages.ndjson") {
        let written = match line.dir.as_str() {
            "in" => ServerMessage::parse(&line.text).unwrap().to_json(),
            _ => ClientMessage::parse(&line.text).unwrap().to_json(),
        };
        assert_eq!(written, line.text);
    }
}

#[test]
fn messages_that_differ_from_the_documented_shape_are_understood() {
    let messages: Vec<ServerMessage> = capture("listen-tolerance.ndjson")
        .iter()
        .map(|line| ServerMessage::parse(&line.text).unwrap())
        .collect();
    let [
        ServerMessage::Results(results),
        ServerMessage::SpeechStarted(started),
        ServerMessage::UtteranceEnd(ended),
        ServerMessage::Error(error),
        ServerMessage::Warning(warning),
        ServerMessage::Metadata(metadata),
        ServerMessage::Unknown { kind },
    ] = messages.as_slice()
    else {
        panic!("{messages:?}")
    };
    assert!(results.is_final && !results.speech_final && !results.from_finalize);
    assert_eq!(results.heard().unwrap().words[0].end, 1.0);
    assert_eq!((started.channel.index, started.channel.total), (0, 1));
    assert_eq!(ended.last_word_end, -1.0);
    assert_eq!(error.code.as_deref(), Some("OLD"));
    assert_eq!(warning.description.as_deref(), Some("careful"));
    assert_eq!(metadata.channels, 1);
    assert_eq!(kind, "Sentiment");
}

#[test]
fn what_is_no_message_is_an_error() {
    for text in [
        "",
        "null",
        "[]",
        "{}",
        r#"{"type":1}"#,
        r#"{"type":"Results"}"#,
        r#"{"type":"Results","sta"#,
    ] {
        assert!(ServerMessage::parse(text).is_err(), "{text}");
    }
    for text in [
        "KeepAlive",
        r#"{"type":"Unknown"}"#,
        r#"{"type":"Finalize","channel":"x"}"#,
    ] {
        assert!(ClientMessage::parse(text).is_err(), "{text}");
    }
}
