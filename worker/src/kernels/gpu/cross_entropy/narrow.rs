//! Cross-entropy where embeddings are narrow: logits are computed twice, in registers, and never in memory. Once for the
//! sum of their exponentials, once for their gradient, which is the only matrix of rows by classes and is `bf16`.
//!
//! Writing and reading logits takes longer there than their product. A cube holds 128 rows in shared memory and goes through
//! a stripe of the classes in tiles of 64; each of its eight planes multiplies 32 rows with 32 classes.

use super::Slopes;
use crate::kernels::gpu::{
    memory::{arg, cubes, floats, large},
    over_cube::LOWEST,
    tensor_cores::{
        DEEP, Eight, HIGH, Pair, Two, add_products, left_at, own_column, own_row, rights_at, zeros,
    },
};
use burn::tensor::DType;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;
use half::bf16;

/// Most slopes in memory at once: 2 GiB. Chunks are long, since their products with the head have few columns.
pub(super) const CHUNK_ELEMENTS: usize = 1 << 30;
/// Widest embeddings that this pays for.
const WIDEST: usize = 256;
/// Units of a cube: eight planes, two of them beside each other.
const UNITS: usize = 256;
/// Rows of a cube.
const ROWS: usize = 128;
/// Classes of a tile.
const CLASSES: usize = 64;
/// Rows, and classes, of a plane.
const PLANE: usize = 32;
/// Sixteens of them.
const HIGHS: usize = PLANE / HIGH;
/// Units that hold a row of a plane's logits, each with eight neighbouring classes.
const SHARERS: usize = 4;
/// Stripes of classes: so many cubes work on the same rows.
const STRIPES: usize = 8;
/// Parts that a row's sum is made of.
const PARTS: usize = STRIPES * CLASSES / PLANE * SHARERS;
/// What the largest logit starts from.
const START: f32 = LOWEST / 10.0;

/// Whether these kernels take embeddings of this width, where a cube has so many bytes of shared memory.
pub(super) const fn takes(width: usize, shared: usize) -> bool {
    let eights = width / 8;
    let bytes = (room_of(ROWS, eights) + room_of(CLASSES, eights)) * size_of::<[bf16; 8]>();
    width <= WIDEST && width.is_multiple_of(DEEP) && bytes <= shared
}

/// Eights of shared memory that so many rows take.
const fn room_of(rows: usize, eights: usize) -> usize {
    rows * (eights + 1) + rows / 4
}

/// Sizes of a launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Sizes {
    rows: usize,
    vocabulary: usize,
    /// Classes with those that pad them.
    columns: usize,
    /// Tiles of a stripe.
    tiles: usize,
}

/// Where a unit works.
#[derive(CubeType, Clone, Copy)]
struct Own {
    /// First row of the cube.
    first: usize,
    /// First row of the plane in the cube, and first class in a tile.
    row: usize,
    class: usize,
    /// First tile of the stripe, and the end.
    tile: usize,
    end: usize,
}

#[cube]
fn own(sizes: &Sizes) -> Own {
    let plane = UNIT_POS as usize / 32;
    let tile = CUBE_POS_Y as usize * sizes.tiles;
    Own {
        first: CUBE_POS_X as usize * ROWS,
        row: plane / 2 * PLANE,
        class: plane % 2 * PLANE,
        tile,
        end: min(tile + sizes.tiles, sizes.columns / CLASSES),
    }
}

/// Where an eight of a row lies in shared memory. Classes lie so that those which are read at once, 0, 1, 8, 9, ... of a
/// plane's, are in different banks.
#[cube]
fn place_of(row: usize, #[comptime] eights: usize) -> usize {
    row * comptime!(eights + 1) + row / 8 * 2
}

/// Room for so many rows.
#[cube]
fn room(#[comptime] rows: usize, #[comptime] eights: usize) -> SharedMemory<Eight> {
    SharedMemory::<Eight>::new(comptime!(room_of(rows, eights)))
}

/// Fetches a unit's share of so many rows from `first` on; zeros where there are none.
#[cube]
fn fetch(
    x: &Array<Eight>,
    held: &mut Array<Eight>,
    first: usize,
    rows: usize,
    #[comptime] count: usize,
    #[comptime] eights: usize,
) {
    #[unroll]
    for one in 0..comptime!((count * eights).div_ceil(UNITS)) {
        let at = UNIT_POS as usize + one * UNITS;
        let row = first + at / eights;
        let mut value = Eight::new(bf16::from_int(0));
        if at < comptime!(count * eights) && row < rows {
            value = x[row * eights + at % eights];
        }
        held[one] = value;
    }
}

