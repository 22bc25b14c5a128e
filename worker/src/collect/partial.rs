//! Unfinished statistics: a file beside the finished one's place, in the same form.

use crate::{Error, Result};
use std::{fs, path::Path};

pub(super) use crate::stats::partial as path;

/// Removes them, once the file itself is written.
pub(super) fn remove(file: &Path) -> Result<()> {
    let path = path(file);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(Error::Io { path, source: error }),
        _ => Ok(()),
    }
}
