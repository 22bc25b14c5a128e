//! Products of `f32` matrices that stay `f32`.
//!
//! What the library chooses by itself for such products are its kernels for the units for matrices as well, and these round
//! the factors to the ten bits of TF32 (`adjust_dtypes` in cubek-matmul). Here only those without such units are tried.

use burn::tensor::DType;
use burn_cubecl::{CubeRuntime, CubeTuneId, kernel::matmul::utils::init_matmul_output, tensor::CubeTensor};
use cubecl::tune::{LocalTuner, Tunable, TunableSet, local_tuner};
use cubek::{
    matmul::{
        definition::{MatmulElems, MatmulGlobalElems},
        launch::{MatmulAutotuneKey, Strategy, launch_ref},
        routines::{
            BlueprintStrategy::Inferred, TileSizeSelection, double_unit::DoubleUnitSelectionArgs,
            simple_unit::SimpleUnitSelectionArgs,
        },
    },
    std::InputBinding,
};

/// Both factors and their product.
type Matrices<R> = (CubeTensor<R>, CubeTensor<R>, CubeTensor<R>);

/// The product by the kernel that was the fastest when this shape came first.
pub(super) fn tuned<R: CubeRuntime>(a: CubeTensor<R>, b: CubeTensor<R>) -> CubeTensor<R> {
    static TUNER: LocalTuner<MatmulAutotuneKey, CubeTuneId> = local_tuner!();
    let kernels = TUNER.init(|| {
        let set = TunableSet::new(key::<R>, to_try_on::<R>);
        strategies().into_iter().fold(set, |set, strategy| {
            let name = strategy.to_string();
            set.with(Tunable::new(&name, move |(a, b, out)| launch(&strategy, a, b, out)))
        })
    });
    let out = init_matmul_output(&a, &b, DType::F32);
    let id = CubeTuneId::new(&a.client, &a.device);
    TUNER.execute(&id, &a.client.clone(), kernels, (a, b, out.clone()));
    out
}

/// The product by one kernel, whatever the shape.
pub(super) fn simple<R: CubeRuntime>(a: CubeTensor<R>, b: CubeTensor<R>) -> CubeTensor<R> {
    let out = init_matmul_output(&a, &b, DType::F32);
    #[expect(clippy::expect_used, reason = "this kernel takes every shape")]
    launch(&Strategy::SimpleUnit(Default::default()), a, b, out.clone()).expect("a product");
    out
}

/// The kernels to try; the first takes every shape.
fn strategies() -> Vec<Strategy> {
    let sizes = [TileSizeSelection::MaxTileSize, TileSizeSelection::MinTileSize];
    let simple = sizes.map(|tile_size| Strategy::SimpleUnit(Inferred(SimpleUnitSelectionArgs { tile_size })));
    let double = sizes.map(|tile_size| Strategy::DoubleUnit(Inferred(DoubleUnitSelectionArgs { tile_size })));
    simple.into_iter().chain(double).collect()
}

fn launch<R: CubeRuntime>(
    strategy: &Strategy,
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    out: CubeTensor<R>,
) -> Result<(), String> {
    let single = DType::F32.into();
    let mut types = MatmulElems::from_globals(&MatmulGlobalElems { lhs: single, rhs: single, out: single });
    let [a, b] = [a, b].map(|factor| InputBinding::new(factor.binding(), single));
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
