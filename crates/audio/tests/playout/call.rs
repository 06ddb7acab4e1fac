//! A call that is spoken into, held against what its phone plays.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use sidetone_audio::playout::{Output, Playout, Utterance};
use sidetone_audio::{SAMPLES_PER_MS, ulaw};

use crate::line::{Dice, Phone, Way};

/// A playout, the line, and the phone. Utterances have numbers, and each sample of an utterance is
/// its number.
pub(crate) struct Call {
    pub(crate) now_ms: u64,
    epoch: Instant,
    playout: Playout,
    dice: Dice,
    pub(crate) there: Way<ToPhone>,
    pub(crate) back: Way<String>,
    /// Of a hundred echoes so many are lost.
    pub(crate) lost_echoes: u64,
    phone: Phone,
    utterances: Vec<Said>,
    /// Samples sent since the last mark.
    unmarked: usize,
    /// What is to be found true when the phone has what was sent before.
    claims: VecDeque<(u64, Claim)>,
    /// From when on claims are held against the phone.
    pub(crate) judged_from_ms: u64,
    /// How many samples the phone may hold.
    pub(crate) most_waiting: usize,
}

pub(crate) enum ToPhone {
    Media(Vec<u8>),
    Mark(String),
    /// And what is claimed of the utterances that it cuts short.
    Clear(Vec<Claim>),
}

/// So much of an utterance was heard.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Claim {
    number: u8,
    samples: u64,
}

struct Said {
    utterance: Utterance,
    pushed: u64,
    is_open: bool,
    is_settled: bool,
}

impl Call {
    pub(crate) fn new(seed: u64, there: Way<ToPhone>, back: Way<String>, hold_ms: u64) -> Self {
        Self {
            now_ms: 0,
            epoch: Instant::now(),
            playout: Playout::default(),
            dice: Dice::new(seed),
            there,
            back,
            lost_echoes: 0,
            phone: Phone::new(hold_ms),
            utterances: Vec::new(),
            unmarked: 0,
            claims: VecDeque::new(),
            judged_from_ms: 0,
            most_waiting: 4_000,
        }
    }

    pub(crate) fn begin(&mut self) {
        let utterance = self.playout.begin(self.now());
        self.close();
        self.utterances.push(Said {
            utterance,
            pushed: 0,
            is_open: true,
            is_settled: false,
        });
        self.drain();
    }

    pub(crate) fn say(&mut self, text: &str) {
        let now = self.now();
        if let Some(said) = self.utterances.last() {
            self.playout.say(now, said.utterance, text);
        }
        self.drain();
    }

    /// Audio of the utterance begun last, which may be over.
    pub(crate) fn push(&mut self, samples: usize) {
        let (now, number) = (self.now(), self.number());
        let Some(said) = self.utterances.last_mut() else {
            return;
        };
        self.playout
            .push(now, said.utterance, &vec![number; samples])
            .expect("a test pushes little");
        if said.is_open {
            said.pushed += samples as u64;
        }
        self.drain();
    }

    pub(crate) fn end(&mut self) {
        let now = self.now();
        if let Some(said) = self.utterances.last() {
            self.playout.end(now, said.utterance);
        }
        self.close();
        self.drain();
    }

    pub(crate) fn stop(&mut self) {
        let now = self.now();
        self.playout.stop(now);
        self.close();
        self.drain();
    }

    pub(crate) fn pass(&mut self, ms: u64) {
        for _ in 0..ms {
            self.tick();
        }
    }

    /// Ends what is open, and goes on until nothing is left to be done.
    pub(crate) fn settle(&mut self) {
        self.end();
        while self.playout.poll_timeout().is_some() || !self.there.is_empty() {
            assert!(self.now_ms < 1_000_000, "it never comes to rest");
            self.tick();
        }
        self.pass(1_000);
        assert!(self.utterances.iter().all(|said| said.is_settled));
        assert!(self.claims.is_empty());
    }

    fn tick(&mut self) {
        while let Some(message) = self.there.arrived(self.now_ms) {
            self.arrive(message);
        }
        while let Some((_, claim)) = self.claims.pop_front_if(|(due, _)| *due <= self.now_ms) {
            self.judge(claim);
        }
        self.phone.play(self.now_ms);
        while let Some(name) = self.phone.due_mark() {
            if self.dice.below(100) >= self.lost_echoes {
                self.back.send(self.now_ms, &mut self.dice, name);
            }
        }
        self.now_ms += 1;
        while let Some(name) = self.back.arrived(self.now_ms) {
            self.playout.handle_echo(self.now(), &name);
            self.drain();
        }
        if self
            .playout
            .poll_timeout()
            .is_some_and(|due| due <= self.now())
        {
            self.playout.handle_timeout(self.now());
            self.drain();
            let next = self.playout.poll_timeout();
            assert!(
                next.is_none_or(|due| due > self.now()),
                "a timeout is for something"
            );
        }
        if self.now_ms.is_multiple_of(20) {
            self.claim_progress();
        }
    }

