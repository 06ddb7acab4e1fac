//! How Deepgram says no: the bodies of refused requests and handshakes.
//!
//! Three shapes are in use side by side: JSON with `err_code` and `err_msg`, JSON with `category`
//! and `message`, and plain text. A refused WebSocket handshake repeats the message in the header
//! `dg-error`.

use std::borrow::Cow;

use serde::{Deserialize, Serialize};

/// What a refusal says, in one line for people: at most 300 characters, none of them control
/// characters.
///
/// `dg_error` is the response header of that name; `body` may be any bytes. The body counts when
/// it is one of Deepgram's JSON shapes, else the header, else the body's text. A page of markup
/// (from a proxy on the way) says nothing about Deepgram and is left out.
pub fn words(dg_error: Option<&str>, body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let said = match ErrorBody::parse(&text) {
        ErrorBody::Text(plain) => {
            let header = dg_error.filter(|header| !header.trim().is_empty());
            let markup = plain.trim_start().starts_with('<');
            header.map_or_else(|| if markup { String::new() } else { plain }, str::to_owned)
        }
        structured => structured.words(),
    };
    let said = one_line(&said, MAX_WORDS_CHARS);
    if said.is_empty() {
        "Deepgram gave no reason".to_owned()
    } else {
        said
    }
}

/// The body of a refusal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum ErrorBody {
    /// `err_code` and `err_msg`: the usual shape.
    Coded {
        /// A code in capitals, or the HTTP status in words.
        err_code: String,
        /// A sentence.
        err_msg: String,
        /// Deepgram's id of the request.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
    /// `category` and `message`.
    Categorized {
        /// A code in capitals.
        category: String,
        /// A sentence.
        message: String,
        /// What exactly was wrong.
        #[serde(skip_serializing_if = "Option::is_none")]
        details: Option<String>,
        /// Deepgram's id of the request.
        #[serde(skip_serializing_if = "Option::is_none")]
        request_id: Option<String>,
    },
    /// Anything else, as it came.
    Text(String),
}

impl ErrorBody {
    /// Reads a body of any of the three shapes; what is no JSON object with one of the known
    /// fields is [`ErrorBody::Text`].
    pub fn parse(body: &str) -> Self {
        let Ok(loose) = serde_json::from_str::<LooseBody>(body) else {
            return Self::Text(body.to_owned());
        };
        match loose {
            LooseBody {
                err_code,
                err_msg,
                request_id,
                ..
            } if err_code.is_some() || err_msg.is_some() => Self::Coded {
                err_code: err_code.unwrap_or_default(),
                err_msg: err_msg.unwrap_or_default(),
                request_id,
            },
            LooseBody {
                category,
                message,
                details,
                request_id,
                ..
            } if category.is_some() || message.is_some() => Self::Categorized {
                category: category.unwrap_or_default(),
                message: message.unwrap_or_default(),
                details,
                request_id,
            },
            _ => Self::Text(body.to_owned()),
        }
    }

    /// The body as it goes over the wire.
    pub fn to_wire(&self) -> String {
        match self {
            Self::Text(text) => text.clone(),
            Self::Coded { .. } | Self::Categorized { .. } => {
                serde_json::to_string(self).expect("strings always serialize")
            }
        }
    }

    fn words(&self) -> String {
        let sentence = |message: &str, code: &str| match (message, code) {
            ("", code) => code.to_owned(),
            (message, "") => message.to_owned(),
            (message, code) => format!("{message} ({code})"),
        };
        match self {
            Self::Coded {
                err_code, err_msg, ..
            } => sentence(err_msg, err_code),
            Self::Categorized {
                category,
                message,
                details,
                ..
            } => {
                let said = sentence(message, category);
                details
                    .as_ref()
                    .map_or_else(|| said.clone(), |details| format!("{said}: {details}"))
            }
            Self::Text(text) => text.clone(),
        }
    }
}

/// A refusal as Deepgram gives it at a handshake: for an emulator.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: u16,
    /// `err_code` of the body.
    pub err_code: &'static str,
    /// `err_msg` of the body, and the header `dg-error`.
    pub err_msg: Cow<'static, str>,
}

