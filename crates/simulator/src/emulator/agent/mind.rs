//! What an agent makes of what it hears: a script's rules, and a few that each one knows.

use std::sync::Arc;

use serde_json::{Map, Value, json};

use super::script::{AgentScript, Captured, fill, fill_all};
use super::settings::{Function, Think};
use super::words::{keys, leading_figures, words};

/// An agent's prompt, functions and rules.
#[derive(Debug)]
pub(super) struct Mind {
    script: Arc<AgentScript>,
    /// How often each rule has been followed.
    followed: Vec<u32>,
    think: Think,
    /// What the user said before.
    said_before: Option<String>,
}

/// What is to be done about a text.
#[derive(Clone, Debug)]
pub(super) struct Thought {
    heard: String,
    /// Functions to call, and their arguments.
    pub(super) calls: Vec<(String, Value)>,
    says: String,
    /// Whether they may be called before the user's turn is sure.
    pub(super) speculative: bool,
    rule: Option<usize>,
}

impl Mind {
    pub(super) fn new(script: Arc<AgentScript>, think: Think, said_before: Option<String>) -> Self {
        Self {
            followed: vec![0; script.rules.len()],
            script,
            think,
            said_before,
        }
    }

    /// Replaces prompt and functions.
    pub(super) fn rethink(&mut self, think: Think) {
        self.think = think;
    }

    /// Adds to the prompt.
    pub(super) fn instruct(&mut self, prompt: &str) {
        self.think.prompt = format!("{}\n{prompt}", self.think.prompt);
    }

    /// The declared function of this name.
    pub(super) fn function(&self, name: &str) -> Option<&Function> {
        let mut functions = self.think.functions.iter();
        functions.find(|function| function.name == name)
    }

    /// What to do about a text, if that is all the user says.
    pub(super) fn think(&self, heard: &str) -> Thought {
        self.by_script(heard)
            .unwrap_or_else(|| self.by_itself(heard))
    }

    /// Follows a thought.
    pub(super) fn follow(&mut self, thought: &Thought) {
        if let Some(rule) = thought.rule {
            self.followed[rule] += 1;
        }
        self.said_before = Some(thought.heard.clone());
    }

    fn by_script(&self, heard: &str) -> Option<Thought> {
        let rules = self.script.rules.iter().zip(&self.followed).enumerate();
        let mut left =
            rules.filter(|(_, (rule, followed))| rule.times.is_none_or(|times| **followed < times));
        let (index, rule, captured) =
            left.find_map(|(index, (rule, _))| Some((index, rule, rule.matches(heard)?)))?;
        let calls = rule.calls.iter().map(|call| {
            let arguments = Value::Object(call.arguments.clone());
            (call.name.clone(), fill_all(&arguments, &captured))
        });
        let usual = if rule.calls.is_empty() { "" } else { RESULT };
        Some(Thought {
            heard: heard.to_owned(),
            calls: calls.collect(),
            says: fill(rule.says.as_deref().unwrap_or(usual), &captured),
            speculative: rule.speculative,
            rule: Some(index),
        })
    }

