//! Cross-entropy behind the head, a chunk of rows at a time: their logits by one product of matrices, then a cube per row
//! that turns them into their gradient, then the two products of that gradient. Logits are `f32`, their gradient is what
//! products take. Narrow embeddings in `bf16` go without logits in memory: see [`narrow`].
//!
//! The head is padded to a multiple of 64 rows, so that rows of logits are aligned and products take whole tiles.

mod narrow;

use super::{
    Cube, Matrix, column_sums, cube_index, linear,
    memory::{arg, array, cubes, empty, floats, integers, matrix},
    over_cube::{self, Largest, UNITS},
    tensor_cores, units,
};
use crate::{
    Result,
    kernels::{LossGradients, Precision, Scalar, host_floats},
};
use burn::tensor::{DType, Tensor};
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;
use half::bf16;

/// Most logits in memory at once: 512 MiB. The library's pools on a card of 141 GB lay what has up to 590 MB beside other
/// things in pages of 2.3 GB, and what has more in pages of 9.4 GB. Fewer, and adding up the head's gradients costs more:
/// an estimated 0.1 ms for each chunk of 50,304 classes of width 768.
const CHUNK_ELEMENTS: usize = 1 << 27;
/// Chunks have a multiple of so many rows, as products take them.
const ROWS: usize = 128;
/// The vocabulary is padded to a multiple of this.
const PADDING: usize = 64;

/// Logits that a unit reads at once; rows of them are padded to a multiple of this.
type Four = Vector<f32, Const<4>>;
const FOUR: usize = 4;

/// What a row's softmax needs.
#[derive(CubeType, Clone, Copy)]
struct Softmax {
    largest: Largest,
    /// Of the exponentials relative to the largest.
    sum: f32,
    /// The logit of the target.
    of_target: f32,
}

/// Of the row of logits that starts at a position, in fours.
#[cube]
fn softmax(logits: &Array<Four>, start: usize, vocabulary: usize, target: usize) -> Softmax {
    let mut of_target = SharedMemory::<f32>::new(1usize);
    let mut own = over_cube::nothing();
    let mut sum = f32::new(0.0);
    let mut at = UNIT_POS as usize;
    while at * FOUR < vocabulary {
        let four = logits[start + at];
        let first = at * FOUR;
        let before = own.value;
        #[unroll]
        for one in 0..FOUR {
            let x = four[one];
            if first + one < vocabulary && x > own.value {
                own.value = x;
                own.at = (first + one) as i32;
            }
            if first + one == target {
                of_target[0] = x;
            }
        }
        if own.value > before {
            sum *= (before - own.value).exp();
        }
        #[unroll]
        for one in 0..FOUR {
            if first + one < vocabulary {
                sum += (four[one] - own.value).exp();
            }
        }
        at += UNITS;
    }
    // Waits for all units, and so for the one that saw the target.
    let largest = over_cube::largest(&own);
    let sum = over_cube::sum(sum * (own.value - largest.value).exp());
    Softmax { largest, sum, of_target: of_target[0] }
}

/// From logits to their gradient.
#[cube(launch_unchecked)]
fn gradient_kernel<S: Float>(
    logits: &Array<Four>,
    slopes: &mut Array<Vector<S, Const<4>>>,
    targets: &Array<i32>,
    losses: &mut Array<f32>,
    rows: usize,
    vocabulary: usize,
    padded: usize,
    scale: f32,
) {
    let row = cube_index();
    if row >= rows {
        terminate!();
    }
    let fours = padded / FOUR;
    let start = row * fours;
    let target = targets[row] as usize;
    let found = softmax(logits, start, vocabulary, target);
    if UNIT_POS == 0 {
        losses[row] = found.largest.value + found.sum.ln() - found.of_target;
    }
    let factor = scale / found.sum;
    let mut at = UNIT_POS as usize;
    while at < fours {
        let four = logits[start + at];
        let first = at * FOUR;
        let mut slope = Four::new(0.0);
        #[unroll]
        for one in 0..FOUR {
            if first + one < vocabulary {
                let of_softmax = (four[one] - found.largest.value).exp() * factor;
                slope[one] = of_softmax - select(first + one == target, scale, f32::new(0.0));
            }
        }
        slopes[start + at] = Vector::<S, Const<4>>::cast_from(slope);
        at += UNITS;
    }
}

