//! The trunk between two exchanges: the calls of phones in one process, reached by the REST API of
//! an emulator in another.
//!
//! Over one WebSocket the phones tell their calls, each time with all that is known of one, and
//! are told orders. Instructions are TwiML there, whatever they were.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::{Deserialize, Serialize};
use sidetone_twilio::twiml::{Redirect, Response, Verb};
use sidetone_twilio::{CallSid, StreamSid};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::{self, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::Exchange;
use super::exchange::{Instructions, Order};

/// Where an emulator takes trunks, below its base URL.
pub(crate) const PATH: &str = "/_emulator/trunk";

/// How long an emulator may take to answer, and to take what is told last.
const LIMIT: Duration = Duration::from_secs(5);

/// Changes within so short a time are told together.
const ROUND: Duration = Duration::from_millis(20);

/// A trunk that is open. Dropping it breaks it off.
#[derive(Debug)]
pub struct Trunk {
    closing: CancellationToken,
    task: JoinHandle<()>,
}

/// There is no trunk.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrunkError {
    /// Not a URL of a server.
    #[error("`{0}` is not a URL of an emulator")]
    BadUrl(Url),
    /// No emulator answered in 5 s.
    #[error("no emulator answers at {0}")]
    TimedOut(Url),
    /// Nobody, or no emulator, is there.
    #[error("there is no emulator at {url}")]
    Refused {
        /// Its base URL.
        url: Url,
        /// What happened.
        source: Box<tungstenite::Error>,
    },
}

impl Exchange {
    /// Makes the calls of this exchange known to the emulator at `base`, of scheme http or https,
    /// whose REST API then reaches them, too.
    ///
    /// # Errors
    /// When there is none.
    pub async fn join(&self, base: &Url) -> Result<Trunk, TrunkError> {
        let mut url = base.clone();
        let scheme = if base.scheme() == "https" {
            "wss"
        } else {
            "ws"
        };
        url.set_path(PATH);
        url.set_scheme(scheme)
            .map_err(|()| TrunkError::BadUrl(base.clone()))?;
        let opened = timeout(LIMIT, connect_async(url.as_str())).await;
        let opened = opened.map_err(|_| TrunkError::TimedOut(base.clone()))?;
        let (socket, _) = opened.map_err(|error| TrunkError::Refused {
            url: base.clone(),
            source: Box::new(error),
        })?;
        let closing = CancellationToken::new();
        let task = tokio::spawn(run(self.clone(), socket, closing.clone()));
        Ok(Trunk { closing, task })
    }
}

impl Trunk {
    /// Tells the end of the calls that are over, and closes the trunk.
    pub async fn close(mut self) {
        self.closing.cancel();
        // However it ends, the trunk is closed.
        drop(timeout(LIMIT, &mut self.task).await);
    }
}

impl Drop for Trunk {
    fn drop(&mut self) {
        self.task.abort();
    }
}

type Socket = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// Tells changes and takes orders until either side closes.
async fn run(exchange: Exchange, mut socket: Socket, closing: CancellationToken) {
    let mut changed = exchange.changes();
    let mut told: HashMap<CallSid, u64> = HashMap::new();
    loop {
        changed.borrow_and_update();
        let is_last = closing.is_cancelled();
        for entry in exchange.entries() {
            let (call_sid, revision) = entry.look(|call| (call.call_sid.clone(), call.revision));
            if told.insert(call_sid, revision) == Some(revision) {
                continue;
            }
            let text = entry.look(|call| call.to_json()).to_string();
            if socket.send(Message::text(text)).await.is_err() {
                return;
            }
        }
        if is_last {
            drop(socket.close(None).await);
            return;
        }
        tokio::select! {
            () = closing.cancelled() => {}
            _ = changed.changed() => sleep(ROUND).await,
            received = socket.next() => match received {
                Some(Ok(Message::Text(text))) => obey(&exchange, &text),
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return,
            },
        }
    }
}

