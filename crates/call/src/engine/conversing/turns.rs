//! The agent's turns: how they are played, and what of them was heard.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::Bytes;
use sidetone_audio::SAMPLES_PER_MS;
use sidetone_audio::playout::{self, Full, Playout, Utterance};
use sidetone_audio::time::duration;
use sidetone_deepgram::agent::link::{Latencies, Said};

use super::super::clock::ms;
use super::super::speaking::Asked;
use super::super::{Output, StreamKey};
use crate::event::{AgentStartedSpeaking, EventData};

/// What is kept of the text of a turn, in bytes. Four minutes of audio take a tenth of it.
const LONGEST_TEXT: usize = 64 * 1024;

/// The turns that are not settled, and where they are played.
#[derive(Debug, Default)]
pub(super) struct Turns {
    /// `None` between streams: what the agent says then is not heard.
    voice: Option<Voice>,
    /// Oldest first.
    unsettled: VecDeque<Turn>,
    /// The turn that the agent is at. It may have been settled already when it is cut off.
    open: Option<u32>,
    /// Those of both parties.
    begun: u32,
    /// When the caller said what is not answered yet.
    asked_at: Option<Instant>,
    /// What was told of the next turn.
    latencies: Latencies,
    news: VecDeque<News>,
}

/// What is said into which stream.
#[derive(Debug)]
struct Voice {
    stream: StreamKey,
    playout: Playout,
}

/// A turn of the agent.
#[derive(Debug)]
pub(super) struct Turn {
    pub(super) number: u32,
    /// When it began, in call time.
    pub(super) at_ms: u64,
    pub(super) text: String,
    /// The first and the last of its texts.
    pub(super) said: Option<(Said, Said)>,
    /// What it is that was asked to be said.
    pub(super) asked: Option<Asked>,
    /// The injected message that it is.
    injection: Option<u32>,
    /// `None` when there was no stream to play it into.
    utterance: Option<Utterance>,
    /// Samples that were given to be played.
    received: u64,
    /// Whether more came of it than can wait: the rest is not heard.
    is_cut_off: bool,
    latencies: Latencies,
}

/// What has come to be known of a turn.
#[derive(Debug)]
pub(super) enum News {
    /// Its first audio was sent.
    Started {
        started: AgentStartedSpeaking,
        /// Of a turn that was asked for: `speak.started`.
        asked: Option<EventData>,
    },
    /// It is known what was heard of it.
    Settled { turn: Box<Turn>, heard: Heard },
}

/// What was heard of a turn.
#[derive(Debug)]
pub(super) struct Heard {
    /// In samples.
    pub(super) samples: u64,
    pub(super) text: String,
    /// When it was cut short.
    pub(super) cut: Option<Cut>,
}

/// How a turn was cut short.
#[derive(Debug)]
pub(super) struct Cut {
    /// What had come of it and was not heard, in samples.
    pub(super) discarded: u64,
    pub(super) reason: &'static str,
}

impl Turns {
    /// A turn of the caller begins, and is over. Its number.
    pub(super) fn caller_said(&mut self, now: Instant) -> u32 {
        self.asked_at = Some(now);
        self.latencies = Latencies::default();
        self.begun += 1;
        self.begun
    }

    /// A text of the agent, before its audio.
    pub(super) fn say(
        &mut self,
        now: Instant,
        at_ms: u64,
        said: Said,
        text: &str,
        injection: Option<u32>,
    ) -> Option<&mut Turn> {
        let of_open = self.open().and_then(|turn| turn.injection);
        if injection.is_some() && injection != of_open {
            self.close(now, Playout::end);
        }
        let index = self.at_open(now, at_ms)?;
        let turn = &mut self.unsettled[index];
        turn.injection = turn.injection.or(injection);
        turn.said = Some((turn.said.map_or(said, |(first, _)| first), said));
        if turn.text.len() + text.len() > LONGEST_TEXT {
            return Some(turn);
        }
        let text = text.trim();
        if !turn.text.is_empty() && !text.is_empty() {
            turn.text.push(' ');
        }
        turn.text.push_str(text);
        if let (Some(voice), Some(utterance)) = (&mut self.voice, turn.utterance) {
            voice.playout.say(now, utterance, text);
        }
        Some(turn)
    }

