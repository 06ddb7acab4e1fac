//! The media stream's handshake.

use std::sync::Arc;

use axum::extract::{FromRequestParts, Path, Request, State};
use axum::response::{IntoResponse, Response};

use super::App;
use super::problem::Problem;
use super::voice::profile_named;
use super::webhook::check_handshake;
use crate::calls::StreamUpgrade;

/// The profile of `/media`.
const MEDIA_PROFILE: &str = "default";

/// `/twilio`: the stream itself says its profile, or the called number does.
pub(super) async fn stream(State(app): State<Arc<App>>, request: Request) -> Response {
    accept(&app, None, request)
        .await
        .unwrap_or_else(|refused| refused)
}

/// `/twilio/{profile}`.
pub(super) async fn stream_as(
    State(app): State<Arc<App>>,
    Path(profile): Path<String>,
    request: Request,
) -> Response {
    accept(&app, Some(profile), request)
        .await
        .unwrap_or_else(|refused| refused)
}

/// `/media`.
pub(super) async fn default_stream(State(app): State<Arc<App>>, request: Request) -> Response {
    let profile = Some(MEDIA_PROFILE.to_owned());
    accept(&app, profile, request)
        .await
        .unwrap_or_else(|refused| refused)
}

/// The signature first: who has none learns nothing else.
async fn accept(
    app: &Arc<App>,
    profile: Option<String>,
    request: Request,
) -> Result<Response, Response> {
    let (mut parts, _body) = request.into_parts();
    check_handshake(app, &parts)?;
    if let Some(profile) = &profile {
        profile_named(app, profile)?;
    }
    let upgrade = StreamUpgrade::from_request_parts(&mut parts, app)
        .await
        .map_err(|_| Problem::upgrade_required().into_response())?;
    Ok(upgrade.accept(Arc::clone(&app.gateway), profile))
}
