//! Twilio's requests: reading their form, and believing them only with the right signature.

use std::sync::Arc;

use axum::extract::{FromRequest, Request};
use bytes::BytesMut;
use http::header::CONTENT_TYPE;
use http::request::Parts;
use http::{HeaderMap, Method, StatusCode};
use sidetone_twilio::form::{Form, FormError};
use sidetone_twilio::signature::{self, SignatureError, Validator};
use tracing::warn;

use super::App;
use super::access::Visitor;
use super::body;
use super::extract::visitor;
use super::problem::Problem;
use crate::metrics::Rejection;

/// What Twilio posts, but for a few products that post JSON and sign its hash.
const FORM: &[u8] = b"application/x-www-form-urlencoded";

/// A request that Twilio signed, or that nobody could have signed since no auth token is known.
pub(super) struct Webhook {
    /// Who sent it.
    pub(super) visitor: Visitor,
    /// The fields: of the body of a POST, of the query of a GET.
    pub(super) form: Form,
}

impl FromRequest<Arc<App>> for Webhook {
    type Rejection = Problem;

    async fn from_request(request: Request, app: &Arc<App>) -> Result<Self, Problem> {
        let (parts, body) = request.into_parts();
        let visitor = visitor(&parts).clone();
        // Before the body is read: who did not sign is not worth it.
        let signature = claimed_signature(app, &visitor, &parts.headers)?;
        let posted = parts.method == Method::POST;
        let body = if posted {
            body::read(app, body, Form::MAX_BYTES).await?
        } else {
            BytesMut::from(parts.uri.query().unwrap_or_default())
        };
        let form = Form::parse(&body).map_err(|error| refuse_form(app, &error))?;
        if let Some((validator, signature)) = signature {
            let url = visitor.base.url(path_and_query(&parts));
            let checked = if !posted {
                validator.check_get(&url, signature)
            } else if is_form(&parts.headers) {
                validator.check_form(&url, form.pairs(), signature)
            } else {
                validator.check_body(&url, &body, signature)
            };
            checked
                .map_err(|error| refuse_signature(app, &visitor, path_and_query(&parts), &error))?;
        }
        Ok(Self { visitor, form })
    }
}

/// Whether a body is a form, as it is unless its sender says otherwise.
fn is_form(headers: &HeaderMap) -> bool {
    headers.get(CONTENT_TYPE).is_none_or(|kind| {
        let kind = kind.as_bytes().get(..FORM.len());
        kind.is_some_and(|kind| kind.eq_ignore_ascii_case(FORM))
    })
}

/// Refuses a request whose form is not what it has to be.
pub(super) fn refuse_form(app: &App, error: &FormError) -> Problem {
    match error {
        FormError::TooLong { .. } => app.refuse(
            Rejection::BodyTooLarge,
            Problem::body_too_large(Form::MAX_BYTES),
        ),
        _ => app.refuse(
            Rejection::InvalidRequest,
            Problem::invalid_request(format!("This address is for Twilio: {error}.")),
        ),
    }
}

/// Checks the handshake of a media stream.
pub(super) fn check_handshake(app: &App, parts: &Parts) -> Result<(), Problem> {
    let visitor = visitor(parts);
    let Some((validator, signature)) = claimed_signature(app, visitor, &parts.headers)? else {
        return Ok(());
    };
    let path = parts.uri.path();
    let checked = validator.check_handshake(&visitor.base.stream_url(path), signature);
    checked
        .map(drop)
        .map_err(|error| refuse_signature(app, visitor, path, &error))
}

fn path_and_query(parts: &Parts) -> &str {
    parts.uri.path_and_query().map_or("/", |path| path.as_str())
}

/// The signature to be checked and by whom; `None` when there is no auth token to check it with.
fn claimed_signature<'a>(
    app: &'a App,
    visitor: &Visitor,
    headers: &'a HeaderMap,
) -> Result<Option<(&'a Validator, &'a str)>, Problem> {
    let Some(validator) = &app.signatures else {
        return Ok(None);
    };
    let signature = headers
        .get(signature::HEADER)
        .and_then(|signature| signature.to_str().ok());
    match signature {
        Some(signature) => Ok(Some((validator, signature))),
        None => {
            let problem = Problem::forbidden("The request has no X-Twilio-Signature.");
            let problem = app.refuse_sender(visitor, Rejection::Signature, problem);
            if problem.status() == StatusCode::FORBIDDEN {
                let (client, base) = (visitor.client, visitor.base.url(""));
                warn!(%client, base, "A request to an address of Twilio's was not signed at all.");
            }
            Err(problem)
        }
    }
}

/// Refuses a request whose signature is wrong, and tells the operator what to do about it.
fn refuse_signature(app: &App, visitor: &Visitor, path: &str, error: &SignatureError) -> Problem {
    let problem = Problem::forbidden("The X-Twilio-Signature is wrong.");
    let problem = app.refuse_sender(visitor, Rejection::Signature, problem);
    // Who is limited fills no log either.
    if problem.status() == StatusCode::FORBIDDEN {
        let client = visitor.client;
        let remedy = remedy(visitor, path, error);
        warn!(%client, %error, "A request was refused for its X-Twilio-Signature. {remedy}");
    }
    problem
}

fn remedy(visitor: &Visitor, path: &str, error: &SignatureError) -> String {
    if let SignatureError::Mismatch {
        would_match: Some(url),
        ..
    } = error
    {
        return format!("Set SIDETONE_PUBLIC_URL={}", public_url_of(url, path));
    }
    let address = if visitor.base.is_configured() {
        "and SIDETONE_PUBLIC_URL the address in its webhook?"
    } else {
        "and is the request's Host the address in its webhook? Behind a proxy or tunnel set \
         SIDETONE_PUBLIC_URL."
    };
    format!("Is TWILIO_AUTH_TOKEN that of the account the number belongs to, {address}")
}

/// The public URL that makes a signed URL the one assumed.
fn public_url_of(signed: &str, path: &str) -> String {
    let signed = signed.strip_suffix('/').unwrap_or(signed);
    let base = signed
        .strip_suffix(path.trim_end_matches('/'))
        .unwrap_or(signed);
    let with_scheme =
        |ws: &str, http: &str| base.strip_prefix(ws).map(|rest| format!("{http}{rest}"));
    with_scheme("wss://", "https://")
        .or_else(|| with_scheme("ws://", "http://"))
        .unwrap_or_else(|| base.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_remedy_is_the_base_of_the_url_that_matches() {
        for (signed, path, expected) in [
            ("https://a.ngrok.app/voice", "/voice", "https://a.ngrok.app"),
            (
                "https://a.ngrok.app/voice?x=1",
                "/voice?x=1",
                "https://a.ngrok.app",
            ),
            (
                "wss://a.ngrok.app/twilio/",
                "/twilio",
                "https://a.ngrok.app",
            ),
            (
                "ws://10.0.0.5:5000/twilio",
                "/twilio",
                "http://10.0.0.5:5000",
            ),
        ] {
            assert_eq!(public_url_of(signed, path), expected, "{signed}");
        }
    }
}
