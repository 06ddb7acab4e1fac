//! A call in simulated time: people who speak, a link, and a Deepgram whose connections fail.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use sidetone_audio::SAMPLES_PER_MS;
use sidetone_deepgram::listen::link::{Event, Input, ListenLink, Output};
use sidetone_deepgram::listen::message::{CLOSE_STREAM, ServerMessage};

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

/// How a connection is sent its audio.
struct Sending {
    since: Instant,
    /// Source position of its first sample.
    from: u64,
    /// What waited when it opened; `None` while it opens.
    backlog: Option<Duration>,
    /// Samples sent to it.
    sent: u64,
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
    sending: Sending,
    hearing: Hearing,
    judges: Vec<Judge>,
    /// Samples given to the link.
    given: u64,
    /// Samples sent that were sent before.
    sent_again: u64,
    /// Up to where audio was sent on any connection.
    reached: u64,
    metadata: usize,
    gaps: usize,
    /// Where a connection began last because what lies before it was given up.
    edge: Option<u64>,
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
        sending: Sending {
            since: start,
            from: 0,
            backlog: None,
            sent: 0,
        },
        hearing: Hearing {
            jitter: 0,
            begins: 0,
        },
        judges: speech.iter().map(Judge::new).collect(),
        given: 0,
        sent_again: 0,
        reached: 0,
        metadata: 0,
        gaps: 0,
        edge: None,
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
            self.give(Input::Audio(block));
            assert!(source.held() <= most_held, "more is kept than the window");
        }
    }

    /// From the end of the audio to that of the link, and a little longer.
    fn end(&mut self) {
        self.trace(|| "the call is over".to_owned());
        let last = self.now + Duration::from_secs(90);
        self.finish_by = Some(self.now);
        self.extend_finish();
        self.give(Input::Finish);
        while !self.finished {
            let finish_by = self.finish_by.expect("set above").min(last);
            self.step();
            assert!(self.now <= finish_by, "the link is waited for too long");
        }
        // What is on its way to a link that has finished changes nothing.
        self.run_until(last + Duration::from_secs(30));
        self.count_sent_again();
        let budget = samples(Duration::from_secs(120)) + self.given / 4;
        let lead = SILENT_FRAME * u64::from(self.outcome.connections);
        assert!(self.sent_again <= budget + lead, "too much was sent again");
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
        match self.agenda.first_entry() {
            Some(entry) if entry.key().0 == self.now => {
                let doing = entry.remove();
                self.act(doing);
            }
            _ => self.give(Input::Timeout),
        }
    }

    fn act(&mut self, doing: Doing) {
        match doing {
            Doing::Answer(generation, lot) => self.answer(generation, lot),
            Doing::Say(generation, text) => self.give(Input::Text {
                generation,
                text: &text,
            }),
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
            Answer::Never => {}
            Answer::Reset => self.give(Input::Closed {
                generation,
                code: None,
                reason: "reset by peer",
            }),
            Answer::Refuse {
                status,
                retry_after,
            } => self.give(Input::Refused {
                generation,
                status,
                words: "No.",
                retry_after,
            }),
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
        let manner = Manner::random(config.interim_results, &mut self.plan.dice);
        let recogniser = Recogniser::new(config.channels, manner, self.plan.dice.fork());
        self.up = Some(Up {
            generation,
            recogniser,
            is_mute: false,
            last_said: vec![self.now; config.channels],
        });
        self.count_sent_again();
        self.sending = Sending {
            since: self.now,
            from: 0,
            backlog: None,
            sent: 0,
        };
        self.outcome.connections += 1;
        if let Some((life, fate)) = fate {
            self.after(life, Doing::Meet(generation, fate));
        }
        let gaps = self.gaps;
        self.give(opened);
        // Where it begins was decided when it opened.
        self.sending.from = self.given - samples(self.link.behind()) - self.sending.sent;
        self.sending.backlog = Some(time(self.given - self.sending.from));
        self.hearing = Hearing {
            jitter: manner.jitter,
            begins: self.sending.from + manner.deaf,
        };
        // Where audio was given up there is nothing before it to run up with.
        let fills_window = time(self.given - self.sending.from) + ms(60) >= config.replay_window;
        if self.gaps > gaps || fills_window || self.sending.from >= self.reached {
            self.edge = Some(self.sending.from);
        }
        if self.edge == Some(self.sending.from) {
            let unclear = self.sending.from..self.hearing.begins;
            let judges = self.judges.iter_mut();
            judges.for_each(|judge| judge.begin(unclear.clone()));
        }
        self.trace(|| {
            let from = self.sending.from / SAMPLES_PER_MS;
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
        match fate {
            Fate::Deaf | Fate::Mute => {}
            Fate::Dropped => self.act(Doing::Close(generation, Some(1011), "net0000")),
            Fate::DroppedWithGhosts => self.act(Doing::Close(generation, None, "reset by peer")),
            Fate::Blocked => {
                let reason = "Deepgram has taken no audio for 5 s";
                self.after(ms(5_000), Doing::Close(generation, None, reason));
            }
            Fate::Garbled => self.act(Doing::Say(
                generation,
                r#"{"type":"Results","ch"#.to_owned(),
            )),
        }
    }

    fn give(&mut self, input: Input<'_>) {
        let was_open = self.belief == Belief::Open;
        if let Input::Closed { generation, .. } | Input::Refused { generation, .. } = input
            && generation == self.generation
        {
            self.belief = Belief::Gone;
        }
        self.link.handle(self.now, input);
        self.drain();
        if was_open != (self.belief == Belief::Open) {
            self.extend_finish();
        }
        if let Some(due) = self.link.poll_timeout() {
            assert!(due > self.now, "what is due was done");
        }
    }

    fn drain(&mut self) {
        while let Some(output) = self.link.poll_output() {
            assert!(!self.finished, "nothing comes after Finished: {output:?}");
            match output {
                Output::Connect { generation } => {
                    self.generation = generation;
                    self.belief = Belief::Dialing;
                    let at = self.now - self.start;
                    let lot = self.plan.weather.lot(at, &mut self.plan.dice);
                    self.after(lot.delay, Doing::Answer(generation, lot));
                }
                Output::SendAudio { generation, audio } => {
                    self.check_open(generation);
                    self.audio_sent(audio.len() as u64 / self.judges.len() as u64);
                    if let Some(up) = &mut self.up {
                        let said = up.recogniser.hear(&audio);
                        self.say(said);
                    }
                }
                Output::SendText { generation, text } => {
                    self.check_open(generation);
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

    /// Notes what goes out, and that it does not go out too fast.
    fn audio_sent(&mut self, samples: u64) {
        let Sending {
            since,
            backlog,
            sent,
            ..
        } = &mut self.sending;
        *sent += samples;
        let elapsed = self.now - *since;
        let most = match *backlog {
            None => SMALL_BACKLOG,
            Some(backlog) if backlog < SMALL_BACKLOG => backlog + elapsed,
            Some(_) => elapsed.mul_f64(self.plan.config.replay_rate) + ms(250),
        };
        // The block that has just come, and a frame of silence.
        let most = most + ms(60 + 20);
        assert!(time(*sent) <= most, "faster than the replay rate");
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
            Event::Disconnected { reason, .. } => {
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
                self.gaps += 1;
                self.judges[channel].gap(at..at + duration);
            }
            Event::Finished => {
                self.trace(|| "finished".to_owned());
                self.judges.iter().for_each(Judge::lose_connection);
                self.finished = true;
            }
            Event::EmptyFinal { channel, .. } | Event::InterimWithdrawn { channel } => {
                self.judges[channel].hear_nothing();
            }
            Event::Failed { .. }
            | Event::SpeechStarted { .. }
            | Event::UtteranceEnded { .. }
            | Event::Warned { .. } => {}
        }
    }

    /// Once the call is over: what waits has its time, and 5 s more. A connection that is lost or
    /// comes late leaves more to wait for.
    fn extend_finish(&mut self) {
        if let Some(finish_by) = self.finish_by {
            let just_sent = match self.belief {
                Belief::Open if self.sending.since == self.now => time(self.sending.sent),
                _ => Duration::ZERO,
            };
            let waiting = (self.link.behind() + just_sent).div_f64(self.plan.config.replay_rate);
            self.finish_by = Some(finish_by.max(self.now + waiting + Duration::from_secs(5)));
        }
    }

    /// Counts what the newest connection was sent that others had been sent before.
    fn count_sent_again(&mut self) {
        let Sending { from, sent, .. } = self.sending;
        let end = from + sent;
        self.sent_again += end.min(self.reached).saturating_sub(from);
        self.reached = self.reached.max(end);
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

fn samples(time: Duration) -> u64 {
    time.as_micros() as u64 / 125
}

const fn time(samples: u64) -> Duration {
    Duration::from_micros(125 * samples)
}

/// What is less may be sent at once.
const SMALL_BACKLOG: Duration = Duration::from_secs(1);
/// Sent when a connection has no audio to begin with.
const SILENT_FRAME: u64 = 160;
