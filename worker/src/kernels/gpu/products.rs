//! Products of matrices by the library's kernels: the fastest of those that are tried when a shape comes first.
//!
//! The library by itself would try some twenty kernels for each shape, and each takes a second to compile. And for `f32`
//! factors it tries those for the units for matrices as well, which round the factors to the ten bits of TF32
//! (`adjust_dtypes` in cubek-matmul): where products are to stay `f32`, only kernels without such units are tried.
//!
//! Kernels with two stages go through pairs of steps along the inner dimension, and with an odd number of steps they read
//! beyond the factors' ends (cubek-matmul 0.2.0 looks at single steps when it decides whether to look for the ends): they
//! are only used where the number is even.
//!
//! The result is contiguous. The library's is not, where a row is no multiple of what memory is aligned to.

use super::memory::empty;
use burn::tensor::DType;
use burn_cubecl::{CubeRuntime, CubeTuneId, tensor::CubeTensor};
use cubecl::tune::{LocalTuner, Tunable, TunableSet, TuneGroup, local_tuner};
use cubek::{
    matmul::{
        components::tile::TileMatmulKind::Mma,
        definition::{MatmulElems, MatmulGlobalElems},
        launch::{MatmulAutotuneKey, Strategy, launch_ref},
        routines::{
            BlueprintStrategy::Inferred, TileSizeSelection, double_buffering::DoubleBufferingArgs,
            double_unit::DoubleUnitSelectionArgs, ordered_double_buffering::OrderedSelectionArgs,
            simple::SimpleArgs, simple_unit::SimpleUnitSelectionArgs,
        },
    },
    std::InputBinding,
};

/// Both factors and their product.
type Matrices<R> = (CubeTensor<R>, CubeTensor<R>, CubeTensor<R>);
type Tuner = LocalTuner<MatmulAutotuneKey, CubeTuneId>;

/// The product on the units for matrices, summed in `f32` and given in `dtype`.
pub(super) fn on_matrix_units<R: CubeRuntime>(
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    dtype: DType,
) -> CubeTensor<R> {
    static TUNER: Tuner = local_tuner!("matrix-units");
    tuned(&TUNER, of_matrix_units, a, b, dtype)
}

/// The product without them.
pub(super) fn on_units<R: CubeRuntime>(a: CubeTensor<R>, b: CubeTensor<R>, dtype: DType) -> CubeTensor<R> {
    static TUNER: Tuner = local_tuner!("units");
    tuned(&TUNER, of_units, a, b, dtype)
}

/// The product by one kernel, whatever the shape.
pub(super) fn simple<R: CubeRuntime>(a: CubeTensor<R>, b: CubeTensor<R>, dtype: DType) -> CubeTensor<R> {
    let out = output(&a, &b, dtype);
    #[expect(clippy::expect_used, reason = "this kernel takes every shape")]
    launch(&on_any().strategy, a, b, out.clone()).expect("a product");
    out
}

/// Steps along the inner dimension are divisors of half of this.
const TWO_STEPS: usize = 128;

/// A kernel to try.
struct Kernel {
    strategy: Strategy,
    /// What it does in one stage, where its two stages can't be used.
    instead: Option<Strategy>,
}

impl Kernel {
    fn name(&self) -> String {
        self.strategy.to_string()
    }

    fn launch<R: CubeRuntime>(
        &self,
        a: CubeTensor<R>,
        b: CubeTensor<R>,
        out: CubeTensor<R>,
    ) -> Result<(), String> {
        let inner = a.meta.shape().last().copied().unwrap_or(0);
        let strategy = match &self.instead {
            Some(instead) if !inner.is_multiple_of(TWO_STEPS) => instead,
            _ => &self.strategy,
        };
        launch(strategy, a, b, out)
    }
}

const fn one_stage(strategy: Strategy) -> Kernel {
    Kernel { strategy, instead: None }
}

const fn two_stages(strategy: Strategy, instead: Strategy) -> Kernel {
    Kernel { strategy, instead: Some(instead) }
}

fn simple_unit(tile_size: TileSizeSelection) -> Strategy {
    Strategy::SimpleUnit(Inferred(SimpleUnitSelectionArgs { tile_size }))
}

/// Takes every shape.
fn on_any() -> Kernel {
    one_stage(simple_unit(TileSizeSelection::MaxTileSize))
}

/// The first takes every shape.
fn of_units() -> Vec<Kernel> {
    let double = |tile_size| Strategy::DoubleUnit(Inferred(DoubleUnitSelectionArgs { tile_size }));
    let [max, min] = [TileSizeSelection::MaxTileSize, TileSizeSelection::MinTileSize];
    vec![
        on_any(),
        one_stage(simple_unit(min)),
        two_stages(double(max), simple_unit(max)),
        two_stages(double(min), simple_unit(min)),
    ]
}

