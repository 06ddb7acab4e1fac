//! What a call is to go through: all of it follows from a seed.

use std::time::Duration;

use sidetone_deepgram::listen::link::Config;

use super::dice::Dice;
use crate::rig::ms;

/// A call, its link and its weather.
pub(super) struct Plan {
    pub(super) config: Config,
    pub(super) length: Duration,
    /// Before these blocks nothing comes for a while.
    pub(super) pauses: Vec<(usize, Duration)>,
    pub(super) weather: Weather,
    pub(super) dice: Dice,
}

/// How Deepgram answers a handshake.
#[derive(Clone, Copy, Debug)]
pub(super) enum Answer {
    Open,
    Refuse {
        status: u16,
        retry_after: Option<Duration>,
    },
    Reset,
    /// None, which the socket's owner finds out 10 s later.
    Hang,
    /// Like `Open`, when it is waited for no longer.
    TooLate,
}

/// What befalls a connection.
#[derive(Clone, Copy, Debug)]
pub(super) enum Fate {
    /// Closed, and what was on its way is lost.
    Dropped,
    /// Closed, and what was on its way comes all the same, too late.
    DroppedWithGhosts,
    /// No message, no pong, no close.
    Deaf,
    /// Pongs, but no message any more.
    Mute,
    /// Takes nothing any more, which the socket's owner finds out 5 s later.
    Blocked,
    /// Says something unreadable.
    Garbled,
}

/// One connection's lot.
#[derive(Clone, Copy, Debug)]
pub(super) struct Lot {
    /// From the handshake to its answer.
    pub(super) delay: Duration,
    pub(super) answer: Answer,
    /// From its opening, if anything befalls it.
    pub(super) fate: Option<(Duration, Fate)>,
}

/// What connections have to reckon with.
pub(super) struct Weather {
    /// The lots of the first connections, last one first.
    script: Vec<Lot>,
    /// Out of a hundred handshakes, so many are not answered well.
    bad_answers: u64,
    answers: &'static [Answer],
    /// Out of a hundred connections, something befalls so many.
    bad_fates: u64,
    fates: &'static [Fate],
    /// Whether finals come late and tell little.
    pub(super) is_slow: bool,
    /// How long a connection lives at most before it meets its fate.
    longest_life: Duration,
    /// When all gets well.
    clears_at: Option<Duration>,
    /// Out of a hundred finals, so many are the last thing that a connection says.
    last_finals: u64,
    /// Out of a hundred connections that are asked to close, so many tell no finals any more.
    withheld_finals: u64,
}

impl Plan {
    /// Seeds that differ by a multiple of four have the same number of channels and the same kind
    /// of results.
    pub(super) fn random(seed: u64) -> Self {
        let mut dice = Dice::new(seed);
        let is_wearing = dice.percent(2);
        let length = if is_wearing {
            ms(dice.between(150_000, 240_000))
        } else {
            ms(dice.between(4_000, 45_000))
        };
        let config = Config {
            channels: if has_two_channels(seed) { 2 } else { 1 },
            interim_results: has_interims(seed),
            replay_window: ms(dice.pick(&[5_000, 15_000, 60_000, 60_000])),
            replay_rate: dice.pick(&[100, 125, 125, 200]) as f64 / 100.0,
            seed,
        };
        let mut pauses = Vec::new();
        for _ in 0..dice.pick(&[0, 0, 1, 3]) {
            let block = dice.below(length.as_millis() as u64 / 60) as usize;
            pauses.push((block, ms(dice.between(200, 14_000))));
        }
        let weather = if is_wearing {
            Weather::wearing()
        } else {
            Weather::random(length, &mut dice)
        };
        Self {
            config,
            length,
            pauses,
            weather,
            dice,
        }
    }

    /// A call whose first connections have these lots, and the others good ones.
    pub(super) fn scripted(seed: u64, length: Duration, lots: &[Lot]) -> Self {
        let mut plan = Self::random(seed);
        plan.config.replay_window = Duration::from_secs(60);
        plan.length = length;
        plan.pauses = Vec::new();
        plan.weather = Weather {
            script: lots.iter().rev().copied().collect(),
            ..Weather::CALM
        };
        plan
    }
}

pub(super) const fn has_two_channels(seed: u64) -> bool {
    seed & 1 == 1
}

pub(super) const fn has_interims(seed: u64) -> bool {
    seed & 2 == 0
}

