//! Products of matrices by the library's kernels: the fastest of those that are tried when a shape comes first.
//!
//! The library by itself would try some twenty kernels for each shape, and each takes a second to compile. And for `f32`
//! factors it tries those for the tensor cores as well, which round the factors to the ten bits of TF32
//! (`adjust_dtypes` in cubek-matmul): where products are to stay `f32`, only kernels without such units are tried.
//!
//! Kernels with two stages go through pairs of steps along the inner dimension, and with an odd number of steps they read
//! beyond the factors' ends (cubek-matmul 0.2.0 looks at single steps when it decides whether to look for the ends): they
//! are only used where the number is even.
//!
//! NVIDIA's own library is tried as well, where there is one ([`super::cublas`]).
//!
//! `LC_GPU_PRODUCTS` leaves some of those for tensor cores: their [names](Routine), with commas between them. For a
//! card or driver on which others hang, say those of the unit for memory.
//!
//! The result is contiguous. The library's is not, where a row is no multiple of what memory is aligned to.

#[cfg(feature = "cuda")]
use super::cublas;
use super::memory::empty;
use crate::device::lost;
use burn::tensor::DType;
use burn_cubecl::{CubeRuntime, CubeTuneId, tensor::CubeTensor};
use cubecl::tune::{LocalTuner, Tunable, TunableSet, TuneGroup, local_tuner};
use cubek::{
    matmul::{
        components::tile::TileMatmulKind::Mma,
        definition::{MatmulElems, MatmulGlobalElems},
        launch::{
            MatmulAutotuneKey,
            launch_tiling::{launch_ref, launch_ref_tma},
        },
        routines::{
            BlueprintStrategy::Inferred,
            TileSizeSelection,
            double_buffering::{CyclicDoubleBufferingAlgorithm, DoubleBufferingArgs},
            double_unit::{DoubleUnitAlgorithm, DoubleUnitSelectionArgs},
            ordered_double_buffering::{OrderedDoubleBufferingAlgorithm, OrderedSelectionArgs},
            simple::{SimpleAlgorithm, SimpleArgs, SimpleTmaAlgorithm},
            simple_unit::{SimpleUnitAlgorithm, SimpleUnitSelectionArgs},
            specialized::{SpecializedAlgorithm, SpecializedStrategy},
        },
    },
    std::InputBinding,
};
use std::env;

/// Both factors and their product.
type Matrices<R> = (CubeTensor<R>, CubeTensor<R>, CubeTensor<R>);
type Tuner = LocalTuner<MatmulAutotuneKey, CubeTuneId>;

/// The product on the tensor cores, summed in `f32` and given in `dtype`.
pub(super) fn on_tensor_cores<R: CubeRuntime>(
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    dtype: DType,
) -> CubeTensor<R> {
    static TUNER: Tuner = local_tuner!("matrix-units");
    tuned(&TUNER, OF_MATRIX_UNITS, a, b, dtype)
}

/// The product without them.
pub(super) fn on_units<R: CubeRuntime>(a: CubeTensor<R>, b: CubeTensor<R>, dtype: DType) -> CubeTensor<R> {
    static TUNER: Tuner = local_tuner!("units");
    tuned(&TUNER, OF_UNITS, a, b, dtype)
}

/// The product by one kernel, whatever the shape.
pub(super) fn simple<R: CubeRuntime>(a: CubeTensor<R>, b: CubeTensor<R>, dtype: DType) -> CubeTensor<R> {
    let out = output(&a, &b, dtype);
    #[expect(clippy::expect_used, reason = "this kernel takes every shape")]
    launch(ON_ANY.routine, a, b, out.clone()).expect("a product");
    out
}

/// Steps along the inner dimension are divisors of half of this.
const TWO_STEPS: usize = 128;

/// The library's kernels that may be chosen.
#[derive(Clone, Copy, Debug)]
enum Routine {
    /// Units multiply tiles of one stage, of two.
    Unit(TileSize),
    DoubleUnit(TileSize),
    /// Units for matrices multiply what units fetch, in one stage, in two, in two and in order.
    Cyclic,
    DoubleCyclic,
    Ordered,
    /// They multiply what a unit for memory fetches, also with planes that do nothing but fetch.
    Tma,
    SpecializedTma,
    /// NVIDIA's library, also with `f32` factors of which ten bits are read.
    #[cfg(feature = "cuda")]
    Cublas,
    #[cfg(feature = "cuda")]
    CublasRounded,
}

#[derive(Clone, Copy, Debug)]
enum TileSize {
    Largest,
    Smallest,
}

