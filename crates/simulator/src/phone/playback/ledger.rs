//! The ledger of what is said into a call, held against what this phone plays of it.

use std::collections::{BTreeMap, VecDeque};
use std::time::{Duration, Instant};

use proptest::collection::vec;
use proptest::prelude::*;
use sidetone_audio::playout::{Output, Playout, Utterance};

use super::*;
use crate::phone::line::FRAME_SAMPLES;

/// What is done to the ledger.
#[derive(Clone, Debug)]
enum Step {
    Begin,
    Push(usize),
    End,
    Stop,
    Pass(u64),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        3 => Just(Step::Begin),
        10 => (1usize..8_000).prop_map(Step::Push),
        2 => Just(Step::End),
        2 => Just(Step::Stop),
        8 => (0u64..800).prop_map(Step::Pass),
    ]
}

/// What is under way to the phone, each with the time of its arrival.
enum Message {
    Media(Vec<u8>),
    Mark(String),
    /// With what the ledger says was heard of the utterances that it cuts short, in samples.
    Clear(Vec<(u8, u64)>),
}

/// How long messages take.
#[derive(Clone, Debug)]
struct Way {
    delay_ms: u64,
    /// How much longer each takes, in turn.
    jitter_ms: Vec<u64>,
    /// How much longer every tenth takes.
    late_ms: u64,
    sent: usize,
}

impl Way {
    /// Late ones come once the line is known: at first nothing tells them from those of a phone
    /// that holds audio before it plays it.
    fn delay_ms(&mut self, now_ms: u64) -> u64 {
        let jitter_ms = self.jitter_ms[self.sent % self.jitter_ms.len()];
        self.sent += 1;
        let is_late = self.sent.is_multiple_of(10) && now_ms >= 1_500;
        self.delay_ms + jitter_ms + if is_late { self.late_ms } else { 0 }
    }
}

/// Messages take about as long each time, but for those that are late.
fn way(most_late_ms: u64) -> impl Strategy<Value = Way> {
    let ways = (0u64..150, vec(0u64..=15, 1..20), 0..=most_late_ms);
    ways.prop_map(|(delay_ms, jitter_ms, late_ms)| Way {
        delay_ms,
        jitter_ms,
        late_ms,
        sent: 0,
    })
}

/// A ledger and a phone. Each sample of an utterance is the utterance's number.
struct Call {
    now_ms: u64,
    epoch: Instant,
    /// To the phone, and back.
    ways: [Way; 2],
    there: VecDeque<(u64, Message)>,
    back: VecDeque<(u64, String)>,
    playout: Playout,
    phone: Playback,
    begun: BTreeMap<Utterance, u8>,
    newest: Option<Utterance>,
    played: [u64; 256],
    /// Utterances up to this one are heard no more.
    cleared: u8,
}

impl Call {
    fn new(ways: [Way; 2]) -> Self {
        Self {
            now_ms: 0,
            epoch: Instant::now(),
            ways,
            there: VecDeque::new(),
            back: VecDeque::new(),
            playout: Playout::default(),
            phone: Playback::default(),
            begun: BTreeMap::new(),
            newest: None,
            played: [0; 256],
            cleared: 0,
        }
    }

    fn now(&self) -> Instant {
        self.epoch + Duration::from_millis(self.now_ms)
    }

    /// When a message arrives that is sent now; none overtakes another.
    fn arrival(&mut self, way: usize, after_ms: u64) -> u64 {
        (self.now_ms + self.ways[way].delay_ms(self.now_ms)).max(after_ms)
    }

    fn act(&mut self, step: &Step) {
        let now = self.now();
        match (step, self.newest) {
            (Step::Begin, _) => {
                let utterance = self.playout.begin(now);
                let number = u8::try_from(self.begun.len() + 1).expect("a test says little");
                self.begun.insert(utterance, number);
                self.newest = Some(utterance);
            }
            (Step::Push(samples), Some(newest)) => {
                let audio = vec![self.begun[&newest]; *samples];
                let pushed = self.playout.push(now, newest, &audio);
                pushed.expect("a test says little");
            }
            (Step::End, Some(newest)) => self.playout.end(now, newest),
            (Step::Stop, _) => self.playout.stop(now),
            (Step::Pass(ms), _) => (0..*ms).for_each(|_| self.tick()),
            (Step::Push(_) | Step::End, None) => {}
        }
        self.drain();
    }

    fn drain(&mut self) {
        let mut cut = Vec::new();
        let mut is_cleared = false;
        while let Some(output) = self.playout.poll_output() {
            match output {
                Output::Media(audio) => self.send(Message::Media(audio.to_vec())),
                Output::Mark(name) => self.send(Message::Mark(name)),
                Output::Clear => is_cleared = true,
                Output::Interrupted {
                    utterance, heard, ..
                } => cut.push((self.begun[&utterance], heard)),
                Output::Started { .. } | Output::Finished { .. } => {}
            }
        }
        if is_cleared {
            self.send(Message::Clear(cut));
        }
    }

    fn send(&mut self, message: Message) {
        let after_ms = self.there.back().map_or(0, |(due, _)| *due);
        let due = self.arrival(0, after_ms);
        self.there.push_back((due, message));
    }

    fn tick(&mut self) {
        while let Some((_, message)) = self.there.pop_front_if(|(due, _)| *due <= self.now_ms) {
            self.arrive(message);
        }
        if self.now_ms.is_multiple_of(20) {
            self.play();
        }
        while let Some(name) = self.phone.due_mark() {
            let after_ms = self.back.back().map_or(0, |(due, _)| *due);
            let due = self.arrival(1, after_ms);
            self.back.push_back((due, name));
        }
        self.now_ms += 1;
        while let Some((_, name)) = self.back.pop_front_if(|(due, _)| *due <= self.now_ms) {
            self.playout.handle_echo(self.now(), &name);
        }
        let now = self.now();
        if self.playout.poll_timeout().is_some_and(|due| due <= now) {
            self.playout.handle_timeout(now);
        }
        self.drain();
    }

    fn arrive(&mut self, message: Message) {
        match message {
            Message::Media(audio) => {
                let pushed = self.phone.push_audio(&audio, Duration::ZERO);
                pushed.expect("it is sent little ahead");
            }
            Message::Mark(name) => self.phone.push_mark(name).expect("there are few"),
            Message::Clear(cut) => {
                for (number, heard) in cut {
                    let played = self.played[usize::from(number)];
                    let off_ms = played.abs_diff(heard) / SAMPLES_PER_MS;
                    assert!(off_ms <= 60, "{off_ms} ms off: {heard} of {played} samples");
                    self.cleared = self.cleared.max(number);
                }
                self.phone.clear(Timestamp::UNIX_EPOCH);
            }
        }
    }

    fn play(&mut self) {
        let mut frame: Frame = [SILENCE; FRAME_SAMPLES];
        self.phone.fill(&mut frame);
        for code in frame.into_iter().filter(|code| *code != SILENCE) {
            assert!(code > self.cleared, "what was cut short is heard");
            self.played[usize::from(code)] += 1;
        }
    }
}

proptest! {
    #[test]
    fn what_the_ledger_says_was_heard_this_phone_has_played(
        steps in vec(step(), 1..60),
        there in way(0),
        back in way(400),
    ) {
        let mut call = Call::new([there, back]);
        for step in steps {
            call.act(&step);
        }
        call.act(&Step::Stop);
        call.act(&Step::Pass(1_000));
    }
}
