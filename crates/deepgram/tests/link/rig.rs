//! A link driven by hand: the clock moves only when told to.

use std::time::{Duration, Instant};

use bytes::Bytes;
use sidetone_audio::{Audio, Block};
use sidetone_deepgram::connection::Input;
use sidetone_deepgram::listen::link::{Config, Event, ListenLink, Output};
use sidetone_deepgram::listen::message::{
    Alternative, Channel, ChannelIndex, Results, ServerMessage, Word,
};

/// A code that is not silence.
pub(crate) const LOUD: u8 = 0x20;

pub(crate) fn ms(ms: u64) -> Duration {
    Duration::from_millis(ms)
}

/// Samples of so many ms.
pub(crate) fn samples(ms: u64) -> u64 {
    8 * ms
}

pub(crate) fn config(channels: usize) -> Config {
    Config {
        channels,
        interim_results: true,
        replay_window: Duration::from_secs(60),
        replay_rate: 1.25,
        seed: 7,
    }
}

pub(crate) struct Rig {
    pub(crate) link: ListenLink,
    pub(crate) now: Instant,
    pub(crate) start: Instant,
    channels: usize,
    generation: u32,
}

impl Rig {
    pub(crate) fn new(config: Config) -> Self {
        let now = Instant::now();
        let channels = config.channels;
        let mut link = ListenLink::new(config, now);
        assert_eq!(link.poll_output(), Some(Output::Connect { generation: 1 }));
        Self {
            link,
            now,
            start: now,
            channels,
            generation: 1,
        }
    }

    /// A mono link whose first connection is open.
    pub(crate) fn open() -> Self {
        let mut rig = Self::new(config(1));
        let opened = rig.give_opened();
        assert_eq!(
            opened,
            [Output::Event(Event::Connected {
                request_id: Some("r1".into()),
                recovered: None
            })]
        );
        rig
    }

    pub(crate) fn give(&mut self, input: Input<'_>) -> Vec<Output> {
        self.take(|link, now| link.handle(now, input))
    }

    pub(crate) fn hear(&mut self, block: Block) -> Vec<Output> {
        self.take(|link, now| link.hear(now, block))
    }

    pub(crate) fn finish(&mut self) -> Vec<Output> {
        self.take(ListenLink::finish)
    }

    fn timeout(&mut self) -> Vec<Output> {
        self.take(ListenLink::handle_timeout)
    }

    /// Does something to the link, and takes what comes of it.
    fn take(&mut self, act: impl FnOnce(&mut ListenLink, Instant)) -> Vec<Output> {
        act(&mut self.link, self.now);
        let outputs: Vec<Output> = std::iter::from_fn(|| self.link.poll_output()).collect();
        for output in &outputs {
            if let Output::Connect { generation } = output {
                assert_eq!(*generation, self.generation + 1, "generations count up");
                self.generation = *generation;
            }
        }
        if let Some(due) = self.link.poll_timeout() {
            assert!(due > self.now, "what is due was done");
        }
        outputs
    }

    pub(crate) fn generation(&self) -> u32 {
        self.generation
    }

    pub(crate) fn give_opened(&mut self) -> Vec<Output> {
        let generation = self.generation;
        let request_id = format!("r{generation}");
        self.give(Input::Opened {
            generation,
            request_id: Some(&request_id),
        })
    }

    pub(crate) fn give_text(&mut self, text: &str) -> Vec<Output> {
        let generation = self.generation;
        self.give(Input::Text { generation, text })
    }

    pub(crate) fn give_closed(&mut self, code: Option<u16>, reason: &str) -> Vec<Output> {
        let generation = self.generation;
        self.give(Input::Closed {
            generation,
            code,
            reason,
        })
    }

    /// Sound of a length, all at once, in blocks of up to 60 ms.
    pub(crate) fn give_sound(&mut self, length_ms: u64) -> Vec<Output> {
        self.give_blocks(length_ms, true)
    }

    pub(crate) fn give_silence(&mut self, length_ms: u64) -> Vec<Output> {
        self.give_blocks(length_ms, false)
    }

