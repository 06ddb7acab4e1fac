//! How far the phone has played what it was sent.

use std::time::{Duration, Instant};

use crate::SAMPLES_PER_MS;
use crate::time::{duration, samples};

/// The playout clock. Positions count the samples that were ever sent.
///
/// It tells how much of the audio will have been played when something that is sent *now* gets to
/// the phone. That is the question a `clear` asks, and its answer does not depend on how long the
/// way is, for the audio took the same way: the clock runs from the first audio sent, in real
/// time, until it has come to what was sent last, and runs anew from the next.
///
/// What echoes of marks add is the phone's *lag*, the time for which it holds audio before it
/// plays it. An echo comes later than the clock by the lag and by the way there and back; the
/// latter is what a mark takes that has no audio before it. Nothing lets an echo come too early,
/// so an early one is believed at once. A late one may have been held up alone, so lateness is
/// believed once it has stayed the same for a while. Pacing follows it only so far: were it wrong,
/// the phone would run dry.
#[derive(Debug, Default)]
pub(super) struct Clock {
    sent: u64,
    /// The stretch of audio without a break that was sent last; `None` before all audio.
    run: Option<Run>,
    runs: u32,
    lag: Duration,
    /// The least time that any mark took for the way there and back.
    round_trip: Option<Duration>,
    late: Option<Late>,
}

/// From `since` on, less the lag, the phone plays what stands at `from` and what follows.
#[derive(Clone, Copy, Debug)]
struct Run {
    since: Instant,
    from: u64,
}

/// A mark that was sent, for [`Clock::echoed`].
#[derive(Clone, Copy, Debug)]
pub(super) struct Mark {
    /// It comes back when all audio before this position was played.
    pub(super) position: u64,
    sent_at: Instant,
    /// The number of the run that it waits for; `None` when all was played already.
    awaits: Option<u32>,
}

/// Echoes one after the other that came later than believed, all by the same time.
#[derive(Clone, Copy, Debug)]
struct Late {
    least: Duration,
    most: Duration,
    /// Position of the first one.
    since: u64,
}

impl Clock {
    /// How much lateness may vary and still be the same: 40 ms.
    const AGREEMENT: Duration = Duration::from_millis(40);

    /// For how much audio it has to be the same: 600 ms. Echoes that were held up together come
    /// together, and so differ in lateness by the audio between them.
    const STEADY: u64 = 600 * SAMPLES_PER_MS;

    /// How much lag pacing takes into account, and how much of it a new run inherits: 200 ms. More
    /// comes of audio that was held up, and is over with the run.
    const PACED_LAG: Duration = Duration::from_millis(200);

    /// `samples` leave now.
    pub(super) fn send(&mut self, now: Instant, samples: u64) {
        if self.is_idle(now) {
            self.run = Some(Run {
                since: now,
                from: self.sent,
            });
            self.runs += 1;
            self.lag = self.lag.min(Self::PACED_LAG);
        }
        self.sent += samples;
    }

    /// A mark leaves now.
    pub(super) fn mark(&self, now: Instant) -> Mark {
        Mark {
            position: self.sent,
            sent_at: now,
            awaits: (!self.is_idle(now)).then_some(self.runs),
        }
    }

    /// A `clear` leaves now: nothing of what was sent is still to be played.
    pub(super) fn clear(&mut self, now: Instant) {
        self.run = Some(Run {
            since: now,
            from: self.sent,
        });
    }

    /// `mark` came back.
    pub(super) fn echoed(&mut self, now: Instant, mark: &Mark) {
        match (mark.awaits, &mut self.run) {
            (None, _) => {
                self.note_round_trip(now.saturating_duration_since(mark.sent_at));
            }
            (Some(number), Some(run)) if number == self.runs => {
                let due = run.since + duration(mark.position.saturating_sub(run.from));
                let early = due.saturating_duration_since(now);
                // Whoever plays faster than in real time has played it all the same.
                run.from += samples(early);
                self.note_lateness(now.saturating_duration_since(due), mark.position);
            }
            // Of an earlier run: says nothing of this one.
            (Some(_), _) => {}
        }
    }

    /// Samples sent so far.
    pub(super) const fn sent(&self) -> u64 {
        self.sent
    }

    /// Where playing will be when something sent now gets to the phone.
    pub(super) fn position(&self, now: Instant) -> u64 {
        self.position_with(self.lag, now)
    }

    /// Whether all that was sent has been played.
    pub(super) fn is_idle(&self, now: Instant) -> bool {
        self.position(now) == self.sent
    }

    /// When playing comes to `position`; `None` before all audio.
    pub(super) fn when(&self, position: u64) -> Option<Instant> {
        self.when_with(self.lag, position)
    }

    /// How far ahead of its playing audio was sent, for pacing, in samples.
    pub(super) fn lead(&self, now: Instant) -> u64 {
        self.sent - self.position_with(self.paced_lag(), now)
    }

    /// When the lead comes down to `lead`; `None` before all audio.
    pub(super) fn when_lead(&self, lead: u64) -> Option<Instant> {
        self.when_with(self.paced_lag(), self.sent.saturating_sub(lead))
    }

    fn paced_lag(&self) -> Duration {
        self.lag.min(Self::PACED_LAG)
    }

    fn position_with(&self, lag: Duration, now: Instant) -> u64 {
        let Some(run) = self.run else { return 0 };
        let played = samples(now.saturating_duration_since(run.since + lag));
        run.from.saturating_add(played).min(self.sent)
    }

    fn when_with(&self, lag: Duration, position: u64) -> Option<Instant> {
        let run = self.run?;
        Some(run.since + lag + duration(position.saturating_sub(run.from)))
    }

    fn note_round_trip(&mut self, taken: Duration) -> Duration {
        let least = self.round_trip.map_or(taken, |least| least.min(taken));
        self.round_trip = Some(least);
        least
    }

    /// The echo of the mark at `position` came `lateness` after a phone without lag, next door,
    /// would have sent it.
    fn note_lateness(&mut self, lateness: Duration, position: u64) {
        let round_trip = self.note_round_trip(lateness);
        if lateness <= round_trip + self.lag {
            self.lag = lateness - round_trip;
            self.late = None;
            return;
        }
        let alone = Late {
            least: lateness,
            most: lateness,
            since: position,
        };
        let late = self.late.map_or(alone, |late| Late {
            least: late.least.min(lateness),
            most: late.most.max(lateness),
            since: late.since,
        });
        let late = if late.most - late.least <= Self::AGREEMENT {
            late
        } else {
            alone
        };
        if position - late.since >= Self::STEADY {
            self.lag = late.least - round_trip;
            self.late = None;
        } else {
            self.late = Some(late);
        }
    }
}