/// The loss of a row, and whether its target is the first of the largest logits.
#[cube(launch_unchecked)]
fn loss_kernel(
    logits: &Array<Four>,
    targets: &Array<i32>,
    losses: &mut Array<f32>,
    hits: &mut Array<f32>,
    rows: usize,
    vocabulary: usize,
    padded: usize,
) {
    let row = cube_index();
    if row >= rows {
        terminate!();
    }
    let target = targets[row];
    let found = softmax(logits, row * (padded / FOUR), vocabulary, target as usize);
    if UNIT_POS == 0 {
        losses[row] = found.largest.value + found.sum.ln() - found.of_target;
        hits[row] = select(found.largest.at == target, f32::new(1.0), f32::new(0.0));
    }
}

/// Copies, with zeros behind.
#[cube(launch_unchecked)]
fn pad_kernel<E: Float>(x: &Array<E>, y: &mut Array<E>, count: usize, padded: usize) {
    if ABSOLUTE_POS >= padded {
        terminate!();
    }
    let mut value = E::new(0.0);
    if ABSOLUTE_POS < count {
        value = x[ABSOLUTE_POS];
    }
    y[ABSOLUTE_POS] = value;
}

/// A matrix with rows of zeros behind, to a multiple of [`PADDING`].
#[expect(unsafe_code, reason = "positions are compared with the number of entries")]
pub(super) fn padded<R: CubeRuntime>(head: &Matrix<R>) -> Matrix<R> {
    let [rows, width] = head.dims();
    let padded = rows.next_multiple_of(PADDING);
    if padded == rows {
        return head.clone();
    }
    let head = array(head);
    let y = empty(&head, [padded, width], head.dtype);
    let (count, dim) = units(padded * width);
    let launch = match head.dtype {
        DType::BF16 => pad_kernel::launch_unchecked::<bf16, R>,
        _ => pad_kernel::launch_unchecked::<f32, R>,
    };
    // SAFETY: see above.
    unsafe {
        launch(&head.client, count, dim, arg(&head), arg(&y), rows * width, padded * width);
    }
    matrix(y)
}

/// The ranges of rows to work through, of about the same size: first and number.
pub(super) fn chunks(rows: usize, columns: usize) -> impl Iterator<Item = (usize, usize)> {
    let count = (rows * columns).div_ceil(CHUNK_ELEMENTS).max(1);
    let step = rows.div_ceil(count).next_multiple_of(ROWS);
    (0..rows).step_by(step).map(move |start| (start, step.min(rows - start)))
}

/// Losses of rows `hidden`, and `scale` times the gradient of their logits.
#[expect(unsafe_code, reason = "one cube per row, and targets are below the vocabulary")]
fn slopes<R: CubeRuntime>(
    hidden: &CubeTensor<R>,
    head: &CubeTensor<R>,
    targets: &CubeTensor<R>,
    vocabulary: usize,
    scale: f32,
    precision: Precision,
) -> Slopes<R> {
    let logits = linear::product(hidden.clone(), linear::transposed(head.clone()), precision);
    let [rows, columns] = logits.meta.shape().dims();
    let losses = floats(&logits, [1, rows]);
    let slopes = empty(&logits, [rows, columns], head.dtype);
    let launch = match head.dtype {
        DType::BF16 => gradient_kernel::launch_unchecked::<bf16, R>,
        _ => gradient_kernel::launch_unchecked::<f32, R>,
    };
    // SAFETY: see above.
    unsafe {
        launch(
            &logits.client,
            cubes(rows),
            CubeDim::new_1d(UNITS as u32),
            arg(&logits),
            arg(&slopes),
            arg(targets),
            arg(&losses),
            rows,
            vocabulary,
            columns,
            scale,
        );
    }
    Slopes { losses, slopes }
}

/// Losses of some rows, and the gradient of their logits.
struct Slopes<R: CubeRuntime> {
    /// Of each row, `[1, rows]`.
    losses: CubeTensor<R>,
    /// Gradient of the logits, `[rows, columns]`: zero in the columns that pad, in the numbers that products take.
    slopes: CubeTensor<R>,
}

/// Losses and gradients of all rows.
struct Found<R: CubeRuntime> {
    /// Of each row, `[1, rows]`.
    losses: CubeTensor<R>,
    /// `[rows, width]`.
    hidden: CubeTensor<R>,
    /// `[vocabulary, width]`.
    head: CubeTensor<R>,
}

