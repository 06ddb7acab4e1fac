//! The demonstration, the simulated phone and the emulated Deepgram as commands.

use serde_json::Value;

use crate::command::sidetone;
use crate::serve::serve;
use crate::web::{ended, get, words};

#[tokio::test]
async fn the_demonstration_loses_and_doubles_nothing() {
    let watched = sidetone(["demo", "--json"]).run();
    let dropped = sidetone(["demo", "--drop", "--json"]).run();
    let (watched, dropped) = tokio::join!(watched, dropped);
    for outcome in [watched, dropped] {
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
        let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
        assert_eq!(summary["calls"], 1);
        let words = &summary["words"];
        assert!(words["spoken"].as_u64().unwrap() > 50, "{summary}");
        assert_eq!(words["transcribed"], words["spoken"], "{summary}");
        assert_eq!(
            (&words["lost"], &words["doubled"]),
            (&0.into(), &0.into()),
            "{summary}"
        );
        for percentile in ["p50", "p99"] {
            assert!(summary["latency_ms"][percentile].is_u64(), "{summary}");
        }
        assert!(outcome.stderr.contains("http://127.0.0.1:"), "{outcome:?}");
    }
}

#[tokio::test]
async fn the_demonstration_of_many_calls_shows_one_and_counts_all() {
    let outcome = sidetone(["demo", "--calls", "5"]).run().await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let value = |label: &str| {
        let line = outcome.stdout.lines().find(|line| line.starts_with(label));
        let line = line.unwrap_or_else(|| panic!("no `{label}` in {outcome:?}"));
        line.rsplit(' ').next().unwrap().to_owned()
    };
    assert_eq!(value("Calls "), "5");
    assert_eq!(value("Words lost"), "0");
    assert_eq!(value("Words doubled"), "0");
    assert_eq!(value("Words spoken"), value("Words transcribed"));
    assert!(outcome.stdout.contains("http://127.0.0.1:"), "{outcome:?}");
    let sids: std::collections::BTreeSet<&str> = outcome
        .stdout
        .lines()
        .filter_map(|line| line.strip_prefix("[FINAL] ")?.split(' ').next())
        .collect();
    assert_eq!(sids.len(), 1, "{outcome:?}");
    assert!(!outcome.stdout.contains('\u{1b}'), "{outcome:?}");
}

#[tokio::test]
async fn phone_gateway_and_emulator_work_together_as_commands() {
    let emulator = sidetone(["emulate", "--listen", "127.0.0.1:0"]).start();
    let set = emulator.stdout.wait_for("DEEPGRAM_URL=").await;
    let key = emulator.stdout.wait_for("DEEPGRAM_API_KEY=").await;
    let serve = serve()
        .deepgram(set.strip_prefix("DEEPGRAM_URL=").unwrap())
        .env(
            "DEEPGRAM_API_KEY",
            key.strip_prefix("DEEPGRAM_API_KEY=").unwrap(),
        )
        .toml("[profiles.default.listen]\n[profiles.default.dial]\nnumber = '+15551230002'\n")
        .start()
        .await;
    let (voice, stream) = (serve.http("/voice"), serve.ws("/twilio"));
    let webhook = [
        "call",
        &voice,
        "--say",
        "hello, is anybody there?",
        "--callee",
        "yes, I am",
    ];
    let bare = [
        "call",
        &stream,
        "--say",
        "one two three",
        "--from",
        "+15550001",
    ];
    let (by_webhook, by_stream) = tokio::join!(sidetone(webhook).run(), sidetone(bare).run());
    for outcome in [&by_webhook, &by_stream] {
        assert_eq!(outcome.code, Some(0), "{outcome:?}");
    }
    let (_, page) = get(&serve, "/api/v1/calls").await;
    let calls = page["items"].as_array().unwrap();
    assert_eq!(calls.len(), 2, "{page}");
    for call in calls {
        let sid = call["call_sid"].as_str().unwrap();
        let events = ended(&serve, sid).await;
        assert_eq!(events.last().unwrap()["data"]["end_reason"], "stop");
        if call["tracks"] == serde_json::json!(["inbound", "outbound"]) {
            let heard = format!("{sid} heard: yes, I am");
            assert!(
                by_webhook.stdout.lines().any(|line| line == heard),
                "{by_webhook:?}"
            );
            assert_eq!(
                words(&events, "inbound"),
                ["hello", "is", "anybody", "there"]
            );
            assert_eq!(words(&events, "outbound"), ["yes", "i", "am"]);
            assert_eq!(call["from"], "+14155550123");
            assert_eq!(call["to"], "+15005550006");
            assert_eq!(call["direction"], "inbound");
        } else {
            assert!(by_stream.stdout.contains(sid), "{by_stream:?}");
            assert_eq!(words(&events, "inbound"), ["one", "two", "three"]);
        }
    }
}

