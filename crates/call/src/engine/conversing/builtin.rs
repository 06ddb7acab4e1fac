//! Functions that the call answers itself.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use sidetone_deepgram::agent::settings::FunctionSpec;

/// The most keys that are pressed at once: half a minute of them.
const MOST_PRESSED: usize = 60;

/// The most keys that are collected at once.
const MOST_COLLECTED: u32 = 60;

/// The longest wait for a key.
const LONGEST_WAIT_SECS: f64 = 60.0;

/// A function that the call answers itself.
#[derive(Clone, PartialEq, Eq)]
pub enum Builtin {
    /// Ends the call once the agent has said goodbye.
    HangUp,
    /// Connects the caller with somebody else.
    Transfer {
        /// Numbers, E.164, by the name that the model knows them by.
        targets: BTreeMap<String, String>,
    },
    /// Presses keys on the line.
    SendDtmf,
    /// Waits for keys that the caller presses.
    CollectDigits,
}

/// Numbers are people's data and are not shown.
impl fmt::Debug for Builtin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::HangUp => f.write_str("HangUp"),
            Self::Transfer { targets } => f.debug_tuple("Transfer").field(&targets.keys()).finish(),
            Self::SendDtmf => f.write_str("SendDtmf"),
            Self::CollectDigits => f.write_str("CollectDigits"),
        }
    }
}

/// What a built-in function is asked to do.
#[derive(Debug, PartialEq)]
pub(super) enum Order {
    HangUp,
    Transfer { target: String, number: String },
    Press(String),
    Collect(Collect),
}

/// Until when keys are collected.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Collect {
    pub(super) max_digits: usize,
    /// The key that says that this was all.
    pub(super) finish_on: Option<char>,
    /// Without a key.
    pub(super) timeout: Duration,
}

impl Builtin {
    /// The function as Deepgram's Settings declare it, by `name`; `description` replaces the one
    /// that it has by itself.
    pub fn spec(&self, name: &str, description: Option<String>) -> FunctionSpec {
        let (default, parameters) = match self {
            Self::HangUp => (
                "Ends the call. Call it once the conversation is over and goodbye was said or is \
                 being said.",
                object(&json!({}), &[]),
            ),
            Self::Transfer { targets } => {
                let names: Vec<_> = targets.keys().collect();
                let target = json!({
                    "type": "string",
                    "enum": names,
                    "description": "Whom to connect the caller with.",
                });
                (
                    "Connects the caller with somebody else. Tell the caller so before.",
                    object(&json!({ "target": target }), &["target"]),
                )
            }
            Self::SendDtmf => {
                let digits = json!({
                    "type": "string",
                    "pattern": format!("^[0-9*#w]{{1,{MOST_PRESSED}}}$"),
                    "description": "The keys in order; w waits half a second.",
                });
                (
                    "Presses keys of the telephone keypad on the line, as for a menu.",
                    object(&json!({ "digits": digits }), &["digits"]),
                )
            }
            Self::CollectDigits => {
                let parameters = json!({
                    "max_digits": {
                        "type": "integer",
                        "minimum": 1,
                        "maximum": MOST_COLLECTED,
                        "description": "How many keys are enough. 20 unless told.",
                    },
                    "finish_on": {
                        "type": "string",
                        "enum": ["#", "*", "0", "1", "2", "3", "4", "5", "6", "7", "8", "9", ""],
                        "description": "The key that ends the entry; empty for none. # unless told.",
                    },
                    "timeout_secs": {
                        "type": "number",
                        "minimum": 1,
                        "maximum": LONGEST_WAIT_SECS,
                        "description": "How long to wait for each key. 10 unless told.",
                    },
                });
                (
                    "Waits for keys that the caller presses on the telephone keypad. Ask the \
                     caller for them before.",
                    object(&parameters, &[]),
                )
            }
        };
        FunctionSpec {
            name: name.to_owned(),
            description: Some(description.unwrap_or_else(|| default.to_owned())),
            parameters,
            // What cannot be taken back waits until the caller's turn is surely over.
            defer_until_eot: match self {
                Self::HangUp | Self::Transfer { .. } | Self::SendDtmf => true,
                Self::CollectDigits => false,
            },
        }
    }

    /// What is to be done; what is wrong with the arguments, in words, when they say nothing that
    /// can be done.
    pub(super) fn order(&self, arguments: &Value) -> Result<Order, String> {
        match self {
            Self::HangUp => Ok(Order::HangUp),
            Self::Transfer { targets } => {
                #[derive(Deserialize)]
                struct Arguments {
                    target: String,
                }
                let Arguments { target } = read(arguments)?;
                let Some(number) = targets.get(&target) else {
                    let names: Vec<_> = targets.keys().map(String::as_str).collect();
                    return Err(format!("`target` is one of: {}", names.join(", ")));
                };
                let number = number.clone();
                Ok(Order::Transfer { target, number })
            }
            Self::SendDtmf => {
                #[derive(Deserialize)]
                struct Arguments {
                    digits: String,
                }
                let Arguments { digits } = read(arguments)?;
                let is_key = |c: char| matches!(c, '0'..='9' | '*' | '#' | 'w');
                if !(1..=MOST_PRESSED).contains(&digits.len()) || !digits.chars().all(is_key) {
                    return Err(format!("`digits` are 1 to {MOST_PRESSED} of 0123456789*#w"));
                }
                Ok(Order::Press(digits))
            }
            Self::CollectDigits => collect(arguments).map(Order::Collect),
        }
    }
}

