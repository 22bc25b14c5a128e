//! Inner products of a tile of pairs, and what is made of them.

use super::super::cube_index;
use crate::measure::Wanted;
use cubecl::prelude::*;

/// Units of a cube in each direction.
pub(super) const UNITS: usize = 16;
/// Rows and columns of a unit.
const OWN: usize = 4;
/// Rows and columns of a tile.
pub(super) const TILE: usize = UNITS * OWN;
/// Entries of each mean that are in shared memory at a time.
const DEPTH: usize = 16;
/// From one of these entries to the next: one more than a tile has, so that a class's lie in different banks.
const STRIDE: usize = TILE + 1;
/// Sums of a tile, see [`sums_of`].
pub(super) const SUMS: usize = 9;

/// What is known of each class, and what all pairs share.
#[derive(CubeType, CubeLaunch)]
pub(super) struct Classes {
    /// `M_i`, row by row.
    means: Array<f64>,
    /// What is taken off to centre them.
    centre: Array<f64>,
    /// Four runs of a number per class: `q_i`, `n_i`, `1/n_i`, `v_i`.
    numbers: Array<f64>,
    /// The shifts of the three kernels' moments, and [`CANCELS`](crate::measure::CANCELS).
    shared: Array<f64>,
}

/// As the published tool keeps it, if that is asked for.
#[cube]
fn rounded(value: f64, #[comptime] single: bool) -> f64 {
    let mut value = value;
    if single {
        value = f64::cast_from(f32::cast_from(value));
    }
    value
}

/// The sum of a number of each unit.
#[cube]
fn total(value: f64, room: &mut SharedMemory<f64>) -> f64 {
    let unit = UNIT_POS as usize;
    sync_cube();
    room[unit] = value;
    let mut half = comptime!(UNITS * UNITS / 2).runtime();
    while half > 0 {
        sync_cube();
        if unit < half {
            room[unit] = room[unit] + room[unit + half];
        }
        half /= 2;
    }
    sync_cube();
    room[0]
}

/// Sums over the pairs of one unit.
#[derive(CubeType)]
struct Found {
    cdnv: f64,
    cdnv_squared: f64,
    log: f64,
    log_squares: f64,
    distance: f64,
    distance_squares: f64,
    riesz: f64,
    riesz_squares: f64,
    duplicates: f64,
}

/// The squared distance of two means, and the number of entries in which they differ.
#[cube]
fn apart(of: &Classes, i: usize, j: usize, width: usize) -> (f64, u32) {
    let mut sum = f64::new(0.0);
    let mut different = 0u32;
    for at in 0..width {
        let (a, b) = (of.means[i * width + at], of.means[j * width + at]);
        let difference = a - b;
        sum += difference * difference;
        if a != b {
            different += 1;
        }
    }
    (sum, different)
}

/// The squared distance of two centred means' directions.
#[cube]
fn apart_on_sphere(of: &Classes, i: usize, j: usize, classes: usize, width: usize) -> f64 {
    let (of_i, of_j) = (of.numbers[classes + i], of.numbers[classes + j]);
    let mut sum = f64::new(0.0);
    for at in 0..width {
        let centre = of.centre[at];
        let difference =
            (of.means[i * width + at] - centre) / of_i - (of.means[j * width + at] - centre) / of_j;
        sum += difference * difference;
    }
    sum
}