#[tokio::test]
async fn a_call_to_nobody_fails_and_says_why() {
    for url in ["http://127.0.0.1:9/voice", "ws://127.0.0.1:9/twilio"] {
        let outcome = sidetone(["call", url, "--say", "hello"]).run().await;
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(1), ""),
            "{outcome:?}"
        );
        assert!(outcome.stderr.starts_with("sidetone: "), "{outcome:?}");
    }
    let serve = serve()
        .env("TWILIO_ACCOUNT_SID", format!("AC{:032x}", 2))
        .start()
        .await;
    let refused = sidetone(["call", &serve.ws("/twilio"), "--say", "hello"])
        .run()
        .await;
    assert_eq!(refused.code, Some(1), "{refused:?}");
    assert!(refused.stderr.contains("1008"), "{refused:?}");
    let outcome = sidetone(["call", &serve.http("/voice/nobody")]).run().await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    assert!(outcome.stderr.contains("404"), "{outcome:?}");
}

#[tokio::test]
async fn help_is_there_for_everything_with_examples() {
    for command in [&["--help"][..], &["help"], &["-h"], &["--version"]] {
        let outcome = sidetone(command.iter().copied()).run().await;
        assert_eq!(
            (outcome.code, outcome.stderr.as_str()),
            (Some(0), ""),
            "{outcome:?}"
        );
        assert!(outcome.stdout.contains("sidetone"), "{outcome:?}");
    }
    for command in ["serve", "demo", "call", "emulate"] {
        let outcome = sidetone([command, "--help"]).run().await;
        assert_eq!(
            (outcome.code, outcome.stderr.as_str()),
            (Some(0), ""),
            "{outcome:?}"
        );
        assert!(outcome.stdout.contains("Examples:"), "{outcome:?}");
        assert!(
            outcome.stdout.contains(&format!("sidetone {command}")),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn wrong_usage_is_told_with_exit_code_two() {
    for args in [
        &[][..],
        &["sevre"],
        &["serve", "--nonsense"],
        &["serve", "extra"],
        &["demo", "--calls", "0"],
        &["demo", "--calls", "many"],
        &["call"],
        &["call", "not a url"],
        &["call", "ftp://example.com/"],
        &["emulate", "--listen", "here"],
        &["serve", "--set", "no-equals-sign"],
    ] {
        let outcome = sidetone(args.iter().copied())
            .env("DEEPGRAM_API_KEY", "test-key")
            .run()
            .await;
        assert_eq!(
            (outcome.code, outcome.stdout.as_str()),
            (Some(2), ""),
            "{args:?}: {outcome:?}"
        );
        assert!(!outcome.stderr.is_empty(), "{args:?}");
    }
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_by_the_emulator_too() {
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let outcome = sidetone(["emulate", "--listen", &address]).run().await;
    assert_eq!(
        (outcome.code, outcome.stdout.as_str()),
        (Some(1), ""),
        "{outcome:?}"
    );
    assert!(outcome.stderr.contains(&address), "{outcome:?}");
}
