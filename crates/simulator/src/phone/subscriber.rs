//! Who answers at a number, and how.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::{Party, Turn};

/// How long a subscriber is silent, after all was said, before hanging up.
const PATIENCE: Duration = Duration::from_secs(10);

/// What a person says who was given nothing to say.
const GREETING: &str = "Hello, who is there?";

/// What a machine says that was given nothing to say.
const MAILBOX: &str = "Please leave a message after the tone.";

/// Someone who can be called, and what comes of that.
///
/// In JSON, all but the behaviour can be left out: `{"number": "+15551230002", "answer":
/// "person", "says": ["Good morning"], "digits": "1w2", "ring_ms": 500, "linger_ms": 3000}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Subscriber {
    /// The number, E.164; `None`: every number.
    #[serde(default)]
    pub number: Option<String>,
    /// What becomes of a call there.
    #[serde(default)]
    pub answer: Answer,
    /// What is said once the call is answered, one after the other. Empty: a greeting, when the
    /// call was placed or led here over the REST API; by `<Dial>` alone, what the phone that calls
    /// was told of its callee.
    #[serde(default)]
    pub says: Vec<String>,
    /// Keys that are pressed after that; `w` waits for half a second.
    #[serde(default)]
    pub digits: String,
    /// How long it rings; `None`: as long as the phone that calls wants, else a second.
    #[serde(default)]
    pub ring_ms: Option<u32>,
    /// The silence after all was said that makes the subscriber hang up; `None`: 10 s.
    #[serde(default)]
    pub linger_ms: Option<u32>,
}

/// What becomes of a call to a number.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Answer {
    /// A person answers.
    #[default]
    Person,
    /// A machine answers, and asks for a message.
    Machine,
    /// The line is busy.
    Busy,
    /// It rings, and nobody answers.
    NoAnswer,
    /// The call cannot be put through.
    Failed,
}

impl Answer {
    /// The last digits of a number that make its subscriber do something else than answer. They
    /// are the codes by which SIP says the same, and 0200 a machine's.
    pub const BY_LAST_DIGITS: [(&str, Self); 4] = [
        ("0486", Self::Busy),
        ("0480", Self::NoAnswer),
        ("0404", Self::Failed),
        ("0200", Self::Machine),
    ];
}

impl Subscriber {
    /// Someone at `number` who does what its last digits say.
    pub(crate) fn by_last_digits(number: &str) -> Self {
        let known = Answer::BY_LAST_DIGITS.into_iter();
        let answer = known
            .filter(|(digits, _)| number.ends_with(digits))
            .map(|(_, answer)| answer)
            .next();
        Self {
            number: Some(number.to_owned()),
            answer: answer.unwrap_or_default(),
            ..Self::default()
        }
    }

    pub(crate) fn ring(&self) -> Option<Duration> {
        self.ring_ms.map(|ms| Duration::from_millis(ms.into()))
    }

    pub(crate) fn linger(&self) -> Duration {
        let linger = self.linger_ms;
        linger.map_or(PATIENCE, |ms| Duration::from_millis(ms.into()))
    }

    /// What was given to say, as turns of `party`.
    pub(crate) fn turns(&self, party: Party) -> Vec<Turn> {
        let says = self.says.iter();
        says.map(|text| Turn::say(party, text)).collect()
    }

    /// The same, or a greeting when that is nothing.
    pub(crate) fn turns_or_greeting(&self, party: Party) -> Vec<Turn> {
        let turns = self.turns(party);
        if !turns.is_empty() {
            return turns;
        }
        let greeting = match self.answer {
            Answer::Machine => MAILBOX,
            Answer::Person | Answer::Busy | Answer::NoAnswer | Answer::Failed => GREETING,
        };
        vec![Turn::say(party, greeting)]
    }
}