fn collect(arguments: &Value) -> Result<Collect, String> {
    #[derive(Deserialize)]
    struct Arguments {
        max_digits: Option<u32>,
        finish_on: Option<String>,
        timeout_secs: Option<f64>,
    }
    let Arguments {
        max_digits,
        finish_on,
        timeout_secs,
    } = read(arguments)?;
    let max_digits = max_digits.unwrap_or(20);
    if !(1..=MOST_COLLECTED).contains(&max_digits) {
        return Err(format!("`max_digits` is 1 to {MOST_COLLECTED}"));
    }
    let finish_on = finish_on.as_deref().unwrap_or("#");
    let mut keys = finish_on.chars();
    let finish_on = match (keys.next(), keys.next()) {
        (None, _) => None,
        (Some(key @ ('0'..='9' | '*' | '#')), None) => Some(key),
        _ => return Err("`finish_on` is one of 0123456789*#, or empty".to_owned()),
    };
    let timeout_secs = timeout_secs.unwrap_or(10.0);
    if !(1.0..=LONGEST_WAIT_SECS).contains(&timeout_secs) {
        return Err(format!("`timeout_secs` is 1 to {LONGEST_WAIT_SECS}"));
    }
    Ok(Collect {
        max_digits: usize::try_from(max_digits).unwrap_or(usize::MAX),
        finish_on,
        timeout: Duration::from_secs_f64(timeout_secs),
    })
}

fn read<T: DeserializeOwned>(arguments: &Value) -> Result<T, String> {
    T::deserialize(arguments).map_err(|error| format!("the arguments do not fit: {error}"))
}

fn object(properties: &Value, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": properties,
        "required": required,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_is_named_and_never_dialled_as_told() {
        let targets = BTreeMap::from([
            ("billing".to_owned(), "+15551230004".to_owned()),
            ("sales".to_owned(), "+15551230003".to_owned()),
        ]);
        let transfer = Builtin::Transfer { targets };
        let sales = Order::Transfer {
            target: "sales".into(),
            number: "+15551230003".into(),
        };
        assert_eq!(transfer.order(&json!({ "target": "sales" })), Ok(sales));
        for wrong in ["+15551230003", "Sales", ""] {
            let words = transfer.order(&json!({ "target": wrong })).unwrap_err();
            assert_eq!(words, "`target` is one of: billing, sales");
        }
        let names = &transfer.spec("transfer", None).parameters["properties"]["target"]["enum"];
        assert_eq!(names, &json!(["billing", "sales"]));
        let told = transfer.order(&json!({})).unwrap_err();
        assert!(told.contains("target"), "{told}");
    }

    #[test]
    fn keys_that_no_telephone_has_are_not_pressed() {
        let press = |digits: &str| Builtin::SendDtmf.order(&json!({ "digits": digits }));
        assert_eq!(press("1w2#*"), Ok(Order::Press("1w2#*".into())));
        assert_eq!(press(&"7".repeat(60)), Ok(Order::Press("7".repeat(60))));
        for wrong in ["", "12a", "1,2", &"7".repeat(61)] {
            assert!(press(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_is_not_told_of_a_collection_has_its_usual_value() {
        let collect = |arguments: &Value| Builtin::CollectDigits.order(arguments);
        let usual = Collect {
            max_digits: 20,
            finish_on: Some('#'),
            timeout: Duration::from_secs(10),
        };
        assert_eq!(collect(&json!({})), Ok(Order::Collect(usual)));
        let told = json!({ "max_digits": 4, "finish_on": "", "timeout_secs": 2.5 });
        let asked = Collect {
            max_digits: 4,
            finish_on: None,
            timeout: Duration::from_millis(2_500),
        };
        assert_eq!(collect(&told), Ok(Order::Collect(asked)));
        for wrong in [
            json!({ "max_digits": 0 }),
            json!({ "max_digits": 61 }),
            json!({ "finish_on": "##" }),
            json!({ "finish_on": "x" }),
            json!({ "timeout_secs": 0 }),
            json!({ "timeout_secs": 61 }),
            json!({ "timeout_secs": "long" }),
        ] {
            assert!(collect(&wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_cannot_be_taken_back_waits_for_the_end_of_the_turn() {
        let deferred = |builtin: Builtin| builtin.spec("f", None).defer_until_eot;
        assert!(deferred(Builtin::HangUp));
        assert!(deferred(Builtin::SendDtmf));
        assert!(deferred(Builtin::Transfer {
            targets: BTreeMap::new()
        }));
        assert!(!deferred(Builtin::CollectDigits));
    }

    #[test]
    fn a_description_of_ones_own_replaces_the_usual_one() {
        let spec = Builtin::HangUp.spec("bye", Some("Ends it.".into()));
        assert_eq!(
            (spec.name.as_str(), spec.description.as_deref()),
            ("bye", Some("Ends it."))
        );
        let usual = Builtin::HangUp.spec("bye", None).description;
        assert!(usual.is_some_and(|words| words.starts_with("Ends the call")));
    }
}
