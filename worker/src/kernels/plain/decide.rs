//! The best class of each row.

use super::linear::product;
use crate::{
    Result,
    kernels::{Precision, host_floats, host_ints},
};
use burn::tensor::{Tensor, backend::Backend};

/// Classes compared at once, per row.
const BLOCK: usize = 4096;

pub(in crate::kernels) fn decide<B: Backend>(
    x: &Tensor<B, 2>,
    classes: &Tensor<B, 2>,
    offsets: Option<&Tensor<B, 2>>,
    precision: Precision,
) -> Result<Vec<i32>> {
    let ([rows, _], [count, _]) = (x.dims(), classes.dims());
    let mut best = vec![(f32::NEG_INFINITY, 0); rows];
    for start in (0..count).step_by(BLOCK) {
        let length = BLOCK.min(count - start);
        let mut scores = product(x.clone(), classes.clone().narrow(0, start, length).transpose(), precision);
        if let Some(offsets) = offsets {
            scores = scores + offsets.clone().narrow(1, start, length);
        }
        let (score, class) = scores.max_dim_with_indices(1);
        let found = host_floats(score)?.into_iter().zip(host_ints(class)?);
        for (best, (score, class)) in best.iter_mut().zip(found) {
            if score > best.0 {
                *best = (score, start as i32 + class);
            }
        }
    }
    Ok(best.into_iter().map(|(_, class)| class).collect())
}
