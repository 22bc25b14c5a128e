//! `.txt`: one document per file, or several separated by `<|endoftext|>`.
//!
//! Line breaks at both ends of a document are not part of it (an editor's last line break, and those
//! around a separator on a line of its own); a document that is empty without them does not count. So
//! `"One.\n<|endoftext|>\nTwo.\n"` is the two documents `One.` and `Two.`.

use super::lines::Pieces;
use crate::{Result, data::END_OF_TEXT};
use std::path::Path;

/// Number of documents.
///
/// # Errors
/// As [`read`].
pub fn count(path: &Path) -> Result<u64> {
    read(path)?.try_fold(0, |count, document| document.map(|_| count + 1))
}

/// The documents in order.
///
/// # Errors
/// When the file can't be opened. An item fails for a document that is not UTF-8, naming the line.
pub fn read(path: &Path) -> Result<impl Iterator<Item = Result<String>> + use<>> {
    let mut pieces = Pieces::open(path, END_OF_TEXT.as_bytes())?;
    let mut failed = false;
    Ok(std::iter::from_fn(move || {
        while !failed {
            match pieces.next() {
                Ok(None) => return None,
                Ok(Some((_, piece))) => {
                    let document = piece.trim_matches(['\n', '\r']);
                    if !document.is_empty() {
                        return Some(Ok(document.to_owned()));
                    }
                }
                Err(error) => {
                    failed = true;
                    return Some(Err(error));
                }
            }
        }
        None
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_lie_between_separators_without_the_line_breaks_around_them() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("stories.txt");
        let documents = |content: &str| {
            std::fs::write(&path, content).unwrap();
            let read = read(&path).unwrap().collect::<Result<Vec<_>>>().unwrap();
            assert_eq!(count(&path).unwrap(), read.len() as u64);
            read
        };
        assert_eq!(documents("One.\n<|endoftext|>\nTwo.\n\nMore.\n"), ["One.", "Two.\n\nMore."]);
        assert_eq!(documents("\u{feff} a > b <|endoftext> c"), [" a > b <|endoftext> c"]);
        assert_eq!(documents("a<|endoftext|><|endoftext|>b<|endoftext|>\r\n"), ["a", "b"]);
        assert!(documents("\n\n").is_empty());
        assert!(documents("").is_empty());
    }
}