fn obey(exchange: &Exchange, text: &str) {
    let read = serde_json::from_str::<WireOrder>(text).ok();
    let Some((call_sid, order)) = read.and_then(WireOrder::read) else {
        return tracing::warn!(text, "An order of the emulator cannot be read.");
    };
    let ordered = exchange
        .find(call_sid.as_str())
        .map(|call| call.order(order));
    if !matches!(ordered, Some(Ok(()))) {
        tracing::debug!(%call_sid, "An order came too late.");
    }
}

/// An order on the trunk.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct WireOrder {
    call_sid: CallSid,
    order: Kind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    twiml: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    stream_sid: Option<StreamSid>,
}

#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    HangUp,
    Redirect,
    StartStream,
    StopStream,
}

impl WireOrder {
    pub(crate) fn of(call_sid: CallSid, order: Order) -> Self {
        let document = |verb| Response { verbs: vec![verb] }.to_xml();
        let (order, twiml, stream_sid) = match order {
            Order::HangUp => (Kind::HangUp, None, None),
            Order::Redirect(Instructions::Twiml(text)) => (Kind::Redirect, Some(text), None),
            Order::Redirect(Instructions::Fetch { url, method }) => {
                let redirect = Verb::Redirect(Redirect {
                    url: url.into(),
                    method: Some(method),
                });
                (Kind::Redirect, Some(document(redirect)), None)
            }
            Order::StartStream { stream_sid, stream } => {
                let start = Some(document(Verb::Start(stream)));
                (Kind::StartStream, start, Some(stream_sid))
            }
            Order::StopStream(stream_sid) => (Kind::StopStream, None, Some(stream_sid)),
        };
        Self {
            call_sid,
            order,
            twiml,
            stream_sid,
        }
    }

    fn read(self) -> Option<(CallSid, Order)> {
        let order = match self.order {
            Kind::HangUp => Order::HangUp,
            Kind::Redirect => Order::Redirect(Instructions::Twiml(self.twiml?)),
            Kind::StopStream => Order::StopStream(self.stream_sid?),
            Kind::StartStream => {
                let mut verbs = Response::parse(&self.twiml?).ok()?.verbs;
                let Some(Verb::Start(stream)) = verbs.pop() else {
                    return None;
                };
                Order::StartStream {
                    stream_sid: self.stream_sid?,
                    stream,
                }
            }
        };
        Some((self.call_sid, order))
    }
}

#[cfg(test)]
mod tests {
    use sidetone_twilio::twiml::{Method, Stream};

    use super::*;

    #[track_caller]
    fn check(order: Order, expected: &str) {
        let call_sid: CallSid = format!("CA{:032x}", 1).parse().unwrap();
        let wire = serde_json::to_string(&WireOrder::of(call_sid.clone(), order)).unwrap();
        let read: WireOrder = serde_json::from_str(&wire).unwrap();
        let (read_sid, read) = read.read().unwrap();
        assert_eq!(read_sid, call_sid);
        assert_eq!(format!("{read:?}"), expected);
    }

    #[test]
    fn orders_come_over_the_trunk_as_they_were_or_as_a_document_that_does_the_same() {
        check(Order::HangUp, "HangUp");
        let twiml = || "<Response><Hangup/></Response>".to_owned();
        check(
            Order::Redirect(Instructions::Twiml(twiml())),
            &format!("Redirect(Twiml({:?}))", twiml()),
        );
        let fetch = Instructions::Fetch {
            url: "https://example.com/a?b=1&c".parse().unwrap(),
            method: Method::Get,
        };
        let redirect = concat!(
            r#"<?xml version="1.0" encoding="UTF-8"?><Response><Redirect method="GET">"#,
            "https://example.com/a?b=1&amp;c</Redirect></Response>",
        );
        check(
            Order::Redirect(fetch),
            &format!("Redirect(Twiml({redirect:?}))"),
        );
        let stream_sid: StreamSid = format!("MZ{:032x}", 2).parse().unwrap();
        check(
            Order::StopStream(stream_sid.clone()),
            &format!("StopStream({stream_sid:?})"),
        );
        let start = Order::StartStream {
            stream_sid,
            stream: Stream {
                url: "wss://example.com/twilio".to_owned(),
                name: Some("ears".to_owned()),
                ..Stream::default()
            },
        };
        let expected = format!("{start:?}");
        check(start, &expected);
    }
}