/// Puts it to shared memory.
#[cube]
fn put(
    held: &Array<Eight>,
    tile: &mut SharedMemory<Eight>,
    #[comptime] count: usize,
    #[comptime] eights: usize,
) {
    #[unroll]
    for one in 0..comptime!((count * eights).div_ceil(UNITS)) {
        let at = UNIT_POS as usize + one * UNITS;
        if at < comptime!(count * eights) {
            tile[place_of(at / eights, eights) + at % eights] = held[one];
        }
    }
}

/// A part of a plane's rows as left factors.
#[cube]
fn lefts(
    tile: &SharedMemory<Eight>,
    own: &Own,
    part: usize,
    #[comptime] eights: usize,
) -> Sequence<Array<Two>> {
    let mut all = Sequence::<Array<Two>>::new();
    #[unroll]
    for high in 0..HIGHS {
        let row = own.row + high * HIGH + UNIT_POS_PLANE as usize % 16;
        all.push(left_at(tile, place_of(row, eights) + part * 2 + UNIT_POS_PLANE as usize / 16));
    }
    all
}

/// A plane's logits: of its rows by 16, with four products beside each other in which a unit's columns are the eight
/// neighbouring classes from `own_column() * 4` on.
#[cube]
fn logits(
    rows: &SharedMemory<Eight>,
    classes: &SharedMemory<Eight>,
    own: &Own,
    #[comptime] eights: usize,
) -> Sequence<Array<Pair>> {
    let mut sums = zeros(comptime!(HIGHS * 4));
    let lane = UNIT_POS_PLANE as usize;
    let of_product = lane % 8 / 2 * 8 + lane % 2 + lane / 16 * 2;
    #[unroll]
    for part in 0..comptime!(eights / 2) {
        let lefts = lefts(rows, own, part, eights);
        #[unroll]
        for pair in 0..2usize {
            let class = own.class + of_product + pair * 4;
            let rights = rights_at(classes, place_of(class, eights) + part * 2 + lane / 8 % 2);
            #[unroll]
            for high in 0..HIGHS {
                add_products(&mut sums, comptime!(high * 4 + pair * 2), lefts.index(high), &rights);
            }
        }
    }
    sums
}

