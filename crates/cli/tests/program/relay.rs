//! What stands between a public URL and a gateway: a proxy, or a tunnel.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A proxy on a free port that leads nowhere until it is told to.
pub(crate) struct Relay {
    pub(crate) url: String,
    target: watch::Sender<Option<SocketAddr>>,
    serving: tokio::task::JoinHandle<()>,
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Relay {
    /// One that changes nothing.
    pub(crate) async fn start() -> Self {
        Self::with(str::to_owned).await
    }

    /// One that changes the header of each connection's first request.
    pub(crate) async fn with(change: fn(&str) -> String) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let (target, leads_to) = watch::channel(None);
        let serving = tokio::spawn(async move {
            let mut sockets = tokio::task::JoinSet::new();
            loop {
                let (socket, _) = listener.accept().await.unwrap();
                let target: Option<SocketAddr> = *leads_to.borrow();
                if let Some(target) = target {
                    sockets.spawn(pass(socket, target, change));
                }
            }
        });
        Self {
            url,
            target,
            serving,
        }
    }

    pub(crate) fn lead_to(&self, target: SocketAddr) {
        self.target.send_replace(Some(target));
    }
}

/// Whoever breaks off first ends both sides.
async fn pass(mut socket: TcpStream, target: SocketAddr, change: fn(&str) -> String) {
    let Ok(mut gateway) = TcpStream::connect(target).await else {
        return;
    };
    let mut header = Vec::new();
    while !header.ends_with(b"\r\n\r\n") {
        let Ok(byte) = socket.read_u8().await else {
            return;
        };
        header.push(byte);
    }
    let header = change(std::str::from_utf8(&header).unwrap());
    if gateway.write_all(header.as_bytes()).await.is_ok() {
        let _ = tokio::io::copy_bidirectional(&mut socket, &mut gateway).await;
    }
}
