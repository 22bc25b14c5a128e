//! Products by NVIDIA's cuBLASLt, where it is installed: one more kernel to try.
//!
//! The library of kernels knows nothing of the instructions that alone reach the speed of a Hopper card's tensor cores.
//! cuBLASLt is looked for when a program runs, as the driver and the compiler are; who has PyTorch or a CUDA toolkit has it.
//!
//! It works in a stream of its own, as that of the library of kernels can't be had: it waits for all that was queued on
//! the card before, and what comes after waits for it (`cuCtxRecordEvent`, `cuCtxWaitEvent`: drivers for CUDA 12.5 and newer).
//! The same shape on the same kind of card is computed by the same algorithm, with sums in the same order.

use burn::tensor::DType;
use burn_cubecl::{CubeRuntime, tensor::CubeTensor};
use cubecl::{client::ComputeClient, cuda::CudaRuntime};
use cudarc::{
    cublaslt::{
        result,
        sys::{
            self, cublasComputeType_t as Compute, cublasLtMatmulDescAttributes_t as OfProduct,
            cublasLtMatmulPreferenceAttributes_t as Wish, cublasLtMatrixLayoutAttribute_t as OfMatrix,
            cublasLtReductionScheme_t as Reduction, cudaDataType as Numbers,
        },
    },
    driver::{
        result::{event, malloc_sync, stream},
        sys as driver,
    },
};
use std::{
    any::Any,
    collections::HashMap,
    ffi::c_void,
    fmt::Debug,
    ptr,
    sync::{LazyLock, Mutex, PoisonError},
};

/// Memory for what algorithms keep aside.
const WORKSPACE: usize = 32 << 20;
/// What pointers are aligned to at most, in bytes.
const ALIGNED: u64 = 256;

/// How parts of a sum may be added up, where several blocks have some: in the numbers of the computation. Else they could
/// be in those of the result, where `bf16` would be rounded once for each part.
const IN_F32: u32 = Reduction::CUBLASLT_REDUCTION_SCHEME_NONE as u32
    | Reduction::CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE as u32;

/// Whether there is such a library, and a driver that can keep its stream in order.
pub(super) fn exists() -> bool {
    #[expect(unsafe_code, reason = "libraries are loaded and asked for a name")]
    // SAFETY: loading NVIDIA's libraries has no conditions.
    static EXISTS: LazyLock<bool> = LazyLock::new(|| unsafe {
        driver::is_culib_present()
            && driver::culib().get::<unsafe extern "C" fn()>(b"cuCtxWaitEvent").is_ok()
            && sys::is_culib_present()
    });
    *EXISTS
}

/// Queues the product, or tells why it can't be made this way. `rounded` allows to read ten bits of `f32` factors.
pub(super) fn product<R: CubeRuntime>(
    a: &CubeTensor<R>,
    b: &CubeTensor<R>,
    out: &CubeTensor<R>,
    rounded: bool,
) -> Result<(), String> {
    if !exists() {
        return Err("cuBLASLt is not installed".to_owned());
    }
    let [Some(a), Some(b), Some(out)] = [a, b, out].map(on_cuda) else {
        return Err("the device is none of CUDA's".to_owned());
    };
    let [left, right, made] = [Matrices::of(a)?, Matrices::of(b)?, Matrices::of(out)?];
    if left.count != made.count || right.count != made.count || made.by_columns {
        return Err("no product of pairs of matrices".to_owned());
    }
    let compute = match a.dtype {
        DType::F32 if rounded => Compute::CUBLAS_COMPUTE_32F_FAST_TF32,
        _ => Compute::CUBLAS_COMPUTE_32F,
    };
    let client = &out.client;
    // In the thread that queues what is computed on this device.
    let queued = client.exclusive(|| {
        let [a, b, out] = [a, b, out].map(|tensor| place(client, tensor));
        // The library's matrices lie by columns: they are the transposed ones.
        queue(Key { compute, factors: [right, left], made, aligned: 0 }, [b?, a?, out?])
    });
    queued.map_err(said)?
}

fn on_cuda<R: CubeRuntime>(tensor: &CubeTensor<R>) -> Option<&CubeTensor<CudaRuntime>> {
    (tensor as &dyn Any).downcast_ref()
}

fn said(error: impl Debug) -> String {
    format!("{error:?}")
}

/// Where a tensor lies on the card.
fn place(client: &ComputeClient<CudaRuntime>, tensor: &CubeTensor<CudaRuntime>) -> Result<u64, String> {
    let memory = client.get_resource(tensor.handle.clone()).map_err(said)?;
    Ok(memory.resource().ptr)
}

/// How matrices lie in memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Matrices {
    numbers: DType,
    count: usize,
    /// From one to the next.
    apart: usize,
    rows: usize,
    columns: usize,
    /// Neighbours in memory are of a column, not of a row.
    by_columns: bool,
    /// From one row, or column, to the next.
    step: usize,
}

