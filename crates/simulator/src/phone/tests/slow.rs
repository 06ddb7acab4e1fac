//! A server that does not read as fast as people talk.

use std::net::{Ipv4Addr, SocketAddr};

use futures_util::{Stream, StreamExt};
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;
use tokio_tungstenite::tungstenite::{self, Message};

use super::*;

/// A listener on whose connections two seconds of audio wait at most. On loopback it would be
/// minutes.
fn narrow() -> TcpListener {
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
    // The sender's buffer is so many segments long as the connection begins with.
    socket.set_tcp_mss(536).unwrap();
    socket.set_recv_buffer_size(4 * 1024).unwrap();
    socket.set_nonblocking(true).unwrap();
    let any_port = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    socket.bind(&any_port.into()).unwrap();
    socket.listen(1).unwrap();
    TcpListener::from_std(socket.into()).unwrap()
}

/// The media messages of a stream and how many are missing between them.
#[derive(Default)]
struct Arrived {
    messages: Vec<String>,
    media: u64,
    missing: u64,
    /// `start` is the first.
    sequence_number: u64,
}

impl Arrived {
    /// Reads until so many media messages have come after the first that is missing; `None`: to
    /// the end.
    async fn read<S>(&mut self, socket: &mut S, after_loss: Option<u64>)
    where
        S: Stream<Item = Result<Message, tungstenite::Error>> + Unpin,
    {
        let mut since_loss = 0;
        while after_loss.is_none_or(|wanted| since_loss < wanted) {
            let Some(Ok(message)) = socket.next().await else {
                assert_eq!(after_loss, None, "the stream ended first");
                return;
            };
            let Message::Text(text) = message else {
                continue;
            };
            if let Ok(Incoming::Media(media)) = Incoming::parse(&text) {
                let number = media.sequence_number.unwrap();
                self.media += 1;
                self.missing += number - self.sequence_number - 1;
                self.sequence_number = number;
                since_loss += u64::from(self.missing > 0);
                self.messages.push(text.to_string());
            } else if let Ok(Incoming::Start(_)) = Incoming::parse(&text) {
                self.sequence_number = 1;
            }
        }
    }
}

#[tokio::test]
async fn audio_that_is_not_read_in_time_is_thrown_away_and_told_and_the_stream_goes_on() {
    let listener = narrow();
    let exchange = Exchange::default();
    let mut options = options(&format!("ws://{}/", listener.local_addr().unwrap()));
    options.exchange = exchange.clone();
    options.tracks = vec![MediaTrack::Inbound, MediaTrack::Outbound];
    let text = "one two three four five six seven eight nine ten. ".repeat(10);
    options.turns = vec![Turn::say(Party::Caller, text)];
    let phone = tokio::spawn(call(options));
    let (connection, _) = listener.accept().await.unwrap();
    let mut socket = accept_async(connection).await.unwrap();

    let told = until(&exchange, |call| call.alerts.first().cloned()).await;
    assert_eq!(told.code, 31930);
    let mut arrived = Arrived::default();
    arrived.read(&mut socket, Some(100)).await;
    exchange.entries()[0].order(Order::HangUp).unwrap();
    arrived.read(&mut socket, None).await;

    let report = phone.await.unwrap().unwrap();
    assert_eq!(report.alerts, [told], "once, however much was lost");
    let [stream] = &report.streams[..] else {
        panic!("{:?}", report.streams)
    };
    assert_eq!(stream.frames, arrived.media);
    assert_eq!(stream.discarded_frames, arrived.missing);
    let inbound = words(&audio(&arrived.messages, MediaTrack::Inbound));
    assert!(inbound.len() > 5, "{inbound:?}");
    let spoken = report.spoken.iter().map(|word| word.word.as_str());
    assert_eq!(bare(&inbound), spoken.collect::<Vec<_>>());
}
