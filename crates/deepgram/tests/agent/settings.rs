//! Settings documents: completed, checked, changed.

use std::convert::Infallible;

use serde_json::{Value, json};
use sidetone_deepgram::agent::settings::{FunctionSpec, Settings, Update};

use crate::rig::Rig;

const STORED: &str = "fc553ec9-5874-49ca-a47c-b670d525a4b1";

/// The document as it goes out.
fn sent(settings: Settings) -> Value {
    Rig::with(settings).settle()
}

fn agent(agent: Value) -> Value {
    sent(Settings::from_agent(agent).expect("it is right"))
}

/// What is wrong with an agent, as `path what`.
#[track_caller]
fn check_faults(agent: Value, expected: &[&str]) {
    let faults = match Settings::from_agent(agent) {
        Ok(_) => Vec::new(),
        Err(faults) => faults.iter().map(ToString::to_string).collect(),
    };
    assert_eq!(faults, expected);
}

fn function(name: &str) -> FunctionSpec {
    FunctionSpec {
        name: name.into(),
        description: Some("Does it.".into()),
        parameters: json!({ "type": "object", "properties": {} }),
        defer_until_eot: false,
    }
}

#[test]
fn an_empty_agent_is_the_built_in_one() {
    assert_eq!(
        agent(json!({})),
        json!({
            "type": "Settings",
            "tags": ["sidetone"],
            "experimental": true,
            "flags": { "history": true },
            "audio": {
                "input": { "encoding": "mulaw", "sample_rate": 8000 },
                "output": { "encoding": "mulaw", "sample_rate": 8000, "container": "none" },
            },
            "agent": {
                "listen": { "provider": { "type": "deepgram", "model": "nova-3" } },
                "think": {
                    "provider": { "type": "open_ai", "model": "gpt-4o-mini" },
                    "prompt": "You are a helpful AI assistant focused on customer service.",
                },
                "speak": { "provider": { "type": "deepgram", "model": "aura-2-thalia-en" } },
                "greeting": "Hello! How can I help you today?",
            },
        })
    );
}

#[test]
fn only_what_is_absent_is_filled_in() {
    let document = agent(json!({
        "listen": { "provider": { "language": "es" } },
        "think": [{ "provider": { "model": "gpt-5" }, "prompt": "One." }, { "prompt": "Two." }],
        "speak": { "provider": { "type": "deepgram", "version": "v2", "model": "flux-kit-en" } },
        "greeting": "",
        "think_live": { "provider": {} },
    }));
    assert_eq!(
        document["agent"],
        json!({
            "listen": { "provider": { "type": "deepgram", "model": "nova-3", "language": "es" } },
            "think": [
                { "provider": { "type": "open_ai", "model": "gpt-5" }, "prompt": "One." },
                { "provider": { "type": "open_ai", "model": "gpt-4o-mini" }, "prompt": "Two." },
            ],
            "speak": { "provider": { "type": "deepgram", "version": "v2", "model": "flux-kit-en" } },
            "think_live": { "provider": {} },
        })
    );
}

#[test]
fn a_whole_document_keeps_what_sidetone_does_not_set() {
    let document = Settings::from_document(json!({
        "type": "Settings",
        "tags": ["mine", "sidetone"],
        "experimental": false,
        "flags": { "history": false },
        "mip_opt_out": true,
        "audio": { "input": { "encoding": "linear16", "sample_rate": 48000 } },
        "from_tomorrow": { "a": 1 },
        "agent": { "context": { "messages": [{ "type": "History", "role": "user", "content": "Hi" }] } },
    }));
    let document = sent(document.unwrap());
    assert_eq!(document["tags"], json!(["mine", "sidetone"]));
    assert_eq!(document["experimental"], true);
    assert_eq!(document["flags"], json!({ "history": true }));
    assert_eq!(document["mip_opt_out"], true);
    assert_eq!(
        document["audio"]["input"],
        json!({ "encoding": "mulaw", "sample_rate": 8000 })
    );
    assert_eq!(document["from_tomorrow"], json!({ "a": 1 }));
    assert_eq!(document["agent"]["context"]["messages"][0]["content"], "Hi");
}

