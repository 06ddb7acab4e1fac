//! Audio that may have to be sent again.

use std::collections::VecDeque;
use std::ops::Range;

use bytes::Bytes;
use sidetone_audio::{Audio, Block, ulaw};

use super::clock::samples_in;
use super::hearing::RUN_UP;

/// Samples per channel in a message, at most: 250 ms.
pub(super) const MESSAGE_SAMPLES: u64 = 2_000;

/// The call's audio from the oldest that may still be needed to the newest.
///
/// Positions are source positions. Bytes are shared with whoever sends them; silence is a count.
#[derive(Debug)]
pub(super) struct Kept {
    channels: usize,
    pieces: VecDeque<Piece>,
    end: u64,
    /// Per channel, the stretch of dropped audio from its first to its last sound.
    dropped: Vec<Option<Range<u64>>>,
}

#[derive(Debug)]
struct Piece {
    start: u64,
    samples: u64,
    audio: Audio,
}

impl Kept {
    pub(super) fn new(channels: usize) -> Self {
        Self {
            channels,
            pieces: VecDeque::new(),
            end: 0,
            dropped: vec![None; channels],
        }
    }

    pub(super) fn push(&mut self, block: Block) {
        let samples = u64::from(block.samples);
        let start = self.end;
        self.end += samples;
        match (self.pieces.back_mut(), &block.audio) {
            (
                Some(Piece {
                    samples: silence,
                    audio: Audio::Silence,
                    ..
                }),
                Audio::Silence,
            ) => {
                *silence += samples;
            }
            _ => self.pieces.push_back(Piece {
                start,
                samples,
                audio: block.audio,
            }),
        }
    }

    /// The oldest position kept.
    pub(super) fn start(&self) -> u64 {
        self.pieces.front().map_or(self.end, |oldest| oldest.start)
    }

    /// The end of all audio.
    pub(super) fn end(&self) -> u64 {
        self.end
    }

    /// Lets go of what was heard: whole pieces before `position`.
    pub(super) fn release_before(&mut self, position: u64) {
        while self
            .pieces
            .front()
            .is_some_and(|oldest| oldest.end() <= position)
        {
            self.pieces.pop_front();
        }
    }

    /// Lets go of what was not, and remembers where it was loud: whole pieces before `position`,
    /// and of silence, which is one piece however long it is, the part before it but for a run-up
    /// to what follows.
    pub(super) fn drop_before(&mut self, position: u64) {
        while let Some(oldest) = self.pieces.pop_front_if(|oldest| oldest.end() <= position) {
            for (channel, dropped) in self.dropped.iter_mut().enumerate() {
                let loud = oldest.loud(channel, self.channels, &(0..position));
                *dropped = join(dropped.take(), loud);
            }
        }
        if let Some(oldest) = self.pieces.front_mut()
            && matches!(oldest.audio, Audio::Silence)
        {
            let start = oldest
                .start
                .max(position.saturating_sub(samples_in(RUN_UP)));
            oldest.samples = oldest.end() - start;
            oldest.start = start;
        }
    }

    /// Forgets where dropped audio was loud, once its loss was told.
    pub(super) fn forget_dropped(&mut self) {
        self.dropped.fill(None);
    }

    /// From the first to the last sound of `channel` within `range`, dropped audio included.
    pub(super) fn loud(&self, channel: usize, range: &Range<u64>) -> Option<Range<u64>> {
        let dropped = self.dropped.get(channel).cloned().flatten();
        let dropped = dropped.and_then(|span| overlap(&span, range));
        let first = self
            .pieces
            .partition_point(|piece| piece.end() <= range.start);
        self.pieces
            .range(first..)
            .take_while(|piece| piece.start < range.end)
            .filter_map(|piece| piece.loud(channel, self.channels, range))
            .fold(dropped, |all, span| join(all, Some(span)))
    }

    /// The interleaved audio of one message from `position` on, and its samples per channel;
    /// `None` at the end. No allocation.
    pub(super) fn message_at(&self, position: u64) -> Option<(Bytes, u64)> {
        let index = self.pieces.partition_point(|piece| piece.end() <= position);
        let piece = self.pieces.get(index)?;
        let offset = position.saturating_sub(piece.start);
        let samples = (piece.samples - offset).min(MESSAGE_SAMPLES);
        let audio = match &piece.audio {
            Audio::Silence => silence(self.bytes(samples)),
            Audio::Samples(bytes) => bytes.slice(self.bytes(offset)..self.bytes(offset + samples)),
        };
        Some((audio, samples))
    }

