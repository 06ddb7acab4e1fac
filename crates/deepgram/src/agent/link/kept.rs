//! The caller's audio that is to be sent.

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};
use sidetone_audio::{Audio, Block, ulaw};

/// The caller's audio that was not sent yet, or is to be sent again: at most the newest 30 s.
#[derive(Default)]
pub(super) struct Kept {
    codes: BytesMut,
    /// Samples of silence that were made since the caller's audio came last: the hole that they
    /// filled may be told later.
    made: u32,
}

impl Kept {
    /// Keeps a block, and gives up the oldest audio for it when there is too much.
    pub(super) fn push(&mut self, block: &Block) {
        match &block.audio {
            Audio::Samples(codes) => {
                self.made = 0;
                self.codes.extend_from_slice(codes);
            }
            Audio::Silence => {
                let made = self.made.min(block.samples);
                self.made -= made;
                let samples = usize::try_from(block.samples - made).unwrap_or(usize::MAX);
                let end = self.codes.len().saturating_add(samples.min(MOST_BYTES));
                self.codes.resize(end, ulaw::SILENCE);
            }
        }
        self.give_up_oldest();
    }

    /// Puts what a session was sent in vain before what it was not sent.
    pub(super) fn precede(&mut self, mut codes: BytesMut) {
        if !codes.is_empty() {
            codes.extend_from_slice(&self.codes);
            self.codes = codes;
            self.give_up_oldest();
        }
    }

    /// The next piece to send; `None` when what is left is too short for one.
    pub(super) fn piece(&mut self) -> Option<Bytes> {
        let kept = self.codes.len();
        let length = match kept {
            0..LEAST_PIECE => return None,
            LEAST_PIECE..=MOST_PIECE => kept,
            // Not so much that what is left is too short for a piece.
            _ => MOST_PIECE.min(kept - LEAST_PIECE),
        };
        let piece = self.codes.split_to(length).freeze();
        if self.codes.is_empty() {
            self.codes = BytesMut::new();
        }
        Some(piece)
    }

    /// A piece that begins with what is left, too short for a piece of its own, and goes on with
    /// silence.
    pub(super) fn silence(&mut self) -> Bytes {
        static SILENCE: [u8; MOST_PIECE] = [ulaw::SILENCE; MOST_PIECE];
        let made = MOST_PIECE.saturating_sub(self.codes.len());
        self.made = self
            .made
            .saturating_add(u32::try_from(made).unwrap_or(u32::MAX));
        if self.codes.is_empty() {
            return Bytes::from_static(&SILENCE);
        }
        let mut piece = std::mem::take(&mut self.codes);
        piece.resize(MOST_PIECE, ulaw::SILENCE);
        piece.freeze()
    }

    /// The audio of a block, when it can be sent just as it is; else the block.
    pub(super) fn pass(&mut self, block: Block) -> Result<Bytes, Block> {
        match block.audio {
            Audio::Samples(codes)
                if self.codes.is_empty() && (LEAST_PIECE..=MOST_PIECE).contains(&codes.len()) =>
            {
                self.made = 0;
                Ok(codes)
            }
            _ => Err(block),
        }
    }

    fn give_up_oldest(&mut self) {
        let excess = self.codes.len().saturating_sub(MOST_BYTES);
        self.codes.advance(excess);
    }
}

/// Without the audio.
impl fmt::Debug for Kept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Kept")
            .field("bytes", &self.codes.len())
            .finish()
    }
}

/// 20 ms.
const LEAST_PIECE: usize = 160;
/// 100 ms.
const MOST_PIECE: usize = 800;
/// 30 s.
const MOST_BYTES: usize = 240_000;