impl From<TileSize> for TileSizeSelection {
    fn from(size: TileSize) -> Self {
        match size {
            TileSize::Largest => Self::MaxTileSize,
            TileSize::Smallest => Self::MinTileSize,
        }
    }
}

/// A kernel to try.
#[derive(Clone, Copy)]
struct Kernel {
    routine: Routine,
    /// What it does in one stage, where its two stages can't be used.
    instead: Option<Routine>,
}

impl Kernel {
    fn name(self) -> String {
        format!("{:?}", self.routine)
    }

    fn launch<R: CubeRuntime>(
        self,
        a: CubeTensor<R>,
        b: CubeTensor<R>,
        out: CubeTensor<R>,
    ) -> Result<(), String> {
        let inner = a.meta.shape().last().copied().unwrap_or(0);
        let routine = match self.instead {
            Some(instead) if !inner.is_multiple_of(TWO_STEPS) => instead,
            _ => self.routine,
        };
        launch(routine, a, b, out)
    }

    /// Whether this machine has what it needs.
    fn exists(self) -> bool {
        match self.routine {
            #[cfg(feature = "cuda")]
            Routine::Cublas | Routine::CublasRounded => cublas::exists(),
            _ => true,
        }
    }
}

const fn one_stage(routine: Routine) -> Kernel {
    Kernel { routine, instead: None }
}

const fn two_stages(routine: Routine, instead: Routine) -> Kernel {
    Kernel { routine, instead: Some(instead) }
}

/// Takes every shape.
const ON_ANY: Kernel = one_stage(Routine::Unit(TileSize::Largest));

/// The first takes every shape.
const OF_UNITS: &[Kernel] = &[
    ON_ANY,
    one_stage(Routine::Unit(TileSize::Smallest)),
    two_stages(Routine::DoubleUnit(TileSize::Largest), Routine::Unit(TileSize::Largest)),
    two_stages(Routine::DoubleUnit(TileSize::Smallest), Routine::Unit(TileSize::Smallest)),
    #[cfg(feature = "cuda")]
    one_stage(Routine::Cublas),
];

/// Without what is tried where none of these can.
const OF_MATRIX_UNITS: &[Kernel] = &[
    one_stage(Routine::Cyclic),
    two_stages(Routine::DoubleCyclic, Routine::Cyclic),
    two_stages(Routine::Ordered, Routine::Cyclic),
    one_stage(Routine::Tma),
    two_stages(Routine::SpecializedTma, Routine::Tma),
    #[cfg(feature = "cuda")]
    one_stage(Routine::CublasRounded),
];

/// Variable with the names of those that may be chosen.
const NAMES: &str = "LC_GPU_PRODUCTS";

/// The kernels that are named; where none is, all of them. Those that this machine lacks are none.
fn left(kernels: &[Kernel], names: &str) -> Vec<Kernel> {
    let kernels: Vec<Kernel> = kernels.iter().copied().filter(|kernel| kernel.exists()).collect();
    let is_named = |kernel: &Kernel| {
        let own = kernel.name();
        names.split(',').any(|name| name.trim().eq_ignore_ascii_case(&own))
    };
    let named: Vec<Kernel> = kernels.iter().copied().filter(is_named).collect();
    if named.is_empty() { kernels } else { named }
}

fn tuned<R: CubeRuntime>(
    tuner: &'static Tuner,
    kernels: &'static [Kernel],
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    dtype: DType,
) -> CubeTensor<R> {
    let set = tuner.init(move || {
        let group = TuneGroup::new("all", |_| 0);
        let names = env::var(NAMES).unwrap_or_default();
        let to_try = left(kernels, &names).into_iter().map(|kernel| (kernel, 1));
        // The library wants a kernel for every shape to be the first; it is tried where all others fail.
        let all = [(ON_ANY, 0)].into_iter().chain(to_try);
        all.fold(TunableSet::new(key::<R>, to_try_on::<R>), |set, (kernel, priority)| {
            let name = kernel.name();
            let tunable = Tunable::new(&name, move |(a, b, out)| lost::trying(|| kernel.launch(a, b, out)));
            set.with(tunable.group(&group, move |_| priority))
        })
    });
    let out = output(&a, &b, dtype);
    let id = CubeTuneId::new(&a.client, &a.device);
    tuner.execute(&id, &a.client.clone(), set, (a, b, out.clone()));
    out
}

