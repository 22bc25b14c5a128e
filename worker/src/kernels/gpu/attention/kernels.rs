//! The kernels: each goes over the rows of one side, with the other side in tiles.

use super::{GROUP, KEYS, LOWEST, QUERIES, Split, TILE, UNITS, VALUES};
use cubecl::prelude::*;

/// Columns that are computed with at once.
pub(super) type Four = Vector<f32, Const<4>>;
/// The same in memory.
type Stored<E> = Vector<E, Const<4>>;

/// Where the heads lie in memory, in fours.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(super) struct Place {
    pub(super) length: usize,
    /// Of a row of all heads.
    pub(super) width: usize,
    pub(super) heads: usize,
    pub(super) window: usize,
}

/// The rows of a head of a sequence in a matrix.
#[derive(CubeType, Clone, Copy)]
pub(super) struct Rows {
    /// The first row.
    pub(super) start: usize,
    /// From a row to the next.
    pub(super) stride: usize,
}

/// The rows of the cube's head in one of some matrices that stand side by side; `width` is that of one of them, `size` that
/// of a head.
#[cube]
pub(super) fn rows_of_head(
    place: &Place,
    width: usize,
    #[comptime] size: usize,
    #[comptime] matrices: usize,
    #[comptime] one: usize,
) -> Rows {
    let head = CUBE_POS_Y as usize;
    let stride = width * matrices;
    let start = head / place.heads * place.length * stride + width * one + head % place.heads * size;
    Rows { start, stride }
}

/// The rows of the cube's head in a matrix of all heads.
#[cube]
pub(super) fn alone(place: &Place, #[comptime] split: Split) -> Rows {
    rows_of_head(place, place.width, comptime!(split.fours), 1usize, 0usize)
}

/// The same in [`KEYS`], [`VALUES`] or [`QUERIES`].
#[cube]
pub(super) fn projected_rows(place: &Place, #[comptime] split: Split, #[comptime] one: usize) -> Rows {
    rows_of_head(place, place.width, comptime!(split.fours), 3usize, one)
}

/// What a unit works on.
#[derive(CubeType, Clone, Copy)]
struct Own {
    /// First row of the cube.
    first: usize,
    /// The unit's row.
    row: usize,
    exists: bool,
    /// The unit's first four of a row of the head.
    part: usize,
    /// Position of the row among those of all heads.
    at: usize,
}

#[cube]
fn own(place: &Place, #[comptime] split: Split) -> Own {
    let unit = UNIT_POS as usize;
    let first = CUBE_POS_X as usize * comptime!(split.rows());
    let row = first + unit / comptime!(split.parts);
    Own {
        first,
        row,
        exists: row < place.length,
        part: unit % comptime!(split.parts) * comptime!(split.own()),
        at: CUBE_POS_Y as usize * place.length + row,
    }
}

/// A unit's columns, all zero.
#[cube]
fn zeros(#[comptime] split: Split) -> Array<Four> {
    let mut held = Array::<Four>::new(comptime!(split.own()));
    #[unroll]
    for at in 0..comptime!(split.own()) {
        held[at] = Four::new(0.0);
    }
    held
}

/// A unit's columns of its row; zeros where there is no such row.
#[cube]
fn held<E: Float>(x: &Array<Stored<E>>, rows: Rows, own: &Own, #[comptime] split: Split) -> Array<Four> {
    let mut held = zeros(split);
    let start = rows.start + own.row * rows.stride + own.part;
    if own.exists {
        #[unroll]
        for at in 0..comptime!(split.own()) {
            held[at] = Four::cast_from(x[start + at]);
        }
    }
    held
}

/// Writes a unit's columns to its row, if that exists.
#[cube]
fn keep<E: Float>(
    held: &Array<Four>,
    x: &mut Array<Stored<E>>,
    rows: Rows,
    own: &Own,
    #[comptime] split: Split,
) {
    let start = rows.start + own.row * rows.stride + own.part;
    if own.exists {
        #[unroll]
        for at in 0..comptime!(split.own()) {
            x[start + at] = Stored::<E>::cast_from(held[at]);
        }
    }
}

/// The sum over the units of a row.
#[cube]
fn over_parts(value: Four, #[comptime] split: Split) -> f32 {
    let mut sum = value[0] + value[1] + value[2] + value[3];
    if comptime!(split.parts > 1) {
        sum += plane_shuffle_xor(sum, 1);
    }
    if comptime!(split.parts > 2) {
        sum += plane_shuffle_xor(sum, 2);
    }
    sum
}

