//! A lock between processes: a file that is there only while somebody holds it or waits for it.

use crate::{Error, Result, report::Report};
use std::{
    fs::{self, File, TryLockError},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

/// How often a lock that another process holds is tried again.
const LOOK: Duration = Duration::from_millis(200);

/// A lock that this process holds. The system gives it back when the process ends, however it ends; what a killed
/// one leaves is an empty file, which the next takes.
pub(crate) struct Lock {
    path: PathBuf,
    _file: File,
}

impl Lock {
    /// Takes the lock that the file `path` stands for; waits while another process holds it. Messages name `what` is
    /// locked and what those who hold it are `doing`.
    ///
    /// # Errors
    /// When the file can't be made, or a stop was asked for.
    pub(crate) fn take(path: &Path, what: &str, doing: &str, report: &Report) -> Result<Self> {
        let folder = path.parent().unwrap_or(Path::new("."));
        let mut waiting = false;
        loop {
            if report.stop_requested() {
                return Err(report.stopped(format!("{what}: stopped, nothing was written")));
            }
            fs::create_dir_all(folder).map_err(Error::io(folder))?;
            if let Some(lock) = Self::try_take(path)? {
                return Ok(lock);
            }
            if !waiting {
                waiting = true;
                report.info(format!("{what}: another process is {doing} it; waiting"));
            }
            thread::sleep(LOOK);
        }
    }

    /// Takes the lock unless another process holds it.
    ///
    /// # Errors
    /// When the file can't be made.
    pub(crate) fn try_take(path: &Path) -> Result<Option<Self>> {
        loop {
            let file = File::options()
                .create(true)
                .truncate(false)
                .write(true)
                .open(path)
                .map_err(Error::io(path))?;
            match file.try_lock() {
                Ok(()) if is_at(&file, path) => return Ok(Some(Self { path: path.to_owned(), _file: file })),
                // What was locked is what its last holder has removed meanwhile.
                Ok(()) => {}
                Err(TryLockError::WouldBlock) => return Ok(None),
                Err(TryLockError::Error(source)) => return Err(Error::Io { path: path.to_owned(), source }),
            }
        }
    }
}

impl Drop for Lock {
    fn drop(&mut self) {
        // While it is still held: whoever has opened it finds that the path names another file or none, and tries
        // again. A file that can't be removed is in nobody's way.
        let _ = fs::remove_file(&self.path);
    }
}

/// Whether the open file is the one that the path names now.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(identity).ok().is_some_and(|open| fs::metadata(path).map(identity).ok() == Some(open))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_held_by_one_and_leaves_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(".a.lock");
        let held = Lock::try_take(&path).unwrap().expect("nobody holds it");
        assert!(Lock::try_take(&path).unwrap().is_none());
        // Whoever has opened the file before it is given back locks what is no longer there.
        let waiting = File::options().write(true).open(&path).unwrap();
        drop(held);
        assert!(!path.exists());
        waiting.try_lock().unwrap();
        assert!(!is_at(&waiting, &path));
        assert!(Lock::try_take(&path).unwrap().is_some());
        assert!(!path.exists());

        // What a killed process left.
        File::create(&path).unwrap();
        drop(Lock::take(&path, "a", "making", &Report::silent()).unwrap());
        assert!(!path.exists());
    }
}
