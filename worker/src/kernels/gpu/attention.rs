//! Attention without a matrix of scores (Dao et al. 2022, arXiv 2205.14135), on queries, keys and values as they leave
//! their linear layers: `[batch * length, width]`, a head being some neighbouring columns.
//!
//! A row (a query, or in the gradients of keys and values a key) belongs to one, two or four neighbouring units of a
//! plane, each with up to 16 of its columns in registers. The units of a cube go through the other side in tiles that they
//! bring to shared memory together; tiles outside the causal window are never touched. Scores are added up over the units
//! of a row by exchanging them within the plane. Everything is `f32`.

use super::{
    Cube, Matrix,
    memory::{arg, array, floats, matrix},
};
use crate::kernels::{Attended, Heads, Projected};
use burn_cubecl::CubeRuntime;
use cubecl::prelude::*;

/// Columns that are read at once.
type Four = Vector<f32, Const<4>>;

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

    /// Rows of a cube.
    const fn rows(self) -> usize {
        UNITS / self.parts
    }
}

/// Where a head of a sequence lies in memory, in fours.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Place {
    length: usize,
    /// Of a row of all heads.
    width: usize,
    heads: usize,
    window: usize,
}

/// First four of the head that a cube works on.
#[cube]
fn base(place: &Place, #[comptime] fours: usize) -> usize {
    let head = CUBE_POS_Y as usize;
    head / place.heads * place.length * place.width + head % place.heads * fours
}

/// The sum over the units of a row.
#[cube]
fn over_parts(value: Four, #[comptime] parts: usize) -> f32 {
    let mut sum = value[0] + value[1] + value[2] + value[3];
    if comptime!(parts > 1) {
        sum += plane_shuffle_xor(sum, 1);
    }
    if comptime!(parts > 2) {
        sum += plane_shuffle_xor(sum, 2);
    }
    sum
}

/// A unit's columns of a row of shared memory by those in its registers.
#[cube]
fn product(
    held: &Array<Four>,
    tile: &SharedMemory<Four>,
    start: usize,
    #[comptime] own: usize,
    #[comptime] parts: usize,
) -> f32 {
    let mut sum = Four::new(0.0);
    #[unroll]
    for at in 0..own {
        sum += held[at] * tile[start + at];
    }
    over_parts(sum, parts)
}

/// Brings rows of two matrices to shared memory, zeros where there are none.
#[cube]
fn load(
    a: &Array<Four>,
    b: &Array<Four>,
    a_tile: &mut SharedMemory<Four>,
    b_tile: &mut SharedMemory<Four>,
    base: usize,
    first: usize,
    place: &Place,
    #[comptime] fours: usize,
) {
    let mut at = UNIT_POS as usize;
    while at < comptime!(TILE * fours) {
        let row = first + at / fours;
        let mut x = Four::new(0.0);
        let mut y = Four::new(0.0);
        if row < place.length {
            let from = base + row * place.width + at % fours;
            x = a[from];
            y = b[from];
        }
        a_tile[at] = x;
        b_tile[at] = y;
        at += UNITS;
    }
}

