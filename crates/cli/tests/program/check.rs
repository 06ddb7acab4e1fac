//! `sidetone check`: what is right, what is wrong, and what to do about it.

use std::net::SocketAddr;

use tokio::net::TcpListener;

use crate::command::{Command, Outcome, sidetone};
use crate::emulated::{Emulated, NUMBER};
use crate::readers::look;
use crate::relay::Relay;
use crate::serve::serve;

/// An address that is free and stays so: no other test uses this loopback address.
async fn free_address(host: &str) -> SocketAddr {
    let listener = TcpListener::bind((host, 0)).await.unwrap();
    listener.local_addr().unwrap()
}

/// The line about `name`, without its name.
#[track_caller]
fn line<'a>(outcome: &'a Outcome, name: &str) -> (&'a str, &'a str) {
    let lines = outcome.stdout.lines().map(|line| (&line[..4], &line[6..]));
    let found = lines
        .filter_map(|(word, rest)| Some((word.trim_end(), rest.strip_prefix(name)?.trim_start())))
        .collect::<Vec<_>>();
    assert_eq!(found.len(), 1, "{name}: {outcome:?}");
    found[0]
}

/// Checks that `name` fails, and that its line says all of these.
#[track_caller]
fn check_failed(outcome: &Outcome, name: &str, said: &[&str]) {
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let (word, text) = line(outcome, name);
    assert_eq!(word, "FAIL", "{outcome:?}");
    for part in said {
        assert!(text.contains(part), "`{part}` in {outcome:?}");
    }
}

/// `check` for a gateway that is reached by `public_url` and listens on `listen`.
fn check(emulated: &Emulated, listen: SocketAddr, public_url: &str) -> Command {
    emulated
        .command(["check"])
        .env("SIDETONE_LISTEN", &listen.to_string())
        .env("SIDETONE_PUBLIC_URL", public_url)
}

#[tokio::test]
async fn when_everything_is_in_order_each_line_is_ok() {
    let (emulated, relay) = tokio::join!(Emulated::start(&[]), Relay::start());
    let serve = emulated.serve().env("SIDETONE_PUBLIC_URL", &relay.url);
    let serve = serve.start().await;
    relay.lead_to(serve.address);
    let check = || check(&emulated, serve.address, &relay.url);

    let before = check().run().await;
    check_failed(
        &before,
        "number",
        &[NUMBER, &format!("`sidetone number {NUMBER}`")],
    );

    let number = emulated.command(["number", NUMBER]);
    let number = number.env("SIDETONE_PUBLIC_URL", &relay.url).run().await;
    assert_eq!(number.code, Some(0), "{number:?}");

    let after = check().run().await;
    assert_eq!(after.code, Some(0), "{after:?}");
    assert!(
        after.stdout.lines().all(|line| line.starts_with("ok  ")),
        "{after:?}"
    );
    let (_, ports) = line(&after, "ports");
    assert!(ports.contains("held by a running Sidetone"), "{ports}");
    let (_, agent) = line(&after, "deepgram agent");
    let agents = emulated
        .value("DEEPGRAM_AGENT_URL")
        .replacen("ws", "http", 1);
    assert_eq!(agent, format!("{agents} welcomes a call"));
    let (_, public) = line(&after, "public url");
    let host = relay.url.strip_prefix("http://").unwrap();
    assert!(public.contains(&format!("host {host}")), "{public}");
    for secret in ["TWILIO_AUTH_TOKEN", "DEEPGRAM_API_KEY"] {
        let secret = emulated.value(secret);
        assert!(!after.stdout.contains(secret) && !after.stderr.contains(secret));
    }
}

#[tokio::test]
async fn without_a_gateway_it_answers_by_itself_for_the_moment() {
    let (emulated, relay) = tokio::join!(Emulated::start(&[]), Relay::start());
    let listen = free_address("127.77.0.1").await;
    relay.lead_to(listen);
    let outcome = check(&emulated, listen, &relay.url).run().await;
    assert_eq!(
        line(&outcome, "ports"),
        ("ok", format!("{listen} free").as_str())
    );
    assert_eq!(line(&outcome, "public url").0, "ok", "{outcome:?}");
    assert_eq!(line(&outcome, "media stream").0, "ok", "{outcome:?}");
    TcpListener::bind(listen).await.expect("it is free again");
}

