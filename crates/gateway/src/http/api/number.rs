//! Phone numbers in requests.

use serde::Deserialize;

use super::super::App;
use super::super::problem::Problem;

/// A number in E.164.
#[derive(Clone, Deserialize)]
#[serde(try_from = "String")]
pub(super) struct Number(String);

impl Number {
    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Refuses a number that may not be dialled.
    pub(super) fn check_allowed(&self, app: &App) -> Result<(), Problem> {
        if app.gateway.config.twilio.may_dial(&self.0) {
            return Ok(());
        }
        Err(Problem::forbidden(format!(
            "{} may not be dialled: it begins with none of twilio.allow_destinations.",
            self.0
        )))
    }
}

impl TryFrom<String> for Number {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let digits = text.strip_prefix('+').unwrap_or_default();
        let is_e164 = (2..=15).contains(&digits.len())
            && digits.bytes().all(|byte| byte.is_ascii_digit())
            && !digits.starts_with('0');
        if is_e164 {
            return Ok(Self(text));
        }
        let found: String = text.chars().take(40).collect();
        Err(format!("`{found}` is no number such as +15551230002"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_a_plus_and_its_digits() {
        for text in ["+15551230002", "+4930123456", "+12"] {
            assert_eq!(Number::try_from(text.to_owned()).unwrap().as_str(), text);
        }
        for text in [
            "",
            "+",
            "+1",
            "15551230002",
            "+0123456",
            "+1 555 123 0002",
            "+1234567890123456",
            "client:jane",
            "+1555123000a",
        ] {
            assert!(Number::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
