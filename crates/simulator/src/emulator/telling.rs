//! How messages are put into words: as Deepgram does, or oddly and legally all the same.

use serde::Serialize;
use serde_json::{Map, Value, json};
use sidetone_deepgram::listen::message::ServerMessage;

use super::flaws::TellingFlaws;

/// Writes the messages of one stream.
#[derive(Debug)]
pub(super) struct Telling {
    flaws: TellingFlaws,
    /// The last `Results`, as they were told; kept only where they are told again.
    last_results: Option<String>,
}

impl Telling {
    pub(super) fn new(flaws: TellingFlaws) -> Self {
        Self {
            flaws,
            last_results: None,
        }
    }

    /// The text frames that a message becomes.
    pub(super) fn texts(&mut self, message: &ServerMessage) -> Vec<String> {
        let text = self.write(message);
        match message {
            ServerMessage::UtteranceEnd(_) if self.flaws.doubles_utterance_ends => {
                vec![text.clone(), text]
            }
            ServerMessage::Metadata(_) if self.flaws.late_messages => {
                [text].into_iter().chain(self.last_results.take()).collect()
            }
            ServerMessage::Results(_) => {
                if self.flaws.late_messages {
                    self.last_results = Some(text.clone());
                }
                let before = self.flaws.unknown_types.then(|| UNKNOWN_TYPE.to_owned());
                before.into_iter().chain([text]).collect()
            }
            _ => vec![text],
        }
    }

    fn write(&self, message: &ServerMessage) -> String {
        let TellingFlaws {
            results_bytes,
            omits_fields,
            unknown_fields,
            ..
        } = self.flaws;
        if results_bytes == 0 && !omits_fields && !unknown_fields {
            return message.to_json();
        }
        let mut object = object_of(message);
        if let ServerMessage::Results(_) = message {
            if omits_fields {
                object.remove("speech_final");
                object.remove("from_finalize");
            }
            lengthen(&mut object, results_bytes);
        }
        if unknown_fields {
            add_unknown_fields(&mut object);
        }
        Value::Object(object).to_string()
    }
}

/// A message as the object that it is.
pub(super) fn object_of(message: &impl Serialize) -> Map<String, Value> {
    match serde_json::to_value(message) {
        Ok(Value::Object(object)) => object,
        other => unreachable!("a message is an object: {other:?}"),
    }
}

/// Adds alternatives until so many bytes are reached.
fn lengthen(results: &mut Map<String, Value>, bytes: usize) {
    let filler = json!({ "transcript": "hm ".repeat(300), "confidence": 0.01, "words": [] });
    let count = bytes / filler.to_string().len() + usize::from(bytes > 0);
    let alternatives = results
        .get_mut("channel")
        .and_then(|channel| channel.get_mut("alternatives"))
        .and_then(Value::as_array_mut);
    if let Some(alternatives) = alternatives {
        alternatives.extend(std::iter::repeat_n(filler, count));
    }
}

/// Adds a field to each object, whatever it lies in.
pub(super) fn add_unknown_fields(object: &mut Map<String, Value>) {
    for value in object.values_mut() {
        match value {
            Value::Object(inner) => add_unknown_fields(inner),
            Value::Array(items) => {
                let objects = items.iter_mut().filter_map(Value::as_object_mut);
                objects.for_each(add_unknown_fields);
            }
            _ => {}
        }
    }
    object.insert(
        "field_of_tomorrow".to_owned(),
        json!({ "start": [0.5, null] }),
    );
}

const UNKNOWN_TYPE: &str = r#"{"type":"MessageOfTomorrow","channel_index":[0,1],"start":0.5,"channel":{"alternatives":[]}}"#;

#[cfg(test)]
mod tests {
    use sidetone_deepgram::listen::message::{
        Alternative, Channel, ChannelIndex, Metadata, Results, UtteranceEnd,
    };

    use super::*;

    const CHANNEL: ChannelIndex = ChannelIndex { index: 0, total: 1 };

    fn results() -> ServerMessage {
        let alternative = Alternative {
            transcript: "hello".to_owned(),
            ..Alternative::default()
        };
        ServerMessage::Results(Results {
            channel_index: CHANNEL,
            duration: 1.0,
            start: 0.0,
            is_final: true,
            speech_final: true,
            channel: Channel {
                alternatives: vec![alternative],
            },
            metadata: None,
            from_finalize: false,
        })
    }

    fn told(flaws: TellingFlaws, messages: &[ServerMessage]) -> Vec<String> {
        let mut telling = Telling::new(flaws);
        messages
            .iter()
            .flat_map(|message| telling.texts(message))
            .collect()
    }

    #[test]
    fn without_flaws_a_message_is_told_as_it_is() {
        assert_eq!(
            told(TellingFlaws::default(), &[results()]),
            [results().to_json()]
        );
    }

    #[test]
    fn what_may_be_absent_is_omitted() {
        let flaws = TellingFlaws {
            omits_fields: true,
            ..TellingFlaws::default()
        };
        let texts = told(flaws, &[results()]);
        assert!(!texts[0].contains("speech_final") && !texts[0].contains("from_finalize"));
        let ServerMessage::Results(read) = ServerMessage::parse(&texts[0]).unwrap() else {
            panic!("{texts:?}")
        };
        assert!(read.is_final && !read.speech_final);
    }

    #[test]
    fn unknown_fields_and_types_change_nothing_of_what_is_known() {
        let flaws = TellingFlaws {
            unknown_fields: true,
            unknown_types: true,
            ..TellingFlaws::default()
        };
        let texts = told(flaws, &[results()]);
        let read: Vec<_> = texts
            .iter()
            .map(|text| ServerMessage::parse(text).unwrap())
            .collect();
        assert!(matches!(read[0], ServerMessage::Unknown { .. }), "{read:?}");
        assert_eq!(read[1], results());
        assert_eq!(texts[1].matches("field_of_tomorrow").count(), 3);
    }

    #[test]
    fn results_are_as_long_as_they_are_told_to_be() {
        let flaws = TellingFlaws {
            results_bytes: 100 << 10,
            ..TellingFlaws::default()
        };
        let texts = told(flaws, &[results()]);
        assert!((100 << 10..102 << 10).contains(&texts[0].len()));
        let ServerMessage::Results(read) = ServerMessage::parse(&texts[0]).unwrap() else {
            panic!("no Results")
        };
        assert_eq!(read.heard().unwrap().transcript, "hello");
    }

    #[test]
    fn an_utterance_ends_twice() {
        let flaws = TellingFlaws {
            doubles_utterance_ends: true,
            ..TellingFlaws::default()
        };
        let end = ServerMessage::UtteranceEnd(UtteranceEnd {
            channel: CHANNEL,
            last_word_end: 0.5,
        });
        assert_eq!(
            told(flaws, std::slice::from_ref(&end)),
            [end.to_json(), end.to_json()]
        );
    }

    #[test]
    fn what_was_told_comes_again_after_the_last_message() {
        let flaws = TellingFlaws {
            late_messages: true,
            ..TellingFlaws::default()
        };
        let last = ServerMessage::Metadata(Metadata::default());
        let (results, last_text) = (results(), last.to_json());
        assert_eq!(
            told(flaws, &[results.clone(), last]),
            [results.to_json(), last_text, results.to_json()]
        );
    }
}
