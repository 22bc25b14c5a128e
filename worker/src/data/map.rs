//! Files seen as memory.

use crate::{Error, Result};
use memmap2::Mmap;
use std::{fs::File, path::Path};

/// Maps a file for reading; its pages are loaded when they are touched and can be dropped again.
pub(super) fn map(path: &Path) -> Result<Mmap> {
    let file = File::open(path).map_err(Error::io(path))?;
    #[expect(
        unsafe_code,
        reason = "a mapping is sound while nobody truncates the file, which is written once and renamed into place"
    )]
    let map = unsafe { Mmap::map(&file) };
    map.map_err(Error::io(path))
}
