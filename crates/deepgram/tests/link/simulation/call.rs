//! A call in simulated time: people who speak, a link, and a Deepgram whose connections fail.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sidetone_audio::{SAMPLES_PER_MS, ulaw};
use sidetone_deepgram::connection::Input;
use sidetone_deepgram::listen::link::{Event, ListenLink, Output};
use sidetone_deepgram::listen::message::{CLOSE_STREAM, ServerMessage};

use super::conduct::Conduct;
use super::judge::{Hearing, Judge};
use super::plan::{Answer, Fate, Lot, Plan};
use super::recogniser::{Manner, Recogniser};
use super::speech::{Source, Speech};
use crate::rig::ms;

/// What a call came to.
#[derive(Debug, Default)]
pub(super) struct Outcome {
    /// Connections that were open.
    pub(super) connections: u32,
    /// Words that were spoken.
    pub(super) words: usize,
    /// Words that were not heard, as a gap said.
    pub(super) missing: usize,
}

/// What happens next at Deepgram's end. The number is the connection's.
enum Doing {
    Answer(u32, Lot),
    Say(u32, String),
    Pong(u32),
    Meet(u32, Fate),
    Close(u32, Option<u16>, &'static str),
}

/// What the link believes of its newest connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Belief {
    Dialing,
    Open,
    Gone,
}

/// A connection that is up at Deepgram's end.
struct Up {
    generation: u32,
    recogniser: Recogniser,
    is_mute: bool,
    /// By channel, when the last message arrives: their order is kept within a channel only.
    last_said: Vec<Instant>,
}

struct Line {
    plan: Plan,
    is_traced: bool,
    link: ListenLink,
    start: Instant,
    now: Instant,
    /// By time and order of entry.
    agenda: BTreeMap<(Instant, u64), Doing>,
    entries: u64,
    /// The newest connection asked for, and what the link knows of it.
    generation: u32,
    belief: Belief,
    up: Option<Up>,
    /// Whether there was someone at the other end of the connection that the link closed last.
    was_up: bool,
    conduct: Conduct,
    hearing: Hearing,
    judges: Vec<Judge>,
    /// Samples given to the link.
    given: u64,
    metadata: usize,
    gaps: usize,
    /// Where a connection began last because what lies before it was given up.
    edge: Option<u64>,
    /// Whether Deepgram refused for good.
    is_failed: bool,
    /// Until when nothing is given up, once the call is over.
    wait_until: Option<Instant>,
    /// When the link has to have finished, once the call is over.
    finish_by: Option<Instant>,
    finished: bool,
    outcome: Outcome,
}

/// Runs a call to its end. Panics when anything is not as it must be; `is_traced` prints what
/// happens as it does.
pub(super) fn run(mut plan: Plan, is_traced: bool) -> Outcome {
    let speech: Vec<Speech> = (0..plan.config.channels)
        .map(|_| Speech::random(plan.length, &mut plan.dice))
        .collect();
    let start = Instant::now();
    let mut line = Line {
        link: ListenLink::new(plan.config, start),
        is_traced,
        start,
        now: start,
        agenda: BTreeMap::new(),
        entries: 0,
        generation: 0,
        belief: Belief::Gone,
        up: None,
        was_up: false,
        conduct: Conduct::new(plan.config, start),
        hearing: Hearing {
            jitter: 0,
            begins: 0,
        },
        judges: speech.iter().map(Judge::new).collect(),
        given: 0,
        metadata: 0,
        gaps: 0,
        edge: None,
        is_failed: false,
        wait_until: None,
        finish_by: None,
        finished: false,
        outcome: Outcome {
            words: speech.iter().map(|speech| speech.words.len()).sum(),
            ..Outcome::default()
        },
        plan,
    };
    line.trace(|| format!("{:?}", line.plan.config));
    line.drain();
    line.talk(Source::new(speech));
    line.end();
    line.outcome
}

impl Line {
    /// The call: a block every 60 ms, but for the pauses.
    fn talk(&mut self, mut source: Source) {
        // The window, silence to run up with, and a message that may not be sent yet.
        let window = samples(self.plan.config.replay_window + ms(300 + 250));
        let most_held = window as usize * self.plan.config.channels;
        let mut next = self.now;
        for number in 0.. {
            let Some(block) = source.next() else { break };
            let pauses = self.plan.pauses.iter();
            let pauses = pauses.filter(|(before, _)| *before == number);
            next += ms(60) + pauses.map(|(_, pause)| *pause).sum::<Duration>();
            self.run_until(next);
            self.given += u64::from(block.samples);
            self.tell(|line| line.link.hear(line.now, block));
            assert!(source.held() <= most_held, "more is kept than the window");
        }
    }

