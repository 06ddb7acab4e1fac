//! A Deepgram that hears: a run of equal letters is a word.

use std::fmt::Write as _;

/// The byte of digital silence.
pub(crate) const SILENCE: u8 = 0xFF;

/// One connection.
#[derive(Debug)]
pub(crate) struct Connection {
    channels: Vec<Channel>,
    pub(crate) is_open: bool,
    /// What was sent in text frames.
    pub(crate) texts: Vec<&'static str>,
}

#[derive(Debug, Default)]
struct Channel {
    samples: Vec<u8>,
    /// Up to where finals have been given.
    settled: usize,
}

impl Connection {
    pub(crate) fn new(channels: usize) -> Self {
        let channels = (0..channels).map(|_| Channel::default()).collect();
        Self {
            channels,
            is_open: true,
            texts: Vec::new(),
        }
    }

    /// Takes a binary frame.
    pub(crate) fn hear(&mut self, audio: &[u8]) {
        let width = self.channels.len();
        assert!(!audio.is_empty() && audio.len().is_multiple_of(width));
        assert!(audio.len() <= 2_000 * width, "at most 250 ms a message");
        for (index, &sample) in audio.iter().enumerate() {
            self.channels[index % width].samples.push(sample);
        }
    }

    /// Samples of a channel that came.
    pub(crate) fn received(&self) -> usize {
        self.channels[0].samples.len()
    }

    /// What was heard since the last finals, channel by channel, as interims or finals.
    pub(crate) fn results(&mut self, is_final: bool) -> Vec<String> {
        let total = self.channels.len();
        let channels = self.channels.iter_mut().enumerate();
        channels
            .map(|(index, channel)| channel.results(index, total, is_final))
            .collect()
    }

    /// The last message of a connection.
    pub(crate) fn metadata(&self) -> String {
        let seconds = seconds(self.received());
        format!(r#"{{"type":"Metadata","request_id":"req","duration":{seconds},"channels":1}}"#)
    }
}

impl Channel {
    fn results(&mut self, index: usize, total: usize, is_final: bool) -> String {
        let (start, end) = (self.settled, self.samples.len());
        let mut words = String::new();
        let mut transcript = String::new();
        let mut at = start;
        for run in self.samples[start..].chunk_by(|a, b| a == b) {
            let (from, to) = (at, at + run.len());
            at = to;
            if run[0] == SILENCE {
                continue;
            }
            let word = char::from(run[0]);
            let comma = if words.is_empty() { "" } else { "," };
            write!(
                words,
                r#"{comma}{{"word":"{word}","start":{},"end":{},"confidence":0.9}}"#,
                seconds(from),
                seconds(to),
            )
            .unwrap();
            write!(
                transcript,
                "{}{word}",
                if comma.is_empty() { "" } else { " " }
            )
            .unwrap();
        }
        if is_final {
            self.settled = end;
        }
        format!(
            concat!(
                r#"{{"type":"Results","channel_index":[{},{}],"duration":{},"start":{},"#,
                r#""is_final":{},"speech_final":{},"channel":{{"alternatives":["#,
                r#"{{"transcript":"{}","confidence":0.9,"words":[{}]}}]}}}}"#
            ),
            index,
            total,
            seconds(end - start),
            seconds(start),
            is_final,
            is_final,
            transcript,
            words,
        )
    }
}

fn seconds(samples: usize) -> f64 {
    f64::from(u32::try_from(samples).unwrap()) / 8_000.0
}
