//! The numbers of the account: what they do when they are called.

use std::borrow::Cow;

use jiff::Timestamp;
use serde_json::{Map, Value, json};

use super::answer::{Problem, date};

/// A number, an `IncomingPhoneNumber` in Twilio's words.
#[derive(Debug)]
pub(super) struct Number {
    sid: String,
    phone_number: String,
    created: Timestamp,
    updated: Timestamp,
    /// By the order of [`SETTINGS`].
    settings: [String; SETTINGS.len()],
}

/// What a number can be told.
struct Setting {
    /// In a request.
    parameter: &'static str,
    /// In an answer.
    field: &'static str,
    kind: Kind,
    usual: &'static str,
}

#[derive(Clone, Copy)]
enum Kind {
    Text,
    /// Absolute and of http or https, or empty; the code of the error that it is not.
    Url(u32),
    /// `GET` or `POST`; the code of the error that it is neither.
    Method(u32),
}

const fn setting(
    parameter: &'static str,
    field: &'static str,
    kind: Kind,
    usual: &'static str,
) -> Setting {
    Setting {
        parameter,
        field,
        kind,
        usual,
    }
}

const SETTINGS: [Setting; 7] = [
    setting("FriendlyName", "friendly_name", Kind::Text, ""),
    setting("VoiceUrl", "voice_url", Kind::Url(21_502), ""),
    setting("VoiceMethod", "voice_method", Kind::Method(21_503), "POST"),
    setting(
        "VoiceFallbackUrl",
        "voice_fallback_url",
        Kind::Url(21_504),
        "",
    ),
    setting(
        "VoiceFallbackMethod",
        "voice_fallback_method",
        Kind::Method(21_505),
        "POST",
    ),
    setting("StatusCallback", "status_callback", Kind::Url(21_609), ""),
    setting(
        "StatusCallbackMethod",
        "status_callback_method",
        Kind::Method(20_001),
        "POST",
    ),
];

impl Number {
    /// The account's n-th number, which does nothing yet.
    pub(super) fn new(index: u32, phone_number: String, now: Timestamp) -> Self {
        let mut settings = SETTINGS.map(|setting| setting.usual.to_owned());
        settings[0].clone_from(&phone_number);
        Self {
            sid: format!("PN{index:032x}"),
            phone_number,
            created: now,
            updated: now,
            settings,
        }
    }

    /// Whether the number holds these digits; a `*` stands for any one digit, and nothing for any
    /// number.
    pub(super) fn matches(&self, part: &str) -> bool {
        let (number, part) = (self.phone_number.as_bytes(), part.as_bytes());
        let same = |(digit, asked): (&u8, &u8)| digit == asked || *asked == b'*';
        part.is_empty()
            || number
                .windows(part.len())
                .any(|window| window.iter().zip(part).all(same))
    }

    /// Its sid, if this is the number.
    pub(super) fn sid_of(&self, number: &str) -> Option<&str> {
        (self.phone_number == number).then_some(&self.sid)
    }

    /// Whether this is the last part of its path.
    pub(super) fn is_at(&self, file: &str) -> bool {
        file.strip_suffix(".json") == Some(&self.sid)
    }

    /// Takes what it is told, all or nothing. Parameters that are unknown here change nothing.
    pub(super) fn update<'a>(
        &mut self,
        parameters: impl Iterator<Item = (Cow<'a, str>, Cow<'a, str>)>,
        now: Timestamp,
    ) -> Result<(), Problem> {
        let mut settings = self.settings.clone();
        for (name, value) in parameters {
            let known = SETTINGS.iter().zip(&mut settings);
            for (setting, place) in known.filter(|(setting, _)| setting.parameter == name) {
                *place = setting.read(&value)?;
            }
        }
        self.settings = settings;
        self.updated = now;
        Ok(())
    }

    pub(super) fn to_json(&self, account_sid: &str) -> Value {
        let mut number = Map::new();
        for (setting, value) in SETTINGS.iter().zip(&self.settings) {
            number.insert(setting.field.to_owned(), value.as_str().into());
        }
        let rest = json!({
            "sid": self.sid,
            "account_sid": account_sid,
            "phone_number": self.phone_number,
            "api_version": "2010-04-01",
            "capabilities": { "voice": true, "sms": false, "mms": false, "fax": false },
            "voice_receive_mode": "voice",
            "voice_application_sid": null,
            "trunk_sid": null,
            "beta": false,
            "status": "in-use",
            "date_created": date(self.created),
            "date_updated": date(self.updated),
            "uri": format!("{}/{}.json", list_path(account_sid), self.sid),
        });
        if let Value::Object(rest) = rest {
            number.extend(rest);
        }
        Value::Object(number)
    }
}

impl Setting {
    fn read(&self, value: &str) -> Result<String, Problem> {
        let misfit = |code, what| {
            let message = format!("The '{}' {value} is not {what}.", self.parameter);
            Err(Problem::bad_parameter(code, message))
        };
        match self.kind {
            Kind::Url(code) if !value.is_empty() => {
                let url = value.parse::<url::Url>();
                match url.as_ref().map(url::Url::scheme) {
                    Ok("http" | "https") => Ok(value.to_owned()),
                    _ => misfit(code, "a valid URL"),
                }
            }
            Kind::Method(code) => match value.to_uppercase().as_str() {
                method @ ("GET" | "POST") => Ok(method.to_owned()),
                _ => misfit(code, "GET or POST"),
            },
            Kind::Text | Kind::Url(_) => Ok(value.to_owned()),
        }
    }
}

/// Where the account's numbers are listed.
pub(super) fn list_uri(account_sid: &str) -> String {
    format!("{}.json", list_path(account_sid))
}

fn list_path(account_sid: &str) -> String {
    format!("/2010-04-01/Accounts/{account_sid}/IncomingPhoneNumbers")
}