    /// How many bytes `samples` of all channels are.
    pub(super) fn bytes(&self, samples: u64) -> usize {
        usize::try_from(samples).expect("a piece of audio fits in memory") * self.channels
    }
}

impl Piece {
    fn end(&self) -> u64 {
        self.start + self.samples
    }

    /// From the first to the last sample of `channel` within `range` that is not digital silence.
    fn loud(&self, channel: usize, channels: usize, range: &Range<u64>) -> Option<Range<u64>> {
        let Audio::Samples(bytes) = &self.audio else {
            return None;
        };
        let codes = bytes.iter().skip(channel).step_by(channels);
        let mut sounds = (self.start..range.end)
            .zip(codes)
            .filter(|(at, code)| range.contains(at) && !ulaw::is_silence(**code))
            .map(|(at, _)| at);
        let first = sounds.next()?;
        let last = sounds.last().unwrap_or(first);
        Some(first..last + 1)
    }
}

/// `bytes` of digital silence, at most a message of two channels. No allocation.
pub(super) fn silence(bytes: usize) -> Bytes {
    static SILENCE: [u8; 4_000] = [ulaw::SILENCE; 4_000];
    Bytes::from_static(&SILENCE).slice(..bytes)
}

fn join(a: Option<Range<u64>>, b: Option<Range<u64>>) -> Option<Range<u64>> {
    match (a, b) {
        (Some(a), Some(b)) => Some(a.start.min(b.start)..a.end.max(b.end)),
        (one, other) => one.or(other),
    }
}

fn overlap(a: &Range<u64>, b: &Range<u64>) -> Option<Range<u64>> {
    let both = a.start.max(b.start)..a.end.min(b.end);
    (!both.is_empty()).then_some(both)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(bytes: &'static [u8]) -> Block {
        Block {
            samples: u32::try_from(bytes.len()).unwrap(),
            audio: Audio::Samples(Bytes::from_static(bytes)),
        }
    }

    fn quiet(samples: u32) -> Block {
        Block {
            samples,
            audio: Audio::Silence,
        }
    }

    #[test]
    fn long_silence_is_one_count_and_is_sent_in_messages() {
        let mut kept = Kept::new(1);
        for _ in 0..10_000 {
            kept.push(quiet(2_000));
        }
        assert_eq!((kept.pieces.len(), kept.end()), (1, 20_000_000));
        assert_eq!(kept.message_at(19_999_999).unwrap().1, 1);
        let (audio, n) = kept.message_at(5).unwrap();
        assert_eq!((audio.len(), n), (2_000, 2_000));
        assert!(ulaw::is_silent(&audio));
        assert_eq!(kept.message_at(20_000_000), None);
    }

    #[test]
    fn a_message_starts_anywhere_and_ends_with_its_piece() {
        let mut kept = Kept::new(2);
        kept.push(Block {
            samples: 3,
            audio: Audio::Samples(Bytes::from_static(b"aAbBcC")),
        });
        kept.push(Block {
            samples: 1,
            audio: Audio::Samples(Bytes::from_static(b"dD")),
        });
        assert_eq!(
            kept.message_at(1).unwrap(),
            (Bytes::from_static(b"bBcC"), 2)
        );
        assert_eq!(kept.message_at(3).unwrap(), (Bytes::from_static(b"dD"), 1));
    }

    #[test]
    fn sounds_are_found_by_channel_also_after_they_were_dropped() {
        let mut kept = Kept::new(2);
        kept.push(Block {
            samples: 2,
            audio: Audio::Samples(Bytes::from_static(b"\xFF\xFFa\xFF")),
        });
        kept.push(quiet(2));
        kept.push(Block {
            samples: 2,
            audio: Audio::Samples(Bytes::from_static(b"\x7F\xFEb\xFF")),
        });
        assert_eq!(kept.loud(0, &(0..9)), Some(1..6));
        assert_eq!(kept.loud(0, &(2..5)), None);
        assert_eq!(kept.loud(1, &(0..9)), None);
        kept.drop_before(4);
        assert_eq!(kept.start(), 4);
        assert_eq!(kept.loud(0, &(0..9)), Some(1..6));
        assert_eq!(
            kept.loud(0, &(2..9)),
            Some(5..6),
            "what was heard since does not count"
        );
    }

    #[test]
    fn what_was_heard_leaves_no_trace() {
        let mut kept = Kept::new(1);
        kept.push(samples(b"abc"));
        kept.push(samples(b"def"));
        kept.release_before(3);
        assert_eq!(kept.start(), 3);
        assert_eq!(kept.loud(0, &(0..3)), None);
        kept.release_before(5);
        assert_eq!(kept.start(), 3, "a piece stays while any of it is needed");
    }
}
