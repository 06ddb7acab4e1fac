//! The data folder: there or to be made, ours alone, writable, with room.

use std::io;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use super::report::Finding;

pub(super) const NAME: &str = "data_folder";

/// Below this a busy node runs out within hours: an hour of recording is 55 MiB for each call.
const LEAST_FREE_BYTES: u64 = 1 << 30;

pub(super) fn check(folder: &Path) -> Finding {
    let shown = folder.display();
    let failed = |what: String, remedy: String| Finding::failed(NAME, what, remedy);
    let metadata = match std::fs::metadata(folder) {
        Ok(metadata) => Some(metadata),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => {
            let remedy = "let this user read it, or set SIDETONE_DATA_DIR".to_owned();
            return failed(format!("{shown} cannot be looked at: {error}"), remedy);
        }
    };
    if let Some(metadata) = &metadata {
        if !metadata.is_dir() {
            let remedy = "move it away, or set SIDETONE_DATA_DIR".to_owned();
            return failed(format!("{shown} is no folder"), remedy);
        }
        let mode = metadata.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            let what = format!("{shown} is open to other users (mode {mode:04o})");
            return failed(what, format!("chmod 700 '{shown}'"));
        }
    }
    // The folder itself, or the one that it will be made in.
    let Some(existing) = folder.ancestors().find(|folder| folder.is_dir()) else {
        let remedy = "set SIDETONE_DATA_DIR to a folder on this machine".to_owned();
        return failed(format!("no part of {shown} is there"), remedy);
    };
    if let Err(error) = tempfile::tempfile_in(existing) {
        let remedy = "let this user write there, or set SIDETONE_DATA_DIR".to_owned();
        let what = format!("nothing can be written in {}: {error}", existing.display());
        return failed(what, remedy);
    }
    let free = match free_bytes(existing) {
        Ok(free) => free,
        Err(error) => {
            let what = format!("its free space is not known: {error}");
            return Finding::skipped(NAME, what);
        }
    };
    if free < LEAST_FREE_BYTES {
        let remedy = "make room, or set SIDETONE_DATA_DIR".to_owned();
        return failed(format!("{shown} has only {} free", size(free)), remedy);
    }
    let state = match metadata {
        Some(_) => "is there, private and writable",
        None => "will be made",
    };
    Finding::ok(NAME, format!("{shown} {state}, {} free", size(free)))
}

/// Free for users without privileges.
fn free_bytes(folder: &Path) -> io::Result<u64> {
    let volume = rustix::fs::statvfs(folder)?;
    Ok(volume.f_bavail.saturating_mul(volume.f_frsize))
}

fn size(bytes: u64) -> String {
    if bytes >= 10 << 30 {
        format!("{} GiB", bytes >> 30)
    } else {
        format!("{} MiB", bytes >> 20)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The check's line on a folder below a fresh one, the fresh one's name taken out.
    #[track_caller]
    fn check_line(prepare: impl FnOnce(&Path) -> std::path::PathBuf) -> String {
        let root = tempfile::tempdir().unwrap();
        let folder = prepare(root.path());
        let found = serde_json::to_value(check(&folder)).unwrap();
        let text = |key: &str| found[key].as_str().unwrap_or_default().to_owned();
        let line = format!("{}: {} {}", text("status"), text("detail"), text("remedy"));
        line.replace(&root.path().display().to_string(), "ROOT")
    }

    fn with_mode(folder: &Path, mode: u32) -> std::path::PathBuf {
        let folder = folder.join("data");
        std::fs::create_dir(&folder).unwrap();
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(mode)).unwrap();
        folder
    }

    #[test]
    fn a_private_folder_is_fine() {
        let line = check_line(|root| with_mode(root, 0o700));
        assert!(
            line.starts_with("ok: ROOT/data is there, private and writable"),
            "{line}"
        );
    }

    #[test]
    fn a_folder_that_is_not_there_is_not_made_by_looking() {
        let line = check_line(|root| root.join("a/b"));
        assert!(line.starts_with("ok: ROOT/a/b will be made"), "{line}");
        check_line(|root| {
            check(&root.join("a/b"));
            assert!(std::fs::read_dir(root).unwrap().next().is_none());
            root.to_owned()
        });
    }

    #[test]
    fn a_folder_that_others_can_read_fails_with_the_command_that_closes_it() {
        let line = check_line(|root| with_mode(root, 0o755));
        assert_eq!(
            line,
            "failed: ROOT/data is open to other users (mode 0755) chmod 700 'ROOT/data'"
        );
    }

    #[test]
    fn a_file_in_its_place_fails() {
        let line = check_line(|root| {
            std::fs::write(root.join("data"), "").unwrap();
            root.join("data")
        });
        assert!(line.starts_with("failed: ROOT/data is no folder"), "{line}");
    }
}
