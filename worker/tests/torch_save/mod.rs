//! Files as `torch.save` writes them, made by hand: what PyTorch's own would not contain, and what would
//! otherwise need a PyTorch at hand.

use std::io::{Cursor, Write as _};
use zip::{ZipWriter, write::SimpleFileOptions};

/// A tensor in a file.
pub struct Stored<'a> {
    pub name: &'a str,
    /// Such as `FloatStorage`.
    pub class: &'a str,
    /// Which storage it is a view of.
    pub key: &'a str,
    pub offset: usize,
    pub shape: &'a [usize],
    pub strides: &'a [usize],
}

/// A text, as an instruction.
pub fn text(text: &str) -> Vec<u8> {
    [b"X", &(text.len() as u32).to_le_bytes()[..], text.as_bytes()].concat()
}

/// A whole number, as an instruction.
pub fn int(number: usize) -> Vec<u8> {
    [b"J", &i32::try_from(number).unwrap().to_le_bytes()[..]].concat()
}

/// The instructions that make a tensor.
pub fn tensor(stored: &Stored<'_>) -> Vec<u8> {
    let sizes = |sizes: &[usize]| {
        [b"(".to_vec(), sizes.iter().flat_map(|&n| int(n)).collect(), b"t".to_vec()].concat()
    };
    [
        b"ctorch._utils\n_rebuild_tensor_v2\n((".to_vec(),
        text("storage"),
        format!("ctorch\n{}\n", stored.class).into_bytes(),
        text(stored.key),
        text("cpu"),
        int(0),
        b"tQ".to_vec(),
        int(stored.offset),
        sizes(stored.shape),
        sizes(stored.strides),
        b"\x89ccollections\nOrderedDict\n)RtR".to_vec(),
    ]
    .concat()
}

/// A program that makes a module's state dictionary: an ordered one, with the attribute that modules give it.
pub fn state_dict(tensors: &[Stored<'_>]) -> Vec<u8> {
    let entries = tensors.iter().flat_map(|stored| [text(stored.name), tensor(stored)].concat());
    [
        b"\x80\x02ccollections\nOrderedDict\n)Rq\x00(".to_vec(),
        entries.collect(),
        b"u}".to_vec(),
        text("_metadata"),
        b"ccollections\nOrderedDict\n)Rsb.".to_vec(),
    ]
    .concat()
}

/// A file with a program and storages.
pub fn file(program: &[u8], storages: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    let mut entry = |name: &str, content: &[u8]| {
        zip.start_file(format!("archive/{name}"), SimpleFileOptions::default()).unwrap();
        zip.write_all(content).unwrap();
    };
    entry("data.pkl", program);
    entry("byteorder", b"little");
    for (key, content) in storages {
        entry(&format!("data/{key}"), content);
    }
    entry("version", b"3\n");
    zip.finish().unwrap().into_inner()
}
