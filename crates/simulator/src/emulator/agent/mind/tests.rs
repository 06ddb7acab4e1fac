use super::*;
use crate::emulator::agent::settings::Think;

/// A mind with these rules and functions.
fn mind(rules: &Value, functions: &Value) -> Mind {
    let script: AgentScript = serde_json::from_value(json!({ "rules": rules })).unwrap();
    let think = json!({
        "provider": { "type": "open_ai", "model": "gpt-4o-mini" },
        "prompt": "Be kind.",
        "functions": functions,
    });
    Mind::new(Arc::new(script), Think::read(&think).unwrap(), None)
}

/// What a mind with these functions, and no script, does about a text.
#[track_caller]
fn check(functions: &Value, heard: &str, calls: &[(&str, Value)], says: &str) {
    let thought = mind(&json!([]), functions).think(heard);
    let expected: Vec<(String, Value)> = calls
        .iter()
        .map(|(name, arguments)| ((*name).to_owned(), arguments.clone()))
        .collect();
    assert_eq!(thought.calls, expected, "{heard}");
    assert_eq!(thought.answer(&["fine"]), says, "{heard}");
}

fn transfer() -> Value {
    json!([{
        "name": "transfer_call",
        "parameters": {
            "type": "object",
            "properties": { "department": { "type": "string", "enum": ["sales", "night_desk"] } },
            "required": ["department"],
        },
    }])
}

#[test]
fn without_functions_everything_is_repeated() {
    for heard in ["Hello.", "Order four.", "Press one.", "Transfer me."] {
        check(&json!([]), heard, &[], &format!("You said: {heard}"));
    }
    check(
        &json!([]),
        "Goodbye!",
        &[],
        "Thank you for calling. Goodbye.",
    );
}

#[test]
fn declared_functions_are_called_by_what_they_are_for() {
    check(
        &json!([{ "name": "lookup_order" }]),
        "My order is four seven one.",
        &[("lookup_order", json!({ "id": "471" }))],
        "Order 471: fine",
    );
    check(
        &json!([{ "name": "end_call" }]),
        "Bye bye.",
        &[("end_call", json!({}))],
        "Thank you for calling. Goodbye.",
    );
    check(
        &json!([{ "name": "send_dtmf" }]),
        "Please press four star.",
        &[("send_dtmf", json!({ "digits": "4*" }))],
        "fine",
    );
    check(
        &json!([{ "name": "collect_digits" }]),
        "I have a six digit code.",
        &[("collect_digits", json!({ "max_digits": 6 }))],
        "Thank you. I got fine",
    );
}

#[test]
fn a_transfer_goes_where_it_may_or_else_where_it_was_wanted() {
    let says = "One moment, please. fine";
    for (heard, department) in [
        ("Give me sales.", "sales"),
        ("Transfer me to the night desk.", "night_desk"),
        ("Transfer me to marketing.", "marketing"),
    ] {
        let arguments = json!({ "department": department });
        check(&transfer(), heard, &[("transfer_call", arguments)], says);
    }
}

#[test]
fn a_script_comes_first_and_a_rule_counts_as_often_as_it_is_told_to() {
    let rules = json!([
        { "hears": "hello", "says": "First.", "times": 1 },
        { "hears": "hello", "says": "{heard} Again.", "speculative": true },
    ]);
    let mut mind = mind(&rules, &json!([]));
    let first = mind.think("Hello!");
    assert_eq!(first.answer(&[]), "First.");
    assert_eq!(mind.think("Hello!").answer(&[]), "First.");
    mind.follow(&first);
    let second = mind.think("Hello!");
    assert_eq!(second.answer(&[]), "Hello! Again.");
    assert!(second.speculative && !first.speculative);
    assert_eq!(mind.think("Good day").answer(&[]), "You said: Good day");
}

#[test]
fn answers_of_functions_are_said_whatever_they_are() {
    let rules = json!([{
        "hears": "",
        "calls": [{ "name": "a" }, { "name": "b" }],
        "says": "{result}; {result.state}.",
    }]);
    let thought = mind(&rules, &json!([])).think("x");
    let answer = |a: &str, b: &str| thought.answer(&[a, b]);
    assert_eq!(
        answer(r#"{"state":"sent","due_days":2}"#, "no"),
        "due days 2, state sent, and no; sent."
    );
    assert_eq!(
        answer("[1,true]", r#""yes""#),
        "1, true, and yes; {result.state}."
    );
}
