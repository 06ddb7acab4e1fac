//! A small voice agent that follows the dice: what it says next, and what it makes of what it is
//! sent.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::{Value, json};

use super::dice::Dice;
use crate::rig::ms;

/// How a connection comes to be, or does not.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    Refused(u16),
    Reset,
    /// Nothing comes of it from this stage on: 0 no handshake, 1 no `Welcome`, 2 no
    /// `SettingsApplied`.
    Hangs(u8),
    /// Broken at this stage.
    Breaks(u8),
    /// An `Error` in answer to `Settings`.
    Rejected(&'static str),
    /// A session runs for so long, and then ends so.
    Lives(Duration, End),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum End {
    Drop,
    Error(&'static str),
    /// Not even pongs come any more.
    Mute,
    /// Nothing but pongs comes any more.
    Deaf,
}

impl Fate {
    pub(super) fn random(dice: &mut Dice) -> Self {
        match dice.below(100) {
            0..5 => Self::Refused(dice.pick(&[503, 500, 429])),
            5 => Self::Refused(dice.pick(&[401, 402])),
            6..10 => Self::Reset,
            10..14 => Self::Hangs(dice.below(3) as u8),
            14..18 => Self::Breaks(dice.below(2) as u8 + 1),
            18 => Self::Rejected("INVALID_SETTINGS"),
            19..22 => Self::Rejected("FAILED_TO_START_LISTENING"),
            _ => Self::Lives(
                ms(dice.between(0, 20_000)),
                dice.pick(&[
                    End::Drop,
                    End::Drop,
                    End::Error("INTERNAL_SERVER_ERROR"),
                    End::Error("ASR_DRIVER_TIMEOUT"),
                    End::Mute,
                    End::Deaf,
                ]),
            ),
        }
    }
}

/// What comes next of a running session.
pub(super) enum Step {
    Say(Value),
    /// A frame of this answer.
    Audio(u32),
    /// Functions are called: their ids.
    Call(Vec<String>),
    Cancel(String),
    /// Nothing yet.
    Wait,
}

enum Act {
    Idle,
    Answering {
        answer: u32,
        frames: u64,
    },
    /// The caller speaks, and these frames were on their way.
    Interrupted {
        answer: u32,
        late: u64,
    },
}

/// The other end of a running session.
pub(super) struct Session {
    dice: Dice,
    act: Act,
    /// Injected messages that were not said yet.
    injected: VecDeque<String>,
    /// Functions that were called and neither answered nor revoked.
    pub(super) called: Vec<String>,
    /// Confirmations and the like that go out first.
    queue: VecDeque<Value>,
    /// Utterances of the caller that it heard begin, and neither told of nor put in text.
    begun: VecDeque<usize>,
    /// The one that it has told of, which is yet to be put in text.
    hears: Option<usize>,
    /// How many of the call's it heard to their end.
    heard: usize,
}

/// What the whole call counts up.
#[derive(Default)]
pub(super) struct Counters {
    pub(super) answers: u32,
    pub(super) functions: u32,
    pub(super) texts: u32,
}

impl Session {
    pub(super) const fn new(dice: Dice) -> Self {
        Self {
            dice,
            act: Act::Idle,
            injected: VecDeque::new(),
            called: Vec::new(),
            queue: VecDeque::new(),
            begun: VecDeque::new(),
            hears: None,
            heard: 0,
        }
    }

    /// An utterance of the caller's has begun to be heard.
    pub(super) fn begins(&mut self, utterance: usize) {
        self.begun.push_back(utterance);
    }

    /// The first utterances of the caller's were heard.
    pub(super) const fn heard(&mut self, utterances: usize) {
        self.heard = utterances;
    }

    /// Takes a text as the caller's.
    pub(super) fn ask(&mut self, content: &str) {
        self.queue
            .push_back(json!({ "type": "ConversationText", "role": "user", "content": content }));
    }

    pub(super) fn inject(&mut self, text: &str) {
        self.injected.push_back(text.to_owned());
    }

    pub(super) fn confirm(&mut self, kind: &str) {
        self.queue.push_back(json!({ "type": kind }));
    }

    /// The next step, and how long after it comes the one that follows.
    pub(super) fn step(&mut self, counters: &mut Counters) -> (Step, Duration) {
        if let Some(message) = self.queue.pop_front() {
            return (Step::Say(message), ms(5));
        }
        if self.hears.is_none()
            && let Some(utterance) = self.begun.pop_front()
        {
            self.hears = Some(utterance);
            let answer = self.answering().unwrap_or(0);
            let late = if answer > 0 { self.dice.below(5) } else { 0 };
            self.act = Act::Interrupted { answer, late };
            return (Step::Say(json!({ "type": "UserStartedSpeaking" })), ms(20));
        }
        match self.act {
            Act::Idle => (self.begin(counters), ms(self.dice.between(10, 800))),
            Act::Answering { answer, frames } => {
                if self.dice.percent(10) {
                    let late = self.dice.below(5);
                    self.act = Act::Interrupted { answer, late };
                    let pause = self.dice.between(1, 900);
                    return (
                        Step::Say(json!({ "type": "UserStartedSpeaking" })),
                        ms(pause),
                    );
                }
                if self.dice.percent(8) {
                    return (Step::Say(text(counters)), ms(5));
                }
                if frames == 0 {
                    self.act = Act::Idle;
                    return (Step::Say(json!({ "type": "AgentAudioDone" })), ms(50));
                }
                self.act = Act::Answering {
                    answer,
                    frames: frames - 1,
                };
                (
                    Step::Audio(answer),
                    ms(self.dice.pick(&[1, 1, 10, 100, 1_200])),
                )
            }
            Act::Interrupted { answer, late } if late > 0 => {
                self.act = Act::Interrupted {
                    answer,
                    late: late - 1,
                };
                (Step::Audio(answer), ms(self.dice.between(1, 900)))
            }
            Act::Interrupted { .. } => {
                if self.hears.is_some_and(|utterance| utterance >= self.heard) {
                    return (Step::Wait, ms(50));
                }
                self.act = Act::Idle;
                let Some(utterance) = self.hears.take() else {
                    // Nobody spoke after all.
                    return (Step::Wait, ms(self.dice.between(1, 500)));
                };
                let content = format!("utterance {utterance}");
                let text =
                    json!({ "type": "ConversationText", "role": "user", "content": content });
                (Step::Say(text), ms(self.dice.between(1, 500)))
            }
        }
    }

    fn begin(&mut self, counters: &mut Counters) -> Step {
        if let Some(message) = self.injected.pop_front() {
            if self.dice.percent(30) {
                return Step::Say(json!({ "type": "InjectionRefused", "message": message }));
            }
            self.answer(counters);
            return Step::Say(json!({
                "type": "ConversationText", "role": "assistant", "content": message,
            }));
        }
        match self.dice.below(100) {
            0..40 => {
                self.answer(counters);
                Step::Say(text(counters))
            }
            40..55 => {
                self.act = Act::Interrupted { answer: 0, late: 0 };
                Step::Say(json!({ "type": "UserStartedSpeaking" }))
            }
            55..70 => {
                let count = 1 + self.dice.below(3) as u32;
                let first = counters.functions;
                counters.functions += count;
                let ids: Vec<String> = (first..first + count).map(|n| format!("f{n}")).collect();
                self.called.extend(ids.clone());
                Step::Call(ids)
            }
            70..80 if !self.called.is_empty() => {
                let which = self.dice.below(self.called.len() as u64) as usize;
                Step::Cancel(self.called.remove(which))
            }
            80..82 => Step::Say(json!({
                "type": "Warning", "code": "MAXIMUM_SESSION_LENGTH_APPROACHING",
            })),
            82..85 => Step::Say(json!({ "type": "Error", "code": "FAILED_TO_THINK" })),
            85..90 => Step::Say(json!({ "type": "LatencyReport", "total_latency": "0.5" })),
            90..95 => Step::Say(json!({ "type": "Newer" })),
            _ => Step::Say(json!({ "type": "AgentThinking" })),
        }
    }

    fn answer(&mut self, counters: &mut Counters) {
        counters.answers += 1;
        self.act = Act::Answering {
            answer: counters.answers,
            frames: self.dice.below(15),
        };
    }

    /// The greeting is what comes first.
    pub(super) fn greet(&mut self, counters: &mut Counters) {
        self.answer(counters);
        self.queue.push_back(text(counters));
    }

    /// The answer that comes, if one does.
    pub(super) fn answering(&self) -> Option<u32> {
        match self.act {
            Act::Answering { answer, .. } => Some(answer),
            Act::Idle | Act::Interrupted { .. } => None,
        }
    }
}

/// Something that the agent says only once in a call.
fn text(counters: &mut Counters) -> Value {
    counters.texts += 1;
    let content = format!("text {}", counters.texts);
    json!({ "type": "ConversationText", "role": "assistant", "content": content })
}
