use std::collections::BTreeMap;

use secrecy::ExposeSecret as _;
use sidetone_gateway::config::{Dial, Overflow};

use super::{Configuration, Inputs, load, print};

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
    let listing = print(&given.inputs).unwrap();
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
fn the_listing_shows_each_value_with_its_origin() {
    let listing = print(&given("[limits]\nmax_calls = 7\n").inputs).unwrap();
    assert!(listing.contains("sidetone.toml:2\n"), "{listing}");
    assert!(
        listing.contains("limits.replay_rate = 1.25  # default\n"),
        "{listing}"
    );
}

#[test]
fn what_has_no_effect_yet_is_said() {
    let configuration = given("[recording]\nenabled = true\n").loads();
    assert_eq!(configuration.warnings.len(), 1);
    assert!(
        configuration.warnings[0]
            .ends_with("recording.enabled has no effect yet: nothing is recorded")
    );
    for off in [
        "[recording]\nenabled = false\n",
        "[profiles.default]\nrecording = false\n",
    ] {
        assert!(given(off).loads().warnings.is_empty(), "{off}");
    }
    let configuration = given("[profiles.default]\nrecording = true\n").loads();
    assert!(
        configuration.warnings[0]
            .ends_with("profiles.default.recording has no effect yet: nothing is recorded")
    );
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
