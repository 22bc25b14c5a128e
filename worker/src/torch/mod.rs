//! What `torch.save` writes: numbers, texts and tensors, read without running anything.
//!
//! A file is a zip archive: `data.pkl` says what there is, and each storage (the numbers behind one or
//! more tensors) is an entry of its own, uncompressed.
//!
//! * [`archive`]: the entries;
//! * [`pickle`]: the part of Python's pickle format that is needed, and nothing else of it;
//! * [`globals`]: the few names of Python that it may ask for;
//! * [`tensor`]: a tensor's numbers out of its storage.
//!
//! PyTorch's own reader runs what a file asks for, which makes a checkpoint of a stranger a program.
//! Here, a file that asks for anything but tensors is refused.

mod archive;
mod globals;
mod pickle;
mod tensor;

pub use tensor::Tensor;

use crate::{Error, Result, files};
use archive::Archive;
use pickle::{Node, Pickle, Value};
use std::{borrow::Cow, path::Path};

/// Longest name of an entry; those of modules have some tens of bytes.
const LONGEST_NAME: usize = 4096;

/// An open file of `torch.save` whose outermost value is a dictionary.
pub struct File {
    archive: Archive,
    pickle: Pickle,
}

/// A value of the dictionary.
#[derive(Clone, Copy, Debug)]
pub enum Entry<'a> {
    /// A whole number.
    Int(i64),
    /// A text.
    Text(&'a str),
    /// A tensor.
    Tensor(&'a Tensor),
    /// Anything else.
    Other,
}

impl File {
    /// Opens a file, mapped.
    ///
    /// # Errors
    /// When it can't be read, is cut short or damaged, is of a PyTorch before 1.6, asks for anything but
    /// tensors, or holds something else than a dictionary; the line names the file.
    pub fn open(path: &Path) -> Result<Self> {
        Self::of(Archive::of(path, Box::new(files::map(path)?))?)
    }

    /// Reads a file into memory, for one that another program may write again meanwhile.
    ///
    /// # Errors
    /// As [`Self::open`], and when it was written to while it was read.
    pub fn read(path: &Path) -> Result<Self> {
        Self::of(Archive::of(path, Box::new(files::read_unchanged(path)?))?)
    }

    fn of(archive: Archive) -> Result<Self> {
        let pickle = pickle::read(archive.program()?).map_err(|what| archive.refuse(what))?;
        let file = Self { archive, pickle };
        if file.pickle.root_entries().is_none() {
            return Err(file.refuse("holds no dictionary; expected what torch.save makes of one"));
        }
        // Whoever keeps the names would keep a long one as often as the file uses it.
        if let Some(length) = file.entries().map(|(name, _)| name.len()).find(|&length| length > LONGEST_NAME)
        {
            return Err(
                file.refuse(format!("has a name of {length} bytes in it; at most {LONGEST_NAME} are read"))
            );
        }
        Ok(file)
    }

    /// The entries of the dictionary that have a text as key, in the order of the file.
    pub fn entries(&self) -> impl Iterator<Item = (&str, Entry<'_>)> {
        let entries = self.pickle.root_entries().unwrap_or_default();
        entries.iter().filter_map(|&(key, value)| Some((self.pickle.text(key)?, self.entry(value))))
    }

    /// The value of a key, the last one where several are equal.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<Entry<'_>> {
        self.entries().filter(|(name, _)| *name == key).last().map(|(_, entry)| entry)
    }

    /// The numbers of a tensor, row by row, little endian.
    ///
    /// # Errors
    /// When the file does not hold them all.
    pub fn bytes<'a>(&'a self, name: &str, tensor: &Tensor) -> Result<Cow<'a, [u8]>> {
        let storage = self.archive.storage(&tensor.storage.key)?;
        tensor.gather(storage).map_err(|what| self.refuse(format!("tensor `{name}` {what}")))
    }

    /// An error about this file's content, in one line.
    pub(crate) fn refuse(&self, what: impl std::fmt::Display) -> Error {
        self.archive.refuse(what)
    }

    fn entry(&self, value: Value) -> Entry<'_> {
        match value {
            Value::Int(number) => Entry::Int(number),
            Value::Node(at) => match self.pickle.node(at) {
                Node::Text(text) => Entry::Text(text),
                Node::Tensor(tensor) => Entry::Tensor(tensor),
                _ => Entry::Other,
            },
            _ => Entry::Other,
        }
    }
}