#[cube(launch_unchecked)]
pub(super) fn tiles_of(
    of: &Classes,
    sums: &mut Array<f64>,
    cdnv_by_class: &mut Array<f64>,
    log_by_class: &mut Array<f64>,
    classes: usize,
    width: usize,
    tiles: usize,
    #[comptime] wanted: Wanted,
    #[comptime] single: bool,
) {
    let index = cube_index();
    let (above, across) = (index / tiles, index % tiles);
    if above > across || above >= tiles {
        terminate!();
    }
    // Tiles from the diagonal on, row by row.
    let slot = above * (2 * tiles - above - 1) / 2 + across;
    let (first_above, first_across) = (above * TILE, across * TILE);
    let (unit_above, unit_across) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);

    let mut left = SharedMemory::<f64>::new(comptime!(DEPTH * STRIDE));
    let mut right = SharedMemory::<f64>::new(comptime!(DEPTH * STRIDE));
    let mut products = Array::<f64>::new(comptime!(OWN * OWN));
    #[unroll]
    for entry in 0..OWN * OWN {
        products[entry] = f64::new(0.0);
    }
    let mut first = 0usize;
    while first < width {
        let mut at = UNIT_POS as usize;
        while at < DEPTH * TILE {
            let column = first + at % DEPTH;
            let place = at % DEPTH * STRIDE + at / DEPTH;
            let (i, j) = (first_above + at / DEPTH, first_across + at / DEPTH);
            let mut of_left = f64::new(0.0);
            let mut of_right = f64::new(0.0);
            if column < width {
                let centre = of.centre[column];
                if i < classes {
                    of_left = of.means[i * width + column] - centre;
                }
                if j < classes {
                    of_right = of.means[j * width + column] - centre;
                }
            }
            left[place] = of_left;
            right[place] = of_right;
            at += UNITS * UNITS;
        }
        sync_cube();
        for row in 0..DEPTH {
            let mut of_left = Array::<f64>::new(OWN);
            let mut of_right = Array::<f64>::new(OWN);
            #[unroll]
            for p in 0..OWN {
                of_left[p] = left[row * STRIDE + unit_above + p * UNITS];
                of_right[p] = right[row * STRIDE + unit_across + p * UNITS];
            }
            #[unroll]
            for p in 0..OWN {
                #[unroll]
                for q in 0..OWN {
                    products[p * OWN + q] = fma(of_left[p], of_right[q], products[p * OWN + q]);
                }
            }
        }
        sync_cube();
        first += DEPTH;
    }

    // What comes of a product is long: it is written once, and reads from a copy, so that products stay in registers before.
    let mut copy = Array::<f64>::new(comptime!(OWN * OWN));
    let mut cdnv_of_columns = Array::<f64>::new(OWN);
    let mut log_of_columns = Array::<f64>::new(OWN);
    let mut cdnv_of_rows = Array::<f64>::new(OWN);
    let mut log_of_rows = Array::<f64>::new(OWN);
    #[unroll]
    for p in 0..OWN {
        #[unroll]
        for q in 0..OWN {
            copy[p * OWN + q] = products[p * OWN + q];
        }
        cdnv_of_columns[p] = f64::new(0.0);
        log_of_columns[p] = f64::new(0.0);
        cdnv_of_rows[p] = f64::new(0.0);
        log_of_rows[p] = f64::new(0.0);
    }
    let zero = f64::new(0.0);
    let mut found = Found {
        cdnv: zero,
        cdnv_squared: zero,
        log: zero,
        log_squares: zero,
        distance: zero,
        distance_squares: zero,
        riesz: zero,
        riesz_squares: zero,
        duplicates: zero,
    };
    let cancels = of.shared[3];
    for entry in 0..OWN * OWN {
        let (p, q) = (entry / OWN, entry % OWN);
        let (i, j) = (first_above + unit_above + p * UNITS, first_across + unit_across + q * UNITS);
        if i < j && j < classes {
            let product = copy[entry];
            let both = of.numbers[i] + of.numbers[j];
            let mut distance = fma(f64::new(-2.0), product, both);
            if distance <= cancels * both {
                let (again, different) = apart(of, i, j, width);
                distance = again;
                if different == 0 {
                    found.duplicates += f64::new(1.0);
                }
            }
            if comptime!(wanted.cdnv) {
                let inverse = f64::new(1.0) / distance;
                let half = f64::new(0.5);
                let term =
                    fma(half, of.numbers[3 * classes + j], half * of.numbers[3 * classes + i]) * inverse;
                let squared = rounded(term * inverse, single);
                found.cdnv += rounded(term, single);
                found.cdnv_squared += squared;
                cdnv_of_rows[p] += squared;
                cdnv_of_columns[q] += squared;
            }
            if comptime!(wanted.kernels()) {
                let cosine = product * of.numbers[2 * classes + i] * of.numbers[2 * classes + j];
                let mut on_sphere = fma(f64::new(-2.0), cosine, f64::new(2.0));
                if on_sphere < f64::new(2.0) * cancels {
                    on_sphere = apart_on_sphere(of, i, j, classes, width);
                }
                if comptime!(wanted.distance) {
                    let value = rounded(on_sphere.sqrt(), single);
                    let rest = value - of.shared[0];
                    found.distance += rest;
                    found.distance_squares += rest * rest;
                }
                if comptime!(wanted.log || wanted.riesz) {
                    let ln = on_sphere.ln();
                    if comptime!(wanted.log) {
                        let value = rounded(f64::new(-0.5) * ln, single);
                        let rest = value - of.shared[1];
                        found.log += rest;
                        found.log_squares += rest * rest;
                        log_of_rows[p] += value;
                        log_of_columns[q] += value;
                    }
                    if comptime!(wanted.riesz) {
                        let s = f64::cast_from(width) - f64::new(2.0);
                        // The square of a root, whose range is twice that of the exponential.
                        let mut power = f64::new(-0.25) * s * ln;
                        power = select(power < f64::new(-708.0), f64::new(-708.0), power);
                        power = select(power > f64::new(709.0), f64::new(709.0), power);
                        let root = power.exp();
                        let sign = select(width > 2, f64::new(1.0), f64::new(-1.0));
                        let mut value = sign * (root * root);
                        if width == 2 {
                            value = f64::new(0.0);
                        }
                        let rest = rounded(value, single) - of.shared[2];
                        found.riesz += rest;
                        found.riesz_squares += rest * rest;
                    }
                }
            }
        }
    }

    let mut room = SharedMemory::<f64>::new(comptime!(UNITS * TILE));
    sums_of(&found, sums, slot, &mut room);
    if comptime!(wanted.cdnv_by_class) {
        of_classes(&cdnv_of_rows, &cdnv_of_columns, cdnv_by_class, slot, &mut room);
    }
    if comptime!(wanted.log_by_class) {
        of_classes(&log_of_rows, &log_of_columns, log_by_class, slot, &mut room);
    }
}

