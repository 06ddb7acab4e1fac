//! The texts of an agent, which may name things of the call: `You help {{ from }} at Acme.`
//!
//! The language is that of Jinja, by minijinja.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Object, Value};
use minijinja::{Environment, Error, ErrorKind, UndefinedBehavior};

/// Steps that a text may take: a prompt that lists a hundred things takes a thousand.
const MOST_STEPS: u64 = 50_000;

/// What a text may come to, in bytes: ten times what Deepgram takes as a prompt.
const LONGEST: usize = 256 * 1024;

/// A variable that is used where nothing is known of it is an error...
static STRICT: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(UndefinedBehavior::SemiStrict));

/// ... or empty, and so is all that is looked for in it.
static LENIENT: LazyLock<Environment<'static>> =
    LazyLock::new(|| environment(UndefinedBehavior::Chainable));

/// Whether a text is a template that comes to an end, as far as that is to be seen without a call's
/// variables.
///
/// # Errors
/// What is wrong with it, and in which line.
pub fn check(text: &str) -> Result<(), String> {
    let read = STRICT.template_from_str(text);
    read.map_err(|error| words(&error))?;
    match filled_in(&LENIENT, text, Value::UNDEFINED) {
        Err(error) if is_boundless(&error) => Err(words(&error)),
        // What else goes wrong without variables need not do so with them.
        Ok(_) | Err(_) => Ok(()),
    }
}

/// What a text says once its variables are known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Rendered {
    pub(crate) text: String,
    /// Variables that it uses and that the call does not have, by their names: they were empty.
    pub(crate) undefined: BTreeSet<String>,
}

/// Fills in a text.
///
/// # Errors
/// Why it cannot be: what it does with its variables fails, or never ends, or is too long.
pub(crate) fn render(
    text: &str,
    variables: &Arc<BTreeMap<String, String>>,
) -> Result<Rendered, String> {
    let context = || {
        Arc::new(Context {
            variables: Arc::clone(variables),
            missing: Mutex::default(),
        })
    };
    match filled_in(&STRICT, text, Value::from_dyn_object(context())) {
        Ok(text) => Ok(Rendered {
            text,
            undefined: BTreeSet::new(),
        }),
        Err(error) if error.kind() == ErrorKind::UndefinedError => {
            let context = context();
            let value = Value::from_dyn_object(Arc::clone(&context));
            let text = filled_in(&LENIENT, text, value);
            let text = text.map_err(|error| words(&error))?;
            let undefined = context.take_missing();
            Ok(Rendered { text, undefined })
        }
        Err(error) => Err(words(&error)),
    }
}

fn environment(undefined: UndefinedBehavior) -> Environment<'static> {
    let syntax = SyntaxConfig::builder().keep_trailing_newline(true).build();
    let mut environment = Environment::new();
    environment.set_syntax(syntax.expect("the usual delimiters can be told apart"));
    environment.set_undefined_behavior(undefined);
    environment.set_fuel(Some(MOST_STEPS));
    environment
}

/// The text, unless it is longer than it may be.
fn filled_in(environment: &Environment<'_>, text: &str, variables: Value) -> Result<String, Error> {
    let mut written = Bounded(Vec::new());
    let template = environment.template_from_str(text)?;
    template.render_captured_to(variables, &mut written)?;
    Ok(String::from_utf8(written.0).expect("a text was written piece by piece"))
}

/// Takes at most [`LONGEST`] bytes.
struct Bounded(Vec<u8>);

impl io::Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.0.len() + bytes.len() > LONGEST {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Whether a text never ends or is too long.
fn is_boundless(error: &Error) -> bool {
    matches!(error.kind(), ErrorKind::OutOfFuel | ErrorKind::WriteFailure)
}

fn words(error: &Error) -> String {
    let kind = error.kind();
    let what = match kind {
        ErrorKind::OutOfFuel => "this never ends, or takes too many steps".to_owned(),
        ErrorKind::WriteFailure => format!("this comes to more than {} KiB", LONGEST / 1024),
        _ => error
            .detail()
            .map_or_else(|| kind.to_string(), str::to_owned),
    };
    match error.line() {
        Some(line) => format!("{what} (line {line} of the text)"),
        None => what,
    }
}

/// The variables of a call, and which others were asked for.
#[derive(Debug)]
struct Context {
    variables: Arc<BTreeMap<String, String>>,
    missing: Mutex<BTreeSet<String>>,
}

impl Context {
    fn take_missing(&self) -> BTreeSet<String> {
        let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
        let mut missing = std::mem::take(&mut *missing);
        // A function is looked for among the variables first.
        missing.retain(|name| LENIENT.globals().all(|(global, _)| global != name));
        missing
    }
}

impl Object for Context {
    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        self.get_value_by_str(key.as_str()?)
    }

