//! `Track` by its wire name, for `#[serde(with = "track")]`.

use serde::{Deserialize, Deserializer, Serializer, de};
use sidetone_audio::Track;

const NAMES: &[&str] = &["inbound", "outbound"];

/// Writes the name.
pub fn serialize<S: Serializer>(track: &Track, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(track.name())
}

/// Reads the name.
pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Track, D::Error> {
    from_name(&String::deserialize(deserializer)?)
}

fn from_name<E: de::Error>(name: &str) -> Result<Track, E> {
    let track = Track::ALL.into_iter().find(|track| track.name() == name);
    track.ok_or_else(|| E::unknown_variant(name, NAMES))
}

/// A list of tracks.
pub mod list {
    use super::{Deserialize, Deserializer, Serializer, Track, from_name};

    /// Writes the names.
    pub fn serialize<S: Serializer>(tracks: &[Track], serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(tracks.iter().map(|track| track.name()))
    }

    /// Reads the names.
    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Track>, D::Error> {
        let names = Vec::<String>::deserialize(deserializer)?;
        names.iter().map(|name| from_name(name)).collect()
    }
}
