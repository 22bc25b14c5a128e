//! Products on the tensor cores of a GPU: a plane multiplies 16 x 16 by 16 x 8 entries at once, `bf16` factors to
//! `f32` sums, each unit with its share of them in registers. (`mma.m16n8k16` of the PTX manual, where the shares are drawn.)
//!
//! Factors come from shared memory, where rows lie in [`Eight`]s, one more than they have: then the eight rows that are read
//! at once lie in different banks.

use cubecl::{
    cmma::{MatrixIdent, MmaDefinition},
    features::MmaConfig,
    ir::{ElemType, FloatKind},
    prelude::*,
};
use half::bf16;

/// What a unit brings to shared memory at once.
pub(super) type Eight = Vector<bf16, Const<8>>;
/// A register with neighbouring entries of a factor.
pub(super) type Two = Vector<bf16, Const<2>>;
/// Neighbouring sums.
pub(super) type Pair = Vector<f32, Const<2>>;

/// Rows of a left factor and of a product.
pub(super) const HIGH: usize = 16;
/// Columns of a product.
pub(super) const WIDE: usize = 8;
/// Columns of a left factor, rows of a right one.
pub(super) const DEEP: usize = 16;

/// Whether a device has such units, and can hand them rows of shared memory.
pub(super) fn exist<R: Runtime>(client: &ComputeClient<R>) -> bool {
    let bf16 = ElemType::Float(FloatKind::BF16).into();
    let f32 = ElemType::Float(FloatKind::F32).into();
    let wanted = MmaConfig {
        a_type: bf16,
        b_type: bf16,
        cd_type: f32,
        m: HIGH as u32,
        n: WIDE as u32,
        k: DEEP as u32,
    };
    let units = &client.properties().features.matmul;
    units.mma.contains(&wanted) && units.ldmatrix.contains(&bf16)
}

#[cube]
fn definition() -> MmaDefinition<bf16, bf16, f32> {
    MmaDefinition::<bf16, bf16, f32>::new(HIGH, WIDE, DEEP)
}

/// The number of a unit in its plane.
#[cube]
fn lane() -> usize {
    UNIT_POS_PLANE as usize
}

/// Row, of the 16 of a product, whose sums a unit holds first; its second ones are eight rows below.
#[cube]
pub(super) fn own_row() -> usize {
    lane() / 4
}

/// Column, of the 8 of a product, of a unit's first sum; the other is to its right.
#[cube]
pub(super) fn own_column() -> usize {
    lane() % 4 * 2
}

/// 16 rows and columns as a left factor: each unit names the eight of one of its rows.
#[cube]
pub(super) fn left_at(tile: &SharedMemory<Eight>, at: usize) -> Array<Two> {
    definition().load_matrix::<_, Const<2>>(&tile.slice(at, at + 1), MatrixIdent::A, 4usize, false)
}

/// The eight that a unit names for the 16 rows of a tile from `row` on and their 16 columns from the `eight`-th eight on.
#[cube]
fn of_square(row: usize, eight: usize, #[comptime] stride: usize) -> usize {
    (row + lane() % 16) * stride + eight + lane() / 16
}

/// 16 rows of a tile and 16 of their columns as a left factor.
#[cube]
pub(super) fn left(
    tile: &SharedMemory<Eight>,
    row: usize,
    eight: usize,
    #[comptime] stride: usize,
) -> Array<Two> {
    left_at(tile, of_square(row, eight, stride))
}

/// Two right factors beside each other, which are 16 rows of a tile and 16 of their columns.
#[cube]
pub(super) fn rights(
    tile: &SharedMemory<Eight>,
    row: usize,
    eight: usize,
    #[comptime] stride: usize,
) -> Array<Two> {
    let at = of_square(row, eight, stride);
    definition().load_matrix::<_, Const<2>>(&tile.slice(at, at + 1), MatrixIdent::B, 4usize, true)
}

/// Two right factors beside each other, whose columns are 16 rows of a tile: each unit names an eight of the row that is
/// column `lane % 8` of the first or, from lane 16 on, of the second, in odd eights of lanes the one to the right.
#[cube]
pub(super) fn rights_at(tile: &SharedMemory<Eight>, at: usize) -> Array<Two> {
    definition().load_matrix::<_, Const<2>>(&tile.slice(at, at + 1), MatrixIdent::B, 4usize, false)
}

/// As [`rights_at`], of the 16 rows from `row` on and their 16 columns from the `eight`-th eight on.
#[cube]
pub(super) fn rights_of_rows(
    tile: &SharedMemory<Eight>,
    row: usize,
    eight: usize,
    #[comptime] stride: usize,
) -> Array<Two> {
    rights_at(tile, (row + lane() / 16 * 8 + lane() % 8) * stride + eight + lane() / 8 % 2)
}

/// Sums of a unit for `count` products, all zero.
#[cube]
pub(super) fn zeros(#[comptime] count: usize) -> Sequence<Array<Pair>> {
    let mut sums = Sequence::<Array<Pair>>::new();
    #[unroll]
    for _ in 0..count {
        let mut sum = Array::<Pair>::new(2usize);
        sum[0] = Pair::new(0.0);
        sum[1] = Pair::new(0.0);
        sums.push(sum);
    }
    sums
}

/// Adds the products with two right factors beside each other to the `first`-th sums and the next.
#[cube]
pub(super) fn add_products(
    sums: &mut Sequence<Array<Pair>>,
    #[comptime] first: usize,
    left: &Array<Two>,
    rights: &Array<Two>,
) {
    #[unroll]
    for one in 0..2usize {
        let mut right = Array::<Two>::new(2usize);
        right[0] = rights[2 * one];
        right[1] = rights[2 * one + 1];
        let sum = sums.index_mut(comptime!(first + one));
        definition().execute_inplace(left, &right, sum);
    }
}

/// Two products beside each other as a left factor.
#[cube]
pub(super) fn as_left(sums: &Sequence<Array<Pair>>, #[comptime] first: usize) -> Array<Two> {
    let mut left = Array::<Two>::new(4usize);
    #[unroll]
    for one in 0..2usize {
        let sum = sums.index(comptime!(first + one));
        left[2 * one] = Two::cast_from(sum[0]);
        left[2 * one + 1] = Two::cast_from(sum[1]);
    }
    left
}

/// The largest of a row of products: of what the four units that hold it found.
#[cube]
pub(super) fn largest_of_row(value: f32) -> f32 {
    let other = max(value, plane_shuffle_xor(value, 1));
    max(other, plane_shuffle_xor(other, 2))
}

/// The sum of a row of products.
#[cube]
pub(super) fn sum_of_row(value: f32) -> f32 {
    let pair = value + plane_shuffle_xor(value, 1);
    pair + plane_shuffle_xor(pair, 2)
}

/// `e^x` as the card's own instruction has it: off by a few millionths for what is not small, relative to itself. It is far
/// more than `bf16` keeps of it.
#[cube(fast_math = FastMath::ReducedPrecision | FastMath::NotNaN | FastMath::NotInf)]
pub(super) fn power(x: f32) -> f32 {
    x.exp()
}