    /// From the end of the audio to that of the link, and a little longer.
    fn end(&mut self) {
        self.trace(|| "the call is over".to_owned());
        let last = self.now + Duration::from_secs(90);
        self.finish_by = Some(self.now);
        self.extend_finish();
        self.wait_until = self.finish_by.map(|by| by.min(last));
        self.tell(|line| line.link.finish(line.now));
        while !self.finished {
            let finish_by = self.finish_by.expect("set above").min(last);
            self.step();
            assert!(self.now <= finish_by, "the link is waited for too long");
        }
        // What is on its way to a link that has finished changes nothing.
        self.run_until(last + Duration::from_secs(30));
        assert!(self.metadata <= 1, "the last Metadata only");
        self.outcome.missing = self.judges.iter().map(Judge::conclude).sum();
    }

    fn run_until(&mut self, until: Instant) {
        while self.next_at().is_some_and(|at| at <= until) {
            self.step();
        }
        self.now = until;
    }

    /// When something happens next.
    fn next_at(&self) -> Option<Instant> {
        let doing = self.agenda.keys().next().map(|(at, _)| *at);
        doing.into_iter().chain(self.link.poll_timeout()).min()
    }

    fn step(&mut self) {
        self.now = self
            .next_at()
            .expect("a link that has not finished waits for something");
        self.conduct.check(self.now);
        match self.agenda.first_entry() {
            Some(entry) if entry.key().0 == self.now => {
                let doing = entry.remove();
                self.act(doing);
            }
            _ => self.tell(|line| line.link.handle_timeout(line.now)),
        }
    }

    fn act(&mut self, doing: Doing) {
        match doing {
            Doing::Answer(generation, lot) => self.answer(generation, lot),
            Doing::Say(generation, text) => {
                if generation == self.generation {
                    self.conduct.answered();
                }
                self.give(Input::Text {
                    generation,
                    text: &text,
                });
            }
            Doing::Pong(generation) => self.give(Input::Pong { generation }),
            Doing::Meet(generation, fate) => self.meet(generation, fate),
            Doing::Close(generation, code, reason) => self.give(Input::Closed {
                generation,
                code,
                reason,
            }),
        }
    }

    /// Answers a handshake.
    fn answer(&mut self, generation: u32, lot: Lot) {
        self.trace(|| format!("{generation}: {:?}", lot.answer));
        match lot.answer {
            Answer::Reset => self.give(Input::Closed {
                generation,
                code: None,
                reason: "reset by peer",
            }),
            Answer::Refuse {
                status,
                retry_after,
            } => {
                self.conduct.refused(retry_after);
                self.give(Input::Refused {
                    generation,
                    status,
                    words: "No.",
                    retry_after,
                });
            }
            Answer::Hang => self.give(Input::Closed {
                generation,
                code: None,
                reason: "Deepgram did not answer within 10 s",
            }),
            Answer::TooLate => {
                let is_awaited = (self.generation, self.belief) == (generation, Belief::Dialing);
                assert!(!is_awaited, "it is waited for too long");
                self.open(generation, lot.fate);
            }
            Answer::Open => self.open(generation, lot.fate),
        }
    }

    fn open(&mut self, generation: u32, fate: Option<(Duration, Fate)>) {
        let opened = Input::Opened {
            generation,
            request_id: Some("r"),
        };
        if (self.generation, self.belief) != (generation, Belief::Dialing) {
            self.give(opened);
            return;
        }
        let config = self.plan.config;
        let manner = Manner::random(
            config.interim_results,
            self.plan.weather.is_slow,
            &mut self.plan.dice,
        );
        let recogniser = Recogniser::new(config.channels, manner, self.plan.dice.fork());
        self.up = Some(Up {
            generation,
            recogniser,
            is_mute: false,
            last_said: vec![self.now; config.channels],
        });
        self.conduct.opens(self.now);
        self.outcome.connections += 1;
        if let Some((life, fate)) = fate {
            self.after(life, Doing::Meet(generation, fate));
        }
        let gaps = self.gaps;
        self.give(opened);
        let waiting = samples(self.link.behind());
        let (from, is_edge) = self.conduct.opened(self.given, waiting, self.gaps > gaps);
        self.hearing = Hearing {
            jitter: manner.jitter,
            begins: from + manner.deaf,
        };
        // Where audio was given up there is nothing before it to run up with.
        if is_edge {
            self.edge = Some(from);
        }
        if self.edge == Some(from) {
            let unclear = from..self.hearing.begins;
            let judges = self.judges.iter_mut();
            judges.for_each(|judge| judge.begin(unclear.clone()));
        }
        self.trace(|| {
            let from = from / SAMPLES_PER_MS;
            format!("{generation}: open, hears from {from} ms, {manner:?}")
        });
    }

