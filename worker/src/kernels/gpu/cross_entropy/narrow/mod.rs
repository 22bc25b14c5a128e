//! Cross-entropy where embeddings are narrow: logits are computed twice, in registers, and never in memory.
//!
//! The gradient of a row is the mean of the head's rows, weighted with the row's softmax, less the row of its target: what
//! attention makes of the head as keys and values (Dao 2023, arXiv 2307.08691). So it comes with the sums of exponentials, out
//! of the first pass. The second one goes the other way, over rows for each class, and gives the gradient of the head.
//!
//! A plane keeps some rows of one side, and their sums in registers; the other side comes by in tiles in shared memory, a
//! stripe of it for each cube. What the stripes gave is put together in order.

mod passes;
mod stripes;

use super::Found;
use crate::kernels::gpu::{
    memory::{arg, floats, large},
    over_cube::LOWEST,
    tensor_cores::{DEEP, HIGH},
    units,
};
use burn::tensor::DType;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::prelude::*;
use half::bf16;
use passes::{SizesLaunch, classes_kernel, rows_kernel};
use stripes::{head_kernel, hidden_kernel, losses_kernel};

/// Widest embeddings that these kernels take: a plane has the sums of its rows in registers.
const WIDEST: usize = 256;
/// Units of a cube: four planes.
const UNITS: usize = 128;
/// Rows of a tile.
const TILE: usize = 64;
/// Rows of a tile that are multiplied at once, and products beside each other that this takes.
const SOME: usize = 32;
const PRODUCTS: usize = SOME / 8;
/// Cubes that keep a card busy: stripes are as long as they can be with so many. An H200 has 132 multiprocessors with room for
/// the registers of two cubes, 264 at a time. 32,752 rows are 256 blocks, which get three stripes: 2.9 rounds of the card. 50,304
/// classes are 393 blocks, which get two: 2.98 rounds. So hardly anything idles in the last one, and few stripes are put together.
const CUBES: usize = 768;
/// Tiles of a stripe at least.
const SHORTEST: usize = 4;
/// What the largest logit starts from.
const START: f32 = LOWEST / 10.0;
/// How much larger than the largest logit so far another one may be before exponentials are taken relative to it.
const SLACK: f32 = 8.0;

/// Whether these kernels take embeddings of this width, where a cube has so many bytes of shared memory.
pub(super) const fn takes(width: usize, shared: usize) -> bool {
    let eights = width / 8;
    let bytes = (rows_of_cube(eights) + TILE) * stride(eights) * size_of::<[bf16; 8]>();
    width <= WIDEST && width.is_multiple_of(DEEP) && bytes <= shared
}

/// Sixteens of rows of a plane.
const fn highs(eights: usize) -> usize {
    if eights <= 16 { 2 } else { 1 }
}

/// Whether a plane has its rows in registers, and fetches the next tile while it works on one.
const fn is_held(eights: usize) -> bool {
    eights <= 8
}

/// Rows of a cube.
const fn rows_of_cube(eights: usize) -> usize {
    UNITS / 32 * HIGH * highs(eights)
}

/// Eights of a row in shared memory, with the one that keeps banks apart.
const fn stride(eights: usize) -> usize {
    eights + 1
}

/// How the rows of one side and the tiles of the other are shared among cubes.
struct Shares {
    own: usize,
    others: usize,
    blocks: usize,
    stripes: usize,
    tiles: usize,
}

impl Shares {
    fn new(own: usize, others: usize, eights: usize) -> Self {
        let (blocks, all) = (own.div_ceil(rows_of_cube(eights)), others.div_ceil(TILE));
        let tiles = all.div_ceil(CUBES.div_ceil(blocks)).max(SHORTEST);
        Self { own, others, blocks, stripes: all.div_ceil(tiles), tiles }
    }

    fn sizes<R: Runtime>(&self) -> SizesLaunch<R> {
        SizesLaunch::new(self.own, self.others, self.tiles)
    }

    fn grid(&self) -> CubeCount {
        CubeCount::Static(self.blocks as u32, self.stripes as u32, 1)
    }
}

