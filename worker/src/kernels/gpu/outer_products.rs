//! Sums of outer products in `f64`: every entry takes the rows one after the other, so that how they are cut into batches
//! changes nothing. Entries on both sides of the diagonal are the same product, which is taken once.

use super::{
    Matrix, cube_index,
    memory::{arg, array, cubes, integers, matrix, owned},
};
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;

/// Units of a cube in each direction.
const UNITS: usize = 16;
/// Rows that are in shared memory at a time.
const DEPTH: usize = 16;

/// Adds the products of two ranges of columns. Each unit has `own` entries in each direction.
#[cube(launch_unchecked)]
fn kernel(
    x: &Array<f32>,
    means: &Array<f64>,
    classes: &Array<i32>,
    sums: &mut Array<f64>,
    rows: usize,
    width: usize,
    tiles: usize,
    #[comptime] own: usize,
) {
    let tile = comptime!(UNITS * own);
    let mut left = SharedMemory::<f64>::new(comptime!(DEPTH * UNITS * own));
    let mut right = SharedMemory::<f64>::new(comptime!(DEPTH * UNITS * own));
    let index = cube_index();
    let (above, across) = (index / tiles, index % tiles);
    if above > across || above >= tiles {
        terminate!();
    }
    let (first_above, first_across) = (above * tile, across * tile);
    let (unit_above, unit_across) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);

    let mut found = Array::<f64>::new(comptime!(own * own));
    #[unroll]
    for p in 0..own {
        #[unroll]
        for q in 0..own {
            let (i, j) = (first_above + unit_above + p * UNITS, first_across + unit_across + q * UNITS);
            let mut sum = f64::new(0.0);
            if i < width && j < width {
                sum = sums[i * width + j];
            }
            found[p * own + q] = sum;
        }
    }
    let mut first = 0usize;
    while first < rows {
        let mut at = UNIT_POS as usize;
        while at < DEPTH * tile {
            let row = first + at / tile;
            let (i, j) = (first_above + at % tile, first_across + at % tile);
            let mut of_left = f64::new(0.0);
            let mut of_right = f64::new(0.0);
            if row < rows {
                let class = classes[row] as usize;
                if i < width {
                    of_left = f64::cast_from(x[row * width + i]) - means[class * width + i];
                }
                if j < width {
                    of_right = f64::cast_from(x[row * width + j]) - means[class * width + j];
                }
            }
            left[at] = of_left;
            right[at] = of_right;
            at += UNITS * UNITS;
        }
        sync_cube();
        for row in 0..DEPTH {
            let mut of_left = Array::<f64>::new(own);
            let mut of_right = Array::<f64>::new(own);
            #[unroll]
            for p in 0..own {
                of_left[p] = left[row * tile + unit_above + p * UNITS];
                of_right[p] = right[row * tile + unit_across + p * UNITS];
            }
            #[unroll]
            for p in 0..own {
                #[unroll]
                for q in 0..own {
                    found[p * own + q] = fma(of_left[p], of_right[q], found[p * own + q]);
                }
            }
        }
        sync_cube();
        first += DEPTH;
    }
    #[unroll]
    for p in 0..own {
        #[unroll]
        for q in 0..own {
            let (i, j) = (first_above + unit_above + p * UNITS, first_across + unit_across + q * UNITS);
            if i < width && j < width {
                sums[i * width + j] = found[p * own + q];
                if above < across {
                    sums[j * width + i] = found[p * own + q];
                }
            }
        }
    }
}

#[expect(
    unsafe_code,
    reason = "rows and columns are compared with their numbers; classes are rows of the means"
)]
pub(super) fn add<R: CubeRuntime>(
    sums: Matrix<R>,
    means: &Matrix<R>,
    classes: &[i32],
    x: &Matrix<R>,
) -> Matrix<R> {
    let [rows, width] = x.dims();
    let (sums, means, x) = (owned(sums), array(means), array(x));
    let classes = integers(&x, classes);
    // Small tiles where there are few, so that they fill more of the card.
    let own = if width >= 512 { 4 } else { 2 };
    let tiles = width.div_ceil(UNITS * own);
    // SAFETY: see above.
    unsafe {
        kernel::launch_unchecked::<R>(
            &x.client,
            cubes(tiles * tiles),
            CubeDim::new_2d(UNITS as u32, UNITS as u32),
            arg(&x),
            arg(&means),
            arg(&classes),
            arg(&sums),
            rows,
            width,
            tiles,
            own,
        );
    }
    matrix(sums)
}