    fn meet(&mut self, generation: u32, fate: Fate) {
        let Some(up) = self.up.as_mut().filter(|up| up.generation == generation) else {
            return;
        };
        if let Fate::Mute = fate {
            up.is_mute = true;
        } else {
            self.up = None;
        }
        if !matches!(fate, Fate::DroppedWithGhosts | Fate::Garbled) {
            self.agenda.retain(|_, doing| match doing {
                Doing::Say(from, _) => *from != generation,
                Doing::Pong(from) => *from != generation || matches!(fate, Fate::Mute),
                Doing::Answer(..) | Doing::Meet(..) | Doing::Close(..) => true,
            });
        }
        self.trace(|| format!("{generation}: {fate:?}"));
        if matches!(fate, Fate::Deaf | Fate::Blocked) {
            self.conduct.goes_deaf(self.now);
        }
        match fate {
            Fate::Deaf | Fate::Mute => {}
            Fate::Dropped => self.act(Doing::Close(generation, Some(1011), "net0000")),
            Fate::DroppedWithGhosts => {
                self.after(ms(700), Doing::Pong(generation));
                self.after(ms(800), Doing::Close(generation, Some(1000), ""));
                self.act(Doing::Close(generation, None, "reset by peer"));
            }
            Fate::Blocked => {
                let reason = "Deepgram has taken no audio for 5 s";
                self.after(ms(5_000), Doing::Close(generation, None, reason));
            }
            Fate::Garbled => {
                let garbled = r#"{"type":"Results","ch"#.to_owned();
                self.act(Doing::Say(generation, garbled));
                assert!(self.belief != Belief::Open, "it may have been a final");
            }
        }
    }

    fn give(&mut self, input: Input<'_>) {
        self.tell(|line| {
            if let Input::Closed { generation, .. } | Input::Refused { generation, .. } = input
                && generation == line.generation
            {
                line.belief = Belief::Gone;
            }
            line.link.handle(line.now, input);
        });
    }

