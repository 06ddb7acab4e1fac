use serde_json::json;
use sidetone_call::engine::Builtin;
use sidetone_gateway::config::{Agent, Function};

use super::{Given, given, list};

const HELPDESK: &str = "\
[profiles.helpdesk]
tell_dtmf = true
[profiles.helpdesk.agent]
greeting = 'Hello! How may I help you?'
[profiles.helpdesk.agent.think]
prompt = 'You help {{ from }} at Acme.'
[profiles.helpdesk.agent.think.provider]
type = 'open_ai'
model = 'gpt-4o'
temperature = 0.5
[[profiles.helpdesk.functions]]
name = 'lookup_order'
description = 'Finds an order by number'
parameters = { type = 'object', properties = { id = { type = 'string' } }, required = ['id'] }
webhook = 'https://acme.example/orders'
secret = 'whsec_aHVzaA=='
idempotent = true
[[profiles.helpdesk.functions]]
builtin = 'transfer'
targets = { sales = '+15551230003' }
[[profiles.helpdesk.functions]]
name = 'goodbye'
builtin = 'hangup'
[profiles.helpdesk.fallback]
say = 'One moment, please.'
number = '+15551230004'
";

#[track_caller]
fn agent(given: &Given, profile: &str) -> Agent {
    let mut profiles = given.loads().gateway.profiles;
    let profile = profiles.remove(profile).unwrap();
    assert!(profile.bidirectional);
    profile.agent.unwrap()
}

/// Each text of an agent's settings, with its path.
fn texts(agent: &Agent) -> Vec<(String, String)> {
    let mut texts = Vec::new();
    let Ok(()) = agent.settings.clone().map_texts(|path, text| {
        texts.push((path.to_owned(), text.to_owned()));
        Ok::<_, std::convert::Infallible>(None)
    });
    texts
}

#[track_caller]
fn says(agent: &Agent, path: &str, text: &str) {
    let texts = texts(agent);
    let expected = (path.to_owned(), text.to_owned());
    assert!(texts.contains(&expected), "{path} in {texts:?}");
}

/// A file like [`HELPDESK`] with one of its lines replaced, and the number of that line.
fn with_line(line: &str, by: &str) -> (String, usize) {
    let index = HELPDESK.lines().position(|it| it == line).unwrap();
    (HELPDESK.replace(line, by), index + 1)
}

#[test]
fn with_nothing_but_a_key_there_is_an_agent() {
    let agent = agent(&given(""), "agent");
    says(&agent, "greeting", "Hello! How can I help you today?");
    says(&agent, "think.provider.model", "gpt-4o-mini");
    assert!(agent.functions.is_empty() && !agent.tells_dtmf);
    assert_eq!(agent.fallback.number, None);
    let listing = list(&given("").inputs).settings;
    for line in [
        "profiles.agent.agent.greeting = \"Hello! How can I help you today?\"  # default",
        "profiles.agent.agent.listen.provider.model = \"nova-3\"  # default",
        "profiles.agent.agent.speak.provider.model = \"aura-2-thalia-en\"  # default",
    ] {
        assert!(listing.lines().any(|l| l == line), "{line} in\n{listing}");
    }
}

#[test]
fn an_agent_is_read_with_all_that_belongs_to_it() {
    let given = given(HELPDESK);
    let agent = agent(&given, "helpdesk");
    says(&agent, "think.prompt", "You help {{ from }} at Acme.");
    says(&agent, "speak.provider.model", "aura-2-thalia-en");
    assert!(agent.tells_dtmf);
    assert_eq!(agent.fallback.say.as_deref(), Some("One moment, please."));
    assert_eq!(agent.fallback.number.as_deref(), Some("+15551230004"));
    let names: Vec<&str> = agent.functions.keys().map(String::as_str).collect();
    assert_eq!(names, ["goodbye", "lookup_order", "transfer"]);
    let Function::Builtin(Builtin::Transfer { targets }) = &agent.functions["transfer"] else {
        panic!("{:?}", agent.functions)
    };
    assert_eq!(targets["sales"], "+15551230003");
    assert!(matches!(
        agent.functions["goodbye"],
        Function::Builtin(Builtin::HangUp)
    ));
    assert!(matches!(
        agent.functions["lookup_order"],
        Function::Webhook(_)
    ));
    let declared = agent.settings.functions();
    let lookup = declared.iter().find(|spec| spec.name == "lookup_order");
    let lookup = lookup.unwrap();
    assert_eq!(lookup.parameters["required"], json!(["id"]));
    assert_eq!(
        lookup.description.as_deref(),
        Some("Finds an order by number")
    );
    assert!(declared.iter().any(|spec| spec.name == "goodbye"));
    assert!(given.warns().is_empty(), "{:?}", given.warns());
}