pub(super) fn gradients<R: CubeRuntime>(
    hidden: &Matrix<R>,
    head: &Matrix<R>,
    targets: &[i32],
    precision: Precision,
) -> Result<LossGradients<Cube<R>>> {
    let ([rows, width], [vocabulary, _]) = (hidden.dims(), head.dims());
    let head = array(&padded(&matrix(linear::factor(head, precision))));
    let shared = head.client.properties().hardware.max_shared_memory_size;
    let without_logits =
        precision == Precision::Bf16 && narrow::takes(width, shared) && tensor_cores::exist(&head.client);
    let scale = (1.0 / rows as f64) as f32;
    let found = if without_logits {
        let hidden = linear::factor(hidden, precision);
        let targets = integers(&hidden, targets);
        narrow::gradients(&hidden, &head, &targets, vocabulary, scale)
    } else {
        in_chunks(hidden, &head, targets, vocabulary, scale, precision)
    };
    // As a column, whose rows are summed.
    let losses = matrix(found.losses).reshape([rows, 1]);
    Ok(LossGradients {
        loss: Scalar::OnDevice(column_sums::sum(&losses) / rows as f64),
        hidden: matrix(found.hidden),
        head: matrix(found.head).reshape([vocabulary, width]),
    })
}

/// Losses and gradients by way of logits in memory, some rows at a time.
fn in_chunks<R: CubeRuntime>(
    hidden: &Matrix<R>,
    head: &CubeTensor<R>,
    targets: &[i32],
    vocabulary: usize,
    scale: f32,
    precision: Precision,
) -> Found<R> {
    let (rows, columns) = (hidden.dims()[0], head.meta.shape()[0]);
    let mut losses = Vec::new();
    let mut hidden_gradients = Vec::new();
    let mut head_gradient: Option<Matrix<R>> = None;
    for (start, length) in chunks(rows, columns) {
        let chunk = linear::factor(&hidden.clone().narrow(0, start, length), precision);
        let target = integers(&chunk, &targets[start..start + length]);
        let found = slopes(&chunk, head, &target, vocabulary, scale, precision);
        losses.push(matrix(found.losses));
        hidden_gradients.push(matrix(linear::product(found.slopes.clone(), head.clone(), precision)));
        let of_head = matrix(linear::product(linear::transposed(found.slopes), chunk, precision));
        head_gradient = Some(match head_gradient {
            Some(sum) => sum + of_head,
            None => of_head,
        });
    }
    let hidden = if hidden_gradients.len() == 1 {
        hidden_gradients.remove(0)
    } else {
        Tensor::cat(hidden_gradients, 0)
    };
    let head = head_gradient.unwrap_or_else(|| hidden.zeros_like().narrow(0, 0, 0));
    Found {
        losses: array(&Tensor::cat(losses, 1)),
        hidden: array(&hidden),
        head: array(&head.narrow(0, 0, vocabulary)),
    }
}

#[expect(unsafe_code, reason = "one cube per row, and targets are below the vocabulary")]
pub(super) fn loss_and_hits<R: CubeRuntime>(
    hidden: &Matrix<R>,
    head: &Matrix<R>,
    targets: &[i32],
) -> Result<(f64, u64)> {
    let (rows, vocabulary) = (hidden.dims()[0], head.dims()[0]);
    let head = array(&padded(head));
    let columns = head.meta.shape()[0];
    let (mut losses, mut hits) = (Vec::new(), Vec::new());
    for (start, length) in chunks(rows, columns) {
        let chunk = array(&hidden.clone().narrow(0, start, length));
        let logits = linear::product(chunk, linear::transposed(head.clone()), Precision::F32);
        let target = integers(&logits, &targets[start..start + length]);
        let (loss, hit) = (floats(&logits, [1, length]), floats(&logits, [1, length]));
        // SAFETY: see above.
        unsafe {
            loss_kernel::launch_unchecked::<R>(
                &logits.client,
                cubes(length),
                CubeDim::new_1d(UNITS as u32),
                arg(&logits),
                arg(&target),
                arg(&loss),
                arg(&hit),
                length,
                vocabulary,
                columns,
            );
        }
        losses.push(matrix(loss));
        hits.push(matrix(hit));
    }
    let sum = |parts: Vec<Matrix<R>>| -> Result<f64> {
        Ok(host_floats(Tensor::cat(parts, 1))?.iter().map(|&x| f64::from(x)).sum())
    };
    Ok((sum(losses)?, sum(hits)? as u64))
}
