//! Twilio's identifiers: two letters and 32 hexadecimal digits.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// A text that is not a SID of the expected kind.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{found}` is no {kind} sid: expected {prefix} and 32 hexadecimal digits")]
pub struct SidError {
    kind: &'static str,
    prefix: &'static str,
    found: String,
}

macro_rules! sid {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $prefix:literal) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(Box<str>);

        impl $name {
            /// The sid as Twilio writes it.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = SidError;

            fn from_str(text: &str) -> Result<Self, SidError> {
                let digits = text.strip_prefix($prefix);
                if digits.is_some_and(|d| d.len() == 32 && d.bytes().all(|b| b.is_ascii_hexdigit())) {
                    return Ok(Self(text.into()));
                }
                let found = text.chars().take(40).collect();
                Err(SidError { kind: $kind, prefix: $prefix, found })
            }
        }

        impl TryFrom<String> for $name {
            type Error = SidError;

            fn try_from(text: String) -> Result<Self, SidError> {
                text.parse()
            }
        }

        impl From<$name> for String {
            fn from(sid: $name) -> Self {
                sid.0.into()
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

sid!(
    /// A call, `CA…`.
    CallSid, "call", "CA"
);
sid!(
    /// A media stream of a call, `MZ…`.
    StreamSid, "stream", "MZ"
);
sid!(
    /// An account, `AC…`.
    AccountSid, "account", "AC"
);
sid!(
    /// A number of an account, `PN…`.
    PhoneNumberSid, "phone number", "PN"
);
