//! Deepgram's messages of a call, kept only while somebody reads them.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex};

use tokio::sync::watch;

use super::lock;

/// A reader for whom more waits than this is given up.
const MAX_UNREAD_BYTES: usize = 4 << 20;

/// The messages of a call that some reader has not read yet.
#[derive(Debug, Default)]
pub(super) struct Messages {
    ring: Mutex<Ring>,
    changed: watch::Sender<()>,
}

/// Reads a call's Deepgram messages from one moment on.
#[derive(Debug)]
pub struct MessageReader {
    messages: Arc<Messages>,
    changed: watch::Receiver<()>,
    /// The number of the message that it reads next.
    next: u64,
}

/// What reading gave.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MessageRead {
    /// The next message.
    Message(Arc<str>),
    /// 4 MB wait unread: this reader is given up.
    Lagged,
    /// The call has ended and all was read.
    Ended,
}

/// Messages are numbered; the ring holds those from `first` on.
///
/// Everything here takes the same time however many read: the call's task waits for its turn too.
#[derive(Debug, Default)]
struct Ring {
    messages: VecDeque<Unread>,
    first: u64,
    bytes: usize,
    ended: bool,
    readers: usize,
}

/// A message that somebody has not read yet.
#[derive(Debug)]
struct Unread {
    text: Arc<str>,
    /// How many have not.
    readers: usize,
}

impl Messages {
    /// A reader of what comes from now on.
    pub(super) fn reader(self: &Arc<Self>) -> MessageReader {
        let mut ring = lock(&self.ring);
        ring.readers += 1;
        let next = ring.end();
        MessageReader {
            messages: Arc::clone(self),
            changed: self.changed.subscribe(),
            next,
        }
    }

    /// Adds a message. The oldest make room for it, at the cost of the readers that lag.
    pub(super) fn push(&self, message: String) {
        let mut ring = lock(&self.ring);
        let readers = ring.readers;
        if readers == 0 {
            return;
        }
        ring.bytes += message.len();
        ring.messages.push_back(Unread {
            text: message.into(),
            readers,
        });
        while ring.bytes > MAX_UNREAD_BYTES {
            ring.pop();
        }
        drop(ring);
        self.changed.send_replace(());
    }

    /// Says that no more will come, or that after all more may.
    pub(super) fn set_ended(&self, ended: bool) {
        lock(&self.ring).ended = ended;
        self.changed.send_replace(());
    }
}

impl MessageReader {
    /// Waits for the next message. Cancel safe.
    pub async fn next(&mut self) -> MessageRead {
        loop {
            self.changed.borrow_and_update();
            if let Some(read) = lock(&self.messages.ring).read(&mut self.next) {
                return read;
            }
            self.changed
                .changed()
                .await
                .expect("the reader keeps the sender alive");
        }
    }
}

impl Drop for MessageReader {
    fn drop(&mut self) {
        lock(&self.messages.ring).leave(self.next);
    }
}

impl Ring {
    fn read(&mut self, next: &mut u64) -> Option<MessageRead> {
        let Some(ahead) = next.checked_sub(self.first) else {
            return Some(MessageRead::Lagged);
        };
        let index = usize::try_from(ahead).expect("the ring fits into memory");
        let Some(message) = self.messages.get_mut(index) else {
            return self.ended.then_some(MessageRead::Ended);
        };
        message.readers -= 1;
        let text = Arc::clone(&message.text);
        *next += 1;
        self.trim();
        Some(MessageRead::Message(text))
    }

    /// A reader goes that would have read `next`.
    fn leave(&mut self, next: u64) {
        self.readers -= 1;
        let read = usize::try_from(next.saturating_sub(self.first)).unwrap_or(usize::MAX);
        for message in self.messages.iter_mut().skip(read) {
            message.readers -= 1;
        }
        self.trim();
    }

    /// Drops what every reader has read.
    fn trim(&mut self) {
        while self
            .messages
            .front()
            .is_some_and(|oldest| oldest.readers == 0)
        {
            self.pop();
        }
    }

    fn pop(&mut self) {
        if let Some(message) = self.messages.pop_front() {
            self.bytes -= message.text.len();
            self.first += 1;
        }
    }

    fn end(&self) -> u64 {
        self.first + self.messages.len() as u64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(read: MessageRead) -> String {
        match read {
            MessageRead::Message(text) => text.to_string(),
            other => panic!("no message: {other:?}"),
        }
    }

    #[tokio::test]
    async fn every_reader_reads_each_message_from_its_beginning_on() {
        let messages = Arc::new(Messages::default());
        messages.push("nobody reads yet".to_owned());
        let mut early = messages.reader();
        messages.push("one".to_owned());
        let mut late = messages.reader();
        messages.push("two".to_owned());
        messages.set_ended(true);

        assert_eq!(text(early.next().await), "one");
        assert_eq!(text(early.next().await), "two");
        assert_eq!(early.next().await, MessageRead::Ended);
        assert_eq!(text(late.next().await), "two");
        assert_eq!(late.next().await, MessageRead::Ended);
    }

    #[tokio::test]
    async fn a_reader_that_waits_is_woken() {
        let messages = Arc::new(Messages::default());
        let mut reader = messages.reader();
        let (read, ()) = tokio::join!(reader.next(), async { messages.push("hello".to_owned()) });
        assert_eq!(text(read), "hello");
    }

    #[tokio::test]
    async fn only_the_reader_that_lags_is_given_up() {
        let messages = Arc::new(Messages::default());
        let (mut quick, mut slow) = (messages.reader(), messages.reader());
        let half = "x".repeat(MAX_UNREAD_BYTES / 2);
        for _ in 0..3 {
            messages.push(half.clone());
            assert_eq!(text(quick.next().await).len(), half.len());
        }
        assert_eq!(slow.next().await, MessageRead::Lagged);
        messages.push("after".to_owned());
        assert_eq!(text(quick.next().await), "after");
        assert_eq!(slow.next().await, MessageRead::Lagged);
    }

    #[tokio::test]
    async fn what_nobody_will_read_any_more_is_not_kept() {
        let messages = Arc::new(Messages::default());
        let (mut reader, idle) = (messages.reader(), messages.reader());
        messages.push("one".to_owned());
        assert_eq!(text(reader.next().await), "one");
        assert_eq!(lock(&messages.ring).bytes, 3);
        drop(idle);
        assert_eq!(lock(&messages.ring).bytes, 0);
        drop(reader);
        messages.push("two".to_owned());
        assert_eq!(lock(&messages.ring).bytes, 0);
    }
}