    fn arrive(&mut self, message: ToPhone) {
        match message {
            ToPhone::Media(audio) => self.phone.media(self.now_ms, &audio),
            ToPhone::Mark(name) => self.phone.mark(name),
            ToPhone::Clear(claims) => {
                claims.into_iter().for_each(|claim| self.judge(claim));
                self.phone.clear();
            }
        }
        assert!(self.phone.waiting() <= self.most_waiting, "too far ahead");
    }

    /// Does what the playout says, and claims what it reports.
    fn drain(&mut self) {
        let mut settled = Vec::new();
        let mut is_cleared = false;
        while let Some(output) = self.playout.poll_output() {
            match output {
                Output::Media(audio) => self.send_media(&audio),
                Output::Mark(name) => {
                    self.unmarked = 0;
                    self.send(ToPhone::Mark(name));
                }
                Output::Clear => {
                    self.unmarked = 0;
                    is_cleared = true;
                }
                Output::Started { .. } => {}
                Output::Finished { utterance, heard } => {
                    let number = self.find(utterance);
                    let said = &mut self.utterances[usize::from(number)];
                    assert_eq!(heard, said.pushed, "it was heard to its end");
                    assert!(!said.is_settled);
                    said.is_settled = true;
                    settled.push(Claim {
                        number,
                        samples: heard,
                    });
                }
                Output::Interrupted {
                    utterance,
                    heard,
                    discarded,
                    ..
                } => {
                    let number = self.find(utterance);
                    let said = &mut self.utterances[usize::from(number)];
                    assert!(heard + discarded <= said.pushed);
                    assert!(!said.is_settled);
                    said.is_settled = true;
                    settled.push(Claim {
                        number,
                        samples: heard,
                    });
                }
            }
        }
        if is_cleared {
            self.send(ToPhone::Clear(settled));
        } else {
            settled.into_iter().for_each(|claim| self.claim(claim));
        }
    }

    fn send_media(&mut self, audio: &[u8]) {
        assert!(audio.len().is_multiple_of(160) && (160..=800).contains(&audio.len()));
        let number = audio[0];
        let said = &self.utterances[usize::from(number)];
        assert!(!said.is_settled, "audio of a settled utterance leaves");
        assert!(
            audio
                .iter()
                .all(|code| [number, ulaw::SILENCE].contains(code))
        );
        self.unmarked += audio.len();
        assert!(self.unmarked <= 4_000, "500 ms without a mark");
        self.send(ToPhone::Media(audio.to_vec()));
    }

    fn send(&mut self, message: ToPhone) {
        self.there.send(self.now_ms, &mut self.dice, message);
    }

    fn claim_progress(&mut self) {
        let Some(heard) = self.playout.heard(self.now()) else {
            return;
        };
        let (utterance, samples) = (heard.utterance, heard.samples);
        let number = self.find(utterance);
        self.claim(Claim { number, samples });
    }

    /// Claims what will be true when something that is sent now arrives.
    fn claim(&mut self, claim: Claim) {
        let due = self.now_ms + self.there.delay_ms;
        self.claims.push_back((due, claim));
    }

    fn judge(&self, claim: Claim) {
        let played = self.phone.played(claim.number);
        let off_ms = played.abs_diff(claim.samples) / SAMPLES_PER_MS;
        assert!(
            off_ms <= 60 || self.now_ms < self.judged_from_ms,
            "at {} ms {claim:?} is {off_ms} ms off, {played} were played",
            self.now_ms
        );
    }

    fn close(&mut self) {
        if let Some(said) = self.utterances.last_mut() {
            said.is_open = false;
        }
    }

    /// The number of the utterance begun last.
    fn number(&self) -> u8 {
        u8::try_from(self.utterances.len().saturating_sub(1)).expect("a test says little")
    }

    fn find(&self, utterance: Utterance) -> u8 {
        let index = self
            .utterances
            .iter()
            .position(|said| said.utterance == utterance);
        u8::try_from(index.expect("it was begun")).expect("a test says little")
    }

    fn now(&self) -> Instant {
        self.epoch + Duration::from_millis(self.now_ms)
    }
}
