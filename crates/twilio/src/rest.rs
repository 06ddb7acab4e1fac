//! The REST API (`2010-04-01`): requests as values, answers and errors as they come.
//!
//! A [`Request`] says where it goes, what it carries and what is answered; who sends it adds the
//! base URL, the credentials (HTTP Basic, account sid and auth token) and the deadline. Names of
//! fields are Twilio's: PascalCase in a form, snake_case in JSON.
//!
//! ```
//! use sidetone_twilio::AccountSid;
//! use sidetone_twilio::rest::Request;
//!
//! let account: AccountSid = "AC00000000000000000000000000000001".parse()?;
//! let request = Request::phone_numbers(&account, Some("+15005550006"));
//! assert_eq!(
//!     request.path(),
//!     "/2010-04-01/Accounts/AC00000000000000000000000000000001/IncomingPhoneNumbers.json\
//!      ?PageSize=1000&PhoneNumber=%2B15005550006"
//! );
//! let answer = request.answer(br#"{"incoming_phone_numbers":[],"next_page_uri":null}"#)?;
//! assert!(answer.incoming_phone_numbers.is_empty());
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::fmt;
use std::marker::PhantomData;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize};

use crate::form::Form;
use crate::{AccountSid, PhoneNumberSid};

mod calls;

pub use calls::{
    Call, CallStream, DetectionMode, MachineDetection, NewCall, NewStream, TwimlTooLong,
};

/// The version of the API, with which every path begins.
pub const VERSION_PATH: &str = "/2010-04-01";

/// The most items Twilio puts on a page.
const PAGE_SIZE: &str = "1000";

/// The longest excerpt of what Twilio says that is given to people.
const MAX_MESSAGE_CHARS: usize = 300;

/// A request whose answer is a `T`.
pub struct Request<T> {
    path: String,
    form: Option<Form>,
    is_repeatable: bool,
    answer: PhantomData<fn() -> T>,
}

impl<T: DeserializeOwned> Request<T> {
    fn get(path: String) -> Self {
        Self {
            path,
            form: None,
            is_repeatable: true,
            answer: PhantomData,
        }
    }

    fn post(path: String, form: Form) -> Self {
        Self {
            form: Some(form),
            ..Self::get(path)
        }
    }

    /// A POST of which a second one does more than the first did.
    fn post_once(path: String, form: Form) -> Self {
        Self {
            is_repeatable: false,
            ..Self::post(path, form)
        }
    }

    /// Path and query, from [`VERSION_PATH`] on.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The urlencoded body of a POST; `None`: it is a GET.
    pub fn form(&self) -> Option<&Form> {
        self.form.as_ref()
    }

    /// Whether sending it twice does no more than sending it once: it may be sent again when
    /// nobody knows what became of it.
    pub const fn is_repeatable(&self) -> bool {
        self.is_repeatable
    }

    /// Reads the body of an answer with a status of 2xx. Unknown fields are ignored.
    ///
    /// # Errors
    /// When it is no JSON, or not of this shape.
    pub fn answer(&self, body: &[u8]) -> Result<T, serde_json::Error> {
        serde_json::from_slice(body)
    }
}

impl Request<Account> {
    /// Fetches the account.
    pub fn account(account: &AccountSid) -> Self {
        Self::get(format!("{VERSION_PATH}/Accounts/{account}.json"))
    }
}

impl Request<PhoneNumbers> {
    /// Lists the account's numbers, one page.
    ///
    /// Twilio takes `pattern` for a part of a number, with `*` for any digit: what is answered may
    /// be more than the number that was meant.
    pub fn phone_numbers(account: &AccountSid, pattern: Option<&str>) -> Self {
        let mut query = Form::default();
        query.push("PageSize", PAGE_SIZE);
        if let Some(pattern) = pattern {
            query.push("PhoneNumber", pattern);
        }
        Self::get(format!("{}?{}", numbers_path(account, ""), query.encode()))
    }

    /// The page after `page`, if there is one of this API.
    pub fn after(page: &PhoneNumbers) -> Option<Self> {
        let path = page.next_page_uri.as_deref()?;
        path.starts_with(VERSION_PATH)
            .then(|| Self::get(path.to_owned()))
    }
}

impl Request<PhoneNumber> {
    /// Points a number's calls and their status callbacks at `route`.
    ///
    /// A TwiML application or a SIP trunk that the number has would go on taking its calls, so it
    /// is taken off the number.
    pub fn route_calls(account: &AccountSid, number: &PhoneNumber, route: &VoiceRoute) -> Self {
        let mut form = Form::default();
        form.push("VoiceUrl", &route.voice_url);
        form.push("VoiceMethod", "POST");
        form.push("StatusCallback", &route.status_callback);
        form.push("StatusCallbackMethod", "POST");
        if number.voice_application_sid.is_some() {
            form.push("VoiceApplicationSid", "");
        }
        if number.trunk_sid.is_some() {
            form.push("TrunkSid", "");
        }
        Self::post(numbers_path(account, &format!("/{}", number.sid)), form)
    }
}

fn numbers_path(account: &AccountSid, number: &str) -> String {
    format!("{VERSION_PATH}/Accounts/{account}/IncomingPhoneNumbers{number}.json")
}

