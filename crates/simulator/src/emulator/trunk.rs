//! `/_emulator/trunk`: phones of other processes make their calls known, and are told orders.

use std::collections::HashMap;

use axum::Router;
use axum::extract::State;
use axum::extract::ws::{Message, WebSocket, WebSocketUpgrade};
use axum::response::Response;
use axum::routing::any;
use sidetone_twilio::CallSid;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::phone::{CallRecord, Exchange, Order, Registration, TRUNK_PATH, WireOrder};

/// Orders that wait for the phones of one trunk.
const MAX_ORDERS: usize = 1_000;

/// What trunks work with.
#[derive(Clone)]
pub(super) struct Trunks {
    pub(super) exchange: Exchange,
    pub(super) tasks: TaskTracker,
    pub(super) cancelled: CancellationToken,
}

pub(super) fn routes(trunks: Trunks) -> Router {
    let routes = Router::new().route(TRUNK_PATH, any(accept));
    routes.with_state(trunks)
}

async fn accept(State(trunks): State<Trunks>, upgrade: WebSocketUpgrade) -> Response {
    let Trunks {
        exchange,
        tasks,
        cancelled,
    } = trunks;
    upgrade.on_upgrade(async move |socket| {
        let work = tasks.track_future(cancelled.run_until_cancelled(run(exchange, socket)));
        work.await;
    })
}

/// Takes what the phones tell, and tells them orders, until they are gone. Calls that are not over
/// by then have ended with them.
async fn run(exchange: Exchange, mut socket: WebSocket) {
    let (orders, mut ordered) = mpsc::channel(MAX_ORDERS);
    let mut calls = Calls {
        exchange,
        live: HashMap::new(),
        orders,
    };
    loop {
        tokio::select! {
            Some((call_sid, order)) = ordered.recv() => {
                let order = WireOrder::of(call_sid, order);
                let text = serde_json::to_string(&order).expect("texts are JSON");
                if socket.send(Message::text(text)).await.is_err() {
                    return;
                }
            }
            received = socket.recv() => match received {
                Some(Ok(Message::Text(text))) => calls.take(&text),
                Some(Ok(_)) => {}
                None | Some(Err(_)) => return,
            },
        }
    }
}

/// The calls of one trunk.
struct Calls {
    exchange: Exchange,
    live: HashMap<CallSid, Registration>,
    orders: mpsc::Sender<(CallSid, Order)>,
}

impl Calls {
    fn take(&mut self, text: &str) {
        let told = serde_json::from_str(text).ok();
        let Some(record) = told.and_then(CallRecord::told) else {
            return tracing::warn!("What a phone tells of its call cannot be read.");
        };
        let call_sid = record.call_sid.clone();
        let is_over = record.status.is_final();
        match self.exchange.find(call_sid.as_str()) {
            Some(entry) => entry.update(|call| *call = record),
            None if self.exchange.is_full() => return,
            None => {
                let entry = self.exchange.register_at(record, self.orders.clone());
                self.live.insert(call_sid.clone(), entry);
            }
        }
        if is_over {
            self.live.remove(&call_sid);
        }
    }
}
