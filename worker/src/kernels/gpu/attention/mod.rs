//! Attention without a matrix of scores (Dao et al. 2022, arXiv 2205.14135), on keys, values and queries as they leave
//! their linear layer: side by side, `[batch * length, 3 * width]`, a head being some neighbouring columns of each.
//!
//! A row (a query, or in the gradients of keys and values a key) belongs to one, two or four neighbouring units of a
//! plane, each with up to 16 of its columns in registers. The units of a cube go through the other side in tiles that they
//! bring to shared memory together; tiles outside the causal window are never touched. Scores are added up over the units
//! of a row by exchanging them within the plane; all computations are `f32`. In `bf16`, products are left to tensor
//! cores, where there are any: see [`products`].

mod kernels;
mod products;

use super::{
    Cube, Matrix, linear,
    memory::{arg, array, empty, floats, matrix},
    tensor_cores::{self, DEEP},
};
use crate::kernels::{Attended, Heads, Precision};
use burn::tensor::DType;
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;
use half::bf16;
use kernels::PlaceLaunch;

/// Units of a cube.
const UNITS: usize = 128;
/// Rows of a tile.
const TILE: usize = 32;
/// Keys whose scores are known before any of them is used.
const GROUP: usize = 8;
/// Which of what is projected are keys, values, queries.
const KEYS: usize = 0;
const VALUES: usize = 1;
const QUERIES: usize = 2;
/// Smaller than every score.
const LOWEST: f32 = -1e30;

/// How a head is shared among units; known when a kernel is compiled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Split {
    /// Fours of columns of a head.
    fours: usize,
    /// Units of a row: 1, 2 or 4.
    parts: usize,
}

impl Split {
    /// How heads of `size` columns are shared; none where the kernels can't.
    fn of(size: usize) -> Option<Self> {
        let parts = match size {
            ..=16 => 1,
            17..=32 => 2,
            _ => 4,
        };
        (size <= 64 && size.is_multiple_of(4 * parts)).then_some(Self { fours: size / 4, parts })
    }

    /// Fours of columns of a unit.
    const fn own(self) -> usize {
        self.fours / self.parts
    }

    /// Columns of a head.
    const fn size(self) -> usize {
        4 * self.fours
    }

    /// The same as tensor cores take them.
    const fn deep(self) -> usize {
        self.size().next_multiple_of(DEEP)
    }

    /// Rows of a cube.
    const fn rows(self) -> usize {
        UNITS / self.parts
    }
}

/// Sizes of a launch.
pub(super) struct Grid {
    split: Split,
    length: usize,
    width: usize,
    heads: Heads,
    /// Whether products are left to the tensor cores.
    products: bool,
    /// Of what is projected, of mixtures, and of their gradients.
    dtype: DType,
}

impl Grid {
    /// The launch for what is projected; none where there are no kernels for these heads.
    pub(super) fn of<R: CubeRuntime>(projected: &Matrix<R>, heads: Heads) -> Option<Self> {
        let [rows, width] = [projected.dims()[0], projected.dims()[1] / 3];
        let split = Split::of(width / heads.heads)?;
        let products =
            heads.precision == Precision::Bf16 && tensor_cores::exist(&R::client(&projected.device()));
        let dtype = linear::of_factors(heads.precision);
        Some(Self { split, length: rows / heads.batch, width, heads, products, dtype })
    }

    fn cubes(&self) -> CubeCount {
        let rows = if self.products { products::ROWS } else { self.split.rows() };
        CubeCount::Static(self.length.div_ceil(rows) as u32, (self.heads.batch * self.heads.heads) as u32, 1)
    }

    fn place<R: CubeRuntime>(&self) -> PlaceLaunch<R> {
        PlaceLaunch::new(self.length, self.width / 4, self.heads.heads, self.heads.window)
    }

    fn sums(&self) -> [usize; 2] {
        [self.heads.batch * self.heads.heads, self.length]
    }
}

