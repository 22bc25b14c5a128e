//! Files that are never seen half written.

use crate::{Error, Result};
use memmap2::Mmap;
use serde::{Serialize, de::DeserializeOwned};
use sha2::{Digest as _, Sha256};
use std::{
    fs::{self, File},
    io::{BufWriter, ErrorKind, Read as _, Write},
    path::Path,
};

/// Writes a file under a temporary name beside `path`, syncs it and renames it into place.
///
/// # Errors
/// When anything fails; then `path` is as it was before and the temporary file is gone.
pub fn write_atomically(
    path: &Path,
    write: impl FnOnce(&mut BufWriter<&File>) -> std::io::Result<()>,
) -> Result<()> {
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    fs::create_dir_all(folder).map_err(Error::io(folder))?;
    let prefix = temporary_prefix(path);
    let temporary = tempfile::Builder::new().prefix(&prefix).tempfile_in(folder).map_err(Error::io(path))?;
    let filled = (|| {
        let mut writer = BufWriter::with_capacity(1 << 20, temporary.as_file());
        write(&mut writer)?;
        writer.flush()?;
        drop(writer);
        open_to_readers(temporary.as_file())?;
        temporary.as_file().sync_all()
    })();
    filled.map_err(Error::io(path))?;
    temporary.persist(path).map_err(|error| Error::Io { path: path.to_owned(), source: error.error })?;
    File::open(folder).and_then(|dir| dir.sync_all()).map_err(Error::io(folder))
}

/// As [`write_atomically`]; gives the SHA-256 of what was to be written, whatever the disk made of it.
///
/// # Errors
/// As there.
pub fn write_hashed(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
) -> Result<String> {
    struct Hashed<'a, W> {
        out: W,
        hash: &'a mut Sha256,
    }
    impl<W: Write> Write for Hashed<'_, W> {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let written = self.out.write(bytes)?;
            self.hash.update(&bytes[..written]);
            Ok(written)
        }
        fn flush(&mut self) -> std::io::Result<()> {
            self.out.flush()
        }
    }
    let mut hash = Sha256::new();
    write_atomically(path, |out| write(&mut Hashed { out, hash: &mut hash }))?;
    Ok(hex::encode(hash.finalize()))
}

/// Lets others read a file that was made as a temporary one, and so for its owner alone: results are for everyone the
/// folder is open to.
///
/// # Errors
/// When its permissions can't be changed.
pub fn open_to_readers(file: &File) -> std::io::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    Ok(())
}

/// How the temporary names of a file begin.
fn temporary_prefix(path: &Path) -> String {
    format!(".unfinished-{}-", path.file_name().unwrap_or_default().to_string_lossy())
}

/// Removes what killed writers of `path` left behind. Not to be called while it may be written elsewhere.
///
/// # Errors
/// When a leftover can't be removed.
pub fn remove_leftovers(path: &Path) -> Result<()> {
    let (folder, prefix) = (path.parent().unwrap_or(Path::new(".")), temporary_prefix(path));
    let Ok(entries) = fs::read_dir(folder) else { return Ok(()) };
    for entry in entries {
        let entry = entry.map_err(Error::io(folder))?;
        if entry.file_name().to_string_lossy().starts_with(&prefix) {
            fs::remove_file(entry.path()).map_err(Error::io(entry.path()))?;
        }
    }
    Ok(())
}

/// Makes sure that `bytes` more fit where `path` is to be written, before a write that would be cut short.
///
/// # Errors
/// When they don't; the line names needed and available bytes and the folder.
pub fn require_space(path: &Path, bytes: u64) -> Result<()> {
    let mut folders =
        path.ancestors().skip(1).map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it });
    let Some(folder) = folders.find(|folder| folder.is_dir()) else { return Ok(()) };
    // A file system that can't tell (or says that it has no blocks at all) shows when it is written to.
    let Ok(system) = nix::sys::statvfs::statvfs(folder) else { return Ok(()) };
    let available = system.blocks_available().saturating_mul(system.fragment_size());
    if system.blocks() == 0 || available >= bytes {
        return Ok(());
    }
    let what = format!("needs {bytes} bytes, but {available} are available in {}", folder.display());
    Err(Error::Io { path: path.to_owned(), source: std::io::Error::new(ErrorKind::StorageFull, what) })
}

/// Makes sure, before work begins, that what `flag` gave as `path` can be written: that files can be made in `folder`,
/// or in the nearest one around it where it is still to be made. Changes nothing.
///
/// # Errors
/// [`Error::Input`] when they can't; the line names flag and path.
pub fn require_writable(flag: &str, path: &Path, folder: &Path) -> Result<()> {
    let mut around = folder.ancestors().map(|it| if it.as_os_str().is_empty() { Path::new(".") } else { it });
    let Some(nearest) = around.find(|folder| folder.exists()) else { return Ok(()) };
    match tempfile::tempfile_in(nearest).map_err(|error| error.kind()) {
        Err(
            ErrorKind::NotFound
            | ErrorKind::NotADirectory
            | ErrorKind::PermissionDenied
            | ErrorKind::ReadOnlyFilesystem,
        ) => Err(Error::input(format!(
            "{flag} {}: no file can be made in {}; check its permissions or choose another folder",
            path.display(),
            nearest.display()
        ))),
        // Anything else, such as a full disk, is told by the write itself.
        _ => Ok(()),
    }
}

