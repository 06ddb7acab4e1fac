//! The `auth` parameter of our own streams: proof that our webhook answered the call.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ring::hmac;

use crate::CallSid;

/// An `auth` parameter that is not believed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum StreamAuthError {
    /// Not in the form of [`stream_auth`].
    #[error("the stream's `auth` parameter is malformed")]
    Malformed,
    /// Made with another secret or for another call.
    #[error("the stream's `auth` parameter was not made here for this call")]
    Mismatch,
    /// Made too long ago, or ahead of the clock by as much.
    #[error("the stream's `auth` parameter is {off_secs} s off, allowed are {max_age_secs} s")]
    Expired {
        /// Between its time and now.
        off_secs: u64,
        /// The most that is allowed.
        max_age_secs: u64,
    },
}

/// An `auth` parameter for a stream of `call_sid`, made at `unix_secs`.
///
/// HMAC-SHA256 over call and time; the text is its time in decimal, a dot and the MAC in
/// URL-safe base64.
pub fn stream_auth(secret: &[u8], call_sid: &CallSid, unix_secs: u64) -> String {
    let mac = hmac::sign(&key(secret), signed_text(call_sid, unix_secs).as_bytes());
    format!("{unix_secs}.{}", URL_SAFE_NO_PAD.encode(mac))
}

/// Checks an `auth` parameter that came with a stream of `call_sid`. Compares in constant time.
pub fn verify_stream_auth(
    secret: &[u8],
    call_sid: &CallSid,
    auth: &str,
    now_unix_secs: u64,
    max_age_secs: u64,
) -> Result<(), StreamAuthError> {
    let (time, mac) = auth.split_once('.').ok_or(StreamAuthError::Malformed)?;
    let unix_secs: u64 = time.parse().map_err(|_| StreamAuthError::Malformed)?;
    let mac = URL_SAFE_NO_PAD
        .decode(mac)
        .map_err(|_| StreamAuthError::Malformed)?;
    hmac::verify(
        &key(secret),
        signed_text(call_sid, unix_secs).as_bytes(),
        &mac,
    )
    .map_err(|_| StreamAuthError::Mismatch)?;
    let off_secs = now_unix_secs.abs_diff(unix_secs);
    if off_secs > max_age_secs {
        return Err(StreamAuthError::Expired {
            off_secs,
            max_age_secs,
        });
    }
    Ok(())
}

fn key(secret: &[u8]) -> hmac::Key {
    hmac::Key::new(hmac::HMAC_SHA256, secret)
}

/// The prefix keeps these MACs apart from others made with the same secret.
fn signed_text(call_sid: &CallSid, unix_secs: u64) -> String {
    format!("stream-auth\n{call_sid}\n{unix_secs}")
}
