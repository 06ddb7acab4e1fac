//! What `sidetone call` tells of a server that does not read what it is sent.

use std::net::{Ipv4Addr, SocketAddr};

use serde_json::Value;
use socket2::{Domain, Socket, Type};
use tokio::net::TcpListener;
use tokio_tungstenite::accept_async;

use crate::command::sidetone;
use crate::serve::soon;

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

#[tokio::test]
async fn a_server_that_does_not_read_is_told_as_twilios_debugger_tells_it() {
    let listener = narrow();
    let stream = format!("ws://{}/", listener.local_addr().unwrap());
    let say = "one two three four five six seven eight nine ten";
    let call = ["call", &stream, "--say", say, "--callee", "Yes.", "--json"];
    let accepted = async {
        let (connection, _) = soon("the call", listener.accept()).await.unwrap();
        accept_async(connection).await.unwrap()
    };
    let (outcome, _unread) = tokio::join!(sidetone(call).run(), accepted);
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    assert!(outcome.stderr.contains("Twilio error 31930"), "{outcome:?}");
    let call: Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(call["alerts"][0]["code"], 31930);
    let stream = &call["streams"][0];
    assert!(stream["discarded_frames"].as_u64() > Some(0), "{stream}");
    assert!(
        call["spoken"].as_array().unwrap().len() < 11,
        "what was thrown away was not said: {call}"
    );
}