/// The unit's row by a row of shared memory that starts, for this unit, at `start`.
#[cube]
fn product(held: &Array<Four>, tile: &SharedMemory<Four>, start: usize, #[comptime] split: Split) -> f32 {
    let mut sum = Four::new(0.0);
    #[unroll]
    for at in 0..comptime!(split.own()) {
        sum += held[at] * tile[start + at];
    }
    over_parts(sum, split)
}

/// Room for a tile in shared memory.
#[cube]
fn tile_of(#[comptime] split: Split) -> SharedMemory<Four> {
    SharedMemory::<Four>::new(comptime!(TILE * split.fours))
}

/// Brings rows of two matrices to shared memory, zeros where there are none.
#[cube]
fn load<E: Float>(
    a: &Array<Stored<E>>,
    b: &Array<Stored<E>>,
    a_rows: Rows,
    b_rows: Rows,
    a_tile: &mut SharedMemory<Four>,
    b_tile: &mut SharedMemory<Four>,
    first: usize,
    place: &Place,
    #[comptime] split: Split,
) {
    let fours = comptime!(split.fours);
    let mut at = UNIT_POS as usize;
    while at < comptime!(TILE * split.fours) {
        let row = first + at / fours;
        let mut x = Four::new(0.0);
        let mut y = Four::new(0.0);
        if row < place.length {
            x = Four::cast_from(a[a_rows.start + row * a_rows.stride + at % fours]);
            y = Four::cast_from(b[b_rows.start + row * b_rows.stride + at % fours]);
        }
        a_tile[at] = x;
        b_tile[at] = y;
        at += UNITS;
    }
}

/// First key of the tiles that the queries of a cube see.
#[cube]
fn first_seen(own: &Own, place: &Place) -> usize {
    (max(own.first + 1, place.window) - place.window) / TILE * TILE
}

#[cube(launch_unchecked)]
pub(super) fn forward_kernel<E: Float>(
    projected: &Array<Stored<E>>,
    mixed: &mut Array<Stored<E>>,
    log_sums: &mut Array<f32>,
    place: &Place,
    #[comptime] split: Split,
) {
    let own = own(place, split);
    let row = own.row;
    let key_rows = projected_rows(place, split, KEYS);
    let value_rows = projected_rows(place, split, VALUES);
    let query_rows = projected_rows(place, split, QUERIES);
    let asked = held(projected, query_rows, &own, split);
    let mut sum = zeros(split);
    let mut largest = f32::new(LOWEST);
    let mut total = f32::new(0.0);

    let mut keys = tile_of(split);
    let mut values = tile_of(split);
    let end = min(own.first + comptime!(split.rows()), place.length);
    let mut tile = first_seen(&own, place);
    while tile < end {
        load(projected, projected, key_rows, value_rows, &mut keys, &mut values, tile, place, split);
        sync_cube();
        let mut group = 0usize;
        while group < TILE {
            let mut scores = Array::<f32>::new(GROUP);
            let mut best = largest;
            #[unroll]
            for one in 0..GROUP {
                let at = tile + group + one;
                let from = (group + one) * comptime!(split.fours) + own.part;
                let score = product(&asked, &keys, from, split);
                let visible = at <= row && at + place.window > row;
                scores[one] = select(visible, score, f32::new(LOWEST));
                best = max(best, scores[one]);
            }
            let factor = (largest - best).exp();
            largest = best;
            total *= factor;
            #[unroll]
            for at in 0..comptime!(split.own()) {
                sum[at] *= Four::new(factor);
            }
            #[unroll]
            for one in 0..GROUP {
                let score = scores[one];
                let weight = select(score > f32::new(LOWEST), (score - best).exp(), f32::new(0.0));
                total += weight;
                let from = (group + one) * comptime!(split.fours) + own.part;
                #[unroll]
                for at in 0..comptime!(split.own()) {
                    sum[at] += Four::new(weight) * values[from + at];
                }
            }
            group += GROUP;
        }
        sync_cube();
        tile += TILE;
    }
    let share = Four::new(1.0 / total);
    #[unroll]
    for at in 0..comptime!(split.own()) {
        sum[at] *= share;
    }
    keep(&sum, mixed, alone(place, split), &own, split);
    if own.exists && own.part == 0 {
        log_sums[own.at] = largest + total.ln();
    }
}

