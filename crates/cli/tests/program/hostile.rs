//! Peers that mean harm, and a machine that is not as expected.

use sidetone_simulator::voice;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpSocket, TcpStream};

use crate::deepgram::emulated;
use crate::neighbour::Neighbour;
use crate::scripted::Scripted;
use crate::serve::{Serve, raise_open_files, serve, soon};
use crate::twilio::{Stream, call_sid};
use crate::watching::{call_until, metric, rejected_for};
use crate::web::{ended, get, words};

/// Sends bytes on a connection of their own and reads what comes back until it is closed.
async fn exchange(serve: &Serve, request: &[u8]) -> String {
    let exchanging = async {
        let mut socket = TcpStream::connect(serve.address).await.unwrap();
        // Who is refused early does not get to send everything.
        let _ = socket.write_all(request).await;
        let mut answer = Vec::new();
        let _ = socket.read_to_end(&mut answer).await;
        String::from_utf8(answer).unwrap()
    };
    soon("an answer and the end of the connection", exchanging).await
}

#[track_caller]
fn check(answer: &str, status: u16) {
    let found = answer.lines().next().unwrap_or_default();
    assert!(
        found.starts_with(&format!("HTTP/1.1 {status} ")),
        "{answer}"
    );
}

#[tokio::test]
async fn a_header_that_is_too_long_or_has_too_many_fields_is_refused() {
    let serve = serve().start().await;
    let request = |fields: &str| {
        format!("GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{fields}\r\n")
    };
    check(&exchange(&serve, request("").as_bytes()).await, 200);
    let long = format!("X-Long: {}\r\n", "x".repeat(20_000));
    let longer = format!("X-Longer: {}\r\n", "x".repeat(500_000));
    let many = (0..80)
        .map(|n| format!("X-Many-{n}: {n}\r\n"))
        .collect::<String>();
    let most = (0..5000)
        .map(|n| format!("X-Most-{n}: {n}\r\n"))
        .collect::<String>();
    for (n, fields) in (1..).zip([long, longer, many, most]) {
        check(&exchange(&serve, request(&fields).as_bytes()).await, 431);
        assert_eq!(rejected_for(&serve, "header_too_large").await, f64::from(n));
    }
    let target = format!(
        "GET /{} HTTP/1.1\r\nHost: localhost\r\n\r\n",
        "x".repeat(20_000)
    );
    let answer = exchange(&serve, target.as_bytes()).await;
    assert!(
        answer.starts_with("HTTP/1.1 431 ") || answer.starts_with("HTTP/1.1 414 "),
        "{answer}"
    );
    assert_eq!(get(&serve, "/healthz").await.0, 200);
}

