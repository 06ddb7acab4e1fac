mod agent;

use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use sidetone_gateway::config::{Dial, Overflow, Then};

use super::{Configuration, Inputs, list, load};

/// A folder with a `sidetone.toml`, perhaps a `.env`, and an environment with a key.
struct Given {
    folder: tempfile::TempDir,
    inputs: Inputs,
}

fn given(toml: &str) -> Given {
    let folder = tempfile::tempdir().unwrap();
    if !toml.is_empty() {
        std::fs::write(folder.path().join("sidetone.toml"), toml).unwrap();
    }
    let environment = BTreeMap::from([("DEEPGRAM_API_KEY".to_owned(), "k3y".to_owned())]);
    let inputs = Inputs {
        folder: folder.path().to_owned(),
        environment,
        ..Inputs::default()
    };
    Given { folder, inputs }
}

impl Given {
    fn env(mut self, name: &str, value: &str) -> Self {
        self.inputs
            .environment
            .insert(name.to_owned(), value.to_owned());
        self
    }

    fn dot_env(self, text: &str) -> Self {
        std::fs::write(self.folder.path().join(".env"), text).unwrap();
        self
    }

    fn set(mut self, set: &str) -> Self {
        self.inputs.sets.push(set.to_owned());
        self
    }

    #[track_caller]
    fn loads(&self) -> Configuration {
        load(&self.inputs).unwrap_or_else(|error| panic!("{error}"))
    }

    /// The warnings, with the temporary folder's name taken out.
    #[track_caller]
    fn warns(&self) -> Vec<String> {
        let folder = format!("{}/", self.folder.path().display());
        let warnings = self.loads().warnings;
        let told = warnings.iter().map(ToString::to_string);
        told.map(|warning| warning.replace(&folder, "")).collect()
    }

    /// The problems, with the temporary folder's name taken out.
    #[track_caller]
    fn fails(&self) -> String {
        let error = load(&self.inputs)
            .expect_err("this configuration is wrong")
            .to_string();
        error.replace(&format!("{}/", self.folder.path().display()), "")
    }
}

#[test]
fn with_a_key_and_nothing_else_it_starts() {
    let configuration = given("").loads().gateway;
    let listen: Vec<String> = configuration
        .listen
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(listen, ["127.0.0.1:5000", "[::1]:5000"]);
    assert_eq!(
        configuration.deepgram.url.as_str(),
        "wss://api.deepgram.com/"
    );
    assert_eq!(configuration.limits.max_calls, 1000);
    let names: Vec<_> = configuration.profiles.keys().map(String::as_str).collect();
    assert_eq!(names, ["agent", "default", "hello"]);
    let default = &configuration.profiles["default"];
    assert!(matches!(default.dial, Some(Dial::PauseSecs(3600))));
    assert!(default.listen.as_ref().unwrap().params.interim_results());
    assert!(configuration.profiles["agent"].bidirectional);
    assert!(configuration.profiles["hello"].bidirectional);
}

#[test]
fn without_a_key_it_says_where_to_get_one() {
    let mut given = given("");
    given.inputs.environment.clear();
    let error = given.fails();
    assert!(error.contains("DEEPGRAM_API_KEY is not set"), "{error}");
    assert!(error.contains("https://console.deepgram.com"), "{error}");
    assert!(error.contains("sidetone demo"), "{error}");
}

#[test]
fn flags_win_over_environment_over_dot_env_over_file() {
    let toml = "[limits]\nmax_calls = 1\n[server]\nlisten = '127.0.0.1:1'\ndrain_secs = 5\n[log]\nfilter = 'error'\n";
    let given = given(toml)
        .dot_env("SIDETONE_LISTEN=127.0.0.1:2\nRUST_LOG=debug\n")
        .env("SIDETONE_LISTEN", "127.0.0.1:3")
        .set("limits.max_calls=4");
    let configuration = given.loads();
    assert_eq!(configuration.gateway.limits.max_calls, 4);
    assert_eq!(configuration.gateway.listen[0].port(), 3);
    assert_eq!(configuration.gateway.drain.as_secs(), 5);
    assert_eq!(configuration.log.filter, "debug");
}

