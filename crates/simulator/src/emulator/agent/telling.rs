//! How an agent's messages are put into words: as Deepgram does, or oddly and legally all the
//! same.

use serde_json::Value;
use sidetone_deepgram::agent::message::ServerMessage;

use super::flaws::TellingFlaws;
use crate::emulator::telling::{add_unknown_fields, object_of};

impl TellingFlaws {
    /// The text frames that a message becomes.
    pub(super) fn texts(self, message: &ServerMessage) -> Vec<String> {
        if !self.unknown_messages && !self.latency_strings {
            return vec![message.to_json()];
        }
        let mut object = object_of(message);
        if self.latency_strings {
            let latencies = object
                .iter_mut()
                .filter(|(name, _)| name.ends_with("_latency"));
            latencies.for_each(|(_, value)| *value = Value::String(value.to_string()));
        }
        if self.unknown_messages {
            add_unknown_fields(&mut object);
        }
        let text = Value::Object(object).to_string();
        let before = self.unknown_messages.then(|| UNKNOWN_MESSAGE.to_owned());
        before.into_iter().chain([text]).collect()
    }
}

const UNKNOWN_MESSAGE: &str = r#"{"type":"MessageOfTomorrow","functions":[],"content":"hm"}"#;

#[cfg(test)]
mod tests {
    use sidetone_deepgram::agent::message::LatencyReport;

    use super::*;

    #[test]
    fn what_is_told_oddly_says_the_same() {
        let report = ServerMessage::LatencyReport(LatencyReport {
            total_latency: Some(0.25),
            ..LatencyReport::default()
        });
        assert_eq!(TellingFlaws::default().texts(&report), [report.to_json()]);

        let strings = TellingFlaws {
            latency_strings: true,
            ..TellingFlaws::default()
        };
        let texts = strings.texts(&report);
        assert!(texts[0].contains(r#""total_latency":"0.25""#), "{texts:?}");
        assert_eq!(ServerMessage::parse(&texts[0]).unwrap(), report);

        let unknown = TellingFlaws {
            unknown_messages: true,
            ..TellingFlaws::default()
        };
        let texts = unknown.texts(&report);
        let read: Vec<_> = texts
            .iter()
            .map(|text| ServerMessage::parse(text).unwrap())
            .collect();
        assert!(matches!(read[0], ServerMessage::Unknown { .. }), "{read:?}");
        assert_eq!(read[1], report);
    }
}
