//! What requests about calls may say, and the codes of the errors that they say something else.

use sidetone_twilio::form::Form;
use url::Url;

use super::answer::Problem;

/// A parameter that is looked at. Others are ignored, as Twilio does.
pub(super) struct Parameter {
    name: &'static str,
    code: u32,
    fits: fn(&str) -> bool,
    expected: &'static str,
}

const fn parameter(
    name: &'static str,
    code: u32,
    fits: fn(&str) -> bool,
    expected: &'static str,
) -> Parameter {
    Parameter {
        name,
        code,
        fits,
        expected,
    }
}

const URL: &str = "a valid URL";
const METHOD: &str = "GET or POST";
const BOOLEAN: &str = "true or false";

/// Of a call that is placed, besides its numbers.
#[rustfmt::skip]
pub(super) const OF_CALL: &[Parameter] = &[
    parameter("Url", 21_205, is_web_url, URL),
    parameter("Method", 21_209, is_method, METHOD),
    parameter("Twiml", 20_001, is_short, "at most 4000 characters"),
    parameter("StatusCallback", 21_609, is_web_url, URL),
    parameter("StatusCallbackMethod", 20_001, is_method, METHOD),
    parameter("StatusCallbackEvent", 20_001, is_event, "initiated, ringing, answered or completed"),
    parameter("Timeout", 21_208, is_timeout, "a number of seconds up to 600"),
    parameter("TimeLimit", 20_001, is_count, "a number of seconds"),
    parameter("SendDigits", 21_206, are_digits, "up to 32 of 0-9, A-D, #, * and w"),
    parameter("MachineDetection", 20_001, is_detection, "Enable or DetectMessageEnd"),
    parameter("AsyncAmd", 20_001, is_boolean, BOOLEAN),
    parameter("AsyncAmdStatusCallback", 20_001, is_web_url, URL),
    parameter("AsyncAmdStatusCallbackMethod", 20_001, is_method, METHOD),
];

/// Of a call that is steered.
#[rustfmt::skip]
pub(super) const OF_UPDATE: &[Parameter] = &[
    parameter("Status", 20_001, is_end, "completed or canceled"),
    parameter("Url", 21_205, is_web_url, URL),
    parameter("Method", 21_209, is_method, METHOD),
    parameter("Twiml", 20_001, is_short, "at most 4000 characters"),
];

/// Of a stream that is started.
#[rustfmt::skip]
pub(super) const OF_STREAM: &[Parameter] = &[
    parameter("Url", 21_205, is_stream_url, "a valid URL of a WebSocket"),
    parameter("Track", 20_001, is_track, "inbound_track, outbound_track or both_tracks"),
    parameter("StatusCallback", 21_609, is_web_url, URL),
    parameter("StatusCallbackMethod", 20_001, is_method, METHOD),
];

/// Of a stream that is stopped.
pub(super) const OF_STREAM_UPDATE: &[Parameter] = &[parameter(
    "Status",
    20_001,
    |text| text == "stopped",
    "stopped",
)];

/// Numbers that cannot be called, as with Twilio's test credentials.
pub(super) const REFUSED_TO: [(&str, u32, &str); 4] = [
    ("+15005550001", 21_217, "does not appear to be valid"),
    ("+15005550002", 21_214, "cannot be reached"),
    (
        "+15005550003",
        21_215,
        "is in a region that the account has no permission to call",
    ),
    ("+15005550004", 21_216, "is blocked for the account"),
];

/// Reads a body or a query.
pub(super) fn read(urlencoded: &[u8]) -> Result<Form, Problem> {
    Form::parse(urlencoded).map_err(|error| Problem::bad_parameter(20_001, error.to_string()))
}

/// Whether what is said fits.
pub(super) fn check(parameters: &[Parameter], form: &Form) -> Result<(), Problem> {
    for (name, value) in form.pairs().iter().filter(|(_, value)| !value.is_empty()) {
        let Some(known) = parameters.iter().find(|known| known.name == name) else {
            continue;
        };
        if !(known.fits)(value) {
            let message = format!("The '{name}' {value} is not {}.", known.expected);
            return Err(Problem::bad_parameter(known.code, message));
        }
    }
    Ok(())
}

/// A value that must be there.
pub(super) fn required<'a>(form: &'a Form, name: &str, code: u32) -> Result<&'a str, Problem> {
    let missing = || Problem::bad_parameter(code, format!("No '{name}' is specified."));
    form.value(name).ok_or_else(missing)
}

/// E.164, or someone at a client or a SIP address.
pub(super) fn is_callable(number: &str) -> bool {
    let is_e164 = |digits: &str| {
        (7..=15).contains(&digits.len())
            && !digits.starts_with('0')
            && digits.bytes().all(|digit| digit.is_ascii_digit())
    };
    number.strip_prefix('+').is_some_and(is_e164)
        || ["client:", "sip:"].iter().any(|scheme| {
            let name = number.strip_prefix(scheme);
            name.is_some_and(|name| !name.is_empty())
        })
}

fn has_scheme(text: &str, schemes: [&str; 2]) -> bool {
    let url = text.parse::<Url>();
    url.is_ok_and(|url| schemes.contains(&url.scheme()))
}

fn is_web_url(text: &str) -> bool {
    has_scheme(text, ["http", "https"])
}

/// `ws`, too, so that everything can be tried on one machine.
fn is_stream_url(text: &str) -> bool {
    has_scheme(text, ["ws", "wss"])
}

fn is_method(text: &str) -> bool {
    ["GET", "POST"]
        .iter()
        .any(|known| known.eq_ignore_ascii_case(text))
}

fn is_short(text: &str) -> bool {
    text.chars().count() <= 4_000
}

fn is_event(text: &str) -> bool {
    matches!(text, "initiated" | "ringing" | "answered" | "completed")
}

fn is_timeout(text: &str) -> bool {
    text.parse::<u32>().is_ok_and(|secs| secs <= 600)
}

fn is_count(text: &str) -> bool {
    text.parse::<u32>().is_ok()
}

fn are_digits(text: &str) -> bool {
    let is_key = |key| matches!(key, '0'..='9' | 'A'..='D' | '#' | '*' | 'w' | 'W');
    text.len() <= 32 && text.chars().all(is_key)
}

fn is_detection(text: &str) -> bool {
    matches!(text, "Enable" | "DetectMessageEnd")
}

fn is_boolean(text: &str) -> bool {
    matches!(text, "true" | "false")
}

fn is_end(text: &str) -> bool {
    matches!(text, "completed" | "canceled")
}

fn is_track(text: &str) -> bool {
    matches!(text, "inbound_track" | "outbound_track" | "both_tracks")
}
