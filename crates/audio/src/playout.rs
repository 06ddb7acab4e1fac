//! What is said into a call, and what of it was heard.
//!
//! A [`Playout`] is the ledger of one bidirectional stream: audio goes in as it comes, leaves a
//! little ahead of its playing, and comes to be known as heard.
//!
//! ```
//! use std::time::{Duration, Instant};
//!
//! use sidetone_audio::playout::{Output, Playout};
//!
//! let mut now = Instant::now();
//! let mut playout = Playout::default();
//! let greeting = playout.begin(now);
//! playout.say(now, greeting, "Good morning, how can I help you?");
//! playout.push(now, greeting, &[0x2A; 16_000])?;
//! playout.end(now, greeting);
//!
//! // 400 ms leave at once; the rest a little later, piece by piece.
//! let mut sent = 0;
//! while let Some(output) = playout.poll_output() {
//!     if let Output::Media(audio) = output {
//!         sent += audio.len();
//!     }
//! }
//! assert_eq!(sent, 3_200);
//! assert!(playout.poll_timeout() > Some(now));
//!
//! // Somebody interrupts.
//! now += Duration::from_millis(300);
//! playout.stop(now);
//! assert_eq!(playout.poll_output(), Some(Output::Clear));
//! let Some(Output::Interrupted { heard, text, discarded, .. }) = playout.poll_output() else {
//!     panic!("the greeting was cut short");
//! };
//! assert_eq!((heard, text.as_str(), discarded), (2_400, "Good", 13_600));
//! # Ok::<(), sidetone_audio::playout::Full>(())
//! ```

mod clock;
mod entry;
mod pauses;
mod script;
mod types;

use std::collections::VecDeque;
use std::time::{Duration, Instant};

use bytes::BytesMut;

use crate::{SAMPLES_PER_MS, ulaw};
use clock::{Clock, Mark};
use entry::Entry;
pub use types::{Full, Heard, Output, Utterance};

/// The ledger of all that is said into one bidirectional stream.
///
/// A value without sockets or clock; `now` never goes back. Its methods are of four kinds.
///
/// - [`begin`](Self::begin), [`say`](Self::say), [`push`](Self::push), [`end`](Self::end) and
///   [`break_off`](Self::break_off) tell what is to be said, [`stop`](Self::stop) that nothing is.
/// - [`handle_echo`](Self::handle_echo) and [`handle_timeout`](Self::handle_timeout) tell what
///   happened.
/// - [`poll_output`](Self::poll_output) is drained until `None` after each of these, and what it
///   gives is sent at once and in that order; then [`poll_timeout`](Self::poll_timeout) says when
///   `handle_timeout` is due.
/// - Getters: [`heard`](Self::heard), [`wants_audio`](Self::wants_audio).
///
/// # Pacing
///
/// Audio leaves at most 400 ms before it is played, so that a clear has little to discard, in
/// whole frames of 20 ms; an utterance's last one is filled up with silence. The utterances follow
/// one another without a pause. When audio comes too late, playing stops and goes on with it.
///
/// # What was heard
///
/// By a clock that stands still when nothing is left to play, and that echoes of marks correct.
/// Marks stand every 200 ms, where a text begins, and at the end of each utterance; a mark before
/// the first audio of an utterance, when nothing else is played, measures the line. As long as
/// audio and clears take about the same time to the phone, the position is right to some 20 ms
/// whatever that time is. For a phone that holds audio before it plays it, it is right when some
/// 800 ms were played. Echoes that are late, or never come, do no harm.
///
/// Which words those are is known from where texts begin, and else estimated: phrases end with
/// the pauses of the voice, words stand in them as their letters do.
///
/// An utterance has finished when the echo says so, or 1 s after it must have. One that is stopped
/// is settled there and then: what comes back because of the clear says nothing.
///
/// # Cost
///
/// At most four minutes of audio wait (2 MB; twice that while the buffer grows), and nothing when
/// nothing is said; the texts are kept until their utterance is settled. A message is a slice of
/// what waits, not a copy.
#[derive(Debug, Default)]
pub struct Playout {
    clock: Clock,
    /// Received and not sent. What comes before the utterance that is still open is whole frames.
    waiting: BytesMut,
    /// Those that are not settled, oldest first; only the newest may be open.
    entries: VecDeque<Entry>,
    begun: u32,
    /// Sent and neither come back nor given up, oldest first, with their numbers.
    marks: VecDeque<(u32, Mark)>,
    marks_sent: u32,
    /// Position of the last mark sent.
    marked: u64,
    /// Position of the last mark that came back, or of the last clear.
    confirmed: u64,
    outputs: VecDeque<Output>,
}

impl Playout {
    /// An utterance begins, to be said after all others.
    ///
    /// One that is open is ended: audio comes for one utterance at a time.
    pub fn begin(&mut self, now: Instant) -> Utterance {
        self.close(now);
        let utterance = Utterance(self.begun);
        self.begun += 1;
        let start = self.clock.sent() + self.waiting.len() as u64;
        self.entries.push_back(Entry::new(utterance, start));
        utterance
    }