#[expect(unsafe_code, reason = "rows are compared with the length before memory is touched")]
pub(super) fn forward<R: CubeRuntime>(projected: &Matrix<R>, grid: &Grid) -> Attended<Cube<R>> {
    let [rows, _] = projected.dims();
    let projected = linear::in_numbers(array(projected), grid.dtype);
    let mixed = empty(&projected, [rows, grid.width], grid.dtype);
    let log_sums = floats(&projected, grid.sums());
    let launch = match grid.dtype {
        _ if grid.products => products::forward_kernel::launch_unchecked::<R>,
        DType::BF16 => kernels::forward_kernel::launch_unchecked::<bf16, R>,
        _ => kernels::forward_kernel::launch_unchecked::<f32, R>,
    };
    // SAFETY: see above; the heads are those of the second dimension of the launch.
    unsafe {
        launch(
            &projected.client,
            grid.cubes(),
            CubeDim::new_1d(UNITS as u32),
            arg(&projected),
            arg(&mixed),
            arg(&log_sums),
            grid.place(),
            grid.split,
        );
    }
    Attended { mixed: matrix(mixed), log_sums: matrix(log_sums) }
}

#[expect(unsafe_code, reason = "rows are compared with the length before memory is touched")]
pub(super) fn backward<R: CubeRuntime>(
    projected: &Matrix<R>,
    attended: &Attended<Cube<R>>,
    gradient: &Matrix<R>,
    grid: &Grid,
) -> Matrix<R> {
    let shape = projected.dims();
    let [projected, mixed, gradient] =
        [projected, &attended.mixed, gradient].map(|factor| linear::in_numbers(array(factor), grid.dtype));
    let log_sums = array(&attended.log_sums);
    let of_projected = empty(&projected, shape, grid.dtype);
    let along = floats(&projected, grid.sums());
    let of_queries = match grid.dtype {
        _ if grid.products => products::query_kernel::launch_unchecked::<R>,
        DType::BF16 => kernels::query_kernel::launch_unchecked::<bf16, R>,
        _ => kernels::query_kernel::launch_unchecked::<f32, R>,
    };
    let of_keys = match grid.dtype {
        _ if grid.products => products::key_kernel::launch_unchecked::<R>,
        DType::BF16 => kernels::key_kernel::launch_unchecked::<bf16, R>,
        _ => kernels::key_kernel::launch_unchecked::<f32, R>,
    };
    // SAFETY: see above; the heads are those of the second dimension of the launch.
    unsafe {
        of_queries(
            &projected.client,
            grid.cubes(),
            CubeDim::new_1d(UNITS as u32),
            arg(&projected),
            arg(&mixed),
            arg(&gradient),
            arg(&log_sums),
            arg(&of_projected),
            arg(&along),
            grid.place(),
            grid.split,
        );
        of_keys(
            &projected.client,
            grid.cubes(),
            CubeDim::new_1d(UNITS as u32),
            arg(&projected),
            arg(&gradient),
            arg(&log_sums),
            arg(&along),
            arg(&of_projected),
            grid.place(),
            grid.split,
        );
    }
    matrix(of_projected)
}

#[cfg(test)]
mod tests {
    use super::Split;

    #[test]
    fn heads_of_the_published_sizes_have_kernels() {
        for (size, parts, deep) in [
            (4, 1, 16),
            (8, 1, 16),
            (12, 1, 16),
            (16, 1, 16),
            (24, 2, 32),
            (32, 2, 32),
            (48, 4, 48),
            (64, 4, 64),
        ] {
            let split = Split::of(size).unwrap();
            assert_eq!(split, Split { fours: size / 4, parts }, "{size} columns");
            assert_eq!(split.deep(), deep, "{size} columns");
        }
        for size in [1, 6, 20, 36, 68, 128] {
            assert_eq!(Split::of(size), None, "{size} columns");
        }
    }
}