#[tokio::test]
async fn a_body_that_is_too_long_is_refused() {
    let serve = serve().start().await;
    let post = "POST /voice HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\
                Content-Type: application/x-www-form-urlencoded\r\n";
    let announced = format!("{post}Content-Length: 100000\r\n\r\n");
    let sent = format!("{announced}{}", "x".repeat(100_000));
    let chunk = format!("2000\r\n{}\r\n", "x".repeat(0x2000));
    let chunked = format!(
        "{post}Transfer-Encoding: chunked\r\n\r\n{}0\r\n\r\n",
        chunk.repeat(20)
    );
    for request in [announced, sent, chunked] {
        let answer = exchange(&serve, request.as_bytes()).await;
        check(&answer, 413);
        assert!(answer.contains(r#""code":"too_large""#), "{answer}");
    }
    assert_eq!(rejected_for(&serve, "body_too_large").await, 3.0);
}

#[tokio::test]
async fn what_is_not_http_is_refused_and_counted() {
    let serve = serve().start().await;
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"hello\r\n\r\n",
        b"GET\r\n\r\n",
    ] {
        check(&exchange(&serve, bytes).await, 400);
    }
    assert_eq!(rejected_for(&serve, "not_http").await, 3.0);
}

#[tokio::test]
async fn a_thousand_half_open_sockets_cost_a_call_no_word_and_are_closed() {
    const SOCKETS: usize = 1000;
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let mut half_open = Vec::with_capacity(SOCKETS);
    for n in 0..SOCKETS {
        let mut socket = TcpStream::connect(serve.address).await.unwrap();
        let begun: &[u8] = if n % 2 == 0 {
            b"GET /client HTTP/1.1\r\nHost: local"
        } else {
            b""
        };
        socket.write_all(begun).await.unwrap();
        half_open.push(socket);
    }
    // One that drips, to look as if it were only slow.
    let mut dripping = TcpStream::connect(serve.address).await.unwrap();
    let dripped = tokio::spawn(async move {
        dripping.write_all(b"GET / HTTP/1.1\r\n").await.unwrap();
        let mut drops = tokio::time::interval(std::time::Duration::from_millis(100));
        loop {
            drops.tick().await;
            // Writing fails when the other side has closed.
            if dripping.write_all(b"X-Drop: 1\r\n").await.is_err() {
                return;
            }
        }
    });
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let speech = voice::speak("hello, I am calling about my order");
    stream.play("inbound", 57, &speech.ulaw).await;
    assert!(metric(&serve, "sidetone_connections").await > 1000.0);
    stream.stop(1).await;
    let events = ended(&serve, &call_sid(1)).await;
    let said: Vec<&str> = speech.words.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(words(&events, "inbound"), said);

    for mut socket in half_open {
        let mut rest = Vec::new();
        // A reset ends it as well.
        let _ = soon("a half-open socket's end", socket.read_to_end(&mut rest)).await;
    }
    soon("the dripping socket's end", dripped).await.unwrap();
    assert_eq!(rejected_for(&serve, "header_timeout").await, 1001.0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_thousand_idle_sockets_cost_a_call_no_word_and_little_memory() {
    const SOCKETS: usize = 5000;
    raise_open_files();
    let deepgram = Scripted::start().await;
    let serve = serve().deepgram(&deepgram.url).start().await;
    let neighbour = Neighbour::start(&serve, &deepgram).await;
    let upgrade = |path: &str| {
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n\
             Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
             Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
        )
    };
    let beginnings = [
        String::new(),
        "GET /client HTTP/1.1\r\nHost: local".to_owned(),
        upgrade("/twilio"),
        upgrade("/client"),
        "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n".to_owned(),
    ];
    let attack = async {
        let mut idle = Vec::with_capacity(SOCKETS);
        for n in 0..SOCKETS {
            // No peer may take the places of the others, so they come as two.
            let socket = TcpSocket::new_v4().unwrap();
            let own = if n % 2 == 0 {
                "127.0.0.2:0"
            } else {
                "127.0.0.3:0"
            };
            socket.bind(own.parse().unwrap()).unwrap();
            let mut socket = soon("a socket", socket.connect(serve.address))
                .await
                .unwrap();
            let beginning = &beginnings[n % beginnings.len()];
            socket.write_all(beginning.as_bytes()).await.unwrap();
            idle.push(socket);
        }
        let open = metric(&serve, "sidetone_connections").await;
        assert!(open > SOCKETS as f64, "{open} connections");
        let mib = serve.resident_kib() / 1024;
        // 20 MiB to begin with, and 20 KiB for each: the buffer that its request is read into.
        assert!(mib < 160, "{mib} MiB are held");
        idle
    };
    let idle = neighbour.bears(&serve, attack).await;
    drop(idle);
    let gone = async {
        while metric(&serve, "sidetone_connections").await > 10.0 {
            tokio::time::sleep(std::time::Duration::from_millis(50)).await;
        }
    };
    soon("the places of those that have gone", gone).await;
}

#[tokio::test]
async fn a_stream_that_floods_costs_its_neighbour_no_word() {
    let emulator = emulated().await;
    let serve = serve().deepgram(emulator.url()).start().await;
    let ws = serve.ws("/twilio");
    let speech = voice::speak("hello, I am calling about my order");
    let mut neighbour = Stream::start(&ws, 1, 1, &["inbound"]).await;
    let mut flood = Stream::start(&ws, 2, 2, &["inbound"]).await;
    let conversation = async {
        neighbour.play("inbound", 57, &speech.ulaw).await;
        neighbour.stop(1).await;
    };
    // Ten minutes of audio at once.
    let flooding = async {
        for n in 0..30_000 {
            flood.media("inbound", 57 + 20 * n, &[7; 160]).await;
        }
    };
    tokio::join!(conversation, flooding);
    let events = ended(&serve, &call_sid(1)).await;
    let said: Vec<&str> = speech.words.iter().map(|word| word.word.as_str()).collect();
    assert_eq!(words(&events, "inbound"), said);
    call_until(&serve, &call_sid(2), |call| {
        call["audio"]["inbound"]["frames"] == 30_000
    })
    .await;
    let kib = serve.resident_kib();
    assert!(kib < 64 * 1024, "{kib} KiB are held");
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_with_who_may_hold_it() {
    let holder = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = holder.local_addr().unwrap();
    let (code, stdout, stderr) = serve()
        .env("SIDETONE_LISTEN", address.to_string())
        .run()
        .await;
    assert_eq!(code, Some(1), "{stderr}");
    assert_eq!(stdout, "");
    for told in [
        &address.to_string(),
        "sidetone",
        "SIDETONE_LISTEN",
        &address.port().to_string(),
    ] {
        assert!(stderr.contains(told), "{told} is not told: {stderr}");
    }
}
