//! Chores: `cargo xtask test`, `cargo xtask soak`, `cargo xtask voice`.

mod check;
mod debian;
mod invariants;
mod run;
mod voice;

use std::process::ExitCode;

const USAGE: &str = "\
cargo xtask test    everything that must hold before a change lands; under 30 minutes on 2 cores
cargo xtask soak    what takes longer: more calls, more fuzzing
cargo xtask voice   renders the simulated speakers' recordings anew into fixtures/voice";

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let outcome = match task.as_deref() {
        Some("test") => check::test(),
        Some("soak") => check::soak(),
        Some("voice") => voice::render(),
        Some("--help" | "-h" | "help") => {
            println!("{USAGE}");
            Ok(())
        }
        Some(other) => Err(anyhow::anyhow!("there is no task `{other}`:\n{USAGE}")),
        None => Err(anyhow::anyhow!("name a task:\n{USAGE}")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}