    fn give_blocks(&mut self, length_ms: u64, loud: bool) -> Vec<Output> {
        let mut outputs = Vec::new();
        let mut left = samples(length_ms);
        while left > 0 {
            let samples = left.min(samples(60)) as u32;
            let bytes = Bytes::from(vec![LOUD; samples as usize * self.channels]);
            let audio = if loud {
                Audio::Samples(bytes)
            } else {
                Audio::Silence
            };
            outputs.extend(self.hear(Block { samples, audio }));
            left -= u64::from(samples);
        }
        outputs
    }

    /// Lets time pass; every timeout comes when it is due. Gives the outputs and when they came.
    pub(crate) fn wait(&mut self, time: Duration) -> Vec<(Duration, Output)> {
        let until = self.now + time;
        let mut outputs = Vec::new();
        while let Some(due) = self.link.poll_timeout().filter(|due| *due <= until) {
            self.now = due;
            let came = self.timeout();
            outputs.extend(came.into_iter().map(|output| (due - self.start, output)));
        }
        self.now = until;
        outputs
    }

    /// Sound in real time, a block every 60 ms. Deepgram gives signs of life, but no results.
    pub(crate) fn talk(&mut self, length_ms: u64) -> Vec<Output> {
        let mut outputs = Vec::new();
        for start in (0..length_ms).step_by(60) {
            let step = (length_ms - start).min(60);
            let came = self.wait(ms(step));
            let pinged = came
                .iter()
                .any(|(_, output)| matches!(output, Output::Ping { .. }));
            outputs.extend(came.into_iter().map(|(_, output)| output));
            outputs.extend(self.give_sound(step));
            if pinged {
                let generation = self.generation;
                outputs.extend(self.give(Input::Pong { generation }));
                outputs.extend(self.give_text(r#"{"type":"StillHere"}"#));
            }
        }
        outputs
    }
}

/// A `Results` message: its window in seconds and its words with their times.
pub(crate) fn results(
    channel: (u32, u32),
    window: (f64, f64),
    is_final: bool,
    words: &[(&str, f64, f64)],
) -> String {
    let texts: Vec<&str> = words.iter().map(|(text, ..)| *text).collect();
    let words = words.iter().map(|&(text, start, end)| Word {
        word: text
            .to_lowercase()
            .trim_end_matches(['.', ',', '?'])
            .to_owned(),
        start,
        end,
        confidence: 0.9,
        punctuated_word: Some(text.to_owned()),
        ..Word::default()
    });
    let best = Alternative {
        transcript: texts.join(" "),
        confidence: 0.9,
        words: words.collect(),
        languages: Vec::new(),
    };
    let message = ServerMessage::Results(Results {
        channel_index: ChannelIndex {
            index: channel.0,
            total: channel.1,
        },
        duration: window.1 - window.0,
        start: window.0,
        is_final,
        speech_final: false,
        channel: Channel {
            alternatives: vec![best],
        },
        metadata: None,
        from_finalize: false,
    });
    message.to_json()
}

pub(crate) fn final_of(window: (f64, f64), words: &[(&str, f64, f64)]) -> String {
    results((0, 1), window, true, words)
}

pub(crate) fn interim_of(window: (f64, f64), words: &[(&str, f64, f64)]) -> String {
    results((0, 1), window, false, words)
}

pub(crate) const METADATA: &str =
    r#"{"type":"Metadata","request_id":"r","duration":1.0,"channels":1}"#;

/// The audio sent, in samples of a mono link.
pub(crate) fn audio_len(outputs: &[Output]) -> u64 {
    let lengths = outputs.iter().map(|output| match output {
        Output::SendAudio { audio, .. } => audio.len() as u64,
        _ => 0,
    });
    lengths.sum()
}

/// The events among outputs, messages for `/client` left out.
pub(crate) fn events(outputs: &[Output]) -> Vec<&Event> {
    let events = outputs.iter().filter_map(|output| match output {
        Output::Event(Event::Message { .. }) => None,
        Output::Event(event) => Some(event),
        _ => None,
    });
    events.collect()
}

/// The messages for `/client` among outputs.
pub(crate) fn messages(outputs: &[Output]) -> Vec<&str> {
    let messages = outputs.iter().filter_map(|output| match output {
        Output::Event(Event::Message { text }) => Some(text.as_str()),
        _ => None,
    });
    messages.collect()
}
