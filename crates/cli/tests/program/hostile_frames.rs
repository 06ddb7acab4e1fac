//! WebSocket frames by hand: every illegal kind in every state of every socket, countless tiny
//! ones, and garbage.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::events::path;
use crate::neighbour::Neighbour;
use crate::scripted::{METADATA, Scripted};
use crate::serve::{Serve, serve, soon};
use crate::twilio::{call_sid, start_text, stream_sid};
use crate::watching::{call_until, rejected, rejected_for};
use crate::web::ended;

const FIN: u8 = 0x80;
const TEXT: u8 = 1;
const BINARY: u8 = 2;
const CLOSE: u8 = 8;
const PING: u8 = 9;
const CONTINUATION: u8 = 0;

const CONNECTED: &str = r#"{"event":"connected","protocol":"Call","version":"1.0.0"}"#;

/// What the gateway may hold whatever it is sent: it begins with about 20 MiB.
const MAX_MIB: u64 = 64;

/// A frame as a client sends it, masked with zeros.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        length @ ..126 => frame.push(0x80 | u8::try_from(length).unwrap()),
        length => {
            frame.push(0x80 | 126);
            frame.extend(u16::try_from(length).unwrap().to_be_bytes());
        }
    }
    frame.extend([0; 4]);
    frame.extend_from_slice(payload);
    frame
}

/// The header of a frame that announces so many bytes.
fn announced(length: u64) -> Vec<u8> {
    let mut frame = vec![FIN | TEXT, 0x80 | 127];
    frame.extend(length.to_be_bytes());
    frame.extend([0; 4]);
    frame
}

/// Frames that no WebSocket may carry, each by name.
fn illegal() -> Vec<(&'static str, Vec<u8>)> {
    let text = b"{}";
    let mut unmasked = vec![FIN | TEXT, 2];
    unmasked.extend_from_slice(text);
    let in_pieces = |pieces: &[Vec<u8>]| pieces.concat();
    vec![
        ("the first reserved bit", frame(FIN | 0x40 | TEXT, text)),
        ("the second reserved bit", frame(FIN | 0x20 | TEXT, text)),
        ("the third reserved bit", frame(FIN | 0x10 | TEXT, text)),
        ("a ping with a reserved bit", frame(FIN | 0x40 | PING, b"")),
        ("no mask", unmasked),
        ("a reserved kind of data", frame(FIN | 3, text)),
        ("a reserved kind of control", frame(FIN | 11, b"")),
        ("a ping in pieces", frame(PING, b"")),
        ("a ping that is too long", frame(FIN | PING, &[b'x'; 126])),
        ("a continuation of nothing", frame(FIN | CONTINUATION, text)),
        (
            "a message within a message",
            in_pieces(&[frame(TEXT, b"{"), frame(FIN | TEXT, b"}")]),
        ),
        (
            "text that is not UTF-8",
            frame(FIN | TEXT, &[b'{', 0xC3, 0x28]),
        ),
        (
            "text in pieces that is not UTF-8",
            in_pieces(&[frame(TEXT, &[0xC3]), frame(FIN | CONTINUATION, &[0x28])]),
        ),
        ("a Close of one byte", frame(FIN | CLOSE, &[3])),
        (
            "a Close whose reason is not UTF-8",
            frame(FIN | CLOSE, &[3, 0xE8, 0xC3, 0x28]),
        ),
        ("a terabyte", announced(1 << 40)),
        ("a length of 64 bits", announced(u64::MAX)),
    ]
}

/// Closes that are illegal, but Closes: they end a socket like any other.
fn odd_closes() -> Vec<(&'static str, Vec<u8>)> {
    let code = |code: u16| frame(FIN | CLOSE, &code.to_be_bytes());
    vec![
        ("code 0", code(0)),
        ("code 999", code(999)),
        ("code 1005", code(1005)),
        ("code 1015", code(1015)),
        ("code 65535", code(65_535)),
    ]
}

/// A WebSocket by hand.
struct Wire(TcpStream);

impl Wire {
    /// Upgrades, with further header lines; also the header of the answer.
    async fn open(serve: &Serve, path: &str, header: &str) -> (Self, String) {
        let mut socket = TcpStream::connect(serve.address).await.unwrap();
        let request = format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{header}\r\n"
        );
        socket.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            answer.push(soon("the answer", socket.read_u8()).await.unwrap());
        }
        let answer = String::from_utf8(answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 101 "), "{answer}");
        (Self(socket), answer)
    }

    async fn send(&mut self, bytes: &[u8]) {
        // Who is refused early does not get to send everything.
        let _ = self.0.write_all(bytes).await;
    }

    async fn text(&mut self, text: &str) {
        self.send(&frame(FIN | TEXT, text.as_bytes())).await;
    }

    /// Reads until the Close: its code. `None` when the socket ended without one.
    async fn closed(&mut self) -> Option<u16> {
        soon("the end of a socket", async {
            loop {
                let first = self.0.read_u8().await.ok()?;
                let length = match self.0.read_u8().await.ok()? {
                    126 => self.0.read_u16().await.ok()?.into(),
                    127 => usize::try_from(self.0.read_u64().await.ok()?).unwrap(),
                    length => length.into(),
                };
                let mut payload = vec![0; length];
                self.0.read_exact(&mut payload).await.ok()?;
                if first == FIN | CLOSE {
                    let code = payload.first_chunk().map(|code| u16::from_be_bytes(*code));
                    return Some(code.unwrap_or(1005));
                }
            }
        })
        .await
    }
}

