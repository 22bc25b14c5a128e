//! `SHA256SUMS`: what the files of a checkpoint folder are to hash to, so that damage is noticed before it
//! is used. `sha256sum -c SHA256SUMS` reads it, too.

use crate::{Error, Result, files};
use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

const FILE: &str = "SHA256SUMS";

/// The files of a checkpoint folder and their hashes.
#[derive(Debug)]
pub struct Sums {
    folder: PathBuf,
    by_name: BTreeMap<String, String>,
}

impl Sums {
    /// What the files of a folder are to hash to, by name.
    pub(super) fn new<const N: usize>(folder: &Path, by_name: [(&str, String); N]) -> Self {
        let by_name = by_name.into_iter().map(|(name, hash)| (name.to_owned(), hash)).collect();
        Self { folder: folder.to_owned(), by_name }
    }

    /// The list with one more file.
    pub(super) fn with(mut self, name: &str, hash: String) -> Self {
        self.by_name.insert(name.to_owned(), hash);
        self
    }

    /// Reads the list of a folder; none if it has none, as folders of Hugging Face's library.
    ///
    /// # Errors
    /// [`Error::Input`] when the list is damaged.
    pub fn read(folder: &Path) -> Result<Option<Self>> {
        let path = folder.join(FILE);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::Io { path, source }),
        };
        let parsed = String::from_utf8(bytes).ok().and_then(|text| {
            let line =
                |line: &str| line.split_once("  ").map(|(hash, name)| (name.to_owned(), hash.to_owned()));
            text.lines().map(line).collect::<Option<BTreeMap<_, _>>>()
        });
        match parsed.filter(|by_name| !by_name.is_empty()) {
            Some(by_name) => Ok(Some(Self { folder: folder.to_owned(), by_name })),
            None => Err(Error::input(format!("{}: damaged, no list of hashes", path.display()))),
        }
    }

    /// Writes the list into its folder, atomically.
    ///
    /// # Errors
    /// When it can't be written.
    pub(super) fn write(&self) -> Result<()> {
        let path = self.folder.join(FILE);
        files::remove_leftovers(&path)?;
        files::write_atomically(&path, |out| {
            self.by_name.iter().try_for_each(|(name, hash)| writeln!(out, "{hash}  {name}"))
        })
    }

    /// Whether the list has a file.
    #[must_use]
    pub fn lists(&self, name: &str) -> bool {
        self.by_name.contains_key(name)
    }

    /// Makes sure that the list has a file.
    ///
    /// # Errors
    /// [`Error::Input`] when it has not.
    pub fn require(&self, name: &str) -> Result<()> {
        let refused =
            || Error::input(format!("{}: damaged, {name} is not in it", self.folder.join(FILE).display()));
        if self.lists(name) { Ok(()) } else { Err(refused()) }
    }

    /// The list without a file.
    pub(super) fn without(mut self, name: &str) -> Self {
        self.by_name.remove(name);
        self
    }

    /// Checks one file, if it is listed.
    ///
    /// # Errors
    /// [`Error::Input`] when it is missing or does not have its hash.
    pub fn check(&self, name: &str) -> Result<()> {
        let Some(expected) = self.by_name.get(name) else { return Ok(()) };
        let path = self.folder.join(name);
        let refuse = |what: &str| Err(Error::input(format!("{}: damaged, {what}", path.display())));
        match files::sha256(&path) {
            Ok(found) if found == *expected => Ok(()),
            Ok(_) => refuse(&format!("its SHA-256 is not that in {FILE} beside it")),
            Err(Error::Io { source, .. }) if source.kind() == ErrorKind::NotFound => refuse("it is missing"),
            Err(other) => Err(other),
        }
    }

    /// Checks all files.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_all(&self) -> Result<()> {
        self.by_name.keys().try_for_each(|name| self.check(name))
    }
}
