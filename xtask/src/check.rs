//! What must hold before a change lands.

use crate::run::{answers, command, step};
use crate::{debian, invariants};

/// Seconds for each fuzz target, so that all of them together take about a minute.
const FUZZ_SECS: &str = "10";

/// The whole test suite.
pub(crate) fn test() -> anyhow::Result<()> {
    debian::provide()?;
    step(
        "Format",
        &mut command("cargo", &["fmt", "--all", "--check"]),
    )?;
    step(
        "Clippy",
        &mut command(
            "cargo",
            &[
                "clippy",
                "--workspace",
                "--all-targets",
                "--locked",
                "--",
                "-D",
                "warnings",
            ],
        ),
    )?;
    invariants::check()?;
    tests()?;
    step(
        "Documentation tests",
        &mut command("cargo", &["test", "--workspace", "--locked", "--doc"]),
    )?;
    fuzz(FUZZ_SECS)
}

/// What takes longer than a change should wait.
pub(crate) fn soak() -> anyhow::Result<()> {
    debian::provide()?;
    let mut properties = command(
        "cargo",
        &["test", "--workspace", "--locked", "--lib", "--tests"],
    );
    step(
        "Properties, 20,000 cases each",
        properties.env("PROPTEST_CASES", "20000"),
    )?;
    fuzz("600")?;
    let demo = ["run", "--release", "--locked", "--", "demo", "--calls"];
    for calls in ["1", "50", "100"] {
        step(
            &format!("{calls} calls at once"),
            command("cargo", &demo).arg(calls),
        )?;
    }
    Ok(())
}

/// `cargo nextest` when it is there: it ends a test that hangs. Else `cargo test`.
fn tests() -> anyhow::Result<()> {
    let mut tests = if answers("cargo", &["nextest", "--version"]) {
        command(
            "cargo",
            &[
                "nextest",
                "run",
                "--workspace",
                "--locked",
                "--no-fail-fast",
            ],
        )
    } else {
        command(
            "cargo",
            &[
                "test",
                "--workspace",
                "--locked",
                "--no-fail-fast",
                "--lib",
                "--bins",
                "--tests",
            ],
        )
    };
    step("Tests", &mut tests)
}

/// Random bytes into every decoder that meets the outside.
fn fuzz(secs: &str) -> anyhow::Result<()> {
    let mut fuzz = command(
        "cargo",
        &[
            "test",
            "--locked",
            "-p",
            "sidetone-twilio",
            "-p",
            "sidetone-deepgram",
            "--test",
            "fuzz",
        ],
    );
    step(
        &format!("Fuzzing, {secs} s a decoder"),
        fuzz.env("SIDETONE_FUZZ_SECS", secs),
    )
}