/// The states of a socket that a peer brings it to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    StreamOpened,
    StreamConnected,
    StreamStarted,
    StreamPlaying,
    ClientOpened,
    ClientNamed,
    Events,
}

impl State {
    const ALL: [Self; 7] = [
        Self::StreamOpened,
        Self::StreamConnected,
        Self::StreamStarted,
        Self::StreamPlaying,
        Self::ClientOpened,
        Self::ClientNamed,
        Self::Events,
    ];

    fn path(self) -> String {
        match self {
            Self::StreamOpened
            | Self::StreamConnected
            | Self::StreamStarted
            | Self::StreamPlaying => "/twilio".to_owned(),
            Self::ClientOpened | Self::ClientNamed => "/client".to_owned(),
            Self::Events => path(""),
        }
    }

    fn is_stream(self) -> bool {
        self.path() == "/twilio"
    }

    /// A socket in this state; `call` is that of a stream that starts.
    async fn reach(self, serve: &Serve, call: u32) -> Wire {
        let (mut wire, _) = Wire::open(serve, &self.path(), "").await;
        if matches!(
            self,
            Self::StreamConnected | Self::StreamStarted | Self::StreamPlaying
        ) {
            wire.text(CONNECTED).await;
        }
        if matches!(self, Self::StreamStarted | Self::StreamPlaying) {
            wire.text(&start_text(call, call, &["inbound"], "{}")).await;
        }
        if self == Self::StreamPlaying {
            wire.text(&media(call)).await;
        }
        if self == Self::ClientNamed {
            wire.text(&call_sid(1)).await;
        }
        wire
    }
}

fn media(stream: u32) -> String {
    let stream = stream_sid(stream);
    format!(
        r#"{{"event":"media","sequenceNumber":"2","media":{{"track":"inbound","chunk":"1","timestamp":"5","payload":"AAAA"}},"streamSid":"{stream}"}}"#
    )
}

/// A gateway with a call that others read: call 1, which says nothing.
async fn gateway(deepgram: &Scripted) -> (Serve, Wire) {
    let serve = serve().deepgram(&deepgram.url).start().await;
    let read = State::StreamStarted.reach(&serve, 1).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    (serve, read)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn illegal_frames_are_refused_and_counted_in_every_state_of_every_socket() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let neighbour = Neighbour::start(&serve, &deepgram).await;
    let _read = State::StreamStarted.reach(&serve, 1).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    let attack = async {
        let mut call = 2;
        for state in State::ALL {
            for (name, bytes) in illegal() {
                let before = rejected(&serve).await;
                let mut wire = state.reach(&serve, call).await;
                wire.send(&bytes).await;
                let code = wire.closed().await;
                let allowed: &[u16] = if state.is_stream() {
                    &[1007, 1008, 1009]
                } else {
                    &[1002, 1007, 1009]
                };
                let is_allowed = code.is_some_and(|code| allowed.contains(&code));
                assert!(is_allowed, "{code:?} for {name} in {state:?}");
                assert_eq!(rejected(&serve).await, before + 1.0, "{name} in {state:?}");
                call += 1;
            }
            for (name, bytes) in odd_closes() {
                let mut wire = state.reach(&serve, call).await;
                wire.send(&bytes).await;
                let code = wire.closed().await;
                assert!(code.is_some(), "no Close for {name} in {state:?}");
                call += 1;
            }
        }
    };
    neighbour.bears(&serve, attack).await;
    let mib = serve.resident_kib() / 1024;
    assert!(mib < MAX_MIB, "{mib} MiB are held");
}