/// Losses of rows `hidden` against a `head` of `vocabulary` classes, padded to whole tiles; both `bf16`. Gradients are
/// multiplied with `scale`.
#[expect(unsafe_code, reason = "rows and classes are compared with their numbers before memory is touched")]
pub(super) fn gradients<R: CubeRuntime>(
    hidden: &CubeTensor<R>,
    head: &CubeTensor<R>,
    targets: &CubeTensor<R>,
    vocabulary: usize,
    scale: f32,
) -> Found<R> {
    let ([rows, width], [columns, _]) = (hidden.meta.shape().dims(), head.meta.shape().dims());
    let (client, eights, pairs) = (&hidden.client, width / 8, width / 2);
    let dim = CubeDim::new_1d(UNITS as u32);

    let shares = Shares::new(rows, columns, eights);
    let [references, totals] = [(); 2].map(|()| floats(hidden, [shares.stripes, rows]));
    let weighted = large(hidden, [shares.stripes * rows, width], DType::F32);
    let [log_sums, losses] = [(); 2].map(|()| floats(hidden, [1, rows]));
    let of_hidden = floats(hidden, [rows, width]);
    // SAFETY: see above; targets are below the vocabulary.
    unsafe {
        rows_kernel::launch_unchecked::<R>(
            client,
            shares.grid(),
            dim,
            arg(hidden),
            arg(head),
            arg(&references),
            arg(&totals),
            arg(&weighted),
            shares.sizes(),
            vocabulary,
            eights,
        );
        let (count, dim) = units(rows);
        losses_kernel::launch_unchecked::<R>(
            client,
            count,
            dim,
            arg(hidden),
            arg(head),
            arg(targets),
            arg(&references),
            arg(&totals),
            arg(&log_sums),
            arg(&losses),
            rows,
            shares.stripes,
            eights,
        );
        let (count, dim) = units(rows * pairs);
        hidden_kernel::launch_unchecked::<R>(
            client,
            count,
            dim,
            arg(&weighted),
            arg(&references),
            arg(&log_sums),
            arg(head),
            arg(targets),
            arg(&of_hidden),
            rows,
            shares.stripes,
            scale,
            pairs,
        );
    }

    let shares = Shares::new(columns, rows, eights);
    let weighted = large(hidden, [shares.stripes * columns, width], DType::F32);
    let of_head = floats(hidden, [vocabulary, width]);
    // SAFETY: see above.
    unsafe {
        classes_kernel::launch_unchecked::<R>(
            client,
            shares.grid(),
            dim,
            arg(head),
            arg(hidden),
            arg(targets),
            arg(&log_sums),
            arg(&weighted),
            shares.sizes(),
            eights,
        );
        let (count, dim) = units(vocabulary * pairs);
        head_kernel::launch_unchecked::<R>(
            client,
            count,
            dim,
            arg(&weighted),
            arg(&of_head),
            vocabulary * pairs,
            columns * pairs,
            shares.stripes,
            scale,
        );
    }
    Found { losses, hidden: of_hidden, head: of_head }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shared_memory_decides_about_the_widest_embeddings() {
        assert!(takes(256, 67_584) && !takes(256, 67_583));
        assert!(takes(16, 48 << 10) && takes(128, 53 << 10));
        assert!(!takes(272, usize::MAX) && !takes(250, usize::MAX));
    }

    #[test]
    fn every_tile_is_in_one_stripe() {
        for (own, others) in [(1, 64), (32_768, 50_304), (50_304, 32_768), (50_304, 1), (300_000, 2_048)] {
            for eights in [2, 8, 16, 32] {
                let Shares { blocks, stripes, tiles, .. } = Shares::new(own, others, eights);
                let all = others.div_ceil(TILE);
                assert!(stripes * tiles >= all && (stripes - 1) * tiles < all, "{own} {others} {eights}");
                assert!(tiles == SHORTEST || blocks * stripes >= CUBES / 2, "{own} {others} {eights}");
            }
        }
    }

    #[test]
    fn the_last_round_of_a_card_is_almost_full() {
        // Cubes at a time.
        const ROUND: usize = 264;
        for (own, others) in [(32_752, 50_304), (50_304, 32_752), (8_188, 50_304), (50_304, 8_188)] {
            for eights in [8, 16, 32] {
                let Shares { blocks, stripes, .. } = Shares::new(own, others, eights);
                let (cubes, room) = (blocks * stripes, (blocks * stripes).next_multiple_of(ROUND));
                assert!(cubes * 20 >= room * 19, "{own} {others} {eights}: {cubes} of {room}");
            }
        }
    }
}
