//! The zip archive around a file of `torch.save`: no storage is copied.

use crate::{Error, Result};
use std::{
    cell::OnceCell,
    collections::HashMap,
    io::Cursor,
    ops::{Deref, Range},
    path::{Path, PathBuf},
};
use zip::{CompressionMethod, ZipArchive};

/// What every zip archive begins with.
const ZIP: &[u8] = b"PK";
/// What a file of PyTorch before 1.6 begins with: a pickle that holds a long magic number.
const LEGACY: &[u8] = &[0x80, 2, 0x8a, 0x0a];
/// The entry that says what there is.
const PROGRAM: &str = "/data.pkl";

/// An open archive.
pub(super) struct Archive {
    path: PathBuf,
    bytes: Box<dyn Deref<Target = [u8]>>,
    entries: HashMap<String, Entry>,
    /// The folder in the archive that everything is in; PyTorch takes the file's name.
    folder: String,
}

struct Entry {
    /// Where its content lies.
    place: Range<usize>,
    /// CRC-32 of the content; zero where PyTorch was told to compute none.
    sum: u32,
    /// Whether the content has this sum: found out when it is first asked for.
    whole: OnceCell<bool>,
}

impl Archive {
    /// The archive that a file's content is.
    pub(super) fn of(path: &Path, bytes: Box<dyn Deref<Target = [u8]>>) -> Result<Self> {
        let mut archive =
            Self { path: path.to_owned(), bytes, entries: HashMap::new(), folder: String::new() };
        archive.entries = archive.read_directory()?;
        let program = archive.entries.keys().filter_map(|name| name.strip_suffix(PROGRAM)).min();
        archive.folder = program
            .ok_or_else(|| archive.refuse("a zip archive, but not one of torch.save: no data.pkl in it"))?
            .to_owned();
        if archive.entry("byteorder").is_some_and(|order| archive.bytes[order.place.clone()] != *b"little") {
            return Err(archive.refuse("written on a big-endian machine; write it again on a usual one"));
        }
        Ok(archive)
    }

    /// The pickle.
    pub(super) fn program(&self) -> Result<&[u8]> {
        self.whole_entry(&PROGRAM[1..])?.ok_or_else(|| self.refuse("no data.pkl in it"))
    }

    /// The numbers of a storage.
    pub(super) fn storage(&self, key: &str) -> Result<&[u8]> {
        self.whole_entry(&format!("data/{key}"))?
            .ok_or_else(|| self.refuse(format!("damaged: storage `{key}` is not in it; copy it again")))
    }

    /// An error about this file's content, in one line.
    pub(super) fn refuse(&self, what: impl std::fmt::Display) -> Error {
        Error::input(format!("{}: {what}", self.path.display()))
    }

    fn entry(&self, name: &str) -> Option<&Entry> {
        self.entries.get(&format!("{}/{name}", self.folder))
    }

    /// The content of an entry, if there is one.
    fn whole_entry(&self, name: &str) -> Result<Option<&[u8]>> {
        let Some(entry) = self.entry(name) else { return Ok(None) };
        let content = &self.bytes[entry.place.clone()];
        if *entry.whole.get_or_init(|| entry.sum == 0 || crc32fast::hash(content) == entry.sum) {
            return Ok(Some(content));
        }
        Err(self.refuse(format!("damaged: `{name}` in it is not what was written; copy it again")))
    }

    fn read_directory(&self) -> Result<HashMap<String, Entry>> {
        if self.bytes.starts_with(LEGACY) {
            return Err(self.refuse(
                "written by a PyTorch before 1.6 or in its old form; load it there and save it again \
                 with torch.save",
            ));
        }
        if !self.bytes.starts_with(ZIP) {
            return Err(self.refuse("not a file of torch.save; copy it again"));
        }
        let damaged = |what: &dyn std::fmt::Display| {
            self.refuse(format!("damaged or cut short ({what}); copy it again"))
        };
        let mut archive = ZipArchive::new(Cursor::new(&self.bytes[..])).map_err(|error| damaged(&error))?;
        let mut entries = HashMap::new();
        for index in 0..archive.len() {
            let entry = archive.by_index_raw(index).map_err(|error| damaged(&error))?;
            let name = entry.name().to_owned();
            if entry.compression() != CompressionMethod::Stored || entry.encrypted() {
                let what =
                    format!("`{name}` in it is compressed, which torch.save never does; save it again");
                return Err(self.refuse(what));
            }
            let range = entry.data_start().and_then(|start| {
                let start = usize::try_from(start).ok()?;
                let end = start.checked_add(usize::try_from(entry.size()).ok()?)?;
                (end <= self.bytes.len()).then_some(start..end)
            });
            let place = range.ok_or_else(|| damaged(&format!("`{name}` ends outside of it")))?;
            entries.insert(name, Entry { place, sum: entry.crc32(), whole: OnceCell::new() });
        }
        Ok(entries)
    }
}
