//! What a person sees: the transcript, the configuration, what is wrong with it.

use serde_json::Value;

use crate::command::{Command, Outcome, sidetone};
use crate::deepgram::Recorder;
use crate::scripted::{METADATA, Scripted, results};
use crate::serve::{Serve, serve, soon};
use crate::twilio::{Stream, call_sid};
use crate::watching::event;
use crate::web::{ended, get};

/// A call on which an interim and two finals are said.
async fn spoken_on(serve: &Serve, deepgram: &Scripted) -> Vec<Value> {
    let mut stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    stream.sound(10).await;
    let mut connection = deepgram.accept().await;
    connection.hear(16_000).await;
    connection.say(results(0, 0, 1000, "Hello", false)).await;
    has_interim(serve).await;
    connection
        .say(results(0, 250, 1000, "Hello there.", true))
        .await;
    connection
        .say(results(0, 1250, 2000, "Good day.", true))
        .await;
    tokio::join!(stream.stop(1), connection.finish(&[METADATA]));
    ended(serve, &call_sid(1)).await
}

/// Waits until a reader gets the interim: then the terminal has it, too, or is about to.
async fn has_interim(serve: &Serve) {
    let path = format!("/api/v1/calls/{}/events", call_sid(1));
    let mut reader = crate::readers::EventStream::open(serve, &path, &[]).await;
    while reader.event().await.unwrap()["type"] != "transcript.interim" {}
}

/// A gateway of its own that a test starts in its own way.
fn serving(deepgram: &Scripted) -> Command {
    sidetone(["serve"])
        .env("DEEPGRAM_API_KEY", "test-key")
        .env("DEEPGRAM_URL", &deepgram.url)
        .env("SIDETONE_LISTEN", "127.0.0.1:0")
}

#[tokio::test]
async fn off_a_terminal_stdout_has_one_line_for_each_final_and_nothing_else() {
    let deepgram = Scripted::start().await;
    let mut serve = serve().deepgram(&deepgram.url).start().await;
    spoken_on(&serve, &deepgram).await;
    serve.terminate();
    assert_eq!(serve.ended().await, Some(0));
    let sid = call_sid(1);
    assert_eq!(
        serve.stdout.all(),
        [
            format!("[FINAL] {sid} inbound 00:00.2 Hello there."),
            format!("[FINAL] {sid} inbound 00:01.2 Good day."),
        ]
    );
    let stderr = serve.stderr.all().join("\n");
    assert!(!stderr.contains("Hello"), "words are in the log: {stderr}");
}

#[tokio::test]
async fn off_a_terminal_interims_are_shown_when_asked_for() {
    let deepgram = Scripted::start().await;
    let serve = serve()
        .deepgram(&deepgram.url)
        .arg("--interim")
        .start()
        .await;
    let talking = spoken_on(&serve, &deepgram);
    let shown = serve.stdout.wait_for("[INTERIM]");
    let (_, shown) = tokio::join!(talking, shown);
    assert_eq!(
        shown,
        format!("[INTERIM] {} inbound 00:00.0 Hello", call_sid(1))
    );
    serve.stdout.wait_for("Good day.").await;
}

#[tokio::test]
async fn on_a_terminal_the_interim_is_rewritten_in_place_and_the_final_stays() {
    let deepgram = Scripted::start().await;
    let running = serving(&deepgram)
        .env("TERM", "xterm")
        .env("NO_COLOR", "1")
        .start_on_terminal();
    let line = running.stdout.wait_for("Listening on http://").await;
    let address = line.rsplit("http://").next().unwrap().trim();
    let mut stream = Stream::start(&format!("ws://{address}/twilio"), 1, 1, &["inbound"]).await;
    stream.sound(10).await;
    let mut connection = deepgram.accept().await;
    connection.say(results(0, 0, 1000, "Hello", false)).await;
    let first = running.stdout.wait_for("Hello").await;
    assert!(
        first
            .trim_end()
            .ends_with("[INTERIM] inbound  00:00.0  Hello"),
        "{first:?}"
    );
    connection.say(results(0, 0, 1500, "Hello my", false)).await;
    let second = running.stdout.wait_for("Hello my").await;
    // Up one line, to its beginning, cleared from there.
    assert!(
        second.contains("\u{1b}[1A\r\u{1b}[J[INTERIM] inbound  00:00.0  Hello my"),
        "{second:?}"
    );
    connection
        .say(results(0, 0, 1500, "Hello my friend.", true))
        .await;
    let last = running.stdout.wait_for("friend").await;
    assert!(
        last.contains("[FINAL]   inbound  00:00.0  Hello my friend."),
        "{last:?}"
    );
    let header = running
        .stdout
        .wait_for(&format!("\u{1b}[JCall {}", call_sid(1)))
        .await;
    assert!(header.contains("unknown -> unknown"), "{header:?}");
    tokio::join!(stream.stop(1), connection.finish(&[METADATA]));
    running.stdout.wait_for("ended (stop)").await;
    let all = running.stdout.all();
    let text = all.join("").replace("\u{1b}[1A\r\u{1b}[J", "");
    assert!(!text.contains('\u{1b}'), "NO_COLOR is obeyed: {text:?}");
}

