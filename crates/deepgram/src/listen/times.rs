//! Rewriting the times of a message, everything else left byte for byte.
//!
//! The fields that change are found as spans of the text itself, so what this version does not
//! know of a message passes untouched: order of keys, number formats, new fields.

use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::listen::message::ChannelIndex;

/// Maps every time in a message of Deepgram: `start`, `duration`, `timestamp`, `last_word_end`
/// and the times of words and search hits.
///
/// `map` takes a channel and seconds, and gives seconds. A duration becomes the distance of its
/// mapped ends. Times below zero ("not known") stay. `None` when the text is no such message.
pub fn map_times(text: &str, map: impl Fn(usize, f64) -> f64) -> Option<String> {
    rewrite(text, None, map)
}

/// Words to take out of the best alternative of a message.
#[derive(Debug)]
pub(crate) struct Cut {
    /// For each word, whether it goes.
    pub(crate) taken_out: Vec<bool>,
    /// The transcript of the words that stay; empty when none do.
    pub(crate) transcript: String,
}

impl Cut {
    /// An entity with its words counted anew; `None` when a word of it goes.
    ///
    /// Whether `end_word` is the last word or the one after it is not documented: as words are
    /// taken out before those that stay, the answer is the same.
    fn entity(&self, entity: &str) -> Option<String> {
        let words: EntityWords<'_> = serde_json::from_str(entity).ok()?;
        let (start, end) = (index(words.start_word)?, index(words.end_word)?);
        let own = self.taken_out.get(start..end.max(start.saturating_add(1)));
        if own.is_none_or(|own| own.contains(&true)) {
            return None;
        }
        let mut edits = Edits::of(entity);
        for (raw, index) in [(words.start_word, start), (words.end_word, end)] {
            let before = self.taken_out.iter().take(index);
            let gone = before.filter(|goes| **goes).count();
            edits.replace(raw, index.saturating_sub(gone).to_string());
        }
        Some(edits.apply())
    }
}

/// As [`map_times`], with words taken out.
pub(crate) fn rewrite(
    text: &str,
    cut: Option<&Cut>,
    map: impl Fn(usize, f64) -> f64,
) -> Option<String> {
    let message: Message<'_> = serde_json::from_str(text).ok()?;
    let channel = message.channel();
    let map = |seconds: f64| map(channel, seconds);

    let mut edits = Edits::of(text);
    if let (Some(start), Some(duration)) = (seconds(message.start), seconds(message.duration)) {
        edits.time(message.duration, |_| map(start + duration) - map(start));
    }
    for time in [message.start, message.timestamp, message.last_word_end] {
        edits.time(time, map);
    }
    let heard = message.heard();
    for hit in heard.search.iter().flat_map(|search| &search.hits) {
        edits.time(hit.start, map);
        edits.time(hit.end, map);
    }
    for (nth, alternative) in heard.alternatives.iter().enumerate() {
        let cut = cut.filter(|_| nth == 0);
        if let (Some(old), Some(cut)) = (alternative.transcript, cut) {
            edits.replace(old, serde_json::to_string(&cut.transcript).ok()?);
        }
        if let Some(list) = alternative.words {
            let words: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
            let goes = |nth: usize| cut.and_then(|cut| cut.taken_out.get(nth)) == Some(&true);
            let staying = words.iter().enumerate().filter(|(nth, _)| !goes(*nth));
            let mapped: Option<Vec<String>> =
                staying.map(|(_, word)| map_word(word.get(), map)).collect();
            edits.replace(list, format!("[{}]", mapped?.join(",")));
        }
    }
    if let (Some(list), Some(cut)) = (message.entities, cut) {
        let entities: Vec<&RawValue> = serde_json::from_str(list.get()).ok()?;
        let staying: Vec<String> = entities
            .iter()
            .filter_map(|entity| cut.entity(entity.get()))
            .collect();
        edits.replace(list, format!("[{}]", staying.join(",")));
    }
    Some(edits.apply())
}

fn map_word(word: &str, map: impl Fn(f64) -> f64) -> Option<String> {
    let times: Timed<'_> = serde_json::from_str(word).ok()?;
    let mut edits = Edits::of(word);
    edits.time(times.start, &map);
    edits.time(times.end, &map);
    Some(edits.apply())
}

fn index(number: &RawValue) -> Option<usize> {
    serde_json::from_str(number.get()).ok()
}

fn seconds(number: Option<&RawValue>) -> Option<f64> {
    serde_json::from_str(number?.get()).ok()
}

