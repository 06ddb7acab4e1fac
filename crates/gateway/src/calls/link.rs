//! One connection to Deepgram, from its handshake to its end, without ever blocking its call.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{SinkExt, StreamExt};
use sidetone_call::engine::LinkKey;
use sidetone_deepgram::connection::Input;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Error, Message, Utf8Bytes};

use super::dialer::{DeepgramSocket, DialError, Dialer, Opened, Target};

/// A connection that takes nothing for this long is lost.
const BLOCKED: Duration = Duration::from_secs(5);

/// One connection to Deepgram.
pub(super) struct LinkConnection {
    pub(super) link: Link,
    pub(super) generation: u32,
    state: State,
}

/// Which of its call's links a connection is of.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Link {
    Listen(LinkKey),
    Agent,
}

/// What happened on a connection.
pub(super) enum LinkEvent {
    Opened {
        request_id: Option<String>,
    },
    Refused {
        status: u16,
        words: String,
        retry_after: Option<Duration>,
    },
    Text(Utf8Bytes),
    Binary(Bytes),
    Pong,
    /// The last one.
    Closed {
        code: Option<u16>,
        reason: String,
    },
}

impl LinkEvent {
    /// As the call is told of it.
    pub(super) fn input(&self, generation: u32) -> Input<'_> {
        match self {
            Self::Opened { request_id } => Input::Opened {
                generation,
                request_id: request_id.as_deref(),
            },
            Self::Refused {
                status,
                words,
                retry_after,
            } => Input::Refused {
                generation,
                status: *status,
                words,
                retry_after: *retry_after,
            },
            Self::Text(text) => Input::Text { generation, text },
            Self::Binary(audio) => Input::Binary { generation, audio },
            Self::Pong => Input::Pong { generation },
            Self::Closed { code, reason } => Input::Closed {
                generation,
                code: *code,
                reason,
            },
        }
    }
}

enum State {
    Dialing(Pin<Box<dyn Future<Output = Result<Opened, DialError>> + Send>>),
    Open(Box<Open>),
}

struct Open {
    socket: DeepgramSocket,
    /// Whether something waits to be flushed.
    unflushed: bool,
    blocked_since: Option<Instant>,
    /// Why nothing can be sent any more.
    broken: Option<String>,
}

impl LinkConnection {
    /// Begins to dial.
    pub(super) fn dial(link: Link, generation: u32, dialer: Arc<Dialer>, target: Target) -> Self {
        Self {
            link,
            generation,
            state: State::Dialing(Box::pin(dialer.dial(target))),
        }
    }

    /// What happened next. After `Refused` and `Closed` there is nothing more.
    pub(super) fn poll_event(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<LinkEvent> {
        let open = match &mut self.state {
            State::Open(open) => open,
            State::Dialing(dialing) => {
                return Poll::Ready(match ready!(dialing.as_mut().poll(cx)) {
                    Ok(Opened { socket, request_id }) => {
                        self.state = State::Open(Box::new(Open::new(socket)));
                        LinkEvent::Opened { request_id }
                    }
                    Err(DialError::Refused {
                        status,
                        words,
                        retry_after,
                    }) => LinkEvent::Refused {
                        status,
                        words,
                        retry_after,
                    },
                    Err(DialError::Failed(reason)) => LinkEvent::Closed { code: None, reason },
                });
            }
        };
        open.poll_event(cx, now)
    }

    /// Sends what was queued, as far as the connection takes it.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>, now: Instant) {
        if let State::Open(open) = &mut self.state {
            open.poll_flush(cx, now);
        }
    }

    /// When a connection that takes nothing counts as lost.
    pub(super) fn deadline(&self) -> Option<Instant> {
        match &self.state {
            State::Dialing(_) => None,
            State::Open(open) => open.blocked_since.map(|since| since + BLOCKED),
        }
    }

    pub(super) fn send_audio(&mut self, audio: Bytes) {
        self.send(Message::Binary(audio));
    }

    pub(super) fn send_text(&mut self, text: impl Into<Utf8Bytes>) {
        self.send(Message::Text(text.into()));
    }

    pub(super) fn ping(&mut self) {
        self.send(Message::Ping(Bytes::new()));
    }

    /// The socket, to be left; `None`: there is none yet, and there will be none.
    pub(super) fn into_socket(self) -> Option<DeepgramSocket> {
        match self.state {
            State::Dialing(_) => None,
            State::Open(open) => Some(open.socket),
        }
    }

    /// Queues a message. A failure is told by the next `poll_event`.
    fn send(&mut self, message: Message) {
        if let State::Open(open) = &mut self.state {
            // tungstenite takes messages up to its limit, ready or not.
            if let Err(error) = open.socket.start_send_unpin(message) {
                open.broken.get_or_insert_with(|| reason_of(&error));
            }
            open.unflushed = true;
        }
    }
}

impl Open {
    fn new(socket: DeepgramSocket) -> Self {
        Self {
            socket,
            unflushed: false,
            blocked_since: None,
            broken: None,
        }
    }

