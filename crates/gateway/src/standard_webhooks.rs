//! The signature of requests that we send to others, by the Standard Webhooks scheme
//! (standardwebhooks.com, version 1): who gets one can tell that it is from us, and new.

use std::fmt;
use std::str::FromStr;

use base64::Engine;
use base64::alphabet::STANDARD as ALPHABET;
use base64::engine::general_purpose::{GeneralPurpose, GeneralPurposeConfig};
use base64::engine::{DecodePaddingMode, general_purpose};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use ring::hmac;

const ID: HeaderName = HeaderName::from_static("webhook-id");
const TIMESTAMP: HeaderName = HeaderName::from_static("webhook-timestamp");
const SIGNATURE: HeaderName = HeaderName::from_static("webhook-signature");

/// What a secret begins with.
const PREFIX: &str = "whsec_";

/// Base64 as people paste it: padded or not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &ALPHABET,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// The secret that a receiver shares with us. `Debug` does not show it.
#[derive(Clone)]
pub struct WebhookSecret(hmac::Key);

impl WebhookSecret {
    /// Reads a secret as it is handed out: `whsec_` and base64.
    ///
    /// # Errors
    /// What it has to be; the words do not repeat it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let key = text.trim().strip_prefix(PREFIX);
        let key = key.and_then(|key| BASE64.decode(key).ok());
        match key {
            Some(key) if !key.is_empty() => Ok(Self(hmac::Key::new(hmac::HMAC_SHA256, &key))),
            _ => Err(format!("a secret is `{PREFIX}` and base64 after it")),
        }
    }

    /// The signature of a body that is sent at this moment.
    fn sign(&self, id: &str, timestamp: i64, body: &[u8]) -> String {
        let mut signed = format!("{id}.{timestamp}.").into_bytes();
        signed.extend_from_slice(body);
        let tag = hmac::sign(&self.0, &signed);
        format!("v1,{}", general_purpose::STANDARD.encode(tag))
    }
}

impl FromStr for WebhookSecret {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Self::parse(text)
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("WebhookSecret(..)")
    }
}

/// The header fields of one attempt to send a body. `id` is the same for every attempt, and plain
/// ASCII. Without a secret nothing is signed.
pub(crate) fn headers(
    secret: Option<&WebhookSecret>,
    id: &str,
    sent_at: Timestamp,
    body: &[u8],
) -> HeaderMap {
    let seconds = sent_at.as_second();
    let mut headers = HeaderMap::with_capacity(3);
    let signature = secret.map(|secret| (SIGNATURE, secret.sign(id, seconds, body)));
    let fields = [(ID, id.to_owned()), (TIMESTAMP, seconds.to_string())];
    for (name, value) in fields.into_iter().chain(signature) {
        let value = HeaderValue::try_from(value).expect("ids, numbers and base64 are plain ASCII");
        headers.insert(name, value);
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_signature_is_that_of_the_schemes_own_example() {
        let secret = WebhookSecret::parse("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
        let sent_at = Timestamp::from_second(1_614_265_330).unwrap();
        let id = "msg_p5jXN8AQM9LWM0D4loKWxJek";
        let headers = headers(Some(&secret), id, sent_at, br#"{"test": 2432232314}"#);
        assert_eq!(headers["webhook-id"], id);
        assert_eq!(headers["webhook-timestamp"], "1614265330");
        assert_eq!(
            headers["webhook-signature"],
            "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="
        );
    }

    #[test]
    fn without_a_secret_nothing_is_signed() {
        let headers = headers(None, "1", Timestamp::UNIX_EPOCH, b"{}");
        assert_eq!(headers.len(), 2);
    }

    #[test]
    fn a_secret_is_read_with_or_without_padding_and_never_shown() {
        for text in [
            "whsec_c2VjcmV0IQ==",
            "whsec_c2VjcmV0IQ",
            " whsec_c2VjcmV0IQ\n",
        ] {
            let secret = WebhookSecret::parse(text).unwrap();
            assert_eq!(format!("{secret:?}"), "WebhookSecret(..)");
        }
        for wrong in [
            "",
            "whsec_",
            "c2VjcmV0IQ==",
            "whsec_c2VjcmV0IQ=!",
            "sk_c2VjcmV0",
        ] {
            let words = WebhookSecret::parse(wrong).unwrap_err();
            assert!(!words.contains("c2Vj"), "{words}");
        }
    }
}
