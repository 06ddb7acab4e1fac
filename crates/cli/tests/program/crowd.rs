//! Two thousand readers of one call, some of whom never read.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde_json::Value;
use tokio::io::AsyncWriteExt as _;
use tokio::net::{TcpSocket, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

use crate::events::path;
use crate::neighbour::Neighbour;
use crate::readers::{EventStream, Frame, look_at_stream};
use crate::scripted::{METADATA, Scripted, results};
use crate::serve::{Serve, raise_open_files, serve, soon};
use crate::twilio::{Stream, call_sid};
use crate::watching::{call_until, metric};
use crate::web::ended;

const STREAMS: usize = 800;
const SOCKETS: usize = 500;
const CLIENTS: usize = 300;
const DEAF_STREAMS: usize = 200;
const DEAF_SOCKETS: usize = 100;
const DEAF_CLIENTS: usize = 100;
const READERS: usize = STREAMS + SOCKETS + CLIENTS + DEAF_STREAMS + DEAF_SOCKETS + DEAF_CLIENTS;

const FINALS: u64 = 24;

/// Together they are more than the sockets of those who never read hold.
const FINAL_BYTES: usize = 18_000;

/// No interims, which readers that are a little behind get less of.
const TYPES: &str = "?types=call.*,transcript.final";

const MARKER: &str = r#"{"type":"Marker"}"#;

/// What the gateway may hold in all: 20 MiB to begin with; for each reader 60 KiB, a task, a socket's
/// buffers and the event that is on its way; for each who does not read 64 KiB more, which is what
/// waits above a socket that is full.
const MAX_MIB: u64 = 192;

type Socket = WebSocketStream<TcpStream>;

async fn open(serve: &Serve, path: &str) -> Socket {
    let socket = TcpStream::connect(serve.address).await.unwrap();
    // The library's own buffer is 128 KiB for each.
    let config = WebSocketConfig::default().read_buffer_size(4096);
    let shaking = tokio_tungstenite::client_async_with_config(serve.ws(path), socket, Some(config));
    soon("the handshake", shaking).await.unwrap().0
}

/// What a reader got, in short: kept whole it would be a gigabyte.
#[derive(Debug, Default, PartialEq, Eq)]
struct Got {
    texts: usize,
    hash: u64,
}

impl Got {
    fn all(texts: &[String]) -> Self {
        let mut got = Self::default();
        texts.iter().for_each(|text| got.add(text));
        got
    }

    fn add(&mut self, text: &str) {
        self.texts += 1;
        let mut hasher = DefaultHasher::new();
        (self.hash, text).hash(&mut hasher);
        self.hash = hasher.finish();
    }
}

/// Reads a socket until it is closed because the call has ended.
async fn texts(socket: &mut Socket) -> Got {
    let mut got = Got::default();
    loop {
        match soon("a text", socket.next()).await {
            Some(Ok(Message::Text(text))) if text == MARKER => {}
            Some(Ok(Message::Text(text))) => got.add(&text),
            Some(Ok(Message::Close(Some(frame)))) => {
                assert_eq!(u16::from(frame.code), 1000, "{frame}");
                return got;
            }
            Some(Ok(_)) => {}
            other => panic!("no Close came: {other:?}"),
        }
    }
}

async fn by_stream(serve: Arc<Serve>) -> Got {
    let mut stream = EventStream::open(&serve, &path(TYPES), &[]).await;
    let mut got = Got::default();
    while let Some(frame) = stream.frame().await {
        if let Some(event) = frame.field("data") {
            got.add(event);
        }
    }
    got
}

async fn by_socket(serve: Arc<Serve>) -> Got {
    texts(&mut open(&serve, &path(TYPES)).await).await
}

/// A client has its call once it has got something of it.
async fn by_client(serve: Arc<Serve>, subscribed: Arc<AtomicUsize>) -> Got {
    let mut socket = open(&serve, "/client").await;
    soon("the list", socket.next()).await.unwrap().unwrap();
    socket.send(Message::text(call_sid(1))).await.unwrap();
    soon("a marker", socket.next()).await.unwrap().unwrap();
    subscribed.fetch_add(1, Ordering::SeqCst);
    texts(&mut socket).await
}

/// Asks and never reads the answer, through as small a window as there is.
async fn deaf(serve: &Serve, request: &str) -> TcpStream {
    let socket = TcpSocket::new_v4().unwrap();
    socket.set_recv_buffer_size(2048).unwrap();
    let mut socket = socket.connect(serve.address).await.unwrap();
    socket.write_all(request.as_bytes()).await.unwrap();
    socket
}

fn stream_request() -> String {
    let path = path(TYPES);
    format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n")
}

fn socket_request(path: &str) -> String {
    format!(
        "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
}

/// A deaf client names its call in a frame masked with zeros.
async fn deaf_client(serve: &Serve) -> TcpStream {
    let mut socket = deaf(serve, &socket_request("/client")).await;
    let call_sid = call_sid(1);
    let mut frame = vec![
        0x81,
        0x80 | u8::try_from(call_sid.len()).unwrap(),
        0,
        0,
        0,
        0,
    ];
    frame.extend_from_slice(call_sid.as_bytes());
    socket.write_all(&frame).await.unwrap();
    socket
}

/// Those who read, those of `/client`, and those who never read.
struct Crowd {
    readers: JoinSet<Got>,
    clients: JoinSet<Got>,
    deaf: Vec<TcpStream>,
}

impl Crowd {
    async fn gather(serve: &Arc<Serve>, subscribed: &Arc<AtomicUsize>) -> Self {
        let mut crowd = Self {
            readers: JoinSet::new(),
            clients: JoinSet::new(),
            deaf: Vec::new(),
        };
        for n in 0..STREAMS {
            crowd.readers.spawn(by_stream(Arc::clone(serve)));
            if n < SOCKETS {
                crowd.readers.spawn(by_socket(Arc::clone(serve)));
            }
            if n < CLIENTS {
                let client = by_client(Arc::clone(serve), Arc::clone(subscribed));
                crowd.clients.spawn(client);
            }
            if n < DEAF_STREAMS {
                crowd.deaf.push(deaf(serve, &stream_request()).await);
            }
            if n < DEAF_SOCKETS {
                let request = socket_request(&path(TYPES));
                crowd.deaf.push(deaf(serve, &request).await);
            }
            if n < DEAF_CLIENTS {
                crowd.deaf.push(deaf_client(serve).await);
            }
            if n % 100 == 99 {
                // So that they find room in the listener's queue.
                reach(serve, crowd.len()).await;
            }
        }
        crowd
    }

    fn len(&self) -> usize {
        self.readers.len() + self.clients.len() + self.deaf.len()
    }
}

/// Waits until there are so many readers.
async fn reach(serve: &Serve, subscribers: usize) {
    let reaching = async {
        while metric(serve, "sidetone_subscribers").await < subscribers as f64 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    soon("the readers", reaching).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_thousand_readers_of_a_call_all_get_every_final_though_some_never_read() {
    raise_open_files();
    let deepgram = Scripted::start().await;
    let serve = Arc::new(serve().deepgram(&deepgram.url).start().await);
    let neighbour = Neighbour::start(&serve, &deepgram).await;
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.sound(10).await;
    let mut connection = deepgram.accept().await;
    connection.hear(16_000).await;

    let crowd = async {
        let subscribed = Arc::new(AtomicUsize::new(0));
        let mut gathering = pin!(Crowd::gather(&serve, &subscribed));
        let mut gathered = None;
        while gathered.is_none() || subscribed.load(Ordering::SeqCst) < CLIENTS {
            tokio::select! {
                crowd = gathering.as_mut(), if gathered.is_none() => gathered = Some(crowd),
                () = tokio::time::sleep(Duration::from_millis(50)) => connection.say(MARKER).await,
            }
        }
        let crowd = gathered.expect("all have come");
        assert_eq!(crowd.len(), READERS);

        let mut said = Vec::new();
        for n in 0..FINALS {
            let text = format!("{n}{}", "x".repeat(FINAL_BYTES / 3));
            said.push(results(0, n * 80, (n + 1) * 80, &text, true));
            connection.say(said.last().unwrap().as_str()).await;
        }
        call_until(&serve, &call_sid(1), |call| {
            call["last_seq"].as_u64() == Some(FINALS + 1)
        })
        .await;
        let held_mib = serve.resident_kib() / 1024;
        said.push(METADATA.to_owned());
        tokio::join!(stream.stop(1), connection.finish(&[METADATA]));
        let read = soon("the readers", crowd.readers.join_all()).await;
        let received = soon("the clients", crowd.clients.join_all()).await;
        // Those who never read are stuck where their sockets were full, and nobody waited for them.
        let subscribers = metric(&serve, "sidetone_subscribers").await;
        (said, read, received, crowd.deaf, subscribers, held_mib)
    };
    let (said, read, received, deaf, subscribers, held_mib) = neighbour.bears(&serve, crowd).await;

    let all = ended(&serve, &call_sid(1)).await;
    assert_eq!(all.len() as u64, FINALS + 2);
    let history = look_at_stream(&serve, &path(TYPES), &[]).await;
    let history: Vec<String> = Frame::all(&history.text)
        .iter()
        .filter_map(|frame| frame.field("data").map(str::to_owned))
        .collect();
    let parsed: Vec<Value> = history
        .iter()
        .map(|event| serde_json::from_str(event).unwrap())
        .collect();
    assert_eq!(parsed, all);
    let history = Got::all(&history);
    assert!(read.iter().all(|got| *got == history), "{read:?}");
    let said = Got::all(&said);
    assert!(received.iter().all(|got| *got == said), "{received:?}");

    let stuck = 1.0..=deaf.len() as f64;
    assert!(stuck.contains(&subscribers), "{subscribers} subscribers");
    let mib = held_mib.max(serve.resident_kib() / 1024);
    assert!(mib < MAX_MIB, "{mib} MiB are held for {READERS} readers");
}
