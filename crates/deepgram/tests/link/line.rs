//! A call in virtual time: people who speak, a link, and a Deepgram whose connections fail.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sidetone_audio::{Audio, Block};
use sidetone_deepgram::listen::link::{Config, Event, Input, ListenLink, Output};
use sidetone_deepgram::listen::message::{CLOSE_STREAM, ServerMessage};

use crate::recogniser::{Dice, Recogniser, WORDS, length_of, text_of};
use crate::rig::{ms, samples};

/// What a call came to.
pub(crate) struct Outcome {
    /// By channel.
    pub(crate) spoken: Vec<Vec<String>>,
    /// By channel: the words of finals, in the order they were told.
    pub(crate) heard: Vec<Vec<String>>,
    /// By channel: the words of final messages for `/client`.
    pub(crate) passed_on: Vec<Vec<String>>,
    pub(crate) gaps: usize,
    pub(crate) connections: u32,
    pub(crate) metadata: usize,
    /// The longest audio that was held back.
    pub(crate) most_behind: Duration,
    /// From the end of the call to `Finished`.
    pub(crate) wait_at_end: Duration,
}

/// How a connection ends before its time.
#[derive(Clone, Copy)]
enum Fate {
    /// Closed, and what was on its way is lost.
    Dropped,
    /// Closed, and what was on its way comes after all.
    DroppedWithGhosts,
    /// Neither answers nor closes.
    Stalled,
    /// Says something unreadable.
    Garbled,
}

/// What happens next at Deepgram's end.
enum Doing {
    Open(u32),
    Refuse(u32, u16),
    Say(u32, String),
    Pong(u32),
    Meet(u32, Fate),
    Hang(u32),
}

struct Line {
    link: ListenLink,
    now: Instant,
    dice: Dice,
    config: Config,
    /// By time and order of entry.
    agenda: BTreeMap<(Instant, u64), Doing>,
    entries: u64,
    /// The connection that is up, and what it hears.
    up: Option<(u32, Recogniser)>,
    calm: bool,
    outcome: Outcome,
    finished: bool,
    /// When the call ends.
    end: Instant,
}

/// Runs a call of `length` with all that is random drawn from `seed`; when `calm`, no connection
/// fails.
pub(crate) fn call(seed: u64, config: Config, length: Duration, calm: bool) -> Outcome {
    let mut dice = Dice::new(seed);
    let now = Instant::now();
    let channels = config.channels;
    let speech: Vec<(Vec<u8>, Vec<String>)> =
        (0..channels).map(|_| speech(length, &mut dice)).collect();
    let outcome = Outcome {
        spoken: speech.iter().map(|(_, words)| words.clone()).collect(),
        heard: vec![Vec::new(); channels],
        passed_on: vec![Vec::new(); channels],
        gaps: 0,
        connections: 0,
        metadata: 0,
        most_behind: Duration::ZERO,
        wait_at_end: Duration::ZERO,
    };
    let mut line = Line {
        link: ListenLink::new(config, now),
        now,
        dice,
        config,
        agenda: BTreeMap::new(),
        entries: 0,
        up: None,
        calm,
        outcome,
        finished: false,
        end: now + length,
    };
    line.drain();
    for start in (0..speech[0].0.len()).step_by(480) {
        line.run_until(now + Duration::from_micros(125 * start as u64));
        let frames = (start..(start + 480).min(speech[0].0.len()))
            .flat_map(|at| speech.iter().map(move |(codes, _)| codes[at]));
        line.give(Input::Audio(block(frames.collect(), channels)));
        line.outcome.most_behind = line.outcome.most_behind.max(line.link.behind());
    }
    // The last connection may be lost as well, but then there has to be an end to it.
    line.calm = true;
    line.run_until(line.end);
    line.give(Input::Finish);
    line.run_until(line.end + Duration::from_secs(100));
    assert!(line.finished, "seed {seed}: the link never finished");
    line.outcome
}

fn block(frames: Vec<u8>, channels: usize) -> Block {
    let samples = (frames.len() / channels) as u32;
    let silent = frames.iter().all(|code| *code == 0xFF);
    let audio = if silent {
        Audio::Silence
    } else {
        Audio::Samples(Bytes::from(frames))
    };
    Block { samples, audio }
}

/// Codes of someone who speaks for `length`, and the words.
fn speech(length: Duration, dice: &mut Dice) -> (Vec<u8>, Vec<String>) {
    let length = samples(length.as_millis() as u64) as usize;
    let (mut codes, mut words) = (Vec::with_capacity(length), Vec::new());
    let mut last = None;
    loop {
        let pause = if dice.one_in(8) {
            500 + dice.below(5_000)
        } else {
            50 + dice.below(150)
        };
        // People say some words twice.
        let code = match last {
            Some(last) if dice.one_in(6) => last,
            _ => 1 + dice.below(u64::from(WORDS)) as u8,
        };
        let end = codes.len() + (samples(pause) + length_of(code)) as usize;
        if end + samples(500) as usize > length {
            codes.resize(length, 0xFF);
            return (codes, words);
        }
        codes.resize(codes.len() + samples(pause) as usize, 0xFF);
        codes.resize(end, code);
        words.push(text_of(code));
        last = Some(code);
    }
}

impl Line {
    fn run_until(&mut self, until: Instant) {
        loop {
            let next_doing = self.agenda.keys().next().map(|(at, _)| *at);
            let due = self.link.poll_timeout();
            let next = next_doing
                .into_iter()
                .chain(due)
                .min()
                .filter(|at| *at <= until);
            let Some(next) = next else { break };
            self.now = next;
            if next_doing == Some(next) {
                let (_, doing) = self.agenda.pop_first().expect("seen above");
                self.act(doing);
            } else {
                self.give(Input::Timeout);
            }
        }
        self.now = until;
    }

