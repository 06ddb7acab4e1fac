//! How the emulator says no.

use std::borrow::Cow;
use std::ops::RangeInclusive;

use sidetone_deepgram::error::{ErrorBody, Refusal};

/// An answer other than 101 to a handshake, or other than 200 to a request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refused {
    /// HTTP status.
    pub(super) status: u16,
    /// Goes into the header `dg-error`.
    pub(super) message: Cow<'static, str>,
    /// Goes into the header `Retry-After`.
    pub(super) retry_after_secs: Option<u32>,
    shape: Shape,
}

/// Deepgram has three shapes of error bodies.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Shape {
    Coded { err_code: Cow<'static, str> },
    Categorized { category: &'static str },
    Text,
}

impl Refused {
    /// The refusal that a magic key asks for: `fail-402` for that status.
    pub(super) fn asked_by(key: &str) -> Option<Self> {
        let status = key.strip_prefix("fail-")?.parse().ok()?;
        REFUSALS
            .contains(&status)
            .then(|| Self::with_status(status))
    }

    /// With Deepgram's words for this status; which shape its body has is fixed as well.
    pub(super) fn with_status(status: u16) -> Self {
        let said = |message: &'static str, shape| Self {
            status,
            message: message.into(),
            retry_after_secs: None,
            shape,
        };
        let known = [
            Refusal::INVALID_AUTH,
            Refusal::PAYMENT_REQUIRED,
            Refusal::MODEL_NOT_ALLOWED,
            Refusal::TOO_MANY_REQUESTS,
            Refusal::SERVICE_UNAVAILABLE,
            Refusal::NO_SUCH_COMBINATION,
        ];
        match (
            known.into_iter().find(|refusal| refusal.status == status),
            status,
        ) {
            (Some(refusal), _) => refusal.into(),
            (None, 500) => said(
                "Internal server error.",
                Shape::Categorized {
                    category: "INTERNAL_SERVER_ERROR",
                },
            ),
            (None, 504) => said(
                "The request timed out.",
                Shape::Categorized {
                    category: "TIMEOUT",
                },
            ),
            (None, 502) => said("Bad Gateway", Shape::Text),
            (None, _) => said("Refused on request.", Shape::Text),
        }
    }

    /// The same for a request for speech, where some are said in other words.
    pub(super) fn of_speech_with_status(status: u16) -> Self {
        let known = [
            Refusal::SPEAK_TOO_MANY_CHARACTERS,
            Refusal::SPEAK_MEDIA_TYPE,
            Refusal::SPEAK_UNPROCESSABLE,
            Refusal::SPEAK_TOO_MANY_REQUESTS,
        ];
        let known = known.into_iter().find(|refusal| refusal.status == status);
        known.map_or_else(|| Self::with_status(status), Self::from)
    }

    /// The body.
    pub(super) fn body(&self, request_id: &str) -> ErrorBody {
        let message = self.message.clone().into_owned();
        let request_id = request_id.to_owned();
        match &self.shape {
            Shape::Coded { err_code } => ErrorBody::Coded {
                err_code: err_code.clone().into_owned(),
                err_msg: message,
                request_id: Some(request_id),
            },
            Shape::Categorized { category } => ErrorBody::Categorized {
                category: (*category).to_owned(),
                message,
                details: None,
                request_id: Some(request_id),
            },
            Shape::Text => ErrorBody::Text(message),
        }
    }
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        Self {
            status: refusal.status,
            message: refusal.err_msg,
            retry_after_secs: None,
            shape: Shape::Coded {
                err_code: refusal.err_code.into(),
            },
        }
    }
}

/// The statuses that can be asked for.
pub(super) const REFUSALS: RangeInclusive<u16> = 400..=599;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magic_keys_ask_for_a_status() {
        for status in [400, 401, 402, 403, 429, 500, 502, 503, 504, 418] {
            let refused = Refused::asked_by(&format!("fail-{status}")).unwrap();
            assert_eq!(refused.status, status);
        }
    }

    #[test]
    fn other_keys_ask_for_nothing() {
        for key in [
            "",
            "0123abcd",
            "fail-",
            "fail-200",
            "fail-99999",
            "xfail-402",
        ] {
            assert_eq!(Refused::asked_by(key), None, "{key}");
        }
    }

    #[test]
    fn each_shape_of_body_is_met() {
        let body = |status| Refused::with_status(status).body("id").to_wire();
        assert_eq!(
            body(401),
            r#"{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials.","request_id":"id"}"#
        );
        assert_eq!(
            body(500),
            r#"{"category":"INTERNAL_SERVER_ERROR","message":"Internal server error.","request_id":"id"}"#
        );
        assert_eq!(body(502), "Bad Gateway");
    }
}
