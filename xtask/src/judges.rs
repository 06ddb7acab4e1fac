//! The official SDKs of Deepgram and Twilio, which judge Sidetone from outside.

use std::fs;
use std::path::Path;

use anyhow::Context as _;

use crate::debian;
use crate::run::{command, root, step};

/// Makes the judges' environment, builds what they judge, and runs them all.
pub(crate) fn judge() -> anyhow::Result<()> {
    debian::provide()?;
    environment()?;
    // The whole workspace, as for the tests, so that nothing is built twice.
    let build = [
        "build",
        "--workspace",
        "--locked",
        "--bin=sidetone",
        "--example=speak",
    ];
    step("What is judged", &mut command("cargo", &build))?;
    let python = format!("{ENVIRONMENT}/bin/python");
    let every_file = [
        "-W", "ignore", // The SDKs' own warnings.
        "-m", "unittest", "discover", "-v", "-s", "judges", "-t", ".", "-p", "*.py",
    ];
    step(
        "Outside judges",
        // No `__pycache__` beside the sources.
        command(&python, &every_file).env("PYTHONDONTWRITEBYTECODE", "1"),
    )
}

/// Installs the SDKs into a virtual environment, unless it has these very ones.
fn environment() -> anyhow::Result<()> {
    let wanted = fs::read(root().join(REQUIREMENTS)).context(REQUIREMENTS)?;
    let environment = root().join(ENVIRONMENT);
    let installed = environment.join("installed.txt");
    if fs::read(&installed).is_ok_and(|installed| installed == wanted) {
        return Ok(());
    }
    step(
        "The judges' environment",
        &mut command("python3", &["-m", "venv", "--clear", ENVIRONMENT]),
    )?;
    let pip = Path::new(ENVIRONMENT).join("bin/pip");
    let install = [
        "install",
        "--quiet",
        "--disable-pip-version-check",
        // A package that is built here would need compilers of its own.
        "--only-binary=:all:",
        "--requirement",
        REQUIREMENTS,
    ];
    step(
        "The judges' SDKs",
        &mut command(&pip.to_string_lossy(), &install),
    )?;
    fs::write(&installed, wanted).with_context(|| installed.display().to_string())
}

const REQUIREMENTS: &str = "judges/requirements.txt";

/// A Python environment of their own, so that nothing of the machine's counts.
const ENVIRONMENT: &str = "target/judges-venv";