/// Writes what all units of a tile found.
#[cube]
fn sums_of(found: &Found, sums: &mut Array<f64>, slot: usize, room: &mut SharedMemory<f64>) {
    let at = slot * SUMS;
    let mut totals = Array::<f64>::new(SUMS);
    totals[0] = total(found.cdnv, room);
    totals[1] = total(found.cdnv_squared, room);
    totals[2] = total(found.distance, room);
    totals[3] = total(found.distance_squares, room);
    totals[4] = total(found.log, room);
    totals[5] = total(found.log_squares, room);
    totals[6] = total(found.riesz, room);
    totals[7] = total(found.riesz_squares, room);
    totals[8] = total(found.duplicates, room);
    if UNIT_POS == 0 {
        #[unroll]
        for one in 0..SUMS {
            sums[at + one] = totals[one];
        }
    }
}

/// Writes a tile's sums of the class of each row, then those of each column.
#[cube]
fn of_classes(
    rows: &Array<f64>,
    columns: &Array<f64>,
    by_class: &mut Array<f64>,
    slot: usize,
    room: &mut SharedMemory<f64>,
) {
    let (unit_above, unit_across) = (UNIT_POS_Y as usize, UNIT_POS_X as usize);
    of_side(rows, unit_above, unit_across, by_class, slot * 2 * TILE, room);
    of_side(columns, unit_across, unit_above, by_class, (slot * 2 + 1) * TILE, room);
}

/// Writes what the units of a tile found of the classes of one side, each of its own: the sums over the other side.
#[cube]
fn of_side(
    found: &Array<f64>,
    own: usize,
    other: usize,
    by_class: &mut Array<f64>,
    first: usize,
    room: &mut SharedMemory<f64>,
) {
    sync_cube();
    #[unroll]
    for p in 0..OWN {
        room[other * TILE + own + p * UNITS] = found[p];
    }
    sync_cube();
    let class = UNIT_POS as usize;
    if class < TILE {
        let mut sum = f64::new(0.0);
        for unit in 0..UNITS {
            sum += room[unit * TILE + class];
        }
        by_class[first + class] = sum;
    }
}

/// Adds up the sums of each class over the tiles that it has pairs in, in their order.
#[cube(launch_unchecked)]
pub(super) fn classes_of_tiles(by_class: &Array<f64>, sums: &mut Array<f64>, classes: usize, tiles: usize) {
    let class = cube_index() * 256 + UNIT_POS as usize;
    if class < classes {
        let (block, at) = (class / TILE, class % TILE);
        let mut sum = f64::new(0.0);
        for above in 0..block + 1 {
            let slot = above * (2 * tiles - above - 1) / 2 + block;
            sum += by_class[(slot * 2 + 1) * TILE + at];
        }
        for across in block..tiles {
            let slot = block * (2 * tiles - block - 1) / 2 + across;
            sum += by_class[slot * 2 * TILE + at];
        }
        sums[class] = sum;
    }
}