impl Weather {
    const CALM: Self = Self {
        script: Vec::new(),
        bad_answers: 0,
        answers: ANSWERS,
        bad_fates: 0,
        fates: FATES,
        is_slow: false,
        longest_life: Duration::ZERO,
        clears_at: None,
        last_finals: 0,
        withheld_finals: 0,
    };

    /// Each connection hears much, tells little and is lost, until no more may be sent again.
    fn wearing() -> Self {
        Self {
            is_slow: true,
            last_finals: 100,
            ..Self::CALM
        }
    }

    fn random(length: Duration, dice: &mut Dice) -> Self {
        let clears_at = dice
            .percent(50)
            .then(|| length.mul_f64(dice.below(120) as f64 / 100.0));
        let (bad_answers, answers, bad_fates, fates, longest_life_ms) = match dice.below(20) {
            0 => (0, ANSWERS, 0, FATES, 0),
            1..8 => (20, ANSWERS, 90, DROPS, 20_000),
            8..11 => (20, ANSWERS, 100, DROPS, 3_000),
            11..14 => (5, ANSWERS, 80, STALLS, 20_000),
            14..17 => (70, ANSWERS, 50, DROPS, 15_000),
            // Whatever is sent, nothing is ever heard.
            17 => (0, ANSWERS, 100, BARREN, 0),
            18 => (30, RARE_ANSWERS, 50, DROPS, 10_000),
            _ => (30, ANSWERS, 70, FATES, 20_000),
        };
        Self {
            script: Vec::new(),
            bad_answers,
            answers,
            bad_fates,
            fates,
            is_slow: false,
            longest_life: ms(longest_life_ms),
            clears_at,
            last_finals: dice.pick(&[0, 0, 30]),
            withheld_finals: dice.pick(&[0, 0, 20]),
        }
    }

    /// Whether a connection is dropped right after a final.
    pub(super) fn drops_after_final(&self, at: Duration, dice: &mut Dice) -> bool {
        !self.is_clear(at) && dice.percent(self.last_finals)
    }

    /// Whether a connection that is asked to close just closes.
    pub(super) fn withholds_finals(&self, dice: &mut Dice) -> bool {
        dice.percent(self.withheld_finals)
    }

    fn is_clear(&self, at: Duration) -> bool {
        self.clears_at.is_some_and(|clears_at| at >= clears_at)
    }

    /// The lot of a connection that is asked for so long after the call's begin.
    pub(super) fn lot(&mut self, at: Duration, dice: &mut Dice) -> Lot {
        if let Some(lot) = self.script.pop() {
            return lot;
        }
        let is_clear = self.is_clear(at);
        let answer = if !is_clear && dice.percent(self.bad_answers) {
            dice.pick(self.answers)
        } else {
            Answer::Open
        };
        let delay = match answer {
            Answer::Hang => ms(10_000),
            Answer::TooLate => ms(dice.between(45_100, 50_000)),
            _ => ms(dice.between(20, 1_500)),
        };
        let fate = (!is_clear && dice.percent(self.bad_fates)).then(|| {
            let life = dice.below(self.longest_life.as_millis() as u64 + 1);
            (ms(life), dice.pick(self.fates))
        });
        Lot {
            delay,
            answer,
            fate,
        }
    }
}

const fn refusal(status: u16, retry_after_ms: Option<u64>) -> Answer {
    Answer::Refuse {
        status,
        retry_after: match retry_after_ms {
            Some(ms) => Some(Duration::from_millis(ms)),
            None => None,
        },
    }
}

const ANSWERS: &[Answer] = &[
    refusal(408, None),
    refusal(429, Some(700)),
    refusal(429, Some(4_000)),
    refusal(500, None),
    refusal(503, None),
    refusal(503, Some(0)),
    Answer::Reset,
    Answer::Hang,
];

const RARE_ANSWERS: &[Answer] = &[
    refusal(401, None),
    refusal(402, None),
    refusal(403, None),
    Answer::TooLate,
];

const DROPS: &[Fate] = &[Fate::Dropped, Fate::DroppedWithGhosts, Fate::Garbled];

const STALLS: &[Fate] = &[Fate::Deaf, Fate::Mute, Fate::Blocked];

const BARREN: &[Fate] = &[Fate::Mute];

const FATES: &[Fate] = &[
    Fate::Dropped,
    Fate::DroppedWithGhosts,
    Fate::Deaf,
    Fate::Mute,
    Fate::Blocked,
    Fate::Garbled,
];
