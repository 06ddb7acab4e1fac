//! The demonstration; help and usage of every command.

use serde_json::Value;

use crate::command::{Outcome, sidetone};

/// The words of a perfect summary.
#[track_caller]
fn perfect(outcome: &Outcome) -> u64 {
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let words = &summary["words"];
    assert_eq!(words["transcribed"], words["spoken"], "{summary}");
    assert_eq!(
        (&words["lost"], &words["doubled"]),
        (&0.into(), &0.into()),
        "{summary}"
    );
    for percentile in ["p50", "p99"] {
        assert!(summary["latency_ms"][percentile].is_u64(), "{summary}");
    }
    words["spoken"].as_u64().unwrap()
}

#[tokio::test]
async fn the_demonstration_loses_and_doubles_nothing() {
    let whole = sidetone(["demo", "--json"]).run();
    let dropped = sidetone(["demo", "--short", "--drop", "--json"]).run();
    let faulty = ["demo", "--short", "--json", "--seed", "3"]
        .into_iter()
        .chain(["--fault", "odd-frames", "--fault", "undocumented-fields"]);
    let (whole, dropped, faulty) = tokio::join!(whole, dropped, sidetone(faulty).run());
    let words = perfect(&whole);
    assert!(words > 50, "{whole:?}");
    assert!(whole.stderr.contains("http://127.0.0.1:"), "{whole:?}");
    for short in [dropped, faulty] {
        assert!((10..words / 2).contains(&perfect(&short)), "{short:?}");
    }
}

#[tokio::test]
async fn words_that_cannot_be_heard_are_counted_as_lost_and_told_to_lie_in_a_gap() {
    // The only connection tells nothing from its second second on, and no other is ever made.
    let faults = [
        "--fault",
        "drop:after_ms=2000",
        "--fault",
        "refuse:status=402,skip=1,times=all",
    ];
    let outcome = sidetone(["demo", "--short", "--json"].into_iter().chain(faults));
    let outcome = outcome.run().await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    let summary: Value = serde_json::from_str(&outcome.stdout).unwrap();
    let words = &summary["words"];
    assert!(words["lost"].as_u64().unwrap() > 0, "{summary}");
    assert_eq!(words["lost_in_gaps"], words["lost"], "{summary}");
    assert_eq!(words["doubled"], 0, "{summary}");
    assert!(summary["gaps"]["count"].as_u64().unwrap() > 0, "{summary}");
    assert!(summary["disconnections"].as_u64().unwrap() > 0, "{summary}");
}

#[tokio::test]
async fn the_demonstration_of_many_calls_shows_one_and_counts_all() {
    let outcome = sidetone(["demo", "--short", "--calls", "5"]).run().await;
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
        &["call", "http://127.0.0.1:9/voice", "--param", "a=b"],
        &["call", "http://127.0.0.1:9/voice", "--track", "both_tracks"],
        &["call", "ws://127.0.0.1:9/twilio", "--param", "=b"],
        &["call", "ws://127.0.0.1:9/twilio", "--calls", "0"],
        &["call", "ws://127.0.0.1:9/twilio", "--fault", "silentgap"],
        &["demo", "--fault", "silent-gap:ms=long"],
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
