use super::*;

fn document(change: impl Fn(&mut Value)) -> Map<String, Value> {
    let mut document = json!({
        "audio": {
            "input": { "encoding": "mulaw", "sample_rate": 8000 },
            "output": { "encoding": "mulaw", "sample_rate": 8000, "container": "none" },
        },
        "agent": {
            "listen": { "provider": { "type": "deepgram", "model": "nova-3" } },
            "think": {
                "provider": { "type": "open_ai", "model": "gpt-4o-mini", "temperature": 0.7 },
                "prompt": "Be kind.",
                "functions": [
                    { "name": "mine", "parameters": { "type": "object" }, "defer_until_eot": true },
                    { "name": "yours", "endpoint": { "url": "https://example.com" } },
                ],
            },
            "speak": { "provider": { "type": "deepgram", "model": "aura-2-thalia-en" } },
            "greeting": "Hello!",
        },
    });
    change(&mut document);
    serde_json::from_value(document).unwrap()
}

fn read(change: impl Fn(&mut Value)) -> Result<Settings, Notice> {
    Settings::read(&document(change))
}

#[track_caller]
fn check_refused(code: &str, words: &str, change: impl Fn(&mut Value)) {
    let refused = read(change).map(drop).unwrap_err();
    assert_eq!(refused.code, code, "{}", refused.description);
    assert!(
        refused.description.contains(words),
        "{}",
        refused.description
    );
}

#[test]
fn a_document_is_read() {
    let settings = read(|_| {}).unwrap();
    assert!(settings.hears && settings.history && !settings.experimental);
    assert_eq!(settings.greeting.as_deref(), Some("Hello!"));
    let [mine, yours] = &settings.think.functions[..] else {
        panic!("{:?}", settings.think)
    };
    assert!(mine.client_side && mine.defer_until_eot);
    assert!(!yours.client_side && !yours.defer_until_eot);
}

#[test]
fn what_may_be_absent_may_be_absent() {
    let settings = read(|document| *document = json!({ "audio": {}, "agent": {} })).unwrap();
    assert!(!settings.hears && settings.think.functions.is_empty());
}

#[test]
fn the_stored_agent_is_known_and_no_other() {
    let greeting = read(|document| document["agent"] = json!(STORED_AGENT_ID));
    assert_eq!(
        greeting.unwrap().greeting.as_deref(),
        Some("Hello from a stored agent.")
    );
    check_refused("INVALID_AGENT_ID", "0000", |document| {
        document["agent"] = json!("00000000-0000-4000-8000-000000000000");
    });
}

#[test]
fn fallbacks_are_checked_like_the_first() {
    let other = json!({ "provider": { "type": "anthropic", "model": "claude-3-5-haiku-latest" } });
    read(|document| {
        let think = document["agent"]["think"].take();
        document["agent"]["think"] = json!([think, other]);
    })
    .unwrap();
    check_refused(
        "UNPARSABLE_CLIENT_MESSAGE",
        "think.provider.model",
        |document| {
            let think = document["agent"]["think"].take();
            document["agent"]["think"] = json!([think, { "provider": { "type": "open_ai" } }]);
        },
    );
    check_refused("UNPARSABLE_CLIENT_MESSAGE", "think", |document| {
        document["agent"]["think"] = json!([]);
    });
}

#[test]
fn what_cannot_be_read_is_unparsable() {
    for (pointer, value, words) in [
        ("/audio", json!(null), "audio"),
        ("/agent", json!(5), "agent"),
        ("/tags", json!("call"), "tags"),
        ("/flags", json!({ "history": "yes" }), "history"),
        (
            "/audio/input",
            json!({ "encoding": "mulaw" }),
            "sample_rate",
        ),
        ("/audio/input/encoding", json!("ulaw"), "encoding"),
        ("/agent/greeting", json!(1), "greeting"),
        (
            "/agent/listen/provider/type",
            json!("other"),
            "listen.provider.type",
        ),
        (
            "/agent/think/provider/type",
            json!("openai"),
            "think.provider.type",
        ),
        ("/agent/think/functions", json!([{}]), "functions.name"),
        (
            "/agent/context",
            json!({ "messages": [{ "role": "user" }] }),
            "context",
        ),
        ("/agent/speak/provider/language", json!("en"), "language"),
        (
            "/agent/speak/provider/expressivity",
            json!("1"),
            "expressivity",
        ),
    ] {
        check_refused("UNPARSABLE_CLIENT_MESSAGE", words, |document| {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[name] = value.clone();
        });
    }
}

#[test]
fn what_there_is_not_is_invalid() {
    for (pointer, value, words) in [
        ("/audio/output/encoding", json!("mp3"), "Unsupported"),
        ("/audio/output/sample_rate", json!(11_025), "sample_rate"),
        ("/audio/output/container", json!("wav"), "container"),
        (
            "/agent/listen/provider/model",
            json!("flux-general-en"),
            "v2",
        ),
        ("/agent/listen/provider/version", json!("v2"), "flux"),
        ("/agent/think/provider/temperature", json!(3), "temperature"),
        ("/agent/think/provider/type", json!("groq"), "endpoint"),
        (
            "/agent/think/functions",
            json!([{ "name": "a" }, { "name": "a" }]),
            "twice",
        ),
        (
            "/agent/speak/provider/model",
            json!("flux-kit-en"),
            "flux-kit-en",
        ),
        (
            "/agent/speak/provider/version",
            json!("v2"),
            "aura-2-thalia-en",
        ),
        (
            "/agent/speak/provider/type",
            json!("eleven_labs"),
            "endpoint",
        ),
    ] {
        check_refused("INVALID_SETTINGS", words, |document| {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            document.pointer_mut(parent).unwrap()[name] = value.clone();
        });
    }
}

#[test]
fn a_bad_speed_shows_only_when_it_speaks() {
    let settings = read(|document| document["agent"]["speak"]["provider"]["speed"] = json!(3));
    assert!(settings.unwrap().speak.fails);
}

#[test]
fn a_long_prompt_is_cut() {
    let settings =
        read(|document| document["agent"]["think"]["prompt"] = json!("a".repeat(25_001)));
    let think = settings.unwrap().think;
    assert!(think.is_cut && think.prompt.len() == 25_000);
}

#[test]
fn an_update_of_listening_leaves_what_it_does_not_name() {
    let flux = json!({ "provider": {
        "type": "deepgram", "version": "v2", "model": "flux-general-en",
    } });
    let listen = Listen::read(&flux).unwrap();
    let thresholds = json!({ "provider": { "eot_threshold": 0.9 } });
    assert!(listen.updated(&thresholds).unwrap().is_flux());
    let refused = listen.updated(&json!({ "provider": { "eot_threshold": 0.2 } }));
    assert_eq!(refused.unwrap_err().code, "INVALID_SETTINGS");
}
