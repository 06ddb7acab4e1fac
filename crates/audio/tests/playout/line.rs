//! A line with a phone at its end, in simulated time.

use std::collections::VecDeque;
use std::ops::Range;

/// Random numbers from a seed.
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed | 1)
    }

    /// A number below `end`, 0 if that is 0.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0.checked_rem(end).unwrap_or(0)
    }
}

/// One way of a connection: what is sent arrives once and in order, a little later.
pub(crate) struct Way<T> {
    pub(crate) delay_ms: u64,
    /// Each message takes up to this much longer.
    pub(crate) jitter_ms: u64,
    /// Nothing arrives meanwhile.
    pub(crate) stalls: Vec<Range<u64>>,
    under_way: VecDeque<(u64, T)>,
}

impl<T> Way<T> {
    pub(crate) fn new(delay_ms: u64, jitter_ms: u64, stalls: Vec<Range<u64>>) -> Self {
        Self {
            delay_ms,
            jitter_ms,
            stalls,
            under_way: VecDeque::new(),
        }
    }

    pub(crate) fn send(&mut self, now_ms: u64, dice: &mut Dice, message: T) {
        let on_time = now_ms + self.delay_ms + dice.below(self.jitter_ms + 1);
        let after = self.under_way.back().map_or(0, |(due, _)| *due);
        let due = on_time.max(after);
        let stall = self.stalls.iter().find(|stall| stall.contains(&due));
        let due = stall.map_or(due, |stall| stall.end);
        self.under_way.push_back((due, message));
    }

    pub(crate) fn arrived(&mut self, now_ms: u64) -> Option<T> {
        self.under_way
            .pop_front_if(|(due, _)| *due <= now_ms)
            .map(|(_, message)| message)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.under_way.is_empty()
    }
}

/// What Twilio does with what it is sent, one millisecond at a time.
pub(crate) struct Phone {
    /// How long audio is held before it is played, when none was being played.
    hold_ms: u64,
    playing_from_ms: u64,
    audio: VecDeque<u8>,
    /// Names, and the number of samples that are played before them.
    marks: VecDeque<(usize, String)>,
    played: usize,
    /// How often each code was played.
    played_of: [u64; 256],
}

impl Phone {
    pub(crate) fn new(hold_ms: u64) -> Self {
        Self {
            hold_ms,
            playing_from_ms: 0,
            audio: VecDeque::new(),
            marks: VecDeque::new(),
            played: 0,
            played_of: [0; 256],
        }
    }

    pub(crate) fn media(&mut self, now_ms: u64, audio: &[u8]) {
        if self.audio.is_empty() {
            self.playing_from_ms = now_ms + self.hold_ms;
        }
        self.audio.extend(audio);
    }

    pub(crate) fn mark(&mut self, name: String) {
        let due = self.played + self.audio.len();
        self.marks.push_back((due, name));
    }

    pub(crate) fn clear(&mut self) {
        self.audio.clear();
        for (due, _) in &mut self.marks {
            *due = self.played;
        }
    }

    /// Plays the next millisecond.
    pub(crate) fn play(&mut self, now_ms: u64) {
        if self.playing_from_ms <= now_ms {
            let count = self.audio.len().min(8);
            self.played += count;
            for code in self.audio.drain(..count) {
                self.played_of[usize::from(code)] += 1;
            }
        }
    }

    /// A mark to be sent back, to be asked for until there is none.
    pub(crate) fn due_mark(&mut self) -> Option<String> {
        let played = self.played;
        self.marks
            .pop_front_if(|(due, _)| *due <= played)
            .map(|(_, name)| name)
    }

    /// How many samples of this code were played.
    pub(crate) fn played(&self, code: u8) -> u64 {
        self.played_of[usize::from(code)]
    }

    /// How many samples are still to be played.
    pub(crate) fn waiting(&self) -> usize {
        self.audio.len()
    }
}
