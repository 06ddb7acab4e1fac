//! The caller's audio that was sent and has not come back as text.

use std::collections::VecDeque;
use std::fmt;

use bytes::BytesMut;

/// What a session was sent of the caller since it put something in text: the sounds, with at most
/// half a second of quiet before and after each. Another session hears it again.
///
/// At most the newest 10.5 s, in 84 KB; less than 9 KB as long as nobody speaks for a second.
pub(super) struct Unheard {
    /// With the quiet that followed each closely: a word ends softly.
    sounds: VecDeque<u8>,
    /// How many of the last of them are quiet.
    tail: usize,
    /// The newest quiet since then.
    quiet: VecDeque<u8>,
}

impl Default for Unheard {
    fn default() -> Self {
        Self {
            sounds: VecDeque::with_capacity(LEAST_CAPACITY),
            tail: 0,
            quiet: VecDeque::with_capacity(MOST_QUIET),
        }
    }
}

impl Unheard {
    /// A session was sent a piece of at most half a second. No allocation, once there is room for
    /// the longest utterance.
    pub(super) fn sent(&mut self, piece: &[u8], is_loud: bool) {
        if is_loud {
            self.begun();
            push(&mut self.sounds, piece, MOST_SOUNDS);
        } else if !self.sounds.is_empty() && self.tail < MOST_QUIET {
            push(&mut self.sounds, piece, MOST_SOUNDS);
            self.tail += piece.len();
        } else {
            push(&mut self.quiet, piece, MOST_QUIET);
        }
    }

    /// Deepgram heard the caller begin to speak, loud or not.
    pub(super) fn begun(&mut self) {
        make_room(&mut self.sounds, self.quiet.len(), MOST_SOUNDS);
        self.sounds.append(&mut self.quiet);
        self.tail = 0;
    }

    /// It was put in text, or answered.
    pub(super) fn clear(&mut self) {
        self.sounds.clear();
        self.tail = 0;
        self.quiet.clear();
    }

    /// What another session is to hear.
    pub(super) fn take(&mut self) -> BytesMut {
        let mut taken = BytesMut::new();
        if !self.sounds.is_empty() {
            self.sounds.append(&mut self.quiet);
            let (front, back) = self.sounds.as_slices();
            taken.extend_from_slice(front);
            taken.extend_from_slice(back);
        }
        self.clear();
        taken
    }
}

fn push(codes: &mut VecDeque<u8>, piece: &[u8], most: usize) {
    make_room(codes, piece.len(), most);
    codes.extend(piece);
}

/// Lets go of the oldest codes, so that `more` fit in.
fn make_room(codes: &mut VecDeque<u8>, more: usize, most: usize) {
    let excess = (codes.len() + more).saturating_sub(most);
    codes.drain(..excess.min(codes.len()));
}

/// Without the audio.
impl fmt::Debug for Unheard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Unheard")
            .field("sounds_bytes", &self.sounds.len())
            .field("tail_bytes", &self.tail)
            .field("quiet_bytes", &self.quiet.len())
            .finish()
    }
}

/// 10 s.
const MOST_SOUNDS: usize = 80_000;
/// Doubles to `MOST_SOUNDS`.
const LEAST_CAPACITY: usize = 5_000;
/// Half a second: longer than Deepgram takes to notice that somebody speaks.
const MOST_QUIET: usize = 4_000;