#[test]
fn dot_env_takes_spaces_and_quotes_and_leaves_other_programs_names_alone() {
    let mut given = given("").dot_env(
        "# mine\nPORT = 80\nexport DEEPGRAM_API_KEY = \"abc\" \nTWILIO_AUTH_TOKEN='one, two'\n",
    );
    given.inputs.environment.clear();
    let gateway = given.loads().gateway;
    assert_eq!(gateway.deepgram.api_key.expose_secret(), "abc");
    let tokens: Vec<_> = gateway
        .twilio
        .auth_tokens
        .iter()
        .map(|t| t.expose_secret())
        .collect();
    assert_eq!(tokens, ["one", "two"]);
}

#[test]
fn an_unknown_key_is_refused_with_its_line_and_the_nearest_name() {
    let error = given("[server]\nlisten = '127.0.0.1:1'\n\n[limits]\nmax_call = 3\n").fails();
    assert_eq!(
        error,
        "sidetone.toml:5: limits.max_call: unknown key; did you mean `limits.max_calls`?"
    );
}

#[test]
fn an_unknown_deepgram_parameter_is_refused_with_the_nearest_name() {
    let error =
        given("[profiles.default.listen]\nmodel = 'nova-3'\ninterim_result = true\n").fails();
    assert!(
        error.starts_with("sidetone.toml:3: profiles.default.listen.interim_result: "),
        "{error}"
    );
    assert!(error.contains("interim_results"), "{error}");
}

#[test]
fn a_wrong_value_is_refused_with_what_is_allowed() {
    let error = given("[limits]\nmax_calls = 'many'\n[server]\nlisten = 'here'\n").fails();
    let lines: Vec<_> = error.lines().collect();
    assert_eq!(lines.len(), 2, "{error}");
    assert!(
        error.contains(
            "sidetone.toml:2: limits.max_calls: `many` does not fit: expected a number from 1"
        ),
        "{error}"
    );
    assert!(
        error.contains("sidetone.toml:4: server.listen: `here` does not fit: expected addresses"),
        "{error}"
    );
}

#[test]
fn a_section_without_a_line_is_nothing_wrong() {
    let toml = "[limits]\n[profiles]\n[profiles.default]\n[numbers]\n[retention]\n";
    given(toml).loads();
    let error = given("[limit]\n").fails();
    assert!(
        error.starts_with("sidetone.toml:1: limit: unknown key"),
        "{error}"
    );
}

#[test]
fn a_file_that_is_no_toml_is_refused_with_the_line() {
    let error = given("[server]\nlisten = \n").fails();
    assert!(error.starts_with("sidetone.toml:2: "), "{error}");
}

#[test]
fn a_named_file_that_is_missing_is_an_error() {
    let mut given = given("");
    given.inputs.file = Some(given.folder.path().join("other.toml"));
    assert!(
        given.fails().starts_with("other.toml: cannot be read: "),
        "{}",
        given.fails()
    );
}

#[test]
fn deepgrams_url_may_be_written_in_any_of_its_ways() {
    for (written, meant) in [
        ("https://api.eu.deepgram.com", "wss://api.eu.deepgram.com/"),
        (
            "wss://api.deepgram.com/v1/listen",
            "wss://api.deepgram.com/",
        ),
        ("http://127.0.0.1:7000/v1/listen/", "ws://127.0.0.1:7000/"),
        ("ws://127.0.0.1:7000/dg", "ws://127.0.0.1:7000/dg"),
    ] {
        let gateway = given("").env("DEEPGRAM_URL", written).loads().gateway;
        assert_eq!(gateway.deepgram.url.as_str(), meant, "{written}");
    }
}

#[test]
fn a_file_that_defines_a_profile_replaces_the_built_in_one() {
    let toml = "[profiles.default.listen]\nlanguage = 'de'\n[profiles.default.dial]\nnumber = '+15551230002'\n[profiles.default.overflow]\nsay = 'All lines are busy.'\n[numbers]\n'+15005550006' = 'agent'\n";
    let gateway = given(toml).loads().gateway;
    let profile = &gateway.profiles["default"];
    assert!(matches!(&profile.dial, Some(Dial::Number(n)) if n == "+15551230002"));
    assert!(matches!(&profile.overflow, Some(Overflow::Say(s)) if s == "All lines are busy."));
    assert_eq!(gateway.numbers["+15005550006"], "agent");
}