#[tokio::test]
async fn compression_that_is_offered_is_declined_and_compressed_frames_are_refused() {
    let deepgram = Scripted::start().await;
    let (serve, _read) = gateway(&deepgram).await;
    let offer = "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits, \
                 x-webkit-deflate-frame\r\n";
    for path in ["/twilio", "/media", "/client", &path("")] {
        let (mut wire, answer) = Wire::open(&serve, path, offer).await;
        let answer = answer.to_ascii_lowercase();
        assert!(!answer.contains("sec-websocket-extensions"), "{answer}");
        // `{}` deflated, and marked as compressed.
        wire.send(&frame(FIN | 0x40 | TEXT, &[0xAA, 0xAE, 0x05, 0x00]))
            .await;
        assert!(
            matches!(wire.closed().await, Some(1002 | 1008)),
            "{path}: {answer}"
        );
    }
    assert_eq!(rejected(&serve).await, 4.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_million_tiny_pieces_cost_nothing_but_their_sender() {
    const PIECES: usize = 1_000_000;
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let neighbour = Neighbour::start(&serve, &deepgram).await;
    let attack = async {
        // Empty ones: the message they make is as good as any other.
        let empty = frame(CONTINUATION, b"").repeat(PIECES);
        let (mut patient, _) = Wire::open(&serve, "/twilio", "").await;
        let start = start_text(2, 2, &["inbound"], "{}");
        let (head, tail) = start.as_bytes().split_at(100);
        patient.send(&frame(TEXT, head)).await;
        patient.send(&empty).await;
        patient.send(&frame(FIN | CONTINUATION, tail)).await;
        call_until(&serve, &call_sid(2), |call| call["status"] == "live").await;

        // One byte each: too long by far.
        let bytes = frame(CONTINUATION, b" ").repeat(PIECES);
        for state in [
            State::StreamOpened,
            State::StreamPlaying,
            State::ClientOpened,
        ] {
            let mut wire = state.reach(&serve, 3).await;
            wire.send(&frame(TEXT, b" ")).await;
            let (mut reading, mut writing) = wire.0.into_split();
            let _ = tokio::join!(writing.write_all(&bytes), async {
                let mut rest = Vec::new();
                let _ = soon("the end", reading.read_to_end(&mut rest)).await;
            });
        }
        assert_eq!(rejected_for(&serve, "message_too_big").await, 2.0);
        assert_eq!(rejected_for(&serve, "subscriber_protocol").await, 1.0);

        // Pings without end are answered, and nothing waits for who does not read the answers.
        let mut pinging = State::ClientNamed.reach(&serve, 4).await;
        let pings = frame(FIN | PING, &[b'x'; 125]).repeat(10_000);
        let sending = tokio::time::timeout(
            std::time::Duration::from_secs(2),
            pinging.0.write_all(&pings),
        );
        let _ = sending.await;
    };
    neighbour.bears(&serve, attack).await;
    let mib = serve.resident_kib() / 1024;
    assert!(mib < MAX_MIB, "{mib} MiB are held");
}

/// Bytes without sense, another row for each seed.
fn garbage(seed: u64, bytes: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()[3]
    })
    .take(bytes)
    .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn garbage_in_any_state_ends_only_its_own_socket() {
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let neighbour = Neighbour::start(&serve, &deepgram).await;
    let _read = State::StreamStarted.reach(&serve, 1).await;
    call_until(&serve, &call_sid(1), |call| call["status"] == "live").await;
    let attack = async {
        for seed in 0..12 {
            // More than any message may have, so that nothing can wait for the rest of one.
            let noise = garbage(seed, 100_000);
            for (state, call) in State::ALL
                .into_iter()
                .zip(100 + 10 * u32::try_from(seed).unwrap()..)
            {
                let mut wire = state.reach(&serve, call).await;
                // As it is, as a message of text, and as a message of bytes.
                match seed % 3 {
                    0 => wire.send(&noise).await,
                    1 => wire.send(&frame(FIN | TEXT, &noise[..5000])).await,
                    _ => wire.send(&frame(FIN | BINARY, &noise[..5000])).await,
                }
                let code = wire.closed().await;
                assert!(code != Some(1000), "{state:?} bore garbage {seed}");
            }
            let mut socket = TcpStream::connect(serve.address).await.unwrap();
            let beginning: &[u8] = match seed % 3 {
                0 => b"",
                1 => b"GET /client HTTP/1.1\r\nHost: localhost\r\n",
                _ => {
                    b"POST /voice HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n"
                }
            };
            let _ = socket.write_all(beginning).await;
            let _ = socket.write_all(&noise).await;
            let mut answer = Vec::new();
            let _ = soon("the end", socket.read_to_end(&mut answer)).await;
            assert!(
                answer.is_empty() || answer.starts_with(b"HTTP/1.1 4"),
                "{}",
                String::from_utf8_lossy(&answer)
            );
        }
    };
    neighbour.bears(&serve, attack).await;
    assert!(rejected(&serve).await >= 7.0 * 12.0);
    let mib = serve.resident_kib() / 1024;
    assert!(mib < MAX_MIB, "{mib} MiB are held");
}

#[tokio::test]
async fn garbage_after_stop_changes_nothing() {
    let deepgram = Scripted::start().await;
    let (serve, mut stream) = gateway(&deepgram).await;
    let connection = deepgram.accept();
    stream.text(&media(1)).await;
    let connection = connection.await;
    let (call, stream_of) = (call_sid(1), stream_sid(1));
    let stop = format!(
        r#"{{"event":"stop","sequenceNumber":"3","stop":{{"accountSid":"AC00000000000000000000000000000001","callSid":"{call}"}},"streamSid":"{stream_of}"}}"#
    );
    stream.text(&stop).await;
    stream.send(&garbage(1, 100_000)).await;
    tokio::join!(
        async { assert_eq!(stream.closed().await, Some(1000)) },
        connection.finish(&[METADATA])
    );
    let events = ended(&serve, &call).await;
    assert_eq!(events.last().unwrap()["data"]["end_reason"], "stop");
    assert_eq!(rejected(&serve).await, 0.0);
}
