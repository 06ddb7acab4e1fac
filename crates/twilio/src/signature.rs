//! `X-Twilio-Signature`: signing requests as Twilio does, and checking them.
//!
//! Twilio signs the URL it was told to request, byte for byte, followed by the sorted form
//! parameters of a POST, with the account's auth token. What a server sees of that URL differs in
//! small ways (a default port, a proxy's scheme, a slash after a WebSocket's path), so
//! [`Validator`] accepts the variants Twilio itself may have signed, and on a failure says which
//! other URL would have matched.

mod stream_auth;
mod url;

use std::collections::BTreeSet;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use secrecy::{ExposeSecret, SecretString};

use self::url::SignedUrl;

pub use self::stream_auth::{StreamAuthError, stream_auth, verify_stream_auth};

/// The header that carries the signature.
pub const HEADER: &str = "X-Twilio-Signature";

/// Signs a request as Twilio does, with an auth token and HMAC-SHA1.
///
/// `url` is signed as it stands, but without user and password. `params` are the decoded form
/// fields of a POST, in any order; none for GET, JSON bodies and WebSocket handshakes.
///
/// ```
/// use sidetone_twilio::signature::sign;
///
/// let params = [
///     ("CallSid", "CA1234567890ABCDE"),
///     ("Caller", "+14158675310"),
///     ("Digits", "1234"),
///     ("From", "+14158675310"),
///     ("To", "+18005551212"),
/// ];
/// let signature = sign("12345", "https://example.com/myapp.php?foo=1&bar=2", &params);
/// assert_eq!(signature, "L/OH5YylLD5NRKLltdqwSvS0BnU=");
/// ```
pub fn sign<K: AsRef<str>, V: AsRef<str>>(token: &str, url: &str, params: &[(K, V)]) -> String {
    sign_with(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, token, url, params)
}

/// Signs a request with a shared key and HMAC-SHA256, else as [`sign`] does.
///
/// Twilio names key and algorithm in the header `X-Twilio-Webhooks-Signature-Settings`.
pub fn sign_sha256<K: AsRef<str>, V: AsRef<str>>(
    key: &str,
    url: &str,
    params: &[(K, V)],
) -> String {
    sign_with(hmac::HMAC_SHA256, key, url, params)
}

fn sign_with<K: AsRef<str>, V: AsRef<str>>(
    algorithm: hmac::Algorithm,
    key: &str,
    url: &str,
    params: &[(K, V)],
) -> String {
    let key = hmac::Key::new(algorithm, key.as_bytes());
    let text = format!("{}{}", SignedUrl::parse(url), signed_params(params));
    STANDARD.encode(hmac::sign(&key, text.as_bytes()))
}

/// The URL to sign and to request when a body that is not a form goes with it: `url` with the
/// body's SHA-256 as the query parameter `bodySHA256`.
pub fn url_with_body_hash(url: &str, body: &[u8]) -> String {
    let separator = if url.contains('?') { '&' } else { '?' };
    format!("{url}{separator}{BODY_HASH}={}", sha256_hex(body))
}

const BODY_HASH: &str = "bodySHA256";

/// Checks requests against the auth tokens of an account.
pub struct Validator {
    keys: Vec<hmac::Key>,
}

/// A request that Twilio signed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Accepted {
    /// The URL as Twilio signed it.
    pub url: String,
    /// Which token it was signed with, counted from 0: during a rotation, whether the old one is
    /// still in use.
    pub token_index: usize,
}

/// A request that Twilio did not sign, as far as can be told.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// The header holds no HMAC-SHA1.
    #[error("the signature is not base64 of 20 bytes")]
    Malformed,
    /// The signature is of another request or made with another token.
    #[error("{}", mismatch_text(assumed_url, would_match.as_deref()))]
    Mismatch {
        /// The URL Twilio was assumed to have requested.
        assumed_url: String,
        /// A URL under which the signature is right: the server mistakes its scheme or path.
        would_match: Option<String>,
    },
    /// The URL is signed, but its `bodySHA256` is missing or of another body.
    #[error("the query parameter `bodySHA256` is not the hash of the body")]
    WrongBody,
}

fn mismatch_text(assumed_url: &str, would_match: Option<&str>) -> String {
    match would_match {
        Some(url) => format!("the signature is not of `{assumed_url}` but of `{url}`"),
        None => format!("the signature is not of `{assumed_url}` with any known auth token"),
    }
}