#[test]
fn each_value_of_an_agent_is_listed_with_its_line_and_its_secrets_are_not_told() {
    let given = given(HELPDESK)
        .set("profiles.helpdesk.agent.speak={\"endpoint\":{\"headers\":{\"x\":\"hush1\"}}}")
        .set("profiles.helpdesk.agent.think.endpoint.headers.authorization=hush2");
    let listing = list(&given.inputs).settings;
    let folder = format!("{}/", given.folder.path().display());
    let listing = listing.replace(&folder, "");
    for line in [
        "profiles.helpdesk.agent.think.provider.model = \"gpt-4o\"  # sidetone.toml:9",
        "profiles.helpdesk.functions[0].secret = (secret)  # sidetone.toml:16",
        "profiles.helpdesk.functions[1].targets.sales = \"+15551230003\"  # sidetone.toml:20",
        "profiles.helpdesk.functions[2].builtin = \"hangup\"  # sidetone.toml:23",
    ] {
        assert!(listing.lines().any(|l| l == line), "{line} in\n{listing}");
    }
    assert!(!listing.contains("hush"), "{listing}");
    assert!(!listing.contains("aHVzaA"), "{listing}");
}

#[test]
fn no_secret_of_an_agent_shows_in_what_was_built() {
    let toml = HELPDESK.replace(
        "prompt = ",
        "endpoint = { url = 'https://llm.example', headers = { authorization = 'hush1' } }\n\
         prompt = ",
    );
    let debug = format!("{:?}", given(&toml).loads());
    for secret in ["hush1", "aHVzaA", "Acme"] {
        assert!(!debug.contains(secret), "{secret} in {debug}");
    }
}

#[test]
fn what_is_wrong_with_an_agent_is_refused_with_its_line_and_what_is_allowed() {
    for (line, by, path, names) in [
        (
            "temperature = 0.5",
            "temperature = 7",
            "agent.think.provider.temperature",
            "2",
        ),
        (
            "type = 'open_ai'",
            "type = 'groq'",
            "agent.think.endpoint",
            "endpoint",
        ),
        (
            "greeting = 'Hello! How may I help you?'",
            "greeting = 5",
            "agent.greeting",
            "text",
        ),
        (
            "greeting = 'Hello! How may I help you?'",
            "greetings = 'Hi'",
            "agent.greetings",
            "greeting",
        ),
        (
            "prompt = 'You help {{ from }} at Acme.'",
            "prompt = 'You {{ help'",
            "agent.think.prompt",
            "line 1",
        ),
        (
            "name = 'lookup_order'",
            "name = 'lookup order'",
            "functions[0].name",
            "letters, digits",
        ),
        (
            "name = 'lookup_order'",
            "name = 'goodbye'",
            "functions[2]",
            "functions[0]",
        ),
        (
            "webhook = 'https://acme.example/orders'",
            "webhook = 'ftp://acme.example'",
            "functions[0].webhook",
            "https://",
        ),
        (
            "webhook = 'https://acme.example/orders'",
            "builtin = 'lookup'",
            "functions[0].builtin",
            "hangup, transfer",
        ),
        (
            "webhook = 'https://acme.example/orders'",
            "",
            "functions[0]",
            "exactly one of webhook, builtin",
        ),
        (
            "idempotent = true",
            "idempotent = 'yes'",
            "functions[0].idempotent",
            "true or false",
        ),
        (
            "idempotent = true",
            "idempotnt = true",
            "functions[0].idempotnt",
            "`idempotent`",
        ),
        (
            "secret = 'whsec_aHVzaA=='",
            "secret = 'aHVzaA=='",
            "functions[0].secret",
            "`whsec_`",
        ),
        (
            "targets = { sales = '+15551230003' }",
            "targets = { sales = '5551230003' }",
            "functions[1].targets.sales",
            "+15005550006",
        ),
        (
            "targets = { sales = '+15551230003' }",
            "",
            "functions[1]",
            "targets",
        ),
        (
            "builtin = 'hangup'",
            "builtin = 'hangup'\ntargets = { a = '+15551230003' }",
            "functions[2].targets",
            "transfer",
        ),
        (
            "builtin = 'hangup'",
            "builtin = 'hangup'\nparameters = { type = 'object' }",
            "functions[2].parameters",
            "webhook",
        ),
        (
            "number = '+15551230004'",
            "number = 'sales'",
            "fallback.number",
            "+15005550006",
        ),
        (
            "say = 'One moment, please.'",
            "says = 'One moment.'",
            "fallback.says",
            "`say`",
        ),
        (
            "tell_dtmf = true",
            "tells_dtmf = true",
            "tells_dtmf",
            "`tell_dtmf`",
        ),
        (
            "tell_dtmf = true",
            "tell_dtmf = 1",
            "tell_dtmf",
            "true or false",
        ),
    ] {
        let (toml, _) = with_line(line, by);
        let error = given(&toml).fails();
        let path = format!(" profiles.helpdesk.{path}: ");
        let found = error.lines().find(|problem| problem.contains(&path));
        let problem = found.unwrap_or_else(|| panic!("{path} in {error}"));
        assert!(problem.starts_with("sidetone.toml:"), "{by}: {problem}");
        assert!(problem.contains(names), "{by}: {names} in {problem}");
    }
}