#[tokio::test]
async fn a_reader_of_stdout_that_leaves_ends_neither_the_calls_nor_the_log() {
    let deepgram = Scripted::start().await;
    let running = serving(&deepgram).start_with_stdout_closed();
    let line = running.stderr.wait_for("Listening on http://").await;
    let address = line.rsplit("http://").next().unwrap().trim();
    for call in 1..=2 {
        let mut stream =
            Stream::start(&format!("ws://{address}/twilio"), call, call, &["inbound"]).await;
        stream.sound(1).await;
        let mut connection = deepgram.accept().await;
        connection.hear(1600).await;
        connection.say(results(0, 0, 200, "hello", true)).await;
        tokio::join!(stream.stop(call), connection.finish(&[METADATA]));
        let closing = format!("Call {} ended (stop): 0:00, 1 word, 0 lost", call_sid(call));
        running.stderr.wait_for(&closing).await;
    }
}

#[track_caller]
fn has_line(outcome: &Outcome, beginning: &str, end: &str) {
    let found = outcome
        .stdout
        .lines()
        .any(|line| line.starts_with(beginning) && line.ends_with(end));
    assert!(found, "no `{beginning} ... {end}` in {outcome:?}");
}

#[tokio::test]
async fn each_setting_is_printed_with_its_origin_and_no_secret() {
    let outcome = sidetone(["serve", "--print-config", "--set", "limits.max_calls=7"])
        .env("TWILIO_AUTH_TOKEN", "hush-token")
        .file(".env", "DEEPGRAM_API_KEY = \"hush-key\"\nRUST_LOG=warn\n")
        .file(
            "sidetone.toml",
            "[server]\n\ndrain_secs = 5\n[webhooks]\nsecret = 'whsec_hush'\nurl = 'https://a.example'\n",
        )
        .run()
        .await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let told: Vec<&str> = outcome.stderr.lines().collect();
    assert_eq!(told.len(), 1, "{outcome:?}");
    assert!(
        told[0].contains("webhooks.url is not part of this version"),
        "{outcome:?}"
    );
    has_line(&outcome, "limits.max_calls = ", "--set limits.max_calls");
    has_line(
        &outcome,
        "twilio.auth_token = ",
        "environment TWILIO_AUTH_TOKEN",
    );
    has_line(&outcome, "deepgram.api_key = ", ".env:1");
    has_line(&outcome, "log.filter = \"warn\"", ".env:2");
    has_line(&outcome, "server.drain_secs = 5 ", "sidetone.toml:3");
    has_line(&outcome, "webhooks.secret = ", "sidetone.toml:5");
    has_line(&outcome, "limits.start_timeout_secs = 10 ", "default");
    assert!(!outcome.stdout.contains("hush"), "{outcome:?}");
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_printed_with_what_is_wrong() {
    let outcome = sidetone(["serve", "--print-config"])
        .env("SIDETONE_LISTEN", "here")
        .file("sidetone.toml", "[limits]\nmax_call = 3\nreplay_rate = 2\n")
        .run()
        .await;
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    has_line(&outcome, "limits.replay_rate = 2 ", "sidetone.toml:3");
    has_line(&outcome, "limits.max_calls = 1000 ", "default");
    has_line(&outcome, "deepgram.api_key ", "not set (DEEPGRAM_API_KEY)");
    for wrong in [
        "sidetone.toml:2: limits.max_call: unknown key",
        "environment SIDETONE_LISTEN: server.listen: `here` does not fit",
    ] {
        assert!(outcome.stderr.contains(wrong), "{wrong} in {outcome:?}");
    }
}

#[tokio::test]
async fn a_misspelt_variable_is_told_with_the_name_that_was_meant() {
    let run = async |name: &str, dot_env: &str| {
        let outcome = sidetone(["serve"])
            .env("DEEPGRAM_API_KEY", "k")
            .env(name, "127.0.0.1:0")
            .file(".env", dot_env)
            .run()
            .await;
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{outcome:?}"
        );
        outcome.stderr
    };
    let environment = run("SIDETONE_LISTN", "").await;
    let meant = "environment SIDETONE_LISTN: unknown name; did you mean `SIDETONE_LISTEN`?";
    assert!(environment.contains(meant), "{environment}");
    let dot_env = run("UNUSED", "# mine\nSIDETONE_COLOUR=red\n").await;
    assert!(
        dot_env.contains(".env:2: SIDETONE_COLOUR: unknown name"),
        "{dot_env}"
    );
    // The environment is everybody's: Kubernetes names a service's address so.
    let serve = serve()
        .env("SIDETONE_SERVICE_HOST", "10.0.0.1")
        .start()
        .await;
    serve.stderr.wait_for("SIDETONE_SERVICE_HOST").await;
}

