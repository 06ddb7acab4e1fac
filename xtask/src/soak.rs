//! What takes longer than a change should wait.

use anyhow::bail;

use crate::run::{command, step};
use crate::{check, debian};

/// All parts, one after the other.
pub(crate) fn all() -> anyhow::Result<()> {
    for (name, _) in PARTS {
        part(name)?;
    }
    Ok(())
}

/// One part by its name.
pub(crate) fn part(name: &str) -> anyhow::Result<()> {
    let Some((_, run)) = PARTS.iter().find(|(known, _)| *known == name) else {
        let names: Vec<&str> = PARTS.iter().map(|(name, _)| *name).collect();
        bail!("soak has no part `{name}`, only {}", names.join(", "));
    };
    debian::provide()?;
    run()
}

type Part = (&'static str, fn() -> anyhow::Result<()>);

const PARTS: &[Part] = &[
    ("properties", properties),
    ("schedules", schedules),
    ("fuzz", fuzz),
    ("calls", calls),
    ("agents", agents),
];

/// The properties of the values; those of the whole program run at the pace of calls.
fn properties() -> anyhow::Result<()> {
    let args = [
        "test",
        "--workspace",
        "--exclude=sidetone",
        "--locked",
        "--lib",
        "--tests",
    ];
    step(
        "Properties, 20,000 cases each",
        command("cargo", &args).env("PROPTEST_CASES", "20000"),
    )
}

/// The listen link and a failing Deepgram in one simulated clock.
fn schedules() -> anyhow::Result<()> {
    let args = [
        "test",
        "--release",
        "--locked",
        "--package=sidetone-deepgram",
        "--test=link",
    ];
    step(
        "Simulated schedules, 1,000,000",
        command("cargo", &args).env("SIDETONE_SCHEDULES", "1000000"),
    )
}

fn fuzz() -> anyhow::Result<()> {
    check::fuzz("60", None)
}

/// Calls in real time, every word of which is counted.
fn calls() -> anyhow::Result<()> {
    let demo = ["run", "--release", "--locked", "--", "demo", "--calls"];
    for calls in ["1", "50", "100"] {
        let title = format!("{calls} calls at once");
        step(&title, command("cargo", &demo).arg(calls))?;
    }
    step(
        "100 calls at once, each cut off from Deepgram",
        command("cargo", &demo).args(["100", "--drop"]),
    )
}

/// A hundred calls at once that fall silent when their callers speak, and when they are told to.
fn agents() -> anyhow::Result<()> {
    let args = [
        "test",
        "--release",
        "--locked",
        "--package=sidetone",
        "--test=program",
        "--",
        "agent_load::",
        "--nocapture",
        "--test-threads=1",
    ];
    step(
        "100 calls at once, interrupted and silenced",
        command("cargo", &args).env("SIDETONE_CALLS_AT_ONCE", "100"),
    )
}