#[derive(Deserialize)]
struct Message<'a> {
    #[serde(borrow)]
    start: Option<&'a RawValue>,
    #[serde(borrow)]
    duration: Option<&'a RawValue>,
    #[serde(borrow)]
    timestamp: Option<&'a RawValue>,
    #[serde(borrow)]
    last_word_end: Option<&'a RawValue>,
    #[serde(borrow)]
    channel_index: Option<&'a RawValue>,
    /// What was heard in a `Results`; the index of the channel in other messages.
    #[serde(borrow)]
    channel: Option<&'a RawValue>,
    #[serde(borrow)]
    entities: Option<&'a RawValue>,
}

impl<'a> Message<'a> {
    fn channel(&self) -> usize {
        let index = self.channel_index.or(self.channel);
        let index: Option<ChannelIndex> =
            index.and_then(|raw| serde_json::from_str(raw.get()).ok());
        index
            .and_then(|index| usize::try_from(index.index).ok())
            .unwrap_or(0)
    }

    fn heard(&self) -> Heard<'a> {
        self.channel
            .and_then(|raw| serde_json::from_str(raw.get()).ok())
            .unwrap_or_default()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Heard<'a> {
    #[serde(borrow)]
    alternatives: Vec<Alternative<'a>>,
    #[serde(borrow)]
    search: Vec<Search<'a>>,
}

#[derive(Deserialize)]
struct Alternative<'a> {
    #[serde(borrow)]
    transcript: Option<&'a RawValue>,
    #[serde(borrow)]
    words: Option<&'a RawValue>,
}

/// Which of the words an entity is (`detect_entities`).
#[derive(Deserialize)]
struct EntityWords<'a> {
    #[serde(borrow)]
    start_word: &'a RawValue,
    #[serde(borrow)]
    end_word: &'a RawValue,
}

#[derive(Deserialize)]
struct Search<'a> {
    #[serde(borrow, default)]
    hits: Vec<Timed<'a>>,
}

#[derive(Deserialize)]
struct Timed<'a> {
    #[serde(borrow)]
    start: Option<&'a RawValue>,
    #[serde(borrow)]
    end: Option<&'a RawValue>,
}

/// Replacements of spans of a text that do not overlap.
struct Edits<'a> {
    text: &'a str,
    edits: Vec<(Range<usize>, String)>,
}

impl<'a> Edits<'a> {
    fn of(text: &'a str) -> Self {
        Self {
            text,
            edits: Vec::new(),
        }
    }

    /// Replaces a time by what `map` makes of it; one that is not known stays.
    fn time(&mut self, number: Option<&'a RawValue>, map: impl Fn(f64) -> f64) {
        let Some(raw) = number else { return };
        // Deepgram's own resolution is coarser; rounding only trims what binary fractions add.
        let known = seconds(number).filter(|&seconds| seconds >= 0.0);
        let mapped = known.map(|seconds| (map(seconds) * 1e6).round() / 1e6);
        if let Some(seconds) = mapped.filter(|seconds| seconds.is_finite()) {
            self.replace(raw, format!("{seconds:?}"));
        }
    }

    /// Replaces a value borrowed from this very text.
    fn replace(&mut self, raw: &'a RawValue, by: String) {
        let start = raw
            .get()
            .as_ptr()
            .addr()
            .saturating_sub(self.text.as_ptr().addr());
        self.edits
            .push((start..start.saturating_add(raw.get().len()), by));
    }

