//! Settings of parts that this version does not have: they are read and checked, and who sets them
//! is told what is not done.

use std::collections::BTreeMap;

use sidetone_gateway::config::Profile;

use super::build::{bool, number_between};
use super::value::Origin;
use super::{Inputs, Path, Settings};

/// Parts, each with what it means for who sets it.
const PARTS: &[(&str, &str)] = &[
    (
        "archive",
        "calls are kept in memory, the newest ones, until this process ends",
    ),
    ("cluster", "this node stays alone"),
    ("deepgram.agent_url", "no agent is connected"),
    ("recording", "nothing is recorded"),
    (
        "retention",
        "calls are kept in memory, the newest ones, until this process ends",
    ),
    ("server.secret", "there are no tokens"),
    ("webhooks", "no webhooks are sent"),
];

const TEXTS: [&str; 6] = [
    "archive.url",
    "cluster.nats_url",
    "recording.url",
    "server.secret",
    "webhooks.secret",
    "webhooks.url",
];

/// Parts of a profile.
const PROFILE_PARTS: &[(&str, &str)] = &[
    ("agent", NOBODY_SPEAKS),
    ("functions", "none is called"),
    ("recording", "its calls are not recorded"),
];

const NOBODY_SPEAKS: &str = "nobody speaks on its calls";

/// Whether the setting at this path belongs to such a part.
pub(super) fn is_missing(path: &Path) -> bool {
    PARTS
        .iter()
        .any(|(part, _)| path.starts_with(&Path::parse(part)))
}

/// Reads the parts and warns of those that are set.
pub(super) fn parts(settings: &mut Settings) {
    for (part, consequence) in PARTS {
        let at = Path::parse(part);
        if let Some(origin) = settings.set_at(&at)
            && !settings.is_off(&at.join("enabled"))
        {
            warn(settings, &origin, &at, consequence);
        }
    }
    for path in ["archive.enabled", "recording.enabled"] {
        settings.get(&Path::parse(path), bool);
    }
    for path in TEXTS {
        settings.get(&Path::parse(path), |value| Ok(value.text()?));
    }
    settings.get(&Path::parse("webhooks.types"), |value| Ok(value.list()?));
    for (path, most) in [("retention.days", 36_500.0), ("retention.max_gb", 1e6)] {
        settings.get(&Path::parse(path), |value| number_between(value, 0.0, most));
    }
}

/// Warns of the parts of profiles: of those that somebody wrote, and of the built-in ones when
/// calls are to have them.
pub(super) fn profiles(
    settings: &mut Settings,
    inputs: &Inputs,
    profiles: &BTreeMap<String, Profile>,
    numbers: &BTreeMap<String, String>,
) {
    for (name, profile) in profiles {
        let profile_at = Path::parse("profiles").join(name);
        for (part, consequence) in PROFILE_PARTS {
            let at = profile_at.join(part);
            if !settings.has(&at) || settings.is_off(&at) {
                continue;
            }
            let chosen = || chosen_at(settings, inputs, numbers, name);
            let Some(origin) = settings.set_at(&at).or_else(chosen) else {
                continue;
            };
            let transcript = match (*consequence == NOBODY_SPEAKS, &profile.listen) {
                (false, _) => "",
                (true, Some(_)) => ", which are only transcribed",
                (true, None) => ", and without `listen` nobody hears them",
            };
            warn(
                settings,
                &origin,
                &at,
                &format!("{consequence}{transcript}"),
            );
        }
    }
}

/// Where a profile is made that of calls.
fn chosen_at(
    settings: &Settings,
    inputs: &Inputs,
    numbers: &BTreeMap<String, String>,
    name: &str,
) -> Option<Origin> {
    if inputs.profile.as_deref() == Some(name) {
        return Some(Origin::Flag(format!("--profile {name}")));
    }
    let (number, _) = numbers.iter().find(|(_, profile)| *profile == name)?;
    settings.set_at(&Path::parse("numbers").join(number))
}

fn warn(settings: &mut Settings, origin: &Origin, part: &Path, consequence: &str) {
    settings.warn(
        origin,
        format!("{part} is not part of this version: {consequence}"),
    );
}