impl Matrices {
    fn of(tensor: &CubeTensor<CudaRuntime>) -> Result<Self, String> {
        Self::lying(tensor.dtype, tensor.meta.shape(), tensor.meta.strides())
    }

    fn lying(numbers: DType, shape: &[usize], strides: &[usize]) -> Result<Self, String> {
        let ([of_count @ .., rows, columns], [aparts @ .., down, across]) = (shape, strides) else {
            return Err("no matrices".to_owned());
        };
        let (rows, columns, down, across) = (*rows, *columns, *down, *across);
        let count = of_count.iter().product();
        let apart = aparts.last().copied().unwrap_or(0);
        // All must be as far apart as the last ones.
        let mut expected = apart;
        for (size, apart) in of_count.iter().zip(aparts).rev() {
            if *size > 1 && *apart != expected {
                return Err("matrices lie at uneven distances".to_owned());
            }
            expected *= size;
        }
        let by_columns = match (across, down) {
            (1, down) if down >= columns || rows == 1 => false,
            (across, 1) if across >= rows || columns == 1 => true,
            _ => return Err("matrices have holes".to_owned()),
        };
        let step = if by_columns { across.max(rows) } else { down.max(columns) };
        Ok(Self { numbers, count, apart, rows, columns, by_columns, step })
    }

    /// The library's description of the transposed matrices.
    #[expect(unsafe_code, reason = "a description is made and its attributes are set")]
    fn described(self) -> Result<sys::cublasLtMatrixLayout_t, String> {
        let numbers = match self.numbers {
            DType::F32 => Numbers::CUDA_R_32F,
            DType::BF16 => Numbers::CUDA_R_16BF,
            other => return Err(format!("no products of {other:?}")),
        };
        let [long, short] =
            if self.by_columns { [self.rows, self.columns] } else { [self.columns, self.rows] };
        let layout = result::create_matrix_layout(numbers, long as u64, short as u64, self.step as i64)
            .map_err(said)?;
        let (count, apart) = (self.count as i32, self.apart as i64);
        // SAFETY: the layout exists, and the attributes have these types.
        unsafe {
            let set = |of, value: *const c_void, size| {
                result::set_matrix_layout_attribute(layout, of, value, size).map_err(said)
            };
            set(
                OfMatrix::CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT,
                ptr::from_ref(&count).cast(),
                size_of_val(&count),
            )?;
            set(
                OfMatrix::CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET,
                ptr::from_ref(&apart).cast(),
                size_of_val(&apart),
            )?;
        }
        Ok(layout)
    }
}

/// What an algorithm is chosen for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    compute: Compute,
    factors: [Matrices; 2],
    made: Matrices,
    /// What all pointers are aligned to, in bytes.
    aligned: u64,
}

/// How a product is computed.
#[derive(Clone, Copy)]
struct Plan {
    product: sys::cublasLtMatmulDesc_t,
    layouts: [sys::cublasLtMatrixLayout_t; 3],
    algorithm: sys::cublasLtMatmulAlgo_t,
}

/// What the library works with on one card.
struct Card {
    library: sys::cublasLtHandle_t,
    context: driver::CUcontext,
    stream: driver::CUstream,
    /// All that was queued before, and the product.
    before: driver::CUevent,
    after: driver::CUevent,
    workspace: u64,
    plans: HashMap<Key, Plan>,
}

#[expect(unsafe_code, reason = "what lies behind the pointers is the library's, and belongs to no thread")]
// SAFETY: handles of the driver and of the library may be used by any thread, one at a time.
unsafe impl Send for Card {}

impl Card {
    #[expect(unsafe_code, reason = "memory is taken on the card")]
    fn new(context: driver::CUcontext) -> Result<Self, String> {
        let event = || event::create(driver::CUevent_flags::CU_EVENT_DISABLE_TIMING).map_err(said);
        Ok(Self {
            library: result::create_handle().map_err(said)?,
            context,
            stream: stream::create(stream::StreamKind::NonBlocking).map_err(said)?,
            before: event()?,
            after: event()?,
            // SAFETY: the context is current.
            workspace: unsafe { malloc_sync(WORKSPACE) }.map_err(said)?,
            plans: HashMap::new(),
        })
    }

    fn plan(&mut self, key: Key) -> Result<Plan, String> {
        if let Some(&plan) = self.plans.get(&key) {
            return Ok(plan);
        }
        let plan = self.planned(key)?;
        self.plans.insert(key, plan);
        Ok(plan)
    }

