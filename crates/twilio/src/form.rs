//! The forms of Twilio's requests: voice webhooks, status callbacks of streams and of calls.
//!
//! Twilio adds fields without notice, so a [`Form`] keeps every pair (a signature is over all of
//! them) and the typed views read what is known. Each view also writes the form, with the fields
//! of real requests, for whoever plays Twilio.

mod call;
mod stream;
mod voice;

pub use call::{CallProgress, CallStatus};
pub use stream::{StreamEvent, StreamStatus};
pub use voice::{DialOutcome, Direction, Place, VoiceRequest};

use std::fmt;
use std::str::FromStr;

use crate::SidError;

/// The pairs of a urlencoded body or query, decoded once, in their order.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Form {
    pairs: Vec<(String, String)>,
}

/// A request that is not a form Twilio would send.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum FormError {
    /// More than [`Form::MAX_BYTES`].
    #[error("the form has {found} bytes, allowed are {}", Form::MAX_BYTES)]
    TooLong {
        /// Bytes of the form.
        found: usize,
    },
    /// More than [`Form::MAX_PAIRS`].
    #[error("the form has more than {} fields", Form::MAX_PAIRS)]
    TooManyPairs,
    /// A field that must be there is missing or empty.
    #[error("the form has no `{field}`")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field that must be a sid is none.
    #[error("the form's `{field}` is wrong")]
    BadSid {
        /// Its name.
        field: &'static str,
        /// What it holds.
        source: SidError,
    },
}

impl Form {
    /// The longest form that is read.
    pub const MAX_BYTES: usize = 64 * 1024;

    /// The most fields that are read.
    pub const MAX_PAIRS: usize = 500;

    /// Reads a body or a query without its question mark.
    pub fn parse(urlencoded: &[u8]) -> Result<Self, FormError> {
        if urlencoded.len() > Self::MAX_BYTES {
            return Err(FormError::TooLong {
                found: urlencoded.len(),
            });
        }
        let mut form = Self::default();
        for (key, value) in form_urlencoded::parse(urlencoded) {
            if form.pairs.len() == Self::MAX_PAIRS {
                return Err(FormError::TooManyPairs);
            }
            form.push(key, value);
        }
        Ok(form)
    }

    /// Appends a field.
    pub fn push(&mut self, key: impl Into<String>, value: impl Into<String>) {
        self.pairs.push((key.into(), value.into()));
    }

    /// All fields, as a signature wants them.
    pub fn pairs(&self) -> &[(String, String)] {
        &self.pairs
    }

    /// The first value of a field that is not empty: Twilio sends what it does not know as empty.
    pub fn value(&self, key: &str) -> Option<&str> {
        let known = |(name, value): &&(String, String)| name == key && !value.is_empty();
        self.pairs
            .iter()
            .find(known)
            .map(|(_, value)| value.as_str())
    }

    /// The form as a body or query.
    pub fn encode(&self) -> String {
        form_urlencoded::Serializer::new(String::new())
            .extend_pairs(&self.pairs)
            .finish()
    }

    fn text(&self, key: &str) -> Option<String> {
        self.value(key).map(Into::into)
    }

    /// A field that is of use when it is right and of no harm when it is not.
    fn hint<T: FromStr>(&self, key: &str) -> Option<T> {
        self.value(key)?.parse().ok()
    }

    fn sid<T: FromStr<Err = SidError>>(&self, field: &'static str) -> Result<T, FormError> {
        let value = self.value(field).ok_or(FormError::Missing { field })?;
        value
            .parse()
            .map_err(|source| FormError::BadSid { field, source })
    }
}

/// Values are callers' data, so only the names of the fields are shown.
impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list()
            .entries(self.pairs.iter().map(|(key, _)| key))
            .finish()
    }
}

#[cfg(test)]
mod tests;
