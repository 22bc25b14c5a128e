//! The form that the three kinds of statistics files share.

use super::{Meta, content};
use crate::{
    Result, files,
    tensors::{self, Mapped},
};
use safetensors::tensor::{Dtype, Metadata, TensorInfo};
use sha2::Digest as _;
use std::{collections::HashMap, io::Write as _, path::Path};

/// Number types of statistics.
pub(super) trait Number: Copy {
    const DTYPE: Dtype;
    const WIDTH: usize = size_of::<Self>();
    fn from_le(bytes: &[u8]) -> Self;
    fn push_le(self, out: &mut Vec<u8>);
}

macro_rules! number {
    ($type:ty, $dtype:ident) => {
        impl Number for $type {
            const DTYPE: Dtype = Dtype::$dtype;
            fn from_le(bytes: &[u8]) -> Self {
                let mut own = [0; size_of::<$type>()];
                own.copy_from_slice(bytes);
                Self::from_le_bytes(own)
            }
            fn push_le(self, out: &mut Vec<u8>) {
                out.extend_from_slice(&self.to_le_bytes());
            }
        }
    };
}

number!(f64, F64);
number!(i32, I32);

/// What a statistics file holds.
pub(super) struct Content<T> {
    pub(super) counts: Vec<i32>,
    pub(super) totals: Vec<T>,
    /// Shape of `totals`.
    pub(super) shape: Vec<usize>,
    pub(super) meta: Meta,
}

/// Reads a statistics file with `totals` of `rank` axes.
pub(super) fn read<T: Number>(path: &Path, rank: usize) -> Result<Content<T>> {
    content(&Mapped::open(path)?, rank)
}

/// Reads what every statistics file has, with `totals` of `rank` axes.
pub(super) fn content<T: Number>(file: &Mapped, rank: usize) -> Result<Content<T>> {
    let (counts, meta) = counts_and_meta(file)?;
    let (totals, shape) = numbers::<T>(file, "totals", rank)?;
    content::check(file)?;
    if shape[0] != counts.len() {
        return Err(file.refuse(format!("`totals` has {} classes, `Ns_toks` {}", shape[0], counts.len())));
    }
    Ok(Content { counts, totals, shape, meta })
}

/// Reads what is common to all kinds.
pub(super) fn counts_and_meta(file: &Mapped) -> Result<(Vec<i32>, Meta)> {
    let (counts, _) = numbers::<i32>(file, "Ns_toks", 1)?;
    if let Some(class) = counts.iter().position(|&n| n < 0) {
        return Err(file.refuse(format!("`Ns_toks` of class {class} is negative ({})", counts[class])));
    }
    let mut made_from = file.metadata()?;
    made_from.remove(content::KEY);
    let hash = made_from.remove("hash").ok_or_else(|| file.refuse("no `hash` in its metadata"))?;
    let n_seqs = made_from
        .remove("N_seqs")
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| file.refuse("no whole number `N_seqs` in its metadata"))?;
    Ok((counts, Meta { hash, n_seqs, made_from }))
}

/// A tensor that a kind of file may have besides those that all have.
pub(super) struct More<'a> {
    pub(super) name: &'static str,
    pub(super) shape: Vec<usize>,
    pub(super) values: &'a [f64],
}

/// Reads a tensor that a file may have, of the shape it must have.
pub(super) fn more(file: &Mapped, name: &str, expected: &[usize]) -> Result<Option<Vec<f64>>> {
    if !file.tensors()?.names().contains(&name) {
        return Ok(None);
    }
    let (values, shape) = numbers::<f64>(file, name, expected.len())?;
    if shape != expected {
        return Err(file.refuse(format!("`{name}` has shape {shape:?}; expected {expected:?}")));
    }
    Ok(Some(values))
}

/// The side of a square matrix that a file may have.
pub(super) fn side(file: &Mapped, name: &str) -> Result<usize> {
    let tensors = file.tensors()?;
    Ok(tensors.tensor(name).map_or(0, |matrix| matrix.shape().first().copied().unwrap_or(0)))
}

