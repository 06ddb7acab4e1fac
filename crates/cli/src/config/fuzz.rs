//! Whatever the layers hold, reading them gives a configuration or problems in words, and neither
//! a problem nor `--print-config` tells a secret.

use std::collections::BTreeMap;

use sidetone_fuzz::check_text;

use super::{Inputs, list, load};

const SECRET: &str = "5f8a1cb7e0d94e3c";

/// Secrets in the environment, `toml` and `dot_env` in the folder, `set` as a flag.
fn read(toml: &str, dot_env: &str, set: Option<&str>) {
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("sidetone.toml"), toml).unwrap();
    std::fs::write(folder.path().join(".env"), dot_env).unwrap();
    let secrets = ["DEEPGRAM_API_KEY", "TWILIO_AUTH_TOKEN"];
    let secrets = secrets.map(|name| (name.to_owned(), SECRET.to_owned()));
    let inputs = Inputs {
        folder: folder.path().to_owned(),
        environment: BTreeMap::from(secrets),
        sets: set.map(str::to_owned).into_iter().collect(),
        ..Inputs::default()
    };
    let loaded = match load(&inputs) {
        Ok(configuration) => format!("{configuration:?}"),
        Err(problems) => {
            assert!(!problems.to_string().is_empty());
            problems.to_string()
        }
    };
    let listing = list(&inputs);
    let listed = format!("{}{:?}", listing.settings, listing.refusal);
    assert!(!loaded.contains(SECRET) && !listed.contains(SECRET));
}

#[test]
fn fuzzed_files() {
    check_text("config-toml", |text| read(text, "", None));
}

/// A secret stands below what is wrong, which must not swallow it.
#[test]
fn fuzzed_dot_env_files() {
    check_text("config-env", |text| {
        let text =
            format!("{text}\nDEEPGRAM_API_KEY='{SECRET} {SECRET}'\nTWILIO_AUTH_TOKEN={SECRET} x\n");
        read("", &text, None);
    });
}

#[test]
fn fuzzed_flags() {
    check_text("config-set", |text| read("", "", Some(text)));
}
