//! What became of the call.

use sidetone_audio::Track;
use sidetone_call::Call;
use sidetone_call::engine::Summary;
use sidetone_call::event::{EndReason, EventData, Transcript};

use super::Line;

impl Line {
    pub(crate) fn call(&self) -> &Call {
        self.engine.call()
    }

    pub(crate) fn summary(&self) -> Summary {
        self.engine.summary()
    }

    /// The engine as a log would show it.
    pub(crate) fn debug(&self) -> String {
        format!("{:?}", self.engine)
    }

    /// The names of the events so far, in order.
    pub(crate) fn event_names(&self) -> Vec<&'static str> {
        self.events.iter().map(EventData::type_name).collect()
    }

    pub(crate) fn finals(&self) -> Vec<&Transcript> {
        let finals = self.events.iter().filter_map(|data| match data {
            EventData::TranscriptFinal(transcript) => Some(&**transcript),
            _ => None,
        });
        finals.collect()
    }

    /// The final words of a track, each with where it begins: `a@100 b@400`.
    #[track_caller]
    pub(crate) fn check_words(&self, track: Track, expect: &str) {
        let finals = self
            .finals()
            .into_iter()
            .filter(|transcript| transcript.track == track);
        let words = finals.flat_map(|transcript| &transcript.words);
        let words: Vec<_> = words
            .map(|word| format!("{}@{}", word.word, word.start_ms))
            .collect();
        assert_eq!(words.join(" "), expect);
    }

    #[track_caller]
    pub(crate) fn check_ended(&self, reason: EndReason) {
        assert!(self.ended, "still on: {:?}", self.engine);
        let Some(EventData::CallEnded(call)) = self.events.last() else {
            panic!("call.ended is not the last event: {:?}", self.event_names())
        };
        assert_eq!(call.end_reason, Some(reason));
        assert_eq!(&**call, self.engine.call());
    }
}
