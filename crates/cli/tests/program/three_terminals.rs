//! The README's way to try everything without an account, run as it stands there.

use std::path::Path;

use crate::command::{Command, sidetone};
use crate::serve::soon;

const HEADING: &str = "## Without an account, in three terminals\n";

/// Where the README's commands listen unless they are told otherwise.
const EMULATOR: &str = "127.0.0.1:7000";
const GATEWAY: &str = "127.0.0.1:5000";

/// The lines of the first shell block below the heading, without comments.
fn lines() -> Vec<String> {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../README.md");
    let readme = std::fs::read_to_string(readme).unwrap();
    let (_, section) = readme.split_once(HEADING).expect("the section is there");
    let (_, block) = section.split_once("```sh\n").expect("it has a block");
    let (block, _) = block.split_once("```").expect("the block ends");
    let lines = block.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(str::to_owned)
        .collect()
}

/// Splits a line as a shell does that knows double quotes.
fn split(line: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut is_quoted = false;
    for c in line.chars() {
        match c {
            '"' => is_quoted = !is_quoted,
            ' ' if !is_quoted => words.push(String::new()),
            c => words.last_mut().unwrap().push(c),
        }
    }
    words.retain(|word| !word.is_empty());
    words
}

/// `cargo run --release -- ARGS` as `sidetone ARGS`.
fn command(line: &str) -> Command {
    let args = line
        .strip_prefix("cargo run --release -- ")
        .unwrap_or_else(|| panic!("`{line}` runs something else"));
    let args = split(args);
    sidetone(args.iter().map(String::as_str))
}

#[tokio::test]
async fn the_three_terminals_of_the_readme_work_together() {
    let lines = lines();
    let [emulate, export, serve, call] = &lines[..] else {
        panic!("{lines:?}")
    };

    // Only the ports are others, for tests run side by side.
    let emulator = command(&format!("{emulate} --listen 127.0.0.1:0")).start();
    let printed = emulator.stdout.wait_for("DEEPGRAM_URL=").await;
    emulator.stdout.wait_for("TWILIO_AUTH_TOKEN=").await;
    let (_, emulator_address) = printed.split_once("ws://").unwrap();
    let export = export.replace(EMULATOR, emulator_address);
    let variables = split(export.strip_prefix("export ").unwrap());

    let mut serve = command(serve).env("SIDETONE_LISTEN", "127.0.0.1:0");
    for variable in &variables {
        assert!(
            emulator.stdout.all().contains(variable),
            "{variable} is not printed"
        );
        let (name, value) = variable.split_once('=').unwrap();
        serve = serve.env(name, value);
    }
    let serve = serve.start();
    let listening = serve.stderr.wait_for("Listening on http://").await;
    let (_, address) = listening.split_once("http://").unwrap();

    assert!(call.contains(GATEWAY), "{call}");
    let outcome = soon("the call", command(&call.replace(GATEWAY, address)).run()).await;
    assert_eq!(outcome.code, Some(0), "{outcome:?}");
    let said: Vec<String> = split(call).split_off(6);
    for (flag, text) in said.chunks(2).map(|pair| (&pair[0], &pair[1])) {
        let track = match flag.as_str() {
            "--say" => " inbound ",
            "--callee" => " outbound ",
            other => panic!("{other}"),
        };
        let (_, last) = text.rsplit_once(' ').unwrap();
        serve.stdout.wait_for(last).await;
        let heard: Vec<String> = serve
            .stdout
            .all()
            .iter()
            .filter_map(|line| line.split_once(track))
            .flat_map(|(_, final_text)| final_text.split(' ').skip(1))
            .map(str::to_lowercase)
            .collect();
        assert_eq!(heard.join(" "), text.to_lowercase());
    }
    assert!(outcome.stdout.contains(" heard: "), "{outcome:?}");
}