impl Refusal {
    /// The key is wrong or missing.
    pub const INVALID_AUTH: Self = Self::new(401, "INVALID_AUTH", "Invalid credentials.");
    /// The project has no credit.
    pub const PAYMENT_REQUIRED: Self = Self::new(
        402,
        "ASR_PAYMENT_REQUIRED",
        "Project does not have enough credits for an ASR request and does not have an overage \
         agreement.",
    );
    /// The model is not open to the project, or does not exist.
    pub const MODEL_NOT_ALLOWED: Self = Self::new(
        403,
        "INSUFFICIENT_PERMISSIONS",
        "Project does not have access to the requested model.",
    );
    /// Too many connections at once.
    pub const TOO_MANY_REQUESTS: Self = Self::new(
        429,
        "TOO_MANY_REQUESTS",
        "Too many requests. Please try again later",
    );
    /// Deepgram is ill.
    pub const SERVICE_UNAVAILABLE: Self =
        Self::new(503, "Service Unavailable", "Please try again later");
    /// Model, language and tier do not go together.
    pub const NO_SUCH_COMBINATION: Self = Self::new(
        400,
        "Bad Request",
        "Bad Request: No such model/language/tier combination found.",
    );
    /// `keywords` with a nova-3 model.
    pub const KEYWORDS_WITH_NOVA_3: Self = Self::new(
        400,
        "INVALID_QUERY_PARAMETER",
        "Keywords are not supported for Nova-3. Please use `keyterm` instead.",
    );
    /// `diarize_model` together with `diarize`.
    pub const DIARIZE_TWICE: Self = Self::new(
        400,
        "INVALID_QUERY_PARAMETER",
        "diarize_model cannot be used together with diarize or diarize_version.",
    );
    /// `summarize` on a live socket.
    pub const SUMMARIZE_LIVE: Self = Self::new(
        400,
        "INVALID_QUERY_PARAMETER",
        "Summarization is not available for streaming.",
    );
    /// `topics` or `intents` on a live socket.
    pub const BATCH_FEATURE: Self = Self::new(
        403,
        "UNAUTHORIZED_FEATURES_REQUESTED",
        "The requested features are not available for streaming.",
    );

    /// A text without a character to speak.
    pub const SPEAK_NO_CHARACTERS: Self =
        Self::new(400, "Bad Request", "Input text contains no characters.");
    /// A request for speech that is no JSON, or names no text.
    pub const SPEAK_BAD_JSON: Self = Self::new(
        400,
        "PAYLOAD_ERROR",
        "Failed to deserialize JSON payload. Please specify exactly one of `text` or `url` in the \
         JSON body.",
    );
    /// A request for speech in another coding of text.
    pub const SPEAK_NOT_UTF8: Self =
        Self::new(400, "PAYLOAD_ERROR", "Failed to decode payload as UTF-8.");
    /// More than 2 MB that ask for speech.
    pub const SPEAK_BODY_TOO_LARGE: Self = Self::new(
        413,
        "PAYLOAD_TOO_LARGE",
        "Payload size exceeds limit of 2 MB.",
    );
    /// More characters than one request may have spoken.
    pub const SPEAK_TOO_MANY_CHARACTERS: Self = Self::new(
        413,
        "Payload Too Large",
        "Input text exceeds maximum character limit of 2000.",
    );
    /// A request for speech that is neither text nor JSON.
    pub const SPEAK_MEDIA_TYPE: Self = Self::new(
        415,
        "UNSUPPORTED_MEDIA_TYPE",
        "The Content-Type must be either `text/plain` or `application/json`.",
    );
    /// A text that cannot be spoken.
    pub const SPEAK_UNPROCESSABLE: Self =
        Self::new(422, "UNPROCESSABLE_ENTITY", "Failed to handle request.");
    /// Too much speech asked for at once.
    pub const SPEAK_TOO_MANY_REQUESTS: Self =
        Self::new(429, "Too Many Requests", "Please try again later.");

    /// A refusal with a fixed text.
    pub const fn new(status: u16, err_code: &'static str, err_msg: &'static str) -> Self {
        Self {
            status,
            err_code,
            err_msg: Cow::Borrowed(err_msg),
        }
    }