#[test]
fn a_problem_deep_in_an_agent_is_told_with_its_own_line() {
    let (toml, line) = with_line("temperature = 0.5", "temperature = 7");
    let at = format!("sidetone.toml:{line}: profiles.helpdesk.agent.think.provider.temperature: ");
    let error = given(&toml).fails();
    assert!(error.starts_with(&at), "{error}");
    // What is missing is told where it would stand.
    let error =
        given("[profiles.x]\n[profiles.x.agent.listen.provider]\nmodel = 'flux-general-en'\n");
    let error = error.fails();
    assert!(
        error.starts_with("sidetone.toml:3: profiles.x.agent.listen"),
        "{error}"
    );
}

#[test]
fn a_webhook_needs_a_schema_of_an_object() {
    let parameters = HELPDESK.lines().find(|line| line.starts_with("parameters"));
    for (by, names) in [
        ("", "parameters = { type = \"object\" }"),
        ("parameters = { type = 'objekt' }", "objekt"),
        ("parameters = { type = 'string' }", "type = \"object\""),
        ("parameters = 'object'", "schema"),
    ] {
        let error = given(&with_line(parameters.unwrap(), by).0).fails();
        assert!(error.contains("profiles.helpdesk.functions[0]"), "{error}");
        assert!(error.contains(names), "{names} in {error}");
    }
}

#[test]
fn a_function_is_a_table_in_a_list_and_belongs_to_an_agent() {
    let named =
        "[profiles.x.agent]\n[profiles.x.functions.lookup]\nwebhook = 'https://a.example'\n";
    let error = given(named).fails();
    assert_eq!(
        error,
        "sidetone.toml:3: profiles.x.functions: expected tables, each under a line \
         [[profiles.x.functions]]"
    );
    let without = "[profiles.x.listen]\n[[profiles.x.functions]]\nbuiltin = 'hangup'\n";
    assert_eq!(
        given(without).fails(),
        "sidetone.toml:3: profiles.x.functions: is for an agent, and profiles.x has none"
    );
}

#[test]
fn numbers_that_may_not_be_dialled_are_refused() {
    let toml = format!("{HELPDESK}[twilio]\nallow_destinations = ['+4420']\n");
    let error = given(&toml).fails();
    for path in ["functions[1].targets.sales", "fallback.number"] {
        let problem = error
            .lines()
            .find(|problem| problem.contains(path))
            .unwrap();
        assert!(problem.contains("+4420"), "{problem}");
    }
}

#[test]
fn a_webhook_without_a_secret_takes_the_common_one_or_is_told_to_be_unsigned() {
    let (toml, _) = with_line("secret = 'whsec_aHVzaA=='", "");
    let warnings = given(&toml).warns();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(warnings[0].contains("without a signature"), "{warnings:?}");
    let common = format!("{toml}[webhooks]\nsecret = 'whsec_aHVzaA=='\n");
    assert!(given(&common).warns().is_empty());
}

#[test]
fn a_function_that_nothing_answers_is_told() {
    let toml = "[profiles.x.agent.think]\nprompt = 'Hi'\n\
                [[profiles.x.agent.think.functions]]\nname = 'lookup'\ndescription = 'Finds'\n\
                parameters = { type = 'object' }\n";
    let warnings = given(toml).warns();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].starts_with("sidetone.toml:4: profiles.x.agent.think.functions: `lookup`"),
        "{warnings:?}"
    );
    let answered = "[[profiles.x.functions]]\nname = 'lookup'\nbuiltin = 'collect_digits'\n";
    assert!(given(&format!("{toml}{answered}")).warns().is_empty());
}

