//! Deepgram's Settings for an agent: as they stand in a profile, or in a file of their own.

use std::collections::BTreeMap;
use std::path::{Path as FilePath, PathBuf};

use serde_json::value::RawValue;
use sidetone_deepgram::agent::settings::{Fault, Settings as Document};

use super::path::Part;
use super::value::Origin;
use super::{Path, Settings};

/// Where a document stands: among the settings, or in a file of its own.
pub(super) enum Place {
    Settings(Path),
    File { path: PathBuf, text: String },
}

impl Place {
    /// Where something of the document stands, and how it is called there.
    fn of(&self, path: &Path, settings: &Settings) -> (Origin, Path) {
        match self {
            Self::Settings(at) => {
                let path = at.then(path);
                (settings.nearest_origin(&path), path)
            }
            Self::File { path: file, text } => {
                let origin = Origin::File {
                    path: file.clone(),
                    line: line_of(text, path),
                };
                (origin, path.clone())
            }
        }
    }

    /// The same of something that is named from the document's agent on.
    pub(super) fn of_agent(&self, path: &str, settings: &Settings) -> (Origin, Path) {
        let path = Path::parse(path);
        match self {
            Self::Settings(_) => self.of(&path, settings),
            Self::File { .. } => self.of(&Path::parse("agent").then(&path), settings),
        }
    }
}

/// The document that stands at `at`, or in the file that is named there: relative to the folder of
/// the file that names it, else to `folder`.
pub(super) fn read(
    settings: &mut Settings,
    folder: &FilePath,
    at: &Path,
) -> Option<(Document, Place)> {
    let (read, place) = if settings.has(&at.join("file")) {
        let (path, text) = file(settings, folder, at)?;
        let read = match serde_json::from_str(&text) {
            Ok(document) => Document::from_document(document),
            Err(error) => {
                let line = error.line();
                let origin = Origin::File { path, line };
                settings.problem(&origin, format!("this is no JSON: {error}"));
                return None;
            }
        };
        (read, Place::File { path, text })
    } else {
        let read = Document::from_agent(settings.json(at)?);
        (read, Place::Settings(at.clone()))
    };
    let faults = match read {
        Ok(document) => return Some((document, place)),
        Err(faults) => faults,
    };
    for Fault { path, what } in faults {
        let (origin, path) = place.of(&Path::parse(&path), settings);
        // Of a document in a file it is empty when the whole is meant.
        let what = match path.to_string() {
            path if path.is_empty() => what,
            path => format!("{path}: {what}"),
        };
        settings.problem(&origin, what);
    }
    None
}

/// The file that `at` names, and its text.
fn file(settings: &mut Settings, folder: &FilePath, at: &Path) -> Option<(PathBuf, String)> {
    let file_at = at.join("file");
    let origin = settings.origin(&file_at);
    let folder = match &origin {
        Origin::File { path, .. } => path.parent().unwrap_or(folder),
        _ => folder,
    };
    let file = settings.get(&file_at, |value| {
        let path = folder.join(value.text()?);
        match std::fs::read_to_string(&path) {
            Ok(text) => Ok((path, text)),
            Err(error) => Err(format!("a file with Deepgram's Settings, and {error}")),
        }
    });
    let others = settings
        .children(at)
        .into_iter()
        .filter(|key| key != "file");
    for path in others.map(|key| at.join(&key)).collect::<Vec<_>>() {
        settings.take_all(&path);
        let origin = settings.origin(&path);
        let what = format!("{path}: cannot stand beside `file`: write it into the file");
        settings.problem(&origin, what);
    }
    file
}

/// The line of a JSON text where what stands at a path begins, or else what it would stand in.
fn line_of(text: &str, path: &Path) -> usize {
    let mut here = text;
    for part in path.parts() {
        let inner = match part {
            Part::Key(key) => serde_json::from_str::<BTreeMap<String, &RawValue>>(here)
                .ok()
                .and_then(|table| table.get(key).copied()),
            Part::Item(item) => serde_json::from_str::<Vec<&RawValue>>(here)
                .ok()
                .and_then(|list| list.get(*item).copied()),
        };
        let Some(inner) = inner else { break };
        here = inner.get();
    }
    let begins = here.as_ptr().addr() - text.as_ptr().addr();
    let before = text.bytes().take(begins);
    before.filter(|byte| *byte == b'\n').count() + 1
}