#[tokio::test]
async fn with_nothing_configured_it_says_what_to_set() {
    let outcome = sidetone(["check"])
        .env("SIDETONE_LISTEN", "127.0.0.1:0")
        .run()
        .await;
    check_failed(
        &outcome,
        "configuration",
        &[
            "DEEPGRAM_API_KEY is not set",
            "https://console.deepgram.com",
        ],
    );
    for (name, remedy) in [
        ("twilio account", "TWILIO_ACCOUNT_SID"),
        ("public url", "SIDETONE_PUBLIC_URL"),
    ] {
        let (word, text) = line(&outcome, name);
        assert_eq!(word, "skip", "{outcome:?}");
        assert!(text.contains(remedy), "{text}");
    }
    let (word, folder) = line(&outcome, "data folder");
    assert_eq!(word, "ok", "{outcome:?}");
    assert!(folder.contains("sidetone-data will be made"), "{folder}");
}

#[tokio::test]
async fn a_configuration_that_is_wrong_is_told_with_its_lines() {
    let toml = "[limits]\nmax_call = 3\n[server]\nlisten = 'here'\n";
    let outcome = sidetone(["check"])
        .file("sidetone.toml", toml)
        .env("DEEPGRAM_API_KEY", "key")
        .run()
        .await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for told in [
        "sidetone.toml:2: limits.max_call",
        "sidetone.toml:4: server.listen",
    ] {
        assert!(outcome.stdout.contains(told), "{outcome:?}");
    }
    assert_eq!(line(&outcome, "ports").0, "skip");
    let wrong_flag = sidetone(["check", "--colour"]).run().await;
    assert_eq!(wrong_flag.code, Some(2), "{wrong_flag:?}");
}

#[tokio::test]
async fn what_is_to_be_known_has_its_own_lines_and_fails_nothing() {
    let outcome = sidetone(["check", "--insecure"])
        .env("DEEPGRAM_API_KEY", "key")
        .env("DEEPGRAM_URL", "ws://127.0.0.1:9")
        .env("SIDETONE_LISTEN", "127.0.0.1:0")
        .env("SIDETONE_PUBLIC_URL", "http://voice.invalid")
        .env("TWILIO_AUTH_TOKENS", "hush")
        .file("sidetone.toml", "[retention]\ndays = 3\n")
        .run()
        .await;
    let warned: Vec<&str> = outcome
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("warn  configuration"))
        .collect();
    assert_eq!(warned.len(), 3, "{outcome:?}");
    for (line, told) in warned.iter().zip([
        "server.public_url: http://voice.invalid/ is not https",
        "retention is not part of this version",
        "did you mean `TWILIO_AUTH_TOKEN`?",
    ]) {
        assert!(line.contains(told), "{told}: {outcome:?}");
    }
    assert!(
        outcome.stdout.contains("ok    configuration"),
        "{outcome:?}"
    );
}

#[tokio::test]
async fn a_server_that_is_not_twilios_is_told_with_the_setting_that_names_it() {
    let serve = serve().start().await;
    let outcome = sidetone(["check"])
        .env("DEEPGRAM_API_KEY", "key")
        .env("DEEPGRAM_URL", "ws://127.0.0.1:9")
        .env("SIDETONE_LISTEN", "127.0.0.1:0")
        .env("TWILIO_ACCOUNT_SID", "AC00000000000000000000000000000001")
        .env("TWILIO_AUTH_TOKEN", "token")
        .env("TWILIO_API_URL", &serve.http(""))
        .run()
        .await;
    check_failed(
        &outcome,
        "twilio account",
        &["404", "-> look at TWILIO_API_URL"],
    );
}

#[tokio::test]
async fn a_public_gateway_without_an_auth_token_is_a_fault_unless_it_is_meant() {
    let command = |args: &[&str]| {
        sidetone(args.iter().copied())
            .env("DEEPGRAM_API_KEY", "key")
            .env("DEEPGRAM_URL", "ws://127.0.0.1:9")
            .env("SIDETONE_LISTEN", "127.0.0.1:0")
            .env("SIDETONE_PUBLIC_URL", "http://127.0.0.1:9")
    };
    let outcome = command(&["check"]).run().await;
    check_failed(&outcome, "configuration", &["TWILIO_AUTH_TOKEN"]);
    let insecure = command(&["check", "--insecure"]).run().await;
    assert_eq!(line(&insecure, "configuration").0, "ok");
    check_failed(&insecure, "deepgram key", &["cannot be reached"]);
    check_failed(&insecure, "public url", &["cannot be reached"]);
}

