//! HTTP by hand, for requests that no client would send.

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::serve::{Serve, soon};

/// An answer, header and body as they came.
#[derive(Debug)]
pub(crate) struct RawAnswer {
    pub(crate) status: u16,
    pub(crate) header: String,
    pub(crate) body: String,
}

impl RawAnswer {
    /// The `code` of the problem document that it is.
    #[track_caller]
    pub(crate) fn code(&self) -> String {
        let header = self.header.to_ascii_lowercase();
        assert!(
            header.contains("content-type: application/problem+json"),
            "{self:?}"
        );
        let problem: serde_json::Value = serde_json::from_str(&self.body).unwrap();
        assert_eq!(problem["status"], self.status, "{problem}");
        problem["code"].as_str().unwrap().to_owned()
    }
}

/// Sends a request line and header lines, and reads the whole answer.
pub(crate) async fn exchange(serve: &Serve, request: &str, header: &[&str]) -> RawAnswer {
    let mut socket = TcpStream::connect(serve.address).await.unwrap();
    let mut text = format!("{request} HTTP/1.1\r\n");
    for line in header {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("Connection: close\r\n\r\n");
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    soon("the answer", socket.read_to_end(&mut answer))
        .await
        .unwrap();
    let answer = String::from_utf8(answer).unwrap();
    let (header, body) = answer.split_once("\r\n\r\n").unwrap();
    let status = header.split(' ').nth(1).unwrap().parse().unwrap();
    RawAnswer {
        status,
        header: header.to_owned(),
        body: body.to_owned(),
    }
}

/// Asks for a WebSocket with further headers; the status of the answer.
pub(crate) async fn upgrade(serve: &Serve, path: &str, header: &[&str]) -> RawAnswer {
    let mut socket = TcpStream::connect(serve.address).await.unwrap();
    let mut text = format!(
        "GET {path} HTTP/1.1\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
         Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    );
    for line in header {
        text.push_str(line);
        text.push_str("\r\n");
    }
    text.push_str("\r\n");
    socket.write_all(text.as_bytes()).await.unwrap();
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        header.push(soon("the answer", socket.read_u8()).await.unwrap());
    }
    let header = String::from_utf8(header).unwrap();
    let status = header.split(' ').nth(1).unwrap().parse().unwrap();
    let mut body = Vec::new();
    let length = header.lines().find_map(|line| {
        line.to_ascii_lowercase()
            .strip_prefix("content-length: ")?
            .parse()
            .ok()
    });
    if let Some(length) = length {
        body.resize(length, 0);
        soon("the body", socket.read_exact(&mut body))
            .await
            .unwrap();
    }
    RawAnswer {
        status,
        header,
        body: String::from_utf8(body).unwrap(),
    }
}