/// For each row, and each of the parts that its classes are shared into, the largest logit and the sum of the exponentials
/// relative to it; and the logit of its target.
#[cube(launch_unchecked)]
fn sums_kernel(
    hidden: &Array<Eight>,
    head: &Array<Eight>,
    targets: &Array<i32>,
    largest: &mut Array<f32>,
    totals: &mut Array<f32>,
    of_targets: &mut Array<f32>,
    sizes: &Sizes,
    #[comptime] eights: usize,
) {
    let own = own(sizes);
    let mut rows = room(ROWS, eights);
    let mut classes = room(CLASSES, eights);
    let mut of_rows = Array::<Eight>::new(comptime!((ROWS * eights).div_ceil(UNITS)));
    fetch(hidden, &mut of_rows, own.first, sizes.rows, ROWS, eights);
    put(&of_rows, &mut rows, ROWS, eights);
    let mut of_classes = Array::<Eight>::new(comptime!((CLASSES * eights).div_ceil(UNITS)));
    fetch(head, &mut of_classes, own.tile * CLASSES, sizes.columns, CLASSES, eights);

    let mut best = Array::<f32>::new(comptime!(HIGHS * 2));
    let mut total = Array::<f32>::new(comptime!(HIGHS * 2));
    let mut target = Array::<i32>::new(comptime!(HIGHS * 2));
    let column = own.class + own_column() * 4;
    #[unroll]
    for at in 0..HIGHS * 2 {
        best[at] = f32::new(START);
        total[at] = f32::new(0.0);
        target[at] = i32::new(-1);
        let row = own.first + own.row + own_row() + at * 8;
        if row < sizes.rows {
            target[at] = targets[row];
        }
    }
    let mut tile = own.tile;
    while tile < own.end {
        sync_cube();
        put(&of_classes, &mut classes, CLASSES, eights);
        sync_cube();
        if tile + 1 < own.end {
            fetch(head, &mut of_classes, (tile + 1) * CLASSES, sizes.columns, CLASSES, eights);
        }
        let mut found = logits(&rows, &classes, &own, eights);
        let first = tile * CLASSES + column;
        if (tile + 1) * CLASSES > sizes.vocabulary {
            #[unroll]
            for product in 0..comptime!(HIGHS * 4) {
                let sums = found.index_mut(product);
                #[unroll]
                for half in 0..2usize {
                    let mut pair = sums[half];
                    #[unroll]
                    for one in 0..2usize {
                        let class = first + comptime!(product % 4 * 2) + one;
                        pair[one] = select(class < sizes.vocabulary, pair[one], f32::new(LOWEST));
                    }
                    sums[half] = pair;
                }
            }
        }
        #[unroll]
        for at in 0..HIGHS * 2 {
            let mut most = best[at];
            #[unroll]
            for product in 0..4usize {
                let pair = found.index(comptime!(at / 2 * 4 + product))[at % 2];
                most = max(most, max(pair[0], pair[1]));
            }
            if most > best[at] {
                total[at] *= (best[at] - most).exp();
                best[at] = most;
            }
            #[unroll]
            for product in 0..4usize {
                let pair = found.index(comptime!(at / 2 * 4 + product))[at % 2];
                total[at] += (pair[0] - most).exp() + (pair[1] - most).exp();
            }
            let wanted = target[at] - first as i32;
            if clamp(wanted, 0, 7) == wanted {
                let row = own.first + own.row + own_row() + at * 8;
                #[unroll]
                for product in 0..4usize {
                    let pair = found.index(comptime!(at / 2 * 4 + product))[at % 2];
                    #[unroll]
                    for one in 0..2usize {
                        if wanted == comptime!((product * 2 + one) as i32) {
                            of_targets[row] = pair[one];
                        }
                    }
                }
            }
        }
        tile += 1;
    }
    let part =
        (CUBE_POS_Y as usize * comptime!(CLASSES / PLANE) + own.class / PLANE) * SHARERS + own_column() / 2;
    #[unroll]
    for at in 0..HIGHS * 2 {
        let row = own.first + own.row + own_row() + at * 8;
        if row < sizes.rows {
            largest[row * PARTS + part] = best[at];
            totals[row * PARTS + part] = total[at];
        }
    }
}

/// From the parts of each row to the logarithm of its sum of exponentials, and its loss.
#[cube(launch_unchecked)]
fn losses_kernel(
    largest: &Array<f32>,
    totals: &Array<f32>,
    of_targets: &Array<f32>,
    log_sums: &mut Array<f32>,
    losses: &mut Array<f32>,
    rows: usize,
) {
    let row = ABSOLUTE_POS;
    if row >= rows {
        terminate!();
    }
    let start = row * PARTS;
    let mut best = f32::new(START);
    for part in 0..PARTS {
        best = max(best, largest[start + part]);
    }
    let mut total = f32::new(0.0);
    for part in 0..PARTS {
        total += totals[start + part] * (largest[start + part] - best).exp();
    }
    let log_sum = best + total.ln();
    log_sums[row] = log_sum;
    losses[row] = log_sum - of_targets[row];
}