const DOCUMENT: &str = r#"{
  "type": "Settings",
  "audio": {
    "input": { "encoding": "linear16", "sample_rate": 48000 }
  },
  "agent": {
    "think": {
      "provider": { "type": "open_ai", "model": "gpt-4o-mini" },
      "prompt": "You are {{ profile }}."
    },
    "greeting": "Good day!"
  }
}
"#;

/// A profile whose agent stands in a file beside its own.
fn in_file(document: &str) -> Given {
    let given = given("[profiles.x.agent]\nfile = 'agent.json'\n");
    std::fs::write(given.folder.path().join("agent.json"), document).unwrap();
    given
}

#[test]
fn a_whole_settings_document_is_taken_as_it_stands() {
    let agent = agent(&in_file(DOCUMENT), "x");
    says(&agent, "greeting", "Good day!");
    says(&agent, "think.prompt", "You are {{ profile }}.");
}

#[test]
fn what_is_wrong_in_a_document_is_told_with_its_own_line() {
    for (from, to, begins) in [
        (
            "\"greeting\": \"Good day!\"",
            "\"greeting\": 5",
            "agent.json:11: agent.greeting: ",
        ),
        (
            "gpt-4o-mini\"",
            "gpt-4o-mini\", \"temperature\": 7",
            "agent.json:8: agent.think.provider.temperature: ",
        ),
        (
            "{{ profile }}",
            "{{ profile",
            "agent.json:9: agent.think.prompt: ",
        ),
        (
            "\"greeting\":",
            "\"greeting\"",
            "agent.json:11: this is no JSON: ",
        ),
    ] {
        let error = in_file(&DOCUMENT.replace(from, to)).fails();
        assert!(error.starts_with(begins), "{begins}: {error}");
    }
}

#[test]
fn a_document_stands_alone_and_can_be_read() {
    let missing = given("[profiles.x.agent]\nfile = 'agent.json'\n").fails();
    assert!(
        missing.starts_with("sidetone.toml:2: profiles.x.agent.file: `agent.json` does not fit"),
        "{missing}"
    );
    let beside = in_file(DOCUMENT)
        .set("profiles.x.agent.greeting=Hi")
        .fails();
    assert_eq!(
        beside,
        "--set profiles.x.agent.greeting: profiles.x.agent.greeting: cannot stand beside `file`: \
         write it into the file"
    );
}

#[test]
fn a_stored_agent_is_named_by_its_id_and_takes_no_functions() {
    let id = "0a1b2c3d-0000-4000-8000-000000000001";
    let toml = format!("[profiles.x]\nagent = '{id}'\n");
    assert!(agent(&given(&toml), "x").settings.is_stored());
    let functions = format!("{toml}[[profiles.x.functions]]\nbuiltin = 'hangup'\n");
    let error = given(&functions).fails();
    assert!(
        error.starts_with("sidetone.toml:4: profiles.x.functions[0]: "),
        "{error}"
    );
    let wrong = given("[profiles.x]\nagent = 'helper'\n").fails();
    assert!(
        wrong.starts_with("sidetone.toml:2: profiles.x.agent: "),
        "{wrong}"
    );
}

#[test]
fn a_flag_sets_a_value_of_an_agent_by_its_type() {
    let given = given(HELPDESK)
        .set("profiles.helpdesk.agent.think.provider.temperature=1.5")
        .set("profiles.helpdesk.agent.think.provider.model=gpt-4.1")
        .set("profiles.helpdesk.functions[1].targets.support=+15551230005")
        .set("profiles.agent.agent.greeting=Hi there!");
    let helpdesk = agent(&given, "helpdesk");
    says(&helpdesk, "think.provider.model", "gpt-4.1");
    let Function::Builtin(Builtin::Transfer { targets }) = &helpdesk.functions["transfer"] else {
        panic!("{:?}", helpdesk.functions)
    };
    assert_eq!(targets.len(), 2);
    says(&agent(&given, "agent"), "greeting", "Hi there!");
}

#[test]
fn a_flag_takes_the_place_of_all_that_stood_there() {
    let id = "0a1b2c3d-0000-4000-8000-000000000001";
    let set = format!("profiles.x.agent={id}");
    let stored = given("[profiles.x.agent]\ngreeting = 'Hi'\n").set(&set);
    assert!(agent(&stored, "x").settings.is_stored());
    let toml = format!("[profiles.x]\nagent = '{id}'\n");
    let own = given(&toml).set("profiles.x.agent.greeting=Hi");
    says(&agent(&own, "x"), "greeting", "Hi");
}

