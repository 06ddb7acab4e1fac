//! A Deepgram, or whoever stands in its place, that sends anything but what Deepgram sends. The
//! calls go on with the next connection, and every word is heard once.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::future::join_all;
use sidetone_simulator::voice;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use crate::deepgram::emulated;
use crate::serve::serve;
use crate::twilio::{Stream, call_sid};
use crate::watching::call_until;
use crate::web::{ended, words};

/// What the gateway may hold whatever it is sent: it begins with about 20 MiB, and takes messages
/// of Deepgram of up to 4 MiB.
const MAX_MIB: u64 = 64;

/// What a connection is answered with in place of Deepgram's messages.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// In place of an answer to the handshake.
    Handshake(fn() -> Vec<u8>),
    /// After a handshake as it should be.
    Frames(fn() -> Vec<u8>),
    /// The same, over and over until the gateway has enough.
    Endless(fn() -> Vec<u8>),
}

const ATTACKS: [(&str, Attack); 17] = [
    (
        "garbage for an answer",
        Attack::Handshake(|| vec![0xFE; 10_000]),
    ),
    (
        "an answer without an end",
        Attack::Handshake(|| {
            let field = "X-Field: 1\r\n".repeat(100_000);
            format!("HTTP/1.1 101 Switching Protocols\r\n{field}").into_bytes()
        }),
    ),
    (
        "a key that is another's",
        Attack::Handshake(|| {
            b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
              Sec-WebSocket-Accept: AAAAAAAAAAAAAAAAAAAAAAAAAAA=\r\n\r\n"
                .to_vec()
        }),
    ),
    (
        "a refusal without an end",
        Attack::Handshake(|| {
            let words = "no ".repeat(1_000_000);
            format!("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 9999999\r\n\r\n{words}")
                .into_bytes()
        }),
    ),
    ("garbage", Attack::Frames(|| vec![0xFE; 100_000])),
    (
        "a masked frame",
        Attack::Frames(|| vec![0x81, 0x82, 0, 0, 0, 0, b'{', b'}']),
    ),
    (
        "a reserved bit",
        Attack::Frames(|| vec![0xC1, 2, b'{', b'}']),
    ),
    ("a reserved kind of frame", Attack::Frames(|| vec![0x83, 0])),
    (
        "text that is not UTF-8",
        Attack::Frames(|| vec![0x81, 2, 0xC3, 0x28]),
    ),
    (
        "a continuation of nothing",
        Attack::Frames(|| vec![0x80, 0]),
    ),
    (
        "a terabyte",
        Attack::Frames(|| [&[0x81, 127][..], &(1u64 << 40).to_be_bytes()].concat()),
    ),
    (
        "a message of 5 MiB",
        Attack::Frames(|| text("x".repeat(5 << 20))),
    ),
    (
        "a message without an end",
        Attack::Endless(|| {
            // The first frame of a message, which the others go on with: they are refused or too long.
            [&[0x00, 126][..], &60_000u16.to_be_bytes(), &[b'x'; 60_000]].concat()
        }),
    ),
    (
        "what is no message of Deepgram, then the end",
        Attack::Frames(|| {
            let messages = [
                "",
                "hello",
                "[]",
                "{}",
                "7",
                "null",
                r#"{"type":7}"#,
                r#"{"type":"Weather"}"#,
                r#"{"type":"Results"}"#,
                r#"{"type":"Results","channel_index":[9,9],"start":-1,"duration":1e308}"#,
                r#"{"type":"Results","channel_index":[0,1],"start":1e300,"duration":1,"is_final":true,"channel":{"alternatives":[]}}"#,
                r#"{"type":"UtteranceEnd","channel":[0,1],"last_word_end":-1e9}"#,
                r#"{"type":"Metadata"}"#,
                r#"{"type":"Error"}"#,
            ];
            let mut frames: Vec<u8> = messages.into_iter().flat_map(text).collect();
            frames.extend([0x82, 3, 1, 2, 3]);
            frames.extend([0x88, 0]);
            frames
        }),
    ),
    (
        "a nest of brackets, then the end",
        Attack::Frames(|| {
            let mut frames = text("[".repeat(1 << 20));
            frames.extend([0x88, 0]);
            frames
        }),
    ),
    (
        "a flood of bytes and pings, then nothing",
        Attack::Frames(|| {
            let mut frames = [0x82, 3, 1, 2, 3, 0x89, 1, b'x'].repeat(200_000);
            frames.extend([0x88, 0]);
            frames
        }),
    ),
    (
        "a million tiny pieces, then the end",
        Attack::Frames(|| {
            let mut frames = vec![0x01, 1, b'{'];
            frames.extend([0x00, 0].repeat(1_000_000));
            frames.extend([0x80, 1, b'}', 0x88, 0]);
            frames
        }),
    ),
];