#[tokio::test]
async fn a_part_that_this_version_does_not_have_is_told_at_the_start() {
    let toml = "[recording]\nenabled = true\n";
    let serve = serve().toml(toml).start().await;
    let told = "recording is not part of this version: nothing is recorded";
    let line = serve.stderr.wait_for(told).await;
    assert!(
        line.contains("WARN") && line.contains("sidetone.toml:"),
        "{line}"
    );
}

#[tokio::test]
async fn the_configuration_file_is_named_by_flag_or_environment() {
    let toml = "[limits]\nmax_calls = 3\n";
    for (args, name) in [
        (
            &["serve", "--print-config", "--config", "other.toml"][..],
            "UNUSED",
        ),
        (&["serve", "--print-config"], "SIDETONE_CONFIG"),
    ] {
        let outcome = sidetone(args.iter().copied())
            .env(name, "other.toml")
            .file("other.toml", toml)
            .file("sidetone.toml", "[limits]\nmax_calls = 4\n")
            .run()
            .await;
        has_line(&outcome, "limits.max_calls = 3 ", "other.toml:2");
    }
    let missing = sidetone(["serve", "--config", "missing.toml"])
        .env("DEEPGRAM_API_KEY", "k")
        .run()
        .await;
    assert_eq!(missing.code, Some(2), "{missing:?}");
    assert!(missing.stderr.contains("missing.toml"), "{missing:?}");
}