    fn get_value_by_str(self: &Arc<Self>, name: &str) -> Option<Value> {
        let value = self.variables.get(name);
        if value.is_none() {
            let mut missing = self.missing.lock().unwrap_or_else(PoisonError::into_inner);
            missing.insert(name.to_owned());
        }
        value.map(Value::from)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn rendered(text: &str) -> (String, Vec<String>) {
        let variables = [("from", "+15550001"), ("tenant", "t-42")];
        let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned()));
        let rendered = render(text, &Arc::new(BTreeMap::from(variables))).unwrap();
        (rendered.text, rendered.undefined.into_iter().collect())
    }

    #[test]
    fn variables_are_filled_in() {
        let (text, undefined) = rendered("You help {{ from }} of {{ tenant | upper }}.");
        assert_eq!(text, "You help +15550001 of T-42.");
        assert!(undefined.is_empty());
    }

    #[test]
    fn a_text_is_no_page_and_keeps_its_quotes_and_lines() {
        let text = "Say \"<Hello>\" & 'good bye'.\nThen\n\nwait.\n";
        assert_eq!(rendered(text).0, text);
    }

    #[test]
    fn an_unknown_variable_is_empty_and_named() {
        let (text, undefined) = rendered("Hello {{ name }}, {{ order.id }}{{ from }}!");
        assert_eq!(text, "Hello , +15550001!");
        assert_eq!(undefined, ["name", "order"]);
    }

    #[test]
    fn a_text_that_provides_for_an_unknown_variable_is_in_order() {
        let text = "{% if name %}{{ name }}{% else %}friend{% endif %} {{ name | default('x') }}";
        assert_eq!(rendered(text), ("friend x".to_owned(), Vec::new()));
    }

    #[test]
    fn functions_are_no_unknown_variables() {
        let text = "{% for n in range(2) %}{{ n }}{% endfor %}{{ name }}";
        assert_eq!(rendered(text), ("01".to_owned(), vec!["name".to_owned()]));
    }

    #[test]
    fn what_is_no_template_is_said_with_its_line() {
        for wrong in [
            "one\n{{ from",
            "one\n{% if %}",
            "one\n{{ from | }}",
            "one\n{% nothing %}",
        ] {
            let words = check(wrong).unwrap_err();
            assert!(words.ends_with("(line 2 of the text)"), "{words}");
        }
        assert_eq!(check("You help {{ from }} at {{ anything }}."), Ok(()));
    }

    #[test]
    fn a_text_that_fails_says_why() {
        for failing in [
            "{{ from | nothing }}",
            "{{ 1 // 0 }}",
            "{{ 'x' * 1000000000 }}",
            "{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}",
        ] {
            assert!(render(failing, &Arc::default()).is_err(), "{failing}");
        }
    }

    #[test]
    fn a_text_without_bounds_is_refused_before_any_call() {
        let page = "x".repeat(1_000);
        for (boundless, why) in [
            (
                "{% for n in range(9999) %}{% for m in range(9999) %}{% endfor %}{% endfor %}",
                "never ends",
            ),
            (
                &*format!("{{% for n in range(9999) %}}{page}{{% endfor %}}"),
                "more than 256 KiB",
            ),
            ("{{ 'x' * 1000000 }}", "more than 256 KiB"),
        ] {
            for refused in [
                check(boundless),
                render(boundless, &Arc::default()).map(drop),
            ] {
                let refused = refused.unwrap_err();
                assert!(refused.contains(why), "{refused}");
            }
        }
        assert_eq!(check(&page.repeat(200)), Ok(()));
    }

    #[test]
    fn what_only_a_call_can_tell_is_no_fault_before_it() {
        let text = "{{ attempts | int + 1 }} {{ from[2:] }} {{ name | replace('a', 'b') }}";
        assert_eq!(check(text), Ok(()));
    }
}
