//! What handlers take out of a request: who sent it, and the right to be answered.

use std::convert::Infallible;
use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::extract::ws::WebSocketUpgrade;
use axum::response::Response;
use http::request::Parts;

use super::App;
use super::access::{Access, Visitor};
use super::problem::Problem;
use crate::metrics::Rejection;

impl<S: Sync> FromRequestParts<S> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        let visitor = parts.extensions.get::<Self>();
        Ok(visitor
            .expect("the server lets no request pass without its visitor")
            .clone())
    }
}

/// The right to do everything. Who has it not gets 401, or 429 after too many tries.
pub(super) struct Admin;

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Response> {
        let Ok(visitor) = Visitor::from_request_parts(parts, app).await;
        match visitor.access {
            Access::Admin => Ok(Self),
            Access::Denied => {
                Err(app.refuse_sender(&visitor, Rejection::Unauthorized, Problem::unauthorized()))
            }
        }
    }
}

/// A request for a WebSocket; anything else gets 426.
pub(super) struct Upgrade(pub(super) WebSocketUpgrade);

impl<S: Send + Sync> FromRequestParts<S> for Upgrade {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let upgrade = WebSocketUpgrade::from_request_parts(parts, state).await;
        upgrade.map(Self).map_err(|_| Problem::upgrade_required())
    }
}