    /// What the audio says that is pushed from now on, until the next text or the end.
    ///
    /// Nothing happens when the utterance is not the open one.
    pub fn say(&mut self, now: Instant, utterance: Utterance, text: &str) {
        if let Some(entry) = self.open(utterance) {
            let begins_at = entry.say(text);
            self.mark_at(now, begins_at);
        }
    }

    /// Audio of the utterance, in order, of any length.
    ///
    /// Nothing happens when the utterance is not the open one: it was stopped, and this comes
    /// late.
    ///
    /// # Errors
    ///
    /// [`Full`] when more than four minutes would wait; then nothing of `audio` is taken.
    pub fn push(&mut self, now: Instant, utterance: Utterance, audio: &[u8]) -> Result<(), Full> {
        let is_full = self.waiting.len() + audio.len() > MAX_WAITING;
        let Some(entry) = self.open(utterance) else {
            return Ok(());
        };
        if is_full {
            return Err(Full);
        }
        entry.receive(audio);
        self.waiting.extend_from_slice(audio);
        self.advance(now);
        Ok(())
    }

    /// No more audio comes for the utterance.
    ///
    /// Nothing happens when the utterance is not the open one.
    pub fn end(&mut self, now: Instant, utterance: Utterance) {
        if self.open(utterance).is_some() {
            self.close(now);
        }
    }

    /// No more audio comes for the utterance, though not all of its text was said. When what came
    /// was played, it is interrupted.
    ///
    /// Nothing happens when the utterance is not the open one.
    pub fn break_off(&mut self, now: Instant, utterance: Utterance) {
        if let Some(entry) = self.open(utterance) {
            entry.is_broken = true;
            self.close(now);
        }
    }

    /// Silences the call now and forgets all that was to be said.
    ///
    /// Each utterance that is not settled is then: interrupted, or finished if it had come to its
    /// end. What is begun next is said in its place.
    pub fn stop(&mut self, now: Instant) {
        if !self.marks.is_empty() || !self.clock.is_idle(now) {
            self.outputs.push_back(Output::Clear);
        }
        let position = self.clock.position(now);
        while let Some(entry) = self.entries.pop_front() {
            self.outputs.push_back(entry.settled(position));
        }
        self.clock.clear(now);
        self.waiting = BytesMut::new();
        self.marks.clear();
        self.marked = self.clock.sent();
        self.confirmed = self.clock.sent();
    }

    /// A mark came back. One that is not known, or was sent before a clear, says nothing.
    pub fn handle_echo(&mut self, now: Instant, name: &str) {
        let number = name.strip_prefix(MARK_PREFIX).and_then(|n| n.parse().ok());
        let index = self
            .marks
            .iter()
            .position(|(sent, _)| Some(*sent) == number);
        if let Some(index) = index {
            // Marks come back in order: the echoes of those before it were lost.
            self.marks.drain(..index);
            let (_, mark) = self.marks.pop_front().expect("the mark was just found");
            self.clock.echoed(now, &mark);
            self.confirmed = mark.position;
        }
        self.advance(now);
    }

    /// A deadline told by [`poll_timeout`](Self::poll_timeout) has come.
    pub fn handle_timeout(&mut self, now: Instant) {
        self.advance(now);
    }

    /// What is to be done next.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// When [`handle_timeout`](Self::handle_timeout) is due.
    pub fn poll_timeout(&self) -> Option<Instant> {
        let refill = (self.waiting.len() >= FRAME)
            .then(|| self.clock.when_lead(REFILL))
            .flatten();
        [refill, self.presumed_end()].into_iter().flatten().min()
    }