/// A form holds callers' data, so only the names of its fields are shown.
impl<T> fmt::Debug for Request<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Request")
            .field("path", &self.path)
            .field("form", &self.form)
            .finish()
    }
}

/// An account. Twilio answers its auth token, too, which is not read.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Account {
    /// Which.
    pub sid: AccountSid,
    /// The name that people gave it.
    #[serde(default, deserialize_with = "known")]
    pub friendly_name: Option<String>,
    /// Whether it may be used.
    pub status: AccountStatus,
    /// Whether it is on trial, `Trial`, or paid for, `Full`.
    #[serde(default, rename = "type", deserialize_with = "known")]
    pub kind: Option<String>,
}

impl Account {
    /// Whether it is on trial: Twilio then speaks a notice before each call, and calls only
    /// numbers that were verified.
    pub fn is_trial(&self) -> bool {
        self.kind.as_deref() == Some("Trial")
    }
}

/// Whether an account may be used.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(from = "String")]
pub enum AccountStatus {
    /// It may.
    Active,
    /// Twilio stopped it, usually for a bill.
    Suspended,
    /// It is gone.
    Closed,
    /// A name that is not known here.
    Unknown(String),
}

impl AccountStatus {
    /// Twilio's name, as in `active`.
    pub fn name(&self) -> &str {
        match self {
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Closed => "closed",
            Self::Unknown(name) => name,
        }
    }
}

impl From<String> for AccountStatus {
    fn from(name: String) -> Self {
        match name.as_str() {
            "active" => Self::Active,
            "suspended" => Self::Suspended,
            "closed" => Self::Closed,
            _ => Self::Unknown(name),
        }
    }
}

/// A page of the account's numbers.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct PhoneNumbers {
    /// The numbers.
    pub incoming_phone_numbers: Vec<PhoneNumber>,
    /// Path and query of the next page.
    #[serde(default, deserialize_with = "known")]
    pub next_page_uri: Option<String>,
}

/// A number of the account, and where its calls go.
///
/// What is not set is `None`, whether Twilio writes it as `null` or as an empty text.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PhoneNumber {
    /// Twilio's identifier.
    pub sid: PhoneNumberSid,
    /// The number, E.164.
    pub phone_number: String,
    /// The voice webhook.
    #[serde(default, deserialize_with = "known")]
    pub voice_url: Option<String>,
    /// Its method, `POST` or `GET`.
    #[serde(default, deserialize_with = "known")]
    pub voice_method: Option<String>,
    /// Where Twilio tells what became of a call.
    #[serde(default, deserialize_with = "known")]
    pub status_callback: Option<String>,
    /// Its method, `POST` or `GET`.
    #[serde(default, deserialize_with = "known")]
    pub status_callback_method: Option<String>,
    /// A TwiML application that takes the number's calls instead of the voice webhook.
    #[serde(default, deserialize_with = "known")]
    pub voice_application_sid: Option<String>,
    /// A SIP trunk that takes the number's calls instead of both.
    #[serde(default, deserialize_with = "known")]
    pub trunk_sid: Option<String>,
}

/// Where a number's calls are to go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct VoiceRoute {
    /// The voice webhook, requested by POST.
    pub voice_url: String,
    /// Where Twilio tells what became of a call, by POST.
    pub status_callback: String,
}

/// The body of an answer that is no success.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct ErrorBody {
    /// Twilio's code, as in 20003 for credentials it does not know.
    #[serde(default)]
    pub code: Option<u32>,
    /// A sentence.
    pub message: String,
}

impl ErrorBody {
    /// The code of an answer that says: too many requests at once. The request was not processed,
    /// so it can be sent again.
    pub const TOO_MANY_REQUESTS: u32 = 20429;

    /// The codes that say of a call that it is over: it is not found any more, or not in progress.
    const CALL_OVER: [u32; 2] = [20404, 21220];

    /// Reads a body; one of another shape says nothing. The message becomes one line of at most
    /// 300 characters, none of them control characters.
    pub fn parse(body: &[u8]) -> Option<Self> {
        let mut read: Self = serde_json::from_slice(body).ok()?;
        read.message = read
            .message
            .split(|c: char| c.is_control() || c.is_whitespace())
            .filter(|word| !word.is_empty())
            .collect::<Vec<_>>()
            .join(" ")
            .chars()
            .take(MAX_MESSAGE_CHARS)
            .collect();
        Some(read)
    }

    /// Whether it says of a request about a call that the call is over.
    pub fn says_call_is_over(&self) -> bool {
        self.code
            .is_some_and(|code| Self::CALL_OVER.contains(&code))
    }

    /// Where Twilio explains the code.
    pub fn more_info(&self) -> Option<String> {
        let explained = |code| format!("https://www.twilio.com/docs/errors/{code}");
        self.code.map(explained)
    }
}

/// Twilio writes what is not set as `null` here and as an empty text there.
fn known<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    let text = Option::<String>::deserialize(deserializer)?;
    Ok(text.filter(|text| !text.is_empty()))
}

#[cfg(test)]
mod tests;
