//! The kernels for `bf16`: 16 rows per plane, the other side in tiles, both products of a tile on the tensor cores
//! (Dao 2023, arXiv 2307.08691). Heads of fewer columns than these take have zeros behind, in shared memory only. Scores,
//! their softmax and all sums are `f32`; weights and gradients of scores are rounded where they become a factor.

use super::{
    KEYS, LOWEST, QUERIES, Split, UNITS, VALUES,
    kernels::{Place, Rows, alone, projected_rows},
};
use crate::kernels::gpu::tensor_cores::{
    DEEP, Eight, HIGH, Pair, Two, WIDE, add_products, as_left, largest_of_row, left, own_column, own_row,
    power, rights, rights_of_rows, sum_of_row, zeros,
};
use cubecl::prelude::*;
use half::bf16;

/// Columns that a unit brings at once.
type Four = Vector<bf16, Const<4>>;

/// Rows of a cube: 16 for each plane.
pub(super) const ROWS: usize = UNITS / 32 * HIGH;
/// Keys of a tile of the forward pass.
const WIDE_TILE: usize = 64;
/// What the largest score starts from: above those of keys that are not seen, so that these weigh nothing.
const START: f32 = LOWEST / 10.0;

/// Rows of a tile of the backward pass, which holds more sums: fewer where heads are wide.
const fn tile_rows(split: Split) -> usize {
    if split.deep() <= 32 { 64 } else { 32 }
}

/// Where a cube works.
#[derive(CubeType, Clone, Copy)]
struct Block {
    /// First row of the cube.
    first: usize,
    /// First row of the plane, among those of the cube.
    plane: usize,
    /// First entry of the head among the rows of all heads.
    sums: usize,
}

#[cube]
fn block(place: &Place) -> Block {
    Block {
        first: CUBE_POS_X as usize * ROWS,
        plane: UNIT_POS as usize / 32 * HIGH,
        sums: CUBE_POS_Y as usize * place.length,
    }
}

/// Eights of a row of a tile, with the one that keeps banks apart.
const fn stride(size: usize) -> usize {
    size / 8 + 1
}

/// Room for `rows` rows in shared memory.
#[cube]
fn room(#[comptime] rows: usize, #[comptime] size: usize) -> SharedMemory<Eight> {
    SharedMemory::<Eight>::new(comptime!(rows * stride(size)))
}

/// Brings `rows` rows from `first` on to shared memory, zeros where there are none and behind the head's columns.
#[cube]
fn bring(
    x: &Array<Four>,
    of: Rows,
    tile: &mut SharedMemory<Eight>,
    first: usize,
    place: &Place,
    #[comptime] rows: usize,
    #[comptime] split: Split,
) {
    let eights = comptime!(split.deep() / 8);
    let mut at = UNIT_POS as usize;
    while at < comptime!(rows * split.deep() / 8) {
        let row = at / eights;
        let eight = at % eights;
        let mut value = Eight::new(bf16::from_int(0));
        if first + row < place.length {
            let start = of.start + (first + row) * of.stride;
            #[unroll]
            for half in 0..2usize {
                let at = 2 * eight + half;
                if at < comptime!(split.fours) {
                    let four = x[start + at];
                    #[unroll]
                    for one in 0..4usize {
                        value[4 * half + one] = four[one];
                    }
                }
            }
        }
        tile[row * comptime!(stride(split.deep())) + eight] = value;
        at += UNITS;
    }
}

/// A plane's 16 rows as left factors. The tile holds the rows of the cube.
#[cube]
fn rows_of_plane(tile: &SharedMemory<Eight>, block: &Block, #[comptime] size: usize) -> Sequence<Array<Two>> {
    let mut all = Sequence::<Array<Two>>::new();
    #[unroll]
    for part in 0..comptime!(size / DEEP) {
        all.push(left(tile, block.plane, 2 * part, comptime!(stride(size))));
    }
    all
}

/// The products of a plane's rows with those of a tile: 16 x `rows`.
#[cube]
fn with_rows(
    own: &Sequence<Array<Two>>,
    tile: &SharedMemory<Eight>,
    #[comptime] rows: usize,
    #[comptime] size: usize,
) -> Sequence<Array<Pair>> {
    let mut sums = zeros(comptime!(rows / WIDE));
    #[unroll]
    for part in 0..comptime!(size / DEEP) {
        #[unroll]
        for pair in 0..comptime!(rows / HIGH) {
            let others = rights_of_rows(tile, comptime!(pair * HIGH), 2 * part, comptime!(stride(size)));
            add_products(&mut sums, comptime!(pair * 2), own.index(part), &others);
        }
    }
    sums
}