/// A message as a server sends it.
fn text(text: impl AsRef<[u8]>) -> Vec<u8> {
    let text = text.as_ref();
    let mut frame = vec![0x81, 127];
    frame.extend((text.len() as u64).to_be_bytes());
    frame.extend_from_slice(text);
    frame
}

/// Stands before a Deepgram and lets every connection through but one.
struct Villain {
    url: String,
    attacked: Arc<AtomicUsize>,
    _serving: JoinSet<()>,
}

impl Villain {
    /// Attacks the connection with this number, from 0.
    async fn before(deepgram: SocketAddr, victim: usize, attack: Attack) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("ws://{}", listener.local_addr().unwrap());
        let attacked = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&attacked);
        let mut serving = JoinSet::new();
        serving.spawn(async move {
            let mut sockets = JoinSet::new();
            for number in 0.. {
                let (mut socket, _) = listener.accept().await.unwrap();
                if number == victim {
                    counted.fetch_add(1, Ordering::SeqCst);
                    sockets.spawn(carry_out(attack, socket));
                } else {
                    sockets.spawn(async move {
                        let mut deepgram = TcpStream::connect(deepgram).await.unwrap();
                        let _ = tokio::io::copy_bidirectional(&mut socket, &mut deepgram).await;
                    });
                }
            }
        });
        Self {
            url,
            attacked,
            _serving: serving,
        }
    }
}

async fn carry_out(attack: Attack, mut socket: TcpStream) {
    let mut request = Vec::new();
    while !request.ends_with(b"\r\n\r\n") {
        request.push(socket.read_u8().await.unwrap());
    }
    let request = String::from_utf8(request).unwrap();
    let key = request.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("sec-websocket-key")
            .then_some(value)
    });
    let accepted = format!(
        "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Accept: {}\r\n\r\n",
        derive_accept_key(key.unwrap().as_bytes())
    );
    let (mut reading, mut writing) = socket.split();
    let attacking = async {
        // The gateway may hang up before it has heard everything.
        let _ = match attack {
            Attack::Handshake(answer) => writing.write_all(&answer()).await,
            Attack::Frames(frames) => {
                let _ = writing.write_all(accepted.as_bytes()).await;
                writing.write_all(&frames()).await
            }
            Attack::Endless(frames) => {
                let _ = writing.write_all(accepted.as_bytes()).await;
                let mut written = writing.write_all(&[0x01, 0]).await;
                let frames = frames();
                while written.is_ok() {
                    written = writing.write_all(&frames).await;
                }
                written
            }
        };
    };
    // What the gateway says is of no interest, only its end.
    let mut heard = [0; 4096];
    let listening = async { while matches!(reading.read(&mut heard).await, Ok(1..)) {} };
    tokio::join!(attacking, listening);
}

/// A call on a connection that is attacked and one beside it: each word of both is heard once.
async fn survive(name: &str, attack: Attack) {
    let emulator = emulated().await;
    let address = emulator.url().socket_addrs(|| None).unwrap()[0];
    let villain = Villain::before(address, 1, attack).await;
    let serve = serve().deepgram(&villain.url).start().await;
    let ws = serve.ws("/twilio");
    let mut neighbour = Stream::start(&ws, 1, 1, &["inbound"]).await;
    neighbour.media("inbound", 37, &[0xFF; 160]).await;
    call_until(&serve, &call_sid(1), |call| {
        call["provider"]["state"] == "connected"
    })
    .await;

    let speech = voice::speak("hello, I am calling about my order");
    let said: Vec<&str> = speech.words.iter().map(|word| word.word.as_str()).collect();
    let mut victim = Stream::start(&ws, 2, 2, &["inbound"]).await;
    tokio::join!(
        async {
            neighbour.play("inbound", 57, &speech.ulaw).await;
            neighbour.stop(1).await;
        },
        async {
            victim.play("inbound", 57, &speech.ulaw).await;
            victim.stop(2).await;
        }
    );
    for call in [1, 2] {
        let events = ended(&serve, &call_sid(call)).await;
        assert_eq!(words(&events, "inbound"), said, "call {call}: {name}");
        let gaps = events.iter().filter(|event| event["type"] == "audio.gap");
        assert_eq!(gaps.count(), 0, "call {call}: {name}");
        let reconnects = &events.last().unwrap()["data"]["provider"]["reconnects"];
        assert!(call == 2 || *reconnects == 0, "{name}: {reconnects}");
    }
    assert_eq!(villain.attacked.load(Ordering::SeqCst), 1, "{name}");
    let mib = serve.resident_kib() / 1024;
    assert!(mib < MAX_MIB, "{mib} MiB are held after {name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_stands_in_deepgrams_place_costs_no_word_of_any_call() {
    let surviving = ATTACKS
        .into_iter()
        .map(|(name, attack)| tokio::spawn(survive(name, attack)));
    for survived in join_all(surviving).await {
        survived.unwrap();
    }
}
