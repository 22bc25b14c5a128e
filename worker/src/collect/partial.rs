//! Unfinished statistics: a file beside the finished one's place, in the same form.

use crate::{Error, Result};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// Where the unfinished statistics of a file are kept.
pub(super) fn path(file: &Path) -> PathBuf {
    file.with_extension("partial")
}

/// Removes them, once the file itself is written.
pub(super) fn remove(file: &Path) -> Result<()> {
    let path = path(file);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::Io { path, source: error }),
        _ => Ok(()),
    }
}
