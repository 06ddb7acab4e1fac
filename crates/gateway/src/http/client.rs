//! `/client`: the subscriber protocol of the tutorials.
//!
//! The server lists the live calls, the client names one, then it gets each of Deepgram's messages
//! of that call.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{Message, WebSocket};
use axum::response::Response;
use sidetone_twilio::CallSid;
use tokio::time::{interval, timeout};

use super::App;
use super::extract::{Admin, Upgrade};
use super::socket::{self, Departure, PING_INTERVAL, code, departure};
use crate::calls::{CallHandle, Calls, MessageRead};
use crate::metrics::Rejection;

/// How long a client may take to name a call.
const SILENCE: Duration = Duration::from_secs(10);

/// How long a number's call, or any call, is waited for.
const CALL_WAIT: Duration = Duration::from_secs(60);

/// Serves a subscriber.
pub(super) async fn client(
    State(app): State<Arc<App>>,
    _: Admin,
    Upgrade(upgrade): Upgrade,
) -> Response {
    let serving = Arc::clone(&app);
    socket::upgrade(upgrade, &app, async move |mut socket| {
        let _counted = serving.gateway.metrics.subscriber();
        let end = subscribe(&serving, &mut socket).await;
        if let End::Departed(departure) = end {
            return socket::dismiss(&serving, socket, departure).await;
        }
        if let Some(rejection) = end.rejection() {
            serving.gateway.metrics.rejected(rejection);
        }
        if let Some((code, reason)) = end.close_code() {
            socket::close(socket, code, reason).await;
        }
    })
}

/// How a subscription ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// The client goes.
    Departed(Departure),
    /// The call has ended.
    CallEnded,
    /// The client named no call in time.
    Silent,
    /// What the client named is no live call.
    UnknownCall,
    /// The client did not read.
    Lagged,
    /// The gateway goes down.
    GoingAway,
}

impl End {
    const GONE: Self = Self::Departed(Departure::Gone);

    const fn close_code(self) -> Option<(u16, &'static str)> {
        match self {
            Self::Departed(_) => None,
            Self::CallEnded => Some((code::NORMAL, "the call has ended")),
            Self::Silent => Some((code::POLICY, "no call was named within 10 s")),
            Self::UnknownCall => Some((
                code::POLICY,
                "no such live call: name a call sid, a number in E.164, or `latest`",
            )),
            Self::Lagged => Some((code::TRY_AGAIN_LATER, "4 MB waited unread")),
            Self::GoingAway => Some((code::GOING_AWAY, "the gateway goes down")),
        }
    }

    const fn rejection(self) -> Option<Rejection> {
        match self {
            Self::Silent => Some(Rejection::SubscriberSilent),
            Self::UnknownCall => Some(Rejection::UnknownCall),
            Self::Lagged => Some(Rejection::SubscriberLagged),
            Self::Departed(_) | Self::CallEnded | Self::GoingAway => None,
        }
    }
}

/// What a client may name.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Wanted {
    Call(CallSid),
    /// The newest live call from or to this number.
    Number(String),
    /// The newest live call.
    Latest,
}

impl Wanted {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim();
        if text == "latest" {
            return Some(Self::Latest);
        }
        if let Ok(call_sid) = text.parse() {
            return Some(Self::Call(call_sid));
        }
        let digits = text.strip_prefix('+')?;
        let is_e164 =
            (2..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit());
        is_e164.then(|| Self::Number(text.to_owned()))
    }

    fn is(&self, call: &CallHandle) -> bool {
        match self {
            Self::Call(call_sid) => call.call_sid() == call_sid,
            Self::Number(number) => {
                let call = call.snapshot();
                [&call.from, &call.to]
                    .into_iter()
                    .flatten()
                    .any(|party| party == number)
            }
            Self::Latest => true,
        }
    }

    fn newest(&self, calls: &Calls) -> Option<Arc<CallHandle>> {
        calls.live().into_iter().rev().find(|call| self.is(call))
    }

    /// The call, waited for when it is one that may still come.
    async fn find(&self, calls: &Calls) -> Option<Arc<CallHandle>> {
        if let Self::Call(_) = self {
            return self.newest(calls);
        }
        let mut changed = calls.changed();
        let coming = async {
            loop {
                changed.borrow_and_update();
                if let Some(call) = self.newest(calls) {
                    return Some(call);
                }
                changed.changed().await.ok()?;
            }
        };
        timeout(CALL_WAIT, coming).await.ok().flatten()
    }
}

