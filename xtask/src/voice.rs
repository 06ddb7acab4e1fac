//! `cargo xtask voice`: renders the vocabulary of the simulated speakers.
//!
//! Reads `fixtures/voice/vocabulary.txt`; writes `words.ulaw`, all recordings one after the other,
//! and `words.index`, one line `NAME SAMPLES` each in the same order. Needs Debian's `espeak-ng`
//! and `sox`.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail, ensure};

/// Renders every word of the vocabulary and the letters, and replaces the packed files.
///
/// # Errors
/// When a program is missing or fails, or the folder cannot be read or written.
pub(crate) fn render() -> Result<()> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../fixtures/voice");
    let vocabulary = folder.join("vocabulary.txt");
    let vocabulary = fs::read_to_string(&vocabulary)
        .with_context(|| format!("reading {}", vocabulary.display()))?;

    let (mut ulaw, mut index) = (Vec::new(), String::new());
    for (name, spelling) in recordings(&vocabulary) {
        let recording = record(&spelling).with_context(|| format!("rendering {name:?}"))?;
        writeln!(index, "{name} {}", recording.len())?;
        ulaw.extend(recording);
    }
    fs::write(folder.join("words.ulaw"), &ulaw)?;
    fs::write(folder.join("words.index"), &index)?;
    println!(
        "{} recordings, {} KiB",
        index.lines().count(),
        ulaw.len() / 1024
    );
    Ok(())
}

/// Names of recordings and what espeak-ng reads for them, in the order of the packed file.
/// Letters have capitals as names, which sets the letter `A` apart from the word `a`.
fn recordings(vocabulary: &str) -> BTreeMap<String, String> {
    let words = vocabulary
        .lines()
        .filter(|line| !line.starts_with('#'))
        .flat_map(str::split_whitespace)
        .map(|entry| entry.split_once('=').unwrap_or((entry, entry)))
        .map(|(name, spelling)| (name.to_owned(), spelling.to_owned()));
    let letters = ('A'..='Z').map(|letter| (letter.to_string(), letter.to_string()));
    words.chain(letters).collect()
}

/// One word as 8 kHz mu-law without the silence around it.
fn record(spelling: &str) -> Result<Vec<u8>> {
    let spoken = run(
        Command::new("espeak-ng").args(["-v", VOICE, "-s", WORDS_PER_MINUTE, "--stdout", spelling]),
        &[],
    )?;
    let recording = run(
        Command::new("sox")
            .args([
                "-D", "-V1", "-t", "wav", "-", "-t", "raw", "-e", "mu-law", "-b", "8",
            ])
            .args(["-c", "1", "-r", "8000", "-"])
            .args(["highpass", "200"])
            .args(TRIM_START)
            .args(["fade", "0.004", "reverse"])
            .args(TRIM_START)
            .args(["fade", "0.008", "reverse"]),
        &spoken,
    )?;
    ensure!(!recording.is_empty(), "it is silent");
    Ok(recording)
}

/// Runs a program with `input` on its standard input; answers what it wrote.
fn run(command: &mut Command, input: &[u8]) -> Result<Vec<u8>> {
    let program = command.get_program().to_string_lossy().into_owned();
    let mut child = match command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn() {
        Err(error) if error.kind() == ErrorKind::NotFound => {
            bail!("{program} is missing: apt-get install espeak-ng sox")
        }
        spawned => spawned.with_context(|| format!("starting {program}"))?,
    };
    // Sox writes nothing until it has read everything (it reverses), and espeak-ng reads nothing,
    // so neither can block on the pipe that is not being served.
    child
        .stdin
        .take()
        .expect("standard input is piped")
        .write_all(input)?;
    let output = child.wait_with_output()?;
    ensure!(
        output.status.success(),
        "{program} failed: {}",
        output.status
    );
    Ok(output.stdout)
}

const VOICE: &str = "en-us";

/// Single words are read with the drawl of a sentence's end; this rate makes them as long as they
/// are in a sentence at about 170.
const WORDS_PER_MINUTE: &str = "215";

/// Drops what stands before the first 5 ms louder than 0.8 % of full scale.
const TRIM_START: [&str; 4] = ["silence", "1", "0.005", "0.8%"];