    /// What has been heard of the utterance that is being played, if one is.
    ///
    /// It may go back a little when an echo tells better.
    pub fn heard(&self, now: Instant) -> Option<Heard<'_>> {
        let position = self.clock.position(now);
        let entry = self
            .entries
            .iter()
            .rfind(|entry| entry.is_started && entry.start <= position)?;
        let samples = entry.heard(position);
        Some(Heard {
            utterance: entry.utterance,
            samples,
            text: entry.heard_text(samples),
        })
    }

    /// Whether less than 30 s of audio waits: time to fetch what is said next.
    pub fn wants_audio(&self) -> bool {
        self.waiting.len() < ENOUGH_WAITING
    }

    fn advance(&mut self, now: Instant) {
        self.fill(now);
        self.settle(now);
    }

    /// Sends audio, unless enough was sent.
    fn fill(&mut self, now: Instant) {
        if self.clock.lead(now) > REFILL {
            return;
        }
        loop {
            let sent = self.clock.sent();
            let next_mark = self.next_mark();
            let room = (LEAD - self.clock.lead(now)).min(next_mark - sent);
            let room = usize::try_from(room).unwrap_or(MAX_MESSAGE);
            let samples = room.min(MAX_MESSAGE).min(self.waiting.len()) / FRAME * FRAME;
            if samples == 0 {
                break;
            }
            self.send(now, samples);
            self.mark_at(now, next_mark);
        }
    }

    /// Sends `samples`, all of one utterance.
    fn send(&mut self, now: Instant, samples: usize) {
        let sent = self.clock.sent();
        let starting = self
            .entries
            .iter_mut()
            .rfind(|entry| entry.start <= sent)
            .filter(|entry| !entry.is_started)
            .map(|entry| {
                entry.is_started = true;
                entry.utterance
            });
        if starting.is_some() && self.marks.is_empty() && self.clock.is_idle(now) {
            self.mark(now);
        }
        self.clock.send(now, samples as u64);
        let audio = self.waiting.split_to(samples).freeze();
        self.outputs.push_back(Output::Media(audio));
        if let Some(utterance) = starting {
            self.outputs.push_back(Output::Started { utterance });
        }
    }

    /// Where the next mark is due, after what was sent.
    fn next_mark(&self) -> u64 {
        let sent = self.clock.sent();
        let boundary = self
            .entries
            .iter()
            .find_map(|entry| entry.next_boundary(sent));
        let regular = self.marked + MARK_EVERY;
        boundary.map_or(regular, |boundary| boundary.min(regular))
    }

    /// Sends a mark if all before `position` was sent and there is none.
    fn mark_at(&mut self, now: Instant, position: u64) {
        if self.clock.sent() == position && self.marked < position {
            self.mark(now);
        }
    }

    fn mark(&mut self, now: Instant) {
        if self.marks.len() == MAX_MARKS {
            self.marks.pop_front();
        }
        let number = self.marks_sent;
        self.marks_sent += 1;
        self.marks.push_back((number, self.clock.mark(now)));
        self.marked = self.clock.sent();
        let name = format!("{MARK_PREFIX}{number}");
        self.outputs.push_back(Output::Mark(name));
    }

    /// Reports what was heard to its end.
    fn settle(&mut self, now: Instant) {
        while let Some(entry) = self.entries.front() {
            let is_confirmed = entry.end.is_some_and(|end| end <= self.confirmed);
            if !is_confirmed && self.presumed_end().is_none_or(|presumed| now < presumed) {
                break;
            }
            self.outputs.push_back(entry.finished());
            self.entries.pop_front();
        }
        if self.entries.is_empty() {
            // Gives the memory back.
            self.waiting = BytesMut::new();
        }
    }

    /// When the oldest utterance is over though no echo says so, once all of it was sent.
    fn presumed_end(&self) -> Option<Instant> {
        let end = self.entries.front()?.end?;
        let played = self.clock.when(end).filter(|_| end <= self.clock.sent())?;
        Some(played + PATIENCE)
    }

    /// The utterance, if it is the one for which audio comes.
    fn open(&mut self, utterance: Utterance) -> Option<&mut Entry> {
        self.entries
            .back_mut()
            .filter(|entry| entry.utterance == utterance && entry.end.is_none())
    }

    /// Ends the utterance for which audio comes, if there is one.
    fn close(&mut self, now: Instant) {
        let frames = self.waiting.len().next_multiple_of(FRAME);
        if let Some(entry) = self.entries.back_mut().filter(|entry| entry.end.is_none()) {
            self.waiting.resize(frames, ulaw::SILENCE);
            let end = self.clock.sent() + frames as u64;
            entry.end = Some(end);
            self.mark_at(now, end);
            self.advance(now);
        }
    }
}

/// Samples in a frame: 20 ms.
const FRAME: usize = 160;

/// The most audio in a message: 100 ms.
const MAX_MESSAGE: usize = 5 * FRAME;

/// How far ahead of its playing audio is sent: 400 ms.
const LEAD: u64 = 400 * SAMPLES_PER_MS;

/// More is sent when no more than this is left of it, so that each waking sends 60 ms.
const REFILL: u64 = LEAD - 60 * SAMPLES_PER_MS;

/// No more audio than this stands between two marks: 200 ms.
const MARK_EVERY: u64 = 200 * SAMPLES_PER_MS;

/// Before the numbers in the names of marks.
const MARK_PREFIX: char = 's';

/// Marks that wait for their echo; the oldest is given up for one more. 12 s of audio.
const MAX_MARKS: usize = 64;

/// How long after its end an utterance is taken to have been heard though no echo came: 1 s. The
/// way there and back takes 0.4 s at the most.
const PATIENCE: Duration = Duration::from_secs(1);

/// The most audio that waits to be sent: four minutes, as the longest text that Deepgram takes at
/// once may be said in two, and the next one is fetched meanwhile.
const MAX_WAITING: usize = 240 * 8_000;

/// What has to wait so that no more is wanted: 30 s.
const ENOUGH_WAITING: usize = 30 * 8_000;

#[cfg(test)]
mod tests;
