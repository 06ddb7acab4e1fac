//! `sidetone number`: a number's calls come here.

use crate::command::{Command, sidetone};
use crate::emulated::{Emulated, NUMBER};

const PUBLIC_URL: &str = "https://voice.example.com/calls";

fn number(emulated: &Emulated, args: &[&str]) -> Command {
    let args = ["number"].iter().chain(args).copied();
    emulated
        .command(args)
        .env("SIDETONE_PUBLIC_URL", PUBLIC_URL)
}

#[tokio::test]
async fn a_number_is_pointed_here_and_what_was_is_told() {
    let emulated = Emulated::start(&[]).await;
    let first = number(&emulated, &[NUMBER]).run().await;
    assert_eq!(first.code, Some(0), "{first:?}");
    let way = |profile: &str| {
        format!(
            "voice URL POST {PUBLIC_URL}/voice{profile}, status callback POST \
             {PUBLIC_URL}/twilio/call-status"
        )
    };
    let lines: Vec<&str> = first.stdout.lines().collect();
    assert_eq!(lines[0], NUMBER);
    assert!(lines[1].starts_with("was  voice URL "), "{first:?}");
    assert_eq!(lines[2], format!("now  {}", way("")));

    let second = number(&emulated, &[NUMBER, "--profile", "agent"])
        .run()
        .await;
    assert_eq!(second.code, Some(0), "{second:?}");
    let expected = format!("{NUMBER}\nwas  {}\nnow  {}\n", way(""), way("/agent"));
    assert_eq!(second.stdout, expected);

    let third = number(&emulated, &[NUMBER, "--json"]).run().await;
    let told: serde_json::Value = serde_json::from_str(&third.stdout).unwrap();
    assert_eq!(
        told["before"]["voice_url"],
        format!("{PUBLIC_URL}/voice/agent")
    );
    assert_eq!(told["after"]["voice_url"], format!("{PUBLIC_URL}/voice"));
    assert_eq!(told["after"]["phone_number"], NUMBER);
}

#[tokio::test]
async fn all_that_is_missing_is_told_at_once() {
    let args = ["number", NUMBER, "--profile", "sales"];
    let outcome = sidetone(args).run().await;
    assert_eq!(outcome.code, Some(2), "{outcome:?}");
    for told in [
        "TWILIO_ACCOUNT_SID is not set",
        "TWILIO_AUTH_TOKEN is not set",
        "SIDETONE_PUBLIC_URL is not set",
        "--profile sales: no such profile; there are: agent, default, hello",
    ] {
        assert!(outcome.stderr.contains(told), "{told}: {outcome:?}");
    }
    assert!(!outcome.stderr.contains("DEEPGRAM"), "{outcome:?}");
}

#[tokio::test]
async fn what_is_no_number_is_refused() {
    for text in ["5005550006", "+0500", "+1500555000a", "+1234567890123456"] {
        let outcome = sidetone(["number", text]).run().await;
        assert_eq!(outcome.code, Some(2), "{text}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_number_of_somebody_else_is_told_with_those_that_are_there() {
    let emulated = Emulated::start(&[]).await;
    let outcome = number(&emulated, &["+15550009999"]).run().await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for told in [
        "+15550009999 is no number of the account",
        emulated.value("TWILIO_ACCOUNT_SID"),
        &format!("it has {NUMBER}"),
    ] {
        assert!(outcome.stderr.contains(told), "{told}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_token_that_is_refused_is_told_in_twilios_words() {
    let emulated = Emulated::start(&[]).await;
    let command = number(&emulated, &[NUMBER]).env("TWILIO_AUTH_TOKEN", "hush");
    let outcome = command.run().await;
    assert_eq!(outcome.code, Some(1), "{outcome:?}");
    for told in ["20003", " -> TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN"] {
        assert!(outcome.stderr.contains(told), "{told}: {outcome:?}");
    }
    assert!(!outcome.stderr.contains("hush"), "{outcome:?}");
}