#[tokio::test]
async fn a_port_that_something_else_has_is_told_with_its_process() {
    let other = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = other.local_addr().unwrap();
    let hanging_up = tokio::spawn(async move {
        while let Ok((socket, _)) = other.accept().await {
            drop(socket);
        }
    });
    let outcome = sidetone(["check"])
        .env("DEEPGRAM_API_KEY", "key")
        .env("DEEPGRAM_URL", "ws://127.0.0.1:9")
        .env("SIDETONE_LISTEN", &address.to_string())
        .run()
        .await;
    hanging_up.abort();
    let process = format!("process {}", std::process::id());
    check_failed(
        &outcome,
        "ports",
        &[&address.to_string(), &process, "SIDETONE_LISTEN"],
    );
}

#[tokio::test]
async fn a_key_and_a_token_that_are_refused_are_told_with_where_to_get_others() {
    let emulated = Emulated::start(&[]).await;
    let checked = |key: &str, token: &str| {
        emulated
            .command(["check"])
            .env("SIDETONE_LISTEN", "127.0.0.1:0")
            .env("DEEPGRAM_API_KEY", key)
            .env("TWILIO_AUTH_TOKEN", token)
            .run()
    };
    let (wrong, poor) = tokio::join!(checked("fail-401", "hush"), checked("fail-402", "hush"));
    for name in ["deepgram key", "deepgram agent"] {
        check_failed(&wrong, name, &["https://console.deepgram.com"]);
        check_failed(&poor, name, &["no credit"]);
    }
    check_failed(
        &wrong,
        "twilio account",
        &["401", "20003", "https://console.twilio.com"],
    );
    assert_eq!(line(&wrong, "number").0, "skip");
    assert!(!wrong.stdout.contains("hush"), "{wrong:?}");
}

#[tokio::test]
async fn a_voice_agent_that_would_not_come_to_a_call_is_told_with_the_reason() {
    let no_agent = serve().start().await;
    let (silent, forbidden) = tokio::join!(
        Emulated::start(&["--fault", "agent-no-welcome"]),
        Emulated::start(&["--fault", "agent-refuse:status=403"]),
    );
    let checked = |url: &str| {
        sidetone(["check"])
            .env("SIDETONE_LISTEN", "127.0.0.1:0")
            .env("DEEPGRAM_API_KEY", "key")
            .env("DEEPGRAM_URL", "ws://127.0.0.1:9")
            .env("DEEPGRAM_AGENT_URL", url)
            .run()
    };
    let elsewhere = no_agent.ws("");
    let (silent, forbidden, away, elsewhere) = tokio::join!(
        checked(silent.value("DEEPGRAM_AGENT_URL")),
        checked(forbidden.value("DEEPGRAM_AGENT_URL")),
        checked("ws://127.0.0.1:9"),
        checked(&elsewhere),
    );
    let agent = "deepgram agent";
    check_failed(
        &silent,
        agent,
        &["no Welcome within 5 s", "DEEPGRAM_AGENT_URL"],
    );
    check_failed(
        &forbidden,
        agent,
        &["the key may not use it", "DEEPGRAM_API_KEY"],
    );
    check_failed(
        &away,
        agent,
        &["http://127.0.0.1:9", "look at DEEPGRAM_AGENT_URL"],
    );
    check_failed(&elsewhere, agent, &["404", "DEEPGRAM_AGENT_URL"]);
}

#[tokio::test]
async fn a_voice_agent_that_nobody_asks_for_is_not_visited() {
    let outcome = sidetone(["check"])
        .env("SIDETONE_LISTEN", "127.0.0.1:0")
        .env("DEEPGRAM_API_KEY", "key")
        .env("DEEPGRAM_URL", "ws://127.0.0.1:9")
        .run()
        .await;
    let (word, _) = line(&outcome, "deepgram agent");
    assert_eq!(word, "skip", "{outcome:?}");
}

#[tokio::test]
async fn the_headers_of_a_proxy_are_shown_but_for_addresses() {
    let adding = |header: &str| {
        header.replacen(
            "\r\n",
            "\r\nX-Forwarded-Proto: https\r\nX-Forwarded-For: 10.1.2.3\r\n",
            1,
        )
    };
    let (emulated, relay) = tokio::join!(Emulated::start(&[]), Relay::with(adding));
    let listen = free_address("127.77.0.2").await;
    relay.lead_to(listen);
    let outcome = check(&emulated, listen, &relay.url).run().await;
    let (word, text) = line(&outcome, "public url");
    assert_eq!(word, "ok", "{outcome:?}");
    assert!(
        text.contains("x-forwarded-for, x-forwarded-proto https"),
        "{text}"
    );
    assert!(!outcome.stdout.contains("10.1.2.3"), "{outcome:?}");
}