#[test]
fn a_stored_agent_goes_by_its_id_and_takes_no_functions() {
    let mut settings = Settings::from_agent(json!(STORED)).unwrap();
    assert!(settings.is_stored() && settings.functions().is_empty());
    let fault = settings.add_function(function("f")).unwrap_err();
    assert!(fault.what.contains("stored at Deepgram"), "{fault}");
    assert_eq!(sent(settings)["agent"], STORED);
    check_faults(
        json!("helpdesk"),
        &[" must be an object, or the id (a UUID) of an agent stored at Deepgram"],
    );
}

#[test]
fn every_fault_has_its_path_and_what_is_allowed() {
    check_faults(
        json!({ "listen": { "provider": { "model": "flux-general-en" } } }),
        &[
            "listen.provider.version must be `v2` for `flux-general-en`: the default version knows no Flux",
        ],
    );
    check_faults(
        json!({ "listen": { "provider": { "version": "v2", "eot_threshold": 0.4, "eot_timeout_ms": 0.5 } } }),
        &[
            "listen.provider.eot_threshold must be a number from 0.5 to 1",
            "listen.provider.eot_timeout_ms must be a whole number from 500 to 60000",
            "listen.provider.model is missing: version `v2` needs a Flux model, such as `flux-general-en`",
        ],
    );
    check_faults(
        json!({ "think": [
            { "provider": { "type": "anthropic", "model": "m", "temperature": 1.5 } },
            { "provider": { "type": "groq" }, "promt": "x" },
            7,
        ] }),
        &[
            "think[0].provider.temperature must be a number from 0 to 1",
            "think[1].promt is no name Deepgram knows; did you mean `prompt`?",
            "think[1].provider.model is missing: such as `gpt-4o-mini`",
            "think[1].endpoint is missing: Deepgram does not host `groq`",
            "think[2] must be an object",
        ],
    );
    check_faults(
        json!({ "speak": [
            { "provider": { "language": "en", "speed": 2, "expressivity": "1" } },
            { "provider": { "type": "eleven_labs" }, "endpoint": { "url": "example.com" } },
            { "provider": { "type": "cartesia" } },
        ], "greeting": 7 }),
        &[
            "greeting must be a text",
            "speak[0].provider.speed must be a number from 0.7 to 1.5",
            "speak[0].provider.expressivity must be a whole number from -2 to 2",
            "speak[0].provider.language is not for a voice of Deepgram's: the name of the voice says its language, so take this out",
            "speak[1].endpoint.url must be an https or wss URL",
            "speak[2].endpoint is missing: Deepgram does not host `cartesia`",
        ],
    );
    check_faults(
        json!({ "think": { "functions": [
            { "name": "a b", "description": "d", "parameters": {} },
            { "name": "f", "description": "d", "parameters": [] },
            { "name": "f", "description": "d", "parameters": {}, "defer_until_eot": 1 },
            "g",
        ] } }),
        &[
            "think.functions[0].name must be 1 to 64 letters, digits, `_` or `-`",
            "think.functions[1].parameters must be an object",
            "think.functions[2].defer_until_eot must be `true` or `false`",
            "think.functions[2].name is \"f\" a second time: a name is one function's",
            "think.functions[3] must be an object with name, description and parameters",
        ],
    );
    check_faults(
        json!({ "think": [] }),
        &["think must be an object, or a list of one or more"],
    );
}

#[test]
fn faults_of_a_document_begin_at_the_document() {
    let faults = |document| {
        let faults = Settings::from_document(document).unwrap_err();
        faults
            .into_iter()
            .map(|fault| fault.path)
            .collect::<Vec<_>>()
    };
    assert_eq!(
        faults(json!({ "type": "settings", "tag": [], "agent": { "think": { "prompt": 1 } } })),
        ["tag", "type", "agent.think.prompt"]
    );
    assert_eq!(
        faults(json!({ "mip_opt_out": 1 })),
        ["mip_opt_out", "agent"]
    );
    assert_eq!(faults(json!([])), [""]);
}

