//! The captures of `fixtures/captures/deepgram`, decoded and encoded again.

mod agent;
mod listen;

use std::path::Path;

use serde::Deserialize;

/// A message, and whether it goes to Deepgram (`out`) or comes from it (`in`).
#[derive(Deserialize)]
struct Line {
    dir: String,
    text: String,
}

fn capture(name: &str) -> Vec<Line> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../fixtures/captures/deepgram");
    let text = std::fs::read_to_string(folder.join(name)).expect("a capture");
    text.lines()
        .map(|line| serde_json::from_str(line).expect("a line of a capture"))
        .collect()
}
