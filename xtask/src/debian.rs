//! What the tests need from Debian's packages.

use anyhow::bail;

use crate::run::{answers, command, step};

/// A command that succeeds where a package is installed, and the package.
const NEEDED: &[(&str, &[&str], &str)] = &[
    ("cc", &["--version"], "gcc"),
    ("ld", &["--version"], "binutils"),
    ("ps", &["--version"], "procps"),
    ("python3", &["-c", "import ensurepip, venv"], "python3-venv"),
];

/// Installs what is missing, as root; tells it otherwise.
pub(crate) fn provide() -> anyhow::Result<()> {
    let missing: Vec<&str> = NEEDED
        .iter()
        .filter(|(program, args, _)| !answers(program, args))
        .map(|(_, _, package)| *package)
        .collect();
    if missing.is_empty() {
        return Ok(());
    }
    if !answers("apt-get", &["--version"]) || !is_root() {
        bail!(
            "these packages are missing: {0}; install them, as in `sudo apt-get install {0}`",
            missing.join(" ")
        );
    }
    step(
        "Refresh the package lists",
        &mut command("apt-get", &["update", "-qq"]),
    )?;
    let mut install = command(
        "apt-get",
        &["install", "-qq", "-y", "--no-install-recommends"],
    );
    install
        .args(&missing)
        .env("DEBIAN_FRONTEND", "noninteractive");
    step(&format!("Install {}", missing.join(" ")), &mut install)
}

fn is_root() -> bool {
    command("id", &["-u"])
        .output()
        .is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