    #[expect(unsafe_code, reason = "descriptions are made and their attributes are set")]
    fn planned(&self, key: Key) -> Result<Plan, String> {
        let [left, right] = key.factors;
        let layouts = [left.described()?, right.described()?, key.made.described()?];
        let product = result::create_matmul_desc(key.compute, Numbers::CUDA_R_32F).map_err(said)?;
        let wishes = result::create_matmul_pref().map_err(said)?;
        let wanted = [
            (Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, key.aligned as u32),
            (Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES, key.aligned as u32),
            (Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, key.aligned as u32),
            (Wish::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES, key.aligned as u32),
            (Wish::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, IN_F32),
        ];
        // SAFETY: all of this exists, and the attributes have these types.
        let found = unsafe {
            for (of, factor) in [
                (OfProduct::CUBLASLT_MATMUL_DESC_TRANSA, left),
                (OfProduct::CUBLASLT_MATMUL_DESC_TRANSB, right),
            ] {
                let transposed = i32::from(factor.by_columns);
                result::set_matmul_desc_attribute(product, of, ptr::from_ref(&transposed).cast(), 4)
                    .map_err(said)?;
            }
            for (of, wish) in wanted {
                result::set_matmul_pref_attribute(wishes, of, ptr::from_ref(&wish).cast(), 4)
                    .map_err(said)?;
            }
            let most = WORKSPACE as u64;
            let of = Wish::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES;
            result::set_matmul_pref_attribute(wishes, of, ptr::from_ref(&most).cast(), 8).map_err(said)?;
            let [a, b, made] = layouts;
            result::get_matmul_algo_heuristic(self.library, product, a, b, made, made, wishes).map_err(said)
        };
        Ok(Plan { product, layouts, algorithm: found?.algo })
    }

    #[expect(unsafe_code, reason = "the library reads and writes what the plan was made for")]
    fn queue(&self, plan: &Plan, [a, b, made]: [u64; 3]) -> Result<(), String> {
        let (one, zero) = (1.0_f32, 0.0_f32);
        let [of_a, of_b, of_made] = plan.layouts;
        let memory = |at: u64| at as *mut c_void;
        // SAFETY: memory of these shapes, which nobody frees before what is queued now is done: whatever is queued
        // afterwards, the giving back of memory included, waits for it.
        unsafe {
            driver::cuCtxRecordEvent(self.context, self.before).result().map_err(said)?;
            driver::cuStreamWaitEvent(self.stream, self.before, 0).result().map_err(said)?;
            result::matmul(
                self.library,
                plan.product,
                ptr::from_ref(&one).cast(),
                ptr::from_ref(&zero).cast(),
                memory(a),
                of_a,
                memory(b),
                of_b,
                memory(made),
                of_made,
                memory(made),
                of_made,
                &raw const plan.algorithm,
                memory(self.workspace),
                WORKSPACE,
                self.stream.cast(),
            )
            .map_err(said)?;
            driver::cuEventRecord(self.after, self.stream).result().map_err(said)?;
            driver::cuCtxWaitEvent(self.context, self.after).result().map_err(said)
        }
    }
}

/// Queues a product on the card whose thread this is.
#[expect(unsafe_code, reason = "the driver is asked for what is current")]
fn queue(mut key: Key, places: [u64; 3]) -> Result<(), String> {
    static CARDS: Mutex<Vec<Card>> = Mutex::new(Vec::new());
    let mut context = ptr::null_mut();
    // SAFETY: it is written where it may be.
    unsafe { driver::cuCtxGetCurrent(&raw mut context) }.result().map_err(said)?;
    let mut cards = CARDS.lock().unwrap_or_else(PoisonError::into_inner);
    let at = match cards.iter().position(|card| card.context == context) {
        Some(at) => at,
        None => {
            cards.push(Card::new(context)?);
            cards.len() - 1
        }
    };
    let card = &mut cards[at];
    key.aligned =
        places.iter().fold(ALIGNED, |aligned, place| aligned.min(1 << place.trailing_zeros().min(8)));
    let plan = card.plan(key)?;
    card.queue(&plan, places)
}

#[cfg(test)]
mod tests {
    use super::Matrices;
    use burn::tensor::DType::F32;

    #[test]
    fn matrices_lie_by_rows_or_by_columns() {
        let of = |shape: &[usize], strides: &[usize]| {
            let found = Matrices::lying(F32, shape, strides)?;
            Ok::<_, String>((found.count, found.apart, found.by_columns, found.step))
        };
        assert_eq!(of(&[3, 5], &[5, 1]), Ok((1, 0, false, 5)));
        assert_eq!(of(&[5, 3], &[1, 5]), Ok((1, 0, true, 5)));
        assert_eq!(of(&[4, 5, 3], &[15, 1, 5]), Ok((4, 15, true, 5)));
        assert_eq!(of(&[2, 4, 3, 5], &[60, 15, 5, 1]), Ok((8, 15, false, 5)));
        // One row, one column.
        assert_eq!(of(&[1, 5], &[1, 1]), Ok((1, 0, false, 5)));
        assert_eq!(of(&[5, 1], &[1, 1]), Ok((1, 0, false, 1)));
        // Heads that stand side by side, and every other column.
        assert!(of(&[2, 4, 3, 5], &[60, 5, 20, 1]).is_err());
        assert!(of(&[3, 5], &[10, 2]).is_err());
    }
}
