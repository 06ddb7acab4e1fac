//! The invariants of `ARCHITECTURE.md` that can be read off the dependency graph.

use anyhow::{Context as _, bail, ensure};

use crate::run::{command, output, root};

/// Every row of the table under this heading is `| crate | may not reach |`.
const HEADING: &str = "## Invariants of the dependency graph";

/// Crates in the whole product, at most.
const MOST_CRATES: usize = 230;

/// Fails when a crate reaches what `ARCHITECTURE.md` says it does not.
pub(crate) fn check() -> anyhow::Result<()> {
    println!("\n== Invariants");
    let text =
        std::fs::read_to_string(root().join("ARCHITECTURE.md")).context("ARCHITECTURE.md")?;
    let (_, section) = text
        .split_once(HEADING)
        .with_context(|| format!("no `{HEADING}`"))?;
    let section = section.split("\n## ").next().unwrap_or(section);
    let rows: Vec<Vec<&str>> = section
        .lines()
        .filter(|line| line.starts_with("| `"))
        .map(|line| {
            line.split('|')
                .map(str::trim)
                .filter(|cell| !cell.is_empty())
                .collect()
        })
        .collect();
    ensure!(
        rows.len() >= 6,
        "the table under `{HEADING}` has only {} rows",
        rows.len()
    );
    for row in rows {
        let [name, banned] = row[..] else {
            bail!("a row of the table has not two cells: {row:?}")
        };
        let reached = reached(name.trim_matches('`'))?;
        for banned in banned.split(',').map(|cell| cell.trim().trim_matches('`')) {
            ensure!(
                !reached.iter().any(|name| name == banned),
                "{name} reaches `{banned}`, which ARCHITECTURE.md forbids: see `cargo tree -i {banned}`"
            );
        }
    }
    let crates = reached("sidetone")?.len();
    ensure!(
        crates < MOST_CRATES,
        "the product needs {crates} crates; the limit is {MOST_CRATES}"
    );
    println!("== Invariants hold; the product needs {crates} crates");
    Ok(())
}

/// The names of all crates that a crate is built with.
fn reached(name: &str) -> anyhow::Result<Vec<String>> {
    let args = [
        "tree",
        "--locked",
        "--edges",
        "normal,build",
        "--prefix",
        "none",
        "--package",
        name,
    ];
    let tree = output(&mut command("cargo", &args))?;
    let mut names: Vec<String> = tree
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .map(str::to_owned)
        .collect();
    names.sort();
    names.dedup();
    Ok(names)
}
