//! The hash over a whole statistics file, kept in its own header, by which damage is noticed.
//!
//! It is taken with zeros in its place. Files of the published tool have none.

use crate::{Result, tensors::Mapped};
use sha2::{Digest as _, Sha256};

/// Key of the hash in the string metadata.
pub(super) const KEY: &str = "content_sha256";
/// What stands in its place while it is taken.
pub(super) const PLACEHOLDER: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Puts the hash of a header and the bytes that follow it into the header.
pub(super) fn seal(header: &mut [u8], follow: impl FnOnce(&mut Sha256)) {
    let mut hash = Sha256::new();
    hash.update(&*header);
    follow(&mut hash);
    replace(header, PLACEHOLDER, &hex::encode(hash.finalize()));
}

/// Refuses a file that is not what was written.
///
/// # Errors
/// When the hash is another one than the header says.
pub(super) fn check(file: &Mapped) -> Result<()> {
    let Some(expected) = file.metadata()?.remove(KEY) else { return Ok(()) };
    let (header, data) = file.header_and_data()?;
    let mut header = header.to_vec();
    replace(&mut header, &expected, PLACEHOLDER);
    let mut hash = Sha256::new();
    hash.update(&header);
    hash.update(data);
    if hex::encode(hash.finalize()) == expected {
        return Ok(());
    }
    Err(file.refuse("damaged, its content is not what was written; delete it and collect it again"))
}

/// Replaces the first occurrence of a text with one of the same length.
fn replace(header: &mut [u8], text: &str, other: &str) {
    if text.len() == other.len()
        && let Some(at) = header.windows(text.len()).position(|part| part == text.as_bytes())
    {
        header[at..at + text.len()].copy_from_slice(other.as_bytes());
    }
}