/// Adds the products of weights, 16 x `rows`, with the rows of a tile to `sums`, 16 x `size`.
#[cube]
fn add_weighted(
    sums: &mut Sequence<Array<Pair>>,
    weights: &Sequence<Array<Pair>>,
    tile: &SharedMemory<Eight>,
    #[comptime] rows: usize,
    #[comptime] size: usize,
) {
    #[unroll]
    for part in 0..comptime!(rows / DEEP) {
        let weights = as_left(weights, comptime!(part * 2));
        #[unroll]
        for pair in 0..comptime!(size / HIGH) {
            let others = rights(tile, comptime!(part * DEEP), comptime!(pair * 2), comptime!(stride(size)));
            add_products(sums, comptime!(pair * 2), &weights, &others);
        }
    }
}

/// Puts `instead` for what a unit's rows, the first of which is `row`, may not see of the keys from `tile` on.
#[cube]
fn hide(
    scores: &mut Sequence<Array<Pair>>,
    row: usize,
    tile: usize,
    place: &Place,
    #[comptime] instead: f32,
    #[comptime] keys: usize,
) {
    #[unroll]
    for at in 0..comptime!(keys / WIDE) {
        let score = scores.index_mut(at);
        #[unroll]
        for half in 0..2usize {
            let row = row + 8 * half;
            let mut pair = score[half];
            #[unroll]
            for one in 0..2usize {
                let key = tile + WIDE * at + own_column() + one;
                let visible = key <= row && key + place.window > row;
                pair[one] = select(visible, pair[one], f32::new(instead));
            }
            score[half] = pair;
        }
    }
}

/// Writes a plane's sums, 16 rows of the head's columns, to its rows that exist.
#[cube]
fn keep(
    sums: &Sequence<Array<Pair>>,
    x: &mut Array<Two>,
    of: Rows,
    block: &Block,
    place: &Place,
    #[comptime] split: Split,
) {
    #[unroll]
    for half in 0..2usize {
        let row = block.first + block.plane + own_row() + 8 * half;
        if row < place.length {
            let start = 2 * (of.start + row * of.stride) + own_column() / 2;
            #[unroll]
            for at in 0..comptime!(split.size().div_ceil(WIDE)) {
                if WIDE * at + own_column() < comptime!(split.size()) {
                    let sum = sums.index(at);
                    x[start + 4 * at] = Two::cast_from(sum[half]);
                }
            }
        }
    }
}

#[cube(launch_unchecked)]
pub(super) fn forward_kernel(
    projected: &Array<Four>,
    mixed: &mut Array<Two>,
    log_sums: &mut Array<f32>,
    place: &Place,
    #[comptime] split: Split,
) {
    let size = comptime!(split.deep());
    let block = block(place);
    let key_rows = projected_rows(place, split, KEYS);
    let value_rows = projected_rows(place, split, VALUES);
    let query_rows = projected_rows(place, split, QUERIES);
    let mut keys = room(WIDE_TILE, size);
    let mut values = room(WIDE_TILE, size);
    // There are as many keys in a tile as rows in a cube.
    bring(projected, query_rows, &mut keys, block.first, place, ROWS, split);
    sync_cube();
    let asked = rows_of_plane(&keys, &block, size);
    let row = block.first + block.plane + own_row();

    let mut sums = zeros(comptime!(size / WIDE));
    let mut largest = Array::<f32>::new(2usize);
    let mut totals = Array::<f32>::new(2usize);
    #[unroll]
    for half in 0..2usize {
        largest[half] = f32::new(START);
        totals[half] = f32::new(0.0);
    }
    let end = min(block.first + ROWS, place.length);
    let mut tile = (max(block.first + 1, place.window) - place.window) / WIDE_TILE * WIDE_TILE;
    while tile < end {
        sync_cube();
        bring(projected, key_rows, &mut keys, tile, place, WIDE_TILE, split);
        bring(projected, value_rows, &mut values, tile, place, WIDE_TILE, split);
        sync_cube();
        let mut scores = with_rows(&asked, &keys, WIDE_TILE, size);
        // Whether the plane's first row sees the last key, and its last row the first one.
        let first = block.first + block.plane;
        if tile + WIDE_TILE > first + 1 || tile + place.window < first + HIGH {
            hide(&mut scores, row, tile, place, LOWEST, WIDE_TILE);
        }
        #[unroll]
        for half in 0..2usize {
            let mut best = largest[half];
            #[unroll]
            for at in 0..comptime!(WIDE_TILE / WIDE) {
                let pair = scores.index(at)[half];
                best = max(best, max(pair[0], pair[1]));
            }
            best = largest_of_row(best);
            let factor = power(largest[half] - best);
            largest[half] = best;
            let mut total = totals[half] * factor;
            #[unroll]
            for at in 0..comptime!(WIDE_TILE / WIDE) {
                let score = scores.index_mut(at);
                let mut pair = score[half];
                #[unroll]
                for one in 0..2usize {
                    pair[one] = power(pair[one] - best);
                    total += pair[one];
                }
                score[half] = pair;
            }
            totals[half] = total;
            #[unroll]
            for at in 0..comptime!(size / WIDE) {
                let sum = sums.index_mut(at);
                sum[half] *= Pair::new(factor);
            }
        }
        add_weighted(&mut sums, &scores, &values, WIDE_TILE, size);
        tile += WIDE_TILE;
    }
    #[unroll]
    for half in 0..2usize {
        let total = sum_of_row(totals[half]);
        let share = Pair::new(1.0 / total);
        #[unroll]
        for at in 0..comptime!(size / WIDE) {
            let sum = sums.index_mut(at);
            sum[half] *= share;
        }
        let row = row + 8 * half;
        if row < place.length && own_column() == 0 {
            log_sums[block.sums + row] = largest[half] + total.ln();
        }
    }
    keep(&sums, mixed, alone(place, split), &block, place, split);
}