#[test]
fn a_flag_overlays_a_built_in_profile() {
    let gateway = given("")
        .set("profiles.default.dial.number=+15551230002")
        .set("profiles.default.listen.flush_ms=100")
        .loads()
        .gateway;
    let profile = &gateway.profiles["default"];
    assert!(matches!(&profile.dial, Some(Dial::Number(n)) if n == "+15551230002"));
    assert_eq!(profile.listen.as_ref().unwrap().flush.as_millis(), 100);
}

#[test]
fn a_profile_dials_exactly_one_thing() {
    let error = given("[profiles.desk.dial]\nnumber = '+1'\nsay = 'hello'\n").fails();
    assert_eq!(
        error,
        "sidetone.toml:2: profiles.desk.dial: expected exactly one of number, say, pause_secs"
    );
}

#[test]
fn a_profile_says_what_it_is_told_in_the_voice_it_is_told() {
    let profiles = given("").loads().gateway.profiles;
    let hello = profiles["hello"].speak.as_ref().unwrap();
    assert_eq!(hello.greeting.as_deref(), Some("Hello, how are you today?"));
    assert_eq!(hello.params.model(), "aura-2-thalia-en");
    assert_eq!(hello.then, Then::Stay);
    assert!(profiles["hello"].bidirectional);

    let toml = "[profiles.bye.speak]\nmodel = 'aura-asteria-en'\nspeed = 1.2\n\
                greeting = 'Goodbye.'\nthen = 'hangup'\n";
    let profiles = given(toml).loads().gateway.profiles;
    let bye = profiles["bye"].speak.as_ref().unwrap();
    assert_eq!(bye.params.model(), "aura-asteria-en");
    assert_eq!(bye.params.values("speed"), ["1.2"]);
    assert_eq!(bye.then, Then::HangUp);
    assert!(profiles["default"].speak.is_none());
}

#[test]
fn what_a_profile_cannot_say_is_refused_with_its_line() {
    for (line, names) in [
        ("then = 'hang up'", "`stay` or `hangup`"),
        ("greeting = ' '", "a sentence"),
        ("sped = 1.2", "speed"),
        ("speed = 9", "1.5"),
        ("encoding = 'linear16'", "mu-law"),
        ("model = 'flux-thing'", "aura-2-thalia-en"),
    ] {
        let error = given(&format!("[profiles.x.speak]\n{line}\n")).fails();
        assert!(
            error.starts_with("sidetone.toml:2: profiles.x.speak"),
            "{error}"
        );
        assert!(error.contains(names), "{names} in {error}");
    }
}

#[test]
fn agent_and_speak_exclude_each_other() {
    let error =
        given("[profiles.desk.agent]\ngreeting = 'hi'\n[profiles.desk.speak]\ngreeting = 'hi'\n")
            .fails();
    assert!(
        error.contains("agent and speak exclude each other"),
        "{error}"
    );
}

#[test]
fn route_names_are_no_profiles() {
    for name in ["next", "stream-status", "call-status", "\"a/b\""] {
        let error = given(&format!("[profiles.{name}.listen]\nmodel = 'nova-3'\n")).fails();
        assert!(error.contains("this is no name for a profile"), "{error}");
    }
}

#[test]
fn a_number_needs_a_profile_that_exists() {
    let error = given("[numbers]\n'+15005550006' = 'helpdesk'\n").fails();
    assert_eq!(
        error,
        "sidetone.toml:2: numbers.\"+15005550006\": `helpdesk` does not fit: expected the name of a profile: agent, default, hello"
    );
}

