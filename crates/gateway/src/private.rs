//! Files that nobody else on this machine may read.

use std::io;
use std::path::Path;

use tokio::fs::{DirBuilder, OpenOptions};
use tokio::io::AsyncWriteExt;

use crate::random_u64;

/// Writes a file whole or not at all: folder 0700, file 0600.
///
/// # Errors
/// Those of the file system; what stood there before still does.
pub(crate) async fn write_file(file: &Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        let mut builder = DirBuilder::new();
        #[cfg(unix)]
        builder.mode(0o700);
        builder.recursive(true).create(folder).await?;
    }
    // Others may write the same file at this moment.
    let unfinished = file.with_extension(format!("{:016x}.unfinished", random_u64()));
    let mut options = OpenOptions::new();
    #[cfg(unix)]
    options.mode(0o600);
    let mut open = options
        .write(true)
        .create(true)
        .truncate(true)
        .open(&unfinished)
        .await?;
    open.write_all(content).await?;
    open.flush().await?;
    drop(open);
    tokio::fs::rename(&unfinished, file).await
}