/// The gradient of the logits.
#[cube(launch_unchecked)]
fn slopes_kernel(
    hidden: &Array<Eight>,
    head: &Array<Eight>,
    targets: &Array<i32>,
    log_sums: &Array<f32>,
    slopes: &mut Array<Eight>,
    sizes: &Sizes,
    scale: f32,
    #[comptime] eights: usize,
) {
    let own = own(sizes);
    let mut rows = room(ROWS, eights);
    let mut classes = room(CLASSES, eights);
    let mut of_rows = Array::<Eight>::new(comptime!((ROWS * eights).div_ceil(UNITS)));
    fetch(hidden, &mut of_rows, own.first, sizes.rows, ROWS, eights);
    put(&of_rows, &mut rows, ROWS, eights);
    let mut of_classes = Array::<Eight>::new(comptime!((CLASSES * eights).div_ceil(UNITS)));
    fetch(head, &mut of_classes, own.tile * CLASSES, sizes.columns, CLASSES, eights);

    let mut log_sum = Array::<f32>::new(comptime!(HIGHS * 2));
    let mut target = Array::<i32>::new(comptime!(HIGHS * 2));
    let column = own.class + own_column() * 4;
    #[unroll]
    for at in 0..HIGHS * 2 {
        log_sum[at] = f32::new(0.0);
        target[at] = i32::new(-1);
        let row = own.first + own.row + own_row() + at * 8;
        if row < sizes.rows {
            log_sum[at] = log_sums[row];
            target[at] = targets[row];
        }
    }
    let mut tile = own.tile;
    while tile < own.end {
        sync_cube();
        put(&of_classes, &mut classes, CLASSES, eights);
        sync_cube();
        if tile + 1 < own.end {
            fetch(head, &mut of_classes, (tile + 1) * CLASSES, sizes.columns, CLASSES, eights);
        }
        let found = logits(&rows, &classes, &own, eights);
        let first = tile * CLASSES + column;
        #[unroll]
        for at in 0..HIGHS * 2 {
            let row = own.first + own.row + own_row() + at * 8;
            let wanted = target[at] - first as i32;
            let mut eight = Eight::empty();
            #[unroll]
            for product in 0..4usize {
                let pair = found.index(comptime!(at / 2 * 4 + product))[at % 2];
                #[unroll]
                for one in 0..2usize {
                    let of_target = wanted == comptime!((product * 2 + one) as i32);
                    let share = (pair[one] - log_sum[at]).exp();
                    let slope = (share - select(of_target, f32::new(1.0), f32::new(0.0))) * scale;
                    let exists = first + comptime!(product * 2 + one) < sizes.vocabulary;
                    eight[comptime!(product * 2 + one)] =
                        bf16::cast_from(select(exists, slope, f32::new(0.0)));
                }
            }
            if row < sizes.rows {
                slopes[(row * sizes.columns + first) / 8] = eight;
            }
        }
        tile += 1;
    }
}

/// Losses and slopes of rows `hidden` against a `head` of `vocabulary` classes, padded to whole tiles; both `bf16`. Slopes
/// are multiplied with `scale`.
#[expect(unsafe_code, reason = "rows and classes are compared with their numbers before memory is touched")]
pub(super) fn slopes<R: CubeRuntime>(
    hidden: &CubeTensor<R>,
    head: &CubeTensor<R>,
    targets: &CubeTensor<R>,
    vocabulary: usize,
    scale: f32,
) -> Slopes<R> {
    let ([rows, width], [columns, _]) = (hidden.meta.shape().dims(), head.meta.shape().dims());
    let client = &hidden.client;
    let grid = CubeCount::Static(rows.div_ceil(ROWS) as u32, STRIPES as u32, 1);
    let dim = CubeDim::new_1d(UNITS as u32);
    let tiles = (columns / CLASSES).div_ceil(STRIPES);
    let sizes = || SizesLaunch::new(rows, vocabulary, columns, tiles);
    let [largest, totals] = [(); 2].map(|()| floats(hidden, [rows, PARTS]));
    let [of_targets, log_sums, losses] = [(); 3].map(|()| floats(hidden, [1, rows]));
    let slopes = large(hidden, [rows, columns], DType::BF16);
    // SAFETY: see above; the head has whole tiles.
    unsafe {
        sums_kernel::launch_unchecked::<R>(
            client,
            grid.clone(),
            dim,
            arg(hidden),
            arg(head),
            arg(targets),
            arg(&largest),
            arg(&totals),
            arg(&of_targets),
            sizes(),
            width / 8,
        );
        losses_kernel::launch_unchecked::<R>(
            client,
            cubes(rows.div_ceil(256)),
            CubeDim::new_1d(256),
            arg(&largest),
            arg(&totals),
            arg(&of_targets),
            arg(&log_sums),
            arg(&losses),
            rows,
        );
        slopes_kernel::launch_unchecked::<R>(
            client,
            grid,
            dim,
            arg(hidden),
            arg(head),
            arg(targets),
            arg(&log_sums),
            arg(&slopes),
            sizes(),
            scale,
            width / 8,
        );
    }
    Slopes { losses, slopes }
}

#[cfg(test)]
mod tests {
    use super::takes;

    #[test]
    fn shared_memory_decides_about_the_widest_embeddings() {
        assert!(takes(256, 102_144) && !takes(256, 101_376));
        assert!(takes(240, 101_376));
        assert!(!takes(272, usize::MAX) && !takes(250, usize::MAX));
    }
}
