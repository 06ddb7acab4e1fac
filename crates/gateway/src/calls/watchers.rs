//! Who asks for what of a call is only for those who ask.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::Context;

use futures_util::task::AtomicWaker;
use sidetone_call::event::Watch;

use super::CallHandle;

/// How many readers ask for what.
#[derive(Debug, Default)]
pub(super) struct Watchers {
    playback: AtomicUsize,
    levels: AtomicUsize,
    /// The call's task.
    task: AtomicWaker,
}

impl Watchers {
    /// What is asked for. Wakes the task when that may have changed.
    pub(super) fn poll(&self, cx: &Context<'_>) -> Watch {
        self.task.register(cx.waker());
        Watch {
            playback: self.playback.load(Ordering::SeqCst) > 0,
            levels: self.levels.load(Ordering::SeqCst) > 0,
        }
    }

    fn change(&self, watch: Watch, change: impl Fn(&AtomicUsize)) {
        let counts = [
            (watch.playback, &self.playback),
            (watch.levels, &self.levels),
        ];
        for (_, readers) in counts.into_iter().filter(|(is_asked_for, _)| *is_asked_for) {
            change(readers);
            self.task.wake();
        }
    }
}

/// A reader who asks; no more once this is dropped.
#[derive(Debug)]
pub(crate) struct Watching {
    call: Arc<CallHandle>,
    watch: Watch,
}

impl Watching {
    /// Asks for this of a call.
    pub(crate) fn new(call: Arc<CallHandle>, watch: Watch) -> Self {
        call.watchers().change(watch, |readers| {
            readers.fetch_add(1, Ordering::SeqCst);
        });
        Self { call, watch }
    }

    /// Which call.
    pub(crate) const fn call(&self) -> &Arc<CallHandle> {
        &self.call
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        self.call.watchers().change(self.watch, |readers| {
            readers.fetch_sub(1, Ordering::SeqCst);
        });
    }
}

#[cfg(test)]
mod tests {
    use std::task::Waker;

    use super::*;
    use crate::calls::testing;

    #[test]
    fn a_call_is_watched_as_long_as_somebody_asks() {
        let (call, _writer) = testing::handle(1);
        let asked = || call.watchers().poll(&Context::from_waker(Waker::noop()));
        let levels = Watch {
            levels: true,
            playback: false,
        };
        let all = Watch {
            levels: true,
            playback: true,
        };
        let of_levels = Watching::new(Arc::clone(&call), levels);
        assert_eq!(asked(), levels);
        let of_all = Watching::new(Arc::clone(&call), all);
        let of_none = Watching::new(Arc::clone(&call), Watch::default());
        assert_eq!(asked(), all);
        drop(of_levels);
        assert_eq!(asked(), all);
        drop(of_all);
        assert_eq!(asked(), Watch::default());
        drop(of_none);
        assert_eq!(asked(), Watch::default());
    }
}