    /// Audio of the agent.
    ///
    /// # Errors
    /// When more waits than is kept: then the turn ends with what came before.
    pub(super) fn push(&mut self, now: Instant, at_ms: u64, audio: &Bytes) -> Result<(), Full> {
        let Some(index) = self.at_open(now, at_ms) else {
            return Ok(());
        };
        let turn = &mut self.unsettled[index];
        let (Some(voice), Some(utterance), false) =
            (&mut self.voice, turn.utterance, turn.is_cut_off)
        else {
            return Ok(());
        };
        let pushed = voice.playout.push(now, utterance, audio);
        match pushed {
            Ok(()) => turn.received += audio.len() as u64,
            Err(Full) => {
                turn.is_cut_off = true;
                voice.playout.break_off(now, utterance);
            }
        }
        pushed
    }

    /// What is known by now of how long the answer took.
    pub(super) fn took(&mut self, latencies: Latencies) {
        if self.open.is_none() {
            self.latencies = latencies;
        } else if let Some(turn) = self.open() {
            turn.latencies = latencies;
        }
    }

    /// All audio of a turn has come. Its number.
    pub(super) fn done(&mut self, now: Instant) -> Option<u32> {
        self.close(now, Playout::end)
    }

    /// No more audio of a turn comes, though not all was said.
    pub(super) fn break_off(&mut self, now: Instant) {
        self.close(now, Playout::break_off);
    }

    /// Silences the agent now. What it says is heard no further.
    pub(super) fn stop(
        &mut self,
        now: Instant,
        reason: &'static str,
        outputs: &mut VecDeque<Output>,
    ) {
        self.open = None;
        self.asked_at = None;
        self.latencies = Latencies::default();
        if let Some(voice) = &mut self.voice {
            voice.playout.stop(now);
        }
        self.carry_out(now, reason, outputs);
        while let Some(turn) = self.unsettled.pop_front() {
            self.news.push_back(turn.unheard(reason));
        }
    }

    /// From now on the agent is heard on this stream. Nothing is being said.
    pub(super) fn enter(&mut self, stream: StreamKey) {
        self.voice = Some(Voice {
            stream,
            playout: Playout::default(),
        });
    }

    /// The stream has ended. Nothing is being said.
    pub(super) fn leave(&mut self) {
        self.voice = None;
    }

    /// A mark came back.
    pub(super) fn echo(&mut self, now: Instant, mark: &str) {
        if let Some(voice) = &mut self.voice {
            voice.playout.handle_echo(now, mark);
        }
    }

    pub(super) fn handle_timeout(&mut self, now: Instant) {
        if let Some(voice) = &mut self.voice {
            voice.playout.handle_timeout(now);
        }
    }

    pub(super) fn deadline(&self) -> Option<Instant> {
        self.voice.as_ref()?.playout.poll_timeout()
    }

    /// The stream that the agent is heard on.
    pub(super) fn stream(&self) -> Option<StreamKey> {
        self.voice.as_ref().map(|voice| voice.stream)
    }

    /// Turns that began, of both parties.
    pub(super) const fn begun(&self) -> u32 {
        self.begun
    }

    /// Whether no turn is going on or being played.
    pub(super) fn are_settled(&self) -> bool {
        self.unsettled.is_empty()
    }

    /// Which turn is being played, and what has been heard of it.
    pub(super) fn heard(&self, now: Instant) -> Option<(u32, playout::Heard<'_>)> {
        let heard = self.voice.as_ref()?.playout.heard(now)?;
        let mut turns = self.unsettled.iter();
        let turn = turns.find(|turn| turn.utterance == Some(heard.utterance))?;
        Some((turn.number, heard))
    }

    /// When all that has come will have been played.
    pub(super) fn play_until(&self, now: Instant) -> Instant {
        let Some(voice) = &self.voice else { return now };
        let heard = voice.playout.heard(now);
        let unplayed = self.unsettled.iter().map(|turn| match &heard {
            Some(heard) if turn.utterance < Some(heard.utterance) => 0,
            Some(heard) if turn.utterance == Some(heard.utterance) => {
                turn.received.saturating_sub(heard.samples)
            }
            Some(_) | None => turn.received,
        });
        now + duration(unplayed.sum())
    }

    /// Passes on what is to be played. Due after everything but `stop`, which has done it.
    pub(super) fn play(&mut self, now: Instant, outputs: &mut VecDeque<Output>) {
        self.carry_out(now, "the agent broke off", outputs);
    }

    /// What has come to be known.
    pub(super) fn poll_news(&mut self) -> Option<News> {
        self.news.pop_front()
    }

    fn open(&mut self) -> Option<&mut Turn> {
        let open = self.open?;
        self.unsettled.iter_mut().find(|turn| turn.number == open)
    }

