//! Running commands so that a person sees which, and why it failed.

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use anyhow::{Context as _, bail};

/// The repository's root.
pub(crate) fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_owned()
}

/// A command in the repository's root, without what cargo told this program of itself: some build
/// scripts look at it, and a `cargo` of its own would build all that rests on them anew, here and
/// again at the next `cargo` that is called by hand.
pub(crate) fn command(program: &str, args: &[&str]) -> Command {
    let mut command = Command::new(program);
    command.args(args).current_dir(root());
    for (name, _) in env::vars_os() {
        let told = name.to_string_lossy();
        if told.starts_with("CARGO_PKG_") || told.starts_with("CARGO_MANIFEST_") {
            command.env_remove(&name);
        }
    }
    command
}

/// Runs a step; its output is the person's.
pub(crate) fn step(title: &str, command: &mut Command) -> anyhow::Result<()> {
    println!("\n== {title}");
    let started = Instant::now();
    let status = command
        .status()
        .with_context(|| format!("{title}: cannot start {}", command.get_program().display()))?;
    if !status.success() {
        bail!("{title} failed ({status}): {command:?}");
    }
    println!("== {title}: {:.0} s", started.elapsed().as_secs_f64());
    Ok(())
}

/// What a command writes to its standard output.
pub(crate) fn output(command: &mut Command) -> anyhow::Result<String> {
    let output = command
        .output()
        .with_context(|| format!("cannot start {command:?}"))?;
    if !output.status.success() {
        bail!(
            "{command:?} failed: {}",
            String::from_utf8_lossy(&output.stderr).trim()
        );
    }
    String::from_utf8(output.stdout).with_context(|| format!("{command:?} printed no UTF-8"))
}

/// Whether a program answers.
pub(crate) fn answers(program: &str, args: &[&str]) -> bool {
    command(program, args)
        .output()
        .is_ok_and(|output| output.status.success())
}