#[test]
fn no_secret_shows_anywhere() {
    let given = given("[webhooks]\nsecret = 'whsec_hush'\n[deepgram]\napi_key = 'hush1'\n")
        .env("TWILIO_AUTH_TOKEN", "hush2")
        .env("DATABASE_URL", "postgres://me:hush3@db/x")
        .env("DEEPGRAM_API_KEY", "hush4");
    let listing = list(&given.inputs).settings;
    assert!(
        listing.contains("deepgram.api_key = (secret)  # environment DEEPGRAM_API_KEY"),
        "{listing}"
    );
    assert!(!listing.contains("hush"), "{listing}");
    let debug = format!("{:?}", given.loads());
    assert!(!debug.contains("hush"), "{debug}");
    let wrong = given.env("DEEPGRAM_API_KEY", "hush five").fails();
    assert!(!wrong.contains("hush"), "{wrong}");
}

#[test]
fn no_secret_shows_inside_of_a_value_either() {
    let toml = "[profiles.desk.agent.think.endpoint]\nheaders = { x-api-key = 'hush1' }\n\
                [[profiles.desk.functions]]\nname = 'f'\nsecret = 'hush2'\n\
                [webhooks]\nurl = 'https://me:hush3@acme.example/'\n";
    let given = given(toml).set("deepgram.agent_url=wss://me:hush4@example.com");
    let listing = list(&given.inputs).settings;
    assert!(listing.contains("webhooks.url = (secret)"), "{listing}");
    assert!(!listing.contains("hush"), "{listing}");
    let refused = given.fails();
    assert!(
        refused.contains("deepgram.agent_url: the value does not fit"),
        "{refused}"
    );
    assert!(!refused.contains("hush"), "{refused}");
}

#[test]
fn the_listing_shows_each_value_with_its_origin_and_those_that_are_not_set() {
    let listing = list(&given("[limits]\nmax_calls = 7\n").inputs).settings;
    assert!(listing.contains("sidetone.toml:2\n"), "{listing}");
    for line in [
        "limits.replay_rate = 1.25  # default",
        "profiles.default.listen.flush_ms = 60  # default",
        "profiles.default.listen.interim_results = true  # default",
        "profiles.default.listen.model = \"nova-3\"  # default",
        "recording.enabled  # not part of this version",
        "server.public_url  # not set (SIDETONE_PUBLIC_URL)",
        "server.trust_loopback = true  # default",
    ] {
        assert!(listing.lines().any(|l| l == line), "{line} in\n{listing}");
    }
    let public = given("").set("server.listen=0.0.0.0:5000");
    let listing = list(&public.inputs).settings;
    assert!(
        listing.contains("server.trust_loopback = false  # default\n"),
        "{listing}"
    );
}

#[test]
fn the_listing_is_there_though_something_is_wrong() {
    let listing = list(&given("[limits]\nmax_call = 7\n[log]\nformat = 'xml'\n").inputs);
    assert!(
        listing
            .settings
            .contains("limits.max_calls = 1000  # default\n")
    );
    let refusal = listing.refusal.unwrap().to_string();
    for wrong in [
        "limits.max_call: unknown key",
        "log.format: `xml` does not fit",
    ] {
        assert!(refusal.contains(wrong), "{wrong} in {refusal}");
    }
}

#[test]
fn a_part_that_this_version_does_not_have_is_told_once() {
    let toml =
        "[recording]\nenabled = true\nurl = 's3://bucket'\n[retention]\ndays = 3\nmax_gb = 1\n";
    assert_eq!(
        given(toml).warns(),
        [
            "sidetone.toml:2: recording is not part of this version: nothing is recorded",
            "sidetone.toml:5: retention is not part of this version: calls are kept in memory, \
             the newest ones, until this process ends",
        ]
    );
    for (toml, part) in [
        ("[archive]\nurl = 'sqlite:a'\n", "archive"),
        ("[cluster]\nnats_url = 'nats://a'\n", "cluster"),
        ("[server]\nsecret = 'a'\n", "server.secret"),
        ("[webhooks]\ntypes = ['call.started']\n", "webhooks.types"),
        (
            "[profiles.default]\nrecording = true\n",
            "profiles.default.recording",
        ),
    ] {
        let warnings = given(toml).warns();
        assert_eq!(warnings.len(), 1, "{warnings:?}");
        let beginning = format!("sidetone.toml:2: {part} is not part of this version: ");
        assert!(warnings[0].starts_with(&beginning), "{warnings:?}");
    }
    for off in [
        "",
        "[recording]\nenabled = false\nurl = 's3://bucket'\n",
        "[profiles.default]\nrecording = false\n",
    ] {
        assert!(given(off).warns().is_empty(), "{off}");
    }
}

