//! A folder that appears whole or not at all.
//!
//! It is filled under a temporary name beside its place and renamed when it is complete. A lock beside both is held
//! until nothing is left to do, so what is found under the temporary names by whoever holds it was left by a killed
//! process.

use super::{Manifest, lock::Lock, manifest::FILES};
use crate::{Error, Result, files, report::Report};
use std::{
    fs::{self, File},
    io::{self, ErrorKind},
    path::{Path, PathBuf},
};

/// What lies beside a folder `NAME` while it is made.
struct Beside {
    /// `.NAME.unfinished`: what is being filled.
    unfinished: PathBuf,
    /// `.NAME.replaced`: what was there before, on its way out.
    replaced: PathBuf,
    /// `.NAME.lock`
    lock: PathBuf,
}

impl Beside {
    fn of(out: &Path) -> Result<Self> {
        let (Some(parent), Some(name)) = (out.parent(), out.file_name()) else {
            return Err(Error::input(format!("--out {}: accepted: a folder to create", out.display())));
        };
        let named = |ending: &str| parent.join(format!(".{}.{ending}", name.to_string_lossy()));
        Ok(Self { unfinished: named("unfinished"), replaced: named("replaced"), lock: named("lock") })
    }

    /// Removes what a killed process left; only for whoever holds the lock.
    fn clear(&self) -> io::Result<()> {
        remove_if_there(&self.unfinished)?;
        remove_if_there(&self.replaced)
    }
}

/// An unfinished folder; removed when dropped before [`Staging::finish`].
pub(super) struct Staging {
    out: PathBuf,
    beside: Beside,
    finished: bool,
    /// Given back after everything else.
    _lock: Lock,
}

impl Staging {
    /// Begins to fill a folder that will appear as `out`; waits while another process does the same.
    ///
    /// # Errors
    /// When `out` holds something that is not prepared data, or can't be written.
    pub(super) fn begin(out: &Path, report: &Report) -> Result<Self> {
        let out = resolved(out)?;
        let beside = Beside::of(&out)?;
        files::require_writable("--out", &out, out.parent().unwrap_or(&out))?;
        let lock = Lock::take(&beside.lock, &out.display().to_string(), "preparing", report)?;
        // While nobody moves what it looks at.
        is_replaced(&out)?;
        let cleared = beside.clear().and_then(|()| fs::create_dir(&beside.unfinished));
        cleared.map_err(Error::io(&out))?;
        Ok(Self { out, beside, finished: false, _lock: lock })
    }

    /// Where the files go until the folder is finished.
    pub(super) fn folder(&self) -> &Path {
        &self.beside.unfinished
    }

    /// Where they will be; for messages.
    pub(super) fn out(&self) -> &Path {
        &self.out
    }

    /// Puts the folder into its place; prepared data that was there before goes away.
    ///
    /// # Errors
    /// When it can't be written, or something else was put there meanwhile.
    pub(super) fn finish(mut self) -> Result<()> {
        let replace = is_replaced(&self.out)?;
        self.put_into_place(replace).map_err(Error::io(&self.out))
    }

    fn put_into_place(&mut self, replace: bool) -> io::Result<()> {
        let sync = |folder: &Path| File::open(folder).and_then(|folder| folder.sync_all());
        let Beside { unfinished, replaced, .. } = &self.beside;
        sync(unfinished)?;
        if replace {
            fs::rename(&self.out, replaced)?;
        }
        fs::rename(unfinished, &self.out)?;
        self.finished = true;
        remove_if_there(replaced)?;
        sync(self.out.parent().unwrap_or(&self.out))
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.finished {
            // After a failure there is nobody left to tell.
            let _ = fs::remove_dir_all(&self.beside.unfinished);
        }
    }
}

/// Removes what a process that was killed while it made `out` left beside it. Nothing is removed while another
/// process makes it again, or where nothing can be written: it is in nobody's way.
pub(super) fn remove_leftovers(out: &Path) {
    let Some(beside) = resolved(out).ok().and_then(|out| Beside::of(&out).ok()) else { return };
    let left = [&beside.unfinished, &beside.replaced, &beside.lock];
    if left.into_iter().any(|path| path.exists())
        && let Ok(Some(_lock)) = Lock::try_take(&beside.lock)
    {
        let _ = beside.clear();
    }
}

fn remove_if_there(folder: &Path) -> io::Result<()> {
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// The folder itself where `out` is a link to one, so that the link stays and everything lies beside the folder.
fn resolved(out: &Path) -> Result<PathBuf> {
    // Without a slash at its end, which would hide the link.
    let absolute: PathBuf = std::path::absolute(out).map_err(Error::io(out))?.components().collect();
    if !absolute.is_symlink() {
        return Ok(absolute);
    }
    absolute.canonicalize().map_err(|error| match error.kind() {
        ErrorKind::NotFound => {
            Error::input(format!("--out {}: a link to what is not there; {ACCEPTED}", out.display()))
        }
        _ => Error::Io { path: out.to_owned(), source: error },
    })
}

/// Whether a folder holds prepared data whose manifest is damaged, so that nothing in it can be read.
fn is_damaged(data: &Path) -> Result<bool> {
    let is_json = |text: Vec<u8>| serde_json::from_slice::<serde::de::IgnoredAny>(&text).is_ok();
    match fs::read(data.join(FILES[0])) {
        Ok(text) => Ok(!is_json(text) && FILES[1..].iter().any(|file| data.join(file).is_file())),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(false),
        Err(source) => Err(Error::Io { path: data.join(FILES[0]), source }),
    }
}

/// What `out` may be.
const ACCEPTED: &str = "accepted: a folder to create, an empty one, or one made by `prepare`";

/// Whether `out` is prepared data, which is replaced; otherwise it is missing or an empty folder.
///
/// # Errors
/// When it holds anything else.
fn is_replaced(out: &Path) -> Result<bool> {
    let refuse = |what: String| Err(Error::input(format!("--out {}: {what}; {ACCEPTED}", out.display())));
    let entries = match fs::read_dir(out) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(false),
        Err(error) if error.kind() == ErrorKind::NotADirectory => return refuse("is a file".into()),
        Err(source) => return Err(Error::Io { path: out.to_owned(), source }),
    };
    let mut names = Vec::new();
    for entry in entries {
        names.push(entry.map_err(Error::io(out))?.file_name());
    }
    names.sort();
    match names.iter().find(|name| !FILES.iter().any(|ours| *name == ours)) {
        Some(other) => refuse(format!("has {} in it, which is no prepared data", Path::new(other).display())),
        None if names.is_empty() => Ok(false),
        None if Manifest::is_in(out) || is_damaged(out)? => Ok(true),
        None => refuse(format!("has no {} of prepared data", FILES[0])),
    }
}
