//! Tensors of the CPU backend as slices, and slices as tensors, without copies.

use crate::kernels::backend::Cpu;
use burn::tensor::{Tensor, TensorData, TensorPrimitive};
use burn_flex::FlexTensor;
use std::ops::Deref;

/// The entries of a tensor, row by row. Shares the tensor's memory.
pub(super) struct Slice(FlexTensor);

impl Slice {
    pub(super) fn of(tensor: &Tensor<Cpu, 2>) -> Self {
        Self(tensor.clone().into_primitive().tensor().to_contiguous())
    }

    /// The entries of a tensor in `f64`.
    pub(super) fn doubles(&self) -> &[f64] {
        self.0.storage()
    }
}

impl Deref for Slice {
    type Target = [f32];

    fn deref(&self) -> &[f32] {
        self.0.storage()
    }
}

/// A tensor of `values`, row by row.
pub(super) fn matrix(values: Vec<f32>, shape: [usize; 2]) -> Tensor<Cpu, 2> {
    Tensor::from_data(TensorData::new(values, shape), &burn_flex::FlexDevice)
}

/// Tensors whose entries can be changed: in place where nothing else holds them.
pub(super) struct Owned(FlexTensor);

impl Owned {
    pub(super) fn of(tensor: Tensor<Cpu, 2>) -> Self {
        let tensor = tensor.into_primitive().tensor();
        // `to_contiguous` shares a tensor that is contiguous; the original must go first.
        let contiguous = tensor.to_contiguous();
        drop(tensor);
        Self(contiguous)
    }

    pub(super) fn entries(&mut self) -> &mut [f32] {
        self.0.storage_mut()
    }

    /// The entries of a tensor in `f64`.
    pub(super) fn doubles(&mut self) -> &mut [f64] {
        self.0.storage_mut()
    }

    pub(super) fn tensor(self) -> Tensor<Cpu, 2> {
        Tensor::from_primitive(TensorPrimitive::Float(self.0))
    }
}
