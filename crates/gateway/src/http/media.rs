//! The media stream's handshake.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Request, State};
use axum::response::Response;

use super::App;
use super::extract::{Name, visitor};
use super::problem::Problem;
use super::voice::profile_named;
use super::webhook::check_handshake;
use crate::calls::StreamUpgrade;

/// The profile of `/media`.
const MEDIA_PROFILE: &str = "default";

/// `/twilio`: the stream itself says its profile, or the called number does.
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Problem> {
    accept(&app, None, request).await
}

/// `/twilio/{profile}`.
pub(super) async fn stream_as(
    State(app): State<Arc<App>>,
    Name(profile): Name,
    request: Request,
) -> Result<Response, Problem> {
    accept(&app, Some(profile), request).await
}

/// `/media`.
pub(super) async fn default_stream(
    State(app): State<Arc<App>>,
    request: Request,
) -> Result<Response, Problem> {
    accept(&app, Some(MEDIA_PROFILE.to_owned()), request).await
}

/// The signature first: who has none learns nothing else.
async fn accept(
    app: &Arc<App>,
    profile: Option<String>,
    request: Request,
) -> Result<Response, Problem> {
    let (mut parts, _body) = request.into_parts();
    check_handshake(app, &parts)?;
    if let Some(profile) = &profile {
        profile_named(app, profile)?;
    }
    let upgrade = StreamUpgrade::from_request_parts(&mut parts, app).await;
    let upgrade = upgrade.map_err(|_| Problem::upgrade_required())?;
    let base = visitor(&parts).base.clone();
    Ok(upgrade.accept(Arc::clone(&app.gateway), profile, base))
}