#[test]
fn functions_are_added_to_every_model_and_replace_one_of_the_same_name() {
    let mut settings = Settings::from_agent(json!({ "think": [
        { "functions": [{ "name": "f", "description": "old", "parameters": {} }] },
        { "functions": [{ "name": "far", "description": "d", "parameters": {}, "endpoint": { "url": "https://x" } }] },
    ] }))
    .unwrap();
    let deferred = FunctionSpec {
        defer_until_eot: true,
        ..function("f")
    };
    settings.add_function(deferred.clone()).unwrap();
    settings.add_function(function("g")).unwrap();
    assert_eq!(settings.functions(), [deferred, function("g")]);
    let think = sent(settings)["agent"]["think"].clone();
    let names = |n: usize| {
        let functions = think[n]["functions"].as_array().unwrap();
        functions
            .iter()
            .map(|f| f["name"].clone())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(0), ["f", "g"]);
    assert_eq!(names(1), ["far", "f", "g"]);
    assert_eq!(think[0]["functions"][0]["description"], "Does it.");
    assert_eq!(think[0]["functions"][0]["defer_until_eot"], true);

    let mut settings = Settings::from_agent(json!({})).unwrap();
    let faulty = FunctionSpec {
        description: None,
        ..function("f")
    };
    let fault = settings.add_function(faulty).unwrap_err();
    assert_eq!(
        fault.to_string(),
        "functions.f.description is missing: it tells the model what it is for"
    );
}

#[test]
fn texts_that_may_be_templates_are_mapped_and_no_others() {
    let mut settings = Settings::from_agent(json!({
        "think": {
            "prompt": "p",
            "functions": [{ "name": "f", "description": "d", "parameters": {} }],
            "endpoint": { "url": "https://x" },
        },
        "speak": [{ "provider": { "type": "deepgram", "model": "m" } }],
        "greeting": "g",
    }))
    .unwrap();
    let mut paths = Vec::new();
    let mapped: Result<(), Infallible> = settings.map_texts(|path, text| {
        paths.push(path.to_owned());
        Ok((path == "greeting").then(|| format!("{text}!")))
    });
    mapped.unwrap();
    assert_eq!(
        paths,
        [
            "greeting",
            "listen.provider.model",
            "speak[0].provider.model",
            "think.prompt",
            "think.provider.model"
        ]
    );
    assert_eq!(sent(settings.clone())["agent"]["greeting"], "g!");
    assert_eq!(settings.map_texts(|_, _| Err("stop")), Err("stop"));
}

#[test]
fn an_update_is_checked_before_it_is_sent() {
    let paths = |update: Update| match update.check() {
        Ok(()) => Vec::new(),
        Err(faults) => faults.into_iter().map(|fault| fault.path).collect(),
    };
    assert_eq!(
        paths(Update {
            prompt: Some("x".into()),
            ..Update::default()
        }),
        [""; 0]
    );
    let update = Update {
        think: Some(json!({ "provider": { "type": "open_ai", "model": "gpt-5" } })),
        speak: Some(json!({ "provider": { "type": "deepgram", "model": "m" } })),
        prompt: None,
    };
    assert_eq!(paths(update), [""; 0]);
    let update = Update {
        think: Some(json!({ "provider": { "type": "open_ai" } })),
        speak: Some(json!({})),
        prompt: None,
    };
    assert_eq!(paths(update), ["think.provider.model", "speak.provider"]);
}

#[test]
fn settings_show_no_prompt_and_no_key_in_a_log() {
    let settings = Settings::from_agent(json!({ "think": {
        "prompt": "be secretive",
        "endpoint": { "url": "https://x", "headers": { "authorization": "Bearer abc" } },
    } }));
    let shown = format!("{:?}", settings.unwrap());
    assert!(
        !shown.contains("secretive") && !shown.contains("abc"),
        "{shown}"
    );
}
