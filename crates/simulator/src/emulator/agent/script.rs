//! What an emulated agent is told to say and do.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Map, Value};

use super::words::{leading_figures, words};

/// What an agent says and does, before what every emulated agent knows by itself.
///
/// ```
/// use sidetone_simulator::emulator::AgentScript;
///
/// let script: AgentScript = serde_json::from_str(
///     r#"{
///         "greeting": "Hello!",
///         "rules": [
///             {
///                 "hears": "order number is {order}",
///                 "calls": { "name": "lookup_order", "arguments": { "id": "{order}" } },
///                 "says": "Your order is {result.status}."
///             },
///             { "hears": "", "says": "Pardon?" }
///         ]
///     }"#,
/// )?;
/// assert_eq!(script.rules[0].calls[0].name, "lookup_order");
/// # Ok::<(), serde_json::Error>(())
/// ```
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentScript {
    /// Said instead of the greeting of the Settings.
    pub greeting: Option<String>,
    /// The first that matches what the user said counts.
    pub rules: Vec<AgentRule>,
}

/// What an agent does when it hears something.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentRule {
    /// Words that stand together in what the user said, case and punctuation aside; none match
    /// anything. `{name}` stands for one word or more, to be used in the answer; of words that
    /// begin with figures, for those figures.
    pub hears: String,
    /// The answer. `{name}` is what that stood for, `{heard}` all that the user said, `{result}`
    /// what the functions answered and `{result.field}` a field of it. Absent: `{result}` after
    /// a call, else nothing is said.
    pub says: Option<String>,
    /// Functions that are called first, at the same time: one object or a list.
    #[serde(deserialize_with = "one_or_many")]
    pub calls: Vec<AgentCall>,
    /// Whether they are called at a short pause already, and cancelled when the user speaks on.
    pub speculative: bool,
    /// How often in a session; `None`: always.
    pub times: Option<u32>,
}

/// A function to call.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AgentCall {
    /// The function. One that the Settings do not declare ends the session, as it does with a
    /// model that makes one up.
    pub name: String,
    /// Its arguments; texts in them may hold `{name}`.
    pub arguments: Map<String, Value>,
}

fn one_or_many<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<AgentCall>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum OneOrMany {
        One(AgentCall),
        Many(Vec<AgentCall>),
    }
    Ok(match OneOrMany::deserialize(deserializer)? {
        OneOrMany::One(call) => vec![call],
        OneOrMany::Many(calls) => calls,
    })
}

impl AgentRule {
    /// What the names of the rule stand for in a text, when it matches.
    pub(super) fn matches(&self, heard: &str) -> Option<Captured> {
        let spoken = words(heard);
        let pattern = words(&self.hears);
        let pattern: Vec<Part<'_>> = pattern.iter().map(|word| Part::of(word)).collect();
        let mut captured = Captured::new();
        let matched = pattern.is_empty()
            || (0..spoken.len()).any(|at| {
                captured.clear();
                stand_together(&pattern, &spoken[at..], &mut captured)
            });
        captured.insert("heard".to_owned(), heard.to_owned());
        matched.then_some(captured)
    }
}

/// What names stand for.
pub(super) type Captured = BTreeMap<String, String>;

enum Part<'a> {
    Word(&'a str),
    Name(&'a str),
}

impl<'a> Part<'a> {
    fn of(word: &'a str) -> Self {
        let name = word
            .strip_prefix('{')
            .and_then(|word| word.strip_suffix('}'));
        name.map_or(Self::Word(word), Self::Name)
    }
}

/// Whether `spoken` begins with this pattern.
fn stand_together(pattern: &[Part<'_>], spoken: &[String], captured: &mut Captured) -> bool {
    match pattern {
        [] => true,
        [Part::Word(word), rest @ ..] => {
            spoken.first().is_some_and(|spoken| spoken == word)
                && stand_together(rest, &spoken[1..], captured)
        }
        [Part::Name(name), rest @ ..] => {
            let shortest = if rest.is_empty() { spoken.len() } else { 1 };
            let length = (shortest.max(1)..=spoken.len())
                .find(|length| stand_together(rest, &spoken[*length..], captured));
            if let Some(length) = length {
                let stands_for = &spoken[..length];
                let text = leading_figures(stands_for).unwrap_or_else(|| stands_for.join(" "));
                captured.insert((*name).to_owned(), text);
            }
            length.is_some()
        }
    }
}

/// A text with what its names stand for; names that stand for nothing stay.
pub(super) fn fill(text: &str, captured: &Captured) -> String {
    captured
        .iter()
        .fold(text.to_owned(), |text, (name, value)| {
            text.replace(&format!("{{{name}}}"), value)
        })
}

/// The same for every text in arguments.
pub(super) fn fill_all(value: &Value, captured: &Captured) -> Value {
    match value {
        Value::String(text) => Value::String(fill(text, captured)),
        Value::Array(items) => items.iter().map(|item| fill_all(item, captured)).collect(),
        Value::Object(fields) => {
            let fill = |(name, value): (&String, &Value)| (name.clone(), fill_all(value, captured));
            Value::Object(fields.iter().map(fill).collect())
        }
        other => other.clone(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[track_caller]
    fn check(hears: &str, heard: &str, expected: Option<&[(&str, &str)]>) {
        let rule = AgentRule {
            hears: hears.to_owned(),
            ..AgentRule::default()
        };
        let captured = rule.matches(heard).map(|mut captured| {
            assert_eq!(captured.remove("heard").as_deref(), Some(heard));
            captured
        });
        let expected = expected.map(|pairs| {
            let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
            pairs.iter().map(owned).collect::<Captured>()
        });
        assert_eq!(captured, expected, "{hears:?} in {heard:?}");
    }

    #[test]
    fn words_that_stand_together_are_found_whatever_their_case_and_punctuation() {
        check("good morning", "Well, good Morning!", Some(&[]));
        check("good morning", "good, I say, morning", None);
        check("", "anything", Some(&[]));
        check("hello there", "hello", None);
    }

    #[test]
    fn names_stand_for_words_and_for_figures() {
        check(
            "my name is {name} and",
            "My name is Anna Lee, and I call",
            Some(&[("name", "anna lee")]),
        );
        check(
            "order {order}",
            "My order four, seven one please.",
            Some(&[("order", "471")]),
        );
        check("order {order}", "my order", None);
        check(
            "from {a} to {b}",
            "from here to there",
            Some(&[("a", "here"), ("b", "there")]),
        );
    }

    #[test]
    fn names_are_filled_in_wherever_a_text_stands() {
        let captured = Captured::from([("order".to_owned(), "471".to_owned())]);
        assert_eq!(fill("Order {order} {?}", &captured), "Order 471 {?}");
        assert_eq!(
            fill_all(&json!({ "ids": ["{order}", 5] }), &captured),
            json!({ "ids": ["471", 5] })
        );
    }

    #[test]
    fn calls_are_one_or_many() {
        let rule = |calls: Value| -> Vec<AgentCall> {
            let rule = json!({ "hears": "x", "calls": calls });
            serde_json::from_value::<AgentRule>(rule).unwrap().calls
        };
        assert_eq!(rule(json!({ "name": "a" })).len(), 1);
        assert_eq!(rule(json!([{ "name": "a" }, { "name": "b" }])).len(), 2);
    }
}
