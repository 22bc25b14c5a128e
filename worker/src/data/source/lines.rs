//! Text files cut at a byte sequence, with line numbers for messages.

use super::LARGEST_DOCUMENT;
use crate::{Error, Result};
use std::{
    fs::File,
    io::{BufRead, BufReader, Read as _},
    path::{Path, PathBuf},
};

/// The byte-order mark that a file may begin with.
const MARK: &[u8] = b"\xef\xbb\xbf";

/// Pieces of a file between separators, as UTF-8; holds one piece at a time.
pub(super) struct Pieces {
    path: PathBuf,
    file: BufReader<File>,
    separator: &'static [u8],
    piece: Vec<u8>,
    // Of the first byte of the next piece, from 1.
    line: u64,
    at_start: bool,
}

impl Pieces {
    pub(super) fn open(path: &Path, separator: &'static [u8]) -> Result<Self> {
        let file = File::open(path).map_err(Error::io(path))?;
        let file = BufReader::with_capacity(1 << 18, file);
        Ok(Self { path: path.to_owned(), file, separator, piece: Vec::new(), line: 1, at_start: true })
    }

    /// The next piece without its separator, and the line it begins on; none at the end of the file.
    pub(super) fn next(&mut self) -> Result<Option<(u64, &str)>> {
        self.piece.clear();
        let last = *self.separator.last().expect("a separator is not empty");
        loop {
            let room = LARGEST_DOCUMENT + 1 - self.piece.len() as u64;
            let read = self
                .file
                .by_ref()
                .take(room)
                .read_until(last, &mut self.piece)
                .map_err(Error::io(&self.path))?;
            if self.piece.len() as u64 > LARGEST_DOCUMENT {
                return Err(Error::input(format!(
                    "{}: line {}: a document of more than {} MiB; accepted: smaller documents, separated by <|endoftext|> or as lines of a .jsonl file",
                    self.path.display(),
                    self.line,
                    LARGEST_DOCUMENT >> 20,
                )));
            }
            if read == 0 || self.piece.ends_with(self.separator) {
                break;
            }
        }
        if self.piece.is_empty() {
            return Ok(None);
        }
        let line = self.line;
        self.line += self.piece.iter().filter(|&&byte| byte == b'\n').count() as u64;
        let mut piece = self.piece.strip_suffix(self.separator).unwrap_or(&self.piece);
        if std::mem::take(&mut self.at_start) {
            // A byte-order mark says "this is UTF-8" and is not part of the text.
            piece = piece.strip_prefix(MARK).unwrap_or(piece);
        }
        match std::str::from_utf8(piece) {
            Ok(piece) => Ok(Some((line, piece))),
            Err(error) => {
                let before = &piece[..error.valid_up_to()];
                let line = line + before.iter().filter(|&&byte| byte == b'\n').count() as u64;
                Err(Error::input(format!(
                    "{}: line {line}: not UTF-8; accepted: UTF-8 text",
                    self.path.display()
                )))
            }
        }
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }
}

/// Number of lines with anything but blanks, whatever their length.
pub(super) fn count_lines(path: &Path) -> Result<u64> {
    let mut file = BufReader::with_capacity(1 << 18, File::open(path).map_err(Error::io(path))?);
    let (mut lines, mut blank) = (0, true);
    if file.fill_buf().map_err(Error::io(path))?.starts_with(MARK) {
        file.consume(MARK.len());
    }
    loop {
        let bytes = file.fill_buf().map_err(Error::io(path))?;
        if bytes.is_empty() {
            return Ok(lines + u64::from(!blank));
        }
        for &byte in bytes {
            if byte == b'\n' {
                lines += u64::from(!blank);
                blank = true;
            } else if blank {
                blank = byte.is_ascii_whitespace();
            }
        }
        let length = bytes.len();
        file.consume(length);
    }
}