#[cube(launch_unchecked)]
fn forward_kernel(
    query: &Array<Four>,
    key: &Array<Four>,
    value: &Array<Four>,
    mixed: &mut Array<Four>,
    log_sums: &mut Array<f32>,
    place: &Place,
    #[comptime] split: Split,
) {
    let own = comptime!(split.fours / split.parts);
    let fours = comptime!(split.fours);
    let parts = comptime!(split.parts);
    let rows = comptime!(split.rows());
    let base = base(place, fours);
    let part = UNIT_POS as usize % parts * own;
    let first = CUBE_POS_X as usize * rows;
    let row = first + UNIT_POS as usize / parts;
    let exists = row < place.length;
    let start = base + row * place.width + part;

    let mut asked = Array::<Four>::new(own);
    let mut sum = Array::<Four>::new(own);
    #[unroll]
    for at in 0..own {
        asked[at] = Four::new(0.0);
        if exists {
            asked[at] = query[start + at];
        }
        sum[at] = Four::new(0.0);
    }
    let mut largest = f32::new(LOWEST);
    let mut total = f32::new(0.0);

    let mut keys = SharedMemory::<Four>::new(comptime!(TILE * fours));
    let mut values = SharedMemory::<Four>::new(comptime!(TILE * fours));
    let end = min(first + rows, place.length);
    let mut tile = (max(first + 1, place.window) - place.window) / TILE * TILE;
    while tile < end {
        load(key, value, &mut keys, &mut values, base, tile, place, fours);
        sync_cube();
        let mut group = 0usize;
        while group < TILE {
            let mut scores = Array::<f32>::new(GROUP);
            let mut best = largest;
            #[unroll]
            for one in 0..GROUP {
                let at = tile + group + one;
                let score = product(&asked, &keys, (group + one) * fours + part, own, parts);
                let visible = at <= row && at + place.window > row;
                scores[one] = select(visible, score, f32::new(LOWEST));
                best = max(best, scores[one]);
            }
            let factor = (largest - best).exp();
            largest = best;
            total *= factor;
            #[unroll]
            for at in 0..own {
                sum[at] *= Four::new(factor);
            }
            #[unroll]
            for one in 0..GROUP {
                let score = scores[one];
                let weight = select(score > f32::new(LOWEST), (score - best).exp(), f32::new(0.0));
                total += weight;
                #[unroll]
                for at in 0..own {
                    sum[at] += Four::new(weight) * values[(group + one) * fours + part + at];
                }
            }
            group += GROUP;
        }
        sync_cube();
        tile += TILE;
    }
    if exists {
        let share = Four::new(1.0 / total);
        #[unroll]
        for at in 0..own {
            mixed[start + at] = sum[at] * share;
        }
        if part == 0 {
            log_sums[CUBE_POS_Y as usize * place.length + row] = largest + total.ln();
        }
    }
}

/// Gradient of the queries, and the products of the mixture with its gradient for the other kernel.
#[cube(launch_unchecked)]
fn query_kernel(
    query: &Array<Four>,
    key: &Array<Four>,
    value: &Array<Four>,
    mixed: &Array<Four>,
    gradient: &Array<Four>,
    log_sums: &Array<f32>,
    of_query: &mut Array<Four>,
    along: &mut Array<f32>,
    place: &Place,
    #[comptime] split: Split,
) {
    let own = comptime!(split.fours / split.parts);
    let fours = comptime!(split.fours);
    let parts = comptime!(split.parts);
    let rows = comptime!(split.rows());
    let base = base(place, fours);
    let part = UNIT_POS as usize % parts * own;
    let first = CUBE_POS_X as usize * rows;
    let row = first + UNIT_POS as usize / parts;
    let exists = row < place.length;
    let start = base + row * place.width + part;

    let mut asked = Array::<Four>::new(own);
    let mut slope = Array::<Four>::new(own);
    let mut sum = Array::<Four>::new(own);
    let mut products = Four::new(0.0);
    let mut log_sum = f32::new(0.0);
    #[unroll]
    for at in 0..own {
        asked[at] = Four::new(0.0);
        slope[at] = Four::new(0.0);
        sum[at] = Four::new(0.0);
        if exists {
            asked[at] = query[start + at];
            slope[at] = gradient[start + at];
            products += slope[at] * mixed[start + at];
        }
    }
    let products = over_parts(products, parts);
    if exists {
        let at = CUBE_POS_Y as usize * place.length + row;
        log_sum = log_sums[at];
        if part == 0 {
            along[at] = products;
        }
    }

    let mut keys = SharedMemory::<Four>::new(comptime!(TILE * fours));
    let mut values = SharedMemory::<Four>::new(comptime!(TILE * fours));
    let end = min(first + rows, place.length);
    let mut tile = (max(first + 1, place.window) - place.window) / TILE * TILE;
    while tile < end {
        load(key, value, &mut keys, &mut values, base, tile, place, fours);
        sync_cube();
        for one in 0..TILE {
            let from = one * fours + part;
            let at = tile + one;
            let score = product(&asked, &keys, from, own, parts);
            let of_weight = product(&slope, &values, from, own, parts);
            let visible = exists && at <= row && at + place.window > row;
            let weight = select(visible, (score - log_sum).exp(), f32::new(0.0));
            let of_score = Four::new(weight * (of_weight - products));
            #[unroll]
            for at in 0..own {
                sum[at] += of_score * keys[from + at];
            }
        }
        sync_cube();
        tile += TILE;
    }
    if exists {
        #[unroll]
        for at in 0..own {
            of_query[start + at] = sum[at];
        }
    }
}

