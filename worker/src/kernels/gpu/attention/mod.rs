//! Attention without a matrix of scores (Dao et al. 2022, arXiv 2205.14135), on queries, keys and values as they leave
//! their linear layers: `[batch * length, width]`, a head being some neighbouring columns.
//!
//! A row (a query, or in the gradients of keys and values a key) belongs to one, two or four neighbouring units of a
//! plane, each with up to 16 of its columns in registers. The units of a cube go through the other side in tiles that they
//! bring to shared memory together; tiles outside the causal window are never touched. Scores are added up over the units
//! of a row by exchanging them within the plane. Everything is `f32`.

mod kernels;

use super::{
    Cube, Matrix,
    memory::{arg, array, floats, matrix},
};
use crate::kernels::{Attended, Heads, Projected};
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;
use kernels::{PlaceLaunch, forward_kernel, key_kernel, query_kernel};

/// Units of a cube.
const UNITS: usize = 128;
/// Rows of a tile.
const TILE: usize = 32;
/// Keys whose scores are known before any of them is used.
const GROUP: usize = 8;
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
}

impl Grid {
    /// The launch for queries `[rows, width]`; none where there are no kernels for these heads.
    pub(super) fn of([rows, width]: [usize; 2], heads: Heads) -> Option<Self> {
        let split = Split::of(width / heads.heads)?;
        Some(Self { split, length: rows / heads.batch, width, heads })
    }

    fn cubes(&self) -> CubeCount {
        let blocks = self.length.div_ceil(self.split.rows());
        CubeCount::Static(blocks as u32, (self.heads.batch * self.heads.heads) as u32, 1)
    }

    fn place<R: CubeRuntime>(&self) -> PlaceLaunch<R> {
        PlaceLaunch::new(self.length, self.width / 4, self.heads.heads, self.heads.window)
    }

    fn sums(&self) -> [usize; 2] {
        [self.heads.batch * self.heads.heads, self.length]
    }
}

#[expect(unsafe_code, reason = "rows are compared with the length before memory is touched")]
pub(super) fn forward<R: CubeRuntime>(projected: &Projected<Cube<R>>, grid: &Grid) -> Attended<Cube<R>> {
    let [query, key, value] = [&projected.query, &projected.key, &projected.value].map(array);
    let mixed = floats(&query, projected.query.dims());
    let log_sums = floats(&query, grid.sums());
    // SAFETY: see above; the heads are those of the second dimension of the launch.
    unsafe {
        forward_kernel::launch_unchecked::<R>(
            &query.client,
            grid.cubes(),
            CubeDim::new_1d(UNITS as u32),
            arg(&query),
            arg(&key),
            arg(&value),
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
    projected: &Projected<Cube<R>>,
    attended: &Attended<Cube<R>>,
    gradient: &Matrix<R>,
    grid: &Grid,
) -> Projected<Cube<R>> {
    let [query, key, value] = [&projected.query, &projected.key, &projected.value].map(array);
    let [mixed, log_sums, gradient] = [&attended.mixed, &attended.log_sums, gradient].map(array);
    let shape = projected.query.dims();
    let [of_query, of_key, of_value] = [shape; 3].map(|shape| floats(&query, shape));
    let along = floats(&query, grid.sums());
    // SAFETY: see above; the heads are those of the second dimension of the launch.
    unsafe {
        query_kernel::launch_unchecked::<R>(
            &query.client,
            grid.cubes(),
            CubeDim::new_1d(UNITS as u32),
            arg(&query),
            arg(&key),
            arg(&value),
            arg(&mixed),
            arg(&gradient),
            arg(&log_sums),
            arg(&of_query),
            arg(&along),
            grid.place(),
            grid.split,
        );
        key_kernel::launch_unchecked::<R>(
            &query.client,
            grid.cubes(),
            CubeDim::new_1d(UNITS as u32),
            arg(&query),
            arg(&key),
            arg(&value),
            arg(&gradient),
            arg(&log_sums),
            arg(&along),
            arg(&of_key),
            arg(&of_value),
            grid.place(),
            grid.split,
        );
    }
    Projected { query: matrix(of_query), key: matrix(of_key), value: matrix(of_value) }
}

#[cfg(test)]
mod tests {
    use super::Split;

    #[test]
    fn heads_of_the_published_sizes_have_kernels() {
        for (size, parts) in [(4, 1), (8, 1), (12, 1), (16, 1), (24, 2), (32, 2), (48, 4), (64, 4)] {
            assert_eq!(Split::of(size), Some(Split { fours: size / 4, parts }), "{size} columns");
        }
        for size in [1, 6, 20, 36, 68, 128] {
            assert_eq!(Split::of(size), None, "{size} columns");
        }
    }
}