    fn poll_event(&mut self, cx: &mut Context<'_>, now: Instant) -> Poll<LinkEvent> {
        let closed = |code, reason: String| Poll::Ready(LinkEvent::Closed { code, reason });
        if let Some(reason) = self.broken.take() {
            return closed(None, reason);
        }
        if self
            .blocked_since
            .is_some_and(|since| now >= since + BLOCKED)
        {
            return closed(None, "Deepgram has taken no audio for 5 s".to_owned());
        }
        loop {
            return match ready!(self.socket.poll_next_unpin(cx)) {
                Some(Ok(Message::Text(text))) => Poll::Ready(LinkEvent::Text(text)),
                Some(Ok(Message::Pong(_))) => Poll::Ready(LinkEvent::Pong),
                Some(Ok(Message::Close(frame))) => {
                    // Sends the answering Close, if that can be sent at once.
                    self.unflushed = true;
                    self.poll_flush(cx, now);
                    match frame {
                        Some(frame) => closed(Some(frame.code.into()), frame.reason.to_string()),
                        None => closed(None, "Deepgram closed the connection".to_owned()),
                    }
                }
                Some(Ok(Message::Binary(bytes))) => Poll::Ready(LinkEvent::Binary(bytes)),
                Some(Ok(Message::Ping(_) | Message::Frame(_))) => continue,
                Some(Err(error)) => closed(None, reason_of(&error)),
                None => closed(None, "Deepgram closed the connection".to_owned()),
            };
        }
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>, now: Instant) {
        if !self.unflushed {
            return;
        }
        match self.socket.poll_flush_unpin(cx) {
            Poll::Ready(Ok(())) => {
                self.unflushed = false;
                self.blocked_since = None;
            }
            Poll::Ready(Err(error)) => {
                self.unflushed = false;
                self.broken.get_or_insert_with(|| reason_of(&error));
                cx.waker().wake_by_ref();
            }
            Poll::Pending => {
                self.blocked_since.get_or_insert(now);
            }
        }
    }
}

fn reason_of(error: &Error) -> String {
    match error {
        Error::WriteBufferFull(_) => "Deepgram takes audio too slowly".to_owned(),
        Error::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::task::Waker;

    use tokio::net::{TcpListener, TcpStream};
    use tokio::task::yield_now;
    use tokio_tungstenite::{WebSocketStream, accept_async};
    use url::Url;

    use super::*;
    use crate::config::Deepgram;

    type Peer = WebSocketStream<TcpStream>;

    /// A connection that takes no more, since when, and the other end of it, which does not read.
    async fn blocked() -> (LinkConnection, Instant, Peer) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url: Url = format!("ws://{}", listener.local_addr().unwrap())
            .parse()
            .unwrap();
        let mut deepgram = Deepgram::new(url.clone(), "key".into());
        deepgram.agent_url = url;
        let dialer = Arc::new(Dialer::new(&deepgram).unwrap());
        let mut connection = LinkConnection::dial(Link::Agent, 1, dialer, Target::Agent);
        let opening = poll_fn(|cx| connection.poll_event(cx, Instant::now()));
        let accepting = async { accept_async(listener.accept().await.unwrap().0).await };
        let (opened, peer) = tokio::join!(opening, accepting);
        assert!(matches!(opened, LinkEvent::Opened { .. }));

        let now = Instant::now();
        while connection.deadline().is_none() {
            connection.send_audio(Bytes::from_static(&[0x55; 4_000]));
            connection.poll_flush(&mut Context::from_waker(Waker::noop()), now);
            yield_now().await;
        }
        (connection, now, peer.unwrap())
    }

    #[tokio::test]
    async fn a_connection_that_takes_nothing_for_5_s_is_lost() {
        let (mut connection, since, _peer) = blocked().await;
        let mut cx = Context::from_waker(Waker::noop());
        let due = since + Duration::from_secs(5);
        assert_eq!(connection.deadline(), Some(due));
        let almost = due - Duration::from_millis(1);
        assert!(connection.poll_event(&mut cx, almost).is_pending());
        let Poll::Ready(LinkEvent::Closed { code: None, reason }) =
            connection.poll_event(&mut cx, due)
        else {
            panic!("it is still there")
        };
        assert_eq!(reason, "Deepgram has taken no audio for 5 s");
    }

    #[tokio::test]
    async fn a_connection_that_takes_audio_again_in_time_is_kept() {
        let (mut connection, since, mut peer) = blocked().await;
        let flushed = poll_fn(|cx| {
            connection.poll_flush(cx, since);
            connection
                .deadline()
                .map_or(Poll::Ready(()), |_| Poll::Pending)
        });
        tokio::select! {
            () = flushed => {}
            _ = async { while let Some(Ok(_)) = peer.next().await {} } => panic!("it is lost"),
        }
        let mut cx = Context::from_waker(Waker::noop());
        let later = since + Duration::from_secs(60);
        assert!(connection.poll_event(&mut cx, later).is_pending());
    }
}