#[tokio::test]
async fn a_proxy_that_lets_no_websocket_through_is_told() {
    let without_upgrade = |header: &str| {
        let kept = |line: &&str| !line.to_ascii_lowercase().starts_with("upgrade:");
        let lines: Vec<&str> = header.split("\r\n").filter(kept).collect();
        lines.join("\r\n")
    };
    let (emulated, relay) = tokio::join!(Emulated::start(&[]), Relay::with(without_upgrade));
    let listen = free_address("127.77.0.3").await;
    relay.lead_to(listen);
    let outcome = check(&emulated, listen, &relay.url).run().await;
    assert_eq!(line(&outcome, "public url").0, "ok", "{outcome:?}");
    check_failed(&outcome, "media stream", &["Upgrade and Connection"]);
}

#[tokio::test]
async fn a_public_url_that_leads_elsewhere_is_told() {
    let (emulated, relay) = tokio::join!(Emulated::start(&[]), Relay::start());
    let listen = free_address("127.77.0.4").await;
    let away = check(&emulated, listen, &relay.url).run().await;
    check_failed(
        &away,
        "public url",
        &["cannot be reached", &listen.to_string()],
    );
    assert_eq!(line(&away, "media stream").0, "skip", "{away:?}");

    // The emulator has no /healthz.
    let emulator: url::Url = emulated.value("TWILIO_API_URL").parse().unwrap();
    relay.lead_to(emulator.socket_addrs(|| None).unwrap()[0]);
    let else_where = check(&emulated, listen, &relay.url).run().await;
    check_failed(
        &else_where,
        "public url",
        &["answered by something else (404", &listen.to_string()],
    );
}

#[tokio::test]
async fn a_gateway_that_runs_with_other_settings_is_told() {
    let (emulated, relay) = tokio::join!(Emulated::start(&[]), Relay::start());
    let serve = serve()
        .env("SIDETONE_PUBLIC_URL", "https://old.example.com")
        .env("TWILIO_AUTH_TOKEN", "another");
    let serve = serve.start().await;
    relay.lead_to(serve.address);
    let outcome = check(&emulated, serve.address, &relay.url).run().await;
    check_failed(
        &outcome,
        "public url",
        &[
            "https://old.example.com/voice",
            &format!("SIDETONE_PUBLIC_URL={}", relay.url),
        ],
    );
    check_failed(&outcome, "media stream", &["TWILIO_AUTH_TOKEN"]);
}

#[tokio::test]
async fn for_a_program_it_is_one_json_object() {
    let outcome = sidetone(["check", "--json"])
        .env("SIDETONE_LISTEN", "127.0.0.1:0")
        .run()
        .await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let report: serde_json::Value = serde_json::from_str(&outcome.stdout).unwrap();
    assert_eq!(report["ok"], false);
    let checks = report["checks"].as_array().unwrap();
    let of = |name: &str| checks.iter().find(|check| check["name"] == name).unwrap();
    assert_eq!(of("configuration")["status"], "failed");
    assert_eq!(of("ports")["status"], "ok");
    assert_eq!(of("public_url")["status"], "skipped");
    assert!(of("ports")["detail"].is_string());
}

#[tokio::test]
async fn a_gateway_repeats_only_what_is_a_nonce_and_lets_nobody_keep_its_answer() {
    let serve = serve().start().await;
    let nonce = "a1".repeat(32);
    let answer = look(&serve, &format!("/healthz?nonce={nonce}")).await;
    assert_eq!(answer.header("cache-control"), "no-store");
    let health: serde_json::Value = serde_json::from_str(&answer.text).unwrap();
    assert_eq!(health["echo"]["nonce"], nonce);
    assert_eq!(
        health["echo"]["voice_url"],
        serve.http("/voice"),
        "{health}"
    );
    for wrong in [format!("{nonce}0"), "a%0D%0Ab".into(), "%3Cb%3E".into()] {
        let answer = look(&serve, &format!("/healthz?nonce={wrong}")).await;
        assert_eq!(answer.status, 400, "{wrong}: {answer:?}");
    }
    let without = look(&serve, "/healthz").await;
    assert!(!without.text.contains("echo"), "{without:?}");
}
