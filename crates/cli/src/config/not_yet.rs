//! Settings of parts that this version does not have: they are read and checked, and who sets them
//! is told what is not done.

use super::build::{bool, number_between, text};
use super::value::Origin;
use super::{Path, Settings};

/// Parts, each with what it means for who sets it.
const PARTS: &[(&str, &str)] = &[
    (
        "archive",
        "calls are kept in memory, the newest ones, until this process ends",
    ),
    ("cluster", "this node stays alone"),
    ("recording", "nothing is recorded"),
    (
        "retention",
        "calls are kept in memory, the newest ones, until this process ends",
    ),
    ("server.secret", "there are no tokens"),
    ("webhooks.types", "no events are sent"),
    ("webhooks.url", "no events are sent"),
];

const TEXTS: [&str; 5] = [
    "archive.url",
    "cluster.nats_url",
    "recording.url",
    "server.secret",
    "webhooks.url",
];

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
        settings.get(&Path::parse(path), text);
    }
    settings.get(&Path::parse("webhooks.types"), |value| Ok(value.list()?));
    for (path, most) in [("retention.days", 36_500.0), ("retention.max_gb", 1e6)] {
        settings.get(&Path::parse(path), |value| number_between(value, 0.0, most));
    }
}

/// Reads `recording` of a profile, and warns when it is on.
pub(super) fn recording(settings: &mut Settings, at: &Path) {
    if settings.get(at, bool) == Some(true) {
        let origin = settings.origin(at);
        warn(settings, &origin, at, "its calls are not recorded");
    }
}

fn warn(settings: &mut Settings, origin: &Origin, part: &Path, consequence: &str) {
    settings.warn(
        origin,
        format!("{part} is not part of this version: {consequence}"),
    );
}
