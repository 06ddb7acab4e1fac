//! The body of a request for speech.

use serde::{Deserialize, Serialize};

use super::pieces::MOST_CHARS;
use crate::error::Refusal;

/// The longest body that Deepgram reads.
pub const MAX_BODY_BYTES: usize = 2 << 20;

/// The body that asks for `text` to be spoken; its content type is `application/json`.
///
/// Deepgram speaks 1 to [`MOST_CHARS`] characters.
pub fn body(text: &str) -> String {
    #[derive(Serialize)]
    struct Body<'a> {
        text: &'a str,
    }
    serde_json::to_string(&Body { text }).expect("a string always serializes")
}

/// The text that a body asks for, as Deepgram reads it: for an emulator.
///
/// A body names a `text` or a `url` with the text; nothing is fetched here.
///
/// # Errors
/// What Deepgram answers.
pub fn parse(content_type: Option<&str>, body: &[u8]) -> Result<String, Refusal> {
    if body.len() > MAX_BODY_BYTES {
        return Err(Refusal::SPEAK_BODY_TOO_LARGE);
    }
    let content_type = content_type.unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    let text = if essence.eq_ignore_ascii_case("text/plain") {
        utf8(body)?.to_owned()
    } else if essence.eq_ignore_ascii_case("application/json") {
        of_json(utf8(body)?)?
    } else {
        return Err(Refusal::SPEAK_MEDIA_TYPE);
    };
    if text.trim().is_empty() {
        Err(Refusal::SPEAK_NO_CHARACTERS)
    } else if text.chars().count() > MOST_CHARS {
        Err(Refusal::SPEAK_TOO_MANY_CHARACTERS)
    } else {
        Ok(text)
    }
}

fn utf8(body: &[u8]) -> Result<&str, Refusal> {
    std::str::from_utf8(body).map_err(|_| Refusal::SPEAK_NOT_UTF8)
}

fn of_json(body: &str) -> Result<String, Refusal> {
    #[derive(Deserialize)]
    struct Body {
        text: Option<String>,
        url: Option<String>,
    }
    let read = serde_json::from_str(body).map_err(|_| Refusal::SPEAK_BAD_JSON)?;
    match read {
        Body {
            text: Some(text),
            url: None,
        } => Ok(text),
        Body {
            text: None,
            url: Some(_),
        } => Err(Refusal::SPEAK_UNPROCESSABLE),
        Body { .. } => Err(Refusal::SPEAK_BAD_JSON),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const JSON: Option<&str> = Some("application/json");

    #[track_caller]
    fn check_refused(content_type: Option<&str>, body: &[u8], status: u16, words: &str) {
        let refusal = parse(content_type, body).unwrap_err();
        assert_eq!(refusal.status, status);
        assert!(refusal.err_msg.contains(words), "{}", refusal.err_msg);
    }

    #[test]
    fn what_is_asked_for_is_read_as_it_was_written() {
        for text in [
            "Hello!",
            "a \"quoted\"\nline \u{1F600}",
            r#"\{"word":"x"\}"#,
        ] {
            assert_eq!(parse(JSON, body(text).as_bytes()), Ok(text.to_owned()));
            let plain = Some("Text/Plain; charset=utf-8");
            assert_eq!(parse(plain, text.as_bytes()), Ok(text.to_owned()));
        }
        assert_eq!(body("Hi \"you\""), r#"{"text":"Hi \"you\""}"#);
    }

    #[test]
    fn a_text_may_have_two_thousand_characters_however_many_bytes() {
        let longest = "\u{1F600}".repeat(MOST_CHARS);
        assert!(parse(JSON, body(&longest).as_bytes()).is_ok());
        let longer = longest + ".";
        check_refused(JSON, body(&longer).as_bytes(), 413, "limit of 2000");
        check_refused(JSON, &vec![b' '; MAX_BODY_BYTES + 1], 413, "2 MB");
    }

    #[test]
    fn what_asks_for_no_speech_is_refused_in_deepgrams_words() {
        for body in [
            "",
            "{",
            "[]",
            "{}",
            r#"{"text":5}"#,
            r#"{"text":"a","url":"b"}"#,
        ] {
            check_refused(JSON, body.as_bytes(), 400, "exactly one of `text` or `url`");
        }
        for body in [r#"{"text":""}"#, r#"{"text":" \n"}"#] {
            check_refused(JSON, body.as_bytes(), 400, "no characters");
        }
        check_refused(JSON, b"\xFF\xFE", 400, "UTF-8");
        check_refused(JSON, br#"{"url":"http://example.com"}"#, 422, "Failed");
        for content_type in [None, Some(""), Some("audio/wav"), Some("application/jsonx")] {
            check_refused(content_type, b"{}", 415, "must be either");
        }
    }
}