/// Gradient of the queries, and the products of the mixture with its gradient for the other kernel.
#[cube(launch_unchecked)]
pub(super) fn query_kernel(
    projected: &Array<Four>,
    mixed: &Array<Four>,
    gradient: &Array<Four>,
    log_sums: &Array<f32>,
    of_projected: &mut Array<Two>,
    along: &mut Array<f32>,
    place: &Place,
    #[comptime] split: Split,
) {
    let size = comptime!(split.deep());
    let block = block(place);
    let key_rows = projected_rows(place, split, KEYS);
    let value_rows = projected_rows(place, split, VALUES);
    let query_rows = projected_rows(place, split, QUERIES);
    let mixed_rows = alone(place, split);
    let high = comptime!(tile_rows(split));
    let mut own = room(ROWS, size);
    let mut keys = room(high, size);
    let mut values = room(high, size);
    bring(projected, query_rows, &mut own, block.first, place, ROWS, split);
    sync_cube();
    let asked = rows_of_plane(&own, &block, size);
    sync_cube();
    bring(gradient, mixed_rows, &mut own, block.first, place, ROWS, split);
    // Two units to a row.
    let mut of_rows = SharedMemory::<f32>::new(ROWS);
    let at = UNIT_POS as usize / 2;
    let mut product = f32::new(0.0);
    if block.first + at < place.length {
        let row = mixed_rows.start + (block.first + at) * mixed_rows.stride;
        #[unroll]
        for pair in 0..comptime!(split.fours.div_ceil(2)) {
            let four = 2 * pair + UNIT_POS as usize % 2;
            if four < comptime!(split.fours) {
                let a = mixed[row + four];
                let b = gradient[row + four];
                #[unroll]
                for one in 0..4usize {
                    product += f32::cast_from(a[one]) * f32::cast_from(b[one]);
                }
            }
        }
    }
    product += plane_shuffle_xor(product, 1);
    let of_pair = UNIT_POS % 2;
    if of_pair == 0 {
        of_rows[at] = product;
        if block.first + at < place.length {
            along[block.sums + block.first + at] = product;
        }
    }
    sync_cube();
    let slopes = rows_of_plane(&own, &block, size);
    let row = block.first + block.plane + own_row();
    let mut log_sum = Array::<f32>::new(2usize);
    let mut of_row = Array::<f32>::new(2usize);
    #[unroll]
    for half in 0..2usize {
        log_sum[half] = f32::new(0.0);
        if row + 8 * half < place.length {
            log_sum[half] = log_sums[block.sums + row + 8 * half];
        }
        of_row[half] = of_rows[block.plane + own_row() + 8 * half];
    }

    let mut sums = zeros(comptime!(size / WIDE));
    let end = min(block.first + ROWS, place.length);
    let mut tile = (max(block.first + 1, place.window) - place.window) / high * high;
    while tile < end {
        sync_cube();
        bring(projected, key_rows, &mut keys, tile, place, high, split);
        bring(projected, value_rows, &mut values, tile, place, high, split);
        sync_cube();
        let mut scores = with_rows(&asked, &keys, high, size);
        let of_weights = with_rows(&slopes, &values, high, size);
        #[unroll]
        for at in 0..comptime!(high / WIDE) {
            let score = scores.index_mut(at);
            let of_weight = of_weights.index(at);
            #[unroll]
            for half in 0..2usize {
                let mut pair = score[half];
                let of_pair = of_weight[half];
                #[unroll]
                for one in 0..2usize {
                    pair[one] = power(pair[one] - log_sum[half]) * (of_pair[one] - of_row[half]);
                }
                score[half] = pair;
            }
        }
        // As in the forward pass. Rows that are none have zeros for gradients.
        let first = block.first + block.plane;
        if tile + high > first + 1 || tile + place.window < first + HIGH {
            hide(&mut scores, row, tile, place, 0.0, high);
        }
        add_weighted(&mut sums, &scores, &keys, high, size);
        tile += high;
    }
    keep(&sums, of_projected, query_rows, &block, place, split);
}