impl Validator {
    /// A validator that accepts each of `tokens`: one, or two while they are being rotated.
    pub fn new<'a>(tokens: impl IntoIterator<Item = &'a SecretString>) -> Self {
        let key = |token: &SecretString| {
            let secret = token.expose_secret().as_bytes();
            hmac::Key::new(hmac::HMAC_SHA1_FOR_LEGACY_USE_ONLY, secret)
        };
        Self {
            keys: tokens.into_iter().map(key).collect(),
        }
    }

    /// Checks a form POST; `params` are all fields of the body, decoded once, in any order.
    pub fn check_form<K: AsRef<str>, V: AsRef<str>>(
        &self,
        url: &str,
        params: &[(K, V)],
        signature: &str,
    ) -> Result<Accepted, SignatureError> {
        let url = SignedUrl::parse(url);
        self.check(
            &url,
            url.request_variants(),
            &signed_params(params),
            signature,
        )
    }

    /// Checks a GET, whose parameters are in the query of `url`.
    pub fn check_get(&self, url: &str, signature: &str) -> Result<Accepted, SignatureError> {
        let url = SignedUrl::parse(url);
        self.check(&url, url.request_variants(), "", signature)
    }

    /// Checks a POST whose body is no form, such as JSON: its hash is in the query of `url`.
    pub fn check_body(
        &self,
        url: &str,
        body: &[u8],
        signature: &str,
    ) -> Result<Accepted, SignatureError> {
        let accepted = self.check_get(url, signature)?;
        let hash = sha256_hex(body);
        let query = url.split_once('?').map_or("", |(_, query)| query);
        let hashed = form_urlencoded::parse(query.as_bytes())
            .any(|(key, value)| key == BODY_HASH && value.eq_ignore_ascii_case(&hash));
        if hashed {
            Ok(accepted)
        } else {
            Err(SignatureError::WrongBody)
        }
    }

    /// Checks a WebSocket handshake, with and without a slash at the end of its path.
    ///
    /// Twilio signs the `wss` URL of the `<Stream>`; an `https` or `http` URL is read as `wss` or
    /// `ws`.
    pub fn check_handshake(&self, url: &str, signature: &str) -> Result<Accepted, SignatureError> {
        let url = SignedUrl::parse(url).for_websocket();
        self.check(&url, url.handshake_variants(), "", signature)
    }

    fn check(
        &self,
        assumed: &SignedUrl<'_>,
        accepted: Vec<SignedUrl<'_>>,
        params: &str,
        signature: &str,
    ) -> Result<Accepted, SignatureError> {
        let tag = STANDARD
            .decode(signature.trim())
            .map_err(|_| SignatureError::Malformed)?;
        if tag.len() != digest::SHA1_OUTPUT_LEN {
            return Err(SignatureError::Malformed);
        }
        let find = |urls: Vec<SignedUrl<'_>>| {
            urls.into_iter().find_map(|url| {
                let url = url.to_string();
                let text = format!("{url}{params}");
                // `hmac::verify` compares in constant time.
                let matches = |key| hmac::verify(key, text.as_bytes(), &tag).is_ok();
                let token_index = self.keys.iter().position(matches)?;
                Some(Accepted { url, token_index })
            })
        };
        find(accepted).ok_or_else(|| SignatureError::Mismatch {
            assumed_url: assumed.to_string(),
            would_match: find(assumed.near_misses()).map(|found| found.url),
        })
    }
}

impl fmt::Debug for Validator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Validator({} tokens)", self.keys.len())
    }
}

/// What the parameters add to the URL: keys in order of their bytes, under each key its distinct
/// values in order, without separators.
fn signed_params<K: AsRef<str>, V: AsRef<str>>(params: &[(K, V)]) -> String {
    let sorted: BTreeSet<(&str, &str)> = params
        .iter()
        .map(|(key, value)| (key.as_ref(), value.as_ref()))
        .collect();
    sorted
        .into_iter()
        .flat_map(|(key, value)| [key, value])
        .collect()
}

fn sha256_hex(body: &[u8]) -> String {
    let digest = digest::digest(&digest::SHA256, body);
    digest
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

#[cfg(test)]
mod tests;