/// The product by each kernel that may be chosen, with its name, or why that one does not take these factors.
#[cfg(test)]
pub(super) fn by_each<R: CubeRuntime>(
    a: &CubeTensor<R>,
    b: &CubeTensor<R>,
    dtype: DType,
) -> Vec<(String, Result<CubeTensor<R>, String>)> {
    let kernels = left(if a.dtype == DType::F32 { OF_UNITS } else { OF_MATRIX_UNITS }, "");
    let product = |kernel: Kernel| {
        // So that one that hangs is known.
        println!("trying {}", kernel.name());
        let out = output(a, b, dtype);
        kernel.launch(a.clone(), b.clone(), out.clone())?;
        // What can't be compiled is told when the device is waited for.
        cubecl::future::block_on(a.client.sync()).map_err(|error| format!("{error:?}"))?;
        Ok(out)
    };
    kernels.into_iter().map(|kernel| (kernel.name(), product(kernel))).collect()
}

/// Memory for a product.
fn output<R: CubeRuntime>(a: &CubeTensor<R>, b: &CubeTensor<R>, dtype: DType) -> CubeTensor<R> {
    let mut shape = a.meta.shape().clone();
    let last = shape.len() - 1;
    shape[last] = b.meta.shape()[last];
    empty(a, shape, dtype)
}

/// Launches a routine by its own function: by the library's for all of them, all would be compiled into the program.
fn launch<R: CubeRuntime>(
    routine: Routine,
    a: CubeTensor<R>,
    b: CubeTensor<R>,
    out: CubeTensor<R>,
) -> Result<(), String> {
    #[cfg(feature = "cuda")]
    if let Routine::Cublas | Routine::CublasRounded = routine {
        return cublas::product(&a, &b, &out, matches!(routine, Routine::CublasRounded));
    }
    let of = a.dtype.into();
    let elements = MatmulGlobalElems { lhs: of, rhs: of, out: out.dtype.into() };
    let mut types = MatmulElems::from_globals(&elements);
    let types = &mut types;
    let [a, b] = [a, b].map(|factor| InputBinding::new(factor.binding(), of));
    let (client, out) = (&out.client.clone(), out.binding());
    let simple = SimpleArgs { multi_rows: true, tile_matmul: Mma };
    match routine {
        Routine::Unit(size) => {
            let args = SimpleUnitSelectionArgs { tile_size: size.into() };
            launch_ref::<R, SimpleUnitAlgorithm>(client, a, b, out, &Inferred(args), types)
        }
        Routine::DoubleUnit(size) => {
            let args = DoubleUnitSelectionArgs { tile_size: size.into() };
            launch_ref::<R, DoubleUnitAlgorithm>(client, a, b, out, &Inferred(args), types)
        }
        Routine::Cyclic => launch_ref::<R, SimpleAlgorithm>(client, a, b, out, &Inferred(simple), types),
        Routine::DoubleCyclic => {
            let args = DoubleBufferingArgs { specialized: false, tile_matmul: Mma };
            launch_ref::<R, CyclicDoubleBufferingAlgorithm>(client, a, b, out, &Inferred(args), types)
        }
        Routine::Ordered => {
            let args = OrderedSelectionArgs {
                partition_k: Some(2),
                row_count: Some(8),
                rows_per_plane: Some(2),
                tile_matmul: Mma,
            };
            launch_ref::<R, OrderedDoubleBufferingAlgorithm>(client, a, b, out, &Inferred(args), types)
        }
        Routine::Tma => launch_ref_tma::<R, SimpleTmaAlgorithm>(client, a, b, out, &Inferred(simple), types),
        #[cfg(feature = "cuda")]
        Routine::Cublas | Routine::CublasRounded => unreachable!("no kernel of the library's"),
        Routine::SpecializedTma => {
            let args = SpecializedStrategy { tile_matmul: Mma };
            launch_ref_tma::<R, SpecializedAlgorithm>(client, a, b, out, &Inferred(args), types)
        }
    }
    .map_err(|error| format!("{error:?}"))
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

#[cfg(test)]
mod tests {
    use super::{Kernel, OF_MATRIX_UNITS, OF_UNITS, left};

    #[test]
    fn kernels_that_are_named_are_left() {
        let names = |kernels: &[Kernel], named: &str| -> Vec<String> {
            left(kernels, named).into_iter().map(Kernel::name).collect()
        };
        assert_eq!(names(OF_MATRIX_UNITS, "ordered, Cyclic"), ["Cyclic", "Ordered"]);
        assert!(names(OF_MATRIX_UNITS, "").contains(&"SpecializedTma".to_owned()));
        // Names of the ones say nothing about the others.
        assert_eq!(names(OF_UNITS, "Cyclic"), names(OF_UNITS, ""));
    }
}