/// Gradients of keys and values: rows are keys, tiles are of queries.
#[cube(launch_unchecked)]
pub(super) fn key_kernel(
    projected: &Array<Four>,
    gradient: &Array<Four>,
    log_sums: &Array<f32>,
    along: &Array<f32>,
    of_projected: &mut Array<Two>,
    place: &Place,
    #[comptime] split: Split,
) {
    let size = comptime!(split.deep());
    let block = block(place);
    let key_rows = projected_rows(place, split, KEYS);
    let value_rows = projected_rows(place, split, VALUES);
    let query_rows = projected_rows(place, split, QUERIES);
    let mixed_rows = alone(place, split);
    let high = comptime!(tile_rows(split));
    let mut own = room(ROWS, size);
    let mut queries = room(high, size);
    let mut slopes = room(high, size);
    let mut tile_sums = SharedMemory::<f32>::new(high);
    let mut tile_along = SharedMemory::<f32>::new(high);
    bring(projected, key_rows, &mut own, block.first, place, ROWS, split);
    sync_cube();
    let found = rows_of_plane(&own, &block, size);
    sync_cube();
    bring(projected, value_rows, &mut own, block.first, place, ROWS, split);
    sync_cube();
    let given = rows_of_plane(&own, &block, size);
    let row = block.first + block.plane + own_row();

    let mut key_sums = zeros(comptime!(size / WIDE));
    let mut value_sums = zeros(comptime!(size / WIDE));
    // The last query that sees the last key.
    let last = block.first + comptime!(ROWS - 1);
    let end = min(last + min(place.window, place.length), place.length);
    let mut tile = block.first / high * high;
    while tile < end {
        sync_cube();
        bring(projected, query_rows, &mut queries, tile, place, high, split);
        bring(gradient, mixed_rows, &mut slopes, tile, place, high, split);
        let unit = UNIT_POS as usize;
        if unit < high {
            // A query that is none has zeros for columns and gradients, so that its weight matters to nobody.
            tile_sums[unit] = f32::new(0.0);
            tile_along[unit] = f32::new(0.0);
            if tile + unit < place.length {
                tile_sums[unit] = log_sums[block.sums + tile + unit];
                tile_along[unit] = along[block.sums + tile + unit];
            }
        }
        sync_cube();
        let mut weights = with_rows(&found, &queries, high, size);
        let mut of_scores = with_rows(&given, &slopes, high, size);
        #[unroll]
        for at in 0..comptime!(high / WIDE) {
            let weight = weights.index_mut(at);
            let of_score = of_scores.index_mut(at);
            let column = WIDE * at + own_column();
            #[unroll]
            for half in 0..2usize {
                let mut pair = weight[half];
                let mut of_pair = of_score[half];
                #[unroll]
                for one in 0..2usize {
                    pair[one] = power(pair[one] - tile_sums[column + one]);
                    of_pair[one] = pair[one] * (of_pair[one] - tile_along[column + one]);
                }
                weight[half] = pair;
                of_score[half] = of_pair;
            }
        }
        // Whether the tile's first query sees the plane's last key, and its last query the first one.
        let first = block.first + block.plane;
        if first + HIGH > tile + 1 || first + place.window < tile + high {
            #[unroll]
            for at in 0..comptime!(high / WIDE) {
                let weight = weights.index_mut(at);
                let of_score = of_scores.index_mut(at);
                #[unroll]
                for half in 0..2usize {
                    let row = row + 8 * half;
                    let mut pair = weight[half];
                    let mut of_pair = of_score[half];
                    #[unroll]
                    for one in 0..2usize {
                        let asking = tile + WIDE * at + own_column() + one;
                        let visible = row <= asking && row + place.window > asking;
                        pair[one] = select(visible, pair[one], f32::new(0.0));
                        of_pair[one] = select(visible, of_pair[one], f32::new(0.0));
                    }
                    weight[half] = pair;
                    of_score[half] = of_pair;
                }
            }
        }
        add_weighted(&mut value_sums, &weights, &slopes, high, size);
        add_weighted(&mut key_sums, &of_scores, &queries, high, size);
        tile += high;
    }
    keep(&key_sums, of_projected, key_rows, &block, place, split);
    keep(&value_sums, of_projected, value_rows, &block, place, split);
}