    fn apply(mut self) -> String {
        self.edits.sort_by_key(|(span, _)| span.start);
        let mut out = String::with_capacity(self.text.len());
        let mut done = 0;
        for (span, by) in self.edits {
            out.push_str(self.text.get(done..span.start).unwrap_or_default());
            out.push_str(&by);
            done = span.end;
        }
        out.push_str(self.text.get(done..).unwrap_or_default());
        out
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const RESULTS: &str = r#"{ "new":{"start":1}, "type":"Results","channel_index":[1,2],"duration":1.98,"start":5.99,"is_final":true,"channel":{"alternatives":[{"transcript":"Tell me \"more\"","confidence":0.9996,"words":[{"word":"tell","start":6.07,"end":6.3,"x":[1]},{"end":6.5,"word":"me","start":6.4}]}],"search":[{"query":"q","hits":[{"start":6,"end":6.5}]}]}}"#;

    #[test]
    fn every_time_is_mapped_and_nothing_else_changes() {
        let mapped = map_times(RESULTS, |channel, seconds| {
            assert_eq!(channel, 1);
            seconds + 10.0
        });
        let expected = RESULTS
            .replace(r#""start":5.99"#, r#""start":15.99"#)
            .replace("6.07", "16.07")
            .replace(r#""end":6.3,"#, r#""end":16.3,"#)
            .replace(r#""end":6.5"#, r#""end":16.5"#)
            .replace("6.4}", "16.4}")
            .replace(r#""start":6,"#, r#""start":16.0,"#);
        assert_eq!(mapped.unwrap(), expected);
    }

    #[test]
    fn a_duration_is_the_distance_of_the_mapped_ends() {
        let text = r#"{"type":"Results","start":1.0,"duration":2.0}"#;
        let with_a_gap = |_, seconds: f64| {
            if seconds > 2.0 {
                seconds + 5.0
            } else {
                seconds
            }
        };
        assert_eq!(
            map_times(text, with_a_gap).unwrap(),
            r#"{"type":"Results","start":1.0,"duration":7.0}"#
        );
        let metadata = r#"{"type":"Metadata","duration":2.0,"channels":1}"#;
        assert_eq!(
            map_times(metadata, with_a_gap).unwrap(),
            metadata,
            "no window, no time"
        );
    }

    #[test]
    fn events_are_mapped_and_unknown_times_stay() {
        let shift = |channel: usize, seconds: f64| seconds + channel as f64;
        assert_eq!(
            map_times(
                r#"{"type":"SpeechStarted","channel":[1,2],"timestamp":9.54}"#,
                shift
            )
            .unwrap(),
            r#"{"type":"SpeechStarted","channel":[1,2],"timestamp":10.54}"#
        );
        let unknown = r#"{"type":"UtteranceEnd","channel":[1,2],"last_word_end":-1}"#;
        assert_eq!(map_times(unknown, shift).unwrap(), unknown);
        assert_eq!(map_times("not json", shift), None);
    }

    #[test]
    fn words_are_taken_out_and_the_transcript_is_rebuilt() {
        let cut = Cut {
            taken_out: vec![true, false],
            transcript: "me \"more\"".into(),
        };
        let text = rewrite(RESULTS, Some(&cut), |_, seconds| seconds).unwrap();
        assert!(
            text.contains(r#""words":[{"end":6.5,"word":"me","start":6.4}]"#),
            "{text}"
        );
        assert!(text.contains(r#""transcript":"me \"more\"""#), "{text}");
    }

    #[test]
    fn entities_are_counted_anew_after_words_were_taken_out() {
        let text = r#"{"type":"Results","channel":{"alternatives":[{"transcript":"To Ann from Bob","words":[{},{},{},{}]}]},"entities":[{"label":"NAME","start_word":1,"end_word":2,"value":"Ann"},{"start_word":3,"value":"Bob","end_word":4}]}"#;
        let check = |gone: usize, entities: &str| {
            let cut = Cut {
                taken_out: (0..4).map(|nth| nth < gone).collect(),
                transcript: String::new(),
            };
            let text = rewrite(text, Some(&cut), |_, seconds| seconds).unwrap();
            assert!(
                text.ends_with(&format!(r#""entities":[{entities}]}}"#)),
                "{text}"
            );
        };
        check(
            1,
            r#"{"label":"NAME","start_word":0,"end_word":1,"value":"Ann"},{"start_word":2,"value":"Bob","end_word":3}"#,
        );
        check(2, r#"{"start_word":1,"value":"Bob","end_word":2}"#);
        check(3, r#"{"start_word":0,"value":"Bob","end_word":1}"#);
        check(4, "");
        assert_eq!(map_times(text, |_, seconds| seconds).unwrap(), text);
    }

    proptest! {
        #[test]
        fn the_result_is_json_whatever_the_times(
            start in prop::num::f64::ANY,
            shift in prop::num::f64::ANY,
            text in ".{0,20}",
        ) {
            let message = serde_json::json!({
                "type": "Results",
                "start": start,
                "duration": 1.0,
                "channel": {"alternatives": [{"transcript": text, "words": [{"word": text, "start": start}]}]},
            });
            let mapped = map_times(&message.to_string(), |_, seconds| seconds + shift);
            if let Some(mapped) = mapped {
                prop_assert!(serde_json::from_str::<serde_json::Value>(&mapped).is_ok(), "{}", mapped);
            }
        }
    }
}