#[test]
fn a_misspelt_variable_is_refused_with_the_nearest_name() {
    let dot_env = given("").dot_env("\nSIDETONE_LISTN=127.0.0.1:1\nSIDETONE_COLOUR=red\n");
    assert_eq!(
        dot_env.fails(),
        ".env:2: SIDETONE_LISTN: unknown name; did you mean `SIDETONE_LISTEN`?\n\
         .env:3: SIDETONE_COLOUR: unknown name; see `sidetone serve --print-config`"
    );
    let environment = given("").env("SIDETONE_DATADIR", "/a");
    assert_eq!(
        environment.fails(),
        "environment SIDETONE_DATADIR: unknown name; did you mean `SIDETONE_DATA_DIR`?"
    );
    let file = given("").dot_env("SIDETONE_CONFIG=other.toml\n");
    assert!(file.fails().contains("use --config"), "{}", file.fails());
}

#[test]
fn a_variable_of_somebody_else_stops_nothing() {
    let given = given("")
        .env("SIDETONE_CONFIG", "sidetone.toml")
        .env("SIDETONE_SERVICE_HOST", "10.0.0.1")
        .env("SIDETONE_PORT_5000_TCP", "tcp://10.0.0.1:5000")
        .env("SIDETONE_LISTN", "")
        .env("TWILIO_PHONE_NUMBER", "+1")
        .env("TWILIO_AUTH_TOKENS", "hush");
    let warnings = given.warns();
    assert_eq!(
        warnings,
        [
            "environment SIDETONE_PORT_5000_TCP: unknown name; see `sidetone serve --print-config`",
            "environment SIDETONE_SERVICE_HOST: unknown name; see `sidetone serve --print-config`",
            "environment TWILIO_AUTH_TOKENS: unknown name; did you mean `TWILIO_AUTH_TOKEN`?",
        ]
    );
}

#[test]
fn a_public_url_that_twilio_cannot_use_is_told() {
    let warns = |url: &str| given("").env("SIDETONE_PUBLIC_URL", url).warns();
    let plain = warns("http://voice.example.com");
    assert!(plain[0].contains("is not https"), "{plain:?}");
    assert!(warns("https://voice.example.com").is_empty());
    assert!(warns("http://localhost:5000").is_empty());
}

#[test]
fn who_can_do_without_deepgram_needs_no_key_but_everything_else() {
    let mut given = given("[limits]\nmax_call = 3\n");
    given.inputs.environment.clear();
    given.inputs.without_deepgram = true;
    assert_eq!(
        given.fails(),
        "sidetone.toml:2: limits.max_call: unknown key; did you mean `limits.max_calls`?"
    );
}

#[test]
fn twilios_rest_api_is_its_own_unless_told() {
    let url = |given: &Given| given.loads().gateway.twilio.api_url.to_string();
    assert_eq!(url(&given("")), "https://api.twilio.com/");
    let emulated = given("").env("TWILIO_API_URL", "http://127.0.0.1:7000");
    assert_eq!(url(&emulated), "http://127.0.0.1:7000/");
    let wrong = given("").env("TWILIO_API_URL", "wss://api.twilio.com");
    assert!(wrong.fails().contains("an https:// or http:// URL"));
}

#[test]
fn the_data_folder_lies_in_the_working_folder_unless_told() {
    let default = given("");
    let expected = default.folder.path().join("sidetone-data");
    assert_eq!(default.loads().data_dir, expected);
    let told = given("").env("SIDETONE_DATA_DIR", "/var/lib/sidetone");
    assert_eq!(told.loads().data_dir.to_str(), Some("/var/lib/sidetone"));
}
