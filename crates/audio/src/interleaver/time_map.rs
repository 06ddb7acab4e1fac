//! From positions in the stream of one channel to call time.

use std::collections::VecDeque;

/// A piecewise linear map, kept as the positions where it breaks.
#[derive(Debug, Default)]
pub(super) struct TimeMap {
    /// In ascending order of `stream`, no two alike.
    spans: VecDeque<Span>,
}

/// From here on, until the next span, call time runs with the samples.
#[derive(Clone, Copy, Debug)]
struct Span {
    stream: u64,
    call: u64,
    /// Silence that fills or pads: its call time depends on the audio after it, too.
    silence: bool,
}

impl Span {
    fn call_time(&self, stream: u64) -> u64 {
        self.call.saturating_add(stream - self.stream)
    }
}

impl TimeMap {
    /// Beyond these the oldest are given up: 512 breaks are 5 s of audio in which no two frames
    /// of 10 ms belong together.
    const MAX_SPANS: usize = 512;

    /// At `stream`, which is not before any span, audio begins or goes on whose call time is
    /// `call`.
    pub(super) fn audio(&mut self, stream: u64, call: u64) {
        // Silence that lasts exactly as long as what it stands for breaks nothing.
        self.spans
            .pop_back_if(|back| back.silence && back.call_time(stream) == call);
        if self
            .spans
            .back()
            .is_none_or(|back| back.silence || back.call_time(stream) != call)
        {
            self.push(Span {
                stream,
                call,
                silence: false,
            });
        }
    }

    /// At `stream`, which is not before any span, silence begins or goes on.
    pub(super) fn silence(&mut self, stream: u64) {
        // Silence before all audio has nothing to go by but that audio.
        if let Some(&back) = self.spans.back()
            && !back.silence
        {
            self.push(Span {
                stream,
                call: back.call_time(stream),
                silence: true,
            });
        }
    }

    /// Call time of `stream`; `None` while there was no audio.
    pub(super) fn call_time(&self, stream: u64) -> Option<u64> {
        let next = self.spans.partition_point(|span| span.stream <= stream);
        let after = self.spans.get(next);
        let Some(before) = next.checked_sub(1).and_then(|index| self.spans.get(index)) else {
            return after.map(|after| after.call.saturating_sub(after.stream - stream));
        };
        let forward = before.call_time(stream);
        let Some(after) = after.filter(|_| before.silence) else {
            return Some(forward);
        };
        // A word that begins or ends a little outside its audio lies in silence: each half of it
        // keeps the time of the audio that it touches, as far as there is time between the two.
        let (elapsed, left) = (stream - before.stream, after.stream - stream);
        Some(if elapsed < left {
            forward.min(after.call.max(before.call))
        } else {
            after
                .call
                .saturating_sub(left)
                .max(before.call.min(after.call))
        })
    }

    /// Gives up what only positions before `stream` need.
    pub(super) fn forget_before(&mut self, stream: u64) {
        let next = self.spans.partition_point(|span| span.stream <= stream);
        self.spans.drain(..next.saturating_sub(1));
    }

    pub(super) fn heap_bytes(&self) -> usize {
        self.spans.capacity() * size_of::<Span>()
    }

    fn push(&mut self, span: Span) {
        if self.spans.len() == Self::MAX_SPANS {
            self.spans.pop_front();
        }
        self.spans.push_back(span);
    }
}