#[tokio::test]
async fn deepgrams_address_may_be_written_in_any_way() {
    let recorder = Recorder::start().await;
    let authority = recorder.url.trim_start_matches("ws://").to_owned();
    for (n, (url, path)) in [
        (format!("ws://{authority}"), "/v1/listen?"),
        (format!("ws://{authority}/"), "/v1/listen?"),
        (format!("http://{authority}"), "/v1/listen?"),
        (format!("ws://{authority}/v1/listen"), "/v1/listen?"),
        (format!("http://{authority}/v1/listen/"), "/v1/listen?"),
        (
            format!("http://{authority}/proxy/v1/listen"),
            "/proxy/v1/listen?",
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let serve = serve().deepgram(&url).start().await;
        let _stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
        let connections = recorder.until("a connection", |all| all.len() > n).await;
        assert!(
            connections[n].target.starts_with(path),
            "{url}: {}",
            connections[n].target
        );
    }
}

#[tokio::test]
async fn a_dot_env_is_enough_to_start() {
    let serve = serve()
        .env("DEEPGRAM_API_KEY", "")
        .file(".env", "# keys\nDEEPGRAM_API_KEY = 'from-dot-env'\n")
        .start()
        .await;
    let (status, _) = get(&serve, "/api/v1/calls").await;
    assert_eq!(status, 200);
}

#[tokio::test]
async fn a_missing_key_is_told_with_where_to_get_one() {
    let outcome = sidetone(["serve"]).run().await;
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(2), ""),
        "{outcome:?}"
    );
    for word in ["DEEPGRAM_API_KEY", "https://console.deepgram.com"] {
        assert!(outcome.stderr.contains(word), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_wrong_configuration_is_told_with_file_line_key_and_remedy() {
    for (toml, line, words) in [
        (
            "[limits]\nmax_call = 3\n",
            2,
            &["limits.max_call", "limits.max_calls"][..],
        ),
        (
            "[server]\n\n\ndrain_secs = 'soon'\n",
            4,
            &["server.drain_secs", "soon", "number"],
        ),
        (
            "[profiles.default.listen]\ninterim_result = true\n",
            2,
            &["interim_results"],
        ),
        (
            "[profiles.default.listen]\nflush_ms = 5\n",
            2,
            &["flush_ms", "20", "500"],
        ),
        (
            "[profiles.default.dial]\nnumber = '+1555'\npause_secs = 3\n",
            2,
            &["exactly one"],
        ),
        ("[numbers]\n'+1555' = 'nobody'\n", 2, &["nobody", "default"]),
        ("[log]\nformat = 'xml'\n", 2, &["log.format", "xml", "json"]),
        ("[limits\n", 1, &[]),
        (
            "[limits]\nmax_calls = 3\nmax_calls = 4\n",
            3,
            &["duplicate"],
        ),
    ] {
        let outcome = sidetone(["serve"])
            .env("DEEPGRAM_API_KEY", "test-key")
            .env("SIDETONE_LISTEN", "127.0.0.1:0")
            .file("sidetone.toml", toml)
            .run()
            .await;
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{outcome:?}"
        );
        let place = format!("sidetone.toml:{line}: ");
        assert!(outcome.stderr.contains(&place), "{place} in {outcome:?}");
        for word in words {
            assert!(outcome.stderr.contains(word), "{word} in {outcome:?}");
        }
    }
}

#[tokio::test]
async fn a_wrong_value_elsewhere_is_told_with_its_origin() {
    let run = async |flag: &str, name: &str, value: &str| {
        let outcome = sidetone(["serve", "--set", flag])
            .env("DEEPGRAM_API_KEY", "hush-key")
            .env(name, value)
            .run()
            .await;
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{outcome:?}"
        );
        assert!(!outcome.stderr.contains("hush"), "{outcome:?}");
        outcome.stderr
    };
    let listen = run("limits.max_calls=1", "SIDETONE_LISTEN", "here").await;
    assert!(
        listen.contains("environment SIDETONE_LISTEN: server.listen"),
        "{listen}"
    );
    let url = run("limits.max_calls=1", "DEEPGRAM_URL", "ftp://example.com").await;
    assert!(url.contains("environment DEEPGRAM_URL"), "{url}");
    let key = run("limits.max_calls=1", "DEEPGRAM_API_KEY", "hush hush").await;
    assert!(key.contains("DEEPGRAM_API_KEY"), "{key}");
    let flag = run("limits.max_calls=none", "UNUSED", "").await;
    assert!(flag.contains("--set limits.max_calls: "), "{flag}");
    let unknown = run("limits.calls=1", "UNUSED", "").await;
    assert!(unknown.contains("--set limits.calls: "), "{unknown}");
}

#[tokio::test]
async fn the_page_for_people_is_there() {
    let serve = serve().start().await;
    let page = soon("the page", reqwest::get(serve.http("/")))
        .await
        .unwrap();
    assert_eq!(page.status(), 200);
    assert!(
        page.headers()["content-type"]
            .to_str()
            .unwrap()
            .starts_with("text/html")
    );
    assert!(page.text().await.unwrap().contains("Sidetone"));
}

#[tokio::test]
async fn a_profile_becomes_the_default_by_its_flag() {
    let toml = "[profiles.desk.listen]\nmodel = 'nova-3'\n";
    let serve = serve()
        .toml(toml)
        .arg("--profile")
        .arg("desk")
        .start()
        .await;
    let _stream = Stream::start(&serve.ws("/twilio"), 1, 1, &["inbound"]).await;
    let started = event(&serve, &call_sid(1), "call.started").await;
    assert_eq!(started["data"]["profile"], "desk");
    let unknown = sidetone(["serve", "--profile", "nobody"])
        .env("DEEPGRAM_API_KEY", "k")
        .run()
        .await;
    assert_eq!(unknown.code, Some(2), "{unknown:?}");
    assert!(unknown.stderr.contains("nobody") && unknown.stderr.contains("default"));
}
