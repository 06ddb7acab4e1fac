//! What must hold before a change lands.

use crate::run::{answers, command, step};
use crate::{debian, invariants, judges};

/// Seconds for each fuzz target, so that all of them together take about a minute on two cores.
const FUZZ_SECS: &str = "5";

/// Where the fuzzing of every test run begins, so that a change is not refused for what an
/// earlier one brought in: `cargo xtask soak` looks where nobody has looked yet.
const FUZZ_SEED: &str = "1";

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
    fuzz(FUZZ_SECS, Some(FUZZ_SEED))?;
    judges::judge()
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

/// Damaged samples into every decoder that meets the outside: the tests named `fuzzed_`. Without
/// a seed each run damages them otherwise.
pub(crate) fn fuzz(secs: &str, seed: Option<&str>) -> anyhow::Result<()> {
    // The whole workspace, as the tests above, so that nothing is built twice.
    let mut fuzz = command(
        "cargo",
        &[
            "test",
            "--workspace",
            "--locked",
            "--lib",
            "--bins",
            "--tests",
            "fuzzed_",
        ],
    );
    fuzz.env("SIDETONE_FUZZ_SECS", secs)
        .envs(seed.map(|seed| ("BOLERO_RANDOM_SEED", seed)));
    step(&format!("Fuzzing, {secs} s a decoder"), &mut fuzz)
}