    /// Where the turn is that the agent is at; it begins one if it is at none. `None` when that
    /// was settled before its end.
    fn at_open(&mut self, now: Instant, at_ms: u64) -> Option<usize> {
        if self.open.is_none() {
            self.begin(now, at_ms);
        }
        let is_open = |turn: &Turn| Some(turn.number) == self.open;
        self.unsettled.iter().position(is_open)
    }

    fn begin(&mut self, now: Instant, at_ms: u64) {
        self.begun += 1;
        self.open = Some(self.begun);
        let voice = self.voice.as_mut();
        self.unsettled.push_back(Turn {
            number: self.begun,
            at_ms,
            text: String::new(),
            said: None,
            asked: None,
            injection: None,
            utterance: voice.map(|voice| voice.playout.begin(now)),
            received: 0,
            is_cut_off: false,
            latencies: std::mem::take(&mut self.latencies),
        });
    }

    /// Ends the turn that the agent is at. One that cannot be played is settled.
    fn close(
        &mut self,
        now: Instant,
        end: impl FnOnce(&mut Playout, Instant, Utterance),
    ) -> Option<u32> {
        let open = self.open.take()?;
        let index = self.unsettled.iter().position(|turn| turn.number == open)?;
        match (&mut self.voice, self.unsettled[index].utterance) {
            (Some(voice), Some(utterance)) => end(&mut voice.playout, now, utterance),
            _ => {
                if let Some(turn) = self.unsettled.remove(index) {
                    self.news.push_back(turn.unheard("there is no stream"));
                }
            }
        }
        Some(open)
    }

    /// `reason` is why what is cut short is.
    fn carry_out(&mut self, now: Instant, reason: &'static str, outputs: &mut VecDeque<Output>) {
        let Some(voice) = &mut self.voice else { return };
        let stream = voice.stream;
        while let Some(output) = voice.playout.poll_output() {
            match output {
                playout::Output::Media(audio) => outputs.push_back(Output::Play { stream, audio }),
                playout::Output::Mark(name) => outputs.push_back(Output::Mark { stream, name }),
                playout::Output::Clear => outputs.push_back(Output::Clear(stream)),
                playout::Output::Started { utterance } => {
                    let mut turns = self.unsettled.iter_mut();
                    if let Some(turn) = turns.find(|turn| turn.utterance == Some(utterance)) {
                        let asked_at = self.asked_at.take();
                        self.news.push_back(turn.started(now, asked_at));
                    }
                }
                playout::Output::Finished { utterance, heard } => {
                    if let Some(turn) = take(&mut self.unsettled, utterance) {
                        self.news.push_back(turn.finished(heard));
                    }
                }
                playout::Output::Interrupted {
                    utterance,
                    heard: samples,
                    text,
                    discarded,
                } => {
                    if let Some(turn) = take(&mut self.unsettled, utterance) {
                        let heard = Heard {
                            samples,
                            text,
                            cut: Some(Cut { discarded, reason }),
                        };
                        self.news.push_back(turn.settled(heard));
                    }
                }
            }
        }
    }
}

impl Turn {
    fn started(&mut self, now: Instant, asked_at: Option<Instant>) -> News {
        let Latencies { total, tts, ttt } = self.latencies;
        let latency = asked_at.map(|asked_at| now.saturating_duration_since(asked_at));
        let to_ms = |latency: Option<Duration>| latency.map(ms);
        News::Started {
            started: AgentStartedSpeaking {
                turn: self.number,
                total_latency_ms: to_ms(total),
                tts_latency_ms: to_ms(tts),
                ttt_latency_ms: to_ms(ttt),
                latency_ms: to_ms(latency),
            },
            asked: self.asked.as_mut().map(|asked| asked.started(now)),
        }
    }

    /// Of a turn without any audio nothing was heard.
    fn finished(self, samples: u64) -> News {
        let text = match samples {
            0 => String::new(),
            _ => self.text.clone(),
        };
        self.settled(Heard {
            samples,
            text,
            cut: None,
        })
    }

    fn unheard(self, reason: &'static str) -> News {
        self.settled(Heard {
            samples: 0,
            text: String::new(),
            cut: Some(Cut {
                discarded: 0,
                reason,
            }),
        })
    }

    fn settled(self, heard: Heard) -> News {
        News::Settled {
            turn: Box::new(self),
            heard,
        }
    }
}

impl Heard {
    pub(super) const fn ms(&self) -> u64 {
        self.samples / SAMPLES_PER_MS
    }
}

/// Takes a turn that is settled away.
fn take(turns: &mut VecDeque<Turn>, utterance: Utterance) -> Option<Turn> {
    let is_it = |turn: &Turn| turn.utterance == Some(utterance);
    let index = turns.iter().position(is_it)?;
    turns.remove(index)
}