#[test]
fn an_agents_address_may_be_written_in_any_of_its_ways() {
    for (written, meant) in [
        (
            "https://agent.eu.deepgram.com",
            "wss://agent.eu.deepgram.com/",
        ),
        (
            "wss://agent.deepgram.com/v1/agent/converse",
            "wss://agent.deepgram.com/",
        ),
        (
            "http://127.0.0.1:7000/v1/agent/converse/",
            "ws://127.0.0.1:7000/",
        ),
    ] {
        let gateway = given("").env("DEEPGRAM_AGENT_URL", written).loads().gateway;
        assert_eq!(gateway.deepgram.agent_url.as_str(), meant, "{written}");
    }
    let default = given("").loads().gateway.deepgram.agent_url;
    assert_eq!(default.as_str(), "wss://agent.deepgram.com/");
}

/// A folder with a prompt in it, and `--agent` for it.
fn prompted(prompt: &[u8]) -> Given {
    let mut given = given("");
    std::fs::write(given.folder.path().join("prompt.txt"), prompt).unwrap();
    given.inputs.agent = Some("prompt.txt".into());
    given
}

#[test]
fn a_text_file_is_enough_for_an_agent() {
    let given = prompted(b"You are a pirate.\nSay so.\n");
    assert_eq!(given.loads().gateway.default_profile, "agent");
    let pirate = agent(&given, "agent");
    says(&pirate, "think.prompt", "You are a pirate.\nSay so.");
    says(&pirate, "greeting", "Hello! How can I help you today?");
}

#[test]
fn a_text_file_gives_its_prompt_to_the_agent_that_a_file_defines() {
    let given = prompted(b"You are a pirate.");
    let toml = "[profiles.agent.agent]\ngreeting = 'Ahoy!'\n";
    std::fs::write(given.folder.path().join("sidetone.toml"), toml).unwrap();
    let pirate = agent(&given, "agent");
    says(&pirate, "greeting", "Ahoy!");
    says(&pirate, "think.prompt", "You are a pirate.");
}

#[test]
fn a_prompt_that_cannot_be_used_is_refused_in_words() {
    let mut missing = given("");
    missing.inputs.agent = Some("prompt.txt".into());
    assert!(
        missing
            .fails()
            .starts_with("--agent: prompt.txt cannot be read: ")
    );
    assert!(
        prompted(b" \n")
            .fails()
            .starts_with("--agent: prompt.txt is empty: ")
    );
    assert_eq!(
        prompted(b"\xff\xfe").fails(),
        "--agent: prompt.txt is no UTF-8 text"
    );
    let broken = prompted(b"You {{ are").fails();
    assert!(
        broken.starts_with("prompt.txt:1: profiles.agent.agent.think.prompt: "),
        "{broken}"
    );
    let mut other = prompted(b"You are a pirate.");
    other.inputs.profile = Some("hello".to_owned());
    let refused = other.fails();
    assert!(refused.contains("leave out --profile hello"), "{refused}");
    other.inputs.profile = Some("agent".to_owned());
    other.loads();
}

#[test]
fn a_prompt_without_bounds_is_refused_with_its_place() {
    let prompt = "{% for n in range(9999) %}You help callers with all they ask.{% endfor %}";
    let toml = format!("[profiles.helpdesk.agent.think]\nprompt = '{prompt}'\n");
    let told = given(&toml).fails();
    assert!(
        told.starts_with("sidetone.toml:2: profiles.helpdesk.agent.think.prompt: "),
        "{told}"
    );
    assert!(told.contains("more than 256 KiB"), "{told}");
}

#[test]
fn an_agent_is_wanted_where_one_is_set_up() {
    let agents_url = ("DEEPGRAM_AGENT_URL", "wss://agent.example");
    for (wants, given) in [
        (false, given("")),
        (false, given("[profiles.talk.speak]\n")),
        (true, given(HELPDESK)),
        (true, given("[numbers]\n'+15005550006' = 'agent'\n")),
        (true, given("").set("profiles.agent.agent.greeting=Hello")),
        (true, given("").env(agents_url.0, agents_url.1)),
    ] {
        assert_eq!(given.loads().uses_agent, wants, "{:?}", given.inputs);
    }
    let mut usual = given("");
    usual.inputs.profile = Some("agent".to_owned());
    assert!(usual.loads().uses_agent);
}