    /// A query parameter that cannot be read.
    pub fn bad_query(detail: &str) -> Self {
        Self {
            status: 400,
            err_code: "INVALID_QUERY_PARAMETER",
            err_msg: format!("Failed to deserialize query parameters: {detail}").into(),
        }
    }

    /// Audio that cannot be made as it was asked for.
    pub fn unsupported_audio(what: &str) -> Self {
        Self {
            status: 400,
            err_code: "INVALID_QUERY_PARAMETER",
            err_msg: format!("Unsupported audio format: {what}").into(),
        }
    }

    /// The body that goes with it.
    pub fn body(&self, request_id: &str) -> ErrorBody {
        ErrorBody::Coded {
            err_code: self.err_code.to_owned(),
            err_msg: self.err_msg.clone().into_owned(),
            request_id: Some(request_id.to_owned()),
        }
    }
}

/// Every field of every shape; `error_code` is an older spelling of `err_code`.
#[derive(Deserialize)]
struct LooseBody {
    #[serde(alias = "error_code")]
    err_code: Option<String>,
    err_msg: Option<String>,
    category: Option<String>,
    message: Option<String>,
    details: Option<String>,
    request_id: Option<String>,
}

/// Why a connection is gone, by its close code and the reason given for it, for people.
pub(crate) fn close_reason(code: Option<u16>, reason: &str) -> String {
    match (code, reason) {
        (Some(code), "") => format!("closed with {code}"),
        (Some(code), reason) => format!("closed with {code}: {reason}"),
        (None, "") => "the connection broke".to_owned(),
        (None, reason) => reason.to_owned(),
    }
}

/// `text` without control characters and runs of white space, cut to `max_chars`.
pub(crate) fn one_line(text: &str, max_chars: usize) -> String {
    let words: Vec<&str> = text
        .split(|c: char| c.is_whitespace() || c.is_control())
        .filter(|w| !w.is_empty())
        .collect();
    words.join(" ").chars().take(max_chars).collect()
}

const MAX_WORDS_CHARS: usize = 300;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_shape_of_a_refusal_becomes_words() {
        let cases: [(Option<&str>, &str, &str); 8] = [
            (
                None,
                r#"{"err_code":"INVALID_AUTH","err_msg":"Invalid credentials.","request_id":"u"}"#,
                "Invalid credentials. (INVALID_AUTH)",
            ),
            (None, r#"{"error_code":"OVERLOADED"}"#, "OVERLOADED"),
            (
                Some("ignored when the body tells more"),
                r#"{"category":"INVALID_JSON","message":"Invalid JSON submitted.","details":"line 7"}"#,
                "Invalid JSON submitted. (INVALID_JSON): line 7",
            ),
            (
                None,
                "UUID parsing failed:\r\n\tinvalid length",
                "UUID parsing failed: invalid length",
            ),
            (Some("Invalid credentials."), "", "Invalid credentials."),
            (
                Some("upstream says no"),
                "<html>Bad gateway</html>",
                "upstream says no",
            ),
            (None, "<html>Bad gateway</html>", "Deepgram gave no reason"),
            (Some(" "), "", "Deepgram gave no reason"),
        ];
        for (header, body, expected) in cases {
            assert_eq!(words(header, body.as_bytes()), expected);
        }
    }

    #[test]
    fn hostile_bodies_are_bounded_and_printable() {
        let body = "\u{1b}[31mred\u{0}\n".repeat(10_000);
        let said = words(None, body.as_bytes());
        assert_eq!(said.chars().count(), 300);
        assert!(!said.chars().any(char::is_control));
        assert_eq!(words(None, &[0xFF, 0xFE]), "\u{FFFD}\u{FFFD}");
    }

    #[test]
    fn a_refusal_reads_back_as_it_was_written() {
        let body = Refusal::TOO_MANY_REQUESTS.body("8c8e");
        assert_eq!(
            body.to_wire(),
            r#"{"err_code":"TOO_MANY_REQUESTS","err_msg":"Too many requests. Please try again later","request_id":"8c8e"}"#
        );
        assert_eq!(ErrorBody::parse(&body.to_wire()), body);
        assert_eq!(ErrorBody::Text("plain".into()).to_wire(), "plain");
    }
}
