//! Chores: `cargo xtask test`, `cargo xtask soak` and others; `cargo xtask help` lists them.

mod check;
mod debian;
mod invariants;
mod judges;
mod run;
mod soak;
mod voice;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test            everything that must hold before a change lands; under 30 minutes on 2 cores
cargo xtask judges          of that, the official SDKs that judge Sidetone from outside
cargo xtask soak            what takes longer, all of:
cargo xtask soak properties   every property with 20,000 cases
cargo xtask soak schedules    a million simulated calls with a failing Deepgram
cargo xtask soak fuzz         a minute of fuzzing for each decoder
cargo xtask soak calls        demos in the release build: 1, 50 and 100 calls at once, and 100 cut off
cargo xtask soak agents       measures 100 calls at once in the release build: how soon they fall silent
cargo xtask voice           renders the simulated speakers' recordings anew into fixtures/voice";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    let outcome = match args[..] {
        ["test"] => check::test(),
        ["judges"] => judges::judge(),
        ["soak"] => soak::all(),
        ["soak", part] => soak::part(part),
        ["voice"] => voice::render(),
        ["--help" | "-h" | "help"] => {
            println!("{USAGE}");
            Ok(())
        }
        [] => Err(anyhow::anyhow!("name a task:\n{USAGE}")),
        _ => Err(anyhow::anyhow!(
            "there is no task `{}`:\n{USAGE}",
            args.join(" ")
        )),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
