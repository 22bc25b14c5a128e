//! A folder that appears whole or not at all.
//!
//! It is filled under a temporary name beside its place and renamed when it is complete. A lock file
//! inside tells a folder that is being filled from one that a killed process left: the former is
//! waited for, the latter is emptied and used.

use super::Manifest;
use crate::{Error, Result, report::Report};
use std::{
    fs::{self, File, TryLockError},
    io::ErrorKind,
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    thread,
    time::Duration,
};

const LOCK: &str = "lock";

/// An unfinished folder; removed when dropped before [`Staging::finish`].
pub(super) struct Staging {
    folder: PathBuf,
    out: PathBuf,
    _lock: File,
}

impl Staging {
    /// Begins to fill a folder that will appear as `out`; waits while another process does the same.
    ///
    /// # Errors
    /// When `out` holds something that is not prepared data, or can't be written.
    pub(super) fn begin(out: &Path, report: &Report) -> Result<Self> {
        let out = std::path::absolute(out).map_err(Error::io(out))?;
        refuse_foreign(&out)?;
        let (Some(parent), Some(name)) = (out.parent(), out.file_name()) else {
            return Err(Error::input(format!("--out {}: accepted: a folder to create", out.display())));
        };
        let folder = parent.join(format!(".{}.unfinished", name.to_string_lossy()));
        let lock = lock(&folder, &out, report)?;
        let staging = Self { folder, out, _lock: lock };
        staging.clear()?;
        Ok(staging)
    }

    /// Removes what a killed process left.
    fn clear(&self) -> Result<()> {
        for entry in fs::read_dir(&self.folder).map_err(Error::io(&self.out))? {
            let path = entry.map_err(Error::io(&self.out))?.path();
            if path.file_name().is_some_and(|name| name == LOCK) {
                continue;
            }
            let removed = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            removed.map_err(Error::io(&path))?;
        }
        Ok(())
    }

    /// Where the files go until the folder is finished.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Where they will be; for messages.
    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    /// Puts the folder into its place; prepared data that was there before goes away.
    pub(super) fn finish(self) -> Result<()> {
        let sync = |folder: &Path| File::open(folder).and_then(|folder| folder.sync_all());
        let replaced = self.folder.with_extension("replaced");
        let finished = (|| {
            fs::remove_file(self.folder.join(LOCK))?;
            sync(&self.folder)?;
            if Manifest::exists(&self.out) {
                remove_if_there(&replaced)?;
                fs::rename(&self.out, &replaced)?;
            }
            fs::rename(&self.folder, &self.out)?;
            remove_if_there(&replaced)?;
            sync(self.out.parent().unwrap_or(&self.out))
        })();
        finished.map_err(Error::io(&self.out))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        // After `finish` nothing is there; after a failure there is nobody left to tell.
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn remove_if_there(folder: &Path) -> std::io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// `out` may be missing, an empty folder, or prepared data, which is replaced.
fn refuse_foreign(out: &Path) -> Result<()> {
    let accepted = "accepted: a folder to create, an empty one, or one made by `prepare`";
    let mut entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) if error.kind() == ErrorKind::NotADirectory => {
            return Err(Error::input(format!("--out {}: is a file; {accepted}", out.display())));
        }
        Err(source) => return Err(Error::Io { path: out.to_owned(), source }),
    };
    if entries.next().is_some() && !Manifest::exists(out) {
        return Err(Error::input(format!(
            "--out {}: has files that are not prepared data; {accepted}",
            out.display()
        )));
    }
    Ok(())
}

fn lock(folder: &Path, out: &Path, report: &Report) -> Result<File> {
    let path = folder.join(LOCK);
    let mut waiting = false;
    loop {
        if report.stop_requested() {
            return Err(report.stopped(format!("{}: stopped, nothing was written", out.display())));
        }
        fs::create_dir_all(folder).map_err(Error::io(out))?;
        let file = match File::options().create(true).truncate(false).write(true).open(&path) {
            Ok(file) => file,
            // The other process finished between the two calls.
            Err(error) if error.kind() == ErrorKind::NotFound => continue,
            Err(source) => return Err(Error::Io { path: out.to_owned(), source }),
        };
        match file.try_lock() {
            Ok(()) if is_at(&file, &path) => return Ok(file),
            // Locked what the other process has renamed or removed meanwhile.
            Ok(()) => continue,
            Err(TryLockError::WouldBlock) => {}
            Err(TryLockError::Error(source)) => return Err(Error::Io { path: out.to_owned(), source }),
        }
        if !waiting {
            waiting = true;
            report.info(format!("{}: another process is preparing it; waiting", out.display()));
        }
        thread::sleep(Duration::from_millis(200));
    }
}

/// Whether the open file is the one that the path names now.
fn is_at(file: &File, path: &Path) -> bool {
    let identity = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
    file.metadata().map(identity).ok().is_some_and(|open| fs::metadata(path).map(identity).ok() == Some(open))
}