async fn subscribe(app: &App, socket: &mut WebSocket) -> End {
    match choose(app, socket).await {
        Ok(call) => relay(app, socket, &call).await,
        Err(end) => end,
    }
}

/// Lists the live calls and gets the one that the client names.
async fn choose(app: &App, socket: &mut WebSocket) -> Result<Arc<CallHandle>, End> {
    let calls = &app.gateway.calls;
    let live = calls.live();
    let sids: Vec<_> = live.iter().map(|call| call.call_sid().as_str()).collect();
    let list = serde_json::to_string(&sids).expect("text is JSON");
    socket
        .send(Message::text(list))
        .await
        .map_err(|_| End::GONE)?;

    let wanted = timeout(SILENCE, first_message(socket))
        .await
        .map_err(|_| End::Silent)??;
    let wanted = wanted
        .to_text()
        .ok()
        .and_then(Wanted::parse)
        .ok_or(End::UnknownCall)?;
    tokio::select! {
        found = wanted.find(calls) => found.ok_or(End::UnknownCall),
        departure = departure(socket) => Err(End::Departed(departure)),
        () = app.shutdown.drain.cancelled() => Err(End::GoingAway),
    }
}

async fn first_message(socket: &mut WebSocket) -> Result<Message, End> {
    loop {
        match socket.recv().await {
            Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => return Ok(message),
            received => Departure::of(received).map_or(Ok(()), |left| Err(End::Departed(left)))?,
        }
    }
}

/// Passes on the call's messages until it ends.
async fn relay(app: &App, socket: &mut WebSocket, call: &CallHandle) -> End {
    let mut messages = call.messages();
    let mut ping = interval(PING_INTERVAL);
    ping.tick().await;
    let mut going_away = false;
    loop {
        let message = tokio::select! {
            biased;
            read = messages.next() => match read {
                MessageRead::Message(message) => Message::text(&*message),
                MessageRead::Lagged => return End::Lagged,
                MessageRead::Ended => return End::CallEnded,
            },
            departure = departure(socket) => return End::Departed(departure),
            _ = ping.tick() => Message::Ping(Default::default()),
            () = app.shutdown.drain.cancelled(), if !going_away => {
                // What the call said before is still read.
                going_away = true;
                continue;
            }
            () = std::future::ready(()), if going_away => return End::GoingAway,
        };
        // A client that does not read costs its own socket only: what waits for it is bounded by
        // the reader, and how long the send may wait by the socket itself.
        if socket.send(message).await.is_err() {
            return End::GONE;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_may_name_a_call_a_number_or_the_latest() {
        let sid = "CA0123456789abcdef0123456789abcdef";
        assert_eq!(
            Wanted::parse(&format!(" {sid}\r\n")),
            Some(Wanted::Call(sid.parse().unwrap()))
        );
        assert_eq!(
            Wanted::parse("+15550001\n"),
            Some(Wanted::Number("+15550001".to_owned()))
        );
        assert_eq!(Wanted::parse("latest"), Some(Wanted::Latest));
        for nonsense in [
            "",
            "CA1",
            "15550001",
            "+1555a",
            "+",
            "+1234567890123456",
            "newest",
        ] {
            assert_eq!(Wanted::parse(nonsense), None, "{nonsense}");
        }
    }

    #[test]
    fn fuzzed_names_are_a_call_a_number_or_nothing() {
        sidetone_fuzz::check_text("call-names", |text| match Wanted::parse(text) {
            Some(Wanted::Call(call_sid)) => assert_eq!(call_sid.as_str(), text.trim()),
            Some(Wanted::Number(number)) => assert_eq!(number, text.trim()),
            Some(Wanted::Latest) => assert_eq!(text.trim(), "latest"),
            None => {}
        });
    }
}