fn numbers<T: Number>(file: &Mapped, name: &str, rank: usize) -> Result<(Vec<T>, Vec<usize>)> {
    let tensor = file.tensor(name)?;
    if tensor.dtype() != T::DTYPE || tensor.shape().len() != rank {
        return Err(file.refuse(format!(
            "`{name}` is {} of shape {:?}; expected {} with {rank} axes",
            tensor.dtype(),
            tensor.shape(),
            T::DTYPE,
        )));
    }
    Ok((tensor.data().chunks_exact(T::WIDTH).map(T::from_le).collect(), tensor.shape().to_vec()))
}

/// Writes a statistics file atomically. Equal content gives equal bytes.
pub(super) fn write<T: Number>(
    path: &Path,
    counts: &[i32],
    totals: &[T],
    shape: &[usize],
    more: Option<More<'_>>,
    meta: &Meta,
) -> Result<()> {
    assert_eq!(totals.len(), shape.iter().product::<usize>(), "totals and their shape");
    assert_eq!(counts.len(), shape[0], "classes of counts and totals");
    let mut header = header::<T>(counts.len(), shape, more.as_ref(), meta);
    let more = more.as_ref().map_or(&[][..], |more| more.values);
    let bytes = header.len() + size_of_val(totals) + size_of_val(more) + size_of_val(counts);
    files::require_space(path, bytes as u64)?;
    content::seal(&mut header, |hash| {
        each_part(totals, |bytes| hash.update(bytes));
        each_part(more, |bytes| hash.update(bytes));
        each_part(counts, |bytes| hash.update(bytes));
    });
    files::write_atomically(path, |out| {
        out.write_all(&header)?;
        // The wider type comes first, as the format's own writer does, so that both are aligned.
        write_numbers(out, totals)?;
        write_numbers(out, more)?;
        write_numbers(out, counts)
    })
}

/// The length of the header and the header, not sealed yet.
fn header<T: Number>(classes: usize, shape: &[usize], more: Option<&More<'_>>, meta: &Meta) -> Vec<u8> {
    let mut strings: HashMap<String, String> = meta.made_from.clone().into_iter().collect();
    strings.insert("hash".into(), meta.hash.clone());
    strings.insert("N_seqs".into(), meta.n_seqs.to_string());
    strings.insert(content::KEY.into(), content::PLACEHOLDER.into());
    let mut end = 0;
    let mut tensor = |name: &str, dtype, width: usize, shape: Vec<usize>| {
        let start = end;
        end += shape.iter().product::<usize>() * width;
        (name.to_owned(), TensorInfo { dtype, shape, data_offsets: (start, end) })
    };
    let mut all = vec![tensor("totals", T::DTYPE, T::WIDTH, shape.to_vec())];
    if let Some(More { name, shape, values }) = more {
        assert_eq!(values.len(), shape.iter().product::<usize>(), "{name} and its shape");
        all.push(tensor(name, f64::DTYPE, f64::WIDTH, shape.clone()));
    }
    all.push(tensor("Ns_toks", i32::DTYPE, i32::WIDTH, vec![classes]));
    let header = Metadata::new(Some(strings), all).expect("contiguous tensors");
    // By way of a `Value`, whose keys are sorted: the strings come from a hash map.
    tensors::beginning(serde_json::to_value(&header).expect("strings and numbers").to_string())
}

fn write_numbers<T: Number>(out: &mut impl std::io::Write, numbers: &[T]) -> std::io::Result<()> {
    let mut written = Ok(());
    each_part(numbers, |bytes| {
        if written.is_ok() {
            written = out.write_all(bytes);
        }
    });
    written
}

/// Gives the bytes of numbers, a part at a time.
fn each_part<T: Number>(numbers: &[T], mut take: impl FnMut(&[u8])) {
    let mut bytes = Vec::with_capacity(numbers.len().min(1 << 16) * T::WIDTH);
    for part in numbers.chunks(1 << 16) {
        bytes.clear();
        part.iter().for_each(|&number| number.push_le(&mut bytes));
        take(&bytes);
    }
}
