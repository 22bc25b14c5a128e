//! Copies of the record: `backups/lc-<UTC time>.sqlite`, the newest seven.

use crate::{
    files::settle,
    store::{Store, StoreError},
};
use chrono::{DateTime, NaiveDateTime, Utc};
use std::{
    fs, io,
    path::{Path, PathBuf},
};

/// How many copies are kept.
pub const KEPT: usize = 7;

const FORMAT: &str = "lc-%Y%m%dT%H%M%SZ.sqlite";

/// Why there is no copy.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The record can't be read, or the copy not be written.
    #[error(transparent)]
    Record(#[from] StoreError),
    /// A file can't be written or removed.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
}

/// Copies the record, and removes the oldest copies beyond [`KEPT`]. Half a copy is never seen under
/// its name.
///
/// # Errors
/// When the copy can't be written; older ones are kept then.
pub async fn make(store: &Store, folder: &Path, now: DateTime<Utc>) -> Result<PathBuf, BackupError> {
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| BackupError::File { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let unfinished = folder.join(".unfinished");
    match fs::remove_file(&unfinished) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&unfinished)(error)),
        _ => {}
    }
    store.copy_to(&unfinished).await?;
    let path = folder.join(now.format(FORMAT).to_string());
    settle(&unfinished, &path).map_err(failed(&path))?;
    let copies = copies(folder);
    for (_, old) in copies.iter().rev().skip(KEPT) {
        fs::remove_file(old).map_err(failed(old))?;
    }
    Ok(path)
}

/// When the newest copy was made.
#[must_use]
pub fn newest(folder: &Path) -> Option<DateTime<Utc>> {
    copies(folder).pop().map(|(time, _)| time)
}

/// The copies in a folder, oldest first.
fn copies(folder: &Path) -> Vec<(DateTime<Utc>, PathBuf)> {
    let names = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut copies: Vec<_> = names
        .filter_map(|entry| {
            let time = NaiveDateTime::parse_from_str(entry.file_name().to_str()?, FORMAT).ok()?;
            Some((time.and_utc(), entry.path()))
        })
        .collect();
    copies.sort();
    copies
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::layout::Layout;
    use chrono::TimeDelta;

    #[tokio::test]
    async fn the_newest_seven_copies_are_kept_and_each_is_a_whole_record() {
        let root = tempfile::tempdir().unwrap();
        let store = Store::open(&Layout::new(root.path())).await.unwrap();
        let folder = root.path().join("backups");
        assert_eq!(newest(&folder), None);
        let first = DateTime::from_timestamp(1_800_000_000, 0).unwrap();
        let mut last = PathBuf::new();
        for night in 0..9 {
            last = make(&store, &folder, first + TimeDelta::days(night)).await.unwrap();
        }
        assert_eq!(fs::read_dir(&folder).unwrap().count(), KEPT);
        assert_eq!(newest(&folder), Some(first + TimeDelta::days(8)));

        let restored = tempfile::tempdir().unwrap();
        let layout = Layout::new(restored.path());
        fs::copy(last, layout.database()).unwrap();
        let restored = Store::open(&layout).await.unwrap();
        assert!(restored.study_names().await.unwrap().is_empty());
    }
}
