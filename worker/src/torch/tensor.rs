//! A tensor's numbers out of its storage.

use safetensors::Dtype;
use std::{borrow::Cow, rc::Rc};

/// Numbers that one or more tensors are views of.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Storage {
    /// Its name in the archive.
    pub(super) key: Rc<str>,
    /// The type of its numbers.
    pub(super) dtype: Dtype,
}

/// A tensor: a view of a storage.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tensor {
    pub(super) storage: Storage,
    pub(super) shape: Vec<usize>,
    /// Numbers between neighbours along each axis.
    pub(super) strides: Vec<usize>,
    /// Number of the storage that comes first.
    pub(super) offset: usize,
}

impl Tensor {
    /// Numbers along each axis.
    #[must_use]
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Type of the numbers.
    #[must_use]
    pub const fn dtype(&self) -> Dtype {
        self.storage.dtype
    }

    /// The bytes of all numbers, row by row; copied only where they do not lie so in the storage.
    pub(super) fn gather<'a>(&self, storage: &'a [u8]) -> Result<Cow<'a, [u8]>, String> {
        let width = self.dtype().bitsize() / 8;
        let outside = || "is larger than its storage: the file is damaged; copy it again".to_owned();
        let count =
            self.shape.iter().try_fold(1_usize, |n, &size| n.checked_mul(size)).ok_or_else(outside)?;
        if count == 0 {
            return Ok(Cow::Borrowed(&[]));
        }
        let last =
            self.shape.iter().zip(&self.strides).try_fold(self.offset, |at, (&size, &stride)| {
                at.checked_add((size - 1).checked_mul(stride)?)
            });
        let end = last.and_then(|last| last.checked_add(1)?.checked_mul(width)).ok_or_else(outside)?;
        if end > storage.len() {
            return Err(outside());
        }
        let start = self.offset * width;
        if self.is_contiguous() {
            return Ok(Cow::Borrowed(&storage[start..end]));
        }
        let bytes = count.checked_mul(width).ok_or_else(outside)?;
        // A view may have every number many times, and so be of any size.
        if bytes > storage.len() {
            return Err("has more numbers than its storage; save it again after tensor.contiguous()".into());
        }
        let mut gathered = Vec::new();
        gathered.try_reserve_exact(bytes).map_err(|_| format!("needs {bytes} bytes of memory"))?;
        let mut index = vec![0; self.shape.len()];
        let mut at = self.offset;
        loop {
            gathered.extend_from_slice(&storage[at * width..(at + 1) * width]);
            // One step of an odometer, the last axis turning fastest.
            let Some(axis) = (0..index.len()).rev().find(|&axis| index[axis] + 1 < self.shape[axis]) else {
                return Ok(Cow::Owned(gathered));
            };
            for (position, stride) in index[axis + 1..].iter_mut().zip(&self.strides[axis + 1..]) {
                at -= *position * stride;
                *position = 0;
            }
            index[axis] += 1;
            at += self.strides[axis];
        }
    }

    fn is_contiguous(&self) -> bool {
        let mut expected = 1;
        self.shape.iter().zip(&self.strides).rev().all(|(&size, &stride)| {
            let follows = size == 1 || stride == expected;
            expected *= size;
            follows
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensor(shape: &[usize], strides: &[usize], offset: usize) -> Tensor {
        let storage = Storage { key: "0".into(), dtype: Dtype::U8 };
        Tensor { storage, shape: shape.into(), strides: strides.into(), offset }
    }

    #[test]
    fn views_are_gathered_row_by_row() {
        let storage: Vec<u8> = (0..12).collect();
        for (view, expected) in [
            (tensor(&[2, 3], &[3, 1], 1), vec![1, 2, 3, 4, 5, 6]),
            (tensor(&[3, 2], &[1, 3], 0), vec![0, 3, 1, 4, 2, 5]),
            (tensor(&[2, 2], &[4, 2], 3), vec![3, 5, 7, 9]),
            (tensor(&[2, 1, 2], &[6, 99, 1], 0), vec![0, 1, 6, 7]),
            (tensor(&[3], &[0], 5), vec![5, 5, 5]),
            (tensor(&[], &[], 11), vec![11]),
            (tensor(&[0, 3], &[3, 1], 99), vec![]),
        ] {
            assert_eq!(view.gather(&storage).unwrap().as_ref(), expected, "{view:?}");
        }
    }

    #[test]
    fn a_view_that_leaves_its_storage_is_refused() {
        let storage = [0; 12];
        for view in [
            tensor(&[13], &[1], 0),
            tensor(&[2, 6], &[6, 1], 1),
            tensor(&[2], &[usize::MAX], 1),
            tensor(&[usize::MAX, 2], &[1, 1], 0),
            tensor(&[usize::MAX], &[0], 0),
            tensor(&[13], &[0], 0),
            tensor(&[1 << 40], &[0], 5),
        ] {
            let refused = view.gather(&storage).unwrap_err();
            assert!(refused.contains("than its storage"), "{refused}");
        }
    }
}