    /// Tells the link something, and does what comes of it.
    fn tell(&mut self, something: impl FnOnce(&mut Self)) {
        let was_open = self.belief == Belief::Open;
        something(self);
        self.drain();
        if was_open != (self.belief == Belief::Open) {
            self.extend_finish();
        }
        if let Some(due) = self.link.poll_timeout() {
            assert!(due > self.now, "what is due was done");
            if self.belief == Belief::Gone {
                self.conduct.waits(due);
            }
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.link.poll_output() {
            assert!(!self.finished, "nothing comes after Finished: {output:?}");
            match output {
                Output::Connect { generation } => {
                    self.generation = generation;
                    self.belief = Belief::Dialing;
                    self.is_failed = false;
                    self.conduct.asked(self.now);
                    let at = self.now - self.start;
                    let lot = self.plan.weather.lot(at, &mut self.plan.dice);
                    self.after(lot.delay, Doing::Answer(generation, lot));
                }
                Output::SendAudio { generation, audio } => {
                    self.check_open(generation);
                    let samples = audio.len() as u64 / self.judges.len() as u64;
                    let is_silent = ulaw::is_silent(&audio);
                    self.conduct
                        .audio_sent(self.now, samples, is_silent, self.given);
                    if let Some(up) = &mut self.up {
                        let said = up.recogniser.hear(&audio);
                        self.say(said);
                    }
                }
                Output::SendText { generation, text } => {
                    self.check_open(generation);
                    self.conduct.text_sent(self.now, text);
                    if text == CLOSE_STREAM {
                        self.say_last(generation);
                    }
                }
                Output::Ping { generation } => {
                    self.check_open(generation);
                    if self.up.is_some() {
                        self.after(ms(50), Doing::Pong(generation));
                    }
                }
                Output::Close { generation } => {
                    assert_eq!(generation, self.generation);
                    assert!(self.belief != Belief::Gone, "it is closed already");
                    self.belief = Belief::Gone;
                    self.was_up = self.up.take().is_some();
                }
                Output::Event(event) => self.note(event),
            }
        }
    }

    fn check_open(&self, generation: u32) {
        assert_eq!(
            generation, self.generation,
            "nothing goes to an old connection"
        );
        assert!(self.belief == Belief::Open, "the connection is open");
    }

    /// Lets messages arrive, those of one channel in their order.
    fn say(&mut self, said: Vec<(usize, ServerMessage)>) {
        for (channel, message) in said {
            let delay = ms(self.plan.dice.between(100, 600));
            let Some(up) = self.up.as_mut().filter(|up| !up.is_mute) else {
                return;
            };
            let last = &mut up.last_said[channel];
            *last = (*last).max(self.now + delay);
            let (at, generation) = (*last, up.generation);
            self.at(at, Doing::Say(generation, message.to_json()));
            let is_final = matches!(message, ServerMessage::Results(results) if results.is_final);
            let elapsed = self.now - self.start;
            let Plan { weather, dice, .. } = &mut self.plan;
            if is_final && weather.drops_after_final(elapsed, dice) {
                self.at(at, Doing::Meet(generation, Fate::Dropped));
            }
        }
    }

    /// The answer to `CloseStream`.
    fn say_last(&mut self, generation: u32) {
        let Some(up) = self.up.as_mut().filter(|up| !up.is_mute) else {
            return;
        };
        if self.plan.weather.withholds_finals(&mut self.plan.dice) {
            self.after(ms(300), Doing::Close(generation, Some(1000), ""));
            return;
        }
        let (said, metadata) = up.recogniser.close();
        self.say(said);
        let last_said = self.up.iter().flat_map(|up| &up.last_said);
        let last = *last_said.max().expect("there is a channel");
        self.at(last, Doing::Say(generation, metadata.to_json()));
        self.at(last + ms(1), Doing::Close(generation, Some(1000), ""));
    }

    fn note(&mut self, event: Event) {
        match event {
            Event::Connected { .. } => self.belief = Belief::Open,
            Event::Disconnected {
                reason, attempt, ..
            } => {
                self.conduct.lost(self.now, attempt);
                self.trace(|| format!("{}: lost: {reason}", self.generation));
                self.judges.iter().for_each(Judge::lose_connection);
                let is_called_deaf = reason.contains("does not even answer pings");
                assert!(!is_called_deaf || !self.was_up, "it answered pings");
            }
            Event::Transcript(transcript) => {
                if transcript.is_final {
                    self.trace(|| {
                        let words = transcript.words.iter();
                        let words: Vec<_> = words
                            .map(|word| (&word.word, word.start / 8, word.end / 8))
                            .collect();
                        format!("channel {}: {words:?}", transcript.channel)
                    });
                }
                if transcript.is_final {
                    self.conduct.heard(transcript.channel, transcript.end);
                }
                self.judges[transcript.channel].hear(&transcript, self.hearing);
            }
            Event::Message { text } => match ServerMessage::parse(&text) {
                Ok(ServerMessage::Results(results)) if results.is_final => {
                    let best = results.heard().into_iter();
                    let words =
                        best.flat_map(|best| best.words.iter().map(|word| word.word.clone()));
                    self.judges[results.channel_index.index as usize].pass_on(words);
                }
                Ok(ServerMessage::Metadata(_)) => self.metadata += 1,
                other => drop(other.expect("a message")),
            },
            Event::Gap {
                channel,
                at,
                duration,
            } => {
                self.trace(|| {
                    let (start, end) = (at / SAMPLES_PER_MS, (at + duration) / SAMPLES_PER_MS);
                    format!("channel {channel}: a gap from {start} to {end} ms")
                });
                assert!(
                    self.conduct.is_opening()
                        || self.is_failed
                        || self.wait_until.is_some_and(|until| self.now >= until),
                    "the last words are given up too early"
                );
                self.gaps += 1;
                self.judges[channel].gap(at..at + duration);
            }
            Event::Finished => {
                self.trace(|| "finished".to_owned());
                self.judges.iter().for_each(Judge::lose_connection);
                self.conduct.ends();
                self.finished = true;
            }
            Event::EmptyFinal { channel, end } => {
                self.conduct.heard(channel, end);
                self.judges[channel].hear_nothing();
            }
            Event::InterimWithdrawn { channel } => self.judges[channel].hear_nothing(),
            Event::Failed { .. } => {
                self.is_failed = true;
                self.conduct.failed(self.now);
            }
            Event::SpeechStarted { .. } | Event::UtteranceEnded { .. } | Event::Warned { .. } => {}
        }
    }

    /// Once the call is over: what waits has its time, and 5 s more. A connection that is lost or
    /// comes late leaves more to wait for.
    fn extend_finish(&mut self) {
        if let Some(finish_by) = self.finish_by {
            let just_sent = match self.belief {
                Belief::Open => self.conduct.sent_at_once(self.now),
                _ => Duration::ZERO,
            };
            let waiting = (self.link.behind() + just_sent).div_f64(self.plan.config.replay_rate);
            self.finish_by = Some(finish_by.max(self.now + waiting + Duration::from_secs(5)));
        }
    }

    fn after(&mut self, delay: Duration, doing: Doing) {
        self.at(self.now + delay, doing);
    }

    fn at(&mut self, at: Instant, doing: Doing) {
        self.entries += 1;
        self.agenda.insert((at, self.entries), doing);
    }

    fn trace(&self, what: impl FnOnce() -> String) {
        if self.is_traced {
            eprintln!(
                "{:9.3} s  {}",
                (self.now - self.start).as_secs_f64(),
                what()
            );
        }
    }
}

pub(super) fn samples(time: Duration) -> u64 {
    time.as_micros() as u64 / 125
}

pub(super) const fn time(samples: u64) -> Duration {
    Duration::from_micros(125 * samples)
}