    /// The rules that every emulated agent knows.
    fn by_itself(&self, heard: &str) -> Thought {
        let spoken = words(heard);
        let has = |word: &str| spoken.iter().any(|spoken| spoken == word);
        let says = |text: String| Thought {
            heard: heard.to_owned(),
            calls: Vec::new(),
            says: text,
            speculative: false,
            rule: None,
        };
        let calls = |function: &Function, arguments: Value, text: String| Thought {
            calls: vec![(function.name.clone(), arguments)],
            ..says(text)
        };

        if has("instructions") {
            return says(format!("My instructions are: {}", self.think.prompt));
        }
        if spoken.join(" ").contains("did i say") {
            let before = self.said_before.as_deref().unwrap_or("nothing");
            return says(format!("Before, you said: {before}"));
        }
        if has("order")
            && let Some(lookup) = self.function_like(&["lookup", "look_up", "order"])
            && let Some(order) = (0..spoken.len()).find_map(|at| leading_figures(&spoken[at..]))
        {
            let text = format!("Order {order}: {RESULT}");
            return calls(lookup, json!({ lookup.first_parameter("id"): order }), text);
        }
        if has("goodbye") || has("bye") {
            let text = "Thank you for calling. Goodbye.".to_owned();
            return match self.function_like(&["hang", "end_call"]) {
                Some(hangup) => calls(hangup, json!({}), text),
                None => says(text),
            };
        }
        if (has("transfer") || has("sales"))
            && let Some(transfer) = self.function_like(&["transfer"])
        {
            let target = target(transfer, &spoken);
            return calls(transfer, target, format!("One moment, please. {RESULT}"));
        }
        if has("press")
            && let Some(press) = self.function_like(&["dtmf"])
        {
            let arguments = json!({ press.first_parameter("digits"): keys(&spoken) });
            return calls(press, arguments, RESULT.to_owned());
        }
        if (has("code") || has("digits"))
            && let Some(collect) = self.function_like(&["collect"])
        {
            let mut arguments = Map::new();
            if let Some(most) = leading_number(&spoken) {
                arguments.insert("max_digits".to_owned(), most.into());
            }
            let text = format!("Thank you. I got {RESULT}");
            return calls(collect, Value::Object(arguments), text);
        }
        says(format!("You said: {heard}"))
    }

    /// The first declared function whose name holds one of these.
    fn function_like(&self, parts: &[&str]) -> Option<&Function> {
        let like = |function: &&Function| parts.iter().any(|part| function.name.contains(part));
        self.think.functions.iter().find(like)
    }
}

impl Thought {
    /// The answer, once the functions have answered.
    pub(super) fn answer(&self, results: &[&str]) -> String {
        let all: Vec<String> = results.iter().map(|result| in_words(result)).collect();
        let mut known = Captured::from([("result".to_owned(), all.join(", and "))]);
        for result in results {
            if let Ok(Value::Object(fields)) = serde_json::from_str(result) {
                let field = |(name, value): (&String, &Value)| {
                    (format!("result.{name}"), value_in_words(value))
                };
                known.extend(fields.iter().map(field));
            }
        }
        fill(&self.says, &known)
    }
}

/// The target of a transfer: the one allowed that was named, or else the word that was.
fn target(transfer: &Function, spoken: &[String]) -> Value {
    let named = transfer.allowed().into_iter().find(|target| {
        let parts = words(&target.replace(['_', '-'], " "));
        parts.iter().all(|part| spoken.contains(part))
    });
    let after_to = || {
        let to = spoken.iter().rposition(|word| word == "to")?;
        spoken.get(to + 1).cloned()
    };
    let target = named
        .or_else(after_to)
        .unwrap_or_else(|| "sales".to_owned());
    json!({ transfer.first_parameter("target"): target })
}

/// The first number named, up to nine.
fn leading_number(spoken: &[String]) -> Option<u64> {
    let figures = (0..spoken.len()).find_map(|at| leading_figures(&spoken[at..=at]))?;
    figures
        .parse()
        .ok()
        .filter(|number| (1..=9).contains(number))
}

/// A function's answer as it can be said: the values of JSON, with the names of their fields.
fn in_words(content: &str) -> String {
    serde_json::from_str(content)
        .map_or_else(|_| content.to_owned(), |value| value_in_words(&value))
}

fn value_in_words(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Array(items) => {
            let items: Vec<String> = items.iter().map(value_in_words).collect();
            items.join(", ")
        }
        Value::Object(fields) => {
            let field = |(name, value): (&String, &Value)| {
                format!("{} {}", name.replace('_', " "), value_in_words(value))
            };
            fields.iter().map(field).collect::<Vec<_>>().join(", ")
        }
        other => other.to_string(),
    }
}

const RESULT: &str = "{result}";

#[cfg(test)]
mod tests;
