//! What handlers take out of a request: who sent it, and the right to be answered.

use std::sync::Arc;

use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts, Path};
use http::request::Parts;

use super::App;
use super::access::{Access, Visitor};
use super::problem::Problem;
use crate::metrics::Rejection;

/// The visitor that the server found for a request.
pub(super) fn visitor(parts: &Parts) -> &Visitor {
    let visitor = parts.extensions.get();
    visitor.expect("the server lets no request pass without its visitor")
}

/// The right to do everything. Who has it not gets 401, or 429 after too many tries.
pub(super) struct Admin;

impl FromRequestParts<Arc<App>> for Admin {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<Self, Problem> {
        let visitor = visitor(parts);
        match visitor.access {
            Access::Admin => Ok(Self),
            Access::Denied => {
                Err(app.refuse_sender(visitor, Rejection::Unauthorized, Problem::unauthorized()))
            }
        }
    }
}

/// What a path names: a call or a profile.
pub(super) struct Name(pub(super) String);

impl<S: Send + Sync> FromRequestParts<S> for Name {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let name = Path::<String>::from_request_parts(parts, state).await;
        name.map(|Path(name)| Self(name))
            .map_err(|_| Problem::invalid_request("The path is not UTF-8."))
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