/// Without what is tried where none of these can.
fn of_matrix_units() -> Vec<Kernel> {
    let simple = SimpleArgs { multi_rows: true, tile_matmul: Mma };
    let double = DoubleBufferingArgs { specialized: false, tile_matmul: Mma };
    let ordered = OrderedSelectionArgs {
        partition_k: Some(2),
        row_count: Some(8),
        rows_per_plane: Some(2),
        tile_matmul: Mma,
    };
    let cyclic = || Strategy::SimpleCyclicMma(Inferred(simple.clone()));
    let tma = || Strategy::SimpleTmaMma(Inferred(simple.clone()));
    vec![
        one_stage(cyclic()),
        two_stages(Strategy::DoubleCyclicMma(Inferred(double)), cyclic()),
        two_stages(Strategy::OrderedDoubleMma(Inferred(ordered)), cyclic()),
        one_stage(tma()),
        two_stages(Strategy::SpecializedTmaMma(Inferred(().into())), tma()),
    ]
}

fn tuned<R: CubeRuntime>(
    tuner: &'static Tuner,
    kernels: fn() -> Vec<Kernel>,
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    dtype: DType,
) -> CubeTensor<R> {
    let set = tuner.init(move || {
        let group = TuneGroup::new("all", |_| 0);
        let to_try = kernels().into_iter().map(|kernel| (kernel, 1));
        // The library wants a kernel for every shape to be the first; it is tried where all others fail.
        let all = [(on_any(), 0)].into_iter().chain(to_try);
        all.fold(TunableSet::new(key::<R>, to_try_on::<R>), |set, (kernel, priority)| {
            let name = kernel.name();
            let tunable = Tunable::new(&name, move |(a, b, out)| kernel.launch(a, b, out));
            set.with(tunable.group(&group, move |_| priority))
        })
    });
    let out = output(&a, &b, dtype);
    let id = CubeTuneId::new(&a.client, &a.device);
    tuner.execute(&id, &a.client.clone(), set, (a, b, out.clone()));
    out
}

/// The product by each kernel that may be chosen, with its name; without those that do not take these factors.
#[cfg(test)]
pub(super) fn by_each<R: CubeRuntime>(
    a: &CubeTensor<R>,
    b: &CubeTensor<R>,
    dtype: DType,
) -> Vec<(String, CubeTensor<R>)> {
    let kernels = if a.dtype == DType::F32 { of_units() } else { of_matrix_units() };
    let product = |kernel: Kernel| {
        let out = output(a, b, dtype);
        kernel.launch(a.clone(), b.clone(), out.clone()).ok()?;
        // What can't be compiled is told when the device is waited for.
        cubecl::future::block_on(a.client.sync()).ok()?;
        Some((kernel.name(), out))
    };
    kernels.into_iter().filter_map(product).collect()
}

/// Memory for a product.
fn output<R: CubeRuntime>(a: &CubeTensor<R>, b: &CubeTensor<R>, dtype: DType) -> CubeTensor<R> {
    let mut shape = a.meta.shape().clone();
    let last = shape.len() - 1;
    shape[last] = b.meta.shape()[last];
    empty(a, shape, dtype)
}

fn launch<R: CubeRuntime>(
    strategy: &Strategy,
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    out: CubeTensor<R>,
) -> Result<(), String> {
    let of = a.dtype.into();
    let elements = MatmulGlobalElems { lhs: of, rhs: of, out: out.dtype.into() };
    let mut types = MatmulElems::from_globals(&elements);
    let [a, b] = [a, b].map(|factor| InputBinding::new(factor.binding(), of));
    let client = out.client.clone();
    launch_ref(strategy, &client, a, b, out.binding(), &mut types).map_err(|error| format!("{error:?}"))
}

/// What a kernel is tried on: it must not write where the result will be.
fn to_try_on<R: CubeRuntime>(_: &MatmulAutotuneKey, (a, b, out): &Matrices<R>) -> Matrices<R> {
    (a.clone(), b.clone(), out.copy())
}

fn key<R: CubeRuntime>((a, b, out): &Matrices<R>) -> MatmulAutotuneKey {
    let [of_a, of_b, of_out] = [a, b, out].map(|matrix| matrix.dtype.into());
    MatmulAutotuneKey::generate(
        &a.client,
        a.meta.shape(),
        b.meta.shape(),
        a.meta.strides(),
        b.meta.strides(),
        of_a,
        of_b,
        of_out,
        None,
        None,
    )
}