/// Whether there is a file or folder, unlike [`Path::exists`], which takes what can't be looked at for absent.
///
/// # Errors
/// When it can't be looked at.
pub fn exists(path: &Path) -> Result<bool> {
    path.try_exists().map_err(Error::io(path))
}

/// Writes a value as indented JSON, atomically.
///
/// # Errors
/// When the file can't be written.
pub fn write_json<T: Serialize>(path: &Path, value: &T) -> Result<()> {
    write_atomically(path, |out| json(out, value))
}

/// Writes a value as indented JSON.
///
/// # Errors
/// When it can't be written.
pub fn json<T: Serialize>(out: &mut dyn Write, value: &T) -> std::io::Result<()> {
    serde_json::to_writer_pretty(&mut *out, value)?;
    out.write_all(b"\n")
}

/// Reads a JSON file.
///
/// # Errors
/// When it can't be read, or does not have the expected form; the line names the file.
pub fn read_json<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = fs::read(path).map_err(Error::io(path))?;
    serde_json::from_slice(&bytes)
        .map_err(|error| Error::input(format!("{}: not the expected JSON: {error}", path.display())))
}

/// Maps a file for reading; its pages are loaded when they are touched and can be dropped again. Not for a file that
/// another program may be writing: see [`read_unchanged`].
///
/// # Errors
/// When it can't be opened or mapped.
pub fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(Error::io(path))?;
    #[expect(
        unsafe_code,
        reason = "a mapping is sound while nobody writes to the file. Ours are written once and renamed into place. \
                  Weights and tokenized data of other programs are finished before anybody names them here, and \
                  too large to be copied"
    )]
    let map = unsafe { Mmap::map(&file) };
    map.map_err(Error::io(path))
}

/// The content of a file that another program may write to meanwhile, in one version.
///
/// # Errors
/// When it can't be read, or was written to while it was read.
pub fn read_unchanged(path: &Path) -> Result<Vec<u8>> {
    let file = File::open(path).map_err(Error::io(path))?;
    let state = || file.metadata().and_then(|it| Ok((it.len(), it.modified()?))).map_err(Error::io(path));
    let before = state()?;
    let mut bytes = Vec::new();
    (&file).read_to_end(&mut bytes).map_err(Error::io(path))?;
    if state()? == before && bytes.len() as u64 == before.0 {
        return Ok(bytes);
    }
    Err(Error::input(format!(
        "{}: was written to while it was read; wait until that is over",
        path.display()
    )))
}

/// SHA-256 of a file's content, in hexadecimal digits.
///
/// # Errors
/// When it can't be read.
pub fn sha256(path: &Path) -> Result<String> {
    let mut file = File::open(path).map_err(Error::io(path))?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer).map_err(Error::io(path))? {
            0 => return Ok(hex::encode(hash.finalize())),
            length => hash.update(&buffer[..length]),
        }
    }
}

/// The name of a file or folder, without what it lies in.
#[must_use]
pub fn name(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leftovers_of_a_file_are_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_json(&path, &1).unwrap();
        for name in [".unfinished-a.json-xyz", ".unfinished-b.json-xyz", ".unfinished-a.jsonl-xyz"] {
            fs::write(folder.path().join(name), "half").unwrap();
        }
        remove_leftovers(&path).unwrap();
        assert!(!folder.path().join(".unfinished-a.json-xyz").exists());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 3);
        remove_leftovers(&folder.path().join("nowhere/a.json")).unwrap();
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_changes_while_it_is_read_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.pt");
        fs::write(&path, "whole").unwrap();
        assert_eq!(read_unchanged(&path).unwrap(), b"whole");
        // A file that is empty whenever it is looked at, and is not when it is read.
        let refused = read_unchanged(Path::new("/proc/self/status")).unwrap_err().to_string();
        assert!(refused.starts_with("/proc/self/status: was written to while it was read"), "{refused}");
    }

    #[test]
    fn a_hash_is_that_of_what_was_to_be_written_and_not_of_what_the_disk_made_of_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a");
        let meant = vec![7; 3 << 20];
        let write = |lose: bool| {
            write_hashed(&path, |out| {
                out.write_all(&meant)?;
                let mut files = fs::read_dir(folder.path())?.map(|entry| entry.unwrap().path());
                let temporary = files.find(|found| *found != path).unwrap();
                if lose { fs::write(temporary, [0; 9]) } else { Ok(()) }
            })
        };
        let hash = write(false).unwrap();
        assert_eq!(hash, sha256(&path).unwrap());
        assert_eq!(write(true).unwrap(), hash);
        assert_ne!(sha256(&path).unwrap(), hash);
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.json");
        write_json(&path, &[1, 2]).unwrap();
        let failed = write_atomically(&path, |out| {
            out.write_all(b"half")?;
            Err(std::io::Error::from(std::io::ErrorKind::StorageFull))
        });
        let failed = failed.unwrap_err();
        assert!(failed.to_string().contains("free some space"), "{failed}");
        assert_eq!(failed.exit_code(), protocol::exit::USAGE);
        assert_eq!(read_json::<Vec<i32>>(&path).unwrap(), [1, 2]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
