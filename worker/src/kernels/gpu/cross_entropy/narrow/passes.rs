//! The two passes, each over a stripe of one side for some rows of the other.

use super::{PRODUCTS, SLACK, SOME, START, TILE, UNITS, highs, is_held, rows_of_cube, stride};
use crate::kernels::gpu::{
    over_cube::LOWEST,
    tensor_cores::{
        DEEP, Eight, HIGH, Pair, Two, add_products, as_left, largest_of_row, left, own_column, own_row,
        power, rights, rights_of_rows, sum_of_row, zeros,
    },
};
use cubecl::prelude::*;
use half::bf16;

/// Sizes of a launch.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Sizes {
    /// Rows that cubes keep, and those that come by.
    own: usize,
    others: usize,
    /// Tiles of a stripe.
    tiles: usize,
}

/// Where a unit works.
#[derive(CubeType, Clone, Copy)]
struct Place {
    /// First row of the cube, and of the plane in the cube.
    first: usize,
    plane: usize,
    /// First tile of the stripe, and the end.
    tile: usize,
    end: usize,
    /// First row of the stripe's results.
    results: usize,
}

#[cube]
fn place(sizes: &Sizes, #[comptime] eights: usize) -> Place {
    let stripe = CUBE_POS_Y as usize;
    Place {
        first: CUBE_POS_X as usize * comptime!(rows_of_cube(eights)),
        plane: UNIT_POS as usize / 32 * comptime!(HIGH * highs(eights)),
        tile: stripe * sizes.tiles,
        end: min((stripe + 1) * sizes.tiles, sizes.others.div_ceil(TILE)),
        results: stripe * sizes.own,
    }
}

