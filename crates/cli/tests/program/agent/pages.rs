//! What the pages say of agents: `--agent prompt.txt`, and the one for who comes from a voice agent.

use std::fs;
use std::path::Path;

use serde_json::Value;

use super::{heard, sessions, talk};
use crate::command::sidetone;
use crate::deepgram::emulated;
use crate::serve::serve;

#[tokio::test]
async fn a_text_file_is_enough_for_an_agent() {
    let emulator = emulated().await;
    let serve = serve()
        .deepgram(emulator.url())
        .file("prompt.txt", "You are a pirate called {{ profile }}.\n")
        .arg("--agent")
        .arg("prompt.txt")
        .start()
        .await;
    let heard = heard(&talk(&serve, &["what are your instructions"]).await).to_lowercase();
    assert!(
        heard.starts_with("hello! how can i help you today?"),
        "{heard}"
    );
    assert!(heard.contains("you are a pirate called agent"), "{heard}");
}

#[tokio::test]
async fn a_prompt_that_is_not_there_is_told_at_the_start() {
    let outcome = sidetone(["serve", "--agent", "prompt.txt"])
        .env("DEEPGRAM_API_KEY", "k")
        .run()
        .await;
    assert_eq!((outcome.code, outcome.stdout.as_str()), (Some(2), ""));
    assert!(
        outcome.stderr.contains("prompt.txt cannot be read"),
        "{outcome:?}"
    );
}

/// The blocks of a kind on the page for who comes from a voice agent.
fn blocks(kind: &str) -> Vec<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/from-agent.md");
    let page = fs::read_to_string(page).unwrap();
    let fence = format!("```{kind}\n");
    let blocks = page.split(&fence).skip(1);
    blocks
        .map(|rest| rest.split("```").next().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn the_page_for_who_comes_from_a_voice_agent_is_true() {
    let emulator = emulated().await;
    let (document, toml) = (&blocks("json")[0], &blocks("toml")[0]);
    let serve = serve()
        .deepgram(emulator.url())
        .file("agent.json", document)
        .toml(toml)
        .start()
        .await;
    let command = &blocks("sh")[0];
    let command = command.trim().strip_prefix("sidetone ").unwrap();
    let (before, expected) = command.split_once(" --expect ").unwrap();
    let args: Vec<&str> = before.split_whitespace().collect();
    assert!(args[1].ends_with("/twilio"), "{args:?}");
    let stream = serve.ws("/twilio");
    let outcome = sidetone([args[0], &stream, "--expect", expected.trim_matches('"')])
        .run()
        .await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    // What the page says is sent as it stands is.
    let document: Value = serde_json::from_str(document).unwrap();
    let sent = &sessions(&emulator).await[0]["settings"];
    assert_eq!(sent["agent"], document["agent"]);
    assert_eq!(sent["audio"], document["audio"]);
}

#[tokio::test]
async fn each_profile_on_the_page_for_who_comes_from_a_voice_agent_can_be_used() {
    let document = &blocks("json")[0];
    let blocks = blocks("toml");
    assert!(blocks.len() > 3);
    for toml in &blocks {
        let outcome = sidetone(["serve", "--print-config"])
            .env("DEEPGRAM_API_KEY", "k")
            .file("agent.json", document)
            .file("sidetone.toml", toml)
            .run()
            .await;
        assert_eq!(
            (outcome.code, outcome.stderr.as_str()),
            (Some(0), ""),
            "{toml}"
        );
    }
}