/// Gradient of the queries, and the products of the mixture with its gradient for the other kernel.
#[cube(launch_unchecked)]
pub(super) fn query_kernel<E: Float>(
    projected: &Array<Stored<E>>,
    mixed: &Array<Stored<E>>,
    gradient: &Array<Stored<E>>,
    log_sums: &Array<f32>,
    of_projected: &mut Array<Stored<E>>,
    along: &mut Array<f32>,
    place: &Place,
    #[comptime] split: Split,
) {
    let own = own(place, split);
    let row = own.row;
    let key_rows = projected_rows(place, split, KEYS);
    let value_rows = projected_rows(place, split, VALUES);
    let query_rows = projected_rows(place, split, QUERIES);
    let mixed_rows = alone(place, split);
    let asked = held(projected, query_rows, &own, split);
    let slope = held(gradient, mixed_rows, &own, split);
    let given = held(mixed, mixed_rows, &own, split);
    let mut sum = zeros(split);
    let mut products = Four::new(0.0);
    #[unroll]
    for at in 0..comptime!(split.own()) {
        products += slope[at] * given[at];
    }
    let products = over_parts(products, split);
    let mut log_sum = f32::new(0.0);
    if own.exists {
        log_sum = log_sums[own.at];
        if own.part == 0 {
            along[own.at] = products;
        }
    }

    let mut keys = tile_of(split);
    let mut values = tile_of(split);
    let end = min(own.first + comptime!(split.rows()), place.length);
    let mut tile = first_seen(&own, place);
    while tile < end {
        load(projected, projected, key_rows, value_rows, &mut keys, &mut values, tile, place, split);
        sync_cube();
        for one in 0..TILE {
            let from = one * comptime!(split.fours) + own.part;
            let at = tile + one;
            let score = product(&asked, &keys, from, split);
            let of_weight = product(&slope, &values, from, split);
            let visible = own.exists && at <= row && at + place.window > row;
            let weight = select(visible, (score - log_sum).exp(), f32::new(0.0));
            let of_score = Four::new(weight * (of_weight - products));
            #[unroll]
            for at in 0..comptime!(split.own()) {
                sum[at] += of_score * keys[from + at];
            }
        }
        sync_cube();
        tile += TILE;
    }
    keep(&sum, of_projected, query_rows, &own, split);
}

/// Gradients of keys and values: rows are keys, tiles are of queries.
#[cube(launch_unchecked)]
pub(super) fn key_kernel<E: Float>(
    projected: &Array<Stored<E>>,
    gradient: &Array<Stored<E>>,
    log_sums: &Array<f32>,
    along: &Array<f32>,
    of_projected: &mut Array<Stored<E>>,
    place: &Place,
    #[comptime] split: Split,
) {
    let own = own(place, split);
    let row = own.row;
    let key_rows = projected_rows(place, split, KEYS);
    let value_rows = projected_rows(place, split, VALUES);
    let query_rows = projected_rows(place, split, QUERIES);
    let found = held(projected, key_rows, &own, split);
    let given = held(projected, value_rows, &own, split);
    let mut key_sum = zeros(split);
    let mut value_sum = zeros(split);

    let mut queries = tile_of(split);
    let mut slopes = tile_of(split);
    let mut tile_sums = SharedMemory::<f32>::new(TILE);
    let mut tile_along = SharedMemory::<f32>::new(TILE);
    // The last query that sees the last key.
    let last = own.first + comptime!(split.rows() - 1);
    let end = min(last + min(place.window, place.length), place.length);
    let mut tile = own.first / TILE * TILE;
    while tile < end {
        load(
            projected,
            gradient,
            query_rows,
            alone(place, split),
            &mut queries,
            &mut slopes,
            tile,
            place,
            split,
        );
        let unit = UNIT_POS as usize;
        if unit < TILE && tile + unit < place.length {
            let at = CUBE_POS_Y as usize * place.length + tile + unit;
            tile_sums[unit] = log_sums[at];
            tile_along[unit] = along[at];
        }
        sync_cube();
        for one in 0..TILE {
            let from = one * comptime!(split.fours) + own.part;
            let at = tile + one;
            let score = product(&found, &queries, from, split);
            let of_weight = product(&given, &slopes, from, split);
            let visible = own.exists && at < place.length && row <= at && row + place.window > at;
            let mut weight = f32::new(0.0);
            let mut of_score = f32::new(0.0);
            if visible {
                weight = (score - tile_sums[one]).exp();
                of_score = weight * (of_weight - tile_along[one]);
            }
            #[unroll]
            for at in 0..comptime!(split.own()) {
                value_sum[at] += Four::new(weight) * slopes[from + at];
                key_sum[at] += Four::new(of_score) * queries[from + at];
            }
        }
        sync_cube();
        tile += TILE;
    }
    keep(&key_sum, of_projected, key_rows, &own, split);
    keep(&value_sum, of_projected, value_rows, &own, split);
}