/// Gradients of keys and values: rows are keys, tiles are of queries.
#[cube(launch_unchecked)]
fn key_kernel(
    query: &Array<Four>,
    key: &Array<Four>,
    value: &Array<Four>,
    gradient: &Array<Four>,
    log_sums: &Array<f32>,
    along: &Array<f32>,
    of_key: &mut Array<Four>,
    of_value: &mut Array<Four>,
    place: &Place,
    #[comptime] split: Split,
) {
    let own = comptime!(split.fours / split.parts);
    let fours = comptime!(split.fours);
    let parts = comptime!(split.parts);
    let rows = comptime!(split.rows());
    let base = base(place, fours);
    let part = UNIT_POS as usize % parts * own;
    let first = CUBE_POS_X as usize * rows;
    let row = first + UNIT_POS as usize / parts;
    let exists = row < place.length;
    let start = base + row * place.width + part;

    let mut found = Array::<Four>::new(own);
    let mut given = Array::<Four>::new(own);
    let mut key_sum = Array::<Four>::new(own);
    let mut value_sum = Array::<Four>::new(own);
    #[unroll]
    for at in 0..own {
        found[at] = Four::new(0.0);
        given[at] = Four::new(0.0);
        key_sum[at] = Four::new(0.0);
        value_sum[at] = Four::new(0.0);
        if exists {
            found[at] = key[start + at];
            given[at] = value[start + at];
        }
    }

    let mut queries = SharedMemory::<Four>::new(comptime!(TILE * fours));
    let mut slopes = SharedMemory::<Four>::new(comptime!(TILE * fours));
    let mut tile_sums = SharedMemory::<f32>::new(TILE);
    let mut tile_along = SharedMemory::<f32>::new(TILE);
    // The last query that sees the last key.
    let end = min(first + rows - 1 + min(place.window, place.length), place.length);
    let mut tile = first / TILE * TILE;
    while tile < end {
        load(query, gradient, &mut queries, &mut slopes, base, tile, place, fours);
        let unit = UNIT_POS as usize;
        if unit < TILE && tile + unit < place.length {
            let at = CUBE_POS_Y as usize * place.length + tile + unit;
            tile_sums[unit] = log_sums[at];
            tile_along[unit] = along[at];
        }
        sync_cube();
        for one in 0..TILE {
            let from = one * fours + part;
            let at = tile + one;
            let score = product(&found, &queries, from, own, parts);
            let of_weight = product(&given, &slopes, from, own, parts);
            let visible = exists && at < place.length && row <= at && row + place.window > at;
            let mut weight = f32::new(0.0);
            let mut of_score = f32::new(0.0);
            if visible {
                weight = (score - tile_sums[one]).exp();
                of_score = weight * (of_weight - tile_along[one]);
            }
            #[unroll]
            for at in 0..own {
                value_sum[at] += Four::new(weight) * slopes[from + at];
                key_sum[at] += Four::new(of_score) * queries[from + at];
            }
        }
        sync_cube();
        tile += TILE;
    }
    if exists {
        #[unroll]
        for at in 0..own {
            of_key[start + at] = key_sum[at];
            of_value[start + at] = value_sum[at];
        }
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