    fn act(&mut self, doing: Doing) {
        match doing {
            Doing::Open(generation) => {
                let dice = self.dice.fork();
                let recogniser =
                    Recogniser::new(self.config.channels, self.config.interim_results, dice);
                self.up = Some((generation, recogniser));
                self.outcome.connections += 1;
                if !self.calm {
                    let fate = match self.dice.below(8) {
                        0 => Fate::Stalled,
                        1 => Fate::Garbled,
                        2 | 3 => Fate::DroppedWithGhosts,
                        _ => Fate::Dropped,
                    };
                    // Some live long enough for a final: what none of five hears is given up.
                    let least = if generation % 4 == 0 { 9_000 } else { 2_000 };
                    let life = ms(least + self.dice.below(14_000));
                    self.after(life, Doing::Meet(generation, fate));
                }
                self.give(Input::Opened {
                    generation,
                    request_id: Some("r"),
                });
            }
            Doing::Refuse(generation, status) => {
                let retry_after = self.dice.one_in(2).then_some(ms(700));
                self.give(Input::Refused {
                    generation,
                    status,
                    words: "No.",
                    retry_after,
                });
            }
            Doing::Say(generation, text) => self.give(Input::Text {
                generation,
                text: &text,
            }),
            Doing::Pong(generation) => self.give(Input::Pong { generation }),
            Doing::Hang(generation) => {
                self.give(Input::Closed {
                    generation,
                    code: Some(1000),
                    reason: "",
                });
            }
            Doing::Meet(generation, fate) => self.meet(generation, fate),
        }
    }

    fn meet(&mut self, generation: u32, fate: Fate) {
        if self.up.as_ref().is_none_or(|(up, _)| *up != generation) {
            return;
        }
        self.up = None;
        match fate {
            Fate::Garbled => {
                self.give(Input::Text {
                    generation,
                    text: r#"{"type":"Results","channel"#,
                });
            }
            Fate::Stalled => self.lose_what_is_on_its_way(),
            Fate::Dropped => {
                self.lose_what_is_on_its_way();
                self.give(Input::Closed {
                    generation,
                    code: Some(1011),
                    reason: "net0000",
                });
            }
            Fate::DroppedWithGhosts => {
                self.give(Input::Closed {
                    generation,
                    code: None,
                    reason: "reset by peer",
                });
            }
        }
    }

    fn lose_what_is_on_its_way(&mut self) {
        self.agenda
            .retain(|_, doing| !matches!(doing, Doing::Say(..) | Doing::Pong(_)));
    }

    fn give(&mut self, input: Input<'_>) {
        self.link.handle(self.now, input);
        self.drain();
        if let Some(due) = self.link.poll_timeout() {
            assert!(due > self.now, "what is due was done");
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.link.poll_output() {
            assert!(!self.finished, "nothing comes after Finished: {output:?}");
            match output {
                Output::Connect { generation } => self.connect(generation),
                Output::SendAudio { generation, audio } => {
                    self.answer(generation, |recogniser| recogniser.hear(&audio));
                }
                Output::SendText { generation, text } => {
                    if text == CLOSE_STREAM {
                        self.answer(generation, Recogniser::close);
                        self.after(ms(401), Doing::Hang(generation));
                    }
                }
                Output::Ping { generation } => {
                    if self.up.as_ref().is_some_and(|(up, _)| *up == generation) {
                        self.after(ms(50), Doing::Pong(generation));
                    }
                }
                Output::Close { generation } => {
                    self.up.take_if(|(up, _)| *up == generation);
                }
                Output::Event(event) => self.note(event),
            }
        }
    }

    fn connect(&mut self, generation: u32) {
        let delay = ms(50 + self.dice.below(1_500));
        let doing = match self.dice.below(10) {
            0 if !self.calm => Doing::Refuse(generation, 503),
            1 if !self.calm => Doing::Refuse(generation, 429),
            _ => Doing::Open(generation),
        };
        // Some handshakes are never answered; not at the end, where there is no time for that.
        let answered = self.calm || self.now + ms(15_000) > self.end || !self.dice.one_in(40);
        if answered {
            self.after(delay, doing);
        }
    }

    /// Lets the recogniser answer, 200 to 400 ms later and in order.
    fn answer(
        &mut self,
        generation: u32,
        hear: impl FnOnce(&mut Recogniser) -> Vec<ServerMessage>,
    ) {
        let Some((_, recogniser)) = self.up.as_mut().filter(|(up, _)| *up == generation) else {
            return;
        };
        for message in hear(recogniser) {
            self.after(ms(400), Doing::Say(generation, message.to_json()));
        }
    }

    fn after(&mut self, delay: Duration, doing: Doing) {
        self.entries += 1;
        self.agenda.insert((self.now + delay, self.entries), doing);
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Transcript(transcript) if transcript.is_final => {
                let words = transcript.words.into_iter().map(|word| word.word);
                self.outcome.heard[transcript.channel].extend(words);
            }
            Event::Message { text } => match ServerMessage::parse(&text) {
                Ok(ServerMessage::Results(results)) if results.is_final => {
                    let channel = results.channel_index.index as usize;
                    let words = results
                        .heard()
                        .into_iter()
                        .flat_map(|best| best.words.clone());
                    self.outcome.passed_on[channel].extend(words.map(|word| word.word));
                }
                Ok(ServerMessage::Metadata(_)) => self.outcome.metadata += 1,
                other => drop(other.expect("a message")),
            },
            Event::Gap { .. } => self.outcome.gaps += 1,
            Event::Finished => {
                self.finished = true;
                self.outcome.wait_at_end = self.now - self.end;
            }
            _ => {}
        }
    }
}