/// The row of a unit's `at`-th sums, in the order of its products.
#[cube]
fn row_of(place: &Place, #[comptime] at: usize) -> usize {
    place.first + place.plane + own_row() + comptime!(at * 8)
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
    for one in 0..comptime!(count * eights / UNITS) {
        let at = UNIT_POS as usize + one * UNITS;
        let row = first + at / eights;
        let mut value = Eight::new(bf16::from_int(0));
        if row < rows {
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
    for one in 0..comptime!(count * eights / UNITS) {
        let at = UNIT_POS as usize + one * UNITS;
        tile[at / eights * comptime!(stride(eights)) + at % eights] = held[one];
    }
}

/// A part of a plane's rows as left factors.
#[cube]
fn push_lefts(
    lefts: &mut Sequence<Array<Two>>,
    rows: &SharedMemory<Eight>,
    place: &Place,
    part: usize,
    #[comptime] eights: usize,
) {
    #[unroll]
    for high in 0..comptime!(highs(eights)) {
        lefts.push(left(rows, place.plane + high * HIGH, part * 2, comptime!(stride(eights))));
    }
}

/// Brings a cube's own rows to shared memory, and those of each plane to registers where they are held there.
#[cube]
fn bring(
    x: &Array<Eight>,
    rows: &mut SharedMemory<Eight>,
    place: &Place,
    sizes: &Sizes,
    #[comptime] eights: usize,
) -> Sequence<Array<Two>> {
    let mut fetched = Array::<Eight>::new(comptime!(rows_of_cube(eights) * eights / UNITS));
    fetch(x, &mut fetched, place.first, sizes.own, comptime!(rows_of_cube(eights)), eights);
    put(&fetched, rows, comptime!(rows_of_cube(eights)), eights);
    sync_cube();
    let mut held = Sequence::<Array<Two>>::new();
    if comptime!(is_held(eights)) {
        #[unroll]
        for part in 0..comptime!(eights / 2) {
            push_lefts(&mut held, rows, place, part, eights);
        }
    }
    held
}

/// A plane's logits: its rows by [`SOME`] of a tile, from `from` on.
#[cube]
fn logits(
    held: &Sequence<Array<Two>>,
    rows: &SharedMemory<Eight>,
    tile: &SharedMemory<Eight>,
    place: &Place,
    #[comptime] from: usize,
    #[comptime] eights: usize,
) -> Sequence<Array<Pair>> {
    let mut sums = zeros(comptime!(highs(eights) * PRODUCTS));
    #[unroll]
    for part in 0..comptime!(eights / 2) {
        let mut fresh = Sequence::<Array<Two>>::new();
        if comptime!(!is_held(eights)) {
            push_lefts(&mut fresh, rows, place, part, eights);
        }
        #[unroll]
        for pair in 0..comptime!(SOME / HIGH) {
            let others =
                rights_of_rows(tile, comptime!(from + pair * HIGH), part * 2, comptime!(stride(eights)));
            #[unroll]
            for high in 0..comptime!(highs(eights)) {
                let first = comptime!(high * PRODUCTS + pair * 2);
                if comptime!(is_held(eights)) {
                    add_products(
                        &mut sums,
                        first,
                        held.index(comptime!(part * highs(eights) + high)),
                        &others,
                    );
                } else {
                    add_products(&mut sums, first, fresh.index(high), &others);
                }
            }
        }
    }
    sums
}

/// Adds the products of weights with the rows of a tile that they are of to a plane's sums.
#[cube]
fn add_weighted(
    sums: &mut Sequence<Array<Pair>>,
    weights: &Sequence<Array<Pair>>,
    tile: &SharedMemory<Eight>,
    #[comptime] from: usize,
    #[comptime] eights: usize,
) {
    #[unroll]
    for part in 0..comptime!(SOME / DEEP) {
        let mut lefts = Sequence::<Array<Two>>::new();
        #[unroll]
        for high in 0..comptime!(highs(eights)) {
            lefts.push(as_left(weights, comptime!(high * PRODUCTS + part * 2)));
        }
        #[unroll]
        for pair in 0..comptime!(eights / 2) {
            let others =
                rights(tile, comptime!(from + part * DEEP), comptime!(pair * 2), comptime!(stride(eights)));
            #[unroll]
            for high in 0..comptime!(highs(eights)) {
                add_products(sums, comptime!(high * eights + pair * 2), lefts.index(high), &others);
            }
        }
    }
}

/// Writes a plane's sums to its rows that exist.
#[cube]
fn keep(
    sums: &Sequence<Array<Pair>>,
    results: &mut Array<Pair>,
    place: &Place,
    sizes: &Sizes,
    #[comptime] eights: usize,
) {
    #[unroll]
    for at in 0..comptime!(highs(eights) * 2) {
        let row = row_of(place, at);
        if row < sizes.own {
            let start = (place.results + row) * comptime!(eights * 4) + own_column() / 2;
            #[unroll]
            for column in 0..eights {
                results[start + column * 4] = sums.index(comptime!(at / 2 * eights + column))[at % 2];
            }
        }
    }
}

/// Of each row and stripe of classes: a logit that none exceeds by much, the sum of the exponentials relative to it, and the
/// sum of the head's rows weighted with these.
#[cube(launch_unchecked)]
pub(super) fn rows_kernel(
    hidden: &Array<Eight>,
    head: &Array<Eight>,
    references: &mut Array<f32>,
    totals: &mut Array<f32>,
    weighted: &mut Array<Pair>,
    sizes: &Sizes,
    vocabulary: usize,
    #[comptime] eights: usize,
) {
    let place = place(sizes, eights);
    let mut rows = SharedMemory::<Eight>::new(comptime!(rows_of_cube(eights) * stride(eights)));
    let mut tile = SharedMemory::<Eight>::new(comptime!(TILE * stride(eights)));
    let held = bring(hidden, &mut rows, &place, sizes, eights);
    let mut of_tile = Array::<Eight>::new(comptime!(TILE * eights / UNITS));
    if comptime!(is_held(eights)) {
        fetch(head, &mut of_tile, place.tile * TILE, sizes.others, TILE, eights);
    }

    let mut sums = zeros(comptime!(highs(eights) * eights));
    let mut reference = Array::<f32>::new(comptime!(highs(eights) * 2));
    let mut total = Array::<f32>::new(comptime!(highs(eights) * 2));
    #[unroll]
    for at in 0..comptime!(highs(eights) * 2) {
        reference[at] = f32::new(START);
        total[at] = f32::new(0.0);
    }
    let mut number = place.tile;
    while number < place.end {
        if comptime!(!is_held(eights)) {
            fetch(head, &mut of_tile, number * TILE, sizes.others, TILE, eights);
        }
        sync_cube();
        put(&of_tile, &mut tile, TILE, eights);
        sync_cube();
        if comptime!(is_held(eights)) {
            fetch(head, &mut of_tile, (number + 1) * TILE, sizes.others, TILE, eights);
        }
        #[unroll]
        for part in 0..comptime!(TILE / SOME) {
            let from = comptime!(part * SOME);
            let mut found = logits(&held, &rows, &tile, &place, from, eights);
            let first = number * TILE + from;
            if first + SOME > vocabulary {
                leave_out(&mut found, vocabulary, first, eights);
            }
            rise(&found, &mut reference, &mut total, &mut sums, eights);
            #[unroll]
            for at in 0..comptime!(highs(eights) * 2) {
                #[unroll]
                for product in 0..PRODUCTS {
                    let weights = found.index_mut(comptime!(at / 2 * PRODUCTS + product));
                    let mut pair = weights[at % 2];
                    pair[0] = power(pair[0] - reference[at]);
                    pair[1] = power(pair[1] - reference[at]);
                    total[at] += pair[0] + pair[1];
                    weights[at % 2] = pair;
                }
            }
            add_weighted(&mut sums, &found, &tile, from, eights);
        }
        number += 1;
    }
    #[unroll]
    for at in 0..comptime!(highs(eights) * 2) {
        let total = sum_of_row(total[at]);
        let row = row_of(&place, at);
        if row < sizes.own && own_column() == 0 {
            references[place.results + row] = reference[at];
            totals[place.results + row] = total;
        }
    }
    keep(&sums, weighted, &place, sizes, eights);
}

/// Makes the logits of classes that only pad weigh nothing.
#[cube]
fn leave_out(found: &mut Sequence<Array<Pair>>, vocabulary: usize, first: usize, #[comptime] eights: usize) {
    #[unroll]
    for at in 0..comptime!(highs(eights) * PRODUCTS) {
        let class = first + comptime!(at % PRODUCTS * 8) + own_column();
        let logits = found.index_mut(at);
        #[unroll]
        for half in 0..2usize {
            let mut pair = logits[half];
            pair[0] = select(class < vocabulary, pair[0], f32::new(LOWEST));
            pair[1] = select(class + 1 < vocabulary, pair[1], f32::new(LOWEST));
            logits[half] = pair;
        }
    }
}

/// Takes everything relative to larger logits, where some of a plane's rows have found much larger ones.
#[cube]
fn rise(
    found: &Sequence<Array<Pair>>,
    reference: &mut Array<f32>,
    total: &mut Array<f32>,
    sums: &mut Sequence<Array<Pair>>,
    #[comptime] eights: usize,
) {
    let mut best = Array::<f32>::new(comptime!(highs(eights) * 2));
    let mut excess = f32::new(LOWEST);
    #[unroll]
    for at in 0..comptime!(highs(eights) * 2) {
        let mut most = f32::new(LOWEST);
        #[unroll]
        for product in 0..PRODUCTS {
            let pair = found.index(comptime!(at / 2 * PRODUCTS + product))[at % 2];
            most = max(most, max(pair[0], pair[1]));
        }
        best[at] = most;
        excess = max(excess, most - reference[at]);
    }
    if plane_any(excess > SLACK) {
        #[unroll]
        for at in 0..comptime!(highs(eights) * 2) {
            let most = max(reference[at], largest_of_row(best[at]));
            let factor = power(reference[at] - most);
            reference[at] = most;
            total[at] *= factor;
            #[unroll]
            for column in 0..eights {
                let sum = sums.index_mut(comptime!(at / 2 * eights + column));
                sum[at % 2] *= Pair::new(factor);
            }
        }
    }
}

/// Of each class and stripe of rows: the sum of the rows, weighted with their gradients of the class's logit.
#[cube(launch_unchecked)]
pub(super) fn classes_kernel(
    head: &Array<Eight>,
    hidden: &Array<Eight>,
    targets: &Array<i32>,
    log_sums: &Array<f32>,
    weighted: &mut Array<Pair>,
    sizes: &Sizes,
    #[comptime] eights: usize,
) {
    let place = place(sizes, eights);
    let mut classes = SharedMemory::<Eight>::new(comptime!(rows_of_cube(eights) * stride(eights)));
    let mut tile = SharedMemory::<Eight>::new(comptime!(TILE * stride(eights)));
    let mut tile_sums = SharedMemory::<f32>::new(TILE);
    let mut tile_targets = SharedMemory::<i32>::new(TILE);
    let held = bring(head, &mut classes, &place, sizes, eights);
    let mut of_tile = Array::<Eight>::new(comptime!(TILE * eights / UNITS));
    if comptime!(is_held(eights)) {
        fetch(hidden, &mut of_tile, place.tile * TILE, sizes.others, TILE, eights);
    }

    let mut sums = zeros(comptime!(highs(eights) * eights));
    let of_plane = (place.first + place.plane) as i32;
    let unit = UNIT_POS as usize;
    let mut number = place.tile;
    while number < place.end {
        if comptime!(!is_held(eights)) {
            fetch(hidden, &mut of_tile, number * TILE, sizes.others, TILE, eights);
        }
        sync_cube();
        put(&of_tile, &mut tile, TILE, eights);
        if unit < TILE {
            // A row that is none has zeros for columns, whatever its weight.
            tile_sums[unit] = f32::new(0.0);
            tile_targets[unit] = i32::new(-1);
            let row = number * TILE + unit;
            if row < sizes.others {
                tile_sums[unit] = log_sums[row];
                tile_targets[unit] = targets[row];
            }
        }
        sync_cube();
        if comptime!(is_held(eights)) {
            fetch(hidden, &mut of_tile, (number + 1) * TILE, sizes.others, TILE, eights);
        }
        #[unroll]
        for part in 0..comptime!(TILE / SOME) {
            let from = comptime!(part * SOME);
            let mut found = logits(&held, &classes, &tile, &place, from, eights);
            #[unroll]
            for product in 0..PRODUCTS {
                let column = comptime!(from + product * 8) + own_column();
                let (first, second) = (tile_sums[column], tile_sums[column + 1]);
                #[unroll]
                for at in 0..comptime!(highs(eights) * 2) {
                    let slopes = found.index_mut(comptime!(at / 2 * PRODUCTS + product));
                    let mut pair = slopes[at % 2];
                    pair[0] = power(pair[0] - first);
                    pair[1] = power(pair[1] - second);
                    slopes[at % 2] = pair;
                }
            }
            // Most planes have no targets in most tiles.
            let wanted = tile_targets[from + UNIT_POS_PLANE as usize] - of_plane;
            if plane_any(wanted >= 0 && wanted < comptime!((HIGH * highs(eights)) as i32)) {
                #[unroll]
                for product in 0..PRODUCTS {
                    let column = comptime!(from + product * 8) + own_column();
                    #[unroll]
                    for one in 0..2usize {
                        let wanted = tile_targets[column + one] - of_plane - own_row() as i32;
                        #[unroll]
                        for at in 0..comptime!(highs(eights) * 2) {
                            let slopes = found.index_mut(comptime!(at / 2 * PRODUCTS + product));
                            let mut pair = slopes[at % 2];
                            let is_target = wanted == comptime!((at * 8) as i32);
                            pair[one] -= select(is_target, f32::new(1.0), f32::new(0.0));
                            slopes[at % 2] = pair;
                        }
                    }
                }
            }
            add_weighted(&mut sums, &found, &tile, from, eights);
        }
        number += 1;
    }
    keep(&sums, weighted, &place, sizes, eights);
}
